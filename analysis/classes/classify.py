"""Which experiments behave alike: tests of all pairs, classes, and how far both can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import LeftOut, Note, Rank
from ...schemas.words import counted
from ..arrays import Floats
from ..named import Named, StoreLike, look_up_all, open_store
from ..nulls.initial import Weighting
from ..stats.level import ALPHA, holm
from .clusters import cluster, coassignment, stability
from .criteria import CRITERIA, SIGNED, Signature, signature_of
from .evidence import Evidence, UnfitError
from .pairs import all_pairs
from .result import Certainty, Classes, Pairs, class_notes
from .subjects import Subject, gather, window_notes

Follow = Callable[[int, int], None]
CLASS_DRAWS = 500
CLUSTERS = Note(
    "a class here is a cluster of spectra under the test that is named: a neighbourhood, and no "
    "proof that its members flow to one fixed point",
    "classes.md#what-a-class-is",
    Rank.DETAIL,
)
MOST = 2000  # experiments: two million pairs, and classes drawn 500 times


def classify(
    store: StoreLike = None,
    experiments: Sequence[Named] = (),
    *,
    by: str = "eigen",
    grouping: str | None = None,
    weighting: Weighting = "count",
    draws: int = CLASS_DRAWS,
    rng: np.random.Generator | int = 0,
    most: int = MOST,
    follow: Follow | None = None,
    exclude: Sequence[Named] = (),
) -> Classes:
    """Divide experiments into universality classes, and say with what certainty.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiments : sequence of str
        Experiments, runs or `published:NAME`, see `named.look_up_all`; none: every experiment of
        the store.
    by : str
        What is compared, a name of `criteria.CRITERIA`: `eigen`, `exponent`, `anomalous`,
        `signature` or `gamma`.
    grouping : str, optional
        `layer`, `block`, `stage` or `role`; default the coarsest that all have.
    weighting : str
        `count` (eq. 13), or `magnitude`.
    draws : int
        Draws behind the co-assignment of experiments to classes.
    rng : numpy.random.Generator or int
        Randomness of tests and draws, or its seed.
    most : int
        Largest number of experiments: pairs grow with its square.
    follow : callable, optional
        Called with the draws done and all of them, after every draw; for a progress bar.
    exclude : sequence of str
        Experiments to leave out.

    Raises
    ------
    UsageError
        A name, a grouping or a criterion cannot be had, an experiment shares runs with another,
        or there are too many.
    RgtoolError
        Fewer than two experiments can be compared.

    Examples
    --------
    >>> names = ["published:resnet50-simclr-imagenet", "published:resnet50-simclr-cifar100"]
    >>> classify(experiments=names).pairs.verdict
    ('different',)
    """
    by = choose("by", by, CRITERIA)
    weighting = choose("weighting", weighting, get_args(Weighting))
    if draws < 1:
        raise UsageError(f"{draws} draws: at least one is needed, 500 are usual")
    chosen = look_up_all(store, experiments, exclude) if experiments or exclude else []
    _check_pairs(store, chosen, most)
    subjects, group, notes = gather(
        store, chosen if experiments else (), grouping, narrow=by != "gamma", exclude=exclude
    )
    while len(subjects) > 1:
        try:
            return classify_subjects(
                subjects,
                by=by,
                grouping=group,
                weighting=weighting,
                draws=draws,
                rng=rng,
                notes=notes,
                follow=follow,
            )
        except UnfitError as unfit:
            if experiments:
                raise
            gone = window_notes([one for one in subjects if one.id in unfit.reasons])
            subjects = [one for one in subjects if one.id not in unfit.reasons]
            left_out = [LeftOut(f"left out: {reason}") for reason in unfit.reasons.values()]
            notes = (*(note for note in notes if note not in gone), *left_out)
    raise _too_few(len(subjects), notes)


def _too_few(number: int, notes: Sequence[str]) -> RgtoolError:
    left = f" ({'; '.join(notes)})" if notes else ""
    return RgtoolError(
        f"{counted(number, 'experiment')} to classify, at least two are needed{left}: run another, "
        "or compare with the literature by --against published"
    )


def classify_subjects(
    subjects: Sequence[Subject],
    *,
    by: str = "eigen",
    grouping: str = "block",
    weighting: Weighting = "count",
    draws: int = CLASS_DRAWS,
    rng: np.random.Generator | int = 0,
    notes: Sequence[str] = (),
    follow: Follow | None = None,
) -> Classes:
    """Classify subjects; parameters and errors are those of `classify`."""
    generator = np.random.default_rng(rng)
    evidence = CRITERIA[by](subjects, weighting, generator)
    pairs = _judged_pairs(evidence, len(subjects))
    if evidence.tested:
        divided = "different" in pairs.verdict
    else:
        divided = bool((evidence.distance > 0).any())
    clusters = cluster(evidence.distance, divided)
    certainty = None
    if evidence.draws is not None and divided:
        together = coassignment(_followed(evidence.draws(draws, generator), draws, follow))
        certainty = Certainty(together, stability(clusters.labels, together), draws)
    signatures: tuple[Signature, ...] = ()
    if by in SIGNED:
        signatures = tuple(signature_of(subject, weighting) for subject in subjects)
    found = Classes(
        by=by,
        grouping=grouping,
        weighting=weighting,
        experiments=tuple(subject.id for subject in subjects),
        labels=tuple(subject.label for subject in subjects),
        seeds=np.array([subject.seeds for subject in subjects]),
        levels=tuple(subject.levels for subject in subjects),
        groups=np.array([len(subject.names) for subject in subjects]),
        signatures=signatures,
        clusters=clusters,
        certainty=certainty,
        pairs=pairs,
        metric=evidence.metric,
        tested=evidence.tested,
        notes=(*notes, *evidence.notes, *_assumptions(subjects), CLUSTERS),
    )
    return replace(found, notes=(*class_notes(found), *found.notes))


def _followed(drawn: Iterable[Floats], total: int, follow: Follow | None) -> Iterator[Floats]:
    for done, distance in enumerate(drawn):
        if follow is not None:
            follow(done, total)
        yield distance


def _check_pairs(store: StoreLike, experiments: Sequence[Named], most: int) -> None:
    number = len(experiments)
    if not number:
        own = "SELECT DISTINCT experiment_id FROM runs WHERE parent IS NULL"
        number = len(open_store(store).query(own).rows)
    if number > most:
        raise UsageError(
            f"{number:,} experiments make {number * (number - 1) // 2:,} pairs, more than can be "
            f"tested and drawn in minutes (the most is {most:,} experiments): name those of one "
            "architecture or task; `rgtool sql` finds their ids"
        )


def _judged_pairs(evidence: Evidence, experiments: int) -> Pairs:
    first, second = all_pairs(experiments)
    adjusted = holm(evidence.p)
    rejected = np.nan_to_num(adjusted, nan=1.0) < ALPHA
    verdict = np.where(evidence.same, "same", np.where(rejected, "different", "undecided"))
    return Pairs(
        first=first,
        second=second,
        distance=evidence.distance,
        p=evidence.p,
        p_holm=adjusted,
        verdict=tuple(verdict.tolist()),
        columns=evidence.columns,
    )


def _assumptions(subjects: Sequence[Subject]) -> list[str]:
    notes = []
    lone = [subject.id for subject in subjects if subject.seeds == 1]
    if lone:
        notes.append(
            f"{', '.join(lone[:3])}{' and more' * (len(lone) > 3)}: one seed, whose scatter is "
            "taken to be .008 where classes are drawn and against published or other groups"
        )
    if any(subject.printed is not None for subject in subjects):
        notes.append(
            "published spectra have no seeds: their values are taken to scatter by .008, and by "
            ".0029 for the rounding; against them the verdict is never `same`"
        )
    architectures = {subject.label.partition("/")[0] for subject in subjects}
    if len(architectures) > 1 and len({subject.groups for subject in subjects}) == 1:
        notes.append("groups of one name are compared across architectures")
    return notes
