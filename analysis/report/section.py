"""The parts of a report, before they are a page."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...schemas.display import Table

if TYPE_CHECKING:
    from ..charts.chart import Chart


@dataclass(frozen=True)
class Listing:
    """A table of a report.

    Attributes
    ----------
    key : str
        Names the file that its rows are handed out as.
    table : Table
        Its rows; of its columns those are seen that people see.
    command : str
        Prints all of its columns.
    links : mapping of str to str
        Sections of the report by what stands in the first column.
    """

    key: str
    table: Table
    command: str = ""
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part of a report: sentences, charts, tables, and parts of its own.

    Attributes
    ----------
    key : str
        What links name it by, unique in the report.
    title : str
        Its heading.
    text : tuple of str
        Sentences that stand first; notes keep their rank.
    charts : tuple of Chart
        In the order in which they are seen.
    listings : tuple of Listing
        Tables, below the charts.
    parts : tuple of Section
        Sections within, folded until they are opened.
    notes : tuple of str
        What the numbers alone do not say, folded below.
    """

    key: str
    title: str
    text: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    listings: tuple[Listing, ...] = ()
    parts: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()

    def all_charts(self) -> Iterator[Chart]:
        """Yield its charts and those of its parts, in the order of the page."""
        yield from self.charts
        for part in self.parts:
            yield from part.all_charts()

    def all_listings(self) -> Iterator[Listing]:
        """Yield its tables and those of its parts, in the order of the page."""
        yield from self.listings
        for part in self.parts:
            yield from part.all_listings()


@dataclass(frozen=True, eq=False)
class Contents:
    """All that a report holds.

    Attributes
    ----------
    title : str
        Heading of the page.
    store : str
        Folder of the store.
    made : datetime
        When it was read.
    version : str
        Of rgtool.
    findings : tuple of str
        What there is and what was found, in sentences.
    sections : tuple of Section
        In the order of the page.
    every : float or None
        Seconds after which it is written again; None: it is written once.
    """

    title: str
    store: str
    made: dt.datetime
    version: str
    findings: tuple[str, ...]
    sections: tuple[Section, ...]
    every: float | None = None

    @property
    def option(self) -> str:
        """What names its store to a command."""
        return f"--store {shlex.quote(self.store)}"
