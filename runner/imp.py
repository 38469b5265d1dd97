"""Iterative magnitude pruning of one replicate: train, record, prune, rewind, repeat."""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..schemas.blocks import Layer
from ..schemas.errors import RecordError, RgtoolError
from ..schemas.lock import lock
from ..schemas.recipe import Recipe
from ..schemas.records.description import Description
from ..schemas.records.layout import RunFolder
from ..schemas.records.record import build_record, write_record
from ..schemas.steps import Step
from ..schemas.tensors.safetensors import read_tensors, write_mask, write_tensors
from . import machine
from .datasets.images import Images
from .event import Event
from .models import Network
from .own.fingerprint import file_of
from .pruners.demands import scores_dense, scores_rewound
from .pruners.registry import KnownPruner, Pruner
from .pruners.scorer import Scorer, Trained
from .pruning import dense_mask, density, kept_of
from .records import Part, description_of, found_mask, previous, recorded
from .replicas.checkpoint import Checkpoint
from .replicas.kernels import EAGER, Kernels
from .replicas.level_kernels import LevelKernels
from .replicas.movement import Movement
from .replicas.pretrained import Pretrained
from .replicas.replica_parts import ReplicaParts
from .replicas.side_by_side import Training, Work
from .replicas.training import (
    Arrays,
    Diverged,
    Lane,
    Score,
    Trainer,
    evaluate,
    fits,
    layer_weights,
    load_arrays,
    state_arrays,
)
from .tickets.source import Source
from .tickets.tickets import Ticket, keep_along, ticket

