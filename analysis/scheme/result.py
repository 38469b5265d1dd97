"""What is found of pruning schemes: a row for every scheme, or for every scheme and group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...store.catalogue.apart import label_of
from ..arrays import Floats
from ..classes.same import SameClass
from ..flow import UNIT
from ..result import LABEL, SIGNED, Column, Result, ends
from ..values import NOTHING, Estimate
from ..window import Window
from .against import Against
from .families import Family
from .fixed_point import FixedPoint
from .semigroup import Semigroup, exponents_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEE = "schemes.md#what-a-scheme-is"
_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Scheme:
    """What is known of one pruning scheme on one network and task.

    Attributes
    ----------
    family : Family
        Its experiments.
    step : Semigroup or None
        Small steps against larger ones; None where only one size was pruned.
    at_once : Semigroup or None
        Scored anew at every step against the dense network scored once.
    shares, scales : FixedPoint or None
        What becomes of shares and of effective scales; None where too few levels are left.
    canonical : array, shape (S, K), or None
        Canonical exponents of a trained scheme.
    against : Against or None
        The exponents beside those of magnitude pruning.
    """

    family: Family
    step: Semigroup | None
    at_once: Semigroup | None
    shares: FixedPoint | None
    scales: FixedPoint | None
    canonical: Floats | None
    against: Against | None

    @property
    def window(self) -> Window:
        """The main experiment."""
        return self.family.main

    @property
    def name(self) -> str:
        """The experiment."""
        return self.window.counts.experiment_id

    @property
    def pruner(self) -> str:
        """What ranks the weights."""
        return self.family.pruner

    @property
    def label(self) -> str:
        """Pruner, network and task."""
        return f"{self.pruner} {label_of(self.family.recipe)}"


def _semigroup_columns(name: str, what: str) -> tuple[Column, ...]:
    return (
        Column(name, f"same, different or undecided: {what}.", shown="if any"),
        Column(f"{name}_largest", "Largest difference of y.", "", ".3f", "if any"),
        Column(f"{name}_p", "Of one flow (its null).", "", ".2g", "wide"),
        Column(f"{name}_with", "The other experiment.", shown="wide"),
    )


def _fate_columns(name: str, what: str) -> tuple[Column, ...]:
    return (
        Column(name, f"Fate of {what}: still, attracted, repelled, steady and so on."),
        Column(f"{name}_levels", "Levels it is read from.", "levels", shown="wide"),
        Column(f"{name}_speed", "Exponents, centred, rms over groups.", "", ".3f", "wide"),
        Column(f"{name}_late", "The same over the last third.", "", ".3f", "wide"),
        Column(f"{name}_chance", "What chance in the counts makes of that.", "", ".3f", "wide"),
        Column(f"{name}_p", "Of standing still.", "", ".2g", "wide"),
    )


@dataclass(frozen=True, eq=False)
class Schemes(Result):
    """Pruning schemes, each a semigroup or not, with a fixed point or not, like magnitude or not.

    Attributes
    ----------
    by : str
        Grouping.
    schemes : tuple of Scheme
        In the order of the experiments, the published ones last.
    notes : tuple of str
        What the numbers alone do not say.
    """

    by: str
    schemes: tuple[Scheme, ...]
    notes: tuple[str, ...]

    columns = (
        Column("scheme", "What ranks the weights."),
        Column("experiment_id", "The experiment in the smallest steps.", shown="wide"),
        Column("label", LABEL),
        Column("trained", "Whether training has a say in what is pruned."),
        Column("seeds", "Runs used."),
        *_semigroup_columns("step", "exponents of small steps and of larger ones"),
        *_semigroup_columns("at_once", "those of the dense network scored once"),
        *_fate_columns("shares", "shares"),
        Column("kappa", "Deviations from the fixed point go as density^kappa.", "", SIGNED),
        *ends("kappa_low", "kappa_high", "its 95 % interval", "", SIGNED, "if any"),
        Column("later_kappa", "Without the first third of the levels.", "", SIGNED, "wide"),
        *ends("later_low", "later_high", "its 95 % interval", "", SIGNED, "wide"),
        Column("bent", "Whether the two certainly differ.", shown="wide"),
        Column(
            "misfit", "Squared residuals over variance, a degree of freedom.", "", ".2g", "wide"
        ),
        Column("from_density", "Where size lets go of the shares.", "", ".2g", "if any"),
        Column("to_density", "Where a group has ten weights.", "", ".2g", "if any"),
        *_fate_columns("scales", "effective scales"),
        Column("compared", "Part of the exponents set against magnitude's.", shown="if any"),
        Column("magnitude", "same, different or undecided: is it that.", shown="if any"),
        Column("magnitude_largest", "Largest difference of y.", "", ".3f", "if any"),
        Column("magnitude_p", "Of none.", "", ".2g", "wide"),
    )
    rows = "a row for every scheme"
    see = SEE

    @property
    def title(self) -> str:
        """One line that says what this is."""
        number = len(self.schemes)
        return f"{number} pruning {'scheme' if number == 1 else 'schemes'} by {self.by}"

    @property
    def group_table(self) -> SchemeGroups:
        """A row for every scheme and group."""
        return SchemeGroups(self)

    def _values(self) -> dict[str, Any]:
        rows = [_row(one) for one in self.schemes]
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}

    @classmethod
    def plot_together(cls, results: Sequence[Self]) -> Figure:
        """Draw how shares flow under every scheme."""
        from ..plots.schemes import plot_schemes

        return plot_schemes([one for found in results for one in found.schemes])


def _row(one: Scheme) -> dict[str, Any]:
    shares = one.shares
    rate, later = (shares.rate, shares.later) if shares else (NOTHING, NOTHING)
    first, last = shares.reach if shares else (_NAN, _NAN)
    against = one.against
    return {
        "scheme": one.pruner,
        "experiment_id": one.name,
        "label": one.window.counts.label,
        "trained": one.family.trained,
        "seeds": len(one.window.runs),
        **_semigroup_row("step", one.step),
        **_semigroup_row("at_once", one.at_once),
        **_fate_row("shares", shares),
        "kappa": rate.value,
        "kappa_low": rate.low,
        "kappa_high": rate.high,
        "later_kappa": later.value,
        "later_low": later.low,
        "later_high": later.high,
        "bent": shares.bent if shares else None,
        "misfit": shares.misfit if shares else _NAN,
        "from_density": first,
        "to_density": last,
        **_fate_row("scales", one.scales),
        "compared": against.what if against else None,
        "magnitude": against.comparison.verdict if against else None,
        "magnitude_largest": float(np.abs(against.comparison.d).max() / UNIT) if against else _NAN,
        "magnitude_p": against.comparison.p if against else _NAN,
    }


def _semigroup_row(name: str, found: Semigroup | None) -> dict[str, Any]:
    return {
        name: found.verdict if found else None,
        f"{name}_largest": found.largest if found else _NAN,
        f"{name}_p": found.comparison.p if found else _NAN,
        f"{name}_with": found.windows[1].counts.experiment_id if found else None,
    }


def _fate_row(name: str, found: FixedPoint | None) -> dict[str, Any]:
    return {
        name: found.fate if found else None,
        f"{name}_levels": "{}:{}".format(*found.levels) if found else None,
        f"{name}_speed": found.speed if found else _NAN,
        f"{name}_late": found.late if found else _NAN,
        f"{name}_chance": found.chance if found else _NAN,
        f"{name}_p": found.p if found else _NAN,
    }


@dataclass(frozen=True, eq=False)
class SchemeGroups(Result):
    """Exponents and fixed shares of every scheme, group by group.

    Attributes
    ----------
    found : Schemes
        The schemes.
    """

    found: Schemes

    columns = (
        Column("scheme", "What ranks the weights."),
        Column("experiment_id", "The experiment in the smallest steps.", shown="wide"),
        Column("label", LABEL),
        Column("trained", "Whether training has a say in what is pruned.", shown="wide"),
        Column("name", "The group."),
        Column("exponent", "y over the whole window, mean over runs.", "", SIGNED),
        Column("canonical", "What the scheme makes of the initial weights.", "", SIGNED, "if any"),
        Column("anomalous", "exponent minus canonical.", "", SIGNED, "if any"),
        Column("share", "Share of the pruned groups' weights at the end.", "", ".4f"),
        Column("fixed_share", "Where it is drawn to.", "", ".4f", "if any"),
        Column("kappa", "That of this group alone.", "", SIGNED, "if any"),
        *ends("kappa_low", "kappa_high", "its 95 % interval", "", SIGNED, "if any"),
        Column("step", "y minus that of larger steps, centred over groups.", "", SIGNED, "if any"),
        Column("at_once", "y minus that of the dense network scored once.", "", SIGNED, "if any"),
        Column("magnitude", "y, or its part compared, minus magnitude's.", "", SIGNED, "if any"),
        *ends("magnitude_low", "magnitude_high", "its 95 % interval", "", SIGNED, "if any"),
        Column("magnitude_p", "Of none, adjusted over groups (Holm).", "", ".2g", "if any"),
    )
    rows = "a row for every scheme and group that is pruned"
    see = SEE

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"groups of {self.found.title}"

    @property
    def notes(self) -> Sequence[str]:
        """Those of the schemes."""
        return self.found.notes

    def _values(self) -> dict[str, Any]:
        parts = [_group_rows(one) for one in self.found.schemes]
        names = parts[0] if parts else {}
        return {name: [value for part in parts for value in part[name]] for name in names}


def _group_rows(one: Scheme) -> dict[str, list[Any]]:
    window, groups = one.window, len(one.window.names)
    y, kept = exponents_of(window), window.kept[:, -1][:, window.open]
    canonical = np.full(groups, np.nan) if one.canonical is None else one.canonical.mean(axis=0)
    nothing = np.full(groups, np.nan)
    rates = one.shares.rates if one.shares else Estimate(nothing, nothing, nothing)
    columns: dict[str, Any] = {
        "name": list(window.names),
        "exponent": y.mean(axis=0),
        "canonical": canonical,
        "anomalous": y.mean(axis=0) - canonical,
        "share": (kept / kept.sum(axis=-1, keepdims=True)).mean(axis=0),
        "fixed_share": one.shares.fixed if one.shares else nothing,
        "kappa": rates.value,
        "kappa_low": rates.low,
        "kappa_high": rates.high,
        "step": _compared(one.step, window, lambda x: x.d / UNIT),
        "at_once": _compared(one.at_once, window, lambda x: x.d / UNIT),
        "magnitude": _compared(one.against, window, lambda x: x.d / UNIT),
        "magnitude_low": _compared(one.against, window, lambda x: x.low / UNIT),
        "magnitude_high": _compared(one.against, window, lambda x: x.high / UNIT),
        "magnitude_p": _compared(one.against, window, lambda x: x.p_group),
    }
    told = {
        "scheme": one.pruner,
        "experiment_id": one.name,
        "label": window.counts.label,
        "trained": one.family.trained,
    }
    return {name: [value] * groups for name, value in told.items()} | {
        name: list(values) for name, values in columns.items()
    }


def _compared(
    found: Semigroup | Against | None, window: Window, value: Callable[[SameClass], Floats]
) -> Floats:
    """Return what a comparison has of the groups of a window (K,), NaN of those it leaves out."""
    if found is None:
        return np.full(len(window.names), np.nan)
    of = dict(zip(found.names, value(found.comparison), strict=True))
    return np.array([of.get(name, np.nan) for name in window.names])
