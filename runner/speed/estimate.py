"""What an experiment will take, measured on its own first steps."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import torch

from ...schemas.display import Shown, Table
from ...schemas.words import duration, size
from .. import machine
from ..own.home import printing_aside
from ..plan import Plan
from .bench import evaluation_seconds, level_images, parts_of, speed

PROBE_SECONDS = 1.5
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
        Training speed of one process, all its replicas together.
    seconds : float
        Time that the remaining records take with the plan's workers.
    """

    plan: Plan
    parameters: int
    remaining: int
    disk: int
    images_per_second: float
    seconds: float

    def table(self) -> Table:
        """Return what `rgtool run --dry-run` prints."""
        alone = ", if they do not slow one another" if self.plan.workers > 1 else ""
        speed = f"{self.images_per_second:.0f} images/s, one process alone (probed)"
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
    """Train and evaluate a few batches of the dense network and extrapolate.

    Pruned networks take as long as dense ones: the arithmetic is dense. The disk is computed from
    the shapes, the time is as good as the machine is quiet.
    """
    device = torch.device(made.device)
    machine.prepare(device, made.recipe.precision, made.threads)
    parts = [parts_of(made, seed) for seed in made.seeds[: made.replicas]]
    first = parts[0]
    images_per_second, _ = speed(made, parts, PROBE_SECONDS)
    experiments = 1 if made.found is None else 2
    remaining = made.remaining()
    side_by_side = level_images(made, first.loader) * len(parts) / images_per_second
    parameters = sum(p.numel() for p in first.module.parameters())
    runs = experiments * len(made.seeds)
    weights = 4 * sum(t.numel() for t in first.module.state_dict().values()) * len(made.keep)
    return Estimate(
        plan=made,
        parameters=parameters,
        remaining=remaining,
        disk=made.records * (_RECORD_BYTES + made.kept[0] // 8) + runs * weights,
        images_per_second=images_per_second,
        seconds=_longest(made) * (side_by_side + evaluation_seconds(first)),
    )


def _longest(made: Plan) -> int:
    """Count the levels of the process, or place beside others in one, that has the most to do."""
    places = [0] * (made.workers * made.replicas)
    for seed in made.seeds:  # each goes to the first that is free
        heapq.heapreplace(places, places[0] + made.remaining_of(seed))
    return max(places)
