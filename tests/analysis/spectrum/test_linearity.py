"""Constant growth and changes of it: units of retention, the null's bend, size and power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from synthetic import RESNET20, SEED_SD, STEP_SD, counts

from rgtool.analysis import flow
from rgtool.analysis.nulls.initial import DISTRIBUTIONS, initial_scale_kept, initial_scales
from rgtool.analysis.nulls.own import own_null_groups, own_scales
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.analysis.spectrum.linearity import (
    LEAST_WEIGHTS,
    Growth,
    Linearity,
    change_point,
    growth_of,
    linearity,
    odd_first_step,
)
from rgtool.analysis.spectrum.steps import StepNoise
from rgtool.schemas.blocks import architecture

LOG_S = np.log(RESNET20[1:10])
FALLING = 1 - 1 / np.arange(9.0, 2.0, -1)  # retention .89 to .67


def grown(
    rng: np.random.Generator,
    seeds: int,
    *,
    retention: np.ndarray | None = None,
    bend: np.ndarray | float = 0.0,
    noise: float = 1.0,
    rho: float = 0.0,
    log_s: np.ndarray = LOG_S,
) -> np.ndarray:
    """Kept weights (S, T + 1, G) of shares that grow by a constant, or one that changes by bend."""
    kept_share = np.full(16, 0.8) if retention is None else retention
    unit = -np.log(kept_share)[:, None] / flow.UNIT
    middle = np.cumsum(unit)[:, None] - unit / 2
    steps = rng.normal(size=(seeds, len(unit), len(log_s)))
    for step in range(1, len(unit)):
        steps[:, step] = rho * steps[:, step - 1] + math.sqrt(1 - rho**2) * steps[:, step]
    own = log_s + noise * SEED_SD * rng.normal(size=(seeds, 1, len(log_s)))
    growth = own + bend * (middle / unit.sum() - 0.5) + noise * STEP_SD * steps
    log_m = np.cumsum(growth * unit, axis=1)
    share = np.exp(np.concatenate([np.zeros((seeds, 1, len(log_s))), log_m], axis=1))
    network = 1e9 * np.concatenate([[1.0], np.cumprod(kept_share)])
    return share / share.sum(axis=-1, keepdims=True) * network[:, None]


def test_of(kept: np.ndarray, null: np.ndarray | None = None, **options: object) -> Linearity:
    found = linearity(growth_of(kept, kept.sum(axis=-1), null), draws=199, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


test_of.__test__ = False  # type: ignore[attr-defined]


def test_growth_is_that_of_a_step_of_a_fifth_whatever_a_step_prunes() -> None:
    kept = grown(np.random.default_rng(0), 2, retention=FALLING, noise=0.0)
    found = growth_of(kept, kept.sum(axis=-1))
    expected = np.broadcast_to(LOG_S - LOG_S.mean(), found.rate.shape)
    np.testing.assert_allclose(found.rate, expected, atol=1e-7)
    network = kept[0].sum(axis=-1)
    assert found.span == pytest.approx(math.log(network[0] / network[-1]) / math.log(1.25))
    # Between the middles of two steps lies half of each.
    units = np.log(network[:-1] / network[1:]) / math.log(1.25)
    np.testing.assert_allclose(np.diff(found.time[0]), (units[:-1] + units[1:]) / 2)
    assert found.time.mean() == pytest.approx(0, abs=1e-12)


def test_a_change_of_growth_is_found_in_its_units() -> None:
    bend = np.array([0.08, -0.08, *[0.0] * 7])
    for retention in (None, FALLING):
        kept = grown(np.random.default_rng(1), 3, retention=retention, bend=bend, noise=1e-3)
        found = test_of(kept)
        assert found.rejected and found.p_all == 1 / 200
        np.testing.assert_allclose(found.bend, bend, atol=1e-3)
        middle = (LOG_S - LOG_S.mean())[[0, 1]]
        c_over_b = bend[:2] / found.span / 2 / middle
        if retention is None:  # elsewhere the mean step is not the middle of the window
            np.testing.assert_allclose(found.correction[:2], c_over_b, rtol=0.05)
        assert (found.p[:2] < 0.05).all() and (found.low < found.slope).all()
        assert np.isnan(found.canonical_bend).all()


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_bend_of_the_null_is_taken_off_and_shown(seeds: int) -> None:
    null = grown(np.random.default_rng(2), 1, bend=np.linspace(0.2, -0.2, 9), noise=0.0)
    noise = grown(np.random.default_rng(3), seeds, log_s=np.zeros(9))
    kept = null * noise * (null.sum(axis=-1) / (null * noise).sum(axis=-1))[..., None]
    alone, beyond = test_of(kept), test_of(kept, np.repeat(null, seeds, axis=0))
    assert alone.rejected and not beyond.rejected
    np.testing.assert_allclose(beyond.canonical_bend, np.linspace(0.2, -0.2, 9), atol=1e-6)
    np.testing.assert_allclose(alone.bend, beyond.bend + beyond.canonical_bend, atol=1e-9)
    # c/b is that of the flow, whatever is taken off.
    half = test_of(kept, np.repeat(np.sqrt(null), seeds, axis=0))
    np.testing.assert_allclose(half.correction, alone.correction)
    assert half.rejected


@pytest.mark.parametrize(
    ("seeds", "options"),
    [
        (1, {}),
        (1, {"rho": 0.6}),
        (2, {}),
        (3, {}),
        (5, {"rho": 0.6}),
        (1, {"retention": FALLING}),
        (3, {"retention": FALLING}),
    ],
)
def test_constant_growth_is_rarely_rejected(seeds: int, options: dict[str, object]) -> None:
    """The table of docs/spectra.md has more, from more simulations."""
    rng = np.random.default_rng(13)
    found = [test_of(grown(rng, seeds, **options), rng=rng) for _ in range(120)]  # type: ignore[arg-type]
    assert np.mean([one.p_all <= 0.05 for one in found]) < 0.12
    assert np.mean([one.change_p <= 0.05 for one in found]) < 0.12


def test_power_against_the_curved_flow_of_an_untrained_network() -> None:
    layers = architecture("resnet20").counted()
    network = sum(layer.total for layer in layers)
    kept = initial_scale_kept(
        [layer.total for layer in layers], initial_scales(layers), network * 0.8 ** np.arange(1, 18)
    )
    names = tuple(dict.fromkeys(str(layer.block) for layer in layers))
    groups = flow.group_sums(kept, flow.group_index([x.block for x in layers], names), len(names))
    rng = np.random.default_rng(14)
    for seeds in (1, 3):
        noise = [grown(rng, seeds, log_s=np.zeros(9)) for _ in range(20)]
        found = [test_of(groups[:, 1:10] * one / one.sum(-1, keepdims=True)) for one in noise]
        assert np.mean([one.rejected for one in found]) > 0.9


def test_small_groups_take_no_part_once_they_run_empty() -> None:
    kept = grown(np.random.default_rng(4), 3)
    kept[:, :, 4] = 1000 * 0.7 ** np.arange(17)
    assert kept[0, -1, 4] < LEAST_WEIGHTS < kept[0, -1, 3]
    found = test_of(kept)
    assert np.isnan(found.p).tolist() == [False] * 4 + [True] + [False] * 4
    rest = np.delete(np.arange(9), 4)
    network = kept.sum(axis=-1)
    alone = linearity(growth_of(kept[..., rest], network), draws=199)
    assert alone is not None
    np.testing.assert_allclose(found.slope[rest], alone.slope)
    assert found.p_all == alone.p_all


def test_sampling_alone_does_not_bend_a_small_group() -> None:
    """The mean of log k lies 1/(2k) below the log of the mean: from 400 to 20 weights, .02."""
    rng = np.random.default_rng(5)
    counts_ = np.full((4000, 1), 400)
    for _ in range(12):
        counts_ = np.hstack([counts_, rng.binomial(counts_[:, -1:], 0.78)])
    rest = 1e6 * 0.8 ** np.arange(13)
    kept = np.stack([counts_, np.broadcast_to(rest, counts_.shape)], axis=-1).astype(float)
    found = growth_of(kept, np.broadcast_to(rest, counts_.shape))
    slopes = found.slopes(found.rate)[:, 0]
    assert abs(slopes.mean()) < 3 * stats.sem(slopes)
    # And the scatter of its steps is what sampling makes.
    np.testing.assert_allclose(
        4 * found.rate[..., 0].var(axis=0), found.sampling[..., 0].mean(axis=0), rtol=0.1
    )


def test_runs_that_repeat_each_other_count_once() -> None:
    kept = grown(np.random.default_rng(6), 2)
    once, twice = test_of(kept), test_of(kept[[0, 1, 1, 0]])
    assert (once.p_all, once.change_p) == (twice.p_all, twice.change_p)
    np.testing.assert_array_equal(once.slope, twice.slope)
    one, copies = test_of(kept[:1]), test_of(kept[[0, 0, 0]])
    assert one.p_all == copies.p_all
    np.testing.assert_array_equal(one.low, copies.low)


def test_a_step_that_prunes_nothing_tells_nothing() -> None:
    kept = grown(np.random.default_rng(7), 3)
    waited = np.concatenate([kept[:, :6], kept[:, 5:]], axis=1)
    same, later = test_of(kept), test_of(waited)
    assert (same.p_all, same.span) == (later.p_all, pytest.approx(later.span))
    np.testing.assert_allclose(same.slope, later.slope)
    jump = np.where(np.arange(17)[:, None] > 8, (np.arange(17)[:, None] - 8) * 0.2, 0.0)
    moved = kept * np.exp(jump * (np.arange(9) == 2))
    moved *= (kept.sum(-1) / moved.sum(-1))[..., None]
    place, p = change_point(growth_of(moved, moved.sum(axis=-1)), draws=199)
    assert (place, p) == (8, 1 / 200)
    stretched = np.concatenate([moved[:, :6], moved[:, 5:]], axis=1)
    assert change_point(growth_of(stretched, stretched.sum(axis=-1)), draws=199)[0] == 9


@pytest.mark.parametrize(("seeds", "levels", "groups"), [(3, 3, 9), (1, 4, 9), (3, 17, 1)])
def test_too_little_to_tell(seeds: int, levels: int, groups: int) -> None:
    kept = grown(np.random.default_rng(8), seeds)[:, :levels, :groups]
    network = 1e9 * 0.8 ** np.arange(levels) * np.ones((seeds, 1))
    assert linearity(growth_of(kept, network)) is None


def test_few_steps_have_no_change() -> None:
    kept = grown(np.random.default_rng(9), 3)
    assert math.isnan(test_of(kept[:, :5]).change_p) and test_of(kept[:, :6]).change_p <= 1


def test_a_straight_bend_is_no_change_and_a_jump_is() -> None:
    rng = np.random.default_rng(10)
    straight = grown(rng, 3, bend=np.linspace(0.1, -0.1, 9))
    found = test_of(straight)
    assert found.rejected and found.change_p > 0.05


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("kind", ["factor", "swelling", "swollen factor"])
def test_noise_that_is_shared_or_grows_is_no_change(seeds: int, kind: str) -> None:
    """Draws of independent groups and equal variances reject .2 to .5 of these."""
    rng = np.random.default_rng(18)
    kept = []
    for _ in range(100):
        steps = rng.normal(size=(seeds, 16, 9))
        if "factor" in kind:
            shared = rng.normal(size=(seeds, 16, 1)) * np.linspace(-1.5, 1.5, 9)
            steps = shared + 0.1 * steps
        if "swell" in kind or "swollen" in kind:
            steps *= np.linspace(0.3, 3, 16)[:, None]
        own = LOG_S + SEED_SD * rng.normal(size=(seeds, 1, 9)) + STEP_SD * steps
        log_m = np.concatenate([np.zeros((seeds, 1, 9)), np.cumsum(own, axis=1)], axis=1)
        share = np.exp(log_m) / np.exp(log_m).sum(axis=-1, keepdims=True)
        kept.append(share * 1e9 * 0.8 ** np.arange(17)[:, None])
    found = [test_of(one, rng=rng) for one in kept]
    assert np.mean([one.change_p <= 0.05 for one in found]) <= 0.11
    assert np.mean([one.p_all <= 0.05 for one in found]) <= 0.15


@pytest.mark.parametrize("seeds", [1, 12])
def test_shared_and_growing_noise_is_measured_and_drawn(seeds: int) -> None:
    rng = np.random.default_rng(19)
    time = np.arange(40) - 19.5
    loading, grows = np.array([1.0, -1.0, 1.0, -1.0]), np.exp(time / 40)
    steps = rng.normal(size=(seeds, 40, 1)) * loading + 0.3 * rng.normal(size=(seeds, 40, 4))
    steps = 0.02 * grows[:, None] * (steps - steps.mean(axis=-1, keepdims=True))
    noise = StepNoise.of(steps, time, np.zeros(steps.shape))
    expected = grows / np.sqrt((grows**2).mean())
    np.testing.assert_allclose(noise.swell, expected, rtol=0.5 if seeds == 1 else 0.2)
    true = np.where(np.eye(4) > 0, 1.0, np.outer(loading, loading) / 1.0675)
    np.testing.assert_allclose(noise.correlation, true, atol=0.1)
    drawn = np.concatenate([part for part in noise.drawn(rng, 400)])
    seen = np.corrcoef(drawn[..., 20, :].reshape(-1, 4).T)
    np.testing.assert_allclose(seen, noise.correlation, atol=0.1)
    scatter = drawn.std(axis=(0, 1, 3))
    np.testing.assert_allclose(scatter / np.sqrt((scatter**2).mean()), noise.swell, rtol=0.2)


def lag_of_lines(steps: np.ndarray, time: np.ndarray) -> float:
    """Lag-1 products of residuals about each run's line over their squares, groups alike."""
    slope = (time[:, None] * steps).sum(axis=1, keepdims=True) / (time @ time)
    left = steps - steps.mean(axis=1, keepdims=True) - time[:, None] * slope
    left = left / np.sqrt((left**2).sum(axis=(0, 1)))
    return float((left[:, 1:] * left[:, :-1]).sum() / (left**2).sum())


