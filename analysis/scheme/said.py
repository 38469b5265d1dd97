"""What is found of schemes, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...schemas.notes import Note, Rank
from ...schemas.words import listed
from ...store.literature import PREFIX
from . import against, fixed_point, semigroup
from .fixed_point import ROUGH, FixedPoint
from .result import Scheme

_SHOWN = 12  # schemes that a sentence names
_FATES = {
    "still": "stand still",
    "attracted": "are drawn to a fixed point",
    "repelled": "are driven from one",
    "steady": "run on at constant exponents",
    "slowing": "slow down",
    "quickening": "run away ever faster",
    "undecided": "undecided",
}


def conclusions(schemes: Sequence[Scheme]) -> list[Note]:
    """Say in a sentence a question what the schemes answer."""

    def verdict(one: Scheme) -> str | None:
        found = [x.verdict for x in (one.step, one.at_once) if x is not None]
        return max(found, key=("same", "undecided", "different").index) if found else None

    return [
        *_sentence(schemes, "a semigroup in density", verdict, semigroup.SEE),
        *_sentence(
            schemes, "shares", lambda x: _FATES[x.shares.fate] if x.shares else None,
            fixed_point.SEE,
        ),
        *_sentence(
            schemes, "effective scales", lambda x: _FATES[x.scales.fate] if x.scales else None,
            fixed_point.SEE,
        ),
        *_sentence(
            schemes, "beside the exponents of magnitude pruning",
            lambda x: f"{x.against.comparison.verdict} ({x.against.what})" if x.against else None,
            against.SEE,
        ),
    ]  # fmt: skip


def _sentence(
    schemes: Sequence[Scheme], subject: str, answer: Callable[[Scheme], str | None], see: str
) -> list[Note]:
    """Name the schemes of every answer; nothing where there is none."""
    named: dict[str, list[str]] = {}
    for one in schemes:
        if (said := answer(one)) is not None:
            named.setdefault(said, []).append(_name(one))
    parts = [f"{said}: {listed(names, _SHOWN)}" for said, names in named.items()]
    return [Note(f"{subject}: {'; '.join(parts)}", see, Rank.CONCLUSION)] if parts else []


def _name(one: Scheme) -> str:
    if one.name.startswith(PREFIX):
        return f"{one.pruner} (published)"
    return one.pruner if one.family.trained else f"{one.pruner} (untrained)"


def fate_notes(found: FixedPoint, what: str) -> list[Note]:
    """Say what the fate of a flow rests on."""
    notes = [Note(f"{what}: {text}", fixed_point.SEE) for text in found.notes]
    if found.fate == "still":
        return notes
    if found.bent and found.misfit <= ROUGH:
        text = (
            f"{what}: kappa is {found.later.value:+.2f} without the first third of the levels, and "
            f"{found.rate.value:+.2f} with it: deviations have more than one exponent, of which it "
            "is no more than a mean"
        )
        notes.append(Note(text, fixed_point.SEE, Rank.WARNING))
    if found.misfit > ROUGH:
        text = (
            f"{what}: one curve does not describe this flow ({found.misfit:.0f} times the variance "
            "of counts): it is not in the neighbourhood of a point, and kappa says which way it "
            "bends, no more"
        )
        notes.append(Note(text, fixed_point.SEE, Rank.WARNING))
    return notes
