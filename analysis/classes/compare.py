"""One pair of experiments in depth: spectra and shares group by group, masks weight by weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...schemas.blocks import GROUPINGS
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import Note, Rank
from ...schemas.words import counted
from ...store.literature import PublishedSpectrum
from ..named import Meaning, Named, StoreLike, look_up, open_store, unsuited
from ..result import Column, Result
from ..stats.contrast import DRAWS
from ..window import recorded_window
from .equal_densities import Shares, equal_shares
from .overlap import KINDS, Overlap, mask_overlap
from .same import SameClass, difference_columns, same_class
from .subjects import NoStepError, Subject, counts_in_one, gather, refuse_twice
from .theta import scaled_theta

_NO_TEST = "differences of shares and overlaps are those of these runs, without a test"
_SHARES = (
    Column("share_a", "Share of the kept weights in the group, first experiment.", "", ".4f"),
    Column("share_b", "The same of the second.", "", ".4f"),
    Column("share_difference", "a minus b.", "", "+z.4f"),
)
_SEEDS = dict(zip(KINDS, ("equal seeds", "other seeds"), strict=True))


def _overlap_columns(kind: str) -> tuple[Column, ...]:
    end = kind.replace(" ", "_")
    return (
        Column(f"overlap_{end}", f"Share of weights kept by both masks, {kind}.", "", ".3f"),
        Column(f"expected_{end}", "The same of independent masks.", "", ".3f"),
        Column(f"sd_{end}", "Its standard deviation for one pair of runs.", "", ".3f"),
    )


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """Two experiments over common densities.

    Attributes
    ----------
    experiments, labels : (str, str)
        Ids, and architectures with tasks.
    by : str
        Grouping.
    levels : (str, str)
        Windows of levels.
    seeds : (int, int)
        Numbers of seeds.
    names : tuple of str, length K
        The groups that are pruned.
    spectra : SameClass or None
        Comparison of the centred log eigenvalues; None where there is no step to take them from.
    shares : Shares
        Of the groups, at the densities that both have.
    overlaps : tuple of Overlap
        Of the masks, for equal and for other seeds; empty where masks are not stored.
    notes : tuple of str
        What the numbers alone do not say.
    """

    experiments: tuple[str, str]
    labels: tuple[str, str]
    by: str
    levels: tuple[str, str]
    seeds: tuple[int, int]
    names: tuple[str, ...]
    spectra: SameClass | None
    shares: Shares
    overlaps: tuple[Overlap, ...]
    notes: tuple[str, ...]

    columns = (
        Column("name", "The group."),
        *difference_columns(),
        *_SHARES,
        *(column for kind in KINDS for column in _overlap_columns(kind)),
    )
    rows = "a row for every group; shares and overlaps are those at the sparsest common density"
    see = "classes.md#one-pair-in-depth"

    @property
    def verdict(self) -> str:
        """`same`, `different` or `undecided`: of the spectra."""
        return self.spectra.verdict if self.spectra else "undecided"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        one, other = (
            f"{label} {name} levels {levels}"
            for label, name, levels in zip(self.labels, self.experiments, self.levels, strict=True)
        )
        said = f"{self.verdict}, {self.spectra.tested}" if self.spectra else "no spectra"
        return f"{one} against {other} by {self.by}: {said}"

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {"name": self.names}
        values |= self.spectra.values() if self.spectra else {}
        if len(self.shares.levels):
            shares = (self.shares.a, self.shares.b, self.shares.difference)
            values |= {c.name: x[-1] for c, x in zip(_SHARES, shares, strict=True)}
        for overlap in self.overlaps:
            kind = overlap.kind.replace(" ", "_")
            values |= {
                f"overlap_{kind}": overlap.shared[-1],
                f"expected_{kind}": overlap.expected[-1],
                f"sd_{kind}": overlap.sd[-1],
            }
        return values

    @property
    def overlap_table(self) -> OverlapTable:
        """Shares and overlaps at every density as a result of their own."""
        return OverlapTable(self)


@dataclass(frozen=True, eq=False)
class OverlapTable(Result):
    """Shares and overlaps of the masks of two experiments at every density that both have.

    Attributes
    ----------
    comparison : Comparison
        The comparison.
    """

    comparison: Comparison

    columns = (
        Column("pairs", "Of runs, whose masks overlap: same seed, or other seeds.", shown="if any"),
        Column("level_a", "Level of the first experiment.", "levels"),
        Column("level_b", "Level of the second.", "levels"),
        Column("density", "Density of the network.", "", ".3g"),
        Column("name", "The group."),
        *_SHARES,
        Column("overlap", "Share of the weights of one mask that the other keeps too.", "", ".3f"),
        Column("expected", "The same of independent masks with the same counts.", "", ".3f"),
        Column("sd", "Standard deviation of that, for one pair of runs.", "", ".3f"),
        Column("z", "overlap minus expected, over sd.", "sd", "+z.1f"),
    )
    rows = "a row for every kind of pairs, density and group"
    see = "classes.md#one-pair-in-depth"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return self.comparison.title

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers alone do not say."""
        return self.comparison.notes

    def _values(self) -> dict[str, Any]:
        names, shares = self.comparison.names, self.comparison.shares
        overlaps = [overlap.values() for overlap in self.comparison.overlaps]
        level_a, level_b, density = (
            np.repeat(x, len(names)) for x in (*shares.levels.T, shares.densities)
        )
        common: dict[str, Any] = {
            "level_a": level_a,
            "level_b": level_b,
            "density": density,
            "name": np.tile(np.array(names), len(shares.levels)),
            "share_a": shares.a.ravel(),
            "share_b": shares.b.ravel(),
            "share_difference": shares.difference.ravel(),
        }
        repeated = {name: np.tile(x, max(len(overlaps), 1)) for name, x in common.items()}
        own = overlaps[0] if overlaps else {}
        return repeated | {name: np.concatenate([part[name] for part in overlaps]) for name in own}


