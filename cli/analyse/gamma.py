"""`rgtool gamma`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ...schemas.errors import RgtoolError, UsageError
from ..options import StoreOption
from ..output import Table, output_options, say, table_of, warn_of
from .figure import check_figure, draw_figure

if TYPE_CHECKING:
    from ...analysis.gamma.result import GammaMethod, Gammas, Plateau
    from ...store import Store


@output_options
def gamma(
    experiments: Annotated[
        list[str],
        typer.Argument(
            help="Prefix of an id, resnet20/cifar10, published:NAME, or a CSV or Parquet file with "
            "columns density, error, seed."
        ),
    ],
    shared: Annotated[
        bool, typer.Option("--shared", help="Test one exponent for all of them.")
    ] = False,
    chance: Annotated[
        float | None,
        typer.Option(help="Error of guessing, a fraction.", show_default="that of the task"),
    ] = None,
    free_plateau: Annotated[
        bool, typer.Option("--free-plateau", help="Fit the error of the sparsest end too.")
    ] = False,
    method: Annotated[
        str, typer.Option(help="seeds, or paper: eq. 14 by curve_fit, without gates.")
    ] = "seeds",
    margin: Annotated[
        float | None,
        typer.Option(help="With --shared: factor taken for equal.", show_default="1.5"),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw data, fits, bands and intervals into this file."),
    ] = None,
    store: StoreOption = None,
) -> Table:
    """Estimate the exponent of error against density, or say why none can be quoted.

    The error crosses over from that of the dense network to that of guessing: log eps = a + g/2
    log[(d^2 + d_hi^2)/(d^2 + d_lo^2)], g = |gamma|, the exponent between d_hi and d_lo. gamma is
    given where the gates let it be quoted, estimate always. Two seeds or more are fitted each by
    itself, and low and high are the 95 % interval over seeds; of one curve that of this curve, its
    levels correlated; empty where there is no end. profile_low and profile_high are those of the
    mean curve if levels were independent. onset is d_hi; slope is -dlog eps/dlog d at the sparse
    end, without a model; signal the rise of log error over its noise; misfit the p of residuals
    that seeds share. --shared tests whether one exponent does for all curves.

    Example: rgtool gamma resnet20/cifar10 --plot gamma.pdf
    """
    from ...store import Store

    if margin is not None and not shared:
        raise UsageError("--margin goes with --shared")
    check_figure(plot)
    plateau: Plateau = "free" if free_plateau else "chance"
    opened = Store(store)
    if shared:
        if method.lower() != "seeds":
            raise UsageError(f"--shared and --method {method} together: leave one out")
        return _shared(opened, experiments, chance, plateau, margin, plot)
    found = _one_by_one(opened, experiments, chance, plateau, cast("GammaMethod", method))
    warn_of(opened.problems)
    draw_figure(plot, found.plot)
    partly = len(found.results) < len(dict.fromkeys(experiments))
    return table_of(found, exit_code=3 if partly else 0)


def _one_by_one(
    store: Store,
    experiments: Sequence[str],
    chance: float | None,
    plateau: Plateau,
    method: GammaMethod,
) -> Gammas:
    """Estimate every exponent; what cannot be estimated is named."""
    from ...analysis.gamma.estimate import gamma as estimate
    from ...analysis.gamma.result import Gammas

    results, names = [], list(dict.fromkeys(experiments))
    for name in names:
        try:
            results.append(estimate(store, name, chance=chance, plateau=plateau, method=method))
        except UsageError:
            raise
        except RgtoolError as error:
            if len(names) == 1:
                raise
            say(f"left out: {error}")
    if not results:
        raise typer.Exit(1)
    return Gammas(tuple(results))


def _shared(
    store: Store,
    experiments: Sequence[str],
    chance: float | None,
    plateau: Plateau,
    margin: float | None,
    plot: Path | None,
) -> Table:
    from ...analysis.gamma.shared import RATIO_MARGIN, shared_gamma

    found = shared_gamma(
        store, experiments, chance=chance, plateau=plateau, margin=margin or RATIO_MARGIN
    )
    warn_of(store.problems)
    draw_figure(plot, found.plot)
    return table_of(found)
