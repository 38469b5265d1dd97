"""What a child is: the recipe that it is trained by, resolved from its parent's and held to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...schemas.errors import UsageError
from ...schemas.recipe import CHOICES, Recipe
from ...schemas.records.parents import Parent
from ...schemas.spelling import asked
from ...schemas.steps import Step
from ...schemas.words import listed
from ..recipes import DEFAULT, iterations_per_epoch, read_recipe
from ..replicas.kernels import EAGER
from ..replicas.replica_parts import ReplicaParts
from .fit import are_equal, check_kept, check_whole, fresh_layers, misfits, sources_of
from .pixels import astray
from .request import Request, Wanted
from .source import Source
from .started import check_exchanges, check_pruner
from .transforms import Transformation, transformation

# What says how masks were found: a child takes its parent's masks, and so these of its recipe.
OF_MASKS = (
    "prune", "pruner", "score_at", "score_steps", "score_images", "score_mode", "score_from",
    "scope", "rounding", "prunable", "exempt",
)  # fmt: skip
_FAR = 100  # added to a seed gives one that nobody takes by itself


class PastTheEnd(UsageError):
    """A parent's weights are of a point that training does not reach.

    Parameters
    ----------
    reason : str
        Which, and where training ends.
    epochs : int
        How many would do.
    """

    def __init__(self, reason: str, epochs: int) -> None:
        self.reason, self.epochs = reason, epochs
        super().__init__(f"{reason}: {asked('epochs', epochs)}, or {self.restart}, would do")

    @property
    def restart(self) -> str:
        """What needs no such point."""
        return f"{asked('schedule', 'restart')}, which begins the schedule again"


@dataclass(frozen=True)
class Lineage:
    """What an experiment does, and where its tickets come from.

    Attributes
    ----------
    recipe : Recipe
        What it does.
    found : Recipe or None
        The experiment that finds its tickets and is to be computed first.
    parents : mapping of int to str
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
    wanted, at, seeds = asked_for.wanted, asked_for.at, asked_for.seeds
    follow = wanted.control != "none" or len(at) > at[-1]  # a level is found by the one before
    childish = {
        "transform": wanted.transform,
        "fresh": wanted.fresh,
        "control": "copies" if wanted.control == "copies" else "",
        "seeds": ",".join(f"{seed}:{of}" for seed, of in seeds.items() if seed != of),
        "start": wanted.start,
        "at": "" if follow else ",".join(map(str, at)),
    }
    for name, value in childish.items():
        if value not in ("", (), None):
            raise UsageError(
                f"{asked(name, value)} is of tickets of another experiment: name that with "
                f"{asked('parent', 'EXPERIMENT')}"
            )
    found = asked_for.resolved(asked_for.recipe or DEFAULT, pretrained)
    if wanted.control == "none":
        return Lineage(found)
    parents = {seed: found.run_id(seed) for seed in seeds}
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
    theirs, wanted = parent.recipe, asked_for.wanted
    _check_chosen(asked_for)
    sources = sources_of(parent, asked_for.seeds, asked_for.store)
    resolved = asked_for.resolved(asked_for.recipe or theirs, theirs.pretrained, rewind="0")
    module = build()
    for source in sources.values():
        if wanted.needs_weights:
            check_whole(source, asked_for.architecture, module, wanted.fresh)
        check_kept(source, asked_for.taken, _starts(source, asked_for, resolved.schedule))
    source = next(iter(sources.values()))
    carried = _carried(source, asked_for)
    if wanted.control == "copies" and not carried.copies:
        raise UsageError(
            f"{asked('control', 'copies')} permutes masks of blocks that a map repeats, and here "
            f"none is repeated: {asked('control', 'shuffle')} permutes all"
        )
    prunable = _counted_as(source, asked_for)
    counted = [layer.name for layer in asked_for.architecture.counted(prunable)]
    there = _tensors(source, asked_for, carried)
    fresh = fresh_layers(
        wanted.fresh, misfits(*there, module, counted), asked_for.architecture, source
    )
    recipe = dataclasses.replace(
        resolved,
        **{name: getattr(theirs, name) for name in OF_MASKS},
        rewind=_rewind(asked_for, theirs, resolved),
        parent=parent.experiment_id,
        control=wanted.control,
        transform=carried.spelling,
        fresh=fresh,
        start=wanted.start,
    )
    recipe = dataclasses.replace(recipe, prunable=prunable)
    check_exchanges(sources, carried, recipe, asked_for)
    if wanted.start is not None:
        check_pruner(recipe, asked_for)
    notes = (
        *_filled(fresh, wanted),
        *astray(carried.spelling, theirs.task, asked_for.images.name),
        *_only_masks(sources, recipe, asked_for),
    )
    runs = {seed: source.name for seed, source in sources.items()}
    return Lineage(recipe, None, runs, notes)


