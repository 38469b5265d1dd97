"""From the runs of a store to a matrix of transfers, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...schemas.errors import UsageError
from ...schemas.notes import Note, Rank
from ...schemas.words import counted, listed
from ..named import Named, StoreLike, counts_of_all
from ..values import Refusal
from .between import overlaps_between, spectra_between
from .conditions import TRANSFERRED
from .estimate import measure_transfer
from .mantel import LEAST_EXPERIMENTS
from .matrix import TransferMatrix
from .predictors import DENSITY, MASKS, SPECTRA, Score, winner

Children = Mapping[tuple[int, int], Mapping[str, Named]]
_SEE = "transfer.md#which-predictor-wins"


def measure_matrix(
    store: StoreLike,
    experiments: Sequence[Named],
    children: Children,
    *,
    owns: Sequence[Named] | None = None,
    at: Sequence[int] | None = None,
    tickets: Mapping[int, int] | None = None,
    rng: int = 0,
) -> TransferMatrix:
    """Hold tickets of experiments against each other's own, and losses against what told them.

    Parameters
    ----------
    store : Store or path, or None
        Where the records are.
    experiments : sequence of str, length E
        Of one architecture.
    children : mapping of (int, int) to mapping of str to str
        By positions of source and target, experiments by condition.
    owns : sequence of str, optional, length E
        The same experiments, of the runs that tickets are held against; default `experiments`.
    at : sequence of int, optional
        Levels; default all that children have.
    tickets : mapping of int to int, optional
        As for `measure_transfer`.
    rng : int
        Seed of intervals, tests of spectra and drawn permutations.

    Raises
    ------
    UsageError
        A name cannot be had, or networks differ.
    RgtoolError
        An experiment has no accuracy on record.
    """
    owns = experiments if owns is None else owns
    named = [*experiments, *owns, *(one for of in children.values() for one in of.values())]
    read = iter(counts_of_all(store, named, "layer", "a matrix of transfers"))
    counts, against = ([next(read) for _ in experiments] for _ in range(2))
    check_one_network([one.recipe.architecture for one in counts])
    transfers = {}
    for (a, b), of in children.items():
        moved = {name: next(read) for name in of}
        transfers[a, b] = measure_transfer(
            store, counts[a], against[b], moved, at=at, tickets=tickets, spectra=False, rng=rng
        )
    levels = sorted({c.level for t in transfers.values() for c in t.cells if c.level > 0})
    spectra = spectra_between(store, experiments, np.random.default_rng(rng))
    overlap, about = overlaps_between(store, counts, levels)
    found = TransferMatrix(
        experiments=tuple(one.experiment_id for one in counts),
        names=_names([(one.recipe.task, one.label) for one in counts]),
        levels=tuple(levels),
        transfers=transfers,
        spectra=spectra,
        overlap=overlap,
        rng_seed=rng,
        notes=(),
    )
    notes = (*_conclusions(found), *_common(found), *spectra.notes, *dict.fromkeys(about))
    return replace(found, notes=notes)


def check_one_network(architectures: Sequence[str]) -> None:
    """Refuse experiments of several networks: their tickets do not fit each other as they are.

    Raises
    ------
    UsageError
        There are several.
    """
    if len(distinct := list(dict.fromkeys(architectures))) > 1:
        raise UsageError(
            f"networks differ: {listed(distinct)}: a matrix is of one; rgtool stretch takes "
            "tickets to another depth"
        )


def _names(known: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Name experiments by task, or by label where tasks are not all different."""
    tasks = [task for task, _ in known]
    if len(set(tasks)) == len(tasks):
        return tuple(tasks)
    return tuple(label for _, label in known)


def _conclusions(found: TransferMatrix) -> list[Note]:
    return [*_tests(found), *_scores(found), *_equal_and_lossy(found)]


def _tests(found: TransferMatrix) -> list[Note]:
    """Say what Mantel's test says, and what its p can be."""
    notes = []
    words = {SPECTRA: "the distance of spectra", MASKS: "the lack of overlap of masks"}
    for what, said in words.items():
        test = found.mantel(what)
        if isinstance(test, Refusal):
            text, rank = f"no test of {said}: {test.reason}", Rank.CONCLUSION
        else:
            text = (
                f"losses against {said}: rho {test.rho:+.2f}, p {test.p:.2g} (Mantel, "
                f"{test.permutations:,} permutations of {test.experiments} experiments, "
                f"{counted(test.pairs, 'pair')})"
            )
            rank = Rank.CONCLUSION
            if what == SPECTRA and test.experiments == LEAST_EXPERIMENTS:
                notes.append(
                    Note(
                        f"with {test.experiments} experiments no p can be below 1/"
                        f"{test.permutations} = {test.least:.2g}, however well losses follow",
                        _SEE,
                        Rank.WARNING,
                    )
                )
        notes.append(Note(text, _SEE, rank))
    return notes


