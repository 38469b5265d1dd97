"""Parallel coordinates: recipes beside the matching density of each."""

import dataclasses

import numpy as np
import pytest
import stores
from synthetic import counts, without
from vegalite import check

from rgtool import RgtoolError, Store
from rgtool.analysis.charts.recipes import recipe_chart
from rgtool.analysis.curves.matching import matching_density
from rgtool.schemas.recipe import Recipe


def experiment(rng=0, **fields):
    """An experiment with other fields of its recipe."""
    found = counts(seeds=2, levels=6, rng=rng)
    recipe = dataclasses.replace(found.recipe, **fields)
    return dataclasses.replace(found, recipe=recipe, experiment_id=recipe.experiment_id)


@pytest.fixture
def several():
    """Three experiments that differ in two fields."""
    return [
        experiment(0, rewind="1000it", lr=0.1),
        experiment(1, rewind="500it", lr=0.03),
        experiment(2, rewind="0it", lr=0.03),
    ]


def test_axes_are_the_fields_that_differ_and_what_is_reached(several):
    rows = recipe_chart(several).data["rows"]
    axes = ["lr", "rewind", "dense accuracy", "matching density"]
    assert rows["axis"].to_list() == axes * 3
    found = [matching_density(None, one).density.value for one in several]
    assert rows["density"].to_list() == [value for value in found for _ in axes]
    check(recipe_chart(several))


def test_values_stand_by_size_at_equal_distances(several):
    rows = recipe_chart(several).data["rows"]
    rewind = rows.filter(rows["axis"] == "rewind")
    assert rewind["value"].to_list() == ["1000it", "500it", "0it"]
    assert rewind["place"].to_list() == [1.0, 0.5, 0.0]


def test_the_sparsest_matching_density_stands_above():
    falls = [
        dataclasses.replace(one, accuracy=0.9 - 0.1 * (one.levels > last) + 0 * one.accuracy)
        for last, one in enumerate(experiment(i, lr=0.1 * (1 + i)) for i in range(3))
    ]
    rows = recipe_chart(falls).data["rows"]
    last = rows.filter(rows["axis"] == "matching density").sort("place")
    assert last["density"].n_unique() > 1
    assert last["density"].to_list() == sorted(last["density"], reverse=True)
    assert last["place"].min() == 0
    assert last["place"].max() == 1


def test_values_that_would_stand_on_another_are_left_out():
    several = [experiment(0, lr=0.1 * (1 + i)) for i in range(30)]
    ticks = recipe_chart(several).data["ticks"]
    places = ticks.filter(ticks["axis"] == "lr")["place"].sort().to_list()
    assert places[0] == 0
    assert places[-1] == 1
    assert min(b - a for a, b in zip(places, places[1:], strict=False)) >= 1 / 12
    assert ticks.filter(ticks["place"] == 0)["value"][0] == "0.1"


def test_what_has_no_dense_accuracy_is_left_out_and_told(several):
    child = without(several[0], (0, 0), (1, 0))
    chart = recipe_chart([*several, child])
    assert "without a dense accuracy: 1 experiment" in chart.caption
    with pytest.raises(RgtoolError, match="1 experiment with an accuracy of the dense network"):
        recipe_chart([several[0], child])


def test_densities_that_differ_by_rounding_are_one(several):
    less = dataclasses.replace(several[1], kept=several[1].kept - (several[1].kept > 100))
    accuracy = several[0].accuracy
    same = [dataclasses.replace(one, accuracy=accuracy) for one in (several[0], less)]
    chart = recipe_chart(same)
    rows = chart.data["rows"].filter(axis="matching density")
    assert rows["density"].n_unique() == 2
    assert rows["place"].to_list() == [0.5, 0.5]
    assert rows["value"].n_unique() == 1
    low, high = check(chart)["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert high / low == pytest.approx(4)


def test_levels_apart_stand_apart_and_read_apart():
    one, other = experiment(0, lr=0.1), experiment(1, lr=0.2)
    flat = dataclasses.replace(one, accuracy=0 * one.accuracy + 0.9)
    falls = dataclasses.replace(other, accuracy=0.9 - 0.1 * (other.levels >= 6) + 0 * flat.accuracy)
    rows = recipe_chart([flat, falls]).data["rows"].filter(axis="matching density")
    assert sorted(rows["place"]) == [0, 1]
    assert rows["value"].n_unique() == 2
    assert recipe_chart([flat, falls]).data["rows"].filter(axis="dense accuracy")[
        "place"
    ].to_list() == [0.5, 0.5]


def test_an_interval_is_told_in_words(several):
    texts = recipe_chart(several).data["rows"]["interval"]
    assert all(" to " in text for text in texts)
    alone = [counts(seeds=1, levels=6, rng=i) for i in range(2)]
    recipes = [dataclasses.replace(c.recipe, lr=0.1 * (1 + i)) for i, c in enumerate(alone)]
    single = [
        dataclasses.replace(c, recipe=r, experiment_id=r.experiment_id)
        for c, r in zip(alone, recipes, strict=True)
    ]
    assert set(recipe_chart(single).data["rows"]["interval"]) == {"none"}


def test_the_query_gives_fields_and_what_was_reached(tmp_path):
    """Runs without a dense level, or with fewer levels, count as they do in the chart."""
    rng = np.random.default_rng(4)
    recipes = [
        Recipe(architecture="resnet8w4", task="digits", lr=lr, exempt=exempt)
        for lr in (0.1, 0.2)
        for exempt in ((), ("fc",))
    ]
    for recipe in recipes:
        for seed, there in enumerate((range(6), range(6), range(5), range(1, 6))):
            run = stores.write_run(tmp_path, seed, 5, recipe=recipe, recorded=there)
            kept = stores.counts(recipe, seed, 5)
            for level in there:
                accuracy = 0.9 - 0.01 * level * rng.uniform() + 0.02 * rng.normal()
                stores.write_record(tmp_path, recipe, run, level, kept, accuracy=accuracy)
    store = Store(tmp_path)
    experiments = [store.counts(recipe.experiment_id) for recipe in recipes]
    chart = recipe_chart(experiments)
    found = {row["experiment_id"]: row for row in store.sql(chart.query).to_dicts()}
    expected = {one.experiment_id: matching_density(None, one) for one in experiments}
    assert found.keys() == expected.keys()
    for recipe in recipes:
        row, matching = found[recipe.experiment_id], expected[recipe.experiment_id]
        assert row["matching_density"] == pytest.approx(matching.density.value, rel=1e-12)
        assert row["dense_accuracy"] == pytest.approx(matching.dense_accuracy, rel=1e-12)
        assert (row["lr"], tuple(row["exempt"])) == (recipe.lr, recipe.exempt)
    assert len({row["matching_density"] for row in found.values()}) > 1


def test_of_what_is_in_no_view_there_is_no_query(several):
    published = [
        dataclasses.replace(one, experiment_id=f"published:{i}") for i, one in enumerate(several)
    ]
    assert recipe_chart(published).query == ""
