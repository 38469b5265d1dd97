"""States on the disk: inside a level, saved every half minute and when a run is stopped."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

from torch import nn

from ...schemas.errors import RecordError, UsageError
from ...schemas.tensors.safetensors import read_tensors, write_tensors
from .training import Arrays, Trainer, fits

CHECKPOINT_VARIABLE = "RGTOOL_CHECKPOINT_SECONDS"
CHECKPOINT_SECONDS = 30.0


class Checkpoint:
    """A file that holds one state of training, of the level at work.

    Parameters
    ----------
    path : Path
        The file; absent between levels.

    Raises
    ------
    UsageError
        `$RGTOOL_CHECKPOINT_SECONDS` is no duration.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.every = _seconds(os.environ.get(CHECKPOINT_VARIABLE))
        self.last = time.monotonic()

    def restore(self, trainer: Trainer, level: int) -> int | None:
        """Bring a trainer to the saved state and return the iterations done.

        None where no state of this level is there, or a damaged one: training then begins again,
        to the same bits.
        """
        self.last = time.monotonic()
        try:
            arrays, metadata = read_tensors(self.path)
            state = json.loads(metadata["state"])
            if state["level"] != level:
                return None
            done = int(state["iteration"])
            trainer.restore(arrays)
        except (FileNotFoundError, RecordError, KeyError, TypeError, ValueError):
            return None
        return done

    def save(self, trainer: Trainer, level: int, done: int) -> None:
        """Write the state after `done` iterations.

        Raises
        ------
        OSError
            The disk is full or the folder is not writable; the state before is still there.
        """
        state = json.dumps({"level": level, "iteration": done})
        write_tensors(self.path, trainer.state(), {"state": state})
        self.last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self.last >= self.every

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or CHECKPOINT_SECONDS)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise UsageError(f"{CHECKPOINT_VARIABLE} is '{text}': give seconds, such as 30")
    return seconds


def kept_state(path: Path, module: nn.Module) -> Arrays | None:
    """Read a state that was kept of a network; None where it is missing, damaged or another's.

    Parameters
    ----------
    path : Path
        Where it is.
    module : nn.Module
        The network.
    """
    try:
        arrays = read_tensors(path)[0]
    except (FileNotFoundError, RecordError):  # a damaged file is computed again
        return None
    return arrays if fits(module, arrays) else None
