"""Which run an import is: nothing merges, nothing doubles, whatever the order."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.sums import KEY
from rgtool.schemas.tensors.safetensors import read_mask, write_tensors
from rgtool.store import Store
from rgtool.store.importers.arrivals.ingest import ingest
from rgtool.store.importers.arrivals.known import Known
from rgtool.store.importers.arrivals.staging import Staging
from rgtool.store.importers.identity import Alias, Content, same_run
from rgtool.store.importers.imports import choices, survey
from rgtool.store.importers.report import ImportedRun, ImportReport

Path_ = tuple[int, ...]
"""What distinguishes the masks of the levels 1, 2, ... of a run."""
SIZE = 64


def masks(way: Path_) -> Iterator[np.ndarray]:
    """Yield masks of levels 1, 2, ...: two ways that begin alike have the same ones so far."""
    mask = np.ones(SIZE, bool)
    for level, choice in enumerate(way):
        rng = np.random.default_rng([level, *way[: level + 1]])
        mask = mask.copy()
        mask[rng.choice(np.flatnonzero(mask), 7, replace=False)] = False
        mask[choice % SIZE] &= choice >= SIZE
        yield mask


def write(folder: Path, way: Path_, levels: Sequence[int] | None = None) -> Path:
    """Write a folder of masks, a file a level, the dense one too."""
    folder.mkdir(parents=True, exist_ok=True)
    every = [np.ones(SIZE, bool), *masks(way)]
    for level, mask in enumerate(every):
        if levels is None or level in levels:
            both = {"a.weight_mask": mask.reshape(8, 8), "b.weight_mask": mask[::-1].reshape(4, 16)}
            write_tensors(folder / f"level_{level}.safetensors", both)
    return folder


def table(path: Path, runs: Mapping[tuple[str, int], Sequence[int]]) -> Path:
    rows = [
        f"{experiment},{seed},{level},{group},{kept},1000"
        for (experiment, seed), counts in runs.items()
        for level, kept in enumerate(counts)
        for group in ("fc1", "fc2")
    ]
    path.write_text("experiment,seed,level,group,kept,total\n" + "\n".join(rows) + "\n")
    return path


def contents(store: Store) -> Counter[tuple[tuple[int, bytes], ...]]:
    """Return every run of a store as its levels and masks."""
    found = []
    for run in store.runs():
        folder = RunFolder.of(store.path, run.run_id)
        levels = {n: read_mask(folder.mask(n)) for n in folder.recorded_levels()}
        bits = {n: b"".join(m.tobytes() for m in masks.values()) for n, masks in levels.items()}
        found.append(tuple(bits.items()))
    return Counter(found)


def expected(ways: Sequence[Path_]) -> Counter[tuple[tuple[int, bytes], ...]]:
    """The ways that are not the beginning of another, each once."""
    longest = {w for w in ways if not any(o != w and o[: len(w)] == w for o in ways)}
    found = []
    for way in longest:
        levels = [np.ones(SIZE, bool), *masks(way)]
        found.append(tuple((n, m.tobytes() + m[::-1].tobytes()) for n, m in enumerate(levels)))
    return Counter(found)


def only(report: ImportReport) -> ImportedRun:
    assert report.skipped == ()
    (run,) = report.runs
    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


# The order of imports.

WAYS = st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), ways=st.lists(WAYS, min_size=1, max_size=7))
def test_the_order_of_imports_changes_no_run_level_or_mask(
    data: st.DataObject, ways: list[Path_], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("order")
    names = [data.draw(st.sampled_from("pqr"), label="name") for _ in ways]
    stores = []
    for turn in range(2):
        order = data.draw(st.permutations(range(len(ways))), label="order")
        store = Store(folder / f"store{turn}")
        while order:
            size = data.draw(st.integers(1, len(order)), label="at once")
            together, order = order[:size], order[size:]
            places = []
            for i in together:
                if data.draw(st.booleans(), label="grown in steps"):
                    part = write(folder / f"{turn}-{i}" / names[i], ways[i][:1])
                    assert only(store.import_runs(part)).levels[:2] == (0, 1)
                places.append(write(folder / f"{turn}-{i}" / names[i], ways[i]))
            report = store.import_runs(places)
            assert report.skipped == ()
        stores.append(store)
    for store in stores:
        assert contents(store) == expected(ways)
    ids = [{run.run_id for run in store.runs()} for store in stores]
    assert len(ids[0]) == len(ids[1])


@settings(max_examples=300)
@given(a=WAYS, b=WAYS, names=st.tuples(*[st.sampled_from("pq")] * 2))
def test_being_one_run_is_mutual(a: Path_, b: Path_, names: tuple[str, str]) -> None:
    one, other = (
        Content({n: f"mask-{w[:n]}" for n in range(1, len(w) + 1)}, (Alias(name),))
        for w, name in zip((a, b), names, strict=True)
    )
    assert same_run(one, other) == same_run(other, one)
    assert same_run(one, other) == (a[: len(b)] == b or b[: len(a)] == a)
    assert same_run(one, one)


DIGESTS = st.sampled_from(["dense-a", "mask-a", "mask-b", "counts-a", "counts-b"])
ALIASES = st.builds(Alias, st.sampled_from("pq"), st.sampled_from(["", "1", "2"]))
CONTENTS = st.builds(
    Content,
    st.dictionaries(st.integers(1, 3), DIGESTS, min_size=1),
    st.lists(ALIASES, min_size=1, max_size=3).map(tuple),
)


@settings(max_examples=500)
@given(one=CONTENTS, other=CONTENTS)
def test_what_is_one_run_is_found_by_its_marks(one: Content, other: Content) -> None:
    assert not same_run(one, other) or one.sought & other.marks


def test_equal_counts_under_other_names_are_not_even_looked_at() -> None:
    contents = [
        Content({1: "counts-a"}, (Alias(experiment, replicate),))
        for experiment in "pq"
        for replicate in ("1", "2", "3")
    ]
    for one in contents:
        assert [other for other in contents if one.sought & other.marks] == [one]


@pytest.mark.parametrize(
    ("one", "other", "names", "same"),
    [
        ({1: "a", 2: "b"}, {2: "b", 3: "c"}, "pq", False),  # one level alone, neither in the other
        ({1: "a", 2: "b"}, {2: "b", 3: "c"}, "pp", True),
        ({1: "a", 2: "b", 3: "c"}, {2: "b", 3: "c", 4: "d"}, "pq", True),
        ({1: "a", 2: "b", 3: "c"}, {1: "a", 2: "b", 3: "x"}, "pp", False),
        ({1: "a"}, {2: "b"}, "pp", False),  # nothing in common
        ({2: "b"}, {1: "a", 2: "b", 3: "c"}, "pq", True),
    ],
)
def test_the_rule(one: dict[int, str], other: dict[int, str], names: str, same: bool) -> None:
    made = [
        Content({n: f"mask-{m}" for n, m in {**levels}.items()}, (Alias(name),))
        for levels, name in zip((one, other), names, strict=True)
    ]
    assert same_run(*made) is same
    dense = [dataclasses.replace(m, digests={**m.digests, 0: "dense-"}) for m in made]
    assert same_run(*dense) is same  # a dense level tells nothing


# Two experiments stay two.


def test_equal_counts_of_a_table_are_two_experiments(store: Store, tmp_path: Path) -> None:
    runs = {(name, seed): (1000, 800, 640) for name in ("lr0.1", "lr0.01") for seed in (0, 1)}
    path = table(tmp_path / "t.csv", runs)
    report = store.import_runs(path)
    assert (len({run.run_id for run in report.runs}), report.new_levels) == (4, 12)
    assert len({run.experiment_id for run in report.runs}) == 2
    again = store.import_runs(path)
    assert again.new_levels == 0
    assert [run.run_id for run in again.runs] == [run.run_id for run in report.runs]


def test_a_table_that_has_grown_keeps_its_runs_wherever_it_lies(
    store: Store, tmp_path: Path
) -> None:
    run = only(store.import_runs(table(tmp_path / "t.csv", {("x", 0): (1000, 800)})))
    grown = only(store.import_runs(table(tmp_path / "u.csv", {("x", 0): (1000, 800, 600)})))
    assert (grown.run_id, grown.new) == (run.run_id, (2,))
    other = only(store.import_runs(table(tmp_path / "v.csv", {("x", 0): (1000, 800, 500)})))
    assert other.run_id != run.run_id
    assert any("other masks" in note for note in other.notes)


def test_a_first_mask_in_common_does_not_merge(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "in" / "rewind", (1, 2, 3))
    write(tmp_path / "in" / "finetune", (1, 2, 4))
    report = store.import_runs(tmp_path / "in")
    assert (len({run.run_id for run in report.runs}), report.new_levels) == (2, 8)
    assert len({run.experiment_id for run in report.runs}) == 2
    assert contents(store) == expected([(1, 2, 3), (1, 2, 4)])


@pytest.mark.parametrize("first", ["rewind", "finetune"])
def test_runs_that_part_later_bear_their_own_names(
    first: str, store: Store, tmp_path: Path
) -> None:
    """Seen under two names while they were one, grown under either of them first."""
    ways = {"rewind": (1, 2, 3), "finetune": (1, 4, 5)}
    for name in ways:
        store.import_runs(write(tmp_path / name, (1,)))
    assert len(store.runs()) == 1
    for name in sorted(ways, key=lambda name: name != first):
        store.import_runs(write(tmp_path / name, ways[name]))
    assert contents(store) == expected(list(ways.values()))
    origins = dict(store.query("SELECT origin, run_id FROM runs").rows)
    assert len({run.experiment_id for run in store.runs()}) == 2
    for name, way in ways.items():
        found = read_mask(RunFolder.of(store.path, origins[name]).mask(2))["a"]
        np.testing.assert_array_equal(found.ravel(), list(masks(way))[1])
        assert only(store.import_runs(tmp_path / name)).run_id == origins[name]


def test_replicates_that_are_told_stay_apart(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path / "in" / f"one-shot_seed{seed}", (1, 2))
    report = store.import_runs(tmp_path / "in")
    assert len({run.run_id for run in report.runs}) == 2
    assert len({run.experiment_id for run in report.runs}) == 1
    copy = only(store.import_runs(write(tmp_path / "backup", (1, 2))))
    assert copy.run_id == min(run.run_id for run in report.runs)


def test_one_mask_trained_in_two_ways_is_two_runs(store: Store, tmp_path: Path) -> None:
    for name, accuracy in (("lr0.1", 0.9), ("lr0.01", 0.8), ("copy", 0.9)):
        folder = write(tmp_path / "in" / name, (1, 2))
        files = [{"level": n, "file": f"level_{n}.safetensors", "accuracy": accuracy}
                 for n in range(3)]  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps({"levels": files}))
    report = store.import_runs(tmp_path / "in")
    assert len({run.run_id for run in report.runs}) == 2
    accuracies = store.query("SELECT DISTINCT accuracy FROM levels ORDER BY 1").rows
    assert accuracies == [(0.8,), (0.9,)]


def with_accuracy(folder: Path, accuracy: float) -> Path:
    """Write a run of one level, and its accuracy."""
    write(folder, (1,), [1])
    level = {"level": 1, "file": "level_1.safetensors", "accuracy": accuracy}
    (folder / "manifest.json").write_text(json.dumps({"levels": [level]}))
    return folder


def test_of_two_sources_of_one_import_the_first_tells(store: Store, tmp_path: Path) -> None:
    places = [with_accuracy(tmp_path / p / "exp", a) for p, a in (("p", 0.9), ("q", 0.5))]
    why = "another source of this import tells it"
    told = f"level 1: accuracy 0.5 here, 0.9 in the store: its record stays as it is, {why}"
    for _ in range(2):
        first, second = store.import_runs(places).runs
        assert store.query("SELECT accuracy FROM levels").rows == [(0.9,)]
        assert told not in first.notes and told in second.notes
        assert not first.corrected and not second.corrected
    later = only(store.import_runs(places[1]))
    assert later.corrected
    assert "level 1: accuracy 0.5 from now on, 0.9 before" in later.notes
    assert store.query("SELECT accuracy FROM levels").rows == [(0.5,)]


def test_generic_folders_take_the_name_of_the_one_above(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "lr0.1_seed3" / "checkpoints", (1, 2))
    write(tmp_path / "lr0.01_seed3" / "checkpoints", (1, 3))
    report = store.import_runs(tmp_path)
    assert len({run.experiment_id for run in report.runs}) == 2
    assert {run.replicate for run in report.runs} == {"3"}


# One run stays one.


def test_the_same_content_from_elsewhere_changes_nothing_but_its_names(
    store: Store, tmp_path: Path
) -> None:
    run = only(store.import_runs(write(tmp_path / "mine", (1, 2))))
    records = {p: p.read_bytes() for p in (store.path / "runs").rglob("[0-9]*.*")}
    copy = only(store.import_runs(write(tmp_path / "theirs", (1, 2))))
    assert (copy.run_id, copy.experiment_id, copy.new) == (run.run_id, run.experiment_id, ())
    assert "it is the run of 'mine': same masks" in copy.notes
    after = {p: p.read_bytes() for p in (store.path / "runs").rglob("[0-9]*.*")}
    assert after == records
    names = store.query("SELECT aliases->>'$[*].experiment' FROM runs").rows
    assert names == [(["mine", "theirs"],)]
    longer = only(store.import_runs(write(tmp_path / "theirs", (1, 2, 3))))
    assert (longer.run_id, longer.new) == (run.run_id, (3,))
    shorter = only(store.import_runs(write(tmp_path / "theirs", (1, 2, 3), levels=[2])))
    assert (shorter.run_id, shorter.new) == (run.run_id, ())
    assert len(store.runs()) == 1


@pytest.mark.parametrize(
    ("stray", "names"),
    [
        ("._level_3.safetensors", 0),
        ("init_0.safetensors", 1),
        ("last.safetensors", 1),
        ("last-v1.safetensors", 1),
        ("level_3-v1.safetensors", 1),
        ("level_2 (conflicted copy 2024-05-01).safetensors", 1),
        ("level_2 (1).safetensors", 1),
        ("level_2 copy.safetensors", 1),
    ],
)
def test_a_stray_file_changes_no_identity(
    stray: str, names: int, store: Store, tmp_path: Path
) -> None:
    bare = only(store.import_runs(write(tmp_path / "bare" / "res8", (1, 2, 3))))
    folder = write(tmp_path / "in" / "res8", (1, 2, 3))
    shutil.copy(folder / ("level_0.safetensors" if "init" in stray else "level_3.safetensors"),
                folder / stray)  # fmt: skip
    other = Store(tmp_path / "other")
    report = other.import_runs(tmp_path / "in")
    run = next(run for run in report.runs if len(run.levels) == 4)
    assert (run.run_id, run.experiment_id) == (bare.run_id, bare.experiment_id)
    assert len(other.runs()) == 1
    assert len(report.skipped) == names
    assert all(stray in str(one) for one in report.skipped)
    assert report.exit_code == (3 if names else 0)


def test_a_store_of_the_first_version_is_not_doubled(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", (1, 2))
    run = only(store.import_runs(folder))
    path = RunFolder.of(store.path, run.run_id).description
    values = json.loads(path.read_text())
    for name in ("aliases", "mask_digests", KEY):  # the first version wrote none of them
        del values[name]
    path.write_text(json.dumps(values))
    before = path.read_bytes()
    again = only(store.import_runs(folder))
    assert (again.run_id, again.new) == (run.run_id, ())
    assert path.read_bytes() == before
    write(tmp_path / "other", (1, 3))
    assert only(store.import_runs(tmp_path / "other")).run_id != run.run_id
    grown = only(store.import_runs(write(tmp_path / "mine", (1, 2, 3))))
    assert (grown.run_id, grown.new) == (run.run_id, (3,))
    assert set(Description.read(path).mask_digests) == {"0", "1", "2", "3"}


def test_a_compacted_run_is_found_and_takes_a_name(store: Store, tmp_path: Path) -> None:
    run = only(store.import_runs(write(tmp_path / "mine", (1, 2))))
    store.compact()
    copy = only(store.import_runs(write(tmp_path / "theirs", (1, 2))))
    assert (copy.run_id, copy.new) == (run.run_id, ())
    assert [alias["experiment"] for alias in store.description(run.run_id).aliases] == [
        "mine",
        "theirs",
    ]
    assert len(store.runs()) == 1


def test_another_block_map_does_not_double(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", (1, 2))
    run = only(store.import_runs(folder))
    blocks = tmp_path / "blocks.toml"
    blocks.write_text('"a" = "1.0"\n"b" = "2.0"\n')
    grown = write(folder, (1, 2, 3))
    again = only(store.import_runs(grown, blocks=blocks, architecture="mine"))
    assert (again.run_id, again.new, again.architecture) == (run.run_id, (3,), "mine")
    found = store.query("SELECT list(block ORDER BY layer) FROM layers GROUP BY level").rows
    assert [there for (there,) in found] == [["1.0", "2.0"]] * 4
    assert len(store.runs()) == 1


# Many at once.


def _import(arguments: tuple[Path, Path]) -> list[str]:
    store, folder = arguments
    report = Store(store).import_runs(folder)
    assert report.skipped == ()
    return [run.run_id for run in report.runs]


@pytest.mark.parametrize("processes", [8])
def test_many_processes_import_into_one_store(processes: int, tmp_path: Path) -> None:
    ways: list[Path_] = [(1, 2, 3), (1, 2, 4), (1, 5), (6, 7)]
    jobs: list[tuple[Path, Path]] = []
    for i in range(processes * 3):
        way = ways[i % len(ways)]
        name = f"w{'-'.join(map(str, way))}" if i % 2 else f"copy{i}x"
        jobs.append((tmp_path / "store", write(tmp_path / str(i) / name, way[: 1 + i % 3])))
    jobs += [(tmp_path / "store", write(tmp_path / f"all{i}", way)) for i, way in enumerate(ways)]
    with multiprocessing.get_context("forkserver").Pool(processes) as pool:
        pool.map(_import, jobs, chunksize=1)
    store = Store(tmp_path / "store")
    assert contents(store) == expected(ways)
    lock = tmp_path / "store" / ".importing"
    assert {path.name for path in lock.iterdir()} == {"lock", "last"}


def test_what_others_added_is_looked_for_after_others_only(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    refresh = Known.refresh
    monkeypatch.setattr(Known, "refresh", lambda self: looks.append(self) or refresh(self))
    runs = {(f"e{i}", 0): (1000, 900) for i in range(5)}
    assert len(store.import_runs(table(tmp_path / "t.csv", runs)).runs) == 5
    assert looks == []
    (one,), (other,) = (survey([write(tmp_path / at / "x", (1, 2))]).runs for at in "ab")
    (third,) = survey([write(tmp_path / "c" / "x", (1, 2, 3))]).runs
    with Staging(store.path) as mine, Staging(store.path) as theirs:
        first = ingest(mine, one, choices(), lambda _: None)
        assert ingest(theirs, third, choices(), lambda _: None).run_id == first.run_id
        assert looks == []
        assert ingest(mine, other, choices(), lambda _: None).new == ()
        assert looks == [mine._known]


def test_the_lock_stays_and_what_a_killed_process_left_goes(store: Store, tmp_path: Path) -> None:
    store.import_runs(write(tmp_path / "mine", (1, 2)))
    root = store.path / ".importing"
    inode = (root / "lock").stat().st_ino
    left: Any = root / "tmpdead"
    (left / "run" / "masks").mkdir(parents=True)
    store.import_runs(write(tmp_path / "theirs", (1, 3)))
    assert (root / "lock").stat().st_ino == inode
    assert {path.name for path in root.iterdir()} == {"lock", "last"}
