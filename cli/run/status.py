"""`rgtool status`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from ..options import StoreOption
from ..output import Table, bars, output_options, warn_of

SelectionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[EXPERIMENT]...", help="Experiments or runs; default all."),
]
AllOption = Annotated[bool, typer.Option("--all", help="Runs that are done, too.")]


@output_options
def status(
    experiments: SelectionsArgument = None,
    every: AllOption = False,
    store: StoreOption = None,
) -> Table:
    """Tell how far runs are, and who is at work on them: what `rgtool watch` shows, once.

    It reads files alone, on any machine that sees the store.

    Example: rgtool status 'resnet20/cifar10 prune=.36' --all
    """
    from ...store import Store
    from ...store.catalogue.listing import empty_notes

    opened = Store(store)
    found = replace(opened.standing(experiments or (), every=every), bars=bars())
    warn_of(opened.problems)
    table = found.table()
    if opened.experiments():
        return table
    return replace(table, notes=(*table.notes, *empty_notes(opened, table)))
