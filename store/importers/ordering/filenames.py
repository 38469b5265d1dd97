"""What the name of a checkpoint tells: a level, a replicate, how far it was trained.

Names are hints. A number is what the word before it says: `level_3` a level, `epoch=9` a part of
the training, `sparsity_0.2` a share, `seed1` a replicate, `acc=91.2` a figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .names import MAX_LEVEL

Kind = Literal["level", "replicate", "training", "share", "figure", "copy", "other"]
# The word before a number, the number, and the word behind it unless that has a number of its own.
_NUMBER = re.compile(
    r"([A-Za-z]*)([-_. =:(]*)(\d{1,15}(?:\.\d+)?)(?=[-_ ]?(%|[A-Za-z]+(?![-_. =:]*\d))?)"
)
_WORDS: dict[Kind, str] = {
    "level": r".*(level|lvl|round|cycle)|l?imp",
    "replicate": r".*(seed|replicate|trial)|rep|run",
    "training": r".*(epoch|step|iter|iteration|batch)s?|ep|it|its",
    "share": r".*(sparsity|density|remain|remaining|kept|keep|ratio|amount|rate|percent)|pct|%",
    "figure": r".*(acc|accuracy|loss|val|test|top|f1|score|error|metric|ppl|lr|wd)",
    "copy": r"v",
}
_KINDS = {kind: re.compile(words, re.IGNORECASE) for kind, words in _WORDS.items()}
# What programs add to a name that is taken: Lightning, file managers, Dropbox, Syncthing.
_COPY = re.compile(
    r"(-v\d+| ?\(\d+\)| - copy( \(\d+\))?| copy( \d+)?| \([^)]*conflicted copy[^)]*\)"
    r"|\.sync-conflict-\d+-\d+-\w+)$",
    re.IGNORECASE,
)
_SPEAKS = re.compile(r"level|lvl|mask|prun|round|cycle|imp", re.IGNORECASE)
_STARTS = re.compile(r"init|rewind|random|untrained|start", re.IGNORECASE)
_ENDS = re.compile(r"last|final", re.IGNORECASE)
_BEST = re.compile(r"best", re.IGNORECASE)


@dataclass(frozen=True)
class FileName:
    """The name of a checkpoint, perhaps with folders before it.

    Attributes
    ----------
    stem : str
        The name with `*` for the level and `#` for shares, figures and parts of the training.
    level : int or None
        A whole number that may be the level.
    sure : bool
        Whether a word says that it is one.
    replicate : str
        Of a number that tells replicates apart; empty where there is none.
    seed : int or None
        The same, where it is a seed.
    numbers : tuple of (str, float)
        All numbers in it, and what they are.
    place : int
        Of several checkpoints of one mask: -1 copies, 0 initial ones, 1 the best, 2 others, 3 the
        last.
    """

    stem: str
    level: int | None = None
    sure: bool = False
    replicate: str = ""
    seed: int | None = None
    numbers: tuple[tuple[Kind, float], ...] = ()
    place: int = 2

    @property
    def only_replicates(self) -> bool:
        """Whether it tells nothing but a replicate, as `run1` does in the folder of a level."""
        return bool(self.numbers) and all(kind == "replicate" for kind, _ in self.numbers)


def file_name(text: str, suffixes: Iterable[str]) -> FileName:
    """Read a name off a file.

    Parameters
    ----------
    text : str
        The name, or a path relative to a folder, with `/`.
    suffixes : iterable of str
        Endings of the format.

    Examples
    --------
    >>> name = file_name("seed1_level_03_acc=91.2.pt", [".pt"])
    >>> name.stem, name.level, name.sure, name.replicate
    ('seed#_level_*_acc=#.pt', 3, True, '1')
    >>> file_name("net_sparsity_0.2.pth", [".pth"]).level is None
    True
    """
    suffix = next((s for s in suffixes if text.endswith(s)), "")
    bare = text.removesuffix(suffix)
    found = [(match, _kind(match)) for match in _NUMBER.finditer(bare)]
    level = _level_of(found)
    counts = level is not None or any(kind in ("training", "share") for _, kind in found)
    told = (match for match, kind in found if kind == "replicate" and match is not level)
    replicate = next((match for match in told if counts or _is_seed(match)), None)
    stem, end = "", 0
    for match, kind in found:
        stem += bare[end : match.start(3)]
        plain = kind in ("other", "copy", "level") or (kind == "replicate" and replicate is None)
        stem += "*" if match is level else match[3] if plain else "#"
        end = match.end(3)
    return FileName(
        stem=f"{stem}{bare[end:]}{suffix}",
        level=None if level is None else int(level[3]),
        sure=level is not None and _kind(level) == "level",
        replicate=str(int(replicate[3])) if replicate is not None else "",
        seed=int(replicate[3]) if replicate is not None and _is_seed(replicate) else None,
        numbers=tuple((kind, float(match[3])) for match, kind in found),
        place=_place(bare),
    )


def copies(files: Sequence[Path], suffixes: Sequence[str]) -> dict[Path, Path]:
    """Map the files of a folder that are copies of others, by their names, to those.

    Examples
    --------
    >>> copies([Path("a=1.ckpt"), Path("a=1-v1.ckpt"), Path("b-v1.ckpt")], [".ckpt"])
    {PosixPath('a=1-v1.ckpt'): PosixPath('a=1.ckpt')}
    """
    there = {path.name: path for path in files}
    found = {}
    for path in files:
        suffix = next((s for s in suffixes if path.name.endswith(s)), "")
        original = _COPY.sub("", path.name.removesuffix(suffix)) + suffix
        if original != path.name and original in there:
            found[path] = there[original]
    return found


@dataclass(frozen=True)
class Group:
    """Files of a folder whose names differ in the level alone.

    Attributes
    ----------
    name : FileName
        What they have in common.
    files : tuple of (int, Path)
        By number, ascending; one may stand twice.
    """

    name: FileName
    files: tuple[tuple[int, Path], ...]

    @property
    def counts(self) -> bool:
        """Whether the numbers are levels by themselves: told by a word, or counted from 0 or 1."""
        numbers = [number for number, _ in self.files]
        first = numbers[0]
        if numbers != [*range(first, first + len(numbers))]:
            return False
        return self.name.sure or (first <= 1 < len(numbers))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files: the last, the first, and those between."""
        paths = [path for _, path in self.files]
        return (*dict.fromkeys((paths[-1], *paths)),)


