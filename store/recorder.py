"""Records of a pruning loop of one's own, level by level."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..schemas.blocks import Architecture
from ..schemas.display import Shown, Table
from ..schemas.errors import RgtoolError, StoreError, choose
from ..schemas.lock import Locked, lock
from ..schemas.published_recipes import fields_of
from ..schemas.recipe import Recipe
from ..schemas.records.description import RECORDED, UNKNOWN
from ..schemas.records.epochs import Epoch, EpochLog
from ..schemas.records.layout import RunFolder
from ..schemas.records.names import Naming
from .catalogue.names import call
from .importers.arrivals.known import Known
from .importers.arrivals.recording import STARTS, Recorded, name_of, record
from .importers.arrivals.staging import Staging
from .importers.found import FoundRun, FoundWeights
from .importers.given import arrays, given_level
from .importers.imports import choices
from .importers.masks import layer_weights
from .importers.report import ImportedRun
from .recordable import held_epoch, held_fields, held_numbers, held_seed, versions
from .store import Store


@dataclass(frozen=True)
class RecordedLevel(Shown):
    """What became of a level that was given.

    Attributes
    ----------
    run_id, experiment_id : str
        Identity in the store; the experiment may be another one once the first masks tell the
        layers.
    architecture : str
        The network as it was told or recognised.
    level : int
        Prunings applied.
    kept, total : int
        Weights that the masks keep, and all that are counted.
    new : bool
        Whether the store had no such level.
    notes : tuple of str
        What was left out or concluded; each is a warning, too.
    """

    run_id: str
    experiment_id: str
    architecture: str
    level: int
    kept: int
    total: int
    new: bool
    notes: tuple[str, ...] = ()

    @property
    def density(self) -> float:
        """Share of the weights that is kept."""
        return self.kept / self.total

    def table(self) -> Table:
        """Return what became of it, in a row."""
        names = ("run", "architecture", "level", "kept", "total", "density", "new")
        numbers = (self.level, self.kept, self.total, self.density, self.new)
        row = (self.run_id, self.architecture, *numbers)
        return Table(names, [row], notes=self.notes, formats={"density": ".4f"})


class Recorder(Shown):
    """Takes the levels of a pruning loop of one's own into a store: any trainer becomes a runner.

    A run is what is told here: the same words, in the same store, go on with the same run, in this
    process or another. Call it from one process where several train one network.

    Parameters
    ----------
    store : Store or path, optional
        As everywhere; it is made with the first level.
    task : str
        The data set.
    seed : int
        Tells the runs of an experiment apart.
    architecture : str, optional
        A network that rgtool knows, which the layers are then held to, or a name of one's own; by
        default what names and shapes of the layers tell.
    recipe : str, optional
        The published study whose recipe the loop follows.
    blocks : path, optional
        A block map for networks that are not known, see `docs/importing.md`.
    origin : str
        Tells loops apart that are told alike otherwise.
    name, note, tags : str, str, sequence of str
        What people call the experiment, see `rgtool name`; no part of any identity. It is said once
        the layers are known: with the first masks.
    **told
        Fields of `Recipe`, such as `lr=0.1` and `prune=0.2`; `exempt` names layers that are counted
        and never pruned. What is not told is listed as assumed.

    Raises
    ------
    UsageError
        A field is unknown or out of range, or a name could be taken for something else.
    StoreError
        The store is no folder.

    Examples
    --------
    >>> import tempfile, torch
    >>> from torch.nn.utils import prune
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> recorder = Recorder(tempfile.mkdtemp(), task="toy", seed=0, prune=0.5)
    >>> recorder.level(net, accuracy=0.9).level
    0
    >>> prune.global_unstructured(((net[0], "weight"), (net[2], "weight")), prune.L1Unstructured,
    ...                           amount=0.5)
    >>> found = recorder.level(net, accuracy=0.8)
    >>> found.level, found.kept, found.total
    (1, 24, 48)
    """

    def __init__(
        self,
        store: Store | str | Path | None = None,
        *,
        task: str,
        seed: int,
        architecture: str | None = None,
        recipe: str | None = None,
        blocks: str | Path | None = None,
        origin: str = RECORDED,
        name: str | None = None,
        note: str | None = None,
        tags: Sequence[str] = (),
        **told: Any,
    ) -> None:
        self._naming = Naming(name, note, tuple(tags))
        self.path = (store if isinstance(store, Store) else Store(store)).path
        self._choices = choices(
            name=origin, task=task, architecture=architecture, recipe=recipe, blocks=blocks
        )
        exempt = tuple(name.removesuffix(".weight") for name in told.pop("exempt", ()))
        known = Recipe.from_json(
            {
                **fields_of(recipe or UNKNOWN, Architecture(architecture or UNKNOWN, ())),
                **held_fields(told),
                "architecture": architecture or UNKNOWN,
                "task": task,
                "origin": origin,
                "exempt": exempt,
            }
        )
        self._starts: dict[str, FoundWeights] = {}
        self._epochs: list[Epoch] = []  # of the level that is given next
        self._last = -1  # the level that was given last
        self._run = FoundRun(
            RECORDED,
            Path(RECORDED),
            f"{origin} {known.experiment_id}",
            str(held_seed(seed)),
            (),
            seed=seed,
            fields={name: getattr(known, name) for name in told},
            exempt=exempt,
            versions=versions(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._starts.clear()

    # What is there.

    @property
    def run_id(self) -> str | None:
        """The run in the store; None before its first level."""
        there = self._there()
        return there.description.run_id if there else None

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels that are recorded, ascending."""
        there = self._there()
        return tuple(there.levels) if there else ()

    @property
    def next_level(self) -> int:
        """The number of the level that comes next: 0 for a new run."""
        return max(self.levels, default=-1) + 1

    def _there(self) -> Recorded | None:
        return Recorded.find(Known(self.path), name_of(self._run))

    def table(self) -> Table:
        """Return the run that it goes on with, and the levels that are there."""
        there = self._there()
        levels = tuple(there.levels) if there else ()
        rows = [
            ("run", there.description.run_id if there else "none yet: its first level makes it"),
            ("task", self._choices.task),
            ("seed", self._run.seed),
            ("levels", levels),
            ("next level", max(levels, default=-1) + 1),
        ]
        return Table(("what", "value"), rows, title=f"recorder into {self.path}")

    # What is given.

    def start(self, model: Any, name: str = "init") -> None:
        """Keep the weights that training starts from; they are written with the first level.

        A run that has levels already keeps what it has.

        Parameters
        ----------
        model : torch.nn.Module, or mapping of str to tensor
            The network or its state dict.
        name : str
            `init` for weights before any training, `rewind` for those that pruned weights go back
            to.

        Raises
        ------
        UsageError
            It is no network, or has another name.
        """
        name = choose("name of weights", name, STARTS)
        state = arrays(model, "a network or its state dict")
        weights = {n: np.array(w) for n, w in layer_weights(state, "the network").items()}
        there = self._there()
        if there is None:
            self._starts[name] = FoundWeights((), lambda: weights)
        elif name not in there.starts():
            _warn(f"{name} weights are left out: they come before the first level of a run")

    def epoch(
        self, *, loss: float | None = None, accuracy: float | None = None, **numbers: Any
    ) -> None:
        """Tell how an epoch of training went; it is written with the level that is given next.

        A level that has epochs already keeps those.

        Parameters
        ----------
        loss, accuracy : float, optional
            On the training batches of the epoch, nats and a fraction.
        **numbers
            The other columns of an epoch: `lr`, `images_per_second`.

        Raises
        ------
        UsageError
            A number is unknown or out of range.
        """
        told = held_epoch({"loss": loss, "accuracy": accuracy, **numbers})
        number, time = len(self._epochs) + 1, datetime.now(UTC)
        self._epochs.append(Epoch(run_id="", level=0, epoch=number, ended_at=time, **told))

    def level(
        self,
        model: Any,
        masks: Mapping[str, Any] | None = None,
        *,
        zeros_are_mask: bool = False,
        accuracy: float | None = None,
        loss: float | None = None,
        **numbers: Any,
    ) -> RecordedLevel:
        """Record the network as it is at the end of training, with the masks it was trained with.

        A network without masks is level 0, one with masks that the run has is that level again, any
        other the next. Of a level that is there already nothing changes but numbers that were not
        told before.

        Parameters
        ----------
        model : torch.nn.Module, or mapping of str to tensor
            The network or its state dict.
        masks : mapping of str to tensor, optional
            By parameter or layer, zeros and ones of any type; by default those of
            `torch.nn.utils.prune`, or buffers such as `mask` beside a weight.
        zeros_are_mask : bool
            Whether the zeros of weights are the mask, where there is no other.
        accuracy, loss : float, optional
            On the test set, a fraction, and nats; the loss of a training that has diverged is
        not finite.
        **numbers
            Other columns of the record's level, such as `train_loss` and `wall_seconds`.

        Returns
        -------
        RecordedLevel
            Its number and its counts.

        Raises
        ------
        UsageError
            A number is unknown or out of range, or no network is given.
        Refused
            A mask is of no layer or of another shape, or keeps what a level before had pruned.
        StoreError
            The store cannot be written; it is as it was.
        """
        told = held_numbers({"accuracy": accuracy, "loss": loss, **numbers})
        data = given_level(model, masks, zeros_are_mask=zeros_are_mask)
        data = dataclasses.replace(data, numbers=told)
        run = dataclasses.replace(self._run, starts=self._starts)
        try:
            with Staging(self.path) as staging:
                number, kept = record(staging, run, self._choices, data)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written ({error}): it is as it was") from None
        if number:  # they are written with the layers that stay: their memory is free again
            self._starts = {}
        self._write_epochs(number, kept.run_id)
        settled = number > 0 or bool(data.masks)  # before them the experiment may move
        unnamed = self._name(kept.experiment_id) if settled else ()
        for note in (*kept.notes, *self._said_of_again(number, kept), *unnamed):
            _warn(note)
        self._last = number
        return self._recorded(number, kept)

    def _write_epochs(self, level: int, run_id: str) -> None:
        """Write what was told of the epochs of a level, unless it has some."""
        told, self._epochs = self._epochs, []
        folder = RunFolder.of(self.path, run_id)
        if not told or any(epoch.level == level for epoch in folder.read_epochs()):
            return
        with contextlib.suppress(Locked, OSError), lock(folder.path / "lock", f"run {run_id}"):
            log = EpochLog(folder.epochs, run_id)
            for epoch in told:
                log.add(dataclasses.replace(epoch, run_id=run_id, level=level))

    def _name(self, experiment: str) -> tuple[str, ...]:
        """Say once what the experiment is called, or why not: the level is there."""
        naming, self._naming = self._naming, Naming()
        try:
            if naming:
                call(Store(self.path), experiment, naming)
        except RgtoolError as error:
            return (f"the level is recorded, and {experiment} is not named: {error}",)
        return ()

    def _said_of_again(self, number: int, kept: ImportedRun) -> Iterator[str]:
        """Say that nothing came of a level, unless a loop that starts again has come to it."""
        if number <= self._last and not (kept.new or kept.corrected or kept.notes):
            yield f"nothing is recorded: the masks are those of level {number}, which is there"

    def _recorded(self, number: int, kept: ImportedRun) -> RecordedLevel:
        table = RunFolder.of(self.path, kept.run_id).read_record(number)
        return RecordedLevel(
            run_id=kept.run_id,
            experiment_id=kept.experiment_id,
            architecture=kept.architecture,
            level=number,
            kept=table["network_kept"][0].as_py(),
            total=table["network_total"][0].as_py(),
            new=number in kept.new,
            notes=kept.notes,
        )


def _warn(note: str) -> None:
    warnings.warn(note, stacklevel=3)
