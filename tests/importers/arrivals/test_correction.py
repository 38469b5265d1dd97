"""A second import corrects the first: what is told later of a run, and what of it stays."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Cli
from foreign import OpenLTHOptions, write_openlth, write_table
from stores import data_of
from torch import nn
from torch.nn.utils import prune

from rgtool.schemas.errors import UsageError
from rgtool.schemas.lock import lock
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors
from rgtool.store import Store
from rgtool.store.importers.report import ImportedRun

LEVELS = 3
SAID = {
    "task": {"task": "cifar10"},
    "name": {"name": "mine"},
    "init": {"init": "xavier_normal", "fan": "fan_out"},
    "recipe": {"recipe": "frankle2020"},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def network(seed: int = 0) -> nn.Sequential:
    """LeNet-300-100 as anybody writes it: layers have numbers."""
    torch.manual_seed(seed)
    layers = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
    return nn.Sequential(nn.Flatten(), *layers)


def write(folder: Path, levels: int = LEVELS, seed: int = 0) -> Path:
    """Prune a network globally, a file a level; the output layer keeps all of its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    made = network(seed)
    pruned = [(made[1], "weight"), (made[3], "weight")]
    for module in (made[1], made[3], made[5]):
        prune.identity(module, "weight")
    for level in range(levels + 1):
        torch.save(made.state_dict(), folder / f"level_{level}.pt")
        prune.global_unstructured(pruned, prune.L1Unstructured, amount=0.2)
    return folder


def manifest(
    folder: Path, first: float | None = None, levels: int = LEVELS, **told: object
) -> None:
    """Tell of a folder what its files do not: accuracies from `first` on, and other fields."""
    entries = [
        {"level": n, "file": f"level_{n}.pt"}
        | ({} if first is None else {"accuracy": first - n / 100})
        for n in range(levels + 1)
    ]
    (folder / "manifest.json").write_text(json.dumps({**told, "levels": entries}))


def blocks(path: Path, **names: str) -> Path:
    path.write_text("".join(f'"{layer}" = "{block}"\n' for layer, block in names.items()))
    return path


def again(store: Store, folder: Path, **said: object) -> ImportedRun:
    """Import what is one run; what a second time would change is nothing."""
    report = store.import_runs(folder, **said)  # type: ignore[arg-type]
    assert report.skipped == ()
    (run,) = report.runs
    before = data_of(store.path)
    (twice,) = store.import_runs(folder, **said).runs  # type: ignore[arg-type]
    assert data_of(store.path) == before and not twice.corrected
    assert (twice.run_id, twice.experiment_id) == (run.run_id, run.experiment_id)
    return run


def counts(store: Store) -> list[tuple[object, ...]]:
    """What no correction changes, by the source's own names."""
    columns = "run_id, level, source_layer, total, kept, kept_prev, magnitude"
    return Store(store.path).query(f"SELECT {columns} FROM layers ORDER BY ALL").rows


def masks(store: Store, run_id: str) -> dict[int, dict[str, bytes]]:
    """The masks of a run, by level and the source's own name of the layer."""
    folder = RunFolder.of(store.path, run_id)
    found = {}
    for level in folder.recorded_levels():
        table = folder.read_record(level)
        mask = read_mask(folder.mask(level))
        pairs = zip(table["layer"].to_pylist(), table["source_layer"].to_pylist(), strict=True)
        found[level] = {source: mask[layer].tobytes() for layer, source in pairs}
        assert len(mask) == table.num_rows
    return found


def accuracies(store: Store) -> list[float | None]:
    rows = Store(store.path).query("SELECT accuracy FROM levels ORDER BY level").rows
    return [None if a is None else round(a, 6) for (a,) in rows]


def told(first: float, levels: int = LEVELS) -> list[float]:
    return [round(first - n / 100, 6) for n in range(levels + 1)]


