"""Claims of Sec. 3.2 about elastic tickets, from Tables 3, 7, 8 and the published orderings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...schemas.transform import Transform
from ...store.figures import figure_rows
from ..elastic.orderings import (
    concordance,
    orderings,
    published_blocks,
    published_scores,
    published_transforms,
)
from ..elastic.scores import Scoring, push, verdict_counts
from .claim import HALF, Claim, Floats, agrees

DEPTHS = (14, 20, 32, 44, 56)
MARGINS = (0.01, 0.02)  # the paper prints no std here, so both usual margins are tried
_MARGIN = "no std is printed: marginal within .01 or .02 of 1 are both tried"


def stage_of(depth: int, stage: int) -> Floats:
    """Return the eigenvalues of a stage's normal blocks: shape ((depth - 2)/6 - 1,)."""
    return published_blocks(f"resnet{depth}").eigenvalue[stage - 1]


def transformed(depth: int, stage: int, transform: Transform) -> Floats:
    """Carry a stage's eigenvalues along a map of blocks."""
    (only,) = transform.stages
    return push(stage_of(depth, stage), np.array(only.feeds, np.int64))


def tally(margin: float, stages: Sequence[int]) -> tuple[int, int, int]:
    """Count published orderings that the signature wins, ties and loses."""
    found = concordance(Scoring("signature", margin), stages=stages)
    return int(found.wins), int(found.ties), int(found.losses)


def _mismatch(name: str, margin: float, stages: Sequence[int]) -> float:
    return float(published_scores(Scoring("signature", margin), stages=stages)[name])


def _relevant(eigenvalue: Floats, margin: float) -> int:
    return int(verdict_counts(np.log(eigenvalue), margin)[0])


def claims() -> list[Claim]:
    """Check what Sec. 3.2 and App. C say of signs in stages and of elastic tickets."""
    return [
        _counts(),
        _colours(),
        _only_relevant(),
        _resnet14(),
        _resnet14_alone(),
        _early(),
        _few_unique(),
        _drop_first_four(),
        _drop_first_four_alone(),
        _replicate_last(),
        _replicate_last_56(),
        _orderings((1,), "1", "Sec. 3.2, Table 3"),
        _orderings((2, 3), "2-3", "App. C, Tables 7, 8"),
        _later_stages(),
        _fewer_relevant(),
        _weakest(),
    ]


def _row(stage: int) -> str:
    return "; ".join(f"{d}: " + " ".join(f"{v:.2f}" for v in stage_of(d, stage)) for d in DEPTHS)


