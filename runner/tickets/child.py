"""What a child is: the recipe that it is trained by, resolved from its parent's and held to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ...schemas.blocks import Architecture
from ...schemas.errors import RgtoolError, UsageError, choose, known_name
from ...schemas.recipe import CHOICES, Recipe
from ...schemas.records.layout import RunFolder
from ...schemas.records.parents import Parent
from ...schemas.spelling import asked
from ...schemas.steps import Step
from ...schemas.words import listed
from ..data import find_task, load, outline
from ..datasets.images import Images
from ..models import Network
from ..recipes import DEFAULT, iterations_per_epoch
from ..recipes import recipe as resolve
from .pixels import astray
from .source import Source
from .transforms import Tensors, Transformation, transformation

# What says how masks were found: a child takes its parent's masks, and so these of its recipe.
OF_MASKS = ("prune", "pruner", "scope", "rounding", "prunable", "exempt")


@dataclass(frozen=True)
class Wanted:
    """What is to become of tickets.

    Attributes
    ----------
    control : str
        What of them is drawn anew.
    transform : str or None
        How they become those of another network.
    fresh : tuple of str
        Layers that are drawn from the child's seed.
    """

    control: str = "none"
    transform: str | None = None
    fresh: tuple[str, ...] = ()

    @classmethod
    def read(
        cls, control: str | None, transform: str | None, fresh: str | Sequence[str] | None
    ) -> Wanted:
        """Read it as it was asked for; `conv1,fc` names two layers.

        Raises
        ------
        UsageError
            The control is unknown.
        """
        layers = fresh.split(",") if isinstance(fresh, str) else fresh or ()
        named = tuple(filter(None, (layer.strip() for layer in layers)))
        return cls(choose("control", control or "none", CHOICES["control"]), transform, named)


@dataclass(frozen=True)
class Request:
    """An experiment that is asked for, its network and its data found.

    Attributes
    ----------
    network, images : KnownNetwork or OwnNetwork, Images
        What is trained, and on what: the whole data set, or noise of its shape.
    recipe, changes : str or Recipe or None, mapping
        By which recipe, and the fields that differ.
    seeds, at : tuple of int
        Replicates and levels.
    wanted : Wanted
        What is to become of tickets.
    store : Path
        Where runs are.
    data : Path or None
        Where data sets are.
    """

    network: Network
    images: Images
    recipe: str | Recipe | None
    changes: Mapping[str, Any]
    seeds: tuple[int, ...]
    at: tuple[int, ...]
    wanted: Wanted
    store: Path
    data: Path | None

    def resolved(self, name: str | Recipe, pretrained: str | None, **changes: Any) -> Recipe:
        """Return the recipe of its training."""
        changes = {**self.changes, **changes}
        return resolve(self.network, self.images, name, pretrained=pretrained, **changes)


@dataclass(frozen=True)
class Lineage:
    """What an experiment does, and where its tickets come from.

    Attributes
    ----------
    recipe : Recipe
        What it does.
    found : Recipe or None
        The experiment that finds its tickets and is to be computed first.
    parents : dict of int to str
        The run whose tickets each seed trains.
    notes : tuple of str
        What should be said.
    """

    recipe: Recipe
    found: Recipe | None = None
    parents: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def own(asked_for: Request, pretrained: str | None) -> Lineage:
    """Resolve an experiment that finds its tickets, or the control of one that does.

    Parameters
    ----------
    asked_for : Request
        What is asked for.
    pretrained : str or None
        Hash of the weights that training starts from.

    Raises
    ------
    UsageError
        It cannot be run, or asks for what only the child of a parent has.
    """
    wanted, at = asked_for.wanted, asked_for.at
    for name in ("transform", "fresh"):
        if value := getattr(wanted, name):
            raise UsageError(
                f"{asked(name, value)} is of tickets of another experiment: name that with "
                f"{asked('parent', 'EXPERIMENT')}"
            )
    found = asked_for.resolved(asked_for.recipe or DEFAULT, pretrained)
    if wanted.control == "none":
        if len(at) <= at[-1]:
            raise UsageError(
                f"{asked('at', ','.join(map(str, at)))} leaves levels out, by which the others are "
                f"found: {asked('levels', at[-1])}, or name a {asked('parent', 'EXPERIMENT')}"
            )
        return Lineage(found)
    parents = {seed: found.run_id(seed) for seed in asked_for.seeds}
    return Lineage(as_control(found, wanted.control), found, parents)


def as_control(found: Recipe, control: str = "reinit") -> Recipe:
    """Return the experiment that trains the tickets that `found` finds, with something anew."""
    return dataclasses.replace(found, control=control, parent=found.experiment_id)


def child(asked_for: Request, parent: Parent, build: Callable[[], nn.Module]) -> Lineage:
    """Resolve an experiment that trains the tickets of a parent.

    Its training is the parent's where no recipe is named. What says how masks were found, and the
    rewind point, are the parent's.

    Parameters
    ----------
    asked_for : Request
        What is asked for.
    parent : Parent
        The experiment whose tickets it trains.
    build : callable
        Builds its network.

    Raises
    ------
    UsageError
        It cannot be run, or the parent lacks what it needs.
    RgtoolError
        The parent's runs cannot be read, or do not fit.
    """
    theirs = parent.recipe
    for name in ("rewind", *OF_MASKS):
        if name in asked_for.changes:
            raise UsageError(f"{name} cannot be chosen: it is that of the parent's tickets")
    training = asked_for.recipe or theirs
    resolved = asked_for.resolved(training, theirs.pretrained, rewind="0")
    runs = runs_of(parent, asked_for.seeds)
    check_levels_of(runs, asked_for.store, asked_for.at)
    source = Source.read(RunFolder.of(asked_for.store, runs[asked_for.seeds[0]]))
    traits = asked_for.network.traits(asked_for.images.input_shape, asked_for.images.classes)
    counted = [layer.name for layer in traits.architecture.counted(theirs.prunable)]
    wanted, level, images = asked_for.wanted, asked_for.at[-1], asked_for.images
    shape = images.input_shape
    carried = transformation(
        wanted.transform, source.network(shape, images.classes), traits.architecture, shape
    )
    fresh = fresh_layers(source, level, wanted, carried, traits.architecture, build(), counted)
    per_epoch = iterations_per_epoch(resolved, asked_for.images)
    rewind = rewind_of(theirs, resolved, per_epoch, lambda: _parents_epoch(asked_for, theirs))
    masks = {name: getattr(theirs, name) for name in OF_MASKS}
    recipe = dataclasses.replace(
        resolved,
        **masks,
        rewind=rewind,
        parent=parent.experiment_id,
        control=wanted.control,
        transform=carried.spelling,
        fresh=fresh,
    )
    astray_by = astray(carried.spelling, theirs.task, images.name)
    return Lineage(recipe, None, runs, (*_notes(fresh, wanted), *astray_by))


def _notes(fresh: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    if not (filled := [name for name in fresh if name not in wanted.fresh]):
        return ()
    layers = " and ".join(filled)
    return (f"{layers}: of another shape than the parent's, so drawn from the seed and left dense",)


def _parents_epoch(asked_for: Request, parent: Recipe) -> int:
    """Count the steps of an epoch of the parent.

    Raises
    ------
    UsageError
        Its data set cannot be had.
    """
    images = asked_for.images
    if parent.task != images.name:
        try:
            task = find_task(parent.task)
            images = outline(task, asked_for.data) or load(task, asked_for.data)
        except RgtoolError as error:
            raise UsageError(
                f"the parent's weights are of {parent.rewind}: how many iterations that is follows "
                f"from {parent.task}, which cannot be had ({error})"
            ) from None
    return iterations_per_epoch(parent, images)


def rewind_of(
    parent: Recipe, resolved: Recipe, per_epoch: int, parents_per_epoch: Callable[[], int]
) -> str:
    """Resolve the parent's rewind point to iterations, where epochs are others here.

    Parameters
    ----------
    parent, resolved : Recipe
        How the parent was trained, and how the child is.
    per_epoch : int
        Iterations of an epoch of the child.
    parents_per_epoch : callable
        Returns those of the parent; asked where the point is one of epochs.

    Raises
    ------
    UsageError
        Training ends before that point.
    """
    step = Step.parse(parent.rewind)
    theirs = parents_per_epoch() if step.epochs else per_epoch
    point = step.iteration(theirs)
    end = resolved.whole_epochs * per_epoch
    if resolved.schedule != "restart" and point >= end:
        raise UsageError(
            f"the parent's weights are of iteration {point} ({parent.rewind}), but training ends "
            f"at {end} here: {asked('epochs', point // per_epoch + 1)}, or "
            f"{asked('schedule', 'restart')}, which begins the schedule again, would do"
        )
    return parent.rewind if theirs == per_epoch else f"{point}it"


def runs_of(parent: Parent, seeds: Sequence[int]) -> dict[int, str]:
    """Return the parent's run of every seed.

    Raises
    ------
    UsageError
        A seed has none.
    """
    if lacking := [seed for seed in seeds if seed not in parent.runs]:
        there = ",".join(map(str, sorted(parent.runs)))
        raise UsageError(
            f"parent {parent.experiment_id} has no run of seed {lacking[0]}: a child trains the "
            f"tickets of equal seeds, of which there are {there}: {asked('seeds', there)}"
        )
    return {seed: parent.runs[seed] for seed in seeds}


def check_levels_of(runs: Mapping[int, str], store: Path, at: Sequence[int]) -> None:
    """Hold levels to those of which the parents have masks.

    Raises
    ------
    UsageError
        A level is lacking; the message says which there are.
    """
    for run_id in runs.values():
        folder = RunFolder.of(store, run_id)
        there = [level for level in range(at[-1] + 1) if level == 0 or folder.mask(level).is_file()]
        if lacking := [level for level in at if level not in there]:
            raise UsageError(
                f"run {run_id}, the parent, has no mask of level {listed(list(map(str, lacking)))}:"
                f" {_levels_there(there)}"
            )


def _levels_there(there: Sequence[int]) -> str:
    if list(there) == list(range(len(there))):
        return f"{asked('levels', there[-1])} is the most"
    return f"{asked('at', ','.join(map(str, there)))} would do"


def fresh_layers(
    source: Source,
    level: int,
    wanted: Wanted,
    carried: Transformation,
    network: Architecture,
    module: nn.Module,
    counted: Sequence[str],
) -> tuple[str, ...]:
    """Return the layers that are not the parent's: those named, and where shapes differ.

    The first and the last layer may differ, as where images or classes are others.

    Parameters
    ----------
    source : Source
        A run of the parent.
    level : int
        A level of which it has a mask.
    wanted : Wanted
        What was asked for.
    carried : Transformation
        What becomes of the parent's tensors.
    network, module : Architecture, nn.Module
        The child's network.
    counted : sequence of str
        Its counted layers.

    Raises
    ------
    UsageError
        There is no such layer, or another one does not fit.
    RgtoolError
        The parent has no weights.
    """
    layers = [layer.name for layer in network.layers]
    named = {known_name(name, layers) or name for name in wanted.fresh}
    for name in named:
        choose("fresh", name, layers, "is no layer")
    free = {layers[0], layers[-1]}
    differ = _misfits(source, level, wanted, carried, module, counted)
    for tensor, found in differ.items():
        layer = tensor.removesuffix(".weight").removesuffix(".bias")
        if layer not in named | free:
            raise RgtoolError(
                f"run {source.name}, the parent, does not fit {network.name}: {tensor} is "
                f"{found}{_remedy(source, layer in layers)}"
            )
        named.add(layer)
    return tuple(name for name in layers if name in named)


def _remedy(source: Source, is_layer: bool) -> str:
    if source.is_import and not is_layer:
        return "; an import has the weights of counted layers alone: --control reinit needs none"
    return "; a transform maps blocks, --fresh names layers that are to be drawn from the seed"


def _misfits(
    source: Source,
    level: int,
    wanted: Wanted,
    carried: Transformation,
    module: nn.Module,
    counted: Sequence[str],
) -> dict[str, str]:
    """Say of every tensor that a parent lacks, or has in another shape, what was found."""
    state = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    needed: dict[str, tuple[int, ...]] = {name: state[f"{name}.weight"] for name in counted}
    there: Tensors = dict(source.mask(level)) if level else {}
    if wanted.control != "reinit":
        needed |= state
        there |= source.weights(source.start_of(level, ""))
    there = carried.carry(there)
    found = {name: there[name].shape if name in there else None for name in needed}
    if not level:
        found |= {name: needed[name] for name in counted}
    return {
        name: f"{_size(needed[name])} here, {_size(found[name])} there"
        for name in needed
        if found[name] != needed[name]
    }


def _size(shape: Any) -> str:
    return "missing" if shape is None else "x".join(map(str, shape)) or "a number"
