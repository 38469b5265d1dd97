"""The arithmetic of printed numbers: rounding propagated to the ends of what it allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...schemas.blocks import architecture
from ...store import PublishedSpectrum
from ..arrays import Floats
from ..spectrum.verdicts import judge_as_paper

PrintedSpectra = Sequence[PublishedSpectrum]
Sign = Literal["relevant", "marginal", "irrelevant"]
HALF = 0.005  # eigenvalues and exponents are printed to two decimals
SHARE_HALF = 0.00005  # shares are printed to four
EDGE = 1e-9  # 1.01 - 1 is more than 0.01 in binary


def weighted_power(
    share: ArrayLike, eigenvalue: ArrayLike, steps: int, share_half: float = SHARE_HALF
) -> tuple[float, float, float]:
    """Return sum_i M_i lambda_i^T and the least and the most of it that rounding allows.

    The sum rises in every share and eigenvalue, so its ends are those of the rounding boxes.

    Parameters
    ----------
    share, eigenvalue : array, shape (G,)
        M_i at the start, and eigenvalues printed to two decimals.
    steps : int
        T.
    share_half : float
        Half a unit of the last digit of the shares; 0 for shares that are known exactly.
    """
    m, growth = np.asarray(share, np.float64), np.asarray(eigenvalue, np.float64)
    value, low, high = (
        float(((m + sign * share_half) * (growth + sign * HALF) ** steps).sum())
        for sign in (0, -1, 1)
    )
    return value, low, high


def dense_share(spectrum: PublishedSpectrum) -> Floats:
    """Return M_i(0), which the architecture alone sets: shape (G,)."""
    layers = architecture(spectrum.architecture).counted()
    total = sum(layer.total for layer in layers)
    return np.array(
        [
            sum(layer.total for layer in layers if layer.group(spectrum.by) == name) / total
            for name in spectrum.names
        ]
    )


def replicator(share: ArrayLike, strength: ArrayLike, steps: int) -> tuple[Floats, Floats]:
    """Follow M_i(n+1) = M_i(n) s_i / sum_j M_j(n) s_j: the flow that keeps shares shares.

    Parameters
    ----------
    share, strength : array, shape (..., G)
        M_i at the start, and s_i.
    steps : int
        Ratios T to take.

    Returns
    -------
    mean, std : array, shape (..., G)
        Arithmetic mean of M(n+1)/M(n) over the steps, and its standard deviation (ddof 1).
    """
    m, s = np.asarray(share, np.float64), np.asarray(strength, np.float64)
    ratios = []
    for _ in range(steps):
        ratio = s / (m * s).sum(axis=-1, keepdims=True)
        ratios.append(ratio)
        m = m * ratio
    series = np.array(ratios)
    return series.mean(axis=0), series.std(axis=0, ddof=1)


def corners(eigenvalue: ArrayLike) -> Floats:
    """Return the corners of the box of eigenvalues that round to these: shape (2^G, G)."""
    centre = np.asarray(eigenvalue, np.float64)
    signs = np.array(np.meshgrid(*[(-1, 1)] * len(centre), indexing="ij"))
    return centre + HALF * signs.reshape(len(centre), -1).T


def std_half(std: ArrayLike) -> Floats:
    """Return half a unit of the last printed digit: .0005 for 0.002, .005 for 0.01."""
    values = np.asarray(std, np.float64)
    return np.where(np.isclose(np.round(values, 2), values, atol=EDGE), HALF, HALF / 10)


def signs_of(spectrum: PublishedSpectrum) -> tuple[str, ...]:
    """Judge a spectrum as printed by the paper's rule: marginal where |lambda - 1| <= std."""
    nothing = np.zeros(len(spectrum.names), np.bool_)
    return judge_as_paper(spectrum.eigenvalue, spectrum.std, nothing).verdict


def certain(eigenvalue: ArrayLike, std: ArrayLike) -> NDArray[np.bool_]:
    """Tell whose sign is the same for all numbers that round to the printed ones: shape (G,).

    The boxes count as open: 1.02 +- 0.01 is relevant, for 1.015 +- 0.015 lies on their corner.
    """
    distance = np.abs(np.asarray(eigenvalue, np.float64) - 1)
    spread, half = np.asarray(std, np.float64), std_half(std)
    outside = distance - HALF >= spread + half - EDGE
    inside = distance + HALF <= spread - half + EDGE
    return outside | inside


def with_sign(spectrum: PublishedSpectrum, sign: Sign) -> tuple[set[str], set[str]]:
    """Return the groups that may have a sign within the rounding, and those that surely do."""
    sure = certain(spectrum.eigenvalue, spectrum.std).tolist()
    rows = list(zip(spectrum.names, signs_of(spectrum), sure, spectrum.eigenvalue, strict=True))
    side = {"relevant": 1, "irrelevant": -1}.get(sign, 0)
    possible = {
        name
        for name, s, c, value in rows
        if s == sign or (not c and (side == 0 or side * (value - 1) > -HALF))
    }
    return possible, {name for name, s, c, _ in rows if s == sign and c}


def gaps(spectra: PrintedSpectra) -> tuple[Floats, Floats]:
    """Return how far pairs of spectra lie apart, and the room they have: both (pairs, G).

    The room is both spreads, their rounding and that of the eigenvalues.
    """
    value, spread = (np.array([getattr(s, a) for s in spectra]) for a in ("eigenvalue", "std"))
    i, j = np.triu_indices(len(spectra), 1)
    half = std_half(spread)
    room = spread[i] + spread[j] + half[i] + half[j] + 2 * HALF
    return np.abs(value[i] - value[j]), room + EDGE
