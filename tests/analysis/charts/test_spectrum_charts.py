"""Charts of spectra hold the numbers of the result, beside their nulls."""

import csv
import dataclasses
import io
import math
import shlex

import flows
import numpy as np
import pytest
from drawn import chosen_by_legend, holds, views
from synthetic import counts
from vegalite import check

from rgtool import Store, eigen
from rgtool.analysis.charts.spectra import spectrum_chart
from rgtool.analysis.flow import UNIT

SPECTRUM = eigen(None, counts("resnet20", seeds=3))
OTHER = eigen(None, counts("resnet20", seeds=3, task="mnist", rng=1))
LENET = eigen(None, counts("lenet", by="layer", seeds=1, levels=5))


def marks(spec, kind):
    return [view for view in views(spec) if view["mark"]["type"] == kind]


def test_it_has_the_rows_of_the_result():
    chart = SPECTRUM.chart()
    rows, table = chart.data["rows"], SPECTRUM.to_frame()
    shared = [name for name in rows.columns if name in table.columns]
    assert {"exponent", "canonical", "anomalous_low", "verdict", "against_null"} <= {*shared}
    assert rows.select(shared).equals(table.select(shared), null_equal=True)
    check(chart)
    holds(chart)


def test_nulls_are_drawn_in_exponents():
    rows = SPECTRUM.chart().data["rows"]
    table = SPECTRUM.to_frame()
    rate = (table["eigenvalue"].log() / table["exponent"]).to_numpy()  # -ln retention of a level
    assert rate.std() < 1e-3 * rate.mean()
    random = 1.959964 * table["random_sd"].to_numpy() / rate
    np.testing.assert_allclose(rows["random_high"], random, rtol=1e-3)
    np.testing.assert_allclose(rows["random_low"], -random, rtol=1e-3)
    assert rows["margin_high"].to_list() == [SPECTRUM.judgement.margin / UNIT] * len(rows)
    assert rows["static"].null_count() == len(rows)  # no dense weights are kept


def test_a_static_null_is_the_exponent_of_its_eigenvalue():
    untrained = dataclasses.replace(SPECTRUM.untrained, static=SPECTRUM.eigenvalue.value)
    chart = dataclasses.replace(SPECTRUM, untrained=untrained).chart()
    rows = chart.data["rows"]
    np.testing.assert_allclose(rows["static"], rows["exponent"], atol=2e-4)
    (tick,) = marks(check(chart), "tick")
    assert tick["encoding"]["y"]["field"] == "static"
    assert "N2" in chart.caption and "N2" not in SPECTRUM.chart().caption


def test_one_spectrum_is_told_by_verdicts_and_several_by_experiment():
    assert chosen_by_legend(check(SPECTRUM.chart())) == {
        "chosen_verdict": ["verdict"],
        "chosen_against_null": ["against_null"],
    }
    both = spectrum_chart([SPECTRUM, OTHER])
    spec = check(both)
    holds(both)
    assert chosen_by_legend(spec) == {"chosen_experiment": ["experiment"]}
    points = [view for view in marks(spec, "point") if view["mark"]["filled"]]
    assert len(points) == 2 and len(spec["vconcat"]) == 2
    names = ["resnet20/cifar10, 3 seeds", "resnet20/mnist, 3 seeds"]
    assert all(view["encoding"]["xOffset"]["scale"]["domain"] == names for view in points)


def test_groups_that_differ_have_panels_of_their_own():
    chart = spectrum_chart([SPECTRUM, LENET])
    spec = check(chart)
    holds(chart)
    titles = [panel["title"] for panel in spec["vconcat"] if "title" in panel]
    assert titles == ["resnet20/cifar10, 3 seeds", "lenet/cifar10, 1 seed"]
    kept = [one["transform"][0]["filter"]["oneOf"] for one in spec["vconcat"]]
    assert [names for (names,) in kept] == [titles[0]] * 2 + [titles[1]] * 2


def test_the_same_experiment_twice_is_told_apart():
    rows = spectrum_chart([SPECTRUM, SPECTRUM]).data["rows"]
    assert rows["experiment"].n_unique() == 2


def test_what_there_is_not_is_not_drawn():
    nothing = np.full(len(SPECTRUM.names), np.nan)
    without = dataclasses.replace(
        SPECTRUM,
        anomalous=dataclasses.replace(SPECTRUM.anomalous, value=nothing),
        against_null=("",) * len(SPECTRUM.names),
        untrained=dataclasses.replace(SPECTRUM.untrained, exponent=nothing),
    )
    chart = without.chart()
    spec = check(chart)
    assert len(spec["vconcat"]) == 1
    assert [view["encoding"]["y"]["field"] for view in marks(spec, "point")] == ["exponent"]
    assert "canonical" not in chart.caption and "diamonds" not in chart.caption
    # The names of groups then stand below the one panel.
    assert all(
        view["encoding"]["x"]["axis"].get("labels") is not False for view in marks(spec, "point")
    )


def test_a_spectrum_that_stands_still_has_no_scale():
    still = dataclasses.replace(
        SPECTRUM,
        exponent=dataclasses.replace(SPECTRUM.exponent, value=np.zeros(len(SPECTRUM.names))),
    )
    chart = still.chart()
    assert chart.data["rows"]["random_low"].null_count() == len(SPECTRUM.names)
    check(chart)


def test_hostile_names_are_values_and_written_out():
    names = ("</script>", *(f"layer[{i}].x" for i in range(1, len(SPECTRUM.names) - 1)), "a\u202eb")
    hostile = dataclasses.replace(SPECTRUM, names=names, label="<img onerror=1>\x1b[2J/x")
    chart = hostile.chart()
    holds(chart)
    spec = check(chart)
    (points,) = [v for v in marks(spec, "point") if v["encoding"]["y"]["field"] == "anomalous"]
    assert points["encoding"]["x"]["field"] == "name"
    assert points["encoding"]["x"]["scale"]["domain"] == chart.data["rows"]["name"].to_list()
    assert chart.data["rows"]["name"].to_list()[-1] == "a\\u202eb"
    assert "\x1b" not in chart.title + chart.alternative


@pytest.mark.parametrize("options", [{}, {"weighting": "magnitude"}, {"method": "t"}])
def test_its_command_prints_its_rows(options, cli, tmp_path):
    name = flows.write_experiment(tmp_path / "rgstore")
    chart = eigen(Store(tmp_path / "rgstore"), name, by="stage", **options).chart()
    done = cli(*shlex.split(chart.query)[1:])
    assert done.code == 0, done.err
    printed = list(csv.DictReader(io.StringIO(done.out)))
    rows = chart.data["rows"].to_dicts()
    assert [one["name"] for one in printed] == [one["name"] for one in rows]
    for one, row in zip(printed, rows, strict=True):
        for column in ("exponent", "exponent_low", "canonical", "anomalous_high"):
            found = float(one[column] or "nan")
            assert found == pytest.approx(
                math.nan if row[column] is None else row[column], nan_ok=True
            )
        assert one["verdict"] == row["verdict"]


def test_the_command_of_one_run_names_the_run():
    assert LENET.runs[0] in LENET.chart().query
    assert "this run alone" in LENET.chart().caption or "no intervals" in LENET.chart().caption
