"""What is predicted, written down and scored, from one end to the other, for every kind."""

import dataclasses
import json
import math
import shlex
import shutil
from pathlib import Path

import flows
import foretold
import numpy as np
import pytest
import stores
import untrained
from command import Cli

import rgtool
from rgtool import Recipe, RgtoolError, Store, predict, score
from rgtool.analysis.flow import window_exponents
from rgtool.analysis.scoreboard.laws import Outcome, log_score
from rgtool.analysis.scoreboard.line import Line, marks
from rgtool.analysis.scoreboard.score import OUTCOMES
from rgtool.analysis.scoreboard.transfer import matching_cell
from rgtool.schemas.blocks import architecture
from rgtool.schemas.recipe import CHOICES
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.predictions import FOLDER, Chance, Levels, Statement, Student
from rgtool.studies.targets import target_of

SEEDS = 3


def copied(made: Path, to: Path) -> Store:
    """Return a store of one's own, with what was made once for all tests."""
    shutil.copytree(made, to, dirs_exist_ok=True)
    return Store(to)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Two experiments that differ, whose distance sets a level between 2 and 15."""
    tmp_path = tmp_path_factory.mktemp("two")
    common = {"noise": 0.002, "seeds": SEEDS}
    one = flows.write_experiment(tmp_path, rng=1, **common)
    shift = {"1": 0.08, "3": -0.1}
    other = flows.write_experiment(tmp_path, rng=2, task="mnist", shift=shift, **common)
    return tmp_path, one, other


@pytest.fixture
def pair(two: tuple[Path, str, str], tmp_path: Path) -> tuple[Store, str, str]:
    made, *names = two
    return copied(made, tmp_path), *names


def write_children(
    store: Store,
    source: str,
    target: str,
    accuracy: dict[int, float],
    seeds: int = SEEDS,
    turned: int = 0,
    **fields,
) -> str:
    """Train the tickets of one experiment on another's task, as far as a store can tell.

    Each seed trains that of the seed so many further on.
    """
    parent = store.counts(source, "layer")
    recipe = dataclasses.replace(
        parent.recipe, task=store.counts(target).recipe.task, parent=source, **fields
    )
    for seed in range(seeds):
        foretold.write_kept(
            store.path,
            recipe,
            seed,
            parent.kept[seed],
            levels=[*accuracy],
            accuracy={n: a + 0.001 * seed for n, a in accuracy.items()},
            parent_run=parent.runs[(seed + turned) % seeds],
        )
    return recipe.experiment_id


# The stores' accuracies fall by .01 a level from .9; all seeds are alike, so the bar is .9.
MATCHES_AT_3 = {0: 0.9, 3: 0.92, 6: 0.5}


def test_without_a_score_nothing_is_told_and_it_is_written_down_all_the_same(pair):
    store, one, other = pair
    found = predict(store, one, other)
    assert found.verdict == "different" and math.isnan(found.level.value)
    assert "no prediction of transfer was ever scored for resnet8w4" in found.refused
    assert "--register" in found.refused and found.scores == () and found.registered == ""
    assert not store.predictions().kept
    written = predict(store, one, other, register=True)
    (kept,) = store.predictions().kept
    assert written.registered == kept.id and written.refused == found.refused
    assert (kept.kind, kept.source, kept.target) == ("transfer", one, other)
    assert not kept.afterwards and kept.seen == {}


def test_a_transfer_is_scored_by_the_children_that_come(pair):
    store, one, other = pair
    predict(store, one, other, register=True)
    (kept,) = store.predictions().kept
    found = score(store)
    assert [x.standing for x in found.each] == ["waiting"]
    assert found.line("transfer").made == 1 and not found.line("transfer").scored
    write_children(store, one, other, MATCHES_AT_3)
    found = score(store)
    (each,) = found.each
    assert (each.standing, each.runs) == ("scored", SEEDS)
    (statement,) = kept.statements
    outcome = Outcome(3, 5)  # it matches at level 3, and not at 6
    assert each.marks.model == pytest.approx(log_score(statement.model, outcome))
    assert each.marks.constant == pytest.approx(log_score(statement.constant, outcome))
    assert math.isnan(each.marks.null) and each.marks.outcomes == 1
    line = found.line("transfer")
    assert line.log_score == each.marks.model and line.worth == "undecided"
    assert math.isnan(line.gain.low)  # one prediction, and three seeds of it


def test_tickets_of_other_seeds_do_not_move_the_score_of_equal_ones(pair):
    store, one, other = pair
    predict(store, one, other, register=True)
    write_children(store, one, other, MATCHES_AT_3)
    (before,) = score(store).each
    write_children(store, one, other, {0: 0.9, 3: 0.2, 6: 0.2}, turned=1)
    (after,) = score(store).each
    assert after.marks.model == before.marks.model and after.marks.outcomes == 1


def test_once_there_is_a_score_it_stands_beside_the_prediction(pair):
    store, one, other = pair
    predict(store, one, other, register=True)
    write_children(store, one, other, MATCHES_AT_3)
    found = predict(store, one, other)
    assert found.refused == "" and found.density.value == pytest.approx(0.8**found.level.value)
    (line,) = found.scores
    assert line.of == "this store" and any("1 prediction scored" in note for note in found.notes)
    row = found.to_frame().to_dicts()[0]
    assert row["scored"] == 1 and row["log_score"] == pytest.approx(line.log_score)
    assert row["worth"] == "undecided"


def test_five_seeds_of_one_prediction_are_no_five_predictions(pair):
    store, one, other = pair
    predict(store, one, other, register=True)
    write_children(store, one, other, MATCHES_AT_3, seeds=1)
    few = score(store).line("transfer")
    write_children(store, one, other, MATCHES_AT_3, seeds=SEEDS)
    many = score(store).line("transfer")
    assert few.experiments == many.experiments == 1
    assert few.log_score == many.log_score


def test_one_prediction_written_down_twice_is_one_experiment(pair):
    store, one, other = pair
    for seed in (0, 1, 2):
        predict(store, one, other, register=True, rng=seed)
    write_children(store, one, other, MATCHES_AT_3)
    line = score(store).line("transfer")
    assert len(line.scored) == 3 and line.experiments == 1
    assert line.worth == "undecided" and math.isnan(line.gain.low)


@pytest.mark.parametrize("control", sorted({*CHOICES["control"]} - {"none"}))
def test_controls_are_no_test(pair, control):
    store, one, other = pair
    predict(store, one, other, register=True)
    write_children(store, one, other, MATCHES_AT_3, control=control)
    assert score(store).each[0].standing == "waiting"


def test_what_is_there_is_not_predicted(pair):
    store, one, other = pair
    write_children(store, one, other, MATCHES_AT_3)
    with pytest.raises(RgtoolError, match="3 runs that would test this prediction are in the"):
        predict(store, one, other, register=True)
    predict(store, one, other, register=True, afterwards=True)
    found = score(store)
    assert [x.standing for x in found.each] == ["afterwards"]
    assert (found.line("transfer").made, found.line("transfer").scored) == (0, ())
    assert any("made afterwards, never scored" in note for note in found.notes)
    assert predict(store, one, other).scores == ()


def test_children_that_began_before_test_nothing(pair):
    store, one, other = pair
    predict(store, one, other, register=True)
    name = write_children(store, one, other, MATCHES_AT_3)
    for run in store.runs():
        if run.experiment_id == name:
            foretold.date(store.path, run.run_id, foretold.EARLIER)
    found = score(store)
    assert found.each[0].standing == "waiting"
    assert any("began before the prediction" in note for note in found.notes)


def test_a_changed_prediction_is_named_and_not_scored(pair, cli: Cli):
    store, one, other = pair
    predict(store, one, other, register=True)
    write_children(store, one, other, MATCHES_AT_3)
    assert cli("score", "--store", store.path).code == 0
    (path,) = (store.path / FOLDER).glob("*.json")
    path.write_text(path.read_text().replace('"first": 0', '"first": 1', 1))
    done = cli("score", "--store", store.path)
    assert done.code == 3 and "was changed after it was made" in done.err
    assert score(store).each == () and score(store).line("transfer") is None


def test_one_of_an_earlier_date_than_what_it_follows_is_not_scored(pair):
    store, source, target = pair
    predict(store, source, target, register=True)
    (first,) = store.predictions().kept
    early = dataclasses.replace(first, made_at="2020-01-01T00:00:00+00:00", after=(first.id,))
    early.write(store.path)
    standing = {one.prediction.id: one.standing for one in score(store).each}
    assert standing == {early.id: "out of order", first.id: "waiting"}


def test_a_prediction_that_cannot_be_scored_is_not_in_the_way_of_others(
    pair, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    store, one, other = pair
    found = predict(store, one, other, register=True)
    write_children(store, one, other, MATCHES_AT_3)
    scoring = dict(OUTCOMES)
    written = store.predictions().kept[0]
    bad = dataclasses.replace(written, made_at="2001-01-01T00:00:00+00:00")
    bad.write(store.path)

    def outcomes(opened, each, witnesses):
        if each.id == bad.id:
            raise ValueError("math domain error")
        return scoring["transfer"](opened, each, witnesses)

    monkeypatch.setitem(OUTCOMES, "transfer", outcomes)
    assert [x.prediction.id for x in score(store).each] == [found.registered]
    done = cli("score", "--store", store.path)
    assert done.code == 3, done.err
    assert f"prediction {bad.id} cannot be scored (ValueError: math domain error)" in done.err
    assert f"{bad.id} (not followed by {written.id})" in done.err


def test_what_matches_a_network_that_guesses_is_no_outcome(pair):
    store, one, other = pair
    predict(store, one, other, register=True)
    name = write_children(store, one, other, MATCHES_AT_3)
    assert score(store).each[0].standing == "scored"
    for run in [run.run_id for run in store.runs() if run.experiment_id == other]:
        kept = store.counts(other, "layer").kept[0]
        recipe = store.description(run).recipe
        stores.write_record(store.path, recipe, run, 0, kept, accuracy=0.1)
    assert store.counts(name).runs and score(store).each[0].standing == "waiting"


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        ({4: 0.95, 8: 0.9}, Outcome(8, math.inf)),
        ({4: 0.95, 8: 0.5}, Outcome(4, 7)),
        ({4: 0.5, 8: 0.5}, Outcome(-math.inf, 3)),
        ({4: 0.5, 8: 0.95, 12: 0.1}, Outcome(8, 11)),
        ({}, None),
    ],
)
def test_the_cell_of_a_matching_level(accuracy, expected):
    levels = np.array([0, *accuracy])
    values = np.array([[0.1, *accuracy.values()]] * 2)
    found = matching_cell(levels, values, 0.9)
    assert found == ([] if expected is None else [expected])


def test_a_level_that_not_all_seeds_have_is_left_out():
    values = np.array([[0.9, 0.95, 0.95], [0.9, 0.95, np.nan]])
    assert matching_cell(np.array([0, 4, 8]), values, 0.9) == [Outcome(4, math.inf)]


# Collapse


@pytest.fixture
def falling(tmp_path: Path) -> tuple[Store, Recipe, np.ndarray]:
    """Untrained networks, of which the last levels are still to come."""
    made = untrained.untrained("resnet8w4", seeds=SEEDS, levels=24, rng=3)
    for seed in range(SEEDS):
        foretold.write_kept(
            tmp_path, made.recipe, seed, made.kept[seed], levels=range(11), at=foretold.EARLIER
        )
    return Store(tmp_path), made.recipe, made.kept


def go_on(store: Store, recipe: Recipe, kept: np.ndarray, last: int, seeds=range(SEEDS)) -> None:
    for seed in seeds:
        run = recipe.run_id(seed)
        if not RunFolder.of(store.path, run).description.exists():
            foretold.write_kept(store.path, recipe, seed, kept[seed], levels=[])
        for level in range(last + 1):
            stores.write_record(store.path, recipe, run, level, kept[seed])
        foretold.date(store.path, run, foretold.LATER)


def test_a_collapse_is_scored_by_the_levels_that_come(falling):
    store, recipe, kept = falling
    written = predict(store, recipe.experiment_id, kind="collapse", register=True)
    (one,) = store.predictions().kept
    assert one.seen == {run.run_id: 10 for run in store.runs()} and not one.afterwards
    assert "no prediction of collapse was ever scored for resnet8w4" in written.refused
    assert written.to_frame()["middle"].is_null().all()
    assert not any("next to run empty" in note for note in written.notes)
    assert score(store).each[0].standing == "waiting"
    go_on(store, recipe, kept, 24)
    (each,) = score(store).each
    names = [layer.name for layer in store.counts(recipe.experiment_id, "layer").layers]
    expected = []
    for statement in one.statements:
        levels = [np.flatnonzero(kept[s][:, names.index(statement.name)] == 0) for s in range(3)]
        cells = [Outcome(x[0], x[0]) if len(x) else Outcome(25, math.inf) for x in levels]
        expected.append(np.mean([log_score(statement.model, cell) for cell in cells]))
    assert each.marks.model == pytest.approx(np.mean(expected))
    assert each.runs == SEEDS and each.marks.outcomes == SEEDS * len(one.statements)
    # Untrained networks are what N1 is about, and a level is not as good as any other.
    line = score(store).line("collapse")
    assert line.log_score > line.constant + 0.5 and line.null > line.constant + 0.5
    assert line.coverage.high > 0.8 and line.worth == "undecided"
    told = predict(store, recipe.experiment_id, kind="collapse", register=False)
    assert told.refused == "" or "empty in some run" in told.refused


def test_what_has_never_collapsed_is_a_bound(falling):
    store, recipe, kept = falling
    predict(store, recipe.experiment_id, kind="collapse", register=True)
    (one,) = store.predictions().kept
    go_on(store, recipe, kept, 12)
    (each,) = score(store).each
    assert all(isinstance(x.model, Levels) for x in one.statements)
    names = [layer.name for layer in store.counts(recipe.experiment_id, "layer").layers]
    alive = [x for x in one.statements if kept[:, 12, names.index(x.name)].all()]
    assert alive  # that is what the test is about
    bound = [log_score(x.model, Outcome(13, math.inf)) for x in alive]
    assert each.marks.model > min(bound) and each.marks.open > 0
    found = score(store).line("collapse").coverage
    assert found.low < found.high


def test_a_new_seed_tests_a_collapse_as_well(falling):
    store, recipe, kept = falling
    predict(store, recipe.experiment_id, kind="collapse", register=True)
    more = untrained.untrained("resnet8w4", seeds=5, levels=24, rng=9).kept
    go_on(store, recipe, more, 24, seeds=[3, 4])
    (each,) = score(store).each
    assert each.runs == 2 and each.standing == "scored"


def test_a_run_does_not_stand_for_its_experiment(falling):
    store, recipe, _ = falling
    run = store.runs()[0].run_id
    with pytest.raises(RgtoolError, match=f"{run} is a run: .* name {recipe.experiment_id}"):
        predict(store, run, kind="collapse", register=True)
    assert store.predictions().kept == ()


@pytest.mark.parametrize(
    ("last", "told"), [(Outcome(0, 0), True), (Outcome(9, 9), True), (Outcome(5, math.inf), False)]
)
def test_outcomes_that_may_yet_be_met_are_neither_covered_nor_missed(last, told):
    law = Levels(0, (0.3, 0.3, 0.3, 0.05, 0.02, 0.02, 0.01))
    found = marks(("a",), [Statement("level", law, law)], {"level": [last]})
    assert found.open == (not told)
    shares = (found.told_covered, found.told_missed)
    assert sum(shares) == 1 if told else all(map(math.isnan, shares))


def test_the_coverage_of_a_line_takes_open_outcomes_out_and_in():
    law = Levels(0, (0.3, 0.3, 0.3, 0.05, 0.02, 0.02, 0.01))
    met = [Outcome(0, 0), Outcome(9, 9), Outcome(5, math.inf), Outcome(5, math.inf)]
    found = marks(("a",), [Statement("level", law, law)], {"level": met})
    coverage = Line("transfer", "", 1, (found,)).coverage
    covered, missed = found.covered, found.missed
    assert found.open == 0.5 and covered + missed == 0.5
    assert coverage.value == covered / 0.5
    assert (coverage.low, coverage.high) == (covered, covered + 0.5)


def test_a_layer_that_is_empty_is_not_predicted(falling):
    store, recipe, kept = falling
    go_on(store, recipe, kept, 24)
    names = [layer.name for layer in store.counts(recipe.experiment_id, "layer").layers]
    gone = {name for i, name in enumerate(names) if (kept[:, 24, i] == 0).any()}
    assert gone
    try:
        found = predict(store, recipe.experiment_id, kind="collapse")
        assert gone.isdisjoint(x.name for x in found.statements)
    except RgtoolError as error:
        assert "nothing is left" in str(error)


# Exponents


@pytest.fixture
def known(tmp_path: Path) -> tuple[Store, str]:
    name = flows.write_experiment(tmp_path, rng=1, noise=0.01, levels=8, seeds=5)
    return Store(tmp_path), name


def write_target(store: Store, source: str, text: str, *, levels: int, seeds: int) -> str:
    """Write the runs that a prediction is about, as they come afterwards."""
    recipe = target_of(store, store.counts(source, "layer").recipe, text).recipe
    fields = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
    name = flows.write_experiment(
        store.path, rng=2, noise=0.01, levels=levels, seeds=seeds, **fields
    )
    for seed in range(seeds):
        foretold.date(store.path, recipe.run_id(seed), foretold.LATER)
    return name


def test_exponents_of_an_experiment_without_runs(known):
    store, one = known
    written = predict(store, one, "resnet8w4/MNIST", kind="exponents", register=True)
    (kept,) = store.predictions().kept
    first, last = map(int, kept.settings["window"].split(":"))
    of_groups = store.counts(one, kept.settings["by"])
    for statement in kept.statements:
        group = of_groups.names.index(statement.name)
        y = window_exponents(of_groups.kept.astype(float), first, last)[:, group]
        law = statement.model
        # Another run lies about their mean as one of them does, and the mean is off itself.
        assert (law.location, law.df) == (pytest.approx(y.mean()), 4)
        assert law.scale == pytest.approx(max(y.std(ddof=1) * math.sqrt(6 / 5), 0.01))
    assert write_target(store, one, "resnet8w4/mnist", levels=8, seeds=5) == kept.target
    (each,) = score(store).each
    assert each.runs == 5 and each.marks.outcomes == 5 * len(kept.statements)
    assert each.marks.covered > 0.8
    line = score(store).line("exponents")
    assert line.log_score > line.null and line.log_score > line.constant
    assert "no prediction of exponents" in written.refused
    told = predict(store, one, "resnet8w4/cifar10", kind="exponents")
    assert told.refused == "" and told.to_frame()["middle"].is_not_null().all()
    assert told.to_frame()["scored"].to_list() == [1] * len(told.statements)


def test_runs_that_end_before_the_window_tell_nothing_yet(known):
    store, one = known
    predict(store, one, "resnet8w4/mnist", kind="exponents", register=True)
    (kept,) = store.predictions().kept
    write_target(store, one, "resnet8w4/mnist", levels=5, seeds=3)
    found = score(store)
    assert found.each[0].standing == "waiting" and found.each[0].runs == 3
    assert found.each_table.to_frame()["needs"].to_list() == ["level 8"]


@pytest.mark.parametrize(
    ("target", "shape"),
    [("digits lr=.05", (1, 8, 8)), ("cifar10", (3, 32, 32)), ("noise:svhn:1", (3, 32, 32))],
)
def test_n1_is_that_of_the_network_as_it_is_built_for_the_task(known, target, shape):
    store, one = known
    predict(store, one, f"resnet8w4/{target}", kind="exponents", register=True)
    (kept,) = store.predictions().kept
    built = architecture("resnet8w4", shape, 10)
    expected = rgtool.null(built, by="stage", levels=(1, 8))
    of = dict(zip(expected.names, expected.exponent, strict=True))
    assert {x.name for x in kept.statements} == set(of)
    for x in kept.statements:
        assert x.null.location == pytest.approx(of[x.name], abs=0.01)
    # Three channels are not one: the stem tells the networks apart.
    other = rgtool.null(
        architecture("resnet8w4", (4 - shape[0], 8, 8), 10), by="stage", levels=(1, 8)
    )
    assert abs(other.exponent[0] - of["stem"]) > 0.05


@pytest.mark.parametrize("target", ["resnet8w4/cifar10 epochs=7", "resnet8w4/digits lr=.05"])
def test_the_command_that_is_told_makes_the_experiment(tmp_path, cli: Cli, target):
    name = flows.write_experiment(
        tmp_path, levels=4, epochs=3, rewind="5it", milestones=("1ep", "20it"), augment=()
    )
    store = Store(tmp_path)
    told = predict(store, name, target, kind="exponents", register=True)
    (kept,) = store.predictions().kept
    command = shlex.split(kept.settings["command"])
    assert any(kept.settings["command"] in note for note in told.notes)
    assert command[-4:] == ["--levels", "4", "--seeds", "3"]
    done = cli(*command[1:], "--store", store.path, "--dry-run", "--json")
    rows = {row["what"]: row["value"] for row in json.loads(done.out)}
    assert rows["experiment"] == kept.target


@pytest.mark.parametrize("fields", ["", " epochs=7", "  lr=.05 epochs=7 "])
def test_a_target_may_lie_in_a_file_with_a_space(tmp_path, cli: Cli, fields):
    recipe = {"epochs": 3, "rewind": "0", "milestones": ("1ep",), "augment": ()}
    name = flows.write_experiment(tmp_path, levels=4, **recipe)
    file, draw = tmp_path / "my data=1 b.npz", np.random.default_rng(0)
    images = draw.integers(0, 256, (40, 8, 8, 1), np.uint8)
    labels = np.arange(40) % 10
    np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
    target = f"resnet8w4/npz:{file}{fields}"
    predict(Store(tmp_path), name, target, kind="exponents", register=True)
    (kept,) = Store(tmp_path).predictions().kept
    command = shlex.split(kept.settings["command"])
    assert command[3] == f"npz:{file}" and ("epochs=7" in command) == ("epochs" in fields)
    done = cli(*command[1:], "--store", tmp_path, "--dry-run", "--json")
    rows = {row["what"]: row["value"] for row in json.loads(done.out)}
    assert rows["experiment"] == kept.target


def test_another_share_is_predicted_between_equal_densities(known):
    store, one = known
    predict(store, one, "resnet8w4/digits prune=.36", kind="exponents", register=True)
    (kept,) = store.predictions().kept
    assert kept.settings["window"] == "1:4" and kept.settings["source window"] == "2:8"
    spectrum = rgtool.eigen(store, one, by="stage", window=(2, 8))
    found = {x.name: x.model.location for x in kept.statements}
    of = dict(zip(spectrum.names, spectrum.exponent.value, strict=True))
    assert found == pytest.approx({name: of[name] for name in found}, abs=0.01)
    write_target(store, one, "resnet8w4/digits prune=.36", levels=4, seeds=3)
    (each,) = score(store).each
    assert each.standing == "scored" and each.marks.covered > 0.8


OWN = """
from torch import nn
def build(input_shape, classes):
    pixels = input_shape[0] * input_shape[1] * input_shape[2]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(),
        nn.Linear(8, classes),
    )
