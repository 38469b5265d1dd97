"""Under which conditions runs were made, and by what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...schemas.display import Table
from ...schemas.records.description import shown
from ...schemas.words import counted, listed
from ...store import Store
from .members import Member
from .section import Listing, Section

_QUERY = """\
SELECT run_id, experiment_id, seed, source, created_at, updated_at, parent_run, history,
  versions, machine, len(files) AS files,
  (SELECT sum(wall_seconds) FROM levels WHERE levels.run_id = runs.run_id) AS seconds,
  (SELECT median(images_per_second) FROM levels WHERE levels.run_id = runs.run_id) AS speed
FROM runs WHERE list_contains(?, experiment_id)"""
_FIRST = ("run", "label", "seed", "state", "source", "created", "updated")
_LAST = ("parent_run", "files", "seconds", "images_per_second", "history")
_VERSIONS = ("rgtool", "python", "torch", "numpy", "pyarrow")
_MACHINE = ("device", "threads", "instruction_set", "deterministic", "platform")
_FORMATS = {"seconds": ".0f", "images_per_second": ".0f"}


def conditions(store: Store, members: Sequence[Member]) -> Section:
    """List every run with its versions, its machine and its times, and what was left out."""
    found = store.query(_QUERY, [[one.id for one in members]]).to_dicts()
    runs = {row["run_id"]: row for row in found}
    kept = [(one, run) for one in members for run in one.info.runs if run.run_id in runs]
    rows = [_row(one, run, runs[run.run_id]) for one, run in kept]
    columns = (*_FIRST, *_VERSIONS, *_MACHINE, *_LAST)
    seen = tuple(
        name
        for at, name in enumerate(columns)
        if name in _FIRST or any(row[at] not in (None, "", 0) for row in rows)
    )
    table = Table(columns, rows, formats=_FORMATS, shown=seen)
    return Section(
        "conditions",
        "Conditions and provenance",
        text=(*_alike(rows, columns), *_left_out(store)),
        listings=(Listing("conditions", table, "rgtool ls --runs"),),
    )


def _row(member: Member, run: Any, row: Mapping[str, Any]) -> tuple[Any, ...]:
    versions = shown(json.loads(row["versions"] or "{}"))
    machine = shown(json.loads(row["machine"] or "{}"))
    state = "diverged" if run.diverged else "finished" if run.finished else "unfinished"
    history = "; ".join(json.loads(row["history"] or "[]"))
    return (
        run.run_id,
        member.info.label,
        run.seed,
        state,
        row["source"],
        row["created_at"],
        row["updated_at"],
        *(versions.get(name) for name in _VERSIONS),
        *(machine.get(name) for name in _MACHINE),
        row["parent_run"],
        row["files"],
        row["seconds"],
        row["speed"],
        history,
    )


def _alike(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> list[str]:
    """Say whether all runs were made alike: bits are promised for equal conditions alone."""
    differing = [
        name
        for at, name in enumerate(columns)
        if name in (*_VERSIONS, *_MACHINE) and len({row[at] for row in rows}) > 1
    ]
    changed = sum(bool(row[-1]) for row in rows)
    said = [f"Runs differ in {listed(differing)}." if differing else "All runs were made alike."]
    if changed:
        said.append(f"{counted(changed, 'run')} went on under other conditions: see history.")
    return said if rows else []


def _left_out(store: Store) -> list[str]:
    return [f"Left out: {one}" for one in store.problems if one.is_left_out]