def test_the_noise_of_steps_is_measured_and_drawn() -> None:
    rng = np.random.default_rng(11)
    time = np.arange(16) - 7.5
    for rho in (0.0, 0.6):
        root = np.linalg.cholesky(rho ** np.abs(np.subtract.outer(np.arange(16), np.arange(16))))
        steps = 0.02 * root @ rng.normal(size=(40, 16, 9))
        steps -= steps.mean(axis=-1, keepdims=True)
        noise = StepNoise.of(steps, time, np.zeros((40, 16, 9)))
        margin = 2 / math.sqrt(39 * 8 * 16)
        assert noise.rho == pytest.approx(rho + margin, abs=0.05)
        # Two standard errors below lies the correlation that lines turn into what is seen.
        seen = lag_of_lines(steps - steps.mean(axis=0), time)
        line = np.column_stack([np.ones(16), time])
        left = np.eye(16) - line @ np.linalg.pinv(line)
        lags = np.abs(np.subtract.outer(np.arange(16), np.arange(16)))
        noise_then = left @ (noise.rho - margin) ** lags @ left
        expected = np.trace(noise_then, offset=1) / np.trace(noise_then)
        assert seen == pytest.approx(expected, abs=2e-3)
        (drawn,) = noise.drawn(rng, 10)
        assert drawn.std() == pytest.approx(steps.std(), rel=0.1)
        lag = [(x[:, 1:] * x[:, :-1]).mean() / (x**2).mean() for x in (drawn[0], steps)]
        assert lag[0] == pytest.approx(lag[1], abs=0.1)
    sampled = np.full((40, 16, 9), 0.02**2)
    part = StepNoise.of(0.05 * rng.normal(size=(40, 16, 9)), time, sampled)
    np.testing.assert_allclose(part.step, 0.05**2 - 0.02**2, rtol=0.25)


