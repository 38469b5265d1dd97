"""What an experiment will compute: resolved and checked before anything is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ..schemas.blocks import Layer, with_width
from ..schemas.errors import UsageError
from ..schemas.layout import RunFolder, store_path
from ..schemas.recipe import Recipe
from . import arithmetic, machine
from .data import load
from .images import Images
from .kernels import EAGER, Kernels, kernels
from .launch import Launch
from .models import architecture, build, check_model
from .pretrained import Pretrained, read_pretrained
from .pruning import kept_series
from .recipes import DEFAULT, as_control, check_choosable
from .recipes import recipe as resolve

_MOST_SEEDS = 100_000
_MOST_LEVELS = 9999  # four digits name a record
_BRANCHES = 8  # replicas that a GPU gets at once; memory decides in the end


@dataclass(frozen=True)
class Plan:
    """What will be computed, resolved and checked.

    Attributes
    ----------
    recipe, recipe_name : Recipe, str
        What to do, and the name it was resolved from.
    task : str
        The data set as it was asked for: `cifar10`, `npz:FILE`.
    seeds : tuple of int
        Replicates.
    levels : int
        Prunings; a run has `levels` + 1 records.
    store : Path
        Folder of the store.
    data_folder : Path or None
        Folder of the data sets.
    device : str
        Device, as torch names it.
    workers : int
        Processes that compute at once.
    threads : int
        Threads of a process.
    replicas : int
        Replicas that train side by side in a process.
    keep : tuple of str
        Weights that stay in the store.
    deadline : float or None
        Time (seconds since the epoch) at which to stop cleanly.
    found : Recipe or None
        For a control: the experiment that finds the masks, computed first.
    kernels : Kernels
        How the steps are computed.
    init_file : Path or None
        File of the weights that training starts from.
    notes : tuple of str
        What should be said before anything is computed.
    """

    recipe: Recipe
    recipe_name: str
    task: str
    seeds: tuple[int, ...]
    levels: int
    store: Path
    data_folder: Path | None
    device: str
    workers: int
    keep: tuple[str, ...] = ("init", "rewind")
    deadline: float | None = None
    found: Recipe | None = None
    threads: int = machine.THREADS
    replicas: int = 1
    kernels: Kernels = EAGER
    init_file: Path | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def images(self) -> Images:
        """The data set."""
        recipe = self.recipe
        return load(self.task, self.data_folder, recipe.train_size, recipe.valid_size)

    @cached_property
    def pretrained(self) -> Pretrained | None:
        """The weights that training starts from."""
        return _pretrained(self.init_file, self.recipe.architecture, self.images)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The counted layers of the network."""
        network = architecture(
            self.recipe.architecture, self.images.input_shape, self.images.classes
        )
        return network.counted(self.recipe.prunable)

    @cached_property
    def kept(self) -> list[int]:
        """Kept weights of the network at every level."""
        return kept_series(self.layers, self.recipe, self.levels)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is cached: a worker loads the data itself.

        It must stay small: `multiprocessing` writes it into a pipe before the worker reads, and
        would wait for ever for one that died at its start.
        """
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def remaining(self) -> int:
        """Count the levels that are not on the disk yet, over all seeds."""
        runs = [
            RunFolder.of(self.store, run_id)
            for seed in self.seeds
            for run_id in self._run_ids(seed)
        ]
        return sum(max(0, self.levels + 1 - len(run.recorded_levels())) for run in runs)

    def run_id(self, seed: int) -> str:
        """Return the id of the run of a seed."""
        return self._run_ids(seed)[-1]

    def _run_ids(self, seed: int) -> list[str]:
        ids: list[str] = []
        for one in (self.found, self.recipe):
            if one is not None:
                ids.append(one.run_id(seed, ids[-1] if one.parent else None))
        return ids


def _pretrained(path: Path | None, model: str, images: Images) -> Pretrained | None:
    if path is None:
        return None
    return read_pretrained(path, build(model, images.input_shape, images.classes))


def plan(
    model: str,
    task: str,
    recipe: str | Path = DEFAULT,
    *,
    seeds: int | Sequence[int] = 1,
    levels: int = 16,
    store: str | Path | None = None,
    data: str | Path | None = None,
    init: str | Path | None = None,
    **options: Any,
) -> Plan:
    """Resolve and check an experiment without computing anything; see `run` for the parameters."""
    launch, changes = Launch.split(options)
    numbers, place = _numbers(seeds), store_path(store)
    _check_levels(levels)
    file = _file_of(init)
    if init is not None and file is None:
        changes["init"] = init
    check_choosable(changes)
    name = with_width(model, changes.get("width"))
    check_model(name)  # before the data, which may be long in coming
    folder = Path(data) if data is not None else None
    chosen = machine.device(launch.device)
    whole = load(task, folder)
    pretrained = _pretrained(file, name, whole)
    control = changes.pop("control", None) or "none"
    digest = pretrained.digest if pretrained else None
    _check_memory(name, whole)
    resolved = resolve(model, whole, str(recipe), pretrained=digest, **changes)
    note = arithmetic.check_precision(resolved.precision, chosen)
    found = None
    if control == "reinit":
        found, resolved = resolved, as_control(resolved)
    elif control != "none":
        resolved = replace(resolved, control=control)  # rejected there, with the known names
    workers, replicas = _spread(launch, len(numbers), chosen)
    made = Plan(
        recipe=resolved,
        recipe_name=Path(recipe).name,
        task=task,
        seeds=numbers,
        levels=levels,
        store=place,
        data_folder=folder,
        device=str(chosen),
        workers=workers,
        keep=tuple(launch.keep),
        deadline=None if launch.time_budget is None else time.time() + launch.time_budget,
        found=found,
        threads=launch.threads,
        replicas=replicas,
        kernels=kernels(launch.compile, chosen),
        init_file=pretrained.path if pretrained else None,
        notes=tuple(filter(None, (*whole.notes, note, pretrained.note if pretrained else ""))),
    )
    images = whole.hold_out(resolved.valid_size)  # loaded already
    if resolved.train_size is not None:
        images = images.balanced_subset(resolved.train_size)
    made.__dict__["images"] = images
    made.__dict__["pretrained"] = pretrained
    _ = made.kept  # raises where the levels are too many
    return made


def _numbers(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds that a count or a list means."""
    if isinstance(seeds, int):
        if not 0 < seeds <= _MOST_SEEDS:
            raise UsageError(
                f"seeds {seeds}: give a count such as 5, at most {_MOST_SEEDS}, or seeds such as "
                "3,7"
            )
        return tuple(range(seeds))
    numbers = tuple(dict.fromkeys(seeds))
    wrong = [seed for seed in numbers if not 0 <= seed < 2**63]
    if wrong or not numbers:
        found = wrong[0] if wrong else "none"
        raise UsageError(
            f"seeds: {found} is no seed: give a count such as 5, or seeds such as 3,7, from 0 to "
            "2^63 - 1"
        )
    return numbers


