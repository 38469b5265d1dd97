"""Find exponents that are known exactly, with the collapse that ships.

    python -m benchmarks.statistics.known_exponents [--size 0.5] [--system ising]

Site percolation on the square lattice: the share P of sites in the largest cluster,
P L^(beta/nu) = f((p - p_c) L^(1/nu)), p_c = 0.592746, 1/nu = 3/4, beta/nu = 5/48 (Stauffer &
Aharony 1994). Ising model in two dimensions: the magnetisation |m| about
T_c = 2/log(1 + sqrt 2), 1/nu = 1, beta/nu = 1/8 (Onsager 1944, Yang 1952), by the cluster
algorithm of Swendsen & Wang (1987).

Aimed at: every exact value inside its 95 % interval or within two per cent, S_min at most 1.3, a
few minutes on one core. Systems are finite: corrections to scaling, which fall with a power of L,
are part of what is measured, the more so the more replicates there are.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
import scipy
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.machine import machine
from rgtool.analysis.collapse.fit import CollapseFit, best_collapse
from rgtool.analysis.collapse.quality import critical, curves_of

P_C = 0.592746
T_C = 2 / math.log(1 + math.sqrt(2))
NAMES = ("1/nu", "beta/nu", "critical point")
DRAWS = 200


def percolation(length: int, point: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the share of sites in the largest cluster of `count` periodic lattices."""
    largest = np.empty(count)
    for i in range(count):
        labels, clusters = ndimage.label(rng.random((length, length)) < point)
        sizes = np.bincount(labels.ravel(), minlength=clusters + 1)
        one = np.concatenate([labels[0], labels[:, 0]])
        other = np.concatenate([labels[-1], labels[:, -1]])
        joined = (one > 0) & (other > 0)
        pairs = one[joined], other[joined]
        graph = coo_array((np.ones(joined.sum(), np.int8), pairs), shape=(clusters + 1,) * 2)
        _, whole = connected_components(graph.tocsr(), directed=False)
        sizes[0] = 0
        largest[i] = np.bincount(whole, sizes).max() / length**2
    return largest


