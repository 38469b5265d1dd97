"""How often Kendall's tau of scores and accuracies errs: by chance, and in its interval.

    python -m benchmarks.statistics.tau_size
    python -m benchmarks.statistics.tau_size --repeats 1000

size      a score that knows nothing of accuracies, called significant at 5 %: by permuting maps,
          the textbook's test, and by relabelling the source's blocks. Blocks have effects of their
          own on accuracy, 0, 1 or 3 times the scatter of a ticket of one seed. Aimed at: .05, .08
          at most in simulated repeats.
coverage  how often a nominal 95 % interval holds what it is about: t over the taus of seeds (their
          expectation), and the middle of draws around the mean accuracies of maps (the tau of the
          true means). Maps are independent here. Aimed at: .92 to .97 from three seeds on.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.machine import machine
from rgtool.analysis.elastic.agreement import Spectra, agreement
from rgtool.analysis.elastic.draw import random_maps
from rgtool.analysis.elastic.kendall import kendall
from rgtool.analysis.elastic.maps import feeds_of
from rgtool.analysis.elastic.scores import Scoring
from rgtool.analysis.elastic.tickets import Tickets
from rgtool.analysis.stats.level import t_quantile

SEEDS, MAPS, STAGES = 3, 24, 3
PAIRS = ((2, 4), (3, 1), (3, 2), (3, 6))  # normal blocks of source and target


def tickets_of(reached: np.ndarray) -> Tickets:
    """Wrap accuracies (C, S) of one level."""
    number, seeds = reached.shape
    every = reached[:, :, None]
    names = ("",) * number
    return Tickets(names, (), names, tuple(range(seeds)), (0,), every, every, every)


def design(source: int, target: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Draw different maps: a stage each, shape (C, K)."""
    draws = random_maps([source] * STAGES, [target] * STAGES, rng)
    found = dict.fromkeys(feeds_of(one, STAGES) for one in itertools.islice(draws, 20 * MAPS))
    return [np.array(stage) for stage in zip(*list(found)[:MAPS], strict=True)]


def size(pair: tuple[int, int], effect: float, repeats: int) -> tuple[int, float, float]:
    """Return how many maps there are, and the shares called significant by both tests."""
    source, target = pair
    rng = np.random.default_rng(0)
    permuted = relabelled = 0
    for _ in range(repeats):
        feeds = design(source, target, rng)
        theta, goal = (
            tuple(0.02 * rng.standard_normal(k) for _ in range(STAGES)) for k in (source, target)
        )
        spectra = Spectra(theta, goal, tuple(feeds), (1,) * STAGES)
        blocks = rng.standard_normal((STAGES, source))
        own = sum(blocks[s][feeds[s] - 1].mean(axis=1) for s in range(STAGES))
        reached = effect * own[:, None] + rng.standard_normal((len(own), SEEDS))
        found = agreement("", spectra, Scoring(), tickets_of(reached), rng).find("w1", 0)
        relabelled += found.p <= 0.05
        permuted += permutation_p(spectra, reached, rng) <= 0.05
    return len(feeds[0]), permuted / repeats, relabelled / repeats


def permutation_p(spectra: Spectra, reached: np.ndarray, rng: np.random.Generator) -> float:
    """Return the textbook's p: maps may have each other's scores."""
    true = [np.arange(len(stage))[None] for stage in spectra.source]
    cost = spectra.costs(Scoring(), true)[0]
    orders = [np.arange(len(cost)), *(rng.permutation(len(cost)) for _ in range(199))]
    taus = np.nan_to_num(kendall(-cost[np.array(orders)], reached.T)).mean(axis=1)
    return float((taus >= taus[0] - 1e-9).mean())


def coverage(
    maps: int, seeds: int, noise: float, repeats: int, rng: np.random.Generator
) -> Sequence[float]:
    """Return how often both intervals cover, for scores that know half of the variance."""
    by_seed = by_draws = 0
    for _ in range(repeats):
        score = rng.standard_normal(maps)
        true = math.sqrt(0.5) * (score + rng.standard_normal(maps))
        reached = (
            true + rng.standard_normal((seeds, 1)) + noise * rng.standard_normal((seeds, maps))
        )
        many = kendall([score], true + noise * rng.standard_normal((300, maps)))[0]
        taus = kendall([score], reached)[0]
        half = t_quantile(seeds - 1, 0.95) * taus.std(ddof=1) / math.sqrt(seeds)
        by_seed += abs(taus.mean() - many.mean()) <= half
        about = reached - reached.mean(axis=0)
        scale = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, 300))[:, None]
        shift = rng.standard_normal((300, seeds)) @ about / math.sqrt(seeds * (seeds - 1))
        low, high = np.quantile(
            kendall([score], reached.mean(axis=0) + scale * shift), (0.025, 0.975)
        )
        by_draws += low - 1e-9 <= kendall([score], [true])[0, 0] <= high + 1e-9
    return by_seed / repeats, by_draws / repeats


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    began = time.perf_counter()
    print(f"NumPy {np.__version__}, {machine()}; {options.repeats} repeats, {SEEDS} seeds")
    print(f"{'blocks':<10}{'maps':>6}{'effect':>8}{'maps permuted':>16}{'blocks relabelled':>20}")
    for pair in PAIRS:
        for effect in (0.0, 1.0, 3.0):
            number, permuted, relabelled = size(pair, effect, options.repeats)
            name = f"{pair[0]} to {pair[1]}"
            print(
                f"{name:<10}{number:>6}{effect:>8.0f}{permuted:>16.3f}{relabelled:>20.3f}",
                flush=True,
            )
    print(f"\n{'maps':<6}{'seeds':>6}{'noise':>7}{'t over seeds':>15}{'draws of means':>17}")
    rng = np.random.default_rng(0)
    for maps, seeds, noise in itertools.product((8, 20), (2, 3, 5), (0.5, 1.5)):
        covered = coverage(maps, seeds, noise, options.repeats, rng)
        print(f"{maps:<6}{seeds:>6}{noise:>7}{covered[0]:>15.3f}{covered[1]:>17.3f}", flush=True)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