"""


@pytest.mark.parametrize("init", ["kaiming_normal", "built"])
def test_a_network_of_ones_own_has_n1_too(tmp_path, monkeypatch, init):
    """At the scales of its initialiser, or those that runs of the same layers have stored."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    options = {"train_size": 100, "epochs": 1, "rewind": "0", "init": init, "store": "s"}
    rgtool.run("nets/mine.py:build", "digits", "quick", seeds=2, levels=2, workers=1, **options)
    store = Store(tmp_path / "s")
    (one,) = store.experiments()
    target = "nets/mine.py:build/noise:digits:0"
    predict(store, one, target, kind="exponents", register=True)
    (kept,) = store.predictions().kept
    canonical = rgtool.eigen(store, one, by="block").canonical
    assert [x.null.location for x in kept.statements] == pytest.approx(list(canonical), abs=0.03)
    other = predict(store, one, "nets/mine.py:build/cifar10", kind="exponents", register=True)
    nulls = {x.null is None for x in other.statements}  # of other layers stored scales say nothing
    assert nulls == {init == "built"}


def test_seeds_that_are_copies_leave_no_certainty(tmp_path):
    """Five copies of one run have a sd of 0, and tell of one seed."""
    name = flows.write_experiment(tmp_path, rng=1, seeds=1, levels=8)
    flows.copy_counts(tmp_path, name, [0] * 5, lr=0.3)
    store = Store(tmp_path)
    copies = next(x.experiment_id for x in store.experiments() if len(x.runs) == 5)
    predict(store, copies, "resnet8w4/mnist", kind="exponents", register=True)
    (kept,) = store.predictions().kept
    for statement in kept.statements:
        assert isinstance(statement.model, Student) and statement.model.scale > 0.03


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("mnist", "is no target: a label such as lenet/mnist"),
        ("vgg11/cifar10", "no group stem by stage|has no group"),
        ("resnet8w4/mnist prune", "sets nothing"),
        ("resnet8w4/mnist prune=2", "prune is 2"),
        ("resnet8w4/mnist prnue=2", "prune"),
        ("resnet8w4/npz:no such.npz prune=.3", "no such.npz"),
        ("resnet8w4/digits", "are in the store already"),
        ("resnet8w4/Digits", "are in the store already"),
        ("resnet8w4/nosuch", "data set 'nosuch' is unknown"),
        ("resnet8w4/digits control=reinit", "find their own tickets"),
        ("resnet8w4/digits parent=abc", "parent cannot be chosen"),
        ("resnet8w4/digits prune=.31", "no two densities in common"),
        ("resnet8w4/digits prune=.9999", "no weight left to train|no two densities"),
        ("resnet8w4/digits exempt=fc9", "exempt"),
    ],
)
def test_a_target_that_cannot_be_is_refused(known, target, words):
    store, one = known
    with pytest.raises(RgtoolError, match=words):
        predict(store, one, target, kind="exponents", register=True)


