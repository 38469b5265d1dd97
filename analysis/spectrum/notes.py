"""What the numbers of a spectrum alone do not say: flags in words, never silent cuts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...schemas.notes import Note, Rank, noted
from ...schemas.words import listed, shares_that
from ...store.counts import Counts
from ..arrays import Bools, Floats
from ..nulls.initial import Weighting
from ..stats.level import ALPHA
from ..stats.moderation import moderate, seed_variance
from ..window import LEAST_WEIGHTS, Window
from .bootstrap import CAVEATS
from .intervals import FEW_WEIGHTS, Interval
from .linearity import Linearity, growth_of, odd_first_step
from .verdicts import MARGIN, Judgement, Rule

_NEAR_COPIES = 1e-6  # chance of seeds that agree so closely
ODD = 3.0  # z of a first step that is unlike the later ones
EIGENFUNCTION = 0.05  # the paper's criterion: standard deviation over levels below 5 % (App. B)
# How many of nominal 95 % intervals cover, by seeds that lend: where one factor moves all groups,
# and of one group that is 8 times as loud as the others (benchmarks.statistics.
# interval_coverage). How far below depends on the factor: two seeds had .88, and .76 in the worst
# design known.
_LENT_COVERS = {2: ("below 90 %", "85 %"), 3: ("91 %", "90 %"), 4: ("92 %", "90 %")}
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
    "none": "stays within the margin",
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
    weighting: Weighting = "count",
    rule: Rule = "tost",
) -> list[Note]:
    """Say what a reader of the spectrum should know.

    Parameters
    ----------
    chosen : Window
        The experiment, its levels and runs.
    pruned : array, shape (S, T, G)
        Log eigenvalues of the steps, NaN for groups that are not pruned.
    found : Interval
        Of their mean.
    judgement : Judgement
        The verdicts.
    linear : Linearity or None
        The test of constant growth.
    weighting, rule : str
        As for `eigen`.
    """
    counts = chosen.counts
    of_seeds = [
        *_few(chosen, found, rule),
        *_near_copies(chosen, pruned),
        *_alike(chosen, pruned, found),
        *_scatter(chosen, pruned, found),
    ]
    return [
        *noted(of_seeds, _INTERVALS, Rank.WARNING),
        *noted(_lone_group(chosen), _VERDICTS, Rank.WARNING),
        *noted(_lent(found), _INTERVALS),
        # In the window it moves the eigenvalues, outside it is a remark.
        *noted(_odd_first_step(chosen), _GROWTH, Rank.DETAIL if chosen.start else Rank.WARNING),
        *_growth(chosen, judgement, linear),
        *noted(_twice_certain(counts, judgement), _VERDICTS),
        *noted(_small(chosen), _INTERVALS),
        *noted(_wide(chosen, pruned), _GROWTH, Rank.DETAIL),
        *noted(_exempt_groups(counts, weighting), _VERDICTS, Rank.DETAIL),
        SUM_RULE,
        BLIND,
    ]


def conclusion(
    names: Sequence[str],
    verdict: Sequence[str],
    against: Sequence[str],
    found: Interval | None = None,
    null: str = "the initial scales alone",
) -> Note:
    """Say in one sentence what a spectrum shows.

    Parameters
    ----------
    names, verdict : sequence of str, length G
        Groups and their verdicts.
    against : sequence of str, length G
        `above`, `below`, `none` or `undecided` against the initial scales alone; empty where
        there is nothing to say.
    found : Interval, optional
        What verdicts rest on: where it is of the runs at hand, so is the sentence.
    null : str
        What the null stands for.

    Examples
    --------
    >>> str(conclusion(["1", "2"], ["relevant", "irrelevant"], ["above", "above"]))
    'the share of 1 grows, that of 2 shrinks; against the initial scales alone that of 1, 2 gains'
    """
    said = shares_that(names, verdict, GROWTH_WORDS) or "no group has a verdict"
    beyond = shares_that(names, against, _NULL_WORDS, "that")
    if beyond:
        said += f"; against {null} {beyond}"
    if found is not None and found.scope == "this run":
        said = f"in {'this run' if found.seeds == 1 else 'these runs'} {said}"
    return Note(said, _VERDICTS, Rank.CONCLUSION)


def _few(chosen: Window, found: Interval, rule: Rule) -> list[str]:
    notes, steps, more = [], chosen.steps, chosen.counts.more
    if len(chosen.runs) == 1 and steps < 3 and found.method == "moderated":
        notes.append(
            f"no interval: it takes two seeds, or one run of at least 3 steps, and this one seed "
            f"has {steps}: {more('seeds', 'levels')}"
        )
    elif found.scope == "this run" and found.method != "paper":
        notes.append(
            "one seed: the intervals are of this run. Other seeds would differ by more, the "
            f"population's value lies inside about 73 % of the time, not 95 %: {more('seeds')}"
            if len(chosen.runs) == 1
            else f"method {found.method} resamples levels, not seeds: its intervals cover the "
            "population's value about 80 % of the time, not 95 %"
        )
    if found.method in CAVEATS:
        notes.append(f"method {found.method} {CAVEATS[found.method]}")
    if found.method == "paper" and steps > 1:
        notes.append(
            "low and high are the mean minus and plus one standard deviation over levels: a spread "
            "that holds deterministic drift, no error bar"
        )
    if steps < 2:
        unspread = "one step has no spread over levels"
        asked = "paper" in (rule, found.method)
        notes.append(
            f"{unspread}, so the paper's rule gives no verdict: {more('levels')}"
            if asked
            else Note(unspread, _INTERVALS, Rank.DETAIL)
        )
    return notes


def _lent(found: Interval) -> list[str]:
    """Say what intervals of few seeds cost, where groups lend each other variance."""
    if found.method != "moderated" or found.innovation is None or found.seeds not in _LENT_COVERS:
        return []
    factor, loud = _LENT_COVERS[found.seeds]
    return [
        f"{found.seeds} seeds: variances lean on those of the other groups. Intervals cover about "
        f"95 % in the mean, {factor} where one factor moves all groups, and {loud} in a group "
        "whose seeds scatter 8 times as far as those of the others; five seeds need no loan"
    ]


def _exempt_groups(counts: Counts, weighting: Weighting) -> list[str]:
    names = _some_names(counts, counts.exempt)
    if not names:
        return []
    why = (
        "so the eigenvalue is 1/rho and the exponent 1 by construction"
        if weighting == "count"
        else "and its magnitude stands against that of what is left of the others"
    )
    return [f"{names}: exempt from pruning but counted, {why}; no verdict"]


def _lone_group(chosen: Window) -> list[str]:
    if chosen.open.sum() > 1:
        return []
    return [
        "fewer than two groups are pruned, so no group can be compared with another: a finer "
        "grouping (--by layer) may have more"
    ]


def _near_copies(chosen: Window, pruned: Floats) -> list[str]:
    """Warn of seeds that scatter less than the sampling of their counts alone makes them."""
    seeds, groups = len(chosen.runs), int(chosen.open.sum())
    if seeds < 2 or groups < 2:
        return []
    from scipy.special import chdtr

    kept, theta = chosen.kept[..., chosen.open], pruned[..., chosen.open].mean(axis=1)
    # Of survivors drawn from survivors; what a group loses others gain, which takes a freedom.
    sampling = (1 / kept[:, -1] - 1 / kept[:, 0]).mean(axis=0) / chosen.steps**2
    variance = seed_variance(theta)
    square, df = (seeds - 1) * variance[sampling > 0] / sampling[sampling > 0], seeds - 1
    if not variance.any() or chdtr(df * (groups - 1), square.sum()) >= _NEAR_COPIES:
        return []
    return [
        "seeds agree more closely than the sampling of their counts allows, as copies of one run "
        "do that differ by a few weights: the intervals over seeds are too narrow then"
    ]


def _alike(chosen: Window, pruned: Floats, found: Interval) -> list[str]:
    """Name groups whose seeds agree to the last weight, in a flow that has somewhere to go."""
    if found.seeds < 2 or found.method not in ("moderated", "t") or chosen.open.sum() < 2:
        return []
    alike = seed_variance(pruned.mean(axis=1)) == 0
    names = _some_names(chosen.counts, alike)
    if not names:
        return []
    known = (
        "no interval"
        if np.isnan(found.variance[alike]).any()
        else "the interval knows the scatter of the other groups alone"
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


def _scatter(chosen: Window, pruned: Floats, found: Interval) -> list[str]:
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
    names = _some_names(chosen.counts, wild & chosen.open)
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


def _growth(chosen: Window, judgement: Judgement, linear: Linearity | None) -> list[Note]:
    if linear is None:
        return []
    found, others = [], []
    if linear.rejected:
        small = _bends_within_margin(linear, judgement.margin)
        said = [_not_constant(chosen, linear, small), *_marginally(chosen, judgement, linear)]
        found = noted(said, _GROWTH, Rank.DETAIL if small else Rank.CAUTION)
    few = _some_names(chosen.counts, _of_open(chosen, np.isnan(linear.slope)))
    if few:
        others.append(
            f"{few}: fewer than {LEAST_WEIGHTS} weights in the window, so the tests of constant "
            "growth leave such groups out"
        )
    if linear.change_p < ALPHA:
        others.append(
            f"growth changes after level {chosen.start + linear.change} (p {linear.change_p:.2g}): "
            "a window chosen for that would void the stated coverage"
        )
    return [*found, *noted(others, _GROWTH)]


def _bends_within_margin(linear: Linearity, margin: float) -> bool:
    """Tell whether the whole interval of every bend lies within the margin of an eigenvalue."""
    ends = linear.span * np.maximum(np.abs(linear.low), np.abs(linear.high))
    return bool(np.nanmax(ends) < (MARGIN if np.isnan(margin) else margin))


def _not_constant(chosen: Window, linear: Linearity, small: bool) -> str:
    bent = _some_names(chosen.counts, _of_open(chosen, linear.p < ALPHA))
    known = linear.canonical is not None
    beyond = " beyond what it is in the untrained network" if known else ""
    own = np.nanmax(np.abs(linear.bend))
    text = (
        f"growth is not constant{beyond} (p {linear.p_all:.2g}{bent and f'; {bent}'}): eigenvalues "
        f"are averages of a flow that bends, by up to {own:.2g} in log eigenvalue over the window"
    )
    if known:
        text += f" (the untrained network's by {np.nanmax(np.abs(linear.canonical_bend)):.2g})"
    else:
        text += " (that of an untrained network, which bends too, is not known and is in it)"
    if small:
        text += ", less than the margin"
    return f"{text}; bend and correction (c/b) stand in --json and to_frame()"


def _wide(chosen: Window, pruned: Floats) -> list[str]:
    if chosen.steps < 3:
        return []
    with np.errstate(over="ignore"):
        spread = np.exp(pruned).std(axis=1, ddof=1).mean(axis=0)
    names = _some_names(chosen.counts, spread >= EIGENFUNCTION)
    if not names:
        return []
    return [
        f"{names}: standard deviation over levels of 5 % or more, no eigenfunction by the paper's "
        "own criterion (App. B)"
    ]


def _marginally(chosen: Window, judgement: Judgement, linear: Linearity) -> list[str]:
    """Say which way a marginal group goes where its growth changes by more than its null's."""
    if linear.canonical is None:  # an untrained network bends, too
        return []
    verdict = np.array(judgement.verdict)
    # The flow itself and what it has beyond its null have to bend to one side.
    alike = linear.slope * (linear.slope + linear.canonical) > 0
    bends = (verdict == "marginal") & _of_open(chosen, alike & (linear.p < ALPHA))
    slopes = np.zeros(len(verdict))
    slopes[chosen.open] = linear.slope
    return [
        f"{name}: marginal, and its growth {'rises' if slope > 0 else 'falls'} along the flow by "
        f"more than the untrained network's: marginally {'relevant' if slope > 0 else 'irrelevant'}"
        for name, slope, flag in zip(chosen.counts.names, slopes, bends, strict=True)
        if flag
    ]


