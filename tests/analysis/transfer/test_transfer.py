"""What a transfer shows: a table by condition and level, and what is said of it."""

import dataclasses
import math

import numpy as np
import pytest
from synthetic import counts, first_levels, without

from rgtool import RgtoolError
from rgtool.analysis.transfer.estimate import measure_transfer
from rgtool.analysis.transfer.notes import equal_weights

DESIGN = np.array([0.95, 0.94, 0.93, 0.90])


def experiment(accuracy, task="digits", *, seeds=None, rng=0, apart="", scales=()):
    """A lenet with these accuracies, (S, T) or (T,) of three seeds with some scatter."""
    accuracy = np.asarray(accuracy, float)
    if accuracy.ndim == 1:
        draw = np.random.default_rng(rng)
        accuracy = (accuracy + 0.004 * draw.normal(size=(3, len(accuracy)))).round(3)
    drawn = counts("lenet", seeds=len(accuracy), levels=accuracy.shape[1] - 1, task=task, rng=rng)
    seeds = tuple(range(len(accuracy))) if seeds is None else tuple(seeds)
    return dataclasses.replace(
        drawn,
        accuracy=accuracy,
        seeds=seeds,
        experiment_id=f"{drawn.experiment_id[:6]}{apart}",
        scales=scales,
        recorded=np.isfinite(accuracy),
    )


SOURCE = experiment(DESIGN, "cifar10", rng=1, apart="source")
OWN = experiment(DESIGN, rng=2)


def transfer(own=OWN, source=SOURCE, **changes):
    """Tickets that lose .02 a level, beside masks that are shuffled and lose twice that."""
    falls = DESIGN - 0.02 * np.arange(4)
    children = {
        "transferred": experiment(falls, rng=3, apart="moved"),
        "shuffle": experiment(2 * falls - DESIGN, rng=4, apart="shuffle"),
    } | changes
    return measure_transfer(None, source, own, children)


def said(found):
    return "\n".join(found.notes)


def rows_of(found, condition):
    return [row for row in found.to_frame().to_dicts() if row["condition"] == condition]


def test_the_table_has_every_condition_at_every_level():
    found = transfer()
    frame = found.to_frame()
    assert frame["condition"].unique(maintain_order=True).to_list() == [
        "own",
        "transferred",
        "shuffle",
    ]
    assert frame["level"].to_list() == [0, 1, 2, 3] * 3
    for level, row in enumerate(rows_of(found, "transferred")):
        assert row["to_own"] == pytest.approx(-0.02 * level, abs=0.01)
        assert row["to_own_low"] < -0.02 * level < row["to_own_high"]
        assert row["to_shuffle"] == pytest.approx(0.02 * level, abs=0.012)
        assert (row["runs"], row["pairs"]) == (3, 3)
    assert rows_of(found, "own")[1]["to_own"] is None
    assert rows_of(found, "shuffle")[1]["to_shuffle"] is None
    assert found.title.startswith(f"tickets of lenet/cifar10 ({SOURCE.experiment_id}) on digits")


def test_differences_are_pairs_of_seeds_whatever_their_order():
    moved = experiment(OWN.accuracy[::-1] - 0.01, seeds=(2, 1, 0), apart="moved")
    for row in rows_of(transfer(transferred=moved), "transferred"):
        assert row["to_own"] == pytest.approx(-0.01)
        assert row["to_own_high"] - row["to_own_low"] < 0.01


def test_matching_is_against_the_dense_network_of_the_target():
    """Dense mean .95, sd .01: the bar is .94."""
    own = experiment([[0.94, 0.95, 0.90], [0.95, 0.95, 0.90], [0.96, 0.95, 0.90]])
    moved = experiment([[0.99, 0.941, 0.939]] * 3, apart="moved")
    found = transfer(own, transferred=moved)
    assert found.matching["own"].value == pytest.approx(0.8, abs=1e-3)
    assert found.matching["transferred"].value == pytest.approx(0.8, abs=1e-3)
    assert found.matching["own"].low <= 0.8 <= found.matching["own"].high
    flat = experiment([[0.94, 0.94, 0.932], [0.95, 0.95, 0.942], [0.96, 0.96, 0.952]], apart="m")
    doubt = transfer(own, transferred=flat).matching["transferred"]
    assert doubt.low < doubt.high
    poor = transfer(own, transferred=experiment([[0.5, 0.5, 0.5]] * 3, apart="moved"))
    assert math.isnan(poor.matching["transferred"].value)
    assert "transferred none" in said(poor) and "own 0.8 [" in said(poor)
    assert rows_of(poor, "transferred")[0]["matching"] is None


def test_what_came_out_is_said_first():
    found = transfer()
    assert found.notes[0].startswith("at density 0.512 (level 3) transferred tickets reach 0.8")
    assert "to the target's own; " in found.notes[0] and "to shuffle" in found.notes[0]
    assert found.verdict in ("same", "different", "undecided")
    assert f": {found.verdict}, p " in said(found)
    assert found.predicted in said(found)


