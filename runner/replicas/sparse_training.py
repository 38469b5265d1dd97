"""Training whose steps leave out what is pruned."""

from __future__ import annotations

from collections.abc import Callable

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
    between : callable
        Called between two units of the network while the first step lists its weights; what it
        raises ends that step before anything has changed.
    """

    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        loader: Loader,
        mask: Mask | None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(module, recipe, loader, mask)
        self.mask, self.between = mask, between
        self._executor: Executor | None = None

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Train on one batch."""
        loss, correct = self.prepare().step(images, labels, self.rate)
        self.tally += torch.tensor([loss, correct, len(labels)], dtype=torch.float64)

    def prepare(self) -> Executor:
        """Return what makes the steps: it takes memory and time, and is made when it is needed."""
        self._executor = self._executor or self._made()
        return self._executor

    def _made(self) -> Executor:
        height, width, channels = self.loader.shape
        return Executor(
            self.module,
            dict(zip(self.parameters, self.momenta, strict=True)),
            self.mask,
            self.recipe,
            (channels, height, width),
            min(self.recipe.batch_size, self.loader.end),
            between=self.between,
        )
