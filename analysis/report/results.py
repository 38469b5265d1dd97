"""A result of the analysis as a part of a report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ...schemas.errors import RgtoolError
from ...schemas.notes import LeftOut, Note, Rank
from ..result import Result
from .section import Listing, Section

if TYPE_CHECKING:
    from ..charts.chart import Chart

Found = TypeVar("Found", bound=Result)


def section_of(
    key: str,
    title: str,
    find: Callable[[], Found],
    command: Callable[[Found], str] = lambda _: "",
) -> Section:
    """Show a result: what it concludes, its chart, its table; or say why there is none.

    Parameters
    ----------
    key, title : str
        Of the section.
    find : callable
        Computes the result.
    command : callable
        Of the result: the command that prints its table.
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
        text=(f"{found.title}.", *(one for one in notes if _stands(one))),
        charts=tuple(charts_of(found)),
        listings=(Listing(key, table, command(found)),),
        notes=tuple(one for one in notes if not _stands(one)),
    )


def _stands(note: Note) -> bool:
    """Tell what is never folded: conclusions, and which experiments are not in a result."""
    return note.rank <= Rank.CONCLUSION or isinstance(note, LeftOut)


def charts_of(found: Result) -> Iterator[Chart]:
    """Yield the chart of a result, where its kind has one and there is something to draw."""
    with contextlib.suppress(RgtoolError):
        yield found.chart()
