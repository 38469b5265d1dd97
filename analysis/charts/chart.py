"""A chart as a value: its specification and its data, which a page and a notebook draw."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..plots.style import broken
from .theme import CONFIG

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

MIME = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # a name, nothing asks for it
WIDTH = 560  # pixels of a chart in a notebook
_LETTER = 7.5  # pixels of a letter of a title
_DIGITS = 7  # significant ones of what is drawn


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart of Vega-Lite 5, which needs nothing from the network.

    Attributes
    ----------
    key : str
        Kind, such as `flow`.
    title : str
        What it shows, in a line.
    caption : str
        Plain sentences: what is seen, what marks, bands and dotted lines mean.
    spec : mapping
        The specification: its data by name, without width, theme and title.
    data : mapping of str to polars.DataFrame
        What it draws, by those names; the main frame is `rows`.
    alternative : str
        What a screen reader says.
    query : str
        SQL that gives the same rows by `rgtool sql`, or else the command that prints them.
    of : str
        Ids of the experiments that it is of, which with `key` tell it from others of a page.
    fewer : callable, optional
        Makes the same chart with at most so many points a line, as its caption then says.
    figure : callable, optional
        Makes the figure of matplotlib that stands in where nothing draws specifications.
    """

    key: str
    title: str
    caption: str
    spec: Mapping[str, Any]
    data: Mapping[str, pl.DataFrame]
    alternative: str
    query: str = ""
    of: str = ""
    fewer: Callable[[int], Chart] | None = field(default=None, repr=False)
    figure: Callable[[], Figure] | None = field(default=None, repr=False)

    def specification(
        self, width: int | Literal["container"] = WIDTH, *, titled: bool = True, inline: bool = True
    ) -> dict[str, Any]:
        """Return the whole specification, as JSON has it.

        Parameters
        ----------
        width : int or "container"
            Pixels, or those of the element around it; a specification that has a width, or puts
            several views together, keeps its own.
        titled : bool
            Whether its title stands above it; a page has it as a heading.
        inline : bool
            Whether its data are in it; otherwise they are looked up by their names (`values`).
        """
        whole = {"$schema": SCHEMA, "description": self.alternative, **self.spec}
        if titled:
            letters = int((WIDTH if width == "container" else width) / _LETTER)
            whole["title"] = {"text": broken(self.title, letters).split("\n")}
        if whole.keys().isdisjoint({"width", "concat", "hconcat", "vconcat", "facet", "repeat"}):
            whole |= {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}}
        if inline:
            whole["datasets"] = {name: self.values(name) for name in self.data}
        # An SVG takes the colours of the page, and follows when they change.
        return {**whole, "config": CONFIG, "usermeta": {"embedOptions": {"renderer": "svg"}}}

    def values(self, name: str = "rows") -> list[dict[str, Any]]:
        """Return the rows of a frame as JSON has them: times as text, null for what is no number.

        Numbers have seven digits, which no picture shows; the frame has all.
        """
        import polars as pl
        from polars import selectors as cs

        ready = self.data[name].with_columns(cs.float().round_sig_figs(_DIGITS))
        ready = ready.with_columns(
            pl.when(cs.float().is_finite()).then(cs.float()),
            cs.temporal().dt.to_string("iso:strict"),
        )
        return ready.to_dicts()

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the chart for notebooks, and its figure for those that draw none."""
        from ..plots.picture import as_png

        shown: dict[str, Any] = {
            MIME: self.specification(),
            "text/plain": f"{self.title}\n{self.alternative}",
        }
        if self.figure is None:
            return shown, {}
        picture, size = as_png(self.figure())
        return {**shown, "image/png": base64.b64encode(picture).decode()}, {"image/png": size}