_MAGNITUDE = KnownPruner("magnitude")
_PRETRAIN = -1  # the level that a checkpoint before the rewind point is filed under


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
        The run whose tickets are trained, at any levels; without one a run finds its own.
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
        self.began = time.monotonic()

    def work(self, at: Sequence[int]) -> Work:
        """Train what is missing of levels; yields what is to be trained, and goes on after it.

        Parameters
        ----------
        at : sequence of int
            The levels, ascending; without a parent all from 0 on.

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
        done = recorded(self.folder, gaps=self.parent is not None)
        left = [level for level in at if level not in done]
        description = self._describe(max([*at, *done]), left[0])
        self.checkpoint = Checkpoint(self.folder.checkpoint)
        if self.parent is None:
            yield from self._find(left, description)
        else:
            yield from self._train_tickets(left, self.parent)

    def _find(self, levels: Sequence[int], description: Description) -> Work:
        """Train levels one after the other, each with the mask that the one before it found."""
        level = levels[0]
        try:
            self.rewound = rewound = yield from self._rewind_point(description)
            for level in levels:
                failure = yield from self._level(level, self._own_ticket(level, rewound))
                if failure is not None and level < levels[-1]:
                    raise failure
        except Diverged:
            self._diverge(level, self._own_ticket(level, {}))
            self._tell("diverged", level=level)
        else:
            self._tell("done", level=levels[-1])

    def _train_tickets(self, levels: Sequence[int], parent: RunFolder) -> Work:
        """Train tickets of the parent, each whatever becomes of the others."""
        source, end = Source.read(parent), "done"
        keep_along(source, self.on, self.folder, self.keep)
        for level in levels:
            made = ticket(source, level, self.on, self.layers)
            write_mask(self.folder.mask(level), made.mask)
            end = "done"
            try:
                yield from self._level(level, made)
            except Diverged:
                self._diverge(level, made)
                end = "diverged"
        self._tell(end, level=levels[-1])

    def _diverge(self, level: int, made: Ticket) -> None:
        self._record(level, made, {"diverged": True})
        self.checkpoint.remove()

    # The parts of a run, in their order.

    def _is_known(self, at: Sequence[int]) -> bool:
        parent = self.parent.path.name if self.parent else None
        part = Part(self.recipe, tuple(at), self.folder, parent)
        end = part.known_end(self.seed, self.fingerprint, self.layers)
        if end is not None:
            self.on_event(end)
        return end is not None

    def _describe(self, levels: int, begin: int) -> Description:
        before = description_of(self.folder)
        versions = machine.versions() | {"data_sha256": self.images.sha256}
        here = machine.describe(self.device) | self.by_level.conditions(before)
        history = before.history if before else ()
        if before is not None:
            then = {**before.versions, **before.machine}
            for change in machine.changes(then, {**versions, **here}, f"run {self.run_id}"):
                self._warn(f"goes on under other conditions: {change}")
                history += (f"from level {begin}: {change}",)
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
            scales=dict(before.scales) if before else {},
            versions=versions,
            machine=here,
            history=history,
            files=(
                *self.network.sources,
                *self.scorer.pruner.sources,
                *file_of(self.fingerprint),
                *((self.pretrained.source,) if self.pretrained else ()),
            ),
            created_at=before.created_at if before else now,
            updated_at=now,
        )
        description.write(self.folder.description)
        return description

    def _rewind_point(self, description: Description) -> Generator[Training, None, Arrays]:
        """Return the weights every level starts from: kept, or trained again from the seed."""
        rewound = self._kept_rewind_point()
        has_init = "init" not in self.keep or self.folder.weights("init").exists()
        if rewound is not None and has_init and description.scales:
            return rewound
        initial = self.on.initial("init")
        if rewound is None:
            load_arrays(self.on.module, initial)
            if self.rewind > 0:
                trainer = self.by_level.trainer(_PRETRAIN, None, self.on)
                yield from self._train(trainer, _PRETRAIN, 0, self.rewind)
            rewound = state_arrays(self.on.module)
        scales = {"init": self._scales(initial), "rewind": self._scales(rewound)}
        description = description_of(self.folder) or description  # kernels have been added
        dataclasses.replace(description, scales=scales).write(self.folder.description)
        for name, arrays in (("init", initial), ("rewind", rewound)):
            if name in self.keep:
                write_tensors(self.folder.weights(name), arrays)
        return rewound

    def _kept_rewind_point(self) -> Arrays | None:
        try:
            arrays = read_tensors(self.folder.weights("rewind"))[0]
        except (FileNotFoundError, RecordError):  # a damaged file is computed again
            return None
        return arrays if fits(self.on.module, arrays) else None

    def _scales(self, arrays: Arrays) -> dict[str, float]:
        """Root mean square of every counted layer's weights."""
        weights = {name: arrays[f"{name}.weight"].astype(np.float64) for name in self.names}
        return {name: float(np.sqrt(np.mean(w**2))) for name, w in weights.items()}

    def _own_ticket(self, level: int, rewound: Arrays) -> Ticket:
        """Return what a level is trained from, by the mask that the one before it has found."""
        if level == 0 and self.restarts:  # the dense network runs through the whole schedule
            rewound = self.on.initial("init")
        if level > 0:
            return Ticket(rewound, found_mask(self.folder, level))
        mask = dense_mask(self.layers)
        write_mask(self.folder.mask(level), mask)
        return Ticket(rewound, mask)

    def _level(self, level: int, made: Ticket) -> Generator[Training, None, RgtoolError | None]:
        """Train, score, prune and record one level; return why no next mask was found, if so."""
        self.began = time.monotonic()
        mask, failure = made.mask, None
        load_arrays(self.on.module, made.weights)
        trainer = self.by_level.trainer(level, mask, self.on)
        if self.parent is None and self.scorer.pruner.sums_movement:
            trainer.sum_movement(self.names)
        trained, speed = yield from self._train(trainer, level, self.first, self.end, density(mask))
        numbers = self._evaluated(trained, speed) if self.recipe.epochs else {}
        if level == 0 and "dense" in self.keep:
            write_tensors(self.folder.weights("dense"), state_arrays(self.on.module))
        weights = layer_weights(self.on.module, self.names)
        if self.parent is None:
            # Before the record: a level that is recorded can be continued from, if any can.
            try:
                self._prune(level, made, trainer.movement)
            except RgtoolError as error:
                failure = error
                self._warn(f"finds no mask behind level {level}: {error}")
        magnitude = np.array(
            [np.abs(weights[n].astype(np.float64))[mask[n]].sum() for n in self.names]
        )
        self._record(level, made, numbers, magnitude)
        self.checkpoint.remove()
        told = {} if (accuracy := numbers.get("accuracy")) is None else {"accuracy": accuracy}
        self._tell("level", level=level, density=density(mask), **told)
        return failure

    def _evaluated(self, trained: Score, speed: float) -> dict[str, float | None]:
        """Return accuracies and losses of the network as it is."""
        test = evaluate(self.on.module, self.on.tests)
        numbers = {
            "accuracy": test.accuracy,
            "loss": test.loss if math.isfinite(test.loss) else None,
            "train_accuracy": trained.accuracy,
            "train_loss": trained.loss,
            "images_per_second": speed,
        }
        if self.on.validation:
            held_out = evaluate(self.on.module, self.on.validation)
            numbers["validation_accuracy"] = held_out.accuracy
            numbers["validation_loss"] = held_out.loss if math.isfinite(held_out.loss) else None
        return numbers

    def _prune(self, level: int, made: Ticket, movement: Movement | None) -> None:
        """Find the mask of the next level.

        Raises
        ------
        RgtoolError
            The pruner finds none.
        """
        sums = movement.by_layer() if movement and self.recipe.epochs else None
        began = made.weights
        if scores_rewound(self.recipe):
            state = began = self.rewound
        elif scores_dense(self.recipe):
            state = read_tensors(self.folder.weights("dense"))[0]
            began = self._own_ticket(0, self.rewound).weights
        else:
            state = state_arrays(self.on.module)
        pruned = self.scorer.next_mask(Trained(state, began, sums), made.mask, level + 1)
        write_mask(self.folder.mask(level + 1), pruned)

    def _record(
        self,
        level: int,
        made: Ticket,
        numbers: dict[str, float | None],
        magnitude: NDArray[np.float64] | None = None,
    ) -> None:
        kept_prev, magnitude_prev = previous(self.folder, level)
        if made.before is not None:
            kept_prev = kept_of(made.before, self.names)
        numbers |= {
            "wall_seconds": time.monotonic() - self.began,
            "peak_memory": machine.peak_memory(self.device),
        }
        table = build_record(
            self.run_id,
            level,
            self.layers,
            kept_of(made.mask, self.names),
            kept_prev=kept_prev,
            magnitude=magnitude,
            magnitude_prev=magnitude_prev,
            exempt=self.recipe.exempt,
            numbers=numbers,
        )
        write_record(self.folder.record(level), table)

    # Training inside a level, which can be left and entered at any step.

    def _train(
        self, trainer: Trainer, level: int, start: int, end: int, kept: float = 1.0
    ) -> Generator[Training, None, tuple[Score, float]]:
        """Train with checkpoints; return the last epoch's score and the images a second."""
        resumed = self.checkpoint.restore(trainer, level)
        start = start if resumed is None else resumed

        def save(done: int) -> None:
            self.checkpoint.save(trainer, level, done)

        def on_step(done: int) -> bool:
            stop = self.should_stop()
            if stop or self.checkpoint.due:
                save(done)
            return stop

        def on_epoch(epoch: int, score: Score) -> None:
            where = {"level": max(level, 0), "epoch": epoch, "density": kept}
            self._tell("epoch", **where, accuracy=score.accuracy)

        began = time.perf_counter()
        lane = Lane(trainer, on_step=on_step, on_epoch=on_epoch, on_stop=save)
        yield Training(lane, level, start, end, self.kernels)
        if lane.diverged:
            raise Diverged
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        images = (end - start) * self.on.loader.end / self.on.loader.iterations_per_epoch
        return lane.score, images / (time.perf_counter() - began)

    def _warn(self, text: str) -> None:
        self._tell("warning", message=f"run {self.run_id} {text}")

    def _tell(self, kind: str, **values: float | int | str) -> None:
        self.on_event(Event(kind=kind, seed=self.seed, **values))  # type: ignore[arg-type]
