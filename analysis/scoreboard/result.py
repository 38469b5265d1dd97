"""Predictions as results: what is foretold, what was written down, and what it was worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ...schemas.notes import Note, Rank
from ...schemas.records.predictions import Chance, Law, Registered, Statement, Student
from ...schemas.words import counted
from ...store.catalogue.predictions import Witness
from ..result import Column, Result, ends
from .drafts import needs_of
from .laws import interval
from .line import SCORE_COLUMNS, STORE, Line, Marks, score_values

if TYPE_CHECKING:
    from ..charts.chart import Chart

Standing = Literal["scored", "waiting", "afterwards", "out of order"]
SEE = "predictions.md#scores"


@dataclass(frozen=True)
class Scored:
    """One registered prediction, and how it stands.

    Attributes
    ----------
    prediction : Registered
        As it was written.
    standing : str
        `scored`; `waiting` for runs that test it; made `afterwards`; `out of order`, its time
        contradicts that of others.
    runs : int
        Runs that test it.
    marks : Marks or None
        Its scores.
    others : tuple of Witness
        Runs that would, had they begun after it, or were known to have.
    """

    prediction: Registered
    standing: Standing
    runs: int = 0
    marks: Marks | None = None
    others: tuple[Witness, ...] = ()


@dataclass(frozen=True, eq=False)
class Score(Result):
    """What predictions were worth: a line for every kind, and for what the literature tells.

    Attributes
    ----------
    lines : tuple of Line
        Those of the store, then those of the literature.
    each : tuple of Scored
        The predictions of the store, by the time they were made.
    notes : tuple of str
        What was changed or is not scored, and what the numbers alone do not say.
    """

    lines: tuple[Line, ...]
    each: tuple[Scored, ...]
    notes: tuple[str, ...]

    columns = (
        Column("kind", "What is predicted."),
        Column("of", "this store; or the figures that predictors were held to afterwards."),
        Column("made", "Predictions made before their runs; outcomes that are published."),
        Column("scored", "Those that were met by an outcome; five runs of one count once."),
        Column("experiments", "Effective number of experiments they are about.", "", ".1f"),
        Column("log_score", "Mean log of the probability of what came.", "nats", ".2f"),
        Column("constant", "That of a constant predictor.", "nats", ".2f"),
        Column("gain", "log_score less constant, paired.", "nats", "+.2f"),
        *ends("gain_low", "gain_high", "its 95 % interval", "nats", "+.2f", "if any"),
        Column("worth", "Against the constant: better, worse or undecided."),
        Column("null", "Log score of N1, where it says something.", "nats", ".2f", "if any"),
        Column("gain_null", "Gain over N1, paired.", "nats", "+.2f", "if any"),
        *ends("gain_null_low", "gain_null_high", "its interval", "nats", "+.2f", "if any"),
        Column("worth_null", "Against N1.", shown="if any"),
        Column("coverage", "Share of outcomes in the 95 % interval.", "", ".2f", "if any"),
        *ends("coverage_low", "coverage_high", "it, open outcomes out or in", "", ".2f", "wide"),
    )  # fmt: skip
    rows = "a row for every kind of prediction"
    see = SEE

    @property
    def title(self) -> str:
        """One line that says what this is."""
        met = sum(one.standing == "scored" for one in self.each)
        return f"{counted(len(self.each), 'prediction')} of the store, {met} scored"

    @property
    def each_table(self) -> ScoredTable:
        """A row for every prediction of the store."""
        return ScoredTable(self.each, self.notes)

    def line(self, kind: str, of: str = STORE) -> Line | None:
        """Return the line of a kind, of the store or of a view of the literature."""
        return next((one for one in self.lines if (one.kind, one.of) == (kind, of)), None)

    def _values(self) -> dict[str, Any]:
        lines = self.lines

        def triples(name: str) -> dict[str, list[float]]:
            found = [getattr(line, name) for line in lines]
            return {
                name: [one.value for one in found],
                f"{name}_low": [one.low for one in found],
                f"{name}_high": [one.high for one in found],
            }

        return {
            "kind": [line.kind for line in lines],
            "of": [line.of for line in lines],
            "made": [line.made for line in lines],
            "scored": [len(line.scored) for line in lines],
            "experiments": [line.experiments for line in lines],
            "log_score": [line.log_score for line in lines],
            "constant": [line.constant for line in lines],
            **triples("gain"),
            "worth": [line.worth if line.scored else "" for line in lines],
            "null": [line.null for line in lines],
            **triples("gain_null"),
            "worth_null": ["" if math.isnan(line.null) else line.worth_null for line in lines],
            **triples("coverage"),
        }

    def chart(self) -> Chart:
        """Draw it as a chart."""
        from ..charts.scoreboard import score_chart

        return score_chart(self)


@dataclass(frozen=True, eq=False)
class ScoredTable(Result):
    """The predictions of a store one by one.

    Attributes
    ----------
    each : tuple of Scored
        By the time they were made.
    notes : tuple of str
        As those of `Score`.
    """

    each: tuple[Scored, ...]
    notes: tuple[str, ...]

    columns = (
        Column("prediction", "Its id: the beginning of its hash."),
        Column("made", "When, UTC."),
        Column("kind", "What is predicted."),
        Column("source", "Experiment that it is made from."),
        Column("target", "Experiment that it is about."),
        Column("label", "Architecture and task of the target."),
        Column("standing", "scored, waiting, afterwards, or out of order."),
        Column("needs", "What it waits for.", shown="if any"),
        Column("statements", "Quantities that it speaks of.", shown="wide"),
        Column("runs", "Runs that test it."),
        Column("outcomes", "What came, of all statements and runs.", shown="if any"),
        Column("log_score", "Mean log of the probability of what came.", "nats", ".2f", "if any"),
        Column("constant", "That of the constant.", "nats", ".2f", "if any"),
        Column("null", "That of N1.", "nats", ".2f", "if any"),
        Column("covered", "Share of outcomes in the 95 % interval.", "", ".2f", "if any"),
        Column("missed", "Share outside.", "", ".2f", "if any"),
        Column("open", "Share of which it cannot be told.", "", ".2f", "wide"),
        Column("sha256", "Hash of all that it says.", shown="wide"),
    )
    rows = "a row for every prediction"
    see = SEE

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"{counted(len(self.each), 'prediction')} written down"

    def _values(self) -> dict[str, Any]:
        of = [one.prediction for one in self.each]
        numbers = {
            "log_score": "model",
            "constant": "constant",
            "null": "null",
            **{name: f"told_{name}" for name in ("covered", "missed")},
            "open": "open",
        }
        marks = {
            name: [math.nan if one.marks is None else getattr(one.marks, it) for one in self.each]
            for name, it in numbers.items()
        }
        return {
            "prediction": [one.id for one in of],
            "made": [one.made_at for one in of],
            "kind": [one.kind for one in of],
            "source": [one.source for one in of],
            "target": [one.target for one in of],
            "label": [one.labels[1] for one in of],
            "standing": [one.standing for one in self.each],
            "needs": [
                needs_of(one.prediction) if one.standing == "waiting" else "" for one in self.each
            ],
            "statements": [len(one.statements) for one in of],
            "runs": [one.runs for one in self.each],
            "outcomes": [one.marks.outcomes if one.marks else None for one in self.each],
            **marks,
            "sha256": [one.digest for one in of],
        }


@dataclass(frozen=True, eq=False)
class Foretold(Result):
    """What is predicted of orderings, collapse or exponents, with what such predictions were worth.

    Attributes
    ----------
    kind : str
        `ordering`, `collapse`, `exponents` or `gamma`.
    experiments, labels : (str, str)
        Source and target.
    statements : tuple of Statement
        What is predicted; told in numbers where such predictions have a score.
    refused : str
        Why nothing is told; empty where it is.
    scores : tuple of Line
        What predictions of this kind and architecture were worth.
    registered : Registered or None
        The prediction as it was written down.
    notes : tuple of str
        What the numbers alone do not say.
    """

    kind: str
    experiments: tuple[str, str]
    labels: tuple[str, str]
    statements: tuple[Statement, ...] = field(repr=False)
    refused: str
    scores: tuple[Line, ...]
    registered: Registered | None
    notes: tuple[str, ...]

    columns = (
        Column("name", "What is predicted: a layer, a group, a pair of maps `better > worse`."),
        Column("middle", "Median; chance that the first is better.", "", ".3g", "if any"),
        *ends("low", "high", "its 95 % interval", "", ".3g", "if any"),
        Column("constant", "The same of the constant.", "", ".3g", "if any"),
        Column("null", "The same of N1.", "", ".3g", "if any"),
        *SCORE_COLUMNS,
        Column("registered", "Id of the prediction that was written down.", shown="if any"),
        Column("refused", "Why nothing is told.", shown="wide"),
    )
    rows = "a row for everything that is predicted"
    see = SEE

    @property
    def title(self) -> str:
        """One line that says what this is."""
        a, b = self.experiments
        what = f"{self.kind} of {b}" + (f" from {a}" if a != b else "")
        written = f"; written down as {self.registered.id}" if self.registered else ""
        if self.refused:
            return f"no prediction of {what}: {self.refused}{written}"
        return f"predicted {what}{written}"

    def _values(self) -> dict[str, Any]:
        of = self.statements
        told = [middle(one.model) if not self.refused else math.nan for one in of]
        limits = [_ends(one.model) if not self.refused else (math.nan,) * 2 for one in of]
        beside = {
            name: [
                math.nan if self.refused or law is None else middle(law)
                for law in (getattr(one, name) for one in of)
            ]
            for name in ("constant", "null")
        }
        return {
            "name": [one.name for one in of],
            "middle": told,
            "low": [low for low, _ in limits],
            "high": [high for _, high in limits],
            **beside,
            **score_values(self.scores, len(of)),
            "registered": [self.registered.id if self.registered else ""] * len(of),
            "refused": [self.refused] * len(of),
        }


def middle(law: Law) -> float:
    """Return the median of a law, infinite beyond its levels; of a chance the chance."""
    if isinstance(law, Chance):
        return law.probability
    if isinstance(law, Student):
        return law.location
    total = 0.0
    for place, p in enumerate(law.probability[:-1]):
        total += p
        if total >= 0.5:
            return law.first + place
    return math.inf


def _ends(law: Law) -> tuple[float, float]:
    return (math.nan, math.nan) if isinstance(law, Chance) else interval(law)


def score_notes(lines: Sequence[Line]) -> list[Note]:
    """Say what predictions of a kind were worth, and what is to be known of that."""
    notes = [Note(line.words, SEE, Rank.CONCLUSION) for line in lines]
    return notes + [Note(f"{x.of}: {x.caution}", SEE, Rank.WARNING) for x in lines if x.caution]
