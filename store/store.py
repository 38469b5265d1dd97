"""The store: one object, the verbs of the command line as methods."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..schemas.description import Description
from ..schemas.display import Shown, Table
from ..schemas.errors import RgtoolError, StoreError, UsageError
from ..schemas.layout import RunFolder, store_path
from ..schemas.recipe import Recipe
from .broken import Problem
from .inventory import (
    RUNS,
    empty_store,
    pick_experiment,
    pick_run,
    recipe_of,
)
from .listing import Experiments, Runs, store_table
from .reading import Reader
from .result import Result
from .session import mentioned
from .snapshot import Snapshot
from .streaming import asked, count, stream, stream_arrow

if TYPE_CHECKING:
    import pyarrow as pa

    from .check import Check
    from .compaction import Compaction
    from .counts import Counts
    from .importers.report import ImportReport
    from .medium import Trial


class Store(Shown):
    """A folder of runs, and every question one can ask of it.

    Parameters
    ----------
    path : str or Path, optional
        The folder; by default `RGTOOL_STORE`, or `rgstore` in the working directory. It need not
        exist: a missing store is an empty one.

    Raises
    ------
    StoreError, UsageError
        The path is a file, or no UTF-8 text; it is a URL, or a folder of another machine.

    Examples
    --------
    >>> Store("nowhere").sql("SELECT count(*) AS runs FROM runs").rows
    [(0,)]
    """

    most, whole = 100, "experiments() has all"

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
        >>> parts = Store("nowhere").stream("SELECT * FROM range(25000)")
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

    def runs(self) -> Runs:
        """List the runs, by architecture, task, experiment and seed."""
        levels: dict[str, list[int]] = {}
        loose: set[str] = set()

        def narrow(snapshot: Snapshot) -> Snapshot:
            levels.update({run_id: snapshot.levels(run_id) for run_id in snapshot.runs})
            loose.clear()
            loose.update(snapshot.loose)
            return snapshot.newest_records()

        found = self._reader.run(
            lambda c: Result.of(c, RUNS), narrow=narrow, wanted=("runs", "levels")
        )
        return Runs.of(found.to_dicts(), levels, loose)

    def experiments(self) -> Experiments:
        """List the experiments, by architecture and task."""
        return Experiments.of(self.runs(), self._recipes())

    def table(self) -> Table:
        """Return the table of experiments that `rgtool ls` prints, and a notebook shows."""
        return store_table(self)

    def find_experiment(self, name: str | None = None) -> str:
        """Return the id of the experiment that a name means.

        Parameters
        ----------
        name : str, optional
            A unique prefix of its id, or `resnet20/cifar10` where that is unique. May be left
            out where the store holds exactly one.

        Raises
        ------
        UsageError
            None or several fit; the message lists the candidates.
        StoreError
            The store holds no runs.
        """
        return pick_experiment(name, self._recipes(), str(self.path))

    def find_run(self, name: str) -> str:
        """Return the id of the run that a name means.

        Parameters
        ----------
        name : str
            A unique prefix of its id, or an experiment that has exactly one run.

        Raises
        ------
        UsageError
            None or several fit; the message lists the candidates.
        StoreError
            The store holds no runs.
        """
        runs = self.query("SELECT run_id, experiment_id FROM runs").rows
        if not runs:
            raise StoreError(empty_store(str(self.path)))
        found = pick_run(name, (run_id for run_id, _ in runs))
        if found is not None:
            return found
        try:
            experiment = self.find_experiment(name)
        except UsageError as error:
            raise UsageError(str(error).replace("no experiment", "no run or experiment")) from None
        members: list[str] = sorted(run_id for run_id, of in runs if of == experiment)
        if len(members) > 1:
            raise UsageError(
                f"'{name}' has {len(members)} runs, name one: {', '.join(members[:5])}"
            )
        return members[0]

    def description(self, run_id: str) -> Description:
        """Return the description of a run, by its full id.

        Raises
        ------
        UsageError
            There is no such run.
        RecordError
            Its description is broken.
        """
        description = RunFolder.of(self.path, run_id).read_description()
        if description is None:
            raise UsageError(f"no run '{run_id}' in {self.path}")
        return description

    def counts(self, experiment: str, by: str = "block") -> Counts:
        """Return the counts of an experiment as arrays.

        Parameters
        ----------
        experiment : str
            Its id, a prefix of it, or `resnet20/cifar10` where that is unique.
        by : str
            Grouping: `layer`, `block` or `stage`.

        Raises
        ------
        UsageError
            No such experiment or grouping, or the architecture has no stages.
        StoreError
            No records, or runs that do not agree on their layers.
        """
        runs = self._members([experiment]) or self._members([self.find_experiment(experiment)])
        ((_, found),) = self._counts_of(runs, by, 1)
        if isinstance(found, RgtoolError):
            raise found
        return found

    def counts_of(
        self, experiments: Sequence[str] | None = None, by: str = "block", *, chunk: int = 250
    ) -> Iterator[tuple[str, Counts | RgtoolError]]:
        """Return the counts of many experiments, one after the other, in little memory.

        Parameters
        ----------
        experiments : sequence of str, optional
            Full ids; by default all experiments of the store, by id.
        by : str
            Grouping: `layer`, `block` or `stage`.
        chunk : int
            Experiments that are read at once.

        Yields
        ------
        tuple
            The id, and the counts or the error that says why there are none.

        Raises
        ------
        UsageError
            No such experiment or grouping.
        """
        runs = self._members(experiments)
        unknown = [name for name in experiments or () if name not in runs]
        if unknown:
            raise UsageError(f"no experiment '{unknown[0]}' in {self.path}")
        return self._counts_of(runs, by, chunk)

    def _counts_of(
        self, runs: Mapping[str, Sequence[str]], by: str, chunk: int
    ) -> Iterator[tuple[str, Counts | RgtoolError]]:
        from .loading import load_counts

        names = list(runs)
        for first in range(0, len(names), chunk):
            part = names[first : first + chunk]
            found = self._reader.run(
                lambda connection: load_counts(connection, by),
                [run for name in part for run in runs[name]],
                wanted=("runs", "records"),
            )
            yield from ((name, found[name]) for name in part if name in found)

    def _members(self, experiments: Sequence[str] | None) -> dict[str, list[str]]:
        """Return the runs of experiments by their full ids, in the order that is asked for."""
        asked = "" if experiments is None else "WHERE list_contains(?, experiment_id)"
        found = self.query(
            f"SELECT experiment_id, run_id FROM runs {asked} ORDER BY ALL",
            [] if experiments is None else [list(experiments)],
        )
        runs: dict[str, list[str]] = {}
        for name, run_id in found.rows:
            runs.setdefault(name, []).append(run_id)
        return {name: runs[name] for name in experiments or runs if name in runs}

    def compact(self) -> Compaction:
        """Merge the records and descriptions of finished runs into few large files.

        Others may write and query meanwhile. What is merged is removed from the folders of the
        runs; masks and weights stay there. A run that is extended later is merged again.

        Raises
        ------
        Locked
            Another process is compacting this store.
        StoreError
            The store cannot be written, or the disk is full; nothing is lost.
        """
        from .compaction import compact

        finished = {run.run_id for run in self.runs() if run.finished}
        return compact(self.path, self._reader.left_out, finished)

    def check(self) -> Check:
        """Read every file of the store and hold it to its sum and its schema.

        What is damaged is left out of queries from then on, and nothing is removed.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        from .check import check

        self.runs()  # what no file says alone: parts that are missing, records that stand twice
        return check(self.path, self._reader.left_out)

    def try_out(self) -> tuple[Trial, ...]:
        """Try what the store needs of its file system: locks, renaming, flushing, stamps."""
        from .medium import try_out

        return try_out(self.path)

    def import_runs(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        format: str | None = None,
        name: str | None = None,
        task: str | None = None,
        architecture: str | None = None,
        recipe: str | None = None,
        init: str | None = None,
        fan: str | None = None,
        blocks: str | Path | None = None,
        keep: Sequence[str] = (),
        follow_links: bool = False,
    ) -> ImportReport:
        """Import other people's checkpoints: every run and level under some paths.

        Doing it again changes nothing; of a folder that has grown only the new levels come in.

        Parameters
        ----------
        paths : path or sequence of paths
            Folders or files.
        format : str, optional
            One of the formats; by default each folder's own is detected.
        name, task, architecture, recipe : str, optional
            Name of the experiment, and what the files do not tell.
        init, fan : str, optional
            How the weights were initialised; told later, runs that are in the store learn it.
        blocks : path, optional
            A block map for networks that are not known, see `docs/importing.md`.
        keep : sequence of str
            Weights to copy: `init`, `rewind`, `dense`.
        follow_links : bool
            Whether symbolic links that lead out of the folder are followed.

        Raises
        ------
        UsageError
            A path does not exist, or a name is unknown.
        StoreError
            The store cannot be written, or the disk is full.
        """
        from .importers import imports

        chosen = imports.choices(
            name=name,
            task=task,
            architecture=architecture,
            recipe=recipe,
            init=init,
            fan=fan,
            blocks=blocks,
            keep=keep,
        )
        found = imports.survey(paths, format, follow_links=follow_links)
        return imports.import_runs(self.path, found, chosen)

    def _recipes(self) -> dict[str, Recipe]:
        found = self.query("SELECT DISTINCT ON (experiment_id) * FROM runs ORDER BY experiment_id")
        return {row["experiment_id"]: recipe_of(row) for row in found.to_dicts()}
