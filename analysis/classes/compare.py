"""One pair of experiments in depth: spectra group by group, and masks weight by weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...schemas.errors import RgtoolError, UsageError
from ...store.literature import PublishedSpectrum
from ..named import Named, StoreLike, look_up, open_store, unsuited
from ..result import Result, frame, interval, number
from ..stats.contrast import DRAWS
from .overlap import Overlap, mask_overlap
from .pairs import SameClass, same_class
from .subjects import Subject, gather
from .theta import scaled_theta

if TYPE_CHECKING:
    import polars as pl


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
        return (
            f"{one} against {other} by {self.by}: {self.verdict}, Q {self.spectra.q:.3g}, "
            f"p {self.spectra.p:.2g}"
        )

    def to_frame(self) -> pl.DataFrame:
        """Return a row per group; overlaps are those of the sparsest common density."""
        found = self.spectra
        columns = {
            "name": self.names,
            "difference": found.d,
            "low": found.low,
            "high": found.high,
            "p": found.p_group,
            "equivalent": found.equivalent,
        }
        for overlap in self.overlaps:
            kind = overlap.kind.replace(" ", "_")
            columns |= {
                f"overlap_{kind}": overlap.shared[-1],
                f"expected_{kind}": overlap.expected[-1],
                f"sd_{kind}": overlap.sd[-1],
            }
        return frame(columns)

    def overlap_frame(self) -> pl.DataFrame:
        """Return a row per kind of pairs, density and group."""
        import polars as pl

        parts = [overlap.to_frame(self.names) for overlap in self.overlaps]
        return pl.concat(parts) if parts else pl.DataFrame()

    def words(self) -> tuple[str, ...]:
        """Say what the evidence says, and what it does not."""
        said = {
            "same": "every group is equivalent within the margin",
            "different": "the spectra differ",
            "undecided": "neither a difference nor sameness is certain: more seeds decide",
        }
        lines = [f"{self.verdict}: {said[self.verdict]} (+-{self.spectra.delta:g})"]
        if self.verdict == "same" and self.spectra.p < 0.05:
            lines.append("the difference is certain, and certainly smaller than the margin")
        for overlap in self.overlaps:
            z = overlap.z[-1]
            ratio = overlap.shared[-1] / overlap.expected[-1]
            lines.append(
                f"masks at density {overlap.densities[-1]:.3g}, {overlap.pairs} pairs of "
                f"{overlap.kind}: {np.nanmin(ratio):.2f} to {np.nanmax(ratio):.2f} times what "
                f"independent masks share ({np.nanmin(z):+.1f} to {np.nanmax(z):+.1f} sd)"
            )
        if self.overlaps:
            lines.append(
                "spectra count weights and masks name them: equal spectra with masks that overlap "
                "as independent ones do are different tickets"
            )
        else:
            lines.append("equal spectra are not equal tickets")
        return tuple(lines)

    def _below(self) -> Sequence[str]:
        return (*self.words(), *self.notes)

    def _columns(self) -> dict[str, list[str]]:
        found = self.spectra
        ends = zip(found.low, found.high, strict=True)
        columns = {
            self.by: list(self.names),
            "difference": [number(value, 4) for value in found.d],
            "interval": [interval(*pair, 4) for pair in ends],
            "p (Holm)": [number(value) for value in found.p_group],
            "equivalent": ["yes" if flag else "no" for flag in found.equivalent],
        }
        for overlap in self.overlaps:
            rows = zip(overlap.expected[-1], overlap.sd[-1], strict=True)
            columns[f"overlap, {overlap.kind}"] = [number(v) for v in overlap.shared[-1]]
            columns[f"independent ({overlap.kind})"] = [
                f"{number(mean)} +- {number(sd)}" for mean, sd in rows
            ]
        return columns


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
        An experiment gives no spectrum, or there are too few seeds.
    """
    found = [look_up(store, name) for name in (a, b)]
    for meant in found:
        if isinstance(meant, PublishedSpectrum):
            raise unsuited(meant, "a comparison needs seeds and masks")
    (one, other), grouping, notes = gather(store, found, by)
    check_groups(one, other)
    (theta_a, theta_b), about = scaled_theta([one, other])
    if one.seeds + other.seeds < 4:
        raise RgtoolError(
            f"{one.seeds} and {other.seeds} seeds: at least four are needed in all: nothing else "
            "tells how far seeds lie apart"
        )
    try:
        spectra = same_class(theta_a, theta_b, np.random.default_rng(rng), draws)
    except ValueError as error:
        raise RgtoolError(f"{one.id} and {other.id}: no comparison, {error}") from None
    overlaps, missing = mask_overlap(open_store(store), one, other) if masks else ([], [])
    if min(one.seeds, other.seeds) < 2:
        missing.append("one experiment has one seed: seeds of both are taken to scatter alike")
    return Comparison(
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