def _comparison_notes(found: Comparison) -> list[Note]:
    """Say what the evidence says, and what it does not."""
    notes = found.spectra.notes(found.names, found.seeds) if found.spectra else []
    notes += [_of_shares(found), *map(_of_overlap, found.overlaps)]
    if found.spectra is None or np.isnan(found.spectra.p):
        notes.append(Note(_NO_TEST, rank=Rank.WARNING))
    if found.overlaps:
        text = (
            "spectra count weights and masks name them: equal spectra with masks that overlap "
            "as independent ones do are different tickets"
        )
    else:
        text = "equal spectra are not equal tickets"
    return [*notes, Note(text)]


def _of_shares(found: Comparison) -> Note:
    """Say in which group shares differ most at the sparsest density of both."""
    if not len(found.shares.levels):
        return Note(
            "no two levels are equally dense, within a twentieth of a step: neither shares nor "
            "masks are compared",
            rank=Rank.WARNING,
        )
    (a, b), difference = found.shares.levels[-1], found.shares.difference[-1]
    most = int(np.abs(difference).argmax())
    return Note(
        f"shares at density {found.shares.densities[-1]:.3g} (levels {a} and {b}) differ most in "
        f"{found.names[most]}, by {difference[most]:+.4f} of all kept weights"
    )


def _of_overlap(overlap: Overlap) -> Note:
    ratio, z = (x[np.isfinite(x)] for x in (overlap.ratio[-1], overlap.z[-1]))
    sd = f" ({z.min():+.1f} to {z.max():+.1f} sd)" if len(z) else ""
    times = f"{ratio.min():.2f} to {ratio.max():.2f} times" if len(ratio) else "nothing of"
    return Note(
        f"masks at density {overlap.densities[-1]:.3g}, {counted(overlap.pairs, 'pair')} with "
        f"{_SEEDS[overlap.kind]}: {times} what independent masks share{sd}"
    )


