"""Running something over a store while others write, compact and break its files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import duckdb

from ...schemas.errors import StoreError
from .broken import LeftOut
from .session import VIEWS, open_session
from .snapshot import Snapshot, take

T = TypeVar("T")
_QUERY_ERRORS = (  # what DuckDB never raises for a file; the views are made before a query runs
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
    duckdb.InterruptException,
    duckdb.OutOfMemoryException,
)
_FROM_FILE = re.compile(r"\.parquet|source column")
_RESTARTS = 30  # a compaction that ends while a query runs makes it start again


class Reader:
    """Takes a snapshot of a store, makes the views over it, and runs something.

    Parameters
    ----------
    path : Path
        The store.

    Attributes
    ----------
    left_out : LeftOut
        The files that are left out, because they are broken or newer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out = LeftOut(path)

    def run(
        self,
        run: Callable[[duckdb.DuckDBPyConnection], T],
        only: Collection[str] | None = None,
        narrow: Callable[[Snapshot], Snapshot] | None = None,
        wanted: Collection[str] = VIEWS,
    ) -> T:
        """Run something of rgtool's own, whose errors are those of the store.

        Parameters
        ----------
        run : callable
            Takes a connection with the views.
        only : collection of str, optional
            Read these runs alone.
        narrow : callable, optional
            Takes a snapshot and returns what of it is needed.
        wanted : collection of str
            The views and relations that are made.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        try:
            return self.attempt(run, only=only, narrow=narrow, wanted=wanted)
        except duckdb.Error as error:
            raise StoreError(f"{self.path}: {str(error).splitlines()[0]}") from error

    def attempt(
        self,
        run: Callable[[duckdb.DuckDBPyConnection], T],
        *,
        only: Collection[str] | None = None,
        narrow: Callable[[Snapshot], Snapshot] | None = None,
        wanted: Collection[str] = VIEWS,
        connection: duckdb.DuckDBPyConnection | None = None,
        keep_open: Callable[[Snapshot], None] | None = None,
    ) -> T:
        """Run something over a snapshot; again without the files that made it fail.

        The parameters are those of `run`; the first attempt uses `connection` if there is one, and
        with `keep_open` the connection of the attempt that succeeds is left to `run`: it is called
        with the snapshot that is read on.

        Raises
        ------
        duckdb.Error
            What no leaving out mends.
        StoreError
            The store changes too fast.
        """
        for _ in range(_RESTARTS):
            snapshot = take(self.path, self.left_out, only)
            snapshot = narrow(snapshot) if narrow else snapshot
            connection, first = None, connection
            try:
                with ExitStack() as opened:
                    session = opened.enter_context(open_session(snapshot, wanted, first))
                    found = run(session)
                    if snapshot.is_outdated():
                        continue
                    if keep_open is not None:
                        keep_open(snapshot)
                        opened.pop_all()
                    return found
            except _QUERY_ERRORS:
                raise
            except duckdb.Error as error:
                if not self._recovers(snapshot, error):
                    raise
        raise StoreError(f"{self.path} changes faster than it can be read: try again")

    def _recovers(self, snapshot: Snapshot, error: Exception) -> bool:
        """Tell whether it helps to look at the store again after a query has failed."""
        compact = snapshot.manifest.files
        loose = (*snapshot.record_files, *snapshot.epoch_files)
        if not all(Path(file).exists() for file in [*map(str, compact), *loose]):
            return True
        if blamed := [file for file in compact if str(file) in str(error)]:
            self.left_out.blame(blamed[0], f"is damaged ({str(error).splitlines()[0]})")
            return True
        if isinstance(error, duckdb.ConversionException) and not _FROM_FILE.search(str(error)):
            return False  # a cast of the query's own
        return self.left_out.search(snapshot.record_files, str(error))
