"""SNIP: how much the loss feels a connection (Lee et al. 2019, arXiv 1810.02340)."""

from __future__ import annotations

import numpy as np

from .gradients import as_arrays, loss_gradient
from .scoring import Scores, Scoring


def scores(scoring: Scoring) -> Scores:
    """Score every weight by abs(w dL/dw), L the mean cross-entropy of the scoring images.

    Equations 4 and 5 of the paper: the derivative of the loss with respect to a factor on the
    connection. (The sum that equation 5 divides by changes no order.) Costs a gradient.
    """
    gradients = as_arrays(loss_gradient(scoring))
    return {name: np.abs(scoring.weights[name] * g) for name, g in gradients.items()}
