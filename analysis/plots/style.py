"""How figures look: sizes for print, colours and markers for everyone, labels that do not collide.

Colours are those of Okabe & Ito (2008), told apart with any colour vision; whatever a colour tells,
a marker, a line style or a label tells as well, so that figures survive a grey print.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.blocks import Layer
from ...schemas.errors import printable
from ..arrays import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SINGLE, DOUBLE = 3.4, 7.0  # inches: one and two columns of a journal
LABEL, TICK, SMALL = 8.0, 7.0, 6.0  # points
_LETTER, _HANDLE = 0.55, 3.0  # width of a letter on average, and before a label, in sizes of type
TOP = 0.97  # of a panel: the highest a label may stand, below the axis of densities
INK, FAINT = "#262626", "#9a9a9a"
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "*")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
DENSITY_TICKS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


@dataclass(frozen=True)
class Style:
    """Colour, marker and line of one series."""

    colour: str | tuple[float, float, float]
    marker: str
    line: Any


def series_styles(count: int) -> tuple[Style, ...]:
    """Return styles for so many series; colours, markers and lines repeat at different periods."""
    return tuple(
        Style(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], LINES[i % len(LINES)])
        for i in range(count)
    )


class Grouped(Protocol):
    """What has groups of layers: counts, or a flow in effective scales."""

    @property
    def by(self) -> str:
        """The grouping."""

    @property
    def names(self) -> tuple[str, ...]:
        """The groups."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The counted layers."""


def families(counts: Grouped) -> tuple[str, ...]:
    """Return the stage of every group, or the group itself where it lies in none."""
    if counts.by == "role":  # a role is in all stages
        return counts.names
    stage = {layer.group(counts.by): layer.stage for layer in counts.layers}
    return tuple(stage.get(name) or name for name in counts.names)


def group_styles(counts: Grouped) -> tuple[Style, ...]:
    """Return a style per group: colour, marker and line by stage, lightness by place in it."""
    family = families(counts)
    return tuple(
        Style(
            lightened(style.colour, 0.55 * family[:i].count(name) / max(family.count(name) - 1, 1)),
            style.marker,
            style.line,
        )
        for i, (name, style) in enumerate(zip(family, family_styles(counts), strict=True))
    )


def family_styles(counts: Grouped) -> tuple[Style, ...]:
    """Return the style of its stage for every group."""
    family = families(counts)
    stages = [name for name in dict.fromkeys(family) if name not in ("stem", "head")]
    styles = dict(zip(stages, series_styles(len(stages)), strict=True))
    styles |= {"stem": Style("#000000", "X", LINES[0]), "head": Style("#6e6e6e", "p", LINES[1])}
    return tuple(styles[name] for name in family)


def lightened(colour: str | tuple[float, float, float], share: float) -> tuple[float, float, float]:
    """Mix a colour with so much white."""
    from matplotlib.colors import to_rgb

    red, green, blue = (part + (1 - part) * share for part in to_rgb(colour))
    return red, green, blue


def new_figure(
    rows: int, columns: int, size: tuple[float, float], **sharing: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `size` inches, which a notebook shows, and its axes, row by row."""
    from .picture import Picture

    figure = Picture(figsize=size, layout="constrained", dpi=300)
    grid = figure.subplots(rows, columns, squeeze=False, **sharing)
    return figure, list(grid.ravel())


def dress(axes: Axes, *, x: str = "", y: str = "", title: str = "") -> None:
    """Give axes their labels, in the sizes of print, without a box around them."""
    axes.set_xlabel(x, fontsize=LABEL, color=INK)
    axes.set_ylabel(y, fontsize=LABEL, color=INK)
    if title:
        axes.set_title(_wrapped(title, axes), fontsize=LABEL, color=INK, loc="left")
    axes.tick_params(which="both", labelsize=TICK, color=INK, labelcolor=INK, width=0.6, length=3)
    axes.tick_params(which="minor", length=1.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.6)


def _wrapped(title: str, axes: Axes) -> str:
    """Break a title that is wider than its panel."""
    figure, place = axes.get_figure(root=True), axes.get_subplotspec()
    if figure is None or place is None:
        return title
    points = 0.85 * 72 * figure.get_figwidth() / place.get_gridspec().ncols  # without its axis
    letters = max(20, int(points / (_LETTER * LABEL)))
    return broken(title, letters)


def broken(title: str, letters: int) -> str:
    """Break a title into as few lines as it needs: behind a comma if it can be, else evenly.

    A number keeps its sign and its unit.

    Examples
    --------
    >>> print(broken("resnet20/cifar10, 5 seeds, retention 80 %", 40))
    resnet20/cifar10, 5 seeds,
    retention 80 %
    """
    held = re.sub(r" (?=[%=±])|(?<=[=±]) ", "\N{NO-BREAK SPACE}", title)
    longest = min(letters, max(1, *map(len, held.split(" "))))
    fewest = len(textwrap.wrap(held, letters, break_on_hyphens=False))
    ways = [
        lines
        for width in range(longest, letters + 1)
        if len(lines := textwrap.wrap(held, width, break_on_hyphens=False)) == fewest
    ]
    best = max(ways, key=lambda lines: sum(line[-1] in ",;:" for line in lines[:-1]))
    return "\n".join(best).replace("\N{NO-BREAK SPACE}", " ")


def legend(where: Axes | Figure, *, ncols: int = 1, **options: Any) -> None:
    """Show the labelled series of axes, or of a whole figure, in as many columns as fit."""
    size = SMALL + 0.5
    figure = where.get_figure(root=True)
    assert figure is not None
    drawn = [text for one in figure.axes for text in one.get_legend_handles_labels()[1]]
    longest = max(map(len, options.get("labels", drawn)), default=0)
    fit = int(72 * figure.get_figwidth() // ((longest * _LETTER + _HANDLE) * size))
    shown = where.legend(
        fontsize=size,
        frameon=False,
        labelcolor=INK,
        ncols=max(1, min(ncols, fit)),
        **{"handlelength": 2.2, "handletextpad": 0.5, "columnspacing": 1.4, **options},
    )
    if fit < 1:  # not even one column: names are broken into lines
        letters = max(20, int(72 * figure.get_figwidth() / (size * _LETTER) - _HANDLE / _LETTER))
        for text in shown.get_texts():
            text.set_text(broken(text.get_text(), letters))


def integer_levels(axes: Axes) -> None:
    """Mark whole levels only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))


