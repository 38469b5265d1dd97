"""Wall time and memory of classifying many experiments, and what many tests reject by chance.

    python -m benchmarks.speed.classify_many
    python -m benchmarks.speed.classify_many --experiments 100 --draws 50

E experiments of three seeds in nine groups (seeds N(0, .0068^2), independent) belong to five
classes whose log eigenvalues lie .05 apart in one group each. Timed: the tests of all pairs, which
share a pool of draws where there are many; the classes; the draws behind the co-assignment. Then
the same tests of E experiments of one class: Holm at 5 % should reject a pair in no more than a
twentieth of such families. Reading counts from a store is not part of it. Aimed at: 1000
experiments in under two minutes on one core, and less than 2 GB.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import scipy

from benchmarks.machine import machine, peak
from benchmarks.statistics.class_recovery import SEED_SD, adjusted_rand
from rgtool.analysis.classes.clusters import cluster, coassignment, stability
from rgtool.analysis.classes.evidence import spectral
from rgtool.analysis.classes.pairs import draws_for, pair_tests
from rgtool.analysis.classes.subjects import Subject
from rgtool.analysis.stats.level import holm

GROUPS, SEEDS, CLASSES, APART = 9, 3, 5, 0.05


def draw(rng: np.random.Generator, truth: np.ndarray) -> list[np.ndarray]:
    """Draw experiments of the classes 0, 1, ...: seeds by groups."""
    centres = APART * np.eye(CLASSES, GROUPS)[truth]
    return list(centres[:, None] + SEED_SD * rng.standard_normal((len(truth), SEEDS, GROUPS)))


def main() -> None:
    """Classify, and print wall times and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--families", type=int, default=5, help="families of one class")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    size = options.experiments
    pairs = size * (size - 1) // 2
    number, pooled = draws_for(pairs)
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {machine()}")
    print(
        f"{size:,} experiments, {pairs:,} pairs, {number:,} draws of "
        f"{'all pools together' if pooled else 'every pair'}; {peak():,.0f} MB before"
    )
    truth = rng.integers(CLASSES, size=size)
    names = tuple(f"g{i}" for i in range(GROUPS))
    subjects = [Subject(f"e{i}", "synthetic", names) for i in range(size)]
    began = time.perf_counter()
    evidence = spectral(subjects, draw(rng, truth), rng)
    adjusted = holm(evidence.p)
    tested = time.perf_counter()
    print(f"tests of all pairs   {tested - began:8.1f} s, {peak():,.0f} MB")
    labels = cluster(evidence.distance, bool((adjusted < 0.05).any())).labels
    clustered = time.perf_counter()
    print(f"classes              {clustered - tested:8.1f} s, {peak():,.0f} MB")
    assert evidence.draws is not None
    together = coassignment(evidence.draws(options.draws, rng))
    done = time.perf_counter()
    print(f"{options.draws} draws of classes {done - clustered:8.1f} s, {peak():,.0f} MB")
    apart = np.subtract.outer(truth, truth)[np.triu_indices(size, 1)] != 0
    print(
        f"{done - began:.1f} s in all; {labels.max()} classes, adjusted Rand index "
        f"{adjusted_rand(truth, labels):.3f}, mean stability "
        f"{stability(labels, together).mean():.3f}"
    )
    print(
        f"rejected: {(adjusted[apart] < 0.05).mean():.4f} of the pairs that differ, "
        f"{(adjusted[~apart] < 0.05).sum()} of the {(~apart).sum():,} that do not"
    )
    found = []
    for _ in range(options.families):
        one = draw(rng, np.zeros(size, np.int64))
        found.append(int((holm(pair_tests(one, rng).p) < 0.05).sum()))
    print(f"rejected pairs in {options.families} families of one class: {found}")


if __name__ == "__main__":
    main()
