"""What registered predictions were worth, by kind, beside a constant, N1 and the literature."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...schemas.errors import choose
from ...schemas.notes import LeftOut, Note, Rank
from ...schemas.records.predictions import KINDS, Kind, Registered
from ...schemas.words import counted, listed
from ...store import Store
from ...store.catalogue.predictions import Predictions, Witness, runs_that_test
from ..named import StoreLike, open_store
from .collapse import collapse_outcomes
from .drafts import architecture_of
from .exponents import exponent_outcomes, gamma_outcomes
from .line import STORE, Line, Outcomes, marks
from .literature import ARCHITECTURES, published_lines
from .ordering import ordering_outcomes
from .paired import LEAST_UNITS
from .result import Score, Scored
from .transfer import transfer_outcomes

OUTCOMES: dict[Kind, Callable[[Store, Registered, list[Witness]], Outcomes]] = {
    "transfer": transfer_outcomes,
    "ordering": ordering_outcomes,
    "collapse": collapse_outcomes,
    "exponents": exponent_outcomes,
    "gamma": gamma_outcomes,
}

_NONSENSE = (ArithmeticError, LookupError, TypeError, ValueError)


def score(
    store: StoreLike = None, *, kind: str | None = None, architecture: str | None = None
) -> Score:
    """Score the predictions of a store, and the predictors on the literature.

    A prediction is scored where it was made before the runs that test it, and is as it was written.
    Of several outcomes of one prediction the mean counts, once.

    Parameters
    ----------
    store : Store or path, optional
        Where predictions and runs are.
    kind : str, optional
        `transfer`, `ordering`, `collapse`, `exponents` or `gamma`; default all.
    architecture : str, optional
        That of the targets; default all.

    Raises
    ------
    UsageError
        There is no such kind.
    """
    kinds = KINDS if kind is None else (choose("kind", kind, KINDS),)
    opened = open_store(store)
    known = opened.predictions()
    each, faults = list[Scored](), list[Note]()
    for one in known.kept:
        if one.kind in kinds and architecture in (None, architecture_of(one.labels[1])):
            try:
                each.append(scored(opened, one, known))
            except _NONSENSE as error:  # one file that makes no sense is not in the way of others
                text = f"prediction {one.id} cannot be scored ({type(error).__name__}: {error})"
                faults.append(LeftOut(text, Score.see, Rank.WARNING))
    lines = (*_own_lines(kinds, each), *_published(kinds, architecture))
    return Score(lines, tuple(each), (*faults, *_about(known, each), *_cautions(lines)))


def lines_for(store: StoreLike, kind: Kind, architecture: str) -> tuple[Line, ...]:
    """Return what predictions of a kind for an architecture were worth, those scored alone.

    Of the store first; of the literature where it is of that architecture.
    """
    found = score(store, kind=kind, architecture=architecture).lines
    return tuple(line for line in found if line.scored)


def scored(store: Store, one: Registered, known: Predictions) -> Scored:
    """Score one prediction, or say why it is not."""
    if one.afterwards:
        return Scored(one, "afterwards")
    if one.id in known.disordered:
        return Scored(one, "out of order")
    witnesses = runs_that_test(store, one)
    testing = [run for run in witnesses if run.standing == "tests it"]
    others = tuple(run for run in witnesses if run.standing not in ("tests it", "was there"))
    outcomes = OUTCOMES[one.kind](store, one, testing) if testing else {}
    found = marks((one.source, one.target), one.statements, outcomes)
    return Scored(one, "waiting" if found is None else "scored", len(testing), found, others)


def _own_lines(kinds: Sequence[Kind], each: Sequence[Scored]) -> list[Line]:
    lines = []
    for kind in kinds:
        mine = [one for one in each if one.prediction.kind == kind]
        met = tuple(one.marks for one in mine if one.marks is not None)
        if mine:
            made = sum(one.standing != "afterwards" for one in mine)
            lines.append(Line(kind, STORE, made, met))
    return lines


def _published(kinds: Sequence[Kind], architecture: str | None) -> list[Line]:
    return [
        line
        for line in published_lines()
        if line.kind in kinds and (architecture is None or architecture in ARCHITECTURES[line.kind])
    ]


def _about(known: Predictions, each: Sequence[Scored]) -> list[Note]:
    """Say which predictions are not scored, and why."""
    notes: list[Note] = [LeftOut(text, Score.see, Rank.WARNING) for text in known.faults]
    notes += [Note(text, Score.see, Rank.WARNING) for text in known.doubts]
    late = [one.prediction.id for one in each if one.standing == "afterwards"]
    if late:
        notes.append(
            Note(
                f"{counted(len(late), 'prediction')} made afterwards, never scored: {listed(late)}",
                Score.see,
            )
        )
    words = {
        "began before": "began before the prediction that they would test",
        "imported": "are imported, and nothing tells when they were trained",
    }
    for standing, why in words.items():
        runs = {run.run_id for one in each for run in one.others if run.standing == standing}
        if runs:
            text = f"{counted(len(runs), 'run')} ({listed(sorted(runs), 3)}) test nothing: they "
            notes.append(Note(text + why, Score.see, Rank.WARNING))
    return notes


def _cautions(lines: Sequence[Line]) -> list[Note]:
    notes = [
        Note(f"{line.of}: {line.caution}", Score.see, Rank.WARNING)
        for line in lines
        if line.caution
    ]
    few = [line for line in lines if line.scored and line.experiments < LEAST_UNITS]
    if few:
        notes.append(
            Note(
                f"fewer than {LEAST_UNITS} experiments decide nothing, however often each was "
                f"predicted: {listed([f'{line.kind} ({line.of})' for line in few])}",
                Score.see,
                Rank.WARNING,
            )
        )
    return notes
