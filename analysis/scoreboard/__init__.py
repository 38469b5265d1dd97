"""Predictions that are written down before the runs that test them, and what they were worth."""