def groups_of(files: Sequence[Path], folder: Path, suffixes: Sequence[str]) -> list[Group]:
    """Group files that have a number which may be a level; copies are left aside."""
    found: dict[tuple[str, str], list[tuple[int, Path]]] = {}
    names: dict[tuple[str, str], FileName] = {}
    twins = copies(files, suffixes)
    for path in files:
        name = file_name(path.relative_to(folder).as_posix(), suffixes)
        if name.level is not None and path not in twins:
            key = name.stem, name.replicate
            names.setdefault(key, name)
            found.setdefault(key, []).append((name.level, path))
    return [Group(names[key], tuple(sorted(found[key]))) for key in sorted(found)]


def main_stem(groups: Sequence[Group]) -> str | None:
    """Return the stem that is what its folder is about, where one is.

    The only one that speaks of levels; else the only one of several files. So a file that lies
    beside the levels of a run does not change the run's name.
    """
    for tells in (lambda g: _SPEAKS.search(g.name.stem), lambda g: len(g.files) > 1):
        fitting = {group.name.stem for group in groups if tells(group)}
        if len(fitting) == 1:
            return fitting.pop()
    return groups[0].name.stem if len(groups) == 1 else None


def _kind(match: re.Match[str]) -> Kind:
    before, separator, number, behind = match.groups()
    if "(" in separator:
        return "copy"
    for word in (before, behind or ""):
        for kind, pattern in _KINDS.items():
            if pattern.fullmatch(word):
                return "other" if kind in ("level", "replicate") and "." in number else kind
    return "share" if "." in number else "other"


def _level_of(found: Sequence[tuple[re.Match[str], Kind]]) -> re.Match[str] | None:
    """Return the number that is the level: the last one that a word says, else the last other."""
    for wanted in (("level",), ("other",), ("replicate",)):
        for match, kind in reversed(found):
            if kind in wanted and "." not in match[3] and int(match[3]) <= MAX_LEVEL:
                return match if wanted != ("replicate",) or not _is_seed(match) else None
    return None


def _is_seed(match: re.Match[str]) -> bool:
    return match[1].lower().endswith("seed")


def _place(text: str) -> int:
    for pattern, place in ((_COPY, -1), (_STARTS, 0), (_ENDS, 3), (_BEST, 1)):
        if pattern.search(text):
            return place
    return 2
