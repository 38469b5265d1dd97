"""Increase of magnitude: score = |w_end| - |w_rewind| (Zhou et al. 2019, arXiv 1905.01067)."""

from __future__ import annotations

import numpy as np

from ..pruning import Scores
from .scoring import Scoring


def scores(scoring: Scoring) -> Scores:
    """Return by how much training has enlarged the magnitude of every weight."""
    return {
        name: np.abs(weight.astype(np.float64)) - np.abs(scoring.rewind[name].astype(np.float64))
        for name, weight in scoring.weights.items()
    }
