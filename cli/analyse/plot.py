"""`rgtool plot`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ...schemas.errors import RgtoolError, UsageError, choose
from ...store.catalogue.apart import label_of
from ..options import StoreOption
from ..output import Table, output_options, say, warn_of
from .figure import is_figure, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...analysis.named import Meaning
    from ...store import Counts, Store

_LONGEST = 150  # characters of a name of a file
_FORMATS = ("png", "svg", "pdf")
Given = TypeVar("Given")
Made = TypeVar("Made")


@output_options
def plot(
    experiments: Annotated[list[str], typer.Argument(help="Experiments, drawn together.")],
    kind: Annotated[
        str | None, typer.Option(help="flow, slices, accuracy, spectrum; default all.")
    ] = None,
    coordinates: Annotated[
        str, typer.Option(help="Of the flow: share, or scale (effective scales).")
    ] = "share",
    by: Annotated[
        str | None,
        typer.Option("--by", help="layer, block, stage or role; default the coarsest all have."),
    ] = None,
    to: Annotated[
        Path, typer.Option("--to", help="A folder, or a file ending in .png, .svg or .pdf.")
    ] = Path(),
    format_: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    store: StoreOption = None,
) -> Table:
    """Draw figures: shares against level, accuracy against density, spectrum beside its null.

    Of several experiments one that a figure cannot show is named and left out of it.

    Example: rgtool plot resnet20/cifar10 --kind spectrum --to spectrum.pdf
    """
    from ...analysis.chance import chance_of_all
    from ...analysis.named import counts_of, look_up_all
    from ...analysis.plots.figures import FIGURES
    from ...store import Store

    format_ = choose("format", format_, _FORMATS)
    kind = None if kind is None else choose("figure", kind, FIGURES)
    scales = choose("coordinates", coordinates, ("share", "scale")) == "scale"
    if scales:
        if kind not in (None, "flow"):
            raise UsageError(f"--coordinates scale is of the flow: leave out --kind {kind}")
        kind = "flow"
    alone = is_figure(to)
    if alone and kind is None:
        raise UsageError(f"--to {to} names one file: say which figure with --kind")
    opened = Store(store)
    found = look_up_all(opened, experiments)
    grouping = by or _grouping(opened, found)
    counts = _fit(found, lambda one: counts_of(opened, one, grouping, "a figure"), "all figures")
    partly = len(counts) < len(found)
    warn_of(opened.problems)
    stem = _stem(counts)
    rows: list[tuple[str, str]] = []
    for figure in [kind] if kind else FIGURES:
        name = "flow-scale" if scales else figure
        path = to if alone else to / f"{stem}-{name}.{format_}"
        try:
            drawn, short = (
                _scales_drawn(opened, found, grouping, name) if scales else _drawn(counts, figure)
            )
        except RgtoolError as error:
            if isinstance(error, UsageError) and kind:
                raise
            say(f"no {name}: {error}")
            partly |= isinstance(error, UsageError)  # of several that do not go together
            continue
        partly |= short
        write_figure(drawn, path)
        rows.append((name, str(path)))
    if not rows:
        raise typer.Exit(1)
    notes = [note for one in counts for note in chance_of_all(one)]
    return Table(("figure", "file"), rows, notes=tuple(notes), exit_code=3 if partly else 0)


def _stem(counts: Sequence[Counts]) -> str:
    """Name files by the label of one experiment, or by the networks and tasks of several."""
    labels = [counts[0].label] if len(counts) == 1 else [label_of(one.recipe) for one in counts]
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(dict.fromkeys(labels))).strip("-")[:_LONGEST]


def _grouping(store: Store, found: Sequence[Meaning]) -> str:
    """Name the coarsest grouping that all networks have; the unreadable are told of later."""
    from ...analysis.named import counts_of
    from ...schemas.blocks import coarsest

    groupings = set()
    for one in found:
        with contextlib.suppress(RgtoolError):
            groupings.add(coarsest(counts_of(store, one, "layer", "a figure").layers))
    return "stage" if groupings == {"stage"} else "block"


def _fit(items: Sequence[Given], make: Callable[[Given], Made], figure: str) -> list[Made]:
    """Make something of each of several; what fails is named, and the others go on.

    Raises
    ------
    RgtoolError
        It fails for the only one, or for the last of all.
    """
    made: list[Made] = []
    failed: list[RgtoolError] = []
    for item in items:
        try:
            made.append(make(item))
        except RgtoolError as error:
            failed.append(error)
    if not made:
        raise failed[-1]
    for reason in failed:
        say(f"left out of {figure}: {reason}")
    return made


def _drawn(counts: Sequence[Counts], kind: str) -> tuple[Figure, bool]:
    """Draw experiments together, and tell whether one is left out since it cannot be drawn."""
    from ...analysis.plots.figures import plot as draw

    try:
        return draw(counts, kind), False
    except RgtoolError:
        if len(counts) == 1:
            raise

    def whole(one: Counts) -> Counts:
        draw(one, kind)
        return one

    fit = _fit(counts, whole, kind)
    return draw(fit, kind), len(fit) < len(counts)


def _scales_drawn(
    store: Store, found: Sequence[Meaning], by: str, name: str
) -> tuple[Figure, bool]:
    """Draw effective scales, and tell whether an experiment that has none is left out."""
    from ...analysis.plots.figures import plot as draw
    from ...analysis.spectrum.scale_flow import scale_flow
    from ...schemas.notes import Note, ranked, shown_lines

    flows = _fit(found, lambda one: scale_flow(store, one, by=by), name)
    notes = ranked(
        Note.of(note, one.see).about(one.experiment_id) if len(flows) > 1 else note
        for one in flows
        for note in one.notes
    )
    more = "rgtool eigen --coordinates scale --notes shows them"
    for line in chain(*shown_lines(notes, more=more)):
        say(line)
    return draw(flows), len(flows) < len(found)
