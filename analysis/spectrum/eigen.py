"""From counts to a spectrum: window, estimates, intervals, verdicts, null."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, get_args

import numpy as np

from ...schemas.blocks import GROUPINGS
from ...schemas.errors import RgtoolError, StoreError, UsageError, choose
from ...store.counts import Counts
from ...store.weights import layer_weights
from .. import flow
from ..arrays import Bools, Floats
from ..nulls.excess import differs, excess
from ..nulls.initial import Weighting
from ..nulls.models import NULL_MODELS, Weights, situation
from ..nulls.random import random_log_variance
from ..nulls.untrained import null_groups
from ..stats.level import ALPHA
from ..window import Window, choose_window
from . import intervals
from .intervals import SEEDS, STEPS, Interval, Method, estimate, sampling_variance
from .linearity import Linearity, linearity
from .remarks import remarks
from .result import Spectrum
from .verdicts import Rule, check_margin, judge, judge_as_paper

if TYPE_CHECKING:
    from ...store import Store


def eigen(
    store: Store,
    experiment: str | None = None,
    *,
    by: str = "block",
    window: tuple[int, int] | None = None,
    method: Method = "moderated",
    weighting: Weighting = "count",
    rule: Rule = "tost",
    margin: float | None = None,
) -> Spectrum:
    """Compute the spectrum of an experiment in a store.

    Parameters
    ----------
    store : Store
        Where the records are.
    experiment : str, optional
        Any unique prefix of its id, or `resnet20/cifar10`; may be left out where the store holds
        one experiment. The id of a run gives the spectrum of that run alone.
    by : str
        `layer`, `block` or `stage`.
    window : (a, b), optional
        Levels between which eigenvalues are taken; see `choose_window` for the default.
    method : str
        How intervals are made, see `intervals.estimate`.
    weighting : str
        `count` (eq. 13), or `magnitude`.
    rule : str
        `tost`: by interval and margin; `paper`: marginal within one spread of 1.
    margin : float, optional
        Half-width of the margin in log eigenvalue; default .02 below five seeds, .01 from five.

    Raises
    ------
    RgtoolError
        There are too few levels, or nothing was pruned.
    UsageError
        The experiment, the grouping, the window, the method or the weighting is not to be had.
    """
    choose("grouping", by, GROUPINGS)
    counts = counts_named(store, experiment, by)
    return spectrum_of(
        counts,
        window,
        method=method,
        weighting=weighting,
        rule=rule,
        margin=margin,
        dense=lambda run: layer_weights(store, run, "dense", counts.layers),
    )


def counts_named(store: Store, name: str | None, by: str) -> Counts:
    """Return the counts of an experiment, or of one run where the name is that of a run."""
    try:
        experiment = store.find_experiment(name)
    except UsageError:
        if name is None or "-" not in name:
            raise
        run_id = store.find_run(name)
    else:
        return store.counts(experiment, by)
    counts = store.counts(store.description(run_id).experiment_id, by)
    return counts.select([counts.runs.index(run_id)])


def spectrum_of(
    counts: Counts,
    window: tuple[int, int] | None = None,
    *,
    method: Method = "moderated",
    weighting: Weighting = "count",
    rule: Rule = "tost",
    margin: float | None = None,
    dense: Callable[[str], Weights] | None = None,
) -> Spectrum:
    """Compute the spectrum of counts; parameters and errors are those of `eigen`.

    `dense` gives the trained dense weights of a run, from which the static null is computed.
    """
    _check(method, weighting, rule, margin)
    chosen = choose_window(counts, window)
    _check_size(counts, method, len(chosen.runs), chosen.end - chosen.start)
    kept = counts.kept[chosen.runs, chosen.start : chosen.end + 1].astype(np.float64)
    steps = chosen.end - chosen.start
    weights = kept if weighting == "count" else _magnitudes(counts, chosen)
    logs = flow.log_eigenvalues(weights)
    pruned = np.where(counts.exempt, np.nan, logs)
    sampling = sampling_variance(kept, counts.exempt)
    found = estimate(pruned, method, sampling=sampling)
    # y = theta ln(lambda) / -ln(rho): every run by its own retention, that of counts.
    network = kept.sum(axis=-1)
    scale = steps / np.log(network[:, 0] / network[:, -1])
    exponents = _exponent_ends(pruned, found, scale, sampling)
    y = flow.window_exponents(kept, 0, steps)
    theta = logs.mean(axis=1)
    centre = theta.mean(axis=0)
    y_centre = y.mean(axis=0) if weighting == "count" else (theta * scale[:, None]).mean(axis=0)
    ratios = np.exp(logs)
    mean, spread = ratios.mean(axis=(0, 1)), intervals.paper_spread(ratios)
    judgement = (
        judge_as_paper(mean, spread, counts.exempt)
        if rule == "paper"
        else judge(found, counts.exempt, margin)
    )
    boot = _beside(pruned, method)
    null_theta, null_y, null_y_runs, null_notes = _null(counts, chosen, kept, weighting)
    excess_ends, null_p, excess_notes = _against_null(y, null_y_runs, counts.exempt)
    nothing = np.full(len(counts.names), np.nan)
    of_counts = weighting == "count"  # as the nulls are
    random_sd, static = _other_nulls(counts, chosen, dense) if of_counts else (nothing, nothing)
    linear = _linearity(weights, counts.exempt)
    # The geometric mean is the estimate, whichever interval stands beside it.
    return Spectrum(
        experiment_id=counts.experiment_id,
        label=counts.label,
        by=counts.by,
        weighting=weighting,
        window=(chosen.start, chosen.end),
        runs=tuple(counts.runs[i] for i in chosen.runs),
        names=counts.names,
        total=counts.total,
        exempt=counts.exempt,
        theta=theta,
        eigenvalue=np.exp(centre),
        low=np.exp(found.low),
        high=np.exp(found.high),
        boot_low=np.exp(boot[0]),
        boot_high=np.exp(boot[1]),
        mean=mean,
        spread=spread,
        exponent=y_centre,
        exponent_low=exponents[0],
        exponent_high=exponents[1],
        null_eigenvalue=np.exp(null_theta),
        null_exponent=null_y,
        static_eigenvalue=static,
        random_sd=random_sd,
        excess_low=excess_ends[0],
        excess_high=excess_ends[1],
        null_p=null_p,
        interval=found,
        judgement=judgement,
        linear=linear,
        notes=(
            *chosen.notes,
            *remarks(counts, chosen, pruned, found, judgement, linear),
            *null_notes,
            *excess_notes,
        ),
    )


def _check(method: str, weighting: str, rule: str, margin: float | None) -> None:
    choose("method", method, get_args(Method))
    choose("weighting", weighting, get_args(Weighting))
    choose("rule", rule, get_args(Rule))
    check_margin(margin)
    if rule == "paper" and margin is not None:
        raise UsageError("rule paper takes the spread over levels for a margin: leave out --margin")


def _check_size(counts: Counts, method: Method, seeds: int, steps: int) -> None:
    needed, least = SEEDS.get(method, 1), STEPS.get(method, 1)
    if seeds < needed:
        raise UsageError(
            f"{counts.label}: method {method} needs {needed} seeds and there "
            f"{'is' if seeds == 1 else 'are'} {seeds}: add --seeds, or take another --method"
        )
    if steps < least:
        raise UsageError(
            f"{counts.label}: method {method} needs {least} steps and the window has {steps}: add "
            "--levels, or take another --method"
        )


def _magnitudes(counts: Counts, chosen: Window) -> Floats:
    """Return sums of |w| over the window; every run must have them all."""
    found = counts.magnitude[chosen.runs, chosen.start : chosen.end + 1]
    empty = np.argwhere(found <= 0)
    if len(empty):
        run, level, group = empty[0]
        raise UsageError(
            f"{counts.label}: run {counts.runs[chosen.runs[run]]}, level {chosen.start + level}: "
            f"the magnitudes of group {counts.names[group]} sum to {found[run, level, group]:g}, "
            "so it has no share: take --weighting count, or end the --window before"
        )
    lacking = ~np.isfinite(found).all(axis=(1, 2))
    if lacking.any():
        names = [counts.runs[i] for i in chosen.runs[lacking]]
        raise UsageError(
            f"{counts.label}: {len(names)} of {len(found)} runs ({names[0]}) tell no magnitudes at "
            "some level, and weightings are not mixed: take --weighting count"
        )
    return found


def _exponent_ends(
    pruned: Floats, found: Interval, scale: Floats, sampling: Floats
) -> tuple[Floats, Floats]:
    """Return the interval of the exponent, made as that of the log eigenvalue was."""
    if found.method == "paper":  # a spread of eigenvalues: its ends, in units of exponents
        return found.low * scale.mean(), found.high * scale.mean()
    variance = sampling * (scale**2).mean()
    ends = estimate(pruned * scale[:, None, None], found.method, sampling=variance)
    return ends.low, ends.high


def _beside(pruned: Floats, method: Method) -> tuple[Floats, Floats]:
    """Return the hierarchical bootstrap's ends, beside the default from three seeds on."""
    if method != "moderated" or len(pruned) < 3:
        nothing = np.full(pruned.shape[-1], np.nan)
        return nothing, nothing
    other = estimate(pruned, "hierarchical")
    return other.low, other.high


