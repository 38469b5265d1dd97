"""The error of a pruned network as a power law of density, and what its parameters mean.

Rosenfeld et al. 2021 (arXiv 2006.10621) write the error at density d as

    eps(d) = eps_np [(d^2 + p^2 (eps_dag/eps_np)^(2/gamma)) / (d^2 + p^2)]^(gamma/2),

the paper's eq. 14. The sign of gamma is not identifiable: (gamma, p) and
(-gamma, p (eps_dag/eps_np)^(1/gamma)) are one curve. What the curve has are two densities, between
which the error is a power law, and the size of the exponent g = |gamma|:

    log eps = a + (g/2) log[(d^2 + d_hi^2) / (d^2 + d_lo^2)],    d_lo = d_hi exp(-R/g),

with eps_np = exp(a), eps_dag = exp(a + R). Above d_hi the error is that of the dense network, below
d_lo it is the plateau eps_dag. Here the parameters are held as

    theta = (a, log g, log d_hi, log eps_dag),

so that every bound is a box and one plateau for several curves stays one number.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats

A, LOG_G, LOG_D_HI, LOG_PLATEAU = range(4)
G_BOUNDS, D_HI_BOUNDS = (0.01, 8.0), (1e-3, 3.0)
_AT_BOUND = 1e-6  # a logarithm this near to a bound stands at it


class Bound(NamedTuple):
    """A bound of g or d_hi."""

    parameter: int
    end: Literal["lower", "upper"]
    value: float

    @property
    def tells_exponent(self) -> bool:
        """Whether g at this bound is no artefact of it.

        Where the onset lies above all densities the curve is a plain power of them, and g no longer
        hangs on how far above.
        """
        return self.parameter == LOG_D_HI and self.end == "upper"

    def __str__(self) -> str:
        name = "gamma" if self.parameter == LOG_G else "d_hi"
        return f"{name} at its {self.end} bound {self.value:g}"


_BOUNDS = (
    Bound(LOG_G, "lower", G_BOUNDS[0]),
    Bound(LOG_G, "upper", G_BOUNDS[1]),
    Bound(LOG_D_HI, "lower", D_HI_BOUNDS[0]),
    Bound(LOG_D_HI, "upper", D_HI_BOUNDS[1]),
)


def bounds_met(theta: Floats) -> tuple[Bound, ...]:
    """Return the bounds that parameters, shape (4,), stand at; NaN stands nowhere."""
    return tuple(
        one for one in _BOUNDS if abs(theta[one.parameter] - np.log(one.value)) < _AT_BOUND
    )


class Eq14(NamedTuple):
    """The parameters of eq. 14 in one convention of the sign.

    Attributes
    ----------
    eps_np, eps_dag : float
        Error without pruning, and of the plateau at the sparsest end.
    gamma, p : float
        Exponent with its sign, and the density p.
    """

    eps_np: float
    eps_dag: float
    gamma: float
    p: float


def eq14(density: ArrayLike, parameters: Eq14) -> Floats:
    """Evaluate eq. 14 as it is printed.

    Examples
    --------
    >>> eq14([1.0], Eq14(0.1, 0.9, -0.2, 0.1)).round(4).tolist()
    [0.1001]
    """
    squared = np.asarray(density, np.float64) ** 2
    eps_np, eps_dag, gamma, p = parameters
    factor = (eps_dag / eps_np) ** (2 / gamma)
    return np.asarray(eps_np * ((squared + p**2 * factor) / (squared + p**2)) ** (gamma / 2))


def other_sign(parameters: Eq14) -> Eq14:
    """Return the parameters with the other sign of gamma that give the same curve.

    Examples
    --------
    >>> other = other_sign(Eq14(0.1, 0.9, -0.5, 0.81))
    >>> other.gamma, round(other.p, 12)
    (0.5, 0.01)
    """
    eps_np, eps_dag, gamma, p = parameters
    return Eq14(eps_np, eps_dag, -gamma, p * (eps_dag / eps_np) ** (1 / gamma))


def to_eq14(theta: ArrayLike, sign: int) -> Eq14:
    """Return eq. 14's parameters, gamma negative (p = d_hi) or positive (p = d_lo)."""
    a, log_g, log_d_hi, log_plateau = np.asarray(theta, np.float64).tolist()
    g = float(np.exp(log_g))
    p = log_d_hi if sign < 0 else log_d_hi - (log_plateau - a) / g
    return Eq14(
        float(np.exp(a)), float(np.exp(log_plateau)), -g if sign < 0 else g, float(np.exp(p))
    )


def from_eq14(parameters: Eq14) -> Floats:
    """Return theta of eq. 14's parameters, whichever the sign of gamma: shape (4,)."""
    negative = parameters if parameters.gamma < 0 else other_sign(parameters)
    return np.log([negative.eps_np, -negative.gamma, negative.p, negative.eps_dag])


def log_d_lo(theta: Floats) -> Floats:
    """Return log d_lo: theta (..., 4) to (...,)."""
    reach = theta[..., LOG_PLATEAU] - theta[..., A]
    return np.asarray(theta[..., LOG_D_HI] - reach / np.exp(theta[..., LOG_G]))


def log_error(log_density: Floats, theta: Floats) -> Floats:
    """Evaluate the curve: log densities (n,) and theta (..., 4) to log errors (..., n)."""
    high, low = theta[..., LOG_D_HI, None], log_d_lo(theta)[..., None]
    ratio = np.logaddexp(2 * log_density, 2 * high) - np.logaddexp(2 * log_density, 2 * low)
    return np.asarray(theta[..., A, None] + np.exp(theta[..., LOG_G, None]) / 2 * ratio)


def local_slope(log_density: Floats, theta: Floats) -> Floats:
    """Return -d log eps / d log d of the curve, shape (..., n): g where d_lo << d << d_hi."""
    low, high = _below(log_density, theta)
    return np.asarray(np.exp(theta[..., LOG_G, None]) * (high - low))


def curve_and_jacobian(log_density: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """Return log errors, shape (..., n), and their derivatives by theta, shape (..., n, 4)."""
    g = np.exp(theta[..., LOG_G, None])
    reach = (theta[..., LOG_PLATEAU] - theta[..., A])[..., None]
    low, high = _below(log_density, theta)
    # log(d^2 + h^2) = 2 log d - log(1 - q_h) with q_h the share of h^2 in the sum.
    log_high = theta[..., LOG_D_HI, None] - log_density
    log_low = log_d_lo(theta)[..., None] - log_density
    ratio = np.logaddexp(0, 2 * log_high) - np.logaddexp(0, 2 * log_low)
    slope = np.stack(
        [1 - low, g * ratio / 2 - reach * low, g * (high - low), low],
        axis=-1,
    )
    return np.asarray(theta[..., A, None] + g / 2 * ratio), np.asarray(slope)


def _below(log_density: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """Return d_lo^2/(d^2 + d_lo^2) and d_hi^2/(d^2 + d_hi^2): each (..., n)."""
    low = log_d_lo(theta)[..., None] - log_density
    high = theta[..., LOG_D_HI, None] - log_density
    return 0.5 * (1 + np.tanh(low)), 0.5 * (1 + np.tanh(high))
