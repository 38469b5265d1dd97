"""How the steps of training are computed: plainly, compiled, or as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...schemas.errors import choose

COMPILE = ("auto", "on", "off")


@dataclass(frozen=True)
class Kernels:
    """The kernels of training; results agree to rounding, the plain ones are the reference.

    Attributes
    ----------
    compiled : bool
        The network's operations are fused by PyTorch's compiler.
    graph : bool
        A step is captured once as a CUDA graph and replayed.
    """

    compiled: bool = False
    graph: bool = False

    @property
    def name(self) -> str:
        """Their name in the description of a run: other kernels, other bits."""
        return ("cuda graph" if self.graph else "eager") + (", compiled" if self.compiled else "")

    def forward(self, module: nn.Module, tell: Callable[[str], None]) -> Callable[[Tensor], Tensor]:
        """Return what computes the logits of a network; `tell` hears of a compiler that fails."""
        return _Compiled(module, tell) if self.compiled else module


EAGER = Kernels()


def kernels(choice: str, device: torch.device, *, draws: bool = False) -> Kernels:
    """Choose kernels: `on`, `off`, or `auto`, which takes CUDA graphs and compiles nothing.

    On a CPU the gain of compiled kernels is small and they take half a minute to build. A network
    that draws random numbers is in no graph, whose branches would draw from one stream.

    Raises
    ------
    UsageError
        The choice is unknown.
    """
    choose("compile", choice, COMPILE)
    gpu = device.type == "cuda"
    return Kernels(compiled=choice == "on", graph=gpu and choice != "off" and not draws)


class _Compiled:
    """A network whose forward and backward pass the compiler fuses, as long as it can."""

    def __init__(self, module: nn.Module, tell: Callable[[str], None]) -> None:
        self.module, self.tell = module, tell
        self.fused: Callable[[Tensor], Tensor] | None = None
        self.failed = False

    def __call__(self, images: Tensor) -> Tensor:
        if self.failed:
            return self._plain(images)
        try:
            if self.fused is None:
                self.fused = _fuse(self.module)
            return self.fused(images)
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except Exception as error:  # a compiler has many ways to fail; the network itself has none
            self.failed = True
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            self.tell(f"cannot be compiled ({reason[:100]}): plain kernels do it")
            return self._plain(images)

    def _plain(self, images: Tensor) -> Tensor:
        logits: Tensor = self.module(images)
        return logits


def _fuse(module: nn.Module) -> Callable[[Tensor], Tensor]:
    import torch._inductor.config as inductor

    # Else kernels are chosen by timing them, and bits with them.
    options: dict[str, Any] = {"deterministic": True} if hasattr(inductor, "deterministic") else {}
    fused: Callable[[Tensor], Tensor] = torch.compile(module, dynamic=False, options=options)
    return fused
