"""The manifest of a store: which runs are compacted, and which files hold them.

Compaction merges the records and descriptions of finished runs into a few files under `compact/`
and then replaces the manifest in one rename. What the manifest names is read from those files
and from nowhere else, so that a reader who takes the manifest once sees every record once.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StoreError
from .files import write_atomic

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
FOLDER = "compact"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is compacted.

    Attributes
    ----------
    store : Path
        The store.
    generation : int
        Number of compactions so far; files bear the number of the one that wrote them.
    parts : tuple of int
        Numbers of the files with records, and of those with their blocks and stages.
    descriptions : int or None
        Number of the file with descriptions.
    runs : mapping of str to int
        Compacted runs and the last level that is compacted; all levels below it are too.
    """

    store: Path
    generation: int = 0
    parts: tuple[int, ...] = ()
    descriptions: int | None = None
    runs: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Path) -> Manifest:
        """Read the manifest of the store at `store`; one that was never compacted is empty.

        Raises
        ------
        StoreError
            The manifest is damaged or written by a newer rgtool.
        """
        path = store / FOLDER / "manifest.json"
        try:
            values = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return cls(store=store)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: not a readable manifest ({error})") from None
        try:
            if values["version"] > VERSION:
                raise StoreError(
                    f"{path}: written by a newer rgtool (manifest version {values['version']}, "
                    f"this one reads up to {VERSION}): upgrade rgtool to read it"
                )
            return cls(
                store=store,
                generation=values["generation"],
                parts=tuple(values["parts"]),
                descriptions=values["descriptions"],
                runs=values["runs"],
            )
        except (KeyError, TypeError) as error:
            raise StoreError(f"{path}: not a manifest of rgtool ({error})") from None

    def again(self) -> Manifest:
        """Read the manifest anew; cheap if it is still this one.

        Raises
        ------
        StoreError
            It is damaged or written by a newer rgtool.
        """
        path = self.store / FOLDER / "manifest.json"
        # The generation stands first and grows with every compaction.
        with contextlib.suppress(OSError), path.open("rb") as file:
            if file.read(len(self._head())) == self._head():
                return self
        return Manifest.read(self.store)

    def write(self) -> None:
        """Replace the manifest, atomically.

        Raises
        ------
        OSError
            The disk is full or the folder is not writable.
        """
        values = {
            "version": VERSION,
            "generation": self.generation,
            "parts": list(self.parts),
            "descriptions": self.descriptions,
            "runs": dict(self.runs),
        }
        write_atomic(self.folder / "manifest.json", (json.dumps(values) + "\n").encode())

    def _head(self) -> bytes:
        return f'{{"version": {VERSION}, "generation": {self.generation}, '.encode()

    @property
    def folder(self) -> Path:
        """The folder of the compacted files."""
        return self.store / FOLDER

    @property
    def record_files(self) -> list[Path]:
        """Paths of the files that hold records, with what `views.RUN_COLUMNS` adds to them."""
        return [self.folder / f"records-{part:04d}.parquet" for part in self.parts]

    @property
    def group_files(self) -> list[Path]:
        """Paths of the files that hold the counts of blocks and stages."""
        return [self.folder / f"groups-{part:04d}.parquet" for part in self.parts]

    @property
    def description_file(self) -> Path | None:
        """Path of the file that holds descriptions."""
        if self.descriptions is None:
            return None
        return self.folder / f"descriptions-{self.descriptions:04d}.parquet"

    @property
    def files(self) -> list[Path]:
        """Paths of all files that the manifest names."""
        description = self.description_file
        return [*self.record_files, *self.group_files, *([description] if description else [])]

    def levels(self, run_id: str) -> range:
        """Return the compacted levels of a run; none where it is not compacted."""
        return range(self.runs.get(run_id, -1) + 1)

    def read_record(self, run_id: str, level: int) -> pa.Table:
        """Read a compacted record: a row per layer, in the order of the forward pass.

        Raises
        ------
        FileNotFoundError
            A later compaction has replaced the file: read the manifest again.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        wanted = [("run_id", "=", run_id), ("level", "=", level)]
        parts = [pq.read_table(path, filters=wanted) for path in self.record_files]
        return pa.concat_tables(parts).sort_by("layer_index")

    def read_description(self, run_id: str) -> str:
        """Read the `run.json` of a compacted run, as it was written.

        Raises
        ------
        FileNotFoundError
            A later compaction has replaced the file: read the manifest again.
        """
        import pyarrow.parquet as pq

        wanted = [("run_id", "=", run_id)]
        text: str = pq.read_table(self.description_file, columns=["text"], filters=wanted)["text"][
            0
        ].as_py()
        return text
