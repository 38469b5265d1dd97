"""Commands that train, and what they are planned from."""
