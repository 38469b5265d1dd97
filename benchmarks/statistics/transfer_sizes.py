"""How often intervals of a transfer hold the truth, and tests of its prediction reject in vain.

    python -m benchmarks.statistics.transfer_sizes [--simulations 2000]

Intervals: accuracies of a few seeds, multiples of one over 360 or 10 000 images, of a ticket and
of the target's own; seeds scatter by less than an image, by some, or fall to guessing now and then.
Mantel: losses that go with the target, with the source, with neither or with the distance of
spectra. Predictors: how often each misses least. Aimed at: intervals at .95 or above, rejections at
.05 or below where spectra do not matter.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks.machine import machine
from rgtool.analysis.transfer.differences import paired, unpaired
from rgtool.analysis.transfer.mantel import Mantel, mantel
from rgtool.analysis.transfer.predictors import held_out, winner
from rgtool.analysis.values import Refusal

_TRUTH = 200_000  # draws behind the true mean difference
DESIGNS = {  # images, sd of a seed in images, share of it common to a pair, share that guesses
    "less than an image": (360, 0.3, 0.0, 0.0),
    "one image": (360, 1.0, 0.0, 0.0),
    "three images": (360, 3.0, 0.0, 0.0),
    "three, pairs alike": (360, 3.0, 0.8, 0.0),
    "of ten thousand": (10_000, 30.0, 0.0, 0.0),
    "one in ten guesses": (360, 10.0, 0.0, 0.1),
    "one in three guesses": (360, 10.0, 0.0, 0.3),
}


def accuracies(
    rng: np.random.Generator, design: tuple[int, float, float, float], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw accuracies of tickets and of the target's own, (B, S) each."""
    images, sd, shared, lost = design
    common = np.sqrt(shared) * rng.normal(size=shape)
    one, other = (
        middle * images + sd * (common + np.sqrt(1 - shared) * rng.normal(size=shape))
        for middle in (0.8512, 0.9017)
    )
    one = np.where(rng.random(shape) < lost, 0.1 * images, one)
    return tuple(np.clip(np.rint(x), 0, images) / images for x in (one, other))  # type: ignore[return-value]


def coverage(rng: np.random.Generator, simulations: int) -> None:
    """Print how often intervals hold the true difference, by design and number of seeds."""
    seeds = (2, 3, 5, 10)
    print("interval of a difference: share that holds the truth, pairs | not paired")
    print(f"{'seeds scatter by':<22}" + "".join(f"{n:>14}" for n in seeds))
    for name, design in DESIGNS.items():
        one, other = accuracies(rng, design, (_TRUTH, 1))
        true, cells = float(one.mean() - other.mean()), []
        for n in seeds:
            a, b = accuracies(rng, design, (simulations, n))
            held = [
                (p.low <= true <= p.high, u.low <= true <= u.high)
                for p, u in (
                    (paired(x - y, 1 / design[0]), unpaired(x, y, 1 / design[0]))
                    for x, y in zip(a, b, strict=True)
                )
            ]
            cells.append(" | ".join(f"{share:.3f}" for share in np.mean(held, axis=0)))
        print(f"{name:<22}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


LOSSES = ("target", "source", "neither", "spectra", "masks")


def matrix(
    rng: np.random.Generator, of: str, size: int, levels: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw losses (E, E, T), distances of spectra (E, E) and overlaps (E, E, T).

    Losses grow along the levels in any case, and noise is a fifth of what grows.
    """
    places = rng.normal(size=(size, 3))
    distance = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=-1))
    overlap = rng.uniform(0.1, 0.4, (size, size))
    overlap = (overlap + overlap.T) / 2
    strength = {
        "target": np.tile(rng.exponential(size=size), (size, 1)),
        "source": np.tile(rng.exponential(size=(size, 1)), (1, size)),
        "neither": np.ones((size, size)),
        "spectra": distance / 2,
        "masks": 3 * (0.5 - overlap),
    }[of]
    grows = np.array([0.01, 0.05, 0.15, 0.4])[:levels]
    loss = strength[..., None] * grows + 0.2 * grows * rng.normal(size=(size, size, levels))
    loss[np.arange(size), np.arange(size)] = np.nan
    return loss, distance, np.repeat(overlap[..., None], levels, axis=-1)


def tests(rng: np.random.Generator, simulations: int) -> None:
    """Print how often Mantel's test rejects and which predictor misses least."""
    names = ("constant", "density", "spectra", "masks")
    print("\nMantel: share with p <= .05; predictors: share of first places")
    print(f"{'loss goes with':<15}{'E':>3}{'p <= .05':>10}" + "".join(f"{n:>10}" for n in names))
    for of in LOSSES:
        for size in (4, 5, 6):
            small, first = 0, dict.fromkeys(names, 0)
            for _ in range(simulations):
                loss, distance, overlap = matrix(rng, of, size)
                found = mantel(distance, loss.mean(axis=-1))
                scores = held_out(loss, distance, overlap)
                assert isinstance(found, Mantel) and not isinstance(scores, Refusal)
                small += found.p <= 0.05
                first[winner(scores).predictor] += 1
            shares = "".join(f"{count / simulations:>10.3f}" for count in first.values())
            print(f"{of:<15}{size:>3}{small / simulations:>10.3f}{shares}", flush=True)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"NumPy {np.__version__}, {machine()}, {options.simulations} simulations")
    clock = time.process_time()
    coverage(np.random.default_rng(options.seed), options.simulations)
    tests(np.random.default_rng(options.seed), max(1, options.simulations // 5))
    print(f"{time.process_time() - clock:.0f} s of the processor")


if __name__ == "__main__":
    main()
