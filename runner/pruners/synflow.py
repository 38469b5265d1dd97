"""SynFlow: score = w dR/dw, R = the sum of all outputs for an image of ones.

Tanaka, Kunin, Yamins & Ganguli 2020 (arXiv 2006.05467), eq. 2 and algorithm 1; Synaptic-Flow,
`pruners.py`, lines 178-211: every parameter and buffer is replaced by its absolute value, so R is
the sum over all paths of the products of |w|; no data. With `score_steps` many the scores are
computed anew after each of them, in equal ratios of density, which keeps layers from running empty.
"""

from __future__ import annotations

import numpy as np
import torch

from ...schemas.errors import RgtoolError
from ..pruning import Scores
from .scoring import Scoring


def scores(scoring: Scoring) -> Scores:
    """Return |w| dR/d|w| of every weight, in float64.

    Raises
    ------
    RgtoolError
        A layer is empty, so that R is 0 and says nothing of the others.
    """
    module = scoring.module.double()
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.abs_()
    ones = torch.ones(1, *scoring.input_shape, dtype=torch.float64, device=scoring.device)
    weights = {name: module.get_parameter(f"{name}.weight") for name in scoring.weights}
    flow = module(ones).sum()
    gradients = torch.autograd.grad(flow, list(weights.values()), allow_unused=True)
    found = {
        name: np.zeros(weight.shape)
        if gradient is None
        else (weight.detach() * gradient).cpu().numpy()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
    empty = [name for name, kept in scoring.mask.items() if not kept.any()]
    if empty and not any(score.any() for score in found.values()):
        raise RgtoolError(
            f"layer {empty[0]} has run empty, so that nothing flows: more score_steps (100 in the "
            "paper) or fewer levels"
        )
    return found
