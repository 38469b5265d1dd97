"""The demonstration: two experiments completed once, and their spectra."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from command import Cli

import rgtool
from rgtool.runner.event import Event
from rgtool.runner.plan import Plan
from rgtool.studies.demo import demo

SMALL = functools.partial(demo, seeds=1, levels=3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with what the demonstration trains, on a smaller scale."""
    path = tmp_path_factory.mktemp("demo") / "store"
    SMALL(path)
    return path


def test_the_spectra_are_those_of_the_store(store: Path) -> None:
    lenet, resnet = SMALL(store)
    assert (lenet.label, lenet.by) == ("lenet/digits", "block")
    assert (resnet.label, resnet.by) == ("resnet8w8/digits", "stage")
    for spectrum in (lenet, resnet):
        assert len(spectrum.runs) == 1
        right = rgtool.eigen(rgtool.Store(store), spectrum.experiment_id, by=spectrum.by)
        np.testing.assert_array_equal(spectrum.eigenvalue, right.eigenvalue)


def watching(heard: list[tuple[str, Event]], stop: Callable[[], bool]) -> Callable[[Plan], object]:
    @contextmanager
    def watch(made: Plan) -> Iterator[tuple[Callable[[Event], None], Callable[[], bool]]]:
        yield lambda event: heard.append((made.recipe.architecture, event)), stop

    return watch


def test_what_is_there_is_not_trained_again(store: Path) -> None:
    heard: list[tuple[str, Event]] = []
    SMALL(store, watch=watching(heard, lambda: False))
    assert {(name, event.kind) for name, event in heard} == {
        ("lenet", "known"),
        ("resnet8w8", "known"),
    }


def test_what_was_stopped_is_named_and_goes_no_further(tmp_path: Path) -> None:
    heard: list[tuple[str, Event]] = []
    with pytest.raises(rgtool.RgtoolError, match=r"^lenet/digits: not finished \(seeds 0\); "):
        SMALL(tmp_path, watch=watching(heard, lambda: True))
    assert "resnet8w8" not in {name for name, _ in heard}


def test_the_command_prints_both(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rgtool.studies.demo.demo", SMALL)  # one seed in place of five
    done = cli("demo", "--store", str(store))
    assert done.code == 0, done.err
    assert "\\n" not in done.err  # a line is a line
    assert done.out.count("against_null") == 2
    assert [line.split()[0] for line in done.out.splitlines()[1:4]] == ["fc1", "fc2", "fc"]
    assert "resnet8w8 on digits: 1 seed, 3 prunings of 20 %, " in done.err
    (show,) = [line for line in done.err.splitlines() if line.startswith("  rgtool show ")]
    assert cli(*show.split()[1:]).code == 0
