"""Predictions that a store keeps: written before the runs that test them, and held to that.

A run tests a prediction that was made before it: it was not in the store then, and says of itself
that it began later. Of a run that was there and went on, levels that were not there do, where
the prediction is of levels to come. When the runs of imports were trained nothing tells.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...schemas.display import Shown, Table
from ...schemas.errors import RecordError, StoreError, UsageError
from ...schemas.files import read_file, write_atomic
from ...schemas.lock import check_locks, lock
from ...schemas.records.description import OWN, RECORDED
from ...schemas.records.prediction_files import read_prediction
from ...schemas.records.predictions import FOLDER, Kind, Meant, Registered
from ...schemas.words import counted, listed

if TYPE_CHECKING:
    from .holdings import Holdings

Standing = Literal["tests it", "was there", "began before", "imported"]
GROWING: tuple[Kind, ...] = ("collapse",)  # kinds of which later levels of a known run are a test
_ANY = ""  # in place of the ids before a prediction that cannot be read
_WAIT = 60.0  # seconds; to write a prediction takes a moment
_RUNS = """
    SELECT *, (SELECT max(level) FROM levels WHERE levels.run_id = runs.run_id) AS last
    FROM runs ORDER BY run_id"""


@dataclass(frozen=True)
class Predictions(Shown):
    """The predictions of a store, by the time they were made.

    Attributes
    ----------
    kept : tuple of Registered
        Those that are as they were written.
    broken : mapping of str to str
        Files that were changed or cannot be read, and why.
    gone : mapping of str to str
        Ids of predictions that others follow and that are not there, and one that follows.
    disordered : mapping of str to str
        Ids of predictions that say they were made before one that they follow, and that one.
    ahead : mapping of str to str
        Ids of predictions that say they were made at a time to come, and that time.
    apart : mapping of str to str
        Ids of predictions that do not lead to one that says it was made later, and that one: they
        came from another store, or were written later than they say.
    """

    kept: tuple[Registered, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    gone: Mapping[str, str] = field(default_factory=dict)
    disordered: Mapping[str, str] = field(default_factory=dict)
    ahead: Mapping[str, str] = field(default_factory=dict)
    apart: Mapping[str, str] = field(default_factory=dict)

    most, whole = 100, "kept has all"

    @property
    def sound(self) -> tuple[Registered, ...]:
        """Those that were made before the runs that test them, and whose time can be believed."""
        return tuple(o for o in self.kept if not o.afterwards and o.id not in self.disordered)

    @property
    def faults(self) -> tuple[str, ...]:
        """What was changed, is gone, is out of order or of a time to come, a sentence each."""
        return (
            *self.broken.values(),
            *(
                f"prediction {one} is gone: {after} was made after it; bring it back from a copy"
                for one, after in self.gone.items()
            ),
            *(
                f"prediction {one} says that it was made before {other}, which it follows: it is "
                "not scored"
                for one, other in self.disordered.items()
            ),
            *(
                f"prediction {one} says that it was made at {made}, which is yet to come: a clock "
                "was ahead, or this one is behind"
                for one, made in self.ahead.items()
            ),
        )

    @property
    def doubts(self) -> tuple[str, ...]:
        """What nothing in the store vouches for, in a sentence: the dates of some predictions."""
        if not self.apart:
            return ()
        those = [f"{one} (not followed by {later})" for one, later in self.apart.items()]
        return (
            f"{counted(len(those), 'prediction')} not followed by one that was made later: merged "
            f"from another store, or written later than they say: {listed(those, 3)}",
        )

    def table(self) -> Table:
        """Return a row for every prediction."""
        rows = [
            (
                one.id,
                one.made,
                one.kind,
                one.labels[0],
                one.labels[1],
                len(one.statements),
                "afterwards" if one.afterwards else "before",
                one.digest,
            )
            for one in self.kept
        ]
        columns = ("prediction", "made", "kind", "source", "target", "statements", "was", "sha256")
        title = f"{counted(len(rows), 'prediction')} written down"
        notes = (*self.faults, *self.doubts)
        return Table(columns, rows, title=title, notes=notes, shown=columns[:-1])


@dataclass(frozen=True)
class Witness:
    """A run that a prediction is about.

    Attributes
    ----------
    run_id, experiment_id : str
        The run, and its experiment.
    first, last : int
        Levels that test the prediction; none where `first` is beyond `last`.
    standing : str
        `tests it`; `was there` when the prediction was made; `began before` it, elsewhere;
        `imported`: nothing tells when it was trained.
    """

    run_id: str
    experiment_id: str
    first: int
    last: int
    standing: Standing


def read_predictions(store: Path) -> Predictions:
    """Read all predictions of a store, and hold them to their names, sums and order."""
    kept, broken = list[Registered](), dict[str, str]()
    for path in prediction_files(store):
        try:
            kept.append(read_prediction(path))
        except RecordError as error:
            broken[str(path)] = str(error)
    kept.sort(key=lambda one: (one.made_at, one.id))
    there = {one.id: one for one in kept}
    named = {*there, *(Path(path).stem for path in broken)}
    follows = [(one, before) for one in kept for before in one.after]
    gone = {before: one.id for one, before in follows if before not in named}
    disordered = {
        one.id: before
        for one, before in follows
        if before in there and there[before].made > one.made
    }
    ahead = {one.id: one.made_at for one in kept if one.made > _now().replace(tzinfo=None)}
    return Predictions(tuple(kept), broken, gone, disordered, ahead, _apart(kept))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def _apart(kept: Sequence[Registered]) -> dict[str, str]:
    """Return the predictions that do not lead to all that were made later, and the first of these.

    What follows one that is not there, or cannot be read, may follow any through it.
    """
    before = {one.id: set(one.after) for one in kept}
    led: dict[str, set[str]] = {}
    for name in TopologicalSorter(before).static_order():
        of = before.get(name)
        led[name] = {_ANY} if of is None else of.union(*(led[each] for each in of))
    found: dict[str, str] = {}
    for place, one in enumerate(kept):
        later = (other for other in kept[place + 1 :] if other.made > one.made)
        strangers = (
            x.id for x in later if not led[x.id] & {one.id, _ANY} and x.id not in led[one.id]
        )
        if (stranger := next(strangers, None)) is not None:
            found[one.id] = stranger
    return found


def prediction_files(store: Path) -> list[Path]:
    """List the files that predictions lie in."""
    return sorted(path for path in (store / FOLDER).glob("*.json") if path.name[0] != ".")


def register(store: Holdings, draft: Registered, *, afterwards: bool = False) -> Registered:
    """Write a prediction into a store, with the time, what is known, and which it follows.

    Parameters
    ----------
    store : Holdings
        The store.
    draft : Registered
        What is predicted; `made_at`, `seen`, `after` and `afterwards` are filled in here.
    afterwards : bool
        Whether a prediction about runs that are there is welcome: it is marked, and never scored.

    Raises
    ------
    UsageError
        Runs that test it are there, it says nothing, or it would follow one of a time to come.
    StoreError
        The store cannot be written, or its file system has no locks.
    Locked
        Another process writes a prediction for too long.
    """
    if not draft.statements:
        raise UsageError(f"{' -> '.join(draft.labels)}: there is nothing to write down")
    try:
        store.path.mkdir(parents=True, exist_ok=True)
        check_locks(store.path)
        with lock(store.path / f".{FOLDER}.lock", f"predictions of {store.path}", wait=_WAIT):
            made = _now()
            seen = _seen(store, draft.tests)
            told = bool(seen) and draft.kind not in GROWING
            if told and not afterwards:
                raise UsageError(_refusal(draft, seen))
            after = _last(read_predictions(store.path), store.path)
            one = replace(
                draft,
                made_at=made.isoformat(),
                seen=seen,
                after=after,
                afterwards=afterwards and (told or draft.kind in GROWING),
            )
            one.write(store.path)
            return one
    except OSError as error:
        raise StoreError(
            f"{store.path / FOLDER}: cannot be written ({error.strerror or error}): no prediction "
            "was made"
        ) from None


def runs_that_test(store: Holdings, one: Registered) -> list[Witness]:
    """List the runs that a prediction is about, and which of their levels test it."""
    return [_witness(one, row) for row in _fitting(store, one.tests)]


def ids_of(store: Holdings, experiment: str) -> set[str]:
    """Return the ids that an experiment has and had: an import that is corrected gets another."""
    rows = store.query("SELECT DISTINCT experiment_id, former FROM runs").rows
    return _ids(experiment, rows)


def bring_predictions(store: Path, source: Path, *, dry_run: bool = False) -> list[str]:
    """Take the predictions of another store over, as they are.

    Returns
    -------
    list of str
        Which stay there, and why.
    """
    notes = []
    for path in prediction_files(source):
        place = store / FOLDER / path.name
        if place.exists():  # one name, one text; a changed one is found when it is read
            continue
        try:
            read_prediction(path)
            if not dry_run:
                place.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(place, read_file(path))
        except (RecordError, OSError) as error:
            notes.append(f"a prediction stays in {source}: {error}")
    return notes


def _seen(store: Holdings, tests: Meant) -> dict[str, int]:
    rows = _fitting(store, tests)
    return {row["run_id"]: -1 if row["last"] is None else row["last"] for row in rows}


def _refusal(draft: Registered, seen: Mapping[str, int]) -> str:
    there = listed([*seen], 3)
    return (
        f"{' -> '.join(draft.labels)}: {counted(len(seen), 'run')} that would test this prediction "
        f"{'is' if len(seen) == 1 else 'are'} in the store already ({there}): a prediction is made "
        "before them; --afterwards writes it down as made afterwards, and it is never scored"
    )


def _last(known: Predictions, store: Path) -> tuple[str, ...]:
    """Return the predictions that no other follows, those that cannot be read too.

    One of a time to come is refused: what follows it would not be believed.
    """
    names = {*(one.id for one in known.kept), *(Path(path).stem for path in known.broken)}
    last = sorted(names - {before for one in known.kept for before in one.after})
    if early := [one for one in last if one in known.ahead]:
        raise UsageError(
            f"prediction {early[0]} says that it was made at {known.ahead[early[0]]}, and none is "
            "made before what it follows: set this clock if it is behind; if that one was ahead, "
            f"wait, or move {store / FOLDER / early[0]}.json elsewhere: nothing follows it yet"
        )
    return tuple(last)


def _fitting(store: Holdings, tests: Meant) -> list[dict[str, Any]]:
    """Return the rows of the runs that are of these recipes."""
    rows = store.query(_RUNS).to_dicts()
    pairs = [(row["experiment_id"], row["former"]) for row in rows]
    known = {name: _ids(name, pairs) for name in (tests.experiment, tests.parent) if name}
    return [row for row in rows if _fits(row, tests, known)]


def _fits(row: Mapping[str, Any], tests: Meant, known: Mapping[str, Collection[str]]) -> bool:
    maps = tests.maps or (None,) if tests.parent else ()
    return (
        (tests.experiment is None or row["experiment_id"] in known[tests.experiment])
        and (tests.parent is None or row["parent"] in known[tests.parent])
        and (not maps or row["transform"] in maps)
        and all(str(row[name]) == value for name, value in tests.fields.items())
    )


def _ids(experiment: str, rows: Iterable[Sequence[Any]]) -> set[str]:
    families = [{name, *(former or ())} for name, former in rows]
    return {experiment}.union(*(ids for ids in families if experiment in ids))


def _witness(one: Registered, row: Mapping[str, Any]) -> Witness:
    run, last = row["run_id"], -1 if row["last"] is None else row["last"]
    first = one.seen.get(run, -1) + 1
    return Witness(run, row["experiment_id"], first, last, _standing(one, row, last >= first))


def _standing(one: Registered, row: Mapping[str, Any], has_levels: bool) -> Standing:
    if row["source"] not in (OWN, RECORDED):
        return "imported"
    if row["run_id"] in one.seen:
        grew = one.kind in GROWING and has_levels and row["updated_at"] >= one.made
        return "tests it" if grew else "was there"
    return "began before" if row["created_at"] < one.made else "tests it"
