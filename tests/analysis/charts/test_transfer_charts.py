"""Charts of transfers and of matrices of them."""

import dataclasses

import flows
import numpy as np
import pytest
from drawn import chosen_by_legend, holds, views
from synthetic import counts
from vegalite import check

from rgtool import RgtoolError, Store
from rgtool.analysis.charts.transfer import matrix_chart, transfer_chart
from rgtool.analysis.transfer.estimate import measure_transfer
from rgtool.analysis.transfer.matrix_estimate import measure_matrix

DIGITS, OTHER = (
    counts("lenet", seeds=3, levels=4, task=task, rng=rng)
    for rng, task in enumerate(("digits", "mnist"))
)


def child(of, name, cost=0.01):
    lower = (of.accuracy - cost * np.arange(5)).clip(0, 1)
    return dataclasses.replace(of, accuracy=lower, experiment_id=name)


CHILDREN = {"transferred": child(OTHER, "one"), "shuffle": child(OTHER, "two", 0.03)}
TRANSFER = measure_transfer(None, DIGITS, OTHER, CHILDREN, spectra=False)
PAIRS = {
    (0, 1): {"transferred": child(OTHER, "a")},
    (1, 0): {"transferred": child(DIGITS, "b", 0.02)},
}
MATRIX = measure_matrix(None, [DIGITS, OTHER], PAIRS)


def test_a_transfer_has_accuracy_difference_and_matching_by_condition():
    chart = TRANSFER.chart()
    holds(chart)
    spec = check(chart)
    assert chart.data["rows"].equals(TRANSFER.to_frame(), null_equal=True)
    accuracy, less, matching = spec["vconcat"]
    drawn = [
        {
            view["encoding"]["y"].get("field")
            for view in views(panel)
            if view["mark"]["type"] == "point"
        }
        for panel in (accuracy, less, matching)
    ]
    assert drawn == [{"accuracy"}, {"to_own"}, {"condition"}]
    assert chosen_by_legend(spec) == {"chosen_condition": ["condition"]}
    assert chart.data["matching"]["condition"].to_list() == ["own", "transferred", "shuffle"]
    found = dict(chart.data["matching"].select("condition", "matching").rows())
    assert found["shuffle"] == pytest.approx(TRANSFER.matching["shuffle"].value, nan_ok=True)
    assert all(view["encoding"]["x"]["scale"]["reverse"] for view in views(accuracy))
    assert "shuffle: its masks" in chart.caption


def test_without_differences_and_matching_there_is_one_panel():
    cells = tuple(
        dataclasses.replace(cell, to_own=TRANSFER.of("own")[0].to_own) for cell in TRANSFER.cells
    )
    nothing = dataclasses.replace(TRANSFER.matching["own"], value=np.nan, low=np.nan, high=np.nan)
    bare = dataclasses.replace(
        TRANSFER, cells=cells, matching=dict.fromkeys(TRANSFER.matching, nothing)
    )
    assert len(check(transfer_chart(bare))["vconcat"]) == 1


def test_nothing_is_not_drawn():
    empty = measure_transfer(None, DIGITS, OTHER, CHILDREN, at=[9], spectra=False)
    with pytest.raises(RgtoolError, match="nothing to draw"):
        empty.chart()
    none = measure_matrix(None, [DIGITS, OTHER], {(0, 1): PAIRS[0, 1]}, at=[9])
    with pytest.raises(RgtoolError, match="no loss is known"):
        none.chart()


def test_hostile_names_of_tasks_are_written_out():
    strange = dataclasses.replace(DIGITS.recipe, task="npz:</script>\u202e.npz")
    own = dataclasses.replace(OTHER, recipe=strange)
    chart = measure_transfer(None, DIGITS, own, CHILDREN, spectra=False).chart()
    assert "\u202e" not in chart.title and "\\u202e" in chart.title


