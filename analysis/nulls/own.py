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
    """Return scales of layers that are moved, group by group, to where the counts put them.

    log t_B, at which group B keeps what it keeps, is averaged over levels with weights inverse to
    its sampling variance, that of a binomial count over the squared slope of the count. Relative to
    the other groups, the scales of B lie higher by as much as its log t_B lies lower.

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
    scales, shape = np.array(tau, np.float64), DISTRIBUTIONS[distribution]
    for group in range(counts.shape[-1]):
        members = (index == group) & ~exempt
        if not members.any():
            continue
        number, own = totals[members], scales[:, None, members]
        left = counts[..., group] - totals[(index == group) & exempt].sum()
        share = (left + 0.5) / (number.sum() + 1)  # half a weight on either side: never 0 or 1
        t = threshold(number, own, share * number.sum(), distribution)
        x = t[..., None] / own
        q, slope = shape.kept(x), (number * shape.density(x) * x).sum(axis=-1)
        weight = slope**2 / np.maximum((number * q * (1 - q)).sum(axis=-1), 1e-300)
        log_t = (weight * np.log(t)).sum(axis=-1) / weight.sum(axis=-1)
        scales[:, members] *= np.exp(-log_t)[:, None]
    return scales
