"""What predictions of one kind were worth, in a line: log scores, coverage, and what is beside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...schemas.records.predictions import Chance, Statement
from ...schemas.words import counted
from ..result import Column, ends
from ..values import NOTHING, Estimate
from .laws import Outcome, log_score, meets
from .paired import Units, Worth, effective_units, paired, verdict

Outcomes = Mapping[str, Sequence[Outcome]]  # by statement; of each run, or of an experiment, one
STORE = "this store"  # what a line is of, where it is not a view of the literature


@dataclass(frozen=True)
class Marks:
    """What one prediction scored: means over its statements, of each over its outcomes.

    Attributes
    ----------
    units : tuple of str
        Experiments that it shares with others: source and target.
    model, constant : float
        Log scores.
    null, beside : float
        That of N1, and that of the model where N1 says something; NaN where it says nothing.
    covered, missed, open : float
        Shares of outcomes within, without and perhaps within the 95 % interval; all 0 where there
        are no intervals.
    outcomes : int
        What came: of five runs that test it five times, still one prediction.
    """

    units: tuple[str, ...]
    model: float
    constant: float
    null: float
    beside: float
    covered: float
    missed: float
    open: float
    outcomes: int

    @property
    def told_covered(self) -> float:
        """As `covered`; NaN where of no outcome it can be told."""
        return self.covered if self.covered + self.missed else math.nan

    @property
    def told_missed(self) -> float:
        """As `missed`; NaN where of no outcome it can be told."""
        return self.missed if self.covered + self.missed else math.nan


def marks(
    units: tuple[str, ...], statements: Sequence[Statement], outcomes: Outcomes
) -> Marks | None:
    """Score one prediction; None where nothing came yet."""
    met = [one for one in statements if outcomes.get(one.name)]
    if not met:
        return None
    beside = [one for one in met if one.null is not None]
    told = [
        [meets(one.model, outcome) for outcome in outcomes[one.name]]
        for one in met
        if not isinstance(one.model, Chance)
    ]

    def share(answer: bool | None) -> float:
        return float(np.mean([one.count(answer) / len(one) for one in told])) if told else 0.0

    return Marks(
        units,
        _mean(met, "model", outcomes),
        _mean(met, "constant", outcomes),
        _mean(beside, "null", outcomes),
        _mean(beside, "model", outcomes),
        share(True),
        share(False),
        share(None),
        sum(len(outcomes[one.name]) for one in met),
    )


def _mean(statements: Sequence[Statement], who: str, outcomes: Outcomes) -> float:
    """Return the mean log score of one of the three; NaN without statements."""
    found = [
        np.mean([log_score(getattr(one, who), outcome) for outcome in outcomes[one.name]])
        for one in statements
    ]
    return float(np.mean(found)) if found else math.nan


@dataclass(frozen=True, eq=False)
class Line:
    """Predictions of one kind, and what they were worth.

    Attributes
    ----------
    kind, of : str
        Their kind; `this store`, or the view of the literature they were held to afterwards.
    made : int
        Predictions that were made, or outcomes of the literature that there are.
    scored : tuple of Marks
        Those that were met by outcomes.
    caution : str
        What must be known of these outcomes; empty: nothing.
    is_test : bool
        Whether the predictor was made without these outcomes.
    """

    kind: str
    of: str
    made: int
    scored: tuple[Marks, ...] = field(repr=False, default=())
    caution: str = ""
    is_test: bool = True

    @property
    def units(self) -> Units:
        """Experiments of every prediction that was scored."""
        return [one.units for one in self.scored]

    @property
    def experiments(self) -> float:
        """How many experiments count, see `effective_units`."""
        return effective_units(self.units)

    @property
    def log_score(self) -> float:
        """Mean log score, in nats; 0 at best."""
        return _average([one.model for one in self.scored])

    @property
    def constant(self) -> float:
        """That of the constant, of the same outcomes."""
        return _average([one.constant for one in self.scored])

    @property
    def null(self) -> float:
        """That of N1, where it says something."""
        return _average([one.null for one in self._beside])

    @property
    def gain(self) -> Estimate[float]:
        """Model less constant, paired."""
        return paired(_less([(one.model, one.constant) for one in self.scored]), self.units)

    @property
    def gain_null(self) -> Estimate[float]:
        """Model less N1, paired."""
        pairs = [(one.beside, one.null) for one in self._beside]
        return paired(_less(pairs), [one.units for one in self._beside])

    @property
    def worth(self) -> Worth:
        """Whether they beat the constant; `no test` of outcomes that a predictor was made on."""
        return verdict(self.gain, self.units) if self.is_test else "no test"

    @property
    def worth_null(self) -> Worth:
        """Whether they beat N1."""
        units = [one.units for one in self._beside]
        return verdict(self.gain_null, units) if self.is_test else "no test"

    @property
    def coverage(self) -> Estimate[float]:
        """Share of outcomes within the 95 % interval; low and high take the open ones in or not.

        The value is that of the outcomes of which it can be told.
        """
        if not any(one.covered + one.missed + one.open for one in self.scored):
            return NOTHING
        covered, missed = (
            _average([getattr(one, name) for one in self.scored]) for name in ("covered", "missed")
        )
        told = covered + missed
        return Estimate(covered / told if told else math.nan, covered, 1 - missed)

    @property
    def words(self) -> str:
        """What it says, in a sentence."""
        what = f"{self.kind} ({self.of})"
        if not self.scored:
            return f"{what}: {counted(self.made, 'prediction')}, none scored"
        beats = {
            "better": "better than a constant",
            "worse": "worse than a constant",
            "undecided": "not told from a constant",
            "no test": "which it was chosen on",
        }[self.worth]
        return (
            f"{what}: {counted(len(self.scored), 'prediction')} scored, log score "
            f"{self.log_score:.2f} against {self.constant:.2f} of a constant: {beats}"
        )

    @property
    def _beside(self) -> list[Marks]:
        return [one for one in self.scored if not math.isnan(one.null)]


def _average(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _less(pairs: Sequence[tuple[float, float]]) -> list[float]:
    """Subtract; two that gave nothing to what came do not differ."""
    return [0.0 if one == other else one - other for one, other in pairs]


SCORE_COLUMNS = (
    Column("scored", "Predictions of this kind and architecture that were scored."),
    Column("log_score", "Their mean log score; 0 is perfect.", "nats", ".2f", "if any"),
    Column("constant_score", "That of a constant.", "nats", ".2f", "if any"),
    Column("gain", "Their difference, paired.", "nats", "+.2f", "if any"),
    *ends("gain_low", "gain_high", "its 95 % interval", "nats", "+.2f", "if any"),
    Column("worth", "Against the constant: better, worse or undecided.", shown="if any"),
)  # fmt: skip


def score_values(lines: Sequence[Line], rows: int) -> dict[str, Any]:
    """Return the values of `SCORE_COLUMNS`, the same in every row, of the first line."""
    one = lines[0] if lines else Line("", "", 0)
    gain = one.gain
    values = {
        "scored": len(one.scored),
        "log_score": one.log_score,
        "constant_score": one.constant,
        "gain": gain.value,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "worth": one.worth if one.scored else "",
    }
    return {name: [value] * rows for name, value in values.items()}
