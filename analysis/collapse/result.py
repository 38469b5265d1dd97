"""The result of a collapse: exponents by two methods, quality, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..curves.family import ErrorCurve
from ..curves.scatter import CurveNoise
from ..result import Column, Result, ends
from ..values import Refusal
from .fit import CollapseFit
from .joint_law import JointLaw
from .quality import Curves

if TYPE_CHECKING:
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
    law : JointLaw or Refusal
        The law of Rosenfeld et al. 2021, fitted to all points, or why it cannot be.
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
    law: JointLaw | Refusal
    noise: CurveNoise
    above: float
    verdict: str
    notes: tuple[str, ...]

    columns = (
        Column("exponent", "psi of the width, phi of the depth; gamma of the joint law."),
        Column("method", "collapse, or joint law."),
        Column("value", "The exponent.", "", "z.3f"),
        *ends("low", "high", "its 95 % interval, over draws of the curves", "", "z.3f"),
        *ends("rise_low", "rise_high", "where the quality rises by 1", "", "z.3f"),
        Column(
            "quality",
            "S of Houdayer & Hartmann; of the joint law residuals over the scatter of a seed.",
            "",
            ".2f",
        ),
        Column(
            "verdict",
            "accepted or refused; of the joint law agrees, differs or rejected; of its gamma "
            "fitted or at its bound.",
        ),
        Column("reason", "Why it is refused.", shown="wide"),
    )
    rows = "a row for every exponent and method"
    see = "collapse.md#what-is-done"

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
        if isinstance(self.law, Refusal):
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

    def _values(self) -> dict[str, Any]:
        rows = self._rows()
        return {name: [row[name] for row in rows] for name in rows[0]}

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
        if isinstance(law, Refusal):
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

    def plot(self) -> Figure:
        """Draw it, as `rgtool.plot` does."""
        from ..plots.collapse import plot_collapse

        return plot_collapse(self)
