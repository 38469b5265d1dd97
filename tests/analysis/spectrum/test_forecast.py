"""Forecasts of collapse: against networks that are pruned to the end, and what is not to be had."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from command import Cli
from stores import write_run
from synthetic import first_levels, without
from untrained import untrained

import rgtool
from rgtool.analysis.spectrum.forecast import Forecast, forecast
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.store.counts import Counts


def first_empty(counts: Counts) -> np.ndarray:
    """Level of the first record without a weight, by loops: (S, L)."""
    out = np.full((len(counts.runs), len(counts.names)), np.inf)
    for run, levels in enumerate(counts.kept):
        for layer in range(levels.shape[1]):
            for level, kept in enumerate(levels[:, layer]):
                if kept == 0:
                    out[run, layer] = level
                    break
    return out


@pytest.fixture(scope="module")
def made() -> Counts:
    return untrained(seeds=3, levels=30)


@pytest.fixture(scope="module")
def found(made: Counts) -> Forecast:
    return forecast(None, made, window=(1, 10))


@pytest.mark.parametrize("init", ["kaiming_normal", "kaiming_uniform"])
def test_untrained_networks_are_forecast_within_two_levels_and_covered(init: str) -> None:
    """Levels of 6 experiments that run empty later, those of one run and the mean of three."""
    errors, inside, inside_run = [], [], []
    for rng in range(6):
        counts = untrained(seeds=3, levels=30, rng=rng, init=init)
        now, truth = forecast(None, counts, window=(1, 10), draws=300), first_empty(counts)
        of = np.isfinite(truth).all(axis=0) & (counts.kept[:, 10] > 0).any(axis=0)
        mean = truth.mean(axis=0)
        assert of.sum() >= 5
        errors += (now.level.value - mean)[of].tolist()
        inside += ((now.level.low <= mean) & ~(now.level.high < mean))[of].tolist()
        inside_run += ((now.run.low <= truth) & ~(now.run.high < truth))[:, of].ravel().tolist()
    seen = np.array(errors)[np.isfinite(errors)]  # a layer may outlast the rest in half the draws
    assert len(seen) > 0.9 * len(errors)
    assert np.sqrt(np.mean(np.square(seen))) < 2 and abs(np.mean(seen)) < 0.8
    assert np.mean(inside) >= 0.85 and np.mean(inside_run) >= 0.9


def test_drift_that_lasts_is_met_better_than_without_it_and_covered() -> None:
    drift = np.array([0.0, 0.02, -0.02, 0.015, -0.015, 0.0, 0.02, -0.02, 0.0, 0.0])
    errors, inside = [], []
    for rng in range(4):
        counts = untrained(seeds=3, levels=30, drift=drift, rng=rng)
        now, truth = forecast(None, counts, window=(1, 10), draws=300), first_empty(counts)
        of, mean = np.isfinite(truth).all(axis=0), truth.mean(axis=0)
        seen = np.where(np.isnan(now.level.value), now.end, now.level.value)
        errors += (seen - mean)[of].tolist()
        inside += ((now.level.low <= mean) & ~(now.level.high < mean))[of].tolist()
    assert np.mean(inside) >= 0.85
    assert np.sqrt(np.mean(np.square(errors))) < 4


def test_only_the_window_is_looked_at(made: Counts, found: Forecast) -> None:
    early = forecast(None, first_levels(made, 11))
    assert early.level == found.level and early.window == (1, 10)
    assert np.isnan(early.observed).all() and "collapsed" not in early.outlook
    truth = first_empty(made)
    here = np.isfinite(truth).all(axis=0)
    np.testing.assert_allclose(found.observed[here], truth.mean(axis=0)[here])
    assert np.isnan(found.observed[~here]).all()
    assert [out == "collapsed" for out in found.outlook] == here.tolist()
    assert any(note.startswith("forecast less record") for note in found.notes)


def test_intervals_hold_the_forecast_and_follow_the_draws(made: Counts, found: Forecast) -> None:
    for one in (found.level, found.run, found.density):
        seen = np.isfinite(one.high) & np.isfinite(one.low)
        assert seen.sum() >= 5
        assert (one.low[seen] <= one.value[seen]).all()
        assert (one.value[seen] <= one.high[seen]).all()
    width = found.level.high - found.level.low
    assert np.nanmean(width) < np.nanmean(found.run.high - found.run.low)
    assert forecast(None, made, window=(1, 10)).level == found.level
    other = forecast(None, made, window=(1, 10), rng=1)
    seen = np.isfinite(found.level.low)
    np.testing.assert_allclose(other.level.low[seen], found.level.low[seen], atol=1.5)


def test_the_density_is_that_of_the_network_at_the_level(made: Counts, found: Forecast) -> None:
    seen = np.isfinite(found.level.value)
    density = 0.8 ** found.level.value[seen]
    np.testing.assert_allclose(found.density.value[seen], density, rtol=0.01)
    assert found.end == pytest.approx(np.log(made.total.sum()) / -np.log(0.8), abs=0.1)


def test_a_group_is_empty_when_its_last_layer_is(made: Counts, found: Forecast) -> None:
    blocks = forecast(None, made, by="block", window=(1, 10))
    assert blocks.by == "block" and " by block: " in blocks.title
    of = {layer.name: layer.block for layer in made.layers}
    truth = first_empty(made)
    for name, level, kept, seen in zip(
        blocks.names, blocks.level.value, blocks.kept, blocks.observed, strict=True
    ):
        members = [i for i, layer in enumerate(found.names) if of[layer] == name]
        assert kept == pytest.approx(found.kept[members].sum())
        if np.isfinite(level):
            assert level >= np.nanmax(found.level.value[members]) - 1e-9
        last = truth[:, members].max(axis=1)
        np.testing.assert_equal(seen, last.mean() if np.isfinite(last).all() else np.nan)
    alone = [name for name in blocks.names if list(of.values()).count(name) == 1]
    assert alone
    for name in alone:
        layer = next(layer for layer, block in of.items() if block == name)
        one, other = blocks.names.index(name), found.names.index(layer)
        np.testing.assert_equal(blocks.level.value[one], found.level.value[other])


def test_exempt_weights_stay() -> None:
    """LeNet on digits: the output layer is a thirty-fifth of the weights, and never goes."""
    counts = untrained("lenet", seeds=2, levels=14)
    assert counts.exempt.tolist() == [False, False, True]
    now = forecast(None, counts, window=(1, 6))
    share = counts.total[2] / counts.total.sum()
    assert now.names == ("fc1", "fc2")
    assert any("fc: exempt from pruning" in note and f"{share:.3g}" in note for note in now.notes)
    end = np.log(counts.total.sum() / (counts.total[2] + 1)) / -np.log(0.8)
    assert now.end == pytest.approx(end, abs=0.05)
    for one in (now.density.value, now.density.low, now.density.high):
        assert not (one < share).any()
    stages = dataclasses.replace(counts, exempt=np.array([False, True, True]))
    assert forecast(None, stages, window=(1, 6)).names == ("fc1",)


def test_exempt_weights_hasten_the_others() -> None:
    """Where .23 of the weights stay, the others are gone at level 7, and the largest at level 6."""
    counts = untrained(seeds=3, levels=6, exempt=("layer3.0.conv1",))
    largest = "layer3.0.conv2"
    assert (first_empty(counts)[:, counts.names.index(largest)] == 6).all()
    early = forecast(None, first_levels(counts, 5))
    share = counts.total[counts.exempt].sum() / counts.total.sum()
    assert early.end == pytest.approx(np.log(share) / np.log(0.8), abs=0.05)
    assert early.level.low[early.names.index(largest)] == 6
    assert "layer3.0.conv1" not in early.names


def test_groups_with_exempt_layers_never_empty(made: Counts) -> None:
    exempt = np.array([name == "layer1.0.conv1" for name in made.names])
    counts = dataclasses.replace(made, exempt=exempt, exempt_layers=("layer1.0.conv1",))
    kept = np.where(exempt, made.total, made.kept)
    now = forecast(None, dataclasses.replace(counts, kept=kept), by="block", window=(1, 10))
    assert "1.0" not in now.names and "2.0" in now.names


def test_a_layer_that_is_empty_already_takes_no_part(made: Counts) -> None:
    truth = first_empty(made)
    last = int(np.sort(truth.max(axis=0))[2])  # three layers have gone
    now = forecast(None, first_levels(made, last + 1))
    assert now.window == (1, last)
    gone = (made.kept[:, last] == 0).all(axis=0)
    assert gone.sum() >= 3
    assert np.isnan(now.level.value[gone]).all() and np.isnan(now.level.low[gone]).all()
    np.testing.assert_allclose(now.observed[gone], truth.mean(axis=0)[gone])
    assert {out for out, flag in zip(now.outlook, gone, strict=True) if flag} == {"collapsed"}
    later = np.isfinite(truth).all(axis=0) & ~gone
    assert later.any()
    assert (np.abs(now.level.value - truth.mean(axis=0))[later] < 4).all()


def test_a_collapse_of_some_runs_alone_is_none(made: Counts) -> None:
    """The level of the run that has lost the layer is on record, the others' are forecast."""
    truth = first_empty(made)
    gone = np.flatnonzero(np.isfinite(truth).all(axis=0))
    layer = int(gone[np.ptp(truth[:, gone], axis=0).argmax()])
    end = int(truth[:, layer].max()) - 1
    assert truth[:, layer].min() < end
    now = forecast(None, first_levels(made, end + 1))
    assert np.isnan(now.observed[layer]) and now.outlook[layer] == "collapses"
    assert now.run.low[layer] == truth[:, layer].min()
    assert abs(now.level.value[layer] - truth[:, layer].mean()) < 3


