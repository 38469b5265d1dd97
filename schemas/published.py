"""The published figures: which views there are, their columns and types.

The figures themselves are CSV files in `store/published/`, a file a view. Columns that the views of
a store have too (architecture, task, grouping, name, level, share, density, accuracy) mean the
same and have the same units, so that they join; every row ends with its source.
"""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "published:"  # of the names of all that is published


class Column(NamedTuple):
    """A column of a published view.

    Attributes
    ----------
    name, type : str
        Name, and DuckDB type.
    null : bool
        Whether a value may be missing.
    """

    name: str
    type: str
    null: bool = False


_TEXT, _REAL, _COUNT = "VARCHAR", "DOUBLE", "INTEGER"
_COUNTS = "INTEGER[]"  # of the counted layers, in the order of the forward pass
_SOURCE = Column("source", _TEXT)
_TRAINED = (Column("architecture", _TEXT), Column("pretraining", _TEXT), Column("task", _TEXT))
_GROUP = (Column("grouping", _TEXT), Column("name", _TEXT))

PUBLISHED: dict[str, tuple[Column, ...]] = {
    "published_spectra": (
        Column("experiment", _TEXT),
        *_TRAINED,
        *_GROUP,
        Column("printed_index", _COUNT),
        Column("eigenvalue", _REAL),
        Column("std", _REAL, null=True),
        _SOURCE,
    ),
    "published_starting_points": (
        Column("experiment", _TEXT),
        *_TRAINED,
        *_GROUP,
        Column("level", _COUNT),
        Column("share", _REAL),
        _SOURCE,
    ),
    "published_gammas": (*_TRAINED, Column("gamma", _REAL), _SOURCE),
    "published_curves": (
        Column("experiment", _TEXT),
        *_TRAINED,
        Column("density", _REAL),
        Column("seed", _COUNT, null=True),
        Column("accuracy", _REAL),
        Column("runs", _COUNT, null=True),
        Column("digitised", "BOOLEAN"),
        _SOURCE,
    ),
    "published_flows": (
        Column("experiment", _TEXT),
        *_TRAINED,
        Column("init", _TEXT),
        Column("fan", _TEXT),
        Column("pruner", _TEXT),
        Column("seed", _COUNT),
        Column("level", _COUNT),
        Column("density", _REAL),
        Column("accuracy", _REAL),
        Column("kept", _COUNTS),
        _SOURCE,
    ),
    "published_elastic": (
        Column("method", _TEXT),
        Column("from_architecture", _TEXT, null=True),
        Column("from_task", _TEXT, null=True),
        Column("architecture", _TEXT),
        Column("task", _TEXT),
        Column("density", _REAL, null=True),
        Column("metric", _TEXT),
        Column("value", _REAL),
        Column("reference_method", _TEXT, null=True),
        Column("reference", _REAL, null=True),
        Column("runs", _COUNT, null=True),
        _SOURCE,
    ),
    "published_elastic_mappings": (
        Column("transform", _TEXT),
        Column("from_architecture", _TEXT),
        Column("architecture", _TEXT),
        Column("mapping", _TEXT),
        _SOURCE,
    ),
    "published_elastic_orderings": (
        Column("better", _TEXT),
        Column("worse", _TEXT),
        Column("claim", _TEXT),
        _SOURCE,
    ),
    "published_transfers": (
        Column("ticket", _TEXT),
        Column("mask_from", _TEXT),
        Column("weights_from", _TEXT),
        Column("task", _TEXT),
        Column("measure", _TEXT, null=True),
        Column("matching", "BOOLEAN", null=True),
        Column("density", _REAL, null=True),
        Column("level", _COUNT, null=True),
        Column("temperature", _REAL, null=True),
        Column("accuracy", _REAL, null=True),
        _SOURCE,
    ),
}