# Orderings

MAPS = ("0:0;1:1,2;2:3,4", "0:0;1:1,3;2:2,4", "0:0;1:1,2,3;2:4", "0:0;1:1;2:2,3,4")


@pytest.fixture
def depths(tmp_path: Path) -> tuple[Store, str, str]:
    """Two depths of one family, whose stages scatter between seeds; blocks grow unlike."""
    made = {}
    for depth, rng in (("resnet20w4", 1), ("resnet32w4", 2)):
        made[depth] = flows.write_experiment(
            tmp_path, rng=rng, architecture=depth, seeds=SEEDS, levels=6
        )
    return Store(tmp_path), made["resnet20w4"], made["resnet32w4"]


def write_stretched(
    store: Store,
    source: str,
    target: str,
    accuracy: dict[str, float],
    turned: int = 0,
    **fields,
) -> None:
    goal, parents = store.counts(target, "layer"), store.counts(source, "layer").runs
    for text, value in accuracy.items():
        recipe = dataclasses.replace(goal.recipe, parent=source, transform=text, **fields)
        for seed in range(SEEDS):
            foretold.write_kept(
                store.path,
                recipe,
                seed,
                goal.kept[seed],
                levels=[0, 4],
                accuracy={n: value + 0.001 * seed for n in (0, 4)},
                parent_run=parents[(seed + turned) % SEEDS],
            )