def density_axis(axes: Axes) -> None:
    """Make x a logarithmic axis of density that falls to the right, as pruning goes."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(DENSITY_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
    axes.xaxis.set_inverted(True)


def share_axis(axes: Axes, *, fine: bool = False) -> None:
    """Make y a logarithmic axis of shares, with plain numbers at 1, 2 and 5 of a decade.

    `fine` adds 1.5, 3 and 7, for values within about one decade.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    subs = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if fine else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def percent(density: float) -> str:
    """Write a density as a percentage."""
    return f"{100 * density:g} %"


def plain(name: str) -> str:
    """Return a name from a file as text that matplotlib draws as it is, without formulas in it."""
    return printable(name).replace("$", r"\$")


def label_ends(
    axes: Axes,
    values: Sequence[float],
    texts: Sequence[str],
    leaders: Sequence[Any],
    colours: Sequence[Any],
) -> None:
    """Name series at the right edge, each beside its last value, moved apart where they collide.

    Parameters
    ----------
    axes : Axes
        With its final limits.
    values : sequence of float
        Last values, data coordinates.
    texts : sequence of str
        Labels.
    leaders, colours : sequence
        Colours of the lines that lead to the labels, and of the labels.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    low, _ = axes.get_xlim()
    place = [float(to_axes.transform((low, value))[1]) for value in values]
    seats = spread_out(place, 1.08 * SMALL / (72 * _panel_height(axes)))
    # The further labels move up or down, the further out they stand: leaders stay flat enough.
    column = 1.06 + 0.3 * float(np.max(np.abs(seats - place), initial=0.0))
    for at, seat, text, leader, colour in zip(place, seats, texts, leaders, colours, strict=True):
        axes.annotate(
            text,
            xy=(1.01, at),
            xytext=(column, seat),
            xycoords="axes fraction",
            textcoords="axes fraction",
            fontsize=SMALL,
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "linewidth": 0.5,
                "color": leader,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 0,
            },
        )


def _panel_height(axes: Axes) -> float:
    # The layout is not known before drawing: titles and labels take about 0.8 inches a row.
    figure, grid = axes.get_figure(root=True), axes.get_subplotspec()
    rows = grid.get_gridspec().nrows if grid is not None else 1
    return max((figure.get_figheight() if figure is not None else 2.6) / rows - 0.8, 0.5)


def spread_out(places: ArrayLike, gap: float) -> Floats:
    """Move places apart to at least `gap`, as little as possible in the sum of squares.

    Places less i gaps must not fall with i in their order, so this is isotonic regression. The
    result stays within 0 and TOP where so many gaps fit.
    """
    from scipy.optimize import isotonic_regression

    wanted = np.asarray(places, np.float64)
    order, steps = np.argsort(wanted, kind="stable"), gap * np.arange(len(wanted))
    fitted = isotonic_regression(wanted[order] - steps).x
    seats = np.empty_like(wanted)
    seats[order] = np.clip(fitted, 0.0, max(TOP - steps[-1], 0.0)) + steps
    return seats


class Named(Protocol):
    """What has an architecture with a task, an id and runs: counts, or a spectrum."""

    @property
    def label(self) -> str:
        """Architecture and task."""

    @property
    def experiment_id(self) -> str:
        """The experiment."""

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of its runs."""


def names_of(experiments: Sequence[Named]) -> tuple[str, ...]:
    """Name experiments as `named_apart`, for matplotlib to draw."""
    return tuple(map(plain, named_apart(experiments)))


def named_apart(experiments: Sequence[Named]) -> tuple[str, ...]:
    """Name experiments by architecture, task and number of seeds, and by id where these are equal.

    Such as `resnet20/cifar10, 5 seeds`, or beside a twin `resnet20/cifar10 fc9154, 5 seeds`.
    """
    labels = [experiment.label for experiment in experiments]
    return tuple(
        printable(one.label)
        + (f" {one.experiment_id[:6]}" if labels.count(one.label) > 1 else "")
        + f", {len(one.runs)} {'seed' if len(one.runs) == 1 else 'seeds'}"
        for one in experiments
    )
