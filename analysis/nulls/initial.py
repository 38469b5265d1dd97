"""N1, the flow of a network that never learns: layers thresholded at their initial scales.

Global magnitude pruning keeps the weights above one threshold t. Where the weights of layer l are
draws of scale tau_l, the share q(t / tau_l) of them survives, and counting sets t: sum_l N_l
q(t / tau_l) equals the weights that the network keeps. Nothing is fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.blocks import Layer
from ...schemas.errors import UsageError, choose
from ..arrays import Floats

DistributionName = Literal["gaussian", "uniform", "laplace"]
Weighting = Literal["count", "magnitude"]
Fan = Literal["fan_in", "fan_out"]


@dataclass(frozen=True)
class Distribution:
    """A symmetric distribution of weights with standard deviation 1, as functions of x = t / tau.

    Attributes
    ----------
    kept : callable
        q(x), the share of weights with |w| > x.
    density : callable
        -dq/dx.
    magnitude : callable
        The mean of |w| over all weights, those with |w| <= x counted as 0.
    inverse : callable
        x of a given q.
    """

    kept: Callable[[Floats], Floats]
    density: Callable[[Floats], Floats]
    magnitude: Callable[[Floats], Floats]
    inverse: Callable[[Floats], Floats]

    def slope(self, x: Floats) -> Floats:
        """Return |d ln x / dq|: how far the logarithm of x moves with the share that is kept."""
        return 1 / (x * self.density(x))


def _gaussian_kept(x: Floats) -> Floats:
    from scipy.special import erfc

    return np.asarray(erfc(x / math.sqrt(2)))


def _gaussian_inverse(q: Floats) -> Floats:
    from scipy.special import erfcinv

    return np.asarray(erfcinv(q) * math.sqrt(2))


def _gaussian_density(x: Floats) -> Floats:
    return math.sqrt(2 / math.pi) * np.exp(-0.5 * x**2)


DISTRIBUTIONS: dict[DistributionName, Distribution] = {
    "gaussian": Distribution(
        # The mean of |w| above x equals the density of |w| at x: both are sqrt(2/pi) exp(-x^2/2).
        _gaussian_kept,
        _gaussian_density,
        _gaussian_density,
        _gaussian_inverse,
    ),
    "uniform": Distribution(
        lambda x: np.maximum(1 - x / math.sqrt(3), 0),
        lambda x: np.where(x < math.sqrt(3), 1 / math.sqrt(3), 0.0),
        lambda x: math.sqrt(3) / 2 * np.maximum(1 - x**2 / 3, 0),
        lambda q: math.sqrt(3) * (1 - q),
    ),
    "laplace": Distribution(
        lambda x: np.exp(-math.sqrt(2) * x),
        lambda x: math.sqrt(2) * np.exp(-math.sqrt(2) * x),
        lambda x: (x + 1 / math.sqrt(2)) * np.exp(-math.sqrt(2) * x),
        lambda q: -np.log(q) / math.sqrt(2),
    ),
}


@dataclass(frozen=True)
class Initialiser:
    """Variance of a layer's initial weights, and the distribution they are drawn from."""

    variance: Callable[[Layer, int], float]
    distribution: DistributionName


# He et al. 2015, eq. 10; Glorot & Bengio 2010, eqs. 12 and 16; as in torch.nn.init with ReLU gain
# for He and gain 1 for Glorot.
INITIALISERS: dict[str, Initialiser] = {
    "kaiming_normal": Initialiser(lambda layer, fan: 2 / fan, "gaussian"),
    "kaiming_uniform": Initialiser(lambda layer, fan: 2 / fan, "uniform"),
    "xavier_normal": Initialiser(lambda layer, _: 2 / (layer.fan_in + layer.fan_out), "gaussian"),
    "xavier_uniform": Initialiser(lambda layer, _: 2 / (layer.fan_in + layer.fan_out), "uniform"),
}


def initialiser(name: str) -> Initialiser:
    """Look up an initialiser.

    Raises
    ------
    UsageError
        The name is unknown.
    """
    return INITIALISERS[choose("initialiser", name, INITIALISERS)]


def known_distribution(name: str) -> DistributionName:
    """Hold a name to `DISTRIBUTIONS`.

    Raises
    ------
    UsageError
        The name is unknown.
    """
    return choose("distribution", name, DISTRIBUTIONS)


def initial_scales(
    layers: Sequence[Layer], init: str = "kaiming_normal", fan: str = "fan_in"
) -> Floats:
    """Return tau_l, the standard deviation of every layer's weights at initialisation: (L,).

    Raises
    ------
    UsageError
        The initialiser or the fan is unknown.
    """
    variance = initialiser(init).variance
    fan = choose("fan", fan, get_args(Fan))
    return np.sqrt([variance(layer, getattr(layer, fan)) for layer in layers])


