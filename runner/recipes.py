"""Named recipes and files of one's own, resolved for a network and a data set."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..schemas.blocks import Architecture
from ..schemas.errors import RgtoolError, Unreadable, UsageError, choose, did_you_mean, known_name
from ..schemas.published_recipes import IMPORTS_ONLY, Fields, named, quick
from ..schemas.recipe import CHOICES, Recipe
from ..schemas.records.data_names import innermost
from ..schemas.spelling import asked
from ..schemas.steps import Step
from ..schemas.toml import read_toml
from ..schemas.words import counted
from .datasets.images import Images
from .models import (
    AS_BUILT,
    BN_INITIALISERS,
    INITIALISERS,
    POOLED,
    Builder,
    KnownNetwork,
    Network,
    find_network,
)
from .pruners.demands import check_scheme
from .pruners.registry import find_pruner
from .replicas.arithmetic import PRECISIONS

DEFAULT = "frankle2020"
# What can be run, of fields with names for values.
_ABLE: dict[str, Iterable[str]] = {
    "init": (*INITIALISERS, AS_BUILT),
    "bn_init": BN_INITIALISERS,
    "optimizer": ("sgd",),
    "prunable": [name for name in CHOICES["prunable"] if name != "masked"],
    "precision": PRECISIONS,
}
# What does not belong to a recipe's file or to --set, and where it comes from instead.
_GIVEN_ELSEWHERE = {
    "architecture": "it is the network that is named beside the recipe",
    "task": "it is the data set that is named beside the recipe",
    "length": "rgtool trains whole epochs, which epochs says",
    "pretrained": "it follows from the file of --init",
    "parent": "it is the experiment that --parent names",
    "transform": "it is what --transform says of a parent's tickets",
    "fresh": "they are what --fresh names beside a parent",
    "start": "it is the level of a parent that --start names",
    "origin": "it follows from an import",
}


def recipe(
    model: str | Builder | Network,
    images: Images | None = None,
    name: str | Recipe = DEFAULT,
    *,
    width: int | None = None,
    pretrained: str | None = None,
    **changes: Any,
) -> Recipe:
    """Resolve a recipe for a network and a data set.

    Parameters
    ----------
    model : str, callable or network
        Network, such as `resnet20`, or of the user's own, see `models.find_network`.
    images : Images
        The whole data set.
    name : str or Recipe
        A named recipe, or a TOML file: fields of `Recipe`, and `base`, the name of the recipe that
        they change (default `frankle2020`). Or a recipe that was resolved, perhaps for another
        network or data set: its training is taken over.
    width : int, optional
        Channels in the first stage of a CIFAR ResNet.
    pretrained : str, optional
        Hash of the weights that training starts from.
    **changes
        Fields of `Recipe` that differ from the named recipe. `epochs` moves the milestones in
        proportion; a value of None means no change.

    Raises
    ------
    UsageError
        An unknown name, a value out of range, what the runner cannot do, or rewinding past the
        end of training.
    RgtoolError
        The file cannot be read.
    """
    if images is None:
        raise UsageError(
            "a recipe is resolved for a network and a data set: plan('resnet8', 'digits', 'quick')"
            ".recipe has all fields, recipes() lists the names"
        )
    changes = {field: value for field, value in changes.items() if value is not None}
    if isinstance(name, str) and name.endswith(".toml"):
        name, in_file = read_recipe(Path(name))
        changes = {**in_file, **changes}
    called, fields_of = _to_run(name, images)
    check_choosable(changes)
    changes = {field: _in_known_case(field, value) for field, value in changes.items()}
    found = find_network(model, width=width)
    network = found.traits(images.input_shape, images.classes).architecture
    fields: dict[str, Any] = {
        "prunable": network.prunable,
        "exempt": network.exempt,
        "augment": images.augment,
    }
    fields |= fields_of(network)
    if "valid_size" in fields:  # published for 50 000 images; a tenth of smaller sets
        fields["valid_size"] = min(fields["valid_size"], len(images.y_train) // 10)
    if pretrained is not None:
        fields |= {"init": "pretrained", "pretrained": pretrained}
    values = {"architecture": network.name, "task": images.name, **fields, **changes}
    pruner = None
    if not isinstance(name, Recipe) or "pruner" in changes:  # a child's masks are there already
        pruner = find_pruner(values.get("pruner", Recipe.pruner))
        values["pruner"] = pruner.name
    layers = [layer.name for layer in network.layers]
    resolved = Recipe.from_json(values)  # checks every value
    known = tuple(known_name(layer, layers) or layer for layer in resolved.exempt)
    resolved = dataclasses.replace(resolved, exempt=known)
    _check_ability(resolved, called)
    for layer in resolved.exempt:
        choose("exempt", layer, layers, "is no layer")
    _check_crop(resolved, images)
    per_epoch = iterations_per_epoch(resolved, images)
    if "epochs" in changes:
        resolved = _move_along(resolved, fields, changes, per_epoch)
    _check_batch_norm(resolved, found, images)
    quicker = called != "quick" and "rewind" not in changes
    _check_points(resolved, per_epoch, quick(network).get("rewind") if quicker else None)
    if pruner is not None:
        check_scheme(resolved, pruner, images)
    return resolved


def name_of(recipe: str | Path | Recipe) -> str:
    """Return what a recipe is called: its name, that of its file, or whose it is."""
    if isinstance(recipe, Recipe):
        return f"as {recipe.experiment_id}"
    return Path(recipe).name if str(recipe).endswith(".toml") else named(str(recipe))[0]


def _to_run(name: str | Recipe, images: Images) -> tuple[str, Fields]:
    """Find a named recipe that can be run; see `published_recipes.named`."""
    if isinstance(name, Recipe):
        return name_of(name), partial(_training_of, name, images)
    known, fields = named(name)
    if known in IMPORTS_ONLY:
        raise UsageError(f"recipe '{known}' describes imports: rgtool cannot train it")
    return known, fields


def _training_of(other: Recipe, images: Images, network: Architecture) -> dict[str, Any]:
    """Return the fields of a recipe that tell how to train another network, or on other data."""
    apart = {"architecture", "task", "control", "parent", "transform", "fresh", "start", "origin"}
    if other.task != images.name:
        apart.add("augment")
    if innermost(other.task) != innermost(images.name):
        apart |= {"train_size", "valid_size"}
    return {name: value for name, value in other.to_json().items() if name not in apart}


def _in_known_case(field: str, value: Any) -> Any:
    """Write the value of a field as it is known, whatever the case in which it was given."""
    if field == "augment" and isinstance(value, list | tuple):
        return tuple(part.lower() if isinstance(part, str) else part for part in value)
    known = _ABLE.get(field, ())
    return known_name(value, known) or value if isinstance(value, str) else value


def check_choosable(fields: Iterable[str]) -> None:
    """Refuse fields of a recipe that follow from something else.

    Raises
    ------
    UsageError
        One is not to be chosen; the message says what it follows from.
    """
    for field in fields:
        if field in _GIVEN_ELSEWHERE:
            raise UsageError(f"{field} cannot be chosen: {_GIVEN_ELSEWHERE[field]}")


def read_recipe(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a recipe of one's own: the name of its base, and the fields that it changes.

    Raises
    ------
    RgtoolError
        There is no such file or it is not TOML.
    UsageError
        It names a field that a recipe does not have.
    """
    try:
        values = read_toml(path)
    except Unreadable as error:
        raise RgtoolError(f"recipe {path}: {error}") from None
    known = {field.name for field in dataclasses.fields(Recipe)}
    fields = [*known, "base"]
    values = {known_name(field, fields) or field: value for field, value in values.items()}
    base = values.pop("base", DEFAULT)
    for field, value in values.items():
        if field not in known:
            near = did_you_mean(field, fields)
            raise UsageError(f"recipe {path}: field '{field}' is unknown: {near}")
        values[field] = tuple(value) if isinstance(value, list) else value
    return str(base), values


