"""Predictions of a store: dated, named by their hash, chained, before the runs that test them."""

import dataclasses
import datetime as dt
import json
from pathlib import Path

import pytest
import stores

from rgtool import Recipe, RgtoolError, Store
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.predictions import (
    FOLDER,
    Chance,
    Levels,
    Meant,
    Registered,
    Statement,
    Student,
    read_prediction,
)
from rgtool.schemas.sums import KEY
from rgtool.store.catalogue.predictions import (
    read_predictions,
    register,
    runs_that_test,
)

RECIPE = Recipe(architecture="resnet8w4", task="digits")
CHILD = dataclasses.replace(RECIPE, task="mnist", parent=RECIPE.experiment_id)
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def draft(kind="transfer", tests=None, location=0.0, **fields) -> Registered:
    statements = (
        Statement("level", Levels(0, (0.25, 0.75)), Levels(0, (0.5, 0.5))),
        Statement("1", Student(location, 0.1, 3.0), Student(0, 1, 3), Student(0.2, 0.2, 5)),
        Statement("A > B", Chance(0.7), Chance(0.5), Chance(0.6)),
    )
    given = {
        "kind": kind,
        "made_at": "",
        "afterwards": False,
        "source": RECIPE.experiment_id,
        "target": CHILD.experiment_id,
        "labels": ("resnet8w4/digits", "resnet8w4/mnist"),
        "tests": tests or Meant(parent=RECIPE.experiment_id, fields={"task": "mnist"}),
        "seen": {},
        "statements": statements,
        "settings": {"by": "stage"},
    }
    return Registered(**{**given, **fields})


def write_child(store: Path, seed: int = 0, *, at: dt.datetime | None = None, recipe=CHILD, last=2):
    """Write a run, by default one that begins tomorrow."""
    run = stores.write_run(store, seed, last, recipe=recipe)
    set_times(store, run, at or NOW + dt.timedelta(days=1))
    return run


def set_times(store: Path, run: str, at: dt.datetime, **fields) -> None:
    path = RunFolder.of(store, run).description
    made = at.isoformat()
    one = dataclasses.replace(Description.read(path), created_at=made, updated_at=made, **fields)
    one.write(path)


def test_a_prediction_is_written_dated_and_named_by_its_hash(tmp_path):
    one = register(Store(tmp_path), draft())
    path = tmp_path / FOLDER / f"{one.id}.json"
    assert read_prediction(path) == one
    assert one.digest.startswith(one.id) and len(one.digest) == 64
    assert NOW <= dt.datetime.fromisoformat(one.made_at) <= dt.datetime.now(dt.UTC)
    assert Store(tmp_path).predictions().kept == (one,)
    assert Store(tmp_path).predictions().faults == ()
    text = path.read_text()
    assert "resnet8w4/mnist" in text and len(text) < 3000  # people can read it


def test_runs_that_are_there_are_no_test(tmp_path):
    write_child(tmp_path)
    with pytest.raises(RgtoolError, match=r"1 run that would test this .* already .*--afterwards"):
        register(Store(tmp_path), draft())
    assert not read_predictions(tmp_path).kept
    one = register(Store(tmp_path), draft(), afterwards=True)
    assert one.afterwards and read_predictions(tmp_path).sound == ()


def test_a_run_that_is_begun_is_there_though_it_has_no_record(tmp_path):
    description = stores.describe(CHILD, 0, 3)
    RunFolder.of(tmp_path, description.run_id).make()
    description.write(RunFolder.of(tmp_path, description.run_id).description)
    with pytest.raises(RgtoolError, match="1 run that would test"):
        register(Store(tmp_path), draft())


@pytest.mark.parametrize(
    "other",
    [{"task": "cifar10"}, {"control": "reinit"}, {"parent": "0123456789ab"}, {"transform": "0:0"}],
)
def test_other_runs_are_not_in_the_way_and_test_nothing(tmp_path, other):
    tests = Meant(parent=RECIPE.experiment_id, fields={"task": "mnist", "control": "none"})
    write_child(tmp_path, recipe=dataclasses.replace(CHILD, **other))
    one = register(Store(tmp_path), draft(tests=tests))
    assert not one.afterwards and one.seen == {}
    assert runs_that_test(Store(tmp_path), one) == []


def test_what_begins_afterwards_is_a_test(tmp_path):
    one = register(Store(tmp_path), draft())
    run = write_child(tmp_path)
    (found,) = runs_that_test(Store(tmp_path), one)
    assert (found.run_id, found.first, found.last, found.standing) == (run, 0, 2, "tests it")


