"""The one look-up: from a name to what it means, for every function that takes a name.

A name is what selects an experiment or a run of a store (`store/catalogue/`): a prefix of an id,
a name that was given, a label such as `resnet20/cifar10`, fields such as `prune=.36`. Or it is
`published:NAME` of the literature, or a CSV or Parquet file of errors. What was found before, such
as `Counts`, an experiment of a list or the outcome of `run`, stands for itself wherever a name
does. Where several things are welcome, a selection
means all that it fits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..schemas import tables
from ..schemas.blocks import GROUPINGS
from ..schemas.errors import RgtoolError, UsageError, choose
from ..schemas.tables import is_table
from ..store import Store
from ..store.catalogue.selection import Identified
from ..store.counts import Counts
from ..store.flows import PublishedFlow
from ..store.literature import PREFIX, PublishedCurve, PublishedSpectrum, find_published
from .result import Result

StoreLike = Store | str | Path | None


@dataclass(frozen=True)
class Stored:
    """An experiment of a store, or one run of it.

    Attributes
    ----------
    store : Store
        Where it is.
    experiment_id : str
        The experiment.
    run_id : str or None
        The run, where the name was that of a run.
    runs : tuple of str or None
        Ids of the runs of the experiment that are meant alone; None: all that it has.
    """

    store: Store
    experiment_id: str
    run_id: str | None = None
    runs: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The id, of the run where it is one."""
        return self.run_id or self.experiment_id

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return "an experiment of the store" if self.run_id is None else "a run of the store"

    def counts(self, by: str = "block") -> Counts:
        """Read its counts in one grouping.

        Raises
        ------
        UsageError
            There is no such grouping, or the architecture has none.
        StoreError
            There are no records, or runs do not agree on their layers.
        """
        return self.of(self.store.counts(self.experiment_id, by))

    def of(self, counts: Counts) -> Counts:
        """Return of the counts of the experiment those of the runs that are meant."""
        meant = self.runs if self.run_id is None else (self.run_id,)
        if meant is None:
            return counts
        return counts.select([i for i, run in enumerate(counts.runs) if run in meant])


@dataclass(frozen=True)
class ErrorTable:
    """A file with columns of densities and errors."""

    path: Path
    kind: ClassVar[str] = tables.KIND
    taken: ClassVar[str] = tables.TAKEN

    @property
    def name(self) -> str:
        """The path as it was given."""
        return str(self.path)


Meaning = Stored | Counts | PublishedSpectrum | PublishedCurve | PublishedFlow | ErrorTable
Named = str | Meaning | Identified | None


def open_store(store: StoreLike = None) -> Store:
    """Return the store, or the one in a folder; None is the default one.

    Raises
    ------
    StoreError
        The path is a file.
    """
    return store if isinstance(store, Store) else Store(store)


def look_up(store: StoreLike, name: Named = None) -> Meaning:
    """Look up what a name means.

    Parameters
    ----------
    store : Store or path, optional
        Where experiments are; by default `RGTOOL_STORE`, or `rgstore` in the working directory.
    name : str, optional
        What selects one experiment or run, see `Store.find_experiment`, `published:NAME`, or a
        CSV or Parquet file. Left out: the one experiment of the store. What was found already is
        returned as it is; an experiment or a run of a list, or the outcome of `run`, is looked up.

    Raises
    ------
    UsageError
        None or several fit; the message lists the candidates.
    StoreError
        The store holds no runs.
    """
    if isinstance(name, Meaning):
        return name
    if not (name is None or isinstance(name, str)):
        return _itself(store, name)
    if name is not None and is_published(name):
        return find_published(name)
    if name is not None and is_table(name):
        return ErrorTable(Path(name))
    opened = open_store(store)
    if name is None:
        return Stored(opened, opened.find_experiment())
    return Stored(opened, *opened.find(name))


def _itself(store: StoreLike, one: Identified) -> Stored:
    """Find an experiment or a run that was given itself: in its own store, where it knows that."""
    if isinstance(one, Result):
        raise UsageError(
            f"a {type(one).__name__} is what was found of an experiment: give the experiment"
        )
    opened, own = open_store(store), getattr(one, "store", None)
    if isinstance(own, Path) and own.absolute() != opened.path.absolute():
        opened = Store(own)
    return Stored(opened, *opened.find(one))