def _check_levels(levels: int) -> None:
    if not 0 <= levels <= _MOST_LEVELS:
        raise UsageError(
            f"levels is {levels}: it is the number of prunings, from 0 to {_MOST_LEVELS}"
        )


def _check_memory(name: str, images: Images) -> None:
    """Refuse a network whose weights alone, with gradient and momentum, no machine here holds."""
    layers = architecture(name, images.input_shape, images.classes).layers
    needed, there = 12 * sum(layer.total for layer in layers), machine.memory()
    if there is not None and needed > there:
        raise UsageError(
            f"{name} on {images.name} has {needed // 12:.3g} weights, which take "
            f"{needed / 1e9:.3g} GB to train: this machine has {there / 1e9:.3g} GB"
        )


def _file_of(init: str | Path | None) -> Path | None:
    """Tell a file of weights from the name of an initialiser, which has no suffix."""
    if init is None or not (isinstance(init, Path) or Path(init).suffix or Path(init).exists()):
        return None
    return Path(init)


def _spread(launch: Launch, seeds: int, device: torch.device) -> tuple[int, int]:
    """Return how many processes compute, and how many replicas train side by side in each."""
    workers = launch.workers
    if workers is None and (launch.replicas or 1) > 1:
        workers = 1
    at_once = min(seeds, workers or max(1, machine.workers(device) // launch.threads))
    side_by_side = launch.replicas or (1 if device.type == "cpu" else _BRANCHES)
    return at_once, min(side_by_side, -(-seeds // at_once))
