"""Levels in canonical order, each held to the one before, on their way into a run's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import RecordError
from ...schemas.layout import RunFolder
from ...schemas.record import build_record, columns, write_record
from ...schemas.tensors import read_mask, write_mask
from .found import Refused
from .recognise import Recognised

if TYPE_CHECKING:
    import pyarrow as pa

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


class Steps:
    """The records of a run as they are staged, each held to the level before it."""

    def __init__(
        self,
        folder: RunFolder,
        staging: RunFolder,
        network: Recognised,
        exempt: Sequence[str],
        there: Sequence[int],
    ) -> None:
        self.folder, self.staging, self.network, self.exempt = folder, staging, network, exempt
        self.there = set(there)
        self.added: dict[int, Level] = {}
        self.last: tuple[int, Level] | None = None

    def add(self, level: int, current: Level) -> None:
        """Stage one level; levels come in ascending order."""
        before = self._before(level)
        if before is not None:
            self._hold_nested(before[1], current, before[0], level)
        direct = before[1] if before is not None and before[0] == level - 1 else None
        if current.masks:
            write_mask(self.staging.mask(level), current.masks, flush=False)
        record = self._record(level, current, direct)
        write_record(self.staging.record(level), record, flush=False)
        self.added[level] = dataclasses.replace(current, masks={})
        self.last = (level, current)

    def _before(self, level: int) -> tuple[int, Level] | None:
        """Return the nearest level below: the one staged last, or one that is in the store."""
        below = max((n for n in self.there if n < level), default=-1)
        if self.last is not None and self.last[0] > below:
            return self.last
        return (below, self._stored(below)) if below >= 0 else None

    def _stored(self, level: int) -> Level:
        table = self.folder.read_record(level)
        if table["layer"].to_pylist() != [layer.name for layer in self.network.layers]:
            raise Refused(f"run {self.folder.path.name}: its layers in the store are others")
        magnitude = table["magnitude"].to_numpy() if not table["magnitude"].null_count else None
        mask = self.folder.mask(level)
        try:
            masks = read_mask(mask) if mask.exists() else {}
        except RecordError as error:
            raise Refused(str(error)) from None
        counted = ("network_total", "network_kept", "network_kept_prev")
        numbers = {n: table[n][0].as_py() for n in columns("level") if n not in counted}
        return Level(table["kept"].to_numpy(), magnitude, masks, numbers)

    def _hold_nested(self, before: Level, current: Level, lower: int, level: int) -> None:
        for layer, a, b in zip(self.network.layers, before.kept, current.kept, strict=True):
            old, new = before.masks.get(layer.name), current.masks.get(layer.name)
            grown = b > a if old is None or new is None else bool((new & ~old).any())
            if grown:
                raise Refused(
                    f"layer {layer.name} keeps weights at level {level} that level {lower} had "
                    "pruned: these are not levels of one run"
                )

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

    def rewrite_after(self) -> None:
        """Stage the records that follow a gap which is filled now: their previous counts change."""
        for level, added in self.added.items():
            if level + 1 in self.there:
                mask = self.staging.mask(level)
                current = dataclasses.replace(added, masks=read_mask(mask) if mask.exists() else {})
                after = self._stored(level + 1)
                self._hold_nested(current, after, level, level + 1)
                record = self._record(level + 1, after, current)
                write_record(self.staging.record(level + 1), record, flush=False)

    def move_in(self) -> None:
        """Move what is staged into the folder of the run, masks before records."""
        self.folder.make()
        for part in ("masks", "records"):
            for path in sorted((self.staging.path / part).iterdir()):
                path.replace(self.folder.path / part / path.name)
