"""What can be named: networks, data sets and recipes, of rgtool and of installed packages."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..schemas.blocks import RESNETS, architecture, known_names
from ..schemas.display import Row, Shown, Table
from ..schemas.entry_points import Group, added, added_names, owner
from ..schemas.errors import choose, known_name
from ..schemas.published_recipes import IMPORTS_ONLY, PUBLISHED, summary
from ..schemas.recipe import Recipe
from ..schemas.records.data_names import pattern, unwrapped
from ..schemas.words import size

if TYPE_CHECKING:
    from .datasets.known_data import KnownData
    from .networks import InputShape

_SMALL: tuple[InputShape, int] = (3, 32, 32), 10
# Images and classes that a network was published for, where they are not those of CIFAR-10.
_PUBLISHED_FOR: dict[str, tuple[InputShape, int]] = {
    "lenet": ((1, 28, 28), 10),
    **dict.fromkeys(RESNETS, ((3, 224, 224), 1000)),
}
_SHOWN_FOR = "resnet20"  # the network that a recipe's fields are listed for


@dataclass(frozen=True)
class Listing(Shown):
    """A list of what can be named.

    Attributes
    ----------
    listed : Table
        A row for every name.
    """

    listed: Table

    @property
    def names(self) -> list[str]:
        """All names."""
        return [str(row[0]) for row in self.listed.rows]

    def table(self) -> Table:
        """Return the table that the command line prints."""
        return self.listed


def models(task: str | None = None) -> Listing:
    """List the networks that can be trained.

    Parameters
    ----------
    task : str, optional
        A published data set, or what is made of one: sizes are those for its images and classes.
        By default those for which a network was published. Or a network, which alone is listed.

    Raises
    ------
    UsageError
        No such data set is known.

    Examples
    --------
    >>> models("digits").names[:2]
    ['lenet', 'resnet8']
    """
    from .models import MODELS

    lone = None if task is None else known_name(task, MODELS)
    images = None if task is None or lone else _images_of(task)
    names = [lone] if lone else MODELS
    rows = [_model(name, *(images or _PUBLISHED_FOR.get(name, _SMALL))) for name in names]
    others = [name for name in known_names() if name not in MODELS]
    return Listing(
        Table(
            ("network", "input", "classes", "layers", "parameters", "prunable", "what it is"),
            rows if lone else _with_packages("rgtool.models", rows),
            notes=(
                "resnet8 to resnet110 of 6 n + 2 layers take a width: resnet20w8 has 8 channels "
                "in stage 1 instead of 16",
                "layers, prunable: those that studies prune of it by default, and their weights",
                f"known to imports and rgtool null alone: {', '.join(others)}",
                "a network of your own: rgtool run my.py:build TASK",
            ),
        )
    )


def _images_of(task: str) -> tuple[InputShape, int]:
    from .datasets.known_data import KNOWN_DATA

    known = KNOWN_DATA[choose("data set", unwrapped(task)[0], KNOWN_DATA)]
    return known.shape, len(known.train)


def _model(name: str, shape: InputShape, classes: int) -> Row:
    import torch

    from .models import MODELS, KnownNetwork

    network = KnownNetwork(name)
    layers = network.traits(shape, classes).architecture.counted()
    with torch.device("meta"):  # shapes alone
        parameters = sum(p.numel() for p in network.build(shape, classes).parameters())
    prunable = sum(layer.total for layer in layers)
    what = _first_line(inspect.getmodule(MODELS[name]))
    return (name, _by(shape), classes, len(layers), parameters, prunable, what)


def datasets(data: str | Path | None = None) -> Listing:
    """List the data sets: how large, of whom, and whether they are here.

    Parameters
    ----------
    data : path, optional
        Folder of the data sets; default `$RGTOOL_DATA`, then `~/.cache/rgtool`.

    Examples
    --------
    >>> datasets().names[0]
    'digits'
    """
    from .data import DATASETS
    from .datasets.known_data import KNOWN_DATA, default_folder

    folder = default_folder() if data is None else Path(data)
    rows = [
        _data_set(name, KNOWN_DATA[name], folder) if name in KNOWN_DATA else _added(name, load)
        for name, load in DATASETS.items()
    ]
    columns = (
        "data set", "training", "test", "shape", "classes", "files", "download", "what it is",
        "source",
    )  # fmt: skip
    return Listing(
        Table(
            columns,
            [*_with_packages("rgtool.datasets", rows), *_made_of_others()],
            notes=(
                f"the folder of the data sets is {folder}; --data DIR or RGTOOL_DATA names another",
                "DATASET is any of them, or one of your own, or made of another: "
                "permuted:random-labels:digits:0:7",
                "data of your own: npz:FILE, or a function, as rgtool run MODEL my.py:load",
            ),
            shown=tuple(name for name in columns if name != "download"),
        )
    )


def _data_set(name: str, known: KnownData, folder: Path) -> Row:
    from .datasets.known_data import find

    if not known.download:
        files = "come with rgtool"
    elif (path := find(name, folder)) is not None:
        files = str(path)
    else:
        files = f"to be downloaded, {size(known.download)}"
    count, classes = sum(known.train), len(known.train)
    told = (known.download, known.what, known.source)
    return (name, count, known.test, _by(known.shape), classes, files, *told)


def _added(name: str, load: Callable[..., Any]) -> Row:
    return (name, None, None, None, None, None, None, _first_line(load), None)


def _made_of_others() -> list[Row]:
    from .datasets.wrapped import MAKERS

    return [_added(pattern(kind), make) for kind, make in MAKERS.items()]


def recipes() -> Listing:
    """List the named recipes.

    Examples
    --------
    >>> "quick" in recipes().names
    True
    """
    rows = [_recipe(name) for name in PUBLISHED]
    return Listing(
        Table(
            ("recipe", "for", "epochs", "rewind", "what it is"),
            _with_packages("rgtool.recipes", rows),
            notes=(
                f"epochs and rewind point: those of {_SHOWN_FOR}",
                "next: rgtool recipes show NAME [MODEL]; rgtool run MODEL TASK --recipe NAME",
            ),
        )
    )


def _recipe(name: str) -> Row:
    fields = PUBLISHED[name](architecture(_SHOWN_FOR))
    use = "imports" if name in IMPORTS_ONLY else "runs and imports"
    epochs, rewind = (fields.get(field, getattr(Recipe, field)) for field in ("epochs", "rewind"))
    return (name, use, epochs, rewind, summary(PUBLISHED[name]))


def _with_packages(group: Group, rows: list[Row]) -> list[Row]:
    """Add what installed packages add, by other names; their code is not executed for it."""
    own = [row[0] for row in rows]
    found = [added(group, name) for name in added_names(group) if known_name(name, own) is None]
    nothing = (None,) * (len(rows[0]) - 2)
    return [*rows, *((one.name, *nothing, f"of the package {owner(one)}") for one in found if one)]


def _by(shape: InputShape) -> str:
    return "x".join(map(str, shape))


def _first_line(of: object) -> str:
    return next(iter((inspect.getdoc(of) or "").splitlines()), "")
