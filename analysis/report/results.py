"""A result of the analysis as a part of a report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ...schemas.errors import RgtoolError
from ...schemas.notes import Note, Rank
from ..result import Result
from .section import Listing, Section

if TYPE_CHECKING:
    from ..charts.chart import Chart


def section_of(key: str, title: str, find: Callable[[], Result], command: str = "") -> Section:
    """Show a result: what it concludes, its chart, its table; or say why there is none.

    Parameters
    ----------
    key, title : str
        Of the section.
    find : callable
        Computes the result.
    command : str
        Prints its table.
    """
    try:
        found = find()
    except RgtoolError as error:
        return Section(key, title, text=(f"There is none: {error}",))
    notes = [Note.of(note) for note in found.notes]
    table = replace(found.table(), title="", notes=())
    return Section(
        key,
        title,
        text=(f"{found.title}.", *(one for one in notes if one.rank <= Rank.CONCLUSION)),
        charts=tuple(charts_of(found)),
        listings=(Listing(key, table, command),),
        notes=tuple(one for one in notes if one.rank > Rank.CONCLUSION),
    )


def charts_of(found: Result) -> Iterator[Chart]:
    """Yield the chart of a result, where its kind has one and there is something to draw."""
    with contextlib.suppress(RgtoolError):
        yield found.chart()