def given_scales(layers: Sequence[Layer], scales: Mapping[str, float]) -> Floats:
    """Return the measured scales of the layers in order: shape (L,).

    Raises
    ------
    UsageError
        A layer has no scale, or one that is not positive.
    """
    for layer in layers:
        if layer.name not in scales:
            raise UsageError(f"no scale is given for layer {layer.name}: all layers need one")
        if not (math.isfinite(scales[layer.name]) and scales[layer.name] > 0):
            raise UsageError(
                f"the scale of layer {layer.name} is {scales[layer.name]}: the root mean square "
                "of its weights is a positive number"
            )
    return np.array([scales[layer.name] for layer in layers], np.float64)


def threshold(
    total: ArrayLike, scale: ArrayLike, kept: ArrayLike, distribution: DistributionName = "gaussian"
) -> Floats:
    """Solve sum_l N_l q(t / tau_l) = kept for the threshold t.

    Parameters
    ----------
    total : array, shape (L,) or (..., L)
        Weights in every layer, N_l.
    scale : array, shape (L,) or (..., L)
        Scales tau_l. Leading axes of it and of `total`, which only it may lack, broadcast against
        those of `kept`.
    kept : array, shape (...)
        Weights that the network keeps, above 0 and at most the sum of `total`.
    distribution : str
        Name in `DISTRIBUTIONS`.

    Returns
    -------
    array, shape (...)
        Thresholds in units of the scales; |sum_l N_l q - kept| <= 1e-12 kept.
    """
    totals, scales = np.asarray(total, np.float64), np.asarray(scale, np.float64)
    target = np.asarray(kept, np.float64)
    if scales.ndim > 1:
        return _solve(totals, scales, target, DISTRIBUTIONS[distribution])
    # Layers of one scale act as one, and the seeds of an experiment keep equal counts.
    unique_scales, which = np.unique(scales, return_inverse=True)
    unique_target, back = np.unique(target, return_inverse=True)
    merged = np.bincount(which, weights=totals).astype(np.float64)
    t = _solve(merged, unique_scales, unique_target, DISTRIBUTIONS[distribution])
    return t[back].reshape(target.shape)


def initial_scale_kept(
    total: ArrayLike,
    scale: ArrayLike,
    kept: ArrayLike,
    *,
    exempt: ArrayLike | None = None,
    distribution: DistributionName = "gaussian",
    weighting: Weighting = "count",
) -> Floats:
    """Return the weights that N1 keeps in every layer at given counts of the whole network.

    Parameters
    ----------
    total : array, shape (L,)
        Weights in every layer.
    scale : array, shape (L,) or (..., 1, L)
        Their scales.
    kept : array, shape (..., T)
        Weights kept in the network at T levels, exempt layers included.
    exempt : bool array, shape (L,), optional
        Layers that are counted but never pruned; they stay as they are.
    distribution : str
        Shape of the initial weights.
    weighting : str
        `count`, or `magnitude`: sums of |w| over the kept weights instead of their number. The
        threshold follows from counts in either case.

    Returns
    -------
    array, shape (..., T, L)
        Expected counts, not rounded.

    Raises
    ------
    UsageError
        A level keeps no more weights than the exempt layers hold.
    """
    totals, scales = np.asarray(total, np.float64), np.asarray(scale, np.float64)
    network = np.asarray(kept, np.float64)
    fixed = np.zeros(totals.shape, bool) if exempt is None else np.asarray(exempt, bool)
    target = network - totals[fixed].sum()
    if not (target > 0).all():
        raise UsageError(
            f"a level keeps {network.min():,.0f} weights, but layers with "
            f"{totals[fixed].sum():,.0f} are exempt from pruning: ask for fewer levels"
        )
    level = threshold(totals[~fixed], scales[..., ~fixed], target, distribution)
    x = np.where(fixed, 0.0, level[..., None] / scales)
    if weighting == "magnitude":
        return np.asarray(totals * scales * DISTRIBUTIONS[distribution].magnitude(x))
    return np.asarray(totals * DISTRIBUTIONS[distribution].kept(x))


def _solve(total: Floats, scale: Floats, kept: Floats, distribution: Distribution) -> Floats:
    # Newton's method on log sum_l N_l q(t / tau_l), which is nearly linear in t or t^2, inside the
    # bracket that the network would have if all its layers had the smallest or largest scale.
    # Layers without a weight have no part in it: beyond all others' weights none would be found.
    unit, some = distribution.inverse(np.minimum(kept / total.sum(axis=-1), 1.0)), total > 0
    low = unit * scale.min(axis=-1, initial=np.inf, where=some)
    high = unit * scale.max(axis=-1, initial=0.0, where=some)
    t: Floats = (low + high) / 2
    for _ in range(100):
        x = t[..., None] / scale
        found = (total * distribution.kept(x)).sum(axis=-1)
        excess = np.log(found / kept)
        if (np.abs(excess) <= 1e-13).all():
            break
        slope = (total * distribution.density(x) / scale).sum(axis=-1) / found
        low, high = np.where(excess > 0, t, low), np.where(excess < 0, t, high)
        step = t + excess / slope
        t = np.where((step >= low) & (step <= high), step, (low + high) / 2)
    return t
