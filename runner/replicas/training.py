"""Training networks with masks: the step, the loop over steps, the state to resume it from."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.sgd import sgd

from ...schemas.recipe import Recipe
from ...schemas.steps import Step
from ..pruning import Mask
from .arithmetic import LossScale, autocast
from .loader import Batches, Loader
from .movement import Movement
from .randomness import seeded

Arrays = dict[str, NDArray[Any]]
_MOMENTUM = "momentum/"
_TALLY, _SCALE = "tally", "loss_scale"


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
        Learning rate and its schedule, momentum, weight decay, precision.
    loader : Loader
        Batches.
    mask : Mask or None
        Pruned weights are zero before the first step and after every one, which is the same
        forward pass as masking before each (None: dense).
    forward : callable, optional
        What computes the logits instead of the module itself: the same, compiled.
    draws : bool
        The network draws random numbers, as dropout does: those of a step follow from the seed and
        the number of the step, the same at every level, as the order of the images.
    """

    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        loader: Loader,
        mask: Mask | None,
        forward: Callable[[Tensor], Tensor] | None = None,
        draws: bool = False,
    ) -> None:
        self.module, self.recipe, self.loader = module, recipe, loader
        self.forward = module if forward is None else forward
        self.device = loader.pixels.device
        per_epoch = loader.iterations_per_epoch
        self.milestones = sorted(Step.parse(m).iteration(per_epoch) for m in recipe.milestones)
        self.warmup = Step.parse(recipe.warmup).iteration(per_epoch)
        self.parameters = dict(module.named_parameters())
        # Zeros, so that the first step is like every other: 0.9 x 0 + g is g.
        self.momenta: list[Tensor | None] = [
            torch.zeros_like(parameter, requires_grad=False) if recipe.momentum else None
            for parameter in self.parameters.values()
        ]
        self.masked, self.masks = self._mask_tensors(mask or {})
        self._apply_mask()
        self.tally = torch.zeros(3, dtype=torch.float64, device=self.device)
        self.scale = LossScale(self.device) if recipe.precision == "fp16" else None
        self.movement: Movement | None = None
        self.draws, self.iteration = draws, 0
        self.rate = recipe.lr
        # On a GPU a tensor: a step that has been captured reads the rate of the day from it.
        self.lr: float | Tensor = recipe.lr
        if self.device.type != "cpu":
            self.lr = torch.full((), recipe.lr, device=self.device)

    def _mask_tensors(self, mask: Mask) -> tuple[list[Tensor], list[Tensor]]:
        weights = [self.module.get_parameter(f"{name}.weight") for name in mask]
        masks = [
            # The memory format of the weight, so that the product is one pass over both.
            torch.empty_like(weight, requires_grad=False).copy_(
                torch.from_numpy(array).reshape(weight.shape)
            )
            for array, weight in zip(mask.values(), weights, strict=True)
        ]
        return list(weights), masks

    @torch.no_grad()
    def _apply_mask(self) -> None:
        if self.masks:
            torch._foreach_mul_(self.masked, self.masks)

    def sum_movement(self, names: Sequence[str]) -> None:
        """Sum the movement of the weights of the named layers from now on."""
        self.movement = Movement({f"{n}.weight": self.parameters[f"{n}.weight"] for n in names})

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Train on one batch; nothing here waits for the device."""
        seed, device = self.loader.seed, self.device
        with seeded(device, seed, "network", self.iteration) if self.draws else nullcontext():
            self._step(images, labels)

    def _step(self, images: Tensor, labels: Tensor) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None
        with autocast(self.device, self.recipe.precision):
            logits = self.forward(images)
            loss = nn.functional.cross_entropy(logits, labels)
        (loss * self.scale.factor if self.scale else loss).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self._update()
            self._apply_mask()
            self.tally[0] += loss.detach() * len(labels)
            self.tally[1] += (logits.argmax(1) == labels).sum()
            self.tally[2] += len(labels)

    def _update(self) -> None:
        # Frozen weights, and those that take no part in the output, have no gradient.
        moved = [
            (parameter, parameter.grad, momentum)
            for parameter, momentum in zip(self.parameters.values(), self.momenta, strict=True)
            if parameter.grad is not None
        ]
        parameters, gradients, momenta = (list(column) for column in zip(*moved, strict=True))
        if self.scale:
            self.scale.lower(gradients)
        if self.movement:
            self.movement.add(self.lr, self.scale.overflow if self.scale else None)
        # The function under torch.optim.SGD: the class loads PyTorch's compiler, two seconds of
        # every process.
        sgd(
            parameters,
            gradients,
            momenta,
            lr=self.lr,  # type: ignore[arg-type]
            momentum=self.recipe.momentum,
            weight_decay=self.recipe.weight_decay,
            dampening=0,
            nesterov=False,
            maximize=False,
            fused=True,
            found_inf=self.scale.overflow if self.scale else None,
        )
        if self.scale:
            self.scale.adapt()

    def learning_rate(self, iteration: int) -> float:
        """Return the learning rate of the step that follows `iteration` steps.

        Linear up to the end of the warm-up (as in the code of Chen et al. 2021a: the first of n
        steps has lr / n), then falling by `gamma` at every milestone.
        """
        lr = self.recipe.lr * self.recipe.gamma ** bisect.bisect(self.milestones, iteration)
        return lr * (iteration + 1) / self.warmup if iteration < self.warmup else lr

    def set_rate(self, iteration: int) -> None:
        """Take the learning rate of the step that follows `iteration` steps."""
        rate, self.iteration = self.learning_rate(iteration), iteration
        if not isinstance(self.lr, Tensor):
            self.lr = rate
        elif rate != self.rate:
            self.lr.fill_(rate)
        self.rate = rate

    def run(
        self,
        start: int,
        end: int,
        *,
        on_step: Callable[[int], bool] | None = None,
        on_epoch: Callable[[int, Score], None] | None = None,
    ) -> Score:
        """Train alone from iteration `start` up to iteration `end`; see `Lane` and `train`.

        Raises
        ------
        Diverged
            A loss was not finite (looked at once an epoch), or a weight at the end is not.
        Stopped
            `on_step` asked for it.
        """
        lane = Lane(self, on_step=on_step, on_epoch=on_epoch)
        train([lane], start, end)
        if lane.diverged:
            raise Diverged
        return lane.score

    def finite(self) -> bool:
        """Tell whether all weights are finite."""
        finite = [parameter.isfinite().all() for parameter in self.parameters.values()]
        return bool(torch.stack(finite).all())

    def read_tally(self) -> Score | None:
        """Return the score of the batches since the tally was zero; None where it is not finite."""
        loss, correct, images = self.tally.tolist()
        if not math.isfinite(loss):
            return None
        return Score(loss / images, correct / images) if images else Score(math.nan, math.nan)

    def state(self) -> Arrays:
        """Copy all that training depends on: weights, BN statistics, momentum, running sums."""
        arrays = state_arrays(self.module)
        for name, momentum in zip(self.parameters, self.momenta, strict=True):
            if momentum is not None:
                arrays[_MOMENTUM + name] = momentum.cpu().numpy().copy()
        if self.movement:
            arrays |= self.movement.arrays()
        arrays[_TALLY] = self.tally.cpu().numpy().copy()
        if self.scale:
            state = [self.scale.factor.item(), self.scale.steady.item()]
            arrays[_SCALE] = np.array(state, dtype=np.float64)
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Go back to a state that `state` returned.

        Raises
        ------
        ValueError
            It is the state of another network; this one stays as it is.
        """
        shapes = {_MOMENTUM + name: tuple(p.shape) for name, p in self.parameters.items()}
        needed = self.movement.arrays() if self.movement else {}
        needed[_TALLY] = self.tally.cpu().numpy()
        shapes |= {name: array.shape for name, array in needed.items()}
        others = {name: array for name, array in arrays.items() if name in shapes}
        if (
            not fits(self.module, arrays)
            or not needed.keys() <= others.keys()
            or any(array.shape != shapes[name] for name, array in others.items())
        ):
            raise ValueError("a state of another network")
        load_arrays(self.module, arrays)
        for (name, _), momentum in zip(self.parameters.items(), self.momenta, strict=True):
            if momentum is not None and _MOMENTUM + name in arrays:
                momentum.copy_(torch.from_numpy(arrays[_MOMENTUM + name]))
            elif momentum is not None:
                momentum.zero_()
        if self.movement:
            self.movement.load(arrays)
        self.tally.copy_(torch.from_numpy(arrays[_TALLY]))
        if self.scale and _SCALE in arrays:
            self.scale.factor.fill_(float(arrays[_SCALE][0]))
            self.scale.steady.fill_(int(arrays[_SCALE][1]))

    def tensors(self) -> list[Tensor]:
        """Return every tensor that a step changes."""
        found = [*self.module.state_dict().values(), self.tally]
        found += self.movement.sums.values() if self.movement else []
        found += [momentum for momentum in self.momenta if momentum is not None]
        return found + ([self.scale.factor, self.scale.steady] if self.scale else [])


