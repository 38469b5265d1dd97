"""A meta-analysis of spectra: experiments, own and published, as studies of one flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...schemas.blocks import GROUPINGS
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import Note, Rank
from ...schemas.words import counted, listed, shares_that
from ...store.literature import PublishedSpectrum
from .. import flow
from ..arrays import Floats
from ..classes.compare import check_groups
from ..classes.subjects import Subject, gather
from ..classes.theta import run_exponents
from ..flow import UNIT
from ..named import Meaning, Named, StoreLike, look_up_all
from ..nulls.beside import initial_null
from ..spectrum.noise import ASSUMED_SD
from ..spectrum.notes import GROWTH_WORDS
from ..spectrum.verdicts import MARGIN
from ..stats.level import ALPHA
from ..stats.seeds import seed_mean
from ..values import is_positive
from .pool import Pooled, Words, signs, steady_range
from .result import Effects, Meta, Studies

VERDICTS = ("relevant", "irrelevant", "marginal", "indeterminate")
AGAINST_NULL = ("above", "below", "none", "undecided")


def meta(
    store: StoreLike = None,
    experiments: Sequence[Named] = (),
    *,
    by: str | None = None,
    sd: float = ASSUMED_SD,
) -> Meta:
    """Pool the exponents of several experiments, which are taken for studies of one flow.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiments : sequence of str
        What means two or more experiments, runs or `published:NAME`, see `named.look_up_all`.
    by : str, optional
        `layer`, `block`, `stage` or `role`; default that of published spectra where there are any,
        and the coarsest that all have. Stages that are asked for are the means of printed blocks,
        too.
    sd : float
        Standard deviation of the log eigenvalue of one seed, for a step that keeps .8: assumed of
        studies that tell none, which are published spectra and single seeds.

    Raises
    ------
    UsageError
        Fewer than two studies, a name or grouping that cannot be had, groups that do not match,
        or a sd that is not positive.
    RgtoolError
        An experiment gives no spectrum, or all of its seeds are alike.

    Examples
    --------
    >>> names = ["published:resnet50-simclr-imagenet", "published:resnet50-supervised-imagenet"]
    >>> meta(experiments=names).verdict
    ('relevant', 'relevant', 'indeterminate', 'indeterminate')
    """
    if isinstance(experiments, str):
        raise UsageError(f"experiments is the text '{experiments}': give a list of names")
    if not is_positive(sd):
        raise UsageError(
            f"sd is {sd}: it is a positive standard deviation of a log eigenvalue, such as .008"
        )
    found = look_up_all(store, experiments) if experiments else []
    if len(found) < 2:
        raise UsageError(
            f"{counted(len(found), 'study', 'studies')}: a meta-analysis takes two at least: "
            "name another experiment, or published:NAME (rgtool ls --published)"
        )
    by = None if by is None else choose("grouping", by, GROUPINGS)
    found, averaged = _in_stages(found) if by == "stage" else (found, [])
    if by is None:
        by = next((one.by for one in found if isinstance(one, PublishedSpectrum)), None)
    gathered, _, notes = gather(store, found, by)
    subjects = [_of_distinct_runs(subject) for subject in gathered]
    notes = (*notes, *_about_copies(gathered, subjects))
    names = _common_names(subjects)
    studies, about = _studies(subjects, names)
    notes = (*notes, *averaged, *_left_out(subjects, names))
    return _meta(studies, subjects[0].by, sd, (*notes, *about))


def _in_stages(found: Sequence[Meaning]) -> tuple[list[Meaning], list[Note]]:
    """Average printed blocks over stages, and say of which spectra."""
    stages = [one.in_stages() if isinstance(one, PublishedSpectrum) else None for one in found]
    whom = [one.name for one in stages if one is not None]
    said = f"a stage of {listed(whom, 2)} is the mean of its printed blocks"
    return (
        [one if mean is None else mean for one, mean in zip(found, stages, strict=True)],
        [Note(said, "meta.md#what-is-a-study")] if whom else [],
    )


def _meta(studies: Studies, by: str, sd: float, notes: Sequence[str]) -> Meta:
    exponent = studies.pooled(studies.exponent, sd)
    certain = np.nan if studies.assumed.any() else MARGIN / UNIT
    verdict = signs(exponent, certain, VERDICTS)
    anomalous, against = _against_null(studies, sd, certain)
    low, high, alike = _ranges(studies, sd)
    return Meta(
        by=by,
        sd=sd,
        studies=studies,
        exponent=exponent,
        anomalous=anomalous,
        verdict=tuple(verdict.tolist()),
        against_null=against,
        sd_from=low,
        sd_to=high,
        sd_alike=alike,
        notes=(
            *_conclusion(studies, exponent, verdict),
            *_about_sd(studies, sd, low, high),
            *_about_studies(studies),
            *notes,
        ),
    )


def _against_null(
    studies: Studies, sd: float, margin: float
) -> tuple[Pooled | None, tuple[str, ...] | None]:
    if studies.anomalous is None:
        return None, None
    found = studies.pooled(studies.anomalous, sd)
    return found, tuple(signs(found, margin, AGAINST_NULL).tolist())


def _ranges(studies: Studies, sd: float) -> tuple[Floats, Floats, Floats]:
    """Return the sds between which verdicts stay, and those at which studies come to agree."""
    groups = len(studies.names)
    if not studies.assumed.any():
        nothing = np.full(groups, np.nan)
        return nothing, nothing, nothing

    def verdict(at: Floats) -> Words:
        return signs(studies.pooled(studies.exponent, at), np.nan, VERDICTS)

    def differ(at: Floats) -> Words:
        # p is adjusted over groups, so every group is asked at an sd that all of them have.
        sds, place = np.unique(at, return_inverse=True)
        p = np.array([studies.pooled(studies.exponent, one).p for one in sds])
        return np.where(p[place, np.arange(groups)] < ALPHA, "differ", "agree")

    fewer, more = steady_range(differ, sd, groups)
    apart = differ(np.full(groups, sd)) == "differ"
    return *steady_range(verdict, sd, groups), np.where(apart, more, fewer)


def _of_distinct_runs(subject: Subject) -> Subject:
    return subject if subject.window is None else replace(subject, window=subject.window.distinct)


def _about_copies(gathered: Sequence[Subject], subjects: Sequence[Subject]) -> list[Note]:
    """Return what the windows of distinct runs say that those of all runs do not."""
    return [
        Note.of(note).about(own.id)
        for every, own in zip(gathered, subjects, strict=True)
        if own.seeds < every.seeds
        for note in own.measured.notes[len(every.measured.notes) :]
    ]


def _common_names(subjects: Sequence[Subject]) -> tuple[str, ...]:
    """Return the groups that all studies have; those of a store must have the same ones."""
    own = [subject for subject in subjects if subject.printed is None]
    for other in own[1:]:
        check_groups(own[0], other)
    first = subjects[0]
    names = tuple(n for n in first.names if all(n in other.names for other in subjects))
    for other in subjects[1:]:
        if other.by != first.by or not names:
            check_groups(first, other)
    return names


def _left_out(subjects: Sequence[Subject], names: tuple[str, ...]) -> list[Note]:
    lost = dict.fromkeys(n for subject in subjects for n in subject.names if n not in names)
    if not lost:
        return []
    said = f"left out, since not all studies have them: {listed([*lost])}"
    return [Note(said, "meta.md#what-is-a-study")]


def _studies(subjects: Sequence[Subject], names: tuple[str, ...]) -> tuple[Studies, list[Note]]:
    """Collect the means over seeds and what the seeds tell of their errors."""
    columns = [[subject.names.index(name) for name in names] for subject in subjects]
    runs = [run_exponents(s)[:, some] / UNIT for s, some in zip(subjects, columns, strict=True)]
    beyond, notes = _anomalous(subjects, columns)
    found = Studies(
        ids=tuple(subject.id for subject in subjects),
        labels=tuple(subject.label for subject in subjects),
        seeds=np.array([subject.seeds for subject in subjects]),
        names=names,
        exponent=_means(subjects, runs, names),
        anomalous=None if beyond is None else _means(subjects, beyond, names),
    )
    return found, notes


def _anomalous(
    subjects: Sequence[Subject], columns: Sequence[Sequence[int]]
) -> tuple[list[Floats] | None, list[Note]]:
    """Return y - y of the null by run, (S, K) a study; None and why where one has no null."""
    found = []
    for subject, some in zip(subjects, columns, strict=True):
        if subject.printed is not None:
            return None, [_no_anomalous(f"{subject.id} has no counts")]
        window = subject.measured
        y = flow.window_exponents(window.kept, 0, window.steps)
        try:
            null, _ = initial_null(window, y)
        except RgtoolError as error:
            return None, [_no_anomalous(f"{subject.id}: {error}")]
        beyond = (y - null.y)[:, window.open][:, some]
        if not np.isfinite(beyond).all():
            return None, [_no_anomalous(f"a group of {subject.id} dies in its null")]
        found.append(beyond)
    return found, []


def _no_anomalous(why: str) -> Note:
    return Note(f"no anomalous exponents: {why}", "spectra.md#null-models", Rank.DETAIL)


def _means(subjects: Sequence[Subject], runs: Sequence[Floats], names: tuple[str, ...]) -> Effects:
    """Return means over seeds, and their errors where there are two."""
    found = [seed_mean(own) for own in runs]
    for subject, own in zip(subjects, found, strict=True):
        alike = [name for name, error in zip(names, own.error, strict=True) if np.isnan(error)]
        if subject.seeds > 1 and alike:
            raise RgtoolError(
                f"{subject.label} ({subject.id}): all seeds are alike in {listed(alike, 4)} (are "
                "they copies of one run?), so nothing tells how far it may be off: leave it out, "
                "or name one of its runs"
            )
    return Effects(
        mean=np.array([own.value for own in found]),
        error=np.array([own.error for own in found]),
        df=np.array([own.df for own in found]),
    )


def _conclusion(studies: Studies, found: Pooled, verdict: Words) -> list[Note]:
    shares = shares_that(studies.names, verdict.tolist(), GROWTH_WORDS)
    apart = [name for name, p in zip(studies.names, found.p, strict=True) if p < ALPHA]
    also = (
        f"differ by more than their errors in {listed(apart)}"
        if apart
        else "do not certainly differ by more than their errors"
    )
    return [Note(f"over studies {shares}; the studies {also}", rank=Rank.CONCLUSION)]


def _about_sd(studies: Studies, sd: float, low: Floats, high: Floats) -> list[Note]:
    """Say what was assumed of whom, and what hangs on it."""
    if not studies.assumed.any():
        return []
    whom = [
        f"{counted(number, what, more)}"
        for number, what, more in (
            (int((studies.seeds == 0).sum()), "printed spectrum", "printed spectra"),
            (int((studies.seeds == 1).sum()), "single seed", ""),
        )
        if number
    ]
    ends = [
        f"{name} {' and '.join(found)}"
        for name, a, b in zip(studies.names, low, high, strict=True)
        if (found := [*_end("below", a), *_end("above", b)])
    ]
    changes = f"the verdict changes on {'; '.join(ends)}" if ends else "no verdict hangs on it"
    return [
        Note(
            f"a sd of {sd:g} of a log eigenvalue is assumed for {' and '.join(whom)} (--sd): "
            f"{changes}",
            "meta.md#the-assumed-sd",
            Rank.WARNING,
        )
    ]


def _end(side: str, sd: float) -> list[str]:
    return [f"{side} {sd:.2g}"] if np.isfinite(sd) else []


def _about_studies(studies: Studies) -> list[Note]:
    notes = []
    if len(studies.ids) == 2:
        notes.append(
            Note(
                "two studies: intervals have one degree of freedom, and nothing is predicted of a "
                "third",
                rank=Rank.WARNING,
            )
        )
    architectures = dict.fromkeys(label.partition("/")[0] for label in studies.labels)
    if len(architectures) > 1:
        notes.append(
            Note(
                f"groups of one name are pooled across architectures ({', '.join(architectures)})",
                "meta.md#what-is-a-study",
            )
        )
    return [
        *notes,
        Note(
            "studies are taken to be independent: those of one paper share code and data. Weights "
            "and tau take variances for known, and few seeds tell them roughly: studies that are "
            "the same have a tau above 0",
            rank=Rank.DETAIL,
        ),
    ]
