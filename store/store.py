"""The store: one object, the verbs of the command line as methods."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from ..schemas.description import Description
from ..schemas.errors import QueryError, StoreError, UsageError
from ..schemas.layout import RunFolder, store_path
from ..schemas.manifest import Manifest
from ..schemas.recipe import Recipe
from .broken import LeftOut, Problem
from .connection import connect
from .fence import explain, fenced
from .inventory import (
    ExperimentInfo,
    RunInfo,
    empty_store,
    is_finished,
    pick_experiment,
    pick_run,
    recipe_of,
)
from .result import Result
from .session import VIEWS, SessionError, fence, mentioned, open_session
from .snapshot import Snapshot, take

if TYPE_CHECKING:
    from .compaction import Compaction
    from .counts import Counts
    from .importers.report import ImportReport

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
_ATTEMPTS = 30  # a compaction that ends while a query runs makes it start again
_LAST = """
    SELECT run_id, max(level) AS last, arg_max_null(accuracy, level) AS accuracy,
           arg_max(density, level) AS density, arg_max(diverged, level) AS diverged
    FROM levels GROUP BY run_id"""


class Store:
    """A folder of runs, and every question one can ask of it.

    Parameters
    ----------
    path : str or Path, optional
        The folder; by default `RGTOOL_STORE`, or `rgstore` in the working directory. It need not
        exist: a missing store is an empty one.

    Raises
    ------
    StoreError
        The path is a file.

    Examples
    --------
    >>> Store("nowhere").sql("SELECT count(*) AS runs FROM runs").rows
    [(0,)]
    """

    path: Path

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = store_path(path).expanduser().absolute()
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{self.path} is a file: a store is a folder, name another one")
        self._left_out = LeftOut(self.path)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Files that queries have left out so far, because they are broken or newer."""
        return self._left_out.problems

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
        with connect() as connection:
            wrapped = fenced(query, connection)
            wanted = mentioned(wrapped)

            def run(connection: duckdb.DuckDBPyConnection) -> Result:
                fence(connection, self.path)
                return _fetch(connection, wrapped)

            try:
                if not wanted:
                    return run(connection)
                return self._read(run, wanted=wanted, connection=connection)
            except SessionError as error:
                raise StoreError(f"{self.path}: {str(error).splitlines()[0]}") from error
            except duckdb.Error as error:
                raise QueryError(explain(error, query)) from None

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
        return self._trusted(lambda c: _fetch(c, sql, parameters), runs, wanted=mentioned(sql))

    def runs(self) -> list[RunInfo]:
        """List the runs, by architecture, task, experiment and seed."""
        levels: dict[str, list[int]] = {}
        loose: set[str] = set()

        def narrow(snapshot: Snapshot) -> Snapshot:
            levels.update({run_id: snapshot.levels(run_id) for run_id in snapshot.runs})
            loose.clear()
            loose.update(snapshot.loose)
            return snapshot.newest_records()

        found = self._trusted(
            lambda c: _fetch(
                c,
                f"""
                SELECT run_id, experiment_id, architecture, task, seed, replicate, source,
                       recipe_name, levels, last, accuracy, density,
                       coalesce(diverged, false) AS diverged, created_at
                FROM runs LEFT JOIN ({_LAST}) USING (run_id)
                ORDER BY architecture, task, experiment_id, seed, replicate, run_id""",
            ),
            narrow=narrow,
            wanted=("runs", "levels"),
        )
        return [
            _run_info({**row, "compacted": row["run_id"] not in loose}, levels[row["run_id"]])
            for row in found.to_dicts()
        ]

    def experiments(self) -> list[ExperimentInfo]:
        """List the experiments, by architecture and task."""
        runs: dict[str, list[RunInfo]] = {}
        for run in self.runs():
            runs.setdefault(run.experiment_id, []).append(run)
        recipes = self._recipes()
        return [
            ExperimentInfo(name, recipes[name], tuple(runs[name]))
            for name in runs
            if name in recipes
        ]

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
        from .loading import load_counts

        found = self.query("SELECT run_id FROM runs WHERE experiment_id = ?", [experiment]).rows
        if not found:
            experiment = self.find_experiment(experiment)
            return self.counts(experiment, by)
        runs = [run_id for (run_id,) in found]
        return self._trusted(
            lambda c: load_counts(lambda sql: _fetch(c, sql), experiment, by),
            runs,
            wanted=("runs", "layers", "records"),
        )

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
        return compact(self.path, self._left_out, finished)

    def import_runs(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        format: str | None = None,
        name: str | None = None,
        task: str | None = None,
        architecture: str | None = None,
        recipe: str | None = None,
        blocks: str | Path | None = None,
        keep: Sequence[str] = (),
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
        blocks : path, optional
            A block map for networks that are not known, see `docs/importing.md`.
        keep : sequence of str
            Weights to copy: `init`, `rewind`, `dense`.

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
            blocks=blocks,
            keep=keep,
        )
        several = [paths] if isinstance(paths, str | Path) else paths
        return imports.import_runs(self.path, imports.survey(several, format), chosen)

    def _recipes(self) -> dict[str, Recipe]:
        found = self.query("SELECT DISTINCT ON (experiment_id) * FROM runs ORDER BY experiment_id")
        return {row["experiment_id"]: recipe_of(row) for row in found.to_dicts()}

    def _trusted(
        self,
        run: Callable[[duckdb.DuckDBPyConnection], T],
        only: Collection[str] | None = None,
        narrow: Callable[[Snapshot], Snapshot] | None = None,
        wanted: Collection[str] = VIEWS,
    ) -> T:
        try:
            return self._read(run, only=only, narrow=narrow, wanted=wanted)
        except duckdb.Error as error:
            raise StoreError(f"{self.path}: {str(error).splitlines()[0]}") from error

    def _read(
        self,
        run: Callable[[duckdb.DuckDBPyConnection], T],
        *,
        only: Collection[str] | None = None,
        narrow: Callable[[Snapshot], Snapshot] | None = None,
        wanted: Collection[str] = VIEWS,
        connection: duckdb.DuckDBPyConnection | None = None,
    ) -> T:
        """Run something over a snapshot; again without the files that made it fail.

        The first attempt uses `connection` if there is one.
        """
        for _ in range(_ATTEMPTS):
            snapshot = take(self.path, self._left_out, only)
            snapshot = narrow(snapshot) if narrow else snapshot
            connection, first = None, connection
            try:
                with open_session(snapshot, wanted, first) as session:
                    return run(session)
            except _QUERY_ERRORS:
                raise
            except duckdb.Error as error:
                if not self._recovers(snapshot, error):
                    raise
        raise StoreError(f"{self.path} changes faster than it can be read: try again")

    def _recovers(self, snapshot: Snapshot, error: Exception) -> bool:
        """Tell whether it helps to look at the store again after a query has failed."""
        compact = snapshot.manifest.files
        if not all(Path(file).exists() for file in [*map(str, compact), *snapshot.record_files]):
            now = Manifest.read(self.path)
            lost = [file for file in now.files if not file.exists()]
            if lost and now.again() is now:
                raise StoreError(
                    f"{lost[0]} is missing, which the manifest names: bring it back from a copy"
                )
            return True
        if blamed := [file for file in compact if str(file) in str(error)]:
            raise StoreError(
                f"{blamed[0]} is damaged ({str(error).splitlines()[0]}): bring it back from a copy"
            )
        if isinstance(error, duckdb.ConversionException) and not _FROM_FILE.search(str(error)):
            return False  # a cast of the query's own
        return self._left_out.search(snapshot.record_files, str(error))


def _fetch(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()
) -> Result:
    rows = connection.execute(sql, list(parameters)).fetchall()
    columns = connection.description or []
    return Result(tuple(c[0] for c in columns), tuple(str(c[1]) for c in columns), rows)


def _run_info(row: dict[str, Any], levels: list[int]) -> RunInfo:
    row = {**row, "last_level": row["last"], "recorded": len(levels)}
    row["finished"] = is_finished(levels, row["levels"], row["diverged"])
    return RunInfo(**{field.name: row[field.name] for field in dataclasses.fields(RunInfo)})
