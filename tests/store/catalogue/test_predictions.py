"""Predictions of a store: dated, named by their hash, chained, before the runs that test them."""

import dataclasses
import datetime as dt
import hashlib
import json
import math
from pathlib import Path

import pytest
import stores

from rgtool import Recipe, RgtoolError, Store
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.prediction_files import read_prediction
from rgtool.schemas.records.predictions import (
    FOLDER,
    Chance,
    Levels,
    Meant,
    Registered,
    Statement,
    Student,
)
from rgtool.schemas.sums import KEY, PLACE, seal
from rgtool.store.catalogue.predictions import (
    read_predictions,
    register,
    runs_that_test,
)

RECIPE = Recipe(architecture="resnet8w4", task="digits")
CHILD = dataclasses.replace(RECIPE, task="mnist", parent=RECIPE.experiment_id)
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def draft(kind="transfer", tests=None, first=0, **fields) -> Registered:
    levels = Statement("level", Levels(first, (0.25, 0.75)), Levels(0, (0.5, 0.5)))
    number = Statement("1", Student(0, 0.1, 3.0), Student(0, 1, 3), Student(0.2, 0.2, 5))
    order = Statement("A > B", Chance(0.7), Chance(0.5), Chance(0.6))
    statements = ({"exponents": number, "ordering": order}.get(kind, levels),)
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


def test_times_are_whole_seconds_and_what_begins_or_grows_in_that_second_is_a_test(tmp_path):
    one = register(Store(tmp_path), draft())
    write_child(tmp_path, at=dt.datetime.fromisoformat(one.made_at))
    assert runs_that_test(Store(tmp_path), one)[0].standing == "tests it"
    run = write_child(tmp_path, recipe=RECIPE, at=NOW - dt.timedelta(days=1))
    tests = Meant(experiment=RECIPE.experiment_id)
    grows = register(Store(tmp_path), draft("collapse", tests))
    stores.write_record(tmp_path, RECIPE, run, 3, stores.counts(RECIPE, 0, 3))
    set_times(tmp_path, run, dt.datetime.fromisoformat(grows.made_at))
    assert runs_that_test(Store(tmp_path), grows)[0].standing == "tests it"


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
    register(Store(tmp_path), draft(first=4))
    path = tmp_path / FOLDER / f"{one.id}.json"
    text = CHANGES[change](path.read_text())
    assert text != path.read_text()
    if care != "none":
        text = "\n".join(line for line in text.splitlines() if KEY not in line)
    path.write_text(text)
    if care.endswith("renamed"):
        values = json.loads(text)
        values.pop("version")
        from rgtool.schemas.records.prediction_files import _parse

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
    second = register(Store(tmp_path), draft(first=4))
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
    second = dataclasses.replace(draft(first=4), made_at=early, after=(first.id,))
    second.write(tmp_path)
    found = read_predictions(tmp_path)
    assert found.disordered == {second.id: first.id} and found.sound == (first,)
    assert found.apart == {}  # one fault is said once
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


