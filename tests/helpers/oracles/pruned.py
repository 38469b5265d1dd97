"""One pruning of weights alone, without a network, training or data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rgtool.runner.pruners.registry import find_pruner
from rgtool.runner.pruners.scoring import Scoring, no_images
from rgtool.runner.pruning import LayerWeights, Mask, Scores, next_mask
from rgtool.schemas.blocks import Layer
from rgtool.schemas.recipe import Recipe

OF_WEIGHTS = ("magnitude", "random", "erk", "increase")  # pruners that need no more


def no_network() -> torch.nn.Module:
    raise AssertionError("the weights alone are scored")


def prune_once(
    weights: LayerWeights,
    mask: Mask,
    layers: Sequence[Layer],
    recipe: Recipe,
    level: int,
    rng: torch.Generator | None = None,
) -> Mask:
    """The mask of `level`, of weights that began at 0."""
    rng = rng or torch.Generator()

    def score(left: Mask, step: int, density: float) -> Scores:
        scoring = Scoring(
            weights=weights,
            rewind={name: np.zeros_like(weight) for name, weight in weights.items()},
            mask=left,
            network=no_network,
            batches=no_images,
            classes=10,
            input_shape=(1, 8, 8),
            generator=rng,
            density=density,
        )
        return find_pruner(recipe.pruner).scores(scoring)

    return next_mask(score, weights, mask, layers, recipe, level)
