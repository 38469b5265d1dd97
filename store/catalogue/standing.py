"""How far runs are, and who is at work on them: what `rgtool watch` and `rgtool status` show."""

from __future__ import annotations

import datetime as dt
import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ...schemas.display import Row, Shown, Table
from ...schemas.lock import Holder
from ...schemas.recipe import Recipe
from ...schemas.records.description import OWN, RECORDED
from ...schemas.records.epochs import PRETRAINING, Epoch
from ...schemas.records.layout import RunFolder
from ...schemas.steps import Step
from ...schemas.words import BARS, counted, duration, sparkline
from .inventory import ExperimentInfo, RunInfo
from .signs import ALIVE, Signs

if TYPE_CHECKING:
    from .holdings import Holdings
    from .selection import Identified

State = Literal["at work", "waiting", "stopped", "diverged", "done"]
STATES: tuple[State, ...] = ("at work", "waiting", "stopped", "diverged", "done")
_RECENT = 5  # levels whose pace is that of those to come: later ones may be computed sparsely
_LEVELS = """
    SELECT run_id, level, accuracy, wall_seconds, images_per_second FROM levels
    ORDER BY run_id, level"""
_PARENTS = "SELECT run_id, parent_run FROM runs WHERE parent_run IS NOT NULL"
_COLUMNS = (
    "run", "experiment", "label", "seed", "state", "level", "levels", "epoch", "epochs", "density",
    "accuracy", "accuracies", "images_per_second", "seconds_left", "process", "host", "seen",
)  # fmt: skip
_PEOPLE = (
    "run", "label", "seed", "state", "level", "epoch", "density", "accuracy", "curve", "images/s",
    "left", "held by", "last sign",
)  # fmt: skip


@dataclass(frozen=True)
class Stand:
    """How far a run is.

    Attributes
    ----------
    run : RunInfo
        The run; its density and accuracy are those of the last level that is recorded.
    state : str
        `at work`; `waiting` for levels of its parent; `stopped`, which the same command continues;
        `diverged`; `done`.
    level : int or None
        The level it is in: of a run without anything left the last one, -1 before the rewind point.
    accuracies : tuple of float
        Of the recorded levels, fractions.
    images_per_second : float or None
        Of the last epoch, else of the last level.
    epoch, epochs : int or None
        Epochs done of this level, and of all; None where nothing tells.
    seconds_left : float or None
        Training time that is left; None before a level of the experiment was recorded, and of
        children that are not done, of which nothing tells the levels that are asked for.
    holder : Holder or None
        The process that is at work on it.
    is_locked : bool
        Whether its lock tells that process; else its signs of life do.
    seen : datetime or None
        The last sign of life, UTC, without zone.
    """

    run: RunInfo
    state: State
    level: int | None
    accuracies: tuple[float, ...] = ()
    images_per_second: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    seconds_left: float | None = None
    holder: Holder | None = None
    is_locked: bool = False
    seen: dt.datetime | None = None

    def row(self) -> Row:
        """Return what programs get, in the order of the columns."""
        run, who = self.run, self.holder
        return (
            *(run.run_id, run.experiment_id, run.label, run.seed, self.state),
            *(self.level, run.levels, self.epoch, self.epochs, run.density, run.accuracy),
            list(self.accuracies),
            *(self.images_per_second, self.seconds_left),
            *((who.process, who.host) if who else (None, None)),
            self.seen,
        )

    def told(self, bars: str, now: dt.datetime) -> Row:
        """Return what people read."""
        run, speed, left = self.run, self.images_per_second, self.seconds_left
        unknown = "" if self.state in ("done", "diverged") else "unknown"
        return (
            *(run.run_id, run.label, run.seed, self.state),
            "rewind" if self.level == PRETRAINING else _of(self.level, run.levels),
            _of(self.epoch, self.epochs),
            *(run.density, run.accuracy, sparkline(self.accuracies, bars)),
            None if speed is None else round(speed),
            unknown if left is None else duration(left),
            "" if self.holder is None else f"{self.holder}",
            "" if self.seen is None else _ago((now - self.seen).total_seconds()),
        )


