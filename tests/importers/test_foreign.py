"""The writers of foreign files, held to key lists and counts of the genuine programs."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import foreign
import foreign_networks as networks
import golden
import numpy as np
import polars as pl
import pytest
import torch
from foreign import Layout, OpenLTHOptions, VitaOptions
from foreign_vita import MODELS
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import prune


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _tidy(tmp_path: Path) -> Iterator[None]:
    """Leave no files behind: pytest keeps folders of past sessions, and these are large."""
    yield
    for path in tmp_path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True, map_location="cpu")


def kept(state: dict[str, Tensor], ending: str = "_mask") -> int:
    return sum(int(torch.count_nonzero(t)) for name, t in state.items() if name.endswith(ending))


def assert_consistent(layout: Layout) -> None:
    assert list(layout.kept) == [sum(c) for c in zip(*layout.layers.values(), strict=True)]
    assert len(layout.accuracy) == len(layout.kept)
    assert layout.layers.keys() == layout.totals.keys()
    assert all(path.is_file() for path in layout.files)
    assert all(a is None or 0 < a < 1 for a in layout.accuracy)


# Networks.


@pytest.mark.parametrize(("program", "model"), golden.KEYS)
def test_networks_have_the_keys_of_the_original(program: str, model: str) -> None:
    assert golden.digest(meta(program, model).state_dict()) == golden.KEYS[program, model]


@pytest.mark.parametrize(("program", "model"), golden.MASKED_KEYS)
def test_pruned_networks_have_the_keys_of_the_original(program: str, model: str) -> None:
    network = meta(program, model)
    for name, module in networks.convolutions(network):
        if program == "prac" or name != "conv1":
            prune.identity(module, "weight")
    assert golden.digest(network.state_dict()) == golden.MASKED_KEYS[program, model]


def meta(program: str, model: str) -> nn.Module:
    with torch.device("meta"):  # names and shapes alone
        return networks.openlth(model) if program == "openlth" else MODELS[model]()


# OpenLTH.


@pytest.mark.parametrize("model", ["cifar_resnet_20", "mnist_lenet_300_100"])
def test_openlth_counts_are_golden(tmp_path: Path, model: str) -> None:
    layout = foreign.write_openlth(tmp_path, model, levels=20, options=OpenLTHOptions(models=False))
    assert layout.kept == golden.kept("openlth", model)
    assert_consistent(layout)


def main(layout: Layout, level: int | str) -> Path:
    (found,) = layout.folder.glob(f"*/replicate_1/level_{level}/main")
    return found


# A genuine run: LeNet at a fraction of .05, trained on a Mac, NumPy 1 in its checkpoints.
LOGGED = ("loss", "accuracy", "examples")
LENET = {"fc_layers.0.weight": (300, 784), "fc_layers.1.weight": (100, 300), "fc.weight": (10, 100)}
REPORT = '{\n    "total": 266200.0,\n    "unpruned": %d.0\n}'
HPARAMS = """
Dataset: dataset_name mnist, batch_size 128
Model: model_name mnist_lenet_300_100, model_init kaiming_normal, batchnorm_init uniform
Pruning: pruning_strategy sparse_global, pruning_fraction 0.05, pruning_layers_to_ignore fc.weight
Training: optimizer_name sgd, lr 0.1, training_steps 40ep
"""


def hparams(summary: str) -> str:
    """Spell a summary of `hparams.log` out as OpenLTH does."""
    lines = []
    for line in summary.strip().splitlines():
        title, _, values = line.partition(": ")
        lines.append(f"{title} Hyperparameters")
        lines += ["    * {} => {}".format(*value.split()) for value in values.split(", ")]
    return "\n".join(lines)


def test_openlth_has_the_layout_of_a_genuine_run(tmp_path: Path) -> None:
    options = OpenLTHOptions(checkpoint=True, device="mps")
    layout = foreign.write_openlth(
        tmp_path, "mnist_lenet_300_100", levels=5, fraction=0.05, options=options
    )
    files = ["checkpoint", "logger", "mask", "model_ep0_it0", "model_ep40_it0", "sparsity_report"]
    for level, count in enumerate((266200, 252889, 240243, 228229, 216816, 205974)):
        folder = main(layout, level)
        first = ["hparams"] if level == 0 else []
        assert sorted(path.stem for path in folder.iterdir()) == sorted(files + first)
        assert (folder / "sparsity_report.json").read_text() == REPORT % count
        mask = load(folder / "mask.pth")
        assert {name: (tuple(t.shape), t.dtype) for name, t in mask.items()} == {
            name: (shape, torch.int32) for name, shape in LENET.items()
        }
        steps = [f"test_{kind},{step}" for step in range(0, 18761, 469) for kind in LOGGED]
        log = (folder / "logger").read_text()
        assert [line.rpartition(",")[0] for line in log.split("\n")] == steps
    assert (main(layout, 0) / "hparams.log").read_text() == hparams(HPARAMS)


def test_openlth_checkpoints_are_those_of_a_genuine_run(tmp_path: Path) -> None:
    options = OpenLTHOptions(checkpoint=True, device="mps")
    layout = foreign.write_openlth(tmp_path, "mnist_lenet_300_100", levels=1, options=options)
    path = main(layout, 1) / "checkpoint.pth"
    with torch.serialization.safe_globals(_numpy_scalars()):
        content = load(path)
    assert list(content) == ["ep", "it", "model_state_dict", "optimizer_state_dict", "logger"]
    assert (content["ep"], content["it"]) == (40, 0)
    assert content["logger"] == (path.parent / "logger").read_text()
    state = content["model_state_dict"]
    masks = {name: f"mask_{name.replace('.', '___')}" for name in LENET}
    both = [n.replace("weight", kind) for n in LENET for kind in ("weight", "bias")]
    assert list(state) == [*masks.values(), *(f"model.{name}" for name in both)]
    for name, mask in load(path.with_name("mask.pth")).items():
        assert torch.equal(state[masks[name]], mask.float())
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("checkpoint/data.pkl")
    assert b"numpy.core.multiarray\nscalar" in pickled and b"mps" in pickled


def _numpy_scalars() -> list[Any]:
    scalar = np._core.multiarray.scalar
    types = [type(np.dtype(d)) for d in (np.int64, np.float64)]
    return [np.dtype, *types, (scalar, "numpy.core.multiarray.scalar")]


def test_openlth_end_models_are_zero_where_pruned_and_start_where_they_rewind(
    tmp_path: Path,
) -> None:
    layout = foreign.write_openlth(tmp_path, options=OpenLTHOptions(rewind="1000it"))
    masks = load(main(layout, 2) / "mask.pth")
    init = load(main(layout, 0) / "model_ep2_it218.pth")
    start, end = (load(main(layout, 2) / f"model_{s}.pth") for s in ("ep2_it218", "ep160_it0"))
    for name, mask in masks.items():
        assert torch.equal(start[name], init[name] * mask)
        assert torch.equal(end[name] != 0, mask != 0)
    log = (main(layout, 2) / "logger").read_text().split("\n")
    assert log[0].startswith("test_loss,1000,")
    assert log[-2] == f"test_accuracy,62560,{layout.accuracy[2]}"
    pretrain = main(layout, "pretrain")
    assert {path.name for path in pretrain.iterdir()} == {
        "logger",
        "model_ep0_it0.pth",
        "model_ep2_it218.pth",
    }
    assert torch.equal(load(pretrain / "model_ep2_it218.pth")["conv.weight"], init["conv.weight"])
    assert "Pretraining Training Hyperparameters" in (main(layout, 0) / "hparams.log").read_text()


def test_openlth_options(tmp_path: Path) -> None:
    options = OpenLTHOptions(
        name="renamed",
        hparams=False,
        infinite_loss=True,
        mask_dtype=torch.bool,
        gzip=".gz",
        module="everywhere",
        branches=("randomly_prune", "randomly_reinitialize", "retrain"),
        models=False,
    )
    layouts = [
        foreign.write_openlth(tmp_path, levels=2, replicate=replicate, options=options)
        for replicate in (1, 2)
    ]
    assert layouts[0].layers != layouts[1].layers
    folder = tmp_path / "renamed" / "replicate_2" / "level_1"
    packed = gzip.decompress((folder / "main" / "mask.pth.gz").read_bytes())
    masks = torch.load(io.BytesIO(packed), weights_only=True)
    assert {m.dtype for m in masks.values()} == {torch.bool}
    assert all(name.startswith("module.") for name in masks)
    assert kept(masks, "") == layouts[1].kept[1]
    assert "test_loss,0,inf" in (folder / "main" / "logger").read_text()
    assert not list(tmp_path.rglob("hparams.log"))
    assert {path.name for path in folder.iterdir()} == {"main", *layouts[1].branches}
    for branch in layouts[1].branches.values():
        assert branch.written == (1,)
        assert branch.kept == layouts[1].kept
    for name in layouts[1].branches:
        assert (folder / name / "mask.pth.gz").exists() == ("retrain" not in name)


@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_tensors_may_say_that_they_were_elsewhere(tmp_path: Path, device: str) -> None:
    layout = foreign.write_openlth(
        tmp_path, "mnist_lenet_300_100", levels=1, options=OpenLTHOptions(device=device)
    )
    with zipfile.ZipFile(layout.files[0]) as archive:
        assert device.encode() in archive.read("mask/data.pkl")
    assert kept(load(layout.files[0]), "") == layout.kept[0]


def test_elastic_reports_the_density_and_deepens_in_branches(tmp_path: Path) -> None:
    layout = foreign.write_elastic(
        tmp_path,
        levels=2,
        options=OpenLTHOptions(suffix="_distill", branches=("change_depth",)),
    )
    folder = main(layout, 1)
    assert (folder / "mask_distill.pth").is_file()
    assert (folder / "model_ep160_it0_distill.pth").is_file()
    report = json.loads((folder / "sparsity_report_distill.json").read_text())
    assert report["sparsity_ratio"] == layout.kept[1] / layout.total
    (branch,) = layout.branches.values()
    assert branch.architecture == "cifar_resnet_20"
    names = [f"{n}.weight" for n, _ in networks.convolutions(networks.openlth("cifar_resnet_20"))]
    masks = load(branch.files[0])
    assert set(masks) == {*names, "fc.weight"}
    assert torch.equal(masks["blocks.1.conv1.weight"], masks["blocks.2.conv1.weight"])
    end = load(branch.files[2])
    assert end.keys() == networks.openlth("cifar_resnet_20").state_dict().keys()


# CV_LTH and PrAC.

LEAN = VitaOptions(best=False, optimizer=False, init_weight=False)


@pytest.mark.parametrize(
    ("write", "model", "levels"),
    [(foreign.write_prac, "res20s", 18), (foreign.write_cv_lth, "resnet18", 1)],
)
def test_vita_counts_and_keys_are_golden(
    tmp_path: Path, write: Callable[..., Layout], model: str, levels: int
) -> None:
    layout = write(tmp_path, model, levels=levels, options=LEAN)
    assert layout.kept == golden.kept(layout.format, model)[: levels + 1]
    dense, masked = (load(tmp_path / f"{s}checkpoint.pth.tar")["state_dict"] for s in (0, 1))
    assert golden.digest(dense) == golden.KEYS[layout.format, model]
    assert golden.digest(masked) == golden.MASKED_KEYS[layout.format, model]
    assert kept(masked) == layout.kept[1]


@pytest.mark.parametrize("rewind", ["lt", "rewind_lt", "pt"])
def test_vita_rewinds_and_tells_best_from_last(tmp_path: Path, rewind: str) -> None:
    layout = foreign.write_cv_lth(tmp_path, levels=2, options=VitaOptions(rewind=rewind))
    assert_consistent(layout)
    last, best = (load(tmp_path / f"2{n}.pth.tar") for n in ("checkpoint", "model_SA_best"))
    result = last["result"]
    at = int(np.argmax(result["ta"]))
    assert layout.accuracy[2] == result["test_ta"][at] / 100
    assert len(result["ta"]) == last["epoch"] == 182
    assert best["epoch"] == len(best["result"]["ta"]) == at + 1
    assert max(result["test_ta"]) != result["test_ta"][at] != result["test_ta"][-1]
    name = "layer2.0.conv1.weight"
    assert not torch.equal(last["state_dict"][f"{name}_orig"], best["state_dict"][f"{name}_orig"])
    first = load(tmp_path / "0checkpoint.pth.tar")["init_weight"]
    assert (first is None) == (rewind == "pt")
    assert (tmp_path / "epoch_9_rewind_weight.pt").exists() == (rewind == "rewind_lt")
    if rewind == "pt":
        dense = load(tmp_path / "0model_SA_best.pth.tar")["state_dict"]
        assert torch.equal(dense[name], last["init_weight"][name])


def test_pruned_weights_are_not_zero_and_drift_by_weight_decay(tmp_path: Path) -> None:
    foreign.write_cv_lth(tmp_path, levels=1)
    content = load(tmp_path / "1checkpoint.pth.tar")
    name = "layer1.0.conv1.weight"
    gone = content["state_dict"][f"{name}_mask"] == 0
    weights = content["state_dict"][f"{name}_orig"][gone]
    assert bool((weights != 0).all())
    ratio = weights / content["init_weight"][name][gone]
    torch.testing.assert_close(ratio, torch.full_like(ratio, (1 - 2e-5) ** 2))


def test_prac_saves_numpy_arrays_that_are_not_weights(tmp_path: Path) -> None:
    layout = foreign.write_prac(tmp_path, levels=1, options=VitaOptions(prac=True))
    content = torch.load(layout.files[-1], weights_only=False)
    assert content["last_mask"].keys() == {f"{name}_mask" for name in layout.layers}
    assert isinstance(content["sequence"], np.ndarray)


def test_imagenet_has_no_dense_file_and_percent_in_a_tensor(tmp_path: Path) -> None:
    layout = foreign.write_imagenet(tmp_path)
    assert layout.written == (1, 2, 3)
    best = load(tmp_path / "3model_best.pth.tar")
    assert load(tmp_path / "checkpoint.pth.tar")["state"] == 3
    assert best["best_acc1"].shape == ()
    assert float(best["best_acc1"]) == pytest.approx(100 * layout.accuracy[3])
    assert kept(best["state_dict"]) == kept(best["mask"]) == layout.kept[3]
    assert list(best["mask"]) == [n for n in best["state_dict"] if n.endswith("_mask")]


def test_moco_masks_both_encoders_alike(tmp_path: Path) -> None:
    layout = foreign.write_moco(tmp_path)
    assert layout.kept == (4736, 3789, 3031)
    assert len(layout.files) == 20
    for epoch, level in ((0, 1), (9, 1), (10, 2), (19, 2)):
        state = load(tmp_path / f"checkpoint_{epoch:04d}.pth.tar")["state_dict"]
        masks = {n: t for n, t in state.items() if n.endswith("_mask")}
        query = {n: t for n, t in masks.items() if n.startswith("module.encoder_q.")}
        assert kept(query) == layout.kept[level]
        assert kept(masks) == 2 * layout.kept[level]


def test_simclr_counts_epochs_from_one(tmp_path: Path) -> None:
    layout = foreign.write_simclr(tmp_path)
    for epoch, level in ((1, 1), (10, 1), (11, 2), (20, 2)):
        content = load(tmp_path / f"model_{epoch}.pt")
        assert content["epoch"] == epoch
        assert kept(content["state_dict"]) == layout.kept[level]
    copy = (tmp_path / "model_pruned10.pt").read_bytes()
    assert copy == (tmp_path / "model_10.pt").read_bytes()


# BERT.


def test_bert_masks_are_a_level_ahead_of_their_folder(tmp_path: Path) -> None:
    layout = foreign.write_bert(tmp_path, levels=10, step=100)
    assert len(layout.layers) == 73
    assert layout.written == tuple(range(1, 11))
    for level in range(11):
        assert layout.kept[level] == pytest.approx(layout.total * (10 - level) / 10, abs=10)
    assert layout.kept[10] == 0
    masks = load(tmp_path / "checkpoint-300" / "mask.pt")
    assert kept(masks) == layout.kept[3]
    assert {f"{n}_mask" for n in layout.layers} == set(masks)
    with pytest.raises(Exception, match="BertForSequenceClassification"):
        load(tmp_path / "checkpoint-300" / "model.pt")
    model = torch.load(tmp_path / "checkpoint-300" / "model.pt", weights_only=False)
    assert kept(model.state_dict()) == layout.kept[2]
    result = torch.load(tmp_path / "result.pt", weights_only=False)
    assert [float(r["acc"]) for r in result] == list(layout.accuracy[:10])


def test_bert_pretraining_is_two_levels_ahead(tmp_path: Path) -> None:
    layout = foreign.write_bert(tmp_path, levels=3, step=100, pretraining=True)
    assert layout.written == (2, 3)
    assert kept(load(tmp_path / "checkpoint-100" / "mask.pt")) == layout.kept[2]
    model = torch.load(tmp_path / "checkpoint-100" / "model.pt", weights_only=False)
    assert kept(model.state_dict()) == layout.kept[1]
    assert layout.accuracy[0] is None
    assert len(torch.load(tmp_path / "result.pt", weights_only=False)) == 2


@pytest.mark.slow
def test_bert_base_has_its_size(tmp_path: Path) -> None:
    layout = foreign.write_bert(tmp_path, hidden=768, vocabulary=30522, levels=1, models=False)
    assert layout.total == 85_524_480
    assert layout.kept[1] == layout.total - round(0.1 * layout.total)


# Anybody's.


@pytest.mark.parametrize("wrap", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.bool])
def test_generic_state_dicts(tmp_path: Path, wrap: str | None, dtype: torch.dtype) -> None:
    layout = foreign.write_generic(tmp_path, wrap=wrap, prefix="module.", mask_dtype=dtype)
    assert_consistent(layout)
    for level, path in enumerate(layout.files):
        content = load(path)
        state = content[wrap] if wrap else content
        masks = {n: t for n, t in state.items() if n.endswith("_mask")}
        assert all(mask.dtype == dtype for mask in masks.values())
        assert not level or kept(masks) == layout.kept[level]
        assert bool(masks) == bool(level)


def test_generic_with_a_manifest(tmp_path: Path) -> None:
    layout = foreign.write_generic(tmp_path, pattern="run-{}-final.pth", manifest=True)
    entries = json.loads((tmp_path / "manifest.json").read_text())["levels"]
    assert [entry["file"] for entry in entries] == [path.name for path in layout.files]
    assert [entry["accuracy"] for entry in entries] == list(layout.accuracy)


def test_safetensors_with_a_manifest(tmp_path: Path) -> None:
    layout = foreign.write_safetensors(tmp_path, manifest=True)
    assert_consistent(layout)
    listed_levels = json.loads((tmp_path / "manifest.json").read_text())["levels"]
    for entry, count in zip(listed_levels, layout.kept, strict=True):
        assert kept(load_file(tmp_path / entry["file"])) == count


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("accuracy", [True, False])
def test_tables(tmp_path: Path, ending: str, accuracy: bool) -> None:
    path = tmp_path / f"table.{ending}"
    layouts = foreign.write_table(path, accuracy=accuracy)
    read = pl.read_csv if ending == "csv" else pl.read_parquet
    frame = read(path)
    assert ("accuracy" in frame.columns) == accuracy
    for (experiment, seed), layout in layouts.items():
        assert_consistent(layout)
        rows = frame.filter((pl.col("experiment") == experiment) & (pl.col("seed") == seed))
        sums = rows.group_by("level").agg(pl.col("kept").sum()).sort("level")
        assert tuple(sums["kept"]) == layout.kept
