"""Which files of a tree are the levels of a run, and in which order.

A manifest says it. Else names that count plainly are taken (`level_0`, `level_1`, ...), as long as
the first of them is dense or not as its number says; what reads the levels holds them to one
another. Everything else is put in the order of the masks: shares, epochs, a folder a level, words.
What one folder cannot settle, because all its files have one mask, is put to the folder above.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from .filenames import FileName, Group, file_name, groups_of, main_stem
from .found import Found, FoundLevel, FoundRun, LevelData, RgtoolError, Skipped, contained
from .manifest import NAME, Listed, read_manifest
from .names import is_replicate, place, task_of
from .numbering import numbered, remedy
from .order import Measured, Unordered, in_order, measure, percent
from .tree import Tree
from .zeros import many_zeros, why_nothing

Read = Callable[[Path], LevelData]
_SHOWN = 6  # files of a series that a note names


def find_series(tree: Tree, format: str, suffixes: tuple[str, ...], read: Read) -> Found:
    """Find the runs of a format whose files hold a level each.

    Parameters
    ----------
    tree : Tree
        What lies there.
    format : str
        Name of the format.
    suffixes : tuple of str
        Endings of its files.
    read : callable
        Reads a file.
    """
    search = _Search(tree, format, suffixes, read)
    search.go()
    runs = sorted(search.runs, key=lambda run: (run.path, run.experiment, run.replicate))
    return Found(tuple(runs), search.mine, tuple(search.skipped))


class _Search:
    def __init__(self, tree: Tree, format: str, suffixes: tuple[str, ...], read: Read) -> None:
        self.format, self.suffixes, self.read = format, suffixes, read
        self.mine = frozenset(path for path in tree.files if path.name.endswith(suffixes))
        self.manifests = sorted({path.parent for path in tree.files if path.name == NAME})
        self.top = tree.root.parent if tree.root in tree.files else tree.root
        self.runs: list[FoundRun] = []
        self.skipped: list[Skipped] = []

    def go(self) -> None:
        folders: dict[Path, list[Path]] = {}
        for path in sorted(self.mine - self._listed()):
            folders.setdefault(path.parent, []).append(path)
        waiting: dict[Path, list[Measured]] = {}
        for folder in _upwards(folders, self.top):
            with contained(folder, self.skipped):
                left = self._settle(folder, folders.get(folder, []), waiting.pop(folder, []))
                if folder == self.top or is_replicate(folder):
                    self._alone(left)
                elif left:
                    waiting.setdefault(folder.parent, []).extend(left)

    # What a manifest says.

    def _listed(self) -> set[Path]:
        """Make the runs that manifests list; return the files that these speak for."""
        spoken: set[Path] = set()
        for folder in self.manifests:  # the outermost first
            below = {path for path in self.mine if path.is_relative_to(folder)} - spoken
            if not below:
                continue
            with contained(folder, self.skipped):
                spoken |= {path for path in below if path.parent == folder}
                listed = read_manifest(folder, below)
                self.skipped += listed.skipped
                places = {path.parent for path, _ in listed.levels.values()}
                spoken |= {path for path in below if path.parent in places}
                if listed.levels:
                    self.runs.append(self._told(folder, listed))
        return spoken

    def _told(self, folder: Path, listed: Listed) -> FoundRun:
        where, told = place(folder), listed.told

        def read_one(path: Path, numbers: Mapping[str, float | bool | None]) -> LevelData:
            return dataclasses.replace(self.read(path), numbers=numbers)

        return FoundRun(
            format=self.format,
            path=folder,
            experiment=told.get("experiment", where.experiment),
            replicate=told.get("replicate", told.get("seed", where.replicate)),
            seed=int(told["seed"]) if "seed" in told else where.seed,
            levels=tuple(
                FoundLevel(n, (path,), partial(read_one, path, numbers))
                for n, (path, numbers) in sorted(listed.levels.items())
            ),
            fields={k: told[k] for k in ("task", "architecture", "init", "fan") if k in told},
            inferred={"level": NAME},
            stated=frozenset(told),
        )

    # A folder.

    def _settle(
        self, folder: Path, files: Sequence[Path], handed: Sequence[Measured]
    ) -> list[Measured]:
        """Make the runs of a folder; return files that only the folder above can place.

        Parameters
        ----------
        folder : Path
            The folder.
        files : sequence of Path
            Checkpoints in it.
        handed : sequence of Measured
            What folders in it have not placed.
        """
        counted = [group for group in groups_of(files, folder, self.suffixes) if group.counts]
        counted = self._told_apart([g for g in counted if self._begins_as_told(g)])
        if not counted:
            return self._by_masks(folder, [*self._measured(files), *handed])
        taken = {path for group in counted for path in group.paths}
        beside = [*self._measured(path for path in files if path not in taken), *handed]
        dense = self._dense_beside(counted, beside)
        main = main_stem(counted)
        for group in counted:
            first = {0: dense.path} if dense is not None else {}
            self.runs.append(
                self._run(
                    folder, {**first, **dict(group.files)}, group.name, group.name.stem == main
                )
            )
        self._say_beside(counted, [one for one in beside if one is not dense])
        return []

    def _begins_as_told(self, group: Group) -> bool:
        """Whether the first file of a group is dense if it is level 0, and only then."""
        number, path = group.files[0]
        try:
            return (measure(path, self.read).digest == "") == (number == 0)
        except (RgtoolError, OSError):
            return True  # whoever reads the levels says what is wrong

    def _told_apart(self, groups: Sequence[Group]) -> list[Group]:
        """Leave out groups that hold the masks of another one, such as the best epochs."""
        kept: list[Group] = []
        for group in sorted(groups, key=lambda group: -group.name.place):
            if not any(self._same(group, other) for other in kept):
                kept.append(group)
        return sorted(kept, key=lambda group: group.name.stem)

    def _same(self, group: Group, other: Group) -> bool:
        common = dict(group.files).keys() & dict(other.files).keys()
        if not common or group.name.replicate != other.name.replicate:
            return False
        paths = (dict(one.files)[max(common)] for one in (group, other))
        try:
            digests = {measure(path, self.read).digest for path in paths}
        except (RgtoolError, OSError):
            return False
        return len(digests) == 1 and "" not in digests

    def _dense_beside(self, groups: Sequence[Group], beside: Sequence[Measured]) -> Measured | None:
        """Return the dense network of the one run whose levels begin later: it is its level 0."""
        if len(groups) != 1 or groups[0].files[0][0] == 0:
            return None
        after = next(iter(self._measured(groups[0].paths[:1])), None)
        dense = [
            one
            for one in beside
            if after is not None and not one.digest and one.fits(after.layers)
            and file_name(one.path.name, self.suffixes).place > 0
        ]  # fmt: skip
        return max(dense, key=self._lateness, default=None)

    def _say_beside(self, groups: Sequence[Group], beside: Sequence[Measured]) -> None:
        """Name what lies beside the levels of runs: their masks again, or something else."""
        known: dict[str, Path] = {}
        files = [path for group in groups for path in group.paths]
        again: dict[Path, list[Measured]] = {}
        for one in beside:
            while one.digest not in known and files:
                for other in self._quietly(files.pop(0)):
                    known.setdefault(other.digest, other.path)
            if one.digest in known:
                again.setdefault(known[one.digest], []).append(one)
                continue
            stems = " and ".join(group.name.stem for group in groups[:3])
            self.skipped.append(
                Skipped(str(one.path), f"lies beside {stems} and is none of these levels")
            )
        for path, several in again.items():
            self._say_again(path, several)

    def _say_again(self, taken: Path, several: Sequence[Measured]) -> None:
        """Name files that hold the masks of one that is taken."""
        shown = several[:_SHOWN] if len(several) <= _SHOWN else several[:1]
        more = f" (and so do {len(several) - 1} more)" if len(shown) < len(several) else ""
        for one in shown:
            what = "holds the masks of" if one.digest else "is dense, as"
            self.skipped.append(
                Skipped(str(one.path), f"{what} {taken.name}, which is taken{more}")
            )

    # By masks.

    def _by_masks(self, folder: Path, found: Sequence[Measured]) -> list[Measured]:
        """Make the runs of files whose names do not count; return those of one mask alone."""
        left: list[Measured] = []
        for several in self._parts(folder, found):
            if len({one.digest for one in several}) < 2:
                left += several
                continue
            try:
                self._ordered(folder, in_order(several), whole=len(several) == len(found))
            except Unordered as error:
                self._by_stem(folder, several, error)
        return left

    def _parts(self, folder: Path, found: Sequence[Measured]) -> Iterator[list[Measured]]:
        """Part files by the replicate that their names tell, and by the layers that are masked."""
        replicates: dict[str, list[Measured]] = {}
        for one in found:
            replicates.setdefault(self._name(one.path, folder).replicate, []).append(one)
        for several in replicates.values():
            masked = dict.fromkeys(one.layers for one in several if one.layers)
            if not masked:
                yield several
            for layers in masked:
                yield [
                    one
                    for one in several
                    if one.layers == layers or (not one.layers and one.fits(layers))
                ]

    def _by_stem(self, folder: Path, found: Sequence[Measured], error: Unordered) -> None:
        """Make the runs of files of several runs, if their names keep these apart."""
        stems: dict[str, list[Measured]] = {}
        for one in found:
            stems.setdefault(self._name(one.path, folder).stem, []).append(one)
        several = [part for part in stems.values() if len({one.digest for one in part}) > 1]
        if len(several) == len(stems) == 1 or not several:
            raise error
        for part in several:
            with contained(folder, self.skipped):
                self._ordered(folder, in_order(part), whole=False)

    def _ordered(self, folder: Path, order: Sequence[Sequence[Measured]], whole: bool) -> None:
        """Make the run of files that are in the order of pruning; of equal masks one is taken."""
        taken = [max(alike, key=self._lateness) for alike in order]
        names = [self._name(one.path, folder) for one in taken]
        numbering = numbered(folder, taken, names)
        for one, alike in zip(taken, order, strict=True):
            self._say_again(one.path, [other for other in alike if other is not one])
        levels = {n: one.path for n, one in zip(numbering.levels, taken, strict=True)}
        shown = [f"{path.relative_to(folder)} {n}" for n, path in levels.items()]
        more = ["..."] if len(shown) > _SHOWN else []
        note = f"levels by {numbering.why}: {', '.join([*shown[:_SHOWN], *more])}"
        self.runs.append(
            self._run(folder, levels, names[-1], whole, why=numbering.why, notes=(note,))
        )

    def _lateness(self, one: Measured) -> tuple[bool, int, tuple[float, ...], str]:
        """Return what is largest of the checkpoint of a mask that was written last."""
        name = file_name(one.path.name, self.suffixes)
        return name.sure, name.place, tuple(value for _, value in name.numbers), str(one.path)

    def _alone(self, found: Sequence[Measured]) -> None:
        """Say of files that nothing places why they are no run, or which level a word says."""
        folders: dict[Path, list[Measured]] = {}
        for one in found:
            folders.setdefault(one.path.parent, []).append(one)
        for folder, several in folders.items():
            alike: dict[str, list[Measured]] = {}
            for one in several:
                alike.setdefault(one.digest, []).append(one)
            if not any(alike):
                zeros = (many_zeros(self.read(one.path)) for one in several)
                self.skipped.append(Skipped(str(folder), why_nothing(next(filter(None, zeros), 0))))
            for digest in filter(None, alike):
                self._lonely(folder, alike[digest])

    def _lonely(self, folder: Path, alike: Sequence[Measured]) -> None:
        one = max(alike, key=self._lateness)
        name = self._name(one.path, folder)
        self._say_again(one.path, [other for other in alike if other is not one])
        if name.sure and name.level:
            self.runs.append(self._run(folder, {name.level: one.path}, name, True))
            return
        why = f"one mask alone, of {percent(one.density)}: nothing tells how many prunings it had"
        told = f'{{"levels": [{{"level": 1, "file": "{one.path.name}"}}]}}'
        self.skipped.append(
            Skipped(str(one.path), why, f"if it was one, write {folder}/{NAME}: {told}")
        )

    # What both have.

    def _run(
        self,
        folder: Path,
        levels: Mapping[int, Path],
        name: FileName,
        main: bool,
        why: str = "the number in the file's name",
        notes: tuple[str, ...] = (),
    ) -> FoundRun:
        where = place(folder)
        task, whence = task_of(folder)
        return FoundRun(
            format=self.format,
            path=folder,
            experiment=where.experiment if main else f"{where.experiment}/{name.stem}",
            replicate=name.replicate or where.replicate,
            seed=name.seed if name.replicate else where.seed,
            levels=tuple(
                FoundLevel(level, (path,), partial(self.read, path))
                for level, path in sorted(levels.items())
            ),
            fields={"task": task} if task else {},
            inferred={"task": whence, "level": why},
            notes=notes,
            remedy=partial(remedy, folder, tuple(levels.values()), self.read),
        )

    def _name(self, path: Path, folder: Path) -> FileName:
        return file_name(path.relative_to(folder).as_posix(), self.suffixes)

    def _measured(self, paths: Iterable[Path]) -> list[Measured]:
        """Measure files; those that cannot be read are named and left out."""
        found = []
        for path in paths:
            with contained(path, self.skipped):
                found.append(measure(path, self.read))
        return found

    def _quietly(self, path: Path) -> list[Measured]:
        try:
            return [measure(path, self.read)]
        except (RgtoolError, OSError):
            return []


def _upwards(folders: Collection[Path], top: Path) -> list[Path]:
    """List folders and those above them, up to one, the deepest first."""
    every = {top}
    for folder in folders:
        while folder not in every:
            every.add(folder)
            folder = folder.parent
    return sorted(every, key=lambda folder: (-len(folder.parts), folder))
