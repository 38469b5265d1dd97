"""What is classified: experiments of a store, over common densities, and published spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...schemas.blocks import GROUPINGS
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import LeftOut, Note
from ...store.counts import Counts
from ...store.flows import PublishedFlow
from ...store.literature import PublishedSpectrum
from ..arrays import Floats
from ..flow import UNIT
from ..named import Meaning, Named, Stored, StoreLike, look_up_all, open_store, unsuited
from ..window import SLACK, Window, choose_window
from .children import children_of, with_control, with_parent

PRINTED_GROUPS = "printed group"  # grouping where there are published spectra alone


class NoStepError(UsageError):
    """No step lies in the densities that experiments have in common."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One experiment to be classified: by its `window`, or `printed`.

    Attributes
    ----------
    id, label : str
        Id of the experiment or run, or `published:NAME`; architecture and task.
    names : tuple of str, length K
        The groups that are pruned, in the order of the forward pass.
    window : Window or None
        Of an experiment of the store.
    printed : PublishedSpectrum or None
        Of the literature.
    """

    id: str
    label: str
    names: tuple[str, ...]
    window: Window | None = None
    printed: PublishedSpectrum | None = None

    @property
    def measured(self) -> Window:
        """The window, of a subject that is known not to be printed."""
        assert self.window is not None
        return self.window

    @property
    def counts(self) -> Counts:
        """The counts, of a subject that is known not to be printed."""
        return self.measured.counts

    @property
    def by(self) -> str:
        """Grouping of the names; empty where they stand alone."""
        if self.window is not None:
            return self.counts.by
        return "" if self.printed is None else self.printed.by

    @property
    def groups(self) -> tuple[str, ...]:
        """Grouping and names: what two subjects must share to be compared group by group."""
        return (self.by, *self.names)

    @property
    def seeds(self) -> int:
        """Number of seeds; 0 where it is published."""
        return 0 if self.window is None else len(self.window.runs)

    @property
    def levels(self) -> str:
        """Levels of the window, such as `1:12`; empty where it is published."""
        return "" if self.window is None else f"{self.window.start}:{self.window.end}"

    @cached_property
    def rate(self) -> Floats:
        """-ln retention of a step, mean over the window: shape (S,)."""
        if self.window is None:
            return np.array([UNIT])
        network = self.window.network
        return np.asarray(np.log(network[:, 0] / network[:, -1]) / self.window.steps)


def gather(
    store: StoreLike = None,
    experiments: Sequence[Named] = (),
    grouping: str | None = None,
    *,
    narrow: bool = True,
    exclude: Sequence[Named] = (),
) -> tuple[list[Subject], str, tuple[str, ...]]:
    """Collect what is to be classified, over densities that all experiments have.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiments : sequence of str
        Experiments, runs or `published:NAME`, see `named.look_up_all`; none: the whole store.
    grouping : str, optional
        `layer`, `block`, `stage` or `role`; default that of published spectra where there are any,
        and the coarsest that all have.
    narrow : bool
        Whether windows are narrowed to common densities; error curves need not be.
    exclude : sequence of str
        Experiments to leave out.

    Returns
    -------
    subjects : list of Subject
        With windows over common densities; published spectra come last.
    grouping : str
        The grouping of the store's experiments.
    notes : tuple of str
        What was left out, and why.

    Raises
    ------
    UsageError
        A name or a grouping cannot be had, or an experiment shares runs with another.
    RgtoolError
        An experiment that was named gives no spectrum.
    """
    if grouping is not None:
        grouping = choose("grouping", grouping, GROUPINGS)
    every = not experiments
    found = look_up_all(store, experiments, exclude)
    printed = [one for one in found if isinstance(one, PublishedSpectrum)]
    own = [one for one in found if not isinstance(one, PublishedSpectrum)]
    counts, by, notes = counts_in_one(own, grouping, every)
    subjects, without = _windows(counts, every)
    children = children_of(open_store(store)) if every else []
    depend = with_parent([subject.counts for subject in subjects])
    subjects, shared = _unshared(subjects, every)
    subjects, common = _common_densities(subjects, every) if narrow else (subjects, [])
    notes = [*notes, *without, *window_notes(subjects), *children, *depend, *shared, *common]
    return [*subjects, *map(as_subject, printed)], by, tuple(notes)


def window_notes(subjects: Sequence[Subject]) -> list[str]:
    """Return what must be known of the windows of the store's experiments, with their names."""
    measured = [subject for subject in subjects if subject.window is not None]
    return [Note.of(note).about(one.id) for one in measured for note in one.measured.notes]


