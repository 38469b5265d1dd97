"""Which published experiment does one behave like? Never `same`: there are no seeds behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...schemas.blocks import GROUPINGS
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import voiding
from ...store.literature import PublishedSpectrum, published, published_names
from .. import flow
from ..arrays import Floats, Integers
from ..flow import UNIT
from ..named import Named, Stored, StoreLike, look_up_all, unsuited
from ..result import LABEL, Column, Result
from ..stats.contrast import DRAWS, centred
from ..stats.level import ALPHA, holm
from .printed import printed_test
from .subjects import Subject, as_subject, left_out

_PRINTED = ("layer", "block", "stage")  # no study has printed a spectrum by role


@dataclass(frozen=True, eq=False)
class Against(Result):
    """Experiments beside published spectra: M comparisons, the nearest first.

    Attributes
    ----------
    experiments, labels : tuple of str, length M
        Id and label of the experiment of the store.
    printed : tuple of str, length M
        `published:NAME`.
    grouping : tuple of str, length M
        The grouping in which groups were matched.
    groups : integer array, shape (M,)
        Number of matched groups.
    rms : array, shape (M,)
        Root mean square of the differences of centred log eigenvalues, of a step that keeps .8.
    q, p, p_holm : array, shape (M,)
        Statistic, its p, and p corrected for all M.
    verdict : tuple of str, length M
        `different` or `undecided`.
    notes : tuple of str
        What the numbers alone do not say.
    """

    experiments: tuple[str, ...]
    labels: tuple[str, ...]
    printed: tuple[str, ...]
    grouping: tuple[str, ...]
    groups: Integers
    rms: Floats
    q: Floats
    p: Floats
    p_holm: Floats
    verdict: tuple[str, ...]
    notes: tuple[str, ...]

    columns = (
        Column("experiment", "The experiment of the store."),
        Column("label", LABEL),
        Column("published", "The spectrum of the literature."),
        Column("grouping", "In which groups were matched."),
        Column("groups", "Groups that both have."),
        Column(
            "rms",
            "Root mean square of differences of centred log eigenvalues.",
            "log, a level",
            ".4f",
        ),
        Column("q", "Statistic of all groups together.", "", ".3g"),
        Column("p", "Its p.", "", ".2g"),
        Column("p_holm", "p corrected for all comparisons (Holm).", "", ".2g"),
        Column("verdict", "different or undecided."),
    )
    rows = "a row for every comparison, the nearest first"
    see = "classes.md#against-the-literature"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        own = len(set(self.experiments))
        return f"{own} experiment{'s' * (own > 1)} against {len(set(self.printed))} published ones"

    def _values(self) -> dict[str, Any]:
        return {
            "experiment": self.experiments,
            "label": self.labels,
            "published": self.printed,
            "grouping": self.grouping,
            "groups": self.groups,
            "rms": self.rms,
            "q": self.q,
            "p": self.p,
            "p_holm": self.p_holm,
            "verdict": self.verdict,
        }


def against_published(
    store: StoreLike = None,
    experiments: Sequence[Named] = (),
    *,
    grouping: str | None = None,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
    exclude: Sequence[Named] = (),
) -> Against:
    """Compare experiments of a store with every published spectrum that has groups in common.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiments : sequence of str
        Experiments or runs, see `named.look_up_all`; none: every experiment that gives a spectrum.
    grouping : str, optional
        `layer`, `block`, `stage` or `role`; default each published spectrum's own, or stages where
        blocks do not match: the mean over the printed blocks of a stage then.
    rng : numpy.random.Generator or int
        Randomness of the draws, or its seed.
    draws : int
        Draws of every test, at least.
    exclude : sequence of str
        Experiments to leave out.

    Raises
    ------
    UsageError
        A name or the grouping cannot be had, or nothing matches.
    RgtoolError
        An experiment that was named gives no spectrum.
    """
    if grouping is not None:
        grouping = choose("grouping", grouping, GROUPINGS)
    found = look_up_all(store, experiments, exclude)
    for one in found:
        if not isinstance(one, Stored):
            raise unsuited(one, "experiments of the store are set against the literature")
    stored = [one for one in found if isinstance(one, Stored)]
    own, notes = _in_every_grouping(stored, grouping, bool(experiments))
    matches = [
        (one, printed, by, *matched)
        for name in own
        for printed in map(published, published_names())
        for by, one in own[name].items()
        if (matched := _common_groups(one, printed, by)) is not None
    ]
    matches = _finest(matches)
    if not matches:
        raise UsageError(
            "no published spectrum has two groups of the same name: `rgtool ls --published` and "
            "`rgtool eigen published:NAME` show theirs; try another --grouping"
        )
    generator = np.random.default_rng(rng)
    number_ = max(draws, 40 * len(matches))
    return _result(matches, generator, number_, notes)


Matched = tuple[Subject, PublishedSpectrum, str, Floats, Floats]


def _in_every_grouping(
    stored: Sequence[Stored], grouping: str | None, named: bool
) -> tuple[dict[str, dict[str, Subject]], list[str]]:
    """Return the experiments in every grouping they have: finest first."""
    own: dict[str, dict[str, Subject]] = {}
    notes: list[str] = []
    for one in stored:
        found = {}
        for by in [grouping] if grouping else _PRINTED:
            try:
                subject = replace(as_subject(one.counts(by)), id=one.name)
            except RgtoolError as error:
                lacks = isinstance(error, UsageError)  # the grouping
                if lacks and not grouping:
                    continue
                if named or (lacks and len(stored) == 1):
                    raise
                notes.append(left_out(one.name, error))
                break
            else:
                found[by] = subject
                notes += [note.about(one.name) for note in voiding(subject.measured.notes)]
        if found:
            own[one.name] = found
    return own, notes


def _common_groups(
    one: Subject, printed: PublishedSpectrum, by: str
) -> tuple[Floats, Floats] | None:
    """Return log eigenvalues of the groups that both have, (S, K) and (K,); None below two."""
    found = printed.in_stages() if printed.by == "block" and by == "stage" else printed
    if found is None or found.by != by:
        return None
    names, logs = list(found.names), np.log(found.eigenvalue)
    both = [name for name in one.names if name in names]
    if len(both) < 2:
        return None
    window = one.measured
    y = flow.window_exponents(window.kept, 0, window.steps)[:, window.open] * UNIT
    columns = [one.names.index(name) for name in both]
    return y[:, columns], logs[[names.index(name) for name in both]]


def _finest(matches: Sequence[Matched]) -> list[Matched]:
    """Keep one match of every experiment and spectrum: the first, which is the finest."""
    first: dict[tuple[str, str], Matched] = {}
    for match in matches:
        first.setdefault((match[0].id, match[1].name), match)
    return list(first.values())


def _result(
    matches: Sequence[Matched], rng: np.random.Generator, draws: int, notes: Sequence[str]
) -> Against:
    tests = [printed_test(a, b, rng, draws) for *_, a, b in matches]
    rms = [
        float(np.sqrt(((centred(a).mean(axis=0) - centred(b)) ** 2).mean())) for *_, a, b in matches
    ]
    p = np.array([test[1] for test in tests])
    adjusted = holm(p)
    order = sorted(range(len(matches)), key=lambda i: (matches[i][0].id, rms[i]))
    stages = any(by == "stage" and printed.by == "block" for _, printed, by, *_ in matches)
    architectures = {
        (one.label.partition("/")[0], printed.architecture) for one, printed, *_ in matches
    }
    about = [
        *dict.fromkeys(notes),
        "groups of one name are compared"
        + (" across architectures" if any(a != b for a, b in architectures) else "")
        + ", centred over the matched ones, as log eigenvalues of a step that keeps .8",
    ]
    if stages:
        about.append("blocks do not match by name: a printed stage is the mean of its blocks")
    found = Against(
        experiments=tuple(matches[i][0].id for i in order),
        labels=tuple(matches[i][0].label for i in order),
        printed=tuple(matches[i][1].name for i in order),
        grouping=tuple(matches[i][2] for i in order),
        groups=np.array([len(matches[i][4]) for i in order]),
        rms=np.array([rms[i] for i in order]),
        q=np.array([tests[i][0] for i in order]),
        p=p[order],
        p_holm=adjusted[order],
        verdict=tuple("different" if adjusted[i] < ALPHA else "undecided" for i in order),
        notes=tuple(about),
    )
    return replace(found, notes=(*_cannot_be_told(found), *found.notes))


def _cannot_be_told(found: Against) -> tuple[str, ...]:
    """Say for every experiment which published ones it cannot be told from."""
    lines = []
    for name in dict.fromkeys(found.experiments):
        like = [
            printed.removeprefix("published:")
            for one, printed, verdict in zip(
                found.experiments, found.printed, found.verdict, strict=True
            )
            if one == name and verdict == "undecided"
        ]
        lines.append(f"{name} cannot be told from: {', '.join(like) if like else 'none of them'}")
    lines.append(
        "not to be told from is not the same: published spectra have no seeds, their values "
        "are taken to scatter by .008 and by .0029 for the rounding"
    )
    return tuple(lines)
