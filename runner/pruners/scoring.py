"""What a pruner sees: the weights, where they came from, the network with them, and data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from ...schemas.errors import UsageError
from ..pruning import LayerWeights, Mask, Scores

Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Scoring:
    """What a pruner sees of a network at one step of one pruning; all of it is its own to change.

    Attributes
    ----------
    weights : mapping of layer name to float32 array
        Of the counted layers, as they are scored: trained, or the rewind weights where the recipe
        says so. Pruned ones are 0.
    rewind : mapping of layer name to float32 array
        What the training of these began from.
    mask : mapping of layer name to boolean array
        What is kept now, of which the smallest scores go.
    network : callable
        Makes the network with these weights, masked and in `mode`, on its device.
    batches : callable
        Yields images (B, C, H, W) and labels (B,), the same at every call; raises UsageError where
        there are none.
    classes : int
        Number of classes.
    input_shape : tuple of int
        Channels, height, width.
    mode : str
        `eval` or `train`: what batch norm does.
    movement : mapping of layer name to float64 array, or None
        Minus the sum of lr g w over the steps of the level, where the pruner asks for it; None
        where nothing was trained.
    generator : torch.Generator
        Random numbers of this step.
    density : float
        What this step leaves of the whole network.
    """

    weights: LayerWeights
    rewind: LayerWeights
    mask: Mask
    network: Callable[[], nn.Module]
    batches: Batches
    classes: int
    input_shape: tuple[int, int, int]
    mode: str = "eval"
    movement: Scores | None = None
    generator: torch.Generator = field(default_factory=torch.Generator)
    density: float = 1.0

    @cached_property
    def module(self) -> nn.Module:
        """The network with these weights, made when it is first used; a pruner may change it."""
        return self.network()

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.module.parameters()).device


Scheme = Callable[[Scoring], Scores]  # the smallest scores go


def no_images() -> Iterator[tuple[Tensor, Tensor]]:
    """Stand for images where there are none.

    Raises
    ------
    UsageError
        Always.
    """
    raise UsageError(
        "the pruner looks at images, and there are none here: choose one that needs none, such as "
        "magnitude, random, erk or synflow"
    )
