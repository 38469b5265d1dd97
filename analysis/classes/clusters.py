"""Classes from distances: average linkage, their number by silhouette, their stability by draws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Integers

MOST_CLASSES = 6
STABLE = 0.8  # mean co-assignment of a class that is called stable


@dataclass(frozen=True, eq=False)
class Clusters:
    """A partition of E experiments.

    Attributes
    ----------
    labels : integer array, shape (E,)
        Class of every experiment, from 1 in the order of first appearance.
    linkage : array, shape (E - 1, 4)
        The tree, as SciPy has it; empty for one experiment.
    silhouette : array, shape (M,)
        Mean silhouette with 2, 3, ... classes, as far as it was tried.
    """

    labels: Integers
    linkage: Floats
    silhouette: Floats

    @property
    def number(self) -> int:
        """Number of classes."""
        return int(self.labels.max())


def cluster(distance: ArrayLike, divided: bool = True) -> Clusters:
    """Divide experiments into classes.

    Parameters
    ----------
    distance : array, shape (E (E - 1) / 2,)
        Condensed distances.
    divided : bool
        Whether there is more than one class at all; False gives one.

    Returns
    -------
    Clusters
        Average linkage (Sokal & Michener 1958); the number of classes from 2 to 6 with the largest
        mean silhouette (Rousseeuw 1987). A class of one has silhouette 0, so dividing all
        experiments from each other has 0 too, and is tried where there are no more than 6.
    """
    from scipy.cluster.hierarchy import linkage

    condensed = np.asarray(distance, np.float64)
    size = round((1 + np.sqrt(1 + 8 * len(condensed))) / 2)
    tree = linkage(condensed, "average") if size > 1 else np.empty((0, 4))
    if size < 2 or not divided:
        return Clusters(np.ones(size, np.int64), tree, np.empty(0))
    cuts = _cuts(tree, min(MOST_CLASSES, size))
    scores = _silhouettes(_square(condensed), cuts)
    # Rounding must not decide between equal scores: the smaller number of classes then.
    best = int(np.flatnonzero(scores >= scores.max() - 1e-12)[0])
    return Clusters(_ordered(cuts[best]), tree, scores)


def coassignment(draws: Iterable[ArrayLike]) -> Floats:
    """Return how often two experiments fall into one class, over drawn distances.

    Parameters
    ----------
    draws : iterable of array, shapes (E (E - 1) / 2,)
        Condensed distances; the number of classes is chosen anew for every draw.

    Returns
    -------
    array, shape (E, E)
        Shares of the draws, 1 on the diagonal.
    """
    total, number = None, 0
    for distance in draws:
        labels = cluster(distance).labels
        together = labels[:, None] == labels
        total = together.astype(np.int64) if total is None else total + together
        number += 1
    if total is None:
        raise ValueError("a co-assignment needs at least one draw")
    return np.asarray(total / number)


def stability(labels: Integers, together: Floats) -> Floats:
    """Return the mean co-assignment within the class of every experiment: shape (E,).

    Over the pairs of its class; for a class of one, the share of draws in which it is alone: 1
    minus the largest co-assignment with another.
    """
    out = np.empty(len(labels))
    for label in np.unique(labels):
        inside = labels == label
        size = int(inside.sum())
        if size > 1:
            block = together[np.ix_(inside, inside)]
            out[inside] = (block.sum() - size) / (size * (size - 1))
        else:
            out[inside] = 1 - together[inside][:, ~inside].max(initial=0.0)
    return out


def _cuts(tree: Floats, most: int) -> Integers:
    """Cut a tree into 2 to `most` classes: labels from 0, shape (most - 1, E).

    SciPy's `cut_tree` gives one class where as many as experiments are asked for. The leaves of a
    node are neighbours in the order of leaves, so undoing the last merge is cutting an interval.
    """
    from scipy.cluster.hierarchy import leaves_list

    size = len(tree) + 1
    labels, out = np.zeros(size, np.int64), []
    start = {2 * size - 2: 0}
    for classes in range(2, most + 1):
        row = size - classes
        left, right = (int(child) for child in tree[row, :2])
        begin, end = start[size + row], start[size + row] + int(tree[row, 3])
        middle = begin + (1 if left < size else int(tree[left - size, 3]))
        start[left], start[right] = begin, middle
        labels[middle:end] = classes - 1
        out.append(labels.copy())
    cuts = np.empty((len(out), size), np.int64)
    cuts[:, leaves_list(tree)] = out
    return cuts


def _square(condensed: Floats) -> Floats:
    from scipy.spatial.distance import squareform

    return np.asarray(squareform(condensed, checks=False))


def _silhouettes(distance: Floats, cuts: Integers) -> Floats:
    """Return the mean silhouette of every cut (M, E) of distances (E, E): shape (M,)."""
    return np.array([_silhouette(distance, labels) for labels in cuts])


def _silhouette(distance: Floats, labels: Integers) -> float:
    member = np.eye(labels.max() + 1)[labels]
    sizes = member.sum(axis=0)
    sums = distance @ member
    rows, own = np.arange(len(labels)), sizes[labels]
    inside = sums[rows, labels] / np.maximum(own - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    nearest = means.min(axis=1)
    larger = np.maximum(inside, nearest)
    score = np.divide(nearest - inside, larger, out=np.zeros_like(larger), where=larger > 0)
    return float(np.where(own > 1, score, 0.0).mean())


def _ordered(labels: Integers) -> Integers:
    """Give classes numbers from 1, by their first member."""
    names, first = np.unique(labels, return_index=True)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(first)] = np.arange(1, len(names) + 1)
    return rank[np.searchsorted(names, labels)]
