"""Iterative magnitude pruning of one replicate: train, record, prune, rewind, repeat."""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from .checkpoint import Checkpoint
from .data import Images
from .event import Event
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
    fits,
    layer_weights,
    load_arrays,
    state_arrays,
)

if TYPE_CHECKING:
    import pyarrow as pa

KEEPABLE = ("init", "rewind", "dense")
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
        per_epoch = -(-len(images.y_train) // recipe.batch_size)
        self.rewind = Step.parse(recipe.rewind).iteration(per_epoch)
        self.end = recipe.epochs * per_epoch
        self.began = time.monotonic()

    # What takes memory is made when it is first used: a finished run needs none of it.

    @cached_property
    def _module(self) -> torch.nn.Module:
        shape, classes = self.images.input_shape, self.images.classes
        return build(self.recipe.architecture, shape, classes).to(self.device)

    @cached_property
    def _loader(self) -> Loader:
        return Loader(
            self.images,
            batch_size=self.recipe.batch_size,
            augment=self.recipe.augment,
            seed=self.seed,
            device=self.device,
        )

    @cached_property
    def _tests(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return test_batches(self.images, self.device)

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
            if self._is_known(levels):  # another process has just finished it
                return
            for left in self.folder.path.glob("**/.*.part"):  # by a process that was killed
                left.unlink(missing_ok=True)
            self._go_on(levels)

    def _go_on(self, levels: int) -> None:
        description = self._describe(levels)
        self.checkpoint = Checkpoint(self.folder.checkpoint)
        first = level = len(self._recorded())
        try:
            rewound = {} if self.parent else self._rewind_point(description)
            for level in range(first, levels + 1):
                self._level(level, rewound)
        except Diverged:
            self._record(level, self._mask(level), {"diverged": True})
            self.checkpoint.remove()
            self._tell("diverged", level=level)
        else:
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
        if done and self._read(done[-1])["diverged"][0].as_py():
            self._tell("known", level=done[-1], message="diverged")
            return True
        if len(done) > levels:
            self._tell("known", level=levels)
            return True
        return False

    def _read(self, level: int) -> pa.Table:
        try:
            return self.folder.read_record(level)
        except RecordError as error:
            raise RgtoolError(
                f"{error}; once that file is moved away, level {level} is computed again"
            ) from None

    def _describe(self, levels: int) -> Description:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        created, scales = now, {}
        versions = machine.versions() | {"data_sha256": self.images.sha256}
        here = machine.describe(self.device)
        before = self._description()
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

    def _description(self) -> Description | None:
        try:
            return self.folder.read_description()
        except RecordError as error:
            raise RgtoolError(f"{error}; once it is moved away, it is written again") from None

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
            self._module,
            init=self.recipe.init,
            fan=self.recipe.fan,
            bn_init=self.recipe.bn_init,
            rng=generator(self.seed, *purpose),
        )
        return state_arrays(self._module)

    def _rewind_point(self, description: Description) -> Arrays:
        """Return the weights every level starts from: kept, or trained again from the seed."""
        rewound = self._kept_rewind_point()
        has_init = "init" not in self.keep or self.folder.weights("init").exists()
        if rewound is not None and has_init and description.scales:
            return rewound
        initial = self._initial("init")
        if rewound is None:
            load_arrays(self._module, initial)
            if self.rewind > 0:
                trainer = Trainer(self._module, self.recipe, self._loader, mask=None)
                self._train(trainer, _PRETRAIN, 0, self.rewind)
            rewound = state_arrays(self._module)
        scales = {"init": self._scales(initial), "rewind": self._scales(rewound)}
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
        return arrays if fits(self._module, arrays) else None

    def _scales(self, arrays: Arrays) -> dict[str, float]:
        """Root mean square of every counted layer's weights."""
        weights = {name: arrays[f"{name}.weight"].astype(np.float64) for name in self.names}
        return {name: float(np.sqrt(np.mean(w**2))) for name, w in weights.items()}

    def _level(self, level: int, rewound: Arrays) -> None:
        """Train, score, prune and record one level."""
        self.began = time.monotonic()
        mask = self._mask(level)
        if self.parent is not None:  # the control: a new draw for every level, as in OpenLTH
            rewound = self._initial("reinit", level)
        load_arrays(self._module, rewound)
        trainer = Trainer(self._module, self.recipe, self._loader, mask)
        trained, speed = self._train(trainer, level, self.rewind, self.end, density(mask))
        test = evaluate(self._module, self._tests)
        weights = layer_weights(self._module, self.names)
        numbers: dict[str, float | None] = {
            "accuracy": test.accuracy,
            "loss": test.loss if math.isfinite(test.loss) else None,
            "train_accuracy": trained.accuracy,
            "train_loss": trained.loss,
            "images_per_second": speed,
        }
        if level == 0 and "dense" in self.keep:
            write_tensors(self.folder.weights("dense"), state_arrays(self._module))
        if self.parent is None:
            # Before the record: a level that is recorded can always be continued from.
            rng = generator(self.seed, "prune", level + 1)
            pruned = next_mask(weights, mask, self.layers, self.recipe, level + 1, rng)
            write_mask(self.folder.mask(level + 1), pruned)
        magnitude = np.array(
            [np.abs(weights[n].astype(np.float64))[mask[n]].sum() for n in self.names]
        )
        self._record(level, mask, numbers, magnitude)
        self.checkpoint.remove()
        self._tell("level", level=level, accuracy=test.accuracy, density=density(mask))

    def _mask(self, level: int) -> Mask:
        """Return the mask of a level: all of it, found by the level before, or the parent's."""
        if level == 0:
            mask = {layer.name: np.ones(layer.shape, dtype=np.bool_) for layer in self.layers}
        else:
            mask = self._found_mask(self.parent or self.folder, level)
        if level == 0 or self.parent is not None:
            write_mask(self.folder.mask(level), mask)
        return mask

    def _found_mask(self, folder: RunFolder, level: int) -> Mask:
        try:
            return read_mask(folder.mask(level))
        except (FileNotFoundError, RecordError) as error:
            raise RgtoolError(
                f"run {folder.path.name}: the mask of level {level} cannot be read ({error}); move "
                f"its records from level {level - 1} on away to compute it again"
            ) from None

    def _record(
        self,
        level: int,
        mask: Mask,
        numbers: dict[str, float | None],
        magnitude: NDArray[np.float64] | None = None,
    ) -> None:
        kept = np.array([int(mask[name].sum()) for name in self.names])
        kept_prev = magnitude_prev = None
        if level > 0:
            before = self._read(level - 1).to_pydict()
            kept_prev = np.array(before["kept"])
            magnitude_prev = np.array(before["magnitude"], dtype=np.float64)
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

    # Training inside a level, which can be left and entered at any step.

    def _train(
        self, trainer: Trainer, level: int, start: int, end: int, kept: float = 1.0
    ) -> tuple[Score, float]:
        """Train with checkpoints; return the last epoch's score and the images a second."""
        resumed = self.checkpoint.restore(trainer, level)
        start = start if resumed is None else resumed

        def on_step(done: int) -> bool:
            stop = self.should_stop()
            if stop or self.checkpoint.due:
                self.checkpoint.save(trainer, level, done)
            return stop

        def on_epoch(epoch: int, score: Score) -> None:
            where = {"level": max(level, 0), "epoch": epoch, "density": kept}
            self._tell("epoch", **where, accuracy=score.accuracy)

        began = time.perf_counter()
        score = trainer.run(start, end, on_step=on_step, on_epoch=on_epoch)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        images = (end - start) * self._loader.count / self._loader.iterations_per_epoch
        return score, images / (time.perf_counter() - began)

    def _tell(self, kind: str, **values: float | int | str) -> None:
        self.on_event(Event(kind=kind, seed=self.seed, **values))  # type: ignore[arg-type]


def density(mask: Mask) -> float:
    """Return the share of the weights that a mask keeps."""
    return sum(int(m.sum()) for m in mask.values()) / sum(m.size for m in mask.values())
