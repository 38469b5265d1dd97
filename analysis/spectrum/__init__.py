"""Eigenvalues of a flow: estimates, intervals, verdicts."""