def test_a_run_that_came_later_and_began_before_is_none(tmp_path):
    """It was trained elsewhere, and merged in after the prediction was made."""
    one = register(Store(tmp_path), draft())
    write_child(tmp_path, at=NOW - dt.timedelta(days=1))
    assert runs_that_test(Store(tmp_path), one)[0].standing == "began before"


def test_nothing_tells_when_an_import_was_trained(tmp_path):
    one = register(Store(tmp_path), draft())
    run = write_child(tmp_path)
    set_times(tmp_path, run, NOW + dt.timedelta(days=1), source="openlth")
    assert runs_that_test(Store(tmp_path), one)[0].standing == "imported"


def test_of_levels_to_come_those_count_that_were_not_there(tmp_path):
    run = write_child(tmp_path, recipe=RECIPE, last=2)
    tests = Meant(experiment=RECIPE.experiment_id)
    one = register(Store(tmp_path), draft("collapse", tests))
    assert one.seen == {run: 2} and not one.afterwards
    assert runs_that_test(Store(tmp_path), one)[0].standing == "was there"
    kept = stores.counts(RECIPE, 0, 5)
    for level in (3, 4, 5):
        stores.write_record(tmp_path, RECIPE, run, level, kept)
    assert runs_that_test(Store(tmp_path), one)[0].standing == "tests it"
    assert runs_that_test(Store(tmp_path), one)[0].first == 3
    set_times(tmp_path, run, NOW - dt.timedelta(days=1))  # it grew elsewhere, before
    assert runs_that_test(Store(tmp_path), one)[0].standing == "was there"


def test_a_run_that_was_there_and_is_made_again_is_no_test(tmp_path):
    run = write_child(tmp_path, at=NOW - dt.timedelta(seconds=9))
    one = register(Store(tmp_path), draft(), afterwards=True)
    Store(tmp_path).remove(run)
    write_child(tmp_path)
    assert runs_that_test(Store(tmp_path), one)[0].standing == "was there"