def as_subject(found: PublishedSpectrum | Counts) -> Subject:
    """Return a published spectrum, or counts over their own window, as a subject.

    Raises
    ------
    RgtoolError
        Counts give no spectrum.
    """
    if isinstance(found, PublishedSpectrum):
        return Subject(found.name, found.label, found.names, printed=found)
    window = choose_window(found)
    subject = Subject(found.experiment_id, found.label, window.names, window)
    if len(subject.names) < 2:
        raise RgtoolError(
            f"{found.label} ({found.experiment_id}): fewer than two groups are pruned by "
            f"{found.by}: spectra are compared up to a common factor, so take a finer "
            "--grouping"
        )
    return subject


def refuse_twice(pair: Sequence[Meaning]) -> None:
    """Refuse one thing where each of two names is to be a class by itself.

    Raises
    ------
    UsageError
        Its name.
    """
    ids = [one.name for one in pair if not isinstance(one, Counts)]
    if twice := [name for i, name in enumerate(ids) if name in ids[:i]]:
        raise UsageError(
            f"experiment {twice[0]} is named twice: an experiment is its own class, name others"
        )


def counts_in_one(
    found: Sequence[Meaning], grouping: str | None, every: bool = False
) -> tuple[list[tuple[str, Counts]], str, list[str]]:
    """Read the counts of what was found, by name, in one grouping; parameters as of `gather`.

    Returns the grouping too, and of `every` experiment what was left out.
    """
    if not found:
        return [], PRINTED_GROUPS, []
    by, read = "", []
    for by in [grouping] if grouping else ["stage", "block"]:
        read = _read_counts(found, by)
        without = [counts for _, counts in read if isinstance(counts, UsageError)]
        if not without:
            break
        # An architecture that lacks what was asked for: of a whole store it alone is left out.
        if by == (grouping or "block") and not (every and len(without) < len(read)):
            raise without[0]
    errors = [(name, counts) for name, counts in read if isinstance(counts, RgtoolError)]
    if errors and not every:
        raise errors[0][1]
    whole = [(name, counts) for name, counts in read if isinstance(counts, Counts)]
    return whole, by, [left_out(name, error) for name, error in errors]


def left_out(name: str, why: RgtoolError) -> LeftOut:
    """Say that an experiment is left out and why, with its name once."""
    text = str(why)
    return LeftOut(f"left out: {text}" if name in text else f"left out: {name}: {text}")


def _read_counts(found: Sequence[Meaning], by: str) -> list[tuple[str, Counts | RgtoolError]]:
    """Read counts in one grouping, those of whole experiments together."""
    together: dict[str, Counts | RgtoolError] = {}
    whole = [one for one in found if isinstance(one, Stored) and one.run_id is None]
    if whole:
        ids = [one.experiment_id for one in whole]
        together = dict(whole[0].store.counts_of(ids, by))
    return [_counts_in(one, by, together) for one in found]


def _counts_in(
    found: Meaning, by: str, together: Mapping[str, Counts | RgtoolError]
) -> tuple[str, Counts | RgtoolError]:
    if isinstance(found, Counts):
        return found.experiment_id, found
    if isinstance(found, PublishedFlow):
        return found.name, found.counts(by)
    if not isinstance(found, Stored):
        raise unsuited(found, "spectra are compared of experiments, runs and published spectra")
    if found.run_id is None:
        whole = together[found.experiment_id]
        return found.name, found.of(whole) if isinstance(whole, Counts) else whole
    try:
        return found.name, found.counts(by)
    except RgtoolError as error:
        return found.name, error


def _windows(counts: Sequence[tuple[str, Counts]], every: bool) -> tuple[list[Subject], list[str]]:
    subjects, notes = list[Subject](), list[str]()
    for name, found in counts:
        try:
            subjects.append(replace(as_subject(found), id=name))
        except RgtoolError as error:
            if not every:
                raise
            notes.append(left_out(name, error))
    return subjects, notes


def _unshared(subjects: Sequence[Subject], every: bool) -> tuple[list[Subject], list[str]]:
    """Keep experiments whose runs are their own: copied masks have equal spectra for certain."""
    seen: dict[bytes, list[tuple[Subject, int, bool]]] = {}
    dropped, notes = set[str](), list[str]()
    # A control takes its parent's masks, so the parent comes first; then who has more runs.
    for subject in sorted(subjects, key=lambda s: (s.counts.recipe.parent is not None, -s.seeds)):
        rows = [row[:3].tobytes() for row in subject.counts.kept]
        # Where all seeds of both are alike the counts are decided by the recipe and tell nothing.
        differ = len(set(rows)) > 1
        shared = {
            run: other
            for run, row in enumerate(rows)
            for other, its, others_differ in seen.get(row, [])
            if (differ or others_differ or len(rows) == 1) and _same_run(subject, run, other, its)
        }
        if not shared:
            for run, row in enumerate(rows):
                seen.setdefault(row, []).append((subject, run, differ))
            continue
        parent = next(iter(shared.values()))
        common = sum(other is parent for other in shared.values())
        one, other = (_with_label(x) for x in (subject, parent))
        why = (
            f"{one} has {common} of its {len(rows)} runs in common with {other}: the same masks, "
            "so their spectra are equal by construction"
        )
        if not every:
            raise UsageError(f"{why}; leave one of them out")
        notes.append(LeftOut(f"left out: {why}"))
        dropped.add(subject.id)
    return [subject for subject in subjects if subject.id not in dropped], notes


