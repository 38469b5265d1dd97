"""Power: by the noncentral t and by simulation, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from stores import write_run
from synthetic import SEED_SD, STEP_SD, counts

import rgtool
from rgtool.analysis.spectrum.noise import measured_noise, split_noise
from rgtool.analysis.spectrum.power import analytic_power, simulated_power
from rgtool.analysis.stats.moderation import lent
from rgtool.schemas.errors import RgtoolError
from rgtool.schemas.recipe import Recipe

RUNS = 10_000


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("effect", [0.0, 0.8, 2.0])
def test_one_group_is_students_t(seeds: int, effect: float) -> None:
    """With nothing to borrow from the analytic power is exact: the oracle is the t test itself."""
    rng = np.random.default_rng(seeds)
    draws = effect + rng.standard_normal((RUNS, seeds))
    oracle = (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean()
    analytic = analytic_power(effect, seeds, 1, 0.05)
    simulated = simulated_power(effect, seeds, 1, 0.05, simulations=RUNS, rng=7)
    error = 4 * math.sqrt(max(analytic * (1 - analytic), 0.01) / RUNS)
    assert abs(oracle - analytic) < error
    assert abs(simulated - analytic) < error


@pytest.mark.parametrize("groups", [9, 30])
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("effect", [0.0, 0.5, 1.5])
def test_analysis_and_simulation_agree(groups: int, seeds: int, effect: float) -> None:
    """Within Monte-Carlo error and the error of the approximation, .01 from three seeds on."""
    analytic = analytic_power(effect, seeds, groups, 0.05)
    simulated = simulated_power(effect, seeds, groups, 0.05, simulations=RUNS, rng=1)
    assert abs(analytic - simulated) < 0.01 + 4 * math.sqrt(0.25 / RUNS)


def test_two_seeds_are_approximated_more_roughly() -> None:
    analytic = [analytic_power(e, 2, 9, 0.05) for e in (0.0, 1.0, 2.8)]
    simulated = [simulated_power(e, 2, 9, 0.05, simulations=RUNS, rng=2) for e in (0.0, 1.0, 2.8)]
    assert np.abs(np.subtract(analytic, simulated)).max() < 0.06


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_without_an_effect_the_test_keeps_its_size(seeds: int) -> None:
    plain = simulated_power(0.0, seeds, 9, 0.05, simulations=RUNS, rng=3)
    family = simulated_power(0.0, seeds, 9, 0.05, holm=True, simulations=RUNS, rng=3)
    assert 0.025 < plain < 0.075  # .97, .94 and .95 of intervals cover
    assert family < 0.05 / 9 + 0.008


def holm(p: np.ndarray, alpha: float) -> set[int]:
    """Groups that Holm rejects: the smallest p of those left, as long as it passes."""
    left, rejected = list(range(len(p))), set()
    while left:
        least = min(left, key=lambda group: p[group])
        if p[least] >= alpha / len(left):
            break
        left.remove(least)
        rejected.add(least)
    return rejected


def test_holm_is_holms() -> None:
    draws = np.random.default_rng(4).standard_normal((2000, 4, 5))
    draws[..., 0] += 2.0
    found = lent(draws)
    t = draws.mean(axis=1) / np.sqrt(found.variance / 4)
    p = 2 * stats.t.sf(np.abs(t), found.df[:, None])
    oracle = np.mean([0 in holm(row, 0.05) for row in p])
    simulated = simulated_power(2.0, 4, 5, 0.05, holm=True, simulations=2000, rng=4)
    assert simulated == pytest.approx(oracle)


def test_power_rises_with_seeds_levels_and_effect() -> None:
    found = rgtool.power(1.01, simulations=RUNS // 2)
    # Four seeds are lent variance, and five are not: .063 and .050 of intervals leave out a true 1.
    assert (np.diff(found.analytic, axis=0) > -0.013).all()
    assert (np.diff(found.analytic, axis=1) > -1e-9).all()
    assert (np.diff(found.simulated, axis=0) > -0.02).all()
    stronger = rgtool.power(1.02, simulations=200)
    assert (stronger.analytic >= found.analytic - 1e-9).all()
    # An eigenvalue below 1 is as far from 1 as its inverse.
    below = rgtool.power(1 / 1.01, simulations=200)
    np.testing.assert_allclose(below.analytic, found.analytic, rtol=1e-6)


def test_the_default_design() -> None:
    found = rgtool.power()
    frame = found.to_frame()
    assert frame.height == 35
    assert found.smallest == (3, 6)
    assert "3 seeds of 6 levels are the smallest design with power 0.8: 21" in found.notes[0]
    assert found.notes[0] in found.summary()
    assert found._repr_html_().count("<tr>") == 36
    adequate = frame.filter(frame["adequate"])
    assert adequate["networks"].min() == 21


def test_a_hopeless_question_is_answered_in_words() -> None:
    found = rgtool.power(1.001, seeds=(2, 3), levels=(6,), simulations=200)
    assert found.smallest is None
    assert "no design of this table reaches power 0.8" in found.notes[0]


@pytest.mark.parametrize("seeds", [2, 12])
def test_noise_is_split_into_seeds_and_steps(seeds: int) -> None:
    rng = np.random.default_rng(0)
    noise = SEED_SD * rng.normal(size=(seeds, 1, 300)) + STEP_SD * rng.normal(size=(seeds, 15, 300))
    drift = 0.004 * np.arange(15)[None, :, None]
    seed_sd, step_sd = split_noise(0.02 + drift + noise)
    assert seed_sd == pytest.approx(SEED_SD, rel=0.15)
    assert step_sd == pytest.approx(STEP_SD, rel=0.05)
    assert split_noise(np.tile(noise[:1], (3, 1, 1)))[0] == 0


def test_noise_of_an_experiment() -> None:
    noise = measured_noise(None, counts("resnet20", seeds=10, levels=16))
    assert noise.groups == 11
    assert noise.seed_sd == pytest.approx(SEED_SD, rel=0.5)
    assert noise.step_sd == pytest.approx(STEP_SD, rel=0.3)
    with pytest.raises(RgtoolError, match="1 seed and 11 steps.*--seed-sd"):
        measured_noise(None, counts("resnet20", seeds=1))


def test_noise_is_taken_from_a_store(
    tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    store = tmp_path / "rgstore"
    recipe = Recipe(architecture="resnet8w4", task="digits")
    for seed in range(3):
        write_run(store, seed, levels=6, recipe=recipe)
    like = ("power", "--like", "resnet8w4/digits", "--by", "stage", "--simulations", "100")
    code, out, err = cli(*like, "--json")
    assert code == 0
    assert len(json.loads(out)) == 35
    assert "noise of resnet8w4/digits" in err
    assert "5 groups" in cli(*like)[2]
    code, _, err = cli(*like, "--step-sd", "0.002", "--groups", "4")
    assert (code, "4 groups" in err and "step sd 0.002" in err) == (0, True)
    assert cli("power", "--like", "resnet9", "--simulations", "9")[0] == 2
    assert cli(*like[:3], "--by", "floor")[0] == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--eigenvalue", "1"], "cannot be told from 1"),
        (["--eigenvalue", "-1"], "eigenvalue is -1"),
        (["--eigenvalue", "nan"], "eigenvalue is nan"),
        (["--seed-sd", "-0.1"], "seed sd is -0.1"),
        (["--step-sd", "inf"], "step sd is inf"),
        (["--seed-sd", "0", "--step-sd", "0"], "both 0"),
        (["--groups", "0"], "0 groups"),
        (["--simulations", "0"], "0 simulations"),
        (["--seeds", "1,3"], "1 seed has no variance"),
        (["--seeds", ""], "no design is given"),
        (["--seeds", "three"], "--seeds three: give whole numbers"),
        (["--levels", "1"], "1 level leaves no step"),
        (["--alpha", "0"], "alpha is 0"),
        (["--power", "1.2"], "power is 1.2"),
        (["--power", "0.01"], "chance alone reaches it"),
    ],
)
def test_bad_input_is_refused_in_words(
    cli: Callable[..., tuple[int, str, str]], options: list[str], words: str
) -> None:
    code, out, err = cli("power", *options)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_extremes_are_answered_without_a_warning() -> None:
    small = {"seeds": (2,), "levels": (6,), "simulations": 50}
    certain = rgtool.power(1.02, seed_sd=1e-300, step_sd=0.0, **small)
    assert certain.analytic.item() == certain.simulated.item() == 1
    hopeless = rgtool.power(1.02, alpha=1e-300, **small)
    assert hopeless.analytic.item() == hopeless.simulated.item() == 0
    assert "1 group," in rgtool.power(1.02, groups=1, **small).title


def test_simulations_in_parts_are_those_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    from rgtool.analysis.spectrum import power as module

    whole = simulated_power(1.0, 3, 9, 0.05, simulations=200, rng=5)
    monkeypatch.setattr("rgtool.analysis.spectrum.power.AT_ONCE", 3 * 9 * 7)
    assert module.simulated_power(1.0, 3, 9, 0.05, simulations=200, rng=5) == whole


def test_noise_takes_a_group_that_is_pruned() -> None:
    experiment = counts("resnet20", seeds=2)
    none = dataclasses.replace(experiment, exempt=np.ones(len(experiment.names), bool))
    with pytest.raises(RgtoolError, match="every group is exempt from pruning"):
        measured_noise(None, none)
