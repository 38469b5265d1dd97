"""`rgtool eigen`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import StoreOption, WindowOption, read_window
from .output import Table, output_options, warn_of
from .published import is_published, spectrum_of

if TYPE_CHECKING:
    from ..analysis.spectrum import Spectrum

_SHOWN = (
    "name",
    "total",
    "eigenvalue",
    "low",
    "high",
    "spread",
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
    store: StoreOption = None,
) -> Table:
    """Show the spectrum of an experiment: eigenvalues, intervals, null model, verdicts.

    eigenvalue is the geometric mean over levels and seeds of M(n+1)/M(n); low and high are its 95 %
    interval over seeds; spread is the standard deviation over levels (the +- of the paper);
    null_eigenvalue is what magnitude pruning of the untrained network gives; excess is the exponent
    minus that of the null. published:NAME prints a spectrum of the literature as it is; its std is
    such a spread.

    Example: rgtool eigen resnet20/cifar10 --by stage
    """
    if experiment and is_published(experiment):
        return spectrum_of(experiment, by, window)

    from ..analysis.eigen import eigen as compute
    from ..store import Store

    opened = Store(store)
    spectrum = compute(opened, experiment, by=by or "block", window=read_window(window))
    warn_of(opened.problems)
    return spectrum_table(spectrum)


def spectrum_table(spectrum: Spectrum) -> Table:
    """Return a spectrum as a table."""
    frame = spectrum.to_frame()
    decimals = dict.fromkeys(("eigenvalue", "low", "high", "spread", "null_eigenvalue"), ".3f")
    return Table(
        tuple(frame.columns),
        frame.rows(),
        title=spectrum.title,
        notes=spectrum.notes,
        formats=decimals | dict.fromkeys(("exponent", "excess"), "+.3f"),
        shown=_SHOWN,
    )
