"""The experiments of a report: the table of all, and each by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ...schemas.display import Row, Table
from ...store.catalogue.apart import written
from ...store.catalogue.listing import Experiments
from ..charts.accuracy import accuracy_chart
from ..charts.epochs import epoch_charts
from ..charts.flow import flow_chart, scale_flow_chart
from ..charts.slices import slice_charts
from ..spectrum.scale_flow import scale_flow
from .members import Member, tried
from .results import charts_of
from .section import Listing, Section
from .together import has_accuracy, with_accuracy

if TYPE_CHECKING:
    from ..charts.chart import Chart

_MATCHING = ("matching", "matching_density", "matching_low", "matching_high")
_FOUND, _BOUND, _VOID = "found", "or sparser", "void: guesses"


def experiments(members: Sequence[Member]) -> Section:
    """List the experiments, each with its matching density and a link to its own part."""
    if not members:
        return Section("experiments", "Experiments", text=("There are none.",))
    table = Experiments(one.info for one in members).table()
    at = table.columns.index("accuracy") + 1
    rows = [
        (*row[:at], *_matching(one), *row[at:])
        for one, row in zip(members, table.rows, strict=True)
    ]
    columns = (*table.columns[:at], *_MATCHING, *table.columns[at:])
    place = table.shown.index("accuracy") + 1
    shown = (*table.shown[:place], *_MATCHING, *table.shown[place:])
    formats = {**table.formats, **dict.fromkeys(_MATCHING[1:], ".3g")}
    listing = Table(columns, rows, formats=formats, shown=shown)
    links = {one.id: one.anchor for one in members}
    return Section(
        "experiments",
        "Experiments",
        listings=(Listing("experiments", listing, "rgtool ls", links),),
    )


def _matching(member: Member) -> Row:
    """Return what a matching density is worth, the density, and the ends that are known."""
    matching = member.matching
    if matching is None or member.is_void:
        return (None if matching is None else _VOID, None, None, None)
    found = matching.density
    low = math.nan if matching.is_open or matching.is_bound else found.low
    values = (found.value, low, math.nan if matching.is_bound else found.high)
    known = (one if math.isfinite(one) else None for one in values)
    return (_BOUND if matching.is_bound else _FOUND, *known)


def each(members: Sequence[Member]) -> Section:
    """Show every experiment by itself, folded, beside the children that are trained like it."""
    children: dict[str, list[Member]] = {}
    for one in members:
        children.setdefault(one.like, []).append(one)
    shown = with_accuracy(members)
    parts = (
        _experiment(one, children.get(one.id, []), alone=shown == [one.counts]) for one in members
    )
    return Section("each", "One by one", parts=tuple(parts))


def _experiment(member: Member, children: Sequence[Member], *, alone: bool) -> Section:
    """Show an experiment; one whose accuracy stands alone above needs no second chart of it."""
    problems: list[str] = []
    curves = () if alone and not children else tuple(_accuracy([member, *children]))
    charts = (*curves, *_charts(member, problems))
    spectrum = () if member.spectrum is None else (_spectrum(member),)
    return Section(
        member.anchor,
        member.title,
        text=(*_about(member), *_recipe(member)),
        charts=charts,
        listings=spectrum,
        notes=(*member.problems, *problems, *_notes(member)),
    )


def _about(member: Member) -> Iterator[str]:
    if member.info.note:
        yield member.info.note
    if member.info.tags:
        yield f"Tags: {', '.join(member.info.tags)}."
    if member.info.recipe.parent is not None:
        drawn = f", {member.info.recipe.control} drawn anew" * (
            member.info.recipe.control != "none"
        )
        yield f"It trains tickets of {member.info.recipe.parent}{drawn}."


def _charts(member: Member, problems: list[str]) -> Iterator[Chart]:
    if member.flows:
        yield from _flow(member, problems)
    if member.spectrum is not None:
        yield from charts_of(member.spectrum)
    if member.epochs is not None:
        yield from tried(problems, "no epochs", epoch_charts, None, member.epochs) or ()


def _flow(member: Member, problems: list[str]) -> Iterator[Chart]:
    counts, layers = member.counts, member.layers
    assert counts is not None and layers is not None
    yield flow_chart(counts)
    scales = tried(problems, "no effective scales", partial(scale_flow, by=counts.by), None, layers)
    if scales is not None:
        yield scale_flow_chart(scales)
    yield from tried(problems, "no slices", slice_charts, [counts]) or ()


def _accuracy(members: Sequence[Member]) -> Iterator[Chart]:
    """Yield the accuracies of an experiment and of those that are trained like it, if on record."""
    known = [one.counts for one in members if one.counts is not None and has_accuracy(one.counts)]
    if known and members[0].counts is known[0]:
        yield accuracy_chart(known)


def _spectrum(member: Member) -> Listing:
    assert member.spectrum is not None
    table = replace(member.spectrum.table(), notes=())
    return Listing(
        f"spectrum-{member.id}", table, f"rgtool eigen {member.id} --by {member.spectrum.by}"
    )


def _notes(member: Member) -> list[str]:
    matching = () if member.matching is None else member.matching.notes
    spectrum = () if member.spectrum is None else member.spectrum.notes
    return list(dict.fromkeys((*spectrum, *matching)))


def _recipe(member: Member) -> Iterator[str]:
    """Say every field of the recipe, those apart that nothing tells."""
    assumed = () if member.counts is None else member.counts.assumed
    fields = {name: written(value) for name, value in member.info.recipe.to_json().items()}
    told = ", ".join(f"{name}={value}" for name, value in fields.items() if name not in assumed)
    yield f"Recipe: {told}."
    if assumed:
        untold = ", ".join(f"{name}={fields[name]}" for name in assumed)
        yield f"Assumed, since nothing tells: {untold}."
