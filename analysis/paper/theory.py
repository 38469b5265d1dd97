"""Claims about equations and critical exponents: eqs. 1, 6, 14 and Table 9."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...store.figures import figure_rows
from .claim import Claim, Floats, agrees, numbers

_CHANCE, _DENSE = 0.9, 0.05  # errors of CIFAR-10 by chance, and a usual one without pruning
_DENSITY = np.geomspace(1e-3, 1, 61)


def scaling(density: ArrayLike, gamma: float, p: float) -> Floats:
    """Return the error of eq. 14 between chance and the dense network's error."""
    d2 = np.asarray(density, np.float64) ** 2
    inner = (p * (_CHANCE / _DENSE) ** (1 / gamma)) ** 2
    return np.asarray(_DENSE * ((d2 + inner) / (d2 + p**2)) ** (gamma / 2), np.float64)


def _gammas() -> list[float]:
    return [float(row["gamma"]) for row in figure_rows("published_gammas")]


def claims() -> list[Claim]:
    """Check eqs. 1, 6 and 14, and what Table 9 says of gamma."""
    return [
        _index(),
        _sign_of_one(),
        _two_laws(),
        _forms(),
        _two_signs(),
        _refit(),
        _vary(),
        _same(),
    ]


def _index() -> Claim:
    return Claim(
        "eq6-index",
        "Eqs. 5, 6",
        "n applications lead from level 0 to the parameters of level n - 1",
        "theta(n-1) = T^n theta(0)",
        "n = 1: theta(0) = T theta(0); eq. 5 calls the result of 1 application theta'",
        "exact",
        "consistency",
        "contradiction inside the paper",
        "the index is off by one: n applications lead to level n, as eq. 13 counts",
    )


def _sign_of_one() -> Claim:
    values = _gammas()
    return Claim(
        "eq1-sign",
        "Eq. 1, Table 9",
        "error grows as (d_C - d)^-gamma when weights are removed",
        f"{len(values)} gammas from {min(values):.2f} to {max(values):.2f}",
        f"{sum(v < 0 for v in values)} of {len(values)} are negative, as growth needs",
        "+-.005 from the printed digits",
        "consistency",
        agrees(all(v < 0 for v in values)),
        "error rises with d_C - d only for negative gamma",
    )


def _two_laws() -> Claim:
    gamma, d, p = -0.14, 1e-4, 1.0
    eq14 = _slope(lambda x: scaling(x, gamma, p), d)
    eq1 = _slope(lambda x: (1.0 - x) ** -gamma, d)
    return Claim(
        "two-power-laws",
        "Eqs. 1, 14, Table 9",
        "gamma of the fitted curve is the critical exponent of error against d_C - d",
        f"gamma {gamma:.2f}",
        f"slope of log error on log density at d = {d:g}: eq. 14 {eq14:.3f}, eq. 1 {eq1:.1e} "
        "(p = d_C = 1)",
        "exact functions",
        "consistency",
        "contradiction inside the paper",
        "eq. 14 is a power of d between two plateaus, eq. 1 a power of d_C - d that vanishes at "
        "d_C: one symbol for the exponents of two laws",
    )


def _slope(curve: object, at: float) -> float:
    assert callable(curve)
    ends = np.array([at * 0.999, at * 1.001])
    return float(np.diff(np.log(curve(ends)))[0] / np.diff(np.log(ends))[0])


def _forms() -> Claim:
    gamma, p = -0.14, 0.3
    shift = p * (_CHANCE / _DENSE) ** (1 / gamma)
    complex_form = _DENSE * np.abs((_DENSITY - 1j * shift) / (_DENSITY - 1j * p)) ** gamma
    apart = float(np.abs(complex_form / scaling(_DENSITY, gamma, p) - 1).max())
    ends = scaling(np.array([0.0, 1e9]), gamma, p)
    return Claim(
        "eq14-forms",
        "Eq. 14",
        "both lines of eq. 14 are one function, from the error of no pruning to that of chance",
        f"errors {_DENSE:g} and {_CHANCE:g} put in",
        f"lines differ by {apart:.0e}; limits {ends[1]:.3f} and {ends[0]:.3f}",
        "double precision",
        "recomputed",
        agrees(apart < 1e-12 and abs(ends[0] - _CHANCE) < 1e-9 and abs(ends[1] - _DENSE) < 1e-9),
        "the algebra holds",
    )


def _two_signs() -> Claim:
    p, apart = 0.3, []
    for gamma in sorted(set(_gammas())):
        other = scaling(_DENSITY, -gamma, p * (_CHANCE / _DENSE) ** (1 / gamma))
        apart.append(float(np.abs(other / scaling(_DENSITY, gamma, p) - 1).max()))
    return Claim(
        "eq14-two-signs",
        "Eq. 14, Table 9",
        "the fit yields the sign of gamma",
        numbers(sorted(set(_gammas())), ".2f"),
        f"(gamma, p) and (-gamma, p (eps_dag/eps_np)^(1/gamma)) differ by {max(apart):.0e} at most",
        "double precision",
        "recomputed",
        agrees(max(apart) > 1e-9),
        "two parameter sets of opposite sign give the same curve: the sign is a choice, only "
        "|gamma| can be compared",
    )


def _refit() -> Claim:
    return Claim(
        "table9-fit",
        "App. D, Table 9",
        "gamma follows from fits of eq. 14 to error against density",
        numbers(_gammas(), ".2f"),
        "0 of the 14 curves are printed as numbers",
        "none",
        "not checkable",
        "cannot be checked",
        "the errors are drawn, not printed; the rows of ImageNet and simCLR have no published data "
        "at all",
    )


def _vary() -> Claim:
    values = {
        (row["pretraining"], row["task"]): row["gamma"] for row in figure_rows("published_gammas")
    }
    a, b = values["simclr", "cifar10"], values["simclr", "svhn"]
    low, high = (abs(a) - 0.005) / (abs(b) + 0.005), (abs(a) + 0.005) / (abs(b) - 0.005)
    return Claim(
        "table9-varies",
        "App. D, Table 9",
        "gamma varies considerably between tasks, as of CIFAR-10 and SVHN after simCLR",
        f"{a:.2f} and {b:.2f}",
        f"ratio {a / b:.1f} [{low:.1f}, {high:.1f}]",
        "+-.005 from the printed digits",
        "recomputed",
        agrees(low > 1),
        "beyond rounding; whether beyond the error of the fits is not printed",
    )


def _same() -> Claim:
    rows = [r for r in figure_rows("published_gammas") if r["pretraining"] == "simclr"]
    return Claim(
        "table9-one-class",
        "App. D, Sec. 3.1",
        "systems of one class share critical exponents, and tasks pretrained by simCLR are one "
        "class",
        ", ".join(f"{r['task']} {r['gamma']:.2f}" for r in rows),
        f"{len(rows)} values without an error bar, from 2 or 3 seeds",
        "no error of any gamma is printed",
        "not checkable",
        "cannot be checked",
        "the values differ, but the paper takes its fits for unreliable; neither equality nor "
        "difference follows from them",
    )
