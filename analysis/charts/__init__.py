"""Charts of results as Vega-Lite specifications: what a page and a notebook draw by themselves."""
