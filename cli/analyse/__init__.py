"""Commands that turn what is in the store into results."""
