"""Movement: score = -sum_t lr_t g_t w_t over the steps of a level.

Sanh, Wolf & Rush 2020 (arXiv 2005.07683), eq. 6, in its hard form: g_t is the gradient of the loss
alone, without weight decay and momentum, at the weights w_t before step t. Positive where a weight
moves away from zero, whatever its size.
"""

from __future__ import annotations

from ...schemas.errors import UsageError
from ..pruning import Scores
from .scoring import Scoring


def scores(scoring: Scoring) -> Scores:
    """Return how far the steps have moved every weight away from zero, weight times step.

    Raises
    ------
    UsageError
        Nothing was trained.
    """
    if scoring.movement is None:
        raise UsageError("pruner movement: nothing was trained, so no weight has moved")
    return scoring.movement
