"""Universality classes: the result of `classify` and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.notes import Note, Rank
from ...schemas.words import counted
from ..arrays import Bools, Floats, Integers
from ..result import LABEL, Column, Result
from .clusters import STABLE, Clusters
from .criteria import SIGNS, Signature
from .same import TWO_SEEDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..charts.chart import Chart


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
        `bound`, the margin within which all groups are certified equal, and `widest`, the group
        that sets it; `depth`, the L2 distance of spectra as functions of depth.
    """

    first: Integers
    second: Integers
    distance: Floats
    p: Floats
    p_holm: Floats
    verdict: tuple[str, ...]
    columns: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Certainty:
    """How certain classes of E experiments are.

    Attributes
    ----------
    together : array, shape (E, E)
        Share of draws in which two experiments fall into one class.
    stability : array, shape (E,)
        Mean co-assignment within the class; a class is stable from .8 on.
    draws : int
        Number of draws.
    """

    together: Floats
    stability: Floats
    draws: int


@dataclass(frozen=True, eq=False)
class Classes(Result):
    """Universality classes of E experiments.

    Attributes
    ----------
    by, grouping, weighting : str
        What was compared, in which groups.
    experiments, labels : tuple of str, length E
        Ids, and architectures with tasks and what tells them apart.
    seeds, groups : integer array, shape (E,)
        Numbers of seeds (0: published) and of compared groups.
    levels : tuple of str, length E
        Windows of levels.
    signatures : tuple of (int, int, int, int), length E
        Relevant, marginal, irrelevant and indeterminate groups: shown, and compared by
        `by="signature"` alone. Empty where something else than eigenvalues is compared.
    clusters : Clusters
        Classes and tree.
    certainty : Certainty or None
        How often experiments fall into one class; None for one class, or without draws.
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
    seeds: Integers
    levels: tuple[str, ...]
    groups: Integers
    signatures: tuple[Signature, ...]
    clusters: Clusters
    certainty: Certainty | None
    pairs: Pairs
    metric: str
    tested: bool
    notes: tuple[str, ...]

    columns = (
        Column("class", "Number of the class."),
        Column("experiment", "The experiment."),
        Column("label", LABEL),
        Column("seeds", "Runs used; 0: published."),
        Column("levels", "Window of levels."),
        Column("groups", "Groups that are compared.", shown="wide"),
        Column(
            "stability",
            "Mean share of draws that keep it with the others of its class.",
            "",
            ".2f",
        ),
        Column("stable", f"That of its class is {STABLE:g} or more.", shown="wide"),
        *(Column(sign, f"Groups that are {sign}.", shown="wide") for sign in SIGNS),
        Column(
            "signature",
            "relevant/marginal/irrelevant/indeterminate groups, where eigenvalues are compared.",
            shown="if any",
        ),
    )
    rows = "a row for every experiment, by class"
    see = "classes.md#what-is-tested"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        count, size = self.clusters.number, len(self.experiments)
        found = "1 class" if count == 1 else f"{count} classes"
        weights = "" if self.weighting == "count" else ", shares of magnitude"
        groups = "" if self.by == "gamma" else f", in {self.grouping}s"
        return f"{found} of {counted(size, 'experiment')} by {self.by}{groups}{weights}"

    @property
    def names(self) -> tuple[str, ...]:
        """Short names: the label, with the id where it stands twice, or the published name."""
        return tuple(
            one
            if one.startswith("published:")
            else label + f" {one}" * (self.labels.count(label) > 1)
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

    def _values(self) -> dict[str, Any]:
        order, sure = np.argsort(self.clusters.labels, kind="stable"), self.certainty

        def pick(values: Sequence[Any]) -> list[Any]:
            return [values[i] for i in order]

        signed = pick(self.signatures) if self.signatures else [None] * len(order)
        return {
            "class": self.clusters.labels[order],
            "experiment": pick(self.experiments),
            "label": pick(self.labels),
            "seeds": self.seeds[order],
            "levels": pick(self.levels),
            "groups": self.groups[order],
            "stability": None if sure is None else sure.stability[order],
            "stable": None if sure is None else _stable(sure, self.clusters.labels)[order],
            **{sign: [one and one[i] for one in signed] for i, sign in enumerate(SIGNS)},
            "signature": [one and "/".join(map(str, one)) for one in signed],
        }

    @property
    def pair_table(self) -> PairTable:
        """The pairs of experiments as a result of their own."""
        return PairTable(self)

    def plot(self) -> Figure:
        """Draw it, as `rgtool.plot` does."""
        from ..plots.classes import plot_classes

        return plot_classes(self)

    def chart(self) -> Chart:
        """Draw it as a chart."""
        from ..charts.classes import classes_chart

        return classes_chart(self)


@dataclass(frozen=True, eq=False)
class PairTable(Result):
    """What is known of all pairs of experiments of a classification.

    Attributes
    ----------
    classes : Classes
        The classification.
    """

    classes: Classes

    columns = (
        Column("a", "One experiment."),
        Column("b", "The other."),
        Column("label_a", f"Of a. {LABEL}"),
        Column("label_b", "The same of b."),
        Column("distance", "Distance by the criterion, which the notes name.", "", ".3g"),
        Column("norm", "Of the difference of centred log eigenvalues.", "log, a level", ".4f"),
        Column(
            "bound",
            "Margin within which all groups are certified equal.",
            "log, a level",
            ".4f",
        ),
        Column("widest", "The group that sets the bound."),
        Column("depth", "L2 distance of spectra as functions of depth.", "log, a level", ".4f"),
        Column("gamma_a", "Exponent of the error curve of a.", "", ".3f"),
        Column("gamma_b", "Exponent of the error curve of b.", "", ".3f"),
        Column("p", "Of one class.", "", ".2g"),
        Column("p_holm", "p corrected for all pairs (Holm).", "", ".2g"),
        Column("verdict", "same, different or undecided."),
        Column("one_class", "Both are in one class."),
    )
    rows = "a row for every pair; norm, bound, widest, depth and gamma where the criterion has them"
    see = "classes.md#what-is-tested"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return self.classes.title

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers alone do not say."""
        return self.classes.notes

    def _values(self) -> dict[str, Any]:
        found, pairs = self.classes, self.classes.pairs
        labels = found.clusters.labels
        return {
            "a": [found.experiments[i] for i in pairs.first],
            "b": [found.experiments[i] for i in pairs.second],
            "label_a": [found.labels[i] for i in pairs.first],
            "label_b": [found.labels[i] for i in pairs.second],
            "distance": pairs.distance,
            **pairs.columns,
            "p": pairs.p,
            "p_holm": pairs.p_holm,
            "verdict": pairs.verdict,
            "one_class": labels[pairs.first] == labels[pairs.second],
        }


