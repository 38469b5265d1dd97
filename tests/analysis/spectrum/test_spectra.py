"""Spectra of many experiments at once are those of one experiment at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import stores

from rgtool import Store, eigen, spectra
from rgtool.analysis.nulls.beside import nulls_of
from rgtool.cli import main
from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import UsageError
from rgtool.schemas.notes import Rank
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records import record
from rgtool.schemas.records.layout import RunFolder

TINY = Recipe(architecture="resnet8w4", task="digits")


@pytest.fixture
def mixed(tmp_path: Path) -> Store:
    """Experiments that differ in seeds, levels, networks, exemptions and initialisers."""
    for seed in range(3):
        stores.write_run(tmp_path, seed, 6, recipe=TINY)
        stores.write_run(tmp_path, seed, 6, recipe=Recipe(architecture="resnet8w4", task="a"))
    for seed in range(2):
        recipe = Recipe(architecture="lenet", task="digits", exempt=("fc",))
        stores.write_run(tmp_path, seed, 5, recipe=recipe)
    stores.write_run(tmp_path, 0, 6, recipe=Recipe(architecture="resnet8w4", task="one"))
    stores.write_run(tmp_path, 0, 3, recipe=Recipe(architecture="resnet8w4", task="b", prune=0.3))
    random = Recipe(architecture="resnet8w4", task="c", pruner="random")
    unknown = Recipe(architecture="resnet8w4", task="d", init="pretrained")
    for recipe in (random, unknown):
        for seed in range(2):
            stores.write_run(tmp_path, seed, 4, recipe=recipe)
    return Store(tmp_path)


@pytest.mark.parametrize("by", ["layer", "block"])
@pytest.mark.parametrize("compacted", [False, True])
def test_every_row_is_that_of_eigen(mixed: Store, by: str, compacted: bool) -> None:
    if compacted:
        mixed.compact()
    found = spectra(mixed, by=by)
    frame = found.to_frame()
    assert (found.experiments, dict(found.problems)) == (7, {})
    assert frame["experiment_id"].n_unique() == 7
    for name in frame["experiment_id"].unique():
        one = eigen(mixed, name, by=by)
        rows, table = frame.filter(experiment_id=name), one.to_frame()
        assert rows["seeds"].unique().to_list() == [len(one.runs)]
        assert (rows["first_level"][0], rows["last_level"][0]) == one.window
        for column in set(rows.columns) & set(table.columns):
            mine, theirs = rows[column], table[column]
            if mine.dtype.is_float():
                assert (mine.is_null() == theirs.is_null()).all(), column
                np.testing.assert_allclose(
                    mine.to_numpy(), theirs.to_numpy(), rtol=1e-9, atol=1e-12, err_msg=column
                )
            else:
                assert mine.to_list() == theirs.to_list(), column


def test_what_has_no_spectrum_is_named_and_the_others_stand(tmp_path: Path) -> None:
    stores.write_run(tmp_path, 0, 4, recipe=TINY)
    short = Recipe(architecture="resnet8w4", task="short")
    empty = Recipe(architecture="resnet8w4", task="empty")
    stores.write_run(tmp_path, 0, 1, recipe=short)
    stores.write_run(tmp_path, 0, 1, recipe=empty, recorded=())
    found = spectra(Store(tmp_path), by="stage")
    assert found.experiments == 1
    assert "its longest run has 2 levels" in found.problems[short.experiment_id]
    assert "no record yet" in found.problems[empty.experiment_id]
    assert found.title.endswith("1 experiment by stage, 2 without")
    assert any("no record yet" in note for note in found.notes)
    assert found.summary().startswith(found.title)


def test_a_grouping_that_a_network_does_not_have_is_said(mixed: Store) -> None:
    found = spectra(mixed, by="stage")
    assert [why for why in found.problems.values()] == [
        "lenet has no stages: group by layer or block"
    ]
    with pytest.raises(UsageError, match="grouping 'stag' is unknown"):
        spectra(mixed, by="stag")


def test_some_experiments_in_the_order_of_architecture_and_task(mixed: Store) -> None:
    frame = spectra(mixed, ["resnet8w4/b", "resnet8w4/a"], by="stage").to_frame()
    assert frame["task"].unique(maintain_order=True).to_list() == ["a", "b"]
    with pytest.raises(UsageError, match="no experiment"):
        spectra(mixed, ["resnet8w4/nothing"])


def test_an_empty_store_has_no_spectra(tmp_path: Path) -> None:
    found = spectra(Store(tmp_path))
    assert (found.experiments, len(found.to_frame())) == (0, 0)


def test_batches_do_not_depend_on_how_many_are_read_at_once(
    mixed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rgtool.analysis.spectrum import many as module

    whole = spectra(mixed, by="layer").to_frame()
    monkeypatch.setattr(module, "_BATCH", 2)
    parts = spectra(mixed, by="layer").to_frame()
    key = ["experiment_id", "name"]
    left, right = whole.sort(key), parts.sort(key)
    for column in left.columns:
        if left[column].dtype == pl.Float64:
            np.testing.assert_allclose(
                left[column].to_numpy(), right[column].to_numpy(), rtol=1e-12, atol=1e-14
            )
        else:
            assert left[column].to_list() == right[column].to_list()


def test_a_margin_that_certifies_nothing_is_refused_for_many_as_for_one(mixed: Store) -> None:
    for margin in (0.0, -1.0, float("nan"), float("inf")):
        for ask in (
            lambda m=margin: spectra(mixed, margin=m),
            lambda m=margin: eigen(mixed, "resnet8w4/a", margin=m),
        ):
            with pytest.raises(UsageError, match="margin is"):
                ask()


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["eigen", *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--all", "--margin", "0"], "margin is 0.0"),
        (["resnet8w4/a", "--nulls", "--margin", "0.1"], "--nulls gives no verdicts"),
        (["resnet8w4/a", "--rule", "paper", "--margin", "0.1"], "leave out --margin"),
        (["published:resnet50-simclr-cifar10", "--nulls"], "needs the counts of an experiment"),
        (["published:resnet50-simclr-cifar10", "--method", "iid"], "as it was printed"),
        (["--all", "--window", "7:9"], "no experiment has a spectrum"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    mixed: Store, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, out, err = call(capsys, *arguments, "--store", str(mixed.path))
    assert (code, out) == (1 if "--window" in arguments else 2, "")
    assert words in err and len(err.splitlines()) == 1


def test_a_store_without_any_spectrum_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "--all", "--json", "--store", str(tmp_path))
    assert (code, out) == (1, "") and "holds no runs" in err
    stores.write_run(tmp_path, 0, 1, recipe=TINY)
    code, out, err = call(capsys, "--all", "--store", str(tmp_path))
    assert (code, out) == (1, "") and "its longest run has 2 levels" in err


def test_a_run_has_nulls_of_its_own(mixed: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run = Recipe(architecture="resnet8w4", task="a").run_id(1)
    code, _, err = call(capsys, run, "--nulls", "--store", str(mixed.path))
    assert code == 0 and "1 seed, levels 1:6" in err


def test_infinite_magnitudes_of_a_diverged_run_are_none(tmp_path: Path) -> None:
    for seed in range(2):
        stores.write_run(tmp_path, seed, 4, recipe=TINY)
    folder = RunFolder.of(tmp_path, TINY.run_id(1))
    table = record.read_record(folder.record(4))
    infinite = pa.array([np.inf] + table["magnitude"].to_pylist()[1:])
    place = table.schema.get_field_index("magnitude")
    record.write_record(folder.record(4), table.set_column(place, "magnitude", infinite))
    counted = eigen(Store(tmp_path), by="stage")
    assert np.isfinite(counted.interval.low).all()
    with pytest.raises(UsageError, match="tell no magnitudes at some level"):
        eigen(Store(tmp_path), by="stage", weighting="magnitude")


def test_one_experiment_without_a_null_leaves_that_of_the_others(tmp_path: Path) -> None:
    """Alike in all but how much is pruned, so that they are computed together."""
    for prune in (0.2, 0.9):
        recipe = Recipe(architecture="lenet", task="digits", exempt=("fc",), prune=prune)
        for seed in range(2):
            stores.write_run(tmp_path, seed, 4, recipe=recipe)
    strange = Store(tmp_path)
    layers = architecture("lenet").counted()
    recipe = Recipe(architecture="lenet", task="digits", exempt=("fc",), prune=0.9)
    for seed in range(2):  # an import that says its output layer is exempt, and prunes it
        folder = RunFolder.of(tmp_path, recipe.run_id(seed))
        kept = np.array([[x.total for x in layers]] + [[300, 100, 500 - n] for n in range(4)])
        for level in range(5):
            folder.record(level).unlink()
            stores.write_record(tmp_path, recipe, recipe.run_id(seed), level, kept - seed)
    frame = spectra(strange).to_frame()
    nulls = {
        name: rows["canonical"].null_count() for (name,), rows in frame.group_by("experiment_id")
    }
    assert sorted(nulls.values()) == [0, 3]


def test_what_is_assumed_and_what_is_of_one_run_is_said(mixed: Store) -> None:
    recipe = Recipe(architecture="resnet8w4", task="e", prune=0.25)
    for seed in range(2):
        stores.write_run(mixed.path, seed, 4, recipe=recipe, source="openlth")
    found = spectra(Store(mixed.path))
    text = found.summary()
    assert f"groups of {found.experiments} experiments: " in text
    one = Recipe(architecture="resnet8w4", task="one").experiment_id
    assert any(one in note and "are of this run" in note for note in found.notes)
    (note,) = [note for note in found.notes if note.startswith(recipe.experiment_id)]
    assert "assumed (recipe frankle2020" in note and "pruner magnitude" in note
    rows = found.to_frame().filter(experiment_id=recipe.experiment_id)
    assert rows["assumed"].null_count() == 0 and set(rows["scope"]) == {"population"}
    (same,) = [n for n in nulls_of(mixed.path, recipe.experiment_id).notes if "assumed" in n]
    assert same.rank == Rank.WARNING
