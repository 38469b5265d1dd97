"""`rgtool score`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import StoreOption
from ..output import Table, output_options, table_of, warn_of


@output_options
def score(
    kind: Annotated[
        str | None,
        typer.Option(help="transfer, ordering, collapse, exponents or gamma; default all."),
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="That of the targets.")] = None,
    each: Annotated[bool, typer.Option("--each", help="A row for every prediction.")] = False,
    store: StoreOption = None,
) -> Table:
    """Score what was predicted: log scores and coverage, beside a constant and N1.

    rgtool predict --register writes a prediction down, dated and hashed, before the runs that test
    it; here it is held to them. log_score is the mean log of the probability that was given to what
    came, gain what it has over a constant predictor of the same outcomes, with an interval over
    experiments: five seeds that test one prediction count once. The rows of published figures are
    of predictors held to them afterwards. A prediction that was changed is named, and the command
    ends with 3.

    Example: rgtool score --each
    """
    from ...analysis.scoreboard.score import score as compute
    from ...store import Store

    opened = Store(store)
    found = compute(opened, kind=kind, architecture=architecture)
    warn_of(opened.problems)
    return table_of(found.each_table if each else found)