def _check_chosen(asked_for: Request) -> None:
    """Refuse fields that are the parent's, in what is asked for and in a recipe's file.

    A named recipe has all of them, and is taken for what it says of the training.
    """
    named = asked_for.recipe
    is_file = isinstance(named, str) and named.endswith(".toml")
    in_file = read_recipe(Path(str(named)))[1] if is_file else {}
    for name in ("rewind", *OF_MASKS):
        if name == "pruner" and asked_for.wanted.start is not None:
            continue  # one of the user's own is found by it, see `check_pruner`
        if name in asked_for.changes or name in in_file:
            where = "" if name in asked_for.changes else f" in {named}"
            raise UsageError(f"{name} cannot be chosen{where}: it is that of the parent's tickets")
    if "control" in in_file:
        raise UsageError(
            f"control cannot be chosen in {named}: {asked('control', in_file['control'])} asks for "
            "one"
        )


def _starts(source: Source, asked_for: Request, schedule: str) -> list[str]:
    """Name the weights that levels start from."""
    if not asked_for.wanted.needs_weights:
        return []
    return sorted({source.start_of(level, schedule) for level in asked_for.at})


def _carried(source: Source, asked_for: Request) -> Transformation:
    shape, classes = asked_for.images.input_shape, asked_for.images.classes
    network = source.network(shape, classes)
    return transformation(asked_for.wanted.transform, network, asked_for.architecture, shape)


def _tensors(
    source: Source, asked_for: Request, carried: Transformation
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return masks and weights of a parent as far as they are needed, carried over."""
    level = asked_for.taken[-1]
    masks = carried.carry(dict(source.mask(level))) if level else None
    if not asked_for.wanted.needs_weights:
        return masks, None
    return masks, carried.carry(source.weights(source.start_of(level, "continue")))


def _counted_as(source: Source, asked_for: Request) -> str:
    """Return the set of layers that count: of an import those that have masks, by its name."""
    prunable, level = source.recipe.prunable, asked_for.taken[-1]
    if prunable != "masked" or not level:
        return prunable
    names, network = {*source.mask(level)}, asked_for.architecture
    for known in CHOICES["prunable"]:
        try:
            if {layer.name for layer in network.counted(known)} == names:
                return known
        except UsageError:  # it has no such layers
            continue
    raise UsageError(
        f"run {source.name}, the parent, has masks of other layers than "
        f"{', '.join(CHOICES['prunable'][:-1])} of {network.name}: it cannot be trained"
    )


def _filled(fresh: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    """Say which layers are drawn though nobody asked for it."""
    filled = [name for name in fresh if name not in wanted.fresh]
    layers = " and ".join(filled)
    said = f"{layers}: of another shape than the parent's, so drawn from the seed and left dense"
    return (said,) if filled else ()


def _only_masks(
    sources: Mapping[int, Source], recipe: Recipe, asked_for: Request
) -> tuple[str, ...]:
    """Say which seeds start from the very weights that their own experiment would draw."""
    same = [seed for seed, source in sources.items() if _draws(seed, source, recipe, asked_for)]
    if not same:
        return ()
    pairs = ",".join(
        f"{one + _FAR if one in same else one}:{of}" for one, of in asked_for.seeds.items()
    )
    weights, masks, others = (
        ("seed {} draws the weights of its ticket", "the mask is", "another seed")
        if len(same) == 1
        else ("seeds {} draw the weights of their tickets", "masks are", "other seeds")
    )
    return (
        f"{weights.format(listed([str(seed) for seed in same]))} here, too: only {masks} "
        f"transferred; {asked('seeds', pairs)} pairs {others}",
    )


def _draws(seed: int, source: Source, recipe: Recipe, asked_for: Request) -> bool:
    """Tell whether a seed would draw the initial weights that a ticket of another task has."""
    wanted, images = asked_for.wanted, asked_for.images
    if not wanted.needs_weights or recipe.transform or source.recipe.task == images.name:
        return False
    if not source.starts_at_zero or len(recipe.fresh) == len(asked_for.architecture.layers):
        return False
    on = ReplicaParts(
        recipe, seed, images, asked_for.network, torch.device("cpu"), None, EAGER, lambda text: None
    )
    names = [layer.name for layer in asked_for.architecture.counted(recipe.prunable)]
    kept = [name for name in names if name not in recipe.fresh]
    return are_equal(source.weights(source.start_of(1, "")), on.initial("init"), kept)


def _rewind(asked_for: Request, parent: Recipe, resolved: Recipe) -> str:
    """Resolve the parent's rewind point to iterations, where epochs are others here.

    Raises
    ------
    UsageError
        Training ends before that point, or nothing tells how long the parent's epochs are.
    """
    per_epoch = iterations_per_epoch(resolved, asked_for.images)
    step = Step.parse(parent.rewind)
    theirs = asked_for.epoch_of(parent) if step.epochs else per_epoch
    point = step.iteration(theirs)
    end = resolved.whole_epochs * per_epoch
    if resolved.schedule != "restart" and point >= max(1, end):
        raise PastTheEnd(
            f"the parent's weights are of iteration {point} ({parent.rewind}), but training ends "
            f"at {end} here",
            point // per_epoch + 1,
        )
    return parent.rewind if theirs == per_epoch else f"{point}it"
