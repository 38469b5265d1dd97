"""Training one network with one mask: the step loop and the state it can be resumed from."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.sgd import sgd

from ..schemas.recipe import Recipe
from ..schemas.steps import Step
from .loader import Loader
from .pruning import Mask

Arrays = dict[str, NDArray[Any]]
_MOMENTUM = "momentum/"
_TALLY = "tally"


@dataclass(frozen=True)
class Score:
    """Mean loss (nats) and accuracy (fraction) over a set of images."""

    loss: float
    accuracy: float


class Diverged(Exception):
    """The training loss or a weight is not finite any more."""


class Stopped(Exception):
    """Training was asked to stop; the state is that after the last whole step."""


class Trainer:
    """A network, its mask and its momentum, somewhere in training with SGD.

    Parameters
    ----------
    module : nn.Module
        The network, on its device.
    recipe : Recipe
        Learning rate and its schedule, momentum, weight decay.
    loader : Loader
        Batches.
    mask : Mask or None
        Pruned weights are zero before the first step and after every one, which is the same
        forward pass as masking before each (None: dense).
    """

    def __init__(
        self, module: nn.Module, recipe: Recipe, loader: Loader, mask: Mask | None
    ) -> None:
        self.module, self.recipe, self.loader = module, recipe, loader
        self.device = loader.pixels.device
        per_epoch = loader.iterations_per_epoch
        self.milestones = sorted(Step.parse(m).iteration(per_epoch) for m in recipe.milestones)
        self.parameters = dict(module.named_parameters())
        self.momenta: list[Tensor | None] = [None] * len(self.parameters)
        self.masked, self.masks = self._mask_tensors(mask or {})
        self._apply_mask()
        self.tally = torch.zeros(3, dtype=torch.float64, device=self.device)

    def _mask_tensors(self, mask: Mask) -> tuple[list[Tensor], list[Tensor]]:
        weights = [self.module.get_parameter(f"{name}.weight") for name in mask]
        masks = [
            # The memory format of the weight, so that the product is one pass over both.
            torch.from_numpy(array).to(self.device, weight.dtype).reshape(weight.shape)
            for array, weight in zip(mask.values(), weights, strict=True)
        ]
        masks = [
            m.contiguous(memory_format=torch.channels_last) if m.dim() == 4 else m for m in masks
        ]
        return list(weights), masks

    @torch.no_grad()
    def _apply_mask(self) -> None:
        if self.masks:
            torch._foreach_mul_(self.masked, self.masks)

    def run(
        self,
        start: int,
        end: int,
        *,
        on_step: Callable[[int], bool] | None = None,
        on_epoch: Callable[[int, Score], None] | None = None,
    ) -> Score:
        """Train from iteration `start` up to iteration `end`.

        Parameters
        ----------
        start, end : int
            Iterations since the beginning of training; learning rate and data order follow them.
        on_step : callable, optional
            Gets the number of iterations done; a true answer stops training.
        on_epoch : callable, optional
            Gets the epochs done and the score of the last one's batches.

        Returns
        -------
        Score
            Over the training batches of the last epoch, as they were trained on.

        Raises
        ------
        Diverged
            A loss was not finite (looked at once an epoch), or a weight at the end is not.
        Stopped
            `on_step` asked for it.
        """
        per_epoch = self.loader.iterations_per_epoch
        score = Score(math.nan, math.nan)
        self.module.train()
        done = start
        while done < end:
            epoch, first = divmod(done, per_epoch)
            if first == 0:
                self.tally.zero_()
            for images, labels in self.loader.epoch(epoch, first):
                self._step(done, images, labels)
                done += 1
                if done == end:
                    break
                if on_step is not None and on_step(done):
                    raise Stopped
            score = self._read_tally()
            if on_epoch is not None:
                on_epoch(math.ceil(done / per_epoch), score)
        self._check_weights()
        return score

    def _check_weights(self) -> None:
        # The last step's loss says nothing of the weights after it, and those are pruned.
        finite = [parameter.isfinite().all() for parameter in self.parameters.values()]
        if not bool(torch.stack(finite).all()):
            raise Diverged

    def _step(self, iteration: int, images: Tensor, labels: Tensor) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None
        logits = self.module(images)
        loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self._update(self.learning_rate(iteration))
            self._apply_mask()
            self.tally[0] += loss.detach() * len(labels)
            self.tally[1] += (logits.argmax(1) == labels).sum()
            self.tally[2] += len(labels)

    def _update(self, lr: float) -> None:
        # The function under torch.optim.SGD: the class loads PyTorch's compiler, two seconds of
        # every process.
        sgd(
            list(self.parameters.values()),
            [p.grad for p in self.parameters.values() if p.grad is not None],
            self.momenta,
            lr=lr,
            momentum=self.recipe.momentum,
            weight_decay=self.recipe.weight_decay,
            dampening=0,
            nesterov=False,
            maximize=False,
            fused=True,
        )

    def learning_rate(self, iteration: int) -> float:
        """Return the learning rate of the step that follows `iteration` steps."""
        return self.recipe.lr * self.recipe.gamma ** bisect.bisect(self.milestones, iteration)

    def _read_tally(self) -> Score:
        loss, correct, images = self.tally.tolist()
        if not math.isfinite(loss):
            raise Diverged
        return Score(loss / images, correct / images) if images else Score(math.nan, math.nan)

    def state(self) -> Arrays:
        """Copy all that training depends on: weights, BN statistics, momentum, running sums."""
        arrays = state_arrays(self.module)
        for name, momentum in zip(self.parameters, self.momenta, strict=True):
            if momentum is not None:
                arrays[_MOMENTUM + name] = momentum.cpu().numpy().copy()
        arrays[_TALLY] = self.tally.cpu().numpy().copy()
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Go back to a state that `state` returned.

        Raises
        ------
        ValueError
            It is the state of another network; this one stays as it is.
        """
        shapes = {_MOMENTUM + name: p.shape for name, p in self.parameters.items()}
        shapes[_TALLY] = self.tally.shape
        others = {name: array for name, array in arrays.items() if name in shapes}
        if (
            not fits(self.module, arrays)
            or _TALLY not in others
            or any(array.shape != tuple(shapes[name]) for name, array in others.items())
        ):
            raise ValueError("a state of another network")
        load_arrays(self.module, arrays)
        for place, (name, parameter) in enumerate(self.parameters.items()):
            self.momenta[place] = None
            if _MOMENTUM + name in arrays:
                momentum = torch.empty_like(parameter, requires_grad=False)
                momentum.copy_(torch.from_numpy(arrays[_MOMENTUM + name]))
                self.momenta[place] = momentum
        self.tally.copy_(torch.from_numpy(arrays[_TALLY]))


def state_arrays(module: nn.Module) -> Arrays:
    """Copy weights and BN statistics into numpy arrays."""
    return {name: tensor.cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def fits(module: nn.Module, arrays: Arrays) -> bool:
    """Tell whether arrays that were read from a file can be loaded into the module."""
    return all(
        name in arrays and arrays[name].shape == tuple(tensor.shape)
        for name, tensor in module.state_dict().items()
    )


@torch.no_grad()
def load_arrays(module: nn.Module, arrays: Arrays) -> None:
    """Copy arrays into the module, in place, whatever its memory format and device."""
    for name, tensor in module.state_dict().items():
        tensor.copy_(torch.from_numpy(arrays[name]))


@torch.no_grad()
def evaluate(module: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> Score:
    """Score a network with its running BN statistics."""
    module.eval()
    loss = correct = images = 0.0
    for x, y in batches:
        logits = module(x)
        loss += float(nn.functional.cross_entropy(logits, y, reduction="sum"))
        correct += int((logits.argmax(1) == y).sum())
        images += len(y)
    return Score(loss / images, correct / images)


def layer_weights(module: nn.Module, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Copy the weights of the named layers."""
    return {n: module.get_parameter(f"{n}.weight").detach().cpu().numpy().copy() for n in names}
