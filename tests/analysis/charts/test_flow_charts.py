"""Charts of the flow hold the shares and scales, and are what Vega-Lite 5 reads."""

import numpy as np
from synthetic import counts, without
from vegalite import check

from rgtool.analysis import flow
from rgtool.analysis.charts.flow import flow_chart


def test_flow_has_every_groups_share_at_every_level():
    experiment = counts("resnet20", seeds=3)
    chart = flow_chart(experiment)
    rows = chart.data["rows"]
    share = flow.shares(experiment.kept)
    np.testing.assert_allclose(rows["share"].to_numpy(), share.mean(axis=0).ravel(), rtol=1e-12)
    np.testing.assert_allclose(rows["low"].to_numpy(), share.min(axis=0).ravel(), rtol=1e-12)
    np.testing.assert_allclose(rows["high"].to_numpy(), share.max(axis=0).ravel(), rtol=1e-12)
    assert rows["name"].to_list() == list(experiment.names) * 13
    spec = check(chart)
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["area", "line", "point"]


def test_flow_tells_how_many_runs_have_a_level():
    rows = flow_chart(without(counts(seeds=2), (0, 4), (1, 4), (1, 5))).data["rows"]
    assert rows["level"].unique().to_list() == [n for n in range(13) if n != 4]
    assert dict(zip(rows["level"], rows["runs"], strict=True))[5] == 1
