"""`rgtool doctor`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import RgtoolError
from ...schemas.records.manifest import some
from ..options import DataOption, StoreOption
from ..output import Table, output_options

if TYPE_CHECKING:
    from ...store import Store

Row = tuple[str, str, str]


@output_options
def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every file of the store against its sum.")
    ] = False,
    data: DataOption = None,
    store: StoreOption = None,
) -> Table:
    """Report on the machine and on the file system of the store; with --deep, find damaged files.

    Example: rgtool doctor --deep
    """
    from ...store import Store

    opened = Store(store)
    if deep:
        return _deep(opened)
    rows = [*_versions(), *_machine(), *_data(data), *_store(opened)]
    return Table(("about", "what", "found"), rows)


def _deep(store: Store) -> Table:
    found = store.check()
    damaged = len(found.problems)
    notes = [
        f"{found.files} files read, {found.size / 1e6:.1f} MB: "
        + (f"{damaged} damaged or left out" if damaged else "all as they were written")
    ]
    if found.unsummed:
        notes.append(f"{found.unsummed} of them carry no sum: damage that leaves them readable "
                     "is not seen")  # fmt: skip
    if damaged:
        notes.append("bring damaged files back from a copy; queries leave them out meanwhile")
    rows = [(problem.path, problem.reason) for problem in found.problems]
    return Table(("file", "problem"), rows, notes=tuple(notes), exit_code=1 if damaged else 0)


def _versions() -> Iterator[Row]:
    import platform

    yield "version", "python", platform.python_version()
    yield "version", "rgtool", metadata.version("rgtool")
    for requirement in metadata.requires("rgtool") or ():
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            yield "version", name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield "version", name, f"is missing: pip install '{requirement}'"


def _machine() -> Iterator[Row]:
    try:
        from ...runner.machine import describe, device, workers

        chosen = device()
        found = describe(chosen)
    except (ImportError, OSError, RgtoolError) as error:
        yield "machine", "torch", f"cannot be used ({str(error).splitlines()[0]})"
        return
    yield "machine", "device", str(found["device"])
    yield "machine", "runs at once", str(workers(chosen))
    yield "machine", "threads of torch", str(found["threads"])
    yield "machine", "OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "not set")
    for name in ("instruction_set", "platform", "processor"):
        yield "machine", name.replace("_", " "), str(found[name])


def _data(folder: Path | None) -> Iterator[Row]:
    from ...runner.datasets.known_data import KNOWN_DATA, find

    for name, known in KNOWN_DATA.items():
        path = find(name, folder) if known.download else "comes with rgtool"
        yield "data", name, str(path or "not here: it is downloaded when it is asked for")


def _store(store: Store) -> Iterator[Row]:
    from ...store.upkeep.removal import unfinished

    yield "store", "path", str(store.path)
    if not store.path.is_dir():
        yield "store", "state", "does not exist yet"
    for trial in store.try_out():
        yield "store", trial.what, trial.found
    if begun := unfinished(store.path):
        found = f"{some(begun)}: rgtool rm or compact deletes what a killed process left of them"
        yield "store", "half removed", found
    if gone := store.removed():
        found = f"{some(gone)}: rgtool compact drops their rows, which do not count"
        yield "store", "removed runs", found