@dataclass(frozen=True)
class Standing(Shown):
    """How far the runs of a store are.

    Attributes
    ----------
    stands : tuple of Stand
        A run each: those at work first.
    taken_at : datetime
        When, UTC, without zone.
    path : Path
        The store.
    bars : str
        The characters of the curve, of rising height.
    """

    stands: tuple[Stand, ...]
    taken_at: dt.datetime
    path: Path
    bars: str = BARS

    def of(self, state: State) -> list[Stand]:
        """List the runs in a state."""
        return [one for one in self.stands if one.state == state]

    def table(self) -> Table:
        """Return what `rgtool status` prints."""
        told = [one.told(self.bars, self.taken_at) for one in self.stands]
        people = Table(_PEOPLE, told, formats={"density": ".4f", "accuracy": ".4f"})
        return Table(
            _COLUMNS,
            [one.row() for one in self.stands],
            title=f"{self.said()}, {self.taken_at:%H:%M:%S} UTC, in {self.path}",
            notes=self._notes(),
            people=people,
        )

    def said(self) -> str:
        """Say how many runs are in which state."""
        numbers = {state: len(self.of(state)) for state in STATES}
        said = [f"{number:,} {state}" for state, number in numbers.items() if number]
        return ", ".join(said) or "no run is at work or left unfinished"

    def _notes(self) -> tuple[str, ...]:
        signs = sum(one.holder is not None and not one.is_locked for one in self.stands)
        by_signs = (
            f"{counted(signs, 'run')} of another machine, whose lock does not reach here, by signs "
            f"of life: the last within {ALIVE / 60:.0f} min"
        )
        stopped = "what is stopped, the command that began it goes on with"
        return (
            *((by_signs,) if signs else ()),
            *((stopped,) if self.of("stopped") else ()),
        )


def standing(
    store: Holdings,
    selections: Sequence[str | Identified] = (),
    *,
    every: bool = False,
    also: Collection[str] = (),
) -> Standing:
    """Tell how far the runs of a store are that are trained here, and who is at work on them.

    Files are read alone: no lock is taken that would keep a run from its work.

    Parameters
    ----------
    store : Holdings
        Where they are.
    selections : sequence of str
        What selects experiments or runs, see `Store.find`; none: all.
    every : bool
        Whether runs of which nothing is left are listed too.
    also : collection of str
        Runs that are listed even so.

    Raises
    ------
    UsageError
        A selection fits nothing.
    StoreError
        The store cannot be read.
    """
    experiments = store.experiments()
    runs = [run for one in experiments for run in one.runs if run.source in (OWN, RECORDED)]
    chosen = _chosen(store, selections, runs)
    wanted = [run for run in chosen if every or not run.finished or run.run_id in also]
    taken_at = dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
    if not wanted:
        return Standing((), taken_at, store.path)
    told = _told(store, experiments, wanted)
    signs = [Signs.of(RunFolder.of(store.path, run.run_id)) for run in wanted]
    found = [_stand(run, of, told) for run, of in zip(wanted, signs, strict=True)]
    found.sort(key=lambda one: STATES.index(one.state))  # stable: by label and seed among equals
    return Standing(tuple(found), taken_at, store.path)


def _chosen(
    store: Holdings, selections: Sequence[str | Identified], runs: Sequence[RunInfo]
) -> Sequence[RunInfo]:
    if not selections:
        return runs
    ids = {name for selection in selections for name in store.find_all(selection)}
    return [run for run in runs if run.run_id in ids or run.experiment_id in ids]


class _Told(NamedTuple):
    """What the store tells of all runs, and of levels of those that are listed and their like."""

    recipes: Mapping[str, Recipe]  # by experiment
    runs: Mapping[str, RunInfo]
    parents: Mapping[str, str]  # by run
    accuracies: Mapping[str, Sequence[float]]  # by run
    speeds: Mapping[str, float]  # by run
    seconds: Mapping[str, Sequence[float]]  # of levels, by run and by experiment


