"""Random: score = a number drawn uniformly from [0, 1)."""

from __future__ import annotations

import torch

from ..pruning import Scores
from .scoring import Scoring


def scores(scoring: Scoring) -> Scores:
    """Return a random number for every weight."""
    return {
        name: torch.rand(weight.shape, generator=scoring.generator, dtype=torch.float64).numpy()
        for name, weight in scoring.weights.items()
    }
