"""One look-up for every verb: each kind of name, and why it cannot serve where it cannot."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import Cli
from flows import write_experiment

import rgtool
from rgtool import Store
from rgtool.analysis.named import (
    ErrorTable,
    Stored,
    counts_of,
    counts_of_all,
    look_up,
    look_up_all,
)
from rgtool.schemas.errors import UsageError
from rgtool.store import PublishedCurve, PublishedSpectrum
from rgtool.store.counts import Counts

SPECTRUM, CURVE = "published:resnet20-cifar10", "published:renda2020-resnet20-cifar10"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with two experiments, and the id of the first."""
    folder = tmp_path_factory.mktemp("named")
    first = write_experiment(folder / "s", architecture="resnet20w4")
    write_experiment(folder / "s", seeds=2, architecture="resnet14w4")
    pl.DataFrame(
        {"density": 0.8 ** np.arange(12.0), "error": np.geomspace(0.1, 0.5, 12)}
    ).write_csv(folder / "curve.csv")
    return folder, first


def test_every_kind_of_name_is_found(place: tuple[Path, str]) -> None:
    folder, first = place
    store = Store(folder / "s")
    for name in (first, first[:6], "resnet20w4/digits"):
        assert look_up(store, name) == Stored(store, first)
    run = look_up(store, f"{first}-s1")
    assert isinstance(run, Stored) and run.name == f"{first}-s1" and run.counts().seeds == (1,)
    assert look_up(store, first[:6].upper()) == look_up(store, first)
    assert look_up(store, f"{first.upper()}-S1") == run
    assert look_up(store, "ResNet20w4/digits PRUNE=.2") == look_up(store, first)
    assert isinstance(look_up(store, SPECTRUM), PublishedSpectrum)
    printed = look_up(store, "Published:ResNet20-CIFAR10")
    assert isinstance(printed, PublishedSpectrum) and printed.name == SPECTRUM
    assert isinstance(look_up(store, CURVE), PublishedCurve)
    assert look_up(store, "some/curve.csv") == ErrorTable(Path("some/curve.csv"))
    counts = store.counts(first)
    assert look_up(None, counts) is counts
    assert {one.experiment_id for one in store.experiments()} == {
        one.experiment_id for one in look_up_all(store, ()) if isinstance(one, Stored)
    }


def test_what_is_excluded_is_left_out_or_told(place: tuple[Path, str]) -> None:
    folder, first = place
    store = Store(folder / "s")
    every = look_up_all(store, ())
    others = [one for one in every if one != Stored(store, first)]
    assert len(others) == len(every) - 1 == 1
    assert look_up_all(store, (), ["resnet20w4/digits"]) == others
    assert look_up_all(store, every, [Stored(store, first)]) == others
    assert look_up_all(store, [SPECTRUM, CURVE, first], [SPECTRUM, CURVE]) == [
        look_up(store, first)
    ]
    assert look_up_all(store, others, [first, f"{first}-s1", SPECTRUM]) == others
    twice = [first, "resnet20w4/digits", SPECTRUM, *others, first, SPECTRUM]
    named = [one.name for one in look_up_all(store, twice) if not isinstance(one, Counts)]
    assert named == [first, SPECTRUM, *(one.name for one in others if isinstance(one, Stored))]
    counts = store.counts(first)
    assert look_up_all(store, [counts, first], [counts]) == [look_up(store, first)]
    for names, exclude, words in (
        ((), every, "every experiment is excluded"),
        ((), [f"{first}-s1"], "exclude whole experiments"),
        ((), ["nobody"], "nobody"),
    ):
        with pytest.raises(UsageError, match=words):
            look_up_all(store, names, exclude)