def _linearity(weights: Floats, exempt: Bools) -> Linearity | None:
    if weights.shape[1] < 4 or (~exempt).sum() < 2:
        return None
    return linearity(np.diff(flow.clr(flow.shares(weights[..., ~exempt])), axis=1))


def _against_null(
    y: Floats, null_y: Floats, exempt: Bools
) -> tuple[tuple[Floats, Floats], float, tuple[str, ...]]:
    """Return ends of the excess, and the p of a spectrum that is its initial-scale null's."""
    active = ~exempt
    _, low, high = excess(np.where(exempt, np.nan, y), null_y)
    if len(y) < 2 or not np.isfinite(null_y[:, active]).all() or active.sum() < 2:
        return (low, high), np.nan, ()
    # y ln(1/.8): log eigenvalues at the usual retention, whatever each run's was.
    theta, null = flow.UNIT * y[:, active], flow.UNIT * null_y[:, active]
    try:
        p = differs(theta, null, np.random.default_rng(0)).p
    except ValueError as error:
        return (low, high), np.nan, (f"no test against the null: {error}",)
    words = "differs from" if p < ALPHA else "cannot be told from"
    return (low, high), p, (f"the spectrum {words} that of its initial scales (p {p:.2g})",)


def _other_nulls(
    counts: Counts, chosen: Window, dense: Callable[[str], Weights] | None
) -> tuple[Floats, Floats]:
    """Return what chance moves a log eigenvalue by (N0), and eigenvalues of N2 or NaN."""
    steps = chosen.end - chosen.start
    at = situation(counts, chosen, dense or _no_weights)
    random_sd = np.sqrt(random_log_variance(at.kept, at.fixed)[:, 0].mean(axis=0)) / steps
    try:
        kept, _ = NULL_MODELS["static"](at)
    except RgtoolError:  # most runs keep no dense weights; `nulls_of` says why
        return random_sd, np.full(len(counts.names), np.nan)
    theta = flow.window_log_eigenvalues(kept, 0, 1) / steps
    return random_sd, np.exp(theta.mean(axis=0))


