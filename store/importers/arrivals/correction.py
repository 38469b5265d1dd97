"""What a later import says otherwise of a run in the store: names of its layers, numbers of levels.

Counts and masks stay. The run is put together anew beside the old one, whole and flushed, and then
takes its place in one step: whoever reads, and whatever is killed, there is the one or the other.
"""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from ....schemas.errors import RecordError
from ....schemas.records.epochs import write_epochs
from ....schemas.records.layout import RunFolder
from ....schemas.tensors.safetensors import read_tensors, write_mask, write_tensors
from ..found import Refused
from ..recognition.networks import is_known
from ..recognition.recognise import Recognised
from ..report import Choices
from .levels import Level, Masks, Steps, in_order, mask_file, renamed, stored_level

Number = float | bool | None
Numbers = Mapping[int, Mapping[str, Number]]  # by level, by column of the record


class OtherNumber(NamedTuple):
    """A number of a level that is told now and stands otherwise, or not at all, in the store."""

    level: int
    name: str
    told: Number
    before: Number


@dataclass(frozen=True)
class Correction:
    """What is otherwise from now on.

    Attributes
    ----------
    before, after : Recognised
        The layers as the store names them, and as they are to be named; `exempt` are those that
        were never pruned.
    numbers : mapping of int to mapping of str to number
        Numbers of levels that are other ones.
    """

    before: Recognised
    after: Recognised
    numbers: Numbers

    @property
    def names(self) -> bool:
        """Whether the network gets another name."""
        return self.before.architecture != self.after.architecture

    @property
    def renames(self) -> bool:
        """Whether layers get other names, places, blocks or stages."""
        one, other = self.before, self.after
        return (one.layers, one.sources) != (other.layers, other.sources)

    @property
    def rewrites(self) -> bool:
        """Whether records are to be written anew."""
        return self.renames or self.before.exempt != self.after.exempt or bool(self.numbers)

    def level(self, level: int, stored: Level) -> Level:
        """Return a level of the run as it is from now on, without masks."""
        told = dataclasses.replace(
            stored, numbers={**stored.numbers, **self.numbers.get(level, {})}
        )
        return in_order(told, self.before, self.after)

    def masks(self, masks: Masks) -> Masks:
        """Return masks under the names that their layers have from now on."""
        return renamed(masks, self.before, self.after)

    def by_layer(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values by layer under the names that layers have from now on."""
        return {self._names.get(name, name): value for name, value in values.items()}

    @property
    def _names(self) -> dict[str, str]:
        new = {
            source: x.name for source, x in zip(self.after.sources, self.after.layers, strict=True)
        }
        pairs = zip(self.before.sources, self.before.layers, strict=True)
        return {layer.name: new[source] for source, layer in pairs}


def naming(
    stored: Recognised, arrived: Recognised, choices: Choices, stated: str | None
) -> Recognised:
    """Return the layers of a run as they are to be named after what is told of it now.

    Parameters
    ----------
    stored : Recognised
        As the store names them.
    arrived : Recognised
        The same layers, as they were recognised now.
    choices : Choices
        What the user says.
    stated : str or None
        The architecture that a manifest tells and that corrects the store.
    """
    told = choices.architecture or stated
    if choices.blocks is not None:
        usual = arrived.architecture if is_known(stored.architecture) else stored.architecture
        return dataclasses.replace(arrived, architecture=told or usual)
    if told is None:
        return stored
    if is_known(arrived.architecture):
        return arrived
    return dataclasses.replace(stored, architecture=told)  # a name says nothing of its layers


def other_numbers(
    folder: RunFolder, there: Sequence[int], come: Mapping[int, Level]
) -> list[OtherNumber]:
    """Find the numbers of levels that are told now and that the store has not, by level."""
    found = []
    for level in sorted(come.keys() & {*there}):
        told = _told(come[level].numbers)
        if not told:
            continue
        try:
            stored = stored_level(folder, level).numbers
        except RecordError:  # it is left out, and named, wherever it is read
            continue
        found += [
            OtherNumber(level, name, value, stored[name])
            for name, value in told.items()
            if not _same(value, stored[name])
        ]
    return found


def by_level(numbers: Sequence[OtherNumber]) -> Numbers:
    """Gather what is told by level."""
    return {
        level: {one.name: one.told for one in found}
        for level, found in groupby(numbers, lambda one: one.level)
    }


def _told(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """Return the numbers that are told; that training went well is told by its loss alone."""
    told: dict[str, Number] = {k: value for k, value in numbers.items() if value is not None}
    if not told.get("diverged") and "loss" not in told:
        told.pop("diverged", None)
    return told


def _same(one: Number, other: Number) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other)


def rebuild(
    folder: RunFolder, staged: RunFolder, levels: Mapping[int, Level], correction: Correction
) -> None:
    """Put a run together anew, all but its description.

    Parameters
    ----------
    folder, staged : RunFolder
        The run, and an empty folder but for masks that the run gains.
    levels : mapping of int to Level
        All of its levels as the store names their layers.
    correction : Correction
        What is otherwise.

    Raises
    ------
    Refused
        A mask or kept weights are damaged, so that they cannot be renamed.
    OSError
        The disk is full or not writable.
    """
    _masks(folder, staged, correction)
    for path in sorted((folder.path / "weights").glob("*")):
        target = staged.path / "weights" / path.name
        if correction.renames and path.suffix == ".safetensors":
            _rename_weights(path, target, correction)
        else:
            _same_file(path, target)
    write_epochs(staged.epochs, folder.read_epochs(), flush=False)
    told = {n: correction.level(n, level) for n, level in levels.items()}
    Steps(folder, staged, correction.after, correction.after.exempt, (), told).write()


def _masks(folder: RunFolder, staged: RunFolder, correction: Correction) -> None:
    names = {path.name for one in (folder, staged) for path in (one.path / "masks").glob("*")}
    for name in sorted(names):
        target = staged.path / "masks" / name
        source = staged if target.exists() else folder
        level = Path(name).stem
        if correction.renames and level.isdecimal():
            masks = mask_file(source, int(level))
            write_mask(target, correction.masks(masks), flush=False)
        elif source is folder:
            _same_file(folder.path / "masks" / name, target)


def _rename_weights(path: Path, target: Path, correction: Correction) -> None:
    try:
        tensors, metadata = read_tensors(path)
    except RecordError as error:
        raise Refused(str(error)) from None
    write_tensors(target, correction.by_layer(tensors), metadata, flush=False)


def _same_file(path: Path, target: Path) -> None:
    """Give a file a second name where the file system can, else copy it."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
