"""From a store to a report of it, and from a report to a file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...schemas.display import Shown, Table
from ...schemas.errors import RgtoolError
from ...schemas.files import write_atomic
from ...schemas.words import counted
from ...store import Store
from ..named import Named, StoreLike, open_store
from .conditions import conditions
from .experiments import each
from .experiments import experiments as experiments_section
from .members import Member, gather
from .page import page
from .section import Contents, Section
from .standing import standing
from .summary import summary
from .thinning import MOST, Drawn, fitted
from .together import accuracy, classes, scoreboard
from .transfers import transfers

_TRIES = 4  # pages that are written until one is as small as it is to be


@dataclass(frozen=True, eq=False)
class Report(Contents, Shown):
    """What is seen in a store."""

    def table(self) -> Table:
        """Return a row for every section."""
        rows = [
            (
                one.title,
                len(list(one.all_charts())),
                len(list(one.all_listings())),
                len(one.parts),
            )
            for one in self.sections
        ]
        return Table(
            ("section", "charts", "tables", "parts"), rows, title=self.title, notes=self.findings
        )

    def html(self, most: int = MOST) -> str:
        """Return the page.

        Parameters
        ----------
        most : int
            Bytes beyond which the data of charts are thinned, which the page says.
        """
        charts = [chart for section in self.sections for chart in section.all_charts()]
        without = page(self, [Drawn(chart, {}, {}) for chart in charts])
        room = most - len(without.encode())
        for _ in range(_TRIES):
            html = page(self, *fitted(charts, room))
            over = len(html.encode()) - most
            if over <= 0:
                break
            room -= over  # escapes, and what is said of thinning
        return html

    def write(self, path: str | Path) -> None:
        """Write the page, whole or not at all.

        Raises
        ------
        RgtoolError
            The folder is missing or not writable, or the disk is full.
        """
        try:
            write_atomic(Path(path), self.html().encode())
        except OSError as error:
            raise RgtoolError(f"{path}: cannot be written ({error.strerror})") from None


def report(
    store: StoreLike = None,
    experiments: Sequence[Named] | None = None,
    *,
    every: float | None = None,
) -> Report:
    """Gather what a store holds and shows for one page.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiments : sequence of str, optional
        Names of experiments, each with all that it fits; default all of the store.
    every : float, optional
        Seconds after which the page is written again, which it then says.

    Raises
    ------
    UsageError
        A name cannot be had, or is not that of experiments of the store.
    StoreError
        The store cannot be read.

    Examples
    --------
    >>> report("nowhere").sections[0].title
    'Experiments'
    """
    from ... import __version__

    opened = open_store(store)
    members = gather(opened, experiments)
    path = str(opened.path)
    return Report(
        title=f"rgtool: {counted(len(members), 'experiment')}",
        store=path,
        made=dt.datetime.now(dt.UTC),
        version=__version__,
        findings=summary(members, path),
        sections=tuple(_sections(opened, members)),
        every=every,
    )


def _sections(store: Store, members: Sequence[Member]) -> Iterator[Section]:
    yield from _there(standing(store))
    yield experiments_section(members)
    if members:
        yield from _there(accuracy(members))
        yield from _there(classes(store, members))
        yield from _there(transfers(store, members))
        yield from _there(scoreboard(store))
        yield each(members)
        yield conditions(store, members)


def _there(section: Section | None) -> tuple[Section, ...]:
    return () if section is None else (section,)
