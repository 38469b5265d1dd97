"""What interventions show of experiments whose answers are known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from perturbed import perturbed
from synthetic import without

from rgtool import RgtoolError
from rgtool.analysis.chance import TEST_IMAGES
from rgtool.analysis.response.intervention import Intervention, measure_intervention
from rgtool.analysis.response.perturbed import Perturbed
from rgtool.runner.datasets.known_data import KNOWN_DATA
from rgtool.schemas.errors import UsageError
from rgtool.schemas.notes import Rank
from rgtool.store.counts import Counts

SLOPE = (-0.1, -0.6, 0.0, 0.3, 0.0)  # stem, three stages, head


def expected(what: Perturbed) -> np.ndarray:
    """chi of the slopes, by the shares of the groups."""
    base = what.unperturbed
    assert isinstance(base, Counts)
    kept = base.kept[0, 3, ~base.exempt].astype(float)
    share, slope = kept / kept.sum(), np.array(SLOPE)[~base.exempt]
    return np.asarray((slope - share * slope.sum()) / (1 - share))


def replaced(what: Perturbed, key: tuple[str, str], one: Counts) -> Perturbed:
    return dataclasses.replace(what, children={**what.children, key: one})  # type: ignore[dict-item]


def test_known_answers_are_found() -> None:
    what = perturbed(SLOPE, noise=0.002, factor=0.95)
    found = measure_intervention(None, what)
    chi = expected(what)
    np.testing.assert_allclose(found.chi.value, chi, atol=0.06)
    assert np.mean((found.chi.low <= chi) & (chi <= found.chi.high)) > 0.5
    assert found.by_seed.shape == (5, len(chi))
    frame = found.to_frame()
    assert frame["name"].to_list() == list(found.names)
    assert dict(zip(found.names, found.judged.verdict, strict=True))["1"] == "falls"
    assert set(frame["sides"]) == {"both"} and frame["exponent"].null_count() == 0
    assert found.closure.value == pytest.approx(0.0, abs=0.1)
    assert found.share.sum() == pytest.approx(1.0)
    assert "the error falls where weights come in: stem, 1; it rises: 2, 3" in found.notes[0]


def test_without_noise_chi_is_exact_to_the_curvature_of_large_groups() -> None:
    what = perturbed(SLOPE)
    found = measure_intervention(None, what)
    small = found.share < 0.2
    np.testing.assert_allclose(found.chi.value[small], expected(what)[small], atol=0.03)
    error = found.to_frame()["error"]
    np.testing.assert_allclose(error, 0.1, atol=1e-4)
    thinner, thicker = found.error_thinner, found.error_thicker
    assert thinner[1] > 0.1 > thicker[1]
    assert any("3 has more than half of the weights" in note for note in found.notes)


def test_exempt_groups_are_no_part_of_it() -> None:
    what = perturbed(SLOPE, exempt=["head"], factor=0.95)
    found = measure_intervention(None, what)
    assert found.names == ("stem", "1", "2", "3") and found.share.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(found.chi.value, expected(what), rtol=0.15, atol=0.06)
    assert found.closure.value == pytest.approx(0.0, abs=0.1)


def test_what_becomes_of_a_perturbation_later_is_no_matter() -> None:
    now, later = (
        measure_intervention(None, perturbed(SLOPE, carried)) for carried in (None, 0.5 * np.eye(5))
    )
    np.testing.assert_array_equal(now.by_seed, later.by_seed)


def test_y_and_tau_stand_beside() -> None:
    what = perturbed(SLOPE, noise=0.005)
    found = measure_intervention(None, what)
    assert found.window == "1:5" and -1 <= found.tau.value <= 1
    assert any("Kendall's tau" in note for note in found.notes)
    short = measure_intervention(None, what, window=(2, 4))
    assert short.window == "2:4"
    none = measure_intervention(None, what, window=(2, 9))
    assert none.window == "" and np.isnan(none.exponent.value).all()
    assert math.isnan(none.tau.value) and not any("Kendall" in note for note in none.notes)
    assert any("no exponents stand beside" in note for note in none.notes)


def test_a_side_that_is_refused_leaves_the_other() -> None:
    gone = [("1", "thicker"), ("3", "thinner")]
    what = perturbed(SLOPE, noise=0.002, factor=0.95, refused=gone)  # type: ignore[arg-type]
    found = measure_intervention(None, what)
    frame = found.to_frame()
    sides = dict(zip(frame["name"], frame["sides"], strict=True))
    assert (sides["1"], sides["2"], sides["3"]) == ("thinner", "both", "thicker")
    np.testing.assert_allclose(found.chi.value, expected(what), rtol=0.15, atol=0.06)
    one = frame.filter(name="1")
    assert one["error_thicker"].item() is None and one["error_thinner"].item() > 0.1
    assert any("1 cannot be made thicker, so it is one-sided" in note for note in found.notes)


def test_a_group_that_cannot_be_perturbed_is_left_out_and_nothing_closes() -> None:
    what = perturbed(SLOPE, refused=[("1", "thicker"), ("1", "thinner")])
    found = measure_intervention(None, what)
    assert "1" not in found.names and math.isnan(found.closure.value)
    assert found.share.sum() < 1
    none = dataclasses.replace(what, children={})
    with pytest.raises(RgtoolError, match="no group by stage can be perturbed: too few"):
        measure_intervention(None, none)


def test_seeds_that_lack_a_run_are_left_out() -> None:
    what = perturbed(SLOPE, noise=0.01)
    key = ("2", "thicker")
    child = what.children[key]
    assert isinstance(child, Counts)
    found = measure_intervention(None, replaced(what, key, without(child, (1, 3))))
    assert found.by_seed.shape[0] == 4 and "4 seeds" in found.what
    assert any("seeds 1 lack a run" in note for note in found.notes)
    source = what.source
    assert isinstance(source, Counts)
    other = source.kept.copy()
    other[1, -1, 1] //= 2  # of the seed that is left out
    changed = dataclasses.replace(what, source=dataclasses.replace(source, kept=other))
    again = measure_intervention(None, replaced(changed, key, without(child, (1, 3))))
    assert again.exponent == found.exponent
    every = without(child, *((seed, 3) for seed in range(5)))
    with pytest.raises(RgtoolError, match="no seed has all of its perturbed runs"):
        measure_intervention(None, replaced(what, key, every))


def guessed(one: Counts) -> Counts:
    return dataclasses.replace(one, accuracy=np.full_like(one.accuracy, 0.1))


def test_networks_that_guess_are_told_first() -> None:
    what = perturbed(SLOPE)
    base = what.unperturbed
    assert isinstance(base, Counts)
    found = measure_intervention(None, dataclasses.replace(what, unperturbed=guessed(base)))
    assert found.notes[0].rank == Rank.VOID and "guessing" in found.notes[0]


def test_one_seed_has_no_interval() -> None:
    found = measure_intervention(None, perturbed(SLOPE, seeds=1, noise=0.01))
    assert np.isnan(found.chi.low).all() and set(found.judged.verdict) == {""}
    assert any("one seed has no interval" in note for note in found.notes)


def test_seeds_within_an_image_are_told() -> None:
    def told(found: Intervention) -> bool:
        return any("within one" in note for note in found.notes)

    assert told(measure_intervention(None, perturbed(SLOPE)))
    assert not told(measure_intervention(None, perturbed(SLOPE, noise=0.05)))


@pytest.mark.parametrize("task", list(TEST_IMAGES))
def test_what_an_image_is_worth_follows_from_the_task(task: str) -> None:
    """Accuracies that are apart by ten images each do not tell it, and need not."""
    images = TEST_IMAGES[task]
    assert images == KNOWN_DATA[task].test

    def of(one: object, wrong: int) -> Counts:
        assert isinstance(one, Counts)
        recipe = dataclasses.replace(one.recipe, task=task)
        accuracy = np.where(np.isnan(one.accuracy), np.nan, 1 - wrong / images)
        return dataclasses.replace(one, recipe=recipe, accuracy=accuracy)

    what = perturbed(SLOPE, noise=0.002)
    what = dataclasses.replace(
        what,
        source=of(what.source, 0),
        unperturbed=of(what.unperturbed, 0),
        children={key: of(one, 10 * (key[1] == "thinner")) for key, one in what.children.items()},
    )
    found = measure_intervention(None, what)
    np.testing.assert_allclose(found.error_thicker, 0.5 / images)
    assert not any("is not known" in note for note in found.notes)


def test_a_response_that_is_not_linear_is_told() -> None:
    what = perturbed(SLOPE, noise=0.002)
    worse = {
        key: dataclasses.replace(one, accuracy=one.accuracy - 0.05 * (key[1] == "thicker"))
        for key, one in what.children.items()
        if isinstance(one, Counts)
    }
    found = measure_intervention(None, dataclasses.replace(what, children=worse))
    assert found.closure.low > 0
    assert any("too large for that" in note for note in found.notes)


@pytest.mark.parametrize("margin", [0, -1, math.nan])
def test_a_margin_is_positive(margin: float) -> None:
    with pytest.raises(UsageError, match="margin"):
        measure_intervention(None, perturbed(SLOPE), margin=margin)


def test_a_figure_shows_every_group() -> None:
    found = measure_intervention(None, perturbed(SLOPE, noise=0.01))
    (axes,) = found.plot().axes
    assert {text.get_text() for text in axes.texts} == {*found.names}
    assert "chi" in axes.get_ylabel() and "growth" in axes.get_xlabel()
    alone = measure_intervention(None, perturbed(SLOPE, noise=0.01), window=(2, 9))
    assert alone.plot().axes[0].get_xlabel() == "group"
