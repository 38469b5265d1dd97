"""What an experiment will take, measured on its own first steps."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, replace

import torch

from ..schemas.steps import Step
from . import machine
from .loader import Loader, test_batches
from .models import build
from .plan import Plan
from .training import Stopped, Trainer, evaluate

PROBE_SECONDS = 1.5
_WARM_UP = 2  # steps
_RECORD_BYTES = 6000  # of a record beside its mask; ResNet-20 takes 5.5 kB


@dataclass(frozen=True)
class Estimate:
    """Size and duration of a plan.

    Attributes
    ----------
    parameters, prunable : int
        Numbers of the network, and of its counted weights.
    records : int
        Records that the whole experiment has.
    remaining : int
        Those that are not on the disk yet.
    disk : int
        Bytes of records, masks and weights.
    images_per_second : float
        Training speed of one process.
    seconds : float
        Time that the remaining records take with the plan's workers.
    """

    parameters: int
    prunable: int
    records: int
    remaining: int
    disk: int
    images_per_second: float
    seconds: float


def estimate(made: Plan) -> Estimate:
    """Train and evaluate a few batches of the dense network and extrapolate.

    Pruned networks take as long as dense ones: the arithmetic is dense. The disk is computed from
    the shapes, the time is as good as the machine is quiet.
    """
    device = torch.device(made.device)
    machine.prepare(device, made.recipe.precision, made.threads)
    images, recipe = made.images, made.recipe
    module = build(recipe.architecture, images.input_shape, images.classes).to(device)
    loader = Loader(
        images,
        batch_size=recipe.batch_size,
        augment=recipe.augment,
        seed=0,
        device=device,
        drop_last=recipe.drop_last,
    )
    per_step, per_test = _probe(module, made, loader)
    per_epoch = loader.iterations_per_epoch
    restarts = recipe.schedule == "restart"
    start = 0 if restarts else Step.parse(recipe.rewind).iteration(per_epoch)
    steps = recipe.epochs * per_epoch - start
    experiments = 1 if made.found is None else 2
    remaining = made.remaining()
    seconds = remaining * (steps * per_step + per_test) / made.workers
    parameters = sum(p.numel() for p in module.parameters())
    prunable = made.kept[0]
    runs = experiments * len(made.seeds)
    weights = 4 * sum(t.numel() for t in module.state_dict().values()) * len(made.keep)
    return Estimate(
        parameters=parameters,
        prunable=prunable,
        records=runs * (made.levels + 1),
        remaining=remaining,
        disk=runs * ((made.levels + 1) * (_RECORD_BYTES + prunable // 8) + weights),
        images_per_second=loader.end / per_epoch / per_step,
        seconds=seconds,
    )


def _probe(module: torch.nn.Module, made: Plan, loader: Loader) -> tuple[float, float]:
    """Return the seconds of a training step and of a pass over the test set."""
    # Speed does not depend on the learning rate, and a small one cannot diverge.
    trainer = Trainer(module, replace(made.recipe, lr=1e-6), loader, mask=None)
    trainer.run(0, _WARM_UP)
    done, began = _WARM_UP, time.perf_counter()

    def enough(steps: int) -> bool:
        nonlocal done
        done = steps
        return time.perf_counter() - began > PROBE_SECONDS

    with contextlib.suppress(Stopped):
        trainer.run(_WARM_UP, sys.maxsize, on_step=enough)
    per_step = (time.perf_counter() - began) / (done - _WARM_UP)
    tests = test_batches(made.images, loader.pixels.device)
    began = time.perf_counter()
    evaluate(module, tests[:1])
    return per_step, (time.perf_counter() - began) * len(tests)
