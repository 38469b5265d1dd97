"""Predictions of a store: a file each, dated, named by its hash, and chained to those before it.

`predictions/<id>.json` holds what was predicted, by which laws, what was known, and the ids of the
predictions that were the last ones then. The id is the beginning of the SHA-256 of all that: a file
that was changed has another, and one that is gone is missed by those that follow it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import UsageError
from ..files import write_atomic
from ..sums import KEY, PLACE, seal

FOLDER = "predictions"
VERSION = 1
Kind = Literal["transfer", "ordering", "collapse", "exponents", "gamma"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ID = 16  # digits of the hash that name a file
BETTER = " > "  # between the two maps of an ordering
_SLACK = 1e-6  # of a sum of probabilities
_LEAST, _MOST = 1e-6, 1e9  # of laws of numbers: beyond them a density cannot be computed


@dataclass(frozen=True)
class Levels:
    """Probabilities of whole numbers, levels as a rule.

    Attributes
    ----------
    first : int
        The least one.
    probability : tuple of float, length N
        Of `first`, `first + 1`, ...; the last of all that lie beyond, for ever included. Sum 1.
    """

    first: int
    probability: tuple[float, ...]

    def __post_init__(self) -> None:
        """Hold the probabilities to what they are.

        Raises
        ------
        UsageError
            They are none, or do not sum to 1.
        """
        whole = all(0 <= p <= 1 for p in self.probability)
        if not whole or abs(math.fsum(self.probability) - 1) > _SLACK:
            raise UsageError("probabilities lie between 0 and 1 and sum to 1")


@dataclass(frozen=True)
class Student:
    """Student's t about a location: of a number without bounds.

    Attributes
    ----------
    location, scale, df : float
        Middle, scale above 0, and degrees of freedom above 0.
    """

    location: float
    scale: float
    df: float

    def __post_init__(self) -> None:
        """Hold the numbers to their ranges.

        Raises
        ------
        UsageError
            One is not finite or too large, or scale or degrees of freedom are hardly above 0.
        """
        large = max(abs(self.location), self.scale)
        whole = large <= _MOST and math.isfinite(self.location + self.scale + self.df)
        if not whole or min(self.scale, self.df) < _LEAST:
            raise UsageError(
                f"location, scale and df are {self.location}, {self.scale} and {self.df}: finite "
                f"numbers up to {_MOST:g}, the last two {_LEAST:g} at least"
            )


@dataclass(frozen=True)
class Chance:
    """The chance that the first of two is better.

    Attributes
    ----------
    probability : float
        From 0 to 1.
    """

    probability: float

    def __post_init__(self) -> None:
        """Hold it to its range.

        Raises
        ------
        UsageError
            It is no probability.
        """
        if not 0 <= self.probability <= 1:
            raise UsageError(f"a chance is {self.probability}: it lies between 0 and 1")


Law = Levels | Student | Chance
LAWS: dict[str, type[Levels | Student | Chance]] = {
    "levels": Levels, "student": Student, "chance": Chance,
}  # fmt: skip
_NAMES = {law: name for name, law in LAWS.items()}
_LAW_OF: dict[Kind, type[Levels | Student | Chance]] = {
    "transfer": Levels, "ordering": Chance, "collapse": Levels, "exponents": Student,
    "gamma": Student,
}  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """One quantity, and what is held of it.

    Attributes
    ----------
    name : str
        What it is: `level`, a layer, a pair of maps `A > B`.
    model : Levels, Student or Chance
        What is predicted.
    constant : Levels, Student or Chance
        What one would say who looks at no spectrum.
    null : Levels, Student or Chance or None
        What an untrained network would say (N1); None where it says nothing.
    """

    name: str
    model: Law
    constant: Law
    null: Law | None = None


@dataclass(frozen=True)
class Meant:
    """Which runs test a prediction: by the fields of their recipe.

    Attributes
    ----------
    experiment : str or None
        The experiment they are of; None: any.
    parent : str or None
        The experiment whose tickets they train; None: any, their own too.
    fields : mapping of str to str
        Fields of the recipe and their values.
    maps : tuple of str
        Transforms, one of which they train; empty: they train none.
    """

    experiment: str | None = None
    parent: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    maps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A prediction that was written down.

    Attributes
    ----------
    kind : str
        `transfer`, `ordering`, `collapse`, `exponents` or `gamma`.
    made_at : str
        Time, ISO 8601, UTC, whole seconds.
    afterwards : bool
        Whether runs that test it were there already: then it is none.
    source, target : str
        Experiments it is made from and about; ids.
    labels : tuple of str
        Of both.
    tests : Meant
        Which runs test it.
    seen : mapping of str to int
        Those of them that were there, and their last levels.
    statements : tuple of Statement
        What is predicted.
    settings : mapping of str to str
        How it was made: grouping, window, version of rgtool.
    after : tuple of str
        Ids of the predictions of the store that no other followed yet.
    """

    kind: Kind
    made_at: str
    afterwards: bool
    source: str
    target: str
    labels: tuple[str, str]
    tests: Meant
    seen: Mapping[str, int]
    statements: tuple[Statement, ...]
    settings: Mapping[str, str]
    after: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold the statements to the kind.

        Raises
        ------
        UsageError
            A law is not one of the kind's, a quantity is told twice, or an ordering compares
            other maps than those that are to be trained.
        """
        due = _LAW_OF[self.kind]
        for one in self.statements:
            for law in (one.model, one.constant, one.null or one.model):
                if not isinstance(law, due):
                    raise UsageError(
                        f"{one.name}: the laws of {self.kind} are those named {_NAMES[due]}, found "
                        f"{_NAMES[type(law)]}"
                    )
        told = [self._told(one.name) for one in self.statements]
        if len({*told}) < len(told):
            raise UsageError("a quantity is told twice")

    def _told(self, name: str) -> frozenset[str]:
        """Return what a statement is about: a quantity, or two maps in any order."""
        if self.kind != "ordering":
            return frozenset({name})
        pair = frozenset(name.split(BETTER))
        if name.count(BETTER) != 1 or not pair <= {*self.tests.maps} or len(pair) != 2:
            raise UsageError(f"'{name}' does not compare two of the maps, as 'A{BETTER}B'")
        return pair

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON types."""
        values = dataclasses.asdict(self)
        values["statements"] = [_statement_json(one) for one in self.statements]
        plain: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False))
        return plain

    @property
    def digest(self) -> str:
        """SHA-256 of what it says, in digits."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def id(self) -> str:
        """What names it: the beginning of its hash."""
        return self.digest[:ID]

    @property
    def made(self) -> dt.datetime:
        """When it was made, UTC without zone as the store has times."""
        return dt.datetime.fromisoformat(self.made_at).astimezone(dt.UTC).replace(tzinfo=None)

    def write(self, store: Path) -> Path:
        """Write it under the name that its hash gives; where it is already nothing changes.

        Raises
        ------
        OSError
            The disk is full or the folder is not writable.
        """
        path = store / FOLDER / f"{self.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"version": VERSION, KEY: PLACE, **self.to_json()}
        if not path.exists():
            write_atomic(path, seal((json.dumps(values, indent=1) + "\n").encode()))
        return path


def _statement_json(one: Statement) -> dict[str, Any]:
    laws = {name: getattr(one, name) for name in ("model", "constant", "null")}
    return {"name": one.name, **{name: law and _law_json(law) for name, law in laws.items()}}


def _law_json(law: Law) -> dict[str, Any]:
    return {"law": _NAMES[type(law)], **dataclasses.asdict(law)}
