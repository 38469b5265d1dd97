"""`rgtool predict`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import StoreOption
from ..output import Table, output_options, table_of, warn_of


@output_options
def predict(
    a: Annotated[str, typer.Argument(help="Where tickets are found: an id, or published:NAME.")],
    b: Annotated[str, typer.Argument(help="Where they are to be used.")],
    by: Annotated[
        str | None, typer.Option(help="Grouping: layer, block or stage; default the coarsest.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of test and intervals.")] = 0,
    store: StoreOption = None,
) -> Table:
    """Predict the smallest density at which tickets transfer: a hypothesis, with its uncertainty.

    The level is n* = tau / norm, norm the distance of the two spectra (centred log eigenvalues of a
    step that keeps 0.8) and tau a constant from four published transfers; density is 0.8^n*. Where
    spectra may be equal, or the level lies beyond all published transfers, there is no prediction,
    and refused says why.

    Example: rgtool predict published:resnet50-simclr-imagenet published:resnet50-simclr-cifar10
    """
    from ...analysis.classes.predict import predict as compute
    from ...store import Store

    opened = Store(store)
    found = compute(opened, a, b, by=by, rng=seed)
    warn_of(opened.problems)
    return table_of(found)
