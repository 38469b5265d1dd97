"""From the runs of perturbed tickets that prune on to the operator of their flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import Note, Rank
from ...schemas.words import counted, listed
from ..arrays import Floats
from ..named import StoreLike
from ..scales import effective_scales, usable
from ..stats.level import ALPHA
from ..values import is_positive
from ..window import LEAST_WEIGHTS
from .operator import (
    MARGIN,
    Interval,
    contrasts,
    identity_p,
    interval_of,
    mean_eigenvalue,
    operators,
    verdict_of,
)
from .perturbed import SIDES, Perturbed, Runs, Side, described, exponents_beside, read_runs, within
from .response import Coordinates, Response
from .still import Still, still_network

_LEAST_GROUPS = 2


def measure_response(
    store: StoreLike,
    what: Perturbed,
    *,
    coordinates: Coordinates = "share",
    window: tuple[int, int] | None = None,
    margin: float = MARGIN,
    rng: np.random.Generator | int = 0,
) -> Response:
    """Measure the operator of a flow from runs that begin at perturbed tickets.

    Parameters
    ----------
    store : Store or path, or None
        Where the runs are.
    what : Perturbed
        The runs; children prune on from the first to the last level.
    coordinates : str
        `share`: logarithms of shares; `scale`: effective scales, of grouping layer.
    window : (int, int), optional
        Levels of y; by default those of a spectrum.
    margin : float
        Half-width about 1 within which an eigenvalue is marginal.
    rng : numpy.random.Generator or int
        Of the draws behind p of J = 1.

    Raises
    ------
    UsageError
        Coordinates or margin cannot be had.
    RgtoolError
        Fewer than two groups are perturbed, or no seed has all runs.
    """
    coordinates = check_asked(what.by, coordinates, margin)
    runs, left = _lasting(read_runs(store, what), coordinates)
    y, levels, missing = exponents_beside(runs, window)
    start, end = _coordinates_of(runs, coordinates)
    try:
        operator = operators(start, end)
    except ValueError as error:
        raise RgtoolError(
            f"{runs.source.label}: {error}: perturb more groups, or with a larger factor"
        ) from None
    network = runs.counts.kept[[runs.counts.seeds.index(seed) for seed in runs.seeds]].sum(axis=-1)
    first, last = what.levels
    still = still_network(store, what, runs, window)
    found = Response(
        what=described(runs, what),
        levels=what.levels,
        coordinates=coordinates,
        names=runs.names,
        operator=operator,
        by_side=_by_side(runs, coordinates),
        still=_still_operator(still, runs, coordinates),
        rescaling=float(np.log(network[:, first] / network[:, last]).mean()),
        margin=margin,
        p_identity=identity_p(operator, np.random.default_rng(rng)),
        exponent=y,
        window=levels,
        notes=(*runs.notes, *missing, *left, *_of_still(still)),
    )
    return _concluded(found, runs, what)


def check_asked(by: str, coordinates: Coordinates, margin: float) -> Coordinates:
    """Hold what a response is asked for to what there is, which needs no runs; return coordinates.

    Parameters
    ----------
    by : str
        The grouping.
    coordinates : str
        `share` or `scale`.
    margin : float
        Half-width about 1.

    Raises
    ------
    UsageError
        Coordinates or margin cannot be had.
    """
    if not is_positive(margin):
        raise UsageError(f"margin is {margin}: a positive number is needed, such as {MARGIN}")
    coordinates = choose("coordinates", coordinates, get_args(Coordinates))
    if coordinates == "scale" and by != "layer":
        raise UsageError("effective scales are those of layers: take --by layer")
    return coordinates


def _lasting(runs: Runs, coordinates: Coordinates) -> tuple[Runs, list[Note]]:
    """Leave out groups of too few weights to have a place: whose logarithms are noise alone.

    Raises
    ------
    RgtoolError
        Fewer than two stay.
    """
    every = np.concatenate(
        [runs.moved.reshape(-1, len(runs.names)), runs.kept[:, 0], runs.kept[:, -1]]
    )
    ends = np.concatenate([runs.moved[..., -1, :].reshape(-1, len(runs.names)), runs.kept[:, -1]])
    stays = (ends.mean(axis=0) >= LEAST_WEIGHTS) & (every > 0).all(axis=0)
    if coordinates == "scale":
        stays &= usable(every, _totals(runs))
    names = [name for name, stay in zip(runs.names, stays, strict=True) if not stay]
    if stays.sum() < _LEAST_GROUPS:
        raise RgtoolError(
            f"{runs.source.label}: an operator needs two groups that are perturbed and keep "
            f"{LEAST_WEIGHTS} weights or more at the last level, and "
            f"{counted(int(stays.sum()), 'group')} does: an earlier level, or a finer grouping, "
            "may do"
        )
    if not names:
        return runs, []
    text = f"{listed(names, 6)} keeps too few weights at the last level, and is left out"
    return within(runs, np.flatnonzero(stays).tolist()), [Note(text, rank=Rank.WARNING)]


def _totals(runs: Runs) -> Floats:
    place = [runs.counts.names.index(name) for name in runs.names]
    return np.asarray(runs.counts.total[place], np.float64)


def _coordinates_of(
    runs: Runs, coordinates: Coordinates, sides: Sequence[int] = (0, 1)
) -> tuple[Floats, Floats]:
    """Return ilr coordinates of all runs at both levels, the unperturbed first: (S, R, K - 1)."""
    every = _gathered(runs, sides)
    ilr = _ilr(every, runs, coordinates)
    return ilr[:, :, 0], ilr[:, :, -1]


def _gathered(runs: Runs, sides: Sequence[int]) -> Floats:
    """Return the counts of all runs, the unperturbed first: shape (S, R, T, K)."""
    of = [
        runs.moved[:, group, side]
        for group, side in np.argwhere(runs.sides).tolist()
        if side in sides
    ]
    return np.stack([runs.kept, *of], axis=1)


def _ilr(kept: Floats, runs: Runs, coordinates: Coordinates) -> Floats:
    scale = coordinates == "scale"
    z = effective_scales(kept, _totals(runs)) if scale else np.log(kept)
    return np.asarray(z @ contrasts(len(runs.names)))


def _still_operator(still: Still, runs: Runs, coordinates: Coordinates) -> Floats | None:
    """Return J of weights that stand still, of every seed; None where there is no such network."""
    if still.kept is None:
        return None
    start, _ = _coordinates_of(runs, coordinates)
    return operators(start, _ilr(still.kept, runs, coordinates))


def _by_side(runs: Runs, coordinates: Coordinates) -> dict[Side, Floats]:
    """Return J from the runs of each side alone, where all groups have them."""
    if not runs.sides.all():
        return {}
    return {
        side: operators(*_coordinates_of(runs, coordinates, [place]))
        for place, side in enumerate(SIDES)
    }


def _concluded(found: Response, runs: Runs, what: Perturbed) -> Response:
    """Put what came out, and what one must know of it, before the notes that are there."""
    return replace(found, notes=(*_conclusions(found), *found.notes, *_cautions(found, runs, what)))


def _of_still(still: Still) -> list[Note | str]:
    """Say why there is no network whose weights stand still, and what one rests on."""
    if not still.why:
        return [*still.notes]
    text = f"there is no value of a network whose weights stand still: {still.why}"
    return [Note(text, "relevance.md#what-a-still-network-answers", Rank.WARNING), *still.notes]


def _conclusions(found: Response) -> list[Note]:
    notes = [Note(_of_the_whole(found), rank=Rank.CONCLUSION)]
    told = [
        f"{verdict_of(one, found.margin)} {_said(one)}{_times(len(cluster))}"
        for one, cluster in zip(found.intervals, found.eigen.clusters, strict=True)
        if math.isfinite(one.error)
    ]
    if told:
        notes.append(Note(f"eigenvalues: {'; '.join(told)}", rank=Rank.CONCLUSION))
    y = found.exponent.value
    if np.isfinite(y).any():
        beside = [f"{n} {v:+.2f}" for n, v in zip(found.names, y, strict=True) if np.isfinite(v)]
        notes.append(
            Note(
                f"growth of shares, y (levels {found.window}), is another thing: "
                f"{listed(beside, 8)}",
                "relevance.md#which-is-which",
                Rank.CONCLUSION,
            )
        )
    return notes


def _of_the_whole(found: Response) -> str:
    """Say what holds of the operator as a whole: whether it is 1, and its mean eigenvalue."""
    mean = f"mean of all eigenvalues {_said(found.mean)}"
    if found.still is not None:
        still = float(mean_eigenvalue(found.still).mean())
        mean += f", of a network whose weights stand still {still:+.2f}"
    if found.is_certain:
        return f"all seeds show the same, so that there is no chance in it: {mean}"
    if not math.isfinite(found.p_identity):
        return mean
    said = "is rejected" if found.p_identity < ALPHA else "is not rejected"
    return f"J = 1, deviations that stay as they are, {said} (p {found.p_identity:.2g}); {mean}"


def _times(number: int) -> str:
    return f" ({number} of them)" if number > 1 else ""


def _said(one: Interval) -> str:
    ends = f" [{one.low:+.2f}, {one.high:+.2f}]" if math.isfinite(one.error) else ""
    return f"{one.value:+.2f}{ends}"


def _cautions(found: Response, runs: Runs, what: Perturbed) -> list[Note]:
    notes = []
    if len(found.operator) < 2:
        notes.append(
            Note(f"one seed has no interval: {runs.source.more('seeds')}", rank=Rank.WARNING)
        )
    if any(len(one) > 1 and not found.eigen.is_pair(one) for one in found.eigen.clusters):
        text = (
            "eigenvalues of one cluster lie within their errors of each other: each by itself, its "
            "imaginary part and its direction are noise, their mean is not"
        )
        notes.append(Note(text, "relevance.md#clusters", Rank.WARNING))
    apart = found.asymmetry
    if apart is not None and apart.p_of(0.0) < ALPHA:
        of = [interval_of(mean_eigenvalue(found.by_side[side])) for side in SIDES]
        text = (
            f"mean eigenvalue of thinner runs {_said(of[0])}, of thicker {_said(of[1])}: not "
            "one linear operator, and what stands here lies between them"
        )
        notes.append(Note(text, "relevance.md#what-a-still-network-answers", Rank.WARNING))
    if what.choice == "next":
        text = (
            "weights that the next prunings take were taken before their time: pruning on undoes "
            "that whatever the network does (choice random does not)"
        )
        notes.append(Note(text, "relevance.md#what-a-still-network-answers", Rank.WARNING))
    if runs.others and found.coordinates == "share":
        text = f"shares are among the groups that are perturbed: without {listed(runs.others, 6)}"
        notes.append(Note(text))
    notes.append(
        Note(
            "eigenvalues are of the map from the first to the last level in these coordinates; "
            "away from a fixed point others have others",
            "relevance.md#the-operator-of-the-flow",
            Rank.DETAIL,
        )
    )
    return notes