def test_levels_that_are_missing_are_no_collapse(made: Counts) -> None:
    now = forecast(None, without(first_levels(made, 12), (0, 11)))
    assert np.isnan(now.observed).all() and now.window == (1, 10)


def test_too_few_levels_give_no_interval_and_say_so(made: Counts) -> None:
    for levels, interval in ((3, False), (4, False), (5, True)):
        now = forecast(None, first_levels(made, levels))
        assert np.isfinite(now.level.value).any()
        assert np.isfinite(now.level.low).any() == interval
        assert any(note.startswith("no interval") for note in now.notes) != interval
    assert now.to_frame()["level"].null_count() < len(now.names)


def test_one_seed_has_an_interval_for_itself(made: Counts) -> None:
    now = forecast(None, made.select([1]), window=(1, 10))
    assert np.isfinite(now.level.high).any() and now.level == now.run
    assert any("one seed" in note for note in now.notes)


def test_seeds_that_are_equal_are_no_error(made: Counts) -> None:
    kept = np.stack([made.kept[0], made.kept[0]])
    two = dataclasses.replace(made.select([0, 1]), kept=kept)
    now, one = (forecast(None, c, window=(1, 10)) for c in (two, made.select([0])))
    seen = np.isfinite(now.level.value) & np.isfinite(one.level.value)
    assert seen.sum() >= 5
    np.testing.assert_allclose(now.level.value[seen], one.level.value[seen], atol=2.5)


