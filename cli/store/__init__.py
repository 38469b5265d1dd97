"""Commands that fill the store, show it and ask it."""