def forge(store: Path, values: dict, *, with_sum: bool = True) -> str:
    """Write what was made up under the name of its hash, as who knows the format can."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    whole = {"version": 1, **({KEY: PLACE} if with_sum else {}), **values}
    blob = json.dumps(whole, indent=1).encode()
    path = store / FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal(blob) if with_sum else blob)
    return name


NONSENSE = {  # (kind, path to a value, what stands there)
    "a kind that is a number": ("transfer", ["kind"], 3),
    "a time of another zone": ("transfer", ["made_at"], "0001-01-01T00:00:00+14:00"),
    "a time without zone": ("transfer", ["made_at"], "2026-01-01T00:00:00"),
    "a day": ("transfer", ["made_at"], "2026-01-01"),
    "a recipe's field that is none": ("transfer", ["tests", "fields", "nosuch"], "1"),
    "fields a list": ("transfer", ["tests", "fields"], ["a"]),
    "an experiment that is a number": ("transfer", ["tests", "experiment"], 5),
    "any run at all": ("ordering", ["tests", "parent"], None),
    "no source": ("transfer", ["source"], None),
    "one label": ("transfer", ["labels"], ["a/b"]),
    "labels of numbers": ("transfer", ["labels"], [1, 2]),
    "seen a list": ("transfer", ["seen"], []),
    "seen a text": ("transfer", ["seen", "run"], "x"),
    "after a text": ("transfer", ["after"], "abc"),
    "after a number": ("transfer", ["after"], [1]),
    "nothing said": ("transfer", ["statements"], []),
    "a statement that is a text": ("transfer", ["statements", 0], "level"),
    "no model": ("transfer", ["statements", 0, "model"], None),
    "levels from nowhere": ("transfer", ["statements", 0, "model", "first"], None),
    "levels from true": ("transfer", ["statements", 0, "model", "first"], True),
    "levels from far": ("transfer", ["statements", 0, "model", "first"], 10**400),
    "no probability": ("transfer", ["statements", 0, "model", "probability"], []),
    "a law of no name": ("transfer", ["statements", 0, "model", "law"], ["chance"]),
    "another kind's law": ("transfer", ["kind"], "gamma"),
    "another law for N1": (
        "transfer", ["statements", 0, "null"], {"law": "chance", "probability": 0.5},
    ),
    "a certain law of levels": (
        "ordering", ["statements", 0, "model"],
        {"law": "levels", "first": 0, "probability": [1.0]},
    ),
    "a pair without a sign": ("ordering", ["statements", 0, "name"], "x"),
    "three maps": ("ordering", ["statements", 0, "name"], "A > B > A"),
    "a map that is not trained": ("ordering", ["statements", 0, "name"], "A > C"),
    "a chance that is true": ("ordering", ["statements", 0, "model", "probability"], True),
    "df of nothing": ("exponents", ["statements", 0, "model", "df"], 1e-300),
    "a middle beyond numbers": ("exponents", ["statements", 0, "model", "location"], 1.7e308),
    "a scale that is infinite": ("exponents", ["statements", 0, "model", "scale"], math.inf),
    "no window": ("exponents", ["settings"], {"by": "stage"}),
    "a window backwards": ("exponents", ["settings", "window"], "-4:-1"),
    "no such grouping": ("exponents", ["settings", "by"], "colour"),
}  # fmt: skip


def made_up(kind: str, **fields) -> dict:
    """Return the values of a prediction that makes sense."""
    tests = Meant(None if kind == "ordering" else "e", "p", {}, ("A", "B"))
    settings = {"by": "stage", "window": "1:4"}
    return draft(kind, tests, made_at=NOW.isoformat(), settings=settings, **fields).to_json()


@pytest.mark.parametrize("kind", ["transfer", "ordering", "exponents"])
def test_what_makes_sense_is_read(tmp_path, kind):
    name = forge(tmp_path, made_up(kind))
    assert [one.id for one in read_predictions(tmp_path).kept] == [name]


@pytest.mark.parametrize("case", NONSENSE)
def test_what_makes_no_sense_is_no_prediction_though_it_has_its_hash(tmp_path, case):
    kind, (*path, last), value = NONSENSE[case]
    values = made_up(kind)
    place = values
    for step in path:
        place = place[step]
    place[last] = value
    forge(tmp_path, values)
    ((_, reason),) = read_predictions(tmp_path).broken.items()
    assert "no prediction (" in reason and "\n" not in reason and len(reason) < 400


@pytest.mark.parametrize(("kind", "other"), [("transfer", "level"), ("ordering", "B > A")])
def test_what_is_said_twice_is_no_prediction(tmp_path, kind, other):
    values = made_up(kind)
    values["statements"].append({**values["statements"][0], "name": other})
    forge(tmp_path, values)
    assert "told twice" in read_predictions(tmp_path).faults[0]


def test_a_sum_that_is_gone_is_a_change(tmp_path):
    forge(tmp_path, made_up("transfer"), with_sum=False)
    found = read_predictions(tmp_path)
    assert found.kept == () and "its sum is gone" in found.faults[0]


# Times


def test_one_that_those_made_later_do_not_follow_is_doubted(tmp_path):
    """It is new, and says that it was made before the predictions that are there."""
    first = register(Store(tmp_path), draft())
    second = register(Store(tmp_path), draft(first=4))
    assert read_predictions(tmp_path).doubts == ()
    early = (NOW - dt.timedelta(days=9)).isoformat()
    forged = forge(tmp_path, draft(first=5, made_at=early).to_json())
    found = read_predictions(tmp_path)
    assert found.faults == () and set(found.apart) == {forged}
    assert found.apart[forged] in {first.id, second.id}
    assert forged in found.doubts[0] and forged in found.summary()
    third = register(Store(tmp_path), draft(first=6))  # follows it, and the others still do not
    assert forged in third.after and set(read_predictions(tmp_path).apart) == {forged}


def at(day: int, *after: str, first: int = 0) -> Registered:
    made = (NOW - dt.timedelta(days=30 - day)).isoformat()
    return draft(first=first, made_at=made, after=after)


def test_what_leads_to_later_ones_through_others_is_not_doubted(tmp_path):
    one = at(1)
    two = at(2, one.id)
    three, four = at(3, two.id), at(3, two.id, first=1)
    five = at(4, three.id, four.id)
    for each in (one, two, three, four, five):
        each.write(tmp_path)
    assert read_predictions(tmp_path).apart == {}
    (tmp_path / FOLDER / f"{two.id}.json").unlink()  # it is missed, and the others are not blamed
    assert read_predictions(tmp_path).apart == {} and read_predictions(tmp_path).gone


def test_a_prediction_of_a_time_to_come_is_named_and_not_followed(tmp_path):
    """A clock that was ahead once costs nothing: what follows would bear an earlier date."""
    ahead = draft(made_at=(NOW + dt.timedelta(days=2)).isoformat())
    path = ahead.write(tmp_path)
    with pytest.raises(RgtoolError, match=rf"{ahead.id} says .* and none is made before what it"):
        register(Store(tmp_path), draft(first=4))
    found = read_predictions(tmp_path)
    assert found.kept == (ahead,) and "is yet to come" in found.faults[0]
    assert "is yet to come" in Store(tmp_path).check().problems[0].reason
    path.unlink()
    assert register(Store(tmp_path), draft(first=4)).after == ()
    assert read_predictions(tmp_path).faults == ()


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    register(Store(tmp_path), draft())
    link = tmp_path / FOLDER / "0123456789abcdef.json"
    link.symlink_to(tmp_path / "nowhere")
    assert "cannot be read" in read_predictions(tmp_path).faults[0]
    (problem,) = Store(tmp_path).check().problems
    assert problem.path == str(link) and problem.reason.startswith("cannot be read")


def test_nothing_is_not_written_down(tmp_path):
    with pytest.raises(RgtoolError, match="nothing to write down"):
        register(Store(tmp_path), draft(statements=()))
    assert not (tmp_path / FOLDER).exists()


def test_predictions_survive_compaction_removal_and_merging(tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    one = register(there, draft())
    register(there, draft(first=4))
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
    first, second = register(one, draft()), register(other, draft(first=4))
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
