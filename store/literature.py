"""Figures of the literature: `published:NAME` names a spectrum, a curve or a flow."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from ..schemas.display import Shown, Table
from ..schemas.errors import UsageError, did_you_mean
from ..schemas.published import PREFIX as PREFIX
from ..schemas.words import growing_shares
from .figures import figure_rows
from .flows import PublishedFlow, flow_of_rows, flow_rows
from .printed import curve_table, spectrum_table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SPREAD = "std is a spread over levels, not an error bar: the drift of a flow alone makes one"
_NO_SPREAD = "the paper prints no std for this spectrum"
_NORMAL = "block 0 of each stage is not printed: a stretched or squeezed ticket keeps it as it is"


@dataclass(frozen=True, eq=False)
class PublishedSpectrum(Shown):
    """The eigenvalues of one experiment, as a paper prints them. There are no seeds behind them.

    Attributes
    ----------
    name : str
        `published:` and a name, unique.
    source : str
        Paper and tables.
    architecture, pretraining, task : str
        What was trained, in the words of the store; pretraining is `none` where there was none.
    by : str
        Grouping: `layer`, `block`, `stage` or `role`.
    names : tuple of str, length G
        Groups in the order of the forward pass, named as in a store.
    printed_index : tuple of int, length G
        The index that the paper gives them.
    eigenvalue : array, shape (G,)
        Mean over levels of M(n+1)/M(n), rounded to two decimals.
    std : array, shape (G,)
        The printed standard deviation over levels; NaN where none is printed.
    share_start : array, shape (G,)
        M at level 1, where the spectrum starts; NaN where it is not printed.
    sources : tuple of str, length G
        Where each eigenvalue stands.
    """

    name: str
    source: str
    architecture: str
    pretraining: str
    task: str
    by: str
    names: tuple[str, ...]
    printed_index: tuple[int, ...]
    eigenvalue: Floats
    std: Floats
    share_start: Floats
    sources: tuple[str, ...]

    kind: ClassVar[str] = "a printed spectrum"
    taken: ClassVar[str] = "rgtool show, eigen, classify, meta, predict and match take"

    @property
    def label(self) -> str:
        """Architecture and task, such as `resnet20/cifar10`."""
        return f"{self.architecture}/{self.task}"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        pretrained = "" if self.pretraining == "none" else f", pretraining {self.pretraining}"
        return f"{self.name}: {self.label}{pretrained}, by {self.by}; {self.source}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers say in a sentence, and what they do not."""
        printed = any(value is not None for value in _or_none(self.std))
        blocks = self.by == "block" and "." in self.names[0]
        spread = _SPREAD if printed else _NO_SPREAD
        return (self.conclusion, spread, *([_NORMAL] if blocks else []))

    @property
    def conclusion(self) -> str:
        """Which shares grow and which shrink, as they are printed."""
        shares = growing_shares(self.names, self.eigenvalue.tolist())
        return f"as printed {shares}; without seeds nothing tells how surely"

    def plot(self) -> NoReturn:
        """Refuse: beside its eigenvalues there is nothing to draw.

        Raises
        ------
        UsageError
            Always; the message says what draws it.
        """
        raise UsageError(
            f"{self.name} is {self.kind}, without seeds or levels: its like is drawn beside "
            "others, by classify(...).plot()"
        )

    def in_stages(self) -> PublishedSpectrum | None:
        """Return a spectrum by block as one by stage: geometric means over the blocks of a stage.

        None where it is not by block, or no stage has two blocks.
        """
        import numpy as np

        stages = [name.partition(".")[0] for name in self.names]
        names = tuple(dict.fromkeys(stages))
        if self.by != "block" or len(names) == len(stages):
            return None
        logs = np.log(self.eigenvalue)
        members = [np.array([stage == name for stage in stages]) for name in names]
        nothing = np.full(len(names), np.nan)
        return replace(
            self,
            by="stage",
            names=names,
            printed_index=tuple(self.printed_index[int(own.argmax())] for own in members),
            eigenvalue=np.exp([logs[own].mean() for own in members]),
            std=nothing,
            share_start=nothing,
            sources=tuple(self.sources[int(own.argmax())] for own in members),
        )

    def table(self) -> Table:
        """Return the groups, as `rgtool eigen` and `show` print them."""
        return spectrum_table(self.to_dicts(), self.title, self.notes)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return a dictionary a group; what is not printed is None."""
        columns = {
            "name": self.names,
            "printed_index": self.printed_index,
            "eigenvalue": self.eigenvalue.tolist(),
            "std": _or_none(self.std),
            "share_start": _or_none(self.share_start),
            "source": self.sources,
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_frame(self) -> pl.DataFrame:
        """Return a row per group; what is not printed is null."""
        import polars as pl

        reals = dict.fromkeys(("eigenvalue", "std", "share_start"), pl.Float64)
        return pl.DataFrame(self.to_dicts(), schema_overrides=reals)


@dataclass(frozen=True, eq=False)
class PublishedCurve(Shown):
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

    kind: ClassVar[str] = "a curve of error against density"
    taken: ClassVar[str] = "rgtool show and gamma take"

    @property
    def label(self) -> str:
        """Architecture and task, such as `resnet20/cifar10`."""
        return f"{self.architecture}/{self.task}"

    def table(self) -> Table:
        """Return the points, as `rgtool show` prints them."""
        columns = (self.density.tolist(), self.seed, self.accuracy.tolist(), self.runs.tolist())
        return curve_table(
            list(zip(*columns, strict=True)),
            f"{self.name}: {self.label}; {self.source}",
            ("accuracies are read off a figure",) if self.digitised else (),
        )


Published = PublishedSpectrum | PublishedCurve | PublishedFlow


def published_names() -> tuple[str, ...]:
    """Name the published spectra, in the order of their tables.

    Examples
    --------
    >>> published_names()[0]
    'published:resnet50-simclr-imagenet'
    """
    return tuple(_spectrum_rows())


def published_curve_names() -> tuple[str, ...]:
    """Name the published error curves.

    Examples
    --------
    >>> published_curve_names()[0]
    'published:renda2020-resnet20-cifar10'
    """
    return tuple(_curve_rows())


def published_flow_names() -> tuple[str, ...]:
    """Name the published flows.

    Examples
    --------
    >>> published_flow_names()[0]
    'published:tanaka2020-vgg16-cifar100-magnitude'
    """
    return tuple(flow_rows())


def find_published(name: str) -> Published:
    """Look up figures of the literature, whatever their kind.

    Parameters
    ----------
    name : str
        A name of `published_names`, `published_curve_names` or `published_flow_names`, or a
        unique prefix of one; `published:` may be left out.

    Raises
    ------
    UsageError
        None or several fit; the message lists the nearest or the candidates.
    """
    full = PREFIX + name.casefold().removeprefix(PREFIX)
    known = [*_spectrum_rows(), *_curve_rows(), *flow_rows()]
    # A whole name counts also where it begins another one: cifar10 and cifar100.
    found = [one for one in known if one.casefold() == full]
    found = found or [one for one in known if one.casefold().startswith(full)]
    if full == PREFIX or not found:
        raise UsageError(f"nothing published is named '{name}': {did_you_mean(full, known)}")
    if len(found) > 1:
        some = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        raise UsageError(f"'{name}' begins {len(found)} published names: {some}")
    if found[0] in flow_rows():
        return flow_of_rows(found[0])
    if found[0] in _curve_rows():
        return _curve_of_rows(found[0], _curve_rows()[found[0]])
    return _spectrum_of_rows(found[0], _spectrum_rows()[found[0]])


def published(name: str) -> PublishedSpectrum:
    """Look up a spectrum of the literature; see `find_published`.

    Raises
    ------
    UsageError
        None or several fit, or the name is that of a curve or a flow.

    Examples
    --------
    >>> published("resnet50-simclr-imagenet").eigenvalue.tolist()
    [1.15, 1.09, 1.02, 0.95]
    """
    found = find_published(name)
    if not isinstance(found, PublishedSpectrum):
        raise UsageError(
            f"{found.name} is {found.kind}, not a printed spectrum: published_curve takes a curve, "
            "published_flow a flow, of which eigen computes the spectrum"
        )
    return found


def published_curve(name: str) -> PublishedCurve:
    """Look up an error curve of the literature; see `find_published`.

    Raises
    ------
    UsageError
        None or several fit, or the name is that of a spectrum or a flow.

    Examples
    --------
    >>> published_curve("renda2020-resnet56").architecture
    'resnet56'
    """
    found = find_published(name)
    if not isinstance(found, PublishedCurve):
        raise UsageError(f"{found.name} is {found.kind}: rgtool ls --published lists the curves")
    return found


def published_flow(name: str) -> PublishedFlow:
    """Look up a flow of the literature; see `find_published`.

    Raises
    ------
    UsageError
        None or several fit, or the name is that of a spectrum or a curve.

    Examples
    --------
    >>> published_flow("tanaka2020-vgg16-cifar100-synflow").kept.shape
    (3, 25, 14)
    """
    found = find_published(name)
    if not isinstance(found, PublishedFlow):
        raise UsageError(f"{found.name} is {found.kind}: rgtool ls --published lists the flows")
    return found


@functools.cache
def _spectrum_rows() -> dict[str, list[dict[str, Any]]]:
    """Rows of the published spectra by name."""
    spectra: dict[str, list[dict[str, Any]]] = {}
    for row in figure_rows("published_spectra"):
        spectra.setdefault(row["experiment"], []).append(row)
    return spectra


@functools.cache
def _curve_rows() -> dict[str, list[dict[str, Any]]]:
    """Rows of the published curves by name."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for row in figure_rows("published_curves"):
        curves.setdefault(row["experiment"], []).append(row)
    return curves


