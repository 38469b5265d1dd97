"""Charts of the paper's slices: planes of two shares."""

import numpy as np
import pytest
from flows import write_experiment
from synthetic import counts
from vegalite import as_json, check

from rgtool import Store
from rgtool.analysis import flow
from rgtool.analysis.charts.slices import slice_charts
from rgtool.schemas.errors import UsageError


def test_planes_are_those_of_the_groups_that_move_most():
    experiment = counts(seeds=3)
    charts = slice_charts([experiment])
    assert [chart.key for chart in charts] == ["slice-0", "slice-1", "slice-2"]
    share = flow.shares(experiment.kept).mean(axis=0)
    moved = share.max(axis=0) - share.min(axis=0)
    names = [experiment.names[group] for group in sorted(np.argsort(-moved)[:3])]
    assert charts[0].title == f"block {names[0]} and block {names[1]}: shares of kept weights"
    for chart in charts:
        check(chart)


def test_points_are_means_and_thin_lines_single_runs():
    experiment = counts(seeds=3)
    (chart,) = slice_charts([experiment], [("1.0", "3.2")])
    share = flow.shares(experiment.kept)
    i, j = (experiment.names.index(name) for name in ("1.0", "3.2"))
    rows, paths = chart.data["rows"], chart.data["paths"]
    np.testing.assert_allclose(rows["x"].to_numpy(), share[..., i].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(rows["y"].to_numpy(), share[..., j].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(paths["x"].to_numpy(), share[..., i].ravel(), rtol=1e-12)
    assert paths["run"].unique(maintain_order=True).to_list() == list(experiment.runs)


def test_several_experiments_have_a_marker_each(tmp_path):
    one = write_experiment(tmp_path)
    other = write_experiment(tmp_path, seeds=2, task="mnist", shift={"1": 0.03})
    store = Store(tmp_path)
    experiments = [store.counts(one), store.counts(other)]
    chart = slice_charts(experiments)[0]
    spec = check(chart)
    assert set(chart.data) == {"rows"}
    assert len(spec["layer"][1]["encoding"]["shape"]["scale"]["domain"]) == 2
    found = store.sql(chart.query).polars()
    drawn = chart.data["rows"].sort("experiment_id", "level")
    for column in ("level", "density", "x", "y", "runs"):
        np.testing.assert_allclose(found[column], drawn[column], rtol=1e-12)


def test_groups_must_be_the_same():
    with pytest.raises(UsageError, match="same groups"):
        slice_charts([counts("resnet20", seeds=1), counts("resnet56", seeds=1)])


def test_one_run_has_no_lines_of_others():
    chart = slice_charts([counts(seeds=1)])[0]
    assert as_json(chart)["layer"][0]["data"] == {"name": "rows"}
    assert "single runs" not in chart.caption
