"""`rgtool predict`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import CoarsestOption, StoreOption, UsingOption
from ..output import Table, output_options, table_of, warn_of


@output_options
def predict(
    a: Annotated[str, typer.Argument(help="Where it is predicted from: an id, published:NAME.")],
    b: Annotated[
        str | None,
        typer.Argument(help="The target; lenet/mnist where it has no runs; none of a collapse."),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="transfer, ordering, collapse, exponents or gamma.")
    ] = "transfer",
    register: Annotated[
        bool, typer.Option("--register", help="Write it into the store, dated and hashed.")
    ] = False,
    afterwards: Annotated[
        bool,
        typer.Option("--afterwards", help="Also where runs test it already: never scored."),
    ] = False,
    by: CoarsestOption = None,
    maps: Annotated[
        list[str] | None, typer.Option("--map", help="Of an ordering: a map. Repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    using: UsingOption = None,
    store: StoreOption = None,
) -> Table:
    """Predict what runs will show, beside what such predictions were worth; refused without score.

    transfer: the smallest density at which tickets transfer, level n* = tau / norm, norm the
    distance of the two spectra and tau a constant from four published transfers. ordering: which of
    two maps gives the better ticket. collapse: when layers run empty. exponents and gamma: those of
    an experiment without runs, taken to be the source's.

    --register writes the prediction down before the runs that test it exist; rgtool score holds it
    to them. Where none was ever scored for the architecture nothing is told.

    Example: rgtool predict published:resnet50-simclr-imagenet published:resnet50-simclr-cifar10
    """
    from ...store import Store
    from ...studies.predict import predict as compute

    opened = Store(store)
    found = compute(
        opened,
        a,
        b,
        kind=kind,
        register=register,
        afterwards=afterwards,
        by=by,
        maps=maps or (),
        rng=seed,
        using=using or (),
    )
    warn_of(opened.problems)
    return table_of(found)
