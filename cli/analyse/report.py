"""`rgtool report`."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import RgtoolError, StoreError, UsageError
from ...schemas.words import duration, size
from ..options import StoreOption, read_duration
from ..output import say, warn_of

if TYPE_CHECKING:
    from ...store import Store

_LEAST = 1.0  # seconds between two pages
_ENDINGS = (".html", ".htm")


def report(
    experiments: Annotated[
        list[str] | None, typer.Argument(help="Experiments; default all of the store.")
    ] = None,
    to: Annotated[Path, typer.Option("--to", help="The page, a file ending in .html.")] = Path(
        "report.html"
    ),
    every: Annotated[
        str | None, typer.Option(help="Write it again after this time while runs go on: 30s, 5m.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Write one HTML file that shows a store: it opens anywhere, without a server or a network.

    A summary in sentences, tables that sort and filter, charts with their SQL and their data,
    conditions and provenance.

    Example: rgtool report --to report.html
    """
    if to.suffix.lower() not in _ENDINGS:
        raise UsageError(f"--to {to}: a report is a file ending in .html")
    pause = read_duration(every, "--every")
    if pause is not None and pause < _LEAST:
        raise UsageError(f"--every {every}: give a second or more")
    from ...store import Store
    from ...store.catalogue.selection import empty_store

    opened = Store(store)
    if not opened.path.exists():  # a mistyped name must not cost a page that is there
        raise StoreError(empty_store(str(opened.path)))
    write_report(opened, experiments, to, pause)
    warn_of(opened.problems)
    say(how_to_open(to))
    if pause is not None:
        with contextlib.suppress(KeyboardInterrupt):  # the page stays as it was written last
            _follow(opened, experiments, to, pause)


def _follow(store: Store, experiments: list[str] | None, to: Path, pause: float) -> None:
    """Write the page again and again while runs go on, and once more when none does."""
    while store.standing().of("at work"):
        time.sleep(pause)
        try:
            write_report(store, experiments, to, pause)
        except RgtoolError as error:  # a run at work, or a disk that is away for a moment
            say(f"not written this time: {error}")
    write_report(store, experiments, to)
    say("no run is at work: that was the last page")


def how_to_open(page: Path) -> str:
    """Say how a page is opened."""
    return f"open {page.absolute().as_uri()} in a browser"


def write_report(
    store: Store, experiments: list[str] | None, to: Path, every: float | None = None
) -> None:
    """Write the page and say how large it is."""
    from ...analysis.report.report import report as gather

    began = time.monotonic()
    found = gather(store, experiments or None, every=every)
    found.write(to)
    took, there = duration(time.monotonic() - began), size(to.stat().st_size)
    say(f"{to}: {found.title}, {there}, in {took}")
