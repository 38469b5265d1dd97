"""Tickets of one experiment, trained in another: what is taken along, and what is drawn anew."""
