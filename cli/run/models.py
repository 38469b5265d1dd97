"""`rgtool models`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..output import Table, output_options


@output_options
def models(
    task: Annotated[
        str | None,
        typer.Argument(help="A data set, whose images and classes decide the sizes; or a network."),
    ] = None,
) -> Table:
    """List the networks that can be trained: layers, parameters, weights that are pruned.

    Example: rgtool models cifar100
    """
    from ...runner.listing import models as listed

    return listed(task).table()
