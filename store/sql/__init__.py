"""Asking a store: its files as DuckDB sees them, and who may ask what."""
