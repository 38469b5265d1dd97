"""Stretched and squeezed tickets: which map of blocks fits where."""
