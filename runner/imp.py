"""Iterative magnitude pruning of one replicate: train, record, prune, rewind, repeat."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..schemas.blocks import Layer, architecture
from ..schemas.description import Description
from ..schemas.errors import RecordError, RgtoolError
from ..schemas.layout import RunFolder
from ..schemas.lock import lock
from ..schemas.recipe import Recipe
from ..schemas.record import build_record, write_record
from ..schemas.steps import Step
from ..schemas.tensors import read_mask, read_tensors, write_mask, write_tensors
from . import machine
from .data import Images
from .loader import Loader, test_batches
from .models import build, initialise
from .pruning import Mask, next_mask
from .randomness import generator
from .training import (
    Arrays,
    Diverged,
    Score,
    Trainer,
    evaluate,
    layer_weights,
    load_arrays,
    state_arrays,
)

KEEPABLE = ("init", "rewind", "dense")
CHECKPOINT_VARIABLE = "RGTOOL_CHECKPOINT_SECONDS"
CHECKPOINT_SECONDS = 30.0
_PRETRAIN = -1  # the level that a checkpoint before the rewind point is filed under


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something a progress display wants to know.

    Attributes
    ----------
    kind : str
        `epoch`, `level`, `warning`, or an end: `done`, `known` (was finished before), `stopped`,
        `diverged`, `failed`.
    seed, level : int
        Where.
    epoch : int
        Epochs done of this level.
    accuracy : float
        Of the last epoch's training batches (`epoch`) or of the test set (`level`).
    density : float
        Share of the weights that are kept.
    images_per_second : float
        Training speed since the last event of this run.
    message : str
        What went wrong (`failed`, `warning`).
    """

    kind: str
    seed: int
    level: int = 0
    epoch: int = 0
    accuracy: float = math.nan
    density: float = math.nan
    images_per_second: float = math.nan
    message: str = ""


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
    store : Path
        Folder of the store.
    device : torch.device
        Where to compute.
    on_event : callable
        Gets an `Event` every epoch and level.
    should_stop : callable
        Asked after every step; true ends the run cleanly, to be continued.
    keep : tuple of str
        Weights that stay: any of `KEEPABLE`.
    """

    def __init__(
        self,
        recipe: Recipe,
        recipe_name: str,
        seed: int,
        images: Images,
        store: Path,
        device: torch.device,
        *,
        on_event: Callable[[Event], None] = lambda event: None,
        should_stop: Callable[[], bool] = lambda: False,
        keep: tuple[str, ...] = ("init", "rewind"),
    ) -> None:
        self.recipe, self.recipe_name, self.seed = recipe, recipe_name, seed
        self.images, self.device, self.keep = images, device, keep
        self.on_event, self.should_stop = on_event, should_stop
        network = architecture(recipe.architecture, images.input_shape, images.classes)
        self.layers: tuple[Layer, ...] = network.counted(recipe.prunable)
        self.names = [layer.name for layer in self.layers]
        self.parent = self._parent_folder(store)
        self.run_id = recipe.run_id(seed, self.parent.path.name if self.parent else None)
        self.folder = RunFolder.of(store, self.run_id)
        self.module = build(recipe.architecture, images.input_shape, images.classes).to(device)
        self.loader = Loader(
            images,
            batch_size=recipe.batch_size,
            augment=recipe.augment,
            seed=seed,
            device=device,
        )
        self.tests = test_batches(images, device)
        per_epoch = self.loader.iterations_per_epoch
        self.rewind = Step.parse(recipe.rewind).iteration(per_epoch)
        self.end = recipe.epochs * per_epoch

    def _parent_folder(self, store: Path) -> RunFolder | None:
        if self.recipe.parent is None:
            return None
        return RunFolder.of(store, f"{self.recipe.parent}-s{self.seed}")

    def run(self, levels: int) -> None:
        """Bring the run to `levels` prunings, from wherever it stands.

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
        if self._is_known(levels):
            return
        self.folder.make()
        with lock(self.folder.path / "lock", f"run {self.run_id}"):
            description = self._describe(levels)
            rewound = {} if self.parent else self._rewind_point(description)
            for level in range(len(self._recorded()), levels + 1):
                if not self._level(level, rewound):
                    self._tell("diverged", level=level)
                    return
        self._tell("done", level=levels)

    # The parts of a run, in their order.

    def _recorded(self) -> list[int]:
        done = self.folder.recorded_levels()
        if done != list(range(len(done))):
            raise RgtoolError(
                f"run {self.run_id}: the records of levels {done} leave a gap; move those after "
                "the gap away to compute them again"
            )
        return done

    def _is_known(self, levels: int) -> bool:
        done = self._recorded()
        if done and self.folder.read_record(done[-1])["diverged"][0].as_py():
            self._tell("known", level=done[-1], message="diverged")
            return True
        if len(done) > levels:
            self._tell("known", level=levels)
            return True
        return False

    def _describe(self, levels: int) -> Description:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        created, scales = now, {}
        versions = machine.versions() | {"data_sha256": self.images.sha256}
        here = machine.describe(self.device)
        before = self.folder.read_description()
        if before is not None:
            created, scales = before.created_at, dict(before.scales)
            self._compare(dict(before.versions), versions)
            self._compare(dict(before.machine), here)
        description = Description(
            run_id=self.run_id,
            experiment_id=self.recipe.experiment_id,
            recipe_name=self.recipe_name,
            recipe=self.recipe,
            seed=self.seed,
            replicate=str(self.seed),
            levels=levels,
            parent_run=self.parent.path.name if self.parent else None,
            scales=scales,
            versions=versions,
            machine=here,
            created_at=created,
            updated_at=now,
        )
        description.write(self.folder.description)
        return description

    def _compare(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        """Warn where a run goes on under conditions that change the bits; refuse other data."""
        for name in ("data_sha256", "torch", "device", "threads", "instruction_set"):
            if name in before and before[name] != now[name]:
                change = f"{name} was {before[name]}, is {now[name]}"
                if name == "data_sha256":
                    raise RgtoolError(
                        f"run {self.run_id} began on other data ({change}): bring the same files, "
                        "or use another store"
                    )
                self._tell("warning", message=f"run {self.run_id} goes on elsewhere: {change}")

    def _initial(self, *purpose: str | int) -> Arrays:
        initialise(
            self.module,
            init=self.recipe.init,
            fan=self.recipe.fan,
            bn_init=self.recipe.bn_init,
            rng=generator(self.seed, *purpose),
        )
        return state_arrays(self.module)

    def _rewind_point(self, description: Description) -> Arrays:
        """Return the weights every level starts from: kept, or trained again from the seed."""
        path = self.folder.weights("rewind")
        if path.exists():
            with contextlib.suppress(RecordError):  # a damaged file is computed again
                return read_tensors(path)[0]
        initial = self._initial("init")
        if "init" in self.keep:
            write_tensors(self.folder.weights("init"), initial)
        rewound = initial
        if self.rewind > 0:
            load_arrays(self.module, initial)
            trainer = Trainer(self.module, self.recipe, self.loader, mask=None)
            self._train(trainer, _PRETRAIN, 0, self.rewind)
            rewound = state_arrays(self.module)
        if "rewind" in self.keep:
            write_tensors(path, rewound)
        scales = {"init": self._scales(initial), "rewind": self._scales(rewound)}
        dataclasses.replace(description, scales=scales).write(self.folder.description)
        return rewound

    def _scales(self, arrays: Arrays) -> dict[str, float]:
        """Root mean square of every counted layer's weights."""
        weights = {name: arrays[f"{name}.weight"].astype(np.float64) for name in self.names}
        return {name: float(np.sqrt(np.mean(w**2))) for name, w in weights.items()}

    def _level(self, level: int, rewound: Arrays) -> bool:
        """Train, score, prune and record one level; false where training diverged."""
        began = time.monotonic()
        mask = self._mask(level)
        if self.parent is not None:  # the control: a new draw for every level, as in OpenLTH
            rewound = self._initial("reinit", level)
        load_arrays(self.module, rewound)
        trainer = Trainer(self.module, self.recipe, self.loader, mask)
        try:
            trained, speed = self._train(trainer, level, self.rewind, self.end, density(mask))
        except Diverged:
            self._record(level, mask, {"diverged": True}, began)
            return False
        test = evaluate(self.module, self.tests)
        weights = layer_weights(self.module, self.names)
        numbers: dict[str, float | None] = {
            "accuracy": test.accuracy,
            "loss": test.loss if math.isfinite(test.loss) else None,
            "train_accuracy": trained.accuracy,
            "train_loss": trained.loss,
            "images_per_second": speed,
        }
        if level == 0 and "dense" in self.keep:
            write_tensors(self.folder.weights("dense"), state_arrays(self.module))
        if self.parent is None:
            # Before the record: a level that is recorded can always be continued from.
            rng = generator(self.seed, "prune", level + 1)
            pruned = next_mask(weights, mask, self.layers, self.recipe, level + 1, rng)
            write_mask(self.folder.mask(level + 1), pruned)
        magnitude = np.array(
            [np.abs(weights[n].astype(np.float64))[mask[n]].sum() for n in self.names]
        )
        self._record(level, mask, numbers, began, magnitude)
        self.folder.checkpoint.unlink(missing_ok=True)
        self._tell("level", level=level, accuracy=test.accuracy, density=density(mask))
        return True

    def _mask(self, level: int) -> Mask:
        if self.parent is not None:
            mask = read_mask(self.parent.mask(level))
            if not self.folder.mask(level).exists():
                write_mask(self.folder.mask(level), mask)
            return mask
        if level == 0:
            mask = {layer.name: np.ones(layer.shape, dtype=np.bool_) for layer in self.layers}
            write_mask(self.folder.mask(0), mask)
            return mask
        try:
            return read_mask(self.folder.mask(level))
        except (FileNotFoundError, RecordError) as error:
            raise RgtoolError(
                f"run {self.run_id}: the mask of level {level} cannot be read ({error}); move "
                f"the record of level {level - 1} away to compute it again"
            ) from None

    def _record(
        self,
        level: int,
        mask: Mask,
        numbers: dict[str, float | None],
        began: float,
        magnitude: NDArray[np.float64] | None = None,
    ) -> None:
        kept = np.array([int(mask[name].sum()) for name in self.names])
        kept_prev = magnitude_prev = None
        if level > 0:
            before = self.folder.read_record(level - 1).to_pydict()
            kept_prev = np.array(before["kept"])
            magnitude_prev = np.array(before["magnitude"], dtype=np.float64)
        numbers |= {
            "wall_seconds": time.monotonic() - began,
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

    # Training inside a level, which can be left and entered at any step.

    def _train(
        self, trainer: Trainer, level: int, start: int, end: int, kept: float = 1.0
    ) -> tuple[Score, float]:
        """Train with checkpoints; return the last epoch's score and the images a second."""
        start = self._resume(trainer, level, start)
        clock = _Clock()

        def on_step(done: int) -> bool:
            if self.should_stop():
                self._checkpoint(trainer, level, done)
                return True
            if clock.due():
                self._checkpoint(trainer, level, done)
            return False

        def on_epoch(epoch: int, score: Score) -> None:
            where = {"level": max(level, 0), "epoch": epoch, "density": kept}
            self._tell("epoch", **where, accuracy=score.accuracy)

        began = time.perf_counter()
        score = trainer.run(start, end, on_step=on_step, on_epoch=on_epoch)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        images = (end - start) * self.loader.count / self.loader.iterations_per_epoch
        return score, images / (time.perf_counter() - began)

    def _resume(self, trainer: Trainer, level: int, start: int) -> int:
        try:
            arrays, metadata = read_tensors(self.folder.checkpoint)
            state = json.loads(metadata["state"])
        except (FileNotFoundError, RecordError, KeyError, ValueError):
            return start
        if state["level"] != level:
            return start
        trainer.restore(arrays)
        return int(state["iteration"])

    def _checkpoint(self, trainer: Trainer, level: int, done: int) -> None:
        state = json.dumps({"level": level, "iteration": done})
        write_tensors(self.folder.checkpoint, trainer.state(), {"state": state})

    def _tell(self, kind: str, **values: float | int | str) -> None:
        self.on_event(Event(kind=kind, seed=self.seed, **values))  # type: ignore[arg-type]


class _Clock:
    """Says when the next checkpoint is due."""

    def __init__(self) -> None:
        self.every = float(os.environ.get(CHECKPOINT_VARIABLE) or CHECKPOINT_SECONDS)
        self.last = time.monotonic()

    def due(self) -> bool:
        now = time.monotonic()
        if now - self.last < self.every:
            return False
        self.last = now
        return True


def density(mask: Mask) -> float:
    """Return the share of the weights that a mask keeps."""
    return sum(int(m.sum()) for m in mask.values()) / sum(m.size for m in mask.values())