CHANGES = {
    "a number": lambda text: text.replace("0.75", "0.76").replace("0.25", "0.24"),
    "the date": lambda text: text.replace('"made_at": "2', '"made_at": "1'),
    "a word": lambda text: text.replace("stage", "block"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("care", ["none", "sum removed", "sum removed and renamed"])
def test_what_was_changed_is_found_out(tmp_path, change, care):
    """An editor that keeps the sum, one that removes it, and one that gives the file its new name.

    The last is betrayed by the prediction that was made after it.
    """
    one = register(Store(tmp_path), draft())
    register(Store(tmp_path), draft(location=0.4))
    path = tmp_path / FOLDER / f"{one.id}.json"
    text = CHANGES[change](path.read_text())
    assert text != path.read_text()
    if care != "none":
        text = "\n".join(line for line in text.splitlines() if KEY not in line)
    path.write_text(text)
    if care.endswith("renamed"):
        values = json.loads(text)
        values.pop("version")
        from rgtool.schemas.records.predictions import _parse

        path.rename(path.with_name(f"{_parse(values).id}.json"))
    found = read_predictions(tmp_path)
    assert found.faults
    if care.endswith("renamed"):
        assert one.id in found.gone
    else:
        assert "was changed after it was made" in found.faults[0] and one not in found.kept
        assert found.gone == {}  # the file is there, and said to be changed
    assert Store(tmp_path).check().problems


def test_one_that_is_gone_is_missed(tmp_path):
    """Whoever keeps the predictions that came true alone is found out."""
    first = register(Store(tmp_path), draft())
    second = register(Store(tmp_path), draft(location=0.4))
    assert second.after == (first.id,)
    (tmp_path / FOLDER / f"{first.id}.json").unlink()
    found = read_predictions(tmp_path)
    assert found.gone == {first.id: second.id}
    assert f"prediction {first.id} is gone" in found.faults[0]
    (problem,) = Store(tmp_path).check().problems
    assert problem.path.endswith(f"{first.id}.json") and "is gone" in problem.reason


def test_an_earlier_date_than_that_of_what_it_follows_is_not_believed(tmp_path):
    first = register(Store(tmp_path), draft())
    early = (NOW - dt.timedelta(days=9)).isoformat()
    second = dataclasses.replace(draft(location=0.4), made_at=early, after=(first.id,))
    second.write(tmp_path)
    found = read_predictions(tmp_path)
    assert found.disordered == {second.id: first.id} and found.sound == (first,)
    assert any("before" in problem.reason for problem in Store(tmp_path).check().problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no prediction"),
        ("[]", "no prediction"),
        ('{"version": 99}', "newer rgtool"),
        ('{"version": 1}', "no prediction"),
        ('{"version": 1, "kind": "weather"}', "no prediction"),
        ("\0" * 99, "no prediction"),
    ],
)
def test_what_is_no_prediction_is_said_and_the_others_stay(tmp_path, text, words):
    one = register(Store(tmp_path), draft())
    bad = tmp_path / FOLDER / "0123456789abcdef.json"
    bad.write_text(text)
    found = read_predictions(tmp_path)
    assert found.kept == (one,) and words in found.broken[str(bad)]


@pytest.mark.parametrize(
    "law",
    [
        {"law": "levels", "first": 0, "probability": [0.5, 0.6]},
        {"law": "levels", "first": 0, "probability": [-0.5, 1.5]},
        {"law": "student", "location": 0, "scale": 0, "df": 3},
        {"law": "student", "location": 0, "scale": -1, "df": 3},
        {"law": "chance", "probability": 1.5},
        {"law": "weather"},
    ],
)
def test_a_law_that_is_none_is_refused(tmp_path, law):
    one = register(Store(tmp_path), draft())
    path = tmp_path / FOLDER / f"{one.id}.json"
    values = json.loads(path.read_text())
    values["statements"][0]["model"] = law
    values.pop(KEY)
    path.write_text(json.dumps(values))
    with pytest.raises(RgtoolError, match="no prediction"):
        read_prediction(path)


def test_nothing_is_not_written_down(tmp_path):
    with pytest.raises(RgtoolError, match="nothing to write down"):
        register(Store(tmp_path), draft(statements=()))
    assert not (tmp_path / FOLDER).exists()


def test_predictions_survive_compaction_removal_and_merging(tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    one = register(there, draft())
    register(there, draft(location=0.4))
    run = write_child(there.path)
    other = write_child(there.path, seed=1)
    before = there.predictions()
    there.compact()
    assert there.predictions() == before
    assert [x.standing for x in runs_that_test(there, one)] == ["tests it", "tests it"]
    here.merge(there.path)
    assert here.predictions() == before
    assert {x.run_id for x in runs_that_test(here, one)} == {run, other}
    here.merge(there.path)
    assert here.predictions() == before
    here.remove([run, other])
    assert here.predictions() == before and runs_that_test(here, one) == []
    assert not here.check().problems


def test_two_stores_become_one_with_the_predictions_of_both(tmp_path):
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    first, second = register(one, draft()), register(other, draft(location=0.4))
    write_child(other.path)
    one.merge(other.path, dry_run=True)
    assert one.predictions().kept == (first,)
    one.merge(other.path)
    assert {x.id for x in one.predictions().kept} == {first.id, second.id}
    third = register(one, draft("collapse", Meant(experiment=RECIPE.experiment_id)))
    assert {*third.after} == {first.id, second.id}


def test_one_that_was_changed_does_not_come_in(tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    one = register(there, draft())
    write_child(there.path)
    path = there.path / FOLDER / f"{one.id}.json"
    path.write_text(path.read_text().replace("stage", "block"))
    report = here.merge(there.path)
    assert any("a prediction stays" in note and "was changed" in note for note in report.notes)
    assert here.predictions().kept == ()


def test_a_corrected_experiment_is_still_found(tmp_path):
    """An import that is corrected gets another id; its runs bear the former one."""
    one = register(Store(tmp_path), draft())
    new = dataclasses.replace(RECIPE, lr=0.3, origin="study")
    parent = stores.write_run(tmp_path, recipe=new)
    set_times(tmp_path, parent, NOW, former=(RECIPE.experiment_id,))
    run = write_child(tmp_path, recipe=dataclasses.replace(CHILD, parent=new.experiment_id))
    assert [x.run_id for x in runs_that_test(Store(tmp_path), one)] == [run]


def test_the_list_shows_them(tmp_path):
    one = register(Store(tmp_path), draft())
    found = Store(tmp_path).predictions()
    assert "1 prediction written down" in found.summary() and one.id in found.summary()
    assert "before" in found.summary()


def test_a_store_that_cannot_be_written_takes_none(tmp_path):
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(RgtoolError, match="no prediction was made"):
        register(Store(tmp_path), draft())
