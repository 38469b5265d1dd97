"""`rgtool plot`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import RgtoolError, UsageError, choose
from ..options import StoreOption
from ..output import Table, output_options, say, warn_of
from .figure import is_figure, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...analysis.named import Meaning
    from ...store import Counts, Store

_FORMATS = ("png", "svg", "pdf")


@output_options
def plot(
    experiments: Annotated[list[str], typer.Argument(help="Experiments, drawn together.")],
    kind: Annotated[
        str | None, typer.Option(help="flow, slices, accuracy, spectrum; default all.")
    ] = None,
    coordinates: Annotated[
        str, typer.Option(help="Of the flow: share, or scale (effective scales).")
    ] = "share",
    by: Annotated[str | None, typer.Option("--by", help="Default: the coarsest grouping.")] = None,
    to: Annotated[
        Path, typer.Option("--to", help="A folder, or a file ending in .png, .svg or .pdf.")
    ] = Path(),
    format_: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    store: StoreOption = None,
) -> Table:
    """Draw figures: shares against level, accuracy against density, spectrum beside its null.

    Example: rgtool plot resnet20/cifar10 --kind spectrum --to spectrum.pdf
    """
    from ...analysis.chance import chance_of_all
    from ...analysis.named import counts_of, look_up
    from ...analysis.plots.figures import FIGURES
    from ...schemas.blocks import coarsest
    from ...store import Store

    if format_ not in _FORMATS:
        raise UsageError(f"--format {format_}: choose from {', '.join(_FORMATS)}")
    scales = choose("coordinates", coordinates, ("share", "scale")) == "scale"
    if scales:
        if kind not in (None, "flow"):
            raise UsageError(f"--coordinates scale is of the flow: leave out --kind {kind}")
        kind = "flow"
    alone = is_figure(to)
    if alone and kind is None:
        raise UsageError(f"--to {to} names one file: say which figure with --kind")
    opened = Store(store)
    found = list(dict.fromkeys(look_up(opened, name) for name in experiments))
    grouping = by or coarsest(counts_of(opened, found[0], "layer", "a figure").layers)
    counts = [counts_of(opened, one, grouping, "a figure") for one in found]
    warn_of(opened.problems)
    stem = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(dict.fromkeys(c.label for c in counts)))
    rows, failures = [], []
    for figure in [kind] if kind else FIGURES:
        name = "flow-scale" if scales else figure
        path = to if alone else to / f"{stem}-{name}.{format_}"
        try:
            drawn = _plot_scales(opened, found, grouping) if scales else _drawn(counts, figure)
        except UsageError:
            raise
        except RgtoolError as error:
            failures.append(f"no {name}: {error}")
            continue
        write_figure(drawn, path)
        rows.append((name, str(path)))
    for failure in failures:
        say(failure)
    if not rows:
        raise typer.Exit(1)
    notes = [note for one in counts for note in chance_of_all(one)]
    return Table(("figure", "file"), rows, notes=tuple(notes))


def _drawn(counts: Sequence[Counts], kind: str) -> Figure:
    from ...analysis.plots.figures import plot as draw

    return draw(counts, kind)


def _plot_scales(store: Store, found: Sequence[Meaning], by: str) -> Figure:
    from ...analysis.notes import Note, ranked, shown_lines
    from ...analysis.plots.figures import plot as draw
    from ...analysis.spectrum.scale_flow import scale_flow

    flows = [scale_flow(store, one, by=by) for one in found]
    notes = ranked(
        Note.of(note, one.see).about(one.experiment_id) if len(flows) > 1 else note
        for one in flows
        for note in one.notes
    )
    more = "rgtool eigen --coordinates scale --notes shows them"
    for line in chain(*shown_lines(notes, more=more)):
        say(line)
    return draw(flows)
