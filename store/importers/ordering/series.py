"""Which files of a tree are the levels of a run, and in which order.

A manifest says it. Else names that count plainly are taken (`level_0`, `level_1`, ...), as long as
the first of them is dense or not as its number says; what reads the levels holds them to one
another. Everything else is put in the order of the masks: shares, epochs, a folder a level, words.
What one folder cannot settle, because all its files have one mask, is put to the folder above.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ....schemas.errors import RgtoolError
from ..found import (
    Contradiction,
    Found,
    Skipped,
    contained,
)
from ..tree import Tree
from ..zeros import why_nothing
from .assembly import SHOWN, Assembly, Read
from .filenames import Group, file_name, groups_of, main_stem
from .manifest import NAME, listed_run, read_manifest
from .names import is_replicate
from .numbering import manifest_text
from .order import Measured, Unordered, hold_whole, in_order, measure, percent


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


class _Search(Assembly):
    def __init__(self, tree: Tree, format: str, suffixes: tuple[str, ...], read: Read) -> None:
        super().__init__(format, suffixes, read)
        self.mine = frozenset(path for path in tree.files if path.name.endswith(suffixes))
        self.manifests = sorted({path.parent for path in tree.files if path.name == NAME})
        self.top = tree.root.parent if tree.root in tree.files else tree.root
        self.listing: set[Path] = set()  # folders whose manifest lists levels

    def go(self) -> None:
        folders: dict[Path, list[Path]] = {}
        for path in sorted(self.mine - self._listed()):
            folders.setdefault(path.parent, []).append(path)
        waiting: dict[Path, list[Measured]] = {}
        for folder in _upwards(folders, self.top):
            with contained(folder, self.skipped):
                left = self._settle(folder, folders.get(folder, []), waiting.pop(folder, []))
                if folder == self.top or self._is_alone(folder):
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
                    self.listing.add(folder)
                    self.runs.append(listed_run(folder, self.format, listed, self.read))
        return spoken

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
        if folder in self.listing:
            for one in handed:
                self.skipped.append(Skipped(str(one.path), f"{folder}/{NAME} does not list it"))
            return []
        groups = [group for group in groups_of(files, folder, self.suffixes) if group.counts]
        if self._is_level(folder):
            groups = [group for group in groups if not group.name.only_replicates]
        groups = self._told_apart([group for group in groups if self._begins_as_told(group)])
        if not groups:
            found = [*self.measured(files), *handed]
            return found if self._is_level(folder) else self._by_masks(folder, found)
        taken = {path for group in groups for path in group.paths}
        every = [*self.measured(path for path in files if path not in taken), *handed]
        counted, beside = self._joined(folder, groups, every)
        dense = self._dense_beside(counted, beside)
        main = main_stem(counted)
        first = {0: dense.path} if dense is not None else {}
        notes = tuple(f"level 0 is {path.name}: nothing is pruned in it" for path in first.values())
        for group in counted:
            levels, main_one = {**first, **dict(group.files)}, group.name.stem == main
            self.runs.append(self.run_of(folder, levels, group.name, main_one, notes=notes))
        rest = [one for one in beside if one is not dense]
        self._say_beside(folder, groups, rest, dense)
        return []

    def _is_alone(self, folder: Path) -> bool:
        """Whether what lies in a folder is of a replicate, and of no level, by all names."""
        path = folder.relative_to(self.top).as_posix()
        return is_replicate(folder) and len(file_name(path, ()).numbers) == 1

    def _is_level(self, folder: Path) -> bool:
        """Whether a folder is a level of the run above it, by its name."""
        return folder != self.top and file_name(folder.name, ()).sure

    def _joined(
        self, folder: Path, groups: Sequence[Group], beside: Sequence[Measured]
    ) -> tuple[list[Group], list[Measured]]:
        """Make runs of groups, and of files beside them, that the masks put in one order.

        Returns what they do not, or what is as well told by the names of one group alone.
        """
        apart: list[Group] = []
        for replicate in dict.fromkeys(group.name.replicate for group in groups):
            mine = [group for group in groups if group.name.replicate == replicate]
            more = [x for x in beside if self.name_of(x.path, folder).replicate == replicate]
            spoken = self._join(folder, mine, more)
            apart += [] if spoken else mine
            beside = [one for one in beside if one.path not in spoken]
        return apart, list(beside)

    def _join(
        self, folder: Path, groups: Sequence[Group], beside: Sequence[Measured]
    ) -> frozenset[Path]:
        """Make one run of the groups of a replicate if it is one; return the files that are in it.

        It is where each mask is within the one before and every number in the groups is a level.
        """
        if len(groups) == 1 and not any(one.digest for one in beside):
            return frozenset()
        told = {path: number for group in groups for number, path in group.files}
        within = {one.path: one for path in told for one in self.quietly(path) if not one.zeros}
        more = [
            x for x in beside if x.digest or (not x.zeros and self.may_be_trained_dense(x.path))
        ]
        known = {one.digest for one in within.values()}
        if len(groups) == 1 and not {one.digest for one in more if one.digest} - known:
            return frozenset()
        found = [*within.values(), *more]
        hold_whole([one for one in found if one.layers])
        layers = {one.layers for one in found if one.layers}
        if len(layers) != 1:
            return frozenset()
        several = [one for one in found if one.fits(*layers)]
        lost = {number: path for path, number in told.items() if path not in within}
        numbers = {path: number for path, number in told.items() if path in within}
        try:
            done = self.put_in_order(folder, in_order(several), True, numbers, lost)
        except Unordered:
            done = False
        except Contradiction:
            if any(len(group.files) > 1 for group in groups):
                return frozenset()
            raise
        return frozenset(one.path for one in several) if done else frozenset()

    def _begins_as_told(self, group: Group) -> bool:
        """Whether the first file of a group is dense if it is level 0, and only then.

        Where no word says what the numbers are, they may be epochs: then several in a row have one
        mask, at the beginning or at the end.
        """
        paths = [path for _, path in group.files]
        ends = {*paths[:1]} if group.name.sure else {*paths[:2], *paths[-2:]}
        try:
            digests = [measure(path, self.read).digest for path in paths if path in ends]
            begins = (digests[0] == "") == (group.files[0][0] == 0)
            return begins and len({*digests}) == len(digests)
        except (RgtoolError, OSError):
            return True  # whoever reads the levels says what is wrong

    def _told_apart(self, groups: Sequence[Group]) -> list[Group]:
        """Leave out groups that hold the masks of another one, such as the best epochs."""
        kept: list[Group] = []
        for group in sorted(groups, key=_written, reverse=True):
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
        after = next(iter(self.quietly(groups[0].paths[0])), None)
        dense = [
            one
            for one in beside
            if after is not None and not one.digest and not one.zeros and one.fits(after.layers)
            and self.may_be_trained_dense(one.path)
        ]  # fmt: skip
        return max(dense, key=self.lateness, default=None)

    def _say_beside(
        self,
        folder: Path,
        groups: Sequence[Group],
        beside: Sequence[Measured],
        dense: Measured | None,
    ) -> None:
        """Name what lies beside the levels of runs: their masks again, or something else."""
        known = {"": dense.path} if dense is not None else {}
        files = [path for group in groups for path in group.paths]
        again: dict[Path, list[Measured]] = {}
        stems = " and ".join(group.name.stem for group in groups[:3])
        for one in beside:
            if one.zeros:
                self.skipped.append(Skipped(str(one.path), why_nothing(one.zeros)))
                continue
            while one.digest not in known and files:
                for other in self.quietly(files.pop(0)):
                    known.setdefault(other.digest, other.path)
            if one.digest in known:
                again.setdefault(known[one.digest], []).append(one)
                continue
            kept = f" ({percent(one.density)} kept)" if one.digest else ""
            reason = f"lies beside {stems} and is none of these levels{kept}"
            self.skipped.append(Skipped(str(one.path), reason))
        for path, several in again.items():
            self.say_again(folder, path, several)

    # By masks.

    def _by_masks(self, folder: Path, found: Sequence[Measured]) -> list[Measured]:
        """Make the runs of files whose names do not count; return those of one mask alone."""
        hold_whole([one for one in found if one.layers])
        left = {one.path: one for one in found if one.zeros}
        for several, whole in self._parts(folder, [one for one in found if not one.zeros]):
            if len({one.digest for one in several}) < 2:
                left |= {one.path: one for one in several}
                continue
            with contained(folder, self.skipped):
                place = self._common(folder, several)
                try:
                    order = in_order(several)
                except Unordered as error:
                    alone = self._by_folder(folder, several)
                    if alone is None:
                        self._by_stem(place, several, error)
                    left |= {one.path: one for one in alone or ()}
                else:
                    self.put_in_order(place, order, whole)
        return list(left.values())

    def _below(self, folder: Path, one: Measured) -> Path:
        """Return the folder of a level that a file lies in, else the folder itself."""
        below = folder / one.path.relative_to(folder).parts[0]
        return below if below != one.path and self._is_level(below) else folder

    def _common(self, folder: Path, found: Sequence[Measured]) -> Path:
        """Return the folder of a level that all files lie in: it is their run then."""
        places = {self._below(folder, one) for one in found}
        return places.pop() if len(places) == 1 else folder

    def _by_folder(self, folder: Path, found: Sequence[Measured]) -> list[Measured] | None:
        """Make the runs of folders that are named as levels, if any is a run of its own.

        Returns files of one mask alone; None where none is.
        """
        places: dict[Path, list[Measured]] = {}
        for one in found:
            places.setdefault(self._below(folder, one), []).append(one)
        if len(places) < 2 or not any(map(_is_run, places.values())):
            return None
        return [one for place, several in places.items() for one in self._by_masks(place, several)]

    def _parts(
        self, folder: Path, found: Sequence[Measured]
    ) -> Iterator[tuple[list[Measured], bool]]:
        """Part files by the replicate that their names tell, and by the layers that are masked.

        Beside each part stands whether it is all of a replicate. A dense network without masks is
        in every part that it fits.
        """
        replicates: dict[str, list[Measured]] = {}
        for one in found:
            replicates.setdefault(self.name_of(one.path, folder).replicate, []).append(one)
        for several in replicates.values():
            masked = dict.fromkeys(one.layers for one in several if one.layers)
            apart = [one for one in several if not one.layers and not any(map(one.fits, masked))]
            if apart:
                yield apart, False
            for layers in masked:
                part = [
                    one
                    for one in several
                    if one.layers == layers or (not one.layers and one.fits(layers))
                ]
                yield part, len(part) == len(several)

    def _by_stem(self, folder: Path, found: Sequence[Measured], error: Unordered) -> None:
        """Make the runs of files of several runs, if their names keep these apart."""
        stems: dict[str, list[Measured]] = {}
        for one in found:
            stems.setdefault(self.name_of(one.path, folder).stem, []).append(one)
        several = [part for part in stems.values() if len({one.digest for one in part}) > 1]
        if len(stems) == 1 or not several:
            what = "give each run a folder of its own, or list the files of one in"
            raise Contradiction(str(error), f"{what} {folder}/{NAME}")
        for part in several:
            with contained(folder, self.skipped):
                self.put_in_order(folder, in_order(part), whole=False)

    def _alone(self, found: Sequence[Measured]) -> None:
        """Say of files that nothing places why they are no run, or which level a word says."""
        folders: dict[Path, list[Measured]] = {}
        for one in found:
            folders.setdefault(one.path.parent, []).append(one)
        for folder, several in folders.items():
            alike: dict[str, list[Measured]] = {}
            for one in several:
                alike.setdefault(one.digest, []).append(one)
            if plain := alike.get(""):
                where = plain[0].path if len(plain) == 1 else folder
                reason = why_nothing(max(one.zeros for one in plain))
                self.skipped.append(Skipped(str(where), reason, self._dense_of(plain[0])))
            for digest in filter(None, alike):
                self._lonely(folder, alike[digest])

    def _dense_of(self, one: Measured) -> str:
        """Say which runs in folders below a dense network may be those that begin with it."""
        runs = [
            run
            for run in self.runs
            if one.path.parent in run.path.parents and run.levels[0].level and not one.zeros
        ]
        fitting = [
            run.path.relative_to(one.path.parent).as_posix()
            for run in runs
            if any(one.fits(first.layers) for first in self.quietly(run.levels[0].files[0]))
        ]
        if not fitting:
            return ""
        folders = " and ".join([*dict.fromkeys(fitting)][:SHOWN])
        return f"if it is level 0 of {folders}, put a copy of it into each, named dense.pt"

    def _lonely(self, folder: Path, alike: Sequence[Measured]) -> None:
        one = max(alike, key=self.lateness)
        name = self.name_of(one.path, folder)
        self.say_again(folder, one.path, [other for other in alike if other is not one])
        if name.sure and name.level:
            self.runs.append(self.run_of(folder, {name.level: one.path}, name, True))
            return
        why = f"one mask alone, of {percent(one.density)}: nothing tells how many prunings it had"
        above = self.name_of(one.path, self.top)
        level = above.level if above.sure and above.level else 1
        told = manifest_text(folder, {level: one.path})
        advice = f"if it was one, write {folder}/{NAME}: {told}"
        self.skipped.append(Skipped(str(one.path), why, advice))


def _is_run(found: Sequence[Measured]) -> bool:
    try:
        return len(in_order(found)) > 1
    except Unordered:
        return False


def _written(group: Group) -> tuple[int, int, tuple[float, ...]]:
    """Return what is largest of the group whose files were written last."""
    return len(group.files), group.name.place, tuple(value for _, value in group.name.numbers)


def _upwards(folders: Collection[Path], top: Path) -> list[Path]:
    """List folders and those above them, up to one, the deepest first."""
    every = {top}
    for folder in folders:
        while folder not in every:
            every.add(folder)
            folder = folder.parent
    return sorted(every, key=lambda folder: (-len(folder.parts), folder))
