"""Iterative magnitude pruning of one replicate: train, record, prune, rewind, repeat."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..schemas.blocks import Layer
from ..schemas.errors import RgtoolError
from ..schemas.lock import lock
from ..schemas.recipe import Recipe
from ..schemas.records.description import Description
from ..schemas.records.epochs import PRETRAINING
from ..schemas.records.layout import RunFolder
from ..schemas.records.record import build_record, write_record
from ..schemas.steps import Step
from ..schemas.tensors.safetensors import write_mask, write_tensors
from ..schemas.words import listed
from . import machine
from .datasets.images import Images
from .event import Event
from .models import Network
from .own.fingerprint import file_of
from .pruners.demands import scores_dense
from .pruners.registry import KnownPruner, Pruner
from .pruners.scorer import Scorer
from .pruning import Beginning, dense_mask, density, emptied, kept_of, magnitude_of
from .records import Part, description_of, found_mask, gone_on, previous, recorded, scales_of
from .replicas.checkpoint import kept_state
from .replicas.course import Course
from .replicas.kernels import EAGER, Kernels
from .replicas.level_kernels import LevelKernels
from .replicas.movement import Movement
from .replicas.pretrained import Pretrained
from .replicas.replica_parts import ReplicaParts
from .replicas.side_by_side import Training, Work
from .replicas.training import (
    Arrays,
    Diverged,
    Score,
    Trainer,
    layer_weights,
    load_arrays,
    state_arrays,
)
from .tickets.source import Source
from .tickets.tickets import Ticket, keep_along, later_ticket, taken_along, ticket

_MAGNITUDE = KnownPruner("magnitude")


class Replica:
    """One run: a recipe and a seed, at work in the folder of the run.

    Everything random follows from the seed, so what is absent from the folder (a rewind point, a
    checkpoint) is computed again to the same bits.

    Parameters
    ----------
    recipe, recipe_name : Recipe, str
        What to do, and the name it was resolved from.
    seed : int
        Seed of the replicate.
    images : Images
        The data set.
    network : KnownNetwork or OwnNetwork
        The network that the recipe names.
    store : Path
        Folder of the store.
    device : torch.device
        Where to compute.
    parent : str, optional
        The run whose tickets are trained, at any levels, or from one of which a run prunes on by
        itself; without one a run finds its own.
    on_event : callable
        Gets an `Event` every epoch and level.
    should_stop : callable
        Asked after every step, and while kernels are chosen; true ends the run cleanly, to be
        continued.
    keep : tuple of str
        Weights that stay: any of `launch.KEEPABLE`.
    pretrained : Pretrained, optional
        Weights that training starts from.
    kernels : Kernels
        How the steps are computed.
    pruner : Pruner
        What the recipe's pruner names.
    """

    def __init__(
        self,
        recipe: Recipe,
        recipe_name: str,
        seed: int,
        images: Images,
        network: Network,
        store: Path,
        device: torch.device,
        *,
        parent: str | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
        should_stop: Callable[[], bool] = lambda: False,
        keep: tuple[str, ...] = ("init", "rewind"),
        pretrained: Pretrained | None = None,
        kernels: Kernels = EAGER,
        pruner: Pruner = _MAGNITUDE,
    ) -> None:
        self.recipe, self.recipe_name, self.seed = recipe, recipe_name, seed
        self.images, self.network, self.device = images, network, device
        self.keep = (*keep, "dense") if scores_dense(recipe) else keep
        self.on_event, self.should_stop = on_event, should_stop
        self.pretrained, self.kernels = pretrained, kernels
        self.on = ReplicaParts(
            recipe, seed, images, network, device, pretrained, kernels, self._warn, should_stop
        )
        traits = network.traits(images.input_shape, images.classes)
        self.fingerprint = traits.fingerprint
        self.layers: tuple[Layer, ...] = traits.architecture.counted(recipe.prunable)
        self.names = [layer.name for layer in self.layers]
        self.parent = RunFolder.of(store, parent) if parent is not None else None
        self.scorer = Scorer(self.on, pruner, self.layers)
        self.run_id = recipe.run_id(seed, parent)
        self.folder = RunFolder.of(store, self.run_id)
        self.by_level = LevelKernels(self.folder, self.parent, recipe, kernels, self._warn)
        per_epoch, rest = divmod(len(images.y_train), recipe.batch_size)
        per_epoch += rest > 0 and not recipe.drop_last
        self.rewind = Step.parse(recipe.rewind).iteration(per_epoch)
        self.end = recipe.whole_epochs * per_epoch
        self.restarts = recipe.schedule == "restart"
        self.first = 0 if self.restarts else self.rewind  # where every level enters the schedule
        self.begins = Beginning.dense(self.layers)
        self.began = time.monotonic()

    def work(self, at: Sequence[int]) -> Work:
        """Train what is missing of levels; yields what is to be trained, and goes on after it.

        Parameters
        ----------
        at : sequence of int
            The levels, ascending; of a run that prunes by itself all from its first on.

        Raises
        ------
        Stopped
            `should_stop` said so; the state inside the level is on the disk.
        RgtoolError
            The folder of the run lacks what is needed to continue.
        Locked
            Another process is at work on this run.
        OSError
            The disk is full or not writable; what was written is whole.
        """
        if self._is_known(at):
            return
        self.folder.make()
        with lock(self.folder.path / "lock", f"run {self.run_id}"):
            if self._is_known(at):  # another process has just finished it
                return
            for left in self.folder.path.glob("**/.*.part"):  # by a process that was killed
                left.unlink(missing_ok=True)
            yield from self._go_on(at)

    def _go_on(self, at: Sequence[int]) -> Work:
        done = recorded(self.folder, self.recipe)
        left = [level for level in at if level not in done]
        self._describe(max([*at, *done]), left[0])
        self.course = Course(self.folder, self.kernels, self.should_stop)
        if self.parent is None:
            yield from self._find(left)
            return
        source = Source.read(self.parent)
        keep_along(source, self.on, self.folder, self.keep)
        if self.recipe.start is not None:
            yield from self._prune_on(left, source, self.recipe.start)
        else:
            yield from self._levels(
                left, lambda level: ticket(self.folder, source, level, self.on, self.layers)
            )

    def _find(self, levels: Sequence[int]) -> Work:
        """Prune from the dense network on; before that comes the rewind point."""
        try:
            self.rewound = rewound = yield from self._rewind_point()
        except Diverged:
            self._diverge(levels[0], self._own_ticket(levels[0], {}))
            self._tell("diverged", level=levels[0])
        else:
            yield from self._levels(levels, lambda level: self._own_ticket(level, rewound))

    def _prune_on(self, levels: Sequence[int], source: Source, start: int) -> Work:
        """Prune on from a ticket of the parent."""
        if levels[0] == start:
            ticket(self.folder, source, start, self.on, self.layers)
        self.begins = Beginning.of(start, found_mask(self.folder, start))
        self.rewound = taken_along(source, source.start_of(start + 1, ""), self.on)
        if not self._description.scales:
            kinds = [kind for kind in ("init", "rewind") if source.has(kind)]
            self._describe_scales({kind: taken_along(source, kind, self.on) for kind in kinds})

        def found(level: int) -> Ticket:
            return later_ticket(source, level, self.on, found_mask(self.folder, level))

        yield from self._levels(levels, found)

    def _levels(self, levels: Sequence[int], made: Callable[[int], Ticket]) -> Work:
        """Train levels; where each finds the mask of the next, one that diverges is the last."""
        for level in levels:
            one, end = made(level), "done"
            try:
                failure = yield from self._level(level, one)
            except Diverged:
                self._diverge(level, one)
                end = "diverged"
                if self.recipe.finds_masks:
                    break
            else:
                if failure is not None and level < levels[-1]:
                    raise failure
        self._tell(end, level=level)

    def _diverge(self, level: int, made: Ticket) -> None:
        self._record(level, made, {"diverged": True})
        self.course.checkpoint.remove()

    # The parts of a run, in their order.

    def _is_known(self, at: Sequence[int]) -> bool:
        parent = self.parent.path.name if self.parent else None
        part = Part(self.recipe, tuple(at), self.folder, parent)
        end = part.known_end(self.seed, self.fingerprint, self.layers)
        if end is not None:
            self.on_event(end)
        return end is not None

    def _describe(self, levels: int, begin: int) -> None:
        before = description_of(self.folder)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        description = Description(
            run_id=self.run_id,
            experiment_id=self.recipe.experiment_id,
            recipe_name=self.recipe_name,
            recipe=self.recipe,
            seed=self.seed,
            replicate=str(self.seed),
            levels=levels,
            parent_run=self.parent.path.name if self.parent else None,
            versions=machine.versions() | {"data_sha256": self.images.sha256},
            machine=machine.describe(self.device) | self.by_level.conditions(before),
            files=(
                *self.network.sources,
                *self.scorer.pruner.sources,
                *file_of(self.fingerprint),
                *((self.pretrained.source,) if self.pretrained else ()),
            ),
            created_at=now,
            updated_at=now,
        )
        if before is not None:
            description = gone_on(description, before, begin, self._warn)
        description.write(self.folder.description)

    def _rewind_point(self) -> Generator[Training, None, Arrays]:
        """Return the weights every level starts from: kept, or trained again from the seed."""
        rewound = kept_state(self.folder.weights("rewind"), self.on.module)
        has_init = "init" not in self.keep or self.folder.weights("init").exists()
        if rewound is not None and has_init and self._description.scales:
            return rewound
        initial = self.on.initial("init")
        if rewound is None:
            load_arrays(self.on.module, initial)
            if self.rewind > 0:
                trainer = self.by_level.trainer(PRETRAINING, None, self.on)
                yield from self._train(trainer, PRETRAINING, 0, self.rewind)
            rewound = state_arrays(self.on.module)
        self._describe_scales({"init": initial, "rewind": rewound})
        for name, arrays in (("init", initial), ("rewind", rewound)):
            if name in self.keep:
                write_tensors(self.folder.weights(name), arrays)
        return rewound

    @property
    def _description(self) -> Description:
        """What is written of this run; kernels of levels come to it by and by."""
        description = description_of(self.folder)
        assert description is not None  # it is the first that is written of a run
        return description

    def _describe_scales(self, weights: Mapping[str, Arrays]) -> None:
        scales = {kind: scales_of(arrays, self.names) for kind, arrays in weights.items()}
        dataclasses.replace(self._description, scales=scales).write(self.folder.description)

    def _own_ticket(self, level: int, rewound: Arrays) -> Ticket:
        """Return what a level is trained from, by the mask that the one before it has found."""
        if level > 0:
            return Ticket(rewound, found_mask(self.folder, level))
        mask = dense_mask(self.layers)
        write_mask(self.folder.mask(level), mask)
        return Ticket(self.scorer.dense_start(rewound), mask)

    def _level(self, level: int, made: Ticket) -> Generator[Training, None, RgtoolError | None]:
        """Train, score, prune and record one level; return why no next mask was found, if so."""
        self.began = time.monotonic()
        mask, failure = made.mask, None
        load_arrays(self.on.module, made.weights)
        trainer = self.by_level.trainer(level, mask, self.on)
        if self.recipe.finds_masks and self.scorer.pruner.sums_movement:
            trainer.sum_movement(self.names)
        trained, speed = yield from self._train(trainer, level, self.first, self.end, density(mask))
        numbers: dict[str, float | None] = {}
        if self.recipe.epochs:
            numbers = self.on.evaluated() | {
                "train_accuracy": trained.accuracy,
                "train_loss": trained.loss,
                "images_per_second": speed,
            }
        if level == 0 and "dense" in self.keep:
            write_tensors(self.folder.weights("dense"), state_arrays(self.on.module))
        weights = layer_weights(self.on.module, self.names)
        if self.recipe.finds_masks:
            # Before the record: a level that is recorded can be continued from, if any can.
            try:
                self._prune(level, made, trainer.movement)
            except RgtoolError as error:
                failure = error
                self._warn(f"finds no mask behind level {level}: {error}")
        self._record(level, made, numbers, magnitude_of(weights, mask, self.names))
        self.course.checkpoint.remove()
        told = {} if (accuracy := numbers.get("accuracy")) is None else {"accuracy": accuracy}
        self._tell("level", level=level, density=density(mask), **told)
        return failure

    def _prune(self, level: int, made: Ticket, movement: Movement | None) -> None:
        """Find the mask of the next level.

        Raises
        ------
        RgtoolError
            The pruner finds none.
        """
        trained = self.scorer.trained(made.weights, self.rewound, self.folder, movement)
        pruned = self.scorer.next_mask(trained, made.mask, level + 1, self.begins)
        write_mask(self.folder.mask(level + 1), pruned)

    def _record(
        self,
        level: int,
        made: Ticket,
        numbers: dict[str, float | None],
        magnitude: NDArray[np.float64] | None = None,
    ) -> None:
        kept_prev, magnitude_prev = (None, None) if made.is_apart else previous(self.folder, level)
        if made.before is not None:
            kept_prev = kept_of(made.before, self.names)
        kept = kept_of(made.mask, self.names)
        if kept_prev is not None and (empty := emptied(self.names, kept_prev, kept)):
            self._warn(f"keeps no weight of {listed(empty)} at level {level}: nothing passes there")
        numbers |= {
            "wall_seconds": time.monotonic() - self.began,
            "peak_memory": machine.peak_memory(self.device),
        }
        table = build_record(
            self.run_id,
            level,
            self.layers,
            kept,
            kept_prev=kept_prev,
            magnitude=magnitude,
            magnitude_prev=magnitude_prev,
            exempt=self.recipe.exempt,
            numbers=numbers,
        )
        write_record(self.folder.record(level), table)

    def _train(
        self, trainer: Trainer, level: int, start: int, end: int, kept: float = 1.0
    ) -> Generator[Training, None, tuple[Score, float]]:
        """Train and tell of it; return the last epoch's score and the images a second."""

        def on_epoch(epoch: int, score: Score, speed: float) -> None:
            where = {"level": max(level, 0), "epoch": epoch, "density": kept}
            self._tell("epoch", **where, accuracy=score.accuracy, images_per_second=speed)

        return (yield from self.course.train(trainer, level, start, end, on_epoch))

    def _warn(self, text: str) -> None:
        self._tell("warning", message=f"run {self.run_id} {text}")

    def _tell(self, kind: str, **values: float | int | str) -> None:
        self.on_event(Event(kind=kind, seed=self.seed, **values))  # type: ignore[arg-type]