@pytest.fixture(params=[False, True], ids=["loose", "compacted"])
def compacted(request: pytest.FixtureRequest) -> bool:
    """Whether the run is compacted before it is corrected."""
    return bool(request.param)


# The user's word.


@pytest.mark.parametrize("what", SAID)
def test_what_the_user_says_later_is_taken_over(
    what: str, compacted: bool, store: Store, tmp_path: Path
) -> None:
    folder = write(tmp_path / "t")
    first = again(store, folder)
    if compacted:
        store.compact()
    before, kept = counts(store), masks(store, first.run_id)
    run = again(store, folder, **SAID[what])
    assert run.corrected and run.run_id == first.run_id
    assert run.experiment_id != first.experiment_id
    assert f"{first.experiment_id} still finds it" in " ".join(run.notes)
    # As if it had been said at once.
    (fresh,) = Store(tmp_path / "other").import_runs(folder, **SAID[what]).runs  # type: ignore[arg-type]
    assert run.experiment_id == fresh.experiment_id
    now = store.description(run.run_id)
    made = Store(tmp_path / "other").description(fresh.run_id)
    assert (now.recipe, now.recipe_name, now.told) == (made.recipe, made.recipe_name, made.told)
    assert now.inferred == made.inferred
    assert now.former == (first.experiment_id,)
    assert (counts(store), masks(store, run.run_id)) == (before, kept)
    (back,) = store.import_runs(folder).runs  # nothing is told: nothing is otherwise
    assert (back.experiment_id, back.corrected) == (run.experiment_id, False)


