"""Checks against the spectrum of an untrained network (N1): what training has to explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...schemas.blocks import architecture
from ...store import PublishedSpectrum, published_names
from ..arrays import Floats
from ..nulls.initial import Fan
from ..nulls.untrained import null
from ..spectrum.noise import PUBLISHED_SD
from .claim import Finding, finding, in_words
from .printed import HALF, PrintedSpectra

_FANS: tuple[Fan, ...] = ("fan_in", "fan_out")


def untrained_of(
    spectrum: PublishedSpectrum, fan: Fan, levels: Sequence[int], scale: float | None = None
) -> Floats:
    """Return the eigenvalues of N1 for the groups of a published spectrum: shape (G,).

    Parameters
    ----------
    spectrum : PublishedSpectrum
        Gives architecture and groups.
    fan : str
        Of the initialiser.
    levels : sequence of int, length 2
        The window.
    scale : float, optional
        The one scale at which all layers are initialised, whatever the fan.
    """
    name, (first, last) = spectrum.architecture, levels
    one = None if scale is None else {x.name: scale for x in architecture(name).counted()}
    found = null(name, by=spectrum.by, fan=fan, levels=(first, last), scales=one)
    by_name = dict(zip(found.names, found.eigenvalue, strict=True))
    return np.array([by_name[group] for group in spectrum.names])


def p_of_null(spectrum: PublishedSpectrum, expected: Floats) -> float:
    """Compare a spectrum with its null by centred log-ratios; return p.

    Squared differences over the variance of a published spectrum have a chi-square sum of G - 1
    degrees of freedom: the common factor of shares is free.
    """
    from scipy.special import chdtrc

    gap = np.log(spectrum.eigenvalue) - np.log(expected)
    statistic = float(((gap - gap.mean()) ** 2).sum() / PUBLISHED_SD**2)
    return float(chdtrc(len(gap) - 1, statistic))


def correlation(spectrum: PublishedSpectrum, expected: Floats) -> float:
    """Return Pearson's correlation of eigenvalues with their null; NaN where the null is flat."""
    if np.ptp(expected) < 1e-6:
        return float("nan")
    return float(np.corrcoef(spectrum.eigenvalue, expected)[0, 1])


def beside_untrained(
    spectra: PrintedSpectra,
    windows: Mapping[str, Sequence[int]],
    scales: Mapping[str, float],
    level: float,
) -> Finding:
    """Ask whether a spectrum is told from N1 with every fan; pretrained weights decide nothing.

    Windows and single scales go by architecture; the level is divided by all published spectra.
    """
    (spectrum,) = spectra
    name, tests = spectrum.architecture, len(published_names())
    scale = scales.get(name)
    fans = _FANS if scale is None else _FANS[:1]
    nulls = [untrained_of(spectrum, fan, windows[name], scale) for fan in fans]
    told = max(p_of_null(spectrum, expected) for expected in nulls) < level / tests
    fresh = spectrum.pretraining == "none"
    case = ("told" if told else "alike") + ("" if fresh else ", pretrained")
    return finding(
        True if told and fresh else None,
        case,
        beside="; ".join(
            _beside_null(spectrum, fan if scale is None else "one scale", expected)
            for fan, expected in zip(fans, nulls, strict=True)
        ),
        sd=PUBLISHED_SD,
        tests=tests,
    )


def _beside_null(spectrum: PublishedSpectrum, fan: str, expected: Floats) -> str:
    r = correlation(spectrum, expected)
    template = "{fan}: null {null:.3f}, {told}printed minus null {gap:+.3f}, p {p:.2g}"
    values = {
        "fan": fan,
        "null": expected,
        "told": "" if np.isnan(r) else f"correlation {r:.3f}, ",
        "gap": spectrum.eigenvalue - expected,
        "p": p_of_null(spectrum, expected),
    }
    return in_words(template, values)


def flat_without_training(spectra: PrintedSpectra, levels: Sequence[int], scale: float) -> Finding:
    """Ask whether eigenvalues of 1 need training: where N1 has them, they decide nothing."""
    (spectrum,) = spectra
    expected = untrained_of(spectrum, "fan_in", levels, scale)
    return finding(
        None if np.abs(expected - 1).max() <= HALF else True,
        layers=len(expected),
        least=expected.min(),
        most=expected.max(),
    )
