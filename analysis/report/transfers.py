"""Tickets of experiments on the tasks of others, as far as a store holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from ...store import Store
from ..transfer.conditions import TRANSFERRED
from ..transfer.estimate import measure_transfer
from ..transfer.mantel import LEAST_EXPERIMENTS
from ..transfer.matrix_estimate import measure_matrix
from .members import Member
from .results import section_of
from .section import Section

_PIXELS = "pixels"
Pair = tuple[Member, Member]  # where tickets come from, and whose own they are held against
Children = Mapping[str, Member]  # by condition


def transfers(store: Store, members: Sequence[Member]) -> Section | None:
    """Show tickets of experiments on others' tasks; None where no experiment trains such."""
    found = _children(members)
    if not found:
        return None
    networks = sorted({one.info.recipe.architecture for pair in found for one in pair})
    matrices = [_matrix(store, found, network) for network in networks]
    return Section(
        "transfers",
        "Transfers",
        text=(
            "Tickets of one experiment, trained on the task of another or again on its own, beside "
            "that task's own tickets and controls.",
        ),
        parts=(
            *(one for one in matrices if one is not None),
            *(_transfer(pair, children) for pair, children in found.items()),
        ),
    )


def _children(members: Sequence[Member]) -> dict[Pair, dict[str, Member]]:
    """Return children by source, target and condition, where the report has all of them."""
    known = {one.id: one for one in members if one.layers is not None}
    found: dict[Pair, dict[str, Member]] = {}
    for one in known.values():
        source, own = known.get(one.info.recipe.parent or ""), known.get(one.like)
        condition = _condition(one)
        if condition and source and own:
            found.setdefault((source, own), {})[condition] = one
    return {pair: of for pair, of in found.items() if TRANSFERRED in of}


def _condition(member: Member) -> str | None:
    """Name what a child trains; None where it is no transfer of tickets as they are."""
    recipe = member.info.recipe
    if recipe.parent is None or recipe.start is not None:
        return None
    if recipe.transform is not None:
        return _PIXELS if recipe.transform.startswith(f"{_PIXELS}:") else None
    return TRANSFERRED if recipe.control == "none" else recipe.control


def _matrix(store: Store, found: Mapping[Pair, Children], network: str) -> Section | None:
    """Hold all transfers of a network against each other, where there are enough of them."""
    pairs = [pair for pair in found if {one.info.recipe.architecture for one in pair} == {network}]
    those = list(dict.fromkeys(one for pair in pairs for one in pair))
    children = {
        (those.index(a), those.index(b)): {name: one.id for name, one in found[a, b].items()}
        for a, b in pairs
        if a is not b
    }
    if len(those) < LEAST_EXPERIMENTS or not children:
        return None
    find = partial(measure_matrix, store, [one.id for one in those], children)
    return section_of(f"transfers-{network}", f"All transfers of {network}", find)


def _transfer(pair: Pair, children: Children) -> Section:
    source, own = pair
    read = {name: one.layers for name, one in children.items()}
    find = partial(measure_transfer, None, source.layers, own.layers, read, spectra=False)
    title = f"Tickets of {source.info.label} ({source.id}) on {own.info.label} ({own.id})"
    return section_of(f"transfer-{source.id}-{own.id}", title, find)
