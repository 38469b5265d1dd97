"""The figure of classes: the tree, and how often experiments fall into one class."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import style
from .style import DOUBLE, FAINT, INK, LABEL, SMALL, TICK, new_figure, series_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..classes.result import Classes

_NAMED = 60  # experiments that have room for their names
_MARKED = 40  # and for marks of their verdicts


def plot_classes(classes: Classes) -> Figure:
    """Draw the dendrogram beside the co-assignment matrix, in the order of its leaves.

    Where there is one class nothing was drawn, and the matrix shows verdicts alone. A cross marks
    a pair that is different, a dot one that is certified the same.
    """
    from scipy.cluster.hierarchy import dendrogram

    size = len(classes.experiments)
    height = min(max(2.2, 0.16 * size + 1.2), 9.0)
    figure, (tree, heat) = new_figure(1, 2, (DOUBLE, height), width_ratios=(1, 1.6))
    found = dendrogram(
        classes.clusters.linkage,
        orientation="left",
        ax=tree,
        no_labels=True,
        color_threshold=0,
        above_threshold_color=INK,
    )
    order = np.array(found["leaves"])
    _dress_tree(tree, classes)
    sure = classes.certainty
    shown = np.eye(size) if sure is None else sure.together
    image = heat.imshow(
        shown[np.ix_(order, order)],
        cmap="Greys",
        vmin=0,
        vmax=1,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    _short_name(heat, classes, order)
    if size <= _MARKED:
        _mark(heat, classes, order)
    if sure is not None:
        bar = figure.colorbar(image, ax=heat, shrink=0.8)
        bar.set_label(f"share of {sure.draws} draws in one class", fontsize=TICK, color=INK)
        bar.ax.tick_params(labelsize=SMALL)
    figure.suptitle(classes.title, fontsize=LABEL, color=INK, x=0.01, ha="left")
    return figure


def _dress_tree(axes: Axes, classes: Classes) -> None:
    metric = re.split(r",| between", classes.metric.removeprefix("the "))[0]
    axes.set_xlabel(metric, fontsize=TICK, color=INK)
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.set_yticks([])
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    for lines in axes.collections:
        lines.set_linewidth(0.8)


def _short_name(axes: Axes, classes: Classes, order: NDArray[np.int64]) -> None:
    styles = series_styles(classes.clusters.number)
    axes.set_xticks([])
    axes.set_yticks([])
    if len(order) > _NAMED:
        axes.set_ylabel(f"{len(order)} experiments", fontsize=TICK, color=INK)
        return
    axes.set_yticks(np.arange(len(order)))
    texts = [classes.names[i].removeprefix("published:") for i in order]
    names = [text if len(text) <= 44 else text[:43] + "…" for text in texts]
    axes.set_yticklabels(
        [
            f"{style.plain(name)}  [{classes.clusters.labels[i]}]"
            for name, i in zip(names, order, strict=True)
        ],
        fontsize=SMALL,
    )
    for label, i in zip(axes.get_yticklabels(), order, strict=True):
        label.set_color(styles[classes.clusters.labels[i] - 1].colour)
    axes.tick_params(axis="y", length=0)


def _mark(axes: Axes, classes: Classes, order: NDArray[np.int64]) -> None:
    place = np.argsort(order)
    pairs = classes.pairs
    both = np.concatenate([[pairs.first, pairs.second], [pairs.second, pairs.first]], axis=1)
    verdicts = np.array([*pairs.verdict, *pairs.verdict])
    for verdict, marker in (("different", "x"), ("same", ".")):
        rows, columns = place[both[:, verdicts == verdict]]
        axes.scatter(columns, rows, marker=marker, s=9, linewidths=0.6, color=FAINT)