def _told(
    store: Holdings, experiments: Sequence[ExperimentInfo], asked: Sequence[RunInfo]
) -> _Told:
    runs = {run.run_id: run for one in experiments for run in one.runs}
    recipes = {one.experiment_id: one.recipe for one in experiments}
    alike = {run.experiment_id for run in asked}
    read = [run.run_id for run in runs.values() if run.experiment_id in alike]
    accuracies, seconds = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    speeds: dict[str, float] = {}
    for run_id, level, accuracy, wall_seconds, speed in store.query(_LEVELS, runs=read).rows:
        run = runs[run_id]
        if run.last_level is None or level > run.last_level:  # recorded since
            continue
        if accuracy is not None:
            accuracies[run_id].append(accuracy)
        if wall_seconds is not None:
            seconds[run_id].append(wall_seconds)
            seconds[run.experiment_id].append(wall_seconds)
        if speed is not None:
            speeds[run_id] = speed
    parents = dict(store.query(_PARENTS).rows)
    return _Told(recipes, runs, parents, accuracies, speeds, seconds)


def _stand(run: RunInfo, signs: Signs, told: _Told) -> Stand:
    """Put together what is known of a run."""
    seen = None if run.compacted else signs.seen  # compaction has changed the folder, not the run
    accuracies = tuple(told.accuracies.get(run.run_id, ()))
    speed = told.speeds.get(run.run_id)
    if run.finished:
        state: State = "diverged" if run.diverged else "done"
        return Stand(run, state, run.last_level, accuracies, speed, seen=seen)
    who, last = signs.holder, signs.epochs[-1] if signs.epochs else None
    level = _level_at_work(run, last.level if last else None)
    ended = 0
    if who and last and level is not None and last.level > level:
        ended = last.level - level  # records were read before the epochs: levels have ended since
        level = last.level
    inside = signs.epochs if last and last.level == level else ()
    recipe = told.recipes.get(run.experiment_id)
    waits = _waits(run, told.runs.get(told.parents.get(run.run_id, "")))
    return Stand(
        run,
        "at work" if who else "waiting" if waits else "stopped",
        level,
        accuracies,
        (last.images_per_second if last else None) or speed,
        epoch=inside[-1].epoch if inside else 0 if who else None,
        epochs=recipe.epochs if recipe and level != PRETRAINING else None,
        seconds_left=_seconds_left(run, told, ended + _share(inside, recipe)),
        holder=who,
        is_locked=signs.is_locked,
        seen=seen,
    )


def _waits(run: RunInfo, parent: RunInfo | None) -> bool:
    """Tell whether a run needs a level of its parent that is not recorded yet."""
    if parent is None or parent.finished:
        return False
    needed = run.levels if run.child else run.first
    return parent.last_level is None or parent.last_level < needed


def _level_at_work(run: RunInfo, trained: int | None) -> int | None:
    """Return the level that comes next: of a child the one that it trains, if any tells."""
    reached = run.last_level
    if reached is None and trained == PRETRAINING:
        return PRETRAINING
    if run.child:
        return trained if reached is None or (trained or 0) > reached else reached
    return run.first if reached is None else reached + 1


def _share(inside: Sequence[Epoch], recipe: Recipe | None) -> float:
    """Return the share of a level that is trained: it may begin at the rewind point.

    Training up to that point is of no level.
    """
    if not inside or inside[-1].level == PRETRAINING or recipe is None or not recipe.epochs:
        return 0.0
    begins = 0 if recipe.schedule == "restart" else Step.parse(recipe.rewind).epochs
    return (inside[-1].epoch - begins) / max(1, recipe.epochs - begins)


def _seconds_left(run: RunInfo, told: _Told, trained: float) -> float | None:
    """Return the time of the levels that are left, at the pace of the last ones that ran.

    Those of the run itself, else of others of its experiment; `trained` levels, or parts of one,
    are done beyond those on record.
    """
    ran = told.seconds.get(run.run_id) or told.seconds.get(run.experiment_id)
    if run.asked is None or not ran:
        return None
    return max(0.0, run.asked - run.recorded - trained) * statistics.median(ran[-_RECENT:])


def _of(number: int | None, whole: int | None) -> str:
    if number is None:
        return ""
    return f"{number}" if whole is None else f"{number}/{whole}"


def _ago(seconds: float) -> str:
    return "now" if seconds < 1.5 else f"{duration(seconds)} ago"
