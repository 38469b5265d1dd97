"""What is known of pairs of experiments before a ticket is transferred: spectra and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...schemas.errors import RgtoolError
from ...store.counts import Counts
from ..arrays import Bools, Floats
from ..classes.equal_densities import Shares, equal_shares
from ..classes.evidence import spectral
from ..classes.overlap import KINDS, Overlap, mask_overlap
from ..classes.pairs import all_pairs
from ..classes.subjects import Subject, gather
from ..classes.theta import run_exponents
from ..named import Named, StoreLike, open_store
from ..window import recorded_window


@dataclass(frozen=True, eq=False)
class Spectra:
    """How far the spectra of E experiments lie apart.

    Attributes
    ----------
    by : str
        Grouping; empty where there are none.
    distance : array, shape (E, E)
        ||Delta clr||, the norm of the difference of centred log eigenvalues; NaN without.
    p : array, shape (E, E)
        Of equal spectra; NaN without a test.
    same : bool array, shape (E, E)
        Whether sameness is certified.
    notes : tuple of str
        What was left out, and why.
    """

    by: str
    distance: Floats
    p: Floats
    same: Bools
    notes: tuple[str, ...]


def spectra_between(
    store: StoreLike, experiments: Sequence[Named], rng: np.random.Generator
) -> Spectra:
    """Compare the spectra of experiments of a store, over densities that all have."""
    size = len(experiments)
    try:
        subjects, by, notes = gather(store, experiments)
        found = spectral(subjects, [run_exponents(one) for one in subjects], rng)
    except RgtoolError as error:
        nothing = np.full((size, size), np.nan)
        why = f"no spectra are compared: {error}"
        return Spectra("", nothing, nothing, np.zeros((size, size), np.bool_), (why,))
    return Spectra(
        by=by,
        distance=_square(found.columns["norm"], size, 0.0),
        p=_square(found.p, size, 1.0),
        same=_square(found.same.astype(np.float64), size, 1.0) > 0,
        notes=(*notes, *found.notes),
    )


def _square(values: Floats, size: int, diagonal: float) -> Floats:
    """Return the matrix of values in condensed order."""
    out = np.full((size, size), diagonal)
    first, second = all_pairs(size)
    out[first, second] = out[second, first] = values
    return out


def overlaps_between(
    store: StoreLike, counts: Sequence[Counts], levels: Sequence[int]
) -> tuple[Floats, list[str]]:
    """Return which share of the weights of one mask another keeps too, seed by equal seed.

    Parameters
    ----------
    store : Store or path, or None
        Where the masks are.
    counts : sequence of Counts, length E
        Experiments, by layer.
    levels : sequence of int, length T
        Of the first of a pair, compared with the level of the other of that density.

    Returns
    -------
    overlap : array, shape (E, E, T)
        Over the whole network; NaN where masks are missing or no level is as dense.
    notes : list of str
        Why masks of some pairs are not compared.
    """
    out = np.full((len(counts), len(counts), len(levels)), np.nan)
    notes: list[str] = []
    for a, b in zip(*all_pairs(len(counts)), strict=True):
        try:
            one, other = (_recorded(counts[i]) for i in (a, b))
            shares = equal_shares(one, other)
            found, about = mask_overlap(open_store(store), one, other, shares)
        except (RgtoolError, ValueError) as error:
            found, about = [], [str(error)]
        notes += [f"{counts[a].label}, {counts[b].label}: {text}" for text in about]
        for kind in found:
            if kind.kind == KINDS[0]:
                _fill(out, (int(a), int(b)), kind, shares, levels)
    return out, notes


def _recorded(counts: Counts) -> Subject:
    window = recorded_window(counts)
    return Subject(counts.experiment_id, counts.label, window.names, window)


def _fill(
    out: Floats, pair: tuple[int, int], found: Overlap, shares: Shares, levels: Sequence[int]
) -> None:
    """Write the overlap of a pair over the whole network, in both orders."""
    weight = (shares.a + shares.b) / 2
    network = np.nansum(found.shared * weight, axis=1) / weight.sum(axis=1)
    for order, column in ((pair, 0), (pair[::-1], 1)):
        for at, level in enumerate(levels):
            row = np.flatnonzero(shares.levels[:, column] == level)
            if len(row):
                out[(*order, at)] = network[row[0]]
