"""How often the two tests of spectra reject: against a null, and of one class (semigroup).

    python benchmarks/contrast_size.py
    python benchmarks/contrast_size.py --simulations 100 --draws 199

Seeds of S experiments are normal with a standard deviation of .0068 in log eigenvalue and group.
Size: equal spectra, where groups scatter alike, unequally (by a factor of four from the first to
the last), or with correlated neighbours. Power: two groups are shifted by 2 %. Aimed at: a size of
5 %, and as much power as can be had.
"""

from __future__ import annotations

import argparse
import platform
import time

import numpy as np
import scipy
from machine import machine

from rgtool.analysis.classes.pairs import same_class
from rgtool.analysis.nulls.excess import differs

SEED_SD, SHIFT, ALPHA = 0.0068, 0.02, 0.05
SEEDS, GROUPS = (2, 3, 5), (9, 11)
KINDS = ("alike", "unequal", "correlated")


def mixing(kind: str, groups: int) -> np.ndarray:
    """Return what makes normal seeds (S, K) of independent groups those of this kind: (K, K)."""
    if kind == "unequal":
        return np.diag(np.exp(np.linspace(-0.7, 0.7, groups)))
    lag = np.abs(np.subtract.outer(range(groups), range(groups)))
    weight = 0.6 if kind == "correlated" else 0.0
    return np.linalg.cholesky((1 - weight) * np.eye(groups) + weight * np.exp(-lag / 3)).T


def rejected(
    options: argparse.Namespace, kind: str, seeds: int, groups: int, shift: float
) -> tuple[float, float]:
    """Return the shares of experiments that the tests against a null and of one class reject."""
    rng = np.random.default_rng([options.seed, seeds, groups, KINDS.index(kind), shift > 0])
    root, move = SEED_SD * mixing(kind, groups), np.zeros(groups)
    move[:2] = shift
    found = np.zeros((options.simulations, 2), bool)
    for one in found:
        a, b = rng.normal(size=(2, seeds, groups)) @ root
        one[0] = differs(a + move, np.zeros(groups), rng, options.draws).p <= ALPHA
        one[1] = same_class(a + move, b, rng, options.draws).p <= ALPHA
    null, same = found.mean(axis=0).tolist()
    return null, same


def main() -> None:
    """Run both parts and say on what machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=600)
    parser.add_argument("--draws", type=int, default=399)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.perf_counter()
    print(f"{'':<24}{'against a null':>16}{'one class':>12}")
    for what, shift, kinds in (("size", 0.0, KINDS), ("power", SHIFT, KINDS[:1])):
        for groups in GROUPS:
            for kind in kinds:
                for seeds in SEEDS:
                    null, same = rejected(options, kind, seeds, groups, shift)
                    label = f"{what} {kind} K={groups} S={seeds}"
                    print(f"{label:<24}{null:>16.3f}{same:>12.3f}", flush=True)
    print(
        f"{options.simulations} simulations of {options.draws} draws, "
        f"{time.perf_counter() - started:.0f} s; {machine()}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    )


if __name__ == "__main__":
    main()
