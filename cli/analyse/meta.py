"""`rgtool meta`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import CoarsestOption, StoreOption
from ..output import Table, output_options, table_of, warn_of


@output_options
def meta(
    experiments: Annotated[
        list[str], typer.Argument(help="Two or more: ids, names, labels, tag=x, published:NAME.")
    ],
    by: CoarsestOption = None,
    sd: Annotated[
        float,
        typer.Option(help="Assumed sd of a log eigenvalue where no seeds tell one."),
    ] = 0.008,
    studies: Annotated[
        bool, typer.Option("--studies", help="Print the studies one by one.")
    ] = False,
    store: StoreOption = None,
) -> Table:
    """Pool the exponents of several studies by random effects.

    exponent is the mean of y over the population of studies with its Hartung-Knapp interval, tau
    the standard deviation between studies, i2 the share of the variance that lies between them, p_q
    that of studies that differ by their own errors alone; predicted_low and predicted_high hold the
    exponent of a further study. Printed spectra and single seeds enter with the sd of --sd; sd_from
    and sd_to are the sds between which the verdict stays what it is.

    Example: rgtool meta 3f2a published:resnet20-cifar10 published:resnet32-cifar10 --sd .01
    """
    from ...analysis.meta.estimate import meta as compute
    from ...store import Store

    opened = Store(store)
    found = compute(opened, experiments, by=by, sd=sd)
    warn_of(opened.problems)
    return table_of(found.study_table if studies else found)
