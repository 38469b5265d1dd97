"""What a store holds, listed and found by what people write."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from ...schemas import tables
from ...schemas.display import Shown, Table
from ...schemas.errors import StoreError, UsageError
from ...schemas.published import PREFIX
from ..sql.queries import Queries
from .inventory import FORMER
from .listing import Experiments, Runs, labels_of, list_candidates, list_runs, store_table
from .selection import (
    Candidate,
    Identified,
    empty_store,
    nearest_runs,
    pick,
    pick_run,
    select,
    text_of,
)


class Holdings(Queries, Shown):
    """A folder of runs, and which are in it; parameters and errors are those of `Queries`."""

    most, whole = 100, "experiments() has all"

    def runs(self, selection: str | Identified | None = None) -> Runs:
        """List the runs, or those that a selection fits, by architecture, task and seed."""
        every = list_runs(self._reader, labels_of(self._candidates()))
        if selection is None:
            return every
        chosen = self.find_all(selection)
        return Runs(run for run in every if run.experiment_id in chosen or run.run_id in chosen)

    def experiments(self, selection: str | Identified | None = None) -> Experiments:
        """List the experiments, or those that a selection fits, by architecture and task."""
        every = self._candidates()
        labels = labels_of(every)
        ids = None if selection is None else self._select(selection, every)
        wanted = [one for one in every if ids is None or one.experiment_id in ids]
        return Experiments.of(list_runs(self._reader, labels), wanted, labels)

    def table(self) -> Table:
        """Return the table of experiments that `rgtool ls` prints, and a notebook shows."""
        return store_table(self.experiments(), self)

    def find_experiment(self, name: str | Identified | None = None, *, strict: bool = False) -> str:
        """Return the id of the experiment that a name means.

        Parameters
        ----------
        name : str, optional
            What selects one: itself, a prefix of its id (or of a former one), a name that was
            given, `resnet20/cifar10`, fields such as `prune=.36` and `tag=paper`, or several of
            these with spaces between them. May be left out where the store holds exactly one.
            Where it fits children too, the experiment that finds its own tickets is meant.
        strict : bool
            Whether children count like all others.

        Raises
        ------
        UsageError
            None or several fit; the message lists the candidates.
        StoreError
            The store holds no runs.
        """
        name = None if name is None else text_of(name)
        with self._or_what_it_is(name):
            return pick(name, self._candidates(), str(self.path), self._former, strict=strict)

    def find_experiments(self, selection: str | Identified) -> list[str]:
        """Return the ids of all experiments that a selection fits, by label.

        Raises
        ------
        UsageError
            None fits; the message names the nearest.
        StoreError
            The store holds no runs.
        """
        return self._select(selection, self._candidates())

    def find_all(self, selection: str | Identified) -> list[str]:
        """Return the ids of all experiments that a selection fits, or that of the run it means.

        Raises
        ------
        UsageError
            None fits; the message names the nearest.
        StoreError
            The store holds no runs.
        """
        try:
            return self.find_experiments(selection)
        except UsageError:
            experiment, run = self.find(selection)
            return [run or experiment]

    def find_run(self, name: str | Identified) -> str:
        """Return the id of the run that a name means.

        Parameters
        ----------
        name : str
            A unique prefix of its id, a name that was given to it, or what selects an experiment
            that has exactly one run.

        Raises
        ------
        UsageError
            None or several fit; the message lists the candidates.
        StoreError
            The store holds no runs.
        """
        name = text_of(name)
        runs = self.query("SELECT run_id, experiment_id, run_name FROM runs").rows
        if not runs:
            raise StoreError(empty_store(str(self.path)))
        found = pick_run(name, {run_id: called for run_id, _, called in runs})
        if found is not None:
            return found
        try:
            experiment = self.find_experiment(name)
        except UsageError as error:
            near = nearest_runs(name, [run_id for run_id, *_ in runs]) if "-" in name else ""
            where = f"no run or experiment '{name}' in {self.path}: {near}"
            told = str(error).replace("no experiment", "no run or experiment")
            raise UsageError(where if near else told) from None
        members: list[str] = sorted(run_id for run_id, of, _ in runs if of == experiment)
        if len(members) > 1:
            raise UsageError(
                f"'{name}' has {len(members)} runs, name one: {', '.join(members[:5])}"
            )
        return members[0]

    def find(self, name: str | Identified) -> tuple[str, str | None]:
        """Return the experiment that a name means, and the run where it is the name of one.

        Raises
        ------
        UsageError
            None or several fit; the message lists the candidates.
        StoreError
            The store holds no runs.
        """
        name = text_of(name)
        try:
            return self.find_experiment(name), None
        except UsageError as error:
            try:
                run_id = self.find_run(name)
            except UsageError as other:
                raise other if "-" in name else error from None
        ((experiment,),) = self.query(
            "SELECT experiment_id FROM runs WHERE run_id = ?", [run_id]
        ).rows
        return experiment, run_id

    def _candidates(self) -> list[Candidate]:
        return list_candidates(self._reader)

    def _former(self) -> dict[str, list[str]]:
        return dict(self.query(FORMER).rows)

    def _select(self, selection: str | Identified, among: Sequence[Candidate]) -> list[str]:
        text = text_of(selection)
        with self._or_what_it_is(text):
            return select(text, among, str(self.path), self._former)

    @contextlib.contextmanager
    def _or_what_it_is(self, name: str | None) -> Iterator[None]:
        """Say of a name of another kind what it is, where no experiment has it."""
        try:
            yield
        except UsageError as error:
            other = None if name is None else self._other_kind(name)
            raise other or error from None

    def _other_kind(self, name: str) -> UsageError | None:
        from ..literature import find_published

        if name.casefold().startswith(PREFIX):
            found = find_published(name)
            return UsageError(
                f"an experiment of the store is due: {found.name} is {found.kind}, which "
                f"{found.taken}; rgtool ls --published lists them"
            )
        if tables.is_table(name):
            return UsageError(
                f"an experiment of the store is due: {name} is {tables.KIND}, which {tables.TAKEN}"
            )
        runs = self.query("SELECT run_id, experiment_id, run_name FROM runs").rows
        with contextlib.suppress(UsageError):  # several runs are no better than no experiment
            run = pick_run(name, {run_id: called for run_id, _, called in runs})
            of = next((experiment for run_id, experiment, _ in runs if run_id == run), None)
            if of is not None:
                return UsageError(
                    f"an experiment is due: '{name}' is a run, {run}, of {of}; rgtool ls --runs "
                    "lists runs"
                )
        return None
