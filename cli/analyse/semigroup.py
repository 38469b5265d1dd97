"""`rgtool semigroup`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import StoreOption
from ..output import Table, output_options, table_of, warn_of


@output_options
def semigroup(
    a: Annotated[str, typer.Argument(help="Prefix of an id, or resnet20/cifar10.")],
    b: Annotated[str, typer.Argument(help="The same network and task, another share pruned.")],
    by: Annotated[str, typer.Option(help="Grouping: layer, block or stage.")] = "block",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap behind p.")] = 0,
    store: StoreOption = None,
) -> Table:
    """Test whether two pruning shares give the same exponents over the same densities.

    Two steps of 0.2 keep as much as one of 0.36. If the flow depends on densities alone, the
    exponents agree. same: every group is equivalent within the margin; different: p < 0.05;
    undecided: neither. difference is ln eigenvalue for a step of 0.2, a minus b, centred over
    groups; p is corrected for the number of groups.

    Example: rgtool semigroup 3f2a 91cc --by stage
    """
    from ...analysis.classes.semigroup import semigroup as compute
    from ...store import Store

    opened = Store(store)
    found = compute(opened, a, b, by=by, rng=seed)
    warn_of(opened.problems)
    return table_of(found)