def test_levels_that_a_child_lacks_are_absent():
    moved = without(experiment(DESIGN, apart="moved"), *((run, 1) for run in range(3)))
    found = transfer(transferred=moved)
    assert [row["level"] for row in rows_of(found, "transferred")] == [0, 2, 3]
    shown = measure_transfer(None, SOURCE, OWN, {"transferred": moved}, at=[2])
    assert shown.to_frame()["level"].to_list() == [2, 2]


def test_a_seed_that_is_missing_in_one_condition_is_said():
    moved = experiment(OWN.accuracy[:2] - 0.01, apart="moved")
    found = transfer(transferred=moved)
    assert [row["pairs"] for row in rows_of(found, "transferred")] == [2] * 4
    pair = "seeds of transferred (0, 1) and of the target's own (0, 1, 2) do not all pair"
    assert f"{pair}: 2 pairs of 2 and 3 runs are used" in said(found)


def test_seeds_that_do_not_pair_are_said_and_means_are_compared():
    moved = experiment(OWN.accuracy - 0.01, seeds=(7, 8, 9), apart="moved")
    found = transfer(transferred=moved)
    assert [row["pairs"] for row in rows_of(found, "transferred")] == [0] * 4
    assert rows_of(found, "transferred")[1]["to_own"] == pytest.approx(-0.01)
    assert "the means of all runs are compared" in said(found)
    assert "do not all pair" not in said(transfer())


def test_one_seed_has_no_interval():
    own, moved = (experiment(DESIGN[None] - x, apart=str(x)) for x in (0, 0.01))
    found = measure_transfer(None, first_levels(SOURCE, 4), own, {"transferred": moved})
    row = rows_of(found, "transferred")[2]
    assert row["to_own"] == pytest.approx(-0.01)
    assert row["to_own_low"] is None and row["accuracy_low"] is None
    assert "one seed has no interval: add --seeds" in said(found)
    assert "nan" not in found.summary()


def test_equal_accuracies_are_no_certainty():
    found = transfer(transferred=experiment(OWN.accuracy, apart="moved"))
    for row in rows_of(found, "transferred"):
        assert row["to_own"] == 0 and row["to_own_low"] < 0 < row["to_own_high"]
    flat = [[0.9] * 4] * 3
    alike = measure_transfer(
        None,
        SOURCE,
        experiment(flat),
        {"transferred": experiment(flat, apart="moved")},
        spectra=False,
    )
    assert rows_of(alike, "transferred")[0]["to_own_low"] is None
    assert "all accuracies are one number" in said(alike)


def test_densities_without_a_level_of_the_target_have_no_difference():
    longer = experiment([*DESIGN, 0.85, 0.8], apart="moved")
    found = transfer(transferred=longer)
    rows = rows_of(found, "transferred")
    assert [row["to_own"] is None for row in rows] == [False] * 4 + [True] * 2
    assert rows[5]["accuracy"] == pytest.approx(0.8, abs=0.02)
    assert "transferred 0.41 (level 4), transferred 0.328 (level 5): no difference" in said(found)
    assert found.notes[0].startswith("at density 0.512 (level 3)")


def test_a_denser_child_is_compared_at_its_density():
    """Half a level denser than the target's own at the same level."""
    moved = experiment(DESIGN, rng=2, apart="moved")
    kept = np.sqrt(moved.kept[:, 1:].astype(float) * moved.kept[:, :-1]).astype(np.int64)
    moved = dataclasses.replace(moved, kept=np.concatenate([moved.kept[:, :1], kept], axis=1))
    row = rows_of(transfer(transferred=moved), "transferred")[3]
    between = (OWN.accuracy[:, 2] + OWN.accuracy[:, 3]) / 2
    assert row["density"] == pytest.approx(0.8**2.5, abs=1e-3)
    assert row["to_own"] == pytest.approx((moved.accuracy[:, 3] - between).mean(), abs=1e-4)


def test_networks_that_guess_are_named():
    guesses = np.array([0.95, 0.9, 0.1, 0.1])
    found = transfer(experiment(guesses), transferred=experiment(guesses, rng=3, apart="moved"))
    assert [row["guessing"] for row in rows_of(found, "own")] == ["", "", "all", "all"]
    assert "no run can be told from guessing: own at 0.64" in said(found)
    assert found.notes[0].startswith("at density 0.8 (level 1)")
    assert math.isfinite(found.matching["transferred"].value)
    idle = np.full(4, 0.1)
    nothing = transfer(experiment(idle), transferred=experiment(idle, rng=3, apart="moved"))
    assert all(math.isnan(one.value) for one in nothing.matching.values())
    assert set(nothing.to_frame()["matching"]) == {None}
    assert "no smallest density that matches the target's own dense network: " in said(nothing)
    lost = transfer(transferred=experiment(guesses, rng=3, apart="moved"))
    assert lost.notes[0].startswith("at density 0.512 (level 3) transferred tickets reach ")
    assert lost.of("transferred")[3].to_own.estimate.value == pytest.approx(-0.8, abs=0.02)
    some = np.array([[0.95, 0.9, 0.9, 0.9], [0.95, 0.9, 0.9, 0.1], [0.94, 0.9, 0.9, 0.9]])
    found = transfer(transferred=experiment(some, apart="moved"))
    assert [row["guessing"] for row in rows_of(found, "transferred")] == ["", "", "", "some"]
    assert "some runs guess and others do not: transferred at 0.512" in said(found)


