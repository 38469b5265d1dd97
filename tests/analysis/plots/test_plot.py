"""Figures hold the numbers they show, and files are whole and the same every time."""

import dataclasses
import io
import itertools
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import imread
from places import HELPERS
from synthetic import counts, without

import rgtool
from rgtool import RgtoolError
from rgtool.analysis import flow
from rgtool.analysis.curves.matching import matching_density
from rgtool.analysis.plots.figures import FIGURES, plot, save
from rgtool.analysis.plots.flow import plot_slices
from rgtool.analysis.plots.spectrum import HOLLOW, plot_spectrum
from rgtool.analysis.plots.style import TOP, broken, group_styles, plain, spread_out
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.schemas.errors import printable


def lines(axes):
    """The labelled lines of axes, by label."""
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def labels(axes):
    """Texts placed in axes."""
    return [text.get_text() for text in axes.texts]


def test_flow_shows_every_groups_share():
    experiment = counts("resnet20", seeds=3)
    (axes,) = plot([experiment], "flow").axes
    drawn = lines(axes)
    assert tuple(drawn) == experiment.names
    share = flow.shares(experiment.kept).mean(axis=0)
    for group, name in enumerate(experiment.names):
        np.testing.assert_array_equal(drawn[name].get_xdata(), experiment.levels)
        np.testing.assert_allclose(drawn[name].get_ydata(), share[:, group], rtol=1e-12)
    assert set(experiment.names) <= set(labels(axes))
    assert len(axes.collections) == len(experiment.names)  # a band each
    assert axes.get_yscale() == "log"


def test_flow_leaves_out_what_is_not_there():
    experiment = counts("resnet20", seeds=2)
    gap = without(experiment, (0, 4), (1, 4), (1, 5))
    (axes,) = plot([gap], "flow").axes
    line = lines(axes)["2.1"]
    assert list(line.get_xdata()) == [n for n in range(13) if n != 4]
    share = flow.shares(experiment.kept)[0, 5, experiment.names.index("2.1")]
    assert line.get_ydata()[4] == pytest.approx(share)
    kept = experiment.kept.copy()
    kept[:, 9:, 0] = 0
    (axes,) = plot([dataclasses.replace(experiment, kept=kept)], "flow").axes
    assert np.isnan(lines(axes)["stem"].get_ydata()[9:]).all()
    assert "stem" not in labels(axes)  # nothing to point at


def test_many_groups_are_told_apart():
    experiment = counts("resnet56", seeds=2, levels=3)
    styles = group_styles(experiment)
    assert len({to_rgba(style.colour) for style in styles}) == len(experiment.names) == 29
    drawn = [(style.marker, str(style.line)) for style in styles]
    stage = dict(zip(experiment.names, drawn, strict=True))
    assert len({stage["1.0"], stage["2.0"], stage["3.0"]}) == 3
    assert stage["1.0"] == stage["1.8"]
    (axes,) = plot([experiment], "flow").axes
    assert set(experiment.names) <= set(labels(axes))
    deeper = counts("resnet110", seeds=1, levels=3)
    (axes,) = plot([deeper], "flow").axes
    named = [text for text in labels(axes) if text != "density"]
    assert sorted(named) == sorted(["stem", "1.0", "1.17", "2.0", "2.17", "3.0", "3.17", "head"])


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_flow_has_a_panel_per_experiment(number):
    experiments = [counts("lenet", seeds=1, levels=3, rng=i, task=f"t{i}") for i in range(number)]
    titles = [axes.get_title(loc="left") for axes in plot(experiments, "flow").axes]
    assert titles == [f"lenet/t{i}, 1 seed" for i in range(number)]


def test_slices_show_pairs_of_shares_by_level():
    experiment = counts("resnet20", by="stage", seeds=3)
    figure = plot([experiment], "slices")
    share = flow.shares(experiment.kept).mean(axis=0)
    moved = np.ptp(share, axis=0)
    assert set(np.argsort(moved)[-3:]) == {1, 2, 3}  # stages, not stem or head
    for axes, (i, j) in zip(figure.axes, itertools.combinations((1, 2, 3), 2), strict=False):
        (points,) = axes.collections
        np.testing.assert_allclose(points.get_offsets(), share[:, [i, j]], rtol=1e-12)
        assert len(np.unique(points.get_facecolors(), axis=0)) == len(experiment.levels)
        assert axes.get_xlabel() == f"share of stage {i}"
        assert axes.get_ylabel() == f"share of stage {j}"
        assert len(axes.lines) == 3  # a run each
    figure = plot_slices([experiment], pairs=[("stem", "head")])
    np.testing.assert_allclose(
        figure.axes[0].collections[0].get_offsets(), share[:, [0, 4]], rtol=1e-12
    )


