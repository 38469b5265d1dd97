"""Gradients over the scoring images: of the mean loss, and of every image by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...schemas.errors import UsageError
from ...schemas.spelling import asked
from ..replicas.randomness import seeded
from .scoring import Scoring

Gradients = dict[str, Tensor]
# What is propagated back from the logits (B, C) and labels (B,): tensors (B, C).
Signals = Callable[[Tensor, Tensor], Iterable[Tensor]]
_AT_ONCE = 1 << 23  # numbers of gradients of single images that are held at a time: 32 MB
_TRIED = 3  # images that both ways of squaring are held together on


def loss_gradient(scoring: Scoring, temperature: float = 1.0) -> Gradients:
    """Return the gradient of the mean cross-entropy over the scoring images.

    Parameters
    ----------
    scoring : Scoring
        Network, images, and what batch norm does.
    temperature : float
        What the logits are divided by.

    Returns
    -------
    dict of layer name to Tensor
        Of the shapes of the counted weights; pruned weights have gradients too.
    """
    weights = _free_weights(scoring)
    total, images = _zeros(weights), 0
    for loss, count in _losses(scoring, temperature):
        _add(total, torch.autograd.grad(loss, list(weights.values()), allow_unused=True))
        images += count
    return {name: sum_ / images for name, sum_ in total.items()}


def hessian_product(scoring: Scoring, vector: Gradients, temperature: float = 1.0) -> Gradients:
    """Return H v, H the Hessian of what `loss_gradient` is the gradient of.

    By a second backward pass through the first (Pearlmutter 1994), at the cost of about three
    gradients; nothing of the size of H is made.

    Parameters
    ----------
    scoring : Scoring
        Network, images, and what batch norm does.
    vector : dict of layer name to Tensor
        v, of the shapes of the counted weights.
    temperature : float
        What the logits are divided by.
    """
    weights = _free_weights(scoring)
    total, images = _zeros(weights), 0
    for loss, count in _losses(scoring, temperature):
        inputs = list(weights.values())
        first = torch.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
        pairs = zip(first, vector.values(), strict=True)
        along = torch.stack([(g * v).sum() for g, v in pairs if g is not None]).sum()
        _add(total, torch.autograd.grad(along, inputs, allow_unused=True))
        images += count
    return {name: sum_ / images for name, sum_ in total.items()}


def squared_gradients(scoring: Scoring, signals: Signals) -> Gradients:
    """Return the mean over images of the squared gradients of every image by itself.

    A convolution or linear layer's gradient of one image is a product of what went in and of what
    comes back, so a batch needs one pass forward and one backward a signal. A network for which
    that is not so (weights that its code changes before they are used, or that are used elsewhere;
    images that lie along another dimension) is found out on the first images, and its images then
    pass one by one.

    Parameters
    ----------
    scoring : Scoring
        Network and images.
    signals : callable
        From logits (B, C) and labels (B,) the gradients with respect to the logits, (B, C) each,
        whose squares are summed.

    Raises
    ------
    UsageError
        Batch norm takes the statistics of the batch: no image has a gradient of its own.
    """
    weights = _free_weights(scoring)
    hold_apart(scoring.module)
    total, images = _zeros(weights), 0
    add: _Squares | None = None
    for number, (x, y) in enumerate(scoring.batches()):
        with _drawing(scoring, number):
            if add is None:
                agree = _agree(scoring.module, weights, x[:_TRIED], y[:_TRIED], signals)
                add = _add_by_parts if agree else _add_one_by_one
            add(total, scoring.module, weights, x, y, signals)
        images += len(y)
    return {name: sum_ / images for name, sum_ in total.items()}


def hold_apart(module: nn.Module) -> None:
    """Hold that every image has a gradient of its own in a network, in the mode that it is in.

    Raises
    ------
    UsageError
        Batch norm takes the statistics of the batch; the message names the first.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and (
            part.training or part.running_mean is None
        ):
            also = " and a batch norm that keeps statistics" if part.running_mean is None else ""
            raise UsageError(
                f"{name} takes the statistics of the batch, which tie together the images whose "
                f"gradients are squared one by one: choose {asked('score_mode', 'eval')}{also}, or "
                "snip or grasp"
            )


def multiply_adds(module: nn.Module, names: Iterable[str], image: Tensor) -> int:
    """Count the multiplications with weights of the named layers that the way forward takes.

    Parameters
    ----------
    module : nn.Module
        The network; it may be on the device `meta`, where nothing is computed.
    names : iterable of str
        Counted layers.
    image : Tensor, shape (1, C, H, W)
        An image, on the same device.
    """
    weights = {name: module.get_parameter(f"{name}.weight") for name in names}
    with torch.no_grad(), _watched(module.eval(), weights) as uses:
        module(image)
    return sum(
        use.output.numel() // len(weight) * weight.numel()
        for name, weight in weights.items()
        for use in uses[name]
    )


def as_arrays(gradients: Gradients) -> dict[str, NDArray[np.float64]]:
    """Return gradients as float64 arrays, so that products of small ones are not lost."""
    return {name: g.detach().cpu().numpy().astype(np.float64) for name, g in gradients.items()}


def _free_weights(scoring: Scoring) -> dict[str, nn.Parameter]:
    """Let the counted weights alone have gradients, and batch norm do what it is to do."""
    scoring.module.train(scoring.mode == "train")
    scoring.module.requires_grad_(False)
    weights = {name: scoring.module.get_parameter(f"{name}.weight") for name in scoring.weights}
    for weight in weights.values():
        weight.requires_grad_(True)
    return weights


def _drawing(scoring: Scoring, batch: int) -> AbstractContextManager[None]:
    """Let what dropout and its like draw follow from the step and the batch, at every pass."""
    return seeded(scoring.device, scoring.generator.initial_seed(), "scoring", batch)


