"""GraSP: what a weight does for the flow of the gradient (Wang et al. 2020, arXiv 2002.07376)."""

from __future__ import annotations

import torch

from .gradients import as_arrays, hessian_product, loss_gradient
from .scoring import Scores, Scoring

TEMPERATURE = 200.0  # of the softmax, as in the authors' code


def scores(scoring: Scoring) -> Scores:
    """Score every weight by w (H g), signed: the smallest go.

    Equation 8 of the paper, S(-w) = -w (H g), where the largest go: without these weights the
    squared norm of the gradient falls least, or grows. g and H are gradient and Hessian of the
    mean cross-entropy of the scoring images, at a temperature of 200, with respect to the kept
    counted weights. In training mode they are those of the batches, each with statistics of its
    own. The authors' code draws linear layers anew before it scores; here a network is scored as
    it is. Costs about four gradients.
    """
    gradient = loss_gradient(scoring, TEMPERATURE)
    for name, g in gradient.items():
        g *= torch.from_numpy(scoring.mask[name]).to(g.device)
    products = as_arrays(hessian_product(scoring, gradient, TEMPERATURE))
    return {name: scoring.weights[name] * product for name, product in products.items()}
