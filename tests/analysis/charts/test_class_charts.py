"""Charts of classes: a tree and a matrix in the order of its leaves."""

import csv
import io
import shlex

import flows
import numpy as np
import pytest
from drawn import chosen_by_legend, holds, views
from scipy.cluster.hierarchy import cophenet
from scipy.spatial.distance import squareform
from vegalite import check

from rgtool import Store, classify
from rgtool.analysis.charts.classes import classes_chart
from rgtool.store import published_names

CLASSES = classify(experiments=published_names()[:6], draws=50)


def panels(chart):
    return check(chart)["hconcat"]


def test_leaves_are_in_one_order_in_all_panels():
    chart = CLASSES.chart()
    holds(chart)
    tree, strip, heat = panels(chart)
    leaves = chart.data["members"]["name"].to_list()
    assert sorted(leaves) == sorted(name.removeprefix("published:") for name in CLASSES.names)
    domains = {
        tuple(view["encoding"][channel]["scale"]["domain"])
        for panel in (strip, heat)
        for view in views(panel)
        for channel in ("x", "y")
        if channel in view["encoding"]
    }
    assert domains == {tuple(leaves)}
    assert tree["encoding"]["y"]["scale"]["domain"] == [0, len(leaves)]
    assert tree["height"] == strip["height"] == heat["height"]["step"] * len(leaves)


def test_the_tree_joins_leaves_at_their_distance():
    chart = CLASSES.chart()
    leaves = chart.data["members"]["experiment"].to_list()
    joined = squareform(cophenet(CLASSES.clusters.linkage))
    corners = chart.data["tree"].partition_by("merge", maintain_order=True)
    assert len(corners) == len(leaves) - 1
    under = {i + 0.5: {one} for i, one in enumerate(leaves)}  # by where their branch stands
    position = {one: i for i, one in enumerate(CLASSES.experiments)}
    for corner in sorted(corners, key=lambda one: one["distance"].max()):
        (left, _, _, right), height = corner["place"].to_list(), corner["distance"].max()
        for a in under[left]:
            for b in under[right]:
                assert joined[position[a], position[b]] == pytest.approx(height)
        under[(left + right) / 2] = under[left] | under[right]
    assert set(leaves) in under.values()


def test_the_matrix_has_every_pair_twice_and_marks_its_verdict():
    chart = CLASSES.chart()
    rows, pairs = chart.data["rows"], CLASSES.pair_table.to_frame()
    assert rows.select(pairs.columns).equals(pairs, null_equal=True)
    sure = CLASSES.certainty
    np.testing.assert_allclose(
        rows["together"], sure.together[CLASSES.pairs.first, CLASSES.pairs.second]
    )
    heat = panels(chart)[2]
    cells = [view for view in views(heat) if view["mark"]["type"] == "rect"]
    places = [(v["encoding"]["y"]["field"], v["encoding"]["x"]["field"]) for v in cells]
    assert places == [("name_a", "name_b"), ("name_b", "name_a")]
    marked = [v["transform"][0]["filter"]["oneOf"] for v in views(heat) if v not in cells]
    assert marked == [["different"], ["same"]] * 2
    assert "cross" in chart.caption


def test_the_legend_of_classes_chooses_cells_too():
    chart = CLASSES.chart()
    spec = check(chart)
    assert chosen_by_legend(spec) == {"chosen_class": ["class"]}
    faded = [view["encoding"]["opacity"]["condition"] for view in views(spec["hconcat"][2])
             if view["mark"]["type"] == "rect"]  # fmt: skip
    assert [one["param"] for one in faded] == ["chosen_class"] * 2


def test_many_have_small_cells_without_marks():
    many = classify(experiments=[*published_names()], draws=2)
    size = len(many.experiments)
    heat = panels(classes_chart(many))[2]
    assert heat["width"]["step"] == max(8, min(28, 420 // size))


def test_its_command_prints_its_rows(cli, tmp_path):
    store = tmp_path / "rgstore"
    names = [flows.write_experiment(store, rng=1)]
    names.append(flows.write_experiment(store, rng=2, task="mnist", shift={"1": 0.1}))
    chart = classify(Store(store), names, by="exponent", grouping="stage").chart()
    done = cli(*shlex.split(chart.query)[1:])
    assert done.code == 0, done.err
    printed = list(csv.DictReader(io.StringIO(done.out)))
    rows = chart.data["rows"]
    assert [one["verdict"] for one in printed] == rows["verdict"].to_list()
    assert [float(one["distance"]) for one in printed] == pytest.approx(rows["distance"].to_list())
    check(chart)
