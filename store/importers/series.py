"""Which files of a tree are the levels of a run: those that differ in a number, or are listed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from .found import Found, FoundLevel, FoundRun, LevelData, Skipped, contained
from .manifest import read_manifest
from .names import Numbered, copies, main_group, numbered, place, task_of
from .tree import Tree


def find_series(
    tree: Tree, format: str, suffixes: tuple[str, ...], read: Callable[[Path], LevelData]
) -> Found:
    """Find folders of files that differ in the number of the level, or that a manifest lists."""
    runs: list[FoundRun] = []
    claimed: set[Path] = set()
    skipped: list[Skipped] = []
    for folder, files in tree.folders().items():
        mine = [file for file in files if file.name.endswith(suffixes)]
        if not mine:
            continue
        claimed.update(mine)
        with contained(folder, skipped):
            found = read_manifest(folder, mine, files)
            if found is None:
                runs += _by_number(folder, format, suffixes, mine, skipped, read)
                continue
            skipped += found.skipped
            if found.levels:
                runs.append(_listed(folder, format, found.levels, found.told, read))
    return Found(tuple(runs), frozenset(claimed), tuple(skipped))


def _by_number(
    folder: Path,
    format: str,
    suffixes: tuple[str, ...],
    files: list[Path],
    skipped: list[Skipped],
    read: Callable[[Path], LevelData],
) -> Iterator[FoundRun]:
    twins = copies(files, suffixes)
    skipped += [
        Skipped(str(path), f"a copy of {original.name}, by its name")
        for path, original in twins.items()
    ]
    groups, plain = numbered([path for path in files if path not in twins], suffixes)
    skipped += [Skipped(str(path), "no level in its name, and no manifest.json") for path in plain]
    main = main_group(groups)
    for group in groups:
        if main is not None and len(group.files) == 1 < len(main.files):
            (path,) = group.files.values()
            skipped.append(Skipped(str(path), f"lies beside {main.stem} and is none of its levels"))
        elif group.twice:
            names = ", ".join(path.name for path in group.twice[:3])
            skipped.append(Skipped(str(folder), f"two files of one level: {names}"))
        else:
            yield _numbered(folder, format, group, group is not main, read)


def _numbered(
    folder: Path, format: str, group: Numbered, beside: bool, read: Callable[[Path], LevelData]
) -> FoundRun:
    where = place(folder)
    task, why = task_of(folder)
    return FoundRun(
        format=format,
        path=folder,
        experiment=f"{where.experiment}/{group.stem}" if beside else where.experiment,
        replicate=where.replicate,
        seed=where.seed,
        levels=tuple(
            FoundLevel(level, (path,), partial(read, path)) for level, path in group.files.items()
        ),
        fields={"task": task} if task else {},
        inferred={"task": why, "level": "the last number in the file's name"},
    )


def _listed(
    folder: Path,
    format: str,
    levels: Mapping[int, tuple[Path, Mapping[str, float | bool | None]]],
    told: Mapping[str, str],
    read: Callable[[Path], LevelData],
) -> FoundRun:
    where = place(folder)

    def read_one(path: Path, numbers: Mapping[str, float | bool | None]) -> LevelData:
        return dataclasses.replace(read(path), numbers=numbers)

    return FoundRun(
        format=format,
        path=folder,
        experiment=told.get("experiment", where.experiment),
        replicate=told.get("replicate", told.get("seed", where.replicate)),
        seed=int(told["seed"]) if "seed" in told else where.seed,
        levels=tuple(
            FoundLevel(n, (path,), partial(read_one, path, numbers))
            for n, (path, numbers) in sorted(levels.items())
        ),
        fields={k: told[k] for k in ("task", "architecture", "init", "fan") if k in told},
        inferred={"level": "manifest.json"},
    )
