"""Runs that arrive in a store: read once, compared with what is there, and put in their place."""
