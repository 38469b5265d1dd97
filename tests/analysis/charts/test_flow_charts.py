"""Charts of the flow hold the shares and scales, and are what Vega-Lite 5 reads."""

import dataclasses

import numpy as np
import pytest
from flows import write_experiment
from synthetic import counts, without
from vegalite import as_json, check

from rgtool import Store
from rgtool.analysis import flow
from rgtool.analysis.charts.flow import flow_chart, scale_flow_chart
from rgtool.analysis.spectrum.scale_flow import scale_flow


def marks(chart):
    """The marks of a chart's layers, from below."""
    return [layer["mark"]["type"] for layer in as_json(chart)["layer"]]


def test_flow_has_every_groups_share_at_every_level():
    experiment = counts("resnet20", seeds=3)
    chart = flow_chart(experiment)
    rows = chart.data["rows"]
    share = flow.shares(experiment.kept)
    np.testing.assert_allclose(rows["share"].to_numpy(), share.mean(axis=0).ravel(), rtol=1e-12)
    np.testing.assert_allclose(rows["low"].to_numpy(), share.min(axis=0).ravel(), rtol=1e-12)
    np.testing.assert_allclose(rows["high"].to_numpy(), share.max(axis=0).ravel(), rtol=1e-12)
    assert rows["name"].to_list() == list(experiment.names) * 13
    assert marks(chart) == ["area", "line", "point"]
    assert "bands reach" in chart.caption
    check(chart)


def test_flow_tells_how_many_runs_have_a_level():
    rows = flow_chart(without(counts(seeds=2), (0, 4), (1, 4), (1, 5))).data["rows"]
    assert rows["level"].unique().to_list() == [n for n in range(13) if n != 4]
    assert dict(zip(rows["level"], rows["runs"], strict=True))[5] == 1


@pytest.mark.parametrize(("by", "seeds"), [("block", 1), ("layer", 3)])
def test_bands_are_left_out_of_one_run_and_where_they_hide_each_other(by, seeds):
    chart = flow_chart(counts("resnet20", by, seeds=seeds))
    assert marks(chart) == ["line", "point"]
    assert "bands" not in chart.caption
    check(chart)


def test_an_empty_group_has_no_share_on_a_logarithmic_axis(tmp_path):
    experiment = write_experiment(tmp_path, collapse=4, levels=6)
    rows = flow_chart(Store(tmp_path).counts(experiment)).data["rows"]
    stem = rows.filter(rows["name"] == "stem")
    assert stem["share"].is_null().to_list() == [False] * 4 + [True] * 3


def test_the_query_of_a_flow_gives_its_rows(tmp_path):
    experiment = write_experiment(tmp_path, seeds=3)
    store = Store(tmp_path)
    chart = flow_chart(store.counts(experiment))
    found = store.sql(chart.query).polars()
    drawn = chart.data["rows"].sort("level", "name")
    assert found.columns == drawn.columns
    assert found["name"].to_list() == drawn["name"].to_list()
    for column in ("level", "density", "share", "low", "high", "runs"):
        np.testing.assert_allclose(found[column].to_numpy(), drawn[column].to_numpy(), rtol=1e-12)


def test_every_level_says_the_density_that_is_left():
    axis = as_json(flow_chart(counts(levels=2)))["layer"][1]["encoding"]["x"]["axis"]
    assert axis["values"] == [0, 1, 2]
    assert axis["labelExpr"] == "[datum.label, ['100 %','80 %','64 %'][datum.value]]"


def test_scales_are_drawn_as_shares_are(tmp_path):
    experiment = write_experiment(tmp_path, seeds=3)
    found = scale_flow(tmp_path, experiment, by="block")
    chart = scale_flow_chart(found)
    rows = chart.data["rows"]
    np.testing.assert_allclose(
        rows["scale"].to_numpy(), np.nan_to_num(found.scale.mean(axis=0).ravel(), nan=np.nan)
    )
    assert rows["level"].min() == found.window[0]
    check(chart)


def test_a_group_without_a_scale_is_in_no_legend(tmp_path):
    found = scale_flow(tmp_path, write_experiment(tmp_path, seeds=3), by="block")
    scale = found.scale.copy()
    scale[:, :, 0] = np.nan
    chart = scale_flow_chart(dataclasses.replace(found, scale=scale))
    names = as_json(chart)["layer"][1]["encoding"]["color"]["scale"]["domain"]
    assert found.names[0] not in names
    assert names == [name for name in names if name in found.names[1:]]
    assert f"Left out, without a scale: {found.names[0]}" in chart.caption
    check(chart)
