"""The fit of the literature: eq. 14 by `scipy.optimize.curve_fit`, kept for comparison.

The paper's App. D leaves all four parameters free and bounds eps_np tightly, without saying how:
here to 5 % around the mean error of the three densest levels.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from ...schemas.errors import RgtoolError
from ..arrays import Floats
from .power_law import D_HI_BOUNDS, G_BOUNDS, Eq14, eq14

TIGHT = 0.05
_PAPER_STARTS = [(-g, p) for g in (0.1, 0.3, 1.0) for p in (0.03, 0.1, 0.4)]


@dataclass(frozen=True, eq=False)
class PaperFit:
    """Eq. 14 as `curve_fit` has it.

    Attributes
    ----------
    parameters : Eq14
        With gamma negative, the paper's convention.
    gamma_sd : float
        From the covariance of `curve_fit`; infinite where it has none.
    """

    parameters: Eq14
    gamma_sd: float


def paper_fit(density: Floats, error: Floats) -> PaperFit:
    """Fit eq. 14 to errors, unweighted and on the linear scale.

    Parameters
    ----------
    density, error : array, shape (T,)
        Falling densities and mean errors, fractions.

    Raises
    ------
    RgtoolError
        There are fewer than five points, or no start converges.
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    if len(density) < 5:
        raise RgtoolError(
            f"{len(density)} densities for the four parameters of eq. 14: at least 5 are needed"
        )
    dense = float(error[:3].mean())
    most = float(error.max())
    lower = [dense * (1 - TIGHT), min(most, 0.999), -G_BOUNDS[1], D_HI_BOUNDS[0]]
    upper = [dense * (1 + TIGHT), 1.0, -G_BOUNDS[0], D_HI_BOUNDS[1]]

    def model(d: Floats, *parameters: float) -> Floats:
        return eq14(d, Eq14(*parameters))

    best: tuple[float, Floats, Floats] | None = None
    for gamma, p in _PAPER_STARTS:
        start = [dense, (lower[1] + 1) / 2, gamma, p]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # no covariance: infinite
            try:
                found, covariance = curve_fit(model, density, error, start, bounds=(lower, upper))
            except RuntimeError:  # no convergence from here
                continue
        ssr = float(((model(density, *found) - error) ** 2).sum())
        if best is None or ssr < best[0]:
            best = ssr, found, covariance
    if best is None:
        raise RgtoolError("curve_fit does not converge on eq. 14: use method profile")
    return PaperFit(Eq14(*best[1].tolist()), float(np.sqrt(best[2][2, 2])))