def test_orderings_of_maps_are_scored_pair_by_pair(depths):
    store, one, other = depths
    predict(store, one, other, kind="ordering", maps=MAPS, register=True)
    (kept,) = store.predictions().kept
    assert len(kept.statements) == 6 and kept.tests.maps == MAPS
    assert all(isinstance(x.model, Chance) and isinstance(x.null, Chance) for x in kept.statements)
    write_stretched(store, one, other, dict(zip(MAPS[:3], (0.9, 0.8, 0.8), strict=True)))
    (each,) = score(store).each
    better = {
        f"{MAPS[0]} > {MAPS[1]}": 1,
        f"{MAPS[0]} > {MAPS[2]}": 1,
        f"{MAPS[1]} > {MAPS[2]}": 0.5,
    }
    expected = [
        log_score(x.model, Outcome(better[x.name], better[x.name]))
        for x in kept.statements
        if x.name in better
    ]
    assert len(expected) == 3 and each.marks.outcomes == 3  # one map was not trained
    assert each.marks.model == pytest.approx(np.mean(expected))
    # Tickets of other seeds, trained as the same ones, do not move what was found.
    write_stretched(store, one, other, dict(zip(MAPS[:3], (0.5, 0.6, 0.7), strict=True)), turned=1)
    (again,) = score(store).each
    assert again.marks.model == each.marks.model
    assert each.marks.constant == pytest.approx(math.log(0.5))
    assert math.isnan(score(store).line("ordering").coverage.value)  # chances have no interval
    frame = score(store).each_table.to_frame()
    assert frame["covered"].is_null().all() and frame["missed"].is_null().all()


