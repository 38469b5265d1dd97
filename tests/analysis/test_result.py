"""Results: one description of their columns, and the same words in every form."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import stores
from command import Cli
from hypothesis import given
from hypothesis import strategies as st
from page import read
from places import CLONE

import rgtool
from rgtool import analysis
from rgtool.analysis.result import Column, Result, columns_like, ends
from rgtool.analysis.values import Estimate
from rgtool.cli.output import table_of
from rgtool.schemas.display import cells
from rgtool.schemas.errors import UsageError
from rgtool.schemas.notes import Note, Rank, ranked, shown_lines
from rgtool.schemas.recipe import Recipe

MOCO = "published:chen2021a-moco-cifar10"
RENDA = ("published:renda2020-resnet20", "published:renda2020-resnet56")
R56, R32 = "published:resnet56-cifar10", "published:resnet32-cifar10"
SPECTRA = ("published:resnet50-simclr-imagenet", "published:resnet50-simclr-cifar10")


def results(of: type[Result] = Result) -> Iterator[type[Result]]:
    """Every kind of result that the analysis has."""
    for module in pkgutil.walk_packages(analysis.__path__, f"{analysis.__name__}."):
        importlib.import_module(module.name)
    for kind in of.__subclasses__():
        if kind.__module__.startswith(analysis.__name__):
            yield kind
        yield from results(kind)


KINDS = tuple(dict.fromkeys(results()))


@dataclass(frozen=True, eq=False)
class Weather(Result):
    """A small result: three days."""

    values: dict[str, Any]
    notes: tuple[str, ...] = ("it is <cold>",)

    columns = (
        Column("day", "Its name."),
        Column("rain", "Height.", "mm", ".1f"),
        *ends("low", "high", "its interval", "mm", ".1f", "if any"),
        Column("flood", "A flag.", shown="if any"),
        Column("remains", "A word.", shown="if any"),
        Column("wind", "Speed.", "m/s", shown="wide"),
    )
    title = "the weather"
    see = "weather.md#days"

    def _values(self) -> dict[str, Any]:
        return self.values


DAYS: dict[str, Any] = {"day": ["mon", "tue", "wed"], "rain": np.array([1.25, np.nan, 10.0])}


def names(found: Result) -> list[str]:
    return [column.name for column in found.shown()]


def test_people_see_what_a_row_has_something_for() -> None:
    assert names(Weather(DAYS)) == ["day", "rain"]
    assert names(Weather(DAYS | {"low": None, "high": [0.0] * 3})) == ["day", "rain", "high"]
    assert names(Weather(DAYS | {"flood": [False] * 3, "remains": [""] * 3})) == ["day", "rain"]
    some = {"flood": [False, True, False], "remains": ["", "mud", ""], "wind": [1, 2, 3]}
    assert names(Weather(DAYS | some)) == ["day", "rain", "flood", "remains"]


def test_programs_get_every_column_and_null_where_there_is_no_value() -> None:
    frame = Weather(DAYS | {"wind": [3, 4, 5], "low": None, "high": [math.inf, 1.0, 2]}).to_frame()
    assert frame.columns == ["day", "rain", "low", "high", "wind"]
    assert frame["rain"].to_list() == [1.25, None, 10.0]
    assert frame["low"].to_list() == [None] * 3 and frame["low"].dtype == pl.Float64
    assert frame["high"].to_list() == [None, 1.0, 2.0]
    assert frame["wind"].to_list() == [3, 4, 5] and frame["wind"].dtype == pl.Int64


def test_a_column_that_is_not_described_is_an_error() -> None:
    with pytest.raises(KeyError, match="Weather does not describe fog, sun"):
        Weather(DAYS | {"sun": [1] * 3, "fog": [1] * 3}).to_frame()


def test_a_summary_is_title_table_and_notes() -> None:
    found = Weather(DAYS | {"wind": [3, 4, 5]})
    assert found.summary().split("\n") == [
        "the weather",
        "day  rain",
        "mon   1.2",
        "tue",
        "wed  10.0",
        "it is <cold> [weather.md#days]",
    ]
    seen = read(found._repr_html_())
    assert seen.caption == "the weather" and seen.header == ["day", "rain"]
    assert seen.rows == [["mon", "1.2"], ["tue", ""], ["wed", "10.0"]]
    assert seen.below == ["it is <cold> [weather.md#days]"] and not seen.above


def test_notes_are_ranked_and_what_makes_numbers_void_stands_above_all() -> None:
    notes = ("plain", Note("always", rank=Rank.CONCLUSION), Note("void", "a.md#b", Rank.VOID))
    found = Weather(DAYS, notes)
    assert found.notes == ("void", "always", "plain")
    lines = found.summary().split("\n")
    assert lines[:2] == ["void [a.md#b]", "the weather"]
    assert lines[-2:] == ["always [weather.md#days]", "plain [weather.md#days]"]
    seen = read(found._repr_html_())
    assert (seen.above, seen.caption) == (["void [a.md#b]"], "the weather")
    assert seen.below == lines[-2:]
    assert replace(found, notes=("new", *found.notes)).notes == ("void", "always", "new", "plain")
    long = Weather(DAYS, tuple(f"note {i}" for i in range(5)))
    assert long.summary().endswith("2 more notes: .notes has them") and len(long.notes) == 5


def test_a_long_table_is_cut_for_people_alone() -> None:
    class Long(Weather):
        most = 2

    found = Long(DAYS)
    text, html = found.summary(), found._repr_html_()
    assert "wed" not in text and "wed" not in html
    assert "2 of 3 rows; to_frame() has all" in text and len(found.to_frame()) == 3
    assert len(table_of(found).rows) == 3
    table = table_of(found, top=1)
    assert len(table.rows) == 1 and table.notes[0] == "1 of 3 rows; --top 0 prints all"


def test_a_result_without_a_figure_says_so() -> None:
    with pytest.raises(UsageError, match=r"Weather has no figure: to_frame\(\) has its numbers"):
        Weather(DAYS).plot()


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["", ".3f", "+z.2f"]))
def test_a_number_is_written_in_the_format_of_its_column(value: float, format_: str) -> None:
    (_, (text,)) = cells(("x",), [(value,)], {"x": format_} if format_ else {})
    assert text == format(value, format_ or ".6g")
    assert float(text) == pytest.approx(value, abs=0.006, rel=1e-5)


def test_columns_of_another_result_keep_what_they_say() -> None:
    rain, wind = columns_like(Weather.columns, "rain wind", wind="always")
    assert rain is not None and rain == Weather.columns[1]
    assert (wind.shown, wind.meaning) == ("always", "Speed.")


def test_estimates_are_equal_where_their_numbers_are() -> None:
    one = Estimate(np.array([1.0, np.nan]), np.array([0.0, np.nan]), np.array([2.0, np.nan]))
    assert one == Estimate(*(end.copy() for end in (one.value, one.low, one.high)))
    assert one != Estimate(one.value, one.low, one.low) and one != 1.0
    assert Estimate(1.0, math.nan, 2.0) == Estimate(1.0, math.nan, 2.0)


# All kinds of results


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_result_describes_its_columns(kind: type[Result]) -> None:
    described = [column.name for column in kind.columns]
    assert described and len(set(described)) == len(described)
    for column in kind.columns:
        assert column.name == column.name.lower() and " " not in column.name
        assert column.meaning.endswith(".") and column.shown in ("always", "if any", "wide")
        format(1.5, column.format)
    assert any(column.shown == "always" for column in kind.columns)
    assert kind.rows != Result.rows
    assert re.fullmatch(r"[\w-]+\.md#[\w-]+", kind.see)


def test_every_result_stands_in_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CLONE / "docs"))
    told = importlib.import_module("generate").RESULTS
    assert {kind for kinds in told.values() for kind in kinds} == set(KINDS)


# The same in Python and on the command line


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for learning_rate in (0.1, 0.2):
        recipe = Recipe(architecture="resnet8w4", task="digits", lr=learning_rate)
        for seed in range(3):
            stores.write_run(folder, seed + round(100 * learning_rate), levels=8, recipe=recipe)
    return folder


def first(opened: rgtool.Store) -> str:
    return opened.experiments()[0].experiment_id


def second(opened: rgtool.Store) -> str:
    return opened.experiments()[1].experiment_id


Question = tuple[str, Callable[[rgtool.Store], Result]]
QUESTIONS: dict[str, Question] = {
    "eigen": ("eigen A --by stage", lambda s: rgtool.eigen(s, first(s), by="stage")),
    "magnitude": (
        "eigen A --weighting magnitude",
        lambda s: rgtool.eigen(s, first(s), weighting="magnitude"),
    ),
    "nulls": ("eigen A --nulls", lambda s: rgtool.nulls_of(s, first(s))),
    "all": ("eigen --all --by stage", lambda s: rgtool.spectra(s, by="stage")),
    "null": ("null lenet --by layer", lambda s: rgtool.null("lenet", by="layer")),
    "power": (
        "power --seeds 2,3 --levels 6,8 --simulations 200",
        lambda s: rgtool.power(seeds=(2, 3), levels=(6, 8), simulations=200),
    ),
    "forecast": ("forecast A --draws 200", lambda s: rgtool.forecast(s, first(s), draws=200)),
    "compare": (
        "compare A B --no-masks",
        lambda s: rgtool.compare(s, first(s), second(s), masks=False),
    ),
    "classify": ("classify --draws 50", lambda s: rgtool.classify(s, draws=50)),
    "pairs": ("classify --pairs --draws 50", lambda s: rgtool.classify(s, draws=50).pair_table),
    "against": ("classify --against published", lambda s: rgtool.against_published(s)),
    "meta": (
        f"meta A {SPECTRA[0]} {SPECTRA[1]} --sd .01",
        lambda s: rgtool.meta(s, [first(s), *SPECTRA], sd=0.01),
    ),
    "studies": ("meta A B --studies", lambda s: rgtool.meta(s, [first(s), second(s)]).study_table),
    "predict": (f"predict {SPECTRA[0]} {SPECTRA[1]}", lambda s: rgtool.predict(s, *SPECTRA)),
    "match": (f"match {R56} {R32} --draws 50", lambda s: rgtool.match(s, R56, R32, draws=50)),
    "match_all": (
        "match --all --published --draws 50",
        lambda s: rgtool.match_all(s, published=True, draws=50),
    ),
    "gamma": (f"gamma {MOCO}", lambda s: rgtool.gamma(s, MOCO)),
    "gamma of several": (
        f"gamma {RENDA[0]} {RENDA[1]} --shared",
        lambda s: rgtool.shared_gamma(s, RENDA),
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_python_and_the_command_line_say_the_same(name: str, store: Path, cli: Cli) -> None:
    arguments, ask = QUESTIONS[name]
    opened = rgtool.Store(store)
    ids = {"A": first(opened), "B": second(opened)}
    command = [ids.get(part, part) for part in arguments.split()]
    if command[0] not in ("null",):
        command += ["--store", str(store)]
    found = ask(opened)
    done = cli(*command)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    above, below = shown_lines(found.notes)
    assert done.err.splitlines() == [*above, found.title, *below]
    in_python = shown_lines(found.notes, more=".notes has them")[1]
    assert found.summary().splitlines() == [*above, found.title, *lines, *in_python]
    seen = read(found._repr_html_())
    assert seen.lines() == [" ".join(line.split()) for line in lines]
    assert (seen.above, seen.caption, seen.below) == (above, found.title, in_python)
    assert all(isinstance(note, Note) and note.see for note in found.notes)
    assert list(found.notes) == list(ranked(found.notes))
    told = json.loads(cli(*command, "--json").out)
    assert told == json.loads(json.dumps(found.to_frame().to_dicts()))


def test_the_anomalous_part_stands_with_its_interval_everywhere(store: Path) -> None:
    opened = rgtool.Store(store)
    for found in (rgtool.eigen(opened, first(opened)), rgtool.spectra(opened)):
        header = found.summary().splitlines()[1].split()
        at = header.index("anomalous")
        assert header[at : at + 3] == ["anomalous", "anomalous_low", "anomalous_high"]
        assert read(found._repr_html_()).header == header


def test_any_result_is_drawn_by_one_function(store: Path) -> None:
    opened = rgtool.Store(store)
    spectra = [rgtool.eigen(opened, one, by="stage") for one in (first(opened), second(opened))]
    assert len(rgtool.plot(spectra[0]).axes) == 1 == len(spectra[0].plot().axes)
    assert len(rgtool.plot(spectra).axes) == 1
    gammas = [rgtool.gamma(None, name) for name in RENDA]
    assert len(rgtool.plot(gammas).axes) == len(gammas[0].plot().axes) == 2
    shared = rgtool.shared_gamma(None, RENDA)
    assert len(rgtool.plot(shared).axes) == len(shared.plot().axes) == 2
    counts = opened.counts(first(opened), "stage")
    assert rgtool.plot(counts, "flow").axes and rgtool.plot([counts], "accuracy").axes
    with pytest.raises(UsageError, match="no figure shows 2 of Spectrum, Gamma: give a result, s"):
        rgtool.plot([spectra[0], gammas[0]])
    with pytest.raises(UsageError, match="no figure shows 2 of SharedGamma: draw them one by one"):
        rgtool.plot([shared, shared])
    with pytest.raises(UsageError, match="no kind of figure is given: .*flow"):
        rgtool.plot(counts)
    for wrong in (opened, counts.label, 3, ["flow"]):
        with pytest.raises(UsageError, match="and no (Store|str|int): as plot"):
            rgtool.plot(wrong)  # type: ignore[arg-type]
    printed = rgtool.eigen(None, "published:resnet20-cifar10")
    with pytest.raises(UsageError, match=r"a printed spectrum, .* by classify\(\.\.\.\)\.plot\(\)"):
        printed.plot()
    with pytest.raises(UsageError, match="figure 'flow' is of experiments"):
        rgtool.plot(spectra, "flow")


def test_any_result_becomes_a_chart_by_one_function(store: Path) -> None:
    opened = rgtool.Store(store)
    spectra = [rgtool.eigen(opened, one, by="stage") for one in (first(opened), second(opened))]
    assert rgtool.chart(spectra[0]).key == rgtool.chart(spectra).key == "spectrum"
    assert {*rgtool.chart(spectra).of.split()} == {one.experiment_id for one in spectra}
    counts = opened.counts(first(opened), "stage")
    for kind in ("flow", "accuracy", "spectrum"):
        assert rgtool.chart(counts, kind).key == kind
    gammas = rgtool.gamma(None, RENDA[0])
    with pytest.raises(UsageError, match="no chart shows 2 of Spectrum, Gamma: give a result, s"):
        rgtool.chart([spectra[0], gammas])
    with pytest.raises(UsageError, match="SharedGamma has no chart: to_frame"):
        rgtool.chart(rgtool.shared_gamma(None, RENDA))
    with pytest.raises(UsageError, match="no kind of chart is given: .*flow"):
        rgtool.chart(counts)
    with pytest.raises(UsageError, match="a chart of the flow shows one experiment, not 2"):
        rgtool.chart([counts, counts], "flow")
    with pytest.raises(UsageError, match="chart 'flow' is of experiments"):
        rgtool.chart(spectra, "flow")
    with pytest.raises(UsageError, match="a chart needs at least one"):
        rgtool.chart([])
    with pytest.raises(UsageError, match=r"and no str: as chart\(eigen"):
        rgtool.chart(counts.label)  # type: ignore[arg-type]
