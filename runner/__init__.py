"""Train, prune, record: iterative magnitude pruning, one Parquet record a level.

Needs torch, numpy and pyarrow, and nothing else but what a data set asks for.
"""
