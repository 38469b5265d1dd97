"""SQL over a store: what reads it, and who may ask what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schemas.errors import StoreError
from ...schemas.records.layout import store_path
from .broken import Problem
from .reading import Reader
from .result import Result
from .session import mentioned
from .streaming import asked, count, stream, stream_arrow

if TYPE_CHECKING:
    import pyarrow as pa


class Queries:
    """A folder of runs, and SQL over it.

    Parameters
    ----------
    path : str or Path, optional
        The folder; by default `RGTOOL_STORE`, or `rgstore` in the working directory. It need not
        exist: a missing store is an empty one.

    Raises
    ------
    StoreError, UsageError
        The path is a file, or no UTF-8 text; it is a URL, or a folder of another machine.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        try:
            self.path = store_path(path).expanduser().absolute()
            in_the_way = self.path.exists() and not self.path.is_dir()
            str(self.path).encode()
        except UnicodeEncodeError:  # DuckDB takes no other names of files
            raise StoreError(f"{path}: the path of a store must be UTF-8 text") from None
        except (OSError, RuntimeError, ValueError) as error:  # too long, `~nobody`, a zero byte
            raise StoreError(f"{path}: no path of a store ({error})") from None
        if in_the_way:
            raise StoreError(f"{self.path} is a file: a store is a folder, name another one")
        self._reader = Reader(self.path)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Files that queries have left out so far, because they are broken or newer."""
        return self._reader.left_out.problems

    def sql(self, query: str) -> Result:
        """Run one SELECT of a user's own over the views.

        It can read the files of this store and nothing else, and cannot write.

        Raises
        ------
        QueryError
            The query is empty, holds two statements, writes, or is wrong.
        StoreError
            The store cannot be read.
        """
        with asked(self._reader, query, Result.of) as (_, found):
            return found

    def stream(self, query: str, size: int = 10_000) -> Iterator[Result]:
        """Run one SELECT as `sql` does, and read its rows in parts of `size`: memory holds one.

        The first part is there even if there are no rows. Errors are those of `sql`, raised with
        the first part; a store that changes while it is read ends it, too.

        Examples
        --------
        >>> parts = Queries("nowhere").stream("SELECT * FROM range(25000)")
        >>> [len(part) for part in parts]
        [10000, 10000, 5000]
        """
        return stream(self._reader, query, size)

    def stream_arrow(self, query: str, size: int = 100_000) -> pa.RecordBatchReader:
        """Run one SELECT as `sql` does, and read its rows as Arrow batches; the quickest way.

        Sums of integers are int64 where those of the first batch fit; a later one that does not is
        an error. Parameters and errors are those of `stream`.
        """
        return stream_arrow(self._reader, query, size)

    def count(self, query: str) -> int:
        """Count the rows of one SELECT, without reading them; errors are those of `sql`."""
        return count(self._reader, query)

    def query(
        self, sql: str, parameters: Sequence[Any] = (), *, runs: Collection[str] | None = None
    ) -> Result:
        """Run trusted SQL over the views and the relations behind them.

        Parameters
        ----------
        sql : str
            Any SQL; its text must not come from a user.
        parameters : sequence
            Values of its `?`.
        runs : collection of str, optional
            Read these runs alone, which is quick in any store.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        return self._reader.run(
            lambda c: Result.of(c, sql, parameters), runs, wanted=mentioned(sql)
        )
