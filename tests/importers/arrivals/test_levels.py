"""Levels on their way into a run: what is pruned stays pruned, and orders of layers are kept."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from rgtool.schemas.blocks import Layer
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.record import build_record
from rgtool.schemas.tensors.safetensors import read_mask, write_mask
from rgtool.store.importers.arrivals.levels import Level, Steps, adopt, hold_nested, stored_network
from rgtool.store.importers.found import Refused
from rgtool.store.importers.recognition.recognise import Recognised

LAYERS = (Layer("a", "linear", (2, 3), "a", None), Layer("b", "linear", (4,), "b", None))
NETWORK = Recognised("two", LAYERS, ("one.a", "one.b"), "all", (), "said")


def level(*kept: int, magnitude: tuple[float, ...] | None = None, masked: bool = False) -> Level:
    """A level that keeps the first so many weights of every layer."""
    masks = {
        layer.name: (np.arange(layer.total) < n).reshape(layer.shape)
        for layer, n in zip(LAYERS, kept, strict=True)
    }
    return Level(
        np.array(kept),
        None if magnitude is None else np.array(magnitude),
        masks if masked else {},
        {"accuracy": sum(kept) / 10},
    )


@pytest.mark.parametrize("masked", [False, True])
def test_a_layer_may_keep_what_it_had_and_no_more(masked: bool) -> None:
    before = level(4, 2, masked=masked)
    for kept in ((4, 2), (3, 2), (0, 0)):
        hold_nested(NETWORK, before, level(*kept, masked=masked), 1, 3)
    for kept, name in (((5, 2), "a"), ((0, 3), "b")):
        words = f"layer one.{name} keeps weights at level 3 that level 1 had pruned"
        with pytest.raises(Refused, match=words):
            hold_nested(NETWORK, before, level(*kept, masked=masked), 1, 3)


def test_masks_tell_more_than_counts() -> None:
    """Fewer weights, but another one; where one side has no mask counts are all there is."""
    before, current = level(4, 2, masked=True), level(1, 1, masked=True)
    current.masks["a"][:] = np.array([[0, 0, 0], [0, 0, 1]], bool)
    with pytest.raises(Refused, match="layer one.a keeps"):
        hold_nested(NETWORK, before, current, 0, 1)
    hold_nested(NETWORK, level(4, 2), current, 0, 1)
    hold_nested(NETWORK, before, level(1, 1), 0, 1)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[RunFolder, RunFolder]:
    """A run and its staging folder."""
    both = RunFolder.of(tmp_path, "run"), RunFolder.of(tmp_path, "staging")
    for folder in both:
        folder.make()
    return both


def stage(
    folders: tuple[RunFolder, RunFolder], there: tuple[int, ...], new: dict[int, Level]
) -> list[int]:
    """Stage new levels of a run that has some; return the levels whose records are staged."""
    Steps(*folders, NETWORK, ("b",), there, new).write()
    return folders[1].recorded_levels()


SERIES = {n: level(6 - n, 4, magnitude=(6.0 - n, 4.5)) for n in range(6)}


@pytest.mark.parametrize(
    ("there", "new", "staged"),
    [
        ((), (0, 1, 2), [0, 1, 2]),
        ((), (1, 3, 4), [1, 3, 4]),
        ((0, 1), (2, 3), [2, 3]),
        ((0, 2, 3), (1,), [1, 2]),  # the record after a gap that is filled is written again
        ((1, 4, 5), (0, 2), [0, 1, 2]),
        ((0, 1, 3), (5,), [5]),
    ],
)
def test_previous_counts_are_those_of_the_level_before_and_of_none_across_a_gap(
    folders: tuple[RunFolder, RunFolder],
    there: tuple[int, ...],
    new: tuple[int, ...],
    staged: list[int],
) -> None:
    run, staging = folders
    stage(folders, (), {n: SERIES[n] for n in there})
    for n in there:
        staging.record(n).replace(run.record(n))
    assert stage(folders, there, {n: SERIES[n] for n in new}) == staged
    every = {*there, *new}
    for n in staged:
        found = staging.read_record(n).to_pydict()
        before = SERIES[n - 1] if n - 1 in every else None
        assert found["run_id"] == ["run"] * 2 and found["level"] == [n] * 2
        assert found["kept"] == SERIES[n].kept.tolist()
        assert found["kept_prev"] == ([None] * 2 if before is None else before.kept.tolist())
        assert found["magnitude"] == [6.0 - n, 4.5]
        assert found["magnitude_prev"] == ([None] * 2 if before is None else [7.0 - n, 4.5])
        assert found["accuracy"] == [(10 - n) / 10] * 2
        assert found["exempt"] == [False, True] and found["source_layer"] == ["one.a", "one.b"]


def test_new_levels_are_held_to_their_neighbours_alone(
    folders: tuple[RunFolder, RunFolder],
) -> None:
    """Between levels that the run has nothing is looked at, nor between two that come together."""
    run, staging = folders
    kept = {0: 6, 1: 5, 2: 4, 3: 3}
    for there in itertools.product([False, True], repeat=4):
        old = [n for n in kept if there[n]]
        for n, count in kept.items():
            folder, other = (run, staging) if there[n] else (staging, run)
            write_mask(folder.mask(n), level(count, 4, masked=True).masks, flush=False)
            other.mask(n).unlink(missing_ok=True)
        stage(folders, (), {n: level(kept[n], 4) for n in old})
        for n in old:
            staging.record(n).replace(run.record(n))
        new = {n: level(kept[n], 4) for n in kept if not there[n]}
        Steps(run, staging, NETWORK, (), old, new).hold_nested()
        if {1, 2} & set(old) and {1, 2} & set(new):
            grown = level(5, 4, masked=True).masks  # level 2 keeps what level 1 ...
            grown["a"].flat[5] = True  # ... had pruned
            write_mask((run if there[2] else staging).mask(2), grown, flush=False)
            with pytest.raises(Refused, match="layer one.a keeps weights at level 2 that level 1"):
                Steps(run, staging, NETWORK, (), old, new).hold_nested()


def test_levels_take_the_names_and_the_order_of_the_run(
    folders: tuple[RunFolder, RunFolder],
) -> None:
    staging = folders[1]
    renamed = (Layer("b2", "linear", (4,), "1.0", "1"), Layer("a2", "linear", (2, 3), "1.1", "1"))
    table = build_record(
        "run", 0, renamed, np.array([4, 6]), source_layers=["one.b", "one.a"], exempt=["a2"]
    )
    come = {1: level(5, 3, magnitude=(5.5, 3.5)), 2: level(4, 2)}
    write_mask(staging.mask(1), level(5, 3, masked=True).masks, flush=False)
    recipe = Recipe(architecture="two", task="digits", prunable="masked")
    stored = stored_network(table, recipe)
    assert (stored.layers, stored.sources) == (renamed, ("one.b", "one.a"))
    assert (stored.architecture, stored.prunable, stored.exempt) == ("two", "masked", ("a2",))
    levels = adopt(NETWORK, stored, come, staging)
    assert [x.kept.tolist() for x in levels.values()] == [[3, 5], [2, 4]]
    assert levels[1].magnitude is not None and levels[1].magnitude.tolist() == [3.5, 5.5]
    assert levels[2].magnitude is None and levels[2].numbers == come[2].numbers
    found = read_mask(staging.mask(1))
    assert {name: int(mask.sum()) for name, mask in found.items()} == {"b2": 3, "a2": 5}
    assert found["a2"].shape == (2, 3)
    assert not staging.mask(2).exists()


def test_levels_that_have_them_already_are_left_alone(
    folders: tuple[RunFolder, RunFolder],
) -> None:
    come = {1: level(5, 3, masked=True)}
    levels = adopt(NETWORK, NETWORK, come, folders[1])
    assert levels == come and levels[1].masks