def test_an_odd_first_step_is_seen() -> None:
    rng = np.random.default_rng(15)
    steps = 0.01 * rng.normal(size=(3, 16, 6))
    assert (np.abs(odd_first_step(np.full((3, 6), 0.3), steps)) > 3).all()


@pytest.mark.parametrize("length", [2, 3, 11])
def test_size_of_the_odd_first_step(length: int) -> None:
    """|z| > 3 is as rare as it says, .0027, however few the later steps are."""
    rng = np.random.default_rng(17)
    z = odd_first_step(rng.normal(size=(3, 20_000)), rng.normal(size=(3, length, 20_000)))
    assert np.mean(np.abs(z) > 3) == pytest.approx(0.0027, abs=0.0015)


# N1 at the scales of a run.


def test_own_scales_are_those_that_the_counts_were_made_with() -> None:
    total, tau = np.array([8000, 2000, 50_000, 1000]), np.array([0.05, 0.1, 0.03, 0.2])
    index, exempt = np.array([0, 0, 1, 2]), np.array([False, False, False, True])
    network = total.sum() * 0.8 ** np.arange(1, 13)
    moved = tau * np.array([1.2, 1.2, 0.9, 1.0])
    kept = initial_scale_kept(total, moved, network, exempt=exempt)
    groups = flow.group_sums(kept, index, 3)[None]
    for distribution in DISTRIBUTIONS:
        if distribution == "gaussian":
            found = own_scales(groups, total, tau[None], index, exempt)
            ratio = found[0, :3] / moved[:3]
            np.testing.assert_allclose(ratio / ratio[0], 1, rtol=1e-3)
            assert found[0, 3] == tau[3]


