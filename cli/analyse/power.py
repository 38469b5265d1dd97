"""`rgtool power`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import UsageError
from ..options import StoreOption
from ..output import Table, output_options, table_of, warn_of

if TYPE_CHECKING:
    from ...store import Store


@output_options
def power(
    eigenvalue: Annotated[float, typer.Option(help="Eigenvalue to be told from 1.")] = 1.02,
    seed_sd: Annotated[
        float | None,
        typer.Option(help="Sd of log eigenvalues between seeds.", show_default="0.006"),
    ] = None,
    step_sd: Annotated[
        float | None, typer.Option(help="Sd between steps of a run.", show_default="0.0144")
    ] = None,
    groups: Annotated[
        int | None, typer.Option(help="Groups of the spectrum.", show_default="9")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Numbers of seeds.")] = "2,3,4,5,6,8,10",
    levels: Annotated[str, typer.Option(help="Numbers of prunings.")] = "6,8,12,16,20",
    alpha: Annotated[float, typer.Option(help="Two-sided size of the test.")] = 0.05,
    wanted: Annotated[float, typer.Option("--power", help="Power that is wanted.")] = 0.8,
    holm: Annotated[bool, typer.Option("--holm", help="Test all groups, by Holm.")] = False,
    like: Annotated[
        str | None,
        typer.Option(help="Take noise and groups of this experiment.", metavar="EXPERIMENT"),
    ] = None,
    by: Annotated[
        str, typer.Option(help="Grouping of --like: layer, block, stage or role.")
    ] = "block",
    simulations: Annotated[int, typer.Option(help="Simulated experiments a design.")] = 4000,
    store: StoreOption = None,
) -> Table:
    """Show how many seeds and levels tell an eigenvalue from 1, and how surely.

    The test is the interval over seeds of rgtool eigen; its power is computed from the t
    distribution and checked by simulation. A design is adequate where both reach --power. Levels
    count prunings; the window starts at level 1.

    Example: rgtool power --eigenvalue 1.02 --groups 9
    """
    from ...analysis.spectrum.power import power as compute

    opened = _opened(store) if like is not None else None
    found = compute(
        eigenvalue,
        seed_sd=seed_sd,
        step_sd=step_sd,
        groups=groups,
        seeds=_whole_numbers(seeds, "--seeds"),
        levels=_whole_numbers(levels, "--levels"),
        alpha=alpha,
        power=wanted,
        holm=holm,
        store=opened,
        like=like,
        by=by,
        simulations=simulations,
    )
    if opened is not None:
        warn_of(opened.problems)
    return table_of(found)


def _opened(store: object) -> Store:
    from ...store import Store

    return Store(store)  # type: ignore[arg-type]  # a path or None


def _whole_numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UsageError(f"{option} {text}: give whole numbers, such as 2,3,5") from None
