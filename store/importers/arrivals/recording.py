"""The levels of a program at work, brought into a store one by one as the program reaches them.

A run is found again by its name, which holds all that is told of it. Until something is pruned
nobody knows which layers are: so the first pruned level puts the run together anew, with the layers
that have a mask. From then on a level is brought to the run as a later import brings it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ....schemas.lock import lock
from ....schemas.records.description import Description
from ....schemas.records.epochs import write_epochs
from ....schemas.records.layout import RunFolder
from ....schemas.tensors.safetensors import read_tensors
from ...exchange import take_place
from ..found import Arrays, FoundLevel, FoundRun, FoundWeights, LevelData, Refused
from ..identity import Alias, mask_digest, new_id
from ..recognition.recognise import Recognised, beside
from ..report import Choices, ImportedRun
from ..zeros import FROM
from .arrival import Arrival
from .incoming import Incoming
from .ingest import put_together
from .known import Known
from .levels import stored_level, stored_network
from .meeting import meet
from .moves import WAIT
from .staging import Staging

STARTS = ("init", "rewind")


@dataclass(frozen=True)
class Recorded:
    """A run as the store has it.

    Attributes
    ----------
    folder : RunFolder
        Where it lies.
    description : Description
        What is known of it.
    digests : dict of int to str
        Sums over the masks of its levels.
    """

    folder: RunFolder
    description: Description
    digests: dict[int, str]

    @classmethod
    def find(cls, known: Known, name: Alias) -> Recorded | None:
        """Find the run that bears a name; None where there is none yet."""
        for run_id in known.bearing(name):
            folder = RunFolder.of(known.store, run_id)
            if (description := folder.read_description()) is not None:
                return cls(folder, description, dict(known.contents[run_id].digests))
        return None

    @property
    def levels(self) -> list[int]:
        """Its levels, ascending."""
        return self.folder.recorded_levels()

    @property
    def is_pruned(self) -> bool:
        """Whether anything has been pruned."""
        return max(self.digests) > 0

    @property
    def network(self) -> Recognised:
        """Its layers."""
        return stored_network(self.folder.read_record(self.levels[0]), self.description.recipe)

    def dense(self) -> LevelData:
        """Return level 0 as it was given, without the masks, which keep all."""
        network, level = self.network, stored_level(self.folder, 0)
        magnitude = [] if level.magnitude is None else level.magnitude.tolist()
        return LevelData(
            {s: x.shape for s, x in zip(network.sources, network.layers, strict=True)},
            magnitude=dict(zip(network.sources, magnitude, strict=bool(magnitude))),
            numbers=level.numbers,
        )

    def starts(self) -> dict[str, FoundWeights]:
        """Return the weights that training started from, as far as they are kept."""
        kept = (name for name in STARTS if self.folder.weights(name).exists())
        return {name: FoundWeights((), partial(self._start, name)) for name in kept}

    def _start(self, name: str) -> Arrays:
        network, (tensors, _) = self.network, read_tensors(self.folder.weights(name))
        pairs = zip(network.sources, network.layers, strict=True)
        return {source: tensors[layer.name] for source, layer in pairs}

    def level_of(self, data: LevelData) -> int:
        """Return the number of a level: of one that has its masks, or the next one."""
        if not data.is_pruned:
            return 0
        digest = mask_digest(data.masks)
        again = (n for n, known in sorted(self.digests.items()) if known == digest)
        return next(again, max(self.digests) + 1)

    def again(self, level: int, data: LevelData) -> LevelData:
        """Return a level that is there with the numbers that were not told before; name others."""
        stored = stored_level(self.folder, level).numbers
        there = {name: stored[name] for name in data.numbers if stored[name] is not None}
        notes = (
            f"level {level} is recorded with {name} {value:g}: {data.numbers[name]:g} is left out"
            for name, value in there.items()
            if value is not None and value != data.numbers[name]
        )
        new = {name: value for name, value in data.numbers.items() if name not in there}
        return dataclasses.replace(data, numbers=new, notes=(*data.notes, *notes))

    def aligned(self, data: LevelData) -> LevelData:
        """Return a level with the run's layers alone, under their names, each with a mask.

        Raises
        ------
        Refused
            A layer is missing, or one has a mask that is not counted.
        """
        network = self.network
        names = network.located(data.shapes)
        if lacking := [source for source in network.sources if source not in names]:
            raise Refused(f"layer {lacking[0]} is missing, which the levels before have")
        if data.is_pruned:
            self._hold_to_counted(data, {*names.values()})
        own = {name: source for source, name in names.items()}
        masks = {
            source: data.masks[name] if name in data.masks else np.ones(data.shapes[name], np.bool_)
            for source, name in names.items()
        }
        shapes = {own.get(name, name): shape for name, shape in data.shapes.items()}
        weights = {own.get(name, name): array for name, array in data.weights.items()}
        return dataclasses.replace(data, shapes=shapes, masks=masks, weights=weights)

    def _hold_to_counted(self, data: LevelData, counted: set[str]) -> None:
        other = {*counted, *beside(data.shapes, data.masks)}
        for name, mask in data.masks.items():
            if name not in other and not mask.all():
                raise Refused(
                    f"layer {name} is pruned and not counted: a run counts the layers that have a "
                    "mask at its first pruned level; give it one there, of ones"
                )


def name_of(run: FoundRun) -> Alias:
    """Return the name under which a run is found again."""
    return Alias(run.experiment, run.replicate, run.variant, run.seed)


def record(
    staging: Staging, run: FoundRun, choices: Choices, data: LevelData
) -> tuple[int, ImportedRun]:
    """Bring a level of a run into a store; one that is there already changes nothing.

    Parameters
    ----------
    staging : Staging
        The store.
    run : FoundRun
        What is told of the run; its levels are not looked at.
    choices : Choices
        What else is told.
    data : LevelData
        The level, see `given.given_level`.

    Returns
    -------
    tuple of int and ImportedRun
        The number of the level, and what became of it.

    Raises
    ------
    Refused
        It is no level of this run.
    Locked
        Another process has been importing for too long.
    StoreError
        The store cannot be read.
    OSError
        The disk is full or not writable; the store is as it was.
    """
    with staging.run() as staged, staging.decision() as known:
        there = Recorded.find(known, name_of(run))
        recording = _Recording(staging.store, known, staged, run, choices)
        if there is None or (data.is_pruned and not there.is_pruned):
            return recording.begin(data, there)
        return recording.go_on(data, there)


@dataclass(frozen=True)
class _Recording:
    """A level at the door of the store, and all that is needed to bring it in."""

    store: Path
    known: Known
    staged: RunFolder
    run: FoundRun
    choices: Choices

    def begin(self, data: LevelData, there: Recorded | None) -> tuple[int, ImportedRun]:
        """Put the run together: a new one, or in the place of one of which nothing was pruned."""
        dense = there.dense() if there else _implied(data)
        arrival = self._arrival(
            {0: dense, 1: data} if data.is_pruned else {0: data},
            {**(there.starts() if there else {}), **self.run.starts},
        )
        if there is None:
            run_id = new_id(self.run.format, arrival.content, self.known.taken)
            description = put_together(arrival, run_id)
            RunFolder.of(self.store, run_id).settle(self.staged)
        else:
            run_id = there.description.run_id
            description = put_together(arrival, run_id, there.description)
            write_epochs(self.staged.epochs, there.folder.read_epochs())
            with lock(there.folder.path / "lock", f"run {run_id}", wait=WAIT):
                take_place(self.store, run_id, self.staged.path)
        return int(data.is_pruned), arrival.settled(description)

    def go_on(self, data: LevelData, there: Recorded) -> tuple[int, ImportedRun]:
        """Bring a run a level, or what was not told yet of one that it has."""
        data, run_id = there.aligned(data), there.description.run_id
        level = there.level_of(data)
        if level in there.digests:
            data = there.again(level, data)
        arrival = self._arrival({level: data}, {})
        notes = tuple(arrival.notes)  # that a number is there now needs no telling
        try:
            return level, dataclasses.replace(meet(arrival, run_id), notes=notes)
        except Refused as error:
            back = "zeros come back, so they are no mask: " if data.masks_from == FROM else ""
            stays = f"run {run_id} stays as it is; another run has another seed or origin"
            raise Refused(f"{back}{error}", stays) from None

    def _arrival(
        self, levels: Mapping[int, LevelData], starts: Mapping[str, FoundWeights]
    ) -> Arrival:
        here = (self.run.path,)
        found = dataclasses.replace(
            self.run,
            levels=tuple(FoundLevel(n, here, partial(_same, x)) for n, x in levels.items()),
            starts=starts,
            dense_tells=True,
        )
        choices = dataclasses.replace(self.choices, keep=tuple(starts))
        incoming = Incoming(found, choices, self.staged, lambda level: None)
        return Arrival(self.store, self.known, incoming, self.staged, {}, choices, None)


def _implied(data: LevelData) -> LevelData:
    """Return the dense level that went before a pruned one that is the first to be given."""
    note = "level 0 was not given: it is there as dense, without an accuracy"
    return LevelData(data.shapes, notes=(note,))


def _same(data: LevelData) -> LevelData:
    return data
