"""What specifications have in common stands once in a page: fifty flows differ in a few names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

KEY = "$"  # of a reference, which Vega-Lite has no property for
_LEAST = 40  # characters of a part, below which a reference saves nothing


def share(specs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Take out the parts that stand several times.

    Parameters
    ----------
    specs : sequence
        Values as JSON has them.

    Returns
    -------
    lean : list, of the same length
        The same, with `{"$": place}` for every part that was taken out.
    parts : list
        Those parts; a part may refer to those before it.

    Examples
    --------
    >>> axis = {"title": "share of all kept weights", "labelFontSize": 11}
    >>> lean, parts = share([{"x": axis}, {"y": axis}])
    >>> lean
    [{'x': {'$': 0}}, {'y': {'$': 0}}]
    >>> parts == [axis]
    True
    """
    times = Counter(text for spec in specs for text in _texts(spec))
    places: dict[str, int] = {}
    parts: list[Any] = []

    def lean(value: Any) -> Any:
        text = _text(value)
        if text in places:
            return {KEY: places[text]}
        if isinstance(value, dict):
            made: Any = {name: lean(one) for name, one in value.items()}
        elif isinstance(value, list | tuple):
            made = [lean(one) for one in value]
        else:
            return value
        if times[text] < 2 or len(text) < _LEAST:
            return made
        places[text] = len(parts)
        parts.append(made)
        return {KEY: places[text]}

    return [lean(spec) for spec in specs], parts


def _texts(value: Any) -> Iterator[str]:
    """Yield every part that is worth a reference, as text."""
    if not isinstance(value, dict | list | tuple):
        return
    text = _text(value)
    if len(text) < _LEAST:
        return
    yield text
    for one in value.values() if isinstance(value, dict) else value:
        yield from _texts(one)


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list | tuple) else ""
