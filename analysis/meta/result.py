"""What several studies say together: the result of `meta` and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.words import counted
from ..arrays import Bools, Floats, Integers
from ..flow import UNIT
from ..result import LABEL, SIGNED, Column, Result, columns_like, ends
from ..spectrum.noise import ROUNDING
from .pool import LEAST, MOST, Pooled, pool

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Effects:
    """Means of E studies in K groups, and their errors.

    Attributes
    ----------
    mean : array, shape (E, K)
        Over the seeds of a study.
    error : array, shape (E, K)
        Standard error as the seeds tell it; NaN where there are fewer than two.
    df : array, shape (E,)
        Degrees of freedom of the errors; NaN where there are none.
    """

    mean: Floats
    error: Floats
    df: Floats


@dataclass(frozen=True, eq=False)
class Studies:
    """What goes into a meta-analysis: E studies, K groups.

    Attributes
    ----------
    ids, labels : tuple of str, length E
        Id of the experiment or run, or `published:NAME`; architecture and task.
    seeds : integer array, shape (E,)
        Numbers of seeds; 0: published.
    names : tuple of str, length K
        The groups that all studies have.
    exponent : Effects
        Of the exponents.
    anomalous : Effects or None
        Of what training adds to the initial scales; None where a study cannot tell.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    seeds: Integers
    names: tuple[str, ...]
    exponent: Effects
    anomalous: Effects | None

    @property
    def assumed(self) -> Bools:
        """Whose error is not measured, but follows from an assumed sd: shape (E,)."""
        return np.asarray(self.seeds < 2)

    def pooled(self, effects: Effects, sd: ArrayLike) -> Pooled:
        """Pool effects; `sd` is as for `variance`."""
        df = np.where(self.assumed, np.inf, effects.df)
        return pool(effects.mean, self.variance(effects, sd), df)

    def variance(self, effects: Effects, sd: ArrayLike) -> Floats:
        """Return the variances of effects: shape (E, K).

        Parameters
        ----------
        effects : Effects
            The exponents, or the anomalous ones.
        sd : float or array, shape (K,)
            Assumed of one seed's log eigenvalue where no seeds tell it; what is printed is rounded
            besides.
        """
        rounding = np.where(self.seeds == 0, ROUNDING**2, 0.0)[:, None]
        assumed = (np.asarray(sd, np.float64) ** 2 + rounding) / UNIT**2
        return np.where(self.assumed[:, None], assumed, effects.error**2)


