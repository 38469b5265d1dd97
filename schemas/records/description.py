"""The description of a run: `run.json`.

What Python's parser takes and others do not (halves of surrogate pairs, numbers beyond 64 bits, a
name twice, nesting without end) is never written and never read: one such file would make every
query over a store fail.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..blocks import Architecture
from ..display import Row, Shown, Table
from ..errors import RecordError, UsageError
from ..files import read_file, write_atomic
from ..published_recipes import fields_of
from ..recipe import Recipe
from ..sums import EDITED, KEY, PLACE, holds, seal
from ..words import spans, spelled

VERSION = 2
MOST = 1 << 26  # bytes of a description; an import of many files has long ones
_APART = ("recipe", "scales", "files", "history", "told")  # shown otherwise, or not
_DEEPEST = 16  # levels of nesting
OWN = "rgtool"  # the source of runs that were not imported
# Of the machine: the kernels of every level, and why these, which is left to `run.json`.
BY_LEVEL, BY_LEVEL_WHY = "kernels_by_level", "kernels_by_level_why"
RECORDED = "recorder"  # the source of runs that a Recorder wrote
UNKNOWN = "unknown"  # the recipe of an import of which none is told
# Fields that an import sees in masks and shapes, or gives itself.
SEEN = ("architecture", "prunable", "exempt", "origin")
# A number that may be too large.
_LONG = re.compile(r"[\[:,]\s*-?(?:[0-9]{19}|[0-9]+(?:\.[0-9]+)?[eE]\+?[0-9]{3})")


@dataclass(frozen=True, kw_only=True)
class Description(Shown):
    """Where a run comes from, and all that is needed to do it again.

    Attributes
    ----------
    run_id, experiment_id : str
        Identity, see `Recipe`.
    recipe_name : str
        The named recipe that the fields were resolved from.
    recipe : Recipe
        The resolved recipe.
    seed : int or None
        None in imports whose source does not tell.
    replicate : str
        Tells the runs of an experiment apart where the seed cannot.
    source : str
        `rgtool`, or the format of an import.
    levels : int
        Prunings asked for.
    parent_run : str or None
        Run whose masks or weights were used.
    scales : mapping of str to mapping of str to float
        `init` and `rewind`: root mean square of every counted layer's weights.
    versions, machine : mapping
        Code and libraries; device, threads, instruction set, determinism, kernels of every level.
    history : tuple of str
        Levels from which on versions or machine were others, and what changed; `versions` and
        `machine` are the last.
    files : list of mapping
        Files that were read, with their sha256; of networks of the user's own the text too.
    inferred : mapping of str to str
        What an import concluded, and from what.
    told : tuple of str
        In imports, the fields of the recipe that the source or the user told; see `assumed`.
    aliases : tuple of mapping
        Names under which imports have seen this run: `experiment`, `replicate`, `variant`, `seed`
        and the `levels` seen under them. The first is the one that the run bears.
    mask_digests : mapping of str to str
        In imports, a sum over the masks of each level, see `store.importers.identity`.
    former : tuple of str
        Experiments that it was of before imports corrected its recipe; their ids find it, too.
    created_at, updated_at : str
        Times, ISO 8601, UTC.
    """

    run_id: str
    experiment_id: str
    recipe_name: str
    recipe: Recipe
    seed: int | None
    replicate: str
    levels: int
    created_at: str
    updated_at: str
    source: str = OWN
    parent_run: str | None = None
    scales: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    files: tuple[Mapping[str, str], ...] = ()
    inferred: Mapping[str, str] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    aliases: tuple[Mapping[str, Any], ...] = ()
    mask_digests: Mapping[str, str] = field(default_factory=dict)
    former: tuple[str, ...] = ()

    def write(self, path: Path, *, flush: bool = True) -> None:
        """Write the description as JSON, atomically; `flush` as in `files.write_atomic`.

        What is no text, such as a file name that is not UTF-8, is written with escapes.

        Raises
        ------
        RecordError
            A value is not of its field's kind.
        OSError
            The disk is full or the folder is not writable.
        """
        values: dict[str, Any] = {"version": VERSION, KEY: PLACE}
        values |= {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["recipe"] = self.recipe.to_json()
        text = json.dumps(_escaped(values), indent=2) + "\n"
        self.parse(text, str(path))
        write_atomic(path, seal(text.encode()), flush=flush)

    def table(self) -> Table:
        """Return what `rgtool show` prints of a run, without what its records say."""
        rows: list[Row] = []
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if one.name in _APART:
                continue
            if isinstance(value, Mapping):
                rows += [(f"{one.name}.{key}", item) for key, item in shown(value).items()]
            else:
                rows.append((one.name, value))
        rows += recipe_rows(self.recipe.to_json(), self.assumed)
        rows += [("history", line) for line in self.history]
        rows += [("file", f"{one.get('path')} sha256:{one.get('sha256')}") for one in self.files]
        notes = assumption_notes(self.assumed, self)
        return Table(("what", "value"), rows, title=f"run {self.run_id}", notes=notes)

    @property
    def assumed(self) -> tuple[str, ...]:
        """Fields of the recipe that nothing tells, see `assumed_fields`."""
        return assumed_fields(self.source, self.told, self.recipe, self.recipe_name)

    @property
    def study(self) -> str:
        """The published recipe that assumed fields are taken from; empty: frozen defaults."""
        return study_of(self.recipe_name)

    @classmethod
    def read(cls, path: Path, *, missing: bool = False) -> Description:
        """Read a description.

        Parameters
        ----------
        path : Path
            The file.
        missing : bool
            Raise FileNotFoundError, and no RecordError, where there is none.

        Raises
        ------
        RecordError
            The file is damaged, incomplete or written by a newer rgtool.
        """
        try:
            text = read_file(path, MOST)
        except OSError as error:
            if missing and isinstance(error, FileNotFoundError):
                raise
            raise RecordError(f"{path}: not a description of a run ({error})") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str | bytes, where: str) -> Description:
        """Read a description from the text of `run.json`.

        Raises
        ------
        RecordError
            `where`, and what is damaged, missing or newer than this rgtool.
        """
        try:
            values, is_known = _load(text)
            version = values.pop("version")
            if version > VERSION:
                raise RecordError(
                    f"{where}: written by a newer rgtool (description version {version}, this one "
                    f"reads up to {VERSION}): upgrade rgtool to read it"
                )
            if values.pop(KEY, PLACE) != PLACE and not is_known:
                raise ValueError(EDITED)
            values["recipe"] = Recipe.from_json(values["recipe"])
            for name in _TUPLES:
                values[name] = _tuple(name, values.get(name, []))
            description = cls(**values)
            for name, annotation in _ANNOTATIONS.items():
                _check(name, annotation, getattr(description, name))
        except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
            raise RecordError(f"{where}: not a description of a run ({_reason(error)})") from None
        return description


def recipe_rows(recipe: Mapping[str, Any], assumed: Collection[str]) -> list[Row]:
    """Name what is known of a recipe `recipe.lr`, what nothing tells `assumed.lr`."""
    return [
        (f"{'assumed' if name in assumed else 'recipe'}.{name}", spelled(value))
        for name, value in recipe.items()
    ]


def shown(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return what people see of versions or of a machine, in a line each."""
    return {
        name: spans(value) if isinstance(value, Mapping) else value
        for name, value in conditions.items()
        if name != BY_LEVEL_WHY
    }


