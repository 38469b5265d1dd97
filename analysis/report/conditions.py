"""Under which conditions runs were made, and by what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...schemas.display import Table
from ...schemas.records.description import shown
from ...schemas.words import counted
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
    values = {name: {row[at] for row in rows} for at, name in enumerate(columns)}
    alike = {
        name: next(iter(values[name]))
        for name in (*_VERSIONS, *_MACHINE)
        if len(values[name]) == 1 and None not in values[name]
    }
    seen = tuple(
        name
        for name in columns
        if name in _FIRST or (name not in alike and values[name] - {None, "", 0})
    )
    table = Table(columns, rows, formats=_FORMATS, shown=seen)
    return Section(
        "conditions",
        "Conditions and provenance",
        text=(*_alike(alike), *_changed(rows), *_left_out(store)),
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


def _alike(alike: Mapping[str, Any]) -> list[str]:
    """Say under which conditions all runs were made; bits are promised for equal ones alone."""
    said = ", ".join(f"{name} {value}" for name, value in alike.items())
    return [f"All runs alike: {said}."] if said else []


def _changed(rows: Sequence[Sequence[Any]]) -> list[str]:
    number = sum(bool(row[-1]) for row in rows)
    changed = counted(number, "run")
    return [f"{changed} went on under other conditions: see history."] if number else []


def _left_out(store: Store) -> list[str]:
    return [f"Left out: {one}" for one in store.problems if one.is_left_out]
