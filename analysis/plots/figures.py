"""Figures of results and experiments, and saving them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.files import write_atomic
from ...store.counts import Counts
from ..drawing import Drawable, draw
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


def plot(what: Drawable, kind: str | None = None) -> Figure:
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
    return draw(what, kind, FIGURES, _together, word="figure", verb="plot")


def _together(results: Sequence[Result]) -> Figure:
    return results[0].plot() if len(results) == 1 else type(results[0]).plot_together(results)


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
