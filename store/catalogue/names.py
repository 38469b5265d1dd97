"""Giving names: to what a selection means, and to what comes from other stores."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.records.names import Entry, Naming, adopt, changing_names, name_things, read_names
from ..sql.reading import Reader
from ..sql.result import Result
from .inventory import FORMER
from .listing import Entries

if TYPE_CHECKING:
    from .holdings import Holdings

_CALLED = """
    SELECT run_id, experiment_id, experiment_name, experiment_note, experiment_tags,
           run_name, run_note, run_tags
    FROM runs"""


def call(store: Holdings, selection: str, naming: Naming) -> Entries:
    """Change what people call the experiments, or the run, that a selection means.

    Raises
    ------
    UsageError
        Nothing fits, or another one has the name.
    StoreError
        The store holds no runs, or cannot be written.
    """
    rows = store.query(_CALLED).to_dicts()
    names = read_names(store.path)
    try:
        things = _meant(store, selection)
    except RgtoolError:
        if selection not in names:
            raise
        things = [selection]  # what has a name and is gone
    if not naming:
        return Entries({key: _entry_of(key, rows) for key in things})
    former = dict(store.query(FORMER).rows)
    borne = {row["experiment_id"] for row in rows}
    alive = {*borne, *(row["run_id"] for row in rows), *former}
    before = {
        key: [was for was, now in former.items() if key in now and was not in borne]
        for key in things
    }
    gone = {key for key in names if key not in alive}
    return Entries(name_things(store.path, naming, before, gone))


def forget(store: Path, lost: Collection[str]) -> None:
    """Drop what is called by ids that are gone; what cannot be changed harms nothing."""
    with contextlib.suppress(RgtoolError, OSError):
        if not lost & read_names(store).keys():
            return
        with changing_names(store) as names:
            for key in lost:
                names.pop(key, None)


def bring_names(
    store: Path, source: Path, here: Mapping[str, str], *, dry_run: bool = False
) -> list[str]:
    """Take over what people call the runs of another store, and their experiments.

    Parameters
    ----------
    store, source : Path
        This store and the other one.
    here : mapping of str to str
        Ids there and here of the runs that have come.
    dry_run : bool
        Whether nothing is to change.

    Returns
    -------
    list of str
        Which names cannot come, and why.
    """
    try:
        if not read_names(source):
            return []
        now = {row["run_id"]: row["experiment_id"] for row in _called(store)}
        entries: dict[str, Entry] = {}
        for row in _called(source):
            if row["run_id"] in here:
                run = here[row["run_id"]]
                entries[now.get(run, row["experiment_id"])] = _entry(row, "experiment_")
                entries[run] = _entry(row, "run_")
        told = {key: entry for key, entry in entries.items() if entry}
        return adopt(store, told, dry_run=dry_run)
    except RgtoolError as error:
        return [f"names stay in {source}: {error}"]


def _meant(store: Holdings, selection: str) -> list[str]:
    """Return the experiments that a selection fits, or else the run."""
    with contextlib.suppress(UsageError):
        return store.find_experiments(selection)
    experiment, run = store.find(selection)
    return [run or experiment]


def _called(store: Path) -> list[dict[str, Any]]:
    return Reader(store).run(lambda c: Result.of(c, _CALLED), wanted=("runs",)).to_dicts()


def _entry_of(key: str, rows: list[dict[str, Any]]) -> Entry:
    for row in rows:
        if row["run_id"] == key:
            return _entry(row, "run_")
        if row["experiment_id"] == key:
            return _entry(row, "experiment_")
    return Entry()


def _entry(row: Mapping[str, Any], of: str) -> Entry:
    return Entry(row[f"{of}name"], row[f"{of}note"], tuple(row[f"{of}tags"] or ()))
