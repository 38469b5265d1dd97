"""What the specification of a chart says it draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]


def views(spec: Spec) -> Iterator[Spec]:
    """Every view below a specification that has marks, with the name of its data."""
    source = spec.get("data", {}).get("name")
    inner = [one for way in ("layer", "hconcat", "vconcat") for one in spec.get(way, ())]
    for one in inner:
        yield from views({"data": {"name": source}} | one)
    if "mark" in spec:
        yield spec


def fields(spec: Spec) -> set[tuple[str, str]]:
    """(data, column) of everything that the views encode; columns that they compute left out."""
    return {
        (view["data"].get("name", ""), channel["field"])
        for view in views(spec)
        for channels in view["encoding"].values()
        for channel in (channels if isinstance(channels, list) else [channels])
        if "field" in channel and channel["field"] not in computed(spec)
    }


def computed(spec: Spec) -> set[str]:
    """Columns that transforms of a specification add."""
    inner = [one for way in ("layer", "hconcat", "vconcat") for one in spec.get(way, ())]
    own = {one["as"] for one in spec.get("transform", ()) if "as" in one}
    return own.union(*map(computed, inner))


def holds(chart: Any) -> None:
    """Fail where a view draws a column that its data does not have."""
    missing = [
        (source, field)
        for source, field in fields(dict(chart.spec))
        if field not in chart.data[source].columns
    ]
    assert missing == []


def chosen_by_legend(spec: Spec) -> dict[str, list[str]]:
    """Parameters that legends set, by name, with the fields that they choose by."""
    return {
        parameter["name"]: parameter["select"]["fields"]
        for view in views(spec)
        for parameter in view.get("params", ())
        if parameter.get("bind") == "legend"
    }