@dataclass(frozen=True, eq=False)
class Meta(Result):
    """Exponents of groups over several studies, by random effects.

    Attributes
    ----------
    by : str
        Grouping.
    sd : float
        Assumed standard deviation of the log eigenvalue of one seed, for a step that keeps .8.
    studies : Studies
        What was pooled.
    exponent : Pooled
        Of the exponents.
    anomalous : Pooled or None
        Of the anomalous exponents; None where a study cannot tell them.
    verdict : tuple of str, length K
        `relevant` or `irrelevant` where the interval excludes 0, `marginal` where the mean is
        certified to lie within the margin (never where a sd is assumed), else `indeterminate`.
    against_null : tuple of str, length K, or None
        `above`, `below`, `none` (certified within the margin, never where a sd is assumed) or
        `undecided`: of the anomalous exponents.
    sd_from, sd_to : array, shape (K,)
        Assumed sds between which the verdict is the same; NaN where it does not change between
        .0005 and .1, or nothing is assumed.
    sd_alike : array, shape (K,)
        The assumed sd from which on studies that differ (p_q < .05) no longer do, or below which
        they would; NaN as above.
    notes : tuple of str
        What the numbers alone do not say, what matters most first.
    """

    by: str
    sd: float
    studies: Studies
    exponent: Pooled
    anomalous: Pooled | None
    verdict: tuple[str, ...]
    against_null: tuple[str, ...] | None
    sd_from: Floats
    sd_to: Floats
    sd_alike: Floats
    notes: tuple[str, ...]

    columns = (
        Column("name", "The group."),
        Column("exponent", "Mean of y over the population of studies.", format=SIGNED),
        *ends("low", "high", "its 95 % interval (Hartung-Knapp)", "", SIGNED),
        *ends(
            "predicted_low",
            "predicted_high",
            "the 95 % interval for the exponent of a further study, from three on",
            "",
            SIGNED,
            "if any",
        ),
        Column("tau", "Standard deviation of y between studies (Paule-Mandel).", "", ".3f"),
        Column("i2", "Share of the variance that lies between studies.", "", ".2f"),
        Column("q", "Cochran's Q.", "", ".3g", "wide"),
        Column(
            "p_q",
            "Of studies that differ by their own errors alone, adjusted over groups (Holm).",
            "",
            ".2g",
        ),
        Column("verdict", "relevant, irrelevant, marginal or indeterminate: of the mean."),
        Column(
            "sd_from",
            "Assumed sd down to which the verdict is the same; none: down to "
            f"{LEAST:g}, or nothing is assumed.",
            "log, a level",
            ".3g",
            "if any",
        ),
        Column(
            "sd_to",
            f"Assumed sd up to which the verdict is the same; none: up to {MOST:g}.",
            "log, a level",
            ".3g",
            "if any",
        ),
        Column(
            "sd_alike",
            "Assumed sd above which studies do not differ certainly (p_q >= .05).",
            "log, a level",
            ".3g",
            "if any",
        ),
        Column(
            "anomalous",
            "Mean of the anomalous exponent: what training adds to the initial scales.",
            "",
            SIGNED,
            "if any",
        ),
        *ends("anomalous_low", "anomalous_high", "its 95 % interval", "", SIGNED, "if any"),
        Column("anomalous_tau", "Its standard deviation between studies.", "", ".3f", "wide"),
        Column("anomalous_i2", "Share of its variance between studies.", "", ".2f", "wide"),
        Column(
            "anomalous_p_q", "Of equal anomalous exponents, adjusted likewise.", "", ".2g", "wide"
        ),
        Column("against_null", "above, below, none or undecided: of that mean.", shown="if any"),
    )
    rows = "a row for every group that all studies have"
    see = "meta.md#what-is-computed"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        lacking = int(self.studies.assumed.sum())
        assumed = f"; sd {self.sd:g} assumed for {lacking} of them" if lacking else ""
        return (
            f"{counted(len(self.studies.ids), 'study', 'studies')} together by {self.by}, random "
            f"effects{assumed}"
        )

    @property
    def study_table(self) -> StudyTable:
        """The studies one by one as a result of their own."""
        return StudyTable(self)

    def _values(self) -> dict[str, Any]:
        found, further = self.exponent.interval(), self.exponent.prediction()
        values: dict[str, Any] = {
            "name": self.studies.names,
            "exponent": found.value,
            "low": found.low,
            "high": found.high,
            "predicted_low": further.low,
            "predicted_high": further.high,
            "tau": self.exponent.tau,
            "i2": self.exponent.i2,
            "q": self.exponent.q,
            "p_q": self.exponent.p,
            "verdict": self.verdict,
            "sd_from": self.sd_from,
            "sd_to": self.sd_to,
            "sd_alike": self.sd_alike,
        }
        return values | (_of_anomalous(self.anomalous, self.against_null))

    def plot(self) -> Figure:
        """Draw it, as `rgtool.plot` does."""
        from ..plots.forest import plot_meta

        return plot_meta(self)


def _of_anomalous(found: Pooled | None, against: tuple[str, ...] | None) -> dict[str, Any]:
    names = ("anomalous", *(f"anomalous_{what}" for what in ("low", "high", "tau", "i2", "p_q")))
    if found is None:
        return dict.fromkeys((*names, "against_null"))
    whole = found.interval()
    values = (whole.value, whole.low, whole.high, found.tau, found.i2, found.p)
    return dict(zip(names, values, strict=True)) | {"against_null": against}


@dataclass(frozen=True, eq=False)
class StudyTable(Result):
    """The studies of a meta-analysis one by one.

    Attributes
    ----------
    meta : Meta
        The meta-analysis.
    """

    meta: Meta

    columns = (
        *columns_like(Meta.columns, "name"),
        Column("study", "The experiment, or the spectrum of the literature."),
        Column("label", LABEL),
        Column("seeds", "Runs used; 0: published."),
        Column("exponent", "Its y.", format=SIGNED),
        Column("error", "Standard error of that.", "", ".3f"),
        Column("assumed", "The error is not measured: it follows from the assumed sd."),
        Column("weight", "Share that it has in the mean.", "", ".2f"),
        Column("anomalous", "Its anomalous exponent.", "", SIGNED, "if any"),
        Column("anomalous_error", "Standard error of that.", "", ".3f", "if any"),
    )
    rows = "a row for every group and study"
    see = Meta.see

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return self.meta.title

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers alone do not say, what matters most first."""
        return self.meta.notes

    def _values(self) -> dict[str, Any]:
        studies, groups = self.meta.studies, len(self.meta.studies.names)
        values = {
            "name": np.repeat(studies.names, len(studies.ids)),
            "study": studies.ids * groups,
            "label": studies.labels * groups,
            "seeds": np.tile(studies.seeds, groups),
            "exponent": studies.exponent.mean.T.ravel(),
            "error": self._errors(studies.exponent),
            "assumed": np.tile(studies.assumed, groups),
            "weight": self.meta.exponent.weight.T.ravel(),
        }
        other = studies.anomalous
        return values | {
            "anomalous": None if other is None else other.mean.T.ravel(),
            "anomalous_error": None if other is None else self._errors(other),
        }

    def _errors(self, effects: Effects) -> Floats:
        return np.sqrt(self.meta.studies.variance(effects, self.meta.sd)).T.ravel()
