"""Figures that a notebook shows by themselves."""

from __future__ import annotations

import io
import sys
from typing import Any

from matplotlib.figure import Figure

_SCREEN = 96.0  # pixels an inch, as browsers count
_FINE = 2.0  # pixels of the picture to one of the page, for screens of high resolution
_FORMATS = ("image/png", "image/jpeg", "image/svg+xml", "application/pdf")


class Picture(Figure):
    """A figure of matplotlib that is its own picture where it is the last line of a cell.

    It belongs to no window and to no state of pyplot, so that nothing shows it a second time. After
    `%matplotlib inline` it looks the same; formats that IPython is told to show instead are shown.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if "image/png" in (formatters := _formatters()):
            # Of its own, where `%matplotlib inline` makes one of all figures, at the size of print.
            formatters["image/png"].for_type(Picture, Picture._repr_png_)

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]] | None:
        return as_png(self) if _is_png_wanted() else None


def as_png(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """Return a figure as PNG for a screen, with its width and height in pixels of a page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_FINE * _SCREEN)
    width, height = (round(_SCREEN * inches) for inches in figure.get_size_inches())
    return buffer.getvalue(), {"width": width, "height": height}


def _formatters() -> dict[str, Any]:
    """Return what IPython shows things with, by format; empty where it is not at work."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    found: dict[str, Any] = {} if shell is None else shell.display_formatter.formatters
    return found


def _is_png_wanted() -> bool:
    """Tell whether figures are shown as PNG: they are, unless IPython is told other formats."""
    formatters = _formatters()
    told = [f for f in _FORMATS if f in formatters and Figure in formatters[f].type_printers]
    return not told or "image/png" in told
