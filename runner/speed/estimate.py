"""What an experiment will take, measured on its own first steps."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ...schemas.display import Shown, Table
from ...schemas.words import duration, size
from .. import machine
from ..own.home import printing_aside
from ..plan import Plan
from ..replicas.loader import Loader
from ..replicas.replica_parts import ReplicaParts
from ..replicas.step_seconds import is_worth, level_steps
from .by_density import ByDensity, by_density
from .probe import evaluation_seconds, parts_of, scoring_seconds, speed

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
    """Train, evaluate and score a few batches, dense and at some densities, and extrapolate.

    The disk is computed from the shapes, the time is as good as the machine is quiet. Choosing
    kernels and listing kept weights, once a level, are measured too.
    """
    device = torch.device(made.device)
    machine.prepare(device, made.recipe.precision, made.threads)
    parts = [parts_of(made, seed) for seed in made.seeds[: made.replicas]]
    first = parts[0]
    test_seconds = evaluation_seconds(first) if made.recipe.epochs else 0.0
    between = test_seconds + scoring_seconds(made, first)
    images_per_second, busy = speed(made, parts, PROBE_SECONDS)
    curve, gains = _by_density(made, first, images_per_second, busy)
    stretches = _stretches(made, first.loader, curve, gains, len(parts) / images_per_second)
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
        seconds=_longest(made, stretches, between),
    )


def _by_density(
    made: Plan, one: ReplicaParts, clock: float, busy: float
) -> tuple[ByDensity, list[float]]:
    """Measure what levels cost by what they keep; how many times as fast as dense ones they are."""
    steps = (level_steps(made.recipe, n, one.loader.iterations_per_epoch) for n in (-1, 0))
    if made.kernels.choice == "auto" and not any(map(is_worth, steps)):  # dense it stays
        made = dataclasses.replace(made, kernels=dataclasses.replace(made.kernels, sparse=""))
    seconds = PROBE_SECONDS / _DENSITIES
    if made.threads == machine.THREADS:
        curve = by_density(made, one, seconds, _DENSITIES, (clock, busy))
        return curve, curve.gains()
    torch.set_num_threads(machine.THREADS)
    try:
        curve = by_density(made, one, seconds, _DENSITIES)
        return curve, curve.gains(clock)
    finally:
        torch.set_num_threads(made.threads)


class Stretch(NamedTuple):
    """Seconds of the steps of a level, or of those before the rewind point.

    Attributes
    ----------
    every : float
        Of every seed: its steps, and to list the kept weights.
    choosing : float
        More of a seed that comes to it first: to choose its kernels.
    """

    every: float
    choosing: float


def _stretches(
    made: Plan, loader: Loader, curve: ByDensity, gains: Sequence[float], side_by_side: float
) -> list[Stretch]:
    """Return the stretches of a run in their order; `side_by_side`: seconds of a dense image."""
    per_epoch = loader.iterations_per_epoch
    found = []
    for level in range(-1, made.levels + 1):
        steps, images = level_steps(made.recipe, level, per_epoch), loader.end / per_epoch
        begins = curve.beginning(curve.densities[max(level, 0)], steps, images)
        trains = steps * images * side_by_side / gains[max(level, 0)]
        found.append(Stretch(trains + begins.lists, begins.choosing))
    if found[0].choosing:  # level 0 takes that
        found[1] = found[1]._replace(choosing=0.0)
    return found


def _longest(made: Plan, stretches: Sequence[Stretch], between: float) -> float:
    """Return the time of the process, or place beside others in one, that has the most to do.

    `between`: seconds to evaluate and prune a level.
    """
    places = [0.0] * (made.workers * made.replicas)
    rewind, *levels = stretches
    for number, seed in enumerate(made.seeds):  # each goes to the first that is free
        to_do = made.levels_to_do(seed)
        finds = made.found is not None or not made.parents
        begins = finds and to_do[:1] == [0]
        seconds = begins * rewind.every + sum(levels[level].every for level in to_do)
        if number < len(places):  # seeds after these, and controls, take what they choose
            seconds += begins * rewind.choosing + sum(levels[one].choosing for one in {*to_do})
        heapq.heapreplace(places, places[0] + seconds + len(to_do) * between)
    return max(places)