def compare(
    store: StoreLike,
    a: Named,
    b: Named,
    *,
    by: str | None = None,
    masks: bool = True,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
) -> Comparison:
    """Compare two experiments of a store: spectra, shares, and masks where both keep them.

    Shares and masks are compared at the densities that both have, which takes no second seed and no
    spectrum: one pruned level of each will do.

    Parameters
    ----------
    store : Store or path
        Where the records are.
    a, b : str
        Experiments or runs, see `named.look_up`.
    by : str, optional
        `layer`, `block`, `stage` or `role`; default the coarsest that both have.
    masks : bool
        Whether to read the masks.
    rng : numpy.random.Generator or int
        Randomness of the draws, or its seed.
    draws : int
        Draws of the parametric bootstrap.

    Raises
    ------
    UsageError
        A name or grouping cannot be had, the groups differ, or both are one experiment.
    RgtoolError
        An experiment gives no spectrum, and no two levels are equally dense.
    """
    by = None if by is None else choose("grouping", by, GROUPINGS)
    found = [look_up(store, name) for name in (a, b)]
    for meant in found:
        if isinstance(meant, PublishedSpectrum):
            raise unsuited(meant, "a comparison needs seeds and masks")
    refuse_twice(found)
    (one, other), grouping, notes, missing = _pair(store, found, by)
    check_groups(one, other)
    shares = equal_shares(one, other)
    if missing is not None and not shares.a.size:
        raise missing
    spectra = None
    if missing is None:
        (theta_a, theta_b), about = scaled_theta([one, other])
        spectra = same_class(theta_a, theta_b, np.random.default_rng(rng), draws)
        notes = (*notes, *about)
    overlaps: list[Overlap] = []
    if masks and shares.a.size:
        overlaps, about = mask_overlap(open_store(store), one, other, shares)
        notes = (*notes, *about)
    result = Comparison(
        experiments=(one.id, other.id),
        labels=(one.label, other.label),
        by=grouping,
        levels=(one.levels, other.levels),
        seeds=(one.seeds, other.seeds),
        names=one.names,
        spectra=spectra,
        shares=shares,
        overlaps=tuple(overlaps),
        notes=notes,
    )
    return replace(result, notes=(*_comparison_notes(result), *result.notes))


def _pair(
    store: StoreLike, found: Sequence[Meaning], by: str | None
) -> tuple[list[Subject], str, tuple[str, ...], RgtoolError | None]:
    """Gather two experiments; without spectra over all levels that they have.

    Returns what `gather` does, and why there are no spectra.
    """
    try:
        return *gather(store, found, by), None
    except RgtoolError as error:
        if isinstance(error, UsageError) and not isinstance(error, NoStepError):
            raise
        missing = error
    counts, grouping, _ = counts_in_one(found, by)
    windows = [recorded_window(each) for _, each in counts]
    pair = [
        Subject(name, window.counts.label, window.names, window)
        for (name, _), window in zip(counts, windows, strict=True)
    ]
    notes = [Note(f"no spectra are compared: {missing}", rank=Rank.CONCLUSION)]
    notes += [Note.of(note).about(one.id) for one in pair for note in one.measured.notes]
    return pair, grouping, tuple(notes), missing


def check_groups(a: Subject, b: Subject) -> None:
    """Refuse two experiments whose groups do not have the same names.

    Raises
    ------
    UsageError
        They do not; the message shows both.
    """
    if a.groups != b.groups:
        shown = [
            f"{subject.id} has {len(subject.names)} {subject.by}s ({', '.join(subject.names[:4])}"
            + (", ...)" if len(subject.names) > 4 else ")")
            for subject in (a, b)
        ]
        raise UsageError(
            f"the groups differ: {'; '.join(shown)}: take a grouping that both have, "
            "or `rgtool classify`, which compares quantile functions"
        )
