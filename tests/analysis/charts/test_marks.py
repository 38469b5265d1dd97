"""Marks of charts: tooltips and intervals of what rows have, and of nothing else."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgtool.analysis.charts import theme
from rgtool.analysis.charts.accuracy import without_shared
from rgtool.analysis.charts.marks import Series, each_told, number, tooltips
from rgtool.analysis.plots.style import Style

PLACE = {"x": number("x", "x"), "y": number("y", "y")}
CELL = st.one_of(st.none(), st.just(float("inf")), st.floats(-1, 1))
ROWS = st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=6)


def frame(rows):
    """A frame of the points x, y with the columns a and b, some of them absent."""
    columns = {name: [row[i] for row in rows] for i, name in enumerate("xab")}
    schema = dict.fromkeys("xab", pl.Float64)
    return pl.DataFrame(columns, schema=schema).with_columns(y=pl.lit(1.0))


def takes(layer, row):
    """Whether a layer draws a row, by its filters on what is there."""
    for transform in layer.get("transform", ()):
        found = transform["filter"]
        asked = found.get("not", found)
        there = row[asked["field"]] is not None and abs(row[asked["field"]]) < 2
        if there == ("not" in found):
            return False
    return True


def series(rows):
    """One series of everything."""
    return Series("name", {"one": Style("#000000", "o", "-")}, tooltips(rows), "name", rows)


@given(ROWS)
def test_a_tooltip_tells_all_that_its_row_has_and_nothing_else(values):
    rows = frame(values)
    told = [{"field": name} for name in rows.columns]
    layers = each_told({"encoding": {"tooltip": told}, "params": ["choice"]}, rows)
    assert [layer.get("params") for layer in layers] == [["choice"], *[None] * (len(layers) - 1)]
    for row in rows.to_dicts():
        (layer,) = [layer for layer in layers if takes(layer, row)]
        there = [name for name, value in row.items() if value is not None and abs(value) < 2]
        assert [one["field"] for one in layer["encoding"]["tooltip"]] == there


@given(ROWS)
def test_every_interval_is_drawn_once_and_no_layer_is_empty(values):
    rows = frame(values)
    layers = series(rows).intervals(PLACE, ("a", "b"))
    for row in rows.to_dicts():
        ends = sum(row[name] is not None and abs(row[name]) < 2 for name in "ab")
        drawn = [layer["mark"]["type"] for layer in layers if takes(layer, row)]
        assert sorted(drawn) == [[], ["point", "rule"], ["rule"]][ends]
    assert all(any(takes(layer, row) for row in rows.to_dicts()) for layer in layers)


@pytest.mark.parametrize(
    ("along", "reverse", "value", "edge", "shape"),
    [
        ("y", False, (0.0, None), 0, "triangle-up"),
        ("y", False, (None, 0.0), "height", "triangle-down"),
        ("x", False, (0.0, None), "width", "triangle-right"),
        ("x", False, (None, 0.0), 0, "triangle-left"),
        ("x", True, (0.0, None), 0, "triangle-left"),
        ("x", True, (None, 0.0), "width", "triangle-right"),
    ],
)
def test_an_open_interval_points_to_where_it_has_no_end(along, reverse, value, edge, shape):
    place = {**PLACE, along: {**PLACE[along], "scale": {"reverse": reverse}}}
    bar, arrow = series(frame([(0.0, *value)])).intervals(place, ("a", "b"), along)
    assert bar["encoding"][f"{along}2"] == arrow["encoding"][along] == {"value": edge}
    assert bar["encoding"][along]["field"] == ("a" if value[1] is None else "b")
    assert arrow["mark"]["shape"] == shape


@pytest.mark.parametrize(
    ("densities", "ticks"),
    [
        ([1.0, 0.8, 0.64], [1.0, 0.8, 0.64]),
        ([1.0, 0.8], [1.0, 0.9, 0.8]),
        ([0.41, 0.403, 0.175, 0.168], [0.4, 0.3, 0.2]),
        ([0.5], [0.5]),
        ([1.0000001, 0.0999], [1.0, 0.5, 0.2, 0.1]),
        ([0.21, 0.168, 0.16779, 0.134], [0.21, 0.168, 0.134]),
        ([float("nan")], []),
    ],
)
def test_an_axis_of_density_has_three_ticks_where_there_are_as_many_levels(densities, ticks):
    assert theme.density_ticks(densities) == ticks
    low, high = theme.density_axis(densities)["scale"]["domain"]
    assert low < high
    assert all(low / 1.01 <= tick <= high * 1.01 for tick in ticks)


@given(st.integers(3, 40), st.floats(0.02, 0.6), st.floats(0.01, 1))
def test_ticks_of_density_are_few_and_enough(levels, prune, first):
    ticks = theme.density_ticks([first * (1 - prune) ** level for level in range(levels)])
    assert len(ticks) >= 3
    assert ticks == sorted(set(ticks), reverse=True)


def test_what_all_names_share_is_left_out_and_told():
    names = ["a/b x=1 y=1, 1 seed", "a/b x=2 y=1, 1 seed"]
    assert without_shared(names) == (["x=1 y=1", "x=2 y=1"], "a/b, 1 seed")
    assert without_shared(["a/b, 1 seed", "a/b x=2, 2 seeds"]) == (
        ["a/b, 1 seed", "a/b x=2, 2 seeds"],
        "",
    )
    assert without_shared(["a/b, 1 seed"]) == (["a/b, 1 seed"], "")


def test_long_names_of_a_legend_are_broken_and_never_cut():
    long = ["x" * 60, "y" * 60]
    (legend,) = {
        str(channel["legend"])
        for channel in theme.series("f", long, [Style("#000000", "o", "-")] * 2, "t").values()
    }
    assert "labelExpr" in legend
    assert "labelExpr" not in str(theme.series("f", ["x"], [Style("#000000", "o", "-")], "t"))
    assert theme.CONFIG["legend"]["labelLimit"] == 0
