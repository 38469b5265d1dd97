"""A store in one HTML file: what is seen in it, and how it came to be."""