def test_densities_do_not_depend_on_the_steps_they_are_reached_in() -> None:
    """The same network pruned by 20 % and by 36 % a level: twice the levels, one density."""
    slow, fast = untrained(levels=30), untrained(levels=15, retention=0.64)
    one, other = forecast(None, slow, window=(1, 10)), forecast(None, fast, window=(1, 5))
    seen = np.isfinite(one.level.value) & np.isfinite(other.level.value)
    assert seen.sum() >= 5
    step = np.log(one.density.value / other.density.value)[seen] / np.log(0.64)
    assert np.abs(step).max() < 1.6 and abs(step.mean()) < 0.8


def test_retention_that_changes_is_told() -> None:
    retention = np.concatenate([np.linspace(0.9, 0.7, 10), np.full(8, 0.7)])
    counts = untrained(levels=18, retention=retention)
    now, truth = forecast(None, counts, window=(1, 9)), first_empty(counts)
    (note,) = (note for note in now.notes if "levels go on" in note)
    kept = counts.kept.sum(axis=-1)[0]
    assert f"{kept[9] / kept[8]:.2f}" in note
    assert now.end == pytest.approx(9 + np.log(kept[9]) / np.log(kept[8] / kept[9]), abs=0.01)
    steady = forecast(None, counts, window=(11, 17))
    assert not any("levels go on" in note for note in steady.notes)
    seen = np.isfinite(truth).all(axis=0) & np.isfinite(now.level.value)
    network = np.log(kept / kept[0])
    density = np.exp(np.interp(truth.mean(axis=0), np.arange(19), network))
    assert seen.sum() >= 4
    assert np.abs(np.log(now.density.value / density)[seen]).max() < 1


def test_layers_that_outlast_the_others_are_not_in_sight(found: Forecast) -> None:
    late = [i for i, outlook in enumerate(found.outlook) if outlook == "not in sight"]
    assert late and np.isnan(found.level.value[late]).all()
    (note,) = (note for note in found.notes if "not before level" in note)
    assert all(found.names[i] in note for i in late)
    assert f"not before level {found.end:.0f}," in note
    assert found.to_frame()["level"][late[0]] is None


