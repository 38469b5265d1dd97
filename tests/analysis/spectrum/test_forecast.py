"""Forecasts of collapse: the formula, the steady flow, and what is not to be had."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from command import Cli
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import write_run
from synthetic import counts, first_levels, replicator, without

import rgtool
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.analysis.spectrum.forecast import collapse_level, flow_levels, forecast
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.store.counts import Counts


@settings(deadline=None, max_examples=50)
@given(st.floats(1, 1e7), st.floats(0.3, 0.99))
def test_the_level_is_where_constant_loss_leaves_one_weight(weights: float, keep: float) -> None:
    level = float(collapse_level(np.log(weights), np.log(keep)))
    steps, left = 0, weights
    while left > 1 + 1e-12:
        left, steps = left * keep, steps + 1
    assert steps - 1 - 1e-6 <= level <= steps + 1e-6
    assert weights * keep**level == pytest.approx(1)


def test_what_does_not_shrink_never_collapses() -> None:
    found = collapse_level(np.log([100, 100, 1, 0.5]), np.log([1.0, 1.1, 0.8, 0.8]), 3)
    assert found.tolist() == [np.inf, np.inf, 3, 3]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 6), st.booleans())
def test_the_steady_flow_is_that_of_the_simulation(seed: int, groups: int, exempting: bool) -> None:
    """Against the flow that the tests draw experiments from, step by step without rounding."""
    rng = np.random.default_rng(seed)
    total = rng.integers(50, 5000, groups).astype(float)
    strength, rho = rng.normal(0, 0.1, groups), 0.8
    exempt = np.zeros(groups, bool)
    exempt[0] = exempting
    total[0] = 2.0 if exempting else total[0]
    found = flow_levels(total, strength, np.log(rho), exempt)
    now, step = total.copy(), 0
    while total.sum() * rho ** (step + 1) - total[exempt].sum() > 1:
        target = total.sum() * rho ** (step + 1) - total[exempt].sum()
        following = np.where(exempt, 0, now * np.exp(strength))
        # Too much for a group: it keeps all, the others share what is left.
        full = exempt.copy()
        while True:
            rest = target - now[full & ~exempt].sum()
            shared = np.where(full, 0, following)
            shared = rest * shared / shared.sum()
            over = ~full & (shared > now * (1 + 1e-12))
            if not over.any():
                break
            full |= over
        after = np.where(full, now, shared)
        for i in np.flatnonzero((now > 1) & (after <= 1)):
            assert step <= found[i] <= step + 1
        now, step = after, step + 1
    lasting = (now > 1) & ~exempt
    assert np.isinf(found[lasting]).all() and np.isinf(found[exempt]).all()


def test_a_batch_of_flows_is_each_by_itself() -> None:
    rng = np.random.default_rng(1)
    kept, strength = rng.uniform(10, 1000, (5, 4)), rng.normal(0, 0.1, (5, 4))
    none = np.zeros(4, bool)
    together = flow_levels(kept, strength, np.log(0.8), none)
    alone = [flow_levels(k, s, np.log(0.8), none) for k, s in zip(kept, strength, strict=True)]
    np.testing.assert_allclose(together, alone)


def test_the_forecast_is_the_formula_from_either_end_of_the_window() -> None:
    made = counts(levels=12)
    found, spectrum = forecast(None, made), eigen(None, made)
    kept = np.log(made.kept.astype(float))
    rate = ((kept[:, 12] - kept[:, 1]) / 11).mean(axis=0)
    from_start = 1 + kept[:, 1].mean(axis=0) / -rate
    from_end = 12 + kept[:, 12].mean(axis=0) / -rate
    seen = np.isfinite(found.level.value)
    np.testing.assert_allclose(found.level.value[seen], from_start[seen])
    np.testing.assert_allclose(found.level.value[seen], from_end[seen])
    np.testing.assert_allclose(found.eigenvalue, spectrum.eigenvalue.value)
    density = (
        made.kept[:, 1].sum(axis=-1).mean() / made.total.sum() * 0.8 ** (found.level.value - 1)
    )
    np.testing.assert_allclose(found.density.value[seen], density[seen], rtol=1e-3)


def test_a_steady_flow_is_forecast_where_it_ends() -> None:
    """The first levels of a flow without noise tell where it runs empty.

    Counts are rounded, so a group is recorded empty once less than half a weight is left: up to
    log(2)/-log(rho lambda), about three levels, and the rest of one, after the last whole weight.
    """
    made = counts(levels=48, seeds=2, noise=0.0)
    found, early = forecast(None, made, window=(1, 12)), forecast(None, first_levels(made, 13))
    np.testing.assert_allclose(early.flow_level.value, found.flow_level.value)
    assert np.isnan(early.observed).all() and "collapsed" not in early.outlook
    seen = np.isfinite(found.observed) & np.isfinite(found.flow_level.value)
    assert seen.sum() >= 6
    behind = (found.observed - found.flow_level.value)[seen]
    assert behind.min() > 1.5 and behind.max() < 5
    # Eigenvalues do not stay: the formula is late where strong groups take over.
    assert np.nanmean(found.level.value[seen] - found.flow_level.value[seen]) > 0


def test_intervals_of_the_steady_flow_cover_other_seeds() -> None:
    """The forecast of the flow without noise lies in the intervals of noisy seeds."""
    truth = forecast(None, counts(levels=12, seeds=2, noise=0.0)).flow_level.value
    inside = []
    for rng in range(12):
        found = forecast(None, counts(levels=12, seeds=4, rng=rng), draws=400)
        seen = np.isfinite(truth) & np.isfinite(found.flow_level.high)
        inside += ((found.flow_level.low <= truth) & (truth <= found.flow_level.high))[
            seen
        ].tolist()
    assert 0.85 < np.mean(inside) <= 1


def test_intervals_hold_the_forecast_and_follow_the_draws() -> None:
    found = forecast(None, counts(levels=12), draws=2000)
    seen = np.isfinite(found.level.high)
    assert (found.level.low[seen] <= found.level.value[seen]).all()
    assert (found.level.value[seen] <= found.level.high[seen]).all()
    np.testing.assert_array_less(found.density.low[seen], found.density.high[seen])
    again = forecast(None, counts(levels=12), draws=2000)
    np.testing.assert_array_equal(found.level.low, again.level.low)
    other = forecast(None, counts(levels=12), draws=2000, rng=1)
    np.testing.assert_allclose(found.level.low, other.level.low, rtol=0.02)


def test_strong_groups_are_not_in_sight() -> None:
    made = counts(levels=12, noise=0.0)
    kept = made.kept.copy()
    kept[:, :, 0] = kept[:, :1, 0]  # nothing is ever pruned there
    found = forecast(None, dataclasses.replace(made, kept=kept))
    assert found.outlook[0] == "not in sight" and np.isnan(found.level.value[0])
    assert any("not before the whole network is gone" in note for note in found.notes)
    assert found.to_frame()["level"][0] is None


def test_exempt_groups_are_left_out() -> None:
    found = forecast(None, counts("lenet", "layer"))
    assert found.names == ("fc1", "fc2")
    assert "fc: exempt from pruning, left out" in found.notes
    made = counts("lenet", "layer")
    with pytest.raises(RgtoolError, match="all groups are exempt"):
        forecast(None, dataclasses.replace(made, exempt=np.ones(3, bool)))


def test_one_seed_gives_points_and_says_so() -> None:
    found = forecast(None, counts(seeds=1))
    assert np.isnan(found.level.low).all() and np.isfinite(found.level.value).any()
    assert any("one seed: points without interval" in note for note in found.notes)
    assert found.to_frame()["level_low"].null_count() == len(found.names)


def collapsed(level: int = 8) -> Counts:
    made = counts(levels=12)
    kept = made.kept.copy()
    kept[:, level:, 3] = 0
    return dataclasses.replace(made, kept=kept)


def test_a_group_that_is_empty_on_record_is_told() -> None:
    found = forecast(None, collapsed())
    assert found.outlook[3] == "collapsed" and found.observed[3] == 8
    assert found.window == (1, 7) and any("the window ends at level 7" in n for n in found.notes)


def test_a_collapse_of_some_runs_alone_is_none() -> None:
    made = collapsed()
    kept = made.kept.copy()
    kept[0, 8:, 3] = 5
    found = forecast(None, dataclasses.replace(made, kept=kept))
    assert np.isnan(found.observed[3]) and found.outlook[3] != "collapsed"


def test_levels_that_are_missing_are_no_collapse() -> None:
    found = forecast(None, without(counts(levels=12), (0, 12)))
    assert np.isnan(found.observed).all() and found.window == (1, 11)


def test_far_forecasts_are_called_far() -> None:
    assert any("past the last one used" in n for n in forecast(None, counts(levels=4)).notes)


def test_the_simulation_of_the_tests_keeps_its_shares() -> None:
    """The flow drawn from is the replicator: shares grow in the ratio of strengths."""
    total = np.array([1000.0, 4000.0])
    kept = replicator(total, np.tile(np.log([1.1, 1.0]), (5, 1)), 5, 0.2, np.zeros(2, bool))
    ratio = kept[:, 0] / kept[:, 1]
    np.testing.assert_allclose(ratio[1:] / ratio[:-1], 1.1, rtol=0.01)


def test_the_command_prints_the_forecast(cli: Cli, tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, seed, levels=6)
    store = ("--store", str(tmp_path))
    code, out, err = cli("forecast", "resnet8w4/digits", "--by", "stage", *store)
    assert code == 0 and out.split()[:2] == ["name", "kept"] and "down to one" in err
    code, out, _ = cli("forecast", "--by", "block", "--json", *store)
    rows = json.loads(out)
    assert code == 0 and {"name", "level", "density", "flow_level", "outlook"} <= set(rows[0])
    found = rgtool.forecast(rgtool.Store(tmp_path), by="block")
    assert [row["name"] for row in rows] == list(found.names)
    assert found.title in found.summary() and "<table>" in found._repr_html_()


def test_wrong_requests_are_told(cli: Cli, tmp_path: Path) -> None:
    write_run(tmp_path, 0, levels=1)
    store = ("--store", str(tmp_path))
    for arguments, code, message in (
        (("--by", "stages"), 2, "did you mean stage"),
        (("--window", "3:1"), 2, "two levels"),
        (("--window", "1:9"), 1, "a spectrum needs at least 3"),
        (("vgg16/digits",), 2, "no experiment"),
    ):
        got, out, err = cli("forecast", *arguments, *store)
        assert got == code and not out and message in err
    with pytest.raises(UsageError, match="grouping 'blok' is unknown"):
        rgtool.forecast(rgtool.Store(tmp_path), by="blok")
