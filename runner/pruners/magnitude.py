"""Magnitude: score = |w| (Han et al. 2015, arXiv 1506.02626)."""

from __future__ import annotations

import numpy as np

from ..pruning import Scores
from .scoring import Scoring


def scores(scoring: Scoring) -> Scores:
    """Return |w| of every weight."""
    return {name: np.abs(weight) for name, weight in scoring.weights.items()}
