"""What ranks weights for pruning: one module a scheme, with its source and its equation."""
