"""How a flow nears a fixed point or leaves one: x_i(t) = x*_i + c_i exp(-kappa t), kappa common.

To first order every flow does so about a fixed point x*, in the end with the least of its exponents
that the start excites (Wegner 1972: scaling fields). It is the least curved family that
holds three fates. kappa > 0: deviations from x* die out as d^kappa, d = exp(-t) the density, and
exp(-kappa) is the eigenvalue of a step of one in ln d. kappa = 0: x runs on at a constant rate, as
the replicator does whose exponents y are constant. kappa < 0: it leaves x* ever faster.

x* and c enter linearly and are eliminated (variable projection, Golub & Pereyra 1973), so that what
is left is one number, sought on a grid and between its points: no start to choose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats

PARTS = 4  # levels below which three numbers of a group have nothing left to fit
FLOOR = 0.01  # sd of a coordinate, a log: below one per cent no flow is held to a line
_GRID, _ZOOM, _ROUNDS = 121, 21, 3
_STEEP = 3.0  # rate times a step, beyond which deviations come or go within it


@dataclass(frozen=True, eq=False)
class Approach:
    """What was fitted to flows of shape (..., T, G).

    Attributes
    ----------
    rate : array, shape (...,)
        kappa; NaN where levels are too far apart, or motion too little, to tell one.
    fixed : array, shape (..., G)
        x*. NaN where kappa is not above 0: behind the flow there is none ahead of it.
    misfit : array, shape (...,)
        Sum of squared residuals over variances, a degree of freedom.
    """

    rate: Floats
    fixed: Floats
    misfit: Floats


def approach(x: ArrayLike, variance: ArrayLike, time: ArrayLike) -> Approach:
    """Fit kappa, with x* and c of every group, by weighted least squares.

    Parameters
    ----------
    x : array, shape (..., T, G)
        Coordinates at T levels, such as centred log-ratios of shares.
    variance : array, shape (T, G) or (..., T, G)
        Of every coordinate; `FLOOR` squared is added.
    time : array, shape (T,)
        -ln d, rising.

    Raises
    ------
    ValueError
        There are fewer than four levels.
    """
    values, at = np.asarray(x, np.float64), np.asarray(time, np.float64)
    if len(at) < PARTS:
        raise ValueError(f"{len(at)} levels: an approach needs {PARTS}")
    weight = np.broadcast_to(1 / (np.asarray(variance, np.float64) + FLOOR**2), values.shape)
    since = at - at[0]
    found, first, last = _seek(values, weight, since)
    squares, fixed = _solve(values, weight, since, found[..., None])
    told = (found > first) & (found < last)
    free = values.shape[-1] * (len(at) - 2) - 1
    return Approach(
        rate=np.where(told, found, np.nan),
        fixed=np.where((told & (found > 0))[..., None], fixed[..., 0, :], np.nan),
        misfit=squares[..., 0] / max(free, 1),
    )


def _seek(values: Floats, weight: Floats, since: Floats) -> tuple[Floats, float, float]:
    """Return the best kappa of every flow, and the ends of where it was sought."""
    length, steps = since[-1], len(since) - 1
    most = _STEEP * steps
    # Even in sinh: as fine about 0, where the fate is decided, as far out relative to kappa.
    grid = np.sinh(np.linspace(-1, 1, _GRID) * np.arcsinh(most)) / length
    squares, _ = _solve(values, weight, since, np.broadcast_to(grid, (*values.shape[:-2], _GRID)))
    best = squares.argmin(axis=-1)
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, _GRID - 1)]
    for _ in range(_ROUNDS):
        about = np.linspace(low, high, _ZOOM, axis=-1)
        squares, _ = _solve(values, weight, since, about)
        place = squares.argmin(axis=-1)[..., None]
        low, high = (
            np.take_along_axis(about, np.clip(place + side, 0, _ZOOM - 1), -1)[..., 0]
            for side in (-1, 1)
        )
    found = np.take_along_axis(about, place, -1)[..., 0]
    return np.asarray(found), float(grid[0]), float(grid[-1])


def _solve(values: Floats, weight: Floats, since: Floats, rate: Floats) -> tuple[Floats, Floats]:
    """Solve for x* and c at rates (..., Q): sums of squares (..., Q), and x* (..., Q, G).

    In terms of (1 - exp(-kappa t)) / kappa, which is t at kappa = 0, nothing is singular there.
    """
    curve = _risen(rate[..., None], since)  # (..., Q, T)
    total = weight.sum(axis=-2)[..., None, :]
    mean = (weight * values).sum(axis=-2)[..., None, :] / total
    about = values - mean[..., 0, :][..., None, :]
    middle = np.einsum("...tg,...qt->...qg", weight, curve) / total
    cross = np.einsum("...tg,...qt->...qg", weight * about, curve)
    spread = np.einsum("...tg,...qt->...qg", weight, curve**2) - total * middle**2
    slope = cross / np.maximum(spread, 1e-300)
    squares = (weight * about**2).sum(axis=-2)[..., None, :] - slope * cross
    with np.errstate(divide="ignore", invalid="ignore"):
        fixed = mean + slope * (1 / rate[..., None] - middle)
    return squares.sum(axis=-1), fixed


def _risen(rate: Floats, since: Floats) -> Floats:
    """Return (1 - exp(-rate t)) / rate, t where the rate is 0."""
    exponent = rate * since
    small = np.abs(exponent) < 1e-6
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = -np.expm1(-exponent) / rate
    return np.asarray(np.where(small, since, whole))
