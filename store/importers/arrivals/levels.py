"""Levels in canonical order on their way into a run's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ....schemas.blocks import Layer
from ....schemas.errors import RecordError
from ....schemas.records.layout import RunFolder
from ....schemas.records.record import build_record, columns, write_record
from ....schemas.tensors.safetensors import read_mask, write_mask
from ..found import Refused
from ..recognition.recognise import Recognised

if TYPE_CHECKING:
    import pyarrow as pa

    from ....schemas.recipe import Recipe

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Masks = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Level:
    """One level in canonical order: what a record needs, with the masks it came from."""

    kept: Ints
    magnitude: Floats | None
    masks: Masks
    numbers: Mapping[str, float | bool | None]


def hold_nested(network: Recognised, before: Level, current: Level, lower: int, level: int) -> None:
    """Hold a level to one below it: what is pruned stays pruned.

    Raises
    ------
    Refused
        It does not.
    """
    layers = zip(network.layers, network.sources, before.kept, current.kept, strict=True)
    for layer, source, a, b in layers:
        old, new = before.masks.get(layer.name), current.masks.get(layer.name)
        grown = b > a if old is None or new is None else bool((new & ~old).any())
        if grown:
            raise Refused(
                f"layer {source} keeps weights at level {level} that level {lower} had "
                "pruned: these are not levels of one run"
            )


class Steps:
    """The records of the levels that a run gains, staged beside their masks.

    Parameters
    ----------
    folder, staging : RunFolder
        The run, and where it is put together.
    network : Recognised
        Its layers.
    exempt : sequence of str
        Layers that are counted and never pruned.
    there : sequence of int
        Levels that the run has.
    new : mapping of int to Level
        Those that it gains.
    """

    def __init__(
        self,
        folder: RunFolder,
        staging: RunFolder,
        network: Recognised,
        exempt: Sequence[str],
        there: Sequence[int],
        new: Mapping[int, Level],
    ) -> None:
        self.folder, self.staging, self.network, self.exempt = folder, staging, network, exempt
        self.new = new
        self.all = sorted({*there, *new})

    def hold_nested(self) -> None:
        """Hold new levels to those of the run between which they lie.

        Raises
        ------
        Refused
            They are not levels of one run.
        """
        for lower, level in zip(self.all, self.all[1:], strict=False):
            if (lower in self.new) != (level in self.new):
                one, other = self._with_masks(lower), self._with_masks(level)
                hold_nested(self.network, one, other, lower, level)

    def write(self) -> None:
        """Stage the records of new levels, and of those whose previous level is new."""
        for level in self.all:
            if level in self.new or level - 1 in self.new:
                before = self._level(level - 1) if level - 1 in self.all else None
                record = self._record(level, self._level(level), before)
                write_record(self.staging.record(level), record, flush=False)

    def _level(self, level: int) -> Level:
        return self.new[level] if level in self.new else stored_level(self.folder, level)

    def _with_masks(self, level: int) -> Level:
        masks = mask_file(self.staging if level in self.new else self.folder, level)
        return dataclasses.replace(self._level(level), masks=masks)

    def _record(self, level: int, current: Level, before: Level | None) -> pa.Table:
        return build_record(
            self.folder.path.name,
            level,
            self.network.layers,
            current.kept,
            kept_prev=None if before is None else before.kept,
            magnitude=current.magnitude,
            magnitude_prev=None if before is None else before.magnitude,
            exempt=self.exempt,
            source_layers=self.network.sources,
            numbers=current.numbers,
        )

    def move_in(self) -> None:
        """Move what is staged into the folder of the run, masks before records."""
        self.folder.make()
        for part in ("masks", "records"):
            for path in sorted((self.staging.path / part).iterdir()):
                path.replace(self.folder.path / part / path.name)


def stored_level(folder: RunFolder, level: int) -> Level:
    """Read a level of a run in the store, without its masks.

    Raises
    ------
    RecordError
        Its record is missing or broken.
    """
    table = folder.read_record(level)
    magnitude = table["magnitude"].to_numpy() if not table["magnitude"].null_count else None
    counted = ("network_total", "network_kept", "network_kept_prev")
    numbers = {n: table[n][0].as_py() for n in columns("level") if n not in counted}
    return Level(table["kept"].to_numpy(), magnitude, {}, numbers)


def stored_network(table: pa.Table, recipe: Recipe) -> Recognised:
    """Return the layers of a run in the store, `exempt` those that it never pruned.

    Parameters
    ----------
    table : pyarrow.Table
        One of its records.
    recipe : Recipe
        Its recipe.
    """
    rows = table.select(["layer", "exempt"]).to_pylist()
    return Recognised(
        architecture=recipe.architecture,
        layers=tuple(_layers_of(table)),
        sources=tuple(table["source_layer"].to_pylist()),
        prunable=recipe.prunable,
        exempt=tuple(row["layer"] for row in rows if row["exempt"]),
        why="",
    )


def renamed(masks: Masks, before: Recognised, after: Recognised) -> Masks:
    """Give masks the names, and the order, that the same layers have in another network."""
    names = dict(zip(before.sources, (layer.name for layer in before.layers), strict=True))
    layers = zip(after.sources, after.layers, strict=True)
    return {layer.name: masks[names[source]].reshape(layer.shape) for source, layer in layers}


def in_order(level: Level, before: Recognised, after: Recognised) -> Level:
    """Bring the counts of a level into the order that the same layers have in another network."""
    order = [before.sources.index(source) for source in after.sources]
    magnitude = None if level.magnitude is None else level.magnitude[order]
    return Level(level.kept[order], magnitude, {}, level.numbers)


def adopt(
    network: Recognised, stored: Recognised, levels: Mapping[int, Level], staging: RunFolder
) -> dict[int, Level]:
    """Bring levels into the names and the order of layers that a run in the store has.

    Parameters
    ----------
    network, stored : Recognised
        What comes in, and that run; the sources name the same layers.
    levels : mapping of int to Level
        Those that come in.
    staging : RunFolder
        Where the masks of these levels lie.
    """
    if (network.layers, network.sources) == (stored.layers, stored.sources):
        return dict(levels)
    for level in levels:
        if masks := mask_file(staging, level):
            write_mask(staging.mask(level), renamed(masks, network, stored), flush=False)
    return {n: in_order(level, network, stored) for n, level in levels.items()}


def exempt_layers(network: Recognised, last: Level, told: Collection[str]) -> tuple[str, ...]:
    """Name the layers that are counted and never pruned: told or usual, and full at the end.

    Parameters
    ----------
    network : Recognised
        The layers, and those that studies of it never prune.
    last : Level
        The last level.
    told : collection of str
        Layers that are told to be such, by their names in the source.
    """
    layers = zip(network.layers, network.sources, last.kept, strict=True)
    return tuple(
        layer.name
        for layer, source, kept in layers
        if kept == layer.total and (source in told or layer.name in network.exempt)
    )


def mask_file(folder: RunFolder, level: int) -> Masks:
    """Read the masks of a level; nothing where there are none.

    Raises
    ------
    Refused
        The file is damaged.
    """
    path = folder.mask(level)
    try:
        return read_mask(path) if path.exists() else {}
    except RecordError as error:
        raise Refused(str(error)) from None


def _layers_of(table: pa.Table) -> Iterator[Layer]:
    for row in table.select(["layer", "kind", "shape", "block", "stage"]).to_pylist():
        yield Layer(row["layer"], row["kind"], tuple(row["shape"]), row["block"], row["stage"])
