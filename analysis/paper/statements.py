"""What the paper claims, as claims.toml holds it."""

from __future__ import annotations

import functools
import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .claim import ClaimKind, ClaimVerdict


@dataclass(frozen=True)
class Statement:
    """A claim before it is checked; what its fields say stands at the head of claims.toml."""

    id: str
    source: str
    claim: str
    printed: str
    checked: str
    tolerance: str
    why: str | Mapping[str, str]
    kind: ClaimKind = "recomputed"
    check: str | None = None
    spectra: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    otherwise: ClaimVerdict = "disagrees"
    verdict: ClaimVerdict | None = None
    remark: bool = False


@functools.cache
def _file() -> dict[str, Any]:
    path = Path(__file__).with_name("claims.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def common_words() -> dict[str, str]:
    """Return the phrases that several texts use, by name."""
    return dict(_file()["words"])


def statements() -> Iterator[Statement]:
    """Read the claims in the order of the file."""
    entries = [{"id": name} | entry for name, entry in _file()["claims"].items()]
    for each, alike in itertools.groupby(entries, lambda entry: str(entry.get("each", ""))):
        claims = list(alike)
        subjects = [{"spectra": name} for name in _spectra_named(each)] or [{}]
        for subject in subjects:
            for claim in claims:
                for variant in claim.get("variants", [{}]):
                    yield _statement(claim | subject | variant)


def _statement(entry: Mapping[str, Any]) -> Statement:
    plain = {name: value for name, value in entry.items() if name not in ("each", "variants")}
    return Statement(**plain | {"spectra": tuple(_spectra_named(entry.get("spectra", "")))})


def _spectra_named(name: str) -> Sequence[str]:
    """Return the spectra of a set, or the one of that name."""
    sets = _file()["sets"]
    if name not in sets:
        return [name] if name else []
    return [member for inner in sets[name] for member in _spectra_named(inner)]