def iterations_per_epoch(resolved: Recipe, images: Images) -> int:
    """Count the steps of an epoch on what the recipe leaves of a whole data set.

    Raises
    ------
    UsageError
        Not a single batch is left.
    """
    trained = images.part(resolved.train_size, resolved.valid_size)
    whole, rest = divmod(len(trained.y_train), resolved.batch_size)
    if whole == 0 and resolved.drop_last:
        raise UsageError(
            f"batch_size {resolved.batch_size} with drop_last leaves no batch of "
            f"{len(trained.y_train)} training images: {asked('batch_size', len(trained.y_train))} "
            "is the most"
        )
    return whole + (rest > 0 and not resolved.drop_last)


def _check_batch_norm(resolved: Recipe, network: Network, images: Images) -> None:
    """Refuse a batch of one image where batch norm would see a single value a channel."""
    count = len(images.part(resolved.train_size, resolved.valid_size).y_train)
    size = resolved.batch_size
    is_alone = size == 1 or (count % size == 1 and not resolved.drop_last)
    if not is_alone or not isinstance(network, KnownNetwork):
        return
    with torch.device("meta"):  # shapes alone
        module = network.build(images.input_shape, images.classes, pooling=resolved.pooling)
        try:
            module.train()(torch.empty(1, *images.input_shape))
        except ValueError:
            larger = next((n for n in range(size + 1, count) if count % n != 1), count)
            raise UsageError(
                f"batch_size {size} of {count} training images leaves a batch of one, in which "
                f"batch norm of {network.name} sees a single value a channel: "
                f"{asked('batch_size', larger)} would do"
            ) from None


