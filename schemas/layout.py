"""Where everything lies in a store."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

DEFAULT_STORE = "rgstore"
STORE_VARIABLE = "RGTOOL_STORE"
_RECORD = re.compile(r"(\d{4,})\.parquet")


def store_path(path: str | Path | None = None) -> Path:
    """Return the folder of a store: the one given, `$RGTOOL_STORE`, or `rgstore`."""
    return Path(path if path is not None else os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)


def record_level(name: str) -> int | None:
    """Return the level whose record has this file name; None for any other file."""
    match = _RECORD.fullmatch(name)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run: description, records, masks, weights."""

    path: Path

    @classmethod
    def of(cls, store: Path, run_id: str) -> RunFolder:
        """Return the folder of a run in the store at `store`."""
        return cls(store / "runs" / run_id)

    def make(self) -> None:
        """Create the folder and its parts."""
        for part in ("records", "masks", "weights"):
            (self.path / part).mkdir(parents=True, exist_ok=True)

    @property
    def description(self) -> Path:
        """`run.json`."""
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        """State inside a level; absent between levels."""
        return self.path / "checkpoint.safetensors"

    def record(self, level: int) -> Path:
        """Return the record of a level."""
        return self.path / "records" / f"{level:04d}.parquet"

    def mask(self, level: int) -> Path:
        """Return the mask of a level."""
        return self.path / "masks" / f"{level:04d}.safetensors"

    def weights(self, name: str) -> Path:
        """Return the weights called `init`, `rewind` or `dense`."""
        return self.path / "weights" / f"{name}.safetensors"

    def recorded_levels(self) -> list[int]:
        """List the levels that have a record, ascending."""
        folder = self.path / "records"
        if not folder.is_dir():
            return []
        matches = (_RECORD.fullmatch(entry.name) for entry in folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)