def _stable(sure: Certainty, labels: Integers) -> Bools:
    """Tell for every experiment whether its class is stable in the mean."""
    means = {label: sure.stability[labels == label].mean() for label in set(labels.tolist())}
    return np.array([means[label] >= STABLE for label in labels.tolist()])


def class_notes(found: Classes) -> tuple[str, ...]:
    """Say what the evidence says, and what it does not."""
    lines: list[str] = []
    if found.tested:
        text = (
            f"{counted(len(found.pairs.verdict), 'pair')}: {found.number_of('same'):,} same, "
            f"{found.number_of('different'):,} different (Holm 5 %), "
            f"{found.number_of('undecided'):,} undecided; undecided is not same: more seeds "
            "decide"
        )
        lines.append(Note(text, rank=Rank.CONCLUSION))
        lines += _about_two_seeds(found)
    lines += _about_classes(found)
    text = (
        "equal spectra are not equal tickets: they say nothing of which weights survive "
        "(rgtool compare)"
    )
    lines.append(Note(text, rank=Rank.DETAIL))
    if found.by == "signature":
        text = "equal signs are not equal exponents: universality means the latter"
        lines.append(Note(text, rank=Rank.WARNING))
    return tuple(lines)


def _about_two_seeds(found: Classes) -> list[Note]:
    two = (found.seeds[found.pairs.first] == 2) & (found.seeds[found.pairs.second] == 2)
    number = int((two & (np.array(found.pairs.verdict) == "undecided")).sum())
    if found.by == "gamma" or not number:
        return []
    pairs = counted(number, "undecided pair")
    return [Note(f"{pairs} of two seeds each: {TWO_SEEDS}", rank=Rank.WARNING)]


def _about_classes(found: Classes) -> list[str]:
    if found.clusters.number == 1:
        why = "no pair is different" if found.tested else "all signatures are equal"
        text = f"one class because {why}: that is not evidence that all are the same"
        return [Note(text, rank=Rank.WARNING)]
    labels = found.clusters.labels
    inside = labels[found.pairs.first] == labels[found.pairs.second]
    verdict = np.array(found.pairs.verdict)
    within = int((inside & (verdict == "different")).sum())
    across = int((~inside & (verdict != "different")).sum())
    text = (
        f"classes by average linkage on {found.metric}; their number by silhouette "
        f"({found.clusters.silhouette.max():.2f})"
    )
    lines: list[str] = [Note(text, rank=Rank.DETAIL)]
    if found.certainty is not None:
        shaky = sorted(set(labels[found.certainty.stability < STABLE].tolist()))
        classes = ", ".join(map(str, shaky))
        lines.append(
            f"over {found.certainty.draws} draws "
            + (
                f"not stable (mean co-assignment below .8): class {classes}"
                if shaky
                else "all classes are stable (mean co-assignment .8 or more)"
            )
        )
    if found.tested and within:
        lines.append(
            f"pairs within a class that are different: {within:,}; such a class is a "
            "neighbourhood, not one spectrum"
        )
    if found.tested and across:
        lines.append(f"pairs across classes that are not different: {across:,}")
    return lines