def _spectrum_of_rows(name: str, rows: list[dict[str, Any]]) -> PublishedSpectrum:
    starts = {
        row["name"]: row["share"]
        for row in figure_rows("published_starting_points")
        if row["experiment"] == name
    }
    first = rows[0]
    return PublishedSpectrum(
        name=name,
        source=_together([row["source"] for row in rows]),
        architecture=first["architecture"],
        pretraining=first["pretraining"],
        task=first["task"],
        by=first["grouping"],
        names=tuple(row["name"] for row in rows),
        printed_index=tuple(row["printed_index"] for row in rows),
        eigenvalue=_frozen_array([row["eigenvalue"] for row in rows]),
        std=_frozen_array([row["std"] for row in rows]),
        share_start=_frozen_array([starts.get(row["name"]) for row in rows]),
        sources=tuple(row["source"] for row in rows),
    )


def _curve_of_rows(name: str, rows: list[dict[str, Any]]) -> PublishedCurve:
    first = rows[0]
    return PublishedCurve(
        name=name,
        source=first["source"],
        architecture=first["architecture"],
        pretraining=first["pretraining"],
        task=first["task"],
        density=_frozen_array([row["density"] for row in rows]),
        accuracy=_frozen_array([row["accuracy"] for row in rows]),
        seed=tuple(row["seed"] for row in rows),
        runs=_frozen_array([row["runs"] or 1 for row in rows]),
        digitised=any(row["digitised"] for row in rows),
    )


def _frozen_array(values: list[float | None]) -> Floats:
    import numpy as np

    array = np.array(values, dtype=np.float64)  # None becomes NaN
    array.flags.writeable = False
    return array


def _or_none(values: Floats) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _together(sources: list[str]) -> str:
    """Join sources of one paper: `X, Table 3` and `X, Table 7` are `X, Table 3, Table 7`."""
    papers = list(dict.fromkeys(source.partition("), ")[0] for source in sources))
    places = list(dict.fromkeys(source.partition("), ")[2] for source in sources))
    assert len(papers) == 1
    return f"{papers[0]}), {', '.join(places)}"
