"""Checks of equations and critical exponents: eqs. 1 and 14, Table 9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...store.figures import figure_rows
from ..arrays import Floats
from ..gamma.power_law import Eq14, eq14, other_sign
from .claim import Finding, finding
from .printed import HALF

_DENSITY = np.geomspace(1e-3, 1, 61)
_EXACT = 1e-9  # double precision, with what powers and quotients lose of it


def _exponents(pretraining: str | None = None) -> list[dict[str, Any]]:
    rows = figure_rows("published_gammas")
    return [row for row in rows if pretraining in (None, row["pretraining"])]


def gammas(pretraining: str | None = None) -> Finding:
    """Return the exponents of Table 9, or of one pretraining: their signs as eq. 1 needs them."""
    rows = _exponents(pretraining)
    found = np.array([row["gamma"] for row in rows])
    return finding(
        bool((found < 0).all()),
        gammas=found,
        number=len(found),
        least=found.min(),
        most=found.max(),
        negative=int((found < 0).sum()),
        by_task=", ".join(f"{row['task']} {row['gamma']:.2f}" for row in rows),
    )


def two_laws(gamma: float, p: float, d: float, dense: float, chance: float) -> Finding:
    """Compare the slopes of log error on log density, eq. 14 against eq. 1 with d_C = p."""
    curve = Eq14(dense, chance, gamma, p)
    slopes = _log_slope(lambda x: eq14(x, curve), d), _log_slope(lambda x: (p - x) ** -gamma, d)
    return finding(bool(np.isclose(*slopes)), eq14=slopes[0], eq1=slopes[1])


def _log_slope(curve: Callable[[Floats], Floats], at: float) -> float:
    ends = np.array([at * 0.999, at * 1.001])
    return float(np.diff(np.log(curve(ends)))[0] / np.diff(np.log(ends))[0])


def two_forms(gamma: float, p: float, dense: float, chance: float) -> Finding:
    """Compare the two lines of eq. 14, and its limits with the errors put in."""
    curve = Eq14(dense, chance, gamma, p)
    shift = p * (chance / dense) ** (1 / gamma)
    first_line = dense * np.abs((_DENSITY - 1j * shift) / (_DENSITY - 1j * p)) ** gamma
    apart = float(np.abs(first_line / eq14(_DENSITY, curve) - 1).max())
    sparse, full = eq14([0.0, 1e9], curve)
    meets = apart < _EXACT and np.allclose([sparse, full], [chance, dense], rtol=0, atol=_EXACT)
    return finding(bool(meets), apart=apart, full=full, sparse=sparse)


def two_signs(p: float, dense: float, chance: float) -> Finding:
    """Ask whether curves with the other sign of gamma differ from those of Table 9."""
    found = np.unique([row["gamma"] for row in _exponents()])
    curves = [Eq14(dense, chance, float(gamma), p) for gamma in found]
    ratios = [eq14(_DENSITY, other_sign(curve)) / eq14(_DENSITY, curve) for curve in curves]
    apart = float(np.abs(np.array(ratios) - 1).max())
    return finding(apart > _EXACT, gammas=found, apart=apart)


def gamma_ratio(pretraining: str, tasks: Sequence[str]) -> Finding:
    """Compare the exponents of two tasks after one pretraining, rounding propagated."""
    printed = {row["task"]: row["gamma"] for row in _exponents(pretraining)}
    a, b = (printed[task] for task in tasks)
    low, high = (abs(a) - HALF) / (abs(b) + HALF), (abs(a) + HALF) / (abs(b) - HALF)
    return finding(low > 1, first=a, second=b, ratio=a / b, low=low, high=high)
