"""Replicas that train: alone or side by side, step by step, to the last bit."""