def test_slices_give_every_experiment_a_marker():
    experiments = [counts("lenet", seeds=2, levels=4, task=task) for task in ("mnist", "digits")]
    figure = plot(experiments, "slices")
    points = figure.axes[0].collections
    assert len(points) == 2
    shapes = [point.get_paths()[0].vertices.shape for point in points]
    assert shapes[0] != shapes[1]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "lenet/mnist, 2 seeds",
        "lenet/digits, 2 seeds",
    ]


def test_slices_of_different_groups_are_refused():
    experiments = [counts("resnet20", levels=3), counts("lenet", levels=3)]
    with pytest.raises(RgtoolError, match="lenet/cifar10 has 3 blocks, resnet20/cifar10 has 11"):
        plot(experiments, "slices")


def test_accuracy_shows_mean_band_and_matching_density():
    experiment = counts("resnet20", seeds=4)
    (axes,) = plot([experiment], "accuracy").axes
    (line,) = lines(axes).values()
    density = experiment.kept.sum(axis=-1).mean(axis=0) / experiment.total.sum()
    mean = experiment.accuracy.mean(axis=0)
    np.testing.assert_allclose(line.get_xdata(), density, rtol=1e-12)
    np.testing.assert_allclose(line.get_ydata(), mean, rtol=1e-12)
    band = axes.collections[0].get_paths()[0].vertices
    std = experiment.accuracy.std(axis=0, ddof=1)
    for edge in (mean - std, mean + std):
        for point in zip(density, edge, strict=True):
            assert np.isclose(band, point, rtol=1e-9).all(axis=1).any()
    found = matching_density(None, experiment)
    (marks,) = [one for one in axes.lines if list(one.get_xdata()) == [found.density.value]]
    assert marks.get_marker() == line.get_marker()
    (bar,) = axes.containers[0].lines[2]
    np.testing.assert_allclose(
        bar.get_segments()[0][:, 0], [found.density.low, found.density.high], rtol=1e-12
    )
    left, right = axes.get_xlim()
    assert left > right and axes.get_xscale() == "log"


def test_accuracy_of_one_seed_has_no_band():
    (axes,) = plot([counts("lenet", seeds=1)], "accuracy").axes
    assert len(axes.collections) == 1  # the bar of the matching density, of no length
    assert np.ptp(axes.collections[0].get_segments()[0][:, 0]) == 0


def test_accuracy_needs_an_accuracy():
    experiment = counts("lenet", seeds=2)
    bare = dataclasses.replace(experiment, accuracy=np.full(experiment.accuracy.shape, np.nan))
    with pytest.raises(RgtoolError, match="no accuracy is on record"):
        plot([bare], "accuracy")


def test_spectrum_shows_points_intervals_and_null():
    experiment = counts("resnet20", seeds=3)
    spectrum = eigen(None, experiment)
    (axes,) = plot([experiment], "spectrum").axes
    drawn = lines(axes)
    assert set(drawn) == {*spectrum.verdict, HOLLOW}
    np.testing.assert_allclose(drawn[HOLLOW].get_ydata(), spectrum.untrained.eigenvalue)
    assert drawn[HOLLOW].get_markerfacecolor() == "none"
    verdicts = np.array(spectrum.verdict)
    for verdict in set(spectrum.verdict):
        np.testing.assert_array_equal(
            drawn[verdict].get_xdata(), np.flatnonzero(verdicts == verdict)
        )
        np.testing.assert_array_equal(
            drawn[verdict].get_ydata(), spectrum.eigenvalue.value[verdicts == verdict]
        )
    ends = np.concatenate([bars.get_segments() for bars in axes.collections])[:, :, 1]
    np.testing.assert_allclose(np.sort(ends[:, 0]), np.sort(spectrum.eigenvalue.low), rtol=1e-12)
    np.testing.assert_allclose(np.sort(ends[:, 1]), np.sort(spectrum.eigenvalue.high), rtol=1e-12)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(spectrum.names)


