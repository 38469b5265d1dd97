"""Fisher pruning: squared gradients of single images (Theis et al. 2018, arXiv 1801.05787)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor
from torch.nn.functional import one_hot

from .gradients import as_arrays, squared_gradients
from .scoring import Scores, Scoring


def scores(scoring: Scoring) -> Scores:
    """Score every weight by w^2 mean_b g_b^2, g_b the gradient of image b's cross-entropy.

    The saliency of the paper's equation for the increase of the loss, w^2 / (2 N) sum_b g_b^2, but
    for the factor: the empirical Fisher information in the place of the Hessian. Costs about two
    gradients.

    Raises
    ------
    UsageError
        Batch norm takes the statistics of the batch.
    """
    squares = as_arrays(squared_gradients(scoring, _of_the_label))
    return {
        name: np.square(scoring.weights[name], dtype=np.float64) * s for name, s in squares.items()
    }


def _of_the_label(logits: Tensor, labels: Tensor) -> Iterator[Tensor]:
    """Yield the gradient of the cross-entropy with respect to the logits."""
    p = logits.double().softmax(1)  # a sure p is 1 in float32
    yield (p - one_hot(labels, logits.shape[1])).to(logits.dtype)
