"""Real steps of a plan's training, timed; nothing is recorded."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ...schemas.errors import RgtoolError
from ..plan import Plan
from ..pruners.scorer import Scorer, Trained
from ..pruning import Mask, dense_mask
from ..replicas.loader import Loader
from ..replicas.replica_parts import ReplicaParts
from ..replicas.side_by_side import stepper
from ..replicas.step_seconds import level_steps
from ..replicas.training import Lane, Stopped, evaluate, train

_WARM_UP_STEPS = 2  # steps


def parts_of(made: Plan, seed: int) -> ReplicaParts:
    """Return what one replica of a plan computes with, at a rate that moves nothing."""
    # Speed does not depend on the learning rate, and a small one cannot diverge.
    recipe = dataclasses.replace(made.recipe, lr=1e-6)
    device = torch.device(made.device)
    return ReplicaParts(
        recipe,
        seed,
        made.outline,
        made.network,
        device,
        made.pretrained,
        made.kernels,
        lambda text: None,
    )


def speed(
    made: Plan,
    parts: Sequence[ReplicaParts],
    seconds: float,
    ready: Callable[[], object] = lambda: None,
    *,
    mask: Mask | None = None,
    sparse: bool = False,
) -> tuple[float, float]:
    """Train replicas side by side and return images a second: by the clock, by processor time."""
    lanes = [Lane(one.trainer(mask, sparse=sparse)) for one in parts]
    step = stepper(made.kernels)
    # A whole epoch where kernels are built: those of the partial last batch are others.
    loader = parts[0].loader
    built = made.kernels.graph or made.kernels.compiled
    warm_up = loader.iterations_per_epoch if built else _WARM_UP_STEPS
    train(lanes, 0, warm_up, step)
    if lanes[0].trainer.device.type == "cuda":
        torch.cuda.synchronize()
    ready()
    done, began, busy = warm_up, time.perf_counter(), time.process_time()

    def enough(steps: int) -> bool:
        nonlocal done
        done = steps
        return time.perf_counter() - began > seconds

    lanes[0].on_step = enough
    with contextlib.suppress(Stopped):
        train(lanes, warm_up, sys.maxsize, step)
    if lanes[0].trainer.device.type == "cuda":
        torch.cuda.synchronize()
    images = (done - warm_up) * len(lanes) * loader.end / loader.iterations_per_epoch
    return images / (time.perf_counter() - began), images / (time.process_time() - busy)


def level_images(made: Plan, loader: Loader) -> float:
    """Count the images that one level trains on, from the rewind point on."""
    per_epoch = loader.iterations_per_epoch
    return level_steps(made.recipe, 0, per_epoch) * loader.end / per_epoch


def evaluation_seconds(one: ReplicaParts) -> float:
    """Measure a pass over the test set: its first batch, once the libraries are warm."""
    evaluate(one.module, one.tests[:1])
    began = time.perf_counter()
    evaluate(one.module, one.tests[:1])
    return (time.perf_counter() - began) * len(one.tests)


def scoring_seconds(made: Plan, one: ReplicaParts) -> float:
    """Measure what the mask of a level takes: one step over one batch, once libraries are warm."""
    if made.pruner.of_training or (made.parents and made.found is None):
        return 0.0  # what training has summed, or nothing
    scorer, initial = Scorer(one, made.pruner, made.layers), one.initial("init")
    mask, asked_for = dense_mask(made.layers), False

    def first() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal asked_for
        asked_for = True
        return itertools.islice(scorer.loader.epoch(0), 1)

    def score() -> float:
        scoring = scorer.scoring(Trained(initial, initial), mask, 1, 1, 0.5)
        began = time.perf_counter()
        made.pruner.scores(dataclasses.replace(scoring, batches=first))
        return time.perf_counter() - began

    try:
        seconds = min(score(), score())
    except RgtoolError:  # the run tells it
        return 0.0
    batches = scorer.loader.iterations_per_epoch if asked_for else 1
    return seconds * batches * made.recipe.score_steps
