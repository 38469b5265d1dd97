"""Figures of results and experiments, and saving them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.files import write_atomic
from ...store.counts import Counts
from ..classes.result import Classes
from ..collapse.result import Collapse
from ..elastic.match_all import MatchAll
from ..elastic.result import Match
from ..gamma.result import Gamma, Gammas
from ..gamma.shared import SharedGamma
from ..meta.result import Meta
from ..result import Result
from ..spectrum.eigen import eigen
from ..spectrum.forecast import Forecast
from ..spectrum.result import Spectrum
from ..spectrum.scale_flow import ScaleFlow
from .accuracy import plot_accuracy
from .classes import plot_classes
from .collapse import plot_collapse
from .flow import plot_flow, plot_scale_flow, plot_slices
from .forest import plot_forecast, plot_meta
from .gamma import plot_gamma
from .match import plot_match, plot_match_all
from .spectrum import plot_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")


def spectrum_figure(experiments: Sequence[Counts]) -> Figure:
    """Draw the spectra of experiments: exponents where they prune at different rates."""
    rates = {counts.recipe.prune for counts in experiments}
    spectra = [eigen(None, counts) for counts in experiments]
    return plot_spectrum(spectra, "eigenvalue" if len(rates) == 1 else "exponent")


# Of experiments, by kind.
FIGURES: dict[str, Callable[[Sequence[Counts]], Figure]] = {
    "flow": plot_flow,
    "slices": plot_slices,
    "accuracy": plot_accuracy,
    "spectrum": spectrum_figure,
}
# Of results: one figure for several of a type, or one of each.
TOGETHER: dict[type[Result], Callable[[Sequence[Any]], Figure]] = {
    Spectrum: plot_spectrum,
    ScaleFlow: plot_scale_flow,
    Gamma: plot_gamma,
}
ALONE: dict[type[Result], Callable[[Any], Figure]] = {
    Classes: plot_classes,
    Collapse: plot_collapse,
    Forecast: plot_forecast,
    Gammas: lambda found: plot_gamma(found.results),
    Match: plot_match,
    MatchAll: plot_match_all,
    Meta: plot_meta,
    SharedGamma: lambda found: plot_gamma(found.gammas, found),
}


def plot(
    what: Result | Counts | Sequence[Result] | Sequence[Counts], kind: str | None = None
) -> Figure:
    """Draw a result, or experiments.

    Parameters
    ----------
    what : Result, Counts, or several
        A result of `eigen`, `gamma`, `shared_gamma`, `classify`, `collapse`, `forecast`, `match`,
        `match_all` or `meta`; several spectra or exponents go into one figure. Or the counts of
        experiments, in one grouping.
    kind : str, optional
        What of experiments: `flow` (shares against level), `slices` (shares against each other, the
        paper's Fig. 2), `accuracy` (against density) or `spectrum` (beside its null).

    Raises
    ------
    UsageError
        The kind is unknown, there is nothing to draw, or a result has no figure.
    RgtoolError
        An experiment lacks what the figure shows.

    Examples
    --------
    >>> import rgtool
    >>> figure = rgtool.plot(rgtool.gamma(None, "published:renda2020-resnet56"))
    """
    things = list(what) if isinstance(what, list | tuple) else [what]
    if not things:
        raise UsageError("a figure needs at least one experiment")
    if found := [one for one in things if not isinstance(one, Result | Counts)]:
        raise UsageError(
            f"a figure shows results, or counts of experiments, and no {type(found[0]).__name__}: "
            "as plot(eigen(store, name)) or plot(store.counts(name), 'flow')"
        )
    if kind is not None or isinstance(things[0], Counts):
        return _figure_of_experiments(things, kind)
    of = type(things[0])
    if of in TOGETHER and all(type(one) is of for one in things):
        return TOGETHER[of](things)
    if of in ALONE and len(things) == 1:
        return ALONE[of](things[0])
    names = ", ".join(dict.fromkeys(type(one).__name__ for one in things))
    if len(things) > 1:
        raise UsageError(f"no figure shows {len(things)} of {names} together: draw each by itself")
    known = ", ".join(one.__name__ for one in (*TOGETHER, *ALONE))
    raise UsageError(f"{names} has no figure: {known} have one")


def _figure_of_experiments(things: Sequence[Any], kind: str | None) -> Figure:
    if kind is None:
        raise UsageError(f"no kind of figure is given: choose from {', '.join(sorted(FIGURES))}")
    choose("figure", kind, FIGURES)
    if not all(isinstance(one, Counts) for one in things):
        raise UsageError(f"figure '{kind}' is of experiments: give their counts, or leave it out")
    return FIGURES[kind](things)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, whichever the suffix says.

    The file is either whole or absent, and the same figure gives the same bytes.

    Raises
    ------
    UsageError
        The suffix is none of these.
    RgtoolError
        The folder is missing or not writable.
    """
    from matplotlib import rc_context

    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: a figure ends in .png, .svg or .pdf, not in '{path.suffix}'")
    buffer = io.BytesIO()
    dates = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    # Text stays text in both vector formats, so that it can be searched and edited.
    with rc_context({"svg.hashsalt": "rgtool", "svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(buffer, format=suffix[1:], metadata=dates[suffix])
    try:
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        raise RgtoolError(f"{path}: cannot be written ({error.strerror})") from None
