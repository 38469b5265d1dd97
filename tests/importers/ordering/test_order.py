"""Which files are the levels of a run, and in which order: names people give, and the masks."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layouts import KEPT, LAYOUTS, A, B, lay, pruned, removed

from rgtool.store import Store
from rgtool.store.importers.found import LevelData
from rgtool.store.importers.ordering.filenames import file_name
from rgtool.store.importers.ordering.numbering import by_density, numbered
from rgtool.store.importers.ordering.order import Unordered, in_order, measure

SUFFIXES = (".pth.tar", ".pt", ".pth", ".ckpt")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def levels_of(store: Store, run_id: str) -> dict[int, int]:
    rows = store.query("SELECT level, network_kept FROM levels WHERE run_id = ?", [run_id]).rows
    return dict(sorted(rows))


@pytest.mark.parametrize("name", LAYOUTS)
def test_levels_are_those_of_the_masks(name: str, store: Store, tmp_path: Path) -> None:
    names = LAYOUTS[name]
    folder = lay(tmp_path / "in" / "mine", names.files)
    report = store.import_runs(folder)
    assert [levels_of(store, run.run_id) for run in report.runs] == list(names.runs)
    assert [run.replicate for run in report.runs] == list(names.replicates)
    assert len({run.run_id for run in report.runs}) == len(names.runs)
    assert {str(Path(one.path).relative_to(folder)) for one in report.skipped} == {
        next(file for file in names.files if file.endswith(known)) for known in names.skipped
    }
    for one in report.skipped:
        words = next(w for known, w in names.skipped.items() if one.path.endswith(f"/{known}"))
        assert words in one.reason
    assert names.told in " ".join(note for run in report.runs for note in run.notes)
    assert store.import_runs(folder).new_levels == 0
    origins = {origin for (origin,) in store.query("SELECT origin FROM runs").rows}
    if name.startswith("two "):  # that only the names of files tell apart
        assert len(origins) == len(report.runs)
        assert all(origin.startswith("mine/") for origin in origins)
    else:
        assert origins == {"mine"}


# What contradicts itself.


def refused(store: Store, folder: Path, files: dict[str, object]) -> tuple[str, str]:
    """Import what is refused whole; return why, and what to do."""
    report = store.import_runs(lay(folder, files))
    assert (report.runs, report.exit_code) == ((), 1)
    assert not (store.path / "runs").exists() or list((store.path / "runs").iterdir()) == []
    (skipped,) = report.skipped
    assert str(skipped).count("\n") == 1
    return skipped.reason, skipped.remedy


@pytest.mark.parametrize(
    "pattern", ["level_{}.pt", "x{}.pt", "epoch={}.ckpt", "round_{}/m.pt", "s_0.{}.pt"]
)
def test_names_against_the_masks_are_refused_with_the_manifest_that_would_do(
    pattern: str, store: Store, tmp_path: Path
) -> None:
    paths = [pattern.format(i) for i in range(4)]
    files = {path: A[n] for path, n in zip(paths, (0, 1, 3, 2), strict=True)}
    reason, remedy = refused(store, tmp_path / "in", files)
    told = f"{reason} {remedy}"
    assert f"by its mask {paths[3]} (64 % kept) comes before {paths[2]} (51.2 %)" in told
    match = re.search(r"write (\S+manifest\.json): (.*)", remedy)
    assert match is not None
    assert json.loads(match[2])["levels"] == [paths[i] for i in (0, 1, 3, 2)]
    Path(match[1]).write_text(match[2])
    (run,) = store.import_runs(tmp_path / "in").runs
    assert levels_of(store, run.run_id) == {n: KEPT[n] for n in range(4)}


def test_epochs_that_fall_as_weights_are_pruned_are_refused(store: Store, tmp_path: Path) -> None:
    files = {f"epoch={9 - n}.ckpt": A[n] for n in range(4)}
    reason, remedy = refused(store, tmp_path / "in", files)
    assert "by its mask epoch=9.ckpt (100 % kept) comes before epoch=8.ckpt (80 %)" in reason
    assert '["epoch=9.ckpt", "epoch=8.ckpt", "epoch=7.ckpt", "epoch=6.ckpt"]' in remedy


def test_a_manifest_that_would_do_numbers_levels_that_do_not_follow_one_another(
    store: Store, tmp_path: Path
) -> None:
    files = {f"level_{i}.pt": A[n] for i, n in enumerate((1, 2, 5, 4), start=1)}
    _, remedy = refused(store, tmp_path / "in", files)
    text = remedy.partition("manifest.json: ")[2]
    (tmp_path / "in" / "manifest.json").write_text(text)
    (run,) = store.import_runs(tmp_path / "in").runs
    assert levels_of(store, run.run_id) == {n: KEPT[n] for n in (1, 2, 4, 5)}


@pytest.mark.parametrize("names", ["abcd", ["level_0", "level_1", "level_2", "level_3"]])
def test_files_of_two_runs_are_no_levels_of_one(
    names: list[str], store: Store, tmp_path: Path
) -> None:
    files = {f"{n}.pt": state for n, state in zip(names, (A[0], A[1], B[1], A[2]), strict=True)}
    reason, remedy = refused(store, tmp_path / "in", files)
    assert "is not within" in f"{reason} {remedy}" and "not levels of one run" in reason
    assert "a folder" in remedy


def test_one_mask_alone_is_of_no_level_unless_a_word_says_it(store: Store, tmp_path: Path) -> None:
    reason, remedy = refused(store, tmp_path / "one", {"ticket.pt": A[3]})
    assert reason == "one mask alone, of 51.2 %: nothing tells how many prunings it had"
    assert json.loads(remedy.partition("manifest.json: ")[2]) == {
        "levels": [{"level": 1, "file": "ticket.pt"}]
    }
    (run,) = store.import_runs(lay(tmp_path / "two", {"level_3.pt": A[3]})).runs
    assert run.levels == (3,)


@pytest.mark.parametrize("word", ["seed", "run"])
def test_runs_of_one_mask_each_are_not_brought_together(
    word: str, store: Store, tmp_path: Path
) -> None:
    states = (A[2], B[2], A[3])
    files = {f"{word}{i}/ticket.pt": state for i, state in enumerate(states)}
    report = store.import_runs(lay(tmp_path / "in", files))
    assert report.runs == ()
    assert len(report.skipped) == 3
    assert all("one mask alone" in one.reason for one in report.skipped)


def test_nothing_pruned_is_said_once(store: Store, tmp_path: Path) -> None:
    files = {f"epoch_{i}.pt": A[0] for i in range(5)}
    report = store.import_runs(lay(tmp_path / "in", files))
    assert [one.reason for one in report.skipped] == [
        "no level with anything pruned: there is no flow in it"
    ]


@pytest.mark.parametrize(
    "file", ["../out.pt", "/etc/hostname", ".hidden.pt", "sub/../a.pt", "no.pt"]
)
def test_a_manifest_names_files_of_its_folder_and_below(
    file: str, store: Store, tmp_path: Path
) -> None:
    lay(tmp_path, {"out.pt": A[1], "in/.hidden.pt": A[1], "in/a.pt": A[1], "in/sub/b.pt": A[2]})
    manifest = {"levels": [{"level": 1, "file": file}, "sub/b.pt"]}
    (tmp_path / "in" / "manifest.json").write_text(json.dumps(manifest))
    report = store.import_runs(tmp_path / "in")
    assert [run.levels for run in report.runs] == [(2,)]
    assert "there is no checkpoint" in report.skipped[0].reason


def test_runs_in_folders_that_are_named_as_levels_stay_apart(store: Store, tmp_path: Path) -> None:
    shares = enumerate((0.0, 0.2, 0.36))
    files = {f"cycle{c}/s_{s}.pt": x[n] for n, s in shares for c, x in ((1, A), (2, B))}
    files["cycle3/ticket.pt"] = pruned(seed=5)[2]
    report = store.import_runs(lay(tmp_path / "in", files))
    assert [Path(run.source).name for run in report.runs] == ["cycle1", "cycle2"]
    assert [run.levels for run in report.runs] == [(0, 1, 2)] * 2
    assert "cycle3" in str(report.skipped) and "one mask alone" in str(report.skipped)
    folder = lay(tmp_path / "on" / "e", {"imp1/a.pt": A[1], "imp1/b.pt": A[3]})
    (alone,) = store.import_runs(folder).runs
    assert Path(alone.source).name == "imp1"


def test_levels_of_many_names_against_the_masks_are_refused(store: Store, tmp_path: Path) -> None:
    files = {f"level_{i}_2024010{i}.pt": A[n] for i, n in enumerate((0, 1, 3, 2))}
    reason, remedy = refused(store, tmp_path / "in", files)
    assert "by its mask level_3_20240103.pt (64 % kept) comes before level_2_20240102.pt" in reason
    assert json.loads(remedy.partition("manifest.json: ")[2])["levels"][2] == "level_3_20240103.pt"


def test_a_mask_between_the_levels_that_names_count_does_not_renumber_them(
    store: Store, tmp_path: Path
) -> None:
    files = {f"level_{i}.pt": A[n] for i, n in enumerate((0, 1, 3))}
    report = store.import_runs(lay(tmp_path / "in", {**files, "oneshot.pt": A[2]}))
    assert [run.levels for run in report.runs] == [(0, 1, 2)]
    assert "oneshot.pt: lies beside level_*.pt" in str(report.skipped[0])


@pytest.mark.parametrize("pattern", ["level_{}/{}.npy", "level_{}_{}.npy"])
def test_a_file_a_layer_is_refused(pattern: str, store: Store, tmp_path: Path) -> None:
    for n, state in enumerate(A[:3]):
        for layer in ("0.weight", "2.weight"):
            path = tmp_path / "in" / pattern.format(n, layer)
            path.parent.mkdir(parents=True, exist_ok=True)
            mask = state.get(f"{layer}_mask", torch.ones_like(A[1][f"{layer}_mask"]))
            np.save(path, mask.numpy())
    reason, remedy = refused(store, tmp_path / "in", {})
    assert "hold one array each, of 2 shapes" in reason
    assert "numpy.savez" in remedy


def test_a_dense_network_above_several_runs_is_said_to_be_copied(
    store: Store, tmp_path: Path
) -> None:
    files = {f"{m}/level_{n}.pt": x[n] for m, x in (("a", A), ("b", B)) for n in (1, 2)}
    report = store.import_runs(lay(tmp_path / "in", {"dense.pt": A[0], **files}))
    (skipped,) = report.skipped
    assert skipped.remedy == (
        "if it is level 0 of a and b, put a copy of it into each, named dense.pt"
    )
    for method in "ab":
        lay(tmp_path / "in", {f"{method}/dense.pt": A[0]})
    assert {run.levels for run in store.import_runs(tmp_path / "in").runs} == {(0, 1, 2)}


@pytest.mark.parametrize(
    ("folder", "name"), [("wandb/run-1-{}/files", "run-1-{}"), ("sweep/12-00/{}", "sweep/12-00/{}")]
)
def test_folders_that_say_nothing_take_the_name_above(
    folder: str, name: str, store: Store, tmp_path: Path
) -> None:
    for job, states in enumerate((A, B)):
        place = tmp_path / "in" / folder.format(job)
        lay(place, {f"level_{n}.pt": states[n] for n in range(3)})
    store.import_runs(tmp_path / "in")
    origins = {origin for (origin,) in store.query("SELECT origin FROM runs").rows}
    assert origins == {name.format(job) for job in range(2)}


def test_equal_masks_of_two_levels_are_said(store: Store, tmp_path: Path) -> None:
    files = {f"level_{i}.pt": A[n] for i, n in enumerate((0, 1, 1, 2))}
    (run,) = store.import_runs(lay(tmp_path / "in", files)).runs
    assert "level 2 has the masks of level 1" in run.notes


def test_zeros_of_the_level_that_a_manifest_calls_dense_are_said(
    store: Store, tmp_path: Path
) -> None:
    files = {"a.pt": removed(A[1]), "b.pt": A[2], "c.pt": removed(A[3])}
    manifest = json.dumps({"levels": ["a.pt", "b.pt", "c.pt"]})
    (run,) = store.import_runs(lay(tmp_path / "in", {**files, "manifest.json": manifest})).runs
    assert levels_of(store, run.run_id) == {0: KEPT[0], 1: KEPT[2]}
    assert any(note.startswith("level 0 counts as dense, though 20%") for note in run.notes)
    assert any(note.startswith("level 2 is left out: c.pt: no masks, and") for note in run.notes)


# Names.


@pytest.mark.parametrize(
    ("text", "stem", "level", "sure", "replicate"),
    [
        ("level_03.pt", "level_*.pt", 3, True, ""),
        ("x3.pth.tar", "x*.pth.tar", 3, False, ""),
        ("run-3-done.pth", "run-*-done.pth", 3, False, ""),
        ("seed4_level_3.pt", "seed#_level_*.pt", 3, True, "4"),
        ("rep2_3.pt", "rep#_*.pt", 3, False, "2"),
        ("seed_3.pt", "seed_#.pt", None, False, "3"),
        ("resnet20_level_3.pt", "resnet20_level_*.pt", 3, True, ""),
        ("3_round.pt", "*_round.pt", 3, True, ""),
        ("net_sparsity_0.2.pt", "net_sparsity_#.pt", None, False, ""),
        ("net_sparsity_0.pt", "net_sparsity_#.pt", None, False, ""),
        ("80%.pt", "#%.pt", None, False, ""),
        ("epoch=1-step=100.ckpt", "epoch=#-step=#.ckpt", None, False, ""),
        ("160ep.pt", "#ep.pt", None, False, ""),
        ("round_3_acc_91.25.pt", "round_*_acc_#.pt", 3, True, ""),
        ("last-v2.ckpt", "last-v2.ckpt", None, False, ""),
        ("level_2 (1).pt", "level_* (1).pt", 2, True, ""),
        ("round_3/ckpt/best.pth", "round_*/ckpt/best.pth", 3, True, ""),
        ("level_99999.pt", "level_99999.pt", None, False, ""),
        ("dense.pt", "dense.pt", None, False, ""),
    ],
)
def test_numbers_are_what_the_words_beside_them_say(
    text: str, stem: str, level: int | None, sure: bool, replicate: str
) -> None:
    name = file_name(text, SUFFIXES)
    assert (name.stem, name.level, name.sure, name.replicate) == (stem, level, sure, replicate)


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=60))
def test_any_text_is_a_name(text: str) -> None:
    name = file_name(text, SUFFIXES)
    assert name.level is None or 0 <= name.level <= 9999
    assert len(re.findall(r"\d", name.stem)) <= len(re.findall(r"\d", text))


# Masks.


def read_by(masks: dict[str, np.ndarray]) -> LevelData:
    return LevelData({name: mask.shape for name, mask in masks.items()}, masks)


def nested(rng: np.random.Generator, size: int, levels: int) -> list[np.ndarray]:
    rank = rng.random(size)
    return [rank < 0.7**level for level in range(levels)]


@given(st.integers(0, 2**31), st.integers(2, 6), st.randoms())
def test_masks_in_any_order_are_put_in_that_of_pruning(
    seed: int, levels: int, random: object
) -> None:
    masks = nested(np.random.default_rng(seed), 20_000, levels)
    found = [
        measure(Path(str(n)), lambda _, m=mask: read_by({"a": m, "b": m[:50].reshape(5, 10)}))
        for n, mask in enumerate(masks)
    ]
    shuffled = [*found, *found[1:2]]
    random.shuffle(shuffled)
    order = in_order(shuffled)
    assert [alike[0].path.name for alike in order] == [str(n) for n in range(levels)]
    assert [len(alike) for alike in order] == [1, 2, *[1] * (levels - 2)]


@given(st.integers(0, 2**31), st.floats(0.05, 0.8), st.floats(0.2, 0.99))
def test_unrelated_masks_are_never_within_one_another(
    seed: int, dense: float, share: float
) -> None:
    rng = np.random.default_rng(seed)
    masks = [rng.random((64, 64, 3, 3)) < density for density in (dense, dense * share)]
    found = [
        measure(Path(str(n)), lambda _, m=mask: read_by({"a": m})) for n, mask in enumerate(masks)
    ]
    if all(one.kept for one in found) and found[1].kept > 100:
        with pytest.raises(Unordered, match="not levels of one run"):
            in_order(found)


@pytest.mark.parametrize("pattern", [(0, 0, 1, 1), (1, 0), (1, 1, 1, 0, 0, 0, 1, 0, 0)])
def test_patterns_of_structured_pruning_do_not_escape_the_sample(pattern: tuple[int, ...]) -> None:
    mask = np.resize(np.array(pattern, bool), (64, 64, 3, 3))
    other = ~mask
    other.flat[:10] = False
    found = [
        measure(Path(str(n)), lambda _, m=m: read_by({"a": m})) for n, m in enumerate((mask, other))
    ]
    with pytest.raises(Unordered):
        in_order(found)


def test_masks_of_one_size_that_differ_anywhere_are_of_two_runs() -> None:
    """However small the difference, which no sample would meet."""
    mask = np.random.default_rng(0).random(1_000_000) < 0.5
    other = mask.copy()
    other[[np.flatnonzero(mask)[-1], np.flatnonzero(~mask)[-1]]] = False, True
    found = [
        measure(Path(str(n)), lambda _, m=m: read_by({"a": m})) for n, m in enumerate((mask, other))
    ]
    with pytest.raises(Unordered):
        in_order(found)


# Levels of densities.


@given(
    st.floats(0.3, 0.95),
    st.lists(st.integers(1, 4), min_size=2, max_size=8),
    st.integers(0, 3),
    st.integers(10_000, 10_000_000),
)
def test_a_constant_rate_tells_gaps(rate: float, steps: list[int], first: int, total: int) -> None:
    base = min(steps)
    levels = [*itertools.accumulate(steps, initial=first)]
    kept = [round(total * rate**n) for n in levels]
    if kept[-1] < 2000:
        return
    found = by_density([k / total for k in kept], kept)
    if any(step % base for step in steps):  # no pruning is the smallest step
        assert found.levels == tuple(range(bool(first), bool(first) + len(kept)))
        return
    begun = first // base if first % base == 0 else 1
    begun = max(begun, 1) if first else 0
    assert found.levels == tuple(itertools.accumulate((s // base for s in steps), initial=begun))
    assert found.rate == pytest.approx(rate**base, rel=1e-2)


@pytest.mark.parametrize(
    ("densities", "levels"),
    [
        ((1, 0.5, 0.2, 0.1), (0, 1, 2, 3)),  # no rate
        ((1, 0.7, 0.5, 0.25), (0, 1, 2, 3)),  # .5 is nearly two of the steps before it
        ((1, 0.9, 0.8, 0.7, 0.6), (0, 1, 2, 3, 4)),  # a tenth of the whole each
        ((0.5, 0.3, 0.1), (1, 2, 3)),
        ((0.8, 0.64), (1, 2)),
        ((1, 0.1), (0, 1)),
        ((1, 0.5, 0), (0, 1, 2)),
    ],
)
def test_levels_of_other_densities(densities: tuple[float, ...], levels: tuple[int, ...]) -> None:
    kept = [round(1_000_000 * density) for density in densities]
    assert by_density(densities, kept).levels == levels
    assert math.isclose(sum(densities), sum(kept) / 1e6)


def test_two_masks_of_one_number_are_counted_without_a_rate_too() -> None:
    rank = np.random.default_rng(0).permutation(1000)
    paths = [Path(f"level_{n}_{w}.pt") for n in range(2) for w in ("in", "out")]
    files = [
        measure(path, lambda _, kept=kept: read_by({"a": rank < kept}))
        for path, kept in zip(paths, (1000, 500, 200, 100), strict=True)
    ]
    names = [file_name(path.name, SUFFIXES) for path in paths]
    assert numbered(Path(), files, names).levels == (0, 1, 2, 3)
