"""What a store holds and shows, in plain sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from ...schemas.notes import Note, Rank
from ...schemas.words import counted, listed
from ...store import RunInfo
from ..chance import chance_of_all
from ..curves.matching import DEFINITION, Matching
from ..values import Estimate
from .members import Member

_NAMED = 6  # experiments that a sentence names
_STATES = ("finished", "unfinished", "diverged")


def summary(members: Sequence[Member], path: str) -> tuple[str, ...]:
    """Say what there is, what makes numbers void, and what was found, the widest first."""
    if not members:
        return (f"{path} holds no runs yet: rgtool demo, or rgtool run lenet digits, makes some.",)
    own = [one for one in members if one.info.recipe.parent is None]
    return (
        _holds(members),
        *_children(members, own),
        *dict.fromkeys(note for one in own if one.counts for note in chance_of_all(one.counts)),
        *_pruned(own),
        *_matching(own),
        *_spectra(own),
        *_without(members),
    )


def _holds(members: Sequence[Member]) -> str:
    runs = [run for one in members for run in one.info.runs]
    states = Counter(map(_state, runs))
    said = ", ".join(f"{states[state]:,} {state}" for state in _STATES if states[state])
    levels = sum(run.recorded for run in runs)
    networks = sorted({run.architecture for run in runs})
    tasks = sorted({run.task for run in runs})
    return (
        f"{counted(len(members), 'experiment')} of {counted(len(runs), 'run')} ({said}) with "
        f"{counted(levels, 'recorded level')}: {listed(networks)} on {listed(tasks)}."
    )


def _state(run: RunInfo) -> str:
    return "diverged" if run.diverged else "finished" if run.finished else "unfinished"


def _children(members: Sequence[Member], own: Sequence[Member]) -> Iterator[str]:
    if len(own) < len(members):
        yield (
            f"{len(own)} of them find their own tickets; "
            f"{len(members) - len(own)} train tickets of another experiment, or controls of these."
        )


def _pruned(own: Sequence[Member]) -> Iterator[str]:
    known = [run.density for one in own for run in one.info.runs if run.density is not None]
    least, most = (f"{end(known):.3g}" if known else "" for end in (min, max))
    if known:
        to = least if least == most else f"{least} to {most}"
        yield f"Pruning has come to a density of {to} of the weights."


def _matching(own: Sequence[Member]) -> Iterator[str]:
    """Say how far experiments prune; dense accuracy beside it, since 0.1 is easily matched."""
    found = [(one, one.matching) for one in own if one.matching and not one.is_void]
    found.sort(key=lambda pair: pair[1].density.value)
    for one, matching in found[:_NAMED]:
        yield (
            f"{one.info.label} matches its dense accuracy of {matching.dense_accuracy:.3f} "
            f"{_reach(matching)}, with {counted(len(matching.runs), 'seed')}."
        )
    if len(found) > _NAMED:
        yield f"{len(found) - _NAMED} more have a matching density: see the table of experiments."
    if found:
        yield f"{DEFINITION[0].upper()}{DEFINITION[1:]}."


def _reach(matching: Matching) -> str:
    """Say how far: where that is the last level on record nobody knows how much farther it goes."""
    density = matching.density
    if matching.is_bound:
        return f"at density {density.value:.3g} still, the sparsest on record"
    if matching.is_open:
        return (
            f"down to density {density.value:.3g} (95 % interval from {density.high:.3g} to the "
            "sparsest on record, and it may go on)"
        )
    return f"down to density {_interval(density)}"


def _interval(one: Estimate[float]) -> str:
    if not math.isfinite(one.low):
        return f"{one.value:.3g}"
    return f"{one.value:.3g} (95 % interval {one.low:.3g} to {one.high:.3g})"


def _spectra(own: Sequence[Member]) -> Iterator[str]:
    """Say what the spectra conclude, experiment by experiment."""
    found = [one.spectrum for one in own if one.spectrum is not None]
    for spectrum in found[:_NAMED]:
        said = [note for note in map(Note.of, spectrum.notes) if note.rank == Rank.CONCLUSION]
        if said:
            yield f"{spectrum.label} by {spectrum.by}: {'; '.join(said)}."
    if len(found) > _NAMED:
        verdicts = Counter(
            word
            for one in found
            for word, pruned in zip(one.verdict, one.pruned, strict=True)
            if pruned
        )
        words = ", ".join(f"{number:,} {word}" for word, number in verdicts.most_common())
        yield f"Groups of all {len(found)} spectra: {words}."


def _without(members: Sequence[Member]) -> Iterator[str]:
    lacking = [one for one in members if one.counts is None]
    begun = [one for one in lacking if not any(run.recorded for run in one.info.runs)]
    unread = [one for one in lacking if one not in begun]
    for found, what in ((begun, "a recorded level"), (unread, "readable counts")):
        if found:
            names = listed([one.title for one in found], _NAMED)
            yield f"{counted(len(found), 'experiment')} without {what}: {names}."
