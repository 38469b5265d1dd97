"""What an experiment will compute: resolved and checked before anything is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..schemas.blocks import Architecture, Layer
from ..schemas.display import Row, Shown, Table
from ..schemas.errors import RgtoolError, UsageError, choose
from ..schemas.recipe import CHOICES, Recipe
from ..schemas.records.layout import RunFolder, store_path
from ..schemas.words import counted, size, spelled
from ..schemas.wrapping import innermost
from . import machine
from .arguments import check_levels, check_order, file_of, in_known_case, seeds_of
from .data import Loading, Task, find_task, load, outline
from .datasets.images import Images
from .datasets.known_data import KNOWN_DATA, default_folder
from .event import Event
from .launch import Launch
from .models import Builder, Network, find_network
from .own.notes import introduction, unshipped
from .own.trial import Traits
from .pruning import kept_series
from .recipes import DEFAULT, as_control, check_choosable, name_of
from .recipes import recipe as resolve
from .records import hold, known_end
from .replicas import arithmetic
from .replicas.kernels import EAGER, Kernels, by_level, kernels
from .replicas.pretrained import Pretrained, read_pretrained

_BRANCHES = 8  # replicas that a GPU gets at once; memory decides in the end


@dataclass(frozen=True)
class Plan(Shown):
    """What will be computed, resolved and checked.

    Attributes
    ----------
    recipe, recipe_name : Recipe, str
        What to do, and the name it was resolved from.
    network : KnownNetwork or OwnNetwork
        What is trained.
    task : str, OwnFunction or Wrapped
        The data set by its name or its place: `cifar10`, `npz:FILE`, a function of the user's own,
        or what is made of one of them.
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
    network: Network
    task: Task
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

    def table(self, measured: Sequence[Row] = ()) -> Table:
        """Return what `rgtool run --dry-run` prints, what it measures (`measured`) told apart."""
        records, processes = self.records, counted(self.workers, "process", "processes")
        rows: list[Row] = [
            ("experiment", self.recipe.experiment_id),
            ("runs", ", ".join(f"seed {seed}" for seed in self.seeds)),
            ("prunable weights", f"{self.kept[0]}"),
            ("kept weights", " ".join(map(str, self.kept))),
            ("records", f"{records}, of which {self.remaining()} are to be computed"),
            ("device", f"{self.device}, {processes} of {counted(self.threads, 'thread')}"),
            ("side by side", f"{counted(self.replicas, 'seed')} in a process"),
            ("kernels", self.kernels.words),
            *measured,
        ]
        for name, value in self.recipe.to_json().items():
            rows.append((f"recipe.{name}", str(spelled(value, "none"))))
        title = f"{self.recipe_name}: nothing was computed"
        return Table(("what", "value"), rows, title=title, notes=self.notes)

    @property
    def records(self) -> int:
        """Records that the whole experiment has."""
        return (1 if self.found is None else 2) * len(self.seeds) * (self.levels + 1)

    @cached_property
    def images(self) -> Images:
        """The data set, downloaded where it must be."""
        recipe = self.recipe
        images = load(self.task, self.data_folder, recipe.train_size, recipe.valid_size)
        if images.name != recipe.task:
            raise RgtoolError(
                f"{recipe.task}: other data than before ({images.name}): they must be the same "
                "every time; seed what is drawn, and leave augmentation to the recipe"
            )
        return images

    @cached_property
    def outline(self) -> Images:
        """The data set, or noise of its shape for as long as it is not here."""
        noise = outline(self.task, self.data_folder)
        if noise is None:
            return self.images
        return noise.part(self.recipe.train_size, self.recipe.valid_size)

    @cached_property
    def pretrained(self) -> Pretrained | None:
        """The weights that training starts from."""
        return _pretrained(self.init_file, self.network, self.outline)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The counted layers of the network."""
        return self._traits.architecture.counted(self.recipe.prunable)

    @property
    def _traits(self) -> Traits:
        return self.network.traits(self.outline.input_shape, self.outline.classes)

    @cached_property
    def kept(self) -> list[int]:
        """Kept weights of the network at every level."""
        return kept_series(self.layers, self.recipe, self.levels)

    @property
    def portable(self) -> bool:
        """Whether other processes can compute it too."""
        return not unshipped(self.network, self.task)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is cached: a worker loads the data itself.

        It must stay small: `multiprocessing` writes it into a pipe before the worker reads, and
        would wait for ever for one that died at its start.
        """
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def load(self) -> None:
        """Load the data where anything is left to compute, downloading it where it must be.

        Raises
        ------
        RgtoolError
            It is not here and cannot be downloaded; the message says where it belongs.
        """
        if not self.is_finished:
            _ = self.images  # is kept

    def remaining(self) -> int:
        """Count the levels that are not on the disk yet, over all seeds."""
        return sum(map(self.remaining_of, self.seeds))

    def remaining_of(self, seed: int) -> int:
        """Count the levels of a seed that are not on the disk yet; none of one that diverged."""
        return len(self.levels_to_do(seed))

    def levels_to_do(self, seed: int) -> list[int]:
        """List the levels of a seed that are not on the disk yet, those of its parent first."""
        if self.known_end(seed) is not None:
            return []
        whole = range(self.levels + 1)
        return [n for run in self._runs(seed) for n in whole[len(run.recorded_levels()) :]]

    def known_end(self, seed: int) -> Event | None:
        """Return how a seed ended of which nothing is left to compute; None where something is."""
        end = None
        for run in self._runs(seed):
            try:
                hold(run, self._traits.fingerprint, self.layers)
                end = known_end(run, seed, self.levels)
            except RgtoolError:  # the seed fails for it, and says so
                return None
            if end is None or end.message == "diverged":  # the masks that a control would train
                return end
        return end

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to compute."""
        return all(self.known_end(seed) is not None for seed in self.seeds)

    def _runs(self, seed: int) -> list[RunFolder]:
        return [RunFolder.of(self.store, run_id) for run_id in self._run_ids(seed)]

    def run_id(self, seed: int) -> str:
        """Return the id of the run of a seed."""
        return self._run_ids(seed)[-1]

    def _run_ids(self, seed: int) -> list[str]:
        ids: list[str] = []
        for one in (self.found, self.recipe):
            if one is not None:
                ids.append(one.run_id(seed, ids[-1] if one.parent else None))
        return ids


def _to_come(task: str, folder: Path | None) -> str:
    name = innermost(task)
    return (
        f"{name} is not in {folder or default_folder()}: training begins with its download, "
        f"{size(KNOWN_DATA[name].download)}"
    )


def _pretrained(path: Path | None, network: Network, images: Images) -> Pretrained | None:
    if path is None:
        return None
    return read_pretrained(path, _built(network, images))


def _built(network: Network, images: Images) -> nn.Module:
    """Build a network for its shapes; what it draws is of no matter."""
    with torch.random.fork_rng(devices=[]):
        return network.build(images.input_shape, images.classes)


def plan(
    model: str | Builder,
    task: str | Loading,
    recipe: str | Path = DEFAULT,
    *,
    seeds: str | int | Sequence[int] = 1,
    levels: int = 16,
    store: str | Path | None = None,
    data: str | Path | None = None,
    init: str | Path | None = None,
    blocks: str | Path | None = None,
    **options: Any,
) -> Plan:
    """Resolve and check an experiment without computing anything; see `run` for the parameters.

    A published data set that is not here is not downloaded for it: its shape is known.
    """
    launch, changes = Launch.split(in_known_case(options))
    numbers, place = seeds_of(seeds), store_path(store)
    check_levels(levels)
    file = file_of(init)
    if init is not None and file is None:
        changes["init"] = init
    check_choosable(changes)
    check_order(model, task)
    # Before the data, which may be long in coming.
    block_map = Path(blocks) if blocks is not None else None
    network = find_network(model, width=changes.pop("width", None), block_map=block_map)
    source, chosen = find_task(task), machine.device(launch.device)
    folder = Path(data) if data is not None else None
    noise = outline(source, folder)
    whole = load(source, folder) if noise is None else noise
    traits = network.traits(whole.input_shape, whole.classes)
    _check_memory(traits.architecture, whole)
    pretrained = _pretrained(file, network, whole)
    found, resolved = _resolved(network, whole, str(recipe), pretrained, changes)
    steps = kernels(launch.compile, chosen, draws=traits.draws)
    build = partial(_built, network, whole)
    steps = by_level(steps, launch.kernels, chosen, build, resolved, whole.input_shape)
    notes = (
        *whole.notes,
        "" if noise is None else _to_come(noise.name, folder),
        *introduction(network, place, found or resolved),
        *traits.notes,
        *(stays := unshipped(network, source)),
        arithmetic.check_precision(resolved.precision, chosen),
        steps.reason if chosen.type == "cpu" else "",
        pretrained.note if pretrained else "",
    )
    workers, replicas = _spread(launch, len(numbers), chosen, 1 if stays else None)
    made = Plan(
        recipe=resolved,
        recipe_name=name_of(recipe),
        network=network,
        task=source,
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
        kernels=steps,
        init_file=pretrained.path if pretrained else None,
        notes=tuple(filter(None, notes)),
    )
    part = whole.part(resolved.train_size, resolved.valid_size)
    made.__dict__["images" if noise is None else "outline"] = part
    made.__dict__["pretrained"] = pretrained
    _ = made.kept  # raises where the levels are too many
    return made


def _resolved(
    network: Network,
    images: Images,
    name: str,
    pretrained: Pretrained | None,
    changes: dict[str, Any],
) -> tuple[Recipe | None, Recipe]:
    """Return what finds the masks, where another experiment does, and what is to be computed."""
    control = choose("control", changes.pop("control", None) or "none", CHOICES["control"])
    digest = pretrained.digest if pretrained else None
    resolved = resolve(network, images, name, pretrained=digest, **changes)
    return (resolved, as_control(resolved)) if control == "reinit" else (None, resolved)


def _check_memory(network: Architecture, images: Images) -> None:
    """Refuse a network whose weights alone, with gradient and momentum, no machine here holds."""
    layers = network.layers
    needed, there = 12 * sum(layer.total for layer in layers), machine.memory()
    if there is not None and needed > there:
        raise UsageError(
            f"{network.name} on {images.name} has {needed // 12:.3g} weights, which take "
            f"{needed / 1e9:.3g} GB to train: this machine has {there / 1e9:.3g} GB"
        )


def _spread(launch: Launch, seeds: int, device: torch.device, most: int | None) -> tuple[int, int]:
    """Return how many processes compute, at most `most`, and how many replicas in each."""
    workers = most or launch.workers
    if workers is None and (launch.replicas or 1) > 1:
        workers = 1
    at_once = min(seeds, workers or max(1, machine.workers(device) // launch.threads))
    side_by_side = launch.replicas or (1 if device.type == "cpu" else _BRANCHES)
    return at_once, min(side_by_side, -(-seeds // at_once))
