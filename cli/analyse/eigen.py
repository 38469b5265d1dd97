"""`rgtool eigen`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from ...schemas.errors import RgtoolError, UsageError
from ..options import ExcludeOption, StoreOption, WindowOption, read_window
from ..output import Table, output_options, table_of, warn_of

if TYPE_CHECKING:
    from ...analysis.nulls.initial import Weighting
    from ...analysis.spectrum.eigen import Coordinates
    from ...analysis.spectrum.intervals import Method
    from ...analysis.spectrum.verdicts import Rule
    from ...store import Store


@output_options
def eigen(
    experiment: Annotated[
        str | None,
        typer.Argument(help="Id, name, resnet20/cifar10 prune=.36, or published:NAME."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Grouping: layer, block, stage or role; default block.")
    ] = None,
    window: WindowOption = None,
    method: Annotated[
        str,
        typer.Option(help="moderated, t, bootstrap, hierarchical, cluster, block, iid or paper."),
    ] = "moderated",
    weighting: Annotated[str, typer.Option(help="count, or magnitude.")] = "count",
    rule: Annotated[str, typer.Option(help="Verdicts by tost or paper.")] = "tost",
    margin: Annotated[
        float | None,
        typer.Option(help="Log eigenvalue taken for none; .02."),
    ] = None,
    coordinates: Annotated[
        str, typer.Option(help="share, or scale: effective scales and their drift.")
    ] = "share",
    nulls: Annotated[bool, typer.Option("--nulls", help="All null models instead.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every experiment, or all that fit.")] = False,
    exclude: ExcludeOption = None,
    store: StoreOption = None,
) -> Table:
    """Show the spectrum of an experiment: eigenvalues, intervals, null model, verdicts.

    eigenvalue is the geometric mean over levels and seeds of M(n+1)/M(n); low and high are its 95 %
    interval over seeds, boot_low and boot_high that of a bootstrap of seeds (from three on);
    canonical is the exponent that the initial scales alone give (pruning the untrained network),
    anomalous the rest, with its 95 % interval and whether it is above or below 0, none within the
    margin or undecided; static_eigenvalue is what pruning the trained dense network in one go gives
    (runs with --keep dense). --coordinates scale shows effective scales and their drift instead, in
    which an untrained network stands still. The id of a run gives the spectrum of that run alone,
    --all a row for every experiment that fits and every group. published:NAME prints a spectrum of
    the literature as it is; its std is a spread over levels.

    Example: rgtool eigen resnet20/cifar10 --by stage
    """
    from ...store import Store

    opened, levels = Store(store), read_window(window)
    if exclude and not all_:
        raise UsageError("--exclude goes with --all")
    if all_ or nulls:
        _check_alone(all_, nulls, (method, weighting, rule), margin, coordinates)
        if all_:
            table = _all(opened, experiment, by or "block", levels, margin, exclude or [])
        else:
            from ...analysis.nulls.beside import nulls_of

            table = table_of(nulls_of(opened, experiment, by=by or "block", window=levels))
    else:
        from ...analysis.spectrum.eigen import eigen as compute

        table = table_of(
            compute(
                opened,
                experiment,
                by=by,
                window=levels,
                method=cast("Method", method),
                weighting=cast("Weighting", weighting),
                rule=cast("Rule", rule),
                margin=margin,
                coordinates=cast("Coordinates", coordinates),
            )
        )
    warn_of(opened.problems)
    return table


def _check_alone(
    all_: bool,
    nulls: bool,
    others: tuple[str, str, str],
    margin: float | None,
    coordinates: str,
) -> None:
    from ...analysis.spectrum.eigen import DEFAULTS, checked_choices

    if coordinates.lower() != "share":
        raise UsageError(
            f"{'--all' if all_ else '--nulls'} is about shares: leave out --coordinates"
        )
    if all_ and nulls:
        raise UsageError("--all and --nulls together: choose one")
    if checked_choices(*others) != DEFAULTS:
        raise UsageError(
            f"{'--all' if all_ else '--nulls'} knows the default method, weighting and rule alone"
        )
    if nulls and margin is not None:
        raise UsageError("--nulls gives no verdicts, so it has no margin: leave out --margin")


def _all(
    store: Store,
    experiments: str | None,
    by: str,
    window: tuple[int, int] | None,
    margin: float | None,
    exclude: list[str],
) -> Table:
    from ...analysis.spectrum.many import spectra

    names = None if experiments is None else [experiments]
    found = spectra(store, names, by=by, window=window, margin=margin, exclude=exclude)
    if not found.experiments:
        if not found.problems:
            only = store.find_experiment()  # says that the store is empty
            raise UsageError(
                f"{only}, the only experiment, is a child: its spectrum is equal to its parent's "
                f"by construction; rgtool eigen {only} shows it"
            )
        more = len(found.problems) - 1
        raise RgtoolError(
            f"no experiment has a spectrum by {by}: {found.notes[0]}"
            + (f" (and {more} more)" if more else "")
        )
    return table_of(found, exit_code=3 if found.problems else 0)
