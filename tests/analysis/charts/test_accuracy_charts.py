"""The chart of accuracy: means, bands, matching densities and what guessing gives."""

import dataclasses

import numpy as np
import pytest
from flows import copy_counts, write_experiment
from synthetic import counts, without
from vegalite import as_json, check

from rgtool import RgtoolError, Store
from rgtool.analysis.charts.accuracy import accuracy_chart
from rgtool.analysis.curves.matching import matching_density


def marks(chart):
    """The marks of a chart's layers, from below."""
    return [layer["mark"]["type"] for layer in as_json(chart)["layer"]]


def test_means_and_bands_are_those_over_seeds():
    experiment = without(counts(seeds=3), (0, 5))
    rows = accuracy_chart([experiment]).data["rows"]
    accuracy = np.where(experiment.recorded, experiment.accuracy, np.nan)
    mean, sd = np.nanmean(accuracy, axis=0), np.nanstd(accuracy, axis=0, ddof=1)
    np.testing.assert_allclose(rows["accuracy"].to_numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(rows["low"].to_numpy(), mean - sd, rtol=1e-12)
    np.testing.assert_allclose(rows["high"].to_numpy(), mean + sd, rtol=1e-12)
    assert rows["runs"].to_list() == [3, 3, 3, 3, 3, 2, *[3] * 7]


def test_rings_are_matching_densities():
    experiment = counts(seeds=4)
    chart = accuracy_chart([experiment])
    (ring,) = chart.data["matching"].to_dicts()
    found = matching_density(None, experiment)
    assert ring["density"] == found.density.value
    assert (ring["low"], ring["high"]) == (found.density.low, found.density.high)
    assert marks(chart) == ["area", "line", "point", "rule", "point"]
    check(chart)


def test_one_run_has_no_band_and_a_child_nothing_to_match():
    child = without(counts(seeds=1), (0, 0))
    chart = accuracy_chart([child])
    assert marks(chart) == ["line", "point"]
    assert set(chart.data) == {"rows"}
    assert "Bands" not in chart.caption
    assert "Rings" not in chart.caption
    check(chart)


def test_guessing_is_drawn_where_curves_come_near_to_it():
    experiment = counts(seeds=2)
    near = np.linspace(0.9, 0.15, 13)[None] + np.zeros((2, 1))
    chart = accuracy_chart([dataclasses.replace(experiment, accuracy=near)])
    assert chart.data["guessing"].to_dicts() == [
        {"task": "cifar10", "guessing": pytest.approx(0.1)}
    ]
    assert "guessing gives" in chart.caption
    check(chart)
    assert "guessing" not in accuracy_chart([experiment]).data


def test_children_follow_what_has_tickets_of_its_own(tmp_path):
    parent = write_experiment(tmp_path)
    child = copy_counts(tmp_path, parent, parent=parent, control="shuffle")
    store = Store(tmp_path)
    chart = accuracy_chart([store.counts(child), store.counts(parent)])
    assert chart.data["rows"]["experiment_id"].unique(maintain_order=True).to_list() == [
        parent,
        child,
    ]
    names = as_json(chart)["layer"][1]["encoding"]["color"]["scale"]["domain"]
    assert "control=shuffle" in names[1]


def test_the_query_of_accuracies_gives_their_rows(tmp_path):
    one = write_experiment(tmp_path)
    other = write_experiment(tmp_path, seeds=2, prune=0.36)
    store = Store(tmp_path)
    chart = accuracy_chart([store.counts(one), store.counts(other)])
    found = store.sql(chart.query).polars()
    drawn = chart.data["rows"].sort("experiment_id", "level")
    assert found["experiment_id"].to_list() == drawn["experiment_id"].to_list()
    for column in ("level", "density", "accuracy", "sd", "runs"):
        np.testing.assert_allclose(found[column], drawn[column], rtol=1e-12, atol=1e-12)


def test_what_has_no_accuracy_is_left_out():
    experiment = counts(seeds=2)
    none = dataclasses.replace(experiment, accuracy=np.full(experiment.accuracy.shape, np.nan))
    with pytest.raises(RgtoolError, match="no experiment has an accuracy"):
        accuracy_chart([none])
    chart = accuracy_chart([none, experiment])
    assert len(chart.data["rows"]) == 13


def test_bands_of_many_experiments_are_left_out_and_told():
    some = [counts(seeds=2, rng=i) for i in range(9)]
    recipes = [dataclasses.replace(c.recipe, lr=0.01 * (1 + i)) for i, c in enumerate(some)]
    many = [
        dataclasses.replace(c, recipe=r, experiment_id=r.experiment_id)
        for c, r in zip(some, recipes, strict=True)
    ]
    assert "area" in marks(accuracy_chart(many[:8]))
    chart = accuracy_chart(many)
    assert "area" not in marks(chart)
    assert "Bands are left out" in chart.caption
    check(chart)


def test_one_seed_has_a_ring_and_no_bar():
    chart = accuracy_chart([counts(seeds=1)])
    assert marks(chart) == ["line", "point", "point"]
    told = [one["field"] for one in as_json(chart)["layer"][-1]["encoding"]["tooltip"]]
    assert "low" not in told
    assert "density" in told
