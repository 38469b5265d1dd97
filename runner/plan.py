"""What an experiment will compute: resolved and checked before anything is done."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..schemas.blocks import Architecture, Layer
from ..schemas.display import Row, Shown, Table
from ..schemas.errors import RgtoolError, UsageError
from ..schemas.recipe import Recipe
from ..schemas.records.data_names import innermost
from ..schemas.records.layout import RunFolder, store_path
from ..schemas.records.parents import Parent
from ..schemas.words import counted, spelled
from . import machine
from .arguments import (
    DEFAULT_LEVELS,
    Seeds,
    check_one_way,
    check_order,
    file_of,
    in_known_case,
    levels_of,
    pairs_of,
)
from .data import Loading, Task, load, outline
from .datasets.images import Images
from .datasets.known_data import to_come
from .event import Event
from .launch import Launch
from .models import Builder, Network, find_network
from .own.notes import introduction, unshipped
from .own.stored import Using, introduce_pruner, places_of, stored_network, stored_task
from .own.trial import Traits
from .pruners.registry import KnownPruner, Pruner, find_pruner
from .pruning import kept_series
from .recipes import DEFAULT, check_choosable, name_of
from .records import Part
from .replicas import arithmetic
from .replicas.kernels import EAGER, Kernels, by_level, kernels
from .replicas.pretrained import Pretrained, read_pretrained
from .tickets.child import child, own
from .tickets.fit import kept_by_tickets
from .tickets.pixels import harder
from .tickets.request import Request, Wanted
from .tickets.source import Source


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
        The data set: its name, `npz:FILE`, a function of the user's own, or what is made of one.
    seeds : tuple of int
        Replicates.
    at : tuple of int
        Levels that a run has records of, ascending; of a run that prunes by itself all from its
        first on.
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
        For a control without a parent: the experiment that finds its tickets, computed first.
    parents : dict of int to str
        The run whose tickets each seed trains; empty where runs find their own.
    kernels : Kernels
        How the steps are computed.
    pruner : Pruner
        What ranks the weights; of children, which prune nothing, any.
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
    at: tuple[int, ...]
    store: Path
    data_folder: Path | None
    device: str
    workers: int
    keep: tuple[str, ...] = ("init", "rewind")
    deadline: float | None = None
    found: Recipe | None = None
    parents: Mapping[int, str] = field(default_factory=dict)
    threads: int = machine.THREADS
    replicas: int = 1
    kernels: Kernels = EAGER
    pruner: Pruner = KnownPruner(Recipe.pruner)
    init_file: Path | None = None
    notes: tuple[str, ...] = ()

    def table(self, measured: Sequence[Row] = ()) -> Table:
        """Return what `rgtool run --dry-run` prints, what it measures (`measured`) told apart."""
        records, processes = self.records, counted(self.workers, "process", "processes")
        rows: list[Row] = [
            ("experiment", self.recipe.experiment_id),
            ("runs", ", ".join(f"seed {seed}" for seed in self.seeds)),
            ("prunable weights", f"{self.total}"),
            ("kept weights", " ".join(str(self.kept[level]) for level in self.at)),
            *((f"parent of seed {seed}", run) for seed, run in self.parents.items()),
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
    def levels(self) -> int:
        """Prunings of the last level."""
        return self.at[-1]

    @property
    def records(self) -> int:
        """Records that the whole experiment has."""
        own = 0 if self.found is None else self.levels + 1
        return len(self.seeds) * (own + len(self.at))

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
        """Kept weights of the network at every level up to the last."""
        if self.parents and self.found is None:
            source = Source.read(self._folder(self.parents[self.seeds[0]]))
            network = self._traits.architecture
            return kept_by_tickets(source, self.recipe, network, self.outline, self.levels)
        return kept_series(self.layers, self.recipe, self.levels)

    @property
    def total(self) -> int:
        """Weights of the counted layers."""
        return sum(layer.total for layer in self.layers)

    @property
    def portable(self) -> bool:
        """Whether other processes can compute it too."""
        return not unshipped(self.network, self.task, self.pruner)

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

    @property
    def work(self) -> float:
        """Images to be trained on times weights: what the duration grows with."""
        left = self.remaining()
        images = left and left * self.recipe.whole_epochs * len(self.outline.y_train)
        return float(images) * self.total

    def remaining_of(self, seed: int) -> int:
        """Count the levels of a seed that are not on the disk yet; none of one that diverged."""
        return len(self.levels_to_do(seed))

    def levels_to_do(self, seed: int) -> list[int]:
        """List the levels of a seed that are not on the disk yet, those of its parent first."""
        if self.known_end(seed) is not None:
            return []
        return [level for one in self.parts(seed) for level in one.left]

    def known_end(self, seed: int) -> Event | None:
        """Return how a seed ended of which nothing is left to compute; None where something is."""
        end = None
        for one in self.parts(seed):
            try:
                end = one.known_end(seed, self._traits.fingerprint, self.layers)
            except RgtoolError:  # the seed fails for it, and says so
                return None
            if end is None or end.message == "diverged":  # the masks that a control would train
                return end
        return end

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to compute."""
        return all(self.known_end(seed) is not None for seed in self.seeds)

    def run_id(self, seed: int) -> str:
        """Return the id of the run of a seed."""
        return self.recipe.run_id(seed, self.parents.get(seed))

    def parts(self, seed: int) -> list[Part]:
        """Return the runs that a seed computes, one after the other."""
        last = Part(self.recipe, self.at, self._folder(self.run_id(seed)), self.parents.get(seed))
        if self.found is None:
            return [last]
        whole = tuple(range(self.levels + 1))
        return [Part(self.found, whole, self._folder(self.found.run_id(seed))), last]

    def _folder(self, run_id: str) -> RunFolder:
        return RunFolder.of(self.store, run_id)


