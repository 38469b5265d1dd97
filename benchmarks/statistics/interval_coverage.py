"""How often intervals of eigenvalues cover the population's value, and how wide they are.

    python -m benchmarks.statistics.interval_coverage
    python -m benchmarks.statistics.interval_coverage --quick
    python -m benchmarks.statistics.interval_coverage --methods moderated t --designs "one group 8x"

Fourteen designs, and four that were made to break the rule. In the first nine blocks of a ResNet-20
follow the replicator flow; growth scatters by N(0, .006^2) between seeds and groups and by
N(0, .0144^2) between steps; 16 steps. The others change one thing. The target is the mean log
eigenvalue over the window, averaged over 20 000 seeds; nominal coverage is 95 %. A cell is coverage
averaged over groups, coverage of the worst group, and the mean width over that of an oracle who
knows the variance, 2 x 1.96 sd / sqrt S.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
import scipy

from benchmarks.machine import machine
from benchmarks.statistics.flows import (
    BERT,
    RETENTION,
    SEED_SD,
    STEP_SD,
    STEPS,
    Untrained,
    alternating,
    ar1,
    log_s,
    replicator,
    sampled,
)
from rgtool.analysis import flow
from rgtool.analysis.spectrum.intervals import LEAST_SEEDS, Method, estimate_all
from rgtool.analysis.window import sampling_of_few

SEEDS = (2, 3, 4, 5, 10)
METHODS: tuple[Method, ...] = ("moderated", "t", "bootstrap", "hierarchical")
PUBLISHED: tuple[Method, ...] = ("paper", "iid", "block", "cluster")  # in the first design alone
BOOTSTRAPS = ("bootstrap", "hierarchical", "cluster", "iid", "block")
TRUTH, DRAWS = 20_000, 599  # seeds that the target is averaged over; draws of a bootstrap
Rng = np.random.Generator
# Deviations of seeds (N, S, K), given a generator and their shape.
Seeds = Callable[[Rng, tuple[int, ...]], np.ndarray]
# Kept weights (N, S, T + 1, K) of N experiments of S seeds.
Draw = Callable[[Rng, int, int], np.ndarray]


def normal(sd: np.ndarray | float) -> Seeds:
    """Return independent normal seeds."""
    return lambda rng, shape: sd * rng.standard_normal(shape)


def factor(sd: float, own: float = 0.0) -> Seeds:
    """Return seeds that differ by one factor, alternating over groups, and by something own."""

    def seeds(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
        common = rng.standard_normal((*shape[:-1], 1)) * alternating(shape[-1])
        return sd * common + own * rng.standard_normal(shape)

    return seeds


def skewed(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Return seeds of one factor that is exponential: few seeds lie far off."""
    return SEED_SD * (rng.exponential(size=(*shape[:-1], 1)) - 1) * alternating(shape[-1])


