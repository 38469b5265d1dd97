"""Which kernels train each level of a run: written down before it begins, taken again later."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ...schemas.errors import RgtoolError
from ...schemas.lock import lock
from ...schemas.recipe import Recipe
from ...schemas.records.description import BY_LEVEL, BY_LEVEL_WHY, Description
from ...schemas.records.layout import RunFolder
from ..pruning import Mask
from ..records import description_of
from .kernels import Kernels
from .replica_parts import ReplicaParts
from .side_by_side import is_memory
from .step_seconds import StepSeconds, level_steps, step_seconds
from .training import Trainer

_ASKED = "asked for, or the only ones"
_NO_ROOM = "memory has no room for sparse steps beside dense ones"
_MEASURED = "measured"  # how `StepSeconds` begins, in words
_TOO_FEW = "too few steps to time any of them"
_WAIT = 60.0  # seconds for another seed to write its choice


class Choice(NamedTuple):
    """The kernels of a level by their name, and why these."""

    kernels: str
    why: str


class LevelKernels:
    """The kernels of one run, level by level.

    Sparse or dense is a matter of speed, and of bits: the seed of an experiment that comes first to
    a level measures it, and its choice holds for the others and for children.

    Parameters
    ----------
    folder, parent : RunFolder, RunFolder or None
        The run, and the one whose masks it takes.
    recipe : Recipe
        What the seeds of its experiment share.
    kernels : Kernels
        What there is to choose from.
    tell : callable
        Hears where a level goes on with other kernels than it began with.
    """

    def __init__(
        self,
        folder: RunFolder,
        parent: RunFolder | None,
        recipe: Recipe,
        kernels: Kernels,
        tell: Callable[[str], None],
    ) -> None:
        self.folder, self.parent, self.recipe = folder, parent, recipe
        self.kernels, self.tell = kernels, tell

    def conditions(self, before: Description | None) -> dict[str, Any]:
        """Return what a description says of kernels; what it says of levels stays."""
        said = before.machine if before else {}
        levels = {name: said[name] for name in (BY_LEVEL, BY_LEVEL_WHY) if name in said}
        return {"kernels": self.kernels.name, **levels}

    def trainer(self, level: int, mask: Mask | None, on: ReplicaParts) -> Trainer:
        """Return what trains a level, once the description of the run says with which kernels.

        Parameters
        ----------
        level : int
            The level; below 0 the steps before the rewind point.
        mask : Mask or None
            Its mask.
        on : ReplicaParts
            What it computes with; the network is left as it is.
        """
        steps = level_steps(self.recipe, level, on.loader.iterations_per_epoch)
        kernels = self._decide(level, lambda: step_seconds(on, mask, steps))
        return on.trainer(mask, sparse=kernels == self.kernels.sparse)

    def _decide(self, level: int, measure: Callable[[], StepSeconds | None]) -> str:
        key = _key(level)
        begun = self._begun(key)
        if self.kernels.choice == "dense":
            choice = Choice(self.kernels.name, _ASKED)
        elif self.kernels.choice == "sparse":
            choice = Choice(self.kernels.sparse, _ASKED)
        elif begun is not None:
            choice = self._here(begun)
        else:
            return self._first(level, measure).kernels
        if begun is not None and choice.kernels == begun.kernels:
            choice = begun  # for the reason of then
        self._write(key, choice, begun)
        return choice.kernels

    def _begun(self, key: str) -> Choice | None:
        """Return what this run has begun the level with; None where it has not."""
        description = description_of(self.folder)
        if description is None:
            return None
        if BY_LEVEL not in description.machine and self.folder.checkpoint.exists():
            # Of an rgtool that had no sparse kernels.
            return Choice(description.machine.get("kernels", self.kernels.name), _ASKED)
        return _choices(description).get(key)

    def _here(self, choice: Choice) -> Choice:
        """Return a choice with the kernels of its kind that there are here."""
        is_sparse = choice.kernels.startswith("sparse")
        return choice._replace(kernels=self.kernels.sparse if is_sparse else self.kernels.name)

    def _first(self, level: int, measure: Callable[[], StepSeconds | None]) -> Choice:
        """Choose for a level that begins, and write it down."""
        key = _key(level)
        own = self._taken(key) or self._of_rewind(level) or self._faster(level, measure)
        # Seeds that come to it together have all measured: one of them is the first to write.
        store = self.folder.path.parents[1]
        with lock(store / ".kernels.lock", "the choice of kernels", wait=_WAIT):
            choice = self._taken(key) or own
            self._write(key, choice, None)
        return choice

    def _faster(self, level: int, measure: Callable[[], StepSeconds | None]) -> Choice:
        """Choose by the time of steps; dense where memory has no room for both kinds."""
        try:
            seconds = measure()
        except (MemoryError, RuntimeError) as error:
            if not is_memory(error):
                raise
            return Choice(self.kernels.name, _NO_ROOM)
        if seconds is None:
            return self._as_before(level)
        faster = self.kernels.sparse if seconds.sparse < seconds.dense else self.kernels.name
        return Choice(faster, str(seconds))

    def _as_before(self, level: int) -> Choice:
        """Return the choice of the level before, which keeps more; dense where there is none."""
        before = _choices(description_of(self.folder)).get(_key(level - 1))
        if before is None:
            return Choice(self.kernels.name, _TOO_FEW)
        return self._here(before)._replace(why=f"{_TOO_FEW}, as {_key(level - 1)}")

    def _of_rewind(self, level: int) -> Choice | None:
        """Return what was measured before the rewind point, for level 0: it keeps as much."""
        if level != 0:
            return None
        own = (self.folder, _choices(description_of(self.folder)).get(_key(-1)))
        for _, choice in (own, *self._elsewhere(_key(-1))):
            if choice is not None and choice.why.startswith(_MEASURED):
                return self._here(choice)._replace(why=f"{choice.why}, before the rewind point")
        return None

    def _taken(self, key: str) -> Choice | None:
        """Return the choice of the parent, or what another seed has measured."""
        for folder, choice in self._elsewhere(key):
            if choice.why != _ASKED or folder is self.parent:
                why = choice.why if choice.why.startswith("as ") else f"as {folder.path.name}"
                return self._here(choice)._replace(why=why)
        return None

    def _elsewhere(self, key: str) -> Iterator[tuple[RunFolder, Choice]]:
        """Yield what the parent and other seeds have chosen for a level."""
        for folder in self._others():
            choice = None
            with contextlib.suppress(RgtoolError):  # a damaged one is told when it is worked on
                choice = _choices(folder.read_description()).get(key)
            if choice is not None:
                yield folder, choice

    def _others(self) -> Iterator[RunFolder]:
        if self.parent is not None:
            yield self.parent
        for path in sorted(self.folder.path.parent.glob(f"{self.recipe.experiment_id}-s*")):
            if path != self.folder.path:
                yield RunFolder(path)

    def _write(self, key: str, choice: Choice, begun: Choice | None) -> None:
        """Write down the kernels of a level, and where they are others than it began with."""
        description = description_of(self.folder)
        assert description is not None  # it is the first that is written of a run
        by_level, why = (description.machine.get(name, {}) for name in (BY_LEVEL, BY_LEVEL_WHY))
        machine = {
            **description.machine,
            BY_LEVEL: {**by_level, key: choice.kernels},
            BY_LEVEL_WHY: {**why, key: choice.why},
        }
        if machine == description.machine:
            return
        history = description.history
        names = (choice.kernels, begun.kernels if begun else choice.kernels)
        if names[0] != names[1] and any(name.startswith("sparse") for name in names):
            change = f"kernels was {names[1]}, is {names[0]}"
            self.tell(f"goes on under other conditions: {change}")
            history += (f"inside level {key}: {change}",)
        described = dataclasses.replace(description, machine=machine, history=history)
        described.write(self.folder.description)


def _key(level: int) -> str:
    """Return the name of a level in descriptions."""
    return str(level) if level >= 0 else "rewind"


def _choices(description: Description | None) -> dict[str, Choice]:
    """Return what a description says of levels, by their keys."""
    machine: Mapping[str, Any] = description.machine if description else {}
    by_level, why = machine.get(BY_LEVEL), machine.get(BY_LEVEL_WHY)
    if not isinstance(by_level, dict) or not isinstance(why, dict):
        return {}
    return {key: Choice(str(by_level[key]), str(why.get(key, ""))) for key in by_level}
