"""`rgtool diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import StoreOption
from ..output import Table, output_options, table_of, warn_of


@output_options
def diff(
    a: Annotated[str, typer.Argument(help="An experiment or a run.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    all_: Annotated[bool, typer.Option("--all", help="What is the same, too.")] = False,
    store: StoreOption = None,
) -> Table:
    """Show side by side in what two experiments or runs differ.

    Fields of the recipe, names, levels, versions and the machine (threads, kernels, ...). What
    several runs of an experiment differ in is listed; assumed names the fields of the recipe that
    nobody tells.

    Example: rgtool diff baseline 'resnet20/cifar10 prune=.36'
    """
    from ...store import Store

    opened = Store(store)
    found = opened.diff(a, b, every=all_)
    warn_of(opened.problems)
    return table_of(found)
