"""What stands in the file `manifest.json` of a store, of this and of earlier versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RecordError, StoreError
from ..files import open_file, read_file
from ..sums import holds
from .parts import Part

VERSION = 2
_OPENING = 128  # bytes in which version and sum stand: they tell one manifest from another


@dataclass(frozen=True)
class Index:
    """What stands in a manifest; nothing and a reason where it cannot be read.

    Attributes
    ----------
    parts : tuple of Part
        The parts that it lists.
    generation : int
        Number of the compaction that wrote it.
    fault : str
        Why it cannot be read; empty where it can.
    head : bytes
        How it begins.
    is_old : bool
        Whether rgtool 0.1.0 wrote it.
    """

    parts: tuple[Part, ...] = ()
    generation: int = 0
    fault: str = ""
    head: bytes = b""
    is_old: bool = False


def manifest_bytes(path: Path) -> bytes | str | None:
    """Read the manifest; None where there is none, the reason where it cannot be read."""
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error.strerror or type(error).__name__


def manifest_head(path: Path) -> bytes:
    """Read how a manifest begins: version and sum tell one from another.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with open_file(path) as file:
        return file.read(_OPENING)


def parse_manifest(path: Path, blob: bytes | str | None) -> Index:
    """Read a manifest from what `manifest_bytes` returned.

    Raises
    ------
    StoreError
        A newer rgtool has written it.
    """
    if blob is None:
        return Index(fault="is missing")
    if isinstance(blob, str):
        return Index(fault=f"is damaged ({blob})")
    try:
        values = json.loads(blob)
        version = values["version"]
        if version > VERSION:
            raise StoreError(
                f"{path}: written by a newer rgtool (manifest version {version}, this one reads "
                f"up to {VERSION}): upgrade rgtool to read it"
            )
        if version == 1:
            return Index(_of_version_1(values), values["generation"], "", blob[:_OPENING], True)
        if not holds(blob):
            raise ValueError("its sum differs")
        parts = [Part.from_json("records", one) for one in values["records"]]
        parts += [Part.from_json("descriptions", one) for one in values["descriptions"]]
        parts += [Part.from_json("epochs", one) for one in values.get("epochs", [])]
        return Index(tuple(parts), values["generation"], "", blob[:_OPENING])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RecordError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        return Index(fault=f"is damaged ({reason.splitlines()[0] if reason else 'empty'})")


def _of_version_1(values: Mapping[str, Any]) -> tuple[Part, ...]:
    """Read the manifest of rgtool 0.1.0, which tells the runs but not the part that each is in."""
    runs = {run_id: tuple(range(last + 1)) for run_id, last in values["runs"].items()}
    parts = [
        Part("records", f"{number:04d}", {} if i else runs)
        for i, number in enumerate(values["parts"])
    ]
    if values["descriptions"] is not None:
        described: dict[str, tuple[int, ...]] = dict.fromkeys(runs, ())
        parts.append(Part("descriptions", f"{values['descriptions']:04d}", described))
    return tuple(parts)
