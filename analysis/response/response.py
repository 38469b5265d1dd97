"""The operator of a flow and its eigenvalues, as a result.

This is the spectrum of a renormalization group in the strict sense: that of the linearised flow,
beside which stand the growth rates y of shares, which are another thing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..arrays import Floats
from ..result import SIGNED, Column, Result, ends
from ..stats.seeds import seed_mean
from ..values import Estimate
from .operator import (
    SAME,
    Eigen,
    Interval,
    contrasts,
    eigen_of,
    interval_of,
    mean_eigenvalue,
    verdict_of,
)
from .perturbed import SIDES, Side

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Coordinates = Literal["share", "scale"]
_SHOWN = 3  # groups of a direction that are named


@dataclass(frozen=True, eq=False)
class Matrix(Result):
    """The operator by groups: how the log share of one answers to that of another, both centred.

    Attributes
    ----------
    what : str
        What was perturbed, in words.
    names : tuple of str
        Groups.
    by_seed : array, shape (S, K, K)
        V J V' of every seed, V the contrasts: the row answers to the column.
    still : array, shape (K, K)
        That of weights that stand still, mean over seeds; NaN where there is no such network.
    notes : tuple of str
        What the numbers alone do not say.
    """

    what: str
    names: tuple[str, ...]
    by_seed: Floats
    still: Floats
    notes: tuple[str, ...] = ()

    columns = (
        Column("answers", "The group whose log share is read at the last level."),
        Column("to", "The group whose log share is moved at the first."),
        Column("value", "Entry of the operator in centred log shares; 1 - 1/K and -1/K where "
               "deviations stay as they are.", format=SIGNED),
        *ends("low", "high", "its 95 % interval over seeds", "", SIGNED, "if any"),
        Column("stays", "What it is where J = 1.", format=SIGNED, shown="wide"),
        Column("still", "What it is where weights stand still and the threshold rises.",
               format=SIGNED, shown="wide"),
    )  # fmt: skip
    rows = "a row for every pair of groups"
    see = "relevance.md#the-operator-of-the-flow"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"operator of {self.what}"

    def _values(self) -> dict[str, Any]:
        size = len(self.names)
        found = seed_mean(self.by_seed.reshape(len(self.by_seed), -1)).estimate
        return {
            "answers": [name for name in self.names for _ in self.names],
            "to": [*self.names] * size,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "stays": (np.eye(size) - 1 / size).ravel(),
            "still": self.still.ravel(),
        }


@dataclass(frozen=True, eq=False)
class Directions(Result):
    """The eigenvectors that are known, by groups.

    Attributes
    ----------
    what : str
        What was perturbed, in words.
    names : tuple of str
        Groups.
    numbers : tuple of int
        Eigenvalues that stand alone and are real, by their place.
    by_seed : array, shape (S, N, K)
        Loadings of every seed, to first order.
    notes : tuple of str
        What the numbers alone do not say.
    """

    what: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    by_seed: Floats
    notes: tuple[str, ...] = ()

    columns = (
        Column("eigenvalue", "Place of the eigenvalue, the largest modulus first."),
        Column("name", "The group."),
        Column("loading", "Of its centred log share in the direction, which has length 1.",
               format=SIGNED),
        *ends("low", "high", "its 95 % interval over seeds, to first order", "", SIGNED, "if any"),
    )  # fmt: skip
    rows = "a row for every eigenvalue that stands alone, and group"
    see = "relevance.md#directions"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"directions of {self.what}"

    def _values(self) -> dict[str, Any]:
        found = seed_mean(self.by_seed.reshape(len(self.by_seed), -1)).estimate
        return {
            "eigenvalue": [number for number in self.numbers for _ in self.names],
            "name": [*self.names] * len(self.numbers),
            "loading": found.value,
            "low": found.low,
            "high": found.high,
        }


@dataclass(frozen=True, eq=False)
class Response(Result):
    """Eigenvalues of the operator of a flow, the largest modulus first.

    Attributes
    ----------
    what : str
        Experiment, grouping, level, factor and seeds, in words.
    levels : (int, int)
        From where to where.
    coordinates : str
        `share`: logarithms of shares; `scale`: effective scales.
    names : tuple of str
        Groups, K.
    operator : array, shape (S, K - 1, K - 1)
        J of every seed in ilr coordinates.
    by_side : mapping of str to array, shape (S, K - 1, K - 1)
        J from the thinner runs alone, and from the thicker ones, where these suffice.
    still : array, shape (S, K - 1, K - 1), or None
        What J would be if weights stood still while the threshold rose; None where the pruner
        ranks by more than magnitudes.
    rescaling : float
        ln N(first) / N(last), mean over seeds: the logarithm of the change of scale.
    margin : float
        Of verdicts.
    p_identity : float
        Of J = 1.
    exponent : Estimate, shape (K,)
        y of the groups.
    window : str
        Levels of y.
    notes : tuple of str
        What the numbers alone do not say.
    """

    what: str
    levels: tuple[int, int]
    coordinates: str
    names: tuple[str, ...]
    operator: Floats
    by_side: Mapping[Side, Floats]
    still: Floats | None
    rescaling: float
    margin: float
    p_identity: float
    exponent: Estimate[Floats]
    window: str
    notes: tuple[str, ...]

    columns = (
        Column("number", "Place of the eigenvalue."),
        Column("real", "Real part of the eigenvalue of the mean operator.", format=SIGNED),
        Column("imaginary", "Imaginary part; such eigenvalues come in pairs.", format=SIGNED,
               shown="if any"),
        Column("cluster", "Eigenvalues that seeds cannot tell apart have one number."),
        Column("eigenvalue", "What the cluster tells: the mean of its eigenvalues, of a complex "
               "pair the modulus.", "1 over all levels", SIGNED),
        *ends("low", "high", "its 95 % interval over seeds", "1 over all levels", SIGNED, "if any"),
        Column("verdict", "Deviations grow (relevant), fade (irrelevant), stay within the margin "
               "(marginal), or that is not known (indeterminate)."),
        Column("p_one", "Of an eigenvalue of 1.", "", ".3g"),
        Column("p_contracts", "Of a modulus that is not below 1, one-sided.", "", ".3g"),
        Column("scaling", "ln |eigenvalue| / ln N(first)/N(last): the scaling exponent.",
               format=SIGNED),
        *ends("scaling_low", "scaling_high", "its 95 % interval", "", SIGNED, "wide"),
        Column("direction", "Groups of the largest loadings, where the eigenvalue stands alone.",
               shown="if any"),
        Column("alignment", "How far the direction is that of one group against all others: 1, "
               "that group alone.", "", ".2f", "if any"),
    )  # fmt: skip
    rows = "a row for every eigenvalue"
    see = "relevance.md#the-operator-of-the-flow"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        first, last = self.levels
        kind = "effective scales" if self.coordinates == "scale" else "shares"
        return f"operator of {self.what}, to level {last}: {kind}"

    @cached_property
    def eigen(self) -> Eigen:
        """Eigenvalues and eigenvectors."""
        return eigen_of(self.operator)

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """What every cluster tells, in the order of `eigen.clusters`."""
        return tuple(interval_of(self.eigen.told(one)) for one in self.eigen.clusters)

    @property
    def mean(self) -> Interval:
        """The mean of all eigenvalues, the trace of J over its dimension."""
        return interval_of(mean_eigenvalue(self.operator))

    @property
    def is_certain(self) -> bool:
        """Whether seeds, more than one, show the same operator: nothing in it is chance."""
        seeds = len(self.operator)
        return seeds > 1 and bool((np.ptp(self.operator, axis=0) < SAME).all())

    @property
    def asymmetry(self) -> Interval | None:
        """The mean eigenvalue of thicker runs less that of thinner; 0 of a linear response."""
        if len(self.by_side) < 2:
            return None
        thinner, thicker = (mean_eigenvalue(self.by_side[side]) for side in SIDES)
        return interval_of(thicker - thinner)

    @property
    def matrix(self) -> Matrix:
        """The operator by groups."""
        basis = contrasts(len(self.names))
        still = np.full((len(self.names),) * 2, np.nan)
        if self.still is not None:
            still = basis @ self.still.mean(axis=0) @ basis.T
        return Matrix(self.what, self.names, basis @ self.operator @ basis.T, still)

    @property
    def directions(self) -> Directions:
        """Eigenvectors of eigenvalues that stand alone."""
        alone = [one[0] for one in self.eigen.clusters if self._stands_alone(one)]
        loadings = np.array([self._loadings(number) for number in alone])
        shape = (len(alone), len(self.operator), len(self.names))
        return Directions(
            self.what,
            self.names,
            tuple(number + 1 for number in alone),
            np.swapaxes(loadings.reshape(shape), 0, 1),
        )

    def _stands_alone(self, cluster: Sequence[int]) -> bool:
        return len(cluster) == 1 and self.eigen.values[cluster[0]].imag == 0

    def _loadings(self, number: int) -> Floats:
        """Return loadings of every seed on the groups, the largest positive: shape (S, K)."""
        basis = contrasts(len(self.names))
        found = self.eigen.loadings[..., number].real @ basis.T
        mean = found.mean(axis=0)
        return np.asarray(found * np.sign(mean[np.abs(mean).argmax()]))

    def _values(self) -> dict[str, Any]:
        rows = sorted(self._rows(), key=lambda row: row["number"])
        names = [column.name for column in self.columns]
        return {name: [row[name] for row in rows] for name in names}

    def _rows(self) -> Iterator[dict[str, Any]]:
        for place, cluster in enumerate(self.eigen.clusters):
            found = self.intervals[place]
            scaling = [_scaling(end, self.rescaling) for end in _moduli(found)]
            direction, alignment = self._direction(cluster)
            for number in cluster:
                value = self.eigen.values[number]
                yield {
                    "number": number + 1,
                    "real": float(value.real),
                    "imaginary": float(value.imag) if value.imag else math.nan,
                    "cluster": place + 1,
                    "eigenvalue": found.value,
                    "low": found.low,
                    "high": found.high,
                    "verdict": verdict_of(found, self.margin),
                    "p_one": found.p_of(1.0),
                    "p_contracts": found.p_contracts,
                    "scaling": scaling[1],
                    "scaling_low": scaling[0],
                    "scaling_high": scaling[2],
                    "direction": direction,
                    "alignment": alignment,
                }

    def _direction(self, cluster: Sequence[int]) -> tuple[str, float]:
        """Name the groups of a direction, and say how far it is that of one group."""
        if not self._stands_alone(cluster):
            return "", math.nan
        loading = self._loadings(cluster[0]).mean(axis=0)
        loading = loading / np.linalg.norm(loading)
        first = np.argsort(-np.abs(loading), kind="stable")[:_SHOWN]
        text = " ".join(f"{loading[i]:+.2f} {self.names[i]}" for i in first)
        if len(self.names) == 2:  # has no other direction
            return text, math.nan
        alone = math.sqrt(1 - 1 / len(self.names))  # of a group against all others
        return text, float(np.abs(loading).max() / alone)

    def plot(self) -> Figure:
        """Draw eigenvalues in the complex plane, and the operator by groups."""
        from ..plots.response import plot_response

        return plot_response(self)


def _moduli(found: Interval) -> tuple[float, float, float]:
    """Return the modulus of a value, and of its interval's ends; 0 where that holds it."""
    ends = sorted((abs(found.low), abs(found.high)))
    return (0.0 if found.low <= 0 <= found.high else ends[0], abs(found.value), ends[1])


def _scaling(modulus: float, rescaling: float) -> float:
    return math.log(modulus) / rescaling if modulus > 0 else math.nan
