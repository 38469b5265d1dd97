"""`rgtool ls`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import UsageError
from ..options import StoreOption
from ..output import Table, output_options, say, warn_of
from ..published import every_published

if TYPE_CHECKING:
    from ...store.catalogue.listing import Experiments, Runs

_MANY = 500  # loose runs, from which on queries take a noticeable time


@output_options
def ls(
    selection: Annotated[
        str | None, typer.Argument(help="Those that fit: a label, 'prune=.36', tag=paper, ...")
    ] = None,
    runs: Annotated[
        bool, typer.Option("--runs", help="A row per run, not per experiment.")
    ] = False,
    sort: Annotated[
        str | None, typer.Option("--sort", help="Column to sort by.", metavar="COLUMN")
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The last one first.")] = False,
    published: Annotated[
        bool, typer.Option("--published", help="What the literature has instead.")
    ] = False,
    store: StoreOption = None,
) -> Table:
    """List what is in the store, or the spectra and curves of the literature.

    A label that stands for several experiments is followed by what tells them apart; differs has
    all fields of the recipe that are not the defaults.

    Example: rgtool ls 'resnet20/cifar10 pruner=random' --sort accuracy
    """
    from ...store.catalogue.listing import empty_notes, sorted_table

    if published:
        if runs or selection:
            other = "--runs" if runs else f"'{selection}'"
            raise UsageError(f"{other} and --published together: choose one")
        return sorted_table(every_published(), sort, reverse)

    from ...store import Store

    opened = Store(store)
    found = opened.runs(selection) if runs else opened.experiments(selection)
    warn_of(opened.problems)
    if selection is None:
        _say_loose(found)
    table = sorted_table(found.table(), sort, reverse)
    return replace(table, notes=empty_notes(opened, table))


def _say_loose(found: Runs | Experiments) -> None:
    from ...store.catalogue.listing import Runs

    runs = found if isinstance(found, Runs) else [run for one in found for run in one.runs]
    loose = sum(run.finished and not run.compacted for run in runs)
    if loose > _MANY:
        say(f"{loose} finished runs lie loose: rgtool compact makes queries quicker")