def test_one_run_of_an_untrained_network_is_held_to_its_own_scales() -> None:
    """Its weights have other scales than the distribution they come from: the flow stays off."""
    layers = architecture("resnet8").counted()
    total, tau = np.array([x.total for x in layers]), initial_scales(layers)
    rng, rejected = np.random.default_rng(18), []
    base = counts("resnet8", seeds=1, levels=16)
    for _ in range(25):
        size = np.abs(np.repeat(tau, total) * rng.normal(size=total.sum()))
        owner = np.repeat(np.arange(len(total)), total)[np.argsort(-size)]
        number = np.rint(total.sum() * 0.8 ** np.arange(17)).astype(int)
        kept = np.array([np.bincount(owner[:n], minlength=len(total)) for n in number])
        index = flow.group_index([x.block for x in layers], base.names)
        groups = flow.group_sums(kept, index, len(base.names)).astype(np.int64)
        run = base.__class__(**{**vars(base), "kept": groups[None]})
        found = eigen(None, run, window=(1, 12)).linear
        assert found is not None and found.canonical is not None
        rejected.append(found.rejected)
    assert np.mean(rejected) < 0.25
    inside = run.kept[:, 1:13].astype(float)
    own = growth_of(inside, inside.sum(axis=-1), own_null_groups(run, inside))
    assert own.null is not None
    for one in (run, run.select([0, 0])):  # read twice it is one run still
        found = eigen(None, one, window=(1, 12)).linear
        assert found is not None
        np.testing.assert_allclose(found.canonical, own.slopes(own.null)[0])


def test_the_bend_stands_beside_its_group() -> None:
    experiment = counts("lenet", seeds=3, task="mnist")
    spectrum = eigen(None, experiment)
    frame = spectrum.to_frame()
    assert spectrum.linear is not None
    assert frame["bend"].to_list()[2] is None and frame["canonical_bend"].to_list()[2] is None
    np.testing.assert_array_equal(frame["bend"].to_numpy()[:2], spectrum.linear.bend)
    np.testing.assert_allclose(frame["canonical_bend"].to_numpy()[:2].sum(), 0, atol=1e-9)
    assert abs(frame["canonical_bend"].to_numpy()[0]) > 1e-3


def test_growth_of_magnitudes_has_no_null_and_the_sampling_of_counts() -> None:
    kept = grown(np.random.default_rng(19), 2)
    by_size = growth_of(kept * 0.1, kept.sum(axis=-1), counts=kept)
    plain = growth_of(kept, kept.sum(axis=-1))
    assert isinstance(by_size, Growth) and by_size.null is None
    np.testing.assert_array_equal(by_size.sampling, plain.sampling)
    np.testing.assert_allclose(by_size.rate, plain.rate, atol=1e-6)