def _losses(scoring: Scoring, temperature: float) -> Iterator[tuple[Tensor, int]]:
    """Yield the summed loss of every batch, and its images."""
    for number, (x, y) in enumerate(scoring.batches()):
        with _drawing(scoring, number):
            logits = scoring.module(x).double() / temperature  # a sure p is 1 in float32
        yield nn.functional.cross_entropy(logits, y, reduction="sum"), len(y)


def _zeros(weights: Mapping[str, Tensor]) -> Gradients:
    return {name: torch.zeros_like(weight, requires_grad=False) for name, weight in weights.items()}


def _add(total: Gradients, parts: Sequence[Tensor | None]) -> None:
    """Add gradients to their sums; weights that take no part in the output have none."""
    for sum_, part in zip(total.values(), parts, strict=True):
        if part is not None:
            sum_ += part


# Squares of the gradients of single images.


@dataclass(frozen=True)
class _Use:
    """A counted weight at work: what went into its part, and what came out."""

    part: nn.Conv2d | nn.Linear
    x: Tensor
    output: Tensor

    def gradients(self, back: Tensor, rows: slice) -> Tensor:
        """Return the gradients of some images, (b, *shape of the weight), from what comes back."""
        x, back, weight = self.x[rows], back[rows], self.part.weight
        if isinstance(self.part, nn.Linear):
            x, back = (t.reshape(len(t), -1, t.shape[-1]) for t in (x, back))
            return back.transpose(1, 2) @ x
        groups = self.part.groups
        patches = _patches(self.part, x).reshape(len(x), groups, -1, back[0, 0].numel())
        back = back.reshape(len(x), groups, len(weight) // groups, -1)
        return (back @ patches.transpose(-1, -2)).reshape(len(x), *weight.shape)


_Squares = Callable[
    [Gradients, nn.Module, Mapping[str, nn.Parameter], Tensor, Tensor, Signals], None
]


def _patches(part: nn.Conv2d, x: Tensor) -> Tensor:
    """Return what every position of the output sees, (B, values, positions)."""
    mode = "constant" if part.padding_mode == "zeros" else part.padding_mode
    padded = nn.functional.pad(x, part._reversed_padding_repeated_twice, mode=mode)
    return nn.functional.unfold(padded, part.kernel_size, part.dilation, 0, part.stride)


@contextlib.contextmanager
def _watched(
    module: nn.Module, weights: Mapping[str, nn.Parameter]
) -> Iterator[dict[str, list[_Use]]]:
    """Note every use of a counted weight by a convolution or linear layer."""
    names = {id(weight): name for name, weight in weights.items()}
    uses: dict[str, list[_Use]] = {name: [] for name in weights}

    def note(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        uses[names[id(part.weight)]].append(_Use(part, inputs[0].detach(), output))  # type: ignore[arg-type]
        return output.clone()  # what follows may change it in place

    parts = [p for p in module.modules() if isinstance(p, nn.Conv2d | nn.Linear)]
    hooks = [p.register_forward_hook(note) for p in parts if id(p.weight) in names]
    try:
        yield uses
    finally:
        for hook in hooks:
            hook.remove()


def _add_by_parts(
    total: Gradients,
    module: nn.Module,
    weights: Mapping[str, nn.Parameter],
    x: Tensor,
    y: Tensor,
    signals: Signals,
) -> None:
    """Add the squares of a batch's gradients: one pass forward, one backward a signal."""
    with _watched(module, weights) as uses:
        logits = module(x)
    outputs = [use.output for of_weight in uses.values() for use in of_weight]
    for signal in signals(logits.detach(), y):
        found = torch.autograd.grad(
            logits, outputs, signal, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        backs = iter(found)
        for name, of_weight in uses.items():
            _add_squares(total[name], of_weight, [next(backs) for _ in of_weight])


def _add_squares(total: Tensor, uses: Sequence[_Use], backs: Sequence[Tensor]) -> None:
    if len(uses) == 1 and uses[0].x.dim() == 2:  # the square of a product is that of its factors
        total += backs[0].square().T @ uses[0].x.square()
        return
    if not uses:
        return
    patches = max(use.output[0].numel() // len(total) * total[0].numel() for use in uses)
    images = max(1, _AT_ONCE // max(total.numel(), patches))
    for first in range(0, len(uses[0].x), images):
        rows = slice(first, first + images)
        gradients = [use.gradients(back, rows) for use, back in zip(uses, backs, strict=True)]
        total += sum(gradients[1:], start=gradients[0]).square_().sum(0)


def _add_one_by_one(
    total: Gradients,
    module: nn.Module,
    weights: Mapping[str, nn.Parameter],
    x: Tensor,
    y: Tensor,
    signals: Signals,
) -> None:
    """Add the squares of a batch's gradients: every image passes alone."""
    for image, label in zip(torch.split(x, 1), torch.split(y, 1), strict=True):
        logits = module(image)
        for signal in signals(logits.detach(), label):
            found = torch.autograd.grad(
                logits, list(weights.values()), signal, retain_graph=True, allow_unused=True
            )
            _add(total, [None if g is None else g.square() for g in found])


def _agree(
    module: nn.Module, weights: Mapping[str, nn.Parameter], x: Tensor, y: Tensor, signals: Signals
) -> bool:
    """Tell whether both ways lead to the same squares."""
    fast, slow = _zeros(weights), _zeros(weights)
    _add_by_parts(fast, module, weights, x, y, signals)
    _add_one_by_one(slow, module, weights, x, y, signals)
    return all(
        torch.allclose(fast[name], one, rtol=1e-3, atol=1e-4 * float(one.max()))
        for name, one in slow.items()
    )