def assumption_notes(assumed: Collection[str], run: Description) -> tuple[str, ...]:
    """Say where values come from that nothing tells, of a run or of those like it."""
    if not assumed:
        return ()
    source = f"values of recipe {run.study}" if run.study else "defaults, of which nothing is known"
    cure = ": rgtool.Recorder(..., lr=0.1) tells one" if run.source == RECORDED else ""
    return (f"assumed.*: {untold(run.source)} these fields; they are {source}{cure}",)


def assumed_fields(
    source: str, told: Collection[str], recipe: Recipe, recipe_name: str = ""
) -> tuple[str, ...]:
    """Return the fields of a recipe that nothing tells, in their order.

    Runs of rgtool know all of theirs. Of an import masks and shapes tell some, files and users
    others (`told`); the rest is that of the format's study, or a frozen default. What differs from
    that was told, whether or not a description says so.

    Examples
    --------
    >>> recipe = Recipe(architecture="lenet", task="mnist", prune=0.05)
    >>> assumed_fields("rgtool", (), recipe)
    ()
    >>> found = assumed_fields("table", (), recipe)
    >>> "init" in found, "prune" in found
    (True, False)
    """
    if source == OWN:
        return ()
    usual = Recipe.from_json(
        {
            **fields_of(recipe_name, Architecture(recipe.architecture, ())),
            "architecture": recipe.architecture,
            "task": recipe.task,
        }
    )
    # A length was told where there is one; else epochs say how long training is.
    known = {*told, *SEEN, "length"}
    names = [f.name for f in dataclasses.fields(Recipe) if f.name not in known]
    return tuple(name for name in names if getattr(recipe, name) == getattr(usual, name))