def test_its_query_gives_the_means(tmp_path):
    one = flows.write_experiment(tmp_path)
    other = flows.write_experiment(tmp_path, task="mnist", rng=1)
    store = Store(tmp_path)
    chart = measure_transfer(store, one, other, {"transferred": one}, spectra=False).chart()
    found = store.sql(chart.query).polars()
    rows = chart.data["rows"].sort("experiment_id", "level")
    assert found["experiment_id"].to_list() == rows["experiment_id"].to_list()
    np.testing.assert_allclose(found["accuracy"], rows["accuracy"])
    np.testing.assert_allclose(found["density"], rows["density"])


def test_a_matrix_has_a_point_per_pair_and_level_and_a_number_per_pair():
    chart = MATRIX.chart()
    holds(chart)
    scatter, heat = check(chart)["hconcat"]
    assert chosen_by_legend(scatter) == {"chosen_at": ["at"]}
    levels = chart.data["levels"]
    assert len(levels) == 8
    by_pair = {
        (a, b): loss for a, b, loss in chart.data["rows"].select("source", "target", "loss").rows()
    }
    assert by_pair == pytest.approx({("digits", "mnist"): 0.025, ("mnist", "digits"): 0.05})
    for (a, b), loss in by_pair.items():
        of_pair = levels.filter(source=a, target=b)
        assert of_pair["loss"].mean() == pytest.approx(loss)
    colour = next(views(heat))["encoding"]["color"]["scale"]["domain"]
    assert colour == pytest.approx([-0.1, 0.1])  # black numbers stay legible


def test_without_spectra_the_matrix_stands_alone():
    twin = dataclasses.replace(DIGITS, recipe=OTHER.recipe, experiment_id="twin")  # the same masks
    found = measure_matrix(None, [DIGITS, twin], {(0, 1): PAIRS[0, 1]})
    chart = matrix_chart(found)
    (heat,) = check(chart)["hconcat"]
    assert [view["mark"]["type"] for view in views(heat)] == ["rect", "text"]


def test_a_pair_that_tells_no_loss_has_no_number():
    chart = measure_matrix(None, [DIGITS, OTHER], {(0, 1): PAIRS[0, 1]}).chart()
    holds(chart)
    assert "Pairs without a number tell no loss." in chart.caption


def _with_matching(low, high, value=0.3):
    found = dataclasses.replace(TRANSFER.matching["shuffle"], value=value, low=low, high=high)
    return transfer_chart(
        dataclasses.replace(TRANSFER, matching={**TRANSFER.matching, "shuffle": found})
    )


@pytest.mark.parametrize(
    ("ends", "edge", "arrow"),
    [((0.2, np.nan), 0, "triangle-left"), ((np.nan, 0.6), "width", "triangle-right")],
)
def test_an_interval_without_an_end_reaches_to_the_edge(ends, edge, arrow):
    chart = _with_matching(*ends)
    panel = check(chart)["vconcat"][-1]
    (bar,) = [v for v in views(panel) if v["encoding"].get("x2") == {"value": edge}]
    assert bar["encoding"]["x"]["field"] == ("matching_low" if edge == 0 else "matching_high")
    (mark,) = [v for v in views(panel) if v["mark"].get("shape") == arrow]
    assert mark["encoding"]["x"] == {"value": edge}
    assert mark["transform"] == bar["transform"]
    assert "arrow" in chart.caption


def test_what_matches_nowhere_has_a_word():
    chart = _with_matching(np.nan, np.nan, np.nan)
    assert [v["encoding"]["text"] for v in views(check(chart)) if v["mark"]["type"] == "text"] == [
        {"value": "none"}
    ]
    assert "None: no level matches." in chart.caption
    (word,) = [v for v in views(check(chart)) if v["mark"]["type"] == "text"]
    assert word["transform"] == [{"filter": {"not": {"field": "matching", "valid": True}}}]


def test_panels_share_the_axis_of_density():
    spec = check(TRANSFER.chart())
    axes = [v["encoding"]["x"] for v in views(spec) if "scale" in v["encoding"].get("x", {})]
    domains = [axis["scale"]["domain"] for axis in axes]
    rows = TRANSFER.to_frame()["density"]
    assert len(domains) > 3
    assert all(domain == domains[0] for domain in domains)
    assert domains[0][0] == rows.min()
    assert domains[0][1] > rows.max()  # room for arrows
