"""What is told of an import's recipe and what is assumed, from the files to `rgtool show`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import stores
from command import Cli
from foreign import OpenLTHOptions, write_cv_lth, write_generic, write_openlth, write_safetensors
from stores import data_of

from rgtool.analysis.nulls.known import scale_source
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import UsageError
from rgtool.schemas.published_recipes import PUBLISHED
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "rgstore")


def lenet(folder: Path, **options: bool) -> None:
    write_openlth(folder, "mnist_lenet_300_100", levels=3, options=OpenLTHOptions(**options))


def test_hyperparameters_in_the_files_are_told(store: Store, tmp_path: Path) -> None:
    lenet(tmp_path / "in", models=False)
    (run,) = store.import_runs(tmp_path / "in").runs
    description = store.description(run.run_id)
    assert {"init", "fan", "pruner", "scope", "lr", "prune", "task"} <= set(description.told)
    assert {"schedule", "precision"} <= set(description.assumed)
    assert scale_source(store.counts(run.experiment_id)) == ("recipe", ())


def test_the_study_of_a_format_is_an_assumption(store: Store, tmp_path: Path) -> None:
    write_cv_lth(tmp_path / "in")
    (run,) = store.import_runs(tmp_path / "in").runs
    counts = store.counts(run.experiment_id)
    assert counts.study == "chen2021a" and {"init", "fan", "pruner"} <= set(counts.assumed)
    source, (note,) = scale_source(counts)
    assert source == "recipe" and "recipe chen2021a" in note and "fan fan_out" in note
    # The user's word that it was made so is no assumption.
    told = Store(tmp_path / "told")
    (run,) = told.import_runs(tmp_path / "in", recipe="chen2021a").runs
    assert not set(told.counts(run.experiment_id).assumed) - {"task"}


@pytest.mark.parametrize("study", ["frankle2020", "zhang2021"])
def test_how_a_study_pools_moves_no_identity_of_an_import(
    study: str, store: Store, tmp_path: Path
) -> None:
    layers = architecture("vgg11").layers
    rows = [
        f"e,0,{level},{layer.name},{int(layer.total * 0.8**level)},{layer.total}"
        for level in range(3)
        for layer in layers
    ]
    text = "\n".join(["experiment,seed,level,group,kept,total", *rows])
    (tmp_path / "table.csv").write_text(text + "\n")
    (run,) = store.import_runs(tmp_path / "table.csv", architecture="vgg11", recipe=study).runs
    recipe = store.description(run.run_id).recipe
    assert (recipe.architecture, recipe.lr) == ("vgg11", 0.1)
    assert recipe.epochs == PUBLISHED[study](architecture("vgg11")).get("epochs", 160)
    assert "pooling" not in recipe.non_defaults()


def test_of_bare_state_dicts_nothing_is_known(store: Store, tmp_path: Path) -> None:
    write_generic(tmp_path / "in")
    (run,) = store.import_runs(tmp_path / "in").runs
    spectrum = eigen(store, run.experiment_id, by="layer")
    assert np.isnan(spectrum.canonical).all()
    assert any("no null is shown: nothing tells" in note for note in spectrum.notes)


COMMANDS = [
    ("eigen", "theirs"),
    ("eigen", "theirs", "--rule", "paper", "--window", "1:2"),
    ("eigen", "theirs", "--method", "t"),
    ("eigen", "theirs", "--method", "block", "--window", "1:2"),
    ("eigen", "short"),
    ("null", "theirs"),
    ("gamma", "theirs"),
    ("match", "theirs", "resnet56"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nobody_is_told_to_run_an_import_again(
    command: tuple[str, ...], store: Store, tmp_path: Path, cli: Cli
) -> None:
    layers = architecture("resnet20").counted()
    ids = {}
    for name, levels in (("theirs", 4), ("short", 2)):
        rows = [
            f"{name},0,{level},{layer.name},{int(layer.total * 0.8**level)},{layer.total},.9"
            for level in range(levels)
            for layer in layers
        ]
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["experiment,seed,level,group,kept,total,accuracy", *rows]))
        (run,) = store.import_runs(path, architecture="resnet20", task="cifar10").runs
        ids[name] = run.experiment_id
    verb, *rest = (ids.get(word, word) for word in command)
    done = cli(verb, *rest, "--notes", "--store", str(store.path))
    assert "--seeds" not in done.err and "--levels" not in done.err
    assert "--seeds" not in done.out and "--levels" not in done.out
    if verb == "eigen":
        assert "import more" in done.err


def test_a_manifest_tells_the_initialiser(store: Store, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "in", manifest=True)
    path = tmp_path / "in" / "manifest.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"init": "kaiming_uniform", "fan": "fan_out"}))
    (run,) = store.import_runs(tmp_path / "in").runs
    recipe = store.description(run.run_id).recipe
    assert (recipe.init, recipe.fan) == ("kaiming_uniform", "fan_out")
    assert scale_source(store.counts(run.experiment_id))[0] == "recipe"


def test_a_manifest_that_errs_is_not_taken_over(store: Store, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "in", manifest=True)
    path = tmp_path / "in" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fan": "in"}))
    (run,) = store.import_runs(tmp_path / "in").runs
    assert any("not taken over: fan 'in'" in note for note in run.notes)
    assert "fan" in store.description(run.run_id).assumed


def test_what_the_user_says_goes_before_what_files_say(store: Store, tmp_path: Path) -> None:
    lenet(tmp_path / "in", models=False)
    (run,) = store.import_runs(tmp_path / "in", init="kaiming_uniform").runs
    assert store.description(run.run_id).recipe.init == "kaiming_uniform"


def test_telling_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    write_generic(tmp_path / "in")
    store.import_runs(tmp_path / "in")
    store.import_runs(tmp_path / "in", init="kaiming_normal")
    before = data_of(store.path)
    store.import_runs(tmp_path / "in", init="kaiming_normal")
    store.import_runs(tmp_path / "in")
    assert data_of(store.path) == before


def test_what_is_told_later_survives_compaction(store: Store, tmp_path: Path) -> None:
    write_generic(tmp_path / "in")
    store.import_runs(tmp_path / "in")
    store.compact()
    (run,) = store.import_runs(tmp_path / "in", init="kaiming_normal").runs
    store.compact()
    assert "init" not in store.counts(run.experiment_id).assumed
    assert store.sql("SELECT told FROM runs").rows == [(["init"],)]


@pytest.mark.parametrize(
    ("said", "words"),
    [({"init": "kaiming"}, "did you mean kaiming_"), ({"fan": "in"}, "fan 'in'")],
)
def test_a_misspelt_initialiser_is_named(store: Store, tmp_path: Path, said, words) -> None:
    write_generic(tmp_path / "in")
    with pytest.raises(UsageError, match=words):
        store.import_runs(tmp_path / "in", **said)


def test_show_names_what_is_assumed(cli: Cli, store: Store, tmp_path: Path) -> None:
    write_cv_lth(tmp_path / "in")
    (run,) = store.import_runs(tmp_path / "in", task="cifar10").runs
    shown = cli("show", run.run_id, "--json")
    names = {row["what"]: row["value"] for row in json.loads(shown.out)}
    assert names["recipe.architecture"] == run.architecture and names["recipe.task"] == "cifar10"
    assert names["assumed.fan"] == "fan_out" and names["assumed.lr"] == 0.1
    assert not {"recipe.fan", "recipe.lr", "assumed.task", "told"} & names.keys()
    assert "values of recipe chen2021a" in shown.err
    shown = cli("show", run.experiment_id, "--json")
    names = {row["what"]: row["value"] for row in json.loads(shown.out)}
    assert names["assumed.fan"] == "fan_out" and "recipe.origin" in names
    assert "nothing of the import tells" in shown.err


def test_show_says_of_defaults_that_they_mean_nothing(
    cli: Cli, store: Store, tmp_path: Path
) -> None:
    write_generic(tmp_path / "in")
    (run,) = store.import_runs(tmp_path / "in").runs
    shown = cli("show", run.run_id)
    assert "assumed.lr" in shown.out and "recipe.lr" not in shown.out
    assert "defaults, of which nothing is known" in shown.err


def test_an_import_tells_the_initialiser_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    write_generic(tmp_path / "in")
    told = cli("import", str(tmp_path / "in"), "--init", "kaiming_normal", "--fan", "fan_out")
    assert told.code == 0
    (run,) = Store(tmp_path / "rgstore").runs()
    assert Store(tmp_path / "rgstore").description(run.run_id).told == ("fan", "init")


def test_what_differs_from_the_recipe_was_told(tmp_path: Path) -> None:
    """A description without the fields that were told, as an earlier version wrote it."""
    recipe = Recipe(architecture="lenet", task="mnist", prune=0.05, exempt=("fc",), epochs=40)
    stores.write_run(tmp_path, 0, 3, recipe=recipe, source="openlth")
    description = Store(tmp_path).description(recipe.run_id(0))
    assert description.told == () and description.study == "frankle2020"
    assert "prune" not in description.assumed and {"init", "epochs"} <= set(description.assumed)
    counts = Store(tmp_path).counts(recipe.experiment_id)
    assert counts.assumed == description.assumed


def test_what_differs_from_the_study_was_told_also_where_no_record_says_so(
    store: Store, tmp_path: Path, cli: Cli
) -> None:
    """Descriptions of imports before `told` was written have none of it."""
    lenet(tmp_path / "in", models=False)
    (run,) = store.import_runs(tmp_path / "in").runs
    own = store.description(run.run_id)
    older = dataclasses.replace(own, told=(), recipe=dataclasses.replace(own.recipe, prune=0.05))
    older.write(RunFolder.of(store.path, run.run_id).description)
    shown = json.loads(cli("show", run.run_id, "--json", "--store", str(store.path)).out)
    names = {row["what"] for row in shown}
    assert "recipe.prune" in names and "assumed.epochs" in names


def test_telling_what_was_assumed_is_said(store: Store, tmp_path: Path) -> None:
    write_generic(tmp_path / "in")
    store.import_runs(tmp_path / "in")
    (run,) = store.import_runs(tmp_path / "in", init="kaiming_normal", fan="fan_in").runs
    assert any(
        note.startswith("told from now on, as it was assumed: init kaiming_normal, fan fan_in")
        for note in run.notes
    )


def test_the_fan_of_xavier_is_no_assumption(store: Store, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "in", manifest=True)
    (run,) = store.import_runs(tmp_path / "in", init="xavier_normal").runs
    counts = store.counts(run.experiment_id)
    assert "fan" in counts.assumed
    assert not any("fan" in note for note in scale_source(counts)[1])
