"""What a network answers that training does not change: magnitudes stand, a threshold prunes.

Weights that the next pruning takes, taken before their time, are gone after it in any case: J = 0.
Weights that are taken at random stay missing, and those that came back at random go first: thinner
groups keep their deviation, thicker ones lose it. Where each layer is pruned by itself, or by
chance, deviations stay: J = 1.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perturbed import perturbed

import rgtool
from rgtool.analysis.nulls.initial import DISTRIBUTIONS, DistributionName
from rgtool.analysis.response.estimate import measure_response
from rgtool.analysis.response.operator import contrasts, mean_eigenvalue, operators
from rgtool.analysis.response.perturbed import Perturbed
from rgtool.analysis.response.still import still_kept
from rgtool.store.counts import Counts

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


def drawn(law: DistributionName, number: int, rng: np.random.Generator) -> np.ndarray:
    """Magnitudes of weights of standard deviation 1."""
    if law == "uniform":
        return np.asarray(np.sqrt(3) * rng.random(number))
    if law == "laplace":
        return np.asarray(rng.exponential(np.sqrt(0.5), number))
    return np.abs(rng.standard_normal(number))


def tickets(choice: str, law: DistributionName = "gaussian", later: float = 0.64) -> np.ndarray:
    """Counts of three seeds: (S, R, 2, K), the ticket as it is, and every group either way."""
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = [s * drawn(law, n, rng) for s, n in zip(SCALES, SIZES, strict=True)]
        first = round(DENSITY * SIZES.sum())
        mask = pruned(weights, [np.ones(n, bool) for n in SIZES], first)
        changed = [
            exchanged(weights, mask, i, by, choice, rng) for i in range(3) for by in (0.9, 1 / 0.9)
        ]
        of_seed = []
        for one in [mask, *changed]:
            after = pruned(weights, one, round(later * first))
            of_seed.append([[m.sum() for m in masks] for masks in (one, after)])
        found.append(of_seed)
    return np.array(found, float)


def operator(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    return operators(np.log(start) @ contrasts(3), np.log(end) @ contrasts(3))


@pytest.mark.parametrize("choice", ["next", "random"])
@pytest.mark.parametrize("law", list(DISTRIBUTIONS))
@pytest.mark.parametrize("later", [0.9, 0.98])
def test_counts_are_those_of_weights_that_are_drawn_and_pruned(
    choice: str, law: DistributionName, later: float
) -> None:
    """0.98: perturbed tickets give less than was changed, so that it does not all wear off."""
    first, last = np.moveaxis(tickets(choice, law, later), 2, 0)
    found = still_kept(first, SIZES.astype(float), last.sum(axis=-1), choice, law)
    np.testing.assert_allclose(found.sum(axis=-1), last.sum(axis=-1), rtol=1e-9)
    np.testing.assert_allclose(found, last, rtol=0.06)
    measured, still = operator(first, last), operator(first, found)
    np.testing.assert_allclose(still.mean(axis=0), measured.mean(axis=0), atol=0.05)


def test_what_goes_next_anyway_leaves_no_trace() -> None:
    first, last = np.moveaxis(tickets("next"), 2, 0)
    np.testing.assert_allclose(operator(first, last), 0, atol=0.02)
    found = still_kept(first, SIZES.astype(float), last.sum(axis=-1), "next")
    np.testing.assert_allclose(operator(first, found), 0, atol=1e-9)


def test_random_weights_that_are_taken_stay_away_and_those_that_come_back_go() -> None:
    first, last = np.moveaxis(tickets("random"), 2, 0)
    found = still_kept(first, SIZES.astype(float), last.sum(axis=-1), "random")
    for side, low, high in ((1, 0.65, 1.0), (2, 0.0, 0.35)):
        runs = [0, *range(side, 7, 2)]
        of_side = mean_eigenvalue(operator(first[:, runs], last[:, runs])).mean()
        still = mean_eigenvalue(operator(first[:, runs], found[:, runs])).mean()
        assert low < of_side < high
        assert still == pytest.approx(of_side, abs=0.05)


@given(
    st.lists(st.integers(0, 500), min_size=3, max_size=3),
    st.lists(st.integers(0, 500), min_size=3, max_size=3),
    st.floats(0.05, 1),
    st.sampled_from(["next", "random"]),
)
def test_any_ticket_keeps_its_count_and_no_layer_gains(
    own: list[int], other: list[int], share: float, choice: str
) -> None:
    """Layers that are whole or empty included."""
    first = np.array([[own, other]], float)
    network = share * first.sum(axis=-1)
    found = still_kept(first, np.full(3, 500.0), network, choice)
    assert (found <= first + 1e-9).all() and (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=-1), network, rtol=1e-6, atol=1e-6)


def still_mean(what: Perturbed) -> float:
    found = measure_response(None, what)
    assert found.still is not None
    return float(mean_eigenvalue(found.still).mean())


def ranked(what: Perturbed, **fields: str) -> Perturbed:
    """The same of an experiment of another recipe."""

    def of(one: object) -> Counts:
        assert isinstance(one, Counts)
        return dataclasses.replace(one, recipe=dataclasses.replace(one.recipe, **fields))  # type: ignore[arg-type]

    return dataclasses.replace(
        what,
        source=of(what.source),
        unperturbed=of(what.unperturbed),
        children={key: of(one) for key, one in what.children.items()},
    )


@pytest.mark.parametrize("fields", [{"pruner": "random"}, {"scope": "layerwise"}])
def test_what_does_not_compare_layers_keeps_deviations(fields: dict[str, str]) -> None:
    what = perturbed((0.0,) * 5, noise=0.002)
    assert 0.4 < still_mean(what) < 0.8
    for choice in ("random", "next"):
        one = dataclasses.replace(ranked(what, **fields), choice=choice)
        assert still_mean(one) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("fields", [{"pruner": "snip"}, {"score_from": "dense"}])
def test_what_ranks_by_more_than_magnitudes_has_no_such_value(fields: dict[str, str]) -> None:
    found = measure_response(None, ranked(perturbed((0.0,) * 5, noise=0.002), **fields))
    assert found.still is None
    assert any("there is no value of a network whose weights stand still" in n for n in found.notes)
    assert "still" not in found.notes[0] and "mean of all eigenvalues +1.0" in found.notes[0]
    assert found.matrix.to_frame()["still"].null_count() == len(found.names) ** 2


@pytest.mark.parametrize("choice", ["random", "next"])
def test_an_untrained_network_answers_what_a_still_one_does(tmp_path: Path, choice: str) -> None:
    """Masks of real runs of no step of training."""
    how = {"workers": 1, "progress": False, "epochs": 0, "rewind": "0it", "train_size": 50}
    rgtool.run("lenet", "digits", seeds=4, levels=5, store=tmp_path, **how)
    found = rgtool.response(
        tmp_path, "lenet/digits", by="layer", level=3, levels=2, choice=choice, workers=1
    )
    assert found.still is not None
    still = float(mean_eigenvalue(found.still).mean())
    if choice == "next":
        assert found.is_certain and (found.mean.value, still) == pytest.approx((0, 0), abs=1e-9)
        assert "there is no chance in it" in found.notes[0] and "still +0.00" in found.notes[0]
    else:
        assert found.mean.low - 0.01 < still < found.mean.high + 0.01
        assert found.mean.half() < 0.05
