"""N1 at a run's own scales: what its groups would keep if the scales that its counts show stayed.

The scales of the recipe are those of the distribution that weights are drawn from; the weights of
one run have others, and its counts stay off those of the null all along the flow. Where several
runs are at hand their scatter tells that; of one run, the scale of every group is fitted instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ...store.counts import Counts, Scales
from .. import flow
from ..arrays import Bools, Floats, Integers
from .initial import DISTRIBUTIONS, DistributionName, initial_scale_kept, threshold
from .known import blindness
from .untrained import group_layers, layer_scales


def own_null_groups(counts: Counts, kept: Floats, scales: Sequence[Scales] = ()) -> Floats:
    """Return what N1 keeps in every group of an experiment at the own scales of its runs.

    Parameters
    ----------
    counts : Counts
        The experiment. Its recipe, or stored scales, tell the scales of layers inside a group.
    kept : array, shape (S, T, G)
        Weights that the groups keep.
    scales : sequence of mapping, length S
        As for `null_groups`.

    Returns
    -------
    array, shape (S, T, G)

    Raises
    ------
    UsageError
        Nothing tells the scales; the message says what would.
    """
    tau, shape = layer_scales(counts, scales)
    total = np.array([layer.total for layer in counts.layers], np.float64)
    exempt = np.array([layer.name in counts.exempt_layers for layer in counts.layers])
    index = flow.group_index([layer.group(counts.by) for layer in counts.layers], counts.names)
    tau = np.broadcast_to(tau, (len(kept), len(total)))
    if not blindness(counts.recipe):  # there, no scale has ever moved a count
        tau = own_scales(kept, total, tau, index, exempt, shape)
    network = kept.sum(axis=-1)
    of_layers = initial_scale_kept(total, tau[:, None], network, exempt=exempt, distribution=shape)
    return group_layers(counts, of_layers)


def own_scales(
    kept: ArrayLike,
    total: ArrayLike,
    tau: ArrayLike,
    index: Integers,
    exempt: Bools,
    distribution: DistributionName = "gaussian",
) -> Floats:
    """Return scales of layers that are moved, group by group, to where its counts put them.

    The threshold t_B at which group B keeps what it keeps is that of the network, up to what the
    scales of B are off by. log t_B less its mean over groups, with weights N_B/N, is averaged over
    levels with weights inverse to its sampling variance, which is that of a binomial count over the
    squared slope of the count.

    Parameters
    ----------
    kept : array, shape (S, T, G)
        Kept weights, exempt layers included.
    total : array, shape (L,)
        Weights of the dense layers.
    tau : array, shape (S, L)
        Their scales, in any unit.
    index : integer array, shape (L,)
        Group of every layer.
    exempt : bool array, shape (L,)
        Layers that are never pruned; they keep their scale.
    distribution : str
        Shape of the weights.

    Returns
    -------
    array, shape (S, L)
    """
    counts, totals = np.asarray(kept, np.float64), np.asarray(total, np.float64)
    scales, open_ = np.array(tau, np.float64), ~np.asarray(exempt, np.bool_)
    groups = [np.flatnonzero((index == group) & open_) for group in range(counts.shape[-1])]
    pruned = [group for group, members in enumerate(groups) if len(members)]
    fixed = flow.group_sums(np.where(open_, 0, totals), index, len(groups))
    found = [
        _threshold_of(
            counts[..., g] - fixed[g], totals[groups[g]], scales[:, groups[g]], distribution
        )
        for g in pruned
    ]
    log_t, precision = (np.stack(part, axis=-1) for part in zip(*found, strict=True))
    size = np.array([totals[groups[g]].sum() for g in pruned])
    own = log_t - (log_t @ size / size.sum())[..., None]
    moved = (precision * own).sum(axis=1) / precision.sum(axis=1)
    for place, group in enumerate(pruned):
        scales[:, groups[group]] *= np.exp(-moved[:, place, None])
    return scales


def _threshold_of(
    kept: Floats, total: Floats, tau: Floats, distribution: DistributionName
) -> tuple[Floats, Floats]:
    """Return log t at which a group of layers keeps (S, T) weights, and 1 over its variance."""
    # Half a weight on either side: never 0 or 1.
    share = (np.clip(kept, 0, total.sum()) + 0.5) / (total.sum() + 1)
    t = threshold(total, tau[:, None], share * total.sum(), distribution)
    x = t[..., None] / tau[:, None]
    q = DISTRIBUTIONS[distribution].kept(x)
    slope = (total * DISTRIBUTIONS[distribution].density(x) * x).sum(axis=-1)
    variance = (total * q * (1 - q)).sum(axis=-1)
    return np.log(t), slope**2 / np.maximum(variance, 1e-300)
