"""The law of the weights of an experiment as they are at the end of a window."""

from __future__ import annotations

import numpy as np

from .. import scales
from ..arrays import Floats
from ..nulls.initial import DistributionName
from ..nulls.known import weight_law
from ..window import Window


def log_time(chosen: Window) -> Floats:
    """Return -log density of the network: shape (S, T + 1)."""
    return np.asarray(-np.log(chosen.network / chosen.counts.total.sum()))


def present_law(chosen: Window) -> tuple[DistributionName, tuple[str, ...]]:
    """Return the distribution of weights that the forecast rests on, and what is assumed.

    The edge of uniform weights is there while they are as they were drawn: whatever training adds
    spreads beyond it, and the largest of the weights, which decide here, come to have Gaussian
    tails. Counts tell which it is.
    """
    counts, pruned = chosen.counts, chosen.open
    initial, notes = weight_law(counts)
    kept, total = chosen.kept[..., pruned], counts.total[pruned].astype(np.float64)
    of = (kept, total, log_time(chosen))
    if moved(*of, initial) <= moved(*of, "gaussian"):
        return initial, notes
    text = (
        f"scales are those of Gaussian weights: those of {initial} ones ({counts.recipe.init}) "
        "move more in this window, so weights are no longer as they were drawn"
    )
    return "gaussian", (*notes, text)


def moved(kept: Floats, total: Floats, time: Floats, distribution: DistributionName) -> float:
    """Return the sum of squared drifts over their sampling variances.

    It is least under the distribution that counts are likeliest under if nothing moves. Arguments
    are those of `emptying.motion`.
    """
    known = scales.usable(kept, total)
    if known.sum() < 2:
        return 0.0
    drift, variance = scales.scale_drift(kept[..., known], total[known], time, distribution)
    return float((drift**2 / variance).sum())