def _with_label(subject: Subject) -> str:
    return with_control(f"{subject.label} {subject.id}", subject.counts.recipe)


def _same_run(a: Subject, run_a: int, b: Subject, run_b: int) -> bool:
    """Tell whether two runs keep the same counts at all levels that both have."""
    one, other = a.counts, b.counts
    if one.names != other.names:
        return False
    last = min(len(one.levels), len(other.levels))
    both = one.recorded[run_a, :last] & other.recorded[run_b, :last]
    return bool((one.kept[run_a, :last][both] == other.kept[run_b, :last][both]).all())


def _common_densities(
    subjects: list[Subject], every: bool = False
) -> tuple[list[Subject], list[str]]:
    """Narrow the windows to the densities that all experiments have.

    Of a whole store, who leaves another without a step is left out.
    """
    notes: list[str] = []
    while len(subjects) > 1:
        common = _Common.of(subjects)
        inside = [common.levels(subject) for subject in subjects]
        short = [one for one, levels in zip(subjects, inside, strict=True) if levels is None]
        if not short:
            narrowed = [
                replace(subject, window=subject.measured.between(*levels))
                for subject, levels in zip(subjects, inside, strict=True)
                if levels is not None
            ]
            return narrowed, [*notes, *_about_densities(narrowed, common, subjects)]
        why = common.lacks(short[0])
        if not every:
            cure = common.shortest.counts.more("levels")
            raise NoStepError(f"{why}: leave one of them out, or {cure}")
        out = common.hinders(subjects)
        notes.append(LeftOut(f"left out: {out.id} ({out.label}): {why}"))
        subjects = [subject for subject in subjects if subject is not out]
    return subjects, notes


@dataclass(frozen=True, eq=False)
class _Common:
    """The stretch of log densities that experiments have, and which of them end it."""

    top: float
    bottom: float
    latest: Subject
    shortest: Subject

    @classmethod
    def of(cls, subjects: Sequence[Subject]) -> _Common:
        latest = min(subjects, key=lambda s: s.measured.density[0])
        shortest = max(subjects, key=lambda s: s.measured.density[-1])
        top, bottom = latest.measured.density[0], shortest.measured.density[-1]
        return cls(float(np.log(top)), float(np.log(bottom)), latest, shortest)

    def levels(self, subject: Subject) -> tuple[int, int] | None:
        """Return the first and the last level in it; None where that is no step."""
        log = np.log(subject.measured.density)
        slack = SLACK * (log[0] - log[-1]) / (len(log) - 1)
        inside = np.flatnonzero((log <= self.top + slack) & (log >= self.bottom - slack))
        if len(inside) < 2:
            return None
        start = subject.measured.start
        return start + int(inside[0]), start + int(inside[-1])

    def lacks(self, subject: Subject) -> str:
        """Say that a subject has no step in it."""
        return (
            f"no two levels of {subject.id} ({subject.label}) lie between densities "
            f"{np.exp(self.top):.3g}, where {self.latest.id} begins, and "
            f"{np.exp(self.bottom):.3g}, where {self.shortest.id} ends"
        )

    def hinders(self, subjects: Sequence[Subject]) -> Subject:
        """Return which of the two that end it leaves the others the longer stretch."""

        def left(out: Subject) -> float:
            rest = _Common.of([subject for subject in subjects if subject is not out])
            return rest.top - rest.bottom

        return max((self.shortest, self.latest), key=left)


def _about_densities(
    narrowed: Sequence[Subject], common: _Common, subjects: Sequence[Subject]
) -> list[str]:
    starts, finals = (np.array([s.measured.density[i] for s in narrowed]) for i in (0, -1))
    shortest = common.shortest
    log = np.log(subjects[-1].measured.density)
    slack = SLACK * (log[0] - log[-1]) / (len(log) - 1)
    spread = np.ptp([np.log(subject.measured.density[-1]) for subject in subjects])
    ended = f", where {shortest.id} ({shortest.label}) ends" if spread > slack else ""
    notes = [f"compared from density {starts.mean():.3g} to {finals.mean():.3g}{ended}"]
    if np.ptp(np.log(starts)) + np.ptp(np.log(finals)) > 0.1:
        notes.append(
            "levels do not meet at the same densities: windows begin between "
            f"{starts.min():.3g} and {starts.max():.3g} and end between {finals.min():.3g} and "
            f"{finals.max():.3g}, and drift over the difference counts as a difference"
        )
    return notes