def _counts() -> Claim:
    found = [[len(stage_of(d, s)) for d in DEPTHS] for s in (1, 2, 3)]
    expected = [(d - 2) // 6 - 1 for d in DEPTHS]
    return Claim(
        "normal-blocks",
        "Sec. 3.2, Tables 3, 7, 8",
        "every stage's normal blocks are listed, the down-sampling block left out",
        "numbers of eigenvalues " + "; ".join(" ".join(map(str, f)) for f in found),
        "(depth - 2)/6 - 1 = " + " ".join(map(str, expected)),
        "a count, exact",
        "recomputed",
        agrees(all(f == expected for f in found)),
        "the first stage has no down-sampling block, and its first block is left out as well",
    )


def _colours() -> Claim:
    number = sum(len(stage_of(d, s)) for d in DEPTHS for s in (1, 2, 3))
    return Claim(
        "colours-tables-3-7-8",
        "Tables 3, 7, 8",
        "blocks are coloured by the rule of one standard deviation",
        f"{number} eigenvalues, 0 standard deviations",
        "0 of the colours can be recomputed",
        "none: the rule needs the std",
        "not checkable",
        "cannot be checked",
        "without the std no block is known to be marginal, and every count of signs in Sec. 3.2 "
        "hangs on it",
    )


def _only_relevant() -> Claim:
    small = min(float(stage_of(d, 1).min()) for d in (14, 20))
    large = [float(stage_of(d, 1).min()) for d in (32, 44, 56)]
    return Claim(
        "stage1-relevant",
        "Sec. 3.2, Table 3",
        "in stage 1 ResNet-14 and ResNet-20 have relevant blocks only, the deeper ones at least "
        "one other",
        _row(1),
        f"least eigenvalue {small:.2f} against " + " ".join(f"{v:.2f}" for v in large),
        "true of every margin up to .065: +-.005 from the printed digits",
        "recomputed",
        agrees(small - HALF > 1 and max(large) <= 1 + HALF),
        "does not hang on the missing stds",
    )


def _resnet14() -> Claim:
    spread = [_signs_of(d, 0.01) for d in DEPTHS]
    return Claim(
        "resnet14-mismatch",
        "Sec. 3.2, Table 3",
        "a ticket stretched from ResNet-14 has relevant blocks only, unlike its targets",
        _row(1),
        "relevant/marginal/irrelevant at .01: "
        + ", ".join(f"{d}: {s}" for d, s in zip(DEPTHS, spread, strict=True)),
        _MARGIN,
        "recomputed",
        agrees(
            all(
                _relevant(stage_of(d, 1), m) < len(stage_of(d, 1))
                for d in (32, 44, 56)
                for m in MARGINS
            )
        ),
        "one block can only be copied; the target ResNet-20 is the exception, and there ResNet-14 "
        "does best",
    )


def _signs_of(depth: int, margin: float) -> str:
    return "/".join(str(n) for n in verdict_counts(np.log(stage_of(depth, 1)), margin))


def _resnet14_alone() -> Claim:
    pairs = [("20>32", "14>32"), ("20>56", "14>56")]
    gaps = [_mismatch(w, m, (1,)) - _mismatch(b, m, (1,)) for b, w in pairs for m in MARGINS]
    return Claim(
        "resnet14-singled-out",
        "Sec. 3.2, Table 3",
        "having relevant blocks only is why ResNet-14 in particular transfers poorly",
        "ResNet-14 1.07, ResNet-20 1.07 1.07",
        "signature of ResNet-20 minus ResNet-14 to ResNet-32 and ResNet-56: "
        + " ".join(f"{g:.2f}" for g in gaps),
        f"exact counts; {_MARGIN}",
        "consistency",
        agrees(all(gap > 0 for gap in gaps)),
        "ResNet-20 has relevant blocks only too, so the argument foretells the same for it, while "
        "Chen et al. 2021c find it better than ResNet-14 for both targets",
    )


def _early() -> Claim:
    places = {
        d: [i + 1 for i, v in enumerate(stage_of(d, 1)) if v <= 1 + HALF] for d in (32, 44, 56)
    }
    every = [(i, d) for d, blocks in places.items() for i in blocks]
    early = sum(i <= len(stage_of(d, 1)) / 2 for i, d in every)
    return Claim(
        "early-blocks",
        "Sec. 3.2, Table 3",
        "most blocks that are not relevant stand early in stage 1",
        _row(1),
        f"{early} of {len(every)} stand in the first half: "
        + ", ".join(f"ResNet-{d} block {' '.join(map(str, b))}" for d, b in places.items()),
        "+-.005 from the printed digits; at a margin of .02 block 1 of ResNet-56 joins them",
        "recomputed",
        agrees(2 * early > len(every)),
        "does not hang on the missing stds",
    )


def _few_unique() -> Claim:
    names = ("32>56 B1x5", "32>56 B12 inter")
    maps = published_transforms()
    made = [[_relevant(transformed(32, 1, maps[n].transform), m) for n in names] for m in MARGINS]
    wanted = [_relevant(stage_of(56, 1), m) for m in MARGINS]
    return Claim(
        "few-unique-blocks",
        "Sec. 3.2, Table 3",
        "copying block 1 alone, or blocks 1 and 2, gives too many blocks of one sign",
        _row(1),
        "; ".join(
            f"at {m}: {a} and {b} of 8 are relevant, ResNet-56 has {w}"
            for m, (a, b), w in zip(MARGINS, made, wanted, strict=True)
        ),
        _MARGIN,
        "recomputed",
        agrees(all(max(row) < w for row, w in zip(made, wanted, strict=True))),
        "both give too few relevant blocks, at either margin",
    )


def _kept(margin: float) -> dict[str, int]:
    """Relevant blocks of stage 1 in every published squeeze of ResNet-56 to ResNet-32."""
    return {
        name.removeprefix("56>32 keep"): _relevant(transformed(56, 1, one.transform), margin)
        for name, one in published_transforms().items()
        if name.startswith("56>32 keep")
    }


def _drop_first_four() -> Claim:
    wanted = _relevant(stage_of(32, 1), 0.02)
    found = [_kept(m)["5678"] for m in MARGINS]
    return Claim(
        "drop-first-four",
        "Sec. 3.2, Table 3",
        "dropping the first four blocks of ResNet-56 for ResNet-32 leaves too many relevant ones",
        _row(1),
        f"{found[0]} of 4 are relevant, ResNet-32 has {wanted}",
        f"exact counts; {_MARGIN}",
        "recomputed",
        agrees(all(value > wanted for value in found)),
        "true at either margin",
    )


def _drop_first_four_alone() -> Claim:
    wanted = _relevant(stage_of(32, 1), 0.01)
    tied = {m: [k for k, v in _kept(m).items() if v > wanted] for m in MARGINS}
    return Claim(
        "drop-first-four-alone",
        "Sec. 3.2, Table 3",
        "the count of relevant blocks explains why only dropping the first four is worse",
        "10 other published squeezes of ResNet-56 to ResNet-32",
        "; ".join(f"at {m} too many relevant: keep {' '.join(k)}" for m, k in tied.items()),
        _MARGIN,
        "consistency",
        "cannot be checked",
        "hangs on whether 1.02 of ResNet-56's block 1 is marginal, whose std is not printed: if it "
        "is relevant, other squeezes have as many relevant blocks and are not worse",
    )


def _replicate_last() -> Claim:
    early = transformed(32, 1, Transform.parse("0:0;1:1,3;2:2,4;3:5;4:6"))
    late = transformed(32, 1, Transform.parse("0:0;1:1;2:2;3:3,5;4:4,6"))
    found = [[_relevant(x, m) for x in (early, late, stage_of(44, 1))] for m in MARGINS]
    return Claim(
        "replicate-last-44",
        "Sec. 3.2, Table 3",
        "copying the last two blocks of ResNet-32 for ResNet-44 gives too many relevant ones",
        _row(1),
        "; ".join(
            f"at {m}: last two {b}, first two {a}, ResNet-44 {c}"
            for m, (a, b, c) in zip(MARGINS, found, strict=True)
        ),
        _MARGIN,
        "recomputed",
        agrees(all(b > c for _, b, c in found)),
        "true at either margin, and copying the first two meets the target's count",
    )


def _replicate_last_56() -> Claim:
    late = transformed(32, 1, published_transforms()["32>56 B34 inter"].transform)
    found = [(_relevant(late, m), _relevant(stage_of(56, 1), m)) for m in MARGINS]
    return Claim(
        "replicate-last-56",
        "Sec. 3.2, Table 3",
        "copying later blocks of ResNet-32 for ResNet-56 gives too many relevant ones",
        _row(1),
        "; ".join(
            f"at {m}: last two {a}, ResNet-56 {b}" for m, (a, b) in zip(MARGINS, found, strict=True)
        ),
        _MARGIN,
        "recomputed",
        "cannot be checked",
        "the counts are equal if block 1 of ResNet-56 (1.02) is relevant, and too many if it is "
        "marginal: its std is not printed",
    )


def _orderings(stages: tuple[int, ...], label: str, source: str) -> Claim:
    found = [tally(m, stages) for m in MARGINS]
    decided = {wins > ties + losses for wins, ties, losses in found}
    return Claim(
        f"orderings-stage-{label}",
        source,
        f"the number of blocks of each sign in stage {label.replace('-', ' and ')} explains which "
        "elastic tickets do well",
        f"{sum(found[0])} orderings of two tickets in Chen et al. 2021c",
        "; ".join(
            f"at {m}: {w} right, {t} ties, {n} wrong"
            for m, (w, t, n) in zip(MARGINS, found, strict=True)
        ),
        f"more than half right counts as explained; {_MARGIN}",
        "consistency",
        "cannot be checked" if len(decided) > 1 else agrees(decided.pop()),
        (
            "hangs on the margin, which the missing stds would set"
            if len(decided) > 1
            else "at either margin"
        )
        + "; the orderings are read from prose, and ten share one loser",
    )


def _later_stages() -> Claim:
    second = [float(v) for d in DEPTHS for v in stage_of(d, 2)]
    third = [float(v) for d in DEPTHS for v in stage_of(d, 3)]
    below = sum(v < 1 for v in second)
    return Claim(
        "later-stages",
        "Sec. 3.2, Tables 7, 8",
        "stage 2 has relevant and marginal blocks only, stage 3 marginal and irrelevant ones",
        f"stage 2 {min(second):.2f} to {max(second):.2f}; stage 3 {min(third):.2f} to "
        f"{max(third):.2f}",
        f"{below} of {len(second)} blocks of stage 2 below 1, {sum(v > 1 for v in third)} of "
        f"{len(third)} blocks of stage 3 above 1",
        "+-.005 from the printed digits; 0.99 is marginal if its std is at least .005",
        "recomputed",
        agrees(1 - min(second) <= 0.02 and max(third) <= 1 + HALF),
        "possible for the stds that the other tables have; the null of an untrained network has "
        "the same order of stages",
    )


def _fewer_relevant() -> Claim:
    counts = {
        m: [sum(_relevant(stage_of(d, s), m) for d in DEPTHS) for s in (1, 2, 3)] for m in MARGINS
    }
    blocks = sum(len(stage_of(d, 1)) for d in DEPTHS)
    return Claim(
        "fewer-relevant-later",
        "App. C, Tables 7, 8",
        "the later stages have considerably fewer relevant blocks than stage 1",
        f"{blocks} blocks a stage",
        "; ".join(f"relevant at {m}: {' '.join(map(str, c))}" for m, c in counts.items()),
        _MARGIN,
        "recomputed",
        agrees(all(c[1] < c[0] and c[2] < c[0] for c in counts.values())),
        "stage 3 has none; how much fewer stage 2 has hangs on the margin",
    )


def _weakest() -> Claim:
    drops = {
        r["from_architecture"]: r["value"]
        for r in figure_rows("published_elastic")
        if r["metric"] == "barrier" and r["architecture"] == "resnet32"
    }
    worse_from = Counter(worse.partition(">")[0] for _, worse, _ in orderings())
    return Claim(
        "resnet14-weakest",
        "Sec. 3.2",
        "of the ResNets in Chen et al. 2021c the smallest, ResNet-14, transfers worst",
        "ResNet-14, 1 of 5 depths",
        f"accuracy lost on the way to ResNet-32: {100 * drops['resnet14']:.2f} % from ResNet-14, "
        f"{100 * drops['resnet20']:.2f} % from ResNet-20; ResNet-14 is the worse one in "
        f"{worse_from['14']} orderings",
        "single runs",
        "consistency",
        agrees(drops["resnet14"] > drops["resnet20"]),
        "for the target ResNet-20 it is the best source, in 3 orderings of the same work",
    )
