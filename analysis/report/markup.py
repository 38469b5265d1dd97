"""Text of strangers as parts of a page: nothing of it is ever markup or script."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from ...schemas.errors import printable

# What ends a block of data in HTML, begins a comment, or ends a line in JavaScript alone.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
# Letters that are written from right to left, and what stands between them.
_TURNED = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc](?:.*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc])?"
)


def text(content: str) -> str:
    """Return text as HTML: no markup, no controls, and no letters that turn those beside them.

    Examples
    --------
    >>> text("<b>1 & 2</b>")
    '&lt;b&gt;1 &amp; 2&lt;/b&gt;'
    """
    return _TURNED.sub(r"<bdi>\g<0></bdi>", escape(printable(content)))


def value(content: str) -> str:
    """Return text as the value of an attribute, quotes included."""
    return f'"{escape(printable(content))}"'


def lines(content: str) -> str:
    """Return the lines of a text, such as SQL, as HTML."""
    return "\n".join(text(line) for line in content.split("\n"))


def data(values: Any) -> str:
    r"""Return values as JSON that can stand in a block of a page.

    Examples
    --------
    >>> data({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    written = json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return written.translate(_ESCAPES)


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows as columns, each name once, and values that come again once too.

    Examples
    --------
    >>> columns([{"n": 1}, {"n": 2}])
    {'n': [1, 2]}
    >>> columns([{"s": "a"}, {"s": "a"}, {"s": "a"}, {"s": "a"}])
    {'s': {'stretches': [['a', 4]]}}
    >>> columns([{"s": "a"}, {"s": "b"}, {"s": "a"}, {"s": "b"}, {"s": "a"}])
    {'s': {'values': ['a', 'b'], 'places': [0, 1, 0, 1, 0]}}
    """
    names = rows[0] if rows else ()
    return {name: _packed([row[name] for row in rows]) for name in names}


def _packed(column: list[Any]) -> Any:
    """Return a column as values and how often each follows itself, or where each stands."""
    if len({type(one) for one in column} - {type(None)}) != 1:  # 1 and True are equal
        return column
    stretches = [[one, len(list(those))] for one, those in groupby(column)]
    if 3 * len(stretches) < len(column):
        return {"stretches": stretches}
    values = list(dict.fromkeys(column))
    if 2 * len(values) >= len(column) or isinstance(column[0], int):
        return column
    place = {one: at for at, one in enumerate(values)}
    return {"values": values, "places": [place[one] for one in column]}


def slug(name: str) -> str:
    """Return a name as the part of a file's name, or of an address within the page.

    Examples
    --------
    >>> slug("flow of resnet20/cifar10")
    'flow-of-resnet20-cifar10'
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:80]
