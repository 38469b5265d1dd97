"""Tickets on another task: accuracy beside controls, and whether spectra tell the loss."""