@dataclass
class Lane:
    """A replica in training, beside others or alone.

    Attributes
    ----------
    trainer : Trainer
        Its state.
    on_step : callable, optional
        Gets the number of iterations done; a true answer stops training.
    on_epoch : callable, optional
        Gets the epochs done and the score of the last one's batches.
    on_stop : callable, optional
        Gets the number of iterations done where another replica's answer stops training.
    score : Score
        Over the training batches of the last epoch, as they were trained on.
    diverged : bool
        Its loss or a weight was not finite; it was left where it was.
    """

    trainer: Trainer
    on_step: Callable[[int], bool] | None = None
    on_epoch: Callable[[int, Score], None] | None = None
    on_stop: Callable[[int], None] | None = None
    score: Score = field(default_factory=lambda: Score(math.nan, math.nan))
    diverged: bool = False


Stepper = Callable[[Sequence[Trainer], Sequence[Tensor]], None]


def plain_steps(trainers: Sequence[Trainer], draws: Sequence[Tensor]) -> None:
    """Make a step of each replica, one after another."""
    for trainer, draw in zip(trainers, draws, strict=True):
        trainer.step(*trainer.loader.gather(draw))


def train(lanes: Sequence[Lane], start: int, end: int, stepper: Stepper = plain_steps) -> None:
    """Train replicas side by side, each as if it were alone.

    Parameters
    ----------
    lanes : sequence of Lane
        Replicas of one recipe, at one point; their scores and divergences are left in them.
    start, end : int
        Iterations since the beginning of training; learning rate and data order follow them.
    stepper : callable
        Makes one step of every replica from what was drawn for each.

    Raises
    ------
    Stopped
        A lane's `on_step` asked for it.
    """
    per_epoch = lanes[0].trainer.loader.iterations_per_epoch
    lanes, done = list(lanes), start
    for lane in lanes:
        lane.trainer.module.train()
    while done < end and lanes:
        epoch, first = divmod(done, per_epoch)
        trainers = [lane.trainer for lane in lanes]
        if first == 0:
            for trainer in trainers:
                trainer.tally.zero_()
        for draws in zip(*(t.loader.draws(epoch, first) for t in trainers), strict=True):
            for trainer in trainers:
                trainer.set_rate(done)
            stepper(trainers, draws)
            done += 1
            if done == end or done % per_epoch == 0:
                break
            _ask(lanes, done)
        lanes = [lane for lane in lanes if _close_epoch(lane, math.ceil(done / per_epoch))]
        if done < end:  # now that the epoch is closed: who enters here again does not do so
            _ask(lanes, done)
    for lane in lanes:  # the last loss says nothing of the weights after it, which are pruned
        lane.diverged = not lane.trainer.finite()