def test_uniform_weights_that_have_moved_are_forecast_as_gaussian_ones() -> None:
    """As training leaves them, and as Gaussian draws under the name of a uniform law are."""
    initial = untrained(seeds=2, levels=9, init="kaiming_uniform")
    told = forecast(None, initial, window=(1, 8), draws=50)
    assert any("scales of uniform weights" in note for note in told.notes)
    assert not any("as they were drawn" in note for note in told.notes)
    normal = untrained(seeds=2, levels=12)
    moved = dataclasses.replace(normal, recipe=initial.recipe)
    now = forecast(None, moved, window=(1, 8), draws=50)
    assert any("no longer as they were drawn" in note for note in now.notes)
    assert now.level == forecast(None, normal, window=(1, 8), draws=50).level


def test_a_layer_alone_lasts_until_nothing_is_left() -> None:
    counts = untrained("lenet", seeds=2, levels=6, exempt=("fc2", "fc"))
    now = forecast(None, counts)
    assert now.names == ("fc1",) and now.outlook == ("not in sight",)
    assert any(note.startswith(f"fc1: not before level {now.end:.0f}, where") for note in now.notes)
    assert not any("other groups" in note for note in now.notes)


def test_what_is_assumed_of_an_import_is_said(made: Counts) -> None:
    told = forecast(None, made, window=(1, 8), draws=50)
    assert not any("assumed" in note or "which need not be" in note for note in told.notes)
    of_import = dataclasses.replace(made, assumed=("pruner", "scope", "init", "fan"))
    notes = forecast(None, of_import, window=(1, 8), draws=50).notes
    assert any("assumed" in note and "pruner magnitude, scope global" in note for note in notes)
    assert any("nothing of the import tells the initialiser" in note for note in notes)
    studied = dataclasses.replace(of_import, study="chen2021a")
    notes = forecast(None, studied, window=(1, 8), draws=50).notes
    assert any("recipe chen2021a" in note and "init kaiming_normal" in note for note in notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pruner": "random"}, "pruner random and scope global: there every layer keeps about"),
        ({"pruner": "synflow"}, "pruner synflow and scope global: there scores, not magnitudes,"),
        ({"scope": "layerwise"}, "pruner magnitude and scope layerwise: there every layer"),
    ],
)
def test_what_one_threshold_does_not_prune_is_refused(
    made: Counts, changes: dict[str, str], words: str
) -> None:
    recipe = dataclasses.replace(made.recipe, **changes)  # type: ignore[arg-type]
    with pytest.raises(RgtoolError, match=words):
        forecast(None, dataclasses.replace(made, recipe=recipe))


def test_what_cannot_be_forecast_is_refused_in_words(made: Counts) -> None:
    with pytest.raises(RgtoolError, match="all layers are exempt"):
        forecast(None, dataclasses.replace(made, exempt=np.ones(len(made.names), bool)))
    with pytest.raises(UsageError, match="give counts by layer"):
        forecast(None, dataclasses.replace(made, by="block"))
    with pytest.raises(UsageError, match="no stages"):
        forecast(None, untrained("lenet", seeds=1, levels=4), by="stage")
    still = made.kept.copy()
    still[:, 10:] = still[:, 10:11]
    with pytest.raises(RgtoolError, match="nothing was pruned in the step to level 12"):
        forecast(None, dataclasses.replace(made, kept=still), window=(1, 12))
    lenet = untrained("lenet", seeds=2, levels=12)
    gone = np.where(lenet.exempt, lenet.kept, 0)
    kept = np.concatenate([lenet.kept[:, :12], gone[:, 12:]], axis=1)
    with pytest.raises(RgtoolError, match="at level 12 nothing is left"):
        forecast(None, dataclasses.replace(lenet, kept=kept))


def test_the_command_prints_the_forecast(cli: Cli, tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, seed, levels=6)
    store = ("--store", str(tmp_path))
    code, out, err = cli("forecast", "resnet8w4/digits", "--by", "stage", *store)
    assert code == 0 and out.split()[:2] == ["name", "kept"] and "from the counts of" in err
    code, out, _ = cli("forecast", "--json", *store)
    rows = json.loads(out)
    assert code == 0 and {"name", "level", "run_low", "density", "outlook"} <= set(rows[0])
    now = rgtool.forecast(rgtool.Store(tmp_path))
    assert [row["name"] for row in rows] == list(now.names)
    assert now.title in now.summary() and "<table" in now._repr_html_()


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