def _no_weights(run: str) -> Weights:
    raise StoreError(f"no weights of run {run} are at hand")


def _null(
    counts: Counts, chosen: Window, kept: Floats, weighting: Weighting
) -> tuple[Floats, Floats, Floats, tuple[str, ...]]:
    """Return eigenvalue and exponent of N1, its exponent by run, and what was assumed."""
    network = kept[:, [0, -1]].sum(axis=-1)
    scales = tuple(counts.scales[i] for i in chosen.runs) if counts.scales else ()
    nothing = np.full(kept.shape[-1], np.nan)
    if weighting != "count":
        note = "the null stands beside counts: no null for magnitudes here"
        return nothing, nothing, np.full((len(kept), len(nothing)), np.nan), (note,)
    try:
        ends, notes = null_groups(counts, network, scales)
    except RgtoolError as error:
        note = f"no null is shown: {error}"
        return nothing, nothing, np.full((len(kept), len(nothing)), np.nan), (note,)
    theta = flow.window_log_eigenvalues(ends, 0, 1) / (kept.shape[1] - 1)
    by_run = flow.window_exponents(ends, 0, 1)
    dead = [name for name, y in zip(counts.names, by_run.mean(axis=0), strict=True) if np.isnan(y)]
    if dead:
        notes += (
            f"{', '.join(dead)}: the null would have lost every weight, so it has no exponent, "
            "there is no excess, and the spectrum is not tested against it",
        )
    return theta.mean(axis=0), by_run.mean(axis=0), by_run, notes
