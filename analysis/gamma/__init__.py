"""The exponent of an error curve, and when one may be quoted."""