def _scores(found: TransferMatrix) -> list[Note]:
    """Say which predictor misses least, and whether spectra tell more than density."""
    scores = found.scores
    if isinstance(scores, Refusal):
        return [Note(f"no predictor is held out: {scores.reason}", _SEE, Rank.CONCLUSION)]
    best, rmse = winner(scores), {one.predictor: one.rmse for one in scores}
    said = ", ".join(f"{name} {value:.4f}" for name, value in rmse.items())
    text = f"losses of held-out experiments are missed by: {said}: {best.predictor} misses least"
    if rmse[SPECTRA] >= rmse[DENSITY]:
        text += "; the distance of spectra tells no more than density alone"
    notes = [Note(text, _SEE, Rank.CONCLUSION)]
    if MASKS not in rmse:
        notes.append(Note("masks do not take part: the overlap of some pair is not known", _SEE))
    return [*notes, _chance_of_first(scores)]


def _chance_of_first(scores: Sequence[Score]) -> Note:
    text = (
        f"a first place of {len(scores)} predictors over {scores[0].held_out} experiments is weak "
        "evidence: where losses go with the target alone spectra come first in one case of four"
    )
    return Note(text, _SEE, Rank.CAUTION)


def _equal_and_lossy(found: TransferMatrix) -> list[Note]:
    """Name pairs whose spectra are the same, and whose tickets certainly lose."""
    rows = found.to_frame().to_dicts()
    both = [
        f"{row['source']} to {row['target']} ({row['loss']:+.3f})"
        for row in rows
        if row["same"] and row["loss_low"] is not None and row["loss_low"] > 0
    ]
    if not both:
        return []
    text = f"spectra are certified the same and tickets lose nevertheless: {listed(both, 4)}"
    return [Note(text, "transfer.md#the-claim-and-its-bound", Rank.CONCLUSION)]


def _common(found: TransferMatrix) -> list[Note]:
    """Return what transfers say, once where several say the same, and what tells no loss."""
    said: dict[str, list[tuple[int, int]]] = {}
    notes: dict[str, Note] = {}
    for pair, transfer in found.transfers.items():
        for note in map(Note.of, transfer.notes):
            if note.rank in (Rank.WARNING, Rank.DETAIL):
                said.setdefault(note, []).append(pair)
                notes[note] = note
    common = [
        notes[text]
        if len(pairs) > 1
        else notes[text].about(" to ".join(found.names[place] for place in pairs[0]))
        for text, pairs in said.items()
    ]
    return [*_silent(found), *_without_interval(found), *common]


def _silent(found: TransferMatrix) -> list[Note]:
    """Name the tasks on which no loss is told."""
    silent = [
        name
        for place, name in enumerate(found.names)
        if all(math.isnan(value) for value in np.delete(found.mean_loss[:, place], place))
    ]
    if not silent:
        return []
    text = (
        f"no loss is told on {listed(silent)}: the target's own networks cannot be told from "
        "guessing, or have no common density; tickets from there count"
    )
    return [Note(text, "transfer.md#where-networks-guess", Rank.WARNING)]


def _without_interval(found: TransferMatrix) -> list[Note]:
    """Name the pairs whose mean loss has no interval, though its levels have one each."""
    rows = zip(found.to_frame().to_dicts(), found.transfers.values(), strict=True)
    bare = [
        f"{row['source']} to {row['target']}"
        for row, transfer in rows
        if row["loss"] is not None and row["loss_low"] is None
        if any(math.isfinite(c.to_own.estimate.low) for c in transfer.of(TRANSFERRED))
    ]
    if not bare:
        return []
    text = (
        f"no interval of the mean loss of {listed(bare, 4)}: its levels are not of the same pairs "
        "of seeds; --levels shows each"
    )
    return [Note(text, "transfer.md#how-differences-are-taken", Rank.WARNING)]