def neighbours(length: int, lattices: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bonds of periodic square lattices, numbered one lattice after the other."""
    site = np.arange(lattices * length**2).reshape(lattices, length, length)
    right, down = np.roll(site, -1, axis=2), np.roll(site, -1, axis=1)
    return np.tile(site.ravel(), 2), np.concatenate([right.ravel(), down.ravel()])


def ising(
    length: int, point: float, count: int, rng: np.random.Generator, sweeps: int = 150
) -> np.ndarray:
    """Return the mean |m| of `count` independent chains, side by side in one graph.

    A sweep joins equal neighbours with probability 1 - exp(-2/T) and turns each cluster by a coin.
    The first fifth of the sweeps is left out; chains start half aligned and half at random.
    """
    one, other = neighbours(length, count)
    sites = count * length**2
    spins = np.where(rng.random(sites) < 0.5, 1, -1).astype(np.int8)
    spins[: (count // 2) * length**2] = 1
    total, burn = np.zeros(count), sweeps // 5
    for sweep in range(sweeps):
        joined = (spins[one] == spins[other]) & (rng.random(len(one)) < -math.expm1(-2 / point))
        pairs = one[joined], other[joined]
        graph = coo_array((np.ones(len(pairs[0]), np.int8), pairs), shape=(sites, sites))
        clusters, label = connected_components(graph.tocsr(), directed=False)
        spins = (2 * rng.integers(0, 2, clusters, dtype=np.int8) - 1)[label]
        if sweep >= burn:
            total += np.abs(spins.reshape(count, -1).mean(axis=1))
    return np.asarray(total / (sweeps - burn))


Sampler = Callable[[int, float, int, np.random.Generator], np.ndarray]


def measure(
    sampler: Sampler,
    lengths: list[int],
    critical_point: float,
    reach: float,
    inverse_nu: float,
    count: Callable[[int], int],
    points: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Sample every length over about the same scaled distance: x, y, L.

    Points are moved at random by up to half their spacing: on one grid of scaled points curves
    would meet point by point at the exact exponents, and the answer lie in the question.
    """
    xs, samples, sizes = [], [], []
    for length in lengths:
        width = reach * length**-inverse_nu
        places = np.linspace(-1, 1, points) + rng.uniform(-1, 1, points) / (points - 1)
        for x in critical_point + width * places:
            xs.append(x)
            samples.append(sampler(length, float(x), count(length), rng))
            sizes.append(length)
    return np.array(xs), samples, np.array(sizes)


def collapse(
    x: np.ndarray,
    samples: list[np.ndarray],
    size: np.ndarray,
    point: float,
    half_width: float,
    fixed: bool,
    rng: np.random.Generator,
) -> CollapseFit:
    """Collapse with the critical point fixed or free; intervals by a bootstrap over replicates."""
    mean = np.array([one.mean() for one in samples])
    error = np.array([one.std(ddof=1) / math.sqrt(len(one)) for one in samples])
    curves = curves_of(x, mean, error, size)
    order = np.lexsort((x, size))
    resampled = np.array(
        [rng.choice(samples[i], (DRAWS, len(samples[i]))).mean(axis=1) for i in order]
    ).T
    ends = (point, point) if fixed else (point - half_width, point + half_width)
    return best_collapse(
        curves, [(0.3, 2.0), (0.0, 0.5), ends], scaling=critical, replicas=resampled
    )


class Clock:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return f"{wall:.1f} s, {cpu:.1f} s of the processor"


def report(title: str, fit: CollapseFit, exact: tuple[float, float, float], clock: Clock) -> None:
    """Print found against exact."""
    print(f"{title}: S_min {fit.quality:.2f} ({fit.verdict}), {fit.points} points; {clock}")
    for i, name in enumerate(NAMES):
        if np.isnan(fit.boot_low[i]):
            continue
        spread = fit.draws[:, i].std()
        inside = fit.boot_low[i] <= exact[i] <= fit.boot_high[i]
        print(
            f"  {name:<15}{fit.exponents[i]:>10.5f} +- {spread:.5f}  exact {exact[i]:.5f}  "
            f"[{fit.boot_low[i]:.5f}, {fit.boot_high[i]:.5f}] {'inside' if inside else 'outside'}  "
            f"S_min + 1 [{fit.low[i]:.4f}, {fit.high[i]:.4f}]",
            flush=True,
        )


def run(system: str, options: argparse.Namespace) -> None:
    """Simulate one system and collapse it, with its critical point fixed and free."""
    rng, clock = np.random.default_rng(options.seed), Clock()
    if system == "percolation":
        lengths, exact = [int(v) for v in options.percolation.split(",")], (3 / 4, 5 / 48, P_C)
        sampler, reach, half = percolation, 1.0, 0.02
        least, work = 100, 100 * 512**2
    else:
        lengths, exact = [int(v) for v in options.ising.split(",")], (1.0, 1 / 8, T_C)
        sampler, reach, half = ising, 1.5, 0.1
        least, work = 24, 32 * 64**2

    def count(length: int) -> int:
        return max(8, int(options.size * max(least, min(work // length**2, 8 * least))))

    x, samples, size = measure(
        sampler, lengths, exact[2], reach, exact[0], count, options.points, rng
    )
    replicates = ", ".join(f"{length} ({count(length)})" for length in lengths)
    print(
        f"{system}: L (replicates) {replicates}; {options.points} points each; "
        f"simulated in {clock}",
        flush=True,
    )
    for fixed in (True, False):
        clock = Clock()
        fit = collapse(x, samples, size, exact[2], half, fixed, rng)
        title = f"{system}, critical point {'fixed' if fixed else 'free'}"
        report(title, fit, exact, clock)


def main() -> None:
    """Simulate, collapse, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--system", choices=("percolation", "ising", "both"), default="both")
    parser.add_argument("--size", type=float, default=1.0, help="replicates, as a factor")
    parser.add_argument("--points", type=int, default=13, help="points a length")
    parser.add_argument("--percolation", default="64,128,256,512", help="lengths")
    parser.add_argument("--ising", default="16,24,32,48,64", help="lengths")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {machine()}")
    for system in ("percolation", "ising"):
        if options.system in (system, "both"):
            run(system, options)


if __name__ == "__main__":
    main()
