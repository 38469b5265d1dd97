"""Reading a store: runs, experiments, names, views, counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
from stores import counts, describe, plain_flow, write_record, write_run

from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import StoreError, UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.sums import KEY
from rgtool.store import Store

VIEWS = ("levels", "layers", "flow")
DIGITS = Recipe(architecture="resnet8w4", task="digits")
LENET = Recipe(architecture="lenet", task="digits", exempt=("fc",))


def test_a_missing_store_is_empty_and_stays_missing(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert store.runs() == []
    assert store.experiments() == []
    assert store.sql("SELECT * FROM flow").rows == []
    assert not (tmp_path / "none").exists()


def test_a_store_without_runs_says_how_to_fill_it(tmp_path: Path) -> None:
    (tmp_path / "runs" / "half").mkdir(parents=True)
    for find in (Store(tmp_path).find_experiment, lambda: Store(tmp_path).find_run("x")):
        with pytest.raises(StoreError, match="holds no runs.*rgtool run"):
            find()


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file: a store is a folder"):
        Store(tmp_path / "file")


def test_the_default_is_the_variable_and_then_rgstore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Store().path == tmp_path / "rgstore"
    monkeypatch.setenv("RGTOOL_STORE", str(tmp_path / "other"))
    assert Store().path == tmp_path / "other"
    assert Store(tmp_path / "third").path == tmp_path / "third"


def test_runs_are_listed_with_what_is_recorded(tmp_path: Path) -> None:
    done = write_run(tmp_path, seed=0, levels=3)
    going = write_run(tmp_path, seed=1, levels=2, asked=5)
    gap = write_run(tmp_path, seed=2, levels=3, recorded=(0, 1, 3))
    stopped = write_run(tmp_path, seed=3, levels=2, asked=5, diverged=True)
    fresh = describe(DIGITS, 4, 3)
    RunFolder.of(tmp_path, fresh.run_id).make()
    fresh.write(RunFolder.of(tmp_path, fresh.run_id).description)
    found = {run.run_id: run for run in Store(tmp_path).runs()}
    shown = {
        k: (r.levels, r.recorded, r.last_level, r.finished, r.diverged) for k, r in found.items()
    }
    assert shown == {
        done: (3, 4, 3, True, False),
        going: (5, 3, 2, False, False),
        gap: (3, 3, 3, False, False),
        stopped: (5, 3, 2, True, True),
        fresh.run_id: (3, 0, None, False, False),
    }
    total = counts(DIGITS, 0, 3).sum(axis=1)
    assert found[done].density == pytest.approx(total[3] / total[0])
    assert found[done].accuracy == pytest.approx(0.87)
    assert found[done].label == "resnet8w4/digits"
    assert str(found[done].created_at) == "2026-03-01 12:00:00"


def test_experiments_gather_the_seeds_and_say_what_sets_them_apart(tmp_path: Path) -> None:
    for seed in (10, 2):
        write_run(tmp_path, seed=seed, levels=2)
    other = Recipe(architecture="resnet8w4", task="digits", lr=0.2)
    write_run(tmp_path, seed=0, levels=4, recipe=other)
    found = {e.experiment_id: e for e in Store(tmp_path).experiments()}
    assert found[DIGITS.experiment_id].seeds == (2, 10)
    assert found[DIGITS.experiment_id].distinction == {}
    assert found[other.experiment_id].distinction == {"lr": 0.2}
    assert found[other.experiment_id].levels == 4
    assert found[other.experiment_id].recipe == other


def test_experiments_are_found_by_prefix_label_or_alone(tmp_path: Path) -> None:
    write_run(tmp_path, recipe=DIGITS)
    store = Store(tmp_path)
    assert store.find_experiment() == DIGITS.experiment_id
    write_run(tmp_path, recipe=LENET)
    assert store.find_experiment("lenet/digits") == LENET.experiment_id
    assert store.find_experiment(LENET.experiment_id[:3]) == LENET.experiment_id
    with pytest.raises(UsageError, match="holds 2 experiments, name one: .*lenet/digits"):
        store.find_experiment()
    with pytest.raises(UsageError, match="did you mean lenet/digits"):
        store.find_experiment("lenet/digit")
    write_run(tmp_path, recipe=Recipe(architecture="lenet", task="digits", lr=0.5))
    with pytest.raises(UsageError, match="fits 2 experiments.*lr=0.5"):
        store.find_experiment("lenet/digits")
    with pytest.raises(UsageError, match="no experiment"):
        store.find_experiment("")


def test_runs_are_found_by_prefix_or_as_the_only_run_of_an_experiment(tmp_path: Path) -> None:
    first = write_run(tmp_path, seed=1)
    store = Store(tmp_path)
    assert store.find_run(first) == first
    assert store.find_run("resnet8w4/digits") == first
    eleventh = write_run(tmp_path, seed=11)
    assert store.find_run(first) == first, "a whole name wins over names that begin so"
    assert store.find_run(eleventh) == eleventh
    with pytest.raises(UsageError, match="begins the names of 2 runs"):
        store.find_run(first[:5])
    with pytest.raises(UsageError, match="has 2 runs, name one"):
        store.find_run("resnet8w4/digits")
    with pytest.raises(UsageError, match="no run or experiment 'zz'"):
        store.find_run("zz")


def test_a_description_comes_back_as_it_was_written(tmp_path: Path) -> None:
    description = describe(DIGITS, None, 3, scales={"init": {"conv1": 0.25}}, files=({"a": "b"},))
    folder = RunFolder.of(tmp_path, description.run_id)
    folder.make()
    description.write(folder.description)
    assert Store(tmp_path).description(description.run_id) == description
    with pytest.raises(UsageError, match="no run 'x'"):
        Store(tmp_path).description("x")


@pytest.mark.parametrize("by", ["layer", "block", "stage"])
def test_flow_equals_loops_over_the_records(tmp_path: Path, by: str) -> None:
    run = write_run(tmp_path, levels=4, recorded=(0, 1, 3, 4))
    found = Store(tmp_path).sql(
        f"SELECT name, level, share, eigenvalue FROM flow WHERE grouping = '{by}' ORDER BY ALL"
    )
    expected = plain_flow(tmp_path, run, by)
    assert [row[:2] for row in found.rows] == [row[:2] for row in expected]
    for row, right in zip(found.rows, expected, strict=True):
        assert row[2] == pytest.approx(right[2])
        assert (row[3] is None) == (right[3] is None)
        assert row[3] is None or row[3] == pytest.approx(right[3])


def test_shares_and_eigenvalues_sum_to_one(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, seed=seed, levels=5)
    found = Store(tmp_path).sql(
        "SELECT sum(share) AS share, sum(share_prev * eigenvalue) AS step, "
        "any_value(level) AS level FROM flow GROUP BY run_id, level, grouping"
    )
    assert len(found) == 3 * 6 * 4
    for share, step, level in found.rows:
        assert share == pytest.approx(1, abs=1e-12)
        assert step is None if level == 0 else step == pytest.approx(1, abs=1e-12)


def test_flow_gives_null_where_a_quotient_is_undefined(tmp_path: Path) -> None:
    run_id = DIGITS.run_id(0)
    folder = RunFolder.of(tmp_path, run_id)
    folder.make()
    describe(DIGITS, 0, 3).write(folder.description)
    kept = counts(DIGITS, 0, 3)
    kept[1:, 0] = 0  # the stem collapses at level 1
    kept[3] = 0  # nothing is left at level 3
    for level in range(4):
        write_record(tmp_path, DIGITS, run_id, level, kept)
    found = Store(tmp_path).sql(
        "SELECT level, share, share_prev, retention, eigenvalue, exponent FROM flow "
        "WHERE grouping = 'layer' AND name = 'conv1' ORDER BY level"
    )
    total = kept.sum(axis=1)
    assert found.rows[0] == (0, kept[0, 0] / total[0], None, None, None, None)
    assert found.rows[1][3:] == (total[1] / total[0], 0, None)
    assert found.rows[2] == (2, 0, 0, total[2] / total[1], None, None)
    assert found.rows[3] == (3, None, 0, 0, None, None)


def test_an_architecture_without_stages_has_no_stage_rows(tmp_path: Path) -> None:
    write_run(tmp_path, recipe=LENET)
    found = Store(tmp_path).sql("SELECT DISTINCT grouping, name FROM flow ORDER BY ALL").rows
    assert found == [(by, name) for by in ("block", "layer") for name in ("fc", "fc1", "fc2")]


def test_counts_are_dense_arrays_by_seed_level_and_group(tmp_path: Path) -> None:
    for seed, recorded in ((7, range(5)), (3, (0, 1, 3))):
        write_run(tmp_path, seed=seed, levels=4, recorded=tuple(recorded))
    found = Store(tmp_path).counts("resnet8w4/digits", by="block")
    layers = architecture("resnet8w4").counted()
    names = ("stem", "1.0", "2.0", "3.0", "head")
    assert (found.names, found.seeds, found.layers) == (names, (3, 7), layers)
    assert found.recorded.tolist() == [[True, True, False, True, False], [True] * 5]
    for s, seed in enumerate(found.seeds):
        for level, g in np.ndindex(5, len(names)):
            inside = [i for i, layer in enumerate(layers) if layer.block == names[g]]
            right = counts(DIGITS, int(seed or 0), 4)[level, inside].sum()
            if found.recorded[s, level]:
                assert found.kept[s, level, g] == right
                assert found.magnitude[s, level, g] == pytest.approx(right * 0.25)
                assert found.accuracy[s, level] == pytest.approx(0.9 - 0.01 * level)
            else:
                assert found.kept[s, level, g] == 0
                assert np.isnan(found.magnitude[s, level, g])
                assert np.isnan(found.accuracy[s, level])
    assert found.total.sum() == sum(layer.total for layer in layers)
    assert found.kept.dtype == found.total.dtype == np.int64
    assert not found.exempt.any()


def test_counts_know_what_is_exempt_and_refuse_missing_stages(tmp_path: Path) -> None:
    write_run(tmp_path, recipe=LENET)
    store = Store(tmp_path)
    found = store.counts("lenet/digits")
    assert (found.exempt.tolist(), found.exempt_layers) == ([False, False, True], ("fc",))
    with pytest.raises(UsageError, match="lenet has no stages: group by layer or block"):
        store.counts("lenet/digits", by="stage")
    with pytest.raises(UsageError, match="grouping 'blok' is unknown: did you mean block"):
        store.counts("lenet/digits", by="blok")


def test_counts_of_runs_that_do_not_agree_are_refused_in_words(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0)
    wide = Recipe(architecture="resnet8", task="digits")
    stranger = describe(DIGITS, 1, 0)
    RunFolder.of(tmp_path, stranger.run_id).make()
    stranger.write(RunFolder.of(tmp_path, stranger.run_id).description)
    write_record(tmp_path, wide, stranger.run_id, 0, counts(wide, 0, 0))
    with pytest.raises(
        StoreError, match="do not agree on layer 0, found as 'conv1' with 432 weights"
    ):
        Store(tmp_path).counts("resnet8w4/digits")


def test_counts_without_a_record_say_so(tmp_path: Path) -> None:
    write_run(tmp_path, recorded=())
    with pytest.raises(StoreError, match="has no record yet"):
        Store(tmp_path).counts("resnet8w4/digits")


@pytest.mark.parametrize("name", ["a[1] b", "it's", 'q"uo*te?', "ü"])
def test_any_folder_name_works(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / name)
    store = Store(tmp_path / name)
    assert store.sql("SELECT count(*), count(DISTINCT run_id) FROM levels").rows == [(4, 1)]
    assert len(store.runs()) == 1


@pytest.mark.parametrize("where", ["run_id = '{run}'", "run_id LIKE '{run}%' AND level < 2"])
def test_a_filter_on_the_run_opens_the_files_of_that_run_alone(tmp_path: Path, where: str) -> None:
    first, second = write_run(tmp_path, seed=1), write_run(tmp_path, seed=2)
    store = Store(tmp_path)
    condition = where.format(run=first)

    def broken_meanwhile(connection: duckdb.DuckDBPyConnection) -> list[list[object]]:
        RunFolder.of(tmp_path, second).record(1).write_bytes(b"broken, and not looked at")
        asked = (f"SELECT DISTINCT run_id FROM {view} WHERE {condition}" for view in VIEWS)
        return [connection.execute(query).fetchall() for query in asked]

    assert store._reader.attempt(broken_meanwhile) == [[(first,)]] * 3
    assert store.problems == ()
    store.sql("SELECT sum(kept) FROM layers")
    assert len(store.problems) == 1


def test_temporary_files_of_a_writer_are_not_read(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (RunFolder.of(tmp_path, run).path / "records" / ".0004.parquet.17.part").write_bytes(b"PAR1")
    store = Store(tmp_path)
    assert store.sql("SELECT count(*) FROM levels").rows == [(4,)]
    assert store.problems == ()


def test_recipe_fields_that_an_older_description_lacks_take_their_defaults(tmp_path: Path) -> None:
    path = RunFolder.of(tmp_path, write_run(tmp_path)).description
    values = json.loads(path.read_text())
    del values["recipe"]["momentum"], values["recipe"]["milestones"], values[KEY]
    path.write_text(json.dumps(values))
    found = Store(tmp_path).sql("SELECT momentum, milestones FROM runs")
    assert found.rows == [(0.9, ["80ep", "120ep"])]


def test_a_scale_that_is_not_a_number_does_not_hide_the_run(tmp_path: Path) -> None:
    description = describe(DIGITS, 0, 3, scales={"rewind": {"conv1": float("nan")}})
    folder = RunFolder.of(tmp_path, description.run_id)
    folder.make()
    description.write(folder.description)
    found = Store(tmp_path).sql("SELECT scales->'rewind'->'conv1' FROM runs")
    assert found.rows == [("null",)]


def test_importing_the_store_loads_no_arrays() -> None:
    code = (
        "import sys, rgtool.store; "
        "print([m for m in ('numpy', 'pyarrow', 'polars', 'torch', 'pandas') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
