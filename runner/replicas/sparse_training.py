"""Training whose steps leave out what is pruned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...schemas.recipe import Recipe
from ..pruning import Mask
from ..sparse import Executor
from .loader import Loader
from .training import Trainer


class SparseTrainer(Trainer):
    """A trainer whose steps are computed by the sparse kernels, from and into the same state.

    Parameters
    ----------
    module, recipe, loader, mask
        As of `Trainer`; a network that the kernels serve, on a CPU.
    """

    def __init__(
        self, module: nn.Module, recipe: Recipe, loader: Loader, mask: Mask | None
    ) -> None:
        super().__init__(module, recipe, loader, mask)
        self.mask = mask
        self.executor: Executor | None = None  # takes memory: made when it is first used

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Train on one batch."""
        self.executor = self.executor or self._executor()
        loss, correct = self.executor.step(images, labels, self.rate)
        self.tally += torch.tensor([loss, correct, len(labels)], dtype=torch.float64)

    def _executor(self) -> Executor:
        height, width, channels = self.loader.shape
        return Executor(
            self.module,
            dict(zip(self.parameters, self.momenta, strict=True)),
            self.mask,
            self.recipe,
            (channels, height, width),
            min(self.recipe.batch_size, self.loader.end),
        )
