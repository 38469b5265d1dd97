"""The experiment whose tickets another one trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..recipe import Recipe


@dataclass(frozen=True)
class Parent:
    """What the runner needs to know of an experiment to train its tickets.

    Attributes
    ----------
    experiment_id : str
        The experiment.
    recipe : Recipe
        What its runs have in common.
    runs : mapping of int to str
        The run of every seed.
    """

    experiment_id: str
    recipe: Recipe
    runs: Mapping[int, str]
