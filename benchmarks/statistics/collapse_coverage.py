"""How often a collapse is accepted that is one, and how often its intervals hold psi.

    python -m benchmarks.statistics.collapse_coverage [--simulations 100]

Curves of four widths obey the law of Rosenfeld et al. (2021) with dense errors that fall with
width, so that they collapse in the power law and bend apart near the bar. A part of the noise is
shared along the curve of a seed. Aimed at: intervals of the draws near .95, of the rule S_min + 1
above it, and few refusals.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import scipy

from benchmarks.machine import machine
from rgtool.analysis.collapse.estimate import collapse
from rgtool.analysis.collapse.joint_law import JointLaw, joint_log_error
from rgtool.analysis.curves.family import ErrorCurve, Family

PSI, CHANCE, WIDTHS, LEVELS = 1.2, 0.9, (4, 6, 8, 12), 22


def family(
    rng: np.random.Generator, seeds: int, gamma: float, noise: float, shared: float
) -> Family:
    """Draw curves: relative noise `noise`, of which the share `shared` is that of the seed."""
    density, curves = 0.8 ** np.arange(LEVELS + 1), []
    for width in WIDTHS:
        log_m = np.log(density) + PSI * np.log(width)
        mean = np.exp(
            joint_log_error(log_m, np.log(0.15 * width**-0.3), np.log(CHANCE), gamma, -1.0)
        )
        own = rng.normal(size=(seeds, LEVELS + 1)) * np.sqrt(1 - shared)
        common = rng.normal(size=(seeds, 1)) * np.sqrt(shared)
        error = mean * (1 + noise * (own + common))
        curves.append(ErrorCurve(f"w{width}", width, 8, density, error))
    return Family(tuple(curves), "made", CHANCE, ())


def main() -> None:
    """Simulate and print a row per design."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {machine()}")
    print(f"{options.simulations} simulations, {options.draws} draws, noise {options.noise:g}")
    names = "accepted  S_min   bias     sd  draws  S_min+1    law  agrees"
    print(f"seeds  gamma  shared  {names}")
    clock = time.process_time()
    for seeds, gamma, shared in (
        (2, 0.5, 0.3), (3, 0.5, 0.0), (3, 0.5, 0.3), (5, 0.5, 0.3), (3, 0.25, 0.3), (3, 1.0, 0.3),
    ):  # fmt: skip
        rng = np.random.default_rng(options.seed)
        rows = []
        for _ in range(options.simulations):
            made = family(rng, seeds, gamma, options.noise, shared)
            found = collapse(None, made, draws=options.draws, rng=rng)
            fit, law = found.fit, found.law
            assert isinstance(law, JointLaw)
            rows.append(
                (
                    found.accepted,
                    fit.quality,
                    fit.exponents[0] - PSI,
                    fit.boot_low[0] <= PSI <= fit.boot_high[0],
                    fit.low[0] <= PSI <= fit.high[0],
                    abs(law.exponents[0] - PSI) <= 1.96 * law.error[0],
                    bool(found.agrees),
                )
            )
        accepted, s, bias, draws, rise, of_law, agrees = np.array(rows, float).mean(axis=0)
        sd = np.std([row[2] for row in rows])
        print(
            f"{seeds:>5}  {gamma:>5}  {shared:>6}  {accepted:>8.2f}  {s:>5.2f}  {bias:>+5.3f}  "
            f"{sd:.3f}  {draws:>5.2f}  {rise:>7.2f}  {of_law:>5.2f}  {agrees:>6.2f}",
            flush=True,
        )
    print(f"{time.process_time() - clock:.0f} s of the processor")


if __name__ == "__main__":
    main()