def test_spectrum_says_what_the_bars_are():
    one, few, none = (
        plot([counts("lenet", seeds=seeds, levels=levels)], "spectrum").axes[0]
        for seeds, levels in ((1, 8), (3, 8), (1, 2))
    )
    assert one.get_title(loc="left").replace("\n", " ").endswith("bars 95 % of this run")
    assert few.get_title(loc="left").endswith("bars 95 %")
    assert "bars" not in none.get_title(loc="left")
    assert few.get_xticklabels()[2].get_text() == "fc\n(exempt)"
    assert len(lines(few)[HOLLOW].get_xdata()) == 2


def test_spectra_of_the_same_groups_share_a_panel():
    experiments = [
        counts("resnet20", by="stage", seeds=2, task=task, rng=i)
        for i, task in enumerate(("cifar10", "svhn"))
    ]
    (axes,) = plot(experiments, "spectrum").axes
    first, second = (eigen(None, experiment) for experiment in experiments)
    found = [line for label, line in lines(axes).items() if label != HOLLOW]
    np.testing.assert_array_equal(found[0].get_ydata(), first.eigenvalue.value)
    np.testing.assert_array_equal(found[1].get_ydata(), second.eigenvalue.value)
    assert (found[0].get_xdata() < found[1].get_xdata()).all()
    assert found[0].get_marker() != found[1].get_marker()
    other = counts("lenet", seeds=2)
    assert len(plot([experiments[0], other], "spectrum").axes) == 2


def test_twins_are_told_apart_by_their_id():
    twins = [counts("lenet", seeds=2, levels=4, prune=prune) for prune in (0.2, 0.3)]
    ids = [twin.experiment_id[:6] for twin in twins]
    assert ids[0] != ids[1]
    for kind in FIGURES:
        figure = plot(twins, kind)
        said = [text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))]
        assert all(any(one in text for text in said) for one in ids), kind


def test_different_retention_compares_exponents():
    slow = counts("resnet20", by="stage", seeds=2, levels=6)
    fast = counts("resnet20", by="stage", seeds=2, levels=6, prune=0.4)
    (axes,) = plot([slow, fast], "spectrum").axes
    first, second = (line for label, line in lines(axes).items() if label != HOLLOW)
    np.testing.assert_array_equal(first.get_ydata(), eigen(None, slow).exponent.value)
    np.testing.assert_array_equal(second.get_ydata(), eigen(None, fast).exponent.value)
    assert "exponent" in axes.get_ylabel()
    (axes,) = plot_spectrum([eigen(None, slow)], "exponent").axes
    assert "exponent" in axes.get_ylabel()


@given(st.lists(st.floats(0, TOP), min_size=1, max_size=30), st.floats(0.001, 0.03))
def test_labels_do_not_collide(places, gap):
    seats = spread_out(places, gap)
    order = np.argsort(places, kind="stable")
    assert (np.diff(seats[order]) >= gap - 1e-12).all()
    assert seats.min() >= 0 and seats.max() <= TOP + 1e-9
    far_apart = len(places) == 1 or np.diff(np.sort(places)).min() >= gap
    if far_apart:
        np.testing.assert_allclose(seats, places, atol=1e-12)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files_are_whole_and_the_same_every_time(suffix, tmp_path):
    first, again = tmp_path / f"first{suffix}", tmp_path / f"again{suffix}"
    for path in (first, again):
        save(plot([counts("lenet", seeds=2, levels=4)], "spectrum"), path)
    data = first.read_bytes()
    assert data == again.read_bytes()
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    end = {".png": b"IEND\xaeB`\x82", ".svg": b"</svg>\n", ".pdf": b"%%EOF\n"}[suffix]
    assert data.startswith(start) and data.endswith(end)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([first.name, again.name])
    if suffix == ".svg":
        assert b">fc2<" in data  # text stays text


@pytest.mark.parametrize("kind", FIGURES)
def test_every_kind_can_be_drawn_and_saved(kind, tmp_path):
    save(plot([counts("resnet8", seeds=2, levels=4)], kind), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_wrong_questions_are_answered_in_words(tmp_path):
    experiment = counts("lenet", seeds=1, levels=3)
    with pytest.raises(RgtoolError, match="did you mean flow"):
        plot([experiment], "flows")
    with pytest.raises(RgtoolError, match="at least one experiment"):
        plot([], "flow")
    figure = plot([experiment], "flow")
    with pytest.raises(RgtoolError, match="ends in .png, .svg or .pdf, not in '.jpg'"):
        save(figure, tmp_path / "figure.jpg")
    with pytest.raises(RgtoolError, match="cannot be written"):
        save(figure, tmp_path / "nowhere" / "figure.png")
    assert list(tmp_path.iterdir()) == []


def test_figures_leave_no_global_state():
    code = (
        "import matplotlib, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "before = dict(matplotlib.rcParams); from synthetic import counts; "
        "from rgtool.analysis.plots.figures import plot, save; "
        "save(plot([counts('lenet', seeds=1, levels=3)], 'flow'), Path('figure.svg')); "
        "assert dict(matplotlib.rcParams) == before; "
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(HELPERS[0])], check=True)


