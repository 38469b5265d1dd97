"""Charts of what predictions were worth, and of exponents of error curves."""

import csv
import dataclasses
import io
import shlex

import flows
import numpy as np
import pytest
from drawn import chosen_by_legend, holds, views
from vegalite import check

import rgtool
from rgtool import RgtoolError, Store, score
from rgtool.analysis.charts.gamma import gamma_chart
from rgtool.analysis.charts.scoreboard import score_chart
from rgtool.analysis.values import Refusal

RENDA = [rgtool.gamma(None, f"published:renda2020-resnet{depth}") for depth in (20, 56)]


@pytest.fixture
def store(tmp_path):
    flows.write_experiment(tmp_path / "rgstore")
    return Store(tmp_path / "rgstore")


def test_gains_stand_beside_coverage(store, cli):
    found = score(store)
    chart = found.chart()
    holds(chart)
    spec = check(chart)
    drawn = [{one["data"].get("name") for one in views(panel)} for panel in spec["hconcat"]]
    assert drawn == [{None, "gains"}, {None, "gains"}, {None, "rows"}]  # a line at 0 or 95 %
    assert chosen_by_legend(spec) == {"chosen_worth": ["worth"]}
    scored = [line for line in found.lines if np.isfinite(line.gain.value)]
    gains = chart.data["gains"].filter(against="a constant")
    np.testing.assert_allclose(gains["gain"], [line.gain.value for line in scored])
    np.testing.assert_allclose(gains["gain_low"], [line.gain.low for line in scored])
    beside = chart.data["gains"].filter(against="N1")
    np.testing.assert_allclose(
        beside["gain"], [x.gain_null.value for x in scored if np.isfinite(x.gain_null.value)]
    )
    np.testing.assert_allclose(beside["of_that"], [x.null for x in scored if np.isfinite(x.null)])
    # Rows are named once, beside the first panel.
    named = [
        view["encoding"]["y"]["axis"].get("labels", True)
        for panel in spec["hconcat"]
        for view in views(panel)
        if "y" in view["encoding"]
    ]
    assert named == [True, True, False, False, False, False]
    printed = csv.DictReader(io.StringIO(cli(*shlex.split(chart.query)[1:]).out))
    told = [float(one["gain"]) for one in printed if one["gain"]]
    np.testing.assert_allclose(told, gains["gain"])


def test_without_a_score_there_is_nothing_to_draw(store):
    with pytest.raises(RgtoolError, match="no prediction was scored"):
        score_chart(score(store, kind="gamma"))


def test_curves_have_their_points_fits_and_exponents():
    chart = gamma_chart(RENDA)
    holds(chart)
    curves, exponents = check(chart)["hconcat"]
    names = ["renda2020-resnet20-cifar10", "renda2020-resnet56-cifar10"]
    assert chart.data["rows"]["curve"].to_list() == names
    assert chart.data["rows"]["estimate"].to_list() == [one.estimate.value for one in RENDA]
    points = chart.data["points"].filter(curve=names[0])
    np.testing.assert_allclose(points["error"], RENDA[0].curve.mean)
    noise = RENDA[0].noise.mean_sd
    np.testing.assert_allclose(points["error_high"] / points["error"], 1 + noise)
    fit, fitted = chart.data["fits"].filter(curve=names[1]), RENDA[1].fitted
    np.testing.assert_allclose(
        np.log(fit["error"]), fitted.parameters.curve(np.log(fit["density"].to_numpy()))
    )
    assert (fit["error_low"] < fit["error"]).all() and (fit["error"] < fit["error_high"]).all()
    assert [view["data"]["name"] for view in views(curves)] == ["fits"] * 2 + ["points"] * 2
    assert {view["data"]["name"] for view in views(exponents)} == {"rows"}
    assert chosen_by_legend(check(chart)) == {"chosen_curve": ["curve"]}


def test_what_was_refused_has_points_alone():
    curve = dataclasses.replace(RENDA[0].curve, name="abc", label="resnet20/cifar10")
    found = dataclasses.replace(RENDA[0], curve=curve, fitted=Refusal("no plateau"))
    chart = found.chart()
    holds(chart)
    (curves,) = check(chart)["hconcat"]
    assert {view["data"]["name"] for view in views(curves)} == {"points"}
    assert chart.data["points"]["curve"][0] == "resnet20/cifar10"  # which its id does not say
    assert chart.query == "rgtool gamma abc --csv"


def test_several_curves_and_their_table_have_one_chart(cli):
    chart = type(RENDA[0]).chart_together(RENDA)
    printed = csv.DictReader(io.StringIO(cli(*shlex.split(chart.query)[1:]).out))
    np.testing.assert_allclose(
        [float(one["estimate"]) for one in printed], chart.data["rows"]["estimate"], rtol=1e-6
    )
