"""From counts to a spectrum: window, estimates, intervals, verdicts, null."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args, overload

import numpy as np

from ...schemas.blocks import GROUPINGS
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import Note, Rank, noted
from ...store.counts import Counts
from ...store.literature import PublishedSpectrum
from .. import flow
from ..arrays import Floats
from ..named import Named, StoreLike, counts_of, look_up
from ..nulls.beside import (
    Null,
    dense_weights,
    initial_null,
    missing_null,
    null_p,
    set_beside,
)
from ..nulls.beyond import AgainstNull, against_null
from ..nulls.initial import Weighting
from ..nulls.known import null_words
from ..nulls.models import NULL_MODELS, DenseWeights, Situation
from ..nulls.own import own_null_groups
from ..nulls.untrained import null_groups
from ..stats.level import ALPHA
from ..values import Estimate
from ..window import Window, choose_window
from .estimates import estimates
from .intervals import LEAST_SEEDS, LEAST_STEPS, Method, estimate, paper_numbers
from .linearity import Linearity, growth_of, linearity
from .notes import conclusion, spectrum_notes
from .result import PaperSpread, Spectrum, Untrained
from .scale_flow import ScaleFlow, scale_flow
from .verdicts import MARGIN, Rule, check_margin, judge, judge_as_paper

Coordinates = Literal["share", "scale"]
NULLS = "spectra.md#null-models"
DEFAULTS = ("moderated", "count", "tost")  # method, weighting, rule


@overload
def eigen(
    store: StoreLike,
    experiment: Counts,
    *,
    by: str | None = ...,
    window: tuple[int, int] | None = ...,
    method: Method = ...,
    weighting: Weighting = ...,
    rule: Rule = ...,
    margin: float | None = ...,
    coordinates: Literal["share"] = ...,
) -> Spectrum: ...


@overload
def eigen(
    store: StoreLike = ...,
    experiment: Named = ...,
    *,
    by: str | None = ...,
    window: tuple[int, int] | None = ...,
    coordinates: Literal["scale"],
) -> ScaleFlow: ...


@overload
def eigen(
    store: StoreLike = ...,
    experiment: Named = ...,
    *,
    by: str | None = ...,
    window: tuple[int, int] | None = ...,
    method: Method = ...,
    weighting: Weighting = ...,
    rule: Rule = ...,
    margin: float | None = ...,
    coordinates: Coordinates = ...,
) -> Spectrum | PublishedSpectrum | ScaleFlow: ...


def eigen(
    store: StoreLike = None,
    experiment: Named = None,
    *,
    by: str | None = None,
    window: tuple[int, int] | None = None,
    method: Method = "moderated",
    weighting: Weighting = "count",
    rule: Rule = "tost",
    margin: float | None = None,
    coordinates: Coordinates = "share",
) -> Spectrum | PublishedSpectrum | ScaleFlow:
    """Compute the spectrum of an experiment.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are; by default the store of the working directory.
    experiment : str or Counts, optional
        Any unique prefix of its id, or `resnet20/cifar10`; may be left out where the store holds
        one experiment. The id of a run gives the spectrum of that run alone; `published:NAME` one
        of the literature, as it was printed. See `named.look_up`.
    by : str, optional
        `layer`, `block`, `stage` or `role`; default `block`.
    window : (a, b), optional
        Levels between which eigenvalues are taken; see `choose_window` for the default.
    method : str
        How intervals are made, see `intervals.estimate`.
    weighting : str
        `count` (eq. 13), or `magnitude`.
    rule : str
        `tost`: by interval and margin; `paper`: marginal within one spread of 1.
    margin : float, optional
        Half-width of the margin in log eigenvalue; default `verdicts.MARGIN`.
    coordinates : str
        `share`: eigenvalues, the growth of shares; `scale`: effective scales and their drift, see
        `scale_flow`, which know neither method, weighting, rule nor margin.

    Raises
    ------
    RgtoolError
        There are too few levels, or nothing was pruned.
    UsageError
        The experiment, the grouping, the window, the method or the weighting is not to be had.
    """
    by = None if by is None else choose("grouping", by, GROUPINGS)
    method, weighting, rule = checked_choices(method, weighting, rule)
    check_margin(margin)
    if rule == "paper" and margin is not None:
        raise UsageError("rule paper takes the spread over levels for a margin: leave out --margin")
    asked = margin is not None or (method, weighting, rule) != DEFAULTS
    if choose("coordinates", coordinates, get_args(Coordinates)) == "scale":
        if asked:
            raise UsageError(
                "effective scales are of counts, with t intervals: leave method, weighting, rule "
                "and margin out"
            )
        return scale_flow(store, experiment, by=by, window=window)
    found = look_up(store, experiment)
    if isinstance(found, PublishedSpectrum):
        return _as_printed(found, by, window, asked)
    counts = counts_of(store, found, by or "block", "a spectrum")
    dense = dense_weights(store, found, counts.layers)
    return _spectrum(choose_window(counts, window).distinct, method, weighting, rule, margin, dense)


def _as_printed(
    found: PublishedSpectrum, by: str | None, window: tuple[int, int] | None, asked: bool
) -> PublishedSpectrum:
    if asked:
        raise UsageError(
            f"{found.name} is shown as it was printed: leave method, weighting, rule and margin out"
        )
    if by not in (None, found.by):
        raise UsageError(f"{found.name} is printed by {found.by} alone: leave out --by {by}")
    if window is not None:
        raise UsageError(f"{found.name} has no levels to choose from: leave out --window")
    return found


def _spectrum(
    chosen: Window,
    method: Method,
    weighting: Weighting,
    rule: Rule,
    margin: float | None,
    dense: Callable[[str], DenseWeights],
) -> Spectrum:
    counts = chosen.counts
    _check_size(chosen, method)
    of_counts = weighting == "count"  # as the nulls are
    weights = chosen.kept if of_counts else _magnitudes(chosen)
    found = estimates(
        chosen.kept[None],
        ~chosen.open,
        None if of_counts else weights[None],
        method,
        chosen.sampling[None],
    )
    (interval,), theta, pruned = found.intervals, found.theta[0], found.pruned[0]
    mean, spread = paper_numbers(np.exp(flow.log_eigenvalues(weights)))
    judgement = (
        judge_as_paper(mean, spread, counts.exempt, chosen.whole)
        if rule == "paper"
        else judge(interval, counts.exempt, margin, chosen.whole)
    )
    y = found.exponent[0]
    margin_of_null = MARGIN if margin is None else margin
    nulls = (
        _nulls_beside(chosen, found.y[0], dense, margin_of_null) if of_counts else _no_nulls(chosen)
    )
    linear = _linearity(chosen, weights, of_counts)
    return Spectrum(
        experiment_id=counts.experiment_id,
        label=counts.label,
        by=counts.by,
        weighting=weighting,
        window=chosen.levels,
        runs=chosen.run_ids,
        names=counts.names,
        total=counts.total,
        exempt=counts.exempt,
        theta=theta,
        boot=_by_bootstrap(pruned, chosen.sampling / chosen.steps**2, method),
        paper=PaperSpread(mean, spread),
        exponent=Estimate(y, found.exponent_low[0], found.exponent_high[0]),
        untrained=nulls.untrained,
        anomalous=replace(nulls.anomalous, value=y - nulls.untrained.exponent),
        against_null=nulls.against,
        interval=interval,
        judgement=judgement,
        linear=linear,
        at_chance=chosen.at_chance,
        notes=(
            conclusion(
                counts.names, judgement.verdict, nulls.against, interval, null_words(counts.recipe)
            ),
            *chosen.notes,
            *noted(nulls.notes, "spectra.md#null-models"),
            *spectrum_notes(chosen, pruned, interval, judgement, linear, weighting, rule),
        ),
    )


def checked_choices(method: str, weighting: str, rule: str) -> tuple[Method, Weighting, Rule]:
    """Hold the choices behind a spectrum to what there is.

    Raises
    ------
    UsageError
        One is unknown; the message names the nearest.
    """
    return (
        choose("method", method, get_args(Method)),
        choose("weighting", weighting, get_args(Weighting)),
        choose("rule", rule, get_args(Rule)),
    )


def _check_size(chosen: Window, method: Method) -> None:
    label, seeds, steps = chosen.counts.label, len(chosen.runs), chosen.steps
    more = chosen.counts.more
    needed, least = LEAST_SEEDS.get(method, 1), LEAST_STEPS.get(method, 1)
    if seeds < needed:
        raise UsageError(
            f"{label}: method {method} needs {needed} seeds (copies count once) and there "
            f"{'is' if seeds == 1 else 'are'} {seeds}: {more('seeds')}, or take another --method"
        )
    if steps < least:
        raise UsageError(
            f"{label}: method {method} needs {least} steps and the window has {steps}: "
            f"{more('levels')}, or take another --method"
        )


def _magnitudes(chosen: Window) -> Floats:
    """Return sums of |w| over the window; every run must have them all."""
    counts, found = chosen.counts, chosen.magnitude
    empty = np.argwhere(found <= 0)
    if len(empty):
        run, level, group = empty[0]
        raise UsageError(
            f"{counts.label}: run {chosen.run_ids[run]}, level {chosen.start + level}: "
            f"the magnitudes of group {counts.names[group]} sum to {found[run, level, group]:g}, "
            "so it has no share: take --weighting count, or end the --window before"
        )
    lacking = np.flatnonzero(~np.isfinite(found).all(axis=(1, 2)))
    if len(lacking):
        raise UsageError(
            f"{counts.label}: {len(lacking)} of {len(found)} runs ({chosen.run_ids[lacking[0]]}) "
            "tell no magnitudes at some level, and weightings are not mixed: take --weighting count"
        )
    return found


def _by_bootstrap(pruned: Floats, sampling: Floats, method: Method) -> Estimate[Floats] | None:
    """Return the bootstrap over seeds, beside the default from three seeds on."""
    if method != "moderated" or len(pruned) < LEAST_SEEDS["bootstrap"]:
        return None
    other = estimate(pruned, "bootstrap", sampling=sampling)
    return Estimate(np.exp(other.centre), np.exp(other.low), np.exp(other.high))


def _linearity(chosen: Window, weights: Floats, of_counts: bool) -> Linearity | None:
    """Test constant growth beyond N1; of one run, beyond N1 at its own scales."""
    open_ = chosen.open
    null = _null_path(chosen) if of_counts else None
    growth = growth_of(
        weights[..., open_],
        chosen.network,
        None if null is None else null[..., open_],
        chosen.kept[..., open_],
    )
    return linearity(growth)


def _null_path(chosen: Window) -> Floats | None:
    """Return what N1 keeps at the levels of the window, (S, T + 1, G), where it is to be had."""
    counts, kept, scales = chosen.counts, chosen.kept, chosen.scales
    try:
        if len(np.unique(kept, axis=0)) > 1:
            found, _ = null_groups(counts, chosen.network, scales)
        else:
            found = own_null_groups(counts, kept, scales)
    except RgtoolError:
        return None
    return found if (found[..., chosen.open] > 0).all() else None


@dataclass(frozen=True, eq=False)
class _Beside:
    """The null models that stand beside a spectrum, NaN where they are not to be had."""

    untrained: Untrained
    anomalous: Estimate[Floats]
    against: tuple[AgainstNull, ...]
    notes: tuple[str, ...]


def _no_nulls(chosen: Window) -> _Beside:
    nothing = np.full(len(chosen.counts.names), np.nan)
    note = "the null stands beside counts: no null for magnitudes here"
    initial = missing_null(chosen)
    untrained = Untrained(initial.eigenvalue, initial.exponent, nothing, nothing, np.nan)
    against = against_null(initial.beyond, MARGIN)
    return _Beside(untrained, initial.beyond.estimate, against, (note,))


def _nulls_beside(
    chosen: Window, y: Floats, dense: Callable[[str], DenseWeights], margin: float
) -> _Beside:
    at = Situation(chosen, dense)
    try:
        initial, about = initial_null(chosen, y)
    except RgtoolError as error:
        initial, p = missing_null(chosen), np.nan
        notes: tuple[str, ...] = (Note(f"no null is shown: {error}", NULLS, Rank.WARNING),)
    else:
        p, tested = _tested(chosen, y, initial, margin)
        notes = (*about, *tested)
    static = _static_eigenvalue(at, y)
    untrained = Untrained(initial.eigenvalue, initial.exponent, static, at.random_sd, p)
    against = against_null(initial.beyond, margin)
    return _Beside(untrained, initial.beyond.estimate, against, notes)


def _tested(
    chosen: Window, y: Floats, initial: Null, margin: float
) -> tuple[float, tuple[str, ...]]:
    """Test a spectrum against that of its initial scales, and say what came of it."""
    dead = initial.dead(chosen.counts.names)
    p, why = null_p(y, initial, chosen)
    if dead:
        why = (
            f"{', '.join(dead)}: the null would have lost every weight, so it has no exponent, "
            "there is no anomalous one, and the spectrum is not tested against it"
        )
    elif np.isfinite(p):
        without = why and f"; {why}"
        words = "differs from" if p < ALPHA else "cannot be told from"
        null = null_words(chosen.counts.recipe)
        why = f"the spectrum {words} that of {null} (p {p:.2g}{without})"
        if p < ALPHA and set(against_null(initial.beyond, margin)) <= {"none", ""}:
            why += f", but by less than {margin / flow.UNIT:.2g} in every exponent"
    elif len(y) < 2 or chosen.open.sum() < 2:
        return p, ()
    return p, (why,)


def _static_eigenvalue(at: Situation, y: Floats) -> Floats:
    """Return the eigenvalues of N2, NaN where runs keep no dense weights; `nulls_of` says why."""
    try:
        kept, _ = NULL_MODELS["static"](at)
    except RgtoolError:
        return np.full(y.shape[-1], np.nan)
    return set_beside("static", kept, y, at.window).eigenvalue
