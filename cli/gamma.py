"""`rgtool gamma`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..schemas.errors import RgtoolError, UsageError
from .figure import check_figure, draw_figure
from .options import StoreOption
from .output import Table, output_options, say, warn_of

if TYPE_CHECKING:
    from ..analysis.gamma.result import Gamma, GammaMethod, Plateau
    from ..store import Store

_SHOWN = (
    "experiment",
    "gamma",
    "estimate",
    "low",
    "high",
    "unbounded",
    "boot_low",
    "boot_high",
    "onset",
    "onset_low",
    "onset_high",
    "slope",
    "signal",
    "verdict",
)
# Not shown where all of them are empty.
_SPARE = ("unbounded", "boot_low", "boot_high", "onset_low", "onset_high")


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
        str, typer.Option(help="profile, or paper: eq. 14 by curve_fit, without gates.")
    ] = "profile",
    margin: Annotated[
        float | None,
        typer.Option(help="With --shared: factor taken for equal.", show_default="1.5"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap over seeds.")] = 0,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw data, fit, band and profile into this file.")
    ] = None,
    store: StoreOption = None,
) -> Table:
    """Estimate the critical exponent of error against density, or say why none can be quoted.

    The error is fitted as log eps = a + g/2 log[(d^2 + d_hi^2)/(d^2 + d_lo^2)], g = |gamma|. gamma
    is given where the gates let it be quoted, estimate always; low and high are its 95 % interval
    by profile likelihood, empty where it is unbounded; boot_low and boot_high those of a bootstrap
    over seeds (from five on); onset is d_hi, where the error leaves that of the dense network;
    slope is -dlog eps/dlog d at the sparse end, without a model; signal the rise of log error over
    its noise. --shared tests whether one exponent does for all curves.

    Example: rgtool gamma resnet20/cifar10 --plot gamma.pdf
    """
    from ..analysis.plots.gamma import plot_gamma
    from ..store import Store

    if margin is not None and not shared:
        raise UsageError("--margin goes with --shared")
    check_figure(plot)
    plateau: Plateau = "free" if free_plateau else "chance"
    opened = Store(store)
    if shared:
        if method != "profile":
            raise UsageError(f"--shared and --method {method} together: leave one out")
        return _shared(opened, experiments, chance, plateau, margin, plot)
    results = _each(opened, experiments, chance, plateau, cast("GammaMethod", method), seed)
    warn_of(opened.problems)
    draw_figure(plot, lambda: plot_gamma(results))
    partly = len(results) < len(dict.fromkeys(experiments))
    return gamma_table(results, exit_code=3 if partly else 0)


def _each(
    store: Store,
    experiments: Sequence[str],
    chance: float | None,
    plateau: Plateau,
    method: GammaMethod,
    seed: int,
) -> list[Gamma]:
    """Estimate every exponent; what cannot be estimated is named."""
    from ..analysis.gamma.estimate import gamma as estimate

    results, names = [], list(dict.fromkeys(experiments))
    for name in names:
        try:
            results.append(
                estimate(store, name, chance=chance, plateau=plateau, method=method, rng=seed)
            )
        except UsageError:
            raise
        except RgtoolError as error:
            if len(names) == 1:
                raise
            say(f"left out: {error}")
    if not results:
        raise typer.Exit(1)
    return results


def _shared(
    store: Store,
    experiments: Sequence[str],
    chance: float | None,
    plateau: Plateau,
    margin: float | None,
    plot: Path | None,
) -> Table:
    from ..analysis.gamma.shared import RATIO_MARGIN, shared_gamma

    found = shared_gamma(
        store, experiments, chance=chance, plateau=plateau, margin=margin or RATIO_MARGIN
    )
    warn_of(store.problems)
    draw_figure(plot, found.plot)
    reason = f"{found.verdict}: {found.reason}"
    frame = found.to_frame()
    return Table(
        tuple(frame.columns),
        frame.rows(),
        title=found.title,
        notes=(reason, *found.notes),
        formats=_formats(frame.columns),
        shown=("experiment", "estimate", "low", "high", "unbounded", "onset", "signal", "verdict"),
    )


def gamma_table(results: Sequence[Gamma], exit_code: int = 0) -> Table:
    """Return exponents as a table, a row per curve."""
    from ..analysis.gamma.result import gamma_frame

    frame = gamma_frame(list(results))
    empty = {name for name in _SPARE if not any(cell not in (None, "") for cell in frame[name])}
    reasons = [f"{one.name}: {one.verdict}: {one.reason}" for one in results]
    notes = [note for one in results for note in one.notes]
    return Table(
        tuple(frame.columns),
        frame.rows(),
        title=results[0].title if len(results) == 1 else "",
        notes=tuple(dict.fromkeys([*reasons, *notes])),
        formats=_formats(frame.columns),
        shown=tuple(name for name in _SHOWN if name not in empty),
        exit_code=exit_code,
    )


def _formats(columns: Sequence[str]) -> dict[str, str]:
    other = {"signal": ".1f", "p": ".2g", "f": ".2f"}
    return dict.fromkeys(columns, ".3f") | other
