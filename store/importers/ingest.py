"""From a run that was found to records: identity, checks, one level at a time.

A run is put together in a folder of its own beside the others and takes its place in one rename,
so that a run which turns out to contradict itself, or an import that is killed, leaves the store
as it was. A run that is there already gains the levels it lacks in the same way: checked first,
moved into place afterwards.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.blocks import Architecture
from ...schemas.description import Description
from ...schemas.errors import UsageError
from ...schemas.files import flush_tree
from ...schemas.layout import RunFolder
from ...schemas.lock import lock
from ...schemas.published_recipes import PUBLISHED
from ...schemas.recipe import Recipe
from .found import FoundLevel, FoundRun, LevelData, Refused, Unreadable, printable
from .levels import Level, Steps
from .provenance import copy_weights, file_entry, scales
from .recognise import Recognised, recognise
from .report import Choices, ImportedRun

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Masks = dict[str, NDArray[np.bool_]]


class Ingest:
    """Brings one run that was found into a store.

    Parameters
    ----------
    store : Path
        The store.
    found : FoundRun
        The run.
    choices : Choices
        What the user says.
    on_level : callable
        Called with each level when it is done.
    """

    def __init__(
        self, store: Path, found: FoundRun, choices: Choices, on_level: Callable[[int], None]
    ) -> None:
        self.store, self.found, self.choices, self.on_level = store, found, choices, on_level
        self.notes: list[str] = list(found.notes)
        self.missing: set[int] = set()
        self.gaps: list[int] = []
        self.network = self._recognise()

    # What the run is.

    def _recognise(self) -> Recognised:
        """Read the first pruned level: it tells the layers and the identity of the run."""
        for level in self.found.levels:
            data = self._read(level)
            if data is None or not _pruned(data):
                continue
            with self._named(level):
                network = self._network(data)
                self.first: Level | None = self._canonical(data, network)
            self.first_level = level.level
            self.notes += data.notes
            self.run_id = _run_id(self.found, network, self.first)
            return network
        raise Refused(self._nothing_pruned())

    @contextmanager
    def _named(self, level: FoundLevel) -> Iterator[None]:
        """Put the name of a level's file before what is wrong with it."""
        try:
            yield
        except Refused as error:
            file, text = level.files[0], str(error)
            if file.name in text:
                raise
            raise Refused(f"{self._relative(file)}: {text}") from None

    def _relative(self, file: Path) -> str:
        root = self.found.path
        return file.relative_to(root).as_posix() if file != root else file.name

    def _network(self, data: LevelData) -> Recognised:
        masked = tuple(data.kept or data.masks)
        if not all(name.strip() for name in masked):
            raise Refused("a layer without a name")
        told, blocks = self.found.fields.get("architecture"), self.choices.blocks
        if self.choices.architecture is None and told is not None:
            try:
                return recognise(data.shapes, masked, named=told, blocks=blocks)
            except Refused as error:  # the source errs about itself: its weights tell
                self.notes.append(f"the source names another network: {error}")
        return recognise(data.shapes, masked, named=self.choices.architecture, blocks=blocks)

    def _nothing_pruned(self) -> str:
        if self.notes:
            return self.notes[-1].partition("left out: ")[2] or self.notes[-1]
        return "no level with anything pruned: there is no flow in it"

    def _read(self, level: FoundLevel) -> LevelData | None:
        """Read a level; None, and a note, where its files cannot be read."""
        if level.level in self.missing:
            return None
        try:
            data = level.read()
        except (Unreadable, OSError) as error:
            self.missing.add(level.level)
            self.notes.append(f"level {level.level} is left out: {error}")
            return None
        return data

    def _canonical(self, data: LevelData, network: Recognised) -> Level:
        """Bring a level into the order and names of the network, and hold it to its shapes."""
        masks: Masks = {}
        kept: list[int] = []
        magnitude: list[float] = []
        extra = set(data.masks) - set(network.sources)
        if extra and data.masks:
            raise Refused(f"there is a mask of {sorted(extra)[0]} at some levels only")
        for layer, source in zip(network.layers, network.sources, strict=True):
            shape = data.shapes.get(source)
            due = (layer.total,) if data.kept else layer.shape
            if shape is None or tuple(shape) != due:
                what = "is missing" if shape is None else f"has shape {tuple(shape)}"
                raise Refused(f"layer {source} {what}, {due} at other levels")
            if data.kept:
                kept.append(data.kept[source])
                continue
            if data.masks and source not in data.masks:
                raise Refused(f"there is a mask of {source} at some levels only")
            mask = data.masks[source] if data.masks else np.ones(layer.shape, np.bool_)
            masks[layer.name] = mask
            kept.append(int(np.count_nonzero(mask)))
            if source in data.weights:
                weights = np.abs(data.weights[source], dtype=np.float64)
                magnitude.append(float(weights.sum(where=mask)))
        whole = len(magnitude) == len(network.layers) and bool(np.isfinite(magnitude).all())
        return Level(
            np.array(kept, np.int64),
            np.array(magnitude) if whole else None,
            masks,
            self._numbers(data.numbers),
        )

    def _numbers(self, numbers: Mapping[str, float | bool | None]) -> dict[str, Any]:
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
        held["diverged"] = loss is not None and not np.isfinite(loss)
        return held

    def recipe(self, exempt: Sequence[str]) -> Recipe:
        """Return what is known of how the run was made; the rest is that of the format's study."""
        name = self.choices.recipe or self.found.recipe_name
        fields: dict[str, Any] = {"augment": (), "rewind": "0it"}
        if name:
            known = Architecture(self.network.architecture, self.network.layers)
            fields = PUBLISHED[name](known)
        told = {k: v for k, v in self.found.fields.items() if k != "architecture"}
        known_here = {
            "architecture": self.network.architecture,
            "task": self.choices.task or told.get("task", "unknown"),
            "prunable": self.network.prunable,
            "exempt": tuple(exempt),
            "origin": self.choices.name or self.found.experiment,
        }
        try:
            return Recipe.from_json({**fields, **told, **known_here})
        except (UsageError, TypeError, ValueError) as error:
            self.notes.append(f"how it was trained is not taken over: {error}")
            return Recipe.from_json({**fields, **known_here})

    # What is done with it.

    def run(self) -> ImportedRun:
        """Import the levels that the store lacks.

        Raises
        ------
        Refused
            Levels contradict one another, or those that are there.
        Locked
            Another process is importing the same run.
        OSError
            The disk is full or not writable; the store is as it was.
        """
        folder = RunFolder.of(self.store, self.run_id)
        staging = RunFolder(folder.path.with_name(f".{self.run_id}.part"))
        with self._staged(staging):
            old = folder.read_description()
            there = folder.recorded_levels() if old is not None else []
            exempt = self._exempt(folder, there)
            steps = Steps(folder, staging, self.network, exempt, there)
            self._note_changes(old, there)
            new = self._levels(steps, there)
            self._note_gaps(sorted({*there, *new}))
            description = self._describe(old, exempt, new)
            if old is None:
                copy_weights(self.found, self.network, self.choices.keep, staging, self.notes)
            steps.rewrite_after()
            flush_tree(staging.path)  # all of it, before any of it takes its place
            if old is None:
                description.write(staging.description)
                staging.path.replace(folder.path)
            elif new:
                steps.move_in()
                description.write(folder.description)
        kept = old if old is not None and not new else description
        return ImportedRun(
            run_id=self.run_id,
            experiment_id=kept.experiment_id,
            format=self.found.format,
            architecture=kept.recipe.architecture,
            task=kept.recipe.task,
            replicate=kept.replicate,
            source=str(self.found.path),
            levels=tuple(sorted({*there, *new})),
            new=tuple(new),
            whole=not self.missing and not self.gaps,
            notes=tuple(dict.fromkeys(map(printable, self.notes))),
        )

    @contextmanager
    def _staged(self, staging: RunFolder) -> Iterator[None]:
        """Hold the lock of this run's import, and a clean folder to put it together in."""
        staging.path.parent.mkdir(parents=True, exist_ok=True)
        with lock(staging.path.with_suffix(".lock"), f"the import of run {self.run_id}"):
            shutil.rmtree(staging.path, ignore_errors=True)
            staging.make()
            try:
                yield
            finally:
                shutil.rmtree(staging.path, ignore_errors=True)
                staging.path.with_suffix(".lock").unlink(missing_ok=True)

    def _exempt(self, folder: RunFolder, there: Sequence[int]) -> tuple[str, ...]:
        """Name the layers that are counted and never pruned: told or usual, and full at the end."""
        if there:
            table = folder.read_record(there[0])
            return tuple(
                name
                for name, exempt in zip(
                    table["layer"].to_pylist(), table["exempt"].to_pylist(), strict=True
                )
                if exempt
            )
        source = dict(zip(self.network.sources, self.network.layers, strict=True))
        told = [source[name].name for name in self.found.exempt if name in source]
        maybe = {*told, *self.network.exempt}
        if not maybe:
            return ()
        for level in reversed(self.found.levels):
            data = self._read(level)
            if data is not None:
                last = self._canonical(data, self.network)
                full = {
                    layer.name
                    for layer, kept in zip(self.network.layers, last.kept, strict=True)
                    if kept == layer.total
                }
                return tuple(
                    layer.name for layer in self.network.layers if layer.name in maybe & full
                )
        return ()

    def _levels(self, steps: Steps, there: Sequence[int]) -> list[int]:
        """Stage what is new; return the levels."""
        new: list[int] = []
        if self.found.implied_dense and self._lacks_dense(there):
            totals = np.array([layer.total for layer in self.network.layers], np.int64)
            masks = {x.name: np.ones(x.shape, np.bool_) for x in self.network.layers}
            steps.add(0, Level(totals, None, masks, {}))
            self.notes.append("level 0 is implied: the format prunes before it first writes")
            new.append(0)
        for level in self.found.levels:
            if level.level in there or (level.level == 0 and 0 in new):
                continue
            current = self._take_first() if level.level == self.first_level else None
            with self._named(level):
                if current is None and (data := self._read(level)) is not None:
                    self.notes += data.notes
                    current = self._canonical(data, self.network)
                if current is not None:
                    steps.add(level.level, current)
                    new.append(level.level)
            self.on_level(level.level)
        return sorted(new)

    def _take_first(self) -> Level | None:
        """Hand out the level that the identity came from, and let go of it."""
        first, self.first = self.first, None
        return first

    def _lacks_dense(self, there: Sequence[int]) -> bool:
        return 0 not in there and all(level.level != 0 for level in self.found.levels)

    def _note_changes(self, old: Description | None, there: Sequence[int]) -> None:
        """Say which files are others than those that the records in the store came from."""
        known = {str(entry["path"]): entry.get("sha256") for entry in (old.files if old else ())}
        for level in self.found.levels:
            for path in level.files if level.level in there else ():
                entry = file_entry(self.found, path)
                if known.get(entry["path"], entry["sha256"]) != entry["sha256"]:
                    self.notes.append(
                        f"level {level.level}: {entry['path']} has changed since it was imported; "
                        "its record stays as it is"
                    )

    def _note_gaps(self, levels: Sequence[int]) -> None:
        if not levels or levels[-1] == 0:
            raise Refused(self._nothing_pruned())
        if levels[0] > 0:
            self.notes.append(f"starts at level {levels[0]}")
        self.gaps = sorted(set(range(levels[0], levels[-1])) - set(levels))
        if self.gaps:
            shown = ", ".join(map(str, self.gaps[:5])) + (" ..." if len(self.gaps) > 5 else "")
            self.notes.append(f"level {shown} missing: no step leads across the gap")

    # What is written beside the records.

    def _describe(
        self, old: Description | None, exempt: Sequence[str], new: Sequence[int]
    ) -> Description:
        recipe = old.recipe if old is not None else self.recipe(exempt)
        files = {str(entry["path"]): entry for entry in (old.files if old else ())}
        read = [path for level in self.found.levels if level.level in new for path in level.files]
        if old is None:
            read += [path for start in self.found.starts.values() for path in start.files]
        files |= {entry["path"]: entry for entry in (file_entry(self.found, p) for p in read)}
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        if old is not None:
            return dataclasses.replace(
                old,
                levels=max(old.levels, *new) if new else old.levels,
                files=tuple(files.values()),
                updated_at=now,
            )
        measured = scales(self.found, self.network, self.notes)
        return Description(
            run_id=self.run_id,
            experiment_id=recipe.experiment_id,
            recipe_name=self.choices.recipe or self.found.recipe_name or "unknown",
            recipe=recipe,
            seed=self.found.seed,
            replicate=self.found.replicate,
            levels=max(new),
            source=self.found.format,
            created_at=now,
            updated_at=now,
            scales=measured,
            files=tuple(files.values()),
            inferred={"architecture": self.network.why, **self.found.inferred},
        )


def _run_id(found: FoundRun, network: Recognised, first: Level) -> str:
    """Return the format, and twelve digits from replicate and first pruned mask."""
    text = hashlib.sha256(f"{found.format}\0{found.replicate}\0{found.variant}".encode())
    for layer, count in zip(network.layers, first.kept, strict=True):
        text.update(f"{layer.name}\0{layer.shape}\0".encode())
        mask = first.masks.get(layer.name)
        text.update(str(count).encode() if mask is None else np.packbits(mask).tobytes())
    return f"{found.format}-{text.hexdigest()[:12]}"


def _pruned(data: LevelData) -> bool:
    if data.kept:
        return any(kept < np.prod(data.shapes[name]) for name, kept in data.kept.items())
    return any(not mask.all() for mask in data.masks.values())
