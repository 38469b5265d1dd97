"""One module a format: how its runs are found and read."""