def untold(source: str) -> str:
    """Say who tells nothing of a run that is not rgtool's own; what it is follows."""
    return "the Recorder was not told" if source == RECORDED else "nothing of the import tells"


def study_of(recipe_name: str) -> str:
    """Return the name of a recipe, empty where none is known."""
    return "" if recipe_name == UNKNOWN else recipe_name


def _load(text: str | bytes) -> tuple[dict[str, Any], bool]:
    """Read JSON as other programs would: what these refuse, or read otherwise, is an error.

    Returns
    -------
    tuple
        The values, and whether the text has the sum that it carries.
    """
    decoded = text if isinstance(text, str) else text.decode()
    # What nothing can be wrong with is spared the search: a store may hold a hundred thousand.
    is_known = holds(decoded.encode()) is True  # `write` has searched it
    finite = None if is_known or not _LONG.search(decoded) else _float64
    try:
        values = json.loads(
            decoded, object_pairs_hook=_no_name_twice, parse_int=_int64, parse_float=finite
        )
        if "\\u" in decoded or decoded.count("{") + decoded.count("[") > _DEEPEST:
            _check_texts(values, 0)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError("it is no object of JSON")
    return values, is_known


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice in it")
    return values


def _int64(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= (value := int(digits)) < 2**63:
        raise ValueError(f"the number {digits[:20]}... has more than 64 bits")
    return value


def _float64(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"the number {digits[:20]} is beyond 64 bits")
    return value


def _check_texts(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueError("a text holds half a surrogate pair, which is no character")
        if "\0" in value:
            raise ValueError("a text holds a null character")
    elif isinstance(value, list):
        for item in value:
            _check_texts(item, depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_texts(name, depth + 1)
            _check_texts(item, depth + 1)


def _escaped(value: Any) -> Any:
    """Write with escapes what is no text: halves of surrogate pairs and null characters."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if isinstance(value, Mapping):
        return {_escaped(name): _escaped(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value


def _tuple(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"'{name}' is no list")
    return tuple(value)


def _check(name: str, annotation: str, value: Any) -> None:
    fits, words = _VALUE_KINDS[annotation]
    if not fits(value):
        raise ValueError(f"'{name}' is no {words}")
    if name in ("created_at", "updated_at"):
        time = dt.datetime.fromisoformat(value)
        if not 1 < time.year < 9999:
            raise ValueError(f"'{name}' is no time of an experiment")
    elif name == "levels" and not 0 <= value < 2**31:
        raise ValueError(f"'{name}' is no number of prunings")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_scales(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(scales, Mapping) and {*map(type, scales.values())} <= {int, float, type(None)}
        for scales in value.values()
    )


# What a field's annotation asks of a value, and in words.
_VALUE_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda v: isinstance(v, str), "text"),
    "str | None": (lambda v: v is None or isinstance(v, str), "text"),
    "int": (_is_whole, "whole number"),
    "int | None": (lambda v: v is None or _is_whole(v), "whole number"),
    "Recipe": (lambda v: isinstance(v, Recipe), "recipe"),
    "tuple[str, ...]": (_are_texts, "list of texts"),
    "tuple[Mapping[str, Any], ...]": (
        lambda v: all(isinstance(m, Mapping) for m in v),
        "list of objects",
    ),
    "tuple[Mapping[str, str], ...]": (
        lambda v: all(isinstance(m, Mapping) and _are_texts(m.values()) for m in v),
        "list of objects of texts",
    ),
    "Mapping[str, str]": (
        lambda v: isinstance(v, Mapping) and _are_texts(v.values()),
        "object of texts",
    ),
    "Mapping[str, Any]": (lambda v: isinstance(v, Mapping), "object"),
    "Mapping[str, Mapping[str, float]]": (_is_scales, "object of objects of numbers"),
}
_ANNOTATIONS = {
    one.name: getattr(one.type, "__name__", str(one.type))
    for one in dataclasses.fields(Description)
}
_TUPLES = tuple(name for name, kind in _ANNOTATIONS.items() if kind.startswith("tuple"))


def _reason(error: Exception) -> str:
    """Say in words what is wrong, where an exception gives but a name."""
    if isinstance(error, KeyError):
        return f"'{error.args[0]}' is missing"
    return str(error)
