"""How the steps of training are computed: plainly, compiled, as a CUDA graph, or sparse."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...schemas.errors import UsageError, choose
from ...schemas.recipe import Recipe
from ...schemas.spelling import asked
from ..networks import InputShape
from ..pruners.registry import find_pruner
from ..sparse import Missing, describe, unserved

COMPILE = ("auto", "on", "off")
CHOICES = ("auto", "dense", "sparse")
KERNELS_VARIABLE = "RGTOOL_KERNELS"


@dataclass(frozen=True)
class Kernels:
    """The kernels of training; results agree to rounding, the plain ones are the reference.

    Attributes
    ----------
    compiled : bool
        The network's operations are fused by PyTorch's compiler.
    graph : bool
        A step is captured once as a CUDA graph and replayed.
    choice : str
        `dense`: every level multiplies by its zeros too. `sparse`: every level computes what it
        keeps. `auto`: whichever is faster when a level begins.
    sparse : str
        Name of the sparse kernels, where a level may be trained with them.
    reason : str
        In words, why every level trains dense where `auto` was asked for.
    """

    compiled: bool = False
    graph: bool = False
    choice: str = "dense"
    sparse: str = ""
    reason: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """Name of the dense ones in the description of a run: other kernels, other bits."""
        return ("cuda graph" if self.graph else "eager") + (", compiled" if self.compiled else "")

    @property
    def words(self) -> str:
        """Say what computes a level."""
        both = {"auto": f"{self.name} or {self.sparse}", "sparse": self.sparse}
        return both.get(self.choice, self.name)

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
    choice = choose("compile", choice, COMPILE)
    gpu = device.type == "cuda"
    return Kernels(compiled=choice == "on", graph=gpu and choice != "off" and not draws)


def by_level(
    dense: Kernels,
    wanted: str | None,
    device: torch.device,
    build: Callable[[], nn.Module],
    recipe: Recipe,
    input_shape: InputShape,
) -> Kernels:
    """Let levels be trained sparse, where that is asked for and can be.

    Parameters
    ----------
    dense : Kernels
        What computes the other levels.
    wanted : str or None
        One of `CHOICES`; None: `$RGTOOL_KERNELS`, then `auto`.
    device : torch.device
        Where training computes.
    build : callable
        Builds the network.
    recipe, input_shape : Recipe, tuple of int
        What it is trained with.

    Raises
    ------
    UsageError
        The choice is unknown, or sparse kernels are asked for and cannot serve.
    """
    choice = choose("kernels", wanted or os.environ.get(KERNELS_VARIABLE) or "auto", CHOICES)
    if choice == "dense":
        return dense
    reason = _why_dense(dense, device, build, recipe, input_shape)
    if reason is None:
        return replace(dense, choice=choice, sparse=f"sparse {describe()}")
    if choice == "sparse":
        raise UsageError(f"kernels sparse: {reason}; auto or dense trains it")
    return replace(dense, reason=f"every level trains dense: {reason}")


def _why_dense(
    dense: Kernels,
    device: torch.device,
    build: Callable[[], nn.Module],
    recipe: Recipe,
    input_shape: InputShape,
) -> str | None:
    """Say why no level of an experiment can be trained sparse; None where it can."""
    if device.type != "cpu":
        return "sparse kernels compute on a CPU"
    if dense.compiled:
        return f"{asked('compile', 'on')} is for dense steps"
    if (missing := missing_library()) is not None:
        return missing
    if recipe.parent is None and find_pruner(recipe.pruner).sums_movement:
        return f"pruner {recipe.pruner} sums gradients, which sparse steps do not compute in full"
    return unserved(build(), recipe, input_shape)


def missing_library() -> str | None:
    """Say why there are no sparse kernels here; None where there are."""
    try:
        describe()
    except Missing as error:
        return str(error)
    return None


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
