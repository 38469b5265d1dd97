"""Figures of results and experiments, and saving them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.files import write_atomic
from ...store.counts import Counts
from ..result import Result
from ..spectrum.eigen import eigen
from .accuracy import plot_accuracy
from .flow import plot_flow, plot_slices
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


def plot(
    what: Result | Counts | Sequence[Result] | Sequence[Counts], kind: str | None = None
) -> Figure:
    """Draw a result, or experiments.

    Parameters
    ----------
    what : Result, Counts, or several
        A result of `eigen`, `gamma`, `shared_gamma`, `classify`, `collapse`, `forecast`, `match`,
        `match_all`, `meta`, `transfer` or `stretch`; several spectra or exponents go into one
        figure. Or the counts of experiments, in one grouping.
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
    return _figure_of_results([one for one in things if isinstance(one, Result)], things)


def _figure_of_results(results: Sequence[Result], things: Sequence[Any]) -> Figure:
    of, *others = dict.fromkeys(map(type, things))
    if others or len(results) < len(things):
        names = ", ".join(one.__name__ for one in (of, *others))
        raise UsageError(
            f"no figure shows {len(things)} of {names}: give a result, several of one type, or the "
            "counts of experiments"
        )
    return results[0].plot() if len(results) == 1 else type(results[0]).plot_together(results)


def _figure_of_experiments(things: Sequence[Any], kind: str | None) -> Figure:
    if kind is None:
        raise UsageError(f"no kind of figure is given: choose from {', '.join(sorted(FIGURES))}")
    kind = choose("figure", kind, FIGURES)
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
