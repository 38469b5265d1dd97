"""Checks of elastic tickets: Tables 3, 7 and 8, and the published orderings.

No std is printed there, so what counts signs does it with several margins of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...schemas.tickets.transform import Transform
from ...store.figures import figure_rows
from ..arrays import Floats
from ..elastic.orderings import (
    concordance,
    orderings,
    published_blocks,
    published_scores,
    published_transforms,
)
from ..elastic.scores import Scoring, push, verdict_counts
from .claim import Finding, decided, finding
from .printed import HALF

DEPTHS = (14, 20, 32, 44, 56)
STAGES = (1, 2, 3)


def blocks_of(depth: int, stage: int) -> Floats:
    """Return the eigenvalues of a stage's normal blocks: shape ((depth - 2)/6 - 1,)."""
    return published_blocks(f"resnet{depth}").eigenvalue[stage - 1]


def transformed(depth: int, mapping: str) -> Floats:
    """Carry the eigenvalues of stage 1 along a map of blocks, written out or by published name."""
    named = published_transforms().get(mapping)
    (only,) = (named.transform if named else Transform.parse(mapping)).stages
    return push(blocks_of(depth, 1), np.array(only.feeds, np.int64))


def tally(margin: float, stages: Sequence[int]) -> tuple[int, int, int]:
    """Count published orderings that the signature wins, ties and loses."""
    found = concordance(Scoring("signature", margin), stages=stages)
    return int(found.wins), int(found.ties), int(found.losses)


def _sign_counts(eigenvalue: Floats, margin: float) -> list[int]:
    """Count relevant, marginal and irrelevant blocks."""
    return [int(count) for count in verdict_counts(np.log(eigenvalue), margin)]


def _relevant(eigenvalue: Floats, margin: float) -> int:
    return _sign_counts(eigenvalue, margin)[0]


def _beside_stage_1(holds: bool | None, **values: Any) -> Finding:
    rows = (f"{d}: " + " ".join(f"{v:.2f}" for v in blocks_of(d, 1)) for d in DEPTHS)
    return Finding(holds, {"stage1": "; ".join(rows)} | values)


