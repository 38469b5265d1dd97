"""Importing: every format from a genuine layout, growth, gaps, names, and what the user is told."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from foreign import (
    Layout,
    OpenLTHOptions,
    VitaOptions,
    write_bert,
    write_cv_lth,
    write_elastic,
    write_generic,
    write_imagenet,
    write_lists,
    write_moco,
    write_numpy,
    write_openlth,
    write_prac,
    write_safetensors,
    write_simclr,
    write_table,
)
from stores import data_of

import rgtool
from rgtool.schemas.errors import UsageError
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors
from rgtool.store import Store
from rgtool.store.importers.formats import tables
from rgtool.store.importers.imports import FORMATS, survey
from rgtool.store.importers.report import ImportedRun, ImportReport


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def only(report: ImportReport) -> ImportedRun:
    assert report.skipped == ()
    (run,) = report.runs
    return run


def column(store: Store, run_id: str, name: str) -> list[Any]:
    rows = store.query(f"SELECT {name} FROM levels WHERE run_id = ? ORDER BY level", [run_id]).rows
    return [value for (value,) in rows]


def hold(store: Store, run: ImportedRun, layout: Layout, kept: tuple[int, ...] = ()) -> None:
    """Hold an imported run to what its writer counted, layer by layer, level by level."""
    assert column(store, run.run_id, "network_kept") == list(layout.kept)
    assert layout.kept[: len(kept)] == kept
    accuracy = column(store, run.run_id, "accuracy")
    assert accuracy == [a if a is None else pytest.approx(a, abs=1e-6) for a in layout.accuracy]
    rows = store.query(
        "SELECT source_layer, any_value(total), list(kept ORDER BY level) FROM layers "
        "WHERE run_id = ? GROUP BY 1",
        [run.run_id],
    ).rows
    found = {name: kept for name, _, kept in rows}
    assert found == {n.removesuffix(".weight"): kept for n, kept in layout.layers.items()}
    assert {n: t for n, t, _ in rows} == {
        n.removesuffix(".weight"): t for n, t in layout.totals.items()
    }
    sums = store.query(
        "SELECT grouping, level, sum(share_prev * eigenvalue) FROM flow WHERE run_id = ? "
        "AND level > 0 AND eigenvalue IS NOT NULL GROUP BY 1, 2",
        [run.run_id],
    ).rows
    assert sums
    assert all(total == pytest.approx(1, abs=1e-12) for _, _, total in sums)
    for level in run.levels:
        masks = read_mask(RunFolder.of(store.path, run.run_id).mask(level))
        assert sum(int(mask.sum()) for mask in masks.values()) == layout.kept[level]


# Genuine layouts at true sizes.


def test_a_run_of_openlth_as_it_lies_on_a_disk(store: Store, tmp_path: Path) -> None:
    """Masks, models and checkpoints of a Mac, at the fraction and with the counts of a real run."""
    options = OpenLTHOptions(checkpoint=True, device="mps")
    layout = write_openlth(
        tmp_path / "in", "mnist_lenet_300_100", levels=5, fraction=0.05, options=options
    )
    run = only(store.import_runs(tmp_path / "in"))
    hold(store, run, layout, (266200, 252889, 240243, 228229, 216816, 205974))
    layers = store.query("SELECT DISTINCT layer, exempt FROM layers ORDER BY 1").rows
    assert layers == [("fc", True), ("fc1", False), ("fc2", False)]
    recipe = store.description(run.run_id).recipe
    assert (recipe.architecture, recipe.task, recipe.prune) == ("lenet", "mnist", 0.05)
    assert (recipe.epochs, recipe.lr, recipe.momentum, recipe.milestones) == (40, 0.1, 0.0, ())
    magnitudes = store.query("SELECT count(magnitude) FROM layers").rows
    assert magnitudes == [(18,)]
    (init,) = (tmp_path / "in").rglob("level_0/main/model_ep0_it0.pth")
    weights = torch.load(init, map_location="cpu", weights_only=True)["fc_layers.0.weight"]
    scales = store.description(run.run_id).scales
    assert scales["init"]["fc1"] == pytest.approx(float(weights.square().mean().sqrt()), rel=1e-5)


def test_a_checkpoint_serves_where_its_mask_is_gone(store: Store, tmp_path: Path) -> None:
    layout = lenet(tmp_path / "in", checkpoint=True, device="mps")
    for mask in (tmp_path / "in").rglob("mask.pth"):
        mask.unlink()
    hold(store, only(store.import_runs(tmp_path / "in")), layout)


@pytest.mark.parametrize(
    ("write", "model", "levels", "architecture", "prunable", "exempt"),
    [
        (write_openlth, "cifar_resnet_20", 5, "resnet20", "all", ()),
        (write_openlth, "mnist_lenet_300_100", 5, "lenet", "all", ("fc",)),
        (write_openlth, "cifar_vgg_16", 1, "vgg16", "all", ("fc",)),
        (write_cv_lth, "resnet18", 2, "resnet18", "convolutions_without_stem", ()),
        (write_cv_lth, "resnet50", 1, "resnet50", "convolutions_without_stem", ()),
        (write_prac, "res20s", 4, "resnet20a", "convolutions", ()),
        (write_prac, "vgg16_bn", 1, "vgg16", "convolutions", ()),
    ],
)
def test_golden_series_at_true_sizes(
    store: Store,
    tmp_path: Path,
    write: Callable[..., Layout],
    model: str,
    levels: int,
    architecture: str,
    prunable: str,
    exempt: tuple[str, ...],
) -> None:
    options = (
        {} if write is write_openlth else {"options": VitaOptions(optimizer=False, best=False)}
    )
    layout = write(tmp_path / "foreign" / f"{model}_cifar10", model, levels=levels, **options)
    run = only(store.import_runs(tmp_path / "foreign"))
    hold(store, run, layout, golden.kept(layout.format, model)[: levels + 1])
    recipe = store.description(run.run_id).recipe
    assert (run.architecture, recipe.prunable, recipe.exempt) == (architecture, prunable, exempt)
    assert run.task == ("mnist" if architecture == "lenet" else "cifar10")


def lenet(folder: Path, **options: Any) -> Layout:
    return write_openlth(folder, "mnist_lenet_300_100", levels=3, options=OpenLTHOptions(**options))


SMALL: dict[str, tuple[Callable[[Path], Layout], str]] = {
    "renamed folder": (lambda d: lenet(d, name="my old runs ünd so"), "openlth"),
    "checkpoint beside": (lambda d: lenet(d, checkpoint=True), "openlth"),
    "without hparams": (lambda d: lenet(d, hparams=False), "openlth"),
    "without models": (lambda d: lenet(d, models=False), "openlth"),
    "without report": (lambda d: lenet(d, report=False), "openlth"),
    "rewound": (lambda d: lenet(d, rewind="2ep218it"), "openlth"),
    "bool masks": (lambda d: lenet(d, mask_dtype=torch.bool), "openlth"),
    "uint8 masks": (lambda d: lenet(d, mask_dtype=torch.uint8), "openlth"),
    "float masks": (lambda d: lenet(d, mask_dtype=torch.float32), "openlth"),
    "int64 masks": (lambda d: lenet(d, mask_dtype=torch.int64), "openlth"),
    "DataParallel": (lambda d: lenet(d, module="everywhere"), "openlth"),
    "saved on a GPU": (lambda d: lenet(d, device="cuda:3"), "openlth"),
    "saved on MPS": (lambda d: lenet(d, device="mps"), "openlth"),
    "ElasticLTH": (lambda d: write_elastic(d, options=OpenLTHOptions(ratio=True)), "openlth"),
    "ElasticLTH with a suffix": (
        lambda d: write_elastic(d, options=OpenLTHOptions(ratio=True, suffix="_distill")),
        "openlth",
    ),
    "CV_LTH": (write_cv_lth, "cv_lth"),
    "CV_LTH, best files alone": (
        lambda d: write_cv_lth(d, options=VitaOptions(last=False)),
        "cv_lth",
    ),
    "CV_LTH, rewound to trained": (
        lambda d: write_cv_lth(d, options=VitaOptions(rewind="pt")),
        "cv_lth",
    ),
    "CV_LTH on ImageNet": (write_imagenet, "cv_lth_imagenet"),
    "MoCo": (write_moco, "moco"),
    "MoCo, last epochs alone": (lambda d: write_moco(d, every_epoch=False), "moco"),
    "SimCLR": (write_simclr, "simclr"),
    "PrAC's own program": (lambda d: write_prac(d, options=VitaOptions(prac=True)), "prac"),
    "BERT-Tickets": (write_bert, "bert_tickets"),
    "state dicts": (write_generic, "torch_prune"),
    "state dicts, wrapped": (
        lambda d: write_generic(d, wrap="state_dict", prefix="module."),
        "torch_prune",
    ),
    "state dicts, otherwise": (
        lambda d: write_generic(d, wrap="model_state_dict", pattern="run-{}-done.pth"),
        "torch_prune",
    ),
    "safetensors": (write_safetensors, "safetensors"),
    "numpy": (write_numpy, "numpy"),
    "pickled lists": (write_lists, "pickled_lists"),
    "pickled lists, unfinished": (lambda d: write_lists(d, tell=False), "pickled_lists"),
    "safetensors, masks alone": (
        lambda d: write_safetensors(d, ending="", mask_dtype=torch.bool),
        "safetensors",
    ),
    "safetensors with a manifest": (lambda d: write_safetensors(d, manifest=True), "safetensors"),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_format_is_recognised_and_counted(store: Store, tmp_path: Path, name: str) -> None:
    write, format_ = SMALL[name]
    layout = write(tmp_path / "foreign folder" / "ün déjà vu")
    report = store.import_runs(tmp_path / "foreign folder")
    run = only(report)
    assert (run.format, report.exit_code) == (format_, 0)
    assert run.levels == run.new == tuple(range(len(layout.kept)))
    hold(store, run, layout)
    before = data_of(store.path)
    again = only(store.import_runs(tmp_path / "foreign folder"))
    assert (again.run_id, again.new, again.levels) == (run.run_id, (), run.levels)
    assert data_of(store.path) == before


def test_every_format_has_a_test() -> None:
    tested = {format_ for _, format_ in SMALL.values()} | {"table"}
    assert tested == set(FORMATS)


def test_gzipped_masks(store: Store, tmp_path: Path) -> None:
    layout = lenet(tmp_path / "a", gzip=".gz")
    hold(store, only(store.import_runs(tmp_path / "a")), layout)


def test_masked_language_modelling_starts_at_level_two(store: Store, tmp_path: Path) -> None:
    layout = write_bert(tmp_path / "mlm", pretraining=True, levels=4)
    report = store.import_runs(tmp_path / "mlm")
    run = report.runs[0]
    assert run.levels == (0, 2, 3, 4)
    assert column(store, run.run_id, "network_kept") == [layout.kept[n] for n in run.levels]
    assert report.exit_code == 3
    assert "level 1 missing: no step leads across the gap" in run.notes


def test_true_bert_is_known(store: Store, tmp_path: Path) -> None:
    from rgtool.schemas.blocks import architecture, groupings

    network = architecture("bert-base")
    assert len(network.layers) == 73
    assert sum(layer.total for layer in network.layers) == 85524480
    assert groupings(network.layers) == ("layer", "block", "role")


# Tables.


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables(store: Store, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"counts.{suffix}"
    layouts = write_table(path, seeds=(0, 1), levels=4)
    report = store.import_runs(path)
    assert report.skipped == ()
    assert len(report.runs) == 2
    written = list(layouts.values()) if isinstance(layouts, dict) else list(layouts)
    found = {tuple(column(store, run.run_id, "network_kept")) for run in report.runs}
    assert found == {layout.kept for layout in written}
    stages = store.query(
        "SELECT DISTINCT name FROM flow WHERE grouping = 'stage' ORDER BY name"
    ).rows
    assert [name for (name,) in stages] == ["1", "2", "3", "head", "stem"]
    assert {run.replicate for run in report.runs} == {"0", "1"}
    assert len({run.experiment_id for run in report.runs}) == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("e,0,1,a,11,10,.5", "11 weights kept of 10"),
        ("e,0,1,a,-1,10,.5", "kept is '-1'"),
        ("e,0,1,a,1.5,10,.5", "kept is '1.5': a whole number from 0 on is due"),
        ("e,0,1,a,5,10,91", "a fraction is due, not percent"),
        ("e,0,0,a,5,10,.5", "stands there twice"),
        ("e,0,1,,5,10,.5", "group is no plain text"),
        ("e,0,99999,a,5,10,.5", "level 99999"),
    ],
)
def test_bad_rows_are_named(store: Store, tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "bad.csv"
    head = "experiment,seed,level,group,kept,total,accuracy\ne,0,0,a,10,10,.5\n"
    path.write_text(head + row + "\n")
    report = store.import_runs(path)
    assert report.runs == ()
    assert reason in str(report.skipped[0])
    assert report.exit_code == 1


def parquet_bomb(path: Path, characters: int, rows: int) -> Path:
    """Write a table that has one long text, and a number for it in every row."""
    zeros = pa.array(np.zeros(rows, np.int8))
    values = {"experiment": "e", "seed": 0, "level": 0, "group": "g" * characters,
              "kept": 1, "total": 2}  # fmt: skip
    columns = {
        name: pa.DictionaryArray.from_arrays(zeros, pa.array([value]))
        for name, value in values.items()
    }
    pq.write_table(pa.table(columns), path, compression="zstd")
    return path


def test_a_long_text_is_not_unpacked_into_every_row(store: Store, tmp_path: Path) -> None:
    path = parquet_bomb(tmp_path / "t.parquet", 1_000_000, 400)
    tracemalloc.start()
    try:
        (skipped,) = store.import_runs(path).skipped
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert f"{path}: group of 1,000,000 characters" in str(skipped)
    assert peak < 50_000_000, "400 MB in the rows"


def test_a_row_group_that_unpacks_to_too_much_is_not_unpacked(store: Store, tmp_path: Path) -> None:
    path = parquet_bomb(tmp_path / "t.parquet", 70_000_000, 1)
    before = pa.total_allocated_bytes(), pa.default_memory_pool().max_memory()
    (skipped,) = store.import_runs(path).skipped
    assert "1 rows unpack to 70,000" in str(skipped)
    assert (pa.total_allocated_bytes(), pa.default_memory_pool().max_memory()) == before


@pytest.mark.parametrize("value", [["a"], b"a", {"a": "b"}])
def test_a_column_of_another_type_is_named(store: Store, tmp_path: Path, value: object) -> None:
    row = {"experiment": "e", "seed": 0, "level": 0, "group": value, "kept": 1, "total": 2}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "t.parquet")
    (skipped,) = store.import_runs(tmp_path / "t.parquet").skipped
    assert "column group is" in str(skipped)


@pytest.mark.parametrize(("limit", "words"), [("_MAX_ROWS", "rows"), ("_MAX_LEVELS", "levels")])
def test_a_table_larger_than_tables_of_counts_are_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, words: str
) -> None:
    (tmp_path / "t.csv").write_text(
        "experiment,seed,level,group,kept,total\n" + "".join(f"e,0,{i},g,1,2\n" for i in range(4))
    )
    monkeypatch.setattr(tables, limit, 3)
    (skipped,) = store.import_runs(tmp_path / "t.csv").skipped
    assert f"more than 3 {words}" in str(skipped)
    monkeypatch.setattr(tables, limit, 4)
    assert store.import_runs(tmp_path / "t.csv").skipped == ()


def test_a_table_of_something_else_is_left_alone(store: Store, tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    lenet(tmp_path / "run")
    assert store.import_runs(tmp_path).skipped == ()
    assert "the columns experiment" in str(store.import_runs(tmp_path / "notes.csv").skipped[0])


# Experiments, replicates, branches.


def test_replicates_are_one_experiment_and_branches_their_own(store: Store, tmp_path: Path) -> None:
    options = OpenLTHOptions(branches=("randomly_reinitialize",), branch_levels=(1, 2))
    for replicate in (1, 2, 3):
        write_openlth(
            tmp_path / "in", "mnist_lenet_300_100", levels=2, replicate=replicate, options=options
        )
    report = store.import_runs(tmp_path / "in")
    assert report.exit_code == 0
    experiments: dict[str, list[ImportedRun]] = {}
    for run in report.runs:
        experiments.setdefault(run.experiment_id, []).append(run)
    assert sorted(len(runs) for runs in experiments.values()) == [3, 3]
    assert {run.replicate for run in report.runs} == {"1", "2", "3"}
    assert len({run.run_id for run in report.runs}) == 6
    branches = [run for run in report.runs if run.levels == (1, 2)]
    assert len(branches) == 3
    assert all("starts at level 1" in run.notes for run in branches)


def test_seeds_in_names_of_folders_are_replicates(store: Store, tmp_path: Path) -> None:
    for seed in (1, 2):
        write_cv_lth(tmp_path / f"res8_cifar100_seed{seed}", seed=seed)
    report = store.import_runs(tmp_path)
    assert {run.replicate for run in report.runs} == {"1", "2"}
    assert len({run.experiment_id for run in report.runs}) == 1
    assert [store.description(run.run_id).seed for run in report.runs] == [1, 2]
    assert {run.task for run in report.runs} == {"cifar100"}


def test_a_name_makes_one_experiment_of_what_is_found(store: Store, tmp_path: Path) -> None:
    write_cv_lth(tmp_path / "one", seed=1)
    write_cv_lth(tmp_path / "two", seed=2)
    apart = store.import_runs(tmp_path)
    assert len({run.experiment_id for run in apart.runs}) == 2
    other = Store(tmp_path / "other")
    together = other.import_runs(tmp_path, name="both", task="svhn", recipe="zhang2021")
    assert len({run.experiment_id for run in together.runs}) == 1
    description = other.description(together.runs[0].run_id)
    assert (description.recipe.origin, description.recipe.task) == ("both", "svhn")
    assert (description.recipe_name, description.recipe.batch_size) == ("zhang2021", 128)


def test_several_formats_and_runs_in_one_folder(store: Store, tmp_path: Path) -> None:
    lenet(tmp_path / "in" / "a")
    write_cv_lth(tmp_path / "in" / "b")
    write_generic(tmp_path / "in" / "c", pattern="x{}.pt", seed=1)
    write_generic(tmp_path / "in" / "c", pattern="y{}.pt", seed=2)
    write_table(tmp_path / "in" / "d.csv", seeds=(0,))
    report = store.import_runs(tmp_path / "in")
    assert report.skipped == ()
    assert sorted(run.format for run in report.runs) == [
        "cv_lth",
        "openlth",
        "table",
        "torch_prune",
        "torch_prune",
    ]


def test_an_unknown_network_takes_a_block_map(store: Store, tmp_path: Path) -> None:
    write_generic(tmp_path / "in" / "odd")
    blocks = tmp_path / "blocks.toml"
    blocks.write_text('"conv1" = "stem"\n"layer1.*" = "1.0"\n"layer*" = "2.0"\n"*" = "head"\n')
    run = only(store.import_runs(tmp_path / "in", architecture="mynet", blocks=blocks))
    assert run.architecture == "mynet"
    rows = store.query("SELECT DISTINCT layer, block, stage FROM layers").rows
    groups = {layer: (block, stage) for layer, block, stage in rows}
    assert groups["conv1"] == ("stem", "stem")
    assert all(g == ("1.0", "1") for layer, g in groups.items() if layer.startswith("layer1."))
    plain = Store(tmp_path / "plain")
    run = only(plain.import_runs(tmp_path / "in"))
    assert run.architecture.startswith("net-")
    rows = plain.query("SELECT DISTINCT layer, block, stage FROM layers").rows
    assert all(layer == block and stage is None for layer, block, stage in rows)


def test_an_architecture_that_does_not_fit_is_refused(store: Store, tmp_path: Path) -> None:
    lenet(tmp_path / "in")
    report = store.import_runs(tmp_path / "in", architecture="resnet20")
    assert report.runs == ()
    assert "the layers are not those of resnet20" in str(report.skipped[0])


# Growth, gaps, changes.


def level_folders(root: Path) -> list[Path]:
    return sorted(root.glob("**/level_*"))


def test_a_folder_that_has_grown_adds_the_new_levels(store: Store, tmp_path: Path) -> None:
    layout = lenet(tmp_path / "whole")
    part = tmp_path / "part"
    shutil.copytree(tmp_path / "whole", part)
    shutil.rmtree(level_folders(part)[-1])
    run = only(store.import_runs(part))
    assert run.levels == (0, 1, 2)
    before = data_of(store.path)
    shutil.copytree(
        level_folders(tmp_path / "whole")[-1], level_folders(part)[0].parent / "level_3"
    )
    grown = only(store.import_runs(part))
    assert (grown.run_id, grown.new) == (run.run_id, (3,))
    hold(store, grown, layout)
    after = data_of(store.path)
    assert {name for name in before if after[name] != before[name]} == {
        f"runs/{run.run_id}/run.json"
    }


def test_a_compacted_run_grows_too(store: Store, tmp_path: Path) -> None:
    layout = lenet(tmp_path / "whole")
    part = tmp_path / "part"
    shutil.copytree(tmp_path / "whole", part)
    shutil.rmtree(level_folders(part)[-1])
    run = only(store.import_runs(part))
    assert store.compact().runs == 1
    assert only(store.import_runs(part)).new == ()
    grown = only(store.import_runs(tmp_path / "whole"))
    assert (grown.run_id, grown.new) == (run.run_id, (3,))
    hold(store, grown, layout)
    assert store.compact().runs == 1
    hold(store, grown, layout)


def test_a_gap_is_reported_and_no_step_leads_across_it(store: Store, tmp_path: Path) -> None:
    layout = lenet(tmp_path / "in")
    lost = level_folders(tmp_path / "in")[2]
    shutil.move(lost, tmp_path / "aside")
    report = store.import_runs(tmp_path / "in")
    (run,) = report.runs
    assert (run.levels, report.exit_code) == ((0, 1, 3), 3)
    assert "level 2 missing: no step leads across the gap" in run.notes
    assert column(store, run.run_id, "network_kept_prev") == [None, layout.kept[0], None]
    steps = store.query("SELECT level, count(eigenvalue) FROM flow GROUP BY 1 ORDER BY 1").rows
    assert [count > 0 for _, count in steps] == [False, True, False]
    shutil.move(tmp_path / "aside", lost)
    filled = only(store.import_runs(tmp_path / "in"))
    assert (filled.run_id, filled.new, filled.whole) == (run.run_id, (2,), True)
    hold(store, filled, layout)
    assert column(store, run.run_id, "network_kept_prev")[1:] == list(layout.kept[:3])


@pytest.mark.parametrize("damage", ["empty", "cut"])
def test_a_level_that_cannot_be_read_counts_as_missing(
    store: Store, tmp_path: Path, damage: str
) -> None:
    lenet(tmp_path / "in")
    mask = level_folders(tmp_path / "in")[2] / "main" / "mask.pth"
    data = mask.read_bytes()
    mask.write_bytes(b"" if damage == "empty" else data[: len(data) // 2])
    report = store.import_runs(tmp_path / "in")
    assert (report.runs[0].levels, report.exit_code) == ((0, 1, 3), 3)
    assert any(
        "level 2 is left out" in note and "mask.pth" in note for note in report.runs[0].notes
    )
    mask.write_bytes(data)
    assert only(store.import_runs(tmp_path / "in")).new == (2,)


def test_a_logger_that_changed_is_named_and_corrects_accuracies_alone(
    store: Store, tmp_path: Path
) -> None:
    lenet(tmp_path / "in")
    store.import_runs(tmp_path / "in")
    counts, accuracies = (
        "SELECT * EXCLUDE (run_id) FROM layers ORDER BY ALL",
        "SELECT level, accuracy FROM levels ORDER BY level",
    )
    before = [store.query(query).rows for query in (counts, accuracies)]
    logger = level_folders(tmp_path / "in")[2] / "main" / "logger"
    logger.write_text("test_accuracy,1,0.123")
    run = only(store.import_runs(tmp_path / "in"))
    assert any("level_2/main/logger has changed" in note for note in run.notes)
    after = [store.query(query).rows for query in (counts, accuracies)]
    assert after[0] == before[0]
    assert after[1] == [(n, 0.123 if n == 2 else accuracy) for n, accuracy in before[1]]


def test_masks_of_another_run_are_refused_whole(store: Store, tmp_path: Path) -> None:
    lenet(tmp_path / "in")
    write_openlth(tmp_path / "other", "mnist_lenet_300_100", levels=3, seed=77)
    source = level_folders(tmp_path / "other")[2] / "main" / "mask.pth"
    shutil.copy(source, level_folders(tmp_path / "in")[2] / "main" / "mask.pth")
    write_cv_lth(tmp_path / "in" / "good")
    report = store.import_runs(tmp_path / "in")
    assert [run.format for run in report.runs] == ["cv_lth"]
    assert report.exit_code == 3
    assert "these are not levels of one run" in str(report.skipped[0])
    assert len(list((store.path / "runs").iterdir())) == 1


# Weights, scales, provenance.


def test_weights_give_magnitudes_and_are_kept_on_request(store: Store, tmp_path: Path) -> None:
    write_cv_lth(tmp_path / "in")
    run = only(store.import_runs(tmp_path / "in", keep=["rewind", "dense"]))
    folder = RunFolder.of(store.path, run.run_id)
    dense, _ = read_tensors(folder.weights("dense"))
    rewind, _ = read_tensors(folder.weights("rewind"))
    saved = torch.load(tmp_path / "in" / "0checkpoint.pth.tar", weights_only=True)
    name = "layer1.0.conv1"
    np.testing.assert_array_equal(dense[name], saved["state_dict"][f"{name}.weight"].numpy())
    np.testing.assert_array_equal(rewind[name], saved["init_weight"][f"{name}.weight"].numpy())
    rows = store.query(
        "SELECT level, magnitude, magnitude_prev FROM layers WHERE layer = ? ORDER BY level", [name]
    ).rows
    last = torch.load(tmp_path / "in" / "2checkpoint.pth.tar", weights_only=True)["state_dict"]
    kept = last[f"{name}.weight_orig"].double().abs() * last[f"{name}.weight_mask"].double()
    assert rows[2][1] == pytest.approx(float(kept.sum()), rel=1e-12)
    assert [row[2] for row in rows[1:]] == [row[1] for row in rows[:-1]]
    scales = store.description(run.run_id).scales["rewind"]
    assert scales[name] == pytest.approx(float(np.sqrt((rewind[name] ** 2).mean())), rel=1e-6)


def test_every_file_that_was_read_is_named_with_its_sum(store: Store, tmp_path: Path) -> None:
    import hashlib

    lenet(tmp_path / "in")
    run = only(store.import_runs(tmp_path / "in"))
    files = store.description(run.run_id).files
    root = level_folders(tmp_path / "in")[0].parent
    assert {entry["path"] for entry in files} >= {
        f"level_{n}/main/{name}" for n in range(4) for name in ("mask.pth", "logger")
    }
    for entry in files:
        data = (root / entry["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert store.description(run.run_id).inferred["recipe"] == "hparams.log"


def test_identity_does_not_depend_on_the_place(store: Store, tmp_path: Path) -> None:
    lenet(tmp_path / "in")
    run = only(store.import_runs(tmp_path / "in"))
    shutil.move(tmp_path / "in", tmp_path / "elsewhere")
    again = only(store.import_runs(tmp_path / "elsewhere"))
    assert (again.run_id, again.new) == (run.run_id, ())


def test_own_and_imported_runs_stand_side_by_side(store: Store, tmp_path: Path) -> None:
    rgtool.run("lenet", "digits", levels=3, epochs=2, store=store.path)
    lenet(tmp_path / "in")
    store.import_runs(tmp_path / "in")
    rows = store.sql(
        "SELECT level, max(share) FILTER (source = 'rgtool') AS own,"
        " max(share) FILTER (source = 'openlth') AS theirs"
        " FROM flow JOIN runs USING (run_id) WHERE grouping = 'layer' AND name = 'fc1'"
        " GROUP BY level ORDER BY level"
    ).rows
    assert len(rows) == 4
    assert all(0 < own < 1 and 0 < theirs < 1 for _, own, theirs in rows)


def test_eigen_takes_an_imported_experiment(store: Store, tmp_path: Path) -> None:
    for replicate in (1, 2, 3):
        write_openlth(
            tmp_path / "in", "cifar_resnet_20", levels=4, replicate=replicate, seed=replicate
        )
    store.import_runs(tmp_path / "in")
    spectrum = rgtool.eigen(store, "resnet20/cifar10", by="stage")
    assert spectrum.names == ("stem", "1", "2", "3", "head")
    assert np.isfinite(spectrum.eigenvalue.value).all()


# What the user says, and what is not there.


def test_dry_survey_reads_and_writes_nothing(tmp_path: Path) -> None:
    lenet(tmp_path / "in")
    (tmp_path / "in" / "stray.pt").write_bytes(b"nothing")
    found = survey([tmp_path / "in"])
    assert (len(found.runs), found.levels) == (1, 4)
    assert [str(one).partition(": ")[2] for one in found.skipped] == [
        "a text ('nothing') in place of the file: bring the file itself"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "openltz"}, "did you mean openlth"),
        ({"recipe": "chen2021"}, "did you mean chen2021a"),
        ({"keep": ["dens"]}, "did you mean dense"),
        ({"blocks": "nowhere.toml"}, "no block map"),
        ({"name": " "}, "is no name"),
    ],
)
def test_wrong_choices_are_refused(
    store: Store, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        store.import_runs(tmp_path, **arguments)
    with pytest.raises(UsageError, match="no such file or folder"):
        store.import_runs(tmp_path / "nowhere")
    assert not store.path.exists()


def test_an_empty_folder_has_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    report = store.import_runs(tmp_path / "in")
    assert (report.runs, report.skipped, report.exit_code) == ((), (), 1)


def test_a_manifest_and_a_block_map_may_begin_with_a_byte_order_mark(
    store: Store, tmp_path: Path
) -> None:
    write_safetensors(tmp_path / "in", manifest=True)
    path = tmp_path / "in" / "manifest.json"
    plain = only(store.import_runs(tmp_path / "in"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    blocks = tmp_path / "blocks.toml"
    blocks.write_bytes(b'\xef\xbb\xbf"*" = "1.0"\n')
    marked = Store(tmp_path / "marked")
    assert only(marked.import_runs(tmp_path / "in")).run_id == plain.run_id
    accuracy = "SELECT level, accuracy FROM levels ORDER BY level"
    assert marked.query(accuracy).rows == store.query(accuracy).rows
    mapped = Store(tmp_path / "mapped")
    mapped.import_runs(tmp_path / "in", blocks=blocks)
    assert mapped.query("SELECT DISTINCT block FROM layers").rows == [("1.0",)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_a_manifest_may_spell_its_numbers(encoding: str, store: Store, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "in", manifest=True)
    path = tmp_path / "in" / "manifest.json"
    manifest = json.loads(path.read_text()) | {"seed": "3"}
    for entry in manifest["levels"]:
        entry["level"] = f"{entry['level']}"
    path.write_text(json.dumps(manifest), encoding=encoding)
    run = only(store.import_runs(tmp_path / "in"))
    assert run.levels == tuple(range(len(manifest["levels"])))
    assert store.description(run.run_id).seed == 3


def test_what_a_manifest_cannot_say_is_named(store: Store, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "in", manifest=True)
    path = tmp_path / "in" / "manifest.json"
    manifest = json.loads(path.read_text()) | {"seed": "three"}
    manifest["levels"][0]["level"] = "first"
    manifest["levels"][2]["file"] = manifest["levels"][1]["file"]
    path.write_text(json.dumps(manifest))
    said = " ".join(map(str, store.import_runs(tmp_path / "in").skipped))
    assert "seed 'three' is no whole number" in said
    assert "level 'first' is no level" in said
    assert f"{manifest['levels'][1]['file']} stands there twice" in said


def test_a_manifest_may_name_files_of_its_folder_alone(store: Store, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "in", manifest=True)
    path = tmp_path / "in" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["levels"][1]["file"] = "../outside.safetensors"
    path.write_text(json.dumps(manifest))
    report = store.import_runs(tmp_path / "in")
    assert "no checkpoint '../outside.safetensors'" in str(report.skipped[0])
    assert report.exit_code == 3


@pytest.mark.parametrize("compacted", [False, True])
def test_a_store_of_rgtool_is_named_as_one(compacted: bool, tmp_path: Path) -> None:
    own = tmp_path / "own"
    rgtool.run("lenet", "digits", seeds=1, levels=1, epochs=1, store=own)
    if compacted:
        rgtool.Store(own).compact()
    report = rgtool.Store(tmp_path / "store").import_runs(tmp_path)
    assert report.runs == ()
    assert [(one.path, one.reason) for one in report.skipped] == [
        (str(own), "a store of rgtool: name it with --store, or bring it in with rgtool merge")
    ]
