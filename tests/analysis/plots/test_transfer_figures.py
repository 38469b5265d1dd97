"""Figures of transfers and matrices."""

import dataclasses

import numpy as np
import pytest
from synthetic import counts

from rgtool import RgtoolError, plot
from rgtool.analysis.transfer.estimate import measure_transfer
from rgtool.analysis.transfer.matrix_estimate import measure_matrix

DIGITS, OTHER = (
    counts("lenet", seeds=3, levels=4, task=task, rng=rng)
    for rng, task in enumerate(("digits", "mnist"))
)


def child(of, name):
    lower = (of.accuracy - 0.01 * np.arange(5)).clip(0, 1)
    return dataclasses.replace(of, accuracy=lower, experiment_id=name)


def texts(figure):
    found = [text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))]
    return " | ".join(found)


def test_a_line_per_condition_over_density():
    children = {name: child(OTHER, name) for name in ("transferred", "shuffle")}
    figure = measure_transfer(None, DIGITS, OTHER, children).plot()
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "own",
        "transferred",
        "shuffle",
    ]
    assert axes.get_xscale() == "log" and axes.xaxis_inverted()
    (line,) = axes.containers[1].lines[:1]
    np.testing.assert_allclose(line.get_ydata(), children["transferred"].accuracy.mean(axis=0))


def test_a_task_with_a_formula_in_its_name_is_written_as_it_is():
    strange = dataclasses.replace(DIGITS.recipe, task="npz:$x$.npz")
    own = dataclasses.replace(OTHER, recipe=strange)
    found = measure_transfer(None, DIGITS, own, {"transferred": child(own, "x")}, spectra=False)
    assert r"\$x\$" in texts(found.plot())


def test_nothing_is_not_drawn():
    children = {"transferred": child(OTHER, "x")}
    empty = measure_transfer(None, DIGITS, OTHER, children, at=[9], spectra=False)
    with pytest.raises(RgtoolError, match="nothing to draw"):
        empty.plot()
    none = measure_matrix(None, [DIGITS, OTHER], {(0, 1): children}, at=[9])
    with pytest.raises(RgtoolError, match="no loss is known"):
        none.plot()


def test_a_matrix_has_a_point_per_pair_and_level_and_a_number_per_pair():
    children = {
        (0, 1): {"transferred": child(OTHER, "a")},
        (1, 0): {"transferred": child(DIGITS, "b")},
    }
    found = measure_matrix(None, [DIGITS, OTHER], children)
    figure = plot(found)
    scatter, heat = figure.axes
    drawn = [line for line in scatter.lines if line.get_linestyle() == "None"]
    assert [len(line.get_xdata()) for line in drawn] == [2, 2, 2, 2]
    assert "density 0.8" in texts(figure)
    assert {text.get_text() for text in heat.texts} == {"+.025"}
    assert "none is told" not in texts(figure)
    assert [label.get_text() for label in heat.get_yticklabels()] == ["digits", "mnist"]


def test_a_pair_that_tells_no_loss_is_a_dash():
    children = {(0, 1): {"transferred": child(OTHER, "a")}}
    figure = plot(measure_matrix(None, [DIGITS, OTHER], children))
    assert [text.get_text() for text in figure.axes[-1].texts] == ["+.025", "\N{EN DASH}"]
    assert "mean loss (\N{EN DASH}: none is told)" in texts(figure)


def test_without_spectra_the_matrix_stands_alone():
    twin = dataclasses.replace(DIGITS, recipe=OTHER.recipe, experiment_id="twin")  # the same masks
    children = {(0, 1): {"transferred": child(OTHER, "a")}}
    found = measure_matrix(None, [DIGITS, twin], children)
    assert any("no spectra are compared: " in note for note in found.notes)
    assert len(found.plot().axes) == 1
