"""What the numbers of a spectrum alone do not say: flags in words, never silent cuts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...store.counts import Counts
from ..arrays import Bools, Floats
from ..stats.level import ALPHA
from ..stats.moderation import moderate, seed_variance
from ..window import Window
from .bootstrap import CAVEATS
from .intervals import FEW_WEIGHTS, Interval
from .linearity import LEAST_WEIGHTS, Linearity, growth_of, odd_first_step
from .verdicts import Judgement

ODD = 3.0  # z of a first step that is unlike the later ones
EIGENFUNCTION = 0.05  # the paper's criterion: standard deviation over levels below 5 % (App. B)


def spectrum_notes(
    chosen: Window,
    pruned: Floats,
    found: Interval,
    judgement: Judgement,
    linear: Linearity | None,
) -> list[str]:
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
    return [
        *_few(chosen, found),
        *_groups(counts),
        *_copies(chosen),
        *_alike(counts, pruned, found),
        *_small(chosen, found),
        *_scatter(counts, pruned, found),
        *_twice_certain(counts, judgement),
        *_growth(chosen, pruned, judgement, linear),
    ]


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
    if found.seeds == 2 and found.innovation is not None:
        notes.append(
            "two seeds: of 95 % intervals about 90 % cover where one factor moves all groups, and "
            "84 % in a group whose seeds scatter 8 times as far as the others': three seeds mend it"
        )
    if found.method in CAVEATS:
        notes.append(f"method {found.method} {CAVEATS[found.method]}")
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


def _groups(counts: Counts) -> list[str]:
    notes = []
    exempt = [name for name, flag in zip(counts.names, counts.exempt, strict=True) if flag]
    if exempt:
        notes.append(
            f"{', '.join(exempt)}: exempt from pruning but counted, so the eigenvalue is 1/rho and "
            "the exponent 1 by construction; no verdict"
        )
    if len(counts.names) - len(exempt) < 2:
        notes.append(
            "fewer than two groups are pruned, so no group can be compared with another: "
            "a finer grouping (--by layer) may have more"
        )
    return notes


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
        else "the interval knows no scatter but what other groups lend"
    )
    return [f"{names}: all seeds are alike (are they copies of one run?): {known}"]


def _small(chosen: Window, found: Interval) -> list[str]:
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
    if found.innovation is None:
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
    few = ", ".join(name for name, p in zip(names, linear.p, strict=True) if np.isnan(p))
    if few:
        notes.append(
            f"{few}: fewer than {LEAST_WEIGHTS} weights at level {chosen.end}: left out of the "
            "tests of constant growth"
        )
    if linear.rejected:
        notes.append(_bent(names, linear))
        notes += _marginally(names, np.array(judgement.verdict)[active], linear)
    with np.errstate(over="ignore"):
        spread = np.exp(pruned[..., active]).std(axis=1, ddof=1).mean(axis=0)
    wide = [name for name, sd in zip(names, spread, strict=True) if sd >= EIGENFUNCTION]
    if wide:
        notes.append(
            f"{', '.join(wide)}: standard deviation over levels of 5 % or more, no eigenfunction "
            "by the paper's own criterion (App. B)"
        )
    return notes + _odd_first_step(chosen, names) + _change(chosen, linear)


def _bent(names: list[str], linear: Linearity) -> str:
    bent = [name for name, p in zip(names, linear.p, strict=True) if p < ALPHA]
    which = f"{', '.join(bent[:6])}{' ...' if len(bent) > 6 else ''}" if bent else "no group alone"
    beyond = (
        ", and the bend of an untrained network, which is not known, is not taken off"
        if linear.canonical is None
        else " beyond that of the untrained network"
    )
    return (
        f"growth is not constant{beyond} (p {linear.p_all:.2g}; {which}): eigenvalues are averages "
        "of a flow that bends; bend and correction (c/b) of --json and to_frame() say how much"
    )


def _marginally(names: list[str], verdict: NDArray[np.str_], linear: Linearity) -> list[str]:
    """Say which way a marginal group goes whose growth changes, if not only as untrained ones do.

    The sign of c decides, that of the flow and of what it has beyond the untrained network alike.
    """
    if linear.canonical is None:
        return []
    alike = (linear.slope + linear.canonical) * linear.slope > 0
    bends = (verdict == "marginal") & (linear.p < ALPHA) & alike
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
    whole = chosen.between(0, chosen.end)
    growth = growth_of(whole.kept[..., chosen.open], whole.network)
    if len(growth.at) < 3 or growth.at[0] > 0:
        return []
    z = odd_first_step(growth.rate[:, 0], growth.rate[:, 1:])
    odd = [name for name, value in zip(names, z, strict=True) if abs(value) > ODD]
    if not odd:
        return []
    return [
        f"the step 0 -> 1 is unlike the later ones (|z| up to {np.nanmax(np.abs(z)):.0f}; "
        f"{', '.join(odd[:6])}{' ...' if len(odd) > 6 else ''}); it is "
        + ("outside the window" if start else f"in the window, --window 1:{chosen.end} has it out")
    ]


def _change(chosen: Window, linear: Linearity) -> list[str]:
    if not linear.change_p < ALPHA:
        return []
    return [
        f"growth changes after level {chosen.start + linear.change} (p {linear.change_p:.2g}): a "
        "window chosen for that would void the stated coverage"
    ]


def _some_names(counts: Counts, flags: Bools) -> str:
    names = [name for name, flag in zip(counts.names, flags, strict=True) if flag]
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")
