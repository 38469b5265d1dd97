"""Which levels and runs of an experiment count: every boundary, and the words for it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from synthetic import counts, first_levels, without

from rgtool import RgtoolError
from rgtool.analysis.named import counts_of
from rgtool.analysis.window import SLACK, choose_window, common_levels, recorded_window
from rgtool.schemas.notes import Note, Rank
from rgtool.store.counts import Counts


def experiment(seeds: int = 3, levels: int = 8) -> Counts:
    return counts("lenet", seeds=seeds, levels=levels, task="digits")


def lacking(base: Counts, *levels: int, runs: tuple[int, ...] = (0,)) -> Counts:
    return without(base, *((run, level) for run in runs for level in levels))


def emptied(base: Counts, *places: tuple[int, int, int]) -> Counts:
    """The same where groups keep nothing from a level on: (run, level, group)."""
    kept = base.kept.copy()
    for run, level, group in places:
        kept[run, level:, group] = 0
    return dataclasses.replace(base, kept=kept)


def refusal(base: Counts, window: tuple[int, int] | None = None) -> str:
    with pytest.raises(RgtoolError) as error:
        choose_window(base, window)
    return str(error.value)


def test_what_a_window_holds() -> None:
    base = experiment()
    window = choose_window(base, (2, 7)).between(3, 6)
    assert (window.levels, window.steps, window.run_ids) == ((3, 6), 3, base.runs)
    np.testing.assert_array_equal(window.kept, base.kept[:, 3:7])
    np.testing.assert_array_equal(window.magnitude, base.magnitude[:, 3:7])
    network = base.kept[:, 3:7].sum(axis=2)
    np.testing.assert_array_equal(window.network, network)
    np.testing.assert_allclose(window.density, network.mean(axis=0) / base.total.sum())
    assert window.open.tolist() == [True, True, False]  # lenet's output layer is exempt
    assert window.scales == ()


def test_scales_are_those_of_the_runs_that_are_used() -> None:
    scales = tuple({"init": {"fc1": float(i)}} for i in range(3))
    base = dataclasses.replace(lacking(experiment(), *range(2, 9), runs=(1,)), scales=scales)
    window = choose_window(base)
    assert window.run_ids == (base.runs[0], base.runs[2])
    assert window.scales == (scales[0], scales[2])


def test_a_run_of_three_levels_counts_and_one_of_two_does_not() -> None:
    base = experiment()
    three = choose_window(lacking(base, *range(3, 9)))
    assert three.runs.tolist() == [0, 1, 2] and three.levels == (1, 2)
    assert not [note for note in three.notes if "is left out" in note]
    two = choose_window(lacking(base, *range(2, 9)))
    assert two.runs.tolist() == [1, 2] and two.levels == (1, 8)
    assert two.notes == (
        f"run {base.runs[0]} is left out: it has 2 of the 3 levels that are needed",
    )


@pytest.mark.parametrize(
    ("levels", "words"), [(0, "0 levels"), (1, "1 level"), (2, "2 levels"), (3, None)]
)
def test_the_longest_run_has_three_levels(levels: int, words: str | None) -> None:
    base = first_levels(experiment(), levels)
    if words is None:
        assert choose_window(base).levels == (1, 2)
    else:
        assert f"its longest run has {words}, a spectrum needs at least 3 (" in refusal(base)


def test_whose_runs_they_are_tells_how_there_come_to_be_more() -> None:
    own = first_levels(experiment(), 2)
    assert refusal(own).endswith(
        ": run it again with a larger --levels, it goes on where it stopped"
    )
    assert own.more("seeds") == "add --seeds"
    child = dataclasses.replace(own, recipe=dataclasses.replace(own.recipe, parent="0123456789ab"))
    assert refusal(child).endswith("which have no flow of their own: ask for that experiment")
    imported = dataclasses.replace(own, recipe=dataclasses.replace(own.recipe, origin="theirs"))
    assert refusal(imported).endswith("(levels 0, 1 and 2): import more levels")
    assert imported.more("seeds", "levels") == "import more seeds or levels"
    printed = counts_of(None, "published:tanaka2020-vgg16-cifar100-mag", "layer", "a window")
    assert printed.more("seeds") == "no more seeds are published"


@pytest.mark.parametrize(
    ("changes", "whose"),
    [
        ({}, "that experiment"),
        ({"control": "random"}, "random masks of as many weights"),
        ({"transform": "0:0;1:1,2"}, "that experiment, by 0:0;1:1,2"),
    ],
)
def test_levels_of_a_child_are_told_to_be_no_flow_of_its_own(
    changes: dict[str, str], whose: str
) -> None:
    base = experiment()
    recipe = dataclasses.replace(base.recipe, parent="0123456789ab", **changes)
    (note,) = choose_window(dataclasses.replace(base, recipe=recipe)).notes
    assert note == (
        "its levels are single tickets of 0123456789ab, each trained by itself, and no flow of "
        f"their own: counts are those of {whose}"
    )
    assert isinstance(note, Note) and note.rank == Rank.WARNING
    begun = dataclasses.replace(recipe, start=2)
    assert "single tickets" not in choose_window(dataclasses.replace(base, recipe=begun)).notes[0]


def test_what_no_weight_was_taken_of_is_whole_and_not_exempt() -> None:
    """In the window that is looked at, of all runs; a window cut from it has its groups."""
    base = experiment()
    kept = base.kept.copy()
    kept[:, :4, 1] = base.total[1]
    kept[1, 3, 1] -= 1
    made = dataclasses.replace(base, kept=kept)
    whole = choose_window(made, (1, 2))
    assert whole.whole.tolist() == [False, True, False]
    assert whole.open.tolist() == [True, False, False] and whole.names == ("fc1",)
    (note,) = whole.notes
    assert note.startswith("fc2: not exempt, but whole up to level 2 by what the pruner chose")
    longer = choose_window(made, (1, 3))  # one run has lost a weight
    assert not longer.whole.any() and longer.notes == ()
    assert longer.between(1, 2).open.tolist() == [True, True, False]
    assert longer.between(1, 3).between(1, 2).span == (1, 3)
    assert whole.between(1, 3).whole.tolist() == [False, True, False]


def test_no_run_at_all_has_no_level() -> None:
    assert "its longest run has 0 levels" in refusal(experiment().select([]))


def test_where_a_window_starts_and_ends_is_said() -> None:
    base = experiment()
    first, others = base.runs[0], f"3 runs ({base.runs[0]}, ...)"
    late = choose_window(lacking(base, 0, 1))
    assert late.levels == (2, 8)
    assert late.notes == (f"the window starts at level 2: run {first} has no record of level 1",)
    assert choose_window(lacking(base, 0)).notes == choose_window(base).notes == ()
    early = choose_window(lacking(base, 6, 7, 8))
    assert early.levels == (1, 5)
    assert early.notes == (
        f"the window ends at level 5: run {first} has no record of level 6, the longest run goes "
        "to level 8",
    )
    gap = choose_window(lacking(base, 5, runs=(0, 1, 2)))
    assert gap.levels == (1, 4)
    assert f"{others} have no record of level 5, the longest" in gap.notes[0]
    two = choose_window(lacking(base, 5, runs=(1, 2)))
    assert f"2 runs ({base.runs[1]}, ...) have no record of level 5" in two.notes[0]


@pytest.mark.parametrize(
    ("missing", "level", "remedy"),
    [
        ((2,), 2, ", or give --window 3:8, which all have"),
        ((2, 5), 2, ", or give --window 6:8, which all have"),
        ((2, 6), 2, ", or give --window 3:5, which all have"),
        ((2, 7, 8), 2, ", or give --window 3:6, which all have"),
        ((2, 4, 6, 8), 2, ""),
        ((2, 4, 5, 6, 7), 2, ""),
        (tuple(range(1, 9)), 1, ""),
    ],
)
def test_a_gap_after_the_first_level_leaves_the_longest_stretch(
    missing: tuple[int, ...], level: int, remedy: str
) -> None:
    """Between stretches of one length the first is offered: 3:5 and not 7:8 or 6:8."""
    base = experiment()
    # Every run has three levels or more; together they lack these.
    half = len(missing) // 2
    spread = lacking(lacking(base, *missing[:half], runs=(0,)), *missing[half:], runs=(1,))
    start = 1 if level > 1 else 0
    found = refusal(spread)
    assert f"no record of level {level}, so no step from level {start} on is left" in found
    assert found.endswith(f"run or import the missing levels{remedy}")


def test_a_collapse_ends_the_window_and_names_the_first() -> None:
    base = experiment()
    # Level, then run, then group decide which is named.
    window = choose_window(emptied(base, (2, 5, 0), (1, 5, 1), (1, 6, 0), (0, 7, 0)))
    assert window.levels == (1, 4)
    named = f"group fc2 keeps no weight at level 5 of run {base.runs[1]}"
    assert window.notes == (f"the window ends at level 4: {named}",)
    assert choose_window(emptied(base, (0, 3, 0))).levels == (1, 2)
    found = refusal(emptied(base, (0, 2, 0)))
    assert "keeps no weight at level 2" in found
    assert "no step from level 1 on has all groups" in found


def test_a_collapse_of_a_run_that_is_left_out_is_none() -> None:
    base = emptied(lacking(experiment(), *range(2, 9)), (0, 1, 0), (2, 6, 0))
    window = choose_window(base)
    assert window.levels == (1, 5) and f"level 6 of run {base.runs[2]}" in window.notes[-1]


def test_a_requested_window_is_taken_to_the_last_level_or_refused() -> None:
    base = experiment()
    for window in ((0, 1), (0, 8), (7, 8)):
        assert choose_window(base, window).levels == window
        assert choose_window(base, window).notes == ()
    assert refusal(base, (1, 9)) == "window 1:9 reaches past the last level recorded, 8"
    for window in ((-1, 3), (3, 3), (4, 3)):
        assert f"window {window[0]}:{window[1]} holds no step" in refusal(base, window)
    gap = lacking(base, 4, 5)
    assert choose_window(gap, (1, 3)).levels == (1, 3)
    assert choose_window(gap, (6, 8)).levels == (6, 8)
    for window, level in (((1, 4), 4), ((5, 8), 5), ((2, 7), 4)):
        words = f"window {window[0]}:{window[1]}: run {base.runs[0]} has no record of level {level}"
        assert refusal(gap, window) == words
    dying = emptied(base, (1, 6, 1))
    assert choose_window(dying, (3, 5)).levels == (3, 5)
    words = f"window 4:7: group fc2 keeps no weight at level 6 of run {base.runs[1]}, where its"
    assert refusal(dying, (4, 7)).startswith(words)


def test_a_run_that_prunes_nothing_is_named() -> None:
    base = experiment()
    kept = base.kept.copy()
    kept[1, 3:] = kept[1, 3]
    still = dataclasses.replace(base, kept=kept)
    assert choose_window(still).levels == (1, 8)
    assert choose_window(still, (2, 4)).levels == (2, 4)
    found = refusal(still, (3, 6))
    assert f"run {base.runs[1]} keeps {kept[1, 3].sum():,} weights at level 3 and at level" in found


@pytest.mark.parametrize(("share", "number"), [(0.049, 4), (0.051, 0)])
def test_densities_within_a_twentieth_of_a_step_are_one(share: float, number: int) -> None:
    one = 0.8 ** np.arange(1.0, 5)
    assert SLACK == 0.05
    assert len(common_levels(one, one * 0.8**share)) == number


@pytest.mark.parametrize(
    ("missing", "levels", "runs"),
    [
        ((), (1, 8), 3),
        (((0, 1), (1, 2)), (3, 8), 3),  # who lacks a level at the start
        (((0, 5),), (1, 4), 3),  # a gap ends it
        (((0, 1), (0, 3)), (2, 2), 3),  # and may leave one level
        (tuple((0, level) for level in range(1, 9)), (1, 8), 2),  # nothing pruned yet
        (tuple((0, level) for level in range(3, 9)), (1, 2), 3),
        (((0, 0),), (1, 8), 3),
    ],
)
def test_the_levels_that_all_runs_have(
    missing: tuple[tuple[int, int], ...], levels: tuple[int, int], runs: int
) -> None:
    window = recorded_window(without(experiment(), *missing))
    assert window.levels == levels and len(window.runs) == runs
    assert window.kept.shape == (runs, levels[1] - levels[0] + 1, 3)
    assert window.names == ("fc1", "fc2")


@pytest.mark.parametrize("odd", [0, 1])
def test_without_a_pruned_level_in_common_there_is_no_window(odd: int) -> None:
    halves = [(run, level) for run in range(2) for level in range(1, 9) if level % 2 == run]
    base = experiment(seeds=2) if odd else experiment(levels=0)
    with pytest.raises(RgtoolError, match="no pruned level in common"):
        recorded_window(without(base, *halves) if odd else base)
