"""How shares flow under pruning schemes: a panel for every scheme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...store.catalogue.apart import label_of
from ..arrays import Floats
from ..flow import shares
from . import style as plot_style
from .style import DOUBLE, FAINT, INK, SINGLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..scheme.result import Scheme

_COLUMNS, _MARKS = 3, 3  # panels beside each other, densities that are marked in one
_DECADES = 1.5  # of densities, above which a small panel marks whole decades alone


def plot_schemes(schemes: Sequence[Scheme]) -> Figure:
    """Draw the share of every pruned group against density, mean over runs, for every scheme.

    Dashed is the fixed point that a flow is drawn to, and grey where finite size does not let it be
    had: where a group, whole, is smaller than its share, and where one has fewer than ten weights.
    """
    columns = min(_COLUMNS, len(schemes))
    rows = -(-len(schemes) // columns)
    width = SINGLE if columns == 1 else DOUBLE
    figure, panels = plot_style.new_figure(rows, columns, (width, 2.3 * rows))
    for axes, one in zip(panels, schemes, strict=False):
        _panel(axes, one)
    for axes in panels[len(schemes) :]:
        axes.set_visible(False)
    return figure


def _panel(axes: Axes, one: Scheme) -> None:
    window = one.window
    density = window.density
    share = shares(window.kept[..., window.open]).mean(axis=0)
    styles = plot_style.group_styles(window.counts)
    own = [style for style, pruned in zip(styles, window.open, strict=True) if pruned]
    for values, style in zip(share.T, own, strict=True):
        axes.plot(density, values, color=style.colour, linestyle=style.line, linewidth=1.0)
    _density_axis(axes, density)
    plot_style.share_axis(axes)
    found = one.shares
    if found is not None and np.isfinite(found.reach).all():
        for value, style in zip(found.fixed, own, strict=True):
            axes.axhline(value, color=style.colour, linestyle=(0, (2, 2)), linewidth=0.5)
        first, last = axes.get_xlim()
        for ends in ((max(first, last), found.reach[0]), (found.reach[1], min(first, last))):
            if ends[0] > ends[1]:
                axes.axvspan(*ends, color=FAINT, alpha=0.15, linewidth=0)
        axes.set_xlim(first, last)
    said = "" if found is None else f": {found.fate}"
    trained = "" if one.family.trained else ", untrained"
    where = plot_style.plain(label_of(one.family.recipe))
    title = f"{plot_style.plain(one.pruner)}{trained}, {where}{said}"
    plot_style.dress(axes, x="density", y="share", title=title)
    plot_style.label_ends(
        axes, share[-1].tolist(), window.names, [x.colour for x in own], [INK] * len(own)
    )


def _density_axis(axes: Axes, density: Floats) -> None:
    """Make x the axis of densities; of many decades these alone are marked."""
    from matplotlib.ticker import FixedLocator

    plot_style.density_axis(axes)
    low, high = np.log10(density[[-1, 0]])
    if high - low > _DECADES:
        places = np.arange(np.ceil(low), np.floor(high) + 1)
        step = max(1, -(-len(places) // _MARKS))
        axes.xaxis.set_major_locator(FixedLocator((10.0 ** places[::-1][::step]).tolist()))