def test_maps_of_unlike_recipes_are_not_compared(depths):
    """Whichever was trained for longer would win."""
    store, one, other = depths
    predict(store, one, other, kind="ordering", maps=MAPS[:2], register=True)
    (statement,) = store.predictions().kept[0].statements
    write_stretched(store, one, other, {MAPS[0]: 0.9}, epochs=6)
    write_stretched(store, one, other, {MAPS[1]: 0.8}, epochs=2)
    (each,) = score(store).each
    assert each.standing == "waiting" and each.runs == 2 * SEEDS
    write_stretched(store, one, other, {MAPS[1]: 0.95}, epochs=6)
    (each,) = score(store).each
    assert each.marks.outcomes == 1
    assert each.marks.model == pytest.approx(log_score(statement.model, Outcome(0, 0)))
    write_stretched(store, one, other, {MAPS[0]: 0.7}, epochs=2)
    assert score(store).each[0].marks.outcomes == 2  # each recipe says one thing


def test_maps_that_w1_cannot_tell_apart_are_even(depths):
    """w1 does not see the order of blocks: interpolate and append are one to it."""
    store, one, other = depths
    found = predict(store, one, other, kind="ordering", maps=MAPS[:2], register=True)
    (statement,) = store.predictions().kept[0].statements
    assert statement.model == Chance(0.5) and found.kind == "ordering"


