"""A run that was found, read once: its network, and its levels in canonical order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import RgtoolError
from ....schemas.records.layout import RunFolder
from ....schemas.tensors.safetensors import write_mask
from ..found import (
    Contradiction,
    FoundLevel,
    FoundRun,
    LevelData,
    Refused,
    Unreadable,
    escaped,
    failure,
)
from ..identity import Alias, Content, counts_digest, mask_digest
from ..recognition.recognise import Recognised, beside, recognise
from ..report import Choices
from ..zeros import FROM, HINT, many_zeros, why_nothing
from .levels import Level, Masks, hold_nested

_LEARNED = 1.5  # times the accuracy of guessing
_LARGEST = 2**31  # a record holds shapes as 32-bit numbers


class Incoming:
    """The levels of a run, each held to the one before; their masks lie in a folder.

    Parameters
    ----------
    found : FoundRun
        The run.
    choices : Choices
        What the user says.
    folder : RunFolder
        Where masks are written.
    on_level : callable
        Called with each level when it is done.

    Attributes
    ----------
    network : Recognised
        Its layers.
    levels : dict of int to Level
        What was read, ascending, without masks.
    digests : dict of int to str
        Sums over the masks, or the counts of a table.
    notes : list of str
        For the user.
    missing : set of int
        Levels that cannot be read.
    masks_from : str
        What of the source the masks are, where its format does not say.
    apart : dict of str to (int, int, int)
        Masks of biases, which are no layers: the last level, weights kept there and in all.

    Raises
    ------
    Refused
        Levels contradict one another, or nothing is pruned.
    OSError
        The disk is full or not writable.
    """

    def __init__(
        self,
        found: FoundRun,
        choices: Choices,
        folder: RunFolder,
        on_level: Callable[[int], None],
    ) -> None:
        self.found, self.choices, self.folder = found, choices, folder
        self.notes: list[str] = list(found.notes)
        self.missing: set[int] = set()
        self.levels: dict[int, Level] = {}
        self.digests: dict[int, str] = {}
        self.masks_from = ""
        self._zeros = 0.0
        self.apart: dict[str, tuple[int, int, int]] = {}
        self._before: tuple[int, Level] | None = None
        self._first: tuple[int, Level] | None = None
        self.network = self._recognise()
        self._read_all(on_level)

    @property
    def content(self) -> Content:
        """What tells the run apart."""
        found = self.found
        alias = Alias(
            found.experiment, found.replicate, found.variant, found.seed, tuple(self.levels)
        )
        accuracies = {n: level.numbers.get("accuracy") for n, level in self.levels.items()}
        return Content(self.digests, (alias,), accuracies)

    @property
    def counts(self) -> dict[int, tuple[int, int]]:
        """Total and kept weights of every level."""
        total = sum(layer.total for layer in self.network.layers)
        return {n: (total, int(level.kept.sum())) for n, level in self.levels.items()}

    @property
    def inferred(self) -> dict[str, str]:
        """What was concluded from what, and what beside the network is not counted."""
        mask = {"mask": escaped(self.masks_from)} if self.masks_from else {}
        beside = "; ".join([*self.network.notes, *self._said_of_biases()])
        said = {"beside": escaped(beside)} if beside else {}
        return {"architecture": self.network.why, **mask, **said, **self.found.inferred}

    def why_nothing(self) -> str:
        """Say why there is no flow in it."""
        if self.notes:
            return self.notes[-1].partition("left out: ")[2] or self.notes[-1]
        return why_nothing(self._zeros)

    # The network.

    def _recognise(self) -> Recognised:
        """Read the first level that tells the layers: of most sources the first pruned one."""
        for level in self.found.levels:
            with self._named(level):
                data = self._read(level)
                if data is None or not self._tells(data):
                    self._zeros = max(self._zeros, many_zeros(data) if data else 0.0)
                    continue
                self.masks_from = data.masks_from
                network = self._network(data)
                self.notes += [*data.notes, *network.notes]
                self._first = level.level, self._canonical(level.level, data, network)
                return network
        raise Refused(self.why_nothing())

    def _tells(self, data: LevelData) -> bool:
        return data.is_pruned or (self.found.dense_tells and bool(data.masks))

    def _network(self, data: LevelData) -> Recognised:
        masked = tuple(data.kept or data.masks)
        if not all(name.strip() for name in masked):
            raise Refused("a layer without a name")
        for name in masked:
            if any(size >= _LARGEST for size in data.shapes[name]):
                raise Refused(f"layer {name} has shape {tuple(data.shapes[name])}: no such layer")
        told, blocks = self.found.fields.get("architecture"), self.choices.blocks
        if self.choices.architecture is None and told is not None:
            try:
                return recognise(data, named=told, blocks=blocks)
            except Refused as error:  # the source errs about itself: its weights tell
                self.notes.append(f"the source names another network: {error}")
        return recognise(data, named=self.choices.architecture, blocks=blocks)

    # The levels.

    def _read_all(self, on_level: Callable[[int], None]) -> None:
        implied = self.found.implied_dense and all(x.level for x in self.found.levels)
        if implied:
            masks = {x.name: np.ones(x.shape, np.bool_) for x in self.network.layers}
            totals = np.array([layer.total for layer in self.network.layers], np.int64)
            self._stage(0, Level(totals, None, masks, {}))
            self.notes.append("level 0 is implied: the format prunes before it first writes")
        for level in self.found.levels:
            with self._named(level):
                current = self._take_first(level.level)
                if current is None and (data := self._read(level)) is not None:
                    self.notes += data.notes
                    current = self._canonical(level.level, data, self.network)
                if current is not None:
                    self._stage(level.level, current)
            on_level(level.level)
        self._before = None
        self.notes += self._said_of_biases()

    def _take_first(self, level: int) -> Level | None:
        """Hand out the level that told the network, and let go of it."""
        if self._first is None or self._first[0] != level:
            return None
        first, self._first = self._first[1], None
        return first

    def _read(self, level: FoundLevel) -> LevelData | None:
        """Read a level; None, and a note, where its files cannot be read."""
        if level.level in self.missing:
            return None
        try:
            data = level.read()
            self._hold_dense(level, data)
            return data
        except (Unreadable, OSError) as error:
            self.missing.add(level.level)
            self.notes.append(f"level {level.level} is left out: {failure(error)}")
            return None

    def _hold_dense(self, level: FoundLevel, data: LevelData) -> None:
        """Hold a level without masks to be dense: one with many zeros has lost its masks.

        What a study's format or a manifest calls level 0 is dense, and its zeros are said.

        Raises
        ------
        Unreadable
            It has many zeros.
        """
        zeros = 0.0 if data.kept else many_zeros(data)
        if not zeros:
            return
        if level.level or self.found.remedy is not None:
            self._zeros = max(self._zeros, zeros)
            raise Unreadable(f"{self.found.relative(level.files[0])}: {why_nothing(zeros)}")
        note = f"level 0 counts as dense, though {zeros:.0%} of its weights are zeros: {HINT}"
        self.notes += [note] if note not in self.notes else []

    def _stage(self, level: int, current: Level) -> None:
        """Keep a level; its masks go to the folder."""
        sources = self.network.sources
        if self._before is not None:
            self._hold_nested(*self._before, level, current)
        if current.masks:
            write_mask(self.folder.mask(level), current.masks, flush=False)
            masks = zip(sources, current.masks.values(), strict=True)
            self.digests[level] = mask_digest(dict(masks))
            if (
                self._before is not None
                and self.digests.get(self._before[0]) == self.digests[level]
            ):
                self.notes.append(f"level {level} has the masks of level {self._before[0]}")
        else:
            totals = [layer.total for layer in self.network.layers]
            self.digests[level] = counts_digest(sources, totals, current.kept.tolist())
        self.levels[level] = dataclasses.replace(current, masks={})
        self._before = level, current

    def _hold_nested(self, lower: int, before: Level, level: int, current: Level) -> None:
        """Hold a level to the one before, and say how else its file may be meant."""
        try:
            hold_nested(self.network, before, current, lower, level)
        except Refused as error:
            if self.masks_from == FROM:
                raise Refused(f"zeros come back, so they are no mask: {error}") from None
            if self.found.remedy is None:
                raise
            (file,) = next(x.files for x in self.found.levels if x.level == level)
            raise Contradiction(
                f"{self.found.relative(file)}: {error}", self.found.remedy()
            ) from None

    @contextmanager
    def _named(self, level: FoundLevel) -> Iterator[None]:
        """Put the name of a level's file, or its number, before whatever is wrong with it."""
        try:
            yield
        except OSError:
            raise  # of the folder that masks are written to
        except Exception as error:
            file, text = level.files[0], failure(error)
            # Of a run of one file its level says more than the file, which is named anyway.
            alone = file == self.found.path
            where = f"level {level.level}" if alone else self.found.relative(file)
            told = file.name in text or (alone and f"{where} " in text)
            if isinstance(error, RgtoolError) and told:
                raise
            raise Refused(f"{where}: {text}") from error

    def _canonical(self, level: int, data: LevelData, network: Recognised) -> Level:
        """Bring a level into the order and names of the network, and hold it to its shapes."""
        masks: Masks = {}
        kept: list[int] = []
        magnitude: list[float] = []
        names = network.located(data.shapes)
        found = self._layer_masks(level, data, names)
        for layer, source in zip(network.layers, network.sources, strict=True):
            name = names.get(source, source)
            shape = data.shapes.get(name)
            due = (layer.total,) if data.kept else layer.shape
            if shape is None or tuple(shape) != due:
                what = "is missing" if shape is None else f"has shape {tuple(shape)}"
                raise Refused(f"layer {source} {what}, {due} at other levels")
            if data.kept:
                kept.append(data.kept[name])
                continue
            mask = found[name] if found else np.ones(layer.shape, np.bool_)
            masks[layer.name] = mask
            kept.append(int(np.count_nonzero(mask)))
            if name in data.weights:
                weights = np.abs(data.weights[name], dtype=np.float64)
                magnitude.append(float(weights.sum(where=mask)))
            elif name in data.magnitude:
                magnitude.append(data.magnitude[name])
        whole = len(magnitude) == len(network.layers) and bool(np.isfinite(magnitude).all())
        return Level(
            np.array(kept, np.int64),
            np.array(magnitude) if whole else None,
            masks,
            self._numbers(data.numbers, _classes(data)),
        )

    def _layer_masks(
        self, level: int, data: LevelData, names: Mapping[str, str]
    ) -> Mapping[str, NDArray[np.bool_]]:
        """Return the masks of the layers, held to be of all or none; count the rest apart."""
        due = {*names.values()}
        if data.masks.keys() == due:
            return data.masks
        other = beside(data.shapes, data.masks)
        for name in [name for name, own in other.items() if not own]:
            mask = data.masks[name]
            self.apart[name] = (level, int(np.count_nonzero(mask)), mask.size)
        found = {name: mask for name, mask in data.masks.items() if name not in other}
        if found.keys() not in (set(), due):
            odd = min(found.keys() ^ due)
            raise Refused(f"there is a mask of {odd} at some levels only")
        return found

    def _said_of_biases(self) -> Iterator[str]:
        """Say which masks are of no layer, and what they keep at the last level."""
        pruned = {name: counts for name, counts in self.apart.items() if counts[1] < counts[2]}
        if pruned:
            shown = [f"{name} keeps {kept} of {total}" for name, (_, kept, total) in pruned.items()]
            more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
            last = max(level for level, _, _ in pruned.values())
            yield (
                f"pruned biases are no layers and counted apart: {', '.join(shown[:3])}{more} at "
                f"level {last}"
            )

    def _numbers(
        self, numbers: Mapping[str, float | bool | None], classes: int | None
    ) -> dict[str, Any]:
        """Hold the numbers of a level to their ranges; what is out of range is named and null."""
        held: dict[str, Any] = {}
        for name, value in numbers.items():
            fine = value is None or (
                0 <= value <= 1 if name.endswith("accuracy") else np.isfinite(value)
            )
            held[name] = value if fine else None
            if not fine and name.endswith("accuracy"):
                self.notes.append(f"{name} {value} is no fraction: left out")
        loss = numbers.get("loss")
        infinite = loss is not None and not np.isfinite(loss)
        # One image whose probability rounds to 0 makes the mean loss infinite; who has diverged
        # answers every image alike.
        learned = (held.get("accuracy") or 0.0) > _LEARNED / (classes or 2)
        held["diverged"] = bool(numbers.get("diverged")) or (infinite and not learned)
        if infinite and learned:
            self.notes.append("a test loss that is not finite is left out: the network has learned")
        return held


def _classes(data: LevelData) -> int | None:
    """Count the outputs of the last matrix, which are the classes; None where there is none."""
    matrices = [shape for shape in data.shapes.values() if len(shape) == 2]
    return matrices[-1][0] if matrices else None
