"""`rgtool eigen`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from .options import StoreOption, WindowOption, read_window
from .output import Table, output_options, warn_of
from .published import is_published, spectrum_of

if TYPE_CHECKING:
    from ..analysis.initial_scale import Weighting
    from ..analysis.intervals import Method
    from ..analysis.spectrum import Spectrum
    from ..analysis.verdicts import Rule

_SHOWN = (
    "name",
    "total",
    "eigenvalue",
    "low",
    "high",
    "boot_low",
    "boot_high",
    "null_eigenvalue",
    "exponent",
    "excess",
    "verdict",
)


@output_options
def eigen(
    experiment: Annotated[
        str | None,
        typer.Argument(help="Prefix of an id, resnet20/cifar10, or published:NAME."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Grouping: layer, block or stage; default block.")
    ] = None,
    window: WindowOption = None,
    method: Annotated[
        str,
        typer.Option(help="moderated, hierarchical, cluster, block, iid, t or paper."),
    ] = "moderated",
    weighting: Annotated[str, typer.Option(help="count, or magnitude.")] = "count",
    rule: Annotated[str, typer.Option(help="Verdicts by tost or paper.")] = "tost",
    margin: Annotated[
        float | None,
        typer.Option(help="Log eigenvalue taken for none; .02, .01 from 5 seeds."),
    ] = None,
    store: StoreOption = None,
) -> Table:
    """Show the spectrum of an experiment: eigenvalues, intervals, null model, verdicts.

    eigenvalue is the geometric mean over levels and seeds of M(n+1)/M(n); low and high are its 95 %
    interval over seeds, boot_low and boot_high that of a bootstrap of seeds and blocks of levels;
    null_eigenvalue is what magnitude pruning of the untrained network gives; excess is the exponent
    minus that of the null. The id of a run gives the spectrum of that run alone. published:NAME
    prints a spectrum of the literature as it is; its std is a spread over levels.

    Example: rgtool eigen resnet20/cifar10 --by stage
    """
    if experiment and is_published(experiment):
        return spectrum_of(experiment, by, window)

    from ..analysis.eigen import eigen as compute
    from ..store import Store

    opened = Store(store)
    spectrum = compute(
        opened,
        experiment,
        by=by or "block",
        window=read_window(window),
        method=cast("Method", method),
        weighting=cast("Weighting", weighting),
        rule=cast("Rule", rule),
        margin=margin,
    )
    warn_of(opened.problems)
    return spectrum_table(spectrum)


def spectrum_table(spectrum: Spectrum) -> Table:
    """Return a spectrum as a table."""
    frame = spectrum.to_frame()
    ends = ("low", "high", "boot_low", "boot_high")
    decimals = dict.fromkeys(("eigenvalue", *ends, "spread", "null_eigenvalue"), ".3f")
    empty = {name for name in ends if frame[name].null_count() == len(frame)}
    return Table(
        tuple(frame.columns),
        frame.rows(),
        title=spectrum.title,
        notes=spectrum.notes,
        formats=decimals | dict.fromkeys(("exponent", "excess"), "+.3f"),
        shown=tuple(name for name in _SHOWN if name not in empty),
    )
