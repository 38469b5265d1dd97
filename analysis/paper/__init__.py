"""The claims of the first paper, held against its own numbers."""
