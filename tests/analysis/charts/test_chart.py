"""A chart is a value: whole by itself, of the page's colours, and safe whatever names say."""

import base64
import dataclasses
import datetime
import json
import math

import polars as pl
import pytest
from synthetic import counts
from vegalite import as_json, check, texts_of

from rgtool.analysis.charts import theme
from rgtool.analysis.charts.accuracy import accuracy_chart
from rgtool.analysis.charts.chart import MIME, Chart
from rgtool.analysis.charts.flow import flow_chart
from rgtool.analysis.charts.recipes import recipe_chart
from rgtool.analysis.charts.slices import slice_charts
from rgtool.analysis.plots.style import LINES, MARKERS, Style, series_styles

HOSTILE = "</script><img src=x onerror=alert(1)>'\"]]>\u202e\n"


def one_of_each(experiment, other):
    """Charts of all kinds that counts have."""
    planes = slice_charts([experiment])
    return [
        flow_chart(experiment),
        accuracy_chart([experiment, other]),
        *planes,
        recipe_chart([experiment, other]),
    ]


@pytest.fixture
def experiments():
    """An experiment whose names are hostile, and another of the same network."""
    found = counts(seeds=2, levels=4)
    recipe = dataclasses.replace(found.recipe, rewind="0it", init=HOSTILE)
    names = tuple(f"{HOSTILE}[{i}].x" for i in range(len(found.names)))
    layers = tuple(
        dataclasses.replace(layer, block=names[found.names.index(layer.group("block"))])
        for layer in found.layers
    )
    named = dataclasses.replace(
        found,
        recipe=recipe,
        experiment_id="0" * 12,
        names=names,
        layers=layers,
        apart=f" note={HOSTILE}",
    )
    return named, found


def test_names_are_values_and_no_part_of_the_language(experiments):
    for chart in one_of_each(*experiments):
        spec = check(chart)
        code = texts_of(spec, "field", "test", "expr", "filter", "calculate", "labelExpr", "param")
        assert code
        assert not any("script" in text or "onerror" in text for text in code)
        assert all(text.isprintable() for text in map(str, texts_of(spec, "title", "description")))
        assert "\u202e" not in json.dumps(spec, ensure_ascii=False)


def test_nothing_is_asked_of_the_network(experiments):
    for chart in one_of_each(*experiments):
        spec = as_json(chart)
        assert not texts_of(spec, "url", "href", "src")
        assert spec.pop("$schema") == "https://vega.github.io/schema/vega-lite/v5.json"
        assert "http" not in json.dumps(spec)


def test_what_is_black_takes_the_colour_of_the_page():
    styles = series_styles(7)
    assert [theme.colour(style) for style in styles][-1] == "currentColor"
    assert theme.colour(Style((0.0, 0.0, 0.0), "o", "-")) == "currentColor"
    assert theme.colour(Style((1.0, 0.5, 0.0), "o", "-")) == "#ff8000"
    spec = as_json(flow_chart(counts()))
    assert "#000" not in json.dumps(spec)
    assert spec["config"]["axis"]["labelColor"] == "currentColor"
    assert spec["config"]["background"] == "transparent"
    assert spec["usermeta"]["embedOptions"]["renderer"] == "svg"


def test_every_marker_and_line_of_figures_has_its_counterpart():
    for marker in (*MARKERS, "X", "p"):
        assert theme.shape(Style("#000000", marker, "-"))
    assert len({theme.shape(Style("#000000", m, "-")) for m in (*MARKERS, "X", "p")}) == 9
    dashes = [theme.dash(Style("#000000", "o", line)) for line in LINES]
    assert dashes[0] == [1, 0]
    assert all(len(dash) % 2 == 0 and min(dash) > 0 for dash in dashes[1:])


def test_data_are_inline_or_left_to_the_page():
    chart = flow_chart(counts(seeds=2))
    assert len(as_json(chart)["datasets"]["rows"]) == len(chart.data["rows"])
    bare = as_json(chart, inline=False)
    assert "datasets" not in bare
    assert bare["data"] == {"name": "rows"}


def test_width_is_that_of_the_page_and_the_title_a_heading_of_it():
    chart = flow_chart(counts(seeds=2))
    spec = check(chart, width="container", titled=False)
    assert spec["width"] == "container"
    assert "title" not in spec
    assert " ".join(as_json(chart, width=200)["title"]["text"]) == chart.title
    assert len(as_json(chart, width=200)["title"]["text"]) > 1


def test_several_views_keep_their_widths():
    unit = {"data": {"name": "rows"}, "mark": "point", "width": 50}
    data = {"rows": pl.DataFrame({"x": [1.0]})}
    chart = Chart("two", "two", "", {"hconcat": [unit, unit]}, data, "two points")
    assert "width" not in check(chart)


def test_values_are_what_json_has():
    found = pl.DataFrame(
        {
            "number": [1 / 3, math.nan, math.inf, None],
            "count": [1, 2, 3, 2**53],
            "at": [datetime.datetime(2026, 3, 1, 12)] * 4,
            "text": ["a", "b", None, ""],
        }
    )
    spec = {"data": {"name": "rows"}, "mark": "point"}
    values = Chart("k", "t", "c", spec, {"rows": found}, "a").values()
    assert [row["number"] for row in values] == [0.3333333, None, None, None]
    assert values[3]["count"] == 2**53
    assert values[0]["at"].startswith("2026-03-01T12:00:00")
    json.dumps(values, allow_nan=False)


def test_a_notebook_has_the_chart_and_the_figure_that_stands_in():
    chart = flow_chart(counts(seeds=2, levels=3))
    shown, beside = chart._repr_mimebundle_()
    assert shown[MIME] == chart.specification()
    assert base64.b64decode(shown["image/png"]).startswith(b"\x89PNG")
    assert beside["image/png"]["width"] > 100
    assert chart.title in shown["text/plain"]
    bare, _ = dataclasses.replace(chart, figure=None)._repr_mimebundle_()
    assert "image/png" not in bare


def test_legends_fit_a_telephone():
    assert theme.columns_of(["1.0"] * 30) >= 4
    assert theme.columns_of(["layer1.0.conv1"]) == 1
    assert theme.columns_of(["x" * 100, "y"]) == 1


@pytest.mark.parametrize(
    ("ends", "ticks"),
    [
        ((0, 6), [0, 1, 2, 3, 4, 5, 6]),
        ((1, 160), [20, 40, 60, 80, 100, 120, 140, 160]),
        ((3, 3), [3]),
        ((1, 11), [2, 4, 6, 8, 10]),
    ],
)
def test_ticks_are_round_whole_numbers(ends, ticks):
    assert theme.whole_ticks(*ends) == ticks


def test_ticks_of_a_logarithmic_axis_stand_at_1_2_and_5():
    found = theme.log_scale([0.0, 0.03, math.nan, 0.4])["axis"]["values"]
    assert {0.02, 0.05, 0.1, 0.2, 0.5} <= set(found)
    assert "axis" not in theme.log_scale([0.0])