def test_one_seed_orders_nothing(tmp_path):
    names = [
        flows.write_experiment(tmp_path, rng=1, architecture=depth, seeds=1)
        for depth in ("resnet20w4", "resnet32w4")
    ]
    found = predict(Store(tmp_path), *names, kind="ordering")
    assert "one seed" in found.refused
    with pytest.raises(RgtoolError, match="no prediction to write down: one seed"):
        predict(Store(tmp_path), *names, kind="ordering", register=True)


# gamma


def write_curve(store: Path, task: str, exponent: float, at, seeds: int = 5) -> str:
    """Errors along a power law between plateaus, those of seeds 3 % apart."""
    recipe = Recipe(architecture="lenet", task=task, augment=())
    rng = np.random.default_rng(len(task))
    for seed in range(seeds):
        kept = stores.counts(recipe, seed, 20)
        density = kept.sum(axis=1) / kept[0].sum()
        error = 0.03 * np.exp(0.03 * rng.normal()) * (1 + (0.2 / density) ** 2) ** (exponent / 2)
        error = np.minimum(error * np.exp(0.01 * rng.normal(size=21)), 0.9)
        accuracy = {n: 1 - e for n, e in enumerate(error.tolist())}
        foretold.write_kept(store, recipe, seed, kept, accuracy=accuracy, at=at)
    return recipe.experiment_id