def _pretrained(path: Path | None, network: Network, images: Images) -> Pretrained | None:
    if path is None:
        return None
    return read_pretrained(path, _built(network, images))


def _built(network: Network, images: Images) -> nn.Module:
    """Build a network for its shapes; what it draws is of no matter."""
    with torch.random.fork_rng(devices=[]):
        return network.build(images.input_shape, images.classes)


def plan(
    model: str | Builder | Network,
    task: Loading | Task,
    recipe: str | Path | Recipe | None = None,
    *,
    seeds: Seeds = 1,
    levels: int = DEFAULT_LEVELS,
    at: str | int | Sequence[int] | None = None,
    parent: Parent | str | None = None,
    transform: str | None = None,
    fresh: str | Sequence[str] = (),
    start: int | None = None,
    store: str | Path | None = None,
    data: str | Path | None = None,
    using: Using = (),
    init: str | Path | None = None,
    blocks: str | Path | None = None,
    **options: Any,
) -> Plan:
    """Resolve and check an experiment without computing anything; see `run` for the parameters.

    A published data set that is not here is not downloaded for it: its shape is known.
    """
    launch, changes = Launch.split(in_known_case(options))
    pairs, place = pairs_of(seeds), store_path(store)
    wanted_at = levels_of(levels, at, start)
    wanted = Wanted.read(changes.pop("control", None), transform, fresh, start)
    file = file_of(init)
    if init is not None and file is None:
        changes["init"] = init
    check_choosable(changes)
    check_order(model, task)
    # Before the data, which may be long in coming.
    block_map = Path(blocks) if blocks is not None else None
    model = stored_network(model, using, block_map)
    network = find_network(model, width=changes.pop("width", None), block_map=block_map)
    if isinstance(recipe, Recipe) and parent is None:
        introduce_pruner(recipe.pruner, using)
    folder = Path(data) if data is not None else None
    source, chosen = stored_task(task, using, folder), machine.device(launch.device)
    noise = outline(source, folder)
    whole = load(source, folder) if noise is None else noise
    traits = network.traits(whole.input_shape, whole.classes)
    _check_memory(traits.architecture, whole)
    pretrained = _pretrained(file, network, whole)
    named = str(recipe) if isinstance(recipe, Path) else recipe
    where = place, folder, places_of(using)
    asked_for = Request(network, whole, named, changes, pairs, wanted_at, wanted, *where)
    build = partial(_built, network, whole)
    if parent is None:
        lineage = own(asked_for, pretrained.digest if pretrained else None)
    else:
        lineage = child(asked_for, _held(parent, pretrained), build)
    if at is not None:
        check_one_way(levels, wanted_at)
    resolved = lineage.recipe
    pruner = find_pruner(resolved.pruner) if resolved.finds_masks else KnownPruner(Recipe.pruner)
    steps = kernels(launch.compile, chosen, draws=traits.draws)
    steps = by_level(steps, launch.kernels, chosen, build, resolved, whole.input_shape)
    notes = (
        *whole.notes,
        "" if noise is None else to_come(innermost(noise.name), folder),
        *introduction(network, place, lineage.found or resolved),
        *traits.notes,
        harder(traits.architecture, whole),
        *(stays := unshipped(network, source, pruner)),
        arithmetic.check_precision(resolved.precision, chosen),
        steps.reason if chosen.type == "cpu" else "",
        pretrained.note if pretrained else "",
        *lineage.notes,
    )
    workers, replicas = launch.spread(len(pairs), chosen, 1 if stays else None)
    made = Plan(
        recipe=resolved,
        recipe_name=name_of(recipe or (parent.recipe if isinstance(parent, Parent) else DEFAULT)),
        network=network,
        task=source,
        seeds=tuple(pairs),
        at=asked_for.at,
        store=place,
        data_folder=folder,
        device=str(chosen),
        workers=workers,
        keep=tuple(launch.keep),
        deadline=None if launch.time_budget is None else time.time() + launch.time_budget,
        found=lineage.found,
        parents=lineage.parents,
        threads=launch.threads,
        replicas=replicas,
        kernels=steps,
        pruner=pruner,
        init_file=pretrained.path if pretrained else None,
        notes=tuple(filter(None, notes)),
    )
    part = whole.part(resolved.train_size, resolved.valid_size)
    made.__dict__["images" if noise is None else "outline"] = part
    made.__dict__["pretrained"] = pretrained
    if resolved.finds_masks:
        _ = made.kept  # raises where the levels are too many
    return made


def _held(parent: Parent | str, pretrained: Pretrained | None) -> Parent:
    """Hold a parent to what it must be here."""
    if not isinstance(parent, Parent):
        raise UsageError(
            f"parent {parent}: rgtool.run and rgtool.plan take what selects an experiment; here it "
            "is due itself, as store.catalogue.parents.parent_of finds it"
        )
    if pretrained is not None:
        raise UsageError(f"{pretrained.path}: a child starts from its parent's weights, not these")
    return parent


def _check_memory(network: Architecture, images: Images) -> None:
    """Refuse a network whose weights alone, with gradient and momentum, no machine here holds."""
    layers = network.layers
    needed, there = 12 * sum(layer.total for layer in layers), machine.memory()
    if there is not None and needed > there:
        raise UsageError(
            f"{network.name} on {images.name} has {needed // 12:.3g} weights, which take "
            f"{needed / 1e9:.3g} GB to train: this machine has {there / 1e9:.3g} GB"
        )
