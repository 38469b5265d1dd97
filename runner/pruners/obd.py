"""Optimal brain damage: the diagonal of the Hessian (LeCun, Denker & Solla 1989)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ...schemas.errors import UsageError
from .gradients import as_arrays, multiply_adds, squared_gradients
from .scoring import Scores, Scoring

MOST = 2 * 10**14  # multiplications a scoring: hours of a core, minutes of a GPU


def scores(scoring: Scoring) -> Scores:
    """Score every weight by w^2 H_ii / 2, H the Hessian of the mean cross-entropy.

    Equation 5 of the paper, with the diagonal of the Gauss-Newton matrix, mean_b J_b' (diag p_b -
    p_b p_b') J_b, J the logits' derivatives and p the softmax. As diag p - p p' is the sum over
    labels k of p_k (e_k - p)(e_k - p)', that is the Fisher information over the network's own
    labels, a squared gradient for every image and label.

    It is the Hessian's diagonal exactly where the logits are piecewise linear in every single
    weight, so that what is left out, (p - y) times their second derivative, vanishes: networks of
    convolutions, linear layers, ReLU, pooling, shortcuts and batch norm in evaluation mode, in
    which no weight is used at two depths. All of rgtool's own are such. With other
    activations, attention, or group and layer norm it stays Gauss-Newton's, which is never
    negative. Costs about two gradients for every class.

    Raises
    ------
    UsageError
        Batch norm takes the statistics of the batch, or this would take too long.
    """
    _hold_feasible(scoring)
    squares = as_arrays(squared_gradients(scoring, _of_every_label))
    return {
        name: np.square(scoring.weights[name], dtype=np.float64) * s / 2
        for name, s in squares.items()
    }


def _of_every_label(logits: Tensor, labels: Tensor) -> Iterator[Tensor]:
    """Yield sqrt(p_k) (e_k - p) for every k."""
    p = logits.double().softmax(1)  # a sure p is 1 in float32
    for k, unit in enumerate(torch.eye(logits.shape[1], device=logits.device)):
        yield (p[:, k : k + 1].sqrt() * (unit - p)).to(logits.dtype)


def _hold_feasible(scoring: Scoring) -> None:
    images = sum(len(labels) for _, labels in scoring.batches())
    each = multiply_adds(scoring) * scoring.classes
    if images * each <= MOST:
        return
    most = MOST // each
    way = f"score_images={most} is the most" if most >= scoring.classes else "use fisher"
    raise UsageError(
        f"pruner obd: the Hessian's diagonal takes {images * each:.1e} multiplications for "
        f"{images} images and {scoring.classes} classes, {MOST:.0e} at most: {way}"
    )
