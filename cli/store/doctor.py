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
from ..output import Table, output_options, table_of

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
        found = opened.check()
        return table_of(found, exit_code=1 if found.problems else 0)
    rows = [*_versions(), *_machine(), *_data(data), *_store(opened)]
    return Table(("about", "what", "found"), rows)


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
        from ...runner.replicas.kernels import missing_library
        from ...runner.sparse import describe as sparse_set

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
    yield "machine", "sparse kernels", missing_library() or sparse_set()


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
    yield from store.try_out().table().rows
    if begun := unfinished(store.path):
        found = f"{some(begun)}: rgtool rm or compact deletes what a killed process left of them"
        yield "store", "half removed", found
    if gone := store.removed():
        found = f"{some(gone)}: rgtool compact drops their rows, which do not count"
        yield "store", "removed runs", found
