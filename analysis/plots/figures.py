"""Figures of experiments, and saving them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.files import write_atomic
from ...store.counts import Counts
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


FIGURES: dict[str, Callable[[Sequence[Counts]], Figure]] = {
    "flow": plot_flow,
    "slices": plot_slices,
    "accuracy": plot_accuracy,
    "spectrum": spectrum_figure,
}


def plot(kind: str, experiments: Sequence[Counts]) -> Figure:
    """Draw a figure of one or several experiments.

    Parameters
    ----------
    kind : str
        `flow` (shares against level), `slices` (shares against each other, the paper's Fig. 2),
        `accuracy` (against density) or `spectrum` (beside its null).
    experiments : sequence of Counts
        In one grouping.

    Raises
    ------
    UsageError
        The kind is unknown, or there is no experiment.
    RgtoolError
        An experiment lacks what the figure shows.
    """
    choose("figure", kind, FIGURES)
    if not experiments:
        raise UsageError("a figure needs at least one experiment")
    return FIGURES[kind](experiments)


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
