"""Flows of the literature: counts at several densities that a study has published."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..schemas.blocks import GROUPINGS, Layer, architecture, groups_of
from ..schemas.display import Shown, Table
from ..schemas.errors import choose
from ..schemas.recipe import Recipe
from ..schemas.records.description import SEEN, assumed_fields
from .figures import figure_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .counts import Counts

_CLASSES = {"cifar10": 10, "cifar100": 100}


@dataclass(frozen=True, eq=False)
class PublishedFlow(Shown):
    """Weights kept in every layer by S runs at T densities, as a study's data give them.

    Attributes
    ----------
    name : str
        `published:` and a name, unique.
    source : str
        Paper and data.
    recipe : Recipe
        What the source tells of network, initialiser and pruning; the rest are defaults.
    told : tuple of str
        Fields of the recipe that it tells.
    layers : tuple of Layer, length L
        In the order of the forward pass.
    seeds : tuple of int, length S
        Runs, as the source numbers them.
    kept : integer array, shape (S, T, L)
        Weights kept; level 0 is dense.
    accuracy : array, shape (S, T)
        Test accuracy after training at that density, a fraction.
    """

    name: str
    source: str
    recipe: Recipe
    told: tuple[str, ...]
    layers: tuple[Layer, ...]
    seeds: tuple[int, ...]
    kept: NDArray[np.int64]
    accuracy: NDArray[np.float64]

    kind: ClassVar[str] = "a published flow"
    taken: ClassVar[str] = "rgtool show, eigen, plot, forecast, classify and gamma take"

    @property
    def label(self) -> str:
        """Architecture and task, such as `vgg16/cifar100`."""
        return f"{self.recipe.architecture}/{self.recipe.task}"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"{self.name}: {self.label}, pruned by {self.recipe.pruner}; {self.source}"

    def table(self) -> Table:
        """Return the levels, means over runs, as `rgtool show` prints them."""
        counts = self.counts("block")
        density = counts.kept.sum(axis=-1).mean(axis=0) / counts.total.sum()
        least = counts.kept.min(axis=(0, 2))
        columns = (counts.levels, density, self.accuracy.mean(axis=0), least)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        return Table(
            ("level", "density", "accuracy", "least_kept"),
            rows,
            title=f"{self.title}, {len(self.seeds)} runs",
            notes=("least_kept: weights of the smallest block in any run", *counts.notes),
            formats={"density": ".3g", "accuracy": ".4f"},
        )

    def counts(self, by: str = "block") -> Counts:
        """Return its counts in one grouping, as those of an experiment.

        Raises
        ------
        UsageError
            The architecture has no such grouping.
        """
        import numpy as np

        from .counts import NOT_NESTED, Counts

        by = choose("grouping", by, GROUPINGS)
        groups = groups_of(self.layers, by, self.recipe.architecture)
        names = tuple(dict.fromkeys(groups))
        member = np.array([[group == name for name in names] for group in groups], np.int64)
        total = np.array([layer.total for layer in self.layers])
        recorded = self.kept.sum(axis=-1) > 0  # without a weight there is no network
        kept = self.kept @ member
        return Counts(
            experiment_id=self.name,
            recipe=self.recipe,
            by=by,
            names=names,
            runs=tuple(f"{self.name}-{seed}" for seed in self.seeds),
            seeds=self.seeds,
            levels=np.arange(kept.shape[1]),
            recorded=recorded,
            kept=kept,
            magnitude=np.full(kept.shape, np.nan),
            accuracy=np.where(recorded, self.accuracy, np.nan),
            total=total @ member,
            exempt=np.zeros(len(names), np.bool_),
            layers=self.layers,
            exempt_layers=(),
            assumed=assumed_fields(self.source, self.told, self.recipe),
            notes=(NOT_NESTED,),
        )


@functools.cache
def flow_rows() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the rows of the published flows by name."""
    flows: dict[str, list[Mapping[str, Any]]] = {}
    for row in figure_rows("published_flows"):
        flows.setdefault(row["experiment"], []).append(row)
    return flows


@functools.cache
def flow_of_rows(name: str) -> PublishedFlow:
    """Put the rows of one published flow together."""
    import numpy as np

    rows = flow_rows()[name]
    first = rows[0]
    seeds = tuple(dict.fromkeys(row["seed"] for row in rows))
    shape = (len(seeds), len(rows) // len(seeds))
    network = architecture(first["architecture"], classes=_CLASSES[first["task"]])
    told = {key: first[key] for key in ("architecture", "task", "init", "fan", "pruner")}
    # Synaptic-Flow scores before training; its synflow in 100 steps, the other schemes in one.
    told |= {"scope": "global", "rewind": "0it", "score_at": "rewind", "score_from": "dense"}
    told |= {"score_steps": 100 if first["pruner"] == "synflow" else 1, "origin": first["source"]}
    told["prune"] = round(1 - rows[1]["density"], 4)
    recipe = Recipe(**told, augment=())
    kept = np.array([row["kept"] for row in rows], np.int64).reshape(*shape, -1)
    accuracy = np.array([row["accuracy"] for row in rows], np.float64).reshape(shape)
    for array in (kept, accuracy):
        array.flags.writeable = False
    fields = tuple(sorted({*told} - {*SEEN}))
    layers = network.counted(recipe.prunable)
    return PublishedFlow(name, first["source"], recipe, fields, layers, seeds, kept, accuracy)