def _ask(lanes: Sequence[Lane], done: int) -> None:
    """Ask every lane whether to stop; where one says so all save their states."""
    answers = [lane.on_step is not None and lane.on_step(done) for lane in lanes]
    if not any(answers):
        return
    for lane, answer in zip(lanes, answers, strict=True):
        if not answer and lane.on_stop is not None:
            lane.on_stop(done)
    raise Stopped


def _close_epoch(lane: Lane, epochs: int) -> bool:
    """Read the score of an epoch; false where the replica has diverged."""
    score = lane.trainer.read_tally()
    if score is None:
        lane.diverged = True
        return False
    lane.score = score
    if lane.on_epoch is not None:
        lane.on_epoch(epochs, score)
    return True


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
def evaluate(module: nn.Module, batches: Batches) -> Score:
    """Score a network with its running BN statistics, in float32."""
    module.eval()
    tally = torch.zeros(2, dtype=torch.float64, device=batches[0][0].device)
    images = 0
    for x, y in batches:
        logits = module(x)
        tally[0] += nn.functional.cross_entropy(logits, y, reduction="sum")
        tally[1] += (logits.argmax(1) == y).sum()
        images += len(y)
    loss, correct = tally.tolist()  # the one time that it waits for the device
    return Score(loss / images, correct / images)


def layer_weights(module: nn.Module, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Copy the weights of the named layers."""
    return {n: module.get_parameter(f"{n}.weight").detach().cpu().numpy().copy() for n in names}