@pytest.mark.parametrize(
    "name", ["$x", "a$b$c", r"\$\frac{", "$\\undefined$", "50\x1b[31m$", "a/b"]
)
def test_names_are_no_formulas(name, tmp_path):
    figure = Figure()
    text = figure.text(0.5, 0.5, f"$\\lambda_i$ of {plain(name)}")
    alone = figure.text(0.5, 0.2, plain(name))
    figure.draw_without_rendering()  # a formula that does not parse would be an error
    assert all(part.isprintable() for part in (text.get_text(), alone.get_text()))
    save(figure, tmp_path / "a.svg")
    drawn = "".join(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    assert printable(name) in drawn


def test_a_meta_analysis_has_a_mark_for_every_study_and_the_mean():
    names = [f"published:resnet50-{how}-imagenet" for how in ("simclr", "supervised")]
    found = rgtool.meta(None, names)
    (axes,) = plot(found).axes
    drawn = {line.get_label(): line for line in axes.get_lines()}
    for study, name in enumerate(found.studies.ids):
        line = drawn[f"{name} (sd assumed)"]
        np.testing.assert_allclose(line.get_xdata(), found.studies.exponent.mean[study])
        assert line.get_markerfacecolor() == "white"
    mean = drawn["mean over studies"]
    np.testing.assert_allclose(mean.get_xdata(), found.exponent.mean)
    ends = [bar for drawn in axes.collections for bar in drawn.get_segments() if len(bar)]
    interval = found.exponent.interval()
    for row, low, high in zip(mean.get_ydata(), interval.low, interval.high, strict=True):
        assert any(np.allclose(bar, [[low, row], [high, row]]) for bar in ends)


def test_a_forecast_shows_levels_with_their_intervals():
    found = rgtool.forecast(None, counts("resnet8w4", "layer", seeds=3, levels=12), draws=100)
    (axes,) = plot(found).axes
    (line,) = [line for line in axes.get_lines() if line.get_label() == "forecast"]
    np.testing.assert_allclose(line.get_xdata(), found.level.value)
    assert [text.get_text() for text in axes.texts] == ["not in sight"] * found.outlook.count(
        "not in sight"
    )


def test_a_figure_is_its_own_picture_in_a_notebook():
    figure = plot([counts("lenet", seeds=2, levels=4)], "flow")
    png, size = figure._repr_png_()
    height, width, _ = imread(io.BytesIO(png)).shape
    assert (width, height) == pytest.approx((2 * size["width"], 2 * size["height"]), abs=1)
    assert size["width"] / size["height"] == pytest.approx(
        np.divide(*figure.get_size_inches()), rel=0.01
    )


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("kind", ["flow", "spectrum"])
def test_long_labels_find_room(kind, number):
    apart = [" prune=0.36 pruner=magnitude rewind=1000it", " prune=0.2 pruner=random rewind=0it"]
    found = [
        dataclasses.replace(counts("lenet", seeds=2, rng=place), apart=apart[place % 2])
        for place in range(number)
    ]
    figure = plot(found, kind)
    figure.canvas.draw()
    for legend in figure.legends:
        assert 0 <= legend.get_window_extent().x0 < legend.get_window_extent().x1 <= figure.bbox.x1
    titles = [axes.title if axes.title.get_text() else axes._left_title for axes in figure.axes]
    boxes = [one.get_window_extent() for one in titles if one.get_text()]
    assert bool(boxes) == (kind == "flow")
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)


def test_a_title_breaks_where_one_would() -> None:
    title = "resnet8w4/digits, 5 seeds, density 5 %"
    assert broken(title, 60) == title
    assert broken(title, 37) == "resnet8w4/digits, 5 seeds,\ndensity 5 %"
    assert broken("shares at the density 12.5 %", 27) == "shares at the\ndensity 12.5 %"
    assert broken("a sum of shares = 1", 16).splitlines()[-1].endswith("shares = 1")
    assert broken("", 20) == "" and broken("x" * 30, 20) == "x" * 20 + "\n" + "x" * 10
