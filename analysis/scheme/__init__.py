"""Is a pruning scheme a renormalization: a semigroup in density, with a fixed point, and whose."""
