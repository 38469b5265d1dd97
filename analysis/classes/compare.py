"""One pair of experiments in depth: spectra group by group, and masks weight by weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...schemas.errors import UsageError
from ...schemas.words import counted
from ...store.literature import PublishedSpectrum
from ..named import Named, StoreLike, look_up, open_store, unsuited
from ..result import Column, Result
from ..stats.contrast import DRAWS
from .overlap import KINDS, Overlap, mask_overlap
from .same import SameClass, difference_columns, same_class
from .subjects import Subject, gather
from .theta import scaled_theta

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
    spectra : SameClass
        Comparison of the centred log eigenvalues.
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
    spectra: SameClass
    overlaps: tuple[Overlap, ...]
    notes: tuple[str, ...]

    columns = (
        Column("name", "The group."),
        *difference_columns(),
        *(column for kind in KINDS for column in _overlap_columns(kind)),
    )
    rows = "a row for every group; overlaps are those at the sparsest common density"
    see = "classes.md#one-pair-in-depth"

    @property
    def verdict(self) -> str:
        """`same`, `different` or `undecided`: of the spectra."""
        return self.spectra.verdict

    @property
    def title(self) -> str:
        """One line that says what this is."""
        one, other = (
            f"{label} {name} levels {levels}"
            for label, name, levels in zip(self.labels, self.experiments, self.levels, strict=True)
        )
        return f"{one} against {other} by {self.by}: {self.verdict}, {self.spectra.tested}"

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {"name": self.names, **self.spectra.values()}
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
        """The overlaps at every density as a result of their own."""
        return OverlapTable(self)


@dataclass(frozen=True, eq=False)
class OverlapTable(Result):
    """Overlap of the masks of two experiments at every density that both have.

    Attributes
    ----------
    comparison : Comparison
        The comparison.
    """

    comparison: Comparison

    columns = (
        Column("pairs", "same seed, or other seeds."),
        Column("level_a", "Level of the first experiment.", "levels"),
        Column("level_b", "Level of the second.", "levels"),
        Column("density", "Density of the network.", "", ".3g"),
        Column("name", "The group."),
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
        parts = [overlap.values(self.comparison.names) for overlap in self.comparison.overlaps]
        return {
            column.name: np.concatenate([part[column.name] for part in parts]) if parts else []
            for column in self.columns
        }


def _comparison_notes(found: Comparison) -> tuple[str, ...]:
    """Say what the evidence says, and what it does not."""
    lines: list[str] = [*found.spectra.notes(found.names, found.seeds)]
    for overlap in found.overlaps:
        z = overlap.z[-1]
        ratio = overlap.shared[-1] / overlap.expected[-1]
        lines.append(
            f"masks at density {overlap.densities[-1]:.3g}, {counted(overlap.pairs, 'pair')} with "
            f"{_SEEDS[overlap.kind]}: {np.nanmin(ratio):.2f} to {np.nanmax(ratio):.2f} times what "
            f"independent masks share ({np.nanmin(z):+.1f} to {np.nanmax(z):+.1f} sd)"
        )
    if found.overlaps:
        lines.append(
            "spectra count weights and masks name them: equal spectra with masks that overlap "
            "as independent ones do are different tickets"
        )
    else:
        lines.append("equal spectra are not equal tickets")
    return tuple(lines)


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
    """Compare two experiments of a store: spectra, and masks where both keep them.

    Parameters
    ----------
    store : Store or path
        Where the records are.
    a, b : str
        Experiments or runs, see `named.look_up`.
    by : str, optional
        `layer`, `block` or `stage`; default the coarsest that both have.
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
        An experiment gives no spectrum.
    """
    found = [look_up(store, name) for name in (a, b)]
    for meant in found:
        if isinstance(meant, PublishedSpectrum):
            raise unsuited(meant, "a comparison needs seeds and masks")
    (one, other), grouping, notes = gather(store, found, by)
    check_groups(one, other)
    (theta_a, theta_b), about = scaled_theta([one, other])
    spectra = same_class(theta_a, theta_b, np.random.default_rng(rng), draws)
    overlaps, missing = mask_overlap(open_store(store), one, other) if masks else ([], [])
    result = Comparison(
        experiments=(one.id, other.id),
        labels=(one.label, other.label),
        by=grouping,
        levels=(one.levels, other.levels),
        seeds=(one.seeds, other.seeds),
        names=one.names,
        spectra=spectra,
        overlaps=tuple(overlaps),
        notes=(*notes, *about, *missing),
    )
    return replace(result, notes=(*_comparison_notes(result), *result.notes))


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
