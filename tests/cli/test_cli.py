"""Every verb once on real runs, and every wrong input with the message it gets."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import stores
from command import Cli, Done
from stores import data_of

import rgtool
from rgtool.cli import formats
from rgtool.schemas import display
from rgtool.schemas.recipe import Recipe


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two experiments: lenet (two seeds) and a narrow resnet (one)."""
    store = tmp_path_factory.mktemp("finished") / "store"
    rgtool.run("lenet", "digits", seeds=2, levels=4, epochs=2, store=store)
    rgtool.run("resnet8", "digits", levels=3, epochs=1, rewind="0", width=4, store=store)
    return store


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "rgstore"))


def test_run_trains_records_and_resumes(cli: Cli, tmp_path: Path) -> None:
    command = ("run", "lenet", "digits", "--levels", "2", "--epochs", "1", "--json")
    first = cli(*command)
    assert first.code == 0
    assert "seed 0 level 2: accuracy" in first.err
    (row,) = json.loads(first.out)
    assert (row["seed"], row["end"], row["level"]) == (0, "done", 2)
    before = data_of(tmp_path / "rgstore")
    second = cli(*command)
    assert json.loads(second.out)[0]["end"] == "known"
    assert data_of(tmp_path / "rgstore") == before


def test_dry_run_computes_nothing(cli: Cli, tmp_path: Path) -> None:
    done = cli("run", "lenet", "digits", "--levels", "3", "--seeds", "3,7", "--dry-run", "--json")
    assert done.code == 0
    told = {row["what"]: row["value"] for row in json.loads(done.out)}
    assert told["runs"] == "seed 3, seed 7"
    assert told["records"].startswith("8,")
    assert told["kept weights"] == "50200 40160 32128 25702"
    assert told["recipe.prune"] == "0.2"
    assert "images/s" in told["speed"]
    assert not (tmp_path / "rgstore").exists()


@pytest.mark.parametrize("last", [None, float("nan")])
def test_accuracies_that_are_missing_are_not_shown_as_numbers(
    cli: Cli, tmp_path: Path, last: float | None
) -> None:
    recipe = Recipe(architecture="resnet8w4", task="digits")
    run = stores.write_run(tmp_path, 0, 3, recipe=recipe)
    kept = stores.counts(recipe, 0, 3)
    stores.write_record(tmp_path, recipe, run, 3, kept, accuracy=last)
    shown = {row["what"]: row["value"] for row in json.loads(show(cli, tmp_path).out)}
    assert shown["accuracy"].endswith("first 0.9000, last none")
    for level in range(4):
        stores.write_record(tmp_path, recipe, run, level, kept, accuracy=last)
    assert "nan" not in show(cli, tmp_path).out


def show(cli: Cli, store: Path) -> Done:
    return cli("show", "resnet8w4/digits", "--store", str(store), "--json")


def test_ls_and_show(cli: Cli, store: Path) -> None:
    experiments = json.loads(cli("ls", "--json").out)
    assert {(e["label"], e["runs"], e["finished"]) for e in experiments} == {
        ("lenet/digits", 2, 2),
        ("resnet8w4/digits", 1, 1),
    }
    runs = json.loads(cli("ls", "--runs", "--json").out)
    assert [run["state"] for run in runs] == ["finished"] * 3
    one = cli("show", runs[0]["run"])
    assert one.code == 0
    assert "versions.torch" in one.out
    assert "share of" in one.out
    several = cli("show", "lenet/digits")
    assert "matching_density" in several.out


def test_eigen_shows_the_spectrum_beside_its_null(cli: Cli, store: Path) -> None:
    rows = json.loads(cli("eigen", "resnet8w4/digits", "--by", "stage", "--json").out)
    assert [row["name"] for row in rows] == ["stem", "1", "2", "3", "head"]
    assert all(row["canonical_eigenvalue"] > 0 for row in rows)
    assert {row["scope"] for row in rows} == {"this run"}
    told = cli("eigen", "resnet8w4/digits", "--by", "stage")
    assert "one seed" in told.err


