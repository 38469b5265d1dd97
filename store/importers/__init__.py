"""Other people's checkpoints: one module a format, all ending in the one record schema."""
