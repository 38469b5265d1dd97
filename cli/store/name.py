"""`rgtool name`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import NoteOption, StoreOption, TagOption
from ..output import Table, output_options, table_of, warn_of


@output_options
def name(
    experiment: Annotated[
        str, typer.Argument(help="An experiment or a run; without a NEW name also several.")
    ],
    new: Annotated[
        str | None, typer.Argument(help="Its name from now on; '' takes it away.")
    ] = None,
    note: NoteOption = None,
    tag: TagOption = None,
    untag: Annotated[
        list[str] | None, typer.Option("--untag", help="A tag to take away. Repeatable.")
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Take away first what was said before.")
    ] = False,
    store: StoreOption = None,
) -> Table:
    """Give an experiment or a run a name, a note and tags; without options: show them.

    A name is unique in its store and serves wherever an experiment is due, tag=TAG wherever several
    are. Names are no part of identity: nothing that is recorded changes.

    Example: rgtool name 3f2a baseline --tag paper --note "before the new augmentation"
    """
    from ...store import Store

    opened = Store(store)
    found = opened.name(experiment, new, note=note, tags=tag or (), untag=untag or (), clear=clear)
    warn_of(opened.problems)
    return table_of(found)
