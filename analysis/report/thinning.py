"""How much of the data of charts a page holds: all, or of long ones every second row, or fewer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...schemas.words import counted, size
from . import markup
from .sharing import share

if TYPE_CHECKING:
    from ..charts.chart import Chart

MOST = 3_000_000  # bytes of a page
_LARGE = 1_000  # bytes of the data of a chart, below which it stays whole
_STEPS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
# What charts are thinned along, each along the first of these that it has: curves of epochs, of
# which there are most rows, before all others.
_ALONG = ("epoch", "level")
_COMMON = ("$schema", "config", "usermeta")  # the same for all, which the page knows
Data = Mapping[str, Mapping[str, Any]]  # by the name of a frame, its columns


@dataclass(frozen=True)
class Drawn:
    """A chart as a page holds it.

    Attributes
    ----------
    chart : Chart
        What it was made of.
    spec : dict
        Its specification, without data; what it has in common with others by `sharing`.
    data : mapping or None
        Its frames, see `markup.columns`; None where the page has no room for the chart.
    thinned : str
        What was left out of the data; empty where nothing was.
    """

    chart: Chart
    spec: dict[str, Any]
    data: Data | None
    thinned: str = ""

    @property
    def bytes(self) -> int:
        """What it takes of a page."""
        return 0 if self.data is None else _length(self.spec) + _length(self.data)


def drawn(chart: Chart) -> Drawn:
    """Return a chart with all of its data."""
    spec = chart.specification("container", titled=False, inline=False)
    spec = {name: value for name, value in spec.items() if name not in _COMMON}
    return Drawn(chart, spec, _columns({name: chart.values(name) for name in chart.data}))


def fitted(charts: Sequence[Chart], room: int) -> tuple[list[Drawn], list[Any], str]:
    """Bring charts to a size: thin the long ones, then leave out the last.

    Parameters
    ----------
    charts : sequence of Chart
        All charts of a page.
    room : int
        Bytes that their specifications and data may take.

    Returns
    -------
    drawn : list of Drawn, of the same length
        What the page holds of each.
    parts : list
        What specifications have in common.
    notice : str
        What is missing, for the reader; empty where all is there.
    """
    whole = [drawn(chart) for chart in charts]
    specs, parts = share([one.spec for one in whole])
    whole = [replace(one, spec=spec) for one, spec in zip(whole, specs, strict=True)]
    room -= _length(parts)
    found = whole
    for along in _ALONG:
        before = found
        for step in _STEPS:
            if _total(found) <= room:
                break
            found = [_thinned(one, along, step) for one in before]
    kept = _first(found, room)
    return kept, parts, _notice(kept)


def _total(found: Sequence[Drawn]) -> int:
    return sum(one.bytes for one in found)


def _first(found: Sequence[Drawn], room: int) -> list[Drawn]:
    """Leave out the charts that do not fit in beside those before them."""
    kept = []
    for one in found:
        room -= one.bytes
        kept.append(one if room >= 0 else replace(one, data=None))
    return kept


def _notice(kept: Sequence[Drawn]) -> str:
    thinned = sum(bool(one.thinned) and one.data is not None for one in kept)
    missing = sum(one.data is None for one in kept)
    said = [
        f"{counted(thinned, 'chart')} thinned, as said below each" if thinned else "",
        f"{counted(missing, 'chart')} left out: name fewer experiments" if missing else "",
    ]
    those = ", ".join(part for part in said if part)
    return f"To stay below {size(MOST)} this page has {those}." if those else ""


def _thinned(one: Drawn, along: str, step: int) -> Drawn:
    assert one.data is not None
    if _length(one.data) < _LARGE:
        return one
    if one.chart.fewer is not None:
        return _redrawn(one, along, step)
    said, data = "", dict(one.data)
    for name in one.chart.data:
        rows = one.chart.values(name)
        if not rows or along != next((column for column in _ALONG if column in rows[0]), None):
            continue
        places = sorted({row[along] for row in rows if row[along] is not None})
        stay = {*places[::step], *places[-1:], None}
        kept = [row for row in rows if row[along] in stay]
        data[name] = markup.columns(kept)
        if len(kept) < len(rows):
            said = f"Thinned: one {along} of {step} is drawn and handed out, and the last."
    return replace(one, data=data, thinned=said) if said else one


def _redrawn(one: Drawn, along: str, step: int) -> Drawn:
    """Return a chart that thins itself, whose caption says what is drawn."""
    assert one.chart.fewer is not None
    rows = one.chart.data["rows"]
    if along != _ALONG[0]:
        return one
    fewer = one.chart.fewer(max(1, -(-rows[along].n_unique() // step)))
    if len(fewer.data["rows"]) == len(rows):
        return one
    data = _columns({name: fewer.values(name) for name in fewer.data})
    return replace(one, chart=fewer, data=data, thinned="Thinned to keep the page small.")


def _columns(frames: Mapping[str, Sequence[Mapping[str, Any]]]) -> Data:
    return {name: markup.columns(rows) for name, rows in frames.items()}


def _length(values: Any) -> int:
    return len(json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode())
