"""Masks are read in all the ways that people save them, and are never guessed."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import foreign_masks
import numpy as np
import pytest
import torch
from command import Cli
from foreign import write_lists
from foreign_masks import LAYERS, LEVELS, NAMED, NUMBERED, effective, kept, levels, write
from torch import nn
from torch.nn.utils import prune

from rgtool.schemas.errors import Refused
from rgtool.store import Store
from rgtool.store.importers.masks import level_of
from rgtool.store.importers.reading import read_level
from rgtool.store.importers.report import ImportedRun, ImportReport
from rgtool.store.importers.zeros import many_zeros, zeros_as_masks


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def only(report: ImportReport) -> ImportedRun:
    assert report.skipped == ()
    (run,) = report.runs
    return run


def counts(store: Store, run: ImportedRun) -> list[list[int]]:
    """Kept weights of every layer at every level, as the store has them."""
    rows = store.query(
        "SELECT level, list(kept ORDER BY layer_index) AS kept FROM layers "
        f"WHERE run_id = '{run.run_id}' GROUP BY level ORDER BY level"
    )
    return [row["kept"] for row in rows.to_dicts()]


@pytest.mark.parametrize("way", [*NAMED, *NUMBERED])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_masks_are_read_however_they_are_saved(way: str, store: Store, tmp_path: Path) -> None:
    run = only(store.import_runs(write(tmp_path / "in", way)))
    assert run.levels == tuple(range(LEVELS))
    assert counts(store, run) == kept()
    names = store.query("SELECT DISTINCT source_layer FROM layers ORDER BY 1").to_dicts()
    numbers = [f"arr_{n}" if way == "npz without names" else str(n) for n in range(len(LAYERS))]
    due = LAYERS if way in NAMED else numbers
    assert [row["source_layer"] for row in names] == [*due]
    description = json.loads((store.path / "runs" / run.run_id / "run.json").read_text())
    assert description["inferred"]["mask"]
    assert not store.import_runs(tmp_path / "in").new_levels


@pytest.mark.filterwarnings("ignore:Sparse")
def test_one_run_saved_in_all_ways_is_one_run(store: Store, tmp_path: Path) -> None:
    runs = {
        way: only(store.import_runs(write(tmp_path / str(n), way))).run_id
        for n, way in enumerate(NAMED)
    }
    assert len({*runs.values()}) == 1, runs


@pytest.mark.parametrize("way", ["mask buffers", "under mask", "under masks, wrapped",
                                 "a sparsifier beside", "before wrapped weights", "mangled",
                                 "behind their own prefix", "under sparse_mask",
                                 "safetensors, mask beside"])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Sparse")
def test_weights_beside_masks_give_magnitudes(way: str, store: Store, tmp_path: Path) -> None:
    only(store.import_runs(write(tmp_path / "in", way)))
    rows = store.query("SELECT count(magnitude) AS n FROM layers").to_dicts()
    assert rows == [{"n": LEVELS * len(LAYERS)}]


def test_a_list_with_as_many_masks_of_other_shapes_is_not_put_to_the_weights(
    tmp_path: Path,
) -> None:
    found = {"net": {"a.weight": np.full((2, 3), 0.5)}, "masks": [np.ones((3, 2))]}
    data = level_of(found, "here")
    assert {name: mask.shape for name, mask in data.masks.items()} == {"0": (3, 2)}
    with pytest.raises(Refused, match=r"a mask of shape \(3, 2\) for weights of \(2, 3\)"):
        level_of({"net": {"a.weight": np.full((2, 3), 0.5)}, "mask": {"a": np.ones((3, 2))}}, "x")


@pytest.mark.parametrize(("ours", "theirs"), [("backbone.", ""), ("", "pruned."), ("a.", "b.c.")])
def test_masks_are_put_to_weights_behind_another_prefix(ours: str, theirs: str) -> None:
    layers = {"fc": np.full((2, 3), 0.5), "conv": np.full((2, 3), 0.5), "alone": np.ones((4, 4))}
    state = {f"{ours}{name}.weight": weights for name, weights in layers.items()}
    masks = {f"{theirs}{name}": np.eye(2, 3) * n for n, name in enumerate(("conv", "fc"))}
    data = level_of({"state_dict": state, "masks": masks}, "here")
    kept = {name: int(mask.sum()) for name, mask in data.masks.items()}
    assert kept == {f"{ours}fc": 2, f"{ours}conv": 0}


def test_masks_of_some_layers_are_of_those_that_they_name() -> None:
    state = {f"{block}.{n}.weight": np.full((2, 3), 0.5) for block in "abc" for n in range(2)}
    masks = {f"b.{n}": np.eye(2, 3) * n for n in range(2)}
    data = level_of({"state_dict": state, "masks": masks}, "here")
    assert {name: int(mask.sum()) for name, mask in data.masks.items()} == {"b.0": 0, "b.1": 2}


def test_masks_of_recurrent_layers_and_attention_begin_with_a_plain_network(
    store: Store, tmp_path: Path
) -> None:
    net = nn.ModuleList([nn.LSTM(4, 6, bidirectional=True), nn.MultiheadAttention(6, 2)])
    folder = tmp_path / "in"
    folder.mkdir()
    pruned = [
        (net[0], "weight_hh_l0"),
        (net[0], "weight_ih_l0_reverse"),
        (net[1], "in_proj_weight"),
    ]
    for level in range(3):
        if level:
            prune.global_unstructured(pruned, prune.L1Unstructured, amount=0.2)
        torch.save(net.state_dict(), folder / f"level_{level}.pt")
    run = only(store.import_runs(folder))
    assert run.levels == (0, 1, 2)
    masks = [[int(getattr(module, f"{name}_mask").sum()) for module, name in pruned]]
    layers = ["0.weight_hh_l0", "0.weight_ih_l0_reverse", "1.in_proj_weight"]
    rows = store.query("SELECT source_layer, kept FROM layers WHERE level = 2").to_dicts()
    last = {row["source_layer"]: row["kept"] for row in rows}
    assert [[last[layer] for layer in layers]] == masks


def test_a_row_of_numbers_beside_masks_is_none() -> None:
    found = {"fc": np.eye(2), "losses": np.array([0.7, 0.3]), "cut": np.array([1, 0, 1])}
    assert {*level_of(found, "here").masks} == {"fc", "cut"}
    with pytest.raises(Refused, match=r"a mask that holds 0\.7"):
        level_of({"losses": np.array([0.7, 0.3]), "cut": np.array([1, 0, 1])}, "here")


@pytest.mark.parametrize("ending", [".pkl", ".pickle", ".npy"])
def test_arrays_that_are_no_masks_have_one_reason_under_all_endings(
    ending: str, store: Store, tmp_path: Path
) -> None:
    for level in range(3):
        data = [np.full((2, 2), 0.5)]
        if ending == ".npy":
            np.save(tmp_path / f"level_{level}{ending}", data[0])
        else:
            (tmp_path / f"level_{level}{ending}").write_bytes(pickle.dumps(data))
    (one,) = store.import_runs(tmp_path).skipped
    assert (Path(one.path).name, one.reason[:19]) == (f"level_2{ending}", "0: a mask that hold")


@pytest.mark.parametrize("ending", [".PT", ".PTH", ".chkpt"])
def test_endings_of_torch_in_capitals_are_read(ending: str, store: Store, tmp_path: Path) -> None:
    for file in write(tmp_path / "in", "by layer").iterdir():
        file.rename(file.with_suffix(ending))
    assert only(store.import_runs(tmp_path / "in")).levels == tuple(range(LEVELS))


@pytest.mark.parametrize(
    ("way", "ending", "words"),
    [("by layer", ".model", "name it .pt"), ("by layer", "", "name it .pt"),
     ("safetensors", ".params", "name it .safetensors"), ("npz", ".t7", "name it .pt (.npz")],
)  # fmt: skip
def test_files_under_other_endings_are_named(
    way: str, ending: str, words: str, store: Store, tmp_path: Path
) -> None:
    for file in write(tmp_path / "in", way).iterdir():
        file.rename(file.with_suffix(ending))
    (tmp_path / "in" / "notes.txt").write_text("of mine")
    (one,) = store.import_runs(tmp_path / "in").skipped
    assert Path(one.path).name == f"level_{LEVELS - 1}{ending}" and words in one.reason


def test_a_table_under_another_ending_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("experiment,seed,level,group,kept,total\nA,0,0,g,1,2\n")
    assert [one.reason for one in store.import_runs(tmp_path).skipped] == [
        "a table of counts: name it .csv"
    ]


def test_zeros_of_masks_are_not_those_of_weights() -> None:
    mask = np.triu(np.ones((6, 6)))
    data = level_of({"fc.weight": np.full((6, 6), 0.5), "pruner.fc.weight": mask}, "here")
    assert (many_zeros(data), [*zeros_as_masks(data).masks]) == (0, ["fc"])
    gone = level_of({"fc.weight": np.full((6, 6), 0.5), "cut.weight": np.zeros((6, 6))}, "here")
    assert [*zeros_as_masks(gone).masks] == ["fc", "cut"], "a layer without any weight left is one"


def test_whole_numbers_are_weights_where_zeros_are_the_mask(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.tensor([[-3, 0], [7, 1]], dtype=torch.int8)}, tmp_path / "x.pt")
    assert read_level(tmp_path / "x.pt", zeros_are_mask=True).masks["fc"].sum() == 3


def test_buffers_called_mask_that_are_none_of_weights_are_left_alone() -> None:
    causal = np.tril(np.ones((4, 4)))
    state = {"attention.weight": np.full((3, 2), 0.5), "attention.mask": causal,
             "bias.mask": causal, "causal_mask": causal}  # fmt: skip
    assert level_of(state, "here").masks == {}


@pytest.mark.parametrize(
    ("found", "error", "words"),
    [
        ({"fc": np.array([[0.5, 1]])}, Refused, "a mask that holds 0.5"),
        ({"fc.weight": np.array([[2, 1]])}, Refused, "a mask that holds 2"),
        ([np.ones((2, 2)), np.full((2, 2), np.nan)], Refused, "a mask that holds nan"),
        ({"fc.weight": np.ones((2, 2)), "fc.mask": np.eye(2) * 2}, Refused, "that holds 2.0"),
        ({"fc": np.eye(2), "fc.weight": np.eye(2)}, Refused, "two masks of layer fc"),
        ({"\x1b": np.eye(2)}, Refused, "no plain text"),
        ({"epoch": 3}, Refused, "no state dict and no masks"),
        ([], Refused, "no state dict and no masks"),
        (3, Refused, "no state dict and no masks"),
    ],
)
def test_what_is_no_mask_is_refused_in_words(
    found: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        level_of(found, "here")


def repeated(value: Any, times: int, depth: int, *, named: bool = False) -> Any:
    """Return a container that takes no room and has `times ** depth` entries, all of them one."""
    for _ in range(depth):
        value = {str(n): value for n in range(times)} if named else [value] * times
    return value


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("value", [0, np.ones(3, bool), {"fc": np.ones(3, bool)}])
@pytest.mark.parametrize("below", [0, 3])
def test_what_repeats_without_end_is_refused(named: bool, value: Any, below: int) -> None:
    found = repeated(value, 12, 7, named=named)
    for _ in range(below):
        found = {"inner": found}
    with pytest.raises(Refused, match="repeat more than"):
        level_of(found, "here")


def test_one_list_under_two_names_is_read_twice() -> None:
    twice = {"weight": np.eye(3)}
    assert {*level_of({"fc1": twice, "fc2": twice}, "here").masks} == {"fc1", "fc2"}


def test_more_layers_than_any_network_has_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "fits.npz", *[np.eye(1)] * 30)
    assert len(read_level(tmp_path / "fits.npz").masks) == 30
    (tmp_path / "many.pkl").write_bytes(pickle.dumps([np.eye(1) for _ in range(20_001)]))
    with pytest.raises(Refused, match="20,001 layers, at most 20,000 are expected"):
        read_level(tmp_path / "many.pkl")


def test_a_quantized_mask_is_refused_in_words(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to part with them; files are not
        mask = torch.quantize_per_tensor(torch.ones(2, 2), 0.3, 0, torch.quint8)
    torch.save({"fc": mask}, tmp_path / "x.pt")
    with pytest.raises(Refused, match="a quantized tensor"):
        read_level(tmp_path / "x.pt")


# Zeros.


def write_zeros(folder: Path, save: Callable[[Path, Any], Any], ending: str) -> Path:
    folder.mkdir(parents=True)
    for level, (trained, _) in enumerate(levels()):
        save(folder / f"level_{level}{ending}", effective(trained))
    return folder


def as_torch(path: Path, state: Any) -> None:
    torch.save({"state_dict": {f"module.{n}": tensor for n, tensor in state.items()}}, path)


def as_numpy(path: Path, state: Any) -> None:
    arrays = {n.removesuffix(".weight"): t.detach().numpy() for n, t in state.items()}
    np.savez(path, **{n: a for n, a in arrays.items() if n in LAYERS})


ENDINGS = {".pth": as_torch, ".npz": as_numpy}


@pytest.mark.parametrize("ending", ENDINGS)
def test_zeros_are_the_mask_where_the_user_says_so(
    ending: str, store: Store, tmp_path: Path
) -> None:
    folder = write_zeros(tmp_path / "in", ENDINGS[ending], ending)
    run = only(store.import_runs(folder, zeros_are_mask=True))
    assert counts(store, run) == kept()
    description = json.loads((store.path / "runs" / run.run_id / "run.json").read_text())
    assert "--zeros-are-mask" in description["inferred"]["mask"]
    assert any("--zeros-are-mask" in note for note in run.notes)
    other = only(store.import_runs(write(tmp_path / "masks", "by layer")))
    assert other.run_id == run.run_id  # the masks are the same, so it is the same run


@pytest.mark.parametrize("ending", ENDINGS)
def test_zeros_are_no_mask_by_themselves(
    ending: str, cli: Cli, store: Store, tmp_path: Path
) -> None:
    folder = write_zeros(tmp_path / "in", ENDINGS[ending], ending)
    report = store.import_runs(folder)
    assert (report.runs, report.exit_code) == ((), 1)
    done = cli("import", str(folder), "--store", str(store.path))
    assert done.code == 1
    assert any("--zeros-are-mask" in one.reason for one in report.skipped)
    assert cli("import", str(folder), "--zeros-are-mask", "--store", str(store.path)).code == 0


def test_a_dense_network_has_no_word_of_zeros(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for level in range(3):
        torch.save(foreign_masks.network(level).state_dict(), folder / f"level_{level}.pt")
    for told in (False, True):
        report = store.import_runs(folder, zeros_are_mask=told)
        assert report.exit_code == 1
        assert all("zeros" not in one.reason for one in report.skipped)


def test_zeros_that_come_back_are_no_mask(store: Store, tmp_path: Path) -> None:
    folder = write_zeros(tmp_path / "in", as_torch, ".pth")
    state = torch.load(folder / "level_2.pth")
    torch.save({"state_dict": {n: t + 1e-9 * (t == 0) for n, t in state["state_dict"].items()}},
               folder / "level_2.pth")  # fmt: skip
    report = store.import_runs(folder, zeros_are_mask=True)
    assert report.runs == ()
    assert any("zeros come back, so they are no mask" in one.reason for one in report.skipped)


def test_masks_that_are_there_are_not_overruled_by_zeros(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for level, (trained, _) in enumerate(levels()):
        with torch.no_grad():
            trained["fc1"].weight_orig[0] = 0  # a unit that has died is not pruned
        torch.save(trained.state_dict(), folder / f"level_{level}.pt")
    run = only(store.import_runs(folder, zeros_are_mask=True))
    assert run.notes == ()


# What cannot be read.


@pytest.mark.parametrize("key", ["", "model"])
def test_a_pickled_module_is_refused_with_the_line_that_saves_it_again(
    key: str, store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for level, (trained, _) in enumerate(levels()):
        torch.save({key: trained} if key else trained, folder / f"level_{level}.pt")
    report = store.import_runs(folder)
    assert report.runs == ()
    reason = next(one.reason for one in report.skipped if "torch.save(" in one.reason)
    line = reason[reason.index("torch.save(") :]
    for level in range(LEVELS):
        said = f"import torch\n{line}".replace("level_0", f"level_{level}")
        subprocess.run([sys.executable, "-c", said], cwd=folder, check=True, timeout=120)
        (folder / f"level_{level}.pt").unlink()
    assert counts(store, only(store.import_runs(folder))) == kept()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"/annex/objects/SHA256E-s1--0\n", "git annex get"),
        (b"../../../.git/annex/objects/Xx/SHA256E-s1--0.pt", "symbolic link that some copy"),
        (b"../../blobs/0a1b2c", "symbolic link that some copy"),
        (b"\n<!DOCTYPE html><html>", "a page of a server"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a page of a server"),
        (b'{"error": "Entry not found"}', "a text"),
        (b"Entry not found", "a text"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "numpy.savez"),
        (b"\xfd7zXZ\0" + bytes(90), "unpack it first"),
        (bytes(5000), "nothing but zeros"),
    ],
)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_what_only_stands_for_a_file_is_said(
    ending: str, content: bytes, words: str, store: Store, tmp_path: Path
) -> None:
    way = {".pth": "NNI", ".safetensors": "safetensors"}[ending]
    folder = write(tmp_path / "in", way)
    (folder / f"level_2{ending}").write_bytes(content)
    report = store.import_runs(folder)
    (run,) = report.runs
    assert run.levels == (0, 1, 3)
    said = [*run.notes, *(one.reason for one in report.skipped)]
    assert any(words in text for text in said), said


def test_files_of_numpy_that_are_no_masks_are_nobodys_levels(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", "torch.nn.utils.prune")
    for level in range(LEVELS):
        np.save(folder / f"loss_{level}.npy", np.linspace(1, 0, 50))
        np.savez(folder / f"data_{level}.npz", x=np.zeros((9, 4)), y=np.arange(9))
    assert only(store.import_runs(tmp_path / "in")).levels == tuple(range(LEVELS))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(90), "numpy.savez"),
        ("a.pkl", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        ("a.npz", b"PK\3\4 and no more", "no whole"),
    ],
)
def test_a_file_that_is_no_format_says_what_it_is(
    name: str, content: bytes, words: str, store: Store, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    (skipped,) = store.import_runs(tmp_path / name).skipped
    assert words in skipped.reason


# Pickled lists.


def test_levels_of_pickled_lists_are_those_that_the_program_counted(
    store: Store, tmp_path: Path
) -> None:
    layout = write_lists(tmp_path / "in")
    layout.files[1].unlink()
    (run,) = store.import_runs(tmp_path / "in").runs
    assert run.levels == (0, 2, 3)
    assert run.label.endswith("/mnist")
    assert any("biases are no layers" in note for note in run.notes)


def test_pickled_lists_without_the_dense_level_begin_with_the_first(
    store: Store, tmp_path: Path
) -> None:
    layout = write_lists(tmp_path / "in", tell=False)
    layout.files[0].unlink()
    (run,) = store.import_runs(tmp_path / "in").runs
    assert run.levels == (1, 2, 3)


def test_percents_that_do_not_fall_are_refused_by_the_name_of_their_file(
    store: Store, tmp_path: Path
) -> None:
    folder = write_lists(tmp_path / "in").folder
    told = folder / "lt_compression.dat"
    percents = np.load(told, allow_pickle=True)
    percents[[1, 2]] = percents[[2, 1]]
    percents.dump(told)
    (skipped,) = store.import_runs(tmp_path / "in").skipped
    low, high = percents[1], percents[2]
    assert skipped.reason.startswith(f"lt_compression.dat: {low:g} % stands before {high:g} %")
    assert "move it away" in skipped.remedy
    told.unlink()
    (run,) = store.import_runs(tmp_path / "in").runs
    assert run.levels == (0, 1, 2, 3)


def test_accuracies_of_pickled_lists_that_are_none_are_left_out(
    store: Store, tmp_path: Path
) -> None:
    layout = write_lists(tmp_path / "in")
    wrong = layout.folder / layout.files[2].name.replace("_mask_", "_all_accuracy_")
    wrong.with_suffix(".dat").write_bytes(b"cut")
    (run,) = store.import_runs(tmp_path / "in").runs
    assert run.levels == (0, 1, 2, 3)
    accuracies = store.query("SELECT accuracy FROM levels ORDER BY level").to_dicts()
    assert [row["accuracy"] is None for row in accuracies] == [False, False, True, False]
    assert any("accuracy is left out" in note for note in run.notes)


def test_two_kinds_of_pickled_lists_are_two_experiments(store: Store, tmp_path: Path) -> None:
    for seed, kind in enumerate(("lt", "reinit")):
        write_lists(tmp_path / "in", kind=kind, seed=seed)
    report = store.import_runs(tmp_path / "in")
    assert report.skipped == ()
    assert len({run.experiment_id for run in report.runs}) == 2