def test_the_exponent_of_an_error_curve(tmp_path):
    store = Store(tmp_path)
    one = write_curve(tmp_path, "digits", 1.0, foretold.EARLIER)
    assert rgtool.gamma(store, one).verdict == "quoted"
    predict(store, one, "lenet/mnist", kind="gamma", register=True)
    (kept,) = store.predictions().kept
    (statement,) = kept.statements
    assert statement.null is None
    assert write_curve(tmp_path, "mnist", 1.0, foretold.LATER) == kept.target
    assert "rgtool run lenet mnist" in kept.settings["command"]
    (each,) = score(store).each
    assert each.standing == "scored" and each.marks.outcomes == 1
    value = math.log(rgtool.gamma(store, kept.target).gamma)
    cell = Outcome(value - 0.005, value + 0.005)
    assert each.marks.model == pytest.approx(log_score(statement.model, cell))


def test_what_cannot_be_quoted_is_not_predicted(tmp_path):
    recipe = Recipe(architecture="lenet", task="digits")
    for seed in range(3):
        foretold.write_kept(tmp_path, recipe, seed, stores.counts(recipe, seed, 6))
    found = predict(Store(tmp_path), recipe.experiment_id, "lenet/mnist", kind="gamma")
    assert found.refused.startswith("the exponent of lenet/digits is ")
    assert found.statements == ()


# The literature, and bad input


def test_the_rule_of_transfers_does_not_beat_a_constant():
    """Each of the four published transfers with spectra from the other three."""
    line = score("nowhere").line("transfer", "published_transfers")
    assert (line.made, len(line.scored)) == (31, 4)
    assert line.log_score == pytest.approx(-2.26, abs=0.01)
    assert line.constant == pytest.approx(-1.93, abs=0.01)
    assert line.worth == "undecided" and line.experiments == 2


def test_the_orderings_that_a_score_was_chosen_on_are_no_test_of_it():
    line = score("nowhere").line("ordering", "published_elastic_orderings")
    assert (line.made, len(line.scored)) == (33, 33)
    assert line.log_score == pytest.approx(-0.244, abs=0.01)
    assert line.constant == pytest.approx(math.log(0.5))
    assert line.null == pytest.approx(-0.498, abs=0.01)
    assert line.gain.low > 0 and line.worth == line.worth_null == "no test"
    assert 6 < line.experiments < 8  # ten of the 33 share one loser


def test_no_elastic_accuracies_are_orderings():
    from rgtool.analysis.scoreboard.literature import orderable

    assert orderable() == {}
    line = score("nowhere").line("ordering", "published_elastic")
    assert (line.made, line.scored) == (45, ())
    assert any("they order nothing" in note for note in score("nowhere").notes)


def test_the_literature_scores_its_own_architectures_alone():
    assert score("nowhere", architecture="lenet").lines == ()
    assert [x.of for x in score("nowhere", architecture="resnet20").lines] == [
        "published_elastic_orderings",
        "published_elastic",
    ]


def test_nothing_can_test_what_is_said_of_the_literature(tmp_path):
    names = [f"published:resnet50-simclr-{task}" for task in ("imagenet", "cifar10")]
    with pytest.raises(RgtoolError, match="no run of a store can test"):
        predict(Store(tmp_path), *names, register=True)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("a",), {}, "name it after the source"),
        (("a", "b"), {"kind": "collapse"}, "name no target"),
        (("a", "b"), {"kind": "weather"}, "kind 'weather'"),
        (("a", "b"), {"afterwards": True}, "goes with .*register"),
        (("a", "b"), {"kind": "exponents", "maps": ["0:0;1:1"]}, "exponents takes none"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, arguments, options, words):
    with pytest.raises(RgtoolError, match=words):
        predict(Store(tmp_path), *arguments, **options)


def test_the_commands(pair, cli: Cli):
    store, one, other = pair
    at = ("--store", store.path)
    done = cli("predict", one, other, "--register", "--json", *at)
    (row,) = json.loads(done.out)
    assert done.code == 0 and row["registered"] == store.predictions().kept[0].id
    assert row["density"] is None and "ever scored" in row["refused"]
    (row,) = json.loads(cli("score", "--each", "--json", *at).out)
    assert row["standing"] == "waiting" and row["sha256"].startswith(row["prediction"])
    write_children(store, one, other, MATCHES_AT_3)
    rows = json.loads(cli("score", "--json", "--kind", "transfer", *at).out)
    assert [x["of"] for x in rows] == ["this store", "published_transfers"]
    assert rows[0]["scored"] == 1 and rows[0]["worth"] == "undecided"
    assert cli("predict", one, other, "--register", *at).code == 2


