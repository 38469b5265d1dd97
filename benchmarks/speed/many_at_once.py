"""Many writers, many readers and a compaction on one store, and what the readers see.

    python -m benchmarks.speed.many_at_once --writers 32 --readers 8 --minutes 5

Every writer records run after run as a runner does, slowly enough to be met half-way. Every reader
asks the store again and again and holds each answer to what it must be: no layer twice, no record
in part, nothing gone that was there before. One process compacts all the time. At the end every
record that was written must be there, once, with the counts it was written with.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb
import numpy as np

from benchmarks.machine import machine
from rgtool.schemas.blocks import architecture
from rgtool.schemas.lock import Locked
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.record import build_record, write_record
from rgtool.store import Store

LEVELS = 6
LAYERS = architecture("resnet20").counted()
TOTAL = np.array([layer.total for layer in LAYERS], dtype=np.int64)
RECIPE = Recipe(architecture="resnet20", task="cifar10")


def kept_at(level: int, seed: int) -> np.ndarray:
    """Return counts that tell level and seed apart."""
    return (TOTAL * 0.8**level).astype(np.int64) - (seed % 7 if level else 0)


def write_runs(store: Path, first: int, stop: Event, written: multiprocessing.Queue[int]) -> None:
    """Record whole runs, one after another, seeds apart from those of other writers."""
    count, seed = 0, first
    while not stop.is_set():
        run_id = RECIPE.run_id(seed)
        folder = RunFolder.of(store, run_id)
        folder.make()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        Description(
            run_id=run_id,
            experiment_id=RECIPE.experiment_id,
            recipe_name="frankle2020",
            recipe=RECIPE,
            seed=seed,
            replicate=str(seed),
            levels=LEVELS,
            created_at=now,
            updated_at=now,
        ).write(folder.description)
        for level in range(LEVELS + 1):
            before = kept_at(level - 1, seed) if level else None
            kept = kept_at(level, seed)
            record = build_record(run_id, level, LAYERS, kept, kept_prev=before)
            write_record(folder.record(level), record)
            count += 1
        seed += 1
    written.put(count)


def read_all(
    store: Path, stop: Event, seen: multiprocessing.Queue[collections.Counter[str]]
) -> None:
    """Query until told to stop, and count what is wrong."""
    counts: collections.Counter[str] = collections.Counter()
    highest: dict[str, int] = {}
    while not stop.is_set():
        opened = Store(store)
        try:
            rows = opened.sql(
                "SELECT run_id, level, count(*) AS layers, count(DISTINCT layer) AS apart,"
                " sum(kept) AS kept, any_value(network_kept) AS network FROM layers"
                " JOIN levels USING (run_id, level) GROUP BY ALL"
            ).rows
        except Exception as error:  # anything at all is what is looked for
            counts["errors"] += 1
            print(f"reader: {type(error).__name__}: {error}", flush=True)
            continue
        counts["queries"] += 1
        counts["left out"] += len(opened.problems)
        levels: dict[str, list[int]] = collections.defaultdict(list)
        for run_id, level, layers, apart, kept, network in rows:
            levels[run_id].append(level)
            counts["doubled"] += layers != apart
            counts["torn"] += apart != len(LAYERS) or kept != network
        for found in levels.values():
            counts["gaps"] += sorted(found) != list(range(len(found)))
        for run_id, level in highest.items():
            counts["lost"] += max(levels.get(run_id, [-1])) < level
        highest = {run_id: max(found) for run_id, found in levels.items()}
    seen.put(counts)


def compact_all(
    store: Path, stop: Event, seen: multiprocessing.Queue[collections.Counter[str]]
) -> None:
    """Compact again and again."""
    counts: collections.Counter[str] = collections.Counter()
    while not stop.is_set():
        try:
            counts["runs compacted"] += Store(store).compact().runs
            counts["compactions"] += 1
        except Locked:
            counts["locked"] += 1
        except Exception as error:  # anything at all is what is looked for
            counts["errors"] += 1
            print(f"compaction: {type(error).__name__}: {error}", flush=True)
    seen.put(counts)


def main() -> int:
    """Run for the time given and print the counts; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="rgtool-many-") as folder:
        store, stop = Path(folder) / "store", context.Event()
        written, seen, compacted = context.Queue(), context.Queue(), context.Queue()
        processes = [
            context.Process(target=write_runs, args=(store, i * 1_000_000, stop, written))
            for i in range(options.writers)
        ]
        processes += [
            context.Process(target=read_all, args=(store, stop, seen))
            for _ in range(options.readers)
        ]
        processes.append(context.Process(target=compact_all, args=(store, stop, compacted)))
        for process in processes:
            process.start()
        time.sleep(60 * options.minutes)
        stop.set()
        records = sum(written.get() for _ in range(options.writers))
        counts = sum((seen.get() for _ in range(options.readers)), collections.Counter())
        compaction = compacted.get()
        for process in processes:
            process.join()
        final = Store(store)
        found = final.query(
            "SELECT count(*), count(DISTINCT (run_id, level)), sum(network_kept) FROM levels"
        ).rows[0]
        runs = final.query("SELECT run_id, count(*) AS levels FROM levels GROUP BY 1").rows
    expected = sum(
        int(kept_at(level, int(run_id.rpartition("-s")[2])).sum())
        for run_id, levels in runs
        for level in range(levels)
    )
    print(f"duckdb {duckdb.__version__}, {machine()}")
    print(f"{options.writers} writers, {options.readers} readers, {options.minutes:g} minutes")
    print(f"written {records} records; there at the end {found[0]}, apart {found[1]}")
    print(f"compaction: {dict(compaction)}")
    print(f"readers: {dict(counts)}")
    wrong = sum(counts[k] for k in ("errors", "left out", "doubled", "torn", "gaps", "lost"))
    wrong += compaction["errors"] + (found[0] != records) + (found[1] != records)
    wrong += found[2] != expected
    print("sum of kept weights as written" if found[2] == expected else "kept weights differ")
    print(f"wrong: {wrong}")
    return 0 if wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
