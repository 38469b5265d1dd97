"""The result of a collapse: exponents by two methods, quality, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..curves.family import ErrorCurve
from ..curves.scatter import CurveNoise
from ..result import Result, frame, interval, number
from .fit import CollapseFit
from .joint_law import JointLaw
from .quality import Curves

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

EXPONENT = {"width": "psi", "depth": "phi"}


@dataclass(frozen=True, eq=False)
class Collapse(Result):
    """The collapse of error curves over network sizes.

    Attributes
    ----------
    label : str
        What was collapsed.
    over : tuple of str, length E
        `width`, `depth` or both: one exponent each, psi and phi.
    curves : tuple of ErrorCurve
        All curves with all their points.
    used : Curves
        The points above the bar, as log error against log density, by size.
    fit : CollapseFit
        The best collapse.
    law : JointLaw or None
        The law of Rosenfeld et al. 2021, fitted to all points; None where it cannot be.
    noise : CurveNoise
        Scatter behind the errors of all points.
    above : float
        The bar, in units of the dense error of each size.
    verdict : str
        `accepted`, or `refused: ` with the reason.
    notes : tuple of str
        What the numbers alone do not say.
    """

    label: str
    over: tuple[str, ...]
    curves: tuple[ErrorCurve, ...]
    used: Curves
    fit: CollapseFit
    law: JointLaw | None
    noise: CurveNoise
    above: float
    verdict: str
    notes: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether the exponents may be quoted."""
        return self.verdict == "accepted"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the exponents."""
        return tuple(EXPONENT[name] for name in self.over)

    @property
    def agrees(self) -> bool | None:
        """Whether the law has the same exponents, None without it.

        It does where it is not rejected and no exponent differs by over 1.96 standard errors, both
        errors added as if independent: they come from the same seeds, so this is lenient.
        """
        if self.law is None:
            return None
        error = np.hypot(self.fit.draws.std(axis=0), self.law.error[: len(self.names)])
        apart = np.abs(self.fit.exponents - self.law.exponents)
        return not self.law.rejected and bool((apart <= 1.96 * error).all())

    @property
    def title(self) -> str:
        """One line that says what this is."""
        sizes, points = len(self.used.size), len(self.used.x)
        return (
            f"collapse of {self.label} over {' and '.join(self.over)}: {sizes} sizes, {points} "
            f"points above {self.above:g} eps_np; S_min {self.fit.quality:.2f}, {self.verdict}"
        )

    def plot(self) -> Figure:
        """Draw the curves before and after."""
        from ..plots.collapse import plot_collapse

        return plot_collapse(self)

    def to_frame(self) -> pl.DataFrame:
        """Return a row per exponent and method; what does not exist is null."""
        rows = self._rows()
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        return frame({n: np.array(v) if isinstance(v[0], float) else v for n, v in columns.items()})

    def _columns(self) -> dict[str, list[str]]:
        rows = self._rows()
        return {
            "exponent": [row["exponent"] for row in rows],
            "method": [row["method"] for row in rows],
            "value": [number(row["value"]) for row in rows],
            "interval": [interval(row["low"], row["high"]) for row in rows],
            "S_min + 1": [interval(row["rise_low"], row["rise_high"]) for row in rows],
            "verdict": [row["verdict"] for row in rows],
        }

    def _rows(self) -> list[dict[str, Any]]:
        fit, rows = self.fit, []
        verdict, _, reason = self.verdict.partition(": ")
        for i, name in enumerate(self.names):
            rows.append(
                {
                    "exponent": name,
                    "method": "collapse",
                    "value": float(fit.exponents[i]),
                    "low": float(fit.boot_low[i]),
                    "high": float(fit.boot_high[i]),
                    "rise_low": float(fit.low[i]),
                    "rise_high": float(fit.high[i]),
                    "quality": fit.quality,
                    "verdict": verdict,
                    "reason": reason,
                }
            )
        return rows + self._law_rows()

    def _law_rows(self) -> list[dict[str, Any]]:
        law = self.law
        if law is None:
            return []
        values = [*law.exponents, law.gamma]
        ends = [
            *((v - 1.96 * s, v + 1.96 * s) for v, s in zip(law.exponents, law.error, strict=False)),
            law.gamma_interval,
        ]
        verdict = "rejected" if law.rejected else "agrees" if self.agrees else "differs"
        gamma = "at its bound" if law.gamma_at_bound else "fitted"
        return [
            {
                "exponent": name,
                "method": "joint law",
                "value": float(value),
                "low": float(low),
                "high": float(high),
                "rise_low": np.nan,
                "rise_high": np.nan,
                "quality": law.rms / law.seed_sd,
                "verdict": gamma if name == "gamma" and not law.rejected else verdict,
                "reason": "",
            }
            for name, value, (low, high) in zip((*self.names, "gamma"), values, ends, strict=True)
        ]
