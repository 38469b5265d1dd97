"""Error against density as the literature published it: `published:NAME` names a curve."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..schemas.errors import UsageError, did_you_mean
from .figures import figure_rows
from .literature import PREFIX, published_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PublishedCurve:
    """Test accuracy at several densities, as a paper or its data give it.

    Attributes
    ----------
    name : str
        `published:` and a name, unique.
    source : str
        Paper and place.
    architecture, pretraining, task : str
        What was trained, in the words of the store; pretraining is `none` where there was none.
    density, accuracy : array, shape (N,)
        Fractions, a row per density and seed.
    seed : tuple of (int or None), length N
        Trial of the source; None where a row is a mean over runs of its own.
    runs : array, shape (N,)
        Runs that a row is the mean of; 1 where a figure does not tell.
    digitised : bool
        Whether the accuracies were read off a figure.
    """

    name: str
    source: str
    architecture: str
    pretraining: str
    task: str
    density: Floats
    accuracy: Floats
    seed: tuple[int | None, ...]
    runs: Floats
    digitised: bool

    @property
    def label(self) -> str:
        """Architecture and task, such as `resnet20/cifar10`."""
        return f"{self.architecture}/{self.task}"


def published_curve_names() -> tuple[str, ...]:
    """Name the published error curves.

    Examples
    --------
    >>> published_curve_names()[0]
    'published:renda2020-resnet20-cifar10'
    """
    return tuple(_curves())


def published_curve(name: str) -> PublishedCurve:
    """Look up an error curve of the literature.

    Parameters
    ----------
    name : str
        A name of `published_curve_names`, or a unique prefix; `published:` may be left out.

    Raises
    ------
    UsageError
        None or several fit, or the name is that of a spectrum.

    Examples
    --------
    >>> published_curve("renda2020-resnet56").architecture
    'resnet56'
    """
    full = PREFIX + name.removeprefix(PREFIX)
    known = _curves()
    found = [full] if full in known else [other for other in known if other.startswith(full)]
    if len(found) == 1:
        return _curve(found[0], known[found[0]])
    if full in published_names():
        raise UsageError(
            f"{full} is a spectrum, it has no error against density: rgtool ls --published "
            "lists the curves"
        )
    if found and full != PREFIX:
        some = ", ".join(found[:4]) + (", ..." if len(found) > 4 else "")
        raise UsageError(f"'{name}' begins {len(found)} published curves: {some}")
    raise UsageError(f"no published curve '{name}': {did_you_mean(full, known)}")


@functools.cache
def _curves() -> dict[str, list[dict[str, Any]]]:
    curves: dict[str, list[dict[str, Any]]] = {}
    for row in figure_rows("published_curves"):
        curves.setdefault(row["experiment"], []).append(row)
    return curves


def _curve(name: str, rows: list[dict[str, Any]]) -> PublishedCurve:
    import numpy as np

    first = rows[0]
    return PublishedCurve(
        name=name,
        source=first["source"],
        architecture=first["architecture"],
        pretraining=first["pretraining"],
        task=first["task"],
        density=np.array([row["density"] for row in rows]),
        accuracy=np.array([row["accuracy"] for row in rows]),
        seed=tuple(row["seed"] for row in rows),
        runs=np.array([row["runs"] or 1 for row in rows], np.float64),
        digitised=any(row["digitised"] for row in rows),
    )
