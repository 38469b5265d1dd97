"""Studies of others together: one exponent from several experiments."""