def block_counts() -> Finding:
    """Count the printed eigenvalues of every stage against the blocks that are not first."""
    found = [np.array([len(blocks_of(d, s)) for d in DEPTHS]) for s in STAGES]
    expected = np.array([(d - 2) // 6 - 1 for d in DEPTHS])
    return finding(
        all(np.array_equal(f, expected) for f in found),
        found=found,
        expected=expected,
        number=sum(int(f.sum()) for f in found),
    )


def only_relevant(small: Sequence[int], large: Sequence[int]) -> Finding:
    """Ask whether every block of small depths exceeds 1, and not every one of large depths."""
    least = min(float(blocks_of(d, 1).min()) for d in small)
    others = np.array([blocks_of(d, 1).min() for d in large])
    holds = least - HALF > 1 and others.max() <= 1 + HALF
    return _beside_stage_1(bool(holds), least=least, others=others)


def not_all_relevant(depths: Sequence[int], margins: Sequence[float]) -> Finding:
    """Ask whether depths have blocks that are not relevant, at every margin."""
    signs = {d: "/".join(map(str, _sign_counts(blocks_of(d, 1), margins[0]))) for d in DEPTHS}
    holds = [
        all(_relevant(blocks_of(d, 1), m) < len(blocks_of(d, 1)) for d in depths) for m in margins
    ]
    return _beside_stage_1(
        decided(holds), signs=", ".join(f"{d}: {sign}" for d, sign in signs.items())
    )


def mismatch_foretells(pairs: Sequence[Sequence[str]], margins: Sequence[float]) -> Finding:
    """Ask whether the signature in stage 1 is worse for the worse of two published maps."""
    scored = [published_scores(Scoring("signature", m), stages=(1,)) for m in margins]
    apart = np.array([one[worse] - one[better] for better, worse in pairs for one in scored])
    return finding(bool((apart > 0).all()), gaps=apart)


def early_blocks(depths: Sequence[int]) -> Finding:
    """Ask whether most blocks that do not exceed 1 stand in the first half of stage 1."""
    places = {d: [i + 1 for i, v in enumerate(blocks_of(d, 1)) if v <= 1 + HALF] for d in depths}
    every = [(i, d) for d, blocks in places.items() for i in blocks]
    early = sum(i <= len(blocks_of(d, 1)) / 2 for i, d in every)
    where = ", ".join(f"ResNet-{d} block {' '.join(map(str, b))}" for d, b in places.items())
    return _beside_stage_1(2 * early > len(every), early=early, number=len(every), where=where)


def relevant_made(
    source: int,
    target: int,
    maps: Sequence[str],
    margins: Sequence[float],
    than_target: str,
    beside: Sequence[str] = (),
) -> Finding:
    """Ask whether maps of stage 1 make `fewer` or `more` relevant blocks than the target has.

    Maps that are only shown stand in `beside`.
    """
    wanted = [_relevant(blocks_of(target, 1), m) for m in margins]
    made = [[_relevant(transformed(source, x), m) for x in (*maps, *beside)] for m in margins]
    sign = {"more": 1, "fewer": -1}[than_target]
    holds = [
        all(sign * (count - goal) > 0 for count in row[: len(maps)])
        for row, goal in zip(made, wanted, strict=True)
    ]
    return _beside_stage_1(decided(holds), made=made, wanted=wanted)


def only_one_exceeds(
    source: int, target: int, prefix: str, one: str, margins: Sequence[float]
) -> Finding:
    """Ask whether one alone of the maps with a prefix makes more relevant blocks than wanted."""
    maps = [name for name in published_transforms() if name.startswith(prefix)]
    exceeding = [
        [
            name.removeprefix(prefix)
            for name in maps
            if _relevant(transformed(source, name), m) > _relevant(blocks_of(target, 1), m)
        ]
        for m in margins
    ]
    return finding(
        decided([names == [one] for names in exceeding]),
        others=len(maps) - 1,
        exceeding=[" ".join(names) for names in exceeding],
    )


def most_orderings(stages: Sequence[int], margins: Sequence[float]) -> Finding:
    """Ask whether the signature gives more than half of the published orderings."""
    found = [tally(m, stages) for m in margins]
    holds = decided([wins > ties + losses for wins, ties, losses in found])
    texts = (
        f"at {m}: {wins} right, {ties} ties, {losses} wrong"
        for m, (wins, ties, losses) in zip(margins, found, strict=True)
    )
    return finding(holds, number=sum(found[0]), tallies="; ".join(texts))


def signs_of_later_stages(margin: float) -> Finding:
    """Ask whether a margin makes all of stage 2 relevant or marginal; stage 3 not above 1."""
    second, third = (np.concatenate([blocks_of(d, s) for d in DEPTHS]) for s in (2, 3))
    return finding(
        bool(1 - second.min() <= margin and third.max() <= 1 + HALF),
        ends=[second.min(), second.max(), third.min(), third.max()],
        below=int((second < 1).sum()),
        above=int((third > 1).sum()),
        blocks=[len(second), len(third)],
    )


def fewer_relevant_later(margins: Sequence[float]) -> Finding:
    """Ask whether stages 2 and 3 have fewer relevant blocks than stage 1."""
    counts = [[sum(_relevant(blocks_of(d, s), m) for d in DEPTHS) for s in STAGES] for m in margins]
    return finding(
        decided([max(row[1:]) < row[0] for row in counts]),
        blocks=sum(len(blocks_of(d, 1)) for d in DEPTHS),
        relevant="; ".join(
            f"relevant at {m}: {' '.join(map(str, row))}"
            for m, row in zip(margins, counts, strict=True)
        ),
    )


def weakest_source(worst: str, other: str, target: str) -> Finding:
    """Compare accuracy lost between two tickets for a target, and orderings that one loses."""
    lost = {
        row["from_architecture"]: 100 * row["value"]
        for row in figure_rows("published_elastic")
        if row["metric"] == "barrier" and row["architecture"] == target
    }
    depth = worst.removeprefix("resnet")
    losses = sum(worse.partition(">")[0] == depth for _, worse, _ in orderings())
    return finding(lost[worst] > lost[other], lost=lost, losses=losses)
