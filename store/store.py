"""The store: one object, the verbs of the command line as methods."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..schemas.errors import RgtoolError, UsageError
from ..schemas.records.description import Description
from ..schemas.records.layout import RunFolder
from .catalogue.holdings import Holdings
from .catalogue.listing import apart_of, list_candidates
from .catalogue.selection import Identified, text_of
from .sql.snapshot import take

if TYPE_CHECKING:
    from .catalogue.difference import Difference
    from .catalogue.listing import Entries
    from .catalogue.predictions import Predictions
    from .catalogue.standing import Standing
    from .counts import Counts
    from .importers.report import ImportReport
    from .upkeep.check import Check
    from .upkeep.compaction import Compaction
    from .upkeep.medium import Trials
    from .upkeep.merge_report import MergeReport
    from .upkeep.removal import Removal


class Store(Holdings):
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

    def standing(
        self, selections: Sequence[str | Identified] = (), *, every: bool = False
    ) -> Standing:
        """Tell how far the runs are that are trained here, and who is at work on them.

        Parameters
        ----------
        selections : sequence of str
            What selects experiments or runs; none: all.
        every : bool
            Whether runs of which nothing is left are listed too.

        Raises
        ------
        UsageError
            A selection fits nothing.
        StoreError
            The store cannot be read.
        """
        from .catalogue.standing import standing

        return standing(self, selections, every=every)

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

    def counts(self, experiment: str | Identified, by: str = "block") -> Counts:
        """Return the counts of an experiment as arrays.

        Parameters
        ----------
        experiment : str
            Itself, its id, or what selects it, see `find_experiment`.
        by : str
            Grouping: `layer`, `block`, `stage` or `role`.

        Raises
        ------
        UsageError
            No such experiment or grouping, or the architecture has none of it.
        StoreError
            No records, or runs that do not agree on their layers.
        """
        name = text_of(experiment)
        runs = self._members([name]) or self._members([self.find_experiment(name)])
        from .loading import counts_of

        ((_, found),) = counts_of(self._reader, runs, by, 1, self._apart(runs))
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
            Grouping: `layer`, `block`, `stage` or `role`.
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
        from .loading import counts_of

        return counts_of(self._reader, runs, by, chunk, self._apart(runs))

    def _apart(self, experiments: Collection[str]) -> dict[str, str]:
        return apart_of(list_candidates(self._reader, experiments))

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

    def name(
        self,
        selection: str,
        name: str | None = None,
        *,
        note: str | None = None,
        tags: Sequence[str] = (),
        untag: Sequence[str] = (),
        clear: bool = False,
    ) -> Entries:
        """Give an experiment or a run a name, a note and tags, which select it from then on.

        They are no part of its identity: what is written of it stays as it is.

        Parameters
        ----------
        selection : str
            What selects it; several where no name is given.
        name, note : str, optional
            The new ones; an empty text takes away the one that is there.
        tags, untag : sequence of str
            Tags to add, and to take away.
        clear : bool
            Whether all that was said before goes.

        Returns
        -------
        Entries
            What they are called now.

        Raises
        ------
        UsageError
            Nothing fits, another one has the name, or it could be taken for an id or a label.
        StoreError
            The store holds no runs, or cannot be written.
        """
        from ..schemas.records.names import Naming
        from .catalogue.names import call

        return call(self, selection, Naming(name, note, tuple(tags), tuple(untag), clear))

    def diff(self, a: str | Identified, b: str | Identified, *, every: bool = False) -> Difference:
        """Compare recipes, conditions and levels of two experiments or runs.

        Parameters
        ----------
        a, b : str
            What selects them.
        every : bool
            Whether what is the same is listed too.

        Raises
        ------
        UsageError
            None or several fit; the message lists the candidates.
        StoreError
            The store holds no runs.
        """
        from .catalogue.difference import difference

        return difference(self, a, b, every=every)

    def predictions(self) -> Predictions:
        """List what was predicted before the runs that test it, and what of that was changed.

        `rgtool.predict(..., register=True)` writes predictions down, `rgtool.score` scores them.
        """
        from .catalogue.predictions import read_predictions

        return read_predictions(self.path)

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
        from .upkeep.compaction import compact

        finished = {run.run_id for run in self.runs() if run.finished}
        return compact(self.path, self._reader.left_out, finished)

    def remove(self, names: str | Sequence[str], *, dry_run: bool = False) -> Removal:
        """Remove runs, or all runs of experiments, with masks, weights and checkpoints.

        Parameters
        ----------
        names : str or sequence of str
            Runs and experiments, as they are named everywhere.
        dry_run : bool
            Say what would be removed, and remove nothing.

        Returns
        -------
        Removal
            What is gone, and why a run is not: a process that is writing it keeps it.

        Raises
        ------
        UsageError
            A name fits nothing, or several.
        StoreError
            The store holds no runs.
        Locked
            Another process imports into the store, or compacts it, for too long.
        """
        from .upkeep.removal import remove

        return remove(self, [names] if isinstance(names, str) else names, dry_run=dry_run)

    def merge(
        self,
        stores: str | Path | Sequence[str | Path],
        *,
        dry_run: bool = False,
        on_run: Callable[[int, int], None] | None = None,
    ) -> MergeReport:
        """Bring the runs of other stores in, with masks, weights and checkpoints.

        What is here already and the same changes nothing; a run that is longer there grows; one
        that contradicts the run here is left where it is, and named.

        Parameters
        ----------
        stores : path or sequence of paths
            The other stores, loose or compacted; they are only read.
        dry_run : bool
            Say what would come in, and change nothing.
        on_run : callable, optional
            Called after each run with their number so far, and that of all of its store.

        Raises
        ------
        UsageError
            A path is no store, or this one.
        StoreError
            The store cannot be written, or one is of a newer rgtool.
        Locked
            Another process imports into the store, or compacts it, for too long.
        """
        from .upkeep.merging import merge

        paths = [stores] if isinstance(stores, str | Path) else stores
        sources = [Store(path).path for path in paths]
        return merge(self.path, sources, dry_run=dry_run, on_run=on_run)

    def removed(self) -> tuple[str, ...]:
        """List the runs that are gone and have rows in compacted files until the next `compact`.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        return tuple(sorted(take(self.path, self._reader.left_out).gone))

    def check(self) -> Check:
        """Read every file of the store and hold it to its sum and its schema.

        What is damaged is left out of queries from then on, and nothing is removed.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        from .upkeep.check import check

        self.runs()  # what no file says alone: parts that are missing, records that stand twice
        return check(self.path, self._reader.left_out)

    def try_out(self) -> Trials:
        """Try what the store needs of its file system: locks, renaming, flushing, stamps."""
        from .upkeep.medium import try_out

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
        zeros_are_mask: bool = False,
        dry_run: bool = False,
    ) -> ImportReport:
        """Import other people's checkpoints: every run and level under some paths.

        Doing it again changes nothing; of a folder that has grown only the new levels come in, and
        what is told later corrects what was imported.

        Parameters
        ----------
        paths : path or sequence of paths
            Folders or files.
        format : str, optional
            One of the formats; by default each folder's own is detected.
        name, task, architecture, recipe : str, optional
            Name of the experiment, and what the files do not tell.
        init, fan : str, optional
            How the weights were initialised.
        blocks : path, optional
            A block map for networks that are not known, see `docs/importing.md`.
        keep : sequence of str
            Weights to copy: `init`, `rewind`, `dense`.
        follow_links : bool
            Whether symbolic links that lead out of the folder are followed.
        zeros_are_mask : bool
            Whether the zeros of weights that have no mask are one.
        dry_run : bool
            Whether to report what would be done, and leave the store as it is.

        Raises
        ------
        UsageError
            A path does not exist, or a name is unknown.
        StoreError
            The store cannot be written, or the disk is full.
        """
        from .importers import imports
        from .importers.tree import Reading

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
        found = imports.survey(paths, format, Reading(follow_links, zeros_are_mask))
        bring = imports.rehearse if dry_run else imports.import_runs
        return bring(self.path, found, chosen)
