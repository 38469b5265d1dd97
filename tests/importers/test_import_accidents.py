"""What one file, folder or name does to an import, and that it does nothing to the others."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Cli
from foreign import OpenLTHOptions, write_bert, write_cv_lth, write_openlth
from test_import_identity import write

from rgtool.schemas.block_map import read_blocks
from rgtool.schemas.errors import StoreError, UsageError
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import write_tensors
from rgtool.store import Store
from rgtool.store.importers import imports, reading
from rgtool.store.importers.found import LevelData
from rgtool.store.importers.ordering import assembly

HUGE = 10**400


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@contextmanager
def at_once(seconds: int = 60) -> Iterator[None]:
    """End what waits for ever."""

    def ring(signum: int, frame: object) -> None:
        raise AssertionError("it waits for something")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# Whatever reading one run raises.


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "more memory than there is"),
        (RecursionError("deep"), "nested too deep"),
        (ZeroDivisionError("a bug\nof two lines"), "ZeroDivisionError: a bug"),
        (AssertionError(), "cannot be imported (AssertionError)"),
    ],
)
def test_any_error_is_that_of_its_run(
    error: Exception, words: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = reading.read_level

    def read(path: Path, **options: bool) -> LevelData:
        if path.parent.name == "bad" and path.name == "level_2.pt":
            raise error
        return good(path, **options)

    monkeypatch.setattr(reading, "read_level", read)
    for name in ("a", "bad", "c"):
        write_states(tmp_path / "in" / name)
    report = store.import_runs(tmp_path / "in")
    assert (len(report.runs), report.exit_code) == (2, 3)
    (skipped,) = report.skipped
    assert skipped.path.endswith("bad")
    assert words in skipped.reason
    assert "level_2.pt" in skipped.reason
    assert "\n" not in skipped.reason
    assert {path.name for path in (store.path / ".importing").iterdir()} == {"lock", "last"}


def write_states(folder: Path, levels: int = 3) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(folder.name) + ord(folder.name[0]))
    mask = torch.ones(64)
    for level in range(1, levels + 1):
        mask[rng.choice(64, 20, replace=False)] = 0
        torch.save({"a.weight_mask": mask.reshape(8, 8).clone()}, folder / f"level_{level}.pt")
    return folder


def test_an_interrupt_is_no_failure_of_a_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = reading.read_level

    def read(path: Path, **options: bool) -> LevelData:
        if path.name == "level_2.pt":
            raise KeyboardInterrupt
        return good(path, **options)

    monkeypatch.setattr(reading, "read_level", read)
    write_states(tmp_path / "in")
    with pytest.raises(KeyboardInterrupt):
        store.import_runs(tmp_path / "in")
    assert store.runs() == []
    assert [path.name for path in (store.path / ".importing").iterdir()] == ["lock"]


def test_a_format_that_trips_over_a_folder_finds_the_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = assembly.place

    def place(folder: Path) -> Any:
        if folder.name == "bad":
            raise RecursionError
        return good(folder)

    monkeypatch.setattr(assembly, "place", place)
    for name in ("a", "bad", "c"):
        write_states(tmp_path / "in" / name)
    report = store.import_runs(tmp_path / "in")
    assert len(report.runs) == 2
    assert [Path(one.path).name for one in report.skipped] == ["bad"]


def test_a_format_that_fails_leaves_the_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(tree: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(imports.FORMATS, "openlth", find)
    write_states(tmp_path / "in")
    report = store.import_runs(tmp_path / "in")
    assert len(report.runs) == 1
    assert "ZeroDivisionError: a bug" in str(report.skipped[0])


def test_a_store_that_cannot_be_written_ends_it(store: Store, tmp_path: Path) -> None:
    store.path.mkdir()
    (store.path / ".importing").write_text("a file in the way")
    write_states(tmp_path / "in")
    with pytest.raises(StoreError, match="cannot be written"):
        store.import_runs(tmp_path / "in")


# Numbers that are none.


@pytest.mark.parametrize("value", ["inf", "nan", "1e400", "9" * 300, "-3", "0", "x"])
@pytest.mark.parametrize("field", ["batch_size", "lr", "training_steps", "pruning_fraction"])
def test_hyperparameters_that_are_no_numbers(
    field: str, value: str, store: Store, tmp_path: Path
) -> None:
    write_openlth(tmp_path / "in", "mnist_lenet_300_100", levels=1, options=OpenLTHOptions())
    (path,) = (tmp_path / "in").rglob("hparams.log")
    path.write_text(path.read_text() + f"\n    * {field} => {value}\n")
    (run,) = store.import_runs(tmp_path / "in").runs
    assert run.levels == (0, 1)


TENSORS = (torch.ones(2, 2), torch.ones(4, 3), torch.ones(1, dtype=torch.int64))


@pytest.mark.parametrize(
    "result",
    [
        {"ta": [HUGE], "test_ta": [1], "train": [1.0]},
        {"ta": [float("nan")], "test_ta": [float("inf")]},
        {"ta": torch.ones(2, 2), "test_ta": torch.ones(2, 2), "train": [1.0]},
        {"ta": "abc", "test_ta": "abc"},
        {"ta": 5, "test_ta": 5},
        {"ta": None},
    ],
)
def test_accuracies_that_are_none_are_left_out(result: Any, store: Store, tmp_path: Path) -> None:
    write_cv_lth(tmp_path / "in")
    for path in (tmp_path / "in").glob("*checkpoint.pth.tar"):
        saved = torch.load(path, weights_only=False)
        torch.save({**saved, "result": result}, path)
    (run,) = store.import_runs(tmp_path / "in").runs
    assert run.levels == (0, 1, 2, 3)
    assert {row for (row,) in store.query("SELECT accuracy FROM levels").rows} == {None}
    assert any("left out" in note for note in run.notes)


@pytest.mark.parametrize(
    "result",
    [[{"acc": HUGE}] * 4, [{"acc": torch.ones(2)}] * 4, TENSORS[1], [[["acc"]]] * 4, 5, {1: 2}],
)
def test_results_of_bert_that_are_none_are_left_out(
    result: Any, store: Store, tmp_path: Path
) -> None:
    write_bert(tmp_path / "in")
    torch.save(result, tmp_path / "in" / "result.pt")
    report = store.import_runs(tmp_path / "in")
    assert len(report.runs) == 1
    assert {row for (row,) in store.query("SELECT accuracy FROM levels").rows} == {None}


def test_shapes_that_no_record_holds_are_refused(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "in" / "good", (1, 2))
    for level in (1, 2):
        odd = {"a.weight_mask": np.ones((2**40, 0), bool), "b.weight_mask": np.eye(3, dtype=bool)}
        (tmp_path / "in" / "bad").mkdir(exist_ok=True)
        write_tensors(tmp_path / "in" / "bad" / f"level_{level}.safetensors", odd)
    report = store.import_runs(tmp_path / "in")
    assert (len(report.runs), report.exit_code) == (1, 3)
    assert "layer a has shape (1099511627776, 0)" in str(report.skipped[0])


# Trees and names.


DEPTH = 2500


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder: paths in it may be longer, names of sockets have to be short."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def test_a_tree_deeper_than_any_stack(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "in" / "good", (1, 2))
    with inside(tmp_path / "in"):
        for _ in range(DEPTH):
            Path("d").mkdir()
            os.chdir("d")
    report = store.import_runs(tmp_path / "in")
    assert len(report.runs) == 1
    assert "cannot be listed" in str(report.skipped[0])  # longer than any path
    with inside(tmp_path / "in"):  # pytest would remove it by recursion
        for _ in range(DEPTH - 1):
            Path("d").rename("e")
            Path("e/d").rename("d")
            Path("e").rmdir()


NAMES = [b"res\xff\xfe", b"a\nb", b"a\x1b[31mb", "a\u202eb".encode(), b"[red]a", b"x" * 250]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_no_text_are_stored_escaped(
    name: bytes, store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "in" / os.fsdecode(name)
    write(folder, (1, 2))
    (run,) = store.import_runs(tmp_path / "in").runs
    text = RunFolder.of(store.path, run.run_id).description.read_bytes()
    json.loads(text.decode("ascii"))
    assert b"\\ud" not in text
    (origin,) = store.query("SELECT origin FROM runs").rows[0]
    assert origin.isprintable()
    assert run.source.isprintable()
    assert store.runs()
    Description.parse(text, "run.json")
    assert store.import_runs(tmp_path / "in").new_levels == 0


def odd(folder: Path) -> None:
    """Put links, loops, pipes and sockets beside the levels of a run."""
    import socket

    links = {"loop": "loop", "self": ".", "level_7": "/dev/zero", "level_9": "level_8"}
    for name, target in {**links, "level_10": "nowhere"}.items():
        ending = ".safetensors" if "level" in name else ""
        (folder / f"{name}{ending}").symlink_to(target + (ending if "level" in target else ""))
    os.mkfifo(folder / "level_8.safetensors")
    with socket.socket(socket.AF_UNIX) as listening, inside(folder):
        listening.bind("level_11.safetensors")


def test_what_is_no_file_is_named_and_not_read(store: Store, tmp_path: Path) -> None:
    odd(write(tmp_path / "in" / "run", (1, 2)))
    with at_once():
        report = store.import_runs(tmp_path / "in")
    assert report.runs[0].levels == (0, 1, 2)
    assert sorted(Path(one.path).name for one in report.skipped) == sorted(
        ["loop", "self", *(f"level_{n}.safetensors" for n in range(7, 12))]
    )


def cached(tmp_path: Path) -> tuple[Path, Path]:
    """Put a run into a cache as DVC does: its levels link to files that are named by their sums.

    Returns
    -------
    folder, cache : Path
        The folder that would be imported, and the one that holds the files, beside it.
    """
    run, cache = write(tmp_path / "in" / "run_seed0", (1, 2)), tmp_path / "cache" / "files"
    cache.mkdir(parents=True)
    for number, path in enumerate(sorted(run.iterdir())):
        target = cache / f"ab{number}"
        path.rename(target)
        path.symlink_to(os.path.relpath(target, run))
    return tmp_path / "in", cache


def test_links_of_a_cache_are_followed_where_that_is_asked(
    store: Store, cli: Cli, tmp_path: Path
) -> None:
    folder, cache = cached(tmp_path)
    (folder / "run_seed0" / "level_3.safetensors").symlink_to("../../cache/files/absent")
    report = store.import_runs(folder)
    assert report.runs == ()
    reasons = {Path(one.path).name: one.reason for one in report.skipped}
    assert "a symbolic link to nothing (../../cache/files/absent)" in reasons.pop(
        "level_3.safetensors"
    )
    assert len(reasons) == 3
    assert all(str(cache) in reason and "--follow-links" in reason for reason in reasons.values())
    (run,) = store.import_runs(folder, follow_links=True).runs
    whole = write(tmp_path / "plain" / "run_seed0", (1, 2))
    assert store.import_runs(whole.parent).runs[0].run_id == run.run_id
    assert run.levels == (0, 1, 2)
    done = cli("import", str(folder), "--follow-links", "--dry-run", "--csv")
    assert done.out.splitlines()[1].startswith(f"{run.run_id},{run.experiment_id},safetensors,")


def test_linked_folders_are_entered_once(store: Store, tmp_path: Path) -> None:
    """Links that lead back, to a folder above or to one another end; plain folders come first."""
    other = write(tmp_path / "elsewhere" / "other_seed1", (3, 4))
    folder = tmp_path / "in"
    write(folder / "run_seed0", (1, 2))
    links = {"a": other.parent, "back": folder, "same": folder / "run_seed0", "above": tmp_path}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    (other / "loop").symlink_to("loop")
    assert len(store.import_runs(folder).runs) == 1
    report = Store(tmp_path / "second").import_runs(folder, follow_links=True)
    assert sorted(run.source.split("_")[-1] for run in report.runs) == ["seed0", "seed1"]
    assert str(folder / "run_seed0") in {run.source for run in report.runs}
    found = {Path(one.path).name: one.reason for one in report.skipped}
    assert {"back", "same", "loop"} <= found.keys()
    assert found["back"] == found["same"] == "leads to a folder that is read already"


def test_what_is_no_file_is_not_read_through_links_either(store: Store, tmp_path: Path) -> None:
    odd(write(tmp_path / "in" / "run", (1, 2)))
    with at_once():
        report = store.import_runs(tmp_path / "in", follow_links=True)
    assert report.runs[0].levels == (0, 1, 2)
    assert len(report.skipped) == 7


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_no_argument(
    make: Callable[[Path], None], store: Store, tmp_path: Path
) -> None:
    make(tmp_path / "odd")
    with at_once():
        with pytest.raises(UsageError, match="neither a folder nor a file"):
            store.import_runs(tmp_path / "odd")
        with pytest.raises(UsageError, match="where a file is due"):
            read_blocks(tmp_path / "odd")


@pytest.mark.parametrize("path", ["a" * 5000, "~nobody-of-this-name/x", "b" * 300, "\0"])
def test_paths_that_cannot_be(path: str, store: Store) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        store.import_runs(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a = " + "[" * 5000 + "]" * 5000, "nested too deep"), ("a = 1" + "0" * 5000, "limit")],
)
def test_block_maps_beyond_any_stack(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "blocks.toml").write_text(text)
    with pytest.raises(UsageError, match=reason):
        read_blocks(tmp_path / "blocks.toml")


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities as Linux has them")
def test_what_may_not_be_read_is_named(store: Store, tmp_path: Path) -> None:
    """In a child without capabilities, since root may read everything."""
    for name in ("good", "bad", "closed"):
        write(tmp_path / "in" / name, (1, len(name)))
    Store(tmp_path / "warm").import_runs(tmp_path / "in")  # all modules are loaded then
    (tmp_path / "in" / "bad" / "level_2.safetensors").chmod(0)
    (tmp_path / "in" / "closed").chmod(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            header, none = (ctypes.c_uint32 * 2)(0x20080522), (ctypes.c_uint32 * 6)()
            assert ctypes.CDLL(None).capset(header, none) == 0
            report = store.import_runs(tmp_path / "in")
            told = " ".join(map(str, report.skipped))
            notes = " ".join(note for run in report.runs for note in run.notes)
            assert "closed: cannot be listed (Permission denied)" in told
            assert "level 2 is left out" in notes
            assert (len(report.runs), report.exit_code) == (2, 3)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    (tmp_path / "in" / "closed").chmod(0o755)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_where_the_disk_gets_full_what_came_in_is_told(store: Store, tmp_path: Path) -> None:
    """Files beyond a size fail to be written, as all do on a full disk."""
    import resource

    for name, size in (("a", 64), ("b", 600_000), ("c", 64)):
        (tmp_path / "in" / name).mkdir(parents=True)
        rng, mask = np.random.default_rng(size), np.ones(size, bool)
        for level in range(3):
            mask &= rng.random(size) > 0.2 * (level > 0)
            path = tmp_path / "in" / name / f"level_{level}.safetensors"
            write_tensors(path, {"x.weight_mask": mask.reshape(8, -1)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        report = store.import_runs(tmp_path / "in")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ([Path(run.source).name for run in report.runs], report.exit_code) == (["a"], 3)
    (skipped,) = report.skipped
    assert Path(skipped.path).name == "b" and "cannot be written" in skipped.reason
    assert sorted(path.name for path in (store.path / ".importing").iterdir()) == ["last", "lock"]
    assert len(store.import_runs(tmp_path / "in").runs) == 3
    assert store.check().problems == ()


def test_a_file_that_was_named_and_is_none_of_ours_is_told(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_text("import torch\n")
    for given in (path, [path, path]):
        report = Store(tmp_path / "store").import_runs(given)
        assert {one.path for one in report.skipped} == {str(path)}
    assert Store(tmp_path / "store").import_runs(tmp_path).skipped == ()  # nobody asked for it
    assert not (tmp_path / "store").exists()
