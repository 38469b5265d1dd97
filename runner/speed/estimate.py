"""What an experiment will take, measured on its own first steps."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...schemas.display import Shown, Table
from ...schemas.words import duration, size
from .. import machine
from ..own.home import printing_aside
from ..plan import Plan
from ..replicas.replica_parts import ReplicaParts
from .by_density import by_density
from .probe import evaluation_seconds, level_images, parts_of, rewind_images, speed

PROBE_SECONDS = 1.5
_DENSITIES = 5  # at which sparse steps are timed
_RECORD_BYTES = 6000  # of a record beside its mask; ResNet-20 takes 5.5 kB


@dataclass(frozen=True)
class Estimate(Shown):
    """Size and duration of a plan.

    Attributes
    ----------
    plan : Plan
        The plan.
    parameters : int
        Parameters of the network.
    remaining : int
        Records that are not on the disk yet.
    disk : int
        Bytes of records, masks and weights.
    images_per_second : float
        Training speed of one process, all its replicas together, where every step is dense.
    gains : tuple of float
        How many times as fast every level trains.
    seconds : float
        Time that the remaining records take with the plan's workers.
    """

    plan: Plan
    parameters: int
    remaining: int
    disk: int
    images_per_second: float
    gains: tuple[float, ...]
    seconds: float

    @property
    def speed(self) -> str:
        """The images a second of a process in words: of dense steps, and of the last level."""
        dense, last = self.images_per_second, self.images_per_second * self.gains[-1]
        sparse = f" dense, {last:.0f} at the last level" if last > dense else ""
        return f"{dense:.0f} images/s{sparse}"

    def table(self) -> Table:
        """Return what `rgtool run --dry-run` prints."""
        alone = ", if they do not slow one another" if self.plan.workers > 1 else ""
        speed = f"{self.speed}, one process alone (probed)"
        return self.plan.table(
            [
                ("parameters", f"{self.parameters}"),
                ("disk", size(self.disk)),
                ("speed", speed),
                ("time", f"about {duration(self.seconds)}{alone}"),
            ]
        )


@printing_aside()
def estimate(made: Plan) -> Estimate:
    """Train and evaluate a few batches, dense and at some densities, and extrapolate.

    The disk is computed from the shapes, the time is as good as the machine is quiet.
    """
    device = torch.device(made.device)
    machine.prepare(device, made.recipe.precision, made.threads)
    parts = [parts_of(made, seed) for seed in made.seeds[: made.replicas]]
    first = parts[0]
    test_seconds = evaluation_seconds(first)
    images_per_second, busy = speed(made, parts, PROBE_SECONDS)
    gains = _gains(made, first, images_per_second, busy)
    side_by_side = len(parts) / images_per_second
    level_seconds = [
        level_images(made, first.loader) * side_by_side / gain + test_seconds for gain in gains
    ]
    experiments = 1 if made.found is None else 2
    parameters = sum(p.numel() for p in first.module.parameters())
    runs = experiments * len(made.seeds)
    weights = 4 * sum(t.numel() for t in first.module.state_dict().values()) * len(made.keep)
    return Estimate(
        plan=made,
        parameters=parameters,
        remaining=made.remaining(),
        disk=made.records * (_RECORD_BYTES + made.total // 8) + runs * weights,
        images_per_second=images_per_second,
        gains=tuple(gains),
        seconds=_longest(
            made, level_seconds, rewind_images(made, first.loader) * side_by_side / gains[0]
        ),
    )


def _gains(made: Plan, one: ReplicaParts, clock: float, busy: float) -> list[float]:
    """Return how many times as fast as dense steps every level of a plan trains."""
    seconds = PROBE_SECONDS / _DENSITIES
    if made.threads == machine.THREADS:
        return by_density(made, one, seconds, _DENSITIES, (clock, busy)).gains()
    torch.set_num_threads(machine.THREADS)
    try:
        return by_density(made, one, seconds, _DENSITIES).gains(clock)
    finally:
        torch.set_num_threads(made.threads)


def _longest(made: Plan, level_seconds: Sequence[float], rewind_seconds: float) -> float:
    """Return the time of the process, or place beside others in one, that has the most to do."""
    places = [0.0] * (made.workers * made.replicas)
    for seed in made.seeds:  # each goes to the first that is free
        levels = made.levels_to_do(seed)
        finds = made.found is not None or not made.parents
        begins = finds and len(levels) > 0 and levels[0] == 0
        seconds = sum(level_seconds[level] for level in levels) + begins * rewind_seconds
        heapq.heapreplace(places, places[0] + seconds)
    return max(places)
