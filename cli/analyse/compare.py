"""`rgtool compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import CoarsestOption, StoreOption
from ..output import Table, output_options, table_of, warn_of


@output_options
def compare(
    a: Annotated[str, typer.Argument(help="Prefix of an id, or resnet20/cifar10.")],
    b: Annotated[str, typer.Argument(help="Another experiment with the same groups.")],
    by: CoarsestOption = None,
    levels: Annotated[
        bool, typer.Option("--levels", help="Print the overlap of masks at every density.")
    ] = False,
    masks: Annotated[bool, typer.Option(help="Read the masks.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap behind p.")] = 0,
    store: StoreOption = None,
) -> Table:
    """Compare two experiments in depth: spectra and shares by group, masks weight by weight.

    difference is ln eigenvalue, a minus b, centred over groups, over the densities that both have.
    share is the part of all kept weights that lies in a group, overlap the share of the weights of
    one mask that the other keeps too, both at the sparsest common density; expected is that of
    independent masks with the same counts, sd that of one pair. Shares and overlaps need no second
    seed and no spectrum.

    Example: rgtool compare 3f2a 91cc --by block
    """
    from ...analysis.classes.compare import compare as compute
    from ...store import Store

    opened = Store(store)
    found = compute(opened, a, b, by=by, masks=masks, rng=seed)
    warn_of(opened.problems)
    return table_of(found.overlap_table if levels else found)
