"""Bias, coverage and width of critical exponents on curves whose exponent is known.

    python benchmarks/gamma_recovery.py
    python benchmarks/gamma_recovery.py --simulations 50 --pairs 50

Curves follow the fitted form: densities .8^n, error .06 without pruning, chance .9, log error of a
level with N(0, noise^2) on top, noise being that of a mean over seeds (3.4 % between seeds is .034
with one seed, .02 with three, .01 with a dozen). The interval is the profile likelihood one at 95 %
that ships; an end that is unbounded covers everything on its side. `quoted` is the share that
passes the gate of the rise and has an interval with two ends. The second table is the test of one
exponent for two curves with d_hi .2 and .1: share of pairs with p < .05 (its size where the
exponents are equal, its power elsewhere), and share that is certified equal within a factor of
1.5. Aimed at: coverage .95 and size .05 within the Monte-Carlo error; a fit with its profile well
below a second.
"""

from __future__ import annotations

import argparse
import math
import time
from itertools import product
from typing import NamedTuple

import numpy as np
import scipy
from machine import machine

from rgtool.analysis.gamma.common import shared_exponent
from rgtool.analysis.gamma.fit import Fit, FitProblem, fit
from rgtool.analysis.gamma.gates import LEAST_RISE
from rgtool.analysis.gamma.power_law import log_error
from rgtool.analysis.gamma.profile import profile
from rgtool.analysis.gamma.shared import RATIO_MARGIN

GAMMAS, ONSETS, LEVELS, NOISES = (0.15, 0.5, 1.0, 2.0), (0.05, 0.2), (17, 30), (0.01, 0.02, 0.034)
EPS_NP, CHANCE = 0.06, 0.9
RATIOS, PAIR_GAMMA, PAIR_ONSETS = (1.0, 1.2, 1.5, 2.0), 0.25, (0.2, 0.1)


class Recovered(NamedTuple):
    """One fit of a simulated curve."""

    estimate: float
    low: float
    high: float
    quoted: bool


def theta(gamma: float, onset: float) -> np.ndarray:
    """Return the parameters of a true curve."""
    return np.log([EPS_NP, gamma, onset, CHANCE])


def simulate(gamma: float, onset: float, levels: int, noise: float, rng: np.random.Generator):
    """Draw a curve: a `FitProblem` ready to be fitted."""
    x = np.log(0.8) * np.arange(levels)
    y = log_error(x, theta(gamma, onset)) + noise * rng.normal(size=levels)
    return FitProblem(x, y, np.ones(levels), math.log(CHANCE))


def recover(problem: FitProblem, noise: float) -> Recovered:
    """Fit one curve as `rgtool gamma` does."""
    best = fit(problem)
    found = profile(best)
    rise = float(log_error(problem.log_density, best.theta)[-1] - best.theta[0])
    quoted = rise >= LEAST_RISE["chance"] * noise and not found.unbounded and not best.at_bounds
    return Recovered(found.estimate, found.low, found.high, quoted)


def row(found: list[Recovered], gamma: float) -> str:
    """Write what came of the simulations of one cell."""
    estimate, low, high, quoted = map(np.array, zip(*found, strict=True))
    covered = (low <= gamma) & (gamma <= high)
    bounded = (low > 0) & np.isfinite(high)
    width = np.median(np.log(high[bounded] / low[bounded])) if bounded.any() else np.nan
    sure = f"{covered[quoted].mean():8.3f}" if quoted.any() else f"{'-':>8}"
    logs = np.log(estimate / gamma)
    return (
        f"{np.median(logs):+9.3f}{logs.std(ddof=1):8.3f}{covered.mean():10.3f}{width:8.3f}"
        f"{1 - bounded.mean():11.3f}{quoted.mean():8.3f}{sure}"
    )


def recovery(options: argparse.Namespace) -> None:
    """Print bias, scatter, coverage and width of every design."""
    rng = np.random.default_rng(options.seed)
    print(
        f"{'gamma':>6}{'d_hi':>6}{'levels':>8}{'noise':>7}{'bias':>9}{'sd':>8}{'coverage':>10}"
        f"{'width':>8}{'unbounded':>11}{'quoted':>8}{'its cov':>8}"
    )
    covered, took = [], []
    for gamma, onset, levels, noise in product(GAMMAS, ONSETS, LEVELS, NOISES):
        found = []
        for _ in range(options.simulations):
            problem = simulate(gamma, onset, levels, noise, rng)
            began = time.perf_counter()
            found.append(recover(problem, noise))
            took.append(time.perf_counter() - began)
        covered += [one.low <= gamma <= one.high for one in found]
        print(f"{gamma:6g}{onset:6g}{levels:8}{noise:7g}{row(found, gamma)}", flush=True)
    print(
        "bias: median of log(estimate/gamma); sd of the same; width: median of log(high/low) "
        "where both ends exist; its cov: coverage of those quoted"
    )
    print(f"coverage over all cells {np.mean(covered):.3f}, {len(covered)} curves")
    print(
        f"fit with profile: median {1000 * np.median(took):.0f} ms, 99th percentile "
        f"{1000 * np.quantile(took, 0.99):.0f} ms"
    )


def shared_test(options: argparse.Namespace) -> None:
    """Print size and power of the test of one exponent for two curves."""
    rng = np.random.default_rng(options.seed + 1)
    heads = "".join(f"{f'ratio {r:g}':>20}" for r in RATIOS)
    print(f"{'levels':>6}{'noise':>7}{heads}    p < .05, certified within {RATIO_MARGIN:g}")
    took = []
    for levels, noise in product(LEVELS, NOISES):
        cells = []
        for ratio in RATIOS:
            rejected = certified = 0
            for _ in range(options.pairs):
                gammas = (PAIR_GAMMA, PAIR_GAMMA * ratio)
                fits: list[Fit] = [
                    fit(simulate(g, onset, levels, noise, rng))
                    for g, onset in zip(gammas, PAIR_ONSETS, strict=True)
                ]
                began = time.perf_counter()
                found = shared_exponent(fits)
                took.append(time.perf_counter() - began)
                rejected += found.p < 0.05
                certified += (
                    found.ratio_low[0] > 1 / RATIO_MARGIN and found.ratio_high[0] < RATIO_MARGIN
                )
            cells.append(
                f"{rejected / options.pairs:>13.3f} {certified / options.pairs:.3f}".rjust(20)
            )
        print(f"{levels:6}{noise:7g}{''.join(cells)}", flush=True)
    print(f"comparison of a pair: median {1000 * np.median(took):.0f} ms")


def main() -> None:
    """Run the simulations and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=200, help="curves a cell")
    parser.add_argument("--pairs", type=int, default=100, help="pairs a cell")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {machine()}")
    print(f"{options.simulations} curves and {options.pairs} pairs a cell")
    began = time.perf_counter()
    recovery(options)
    error = math.sqrt(0.95 * 0.05 / options.simulations)
    print(f"Monte-Carlo error of a coverage of .95: {error:.3f}")
    shared_test(options)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
