"""How often intervals cover the population's value, and the size and power of the flow's test.

    python benchmarks/interval_coverage.py
    python benchmarks/interval_coverage.py --simulations 200 --draws 199

The design: nine blocks of a ResNet-20 whose shares follow the replicator flow; growth
log s = 1.2 log(1.07 1.07 1.07 1.06 1.02 1.02 1.00 .97 .95), plus N(0, .006^2) a seed and group,
plus N(0, .0144^2) a step and group; 16 steps. The target is the mean log eigenvalue over the
window. The methods are those that ship; coverage and width are averaged over groups, at a nominal
95 %.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import scipy
from machine import machine

from rgtool.analysis import flow
from rgtool.analysis.nulls.initial import initial_scale_kept, initial_scales
from rgtool.analysis.spectrum.intervals import Method, estimate
from rgtool.analysis.spectrum.linearity import linearity
from rgtool.schemas.blocks import architecture

LOG_S = 1.2 * np.log([1.07, 1.07, 1.07, 1.06, 1.02, 1.02, 1.0, 0.97, 0.95])
SEED_SD, STEP_SD, STEPS = 0.006, 0.0144, 16
SEEDS = (1, 2, 3, 5, 10)
METHODS: tuple[Method, ...] = (
    "paper",
    "iid",
    "block",
    "cluster",
    "hierarchical",
    "t",
    "moderated",
)
LEAST = {"cluster": 2, "t": 2, "hierarchical": 3}  # seeds


def log_eigenvalues(drift: np.ndarray) -> np.ndarray:
    """Run the replicator flow: (..., T, G) growth to (..., T, G) log eigenvalues."""
    log_m = np.full((*drift.shape[:-2], drift.shape[-1]), -math.log(drift.shape[-1]))
    steps = []
    for step in range(drift.shape[-2]):
        grown = log_m + drift[..., step, :]
        after = grown - np.log(np.exp(grown).sum(axis=-1, keepdims=True))
        steps.append(after - log_m)
        log_m = after
    return np.stack(steps, axis=-2)


def draw(rng: np.random.Generator, simulations: int, seeds: int) -> np.ndarray:
    """Draw experiments: log eigenvalues of shape (simulations, S, T, G)."""
    groups = len(LOG_S)
    drift = LOG_S + SEED_SD * rng.normal(size=(simulations, seeds, 1, groups))
    return log_eigenvalues(drift + STEP_SD * rng.normal(size=(simulations, seeds, STEPS, groups)))


def coverage(options: argparse.Namespace) -> None:
    """Print coverage and full width of every method and number of seeds."""
    rng = np.random.default_rng(options.seed)
    target = draw(rng, 20_000, 1).mean(axis=(0, 1, 2))
    print(f"{'method':<14}" + "".join(f"{f'S={seeds}':>16}" for seeds in SEEDS))
    experiments = {seeds: draw(rng, options.simulations, seeds) for seeds in SEEDS}
    for method in METHODS:
        cells = []
        for seeds, steps in experiments.items():
            if seeds < LEAST.get(method, 1):
                cells.append(f"{'-':>16}")
                continue
            found = [estimate(one, method, draws=options.draws, rng=rng) for one in steps]
            low, high = np.array([f.low for f in found]), np.array([f.high for f in found])
            covered = ((low <= target) & (target <= high)).mean()
            cells.append(f"{covered:>9.3f} {np.nanmean(high - low):.4f}".rjust(16))
        print(f"{method:<14}" + "".join(cells), flush=True)
    error = math.sqrt(0.95 * 0.05 / options.simulations)
    print(f"Monte-Carlo error of a coverage of .95 in one group: {error:.3f}")


def constant_growth(options: argparse.Namespace) -> None:
    """Print size on replicator flows, and power against the curved flow of the null."""
    rng = np.random.default_rng(options.seed + 1)
    layers = architecture("resnet20").counted()
    total = sum(layer.total for layer in layers)
    kept = initial_scale_kept(
        [x.total for x in layers], initial_scales(layers), total * 0.8 ** np.arange(1, 18)
    )
    names = tuple(dict.fromkeys(str(x.block) for x in layers if "." in x.block))
    inside = [x for x in layers if "." in x.block]
    columns = [i for i, x in enumerate(layers) if "." in x.block]
    index = flow.group_index([x.block for x in inside], names)
    groups = flow.group_sums(kept[:, columns], index, len(names))
    curved = np.diff(flow.clr(flow.shares(groups)), axis=0)
    print(f"{'test of constant growth':<26}" + "".join(f"{f'S={s}':>8}" for s in (1, 3, 5)))
    sizes, powers, groupwise = [], [], []
    for seeds in (1, 3, 5):
        flat = draw(rng, options.simulations, seeds)
        tests = [linearity(one - one.mean(-1, keepdims=True)) for one in flat]
        sizes.append(np.mean([one.rejected for one in tests]))
        noise = SEED_SD * rng.normal(size=(options.simulations, seeds, 1, 9))
        noise = noise + STEP_SD * rng.normal(size=(options.simulations, seeds, STEPS, 9))
        bent = [linearity(curved + one - one.mean(-1, keepdims=True)) for one in noise]
        powers.append(np.mean([one.rejected for one in bent]))
        groupwise.append(np.mean([one.p < 0.05 for one in bent]))
    for name, values in (("size", sizes), ("power", powers), ("share of groups", groupwise)):
        print(f"{name:<26}" + "".join(f"{value:>8.3f}" for value in values))


def main() -> None:
    """Run the simulations and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=599)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {machine()}")
    print(f"{options.simulations} simulations, {options.draws} draws; coverage, full width")
    began = time.perf_counter()
    coverage(options)
    constant_growth(options)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