def _of_open(chosen: Window, flags: Bools) -> Bools:
    """Return flags of the groups that are pruned as flags of all groups."""
    whole = np.zeros(len(chosen.counts.names), np.bool_)
    whole[chosen.open] = flags
    return whole


def _odd_first_step(chosen: Window) -> list[str]:
    counts, start = chosen.counts, chosen.start
    if (
        chosen.open.sum() < 2
        or start > 1
        or not counts.recorded[chosen.runs, 0].all()
        or chosen.end < 3
    ):
        return []
    whole = chosen.between(0, chosen.end)
    growth = growth_of(whole.kept[..., chosen.open], whole.network)
    if len(growth.at) < 3 or growth.at[0] > 0:
        return []
    z = odd_first_step(growth.rate[:, 0], growth.rate[:, 1:])
    flags = _of_open(chosen, np.abs(z) > ODD)
    if not flags.any():
        return []
    return [
        f"the step 0 -> 1 is unlike the later ones (|z| up to {np.nanmax(np.abs(z)):.0f}; "
        f"{_some_names(counts, flags)}); it is "
        + ("outside the window" if start else f"in the window, --window 1:{chosen.end} has it out")
    ]


def _some_names(counts: Counts, flags: Bools) -> str:
    return listed([name for name, flag in zip(counts.names, flags, strict=True) if flag])
