"""The figure of tickets on another depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rgtool import RgtoolError, plot
from rgtool.analysis.elastic.stretched import Line, Stretch
from rgtool.analysis.elastic.tickets import Tickets
from rgtool.analysis.plots.style import FAINT
from rgtool.schemas.tickets.transform import Transform

NAMES = ("first", "given", "random map", "shuffle", "map", "drawn", "map")
MAPS = ("0:0;1:1;2:2", "0:0;1:1,2", "0:0;1:2;2:1")
LEVELS = (2, 4, 8)


def stretch(names: tuple[str, ...] = NAMES, *, own: bool = True, seeds: int = 3) -> Stretch:
    """Tickets that fall short of the own one more and more, each by its place."""
    rng = np.random.default_rng(0)
    number, shape = len(names), (len(names), seeds, len(LEVELS))
    density = (
        np.broadcast_to([0.6, 0.3, 0.1], shape) * (1 + 0.05 * np.arange(number))[:, None, None]
    )
    reference = 0.9 + 0.1 * np.log(density)
    short = 0.01 * np.arange(1, number + 1)[:, None, None] * np.array([1, 2, 3])
    accuracy = reference - short + 0.01 * rng.normal(size=shape)
    tickets = Tickets(
        experiments=tuple(f"e{i}" for i in range(number)),
        transforms=tuple(Transform.parse(MAPS[i % 3]) for i in range(number)),
        controls=("none",) * number,
        seeds=tuple(range(seeds)),
        levels=LEVELS,
        accuracy=accuracy,
        density=density,
        own=reference if own else np.full(shape, np.nan),
        unit=1 / 355,
    )
    lines = tuple(Line(name, f"e{i}") for i, name in enumerate(names))
    return Stretch("resnet20w2/digits to resnet26w2", "a", "b", lines, tickets, ())


def drawn(axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return x and y of every series that is no rule, in the order of the drawing."""
    return [
        (line.get_xdata(), line.get_ydata())
        for line in axes.containers and [one.lines[0] for one in axes.containers]
    ]


def test_a_line_per_ticket_and_the_own_one() -> None:
    found = stretch()
    left, right = plot(found).axes
    legend = [text.get_text() for text in left.get_legend().get_texts()]
    assert legend == [
        "the target's own", "first", "0:0;1:1,2", "random map", "shuffle", "3 other maps"
    ]  # fmt: skip
    frame = found.to_frame()
    (x, y), *series = drawn(left)
    assert len(series) == len(NAMES)
    for at, (density, accuracy) in enumerate(series):
        own = frame.filter(experiment=f"e{at}")
        np.testing.assert_allclose(density, own["density"])  # falling, as levels go
        np.testing.assert_allclose(accuracy, own["accuracy"])
    assert len(x) == frame["density"].n_unique() and (np.diff(x) < 0).all()
    np.testing.assert_allclose(y, 0.9 + 0.1 * np.log(x))
    for at, (density, difference) in enumerate(drawn(right)):
        own = frame.filter(experiment=f"e{at}")
        np.testing.assert_allclose(density, own["density"])
        np.testing.assert_allclose(difference, own["difference"])
    for axes in (left, right):
        assert axes.get_xscale() == "log" and axes.xaxis_inverted()
    assert right.get_legend() is None and 0.0 in [line.get_ydata()[0] for line in right.lines]


def test_intervals_are_drawn_of_all_but_the_maps_that_were_drawn() -> None:
    found = stretch()
    left, right = found.plot().axes
    frame = found.to_frame()
    for axes, name in ((left, "accuracy"), (right, "difference")):
        series = axes.containers[1:] if axes is left else axes.containers
        for at, one in enumerate(series):
            bars = one.lines[2]
            assert bool(bars) == (NAMES[at] not in ("map", "drawn"))
            assert (one.lines[0].get_color() == FAINT) == (not bars)
            if bars:
                ends = np.array(bars[0].get_segments())[:, :, 1]
                own = frame.filter(experiment=f"e{at}")
                np.testing.assert_allclose(ends[:, 0], own[f"{name}_low"])
                np.testing.assert_allclose(ends[:, 1], own[f"{name}_high"])
    assert not left.containers[0].lines[2]  # the own one has none


def test_one_seed_and_no_own_ticket() -> None:
    (axes,) = stretch(("first", "shuffle"), own=False, seeds=1).plot().axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["first", "shuffle"]
    assert not any(one.lines[2] for one in axes.containers)
    assert len(stretch(("first",), seeds=1).plot().axes) == 2


def test_a_level_that_a_ticket_lacks_is_a_gap() -> None:
    found = stretch(("first", "shuffle"))
    accuracy = found.tickets.accuracy.copy()
    accuracy[1, :, 1] = np.nan
    figure = replace(found, tickets=replace(found.tickets, accuracy=accuracy)).plot()
    shuffle = drawn(figure.axes[0])[2][1]
    assert np.isnan(shuffle).tolist() == [False, True, False]


def test_long_maps_are_shortened_and_names_are_no_formulas() -> None:
    found = stretch(("given",))
    long = Transform.parse("0:0;1:1,2,3;2:4,5,6;3:7,8,9;4:10,11,12")
    tickets = replace(found.tickets, transforms=(long,))
    figure = replace(found, tickets=tickets, label="$x$ to $y$").plot()
    (text,) = figure.axes[0].get_legend().get_texts()[1:]
    assert text.get_text() == str(long)[:27] + "…"
    assert figure.axes[0].get_title(loc="left") == r"\$x\$ to \$y\$"


def test_nothing_is_not_drawn() -> None:
    found = stretch()
    nothing = np.full(found.tickets.accuracy.shape, np.nan)
    with pytest.raises(RgtoolError, match="nothing to draw"):
        replace(found, tickets=replace(found.tickets, accuracy=nothing)).plot()
