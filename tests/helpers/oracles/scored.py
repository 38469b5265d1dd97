"""Networks to be scored, and what the formulas of pruners are in float64, slow and plain."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from rgtool.runner.layers import layers_of
from rgtool.runner.pruners.scoring import Scoring

CLASSES = 3


class Mixed(nn.Module):
    """Strides, groups, dilation, another padding, shortcuts in place, positions, pooling, BN."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 4, 3, stride=2, padding=2, dilation=2, groups=2)
        self.around = nn.Conv2d(4, 4, (1, 3), padding="same", padding_mode="circular")
        self.along = nn.Linear(4, 5)
        self.fc = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.norm(self.first(x)).relu_(), 2, 1, 1)
        x = self.grouped(x)
        x = self.around(x).add_(x).relu_()
        x = self.along(x.flatten(2).transpose(1, 2)).relu_()
        return self.fc(x.mean(1))


class Plain(nn.Module):
    """Two layers of linear maps; `smooth` puts a tanh between them, `drop` is for training."""

    def __init__(self, smooth: bool = False, drop: float = 0.0) -> None:
        super().__init__()
        self.drop = nn.Dropout(drop)
        self.hidden = nn.Linear(8, 6)
        self.fc = nn.Linear(6, CLASSES)
        self.smooth = smooth

    def forward(self, x: Tensor) -> Tensor:
        x = self.hidden(x[:, :, :2, :2].flatten(1))
        return self.fc(self.drop(x.tanh() if self.smooth else x.relu()))


class Odd(nn.Module):
    """Weights that are changed before they are used, used twice, used by no part; batch second."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = Centred(2, 4, 3, padding=1)
        self.twice = nn.Linear(4, 4)
        self.aside = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.fc = nn.Linear(4, CLASSES)
        self.unused = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.changed(x).relu().flatten(2).transpose(1, 2)
        x = self.twice(self.twice(x).relu())
        x = nn.functional.linear(x, self.aside.weight).relu()
        x = self.second(x.transpose(0, 1)).transpose(0, 1)
        return self.fc(x.mean(1))


class Centred(nn.Conv2d):
    """A convolution with a filter whose mean is taken off."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


class Twice(nn.Module):
    """One weight at two depths, by two parts that share it."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(8, 8)
        self.other = nn.Linear(8, 8)
        self.other.weight = self.one.weight
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.other(self.one(x[:, :, :2, :2].flatten(1)).relu()).relu())


NETWORKS: dict[str, type[nn.Module]] = {"mixed": Mixed, "odd": Odd, "twice": Twice}


def data(images: int, shape: Sequence[int] = (2, 5, 4), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return images and labels, all classes among them."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % CLASSES
    return torch.randn(images, *shape, generator=rng), labels


def scoring(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    batch: int = 4,
    mode: str = "eval",
    keep: float = 0.8,
    density: float = 0.5,
) -> Scoring:
    """Draw weights and BN statistics, mask some of them, and say what is to be scored."""
    rng = torch.Generator().manual_seed(1)
    mask = {}
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                drawn = torch.rand(tensor.shape, generator=rng) - 0.4
                tensor.copy_(drawn if tensor.dim() < 2 else drawn * 2 / tensor[0].numel() ** 0.5)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d) and part.running_var is not None:
                part.running_var.add_(0.5)
        for layer in layers_of(module):
            weight = module.get_parameter(f"{layer.name}.weight")
            kept = torch.rand(weight.shape, generator=rng) < keep
            weight.mul_(kept)
            mask[layer.name] = kept.numpy()
    weights = {
        name: module.get_parameter(f"{name}.weight").detach().numpy().copy() for name in mask
    }

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(x.split(batch), y.split(batch), strict=True)

    channels, height, width = x.shape[1:]
    return Scoring(
        weights=weights,
        rewind=weights,
        mask=mask,
        network=lambda: copy.deepcopy(module),
        batches=batches,
        classes=CLASSES,
        input_shape=(channels, height, width),
        mode=mode,
        movement=None,
        generator=torch.Generator().manual_seed(2),
        density=density,
    )


class Exact:
    """The loss as a function of the counted weights, in float64."""

    def __init__(self, of: Scoring, temperature: float = 1.0) -> None:
        self.module = copy.deepcopy(of.module).double()
        self.module.train(of.mode == "train")
        self.shapes = {name: weight.shape for name, weight in of.weights.items()}
        self.data = [(x.double(), y) for x, y in of.batches()]
        self.temperature = temperature
        self.point = torch.cat(
            [torch.from_numpy(w).double().flatten() for w in of.weights.values()]
        )
        self.kept = torch.cat([torch.from_numpy(m).flatten() for m in of.mask.values()])

    def logits(self, flat: Tensor, x: Tensor) -> Tensor:
        parts = flat.split([int(np.prod(shape)) for shape in self.shapes.values()])
        tensors = {
            f"{name}.weight": part.reshape(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }
        others = {n: b.clone() for n, b in self.module.named_buffers()}  # BN writes into them
        return torch.func.functional_call(self.module, tensors | others, (x,)) / self.temperature

    def loss(self, flat: Tensor) -> Tensor:
        losses = [
            nn.functional.cross_entropy(self.logits(flat, x), y, reduction="sum")
            for x, y in self.data
        ]
        return torch.stack(losses).sum() / sum(len(y) for _, y in self.data)

    def image_losses(self, flat: Tensor) -> list[Tensor]:
        return [
            nn.functional.cross_entropy(self.logits(flat, x[i : i + 1]), y[i : i + 1])
            for x, y in self.data
            for i in range(len(y))
        ]

    def image_logits(self, flat: Tensor) -> Tensor:
        logits = [self.logits(flat, x[i : i + 1]) for x, _ in self.data for i in range(len(x))]
        return torch.cat(logits)

    def gradient(self) -> Tensor:
        """Return the gradient of the loss."""
        point = self.point.clone().requires_grad_()
        return torch.autograd.grad(self.loss(point), point)[0]

    def slopes(self, step: float = 1e-6) -> Tensor:
        """Return the gradient by central differences."""
        found = torch.empty_like(self.point)
        for i in range(len(found)):
            up, down = self.point.clone(), self.point.clone()
            up[i] += step
            down[i] -= step
            found[i] = (self.loss(up) - self.loss(down)) / (2 * step)
        return found

    def hessian(self) -> Tensor:
        """Return the whole Hessian of the loss."""
        return torch.autograd.functional.hessian(self.loss, self.point)

    def curvatures(self, step: float = 1e-4) -> Tensor:
        """Return the Hessian's diagonal by central differences."""
        found, here = torch.empty_like(self.point), self.loss(self.point)
        for i in range(len(found)):
            up, down = self.point.clone(), self.point.clone()
            up[i] += step
            down[i] -= step
            found[i] = (self.loss(up) - 2 * here + self.loss(down)) / step**2
        return found


def flat(scores: dict[str, np.ndarray]) -> np.ndarray:
    """Return the scores of all layers one behind the other."""
    return np.concatenate([one.ravel() for one in scores.values()])


def assert_close(scores: dict[str, np.ndarray], expected: Tensor, rtol: float = 1e-4) -> None:
    """Hold scores to the oracle's, in the layers' order."""
    found, wanted = flat(scores), expected.detach().numpy()
    assert np.abs(wanted).max() > 0
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())
