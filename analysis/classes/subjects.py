"""What is classified: experiments of a store, over common densities, and published spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...schemas.blocks import GROUPINGS
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.recipe import Recipe
from ...store.counts import Counts
from ...store.literature import PREFIX, PublishedSpectrum, published
from ..arrays import Bools, Floats
from ..flow import UNIT
from ..window import Window, choose_window

if TYPE_CHECKING:
    from ...store import Store

_TOLERANCE = 0.05  # of a step: what rounding of counts may cost
PRINTED_GROUPS = "printed group"  # grouping where there are published spectra alone


@dataclass(frozen=True, eq=False)
class Subject:
    """One experiment to be classified: `counts` and `window`, or `printed`.

    Attributes
    ----------
    id, label : str
        Id of the experiment or `published:NAME`; architecture and task.
    names : tuple of str, length K
        The groups that are pruned, in the order of the forward pass.
    counts : Counts or None
        Of an experiment of the store.
    window : Window or None
        Its levels and runs.
    printed : PublishedSpectrum or None
        Of the literature.
    """

    id: str
    label: str
    names: tuple[str, ...]
    counts: Counts | None = None
    window: Window | None = None
    printed: PublishedSpectrum | None = None

    @property
    def by(self) -> str:
        """Grouping of the names; empty where they stand alone."""
        source = self.counts or self.printed
        return source.by if source is not None else ""

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
    def kept(self) -> Floats:
        """Kept weights of all counted groups over the window: shape (S, T + 1, G)."""
        assert self.counts is not None and self.window is not None
        levels = slice(self.window.start, self.window.end + 1)
        return self.counts.kept[self.window.runs, levels].astype(np.float64)

    @property
    def open(self) -> Bools:
        """Which of the counted groups are pruned: shape (G,)."""
        assert self.counts is not None
        return ~self.counts.exempt

    @cached_property
    def rate(self) -> Floats:
        """-ln retention of a step, mean over the window: shape (S,)."""
        if self.window is None:
            return np.array([UNIT])
        network = self.kept.sum(axis=-1)
        return np.asarray(np.log(network[:, 0] / network[:, -1]) / (network.shape[1] - 1))


def gather(
    store: Store | None,
    experiments: Sequence[str] = (),
    grouping: str | None = None,
) -> tuple[list[Subject], str, tuple[str, ...]]:
    """Collect what is to be classified, over densities that all experiments have.

    Parameters
    ----------
    store : Store or None
        Where the records are; may be None for published spectra alone.
    experiments : sequence of str
        Ids, prefixes, labels such as `resnet20/cifar10`, or `published:NAME`; none: the whole
        store.
    grouping : str, optional
        `layer`, `block` or `stage`; default the coarsest that all have.

    Returns
    -------
    subjects : list of Subject
        With windows over common densities.
    grouping : str
        The grouping of the store's experiments.
    notes : tuple of str
        What was left out, and why.

    Raises
    ------
    UsageError
        A name or a grouping cannot be had, an experiment is named twice or shares runs with
        another.
    RgtoolError
        An experiment that was named gives no spectrum.
    """
    if grouping is not None:
        choose("grouping", grouping, GROUPINGS)
    printed = [published(name) for name in experiments if name.startswith(PREFIX)]
    own = [name for name in experiments if not name.startswith(PREFIX)]
    every = not experiments
    ids: list[str] = []
    if store is not None and (own or every):
        ids = [store.find_experiment(name) for name in own]
        ids = ids or [found.experiment_id for found in store.experiments()]
    if every and not ids and store is not None:
        store.find_experiment()  # says that the store is empty
    _refuse_twice([*ids, *(spectrum.name for spectrum in printed)])
    counts, by, notes = _load(store, ids, grouping, every)
    subjects, about = _windows(counts, every)
    subjects, shared = _apart(subjects, every)
    subjects, common = _common_densities(subjects)
    literature = [_of_print(spectrum) for spectrum in printed]
    return [*subjects, *literature], by, (*notes, *about, *shared, *common)


def of_print(name: str) -> Subject:
    """Return a published spectrum as a subject; errors are those of `store.published`."""
    return _of_print(published(name))


def subject_of(store: Store, experiment: str, by: str) -> Subject:
    """Return an experiment of a store as a subject, over its own window.

    Raises
    ------
    UsageError
        There is no such experiment or grouping.
    RgtoolError
        It gives no spectrum.
    """
    (found,), _ = _windows([store.counts(experiment, by)], every=False)
    return found


def _of_print(spectrum: PublishedSpectrum) -> Subject:
    return Subject(spectrum.name, spectrum.label, spectrum.names, printed=spectrum)


def _refuse_twice(ids: Sequence[str]) -> None:
    twice = [name for i, name in enumerate(ids) if name in ids[:i]]
    if twice:
        raise UsageError(
            f"experiment {twice[0]} is named twice: an experiment is its own class, name others"
        )


def _load(
    store: Store | None, ids: Sequence[str], grouping: str | None, every: bool
) -> tuple[list[Counts], str, list[str]]:
    """Read the counts of experiments in one grouping: the one place where data come from."""
    if store is None or not ids:
        return [], grouping or PRINTED_GROUPS, []
    by, found = "", []
    for by in [grouping] if grouping else ["stage", "block"]:
        found = list(store.counts_of(ids, by))
        without = [counts for _, counts in found if isinstance(counts, UsageError)]
        if not without:
            break
        if by == (grouping or "block"):  # an architecture that lacks what was asked for
            raise without[0]
    errors = [counts for _, counts in found if isinstance(counts, RgtoolError)]
    if errors and not every:
        raise errors[0]
    read = [counts for _, counts in found if not isinstance(counts, RgtoolError)]
    return read, by, [f"left out: {error}" for error in errors]


def _windows(counts: Sequence[Counts], every: bool) -> tuple[list[Subject], list[str]]:
    subjects, notes = [], []
    for found in counts:
        try:
            window = choose_window(found)
            names = tuple(n for n, e in zip(found.names, found.exempt, strict=True) if not e)
            if len(names) < 2:
                raise RgtoolError(
                    f"{found.label} ({found.experiment_id}): fewer than two groups are pruned by "
                    f"{found.by}: spectra are compared up to a common factor, so take a finer "
                    "--grouping"
                )
        except RgtoolError as error:
            if not every:
                raise
            notes.append(f"left out: {error}")
            continue
        subjects.append(Subject(found.experiment_id, found.label, names, found, window))
        notes += [f"{found.experiment_id}: {note}" for note in window.notes]
    return subjects, notes


def _apart(subjects: Sequence[Subject], every: bool) -> tuple[list[Subject], list[str]]:
    """Keep experiments whose runs are their own: copied masks have equal spectra for certain."""
    seen: dict[bytes, list[tuple[Subject, int]]] = {}
    dropped, notes = set(), []
    # A control takes its parent's masks, so the parent comes first.
    for subject in sorted(subjects, key=lambda s: _recipe(s).parent is not None):
        assert subject.counts is not None
        rows = [row[:3].tobytes() for row in subject.counts.kept]
        # Where all seeds are alike the counts are decided by the recipe and tell nothing.
        own = len(set(rows)) > 1 or len(rows) == 1
        shared = [
            other
            for run, row in enumerate(rows)
            for other, its in seen.get(row, [])
            if own and _one_run(subject, run, other, its)
        ]
        if not shared:
            for run, row in enumerate(rows):
                seen.setdefault(row, []).append((subject, run))
            continue
        why = (
            f"{_named(subject)} has {len(shared)} of its {len(rows)} runs in common with "
            f"{_named(shared[0])}: the same masks, so their spectra are equal by construction"
        )
        if not every:
            raise UsageError(f"{why}; leave one of them out")
        notes.append(f"left out: {why}")
        dropped.add(subject.id)
    return [subject for subject in subjects if subject.id not in dropped], notes


def _recipe(subject: Subject) -> Recipe:
    assert subject.counts is not None
    return subject.counts.recipe


def _one_run(a: Subject, run_a: int, b: Subject, run_b: int) -> bool:
    """Tell whether two runs keep the same counts at all levels that both have."""
    one, other = a.counts, b.counts
    assert one is not None and other is not None
    if one.names != other.names:
        return False
    last = min(len(one.levels), len(other.levels))
    both = one.recorded[run_a, :last] & other.recorded[run_b, :last]
    return bool((one.kept[run_a, :last][both] == other.kept[run_b, :last][both]).all())


def _named(subject: Subject) -> str:
    control = _recipe(subject).control
    return subject.id + (f" (control {control})" if control != "none" else "")


def density(subject: Subject) -> Floats:
    """Return the share of all weights that is kept over the window, mean over runs: (T + 1,)."""
    assert subject.counts is not None
    kept = subject.kept.sum(axis=-1).mean(axis=0)
    return np.asarray(kept / subject.counts.total.sum())


def _common_densities(subjects: list[Subject]) -> tuple[list[Subject], list[str]]:
    """Narrow the windows to the densities that all experiments have."""
    if len(subjects) < 2:
        return subjects, []
    logs = [np.log(density(subject)) for subject in subjects]
    top, bottom = min(x[0] for x in logs), max(x[-1] for x in logs)
    shortest = subjects[int(np.argmax([x[-1] for x in logs]))]
    latest = subjects[int(np.argmin([x[0] for x in logs]))]
    out, ends = [], []
    for subject, log in zip(subjects, logs, strict=True):
        slack = _TOLERANCE * (log[0] - log[-1]) / (len(log) - 1)
        inside = np.flatnonzero((log <= top + slack) & (log >= bottom - slack))
        if len(inside) < 2:
            raise UsageError(
                f"no two levels of {subject.id} ({subject.label}) lie between densities "
                f"{np.exp(top):.3g}, where {latest.id} begins, and {np.exp(bottom):.3g}, where "
                f"{shortest.id} ends: leave one of them out, or add --levels"
            )
        window = subject.window
        assert window is not None
        narrowed = replace(
            window, start=window.start + int(inside[0]), end=window.start + int(inside[-1])
        )
        out.append(replace(subject, window=narrowed))
        ends.append((log[inside[0]], log[inside[-1]]))
    starts, finals = (np.exp(np.array(end)) for end in zip(*ends, strict=True))
    notes = [
        f"compared from density {starts.mean():.3g} to {finals.mean():.3g}"
        + (
            f", where {shortest.id} ({shortest.label}) ends"
            if np.ptp([x[-1] for x in logs]) > slack
            else ""
        )
    ]
    if np.ptp(np.log(starts)) + np.ptp(np.log(finals)) > 0.1:
        notes.append(
            "levels do not meet at the same densities: windows begin between "
            f"{starts.min():.3g} and {starts.max():.3g} and end between {finals.min():.3g} and "
            f"{finals.max():.3g}, and drift over the difference counts as a difference"
        )
    return out, notes
