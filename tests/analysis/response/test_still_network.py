"""What a network answers that training does not change: magnitudes stand, a threshold prunes.

Weights that the next pruning takes, taken before their time, are gone after it in any case: J = 0.
Weights that are taken at random stay missing, and those that came back at random go first: thinner
groups keep their deviation, thicker ones lose it.
"""

from __future__ import annotations

import numpy as np
import pytest

from rgtool.analysis.response.operator import contrasts, mean_eigenvalue, operators

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


def operator(choice: str, sides: tuple[float, ...]) -> np.ndarray:
    """J of three seeds, one pruning on."""
    start, end = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = [np.abs(s * rng.standard_normal(n)) for s, n in zip(SCALES, SIZES, strict=True)]
        full = [np.ones(n, bool) for n in SIZES]
        first = round(DENSITY * SIZES.sum())
        mask = pruned(weights, full, first)
        tickets = [mask] + [
            exchanged(weights, mask, i, by, choice, rng) for i in range(3) for by in sides
        ]
        later = [pruned(weights, one, round(0.64 * first)) for one in tickets]
        for into, masks in ((start, tickets), (end, later)):
            logs = np.log([[m.sum() for m in one] for one in masks])
            into.append(logs @ contrasts(3))
    return operators(np.array(start), np.array(end))


def test_what_goes_next_anyway_leaves_no_trace() -> None:
    found = operator("next", (0.9, 1 / 0.9))
    np.testing.assert_allclose(found, np.zeros_like(found), atol=0.02)


@pytest.mark.parametrize(("sides", "low", "high"), [((0.9,), 0.85, 1.1), ((1 / 0.9,), -0.1, 0.6)])
def test_random_weights_that_are_taken_stay_away_and_those_that_come_back_go(
    sides: tuple[float, ...], low: float, high: float
) -> None:
    assert low < mean_eigenvalue(operator("random", sides)).mean() < high
