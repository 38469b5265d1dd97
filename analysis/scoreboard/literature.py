"""The predictors held to the literature: nothing here was predicted before it was known.

Every published transfer with spectra of source and target is predicted from the others, rule and
constant alike; every published ordering of two elastic maps from the printed spectra. Of the
elastic accuracies no two are of one target and density with spectra of their sources: they order
nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from ...schemas.records.predictions import Chance, Statement
from ...store.figures import figure_rows
from ...store.literature import PREFIX, published_names
from ..classes.predict import Anchor, anchors, predict_transfer
from ..elastic.orderings import orderings, published_blocks, published_scores, published_transforms
from ..elastic.scores import Scoring
from .laws import Outcome, levels_of
from .line import Line, Marks, marks
from .ordering import better_of, moved
from .transfer import LAST, NAME, constant_law

TRANSFERS, ORDERINGS, ELASTIC = (
    "published_transfers", "published_elastic_orderings", "published_elastic",
)  # fmt: skip
# What the figures are of, by the kinds that they score: no other architecture has a score here.
ARCHITECTURES: Mapping[str, frozenset[str]] = {
    "transfer": frozenset({"resnet50"}),
    "ordering": frozenset(f"resnet{depth}" for depth in (14, 20, 32, 44, 56)),
}
_DRAWS = 4000
_FEW = (
    "31 transfers of a known level are published, and spectra of source and target of four: each "
    "is predicted from the other three"
)
_CHOSEN = (
    "w1 was chosen on these orderings, which are readings of prose: they are no test of it, and "
    "ten of them share one loser"
)
_NO_ORDER = (
    "no two accuracies of elastic tickets are of one target and density with printed spectra of "
    "their sources: they order nothing that match could be held to"
)


@functools.cache
def published_lines() -> tuple[Line, ...]:
    """Return what the predictors say of the literature, scored.

    Examples
    --------
    >>> [(line.of, line.made, len(line.scored)) for line in published_lines()]
    [('published_transfers', 31, 4), ('published_elastic_orderings', 33, 33), \
('published_elastic', 45, 0)]
    """
    return _transfers(), _orderings(), _elastic()


def _transfers() -> Line:
    known = anchors()
    found = [_left_out(one, [other for other in known if other is not one]) for one in known]
    rows = [
        row
        for row in figure_rows(TRANSFERS)
        if row["ticket"] == "transfer" and row["matching"] and row["level"] is not None
    ]
    scored = tuple(one for one in found if one is not None)
    return Line("transfer", TRANSFERS, len(rows), scored, _FEW)


def _left_out(one: Anchor, others: list[Anchor]) -> Marks | None:
    """Score the rule for a transfer with tau and the constant of the others."""
    said = predict_transfer(None, one.source, one.target, known=others)
    levels = np.array([other.level for other in others], np.float64)
    law = levels_of(said.drawn, 0, LAST)
    statement = Statement(NAME, law, constant_law(np.random.default_rng(0), levels))
    task = one.target.rpartition("-")[2]
    return marks((one.source, task), [statement], {NAME: [Outcome(one.level, one.level)]})


def _orderings() -> Line:
    rng = np.random.default_rng(0)
    names = sorted({x for m in published_transforms().values() for x in (m.source, m.target)})
    blocks = {name: published_blocks(name) for name in names}
    drawn = {name: one.draws(_DRAWS, rng) for name, one in blocks.items()}
    null = {name: moved(drawn[name], blocks[name]) for name in names}
    costs, untrained = (published_scores(Scoring("w1"), theta) for theta in (drawn, null))
    found = [
        marks(
            (winner, loser),
            [
                Statement(
                    "better",
                    better_of(costs[winner], costs[loser]),
                    Chance(0.5),
                    better_of(untrained[winner], untrained[loser]),
                )
            ],
            {"better": [Outcome(1, 1)]},
        )
        for winner, loser, _ in orderings()
    ]
    scored = tuple(one for one in found if one is not None)
    return Line("ordering", ORDERINGS, len(found), scored, _CHOSEN, is_test=False)


def _elastic() -> Line:
    """Count the accuracies of elastic tickets; `orderable` finds none to be scored."""
    rows = [row for row in figure_rows(ELASTIC) if row["method"] == "elastic"]
    return Line("ordering", ELASTIC, len(rows), caution=_NO_ORDER)


def orderable() -> dict[tuple[object, ...], list[str]]:
    """Return the sources of elastic tickets by target, density and metric, where `match` can rank.

    Source and target have a printed spectrum of their task, and there are two sources.
    """
    found: dict[tuple[object, ...], list[str]] = {}
    known = {*published_names()}
    for row in figure_rows(ELASTIC):
        source, target, task = row["from_architecture"], row["architecture"], row["task"]
        both = {f"{PREFIX}{source}-{row['from_task'] or task}", f"{PREFIX}{target}-{task}"}
        of_accuracy = row["method"] == "elastic" and row["metric"].startswith("accuracy")
        if of_accuracy and source != target and both <= known:
            key = (target, task, row["density"], row["metric"])
            found.setdefault(key, []).append(source)
    return {key: sources for key, sources in found.items() if len({*sources}) > 1}
