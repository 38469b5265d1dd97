"""How long a step of a level takes, dense and sparse, measured on its own mask."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import torch
from torch import Tensor

from ...schemas.recipe import Recipe
from ...schemas.steps import Step
from ..pruning import Mask
from .replica_parts import ReplicaParts
from .training import Trainer, load_arrays, state_arrays

# Times as long as the other, round by round of a step of each kind: no noise turns that round.
_CLEAR = (1.5, 1.3, 1.2, 1.1, 1.0)
_FEW = 2 + 2 * len(_CLEAR)  # steps that timing makes itself, at most


class StepSeconds(NamedTuple):
    """Time of a step of training."""

    dense: float
    sparse: float

    def sharing(self, lists: float, steps: int) -> StepSeconds:
        """Let the steps of a level share what it takes to list its kept weights."""
        return self._replace(sparse=self.sparse + lists / steps)

    def __str__(self) -> str:
        return f"measured: {1e3 * self.dense:.3g} ms a step dense, {1e3 * self.sparse:.3g} sparse"


def level_steps(recipe: Recipe, level: int, per_epoch: int) -> int:
    """Count the steps of a level; below 0 those before the rewind point."""
    rewind = Step.parse(recipe.rewind).iteration(per_epoch)
    if level < 0:
        return rewind
    return recipe.whole_epochs * per_epoch - (0 if recipe.schedule == "restart" else rewind)


def is_worth(steps: int) -> bool:
    """Tell whether a level has more steps than timing makes."""
    return steps > _FEW


def step_seconds(on: ReplicaParts, mask: Mask | None, steps: int) -> StepSeconds | None:
    """Measure a step of a level, dense and sparse in turns; the network is left as it is.

    The least of a few is taken, since other programs only add to it. No more are made than tell
    which kind is the faster one, or than are worth it.

    Parameters
    ----------
    on : ReplicaParts
        What the level computes with.
    mask : Mask or None
        Its mask.
    steps : int
        How many it has.

    Returns
    -------
    StepSeconds or None
        Steps share the listing of kept weights. None where the level has fewer steps than
        measuring makes.

    Raises
    ------
    Stopped
        The run is to stop.
    """
    if not is_worth(steps):
        return None
    before = state_arrays(on.module)
    on.module.train()
    batch = on.loader.gather(next(on.loader.draws(0)))
    trainers = on.trainer(mask), on.trainer(mask, sparse=True)

    def timed() -> StepSeconds:
        return StepSeconds(*(_seconds(on, trainer, batch) for trainer in trainers))

    try:
        first = timed()  # makes what the others use
        best = StepSeconds(math.inf, math.inf)
        for rounds in range(1, len(_CLEAR) + 1):
            best = StepSeconds(*map(min, best, timed()))
            lists = max(0.0, first.sparse - best.sparse)
            found = best.sharing(lists, steps)
            if _tells(found, rounds, steps):
                break
    finally:
        load_arrays(on.module, before)
    return found


def timing_seconds(seconds: StepSeconds, lists: float, steps: int) -> float:
    """Return how long `step_seconds` takes where steps take these.

    Parameters
    ----------
    seconds : StepSeconds
        Of a step.
    lists : float
        Seconds to list the kept weights.
    steps : int
        Of the level.
    """
    if not is_worth(steps):
        return 0.0
    found = seconds.sharing(lists, steps)
    rounds = next(n for n in range(1, len(_CLEAR) + 1) if _tells(found, n, steps))
    return lists + (1 + rounds) * sum(seconds)


def _tells(found: StepSeconds, rounds: int, steps: int) -> bool:
    """Tell whether so many rounds are enough: it is clear, or another costs what is at stake."""
    at_stake = steps * abs(found.dense - found.sparse)
    is_clear = max(found) > _CLEAR[rounds - 1] * min(found)
    return is_clear or rounds == len(_CLEAR) or (rounds + 1) * sum(found) > at_stake


def _seconds(on: ReplicaParts, trainer: Trainer, batch: tuple[Tensor, Tensor]) -> float:
    on.heed()
    # Of one thread the time that it had a processor: others that take turns do not count.
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    trainer.step(*batch)
    return clock() - began