def _check_ability(resolved: Recipe, name: str) -> None:
    """Refuse what a recipe can describe, as those of imports do, and this runner cannot do."""
    for field, known in _ABLE.items():
        if field != "precision":  # few and short: none is nearest
            choose(field, getattr(resolved, field), known, "cannot be run")
    if resolved.precision not in PRECISIONS:
        known_names = ", ".join(PRECISIONS)
        raise UsageError(f"precision '{resolved.precision}' cannot be run: use {known_names}")
    if resolved.pooling != Recipe.pooling and resolved.architecture not in POOLED:
        raise UsageError(
            f"pooling '{resolved.pooling}' of {resolved.architecture}: only VGG leaves it to the "
            "recipe"
        )
    for part in resolved.augment:
        if not re.fullmatch(r"flip|crop[1-9][0-9]{0,3}", part):
            raise UsageError(
                f"augment '{part}' is unknown: choose from flip, crop4 (any padding to 9999)"
            )
    for field in ("momentum", "weight_decay", "gamma"):
        value = getattr(resolved, field)
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{field} is {value}: a number from 0 on is needed")
    if resolved.momentum >= 1:
        raise UsageError(f"momentum is {resolved.momentum}: less than 1 is needed")
    if (resolved.init == "pretrained") != (resolved.pretrained is not None):
        file = asked("init", "FILE")
        raise UsageError(
            f"recipe {name} starts from pretrained weights: name their file with {file}"
            if resolved.pretrained is None
            else f"init '{resolved.init}' and {file} together: choose one"
        )


def _check_crop(resolved: Recipe, images: Images) -> None:
    side = max(images.input_shape[1:])
    for part in resolved.augment:
        padding = part.removeprefix("crop")
        if part != padding and int(padding) > side:
            raise UsageError(f"augment '{part}': images of {images.name} have {side} pixels a side")


def _move_along(
    resolved: Recipe, fields: Mapping[str, Any], changes: Mapping[str, Any], per_epoch: int
) -> Recipe:
    """Move milestones, and a rewind point at the end of training, along with the epochs."""
    if resolved.epochs == 0:
        none: dict[str, Any] = {"milestones": (), "warmup": "0it", "rewind": "0it"}
        return dataclasses.replace(resolved, **{n: v for n, v in none.items() if n not in changes})
    published = fields.get("epochs", Recipe.epochs)
    moved: dict[str, Any] = {}
    if "milestones" not in changes:
        moved["milestones"] = _rescale(fields, resolved.whole_epochs, per_epoch)
    at_end = published and Step.parse(resolved.rewind) == Step(published, 0)
    if "rewind" not in changes and at_end:
        moved["rewind"] = f"{resolved.whole_epochs}ep"
    return dataclasses.replace(resolved, **moved)


def _rescale(fields: Mapping[str, Any], epochs: int, per_epoch: int) -> tuple[str, ...]:
    """Move the milestones in proportion; whole epochs stay whole where they can."""
    published = fields.get("epochs", Recipe.epochs) or 1
    moved = []
    for text in fields.get("milestones", Recipe.milestones):
        numerator = Step.parse(text).iteration(per_epoch) * epochs
        whole, rest = divmod(numerator, published * per_epoch)
        moved.append(f"{whole}ep" if rest == 0 else f"{round(numerator / published)}it")
    return tuple(moved)


def _check_points(resolved: Recipe, per_epoch: int, quick_rewind: str | None) -> None:
    """Hold points in training to its length; a refusal names the options that would do.

    `quick_rewind` is the rewind point of `--recipe quick`, where that recipe is another one.
    """
    epochs = resolved.whole_epochs
    end = epochs * per_epoch
    ends = f"but training ends at {end} ({counted(epochs, 'epoch')} of {per_epoch})"
    last = end if resolved.schedule == "restart" else max(0, end - 1)
    point = _iteration(resolved.rewind, per_epoch)
    if point > last:
        enough = (point + end - last - 1) // per_epoch + 1
        would_do = [asked("rewind", "0"), asked("epochs", enough)]
        if quick_rewind is not None and _iteration(quick_rewind, per_epoch) <= last:
            would_do.insert(1, asked("recipe", "quick"))
        raise UsageError(
            f"rewind {resolved.rewind} is iteration {point}, {ends}: "
            f"{', '.join(would_do[:-1])} or {would_do[-1]} would do"
        )
    for field, text in [
        ("warmup", resolved.warmup),
        *(("milestones", m) for m in resolved.milestones),
    ]:
        if (point := _iteration(text, per_epoch)) > end:
            without = asked(field, () if field == "milestones" else "0")
            raise UsageError(
                f"{field} {text} is iteration {point}, {ends}: {without} or "
                f"{asked('epochs', -(-point // per_epoch))} would do"
            )


def _iteration(text: str, per_epoch: int) -> int:
    return Step.parse(text).iteration(per_epoch)
