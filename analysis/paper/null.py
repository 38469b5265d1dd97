"""Published spectra beside that of an untrained network (N1): what training has to explain."""

from __future__ import annotations

import numpy as np

from ...schemas.blocks import architecture
from ...store import PublishedSpectrum, published, published_names
from ..nulls.initial import Fan
from ..nulls.untrained import null
from ..spectrum.noise import PUBLISHED_SD as SD
from .claim import Claim, Floats, numbers

# Windows: from level 1 where a starting point is printed, else from the dense network.
_WINDOWS = {"resnet50": (1, 17), "vgg16": (0, 17), "bert-base": (0, 9)}
_ONE_SCALE, _BERT_SCALE = ("bert-base",), 0.02  # Devlin et al. 2019, their published code
_FANS: tuple[Fan, ...] = ("fan_in", "fan_out")
LEVEL = 0.05


def null_of(spectrum: PublishedSpectrum, fan: Fan) -> Floats:
    """Return the eigenvalues of N1 for the groups of a published spectrum: shape (G,).

    BERT is initialised at one scale, whatever the fan.
    """
    name, window = spectrum.architecture, _WINDOWS.get(spectrum.architecture, (0, 16))
    one = (
        {x.name: _BERT_SCALE for x in architecture(name).counted()} if name in _ONE_SCALE else None
    )
    found = null(name, by=spectrum.by, fan=fan, levels=window, scales=one)
    by_name = dict(zip(found.names, found.eigenvalue, strict=True))
    return np.array([by_name[name] for name in spectrum.names])


def distance(spectrum: PublishedSpectrum, expected: Floats) -> tuple[float, float]:
    """Compare a spectrum with its null by centred log-ratios.

    Returns
    -------
    statistic, p : float
        Q = sum of squared differences over SD^2, and its chi-square tail with G - 1 degrees of
        freedom: the common factor of shares is free.
    """
    from scipy.special import chdtrc

    gap = np.log(spectrum.eigenvalue) - np.log(expected)
    statistic = float(((gap - gap.mean()) ** 2).sum() / SD**2)
    return statistic, float(chdtrc(len(gap) - 1, statistic))


def correlation(spectrum: PublishedSpectrum, expected: Floats) -> float:
    """Return Pearson's correlation of eigenvalues with their null; NaN where the null is flat."""
    if np.ptp(expected) < 1e-6:
        return float("nan")
    return float(np.corrcoef(spectrum.eigenvalue, expected)[0, 1])


def claims() -> list[Claim]:
    """Hold every printed spectrum against N1 with both fans of the initialiser."""
    spectra = [published(name) for name in published_names()]
    return [*(_beside(spectrum, len(spectra)) for spectrum in spectra), _fixed_point()]


def _beside(spectrum: PublishedSpectrum, tests: int) -> Claim:
    equal = spectrum.architecture in _ONE_SCALE
    fans = _FANS[:1] if equal else _FANS
    nulls = [null_of(spectrum, fan) for fan in fans]
    p = [distance(spectrum, expected)[1] for expected in nulls]
    told = max(p) < LEVEL / tests
    decided = told and spectrum.pretraining == "none"
    return Claim(
        f"null-{spectrum.name.removeprefix('published:')}",
        f"{spectrum.source.partition('), ')[2]}; Sec. 3.1",
        "the eigenvalues are not a mere reflection of pretraining and initialisation",
        numbers(spectrum.eigenvalue, ".2f"),
        "; ".join(
            _against(spectrum, *each)
            for each in zip(("one scale",) if equal else fans, nulls, strict=True)
        ),
        f"sd {SD:.4f} of log lambda (.008 between seeds, .0029 of rounding); told apart where "
        f"p < .05/{tests} with both fans",
        "recomputed",
        "agrees" if decided else "cannot be checked",
        _reason(spectrum, told),
    )


def _against(spectrum: PublishedSpectrum, fan: str, expected: Floats) -> str:
    r, (_, p) = correlation(spectrum, expected), distance(spectrum, expected)
    told = "" if np.isnan(r) else f"correlation {r:.3f}, "
    gap = numbers(spectrum.eigenvalue - expected, "+.3f")
    return f"{fan}: null {numbers(expected)}, {told}printed minus null {gap}, p {p:.2g}"


def _reason(spectrum: PublishedSpectrum, told: bool) -> str:
    base = (
        "an untrained network gives something else; what is left speaks of training"
        if told
        else "an untrained network gives the same within seeds and rounding: this "
        "spectrum shows nothing of training or task, though it rules neither out"
    )
    if spectrum.pretraining != "none":
        base += (
            "; but the weights are pretrained, so the null proper needs their measured scales, "
            "which are not printed"
        )
    return base


def _fixed_point() -> Claim:
    spectrum = published("bert-base-mlm")
    layers = len(spectrum.names)
    expected = null_of(spectrum, "fan_in")
    return Claim(
        "bert-fixed-point",
        "App. B, Table 6",
        "that all layers of BERT are marginal suggests a fixed point of the flow",
        numbers(spectrum.eigenvalue, ".2f"),
        f"N1 of {layers} equal layers: {expected.min():.3f} to {expected.max():.3f}, before any "
        "training",
        "+-.005 from the printed digits; N1 is exact",
        "recomputed",
        "cannot be checked",
        "twelve layers of one shape and one scale keep equal shares without any training: "
        "eigenvalues of 1 are the null, no evidence of a fixed point",
    )
