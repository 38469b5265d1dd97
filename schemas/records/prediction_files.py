"""Reading predictions: what is no prediction, or was changed after it was made, is refused.

The files are texts that anyone can write: every value is held to its type, since a hash tells that
a file is what its name says, and not that what it says makes sense.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..blocks import GROUPINGS
from ..errors import RecordError, UsageError, choose
from ..files import read_file
from ..recipe import Recipe
from ..sums import KEY, PLACE, holds
from .predictions import KINDS, LAWS, VERSION, Law, Levels, Meant, Registered, Statement

T = TypeVar("T")

CHANGED = "this prediction was changed after it was made"
_MOST = 1 << 24  # bytes
_FAR = 10**9  # no level lies beyond
_FIELDS = {one.name for one in dataclasses.fields(Recipe)}
_NONE = (
    ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, UsageError,
)  # fmt: skip


def read_prediction(path: Path) -> Registered:
    """Read a prediction, and hold it to its sum and to its name.

    Raises
    ------
    RecordError
        It was changed, is damaged, or of a newer rgtool.
    """
    try:
        blob = read_file(path, _MOST)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        values = json.loads(blob)
        version = _whole(values.pop("version"))
        if version > VERSION:
            raise RecordError(
                f"{path}: written by a newer rgtool (version {version}, this one reads up to "
                f"{VERSION}): upgrade rgtool to read it"
            )
        if version < 1:
            raise ValueError(f"there is no version {version}")
        has_sum = values.pop(KEY, PLACE) != PLACE
        if has_sum and not holds(blob):
            raise _changed(path, "its bytes are not those that were written (the sum differs)")
        found = _parse(values)
    except _NONE as error:
        raise RecordError(f"{path}: no prediction ({_reason(error)})") from None
    if found.id != path.stem:
        raise _changed(
            path,
            f"what it says has the hash {found.id}, and its name is that of what was written",
        )
    if not has_sum:
        raise _changed(path, "its sum is gone, and rgtool writes one into every prediction")
    return found


def _changed(path: Path, why: str) -> RecordError:
    return RecordError(f"{path}: {CHANGED}: {why}; bring it back from a copy")


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _parse(values: dict[str, Any]) -> Registered:
    choose("kind", _text(values["kind"]), KINDS)
    found = Registered(
        **{
            **values,
            "made_at": _time(values["made_at"]),
            "afterwards": _typed(values["afterwards"], bool, "true or false"),
            "source": _text(values["source"]),
            "target": _text(values["target"]),
            "labels": _texts(values["labels"]),
            "after": _texts(values["after"]),
            "tests": _meant(**values["tests"]),
            "seen": _mapped(values["seen"], _whole),
            "settings": _mapped(values["settings"], _text),
            "statements": tuple(map(_statement, _typed(values["statements"], list, "a list"))),
        }
    )
    if len(found.labels) != 2 or not found.statements:
        raise ValueError("two labels and a statement are due")
    if found.kind == "exponents":
        choose("by", found.settings["by"], GROUPINGS)
        _check_window(found.settings["window"])
    return found


def _typed(value: Any, kind: type | tuple[type, ...], due: str) -> Any:
    """Hold a value to a type; true is no number."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"found {value!r:.40}, expected {due}")
    return value


def _text(value: Any) -> str:
    return str(_typed(value, str, "a text"))


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(map(_text, _typed(values, list, "a list")))


def _whole(value: Any) -> int:
    number: int = _typed(value, int, "a whole number")
    if abs(number) > _FAR:
        raise ValueError(f"found {number:.3g}, expected a level")
    return number


def _number(value: Any) -> Any:
    """Return a number as it was written: the hash is that of its digits."""
    return _typed(value, (int, float), "a number")


def _mapped(values: Any, read: Callable[[Any], T]) -> dict[str, T]:
    return {name: read(value) for name, value in _typed(values, dict, "names and values").items()}


def _time(value: Any) -> str:
    text = _text(value)
    found = dt.datetime.fromisoformat(text)
    if found.utcoffset() != dt.timedelta(0) or found.isoformat(timespec="seconds") != text:
        raise ValueError(f"made_at is {text}: ISO 8601 in UTC, to the second, is due")
    return text


def _check_window(text: str) -> None:
    first, last = map(int, text.split(":"))
    if not 0 <= first < last:
        raise ValueError(f"a window from level {first} to {last} is none")


def _meant(experiment: Any, parent: Any, fields: Any, maps: Any) -> Meant:
    one = Meant(
        None if experiment is None else _text(experiment),
        None if parent is None else _text(parent),
        _mapped(fields, _text),
        _texts(maps),
    )
    if one.experiment is None and one.parent is None:
        raise ValueError("no experiment is named whose runs test it")
    if unknown := [name for name in one.fields if name not in _FIELDS]:
        raise ValueError(f"a recipe has no field {unknown[0]}")
    return one


def _statement(values: Mapping[str, Any]) -> Statement:
    _typed(values, dict, "a statement")
    null = values["null"]
    return Statement(
        _text(values["name"]),
        _law(values["model"]),
        _law(values["constant"]),
        None if null is None else _law(null),
    )


def _law(values: Mapping[str, Any]) -> Law:
    given = dict(_typed(values, dict, "a law"))
    law = LAWS[_text(given.pop("law"))]
    if law is not Levels:
        return law(**_mapped(given, _number))
    numbers = map(_number, _typed(given.pop("probability"), list, "a list"))
    return Levels(_whole(given.pop("first")), tuple(numbers), **given)
