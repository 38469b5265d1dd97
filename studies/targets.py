"""The target of a prediction: an experiment without runs, resolved as `rgtool run` would.

Only what that command makes can be tested, so the recipe is the one that it resolves, and the
command that makes it is found and tried before it is told.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..analysis.scoreboard.targets import Target
from ..runner.data import find_task, is_archive, load, outline
from ..runner.datasets.images import Images
from ..runner.models import Network, find_network
from ..runner.own.stored import Using, places_of
from ..runner.pruning import kept_series
from ..runner.recipes import check_choosable
from ..runner.recipes import recipe as resolve
from ..runner.tickets.child import own
from ..runner.tickets.request import Request, Wanted
from ..schemas.errors import UsageError
from ..schemas.published_recipes import IMPORTS_ONLY, PUBLISHED
from ..schemas.recipe import Recipe, parse_field
from ..schemas.records.data_names import unwrapped
from ..schemas.spelling import asked, spelled_for
from ..store import Store

# A network, or where a function of one's own lies (its path may have folders); then a task.
_LABEL = re.compile(r"(.*?\.py:[^/]+|[^/]+)/(.+)")
# Where fields begin behind the name of a file, which may have spaces.
_FIELDS = re.compile(r"\s+(?=\w+=\S*(?:\s+\w+=\S*)*$)")


def target_of(store: Store, source: Recipe, text: str, using: Using = ()) -> Target:
    """Resolve a target: trained as the source is, but for what is written.

    Parameters
    ----------
    store : Store
        Where its runs would be.
    source : Recipe
        Of the source.
    text : str
        A label such as `lenet/mnist` or `my.py:build/digits`, and fields such as `prune=.36`, with
        spaces between them.
    using : sequence of str or callable
        Where data of the user's own lie that the source was trained on.

    Raises
    ------
    UsageError
        It is no label, a field is none, or `rgtool run` cannot make it.
    """
    label, settings = _split(text)
    found = _LABEL.fullmatch(label)
    if found is None:
        raise UsageError(
            f"'{text}' is no target: a label such as lenet/mnist is due, of an experiment without "
            "runs, and fields such as prune=.36 in which its recipe is not that of the source"
        )
    changes = dict(map(parse_field, settings))
    check_choosable(changes)
    if changes.pop("control", "none") != "none" or source.parent is not None:
        raise UsageError(
            "exponents and gamma are predicted from and of experiments that find their own tickets:"
            " what is trained of those of another one has its masks"
        )
    network, task = find_network(found[1]), find_task(found[2])
    images = outline(task) or load(task)
    where = store.path, None, places_of(using)
    request = Request(network, images, source, changes, {0: 0}, (0, 1), Wanted(), *where)
    recipe = own(request, source.pretrained).recipe
    layers = network.traits(images.input_shape, images.classes).architecture.counted(
        recipe.prunable
    )
    options = _options(network, images, recipe)
    return Target(
        recipe,
        layers,
        partial(kept_series, layers, recipe),
        f"rgtool run {shlex.quote(found[1])} {shlex.quote(found[2])} {options}",
    )


def _split(text: str) -> tuple[str, list[str]]:
    """Part a target into its label and the fields behind it; that of a file may have spaces."""
    if ":" not in text:
        label, _, rest = text.strip().partition(" ")
        return label, rest.split()
    whole = text.strip()
    begins = [found.start() for found in re.finditer(_FIELDS, whole)]
    for end in (len(whole), *reversed(begins)):
        if _is_there(whole[:end]):  # a name that looks like a field is that of a file first
            return whole[:end], whole[end:].split()
    end = begins[0] if begins else len(whole)
    return whole[:end], whole[end:].split()


def _is_there(label: str) -> bool:
    """Tell whether a label ends with a file of data that exists."""
    found = _LABEL.fullmatch(label)
    try:
        inner = unwrapped(found[2])[0] if found else ""
    except UsageError:  # what is made of data ends with a number
        return False
    file = inner.removeprefix("npz:") if is_archive(inner) else inner.partition(".py:")[0] + ".py"
    return found is not None and Path(file).is_file()


def _options(network: Network, images: Images, wanted: Recipe) -> str:
    """Return the options of `rgtool run` that make a recipe, as few as there can be.

    Raises
    ------
    UsageError
        None do.
    """
    found = []
    for name in PUBLISHED:
        if name not in IMPORTS_ONLY:
            changes = _changes(network, images, name, wanted)
            if changes is not None:
                found.append((len(changes), name, changes))
    if not found:
        raise UsageError(
            f"no options of rgtool run make {wanted.architecture}/{wanted.task} as the source is "
            "trained: nothing would test a prediction"
        )
    _, name, changes = min(found, key=lambda one: one[0])
    file = [] if wanted.pretrained is None else ["--init FILE"]
    with spelled_for(["--set"]):
        settings = [asked(field, value) for field, value in changes.items()]
    return " ".join([f"--recipe {name}", *file, *settings])


def _changes(
    network: Network, images: Images, name: str, wanted: Recipe
) -> Mapping[str, Any] | None:
    """Return the fields that turn a named recipe into another one; None where they do not."""
    changes: dict[str, Any] = {}
    for _ in range(3):  # epochs that are changed move other fields along
        try:
            made = resolve(network, images, name, pretrained=wanted.pretrained, **changes)
        except UsageError:
            made = None
        if made == wanted:
            return changes
        differ = _differences(made, wanted)
        if differ.items() <= changes.items():
            return None
        changes |= differ
    return None


def _differences(made: Recipe | None, wanted: Recipe) -> dict[str, Any]:
    """Return the fields of a recipe that another one, or any, does not have."""
    values = {one.name: getattr(wanted, one.name) for one in dataclasses.fields(wanted)}
    fixed = {"architecture", "task", "pretrained", "length"}
    fixed |= {"init"} if wanted.pretrained is not None else set()
    return {
        name: value
        for name, value in values.items()
        if name not in fixed
        and value is not None
        and (name not in _UNSET if made is None else getattr(made, name) != value)
    }


_UNSET = ("control", "parent", "transform", "fresh", "start", "origin")
