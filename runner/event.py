"""What a run tells while it is at work."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something a progress display wants to know.

    Attributes
    ----------
    kind : str
        `epoch`, `level`, `warning`, or an end: `done`, `known` (was finished before), `stopped`,
        `diverged`, `failed`.
    seed, level : int
        Where.
    epoch : int
        Epochs done of this level.
    accuracy : float
        Of the last epoch's training batches (`epoch`) or of the test set (`level`); nan where
        nothing is trained.
    density : float
        Share of the weights that are kept.
    images_per_second : float
        Training speed of that epoch.
    message : str
        What went wrong (`failed`, `warning`).
    elsewhere : bool
        Whether a seed `failed` since another process is at work on it.
    """

    kind: str
    seed: int
    level: int = 0
    epoch: int = 0
    accuracy: float = math.nan
    density: float = math.nan
    images_per_second: float = math.nan
    message: str = ""
    elsewhere: bool = False

    @property
    def reached(self) -> str:
        """Where a level has ended: its accuracy, if anything was trained, and its density."""
        accuracy = "" if math.isnan(self.accuracy) else f"accuracy {self.accuracy:.4f}, "
        return f"{accuracy}density {self.density:.4f}"
