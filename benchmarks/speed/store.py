"""How fast a store answers: shipped schema and views, loose and compacted, beside a rival.

    python -m benchmarks.speed.store --rows 1.2M
    python -m benchmarks.speed.store --rows 12M --rows 120M
    python -m benchmarks.speed.store --loose 1000

Rows are run x level x layer: ResNet-56 has 58 layers, a run 21 levels, so 1218 rows. The rival
computes eigenvalues without the previous counts in the record, with LAG over the levels. The floor
is the same computation on the files alone. Figures are medians; wall time through `Store.sql`,
looking at the folders, manifest and views included.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from benchmarks.machine import apart, machine, peak
from rgtool.schemas.blocks import Architecture, architecture
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records import views
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.manifest import Manifest
from rgtool.schemas.records.parts import Part
from rgtool.schemas.records.record import arrow_schema
from rgtool.store import Store
from rgtool.store.sql.connection import connect
from rgtool.store.sql.relations import parquet, sql_list
from rgtool.store.sql.session import described

LEVELS = 20
LOOSE_LEVELS = 12
SEEDS = 5
CHUNK = 10_000  # runs a compacted file, and runs with counts of their own
TIME = "2026-01-01T00:00:00+00:00"

QUERIES = {
    "density per level": "SELECT level, avg(density) FROM levels GROUP BY level",
    "one run": "SELECT * FROM layers WHERE run_id = '{run}'",
    "eigenvalues, layers": (
        "SELECT name, avg(eigenvalue) FROM flow WHERE grouping = 'layer' GROUP BY name"
    ),
    "eigenvalues, stages": (
        "SELECT name, avg(eigenvalue) FROM flow WHERE grouping = 'stage' GROUP BY name"
    ),
    "eigenvalues, roles": (
        "SELECT name, avg(eigenvalue) FROM flow WHERE grouping = 'role' GROUP BY name"
    ),
    "eigenvalues, one experiment": (
        "SELECT name, avg(eigenvalue) FROM flow WHERE grouping = 'layer' "
        "AND experiment_id = '{experiment}' GROUP BY name"
    ),
}
RIVAL = """
    WITH shares AS (SELECT run_id, level, layer, kept / network_kept AS share FROM store.records),
    steps AS (
        SELECT layer, share / lag(share) OVER (PARTITION BY run_id, layer ORDER BY level) AS step
        FROM shares
    )
    SELECT layer, avg(step) FROM steps GROUP BY layer"""


def main() -> None:
    """Measure every size in a process of its own, for its peak memory."""
    arguments = parse()
    if arguments.size is not None:
        measure(arguments)
        return
    print(f"DuckDB {duckdb.__version__}, Python {platform.python_version()}, {machine()}")
    sizes = [["--size", text] for text in arguments.rows]
    sizes += [["--size", str(runs), "--as-loose"] for runs in arguments.loose]
    for size in sizes:
        command = [sys.executable, __file__, *size, "--folder", arguments.folder]
        command += ["--repeat", str(arguments.repeat)]
        subprocess.run(command, check=True)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", action="append", default=[], help="1.2M, 12M, 120M")
    parser.add_argument("--loose", action="append", default=[], type=int, help="number of runs")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where stores are made")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--size", help=argparse.SUPPRESS)
    parser.add_argument("--as-loose", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.rows and not arguments.loose:
        arguments.rows = ["1.2M"]
    return arguments


def measure(arguments: argparse.Namespace) -> None:
    """Make a store, ask, print, remove it."""
    folder = Path(tempfile.mkdtemp(prefix="rgstore-bench-", dir=arguments.folder))
    try:
        if arguments.as_loose:
            measure_loose(folder, int(arguments.size), arguments.repeat)
        else:
            measure_compacted(folder, arguments.size, arguments.repeat)
    finally:
        shutil.rmtree(folder)


def measure_compacted(path: Path, rows: str, repeat: int) -> None:
    """Print the table of one size."""
    network = architecture("resnet56")
    per_run = len(network.layers) * (LEVELS + 1)
    runs = max(1, round(float(rows.removesuffix("M")) * 1e6 / per_run))
    began = time.perf_counter()
    apart(make_compacted, path, network, runs)
    size = sum(file.stat().st_size for file in (path / "compact").iterdir())
    print(
        f"\n{rows} rows: {runs} runs, {runs * per_run} rows, {size / 1e6:.0f} MB in "
        f"{len(Manifest.read(path).files)} files, made in {time.perf_counter() - began:.0f} s"
    )
    store = Store(path)
    taken = ask(store, repeat)
    print(f"  peak memory {peak():.0f} MB")
    floor = median(lambda: plain_scan(path), repeat)
    print(f"  {'eigenvalues, layers, plain scan (the floor)':45} {floor * 1e3:10.1f} ms")
    # Its windows may not fit into memory: it spills beyond 8 GB, as it would on a laptop.
    limits = f"SET memory_limit = '8GB'; SET temp_directory = '{path}/spill'; "
    rival = median(lambda: store.query(limits + RIVAL), 1 if runs > CHUNK else min(repeat, 3))
    print(f"  {'eigenvalues, layers, with LAG (the rival)':45} {rival * 1e3:10.1f} ms")
    mine = taken["eigenvalues, layers"]
    print(f"  the view takes {mine / floor:.2f} times the floor, the rival {rival / mine:.1f}")
    print(f"  peak memory {peak():.0f} MB, the rival included")


def plain_scan(path: Path) -> None:
    """Compute the eigenvalues of layers from the files alone, in the shortest SQL there is."""
    with connect() as connection:
        connection.execute(
            "SELECT layer, avg((kept / nullif(network_kept, 0)) / nullif(kept_prev / "
            "nullif(network_kept_prev, 0), 0)) FROM "
            f"{parquet(Manifest.read(path).record_files)} GROUP BY layer"
        ).fetchall()


def ask(store: Store, repeat: int) -> dict[str, float]:
    """Print and return the median seconds of every query."""
    run, experiment = run_name(0), run_name(0).rpartition("-s")[0]
    taken = {}
    for name, query in QUERIES.items():
        text = query.format(run=run, experiment=experiment)
        taken[name] = median(lambda text=text: store.sql(text), repeat)
        print(f"  {name:45} {taken[name] * 1e3:10.1f} ms", flush=True)
    return taken


def measure_loose(path: Path, runs: int, repeat: int) -> None:
    """Print what loose runs cost before and after `compact`."""
    network = architecture("resnet20")
    apart(make_loose, path, network, runs)
    files = runs * (LOOSE_LEVELS + 1)
    store = Store(path)
    print(f"\n{runs} loose runs of resnet20, {files} records")
    ask_by_name(store, 1)
    began = time.perf_counter()
    result = store.compact()
    seconds = time.perf_counter() - began
    print(f" compact: {seconds:.1f} s for {result.runs} runs, {result.records} records")
    assert result.loose == 0
    ask_by_name(store, repeat)
    print(f"  peak memory {peak():.0f} MB")


def ask_by_name(store: Store, repeat: int) -> None:
    """Print the seconds of every query, and of what the command line asks for."""
    print(" compacted" if Manifest.read(store.path).runs else " loose")
    ask(store, repeat)
    run = run_name(0)
    calls: dict[str, Callable[[], object]] = {
        "ls: Store.runs": store.runs,
        "show: Store.query of one run": lambda: store.query("FROM levels", runs=[run]),
        "eigen: Store.counts of one experiment": lambda: store.counts(run.rpartition("-s")[0]),
    }
    for name, call in calls.items():
        print(f"  {name:45} {median(call, repeat) * 1e3:10.1f} ms", flush=True)


def median(call: Callable[[], object], repeat: int) -> float:
    """Warm up once if there is more than one measurement, then the median in seconds."""
    if repeat > 1:
        call()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def run_name(number: int) -> str:
    """Return the id of a run: two digits of its chunk, ten of its experiment, the seed."""
    chunk, within = divmod(number, CHUNK)
    return f"{chunk:02x}{within // SEEDS:010x}-s{within % SEEDS}"


def describe(network: Architecture, levels: int) -> str:
    """Return a `run.json` with the marks RUN, EXPERIMENT and "SEED" in it."""
    recipe = Recipe(architecture=network.name, task="cifar10")
    scales = {layer.name: round(1 / layer.fan_in**0.5, 4) for layer in network.layers}
    description = Description(
        run_id="RUN",
        experiment_id="EXPERIMENT",
        recipe_name="frankle2020",
        recipe=recipe,
        seed=0,
        replicate="0",
        levels=levels,
        created_at=TIME,
        updated_at=TIME,
        scales={"init": scales, "rewind": scales},
        machine={"device": "cuda", "threads": 1},
    )
    values = {"version": 1} | {f.name: getattr(description, f.name) for f in FIELDS}
    return json.dumps(values | {"recipe": recipe.to_json(), "seed": "SEED"}, indent=2)


FIELDS = dataclasses.fields(Description)
GENERATED = "SELECT {} FROM generated".format(
    ", ".join(f'"{name}"::{type_} AS "{name}"' for name, type_ in views.record_columns().items())
)
SORTED = "ORDER BY run_id, level, layer_index"


def generate(connection: duckdb.DuckDBPyConnection, network: Architecture, levels: int) -> None:
    """Make the view `generated`: the records of runs `first` to `last`, in the shipped schema.

    Every layer decays with its own rate, which depends on the layer and a little on the run.
    """
    connection.execute(
        "CREATE TABLE architecture (layer_index INT, layer VARCHAR, stage VARCHAR, block VARCHAR, "
        "kind VARCHAR, shape INT[], total BIGINT)"
    )
    connection.executemany(
        "INSERT INTO architecture VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (i, x.name, x.stage, x.block, x.kind, list(x.shape), x.total)
            for i, x in enumerate(network.layers)
        ],
    )
    layers = len(network.layers)
    connection.execute(
        f"""
        CREATE VIEW generated AS
        WITH decay AS (
            SELECT run, architecture.*, 0.8 * exp(0.05 - 0.1 * layer_index / {layers}
                   + 0.01 * (hash(run, layer_index) % 2001 / 1000.0 - 1)) AS rate
            FROM range(getvariable('first'), getvariable('last')) runs(run), architecture
        ),
        counts AS (
            SELECT *, floor(total * rate ** level)::BIGINT AS kept, CASE WHEN level > 0
                   THEN floor(total * rate ** (level - 1))::BIGINT END AS kept_prev
            FROM decay, range({levels + 1}) levels(level)
        ),
        network AS (
            SELECT run, level, sum(total)::BIGINT AS network_total,
                   sum(kept)::BIGINT AS network_kept, sum(kept_prev)::BIGINT AS network_kept_prev
            FROM counts GROUP BY run, level
        )
        SELECT 1 AS version, printf('%012x-s%d', run // {SEEDS}, run % {SEEDS}) AS run_id, level,
               layer, NULL AS source_layer, layer_index, stage, block, kind, shape, total, kept,
               kept_prev, kept * 0.02 AS magnitude, kept_prev * 0.02 AS magnitude_prev,
               false AS exempt, network_total, network_kept, network_kept_prev,
               0.93 - 0.002 * level - 0.001 * (run % {SEEDS}) AS accuracy,
               0.3 + 0.01 * level AS loss, 0.99 AS train_accuracy, 0.05 AS train_loss,
               NULL AS validation_accuracy, NULL AS validation_loss, false AS diverged,
               60.5 + run % 7 AS wall_seconds, 130000.0 + run % 1000 AS images_per_second,
               1500000000 AS peak_memory
        FROM counts JOIN network USING (run, level)"""
    )


def make_compacted(path: Path, network: Architecture, runs: int) -> None:
    """Write a store as `compact` leaves it."""
    (path / "compact").mkdir(parents=True)
    names = [run_name(number) for number in range(runs)]
    levels = tuple(range(LEVELS + 1))
    chunks = [names[first : first + CHUNK] for first in range(0, runs, CHUNK)]
    manifest = Manifest(
        store=path,
        generation=1,
        records=tuple(
            Part("records", f"0001-{i:08x}", dict.fromkeys(chunk, levels))
            for i, chunk in enumerate(chunks)
        ),
        descriptions=(Part("descriptions", "0001-00000000", dict.fromkeys(names, ())),),
    )
    told = manifest.description_files[0]
    groups = [manifest.folder / part.groups for part in manifest.records]
    with connect() as connection:
        connection.execute(f"SET temp_directory = '{path}/spill'")
        generate(connection, network, LEVELS)
        template = describe(network, LEVELS)
        connection.execute(
            "CREATE TABLE texts AS SELECT replace(replace(replace(?, 'RUN', run_id), 'EXPERIMENT', "
            "split_part(run_id, '-', 1)), '\"SEED\"', split_part(run_id, '-s', 2)) AS text "
            "FROM (SELECT unnest(?) AS run_id)",
            [template, names],
        )
        select = described("text", "text AS text").replace("AS text)", "AS text FROM texts)")
        copy(connection, f"FROM ({select}) ORDER BY run_id", told)
        run = f"SELECT run_id, {', '.join(views.RUN_COLUMNS)} FROM"
        join = f"JOIN ({run} {parquet([told])}) USING (run_id)"
        connection.execute(f"SET VARIABLE first = 0; SET VARIABLE last = {min(runs, CHUNK)}")
        first, *others = zip(manifest.record_files, groups, strict=True)
        copy(connection, f"FROM ({GENERATED}) {join} {SORTED}", first[0])
        grouped = views.grouped(parquet([first[0]]))
        copy(connection, f"FROM ({grouped}) ORDER BY grouping, run_id, level, name", first[1])
        for i, files in enumerate(others, start=1):  # the first chunk again, under other names
            kept = f"WHERE run_id <= '{run_name(min(runs, (i + 1) * CHUNK) - 1)}'"
            moved = ", ".join(f"'{i:02x}' || {x}[3:] AS {x}" for x in ("run_id", "experiment_id"))
            for source, target in zip(first, files, strict=True):
                copy(
                    connection,
                    f"FROM (SELECT * REPLACE ({moved}) FROM {parquet([source])}) {kept}",
                    target,
                )
    manifest.write()
    for name in names:  # as after a compaction: folders with masks and weights, nothing loose
        (path / "runs" / name).mkdir(parents=True)


def make_loose(path: Path, network: Architecture, runs: int) -> None:
    """Write runs as a runner does, without flushing each file."""
    template = describe(network, LOOSE_LEVELS)
    for name in map(run_name, range(runs)):
        folder = RunFolder.of(path, name)
        folder.make()
        experiment, _, seed = name.partition("-s")
        text = template.replace("RUN", name).replace("EXPERIMENT", experiment)
        folder.description.write_text(text.replace('"SEED"', seed))
    with connect(threads=1) as connection:
        generate(connection, network, LOOSE_LEVELS)
        for first in range(0, runs, 100):
            connection.execute(f"SET VARIABLE first = {first}")
            connection.execute(f"SET VARIABLE last = {min(runs, first + 100)}")
            table = connection.sql(f"{GENERATED} {SORTED}").to_arrow_table()
            table, size = table.cast(arrow_schema()), len(network.layers)
            for start in range(0, len(table), size):
                record = table.slice(start, size)
                run_id, level = record["run_id"][0].as_py(), record["level"][0].as_py()
                target = RunFolder.of(path, run_id).record(level)
                pq.write_table(record, target, compression="zstd", store_schema=False)


def copy(connection: duckdb.DuckDBPyConnection, select: str, target: Path) -> None:
    """Write Parquet as compaction does."""
    connection.execute(
        f"COPY ({select}) TO {sql_list([target])[1:-1]} "
        "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
    )


if __name__ == "__main__":
    main()
