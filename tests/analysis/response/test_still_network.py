"""What a network answers that training does not change: magnitudes stand, a threshold prunes.

Weights that the next pruning takes, taken before their time, are gone after it in any case: J = 0.
Weights that are taken at random stay missing, and those that came back at random go first: thinner
groups keep their deviation, thicker ones lose it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from synthetic import counts

from rgtool.analysis.response.estimate import still_coordinates
from rgtool.analysis.response.operator import contrasts, mean_eigenvalue, operators
from rgtool.analysis.response.perturbed import Runs

SIZES, SCALES = np.array([40_000, 30_000, 60_000]), np.array([1.0, 0.8, 0.5])
DENSITY = 0.3
Masks = list[np.ndarray]


def pruned(weights: list[np.ndarray], mask: Masks, number: int) -> Masks:
    """Keep the largest so many weights of a mask, over all groups."""
    kept = np.concatenate([np.where(m, w, 0) for w, m in zip(weights, mask, strict=True)])
    least = np.sort(kept)[-number]
    return [m & (w >= least) for w, m in zip(weights, mask, strict=True)]


def exchanged(
    weights: list[np.ndarray],
    mask: Masks,
    group: int,
    factor: float,
    choice: str,
    rng: np.random.Generator,
) -> Masks:
    """A group with its count times a factor, the others in proportion."""
    count = [int(m.sum()) for m in mask]
    change = round((factor - 1) * count[group])
    found = []
    for i, (w, m) in enumerate(zip(weights, mask, strict=True)):
        others = sum(count) - count[group]
        by = change if i == group else -round(change * count[i] / others)
        pool = np.flatnonzero(~m if by > 0 else m)
        order = rng.permutation(pool) if choice == "random" else pool[np.argsort(w[pool])]
        if choice == "next" and by > 0:
            order = order[::-1]  # the largest of those that are gone went last
        new = m.copy()
        new[order[: abs(by)]] = by > 0
        found.append(new)
    return found


def runs(choice: str) -> Runs:
    """Three seeds at two levels, and every group thinner and thicker."""
    kept, moved = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = [np.abs(s * rng.standard_normal(n)) for s, n in zip(SCALES, SIZES, strict=True)]
        full = [np.ones(n, bool) for n in SIZES]
        first = round(DENSITY * SIZES.sum())
        mask = pruned(weights, full, first)

        def counted(one: Masks, weights: Masks = weights, first: int = first) -> np.ndarray:
            later = pruned(weights, one, round(0.64 * first))
            return np.array([[m.sum() for m in masks] for masks in (one, later)], float)

        kept.append(counted(mask))
        moved.append([
            [counted(exchanged(weights, mask, i, by, choice, rng)) for by in (0.9, 1 / 0.9)]
            for i in range(3)
        ])  # fmt: skip
    base = counts("resnet20", "stage", seeds=3)
    return Runs(
        source=base,
        counts=base,
        seeds=(0, 1, 2),
        names=("1", "2", "3"),
        kept=np.array(kept),
        accuracy=np.zeros((3, 2)),
        open=np.array(kept)[:, 0].sum(axis=-1),
        others=(),
        moved=np.array(moved),
        reached=np.zeros((3, 3, 2, 2)),
        sides=np.ones((3, 2), bool),
        notes=(),
    )


def operator(found: Runs, sides: tuple[int, ...]) -> np.ndarray:
    """J of these sides."""
    of = [found.moved[:, i, side] for i in range(3) for side in sides]
    z = np.log(np.stack([found.kept, *of], axis=1)) @ contrasts(3)
    return operators(z[:, :, 0], z[:, :, -1])


def test_what_goes_next_anyway_leaves_no_trace() -> None:
    found = runs("next")
    np.testing.assert_allclose(operator(found, (0, 1)), np.zeros((3, 2, 2)), atol=0.02)
    np.testing.assert_allclose(operators(*still_coordinates(found, "next")), 0, atol=1e-9)


def test_random_weights_that_are_taken_stay_away_and_those_that_come_back_go() -> None:
    found = runs("random")
    thinner, thicker = (mean_eigenvalue(operator(found, (side,))).mean() for side in (0, 1))
    assert thinner > 0.65 and thicker < 0.35
    still = operators(*still_coordinates(found, "random"))
    np.testing.assert_allclose(operator(found, (0, 1)).mean(axis=0), still.mean(axis=0), atol=0.07)
    assert mean_eigenvalue(still).mean() == pytest.approx(0.5, abs=0.05)
    for side, expected in ((0, thinner), (1, thicker)):
        sides = np.zeros((3, 2), bool)
        sides[:, side] = True
        one = operators(*still_coordinates(dataclasses.replace(found, sides=sides), "random"))
        assert mean_eigenvalue(one).mean() == pytest.approx(expected, abs=0.1)
