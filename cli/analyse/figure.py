"""Figures that a command draws into the file of `--plot`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import RgtoolError, UsageError
from ..output import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def is_figure(path: Path) -> bool:
    """Tell whether a path ends as a figure does, in .png, .svg or .pdf."""
    from ...analysis.plots.figures import SUFFIXES

    return path.suffix.lower() in SUFFIXES


def check_figure(path: Path | None) -> None:
    """Refuse a `--plot` that is no figure, before anything is computed.

    Raises
    ------
    UsageError
        The path has another suffix.
    """
    if path is not None and not is_figure(path):
        raise UsageError(f"--plot {path}: a figure ends in .png, .svg or .pdf")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure, and make its folder where there is none.

    Raises
    ------
    RgtoolError
        The folder cannot be made, or the file not be written.
    """
    from ...analysis.plots.figures import save

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RgtoolError(f"{path}: its folder cannot be made ({error.strerror})") from None
    save(figure, path)


def draw_figure(path: Path | None, draw: Callable[[], Figure]) -> None:
    """Draw and write the figure that was asked for with `--plot`, if one was, and say where."""
    if path is not None:
        write_figure(draw(), path)
        say(f"drawn: {path}")