def test_an_id_that_was_finds_the_experiment(cli: Cli, store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    ids = [again(store, folder, **said).experiment_id for said in ({}, *SAID.values())]
    assert len({*ids}) == len(ids)
    store.compact()
    for old in ids:
        assert Store(store.path).find_experiment(old) == ids[-1]
        assert Store(store.path).find_experiment(old[:7]) == ids[-1]
    assert store.counts(ids[0]).kept.shape[:2] == (1, LEVELS + 1)
    shown = cli("show", ids[0], "--json", "--store", str(store.path))
    assert {row["what"]: row["value"] for row in json.loads(shown.out)}["experiment_id"] == ids[-1]
    # What bears an id is meant before what once did.
    write(tmp_path / "u" / "t", seed=1)
    (other,) = store.import_runs(tmp_path / "u").runs
    assert other.experiment_id == ids[0]
    assert Store(store.path).find_experiment(ids[0]) == ids[0]


def test_going_back_leaves_no_id_behind(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    first = again(store, folder, task="mnist")
    second = again(store, folder, task="cifar10")
    back = again(store, folder, task="mnist")
    assert back.experiment_id == first.experiment_id
    assert store.description(back.run_id).former == (second.experiment_id,)


def test_a_study_that_is_named_later_leaves_what_was_said(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    again(store, folder, task="cifar10", init="xavier_normal")
    run = again(store, folder, recipe="chen2021a")
    recipe = store.description(run.run_id).recipe
    assert (recipe.task, recipe.init, recipe.fan) == ("cifar10", "xavier_normal", "fan_out")
    assert recipe.epochs == 182
    run = again(store, folder, recipe="frankle2020")
    recipe = store.description(run.run_id).recipe
    assert (recipe.task, recipe.init, recipe.epochs) == ("cifar10", "xavier_normal", 40)


def test_the_table_says_how_many_are_corrected(cli: Cli, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    assert "corrected" not in cli("import", str(folder)).err
    done = cli("import", str(folder), "--task", "cifar10", "--name", "mine")
    assert done.code == 0
    assert "from now on: task cifar10 (unknown before), name mine (t before)" in done.err
    assert "0 new level(s) of 1 run(s), 1 corrected" in done.err


# Names of layers.


def test_another_block_map_renames(compacted: bool, store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    one = blocks(tmp_path / "one.toml", **{"*": "body"})
    first = again(store, folder, blocks=one, architecture="mine", keep=["dense"])
    if compacted:
        store.compact()
    before, kept = counts(store), masks(store, first.run_id)
    two = blocks(tmp_path / "two.toml", **{"1": "stem", "3": "1.0", "5": "head"})
    run = again(store, folder, blocks=two)
    assert run.corrected and (run.run_id, run.architecture) == (first.run_id, "mine")
    rows = store.query("SELECT DISTINCT source_layer, block, stage FROM layers ORDER BY 1").rows
    assert rows == [("1", "stem", "stem"), ("3", "1.0", "1"), ("5", "head", "head")]
    assert store.counts(run.experiment_id, by="stage").names == ("stem", "1", "head")
    assert (counts(store), masks(store, run.run_id)) == (before, kept)


def test_a_network_that_is_named_later_names_layers_masks_weights_and_scales(
    compacted: bool, store: Store, tmp_path: Path
) -> None:
    """Also what was never pruned; as if the network had been known at once."""
    write_openlth(tmp_path / "in", "mnist_lenet_300_100", levels=2)
    one = blocks(tmp_path / "one.toml", **{"*fc*": "head", "*": "body"})
    first = again(store, tmp_path / "in", blocks=one, keep=["init", "rewind", "dense"])
    sources = {row[0] for row in store.query("SELECT layer FROM layers").rows}
    if compacted:
        store.compact()
    before, kept = counts(store), masks(store, first.run_id)
    run = again(store, tmp_path / "in", architecture="lenet")
    assert run.corrected and (run.run_id, run.architecture) == (first.run_id, "lenet")
    assert sources.isdisjoint({"fc1", "fc2"})
    assert (counts(store), masks(store, run.run_id)) == (before, kept)
    other = Store(tmp_path / "other")
    (fresh,) = other.import_runs(
        tmp_path / "in", architecture="lenet", keep=["init", "rewind", "dense"]
    ).runs
    assert run.experiment_id == fresh.experiment_id
    columns = "* EXCLUDE (run_id)"
    for view in ("layers", "levels", "flow"):
        query = f"SELECT {columns} FROM {view} ORDER BY ALL"
        assert store.query(query).rows == other.query(query).rows
    now, made = store.description(run.run_id), other.description(fresh.run_id)
    assert (now.recipe, now.scales) == (made.recipe, made.scales)
    assert now.recipe.exempt == ("fc",)
    for name in ("init", "rewind", "dense"):
        found = read_tensors(RunFolder.of(store.path, run.run_id).weights(name))[0]
        due = read_tensors(RunFolder.of(other.path, fresh.run_id).weights(name))[0]
        assert found.keys() == due.keys()
        assert all(np.array_equal(found[layer], due[layer]) for layer in due)


KEPT = ["init", "rewind", "dense"]


@pytest.mark.parametrize(("said", "levels"), [({}, 2), ({"architecture": "mine"}, 3)])
def test_weights_that_are_asked_for_later_are_added(
    said: dict[str, Any], levels: int, compacted: bool, store: Store, tmp_path: Path
) -> None:
    """As if they had been asked for at once, also where the import corrects or adds a level."""
    write_openlth(tmp_path / "in", "mnist_lenet_300_100", levels=2)
    first = again(store, tmp_path / "in")
    if compacted:
        store.compact()
    if levels > 2:
        shutil.rmtree(tmp_path / "in")
        write_openlth(tmp_path / "in", "mnist_lenet_300_100", levels=levels)
    run = again(store, tmp_path / "in", keep=KEPT, **said)
    assert run.run_id == first.run_id
    assert [f"{name} weights are added" in run.notes for name in KEPT] == [True] * 3
    other = Store(tmp_path / "other")
    (fresh,) = other.import_runs(tmp_path / "in", keep=KEPT, **said).runs
    for name in KEPT:
        found = read_tensors(RunFolder.of(store.path, run.run_id).weights(name))[0]
        due = read_tensors(RunFolder.of(other.path, fresh.run_id).weights(name))[0]
        assert found.keys() == due.keys()
        assert all(np.array_equal(found[layer], due[layer]) for layer in due)
    (silent,) = store.import_runs(tmp_path / "in", keep=KEPT).runs
    assert not any("weights are" in note for note in silent.notes)


def test_weights_of_another_name_are_left_out(store: Store, tmp_path: Path) -> None:
    run = again(store, write(tmp_path / "t"))
    shutil.copytree(tmp_path / "t", tmp_path / "copy")
    (seen,) = store.import_runs(tmp_path / "copy", keep=["dense"]).runs
    assert seen.run_id == run.run_id
    assert any("dense weights are left out: under another name" in one for one in seen.notes)
    assert not RunFolder.of(store.path, run.run_id).weights("dense").exists()
    (own,) = store.import_runs(tmp_path / "t", keep=["dense"]).runs
    assert "dense weights are added" in own.notes


def test_weights_that_are_not_there_are_said(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        (run,) = store.import_runs(write(tmp_path / "t"), keep=["rewind"]).runs
        assert "no rewind weights are there to keep" in run.notes


def test_a_name_alone_names_the_network_and_no_layer(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_table(path, experiments=("e",), seeds=(0,), levels=2)
    first = again(store, path, blocks=blocks(tmp_path / "b.toml", **{"*": "1.0"}))
    before = store.query("SELECT * FROM layers ORDER BY ALL").rows
    run = again(store, path, architecture="ours")
    assert run.architecture == "ours" and run.experiment_id != first.experiment_id
    assert store.query("SELECT * FROM layers ORDER BY ALL").rows == before


def test_levels_that_come_with_a_correction_come_in(
    compacted: bool, store: Store, tmp_path: Path
) -> None:
    one = blocks(tmp_path / "one.toml", **{"*": "body"})
    first = again(store, write(tmp_path / "t", levels=2), blocks=one)
    if compacted:
        store.compact()
    two = blocks(tmp_path / "two.toml", **{"1": "stem", "3": "1.0", "5": "head"})
    folder = write(tmp_path / "t", levels=4)
    (run,) = store.import_runs(folder, blocks=two).runs
    assert (run.run_id, run.new, run.levels) == (first.run_id, (3, 4), (0, 1, 2, 3, 4))
    assert run.corrected
    other = Store(tmp_path / "other")
    (fresh,) = other.import_runs(folder, blocks=two, architecture=run.architecture).runs
    query = "SELECT * EXCLUDE (run_id) FROM layers ORDER BY ALL"
    assert store.query(query).rows == other.query(query).rows
    assert masks(store, run.run_id) == masks(other, fresh.run_id)
    store.compact()
    assert store.query(query).rows == other.query(query).rows


# What a manifest states.


def test_a_manifest_brings_accuracies_and_corrects_them(
    compacted: bool, store: Store, tmp_path: Path
) -> None:
    folder = write(tmp_path / "t")
    first = again(store, folder)
    before, kept = counts(store), masks(store, first.run_id)
    for accuracy in (0.9, 0.8):
        if compacted:
            store.compact()
        manifest(folder, accuracy)
        run = again(store, folder)
        assert run.corrected and run.run_id == first.run_id
        assert run.experiment_id == first.experiment_id
        assert accuracies(store) == told(accuracy)
        assert (counts(store), masks(store, run.run_id)) == (before, kept)
    assert "level 0: accuracy 0.8 from now on, 0.9 before; so 3 more level(s)" in " ".join(
        run.notes
    )
    store.compact()
    assert accuracies(store) == told(0.8)
    assert (counts(store), masks(store, run.run_id)) == (before, kept)
    assert Store(store.path).check().problems == ()


def test_a_manifest_states_seed_task_and_name(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "ticket_cifar10")
    first = again(store, folder)
    assert (first.task, first.replicate) == ("cifar10", "0")
    manifest(folder, 0.9, seed=3, task="cifar100", experiment="ours", init="xavier_normal")
    run = again(store, folder)
    found = store.description(run.run_id)
    assert (found.seed, found.replicate, found.recipe.task) == (3, "3", "cifar100")
    assert (found.recipe.origin, found.recipe.init) == ("ours", "xavier_normal")
    assert accuracies(store) == told(0.9)
    (info,) = store.runs()
    assert (info.seed, info.run_id) == (3, first.run_id)
    assert found.aliases[0]["experiment"] == "ours" and found.aliases[0]["seed"] == 3
    assert "seed 3 (unknown before)" in " ".join(run.notes)


def test_the_user_goes_before_a_manifest(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    again(store, folder, task="cifar10", name="mine")
    manifest(folder, task="mnist", experiment="ours", architecture="theirs")
    run = again(store, folder)
    recipe = store.description(run.run_id).recipe
    assert (recipe.task, recipe.origin) == ("cifar10", "mine")
    assert "task stays cifar10, as the user told it: manifest.json says mnist" in run.notes
    run = again(store, folder, task="mnist")
    assert store.description(run.run_id).recipe.task == "mnist"


def test_a_manifest_that_errs_leaves_what_was_told(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    manifest(folder, init="xavier_normal", fan="fan_out", task="mnist")
    again(store, folder)
    manifest(folder, init="xavier_normal", fan="out", task="cifar10")
    run = again(store, folder)
    recipe = store.description(run.run_id).recipe
    assert (recipe.init, recipe.fan, recipe.task) == ("xavier_normal", "fan_out", "mnist")
    assert any("not taken over: fan 'out'" in note for note in run.notes)


def test_a_copy_under_another_name_corrects_nothing(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    first = again(store, folder)
    copy = shutil.copytree(folder, tmp_path / "copy")
    manifest(copy, 0.9, experiment="theirs", seed=4, task="mnist")
    (run,) = store.import_runs(copy).runs
    assert (run.run_id, run.experiment_id) == (first.run_id, first.experiment_id)
    assert not run.corrected and accuracies(store) == [None] * 4
    assert any("accuracy 0.9 here, none in the store" in note for note in run.notes)
    assert store.description(run.run_id).seed is None


def test_a_table_with_other_accuracies_corrects(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_table(path, experiments=("e",), seeds=(0, 1), accuracy=False)
    first = store.import_runs(path)
    write_table(path, experiments=("e",), seeds=(0, 1))
    second = store.import_runs(path)
    assert second.corrected == 2 and second.new_levels == 0
    assert [run.run_id for run in second.runs] == [run.run_id for run in first.runs]
    assert None not in accuracies(store)
    before = data_of(store.path)
    assert store.import_runs(path).corrected == 0
    assert data_of(store.path) == before


def test_another_seed_of_the_same_masks_is_said(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    manifest(folder, 0.9, seed=3)
    first = again(store, folder)
    manifest(folder, 0.9, seed=4)
    (run,) = store.import_runs(folder).runs
    assert run.run_id != first.run_id
    assert any(f"run {first.run_id} (t 3) has the same masks" in note for note in run.notes)


# Children.


def test_a_former_id_is_said_to_find_what_it_finds(store: Store, tmp_path: Path) -> None:
    for seed in range(3):
        write(tmp_path / "t" / f"seed{seed}", seed=seed)
    old = store.import_runs(tmp_path / "t").runs[0].experiment_id
    first = again(store, tmp_path / "t" / "seed0", task="mnist")
    assert f"{old} means the 2 other run(s) that stay in it" in first.notes[-1]
    others = [tmp_path / "t" / f"seed{seed}" for seed in (1, 2)]
    for run in store.import_runs(others, task="cifar10").runs:
        assert f"{old} finds 2 experiments by now: name one" in run.notes[-1]
    with pytest.raises(UsageError, match="fits 2 experiments"):
        Store(store.path).find_experiment(old)
    now = again(store, tmp_path / "t" / "seed0", task="cifar10")
    assert now.notes[-1].endswith(f"{first.experiment_id} still finds it")
    assert Store(store.path).find_experiment(old) == now.experiment_id


def family(store: Store, folder: Path) -> tuple[ImportedRun, ImportedRun]:
    """Import a run and a branch of it; return both."""
    made = OpenLTHOptions(branches=("randomly_prune",))
    write_openlth(folder, "mnist_lenet_300_100", levels=2, options=made)
    main, branch = sorted(
        store.import_runs(folder).runs, key=lambda r: bool(store.description(r.run_id).parent_run)
    )
    shutil.copytree(folder, folder.with_name("whole"))
    for path in folder.rglob("lottery_branch_*"):
        shutil.rmtree(path)
    return main, branch


def lineage(store: Store, branch: ImportedRun) -> tuple[str | None, str | None, str]:
    found = store.description(branch.run_id)
    return found.parent_run, found.recipe.parent, found.experiment_id


def test_children_follow(compacted: bool, store: Store, tmp_path: Path) -> None:
    main, branch = family(store, tmp_path / "in")
    if compacted:
        store.compact()
    run = again(store, tmp_path / "in", task="cifar10")
    parent_run, parent, own = lineage(store, branch)
    assert (parent_run, parent) == (main.run_id, run.experiment_id)
    assert own != branch.experiment_id
    assert f"run {branch.run_id} follows: it is of experiment {own} from now on" in run.notes
    assert Store(store.path).find_experiment(branch.experiment_id) == own
    assert Store(store.path).find_experiment(main.experiment_id) == run.experiment_id


def test_a_child_that_is_corrected_too_is_named_once(store: Store, tmp_path: Path) -> None:
    main, branch = family(store, tmp_path / "in")
    seen = {main.run_id: [main.experiment_id], branch.run_id: [branch.experiment_id]}
    for said in ({"task": "cifar10"}, {"name": "mine"}, {"task": "cifar100"}):
        for run in store.import_runs(tmp_path / "whole", **said).runs:
            *former, last = seen[run.run_id]
            named = [note for note in run.notes if "experiment" in note]
            assert named == [
                f"it is of experiment {run.experiment_id} from now on; {last} still finds it"
            ]
            assert store.description(run.run_id).experiment_id == run.experiment_id
            assert store.description(run.run_id).former == (*former, last)
            seen[run.run_id].append(run.experiment_id)


def test_a_child_that_did_not_follow_does_so_later(store: Store, tmp_path: Path) -> None:
    """The process was killed between the two."""
    main, branch = family(store, tmp_path / "in")
    folder = RunFolder.of(store.path, branch.run_id)
    left = folder.description.read_bytes()
    run = again(store, tmp_path / "in", task="cifar10")
    folder.description.write_bytes(left)
    assert lineage(store, branch)[1] == main.experiment_id
    (later,) = store.import_runs(tmp_path / "in").runs
    assert later.corrected and lineage(store, branch)[1] == run.experiment_id


def test_a_child_of_an_experiment_follows_its_last_run(store: Store, tmp_path: Path) -> None:
    folders = [write(tmp_path / f"t_seed{seed}", seed=seed) for seed in (0, 1)]
    runs = [again(store, folder) for folder in folders]
    child = again(store, write(tmp_path / "child", seed=2))
    folder = RunFolder.of(store.path, child.run_id)
    old = store.description(child.run_id)
    recipe = dataclasses.replace(old.recipe, parent=runs[0].experiment_id)
    dataclasses.replace(old, recipe=recipe, experiment_id=recipe.experiment_id).write(
        folder.description
    )
    again(store, folders[0], task="mnist")
    assert lineage(store, child)[1] == runs[0].experiment_id
    last = again(store, folders[1], task="mnist")
    assert lineage(store, child)[1] == last.experiment_id


# What cannot be done leaves the store as it is.


def test_a_damaged_mask_is_not_renamed(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    one = blocks(tmp_path / "one.toml", **{"*": "body"})
    run = again(store, folder, blocks=one)
    RunFolder.of(store.path, run.run_id).mask(2).write_bytes(b"x")
    before = data_of(store.path)
    report = store.import_runs(folder, architecture="lenet")
    assert report.runs == () and "safetensors" in str(report.skipped[0])
    assert data_of(store.path) == before


def test_a_run_that_another_process_holds_is_left_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rgtool.store.importers.arrivals.meeting.WAIT", 0.0)
    folder = write(tmp_path / "t")
    run = again(store, folder)
    manifest(folder, 0.9)
    before = data_of(store.path)
    with lock(RunFolder.of(store.path, run.run_id).path / "lock", "a test"):
        report = store.import_runs(folder)
    assert report.runs == () and "another process" in str(report.skipped[0])
    assert data_of(store.path) == before


def test_a_file_in_place_of_a_link_is_copied(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system without hard links."""

    def link(*_: object) -> None:
        raise OSError(1, "not permitted")

    monkeypatch.setattr("os.link", link)
    folder = write(tmp_path / "t")
    first = again(store, folder)
    kept = masks(store, first.run_id)
    manifest(folder, 0.9)
    again(store, folder)
    assert accuracies(store) == told(0.9) and masks(store, first.run_id) == kept


# Killed on the way.


def read_plainly(path: Path, run_id: str) -> tuple[object, ...]:
    """A run file by file, without DuckDB."""
    folder = RunFolder.of(path, run_id)
    found = folder.read_description()
    assert found is not None
    records = {n: folder.read_record(n).to_pylist() for n in folder.recorded_levels()}
    names = {n: sorted(read_mask(folder.mask(n))) for n in records}
    return repr(records), names, found.recipe, found.seed, found.inferred, found.former


def ask(path: Path) -> list[str]:
    """All that a store says of its one run, but times."""
    store = Store(path)
    (run,) = store.runs()
    views = [repr(store.query(f"FROM {v} ORDER BY ALL").rows) for v in ("layers", "levels", "flow")]
    assert store.problems == ()
    return [*views, repr((run.architecture, run.seed, run.levels, run.experiment_id))]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["exchange", "renames"])
def test_a_kill_at_any_step_leaves_the_old_run_or_the_new(
    way: str, compacted: bool, store: Store, tmp_path: Path
) -> None:
    folder, work = write(tmp_path / "t", levels=1), tmp_path / "work"
    run = again(store, folder, blocks=blocks(tmp_path / "b.toml", **{"*": "body"}))
    if compacted:
        store.compact()
    work.mkdir()
    manifest(folder, 0.9, levels=1, architecture="lenet", seed=3)
    script = Path(__file__).with_name("correction_kills.py")
    command = [sys.executable, str(script), str(store.path), str(folder), str(work), way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    copies = sorted(work.glob("0*"))
    old, *found = [read_plainly(path, run.run_id) for path in (store.path, *copies)]
    new = found[-1]
    first = found.index(new)
    assert all(one == old for one in found[:first]) and old != new
    assert all(one == new for one in found[first:])  # once it is there it stays
    assert len(copies) - first > 5 < first
    before, after = ask(store.path), ask(copies[-1])
    for place in range(first - 2, min(first + 5, len(copies))):
        assert ask(copies[place]) == (before if place < first else after)
    for copy in (copies[0], copies[first // 2], *copies[first - 1 : first + 4]):
        assert Store(copy).import_runs(folder).skipped == ()
        Store(copy).compact()
        assert ask(copy) == after and Store(copy).check().problems == ()
        assert {path.name for path in (copy / ".importing").iterdir()} == {"lock", "last"}
        assert not (copy / ".corrected").exists()
