"""`rgtool verify`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from ..output import Table, output_options, table_of


@output_options
def verify(
    paper: Annotated[str, typer.Argument(help="paper: Redman et al. 2021.")] = "paper",
    claim: Annotated[
        str | None, typer.Option(help="One claim in full, by its id.", metavar="ID")
    ] = None,
) -> Table:
    """Check a paper claim by claim against the numbers it prints.

    Eigenvalues, starting points and tables are held against each other, against identities of
    shares and against the spectrum of an untrained network. It is a report: claims that disagree
    are no failure, and what rgtool remarks beyond them counts neither way. --json, --csv and --md
    give numbers, tolerance and reason of every claim.

    Example: rgtool verify paper
    """
    from ...analysis.paper.verify import verify as compute

    found = compute(paper)
    if claim is not None:
        fields = dataclasses.asdict(found.claim(claim))
        return Table(("field", "value"), list(fields.items()))
    return table_of(found)