def test_eigen_of_all_experiments_is_a_row_a_group(cli: Cli, store: Path) -> None:
    told = cli("eigen", "--all", "--by", "block", "--json")
    rows = json.loads(told.out)
    assert {row["architecture"] for row in rows} == {"lenet", "resnet8w4"}
    one = {r["name"]: r for r in json.loads(cli("eigen", "lenet/digits", "--json").out)}
    for row in rows:
        if row["architecture"] == "lenet" and not row["exempt"]:
            assert row["eigenvalue"] == pytest.approx(one[row["name"]]["eigenvalue"], rel=1e-12)
            assert row["low"] == pytest.approx(one[row["name"]]["low"], rel=1e-12)
    told = cli("eigen", "--all", "--by", "stage")
    assert (told.code, "lenet has no stages" in told.err) == (3, True)


def _with_a_short_one(store: Path) -> None:
    """Put an experiment of two levels beside the others: it has counts, and no spectrum."""
    recipe = Recipe(architecture="resnet8w4", task="short")
    stores.write_run(store, 0, 1, recipe=recipe)


def test_eigen_of_all_goes_round_what_is_short_or_excluded(cli: Cli, store: Path) -> None:
    _with_a_short_one(store)
    told = cli("eigen", "--all", "--json")
    assert told.code == 3 and "resnet8w4/short" in told.err
    whole = json.loads(told.out)
    assert {row["architecture"] for row in whole} == {"lenet", "resnet8w4"}
    told = cli("eigen", "--all", "--json", "--exclude", "resnet8w4/short")
    assert told.code == 0 and "short" not in told.err
    assert json.loads(told.out) == whole
    told = cli(
        "eigen", "--all", "--json", "--exclude", "resnet8w4/short", "--exclude", "lenet/digits"
    )
    assert json.loads(told.out) == [row for row in whole if row["architecture"] != "lenet"]


def test_plot_goes_round_an_experiment_that_a_figure_cannot_show(
    cli: Cli, store: Path, tmp_path: Path
) -> None:
    _with_a_short_one(store)
    to = str(tmp_path / "figures")
    names = ("resnet8w4/short", "resnet8w4/digits", "lenet/digits")
    done = cli("plot", *names, "--by", "stage", "--to", to, "--json")
    assert done.code == 3
    drawn = {row["figure"]: Path(row["file"]) for row in json.loads(done.out)}
    assert set(drawn) == {"flow", "slices", "accuracy", "spectrum"}
    assert all(path.stat().st_size > 1000 for path in drawn.values())
    left = [line for line in done.err.splitlines() if "left out of" in line]
    assert len(left) == 2
    assert "left out of all figures: lenet has no stages" in left[0]
    assert "left out of spectrum: resnet8w4/short" in left[1]
    done = cli("plot", *names[:2], "--coordinates", "scale", "--to", to)
    assert done.code == 3 and "left out of flow-scale: resnet8w4/short" in done.err
    alone = cli("plot", "resnet8w4/short", "--kind", "spectrum", "--to", to)
    assert (alone.code, "no spectrum: resnet8w4/short" in alone.err) == (1, True)
    both = cli("plot", "resnet8w4/digits", "lenet/digits", "--kind", "flow", "--to", to)
    assert both.code == 0 and "left out" not in both.err, "blocks are what both have"


def test_plot_goes_round_a_figure_of_several_that_do_not_go_together(
    cli: Cli, store: Path, tmp_path: Path
) -> None:
    names = ("resnet8w4/digits", "lenet/digits")
    to = str(tmp_path / "figures")
    done = cli("plot", *names, "--to", to, "--json")
    assert done.code == 3
    drawn = {row["figure"] for row in json.loads(done.out)}
    assert drawn == {"flow", "accuracy", "spectrum"}
    (told,) = (line for line in done.err.splitlines() if line.startswith("no slices: "))
    assert "resnet8w4/digits has 5" in told and "lenet/digits has 3" in told
    asked = cli("plot", *names, "--kind", "slices", "--to", to)
    assert (asked.code, asked.out) == (2, "") and "need the same groups" in asked.err


def test_eigen_shows_all_nulls_where_asked(cli: Cli, store: Path) -> None:
    told = cli("eigen", "lenet/digits", "--nulls")
    header, fc1, *_ = told.out.splitlines()
    assert header.split()[:4] == ["name", "exempt", "exponent", "random_sd"]
    assert {"initial_beyond", "measured_beyond"} <= set(header.split())
    assert fc1.split()[0] == "fc1"
    assert "N2, dense network pruned in one go: not to be had" in told.err


