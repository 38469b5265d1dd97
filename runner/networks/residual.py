"""Residual blocks (He et al. 2016), named as torchvision names them."""

from __future__ import annotations

from torch import Tensor, nn


def _shortcut(c_in: int, c_out: int) -> nn.Sequential | None:
    """Return a 1x1 convolution where the width changes."""
    if c_in == c_out:
        return None
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))


def _join(branch: Tensor, x: Tensor, downsample: nn.Module | None, stride: int) -> Tensor:
    if downsample is not None:
        # The stride of the 1x1 convolution, taken before it: the same sums, and oneDNN's own
        # strided form writes past its workspace for few channels (oneDNN issue 6035).
        x = downsample(x[..., ::stride, ::stride])
    # In place, since backpropagation needs no copy: a pass over memory less.
    return branch.add_(x).relu_()


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(c_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(c_in, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, width, H / stride, W / stride)."""
        branch = self.bn1(self.conv1(x)).relu_()
        return _join(self.bn2(self.conv2(branch)), x, self.downsample, self.stride)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the 3x3 one strides, as torchvision's does."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        c_out = width * self.expansion
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample = _shortcut(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, 4 width, H / stride, W / stride)."""
        branch = self.bn1(self.conv1(x)).relu_()
        branch = self.bn2(self.conv2(branch)).relu_()
        return _join(self.bn3(self.conv3(branch)), x, self.downsample, self.stride)


Block = type[BasicBlock] | type[Bottleneck]


def stage(block: Block, c_in: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """Stack the blocks of a stage; the first one strides and changes the width."""
    c_out = width * block.expansion
    rest = (block(c_out, width, 1) for _ in range(blocks - 1))
    return nn.Sequential(block(c_in, width, stride), *rest)