# What nothing can test


def make_import(store: Store, experiment: str, **fields) -> str:
    """Let the runs of an experiment be those of an import, and return its id then."""
    for run in [one for one in store.runs() if one.experiment_id == experiment]:
        path = RunFolder.of(store.path, run.run_id).description
        old = Description.read(path)
        recipe = dataclasses.replace(old.recipe, origin="study", **fields)
        new = dataclasses.replace(
            old, source="openlth", recipe=recipe, experiment_id=recipe.experiment_id
        )
        new.write(path)
    return recipe.experiment_id


def refused(store: Store, *names: str, **options) -> str:
    with pytest.raises(RgtoolError) as error:
        predict(store, *names, register=True, **options)
    assert not store.predictions().kept
    return str(error.value)


def test_the_collapse_of_an_import_has_no_test(falling):
    store, recipe, _ = falling
    name = make_import(store, recipe.experiment_id)
    said = refused(Store(store.path), name, kind="collapse")
    assert "no run could test a prediction of this collapse: " in said and "is an import" in said
    assert "ever scored" in predict(Store(store.path), name, kind="collapse").refused


def test_the_collapse_of_a_child_is_that_of_its_parent(falling):
    store, recipe, kept = falling
    fields = {"parent": recipe.experiment_id, "control": "shuffle"}
    child = dataclasses.replace(recipe, **fields)
    for seed in range(SEEDS):
        foretold.write_kept(store.path, child, seed, kept[seed], levels=range(11))
    said = refused(Store(store.path), child.experiment_id, kind="collapse")
    assert f"has the masks of {recipe.experiment_id}, whose layers run empty: predict that" in said
    begun = dataclasses.replace(recipe, parent=recipe.experiment_id, start=0)
    for seed in range(SEEDS):
        foretold.write_kept(store.path, begun, seed, kept[seed], levels=range(11))
    assert predict(Store(store.path), begun.experiment_id, kind="collapse", register=True)


def test_tickets_that_nothing_can_train_are_not_predicted(pair):
    store, one, other = pair
    imported = make_import(store, one)
    said = refused(Store(store.path), imported, other)
    assert "no run could test a prediction of this transfer" in said
    assert "weights of counted layers at most, which no run can start from" in said
    # A target may be one: what tests it is trained on its task.
    assert predict(Store(store.path), other, imported, register=True).registered


@pytest.mark.parametrize("kept", [True, False])
def test_an_import_of_an_unknown_network_may_have_kept_all_weights(pair, kept):
    store, one, other = pair
    names = [make_import(store, name, architecture="mine") for name in (one, other)]
    if kept:
        run = next(x.run_id for x in Store(store.path).runs() if x.experiment_id == names[0])
        RunFolder.of(store.path, run).weights("rewind").parent.mkdir(exist_ok=True)
        RunFolder.of(store.path, run).weights("rewind").touch()
        assert predict(Store(store.path), *names, register=True).registered
    else:
        assert "no run can start from" in refused(Store(store.path), *names)


def test_a_control_without_weights_hands_nothing_on(pair):
    store, one, other = pair
    control = flows.copy_counts(store.path, one, parent=one, control="reinit")
    said = refused(Store(store.path), control, other)
    assert "is a control reinit, which has no weights to hand on" in said


def test_a_task_that_is_not_told_is_no_target(pair):
    store, one, other = pair
    unknown = make_import(store, other, task="unknown")
    assert "nothing tells what" in refused(Store(store.path), one, unknown)


def test_other_networks_are_refused_before_anything_is_written(tmp_path):
    names = [
        flows.write_experiment(tmp_path, rng=i, architecture=one, shift=shift, noise=0.002)
        for i, (one, shift) in enumerate(
            (("resnet8w4", {}), ("resnet14w4", {"1": 0.08, "3": -0.1}))
        )
    ]
    said = refused(Store(tmp_path), *names)
    assert "source and target are of different architectures" in said


def test_an_ordering_of_tickets_of_an_import_has_no_test(depths):
    store, one, other = depths
    imported = make_import(store, one)
    said = refused(Store(store.path), imported, other, kind="ordering", maps=MAPS)
    assert "no run could test a prediction of this ordering" in said


def test_a_child_gets_more_levels_by_name(pair):
    store, one, _ = pair
    child = flows.copy_counts(store.path, one, parent=one, control="shuffle")
    begun = flows.copy_counts(store.path, one, parent=one, start=0)
    said = [Store(store.path).counts(name).more("seeds", "levels") for name in (one, child, begun)]
    levels = "add --seeds or --levels"
    assert said == [levels, "add --seeds or --at", levels]


def test_a_child_of_few_levels_names_the_experiment_to_ask_for(pair):
    store, one, _ = pair
    child = dataclasses.replace(store.counts(one, "layer").recipe, parent=one, control="shuffle")
    kept = store.counts(one, "layer").kept
    foretold.write_kept(store.path, child, 0, kept[0], levels=[0, 4])
    said = refused(Store(store.path), child.experiment_id, kind="collapse")
    assert f"single tickets of {one}" in said and "--levels" not in said
