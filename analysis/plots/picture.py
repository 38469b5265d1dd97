"""Figures that a notebook shows by themselves."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

_SCREEN = 96.0  # pixels an inch, as browsers count
_FINE = 2.0  # pixels of the picture to one of the page, for screens of high resolution


class Picture(Figure):
    """A figure of matplotlib that is its own picture where it is the last line of a cell.

    It belongs to no window and to no state of pyplot, so that nothing shows it a second time.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=_FINE * _SCREEN)
        width, height = (round(_SCREEN * inches) for inches in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}
