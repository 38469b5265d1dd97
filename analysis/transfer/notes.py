"""What is said of a transfer: what came out, which seeds do not pair, where nothing is told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ...schemas.notes import Note, Rank
from ...schemas.words import counted, listed
from ...store.counts import Counts
from ..values import Estimate
from .arms import Arm, Arms
from .conditions import OWN, TRANSFERRED
from .differences import Difference, seed_pairs
from .result import Cell


def conclusions(
    cells: Sequence[Cell], matching: Mapping[str, Estimate[float]], guesses: bool
) -> list[Note]:
    """Say what came out at the sparsest level that tells it, and how far conditions match.

    Parameters
    ----------
    cells : sequence of Cell
        By condition and level.
    matching : mapping of str to Estimate
        Matching density by condition.
    guesses : bool
        Whether the target's own dense network guesses, so that what matches it tells nothing.
    """
    idle = {cell.level for cell in cells if cell.condition == OWN and cell.guessing == "all"}
    told = [
        cell
        for cell in cells
        if cell.condition == TRANSFERRED and cell.level not in idle and cell.to_own.is_known
    ]
    notes = []
    if told:
        last = max(told, key=lambda cell: cell.level)
        beside = f"; {_said(last.to_shuffle)} to shuffle" if last.to_shuffle.is_known else ""
        notes.append(
            f"at density {last.density:.3g} (level {last.level}) transferred tickets reach "
            f"{last.accuracy.value:.4f}: {_said(last.to_own)} to the target's own{beside}"
        )
    what = "smallest density that matches the target's own dense network"
    shown = [f"{name} {_density(found)}" for name, found in matching.items()]
    notes.append(
        f"no {what}: that one cannot be told from guessing"
        if guesses
        else f"{what}: {', '.join(shown)}"
    )
    return [Note(text, rank=Rank.CONCLUSION) for text in notes]


def _said(found: Difference) -> str:
    one = found.estimate
    ends = f" [{one.low:+.4f}, {one.high:+.4f}]" if math.isfinite(one.low) else ""
    return f"{one.value:+.4f}{ends}"


def _density(found: Estimate[float]) -> str:
    """Write a matching density; where the dense network alone matches it is none."""
    if not math.isfinite(found.value):
        return "none"
    low, high = (f"{end:.2g}" if math.isfinite(end) else "none" for end in (found.low, found.high))
    known = math.isfinite(found.low) or math.isfinite(found.high)
    return f"{found.value:.2g}" + (f" [{low}, {high}]" if known else "")


def of_seeds(found: Arms) -> list[Note]:
    """Say which seeds do not pair, and that one alone gives no interval."""
    notes, own = list[Note](), found.arms[OWN]
    for name, arm in found.arms.items():
        pairs = len(seed_pairs(arm.seeds, own.seeds))
        if arm is not own and pairs < max(len(arm.seeds), len(own.seeds)):
            apart = (
                f"{counted(pairs, 'pair')} of {len(arm.seeds)} and {len(own.seeds)} runs are used"
                if pairs > 1
                else "the means of all runs are compared, as of independent ones"
            )
            notes.append(
                Note(
                    f"seeds of {name} ({_seeds(arm)}) and of the target's own ({_seeds(own)}) do "
                    f"not all pair: {apart}",
                    rank=Rank.WARNING,
                )
            )
    if min(len(arm.seeds) for arm in found.arms.values()) < 2:
        text = f"one seed has no interval: {found.source.more('seeds')}"
        notes.append(Note(text, rank=Rank.WARNING))
    if not math.isfinite(found.unit):
        text = "all accuracies are one number, so that what an image is worth is not known: there "
        notes.append(Note(f"{text}are no intervals", rank=Rank.WARNING))
    return notes


def _named(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {listed([str(seed) for seed in seeds])}"


def _seeds(arm: Arm) -> str:
    return listed([str(seed) if seed is not None else "unknown" for seed in arm.seeds])


def of_cells(cells: Sequence[Cell], found: Arms) -> list[Note]:
    """Say where there is no common density, and where networks guess."""
    notes = _of_few_pairs(cells, found)
    apart = [c for c in cells if c.condition != OWN and not c.to_own.is_known]
    if apart:
        where = listed([f"{c.condition} {c.density:.3g} (level {c.level})" for c in apart], 4)
        notes.append(
            Note(
                f"the target's own is not known at these densities: {where}: no difference",
                rank=Rank.WARNING,
            )
        )
    if every := [c for c in cells if c.guessing == "all"]:
        where = listed([f"{c.condition} at {c.density:.3g}" for c in every], 4)
        notes.append(
            Note(
                f"no run can be told from guessing: {where}: equal accuracies there are no sign of "
                "a transfer",
                "transfer.md#where-networks-guess",
                Rank.WARNING,
            )
        )
    if some := [c for c in cells if c.guessing == "some"]:
        where = listed([f"{c.condition} at {c.density:.3g}" for c in some], 4)
        notes.append(
            Note(
                f"some runs guess and others do not: {where}: intervals of a few seeds, which take "
                "them for normal, are too narrow there",
                "transfer.md#where-networks-guess",
                Rank.WARNING,
            )
        )
    return notes


def _of_few_pairs(cells: Sequence[Cell], found: Arms) -> list[Note]:
    """Say where the density of some seeds, and not of all, is none of the target's own."""
    own = found.arms[OWN]
    pairs = {name: len(seed_pairs(arm.seeds, own.seeds)) for name, arm in found.arms.items()}
    few = [
        f"{c.condition} {c.density:.3g} (level {c.level}: {c.to_own.pairs} of {most} pairs)"
        for c in cells
        if c.condition != OWN and c.to_own.is_known
        if c.to_own.pairs < (most := min(pairs[c.condition], c.runs))
    ]
    if not few:
        return []
    text = (
        f"the target's own is not known at the density of every seed: {listed(few, 4)}; a further "
        "level of its runs tells it"
    )
    return [Note(text, "transfer.md#how-differences-are-taken", Rank.WARNING)]


