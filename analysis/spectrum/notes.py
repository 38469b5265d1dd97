"""What the numbers of a spectrum alone do not say: flags in words, never silent cuts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...schemas.words import listed, shares_that
from ...store.counts import Counts
from .. import flow
from ..arrays import Bools, Floats
from ..notes import Note, Rank, noted
from ..stats.level import ALPHA
from ..stats.moderation import moderate, seed_variance
from ..window import Window
from .intervals import FEW_WEIGHTS, Interval
from .linearity import Linearity, change_point, odd_first_step
from .verdicts import Judgement

ODD = 3.0  # z of a first step that is unlike the later ones
EIGENFUNCTION = 0.05  # the paper's criterion: standard deviation over levels below 5 % (App. B)
# Per cent of nominal 95 % intervals that cover, by seeds that lend: where one factor moves all
# groups, and of one group that is 8 times as loud as the others (benchmarks/interval_coverage.py).
_LENT = {2: (91, 84), 3: (92, 88), 4: (93, 90)}
_INTERVALS, _VERDICTS = "spectra.md#intervals", "spectra.md#verdicts"
_GROWTH = "spectra.md#is-it-an-eigenfunction"
_EIGENVALUE = "spectra.md#what-an-eigenvalue-is"
GROWTH_WORDS = {
    "relevant": "grows",
    "irrelevant": "shrinks",
    "marginal": "stays within the margin",
    "indeterminate": "is undecided",
}
_NULL_WORDS = {
    "above": "gains",
    "below": "loses",
    "none": "is the same within the margin",
    "undecided": "is undecided",
}
SUM_RULE = Note(
    "an eigenvalue here is the growth rate of a share: shares sum to 1, so the eigenvalues of one "
    "spectrum are tied by a sum rule, and none is a finding by itself",
    _EIGENVALUE,
    Rank.DETAIL,
)
BLIND = Note(
    "spectra count survivors and do not know which unit is which: networks with equal spectra need "
    "not have a ticket in common",
    _EIGENVALUE,
    Rank.DETAIL,
)


def spectrum_notes(
    chosen: Window,
    pruned: Floats,
    found: Interval,
    judgement: Judgement,
    linear: Linearity | None,
) -> list[Note]:
    """Say what a reader of the spectrum should know.

    Parameters
    ----------
    chosen : Window
        The experiment, its levels and runs.
    pruned : array, shape (S, T, G)
        Log eigenvalues of the steps, NaN for exempt groups.
    found : Interval
        Of their mean.
    judgement : Judgement
        The verdicts.
    linear : Linearity or None
        The test of constant growth.
    """
    counts = chosen.counts
    of_seeds = [
        *_few(chosen, found),
        *_copies(chosen),
        *_alike(counts, pruned, found),
        *_scatter(counts, pruned, found),
    ]
    return [
        *noted(of_seeds, _INTERVALS, Rank.WARNING),
        *noted(_lone(counts), _VERDICTS, Rank.WARNING),
        *noted(_lent(found), _INTERVALS),
        *noted(_growth(chosen, pruned, judgement, linear), _GROWTH),
        *noted(_twice_certain(counts, judgement), _VERDICTS),
        *noted(_small(chosen), _INTERVALS),
        *noted(_exempt(counts), _VERDICTS, Rank.DETAIL),
        SUM_RULE,
        BLIND,
    ]


def conclusion(names: Sequence[str], verdict: Sequence[str], against: Sequence[str]) -> Note:
    """Say in one sentence what a spectrum shows.

    Parameters
    ----------
    names, verdict : sequence of str, length G
        Groups and their verdicts.
    against : sequence of str, length G
        `above`, `below`, `none` or `undecided` against the initial scales alone; empty where
        there is nothing to say.

    Examples
    --------
    >>> str(conclusion(["1", "2"], ["relevant", "irrelevant"], ["above", "above"]))
    'the share of 1 grows, that of 2 shrinks; against the initial scales alone that of 1, 2 gains'
    """
    said = shares_that(names, verdict, GROWTH_WORDS) or "no group has a verdict"
    beyond = shares_that(names, against, _NULL_WORDS, "that")
    if beyond:
        said += f"; against the initial scales alone {beyond}"
    return Note(said, _VERDICTS, Rank.CONCLUSION)


def _few(chosen: Window, found: Interval) -> list[str]:
    notes, steps = [], chosen.steps
    if len(chosen.runs) == 1 and steps < 3 and found.method == "moderated":
        notes.append(
            f"no interval: it takes two seeds, or one run of at least 3 steps, and this one seed "
            f"has {steps}: add --seeds or --levels"
        )
    elif found.scope == "this run" and found.method != "paper":
        notes.append(
            "one seed: the intervals are of this run. Other seeds would differ by more, the "
            "population's value lies inside about 73 % of the time, not 95 %: add --seeds"
            if len(chosen.runs) == 1
            else f"method {found.method} resamples levels, not seeds: its intervals cover the "
            "population's value about 80 % of the time, not 95 %"
        )
    if found.method == "cluster":
        notes.append(
            "method cluster resamples few seeds: its intervals cover the population's value about "
            "50 % of the time with two, 74 % with three and 83 % with five, not 95 %"
        )
    if found.method == "paper" and steps > 1:
        notes.append(
            "low and high are the mean minus and plus one standard deviation over levels: a spread "
            "that holds deterministic drift, no error bar"
        )
    if steps < 2:
        notes.append(
            "one step has no spread over levels, so the paper's rule gives no verdict: add --levels"
        )
    return notes


def _lent(found: Interval) -> list[str]:
    """Say what intervals of few seeds cost, where groups lend each other variance."""
    if found.method != "moderated" or found.innovation is None or found.seeds not in _LENT:
        return []
    factor, loud = _LENT[found.seeds]
    return [
        f"{found.seeds} seeds: variances lean on those of the other groups. Intervals cover about "
        f"95 % in the mean, {factor} % where one factor moves all groups, and {loud} % in a group "
        "whose seeds scatter 8 times as far as those of the others; five seeds need no loan"
    ]


def _exempt(counts: Counts) -> list[str]:
    names = _some_names(counts, counts.exempt)
    if not names:
        return []
    return [
        f"{names}: exempt from pruning but counted, so the eigenvalue is 1/rho and the exponent 1 "
        "by construction; no verdict"
    ]


def _lone(counts: Counts) -> list[str]:
    if (~counts.exempt).sum() > 1:
        return []
    return [
        "fewer than two groups are pruned, so no group can be compared with another: a finer "
        "grouping (--by layer) may have more"
    ]


def _copies(chosen: Window) -> list[str]:
    """Name the first two runs that have the same counts."""
    first: dict[bytes, str] = {}
    for run, own in zip(chosen.run_ids, chosen.kept, strict=True):
        other = first.setdefault(own.tobytes(), run)
        if other != run:
            return [
                f"runs {other} and {run} have the same counts: if they "
                "are one run read twice, the intervals over seeds are too narrow"
            ]
    return []


def _alike(counts: Counts, pruned: Floats, found: Interval) -> list[str]:
    """Name groups whose seeds agree to the last weight, in a flow that has somewhere to go."""
    if found.seeds < 2 or found.method not in ("moderated", "t") or (~counts.exempt).sum() < 2:
        return []
    alike = seed_variance(pruned.mean(axis=1)) == 0
    names = _some_names(counts, alike)
    if not names:
        return []
    known = (
        "no interval"
        if np.isnan(found.variance[alike]).any()
        else "the interval knows no scatter but that of steps"
    )
    return [f"{names}: all seeds are alike (are they copies of one run?): {known}"]


def _small(chosen: Window) -> list[str]:
    last = chosen.kept[:, -1].mean(axis=0)
    names = _some_names(chosen.counts, (last < FEW_WEIGHTS) & chosen.open)
    if not names:
        return []
    return [
        f"{names}: fewer than {FEW_WEIGHTS} weights at level {chosen.end}, so one step's "
        "eigenvalue moves by over 1 % by chance alone"
    ]


def _scatter(counts: Counts, pruned: Floats, found: Interval) -> list[str]:
    """Name groups whose seeds scatter more than moderation allows for (F at .99)."""
    if found.method != "moderated" or found.innovation is None or found.seeds < 2:
        return []
    from scipy.special import fdtrc

    variances = seed_variance(pruned.mean(axis=1))
    fitted = moderate(variances, found.seeds - 1)
    prior, df = float(fitted.prior_variance), min(float(fitted.prior_df), 1e9)
    if not (np.isfinite(prior) and prior > 0 and df > 0):
        return []
    with np.errstate(invalid="ignore"):
        wild = fdtrc(found.seeds - 1, df, variances / prior) < 0.01
    names = _some_names(counts, wild & ~counts.exempt)
    if not names:
        return []
    return [
        f"{names}: seeds scatter more than those of the other groups, so the interval may cover "
        "less than it says (--method t takes each group by itself)"
    ]


def _twice_certain(counts: Counts, judgement: Judgement) -> list[str]:
    both = [
        name
        for name, verdict, within in zip(
            counts.names, judgement.verdict, judgement.within, strict=True
        )
        if within and verdict in ("relevant", "irrelevant")
    ]
    if not both:
        return []
    return [
        f"{', '.join(both)}: detectably other than 1 and certified within {judgement.margin:g} of "
        "it in log eigenvalue: marginal for practical purposes"
    ]


def _growth(
    chosen: Window,
    pruned: Floats,
    judgement: Judgement,
    linear: Linearity | None,
) -> list[str]:
    if linear is None:
        return []
    notes = []
    active = chosen.open
    names = [name for name, flag in zip(chosen.counts.names, active, strict=True) if flag]
    if linear.rejected:
        bent = [name for name, p in zip(names, linear.p, strict=True) if p < ALPHA]
        notes.append(
            f"growth is not constant (Holm p {np.nanmin(linear.p):.2g}; {', '.join(bent[:6])}"
            f"{' ...' if len(bent) > 6 else ''}): eigenvalues are averages of a flow that bends; "
            "correction of --json and to_frame() is c/b"
        )
        notes += _marginally(names, np.array(judgement.verdict)[active], linear)
    with np.errstate(over="ignore"):
        spread = np.exp(pruned[..., active]).std(axis=1, ddof=1).mean(axis=0)
    wide = [name for name, sd in zip(names, spread, strict=True) if sd >= EIGENFUNCTION]
    if wide:
        notes.append(
            f"{', '.join(wide)}: standard deviation over levels of 5 % or more, no eigenfunction "
            "by the paper's own criterion (App. B)"
        )
    return notes + _odd_first_step(chosen, names) + _change(chosen)


def _marginally(names: list[str], verdict: NDArray[np.str_], linear: Linearity) -> list[str]:
    """Say which way a marginal group goes where its growth changes: the sign of c decides."""
    bends = (verdict == "marginal") & (linear.p < ALPHA)
    return [
        f"{name}: marginal, and its growth {'rises' if slope > 0 else 'falls'} along the flow: "
        f"marginally {'relevant' if slope > 0 else 'irrelevant'}"
        for name, slope, flag in zip(names, linear.slope, bends, strict=True)
        if flag
    ]


def _odd_first_step(chosen: Window, names: list[str]) -> list[str]:
    counts, start = chosen.counts, chosen.start
    if start > 1 or not counts.recorded[chosen.runs, 0].all() or chosen.end < 3:
        return []
    kept = chosen.between(0, chosen.end).kept[..., chosen.open]
    steps = np.diff(_clr(kept), axis=1)
    z = odd_first_step(steps[:, 0], steps[:, 1:])
    odd = [name for name, value in zip(names, z, strict=True) if abs(value) > ODD]
    if not odd:
        return []
    return [
        f"the step 0 -> 1 is unlike the later ones (|z| up to {np.nanmax(np.abs(z)):.0f}; "
        f"{', '.join(odd[:6])}{' ...' if len(odd) > 6 else ''}); it is "
        + ("outside the window" if start else f"in the window, --window 1:{chosen.end} has it out")
    ]


def _change(chosen: Window) -> list[str]:
    kept = chosen.kept[..., chosen.open]
    if kept.shape[1] < 6:
        return []
    lost = np.clip(1 - flow.retention(kept).mean(axis=0), 0, 1 - 1e-9)
    sampling = (lost / (1 - lost))[:, None] / np.maximum(kept.mean(axis=0)[:-1], 1)
    place, p = change_point(np.diff(_clr(kept), axis=1), sampling)
    if p >= ALPHA:
        return []
    return [
        f"growth changes after level {chosen.start + place} (p {p:.2g}): a window chosen for that "
        "would void the stated coverage"
    ]


def _clr(kept: NDArray[np.generic]) -> Floats:
    return flow.clr(flow.shares(kept))


def _some_names(counts: Counts, flags: Bools) -> str:
    return listed([name for name, flag in zip(counts.names, flags, strict=True) if flag])
