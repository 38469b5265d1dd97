"""Does a flow have a fixed point: it stands still, is drawn to a point or driven from one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from ...schemas.errors import RgtoolError
from ...schemas.words import listed
from .. import flow, scales
from ..arrays import Floats
from ..nulls.initial import DISTRIBUTIONS
from ..nulls.known import weight_law
from ..spectrum.scale_flow import Course, have_scales
from ..spectrum.verdicts import MARGIN
from ..stats.contrast import one_sample
from ..stats.level import ALPHA, CONFIDENCE
from ..stats.seeds import seed_mean
from ..values import NOTHING, Estimate
from ..window import LEAST_WEIGHTS, Window
from .approach import PARTS, approach

SEE = "schemes.md#fixed-points"
Fate = Literal["still", "attracted", "repelled", "steady", "slowing", "quickening", "undecided"]

# Share of its weights that a group may keep at most for the scheme, and not its size, to set its
# share of all: what keeps nearly everything grows at y = 1 whatever the scheme prefers.
MOST_KEPT = 0.81
_WIDTH = MARGIN / flow.UNIT  # of an exponent that counts as none
ROUGH = 4.0  # misfit above which one curve does not describe a flow
STEADY = 0.1  # |kappa| below which deviations change by less than e in ten units of ln d


@dataclass(frozen=True, eq=False)
class Followed:
    """What was made of coordinates: K groups that are pruned, S runs.

    Attributes
    ----------
    fate : str
        `still`: every exponent, centred over groups, is certified within the margin. Of what moves
        (p < .05 over all groups) `attracted`, `repelled`: the interval of kappa is above 0, below
        0; `slowing`, `quickening`: so it is, but sizes of groups set shares too, or the misfit says
        that this is not the neighbourhood of a point; `steady`: kappa is certified within +-0.1.
        Else `undecided`.
    p : float
        Of standing still; NaN of one run.
    rate : Estimate of float
        kappa, mean over runs; deviations from the fixed point change as d^kappa, d the density.
    later : Estimate of float
        The same without the first third of the levels; NaN where too few are left.
    bent : bool
        Whether the two certainly differ, as where deviations have several exponents.
    rates : Estimate, shape (K,)
        That of every group by itself; NaN where it moves too little.
    fixed : array, shape (K,)
        The fixed point, mean over runs, in these coordinates. NaN where the flow is not attracted.
    speed, late, chance : float
        Root mean square over groups of the centred exponent over the levels, over their last third,
        and what the sampling of counts makes of the latter.
    misfit : float
        Squared residuals of kappa's curve over their variance, mean over runs; far above 1 where
        the flow is not in the linear neighbourhood of a point.
    """

    fate: Fate
    p: float
    rate: Estimate[float]
    later: Estimate[float]
    bent: bool
    rates: Estimate[Floats]
    fixed: Floats
    speed: float
    late: float
    chance: float
    misfit: float


@dataclass(frozen=True, eq=False)
class FixedPoint(Followed):
    """What becomes of a flow in one kind of coordinates, of which levels and groups.

    `fixed` are shares of the pruned groups, or centred scales.

    Attributes
    ----------
    levels : (a, b)
        What is looked at: from where no group is held by its size to where one has few weights.
    names : tuple of str, length K
        The groups.
    reach : (float, float)
        Densities between which the fixed point can be had: at the first the smallest group, whole,
        has its share; at the second a group has ten weights. NaN where there is none.
    notes : tuple of str
        What the numbers alone do not say.
    """

    levels: tuple[int, int]
    names: tuple[str, ...]
    reach: tuple[float, float]
    notes: tuple[str, ...] = ()


def of_shares(window: Window, chosen: bool = False) -> FixedPoint:
    """Look for a fixed point in centred log-ratios of shares.

    Parameters
    ----------
    window : Window
        Counts; where no level is `chosen`, what of it is free of finite size is looked at.
    chosen : bool
        Whether the levels are those that somebody asked for.

    Raises
    ------
    RgtoolError
        Fewer than four levels, or fewer than two pruned groups, are left.
    """
    free, notes = _looked_at(window, chosen)
    kept = free.kept[..., free.open]
    if kept.shape[-1] < 2:
        raise RgtoolError("fewer than two groups are pruned: take a finer grouping (--by)")
    found = followed_shares(kept, _time(free), free=not notes)
    shares = np.exp(found.fixed) / np.exp(found.fixed).sum()
    return FixedPoint(
        levels=free.levels,
        names=free.names,
        **_common(found),
        fixed=shares,
        reach=_reach(free, shares),
        notes=notes,
    )


def of_scales(window: Window, by: str, chosen: bool = False) -> FixedPoint:
    """Look for a fixed point in effective scales; exponents are in units of those of shares.

    Parameters
    ----------
    window : Window
        Counts by layer.
    by : str
        Grouping.
    chosen : bool
        As for `of_shares`.

    Raises
    ------
    RgtoolError
        Fewer than four levels are left, or fewer than two layers or groups have scales.
    """
    free, notes = _looked_at(window, chosen)
    counts, known = free.counts, have_scales(free)
    groups = [str(layer.group(by)) for layer in counts.layers]
    names = tuple(dict.fromkeys(groups))
    index = flow.group_index(groups, names)[known]
    distribution, assumed = weight_law(counts)
    course = Course(free, known, index, distribution)
    time = _time(free)
    runs = (len(free.runs), 1)
    each = [course.contrast(np.tile(row, runs))[1] for row in np.eye(len(time))]
    variance = np.stack(each, axis=1)
    step = _third(len(time))
    last = np.zeros(len(time))
    last[[-1 - step, -1]] = np.array([-1.0, 1.0]) / (time[-1] - time[-1 - step])
    # A change of scale by ds changes the log of what is kept by E ds, E = x f(x) / q(x).
    middle = free.kept[:, len(time) // 2, known]
    x = np.exp(-scales.effective_scales(middle, counts.total[known], distribution))
    law = DISTRIBUTIONS[distribution]
    answers = (middle * x * law.density(x) / law.kept(x)).mean(axis=0)
    places = np.unique(index, return_inverse=True)[1]
    answer = np.bincount(places, answers) / np.bincount(places, middle.mean(axis=0))
    _, chance = course.contrast(np.tile(last, runs))
    found = _followed(course.scale, variance, time, chance * answer**2, answer, not notes)
    return FixedPoint(
        levels=free.levels,
        names=tuple(names[place] for place in course.places),
        **_common(found),
        fixed=found.fixed,
        reach=(np.nan, np.nan),
        notes=(*notes, *assumed),
    )


def _looked_at(window: Window, chosen: bool) -> tuple[Window, tuple[str, ...]]:
    """Return the levels that somebody chose as they are, else those free of finite size."""
    if not chosen:
        return without_finite_size(window)
    if window.steps + 1 < PARTS:
        raise RgtoolError(
            f"{window.steps + 1} levels are asked for, and a fixed point takes {PARTS}"
        )
    return window, ()


def without_finite_size(window: Window) -> tuple[Window, tuple[str, ...]]:
    """Return the levels at which neither the size of a group nor a few weights set its share.

    They begin where no pruned group keeps more than `MOST_KEPT` of its weights and end where one
    has fewer than `LEAST_WEIGHTS`, means over runs. Where that leaves fewer than four levels they
    begin with the window, and a note names the groups that their size holds.

    Raises
    ------
    RgtoolError
        Even so there are fewer than four levels.
    """
    kept = window.kept[..., window.open].mean(axis=0)
    whole = (kept / window.counts.total[window.open]).max(axis=-1) <= MOST_KEPT
    enough = kept.min(axis=-1) >= LEAST_WEIGHTS
    last = len(enough) - 1 if enough.all() else int(np.argmin(enough)) - 1
    first = int(np.argmax(whole)) if whole.any() else last
    if last - first + 1 >= PARTS:
        return window.between(window.start + first, window.start + last), ()
    if last + 1 < PARTS:
        raise RgtoolError(
            f"{last + 1} levels from level {window.start} on have {LEAST_WEIGHTS} weights in every "
            f"group, and a fixed point takes {PARTS}"
        )
    held = kept[last] / window.counts.total[window.open] > MOST_KEPT
    names = [name for name, is_held in zip(window.names, held, strict=True) if is_held]
    why = (
        f"{listed(names)} {'keeps' if len(names) == 1 else 'keep'} over {MOST_KEPT:.0%} of all "
        f"weights as long as every group has {LEAST_WEIGHTS}"
        if names
        else f"fewer than {PARTS} levels are free of finite size"
    )
    note = f"{why}: kappa is that of the whole window, in which sizes of groups set shares too"
    return window.between(window.start, window.start + last), (note,)


def followed_shares(kept: Floats, time: Floats, free: bool = True) -> Followed:
    """Follow shares of K groups in centred log-ratios; `fixed` is in these.

    Parameters
    ----------
    kept : array, shape (S, T, K)
        Weights kept at T >= 4 levels, none of them 0.
    time : array, shape (T,)
        -ln d of the network, rising.
    free : bool
        Whether the levels are free of finite size.
    """
    groups, step = kept.shape[-1], _third(len(time))
    single = 1 / np.maximum(kept, 1)
    variance = (1 - 2 / groups) * single + single.mean(axis=-1, keepdims=True) / groups
    moved = flow.log_share_variance(kept[:, [-1 - step, -1]])
    chance = moved / (time[-1] - time[-1 - step]) ** 2
    return _followed(flow.clr(kept), variance, time, chance, np.ones(groups), free)


def _followed(
    x: Floats, variance: Floats, time: Floats, chance: Floats, unit: Floats, free: bool
) -> Followed:
    """Follow coordinates (S, T, K) with their variances; `unit` turns speeds into exponents."""
    fitted, step = approach(x, variance, time), _third(len(time))
    speed = unit * (x[:, -1] - x[:, 0]) / (time[-1] - time[0])
    late = unit * (x[:, -1] - x[:, -1 - step]) / (time[-1] - time[-1 - step])
    rate, p = mean_rate(fitted.rate), _still_p(speed)
    rough = float(fitted.misfit.mean()) > ROUGH or not free
    fate = fate_of(speed, p, rate, mean_rate(fitted.rate, 1 - 2 * ALPHA), rough)
    still = fate == "still"  # which tells no kappa: nothing of a curve is there
    later, bent = _later(fitted.rate, x, variance, time)
    return Followed(
        fate=fate,
        p=p,
        rate=NOTHING if still else rate,
        later=NOTHING if still else later,
        bent=bent and not still,
        rates=_rates(x, variance, time, speed),
        fixed=np.where(fate == "attracted", fitted.fixed.mean(axis=0), np.nan),
        speed=_rms(speed.mean(axis=0)),
        late=_rms(late.mean(axis=0)),
        chance=float(np.sqrt(chance.mean() / len(x))),
        misfit=float(fitted.misfit.mean()),
    )


def _common(found: Followed) -> dict[str, Any]:
    """Return what a `FixedPoint` takes over as it is."""
    return {one.name: getattr(found, one.name) for one in fields(found) if one.name != "fixed"}


def mean_rate(rate: Floats, confidence: float = CONFIDENCE) -> Estimate[float]:
    """Return the mean of kappa over runs (S,) with its t interval; NaN where a run tells none.

    Where all runs are one, as where a rule sets counts, there is no chance and no width.
    """
    if len(rate) > 1 and np.ptp(rate) == 0:
        return Estimate(*[float(rate[0])] * 3)
    found = seed_mean(rate[:, None])
    low, high = found.ends(confidence)
    return Estimate(float(found.value[0]), float(low[0]), float(high[0]))


def fate_of(
    speed: Floats, p: float, wide: Estimate[float], narrow: Estimate[float], rough: bool = False
) -> Fate:
    """Judge a flow.

    Parameters
    ----------
    speed : array, shape (S, K)
        Its exponents, centred over groups.
    p : float
        Of all of them being 0.
    wide, narrow : Estimate of float
        kappa with its 95 % and its 90 % interval.
    rough : bool
        Whether this is not the neighbourhood of a point.
    """
    low, high = seed_mean(speed).ends(1 - 2 * ALPHA)
    # What is the same in all of several runs is no chance, and knows no error.
    exact = (np.ptp(speed, axis=0) == 0) & (len(speed) > 1)
    low, high = (np.where(exact, speed[0], end) for end in (low, high))
    if ((low > -_WIDTH) & (high < _WIDTH)).all():
        return "still"
    if not (p < ALPHA or exact.all()):
        return "undecided"
    if narrow.low > -STEADY and narrow.high < STEADY:
        return "undecided" if rough else "steady"
    if wide.low > 0:
        return "slowing" if rough else "attracted"
    if wide.high < 0:
        return "quickening" if rough else "repelled"
    return "undecided"


def _still_p(speed: Floats) -> float:
    """Return p of standing still, from centred exponents (S, K); NaN of runs that are all alike."""
    try:
        return one_sample(speed, np.random.default_rng(0)).p
    except ValueError:
        return np.nan


def _later(
    whole: Floats, x: Floats, variance: Floats, time: Floats
) -> tuple[Estimate[float], bool]:
    """Return kappa without the first third of the levels, and whether it certainly differs."""
    step = _third(len(time))
    if len(time) - step < PARTS:
        return NOTHING, False
    found = approach(x[:, step:], variance[:, step:], time[step:]).rate
    change = mean_rate(found - whole)
    return mean_rate(found), bool(change.low > 0 or change.high < 0)


def _rates(x: Floats, variance: Floats, time: Floats, speed: Floats) -> Estimate[Floats]:
    """Return kappa of every group alone; NaN where it moves no more than the margin."""
    alone, own = (np.swapaxes(values, 1, 2)[..., None] for values in (x, variance))
    rate = approach(alone, own, time).rate
    moves = np.abs(speed.mean(axis=0)) > _WIDTH
    known = moves & np.isfinite(rate).all(axis=0)
    return seed_mean(np.where(known, rate, np.nan)).estimate


def _time(window: Window) -> Floats:
    """Return -ln d of every level, mean over runs: (T,)."""
    return np.asarray(-np.log(window.network / window.counts.total.sum()).mean(axis=0))


def _third(levels: int) -> int:
    """Return how many steps the last third of so many levels has."""
    return max(1, round((levels - 1) / 3))


def _rms(values: Floats) -> float:
    return float(np.sqrt((values**2).mean()))


def _reach(window: Window, shares: Floats) -> tuple[float, float]:
    """Return the densities between which shares (K,) of the pruned groups can be had."""
    counts = window.counts
    if not np.isfinite(shares).all():
        return np.nan, np.nan
    fixed, size = counts.total[counts.exempt].sum(), counts.total.sum()
    whole = (counts.total[window.open] / shares).min()
    few = LEAST_WEIGHTS / shares.min()
    return float((whole + fixed) / size), float((few + fixed) / size)
