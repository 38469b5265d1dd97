"""Flows to spectra to verdicts, by arrays first and by experiment second; never torch."""
