"""How an experiment is computed, as far as its results do not depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..schemas.display import Shown, Table
from ..schemas.errors import UsageError, choose
from ..schemas.words import spelled
from . import machine

if TYPE_CHECKING:
    import torch

KEEPABLE = ("init", "rewind", "dense")
_MOST_THREADS = 1024
_BRANCHES = 8  # replicas that a GPU gets at once; memory decides in the end


@dataclass(frozen=True)
class Launch(Shown):
    """Where and how an experiment is computed: what `run`, `plan` and `bench` take by keyword.

    Attributes
    ----------
    device : str
        `auto`, `cpu`, `cuda` or `cuda:1`.
    workers : int or None
        Processes at once; None takes one a core.
    threads : int
        Threads of a process; other numbers give other bits, and several processes of one thread
        train more images than one of several.
    replicas : int or None
        Replicas that train side by side in a process; None: one on a CPU, several on a GPU.
    compile : str
        `auto`, `on` or `off`: whether PyTorch's compiler fuses the steps; `auto` does not, but
        takes CUDA graphs on a GPU.
    kernels : str or None
        `auto`, `dense` or `sparse`: whether a level computes the weights that are pruned too; None:
        `$RGTOOL_KERNELS`, then `auto`, which measures when a level begins.
    keep : tuple of str
        Weights that stay in the store: any of `init`, `rewind`, `dense`.
    time_budget : float or None
        Seconds after which to stop cleanly, inside a level if need be.
    """

    device: str = "auto"
    workers: int | None = None
    threads: int = machine.THREADS
    replicas: int | None = None
    compile: str = "auto"
    kernels: str | None = None
    keep: tuple[str, ...] = ("init", "rewind")
    time_budget: float | None = None

    def __post_init__(self) -> None:
        """Hold the numbers to their ranges.

        Raises
        ------
        UsageError
            One is out of range, or two contradict each other.
        """
        keep = tuple(choose("keep", name, KEEPABLE) for name in self.keep)
        object.__setattr__(self, "keep", keep)
        if not 1 <= self.threads <= _MOST_THREADS:
            raise UsageError(f"threads is {self.threads}: from 1 to {_MOST_THREADS} compute")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}: at least one process is needed")
        if self.replicas is not None and self.replicas < 1:
            raise UsageError(f"replicas is {self.replicas}: at least one trains at a time")
        if (self.workers or 1) > 1 and (self.replicas or 1) > 1:
            raise UsageError(
                f"workers {self.workers} and replicas {self.replicas} together: seeds train in "
                "processes of their own (the faster way on a CPU) or side by side in one (on a GPU)"
            )

    def table(self) -> Table:
        """Return its options."""
        rows = [(one.name, spelled(getattr(self, one.name), "none")) for one in fields(self)]
        return Table(("option", "value"), rows)

    def spread(self, seeds: int, device: torch.device, most: int | None) -> tuple[int, int]:
        """Return how many processes compute, at most `most`, and how many replicas in each."""
        workers = most or self.workers
        if workers is None and (self.replicas or 1) > 1:
            workers = 1
        at_once = min(seeds, workers or max(1, machine.workers(device) // self.threads))
        side_by_side = self.replicas or (1 if device.type == "cpu" else _BRANCHES)
        return at_once, min(side_by_side, -(-seeds // at_once))

    @classmethod
    def split(cls, options: Mapping[str, Any]) -> tuple[Launch, dict[str, Any]]:
        """Part keywords into a launch and the rest."""
        own = {field.name for field in fields(cls)} & set(options)
        launch = cls(**{name: options[name] for name in own})
        return launch, {name: value for name, value in options.items() if name not in own}