def half_loud(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Return seeds whose first half of groups is 8 times as loud, and follows one factor."""
    loud = np.arange(shape[-1]) < shape[-1] // 2
    own = SEED_SD * rng.standard_normal(shape)
    return np.where(loud, 8 * factor(SEED_SD)(rng, shape), own)


def design(
    seed: Seeds,
    groups: int = 9,
    *,
    retention: np.ndarray = RETENTION,
    rho: float = 0.0,
    start: np.ndarray | float = 1e9,
    step_sd: float = STEP_SD,
) -> Draw:
    """Return a replicator flow with noise between seeds, and AR(1) noise between steps."""
    unit = -np.log(retention)[:, None] / flow.UNIT

    def draw(rng: Rng, number: int, seeds: int) -> np.ndarray:
        own = log_s(groups) + seed(rng, (number, seeds, groups))
        noise = step_sd * ar1(rng, (number, seeds, len(retention), groups), rho)
        return replicator(own[:, :, None] * unit + noise, retention, start)

    return draw


def rounded(rng: Rng, number: int, seeds: int) -> np.ndarray:
    """Return the flow of the first design in whole weights, as many as a ResNet-20 has."""
    blocks = Untrained.of("resnet20").grouped(Untrained.of("resnet20").total)[1:-1]
    return np.rint(design(normal(SEED_SD), start=0.8 * blocks)(rng, number, seeds))


def small(rng: Rng, number: int, seeds: int) -> np.ndarray:
    """Return groups of which 40 to 2500 weights are left in the end, lost at random."""
    last = np.geomspace(40, 2500, 9)
    grown = replicator(np.tile(log_s(9), (STEPS, 1)))
    start = last * (grown[0] / grown[-1])
    return sampled(rng, design(normal(SEED_SD), start=start)(rng, number, seeds))


def untrained(name: str) -> Draw:
    """Return the flow of an untrained network by block, exempt layers included."""
    network = Untrained.of(name)
    return lambda rng, number, seeds: network.grouped(network.draw(rng, number, seeds))


def noisy_levels(rng: Rng, number: int, seeds: int) -> np.ndarray:
    """Return three groups over four steps whose noise lies in the levels, one 8 times as loud."""
    sd = SEED_SD * np.array([1.0, 1.0, 8.0])
    kept = design(normal(sd), 3, retention=RETENTION[:4], step_sd=0.0)(rng, number, seeds)
    noise = np.exp(STEP_SD * rng.standard_normal(kept.shape))
    share = kept * noise / (kept * noise).sum(axis=-1, keepdims=True)
    return share * kept.sum(axis=-1, keepdims=True)


ONE_LOUD = np.where(np.arange(9) == 4, 8.0, 1.0)
DESIGNS: dict[str, Draw] = {
    "replicator flow": design(normal(SEED_SD)),
    "integer counts": rounded,
    "common factor only": design(factor(0.012)),
    "factor .012, own .006": design(factor(0.012, SEED_SD)),
    "group sds 1-6x": design(normal(SEED_SD * np.geomspace(1, 6, 9))),
    "one group 8x": design(normal(SEED_SD * ONE_LOUD)),
    "t3 seeds": design(lambda rng, shape: SEED_SD * rng.standard_t(3, shape)),
    "AR(1) .6 steps": design(normal(SEED_SD), rho=0.6),
    "retention .89-.67": design(normal(SEED_SD), retention=BERT),
    "K=2": design(normal(SEED_SD), 2),
    "K=20": design(normal(SEED_SD), 20),
    "40-2500 weights": small,
    "N1, LeNet": untrained("lenet"),
    "N1, ResNet-8 w8": untrained("resnet8w8"),
    # Made to break the rule.
    "factor without steps": design(factor(SEED_SD), step_sd=0.0),
    "skewed factor": design(skewed),
    "half loud, one factor": design(half_loud),
    "3 groups, noisy levels": noisy_levels,
}


def log_eigenvalues(kept: np.ndarray) -> np.ndarray:
    """Return log eigenvalues of steps, NaN for groups of which nothing is ever pruned."""
    exempt = (kept == kept[..., :1, :]).all(axis=(0, 1, 2))
    return np.where(exempt, np.nan, flow.log_eigenvalues(kept))


def truth_of(draw: Draw, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean log eigenvalue of the population, and the sd of its seeds: (K,) each."""
    parts = [log_eigenvalues(draw(rng, 2000, 1)).mean(axis=(1, 2)) for _ in range(TRUTH // 2000)]
    theta = np.concatenate(parts)
    return theta.mean(axis=0), theta.std(axis=0)


def measured(kept: np.ndarray, method: Method, truth: np.ndarray, sd: np.ndarray) -> str:
    """Return mean coverage, that of the worst group, and the width over the oracle's."""
    steps = log_eigenvalues(kept)
    sampling = sampling_of_few(kept) / steps.shape[2] ** 2
    found = estimate_all(steps, method, draws=DRAWS, sampling=sampling)
    low, high = np.array([f.low for f in found]), np.array([f.high for f in found])
    covered = ((low <= truth) & (truth <= high))[:, np.isfinite(truth)].mean(axis=0)
    width = np.nanmean(high - low, axis=0) * math.sqrt(steps.shape[1]) / (2 * 1.96 * sd)
    return f"{covered.mean():.3f}/{covered.min():.2f}/{np.nanmean(width):.2f}"


def coverage(options: argparse.Namespace) -> None:
    """Print a table of every method: designs by numbers of seeds."""
    cells: dict[str, dict[str, list[str]]] = {m: {} for m in (*options.methods, *PUBLISHED)}
    for number, (name, draw) in enumerate(DESIGNS.items()):
        if options.designs and name not in options.designs:
            continue
        rng = np.random.default_rng([options.seed, number])
        truth, sd = truth_of(draw, rng)
        methods = (*options.methods, *(PUBLISHED if number == 0 else ()))
        for seeds in options.seeds:
            kept = draw(rng, options.simulations, seeds)
            for method in methods:
                enough = seeds >= LEAST_SEEDS.get(method, 1)
                some = kept[: options.resampled] if method in BOOTSTRAPS else kept
                cell = measured(some, method, truth, sd) if enough else "-"
                cells[method].setdefault(name, []).append(cell)
    for method, rows in cells.items():
        print(f"\n{method:<24}" + "".join(f"{f'S={s}':>16}" for s in options.seeds))
        for name, row in rows.items():
            print(f"{name:<24}" + "".join(f"{cell:>16}" for cell in row))


def main() -> None:
    """Run the simulations and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--resampled", type=int, default=500, help="simulations of a bootstrap")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--designs", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="fewer simulations")
    options = parser.parse_args()
    if options.quick:
        options.simulations, options.resampled = 400, 100
    began = time.perf_counter()
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {machine()}")
    coverage(options)
    for what, number in (("t", options.simulations), ("bootstraps", options.resampled)):
        error = math.sqrt(0.95 * 0.05 / number)
        print(f"{what}: {number} simulations, error of one group's .95: {error:.3f}")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
