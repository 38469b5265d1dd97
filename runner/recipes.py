"""Named recipes: published ways to train and prune, resolved for a network and a data set."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..schemas.blocks import Architecture, architecture, with_width
from ..schemas.errors import UsageError, did_you_mean
from ..schemas.published_recipes import PUBLISHED
from ..schemas.recipe import CHOICES, Recipe
from ..schemas.steps import Step
from .data import Images
from .models import BN_INITIALISERS, INITIALISERS, check
from .pruning import PRUNERS

DEFAULT = "frankle2020"


# Of the published recipes those that this runner can do.
RECIPES: dict[str, Callable[[Architecture], dict[str, Any]]] = {
    name: PUBLISHED[name] for name in ("frankle2020",)
}


def recipe(
    model: str,
    images: Images,
    name: str = DEFAULT,
    *,
    width: int | None = None,
    **changes: Any,
) -> Recipe:
    """Resolve a named recipe for a network and a data set.

    Parameters
    ----------
    model : str
        Network, such as `resnet20`.
    images : Images
        The data set as it will be trained on.
    name : str
        A name of `RECIPES`.
    width : int, optional
        Channels in the first stage of a CIFAR ResNet.
    **changes
        Fields of `Recipe` that differ from the named recipe. `epochs` moves the milestones in
        proportion; a value of None means no change.

    Raises
    ------
    UsageError
        An unknown name, a value out of range, what the runner cannot do, or rewinding past the
        end of training.
    """
    if name not in RECIPES:
        raise UsageError(f"recipe '{name}' is unknown: {did_you_mean(name, RECIPES)}")
    check(with_width(model, width))
    network = architecture(with_width(model, width), images.input_shape, images.classes)
    fields: dict[str, Any] = {
        "prunable": network.prunable,
        "exempt": network.exempt,
        "augment": images.augment,
    }
    fields |= RECIPES[name](network)
    changes = {field: value for field, value in changes.items() if value is not None}
    values = {"architecture": network.name, "task": images.name, **fields, **changes}
    resolved = Recipe.from_json(values)  # checks every value
    _check_ability(resolved)
    per_epoch = -(-len(images.y_train) // resolved.batch_size)
    if "epochs" in changes and "milestones" not in changes:
        milestones = _rescale(fields, resolved.epochs, per_epoch)
        resolved = dataclasses.replace(resolved, milestones=milestones)
    _check_rewind(resolved, per_epoch)
    return resolved


def _check_ability(resolved: Recipe) -> None:
    """Refuse what a recipe can describe, as those of imports do, and this runner cannot do."""
    able: dict[str, Iterable[str]] = {
        "init": INITIALISERS,
        "bn_init": BN_INITIALISERS,
        "pruner": PRUNERS,
        "optimizer": ("sgd",),
        "precision": ("float32",),
        "prunable": [name for name in CHOICES["prunable"] if name != "masked"],
    }
    for field, known in able.items():
        value = getattr(resolved, field)
        if value not in known:
            raise UsageError(f"{field} '{value}' cannot be run: {did_you_mean(value, known)}")
    for part in resolved.augment:
        if not re.fullmatch(r"flip|crop[1-9]\d*", part):
            raise UsageError(f"augment '{part}' is unknown: choose from flip, crop4 (any padding)")
    for field in ("momentum", "weight_decay", "gamma"):
        value = getattr(resolved, field)
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{field} is {value}: a number from 0 on is needed")
    for field in ("parent", "transform", "origin"):
        if getattr(resolved, field) is not None:
            raise UsageError(f"{field} cannot be chosen: it follows from --control or an import")


def _rescale(fields: Mapping[str, Any], epochs: int, per_epoch: int) -> tuple[str, ...]:
    """Move the milestones in proportion; whole epochs stay whole where they can."""
    published = fields.get("epochs", Recipe.epochs)
    moved = []
    for text in fields.get("milestones", Recipe.milestones):
        numerator = Step.parse(text).iteration(per_epoch) * epochs
        whole, rest = divmod(numerator, published * per_epoch)
        moved.append(f"{whole}ep" if rest == 0 else f"{round(numerator / published)}it")
    return tuple(moved)


def _check_rewind(resolved: Recipe, per_epoch: int) -> None:
    point, end = Step.parse(resolved.rewind).iteration(per_epoch), resolved.epochs * per_epoch
    if point >= end:
        raise UsageError(
            f"rewind {resolved.rewind} is iteration {point}, but training ends at {end} "
            f"({resolved.epochs} epochs of {per_epoch}): choose an earlier point with --rewind"
        )


def as_control(found: Recipe) -> Recipe:
    """Return the control experiment that re-initialises the masks that `found` finds."""
    return dataclasses.replace(found, control="reinit", parent=found.experiment_id)
