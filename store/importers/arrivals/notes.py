"""What an import tells of what it has corrected."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from ....schemas.recipe import Recipe
from ....schemas.records.description import Description
from ....schemas.words import spelled
from ..report import Choices, ImportedRun
from .correction import Correction, OtherNumber

Rows = Sequence[tuple[str, Sequence[str]]]  # of runs: experiment and former ones
_NAMES = {"origin": "name"}  # of fields, as the option that tells them is called
_UNNAMED = ("prunable", "exempt", "parent")  # what follows from others that are named


def number_notes(
    taken: Sequence[OtherNumber], left: Sequence[OtherNumber], why: str
) -> Iterator[str]:
    """Say which numbers of levels are otherwise from now on, and which stay, and why."""
    for one, more in _by_name(taken):
        before, now = _text(one.before), _text(one.told)
        yield f"level {one.level}: {one.name} {now} from now on, {before} before{more}"
    for one, more in _by_name(left):
        before, here = _text(one.before), _text(one.told)
        yield (
            f"level {one.level}: {one.name} {here} here, {before} in the store: its record stays "
            f"as it is, {why}{more}"
        )


def _by_name(numbers: Sequence[OtherNumber]) -> Iterator[tuple[OtherNumber, str]]:
    """Yield the first of each name, and how many follow."""
    for _, found in groupby(sorted(numbers, key=lambda one: one.name), lambda one: one.name):
        first, *others = found
        yield first, f"; so {len(others)} more level(s)" if others else ""


def _text(value: float | bool | None) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", False: "no", True: "yes"}[value]
    return format(value, ".6g")


def change_notes(
    old: Description, now: Description, choices: Choices, correction: Correction
) -> Iterator[str]:
    """Say what of a run's description is otherwise from now on."""
    sure = [f"{name} {value}" for name, value in choices.said.items()
            if name in old.assumed and getattr(old.recipe, name) == value]  # fmt: skip
    if sure:
        yield f"told from now on, as it was assumed: {', '.join(sure)}; its null may change"
    if changed := [*_changed(old, now)]:
        yield f"from now on: {', '.join(changed)}"
    if correction.renames:
        how = "as the block map says" if choices.blocks else f"as in {now.recipe.architecture}"
        yield f"its layers, blocks and stages are named {how} from now on"
    if now.parent_run != old.parent_run:
        yield f"it begins with run {now.parent_run}"


def with_moves(store: Path, runs: Sequence[ImportedRun]) -> list[ImportedRun]:
    """Note of imports, when all are done, which runs are of other experiments from now on.

    A run that follows another and then moves itself is named once, with the experiment in which
    it ends.

    Parameters
    ----------
    store : Path
        Where they are now.
    runs : sequence of ImportedRun
        In the order of their import.
    """
    if not any(run.followed or run.has_moved for run in runs):
        return [*runs]
    from ...sql.reading import Reader

    query = "SELECT experiment_id, former FROM runs"
    rows = Reader(store).run(lambda c: c.execute(query).fetchall(), wanted=("runs",))
    last = {name: n for n, run in enumerate(runs) for name in (run.run_id, *run.followed)}
    return [
        dataclasses.replace(run, notes=(*run.notes, *_own(run, rows), *_others(run, n, last)))
        for n, run in enumerate(runs)
    ]


def _own(run: ImportedRun, rows: Rows) -> Iterator[str]:
    if run.has_moved:
        found = _finds(run.was, run.experiment_id, rows)
        yield f"it is of experiment {run.experiment_id} from now on; {found}"


def _others(run: ImportedRun, number: int, last: Mapping[str, int]) -> Iterator[str]:
    """Say which runs have followed a run, but for those that a later one is to name."""
    for name, experiment in run.followed.items():
        if last[name] == number:
            yield f"run {name} follows: it is of experiment {experiment} from now on"


def _finds(was: str, now: str, rows: Rows) -> str:
    """Say what the former id of an experiment finds from now on."""
    if stay := sum(experiment == was for experiment, _ in rows):
        return f"{was} means the {stay} other run(s) that stay in it"
    if others := {experiment for experiment, former in rows if was in former} - {now}:
        return f"{was} finds {len(others) + 1} experiments by now: name one"
    return f"{was} still finds it"


def _changed(old: Description, now: Description) -> Iterator[str]:
    for field in dataclasses.fields(Recipe):
        before, after = getattr(old.recipe, field.name), getattr(now.recipe, field.name)
        if before != after and field.name not in _UNNAMED:
            name = _NAMES.get(field.name, field.name)
            yield f"{name} {spelled(after)} ({spelled(before)} before)"
    if now.seed != old.seed:
        yield f"seed {now.seed} (unknown before)"
    elif now.replicate != old.replicate:
        yield f"replicate {now.replicate} ({old.replicate} before)"