def always(found: Arms, tickets: Mapping[int, int] | None) -> list[Note]:
    """Say what is transferred, and how to read differences."""
    notes, pairs = [], equal_weights(found.source, found.own, tickets)
    if found.are_same_runs(tickets):
        text = (
            "the source's own task: its transferred tickets are the same runs again, so that the "
            "differences are those of machines, if any"
        )
        notes.append(Note(text, rank=Rank.CONCLUSION))
    elif same := [seed for seed, is_same in pairs.items() if is_same]:
        where = ", seed by seed," if len(same) == len(pairs) else f" ({_named(same)})"
        text = (
            f"source and target begin with equal weights{where} and rewind to them: only the mask "
            "is transferred"
        )
        text += "; tickets of other seeds (--seeds 5:0,6:1) come with their weights"
        notes.append(Note(text, "transfer.md#equal-initial-weights", Rank.WARNING))
    notes.append(
        Note(
            "differences are taken at the recorded density, between levels of the target's own "
            "linearly in its logarithm; intervals are 95 % each, not of all rows together",
            "transfer.md#how-differences-are-taken",
            Rank.DETAIL,
        )
    )
    return notes


def equal_weights(
    source: Counts, own: Counts, tickets: Mapping[int, int] | None = None
) -> dict[int, bool]:
    """Tell which tickets rewind to the weights of the target's own, by the scales of all layers.

    Parameters
    ----------
    source, own : Counts
        Experiments.
    tickets : mapping of int to int, optional
        Seeds of `own`, each with the one of `source` that is compared with it; default equal ones.

    Returns
    -------
    dict of int to bool
        By seed of `own`, of those that have a partner.
    """
    if not source.scales or not own.scales:
        return {}
    # One ticket may be trained by several seeds.
    theirs = {seed: dict(scales.get("rewind") or {}) for seed, scales in _by_seed(source)}
    partner = {seed: seed if tickets is None else tickets.get(seed) for seed, _ in _by_seed(own)}
    return {
        seed: bool(theirs[of]) and theirs[of] == dict(scales.get("rewind") or {})
        for seed, scales in _by_seed(own)
        if (of := partner[seed]) in theirs
    }


def _by_seed(counts: Counts) -> list[tuple[int, Mapping[str, Mapping[str, float]]]]:
    """Return the scales of runs whose seed is known."""
    pairs = zip(counts.seeds, counts.scales, strict=True)
    return [(seed, scales) for seed, scales in pairs if seed is not None]