def test_dense_weights_put_the_static_null_beside_the_spectrum(cli: Cli, tmp_path: Path) -> None:
    rgtool.run(
        "lenet", "digits", seeds=2, levels=2, epochs=1, keep=("dense",), store=tmp_path / "rgstore"
    )
    assert "static_eigenvalue" in cli("eigen").out
    row = json.loads(cli("eigen", "--json").out)[0]
    nulls = json.loads(cli("eigen", "--nulls", "--json").out)[0]
    assert row["static_eigenvalue"] == pytest.approx(nulls["static_eigenvalue"], rel=1e-12)
    assert row["random_sd"] == pytest.approx(nulls["random_sd"], rel=1e-12)


def test_sql_answers_and_shares_are_conserved(cli: Cli, store: Path) -> None:
    query = (
        "SELECT grouping, max(abs(s - 1)) AS off FROM (SELECT run_id, level, grouping, "
        "sum(share_prev * eigenvalue) AS s FROM flow WHERE level > 0 GROUP BY ALL) GROUP BY 1"
    )
    rows = json.loads(cli("sql", query, "--json").out)
    assert {row["grouping"] for row in rows} == {"layer", "block", "stage", "role"}
    assert all(row["off"] < 1e-12 for row in rows)


def test_sql_reads_standard_input(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT count(*) AS n FROM runs -- all"))
    assert json.loads(cli("sql", "-", "--json").out) == [{"n": 3}]


def test_every_format_says_the_same(cli: Cli, store: Path) -> None:
    query = "SELECT level, density, NULL AS nothing FROM levels ORDER BY run_id, level LIMIT 3"
    rows = json.loads(cli("sql", query, "--json").out)
    assert rows[0] == {"level": 0, "density": 1.0, "nothing": None}
    from_csv = list(csv.DictReader(io.StringIO(cli("sql", query, "--csv").out)))
    assert [float(row["density"]) for row in from_csv] == [row["density"] for row in rows]
    assert from_csv[0]["nothing"] == ""
    lines = cli("sql", query, "--md").out.splitlines()
    assert lines[:2] == ["| level | density | nothing |", "| --- | --- | --- |"]
    assert len(lines) == 5
    plain = cli("sql", query).out.splitlines()
    assert plain[0].split() == ["level", "density", "nothing"]


def test_parquet_goes_through_a_pipe(store: Path, tmp_path: Path) -> None:
    code = "from rgtool.cli import main; main(['sql', 'SELECT * FROM flow', '--parquet'])"
    environment = {**os.environ, "RGTOOL_STORE": str(store)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    (tmp_path / "flow.parquet").write_bytes(done.stdout)
    table = pq.read_table(tmp_path / "flow.parquet")
    assert table.num_rows > 50
    assert "eigenvalue" in table.column_names


def test_json_has_no_number_for_what_is_none(cli: Cli) -> None:
    done = cli("sql", "SELECT 'nan'::DOUBLE AS a, 1/0 AS b, [1.5, 'inf'::DOUBLE] AS c", "--json")
    assert json.loads(done.out) == [{"a": None, "b": None, "c": [1.5, None]}]


def test_null_prints_the_reference_of_resnet50(cli: Cli) -> None:
    done = cli("null", "resnet50", "--init", "fan_in", "--prune", "0.2", "--levels", "1:17")
    lines = [line.split() for line in done.out.splitlines()[1:]]
    assert [line[2] for line in lines] == ["1.132", "1.084", "1.026", "0.943"]


def test_plot_writes_every_figure(cli: Cli, store: Path, tmp_path: Path) -> None:
    done = cli("plot", "lenet/digits", "--to", str(tmp_path / "figures"), "--json")
    assert done.code == 0, done.err
    figures = {row["figure"]: Path(row["file"]) for row in json.loads(done.out)}
    assert set(figures) == {"flow", "slices", "accuracy", "spectrum"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures.values())


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"rgtool {rgtool.__version__}\n"


WRONG: list[tuple[list[str], int, str]] = [
    (["rnu"], 2, "Did you mean 'run'"),
    (["run", "lenet"], 2, "Missing argument 'task'"),
    (["run", "resnet2O", "digits"], 2, "did you mean resnet20 or"),
    (["run", "resnet21", "digits"], 2, "model 'resnet21' is unknown"),
    (["run", "lenet", "digts"], 2, "did you mean digits?"),
    (["run", "lenet", "digits", "--recipe", "frankle"], 2, "recipe 'frankle' is unknown"),
    (["run", "lenet", "digits", "--levels", "-1"], 2, "levels is -1"),
    (["run", "lenet", "digits", "--levels", "99"], 2, "is the last for lenet"),
    (["run", "lenet", "digits", "--prune", "1.5"], 2, "between 0 and 1"),
    (["run", "lenet", "digits", "--rewind", "5xx"], 2, "'5xx' is no point in training"),
    (["run", "lenet", "digits", "--rewind", "40ep"], 2, "training ends at 480"),
    (["run", "lenet", "digits", "--seeds", "many"], 2, "give a count such as 5"),
    (["run", "lenet", "digits", "--seeds", "0"], 2, "give a count such as 5"),
    (["run", "lenet", "digits", "--seeds", "1000000000"], 2, "at most 100000"),
    (["run", "lenet", "digits", "--seeds", "9" * 300 + ",1"], 2, "from 0 to 2^63 - 1"),
    (["run", "lenet", "digits", "--seeds", f"{2**63},"], 2, "is no seed"),
    (["run", "lenet", "digits", "--seeds", "9" * 5000], 2, "give a count such as 5"),
    (["run", "lenet", "digits", "--levels", "1000000000", "--prune", "1e-300"], 2, "to 9999"),
    (["run", "lenet", "digits", "--threads", str(2**31)], 2, "from 1 to 1024"),
    (["run", "lenet", "digits", "--rewind", "9" * 5000 + "ep"], 2, "is no point in training"),
    (["run", "lenet", "digits", "--batch-size", str(2**63)], 2, "of at most 64 bits"),
    (["run", "lenet", "digits", "--set", "lr=1e999"], 2, "lr is inf"),
    (["run", "lenet", "digits", "--set", "augment=crop99999999999999"], 2, "is unknown"),
    (["run", "lenet", "digits", "--set", "augment=crop99"], 2, "have 8 pixels a side"),
    (["run", "lenet", "digits", "--time-budget", "9" * 400], 2, "a duration such as"),
    (["run", "resnet20w99999999", "digits"], 2, "at most 4096"),
    (["run", "resnet20", "digits", "--width", "99999999"], 2, "from 1 to 4096"),
    (["run", "resnet110w4096", "digits"], 2, "weights, which take"),
    (["run", "resnet" + "9" * 5000, "digits"], 2, "is unknown"),
    (["null", "resnet20w99999999"], 2, "at most 4096"),
    (["eigen", "lenet/digits", "--window", "1:" + "9" * 5000], 2, "give two levels"),
    (["ls", "--store", "a" * 5000], 1, "no path of a store"),
    (["ls", "--store", "~nobody-of-that-name/x"], 1, "no path of a store"),
    (["sql", "SELECT 1", "--rows", "-1"], 2, "--rows"),
    (["run", "lenet", "digits", "--epochs", "-1"], 2, "epochs is -1"),
    (["run", "lenet", "digits", "--batch-size", "0"], 2, "batch_size is 0"),
    (["run", "lenet", "digits", "--width", "8"], 2, "width goes with a CIFAR ResNet"),
    (["run", "lenet", "digits", "--rounding", "up"], 2, "choose from exact, openlth, round"),
    (["run", "lenet", "digits", "--pruner", "size"], 2, "choose from erk, "),
    (["run", "lenet", "digits", "--control", "no"], 2, "control 'no' is unknown"),
    (["run", "lenet", "digits", "--train-size", "5000"], 2, "1442 training images"),
    (["run", "lenet", "digits", "--device", "tpu"], 2, "device 'tpu' is unknown"),
    (["run", "lenet", "digits", "--keep", "all"], 2, "choose from dense, init, rewind"),
    (["run", "lenet", "digits", "--time-budget", "soon"], 2, "a duration such as"),
    (["run", "lenet", "digits", "--workers", "0"], 2, "at least one process"),
    (["run", "lenet", "npz:nowhere.npz"], 1, "no such file"),
    (["run", "lenet", "digits", "--store", "a-file"], 1, "a file is in the way"),
    (["ls", "--store", "a-file"], 1, "is a file"),
    (["eigen", "--store", "nowhere"], 1, "holds no runs"),
    (["show", "x", "--store", "nowhere"], 1, "holds no runs"),
    (["eigen"], 2, "name one"),
    (["published"], 2, "rgtool ls --published lists the literature"),
    (["eigen", "lenet/digit"], 2, "lenet/digits"),
    (["eigen", "lenet/digits", "--by", "stage"], 2, "lenet has no stages"),
    (["eigen", "lenet/digits", "--by", "blok"], 2, "did you mean block"),
    (["eigen", "lenet/digits", "--window", "3"], 2, "give two levels"),
    (["eigen", "--all", "lenet/digits prune=.5"], 2, "prune is 0.2 there"),
    (["eigen", "--all", "--nulls"], 2, "choose one"),
    (["eigen", "lenet/digits", "--exclude", "lenet"], 2, "--exclude goes with --all"),
    (["eigen", "--all", "--exclude", "nobody"], 2, "nobody"),
    (["eigen", "lenet/digits", "--nulls", "--method", "t"], 2, "the default method"),
    (["eigen", "lenet/digits", "--window", "1:9"], 2, "past the last level"),
    (["plot", "lenet/digits", "--kind", "pie"], 2, "figure 'pie' is unknown"),
    (["plot", "lenet/digits", "--format", "gif"], 2, "choose from pdf, png, svg"),
    (["null", "resnet51"], 2, "'resnet51' is unknown"),
    (["null", "resnet50", "--init", "fan_up"], 2, "did you mean fan_"),
    (["null", "resnet50", "--levels", "9"], 2, "give two levels"),
    (["null", "resnet50", "--prune", "0"], 2, "between 0 and 1"),
    (["sql", ""], 2, "the query is empty"),
    (["sql", "SELEC 1"], 2, 'syntax error at or near "SELEC"'),
    (["sql", "SELECT * FROM runs WHERE )"], 2, "\nat: )"),
    (["sql", "SELECT 1; SELECT 2"], 2, "2 statements"),
    (["sql", "SELECT * FROM flows"], 2, "did you mean flow"),
    (["sql", "COPY runs TO 'x.csv'"], 2, "COPY is not allowed"),
    (["sql", "DROP VIEW flow"], 2, "DROP is not allowed"),
    (["sql", "SELECT * FROM read_csv('/etc/passwd')"], 2, ""),
    (["ls", "--json", "--csv"], 2, "choose one format"),
]


@pytest.mark.parametrize(("arguments", "code", "told"), WRONG, ids=lambda v: str(v)[:60])
def test_wrong_input_is_told_in_words(
    arguments: list[str], code: int, told: str, cli: Cli, store: Path, tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("not a store")
    before = data_of(tmp_path)
    done = cli(*arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("rgtool: ")
    assert told in done.err
    assert len(done.err.splitlines()) <= 2
    assert "Traceback" not in done.err and "\\n" not in done.err  # a line is a line
    assert data_of(tmp_path) == before


def test_too_few_levels_are_told(cli: Cli, tmp_path: Path) -> None:
    rgtool.run("lenet", "digits", levels=1, epochs=1, store=tmp_path / "rgstore")
    done = cli("eigen")
    assert done.code == 1
    assert "--levels" in done.err


def test_a_record_of_a_newer_schema_is_left_out_and_named(cli: Cli, store: Path) -> None:
    import pyarrow as pa

    path = sorted(store.glob("runs/*/records/0004.parquet"))[0]
    table = pq.read_table(path).replace_schema_metadata(None)  # as another program writes it
    newer = pa.array([99] * table.num_rows, pa.int16())
    table = table.set_column(0, "version", newer)
    pq.write_table(table, path)
    done = cli("sql", "SELECT max(level) AS top FROM levels GROUP BY run_id ORDER BY 1", "--json")
    assert done.code == 0
    assert [row["top"] for row in json.loads(done.out)] == [3, 3, 4]
    assert "upgrade rgtool" in done.err
    assert str(path.name) in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    done = cli("run", "lenet", "digits", "--store", str(tmp_path / "locked" / "s"))
    assert done.code == 1
    assert "cannot be written" in done.err


def test_python_says_what_the_command_line_says(cli: Cli, store: Path) -> None:
    told: list[dict[str, Any]] = json.loads(cli("eigen", "lenet/digits", "--json").out)
    spectrum = rgtool.eigen(rgtool.Store(store), "lenet/digits", by="block")
    assert [row["eigenvalue"] for row in told] == spectrum.eigenvalue.value.tolist()


def test_a_wide_table_goes_on_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    names = tuple(f"number_{i}" for i in range(8))
    rows = [(name, *(i + 0.123456 for i in range(8))) for name in ("one", "two")]
    cells = display.cells(("name", *names), rows, {})
    lines = formats.rich(cells, [False, *(True for _ in names)]).splitlines()
    assert max(map(len, lines)) <= 60
    words = " ".join(lines).split()
    assert all(words.count(name) == 1 for name in names)
    assert all(words.count(f"{i}.12346" if i else "0.123456") == 2 for i in range(8))
    assert words.count("one") == 2  # the first column begins both parts


HOSTILE = "\x1b[31m\u202e[red]\u2028\u200f\n|\x9b"
SHOWN = r"\x1b[31m\u202e[red]\u2028\u200f\n|\x9b"


def test_names_of_files_cannot_move_the_cursor(
    cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT '" + HOSTILE + '\' AS "a\x1bb", 1 AS n'
    done = cli("sql", query)
    assert SHOWN in done.out and r"a\x1bb" in done.out.splitlines()[0]
    assert SHOWN.replace("\\", "\\\\").replace("|", "\\|") in cli("sql", query, "--md").out
    assert done.out.replace("\n", "").isprintable()
    for option, read in {
        "--json": lambda text: json.loads(text)[0]["a\x1bb"],
        "--csv": lambda text: list(csv.reader(io.StringIO(text, newline="")))[1][0],
    }.items():
        assert read(cli("sql", query, option).out) == HOSTILE  # data keep their values
    drawn = formats.rich(display.cells(("name",), [(HOSTILE,)], {}), [False])
    assert SHOWN in drawn and "\x1b[31m" not in drawn
    told = cli("show", HOSTILE).err
    assert SHOWN in told and len(told.splitlines()) == 1 and told[:-1].isprintable()


def test_csv_for_eyes_is_escaped(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "is_terminal", lambda: True)
    assert SHOWN in cli("sql", f"SELECT '{HOSTILE}' AS a", "--csv").out


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The command line in a process of its own, with streams as a shell gives them."""
    code = "import sys; from rgtool.cli import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, timeout=300, **options
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_an_encoding_lacks_is_escaped(store: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "RGTOOL_STORE": str(store)}
    shown = command("show", "lenet/digits", stdout=subprocess.PIPE, env=environment)
    assert shown.returncode == 0 and b"Traceback" not in shown.stderr
    assert b"share of fc1" in shown.stdout and b"\\u2" not in shown.stdout  # bars of ASCII
    query = "SELECT '\u0142\U0001f600' AS a"
    done = command("sql", query, "--json", stdout=subprocess.PIPE, env=environment)
    assert json.loads(done.stdout) == [{"a": "\u0142\U0001f600"}]
    done = command("sql", query, stdout=subprocess.PIPE, env=environment)
    assert rb"\u0142\U0001f600" in done.stdout


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["ls"], ["sql", "SELECT 1", "--csv"], ["--help"]])
def test_a_full_disk_ends_in_one_line(arguments: list[str], tmp_path: Path) -> None:
    if arguments == ["ls"]:
        stores.write_run(tmp_path / "rgstore")
    with FULL.open("w") as full:
        done = command(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1 and b"No space left" in done.stderr


def test_a_full_or_closed_standard_error_changes_no_exit_code(tmp_path: Path) -> None:
    code = "import sys; from rgtool.cli import main; main(['sql', 'SELECT * FROM nowhere'])"
    for redirection in ("2>&-", "2>/dev/full") if FULL.exists() else ("2>&-",):
        done = subprocess.run(["sh", "-c", f'"{sys.executable}" -c "{code}" {redirection}'])
        assert done.returncode == 2
    code = "import sys; from rgtool.cli import main; main(['sql', 'SELECT 1', '--csv'])"
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "{code}" >&-'], stderr=subprocess.PIPE
    )
    assert (done.returncode, done.stderr) == (1, b"rgtool: standard output is closed\n")


def test_a_reader_that_leaves_ends_the_command_without_a_word() -> None:
    read, written = os.pipe()
    os.close(read)
    done = command("sql", "SELECT * FROM range(100000)", "--csv", stdout=written)
    os.close(written)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_table_shows_the_first_rows_and_says_how_many_there_are(cli: Cli) -> None:
    query = "SELECT * FROM range(25000)"
    done = cli("sql", query)
    assert len(done.out.splitlines()) == 1001
    assert done.err.startswith("the first 1000 of 25000 rows; --rows 0 shows all")
    few = cli("sql", query, "--rows", "2", "--md")
    assert len(few.out.splitlines()) == 4 and "the first 2 of 25000 rows" in few.err
    assert len(cli("sql", query, "--rows", "0").out.splitlines()) == 25001
    assert len(cli("sql", query, "--csv").out.splitlines()) == 25001
    assert len(json.loads(cli("sql", query, "--json").out)) == 25000
    assert cli("sql", "SELECT * FROM range(1000)").err == ""


def test_rows_are_written_as_they_come() -> None:
    code = (
        "import resource, sys\n"
        "from rgtool.cli import main\n"
        "try: main(['sql', f'SELECT repeat(chr(65), 100) FROM range({sys.argv[1]})', '--csv'])\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, file=sys.stderr)"
    )
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", code, rows],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            ).stderr
        )
        for rows in ("100000", "1500000")
    ]
    assert peaks[1] < peaks[0] + 60  # MB; whole, the rows would take 250 more


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM range(10000000000000)",
        "SELECT * FROM range(10000000000000) WHERE range < 0",
    ],
)
def test_ctrl_c_ends_a_query(query: str, tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import rgtool.cli.app, rgtool.store\n"
        "print('ready', flush=True)\n"
        "rgtool.cli.main(sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "sql", query],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert (process.returncode, told) == (130, b"rgtool: aborted\n")


def test_a_run_that_diverged_is_not_sent_to_its_spectrum(cli: Cli) -> None:
    command = "run lenet digits --set lr=1e9 --epochs 2 --levels 3 --seeds 1"
    code, _, err = cli(*command.split())
    assert code == 0
    assert "training diverged: its loss or a weight was not finite" in err
    assert "next: rgtool eigen" not in err


def test_help_alone_ends_without_a_word(cli: Cli) -> None:
    code, out, err = cli()
    assert "rgtool: " not in err
    assert "Usage" in out + err


def test_groups_hold_every_column_once() -> None:
    widths = [10, 30, 5, 70, 8, 8, 8, 40]
    groups = formats.groups_of_columns(widths, 60)
    assert [i for group in groups for i in group[1:]] == list(range(1, 8))
    assert all(group[0] == 0 for group in groups)
    assert all(sum(widths[i] + 3 for i in group) <= 60 or len(group) == 2 for group in groups)
    assert formats.groups_of_columns([90], 60) == [[0]]


def test_the_doctor_sees_a_mask_in_the_place_of_another(cli: Cli, store: Path) -> None:
    assert cli("doctor", "--deep", "--json").code == 0
    one, other = (sorted(store.glob("runs/*-s0/masks/*"))[i] for i in (1, 2))
    shutil.copy(one, other)
    done = cli("doctor", "--deep", "--json")
    assert done.code == 1
    (row,) = json.loads(done.out)
    assert row["file"].endswith(other.name)
    assert "the mask of another run or level" in row["problem"]


def test_scales_stand_in_for_shares_where_asked(cli: Cli, store: Path, tmp_path: Path) -> None:
    rows = json.loads(
        cli("eigen", "resnet8w4/digits", "--by", "layer", "--coordinates", "scale", "--json").out
    )
    assert {"scale", "scale_end", "drift", "drift_low"} <= rows[0].keys()
    told = cli("eigen", "resnet8w4/digits", "--coordinates", "scale")
    assert "in effective scales" in told.err and "rms in the centred log-ratios" in told.err
    assert cli("eigen", "--all", "--coordinates", "scale").code == 2
    assert cli("eigen", "lenet/digits", "--nulls", "--coordinates", "scale").code == 2
    to = str(tmp_path / "scales.svg")
    drawn = cli("plot", "resnet8w4/digits", "--coordinates", "scale", "--to", to)
    assert drawn.code == 0 and "effective scale" in (tmp_path / "scales.svg").read_text()
    assert cli("plot", "resnet8w4/digits", "--coordinates", "scale", "--kind", "accuracy").code == 2
    assert cli("plot", "resnet8w4/digits", "--coordinates", "scales").code == 2
