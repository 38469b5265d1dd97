"""How an experiment is computed, as far as its results do not depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..schemas.errors import UsageError, known_name
from . import machine

KEEPABLE = ("init", "rewind", "dense")
_MOST_THREADS = 1024


@dataclass(frozen=True)
class Launch:
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
    keep: tuple[str, ...] = ("init", "rewind")
    time_budget: float | None = None

    def __post_init__(self) -> None:
        """Hold the numbers to their ranges.

        Raises
        ------
        UsageError
            One is out of range, or two contradict each other.
        """
        object.__setattr__(self, "keep", tuple(known_name(k, KEEPABLE) or k for k in self.keep))
        unknown = [name for name in self.keep if name not in KEEPABLE]
        if unknown:
            raise UsageError(f"keep '{unknown[0]}' is unknown: choose from {', '.join(KEEPABLE)}")
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

    @classmethod
    def split(cls, options: Mapping[str, Any]) -> tuple[Launch, dict[str, Any]]:
        """Part keywords into a launch and the rest."""
        own = {field.name for field in fields(cls)} & set(options)
        launch = cls(**{name: options[name] for name in own})
        return launch, {name: value for name, value in options.items() if name not in own}