def look_up_all(
    store: StoreLike, names: Sequence[Named], exclude: Sequence[Named] = ()
) -> list[Meaning]:
    """Look up several names; none means every experiment of the store, by architecture and task.

    A name that fits several experiments means all of them; what several names mean counts once.
    Children are meant by names that fit nothing else: their masks are their parents'.
    What is excluded is left out, whether or not it is among them.

    Raises
    ------
    UsageError
        A name cannot be had, also of what is excluded; a run is excluded of an experiment that
        stays; or all are excluded.
    StoreError
        The store holds no runs.
    """
    opened = open_store(store)
    if names:
        every = [one for name in names for one in look_up_each(opened, name)]
    else:
        every = [
            Stored(opened, one.experiment_id)
            for one in opened.experiments()
            if one.recipe.parent is None
        ]
        every = every or [look_up(opened)]  # says that the store is empty
    found = {_key(one): one for one in every}
    out = {_key(one): one for name in exclude for one in look_up_each(opened, name)}
    stay = {key: one for key, one in found.items() if key not in out}
    for one in out.values():
        if isinstance(one, Stored) and (Stored, one.experiment_id) in stay:
            whole = f"{one.name} is a run of {one.experiment_id}"
            raise UsageError(f"{whole}: exclude whole experiments")
    if not stay:
        raise UsageError("every experiment is excluded: leave one")
    return [*stay.values()]


def look_up_each(store: Store, name: Named) -> list[Meaning]:
    """Look up what a name means, all experiments that it fits; errors are those of `look_up`."""
    if isinstance(name, str) and not is_published(name) and not is_table(name):
        with contextlib.suppress(UsageError):
            found = store.experiments(name)
            own = [one for one in found if one.recipe.parent is None]
            return [Stored(store, one.experiment_id) for one in own or found]
    return [look_up(store, name)]


def _key(found: Meaning) -> tuple[type, object]:
    """Return what is equal where two names mean the same."""
    return type(found), found if isinstance(found, Counts) else found.name


def is_published(name: str) -> bool:
    """Tell whether a name is one of the literature."""
    return name.casefold().startswith(PREFIX)


def counts_of(store: StoreLike, name: Named, by: str, what: str) -> Counts:
    """Return the counts that a name means.

    Parameters
    ----------
    store, name
        As for `look_up`.
    by : str
        `layer`, `block`, `stage` or `role`.
    what : str
        What needs counts, for the message: `a forecast`.

    Raises
    ------
    UsageError
        The name cannot be had, or means something without counts.
    """
    by = choose("grouping", by, GROUPINGS)
    found = look_up(store, name)
    if isinstance(found, Counts):
        return found
    if isinstance(found, Stored | PublishedFlow):
        return found.counts(by)
    raise unsuited(found, f"{what} needs the counts of an experiment or a run")


def counts_of_all(store: StoreLike, names: Sequence[Named], by: str, what: str) -> list[Counts]:
    """Return the counts that names mean, those of whole experiments read together.

    Parameters and errors are those of `counts_of`.
    """
    found = [look_up(store, name) for name in names]
    whole = [one for one in found if isinstance(one, Stored) and one.run_id is None]
    read: dict[str, Counts | RgtoolError] = {}
    if whole:
        ids = list(dict.fromkeys(one.experiment_id for one in whole))
        read = dict(whole[0].store.counts_of(ids, by))
    counts = []
    for one in found:
        if isinstance(one, Stored) and one.run_id is None:
            of_many = read[one.experiment_id]
            if isinstance(of_many, RgtoolError):
                raise of_many
            counts.append(one.of(of_many))
        else:
            counts.append(counts_of(store, one, by, what))
    return counts


def unsuited(found: Meaning, needs: str) -> UsageError:
    """Return the error that says why what was found cannot serve.

    Parameters
    ----------
    found : what `look_up` returns
        What was found.
    needs : str
        What is needed, with its subject: `gamma needs an error curve`.
    """
    if isinstance(found, Counts):
        return UsageError(f"{needs}: {found.experiment_id} is counts of weights")
    taken = "" if isinstance(found, Stored) else found.taken
    return UsageError(f"{needs}: {found.name} is {found.kind}{taken and f', which {taken}'}")