def test_a_store_is_a_store_a_path_or_that_of_the_working_directory(
    place: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first = place
    by_store = rgtool.eigen(Store(folder / "s"), first)
    for path in (folder / "s", str(folder / "s")):
        np.testing.assert_array_equal(
            rgtool.eigen(path, first).eigenvalue.value, by_store.eigenvalue.value
        )
    monkeypatch.setenv("RGTOOL_STORE", str(folder / "s"))
    np.testing.assert_array_equal(
        rgtool.eigen(None, first).eigenvalue.value, by_store.eigenvalue.value
    )


def test_a_name_and_what_it_means_give_the_same(place: tuple[Path, str]) -> None:
    folder, first = place
    store = Store(folder / "s")
    counts = store.counts(first)
    assert rgtool.eigen(None, counts).summary() == rgtool.eigen(store, first).summary()
    layers = store.counts(first, "layer")
    assert rgtool.forecast(None, layers).summary() == rgtool.forecast(store, first).summary()
    assert rgtool.nulls_of(store, counts).summary() == rgtool.nulls_of(store, first).summary()
    assert rgtool.matching_density(None, counts) == rgtool.matching_density(store, first)
    alone = rgtool.eigen(store, f"{first}-s1")
    assert alone.summary() == rgtool.eigen(None, counts.select([1])).summary()


def test_a_run_stands_where_an_experiment_does(place: tuple[Path, str]) -> None:
    folder, first = place
    store, run = Store(folder / "s"), f"{first}-s1"
    assert rgtool.gamma(store, run).name == run
    assert rgtool.forecast(store, run).runs == (run,)
    classes = rgtool.classify(store, [run, f"{first}-s2"], draws=5)
    assert classes.experiments == (run, f"{first}-s2")
    assert rgtool.match(store, run, "resnet14w4/digits", draws=5).source.name == run
    assert rgtool.compare(store, run, f"{first}-s2").title.endswith("undecided, no test")


NEEDS = [
    (("eigen", CURVE), "a spectrum needs the counts .* a curve of error against density, which"),
    (("eigen", "x.csv"), "a spectrum needs the counts .*: x.csv is a table of errors, which"),
    (("eigen", SPECTRUM, "--nulls"), "null models needs the counts .* is a printed spectrum"),
    (("forecast", SPECTRUM), "a forecast needs the counts"),
    (("scheme", SPECTRUM, CURVE), "a scheme needs the counts"),
    (("power", "--like", SPECTRUM), "a measurement of noise needs the counts"),
    (("gamma", SPECTRUM), "an exponent needs a curve of error against density"),
    (("gamma", SPECTRUM, CURVE, "--shared"), "a shared exponent needs a curve"),
    (("collapse", CURVE, SPECTRUM), "a collapse needs the counts"),
    (("classify", CURVE, SPECTRUM), "spectra are compared of experiments, runs and published"),
    (("classify", SPECTRUM, "--against", "published"), "set against the literature"),
    (("compare", SPECTRUM, SPECTRUM), "a comparison needs seeds and masks"),
    (("predict", CURVE, SPECTRUM), "spectra are compared of"),
    (("match", CURVE, SPECTRUM), "a match needs the counts"),
    (("show", "x.csv"), "a store shows experiments and runs: x.csv is a table of errors"),
    (("plot", SPECTRUM), "a figure needs the counts"),
]


@pytest.mark.parametrize(("arguments", "words"), NEEDS, ids=lambda v: str(v)[:40])
def test_what_cannot_serve_is_refused_in_words(
    cli: Cli, arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = cli(*arguments)
    assert done.code == 2 and done.out == ""
    assert len(done.err.splitlines()) == 1
    assert re.search(words, done.err), done.err
    assert list(tmp_path.iterdir()) == []


def test_counts_are_refused_where_an_experiment_is_due(place: tuple[Path, str]) -> None:
    folder, first = place
    counts = Store(folder / "s").counts(first)
    with pytest.raises(UsageError, match=f"{first} is counts of weights"):
        rgtool.against_published(folder / "s", [counts])
    with pytest.raises(UsageError, match="grouping 'blok' is unknown"):
        counts_of(folder / "s", first, "blok", "a test")


def test_where_several_are_welcome_a_selection_means_all_that_fit(
    place: tuple[Path, str], cli: Cli
) -> None:
    store = Store(place[0] / "s")
    both = [one.experiment_id for one in store.experiments()]
    assert {*rgtool.meta(store, ["task=digits"], by="stage").studies.ids} == {*both}
    assert {*rgtool.classify(store, ["task=digits"], grouping="stage").experiments} == {*both}
    frame = rgtool.spectra(store, ["task=digits"], by="stage").to_frame()
    assert {*frame["label"]} == {"resnet20w4/digits", "resnet14w4/digits"}
    done = cli("eigen", "--all", "resnet20w4/digits", "--by", "stage", "--store", str(store.path))
    assert done.code == 0 and "resnet14w4" not in done.out
    with pytest.raises(UsageError, match="fits 2 experiments"):
        rgtool.eigen(store, "task=digits")
    with pytest.raises(UsageError, match="1 study: a meta-analysis takes two"):
        rgtool.meta(store, ["resnet20w4/digits"])


def test_an_experiment_stands_for_itself_and_an_outcome_for_what_it_ran(
    place: tuple[Path, str], tmp_path: Path
) -> None:
    store = Store(place[0] / "s")
    (listed,) = store.experiments("resnet20w4/digits")
    assert look_up(store, listed) == Stored(store, place[1])
    assert look_up(store, listed.runs[1]) == Stored(store, place[1], listed.runs[1].run_id)
    some = Stored(store, place[1], runs=(listed.runs[1].run_id,))
    assert some.counts().runs == (listed.runs[1].run_id,)
    assert counts_of_all(store, [some], "layer", "it")[0].runs == some.runs
    assert store.counts(listed).runs == store.counts(place[1]).runs
    assert store.diff(*store.experiments()).rows
    assert look_up_all(store, [listed, *store.experiments()]) == look_up_all(
        store, [place[1], *(one.experiment_id for one in store.experiments())]
    )
    few = {"seeds": "0,1", "levels": 2, "epochs": 1, "width": 2, "train_size": 60, "rewind": "0"}
    outcome = rgtool.run("resnet8", "digits", store=tmp_path / "other", workers=1, **few)
    assert list(outcome.ends) == [0, 1] and str(outcome) == outcome.summary()
    for place_of in (store, None, tmp_path / "other"):
        found = look_up(place_of, outcome)
        assert isinstance(found, Stored) and found.store.path == tmp_path / "other"
    assert rgtool.eigen(None, outcome).experiment_id == outcome.experiment_id
    with pytest.raises(UsageError, match="an experiment or a run is due.*: found float"):
        look_up(store, 3.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a Spectrum is what was found of an experiment"):
        look_up(store, rgtool.eigen(None, outcome))
