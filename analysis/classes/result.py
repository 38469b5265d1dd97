"""Universality classes: the result of `classify`, its tables and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.words import counted
from ..arrays import Floats, Integers
from ..result import Result, frame, number
from .clusters import STABLE, Clusters

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Pairs:
    """What is known of all pairs of experiments. NaN where there is no test.

    Attributes
    ----------
    first, second : integer array, shape (P,)
        Positions of the experiments.
    distance, p, p_holm : array, shape (P,)
        Distance, p of one class, and p corrected for all pairs after Holm.
    verdict : tuple of str, length P
        `same`: certified; `different`: p_holm < .05; else `undecided`.
    columns : mapping of str to array, shape (P,)
        What the criterion adds: `norm`, the norm of the difference of centred log eigenvalues;
        `bound`, the margin within which all groups are certified equal; `depth`, the L2 distance
        of spectra as functions of depth.
    """

    first: Integers
    second: Integers
    distance: Floats
    p: Floats
    p_holm: Floats
    verdict: tuple[str, ...]
    columns: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Classes(Result):
    """Universality classes of E experiments.

    Attributes
    ----------
    by, grouping, weighting : str
        What was compared, in which groups.
    experiments, labels, differences : tuple of str, length E
        Ids, architectures with tasks, and what tells experiments with one label apart.
    seeds, groups : integer array, shape (E,)
        Numbers of seeds (0: published) and of compared groups.
    levels : tuple of str, length E
        Windows of levels.
    signatures : tuple of (int, int, int, int), length E
        Relevant, marginal, irrelevant and indeterminate groups: shown, and compared by
        `by="signature"` alone.
    clusters : Clusters
        Classes and tree.
    together : array, shape (E, E), or None
        Share of draws in which two experiments fall into one class; None for one class.
    stability : array, shape (E,)
        Mean co-assignment within the class; a class is stable from .8 on.
    draws : int
        Draws behind `together`.
    pairs : Pairs
        All pairs, in the order of SciPy's condensed distances.
    metric : str
        What the distance is.
    tested : bool
        Whether a test decides if there is more than one class.
    notes : tuple of str
        What the numbers alone do not say.
    """

    by: str
    grouping: str
    weighting: str
    experiments: tuple[str, ...]
    labels: tuple[str, ...]
    differences: tuple[str, ...]
    seeds: Integers
    levels: tuple[str, ...]
    groups: Integers
    signatures: tuple[tuple[int, int, int, int], ...]
    clusters: Clusters
    together: Floats | None
    stability: Floats
    draws: int
    pairs: Pairs
    metric: str
    tested: bool
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """One line that says what this is."""
        count, size = self.clusters.number, len(self.experiments)
        found = "1 class" if count == 1 else f"{count} classes"
        weights = "" if self.weighting == "count" else ", shares of magnitude"
        return f"{found} of {size} experiments by {self.by}, in {self.grouping}s{weights}"

    @property
    def names(self) -> tuple[str, ...]:
        """Short names: the label and what differs, or the published name."""
        return tuple(
            one if one.startswith("published:") else f"{label} {one[:6]}"
            for one, label in zip(self.experiments, self.labels, strict=True)
        )

    def number_of(self, verdict: str) -> int:
        """Count the pairs with a verdict."""
        return self.pairs.verdict.count(verdict)

    def matrix(self) -> list[list[str]]:
        """Return the verdicts as a matrix of E rows; `-` on the diagonal."""
        size = len(self.experiments)
        cells = [["-"] * size for _ in range(size)]
        for a, b, verdict in zip(
            self.pairs.first, self.pairs.second, self.pairs.verdict, strict=True
        ):
            cells[a][b] = cells[b][a] = verdict
        return cells

    def words(self) -> tuple[str, ...]:
        """Say what the evidence says, and what it does not."""
        lines = []
        if self.tested:
            lines.append(
                f"{counted(len(self.pairs.verdict), 'pair')}: {self.number_of('same'):,} same, "
                f"{self.number_of('different'):,} different (Holm 5 %), "
                f"{self.number_of('undecided'):,} undecided; undecided is not same: more seeds "
                "decide"
            )
        lines += self._about_classes()
        lines.append(
            "equal spectra are not equal tickets: they say nothing of which weights survive "
            "(rgtool compare)"
        )
        if self.by == "signature":
            lines.append("equal signs are not equal exponents: universality means the latter")
        return tuple(lines)

    def _about_classes(self) -> list[str]:
        if self.clusters.number == 1:
            why = "no pair is certainly different" if self.tested else "all signatures are equal"
            return [f"one class because {why}: that is not evidence that all are the same"]
        labels = self.clusters.labels
        inside = labels[self.pairs.first] == labels[self.pairs.second]
        verdict = np.array(self.pairs.verdict)
        within = int((inside & (verdict == "different")).sum())
        across = int((~inside & (verdict != "different")).sum())
        lines = [
            f"classes by average linkage on {self.metric}; their number by silhouette "
            f"({self.clusters.silhouette.max():.2f})"
        ]
        if self.together is not None:
            shaky = sorted(set(labels[self.stability < STABLE].tolist()))
            found = ", ".join(map(str, shaky))
            lines.append(
                f"over {self.draws} draws "
                + (
                    f"not stable (mean co-assignment below .8): class {found}"
                    if shaky
                    else "all classes are stable (mean co-assignment .8 or more)"
                )
            )
        if self.tested and within:
            lines.append(
                f"pairs within a class that are certainly different: {within:,}; such a class is a "
                "neighbourhood, not one spectrum"
            )
        if self.tested and across:
            lines.append(f"pairs across classes that are not certainly different: {across:,}")
        return lines

    def to_frame(self) -> pl.DataFrame:
        """Return a row per experiment, by class."""
        order = np.argsort(self.clusters.labels, kind="stable")

        def pick(values: Sequence[Any]) -> list[Any]:
            return [values[i] for i in order]

        signs = zip(*self.signatures, strict=True)
        kinds = ("relevant", "marginal", "irrelevant", "indeterminate")
        return frame(
            {
                "class": self.clusters.labels[order],
                "experiment": pick(self.experiments),
                "label": pick(self.labels),
                "differs": pick(self.differences),
                "seeds": self.seeds[order],
                "levels": pick(self.levels),
                "groups": self.groups[order],
                "stability": self.stability[order],
                "stable": [None if np.isnan(s) else bool(s >= STABLE) for s in self._mean(order)],
                **{kind: pick(values) for kind, values in zip(kinds, signs, strict=True)},
            }
        )

    def pairs_frame(self) -> pl.DataFrame:
        """Return a row per pair."""
        pairs, labels = self.pairs, self.clusters.labels
        return frame(
            {
                "a": [self.experiments[i] for i in pairs.first],
                "b": [self.experiments[i] for i in pairs.second],
                "label_a": [self.labels[i] for i in pairs.first],
                "label_b": [self.labels[i] for i in pairs.second],
                "distance": pairs.distance,
                **pairs.columns,
                "p": pairs.p,
                "p_holm": pairs.p_holm,
                "verdict": pairs.verdict,
                "one_class": labels[pairs.first] == labels[pairs.second],
            }
        )

    def plot(self) -> Figure:
        """Draw the tree beside the co-assignment of experiments."""
        from ..plots.classes import plot_classes

        return plot_classes(self)

    def _below(self) -> Sequence[str]:
        return (*self.words(), *self.notes)

    def _mean(self, order: Integers) -> Floats:
        """Return the mean stability of its class for every experiment."""
        labels = self.clusters.labels
        means = {label: self.stability[labels == label].mean() for label in set(labels.tolist())}
        return np.array([means[label] for label in labels[order].tolist()])

    def _columns(self) -> dict[str, list[str]]:
        order = np.argsort(self.clusters.labels, kind="stable").tolist()
        return {
            "experiment": [self.names[i] for i in order],
            "differs": [self.differences[i] for i in order],
            "class": [str(self.clusters.labels[i]) for i in order],
            "seeds": [str(self.seeds[i]) for i in order],
            "levels": [self.levels[i] for i in order],
            "stability": [number(self.stability[i], 2) for i in order],
            "rel/mar/irr/ind": ["/".join(map(str, self.signatures[i])) for i in order],
        }
