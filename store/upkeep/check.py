"""Every file of a store held to its sum and its schema, whatever is remembered of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...schemas import sums
from ...schemas.display import Shown, Table
from ...schemas.errors import RecordError
from ...schemas.files import read_file
from ...schemas.records.description import MOST, Description
from ...schemas.records.layout import CORRECTED, RUNS, RunFolder
from ...schemas.records.manifest import FOLDER, Manifest
from ...schemas.records.names import FILE as NAMES
from ...schemas.records.names import read_names
from ...schemas.records.parts import file_names
from ...schemas.records.prediction_files import read_prediction
from ...schemas.records.predictions import FOLDER as PREDICTIONS
from ...schemas.records.record import read_record
from ...schemas.tensors.safetensors import read_mask, read_tensors
from ...schemas.words import counted, size
from ..catalogue.predictions import prediction_files, read_predictions
from ..sql.broken import LeftOut, Problem, Problems, check_each
from ..sql.trust import rot

Reader = Callable[[Path], object]


@dataclass(frozen=True)
class Check(Shown):
    """What was read of a store, and what of it is damaged.

    Attributes
    ----------
    files, size : int
        Files that were read, and their bytes.
    unsummed : int
        Files among them that carry no sum: of rgtool 0.1.0, or of another program. They can be
        read, and hold what their schema asks.
    problems : Problems
        What is damaged or left out, by path.
    """

    files: int
    size: int
    unsummed: int
    problems: Problems

    most, whole = Problems.most, "problems has all"

    @property
    def notes(self) -> tuple[str, ...]:
        """How much was read, and what can be said of it."""
        damaged = len(self.problems)
        found = f"{damaged} damaged or left out" if damaged else "all as they were written"
        notes = [f"{counted(self.files, 'file')} read, {size(self.size)}: {found}"]
        if self.unsummed:
            notes.append(
                f"{self.unsummed} of them carry no sum: damage that leaves them readable is not "
                "seen"
            )
        if damaged:
            notes.append("bring damaged files back from a copy; queries leave them out meanwhile")
        return tuple(notes)

    def table(self) -> Table:
        """Return what `rgtool doctor --deep` prints."""
        return replace(self.problems.table(), notes=self.notes)


def check(store: Path, left_out: LeftOut) -> Check:
    """Read every file of the store at `store`.

    Parameters
    ----------
    store : Path
        The store.
    left_out : LeftOut
        Hears of what is damaged: queries leave it out from then on.

    Raises
    ------
    StoreError
        The manifest is newer than this rgtool.
    """
    found = {problem.path: problem.reason for problem in left_out.problems}
    files = read_bytes = unsummed = 0
    for path, read in _files_and_readers(store):
        files += 1
        try:
            read_bytes += path.stat().st_size
            unsummed += sums.file_holds(path) is None
            read(path)
        except FileNotFoundError:  # compacted meanwhile
            files -= 1
        except (RecordError, OSError) as error:
            found[str(path)] = str(error).removeprefix(f"{path}: ")
            if path.suffix == ".parquet":
                left_out.blame(path, found[str(path)])
    found |= _faults_of_predictions(store)
    problems = Problems(Problem(path, reason) for path, reason in sorted(found.items()))
    return Check(files, read_bytes, unsummed, problems)


def _files_and_readers(store: Path) -> Iterator[tuple[Path, Reader]]:
    """List the files of a store, and what reads each."""
    for name in sorted(file_names(store / FOLDER)):
        yield store / FOLDER / name, _read_part
    manifest = store / FOLDER / "manifest.json"
    if manifest.exists():
        yield manifest, _read_manifest
    if (store / NAMES).exists():
        yield store / NAMES, lambda path: read_names(path.parent)
    yield from ((path, read_prediction) for path in prediction_files(store))
    folders = [folder for folder in (store / RUNS, store / CORRECTED) if folder.is_dir()]
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        if not path.name.startswith(".") and path.is_dir():
            yield from _files_of_run(RunFolder(path))


def _faults_of_predictions(store: Path) -> dict[str, str]:
    """Say which predictions are gone, cannot be read, are out of order, or of a time to come."""
    known = read_predictions(store)
    missed = {
        one: f"is gone: prediction {after} was made after it" for one, after in known.gone.items()
    }
    early = {
        one: f"says that it was made before {other}, which it follows"
        for one, other in known.disordered.items()
    }
    ahead = {
        one: f"says that it was made at {made}, which is yet to come"
        for one, made in known.ahead.items()
    }
    found = missed | ahead | early
    broken = {path: why.removeprefix(f"{path}: ") for path, why in known.broken.items()}
    return broken | {str(store / PREDICTIONS / f"{one}.json"): why for one, why in found.items()}


def _files_of_run(folder: RunFolder) -> Iterator[tuple[Path, Reader]]:
    if folder.description.exists():
        yield folder.description, _read_description
    yield from ((folder.record(level), _read_record) for level in folder.loose_levels())
    if folder.checkpoint.exists():
        yield folder.checkpoint, read_tensors
    for part, read in (("masks", _read_mask), ("weights", read_tensors)):
        yield from ((path, read) for path in sorted((folder.path / part).glob("*.safetensors")))


def _read_part(path: Path) -> None:
    if reason := rot(str(path)):
        raise RecordError(reason)


def _read_manifest(path: Path) -> None:
    if reason := Manifest.read(path.parents[1]).rebuilt:
        raise RecordError(reason)


def _read_description(path: Path) -> None:
    read_file(path, MOST)
    Description.read(path, missing=True)


def _read_record(path: Path) -> None:
    read_file(path)
    for _, reason in check_each([str(path)]):
        raise RecordError(reason)


def _read_mask(path: Path) -> None:
    """Read a mask; beside a loose record, its counts must be those of the record."""
    mask = read_mask(path)
    record = RunFolder(path.parents[1]).path / "records" / f"{path.stem}.parquet"
    if not record.exists():
        return
    table = read_record(record)
    kept = dict(zip(table["layer"].to_pylist(), table["kept"].to_pylist(), strict=True))
    for name, array in mask.items():
        if (found := int(array.sum())) != kept.get(name):
            raise RecordError(
                f"{path}: keeps {found} weights of {name}, where the record of its level has "
                f"{kept.get(name, 'no such layer')}: the mask of another run or level"
            )
