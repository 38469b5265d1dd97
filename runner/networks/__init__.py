"""The networks, a module each. Names of their parts are the layer names of `schemas.blocks`."""

InputShape = tuple[int, int, int]  # channels, height, width