def test_equal_initial_weights_are_said():
    scales = tuple({"init": {"fc1": 0.1 + s}, "rewind": {"fc1": 0.1 + s}} for s in range(3))
    source = dataclasses.replace(SOURCE, scales=scales)
    only = "only the mask is transferred"
    assert only in said(transfer(dataclasses.replace(OWN, scales=scales), source))
    trained = tuple({**one, "rewind": {"fc1": 0.3}} for one in scales)
    assert only not in said(transfer(dataclasses.replace(OWN, scales=trained), source))
    assert only not in said(transfer())


def test_tickets_of_other_seeds_have_other_weights():
    scales = tuple({"rewind": {"fc1": 0.1 + s}} for s in range(3))
    source, own = (dataclasses.replace(one, scales=scales) for one in (SOURCE, OWN))
    every = dict.fromkeys(range(3), True)
    assert equal_weights(source, own) == every
    assert equal_weights(source, own, {0: 0, 1: 1}) == {0: True, 1: True}
    assert equal_weights(source, own, {0: 1, 1: 2, 2: 0}) == dict.fromkeys(range(3), False)
    others = dataclasses.replace(own, seeds=(7, 8, 9))
    assert equal_weights(source, others, {7: 0, 9: 2}) == {7: True, 9: True}
    assert equal_weights(source, others) == {}
    assert equal_weights(dataclasses.replace(source, scales=()), own) == {}
    # One ticket of two seeds, of which one has other weights.
    assert equal_weights(source, own, {1: 0, 0: 0}) == {0: True, 1: False}


@pytest.mark.parametrize(
    ("tickets", "where"),
    [
        (None, "equal weights, seed by seed, and rewind"),
        ({0: 1, 1: 1, 2: 2}, "equal weights (seeds 1, 2) and rewind"),
        ({0: 1, 1: 0, 2: 2}, "equal weights (seed 2) and rewind"),
    ],
)
def test_seeds_of_equal_weights_are_named_in_any_order(tickets, where):
    scales = tuple({"rewind": {"fc1": 0.1 + s}} for s in range(3))
    source, own = (dataclasses.replace(one, scales=scales) for one in (SOURCE, OWN))
    moved = {"transferred": experiment(DESIGN, rng=3, apart="moved")}
    for pairs in (tickets, tickets and dict(reversed(tickets.items()))):
        assert where in said(measure_transfer(None, source, own, moved, tickets=pairs))


def test_seeds_whose_density_is_none_of_the_targets_are_counted():
    moved = experiment(DESIGN, rng=3, apart="moved")
    kept = moved.kept.copy()
    kept[0, 3] = 0.9 * kept[0, 3]  # sparser than any level of the target's own
    sparser = dataclasses.replace(moved, kept=kept)
    found = transfer(transferred=sparser)
    assert [cell.to_own.pairs for cell in found.of("transferred")] == [3, 3, 3, 2]
    density = found.of("transferred")[3].density
    text = "the target's own is not known at the density of every seed: transferred"
    assert f"{text} {density:.3g} (level 3: 2 of 3 pairs); a further level" in said(found)
    assert "of every seed" not in said(transfer(transferred=moved))
    further = experiment([*DESIGN, 0.8], rng=2)
    assert "of every seed" not in said(transfer(further, transferred=sparser))


def test_the_source_on_its_own_task_is_told():
    again = dataclasses.replace(OWN, experiment_id="again")
    found = measure_transfer(None, OWN, OWN, {"transferred": again})
    assert [row["to_own"] for row in rows_of(found, "transferred")] == [0.0] * 4
    assert "the source's own task: its transferred tickets are the same runs again" in said(found)
    assert found.verdict == ""
    crossed = measure_transfer(None, OWN, OWN, {"transferred": again}, tickets={0: 1, 1: 0, 2: 2})
    assert "the same runs again" not in said(crossed)
    recipe = dataclasses.replace(OWN.recipe, parent="parent", fresh=("fc1",))
    other = dataclasses.replace(again, recipe=recipe)
    assert "the same runs again" not in said(
        measure_transfer(None, OWN, OWN, {"transferred": other})
    )


def test_a_target_without_accuracy_is_refused():
    bare = dataclasses.replace(OWN, accuracy=np.full(OWN.accuracy.shape, np.nan))
    with pytest.raises(RgtoolError, match="no accuracy is on record"):
        transfer(bare)
    sparse = without(OWN, *((run, 0) for run in range(3)))
    assert math.isnan(transfer(sparse).matching["transferred"].value)
