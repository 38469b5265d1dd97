"""How well classes of experiments are recovered.

    python -m benchmarks.statistics.class_recovery
    python -m benchmarks.statistics.class_recovery --recoveries 20 --designs "near 1"

18 experiments of three classes, six each, K = 9, seeds N(0, .0068^2) in every group. All classes
have the log eigenvalues 1.2 log(1.07 1.07 1.07 1.06 1.02 1.02 1.00 .97 .95); at separation s the
second class has .04 s added to its first two groups and taken from its last two, the third .04 s
added to its groups 5 and 6 and taken from groups 3 and 4. Few verdicts change with that, so a
second design puts the shifts where eigenvalues are near 1: the second class has .04 s added to
groups 7 and 8 and taken from groups 5 and 6, the third the opposite. Classes are found as
`classify` finds them: pairwise tests, one class if Holm rejects none at 5 %, else average linkage
on the clr-Mahalanobis distance, 2 to 6 classes by silhouette. Beside it the same clustering of
signatures (shares of relevant, marginal, irrelevant and indeterminate groups; more than one class
if any two differ). Compared with the truth by the adjusted Rand index (Hubert & Arabie 1985): 1 is
perfect, 0 is chance. Separations 1, .5, .25 and 0; at 0 there is one class, and the share of
simulations that finds one stands in place of the index. Aimed at: index near 1 at separation .5,
where signatures have about half.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time

import numpy as np
import scipy

from benchmarks.machine import machine
from rgtool.analysis.classes.clusters import cluster, coassignment, stability
from rgtool.analysis.classes.criteria import shares_of
from rgtool.analysis.classes.distances import clr_points, condensed
from rgtool.analysis.classes.pairs import pair_tests
from rgtool.analysis.classes.printed import mean_noise
from rgtool.analysis.spectrum.intervals import estimate
from rgtool.analysis.stats.contrast import centred
from rgtool.analysis.stats.level import holm
from rgtool.analysis.stats.moderation import helmert, moderate

SEED_SD = 0.0068
BASE = 1.2 * np.log([1.07, 1.07, 1.07, 1.06, 1.02, 1.02, 1.0, 0.97, 0.95])
UNIT, EACH = 0.04, 6
SHAPES = {
    "first": np.array([[0] * 9, [1, 1, 0, 0, 0, 0, 0, -1, -1], [0, 0, -1, -1, 1, 1, 0, 0, 0]]),
    "near 1": np.array([[0] * 9, [0, 0, 0, 0, -1, -1, 1, 1, 0], [0, 0, 0, 0, 1, 1, -1, -1, 0]]),
}
TRUTH = np.repeat([0, 1, 2], EACH)
SEPARATIONS = (1.0, 0.5, 0.25, 0.0)


def adjusted_rand(a: np.ndarray, b: np.ndarray) -> float:
    """Return the adjusted Rand index of two partitions."""
    table = np.array([[((a == i) & (b == j)).sum() for j in np.unique(b)] for i in np.unique(a)])

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, first, second = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = first * second / (len(a) * (len(a) - 1) / 2)
    most = (first + second) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)


def recover(
    rng: np.random.Generator, shapes: np.ndarray, separation: float, seeds: int
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Draw 18 experiments; return classes, classes by signature, stability, seconds."""
    centres = BASE + UNIT * separation * shapes[TRUTH]
    thetas = centres[:, None] + SEED_SD * rng.standard_normal((len(TRUTH), seeds, len(BASE)))
    began = time.perf_counter()
    # A pool instead of draws of every pair: fifty times as quick, and what many pairs get.
    found = pair_tests(list(thetas), rng, draws=(100_000, True))
    rows = np.concatenate([helmert(centred(theta)) for theta in thetas])
    variance = moderate((rows**2).mean(axis=0), len(rows)).variance
    means = thetas.mean(axis=1)
    divided = bool((holm(found.p) < 0.05).any())
    labels = cluster(condensed(clr_points(means, variance), "euclidean"), divided).labels
    certainty = math.nan
    if divided:
        drawn = means + np.stack([mean_noise(theta, 100, rng) for theta in thetas], axis=1)
        points = clr_points(drawn, variance)
        together = coassignment(condensed(one, "euclidean") for one in points)
        certainty = float(stability(labels, together).mean())
    seconds = time.perf_counter() - began
    intervals = [estimate(theta[:, None, :]) for theta in thetas]
    signs = np.array([shares_of(i.centre[None], i)[0] for i in intervals])
    apart = condensed(signs, "cityblock")
    return labels, cluster(apart, bool((apart > 0).any())).labels, certainty, seconds


def recovery(options: argparse.Namespace) -> None:
    """Print how well classes are recovered."""
    rng = np.random.default_rng(options.seed)
    print("adjusted Rand index (at separation 0: share of simulations with one class)")
    print(
        f"{'design':<8}{'separation':>12}{'seeds':>6}{'eigen':>8}{'signature':>11}{'classes':>9}"
        f"{'stability':>11}{'s each':>8}"
    )
    for name, seeds in itertools.product(options.designs, (3, 5)):
        for separation in SEPARATIONS:
            runs = [
                recover(rng, SHAPES[name], separation, seeds) for _ in range(options.recoveries)
            ]
            if separation:
                scores = [np.mean([adjusted_rand(TRUTH, run[i]) for run in runs]) for i in (0, 1)]
            else:
                scores = [np.mean([run[i].max() == 1 for run in runs]) for i in (0, 1)]
            certain = [run[2] for run in runs if not math.isnan(run[2])]
            print(
                f"{name:<8}{separation:>12g}{seeds:>6}{scores[0]:>8.3f}{scores[1]:>11.3f}"
                f"{np.mean([run[0].max() for run in runs]):>9.2f}"
                f"{np.mean(certain) if certain else math.nan:>11.3f}"
                f"{np.mean([run[3] for run in runs]):>8.2f}",
                flush=True,
            )


def main() -> None:
    """Run the simulations and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recoveries", type=int, default=100)
    parser.add_argument("--designs", nargs="*", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {machine()}")
    print(f"{options.recoveries} simulations")
    began = time.perf_counter()
    recovery(options)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
