"""What a replica's pruner is shown at the end of a level, and the mask that follows from it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...schemas.blocks import Layer
from ...schemas.errors import RgtoolError
from ...schemas.records.layout import RunFolder
from ...schemas.tensors.safetensors import read_tensors
from ..pruning import Beginning, Mask, Scores, next_mask, ranked_together
from ..replicas.loader import Loader
from ..replicas.movement import Movement
from ..replicas.randomness import generator
from ..replicas.replica_parts import ReplicaParts
from ..replicas.training import Arrays, load_arrays, state_arrays
from .demands import scores_dense, scores_rewound
from .registry import Pruner
from .scoring import Scoring


@dataclass(frozen=True)
class Trained:
    """A network whose weights are scored.

    Attributes
    ----------
    state : dict of str to array
        Its weights and buffers.
    began : dict of str to array
        Those that the training of these began from.
    movement : mapping of layer name to array, or None
        See `Scoring.movement`.
    """

    state: Arrays
    began: Arrays
    movement: Scores | None = None


class Scorer:
    """Finds the masks of one replica.

    Parameters
    ----------
    on : ReplicaParts
        What the replica computes with: network, recipe, seed, images.
    pruner : Pruner
        What ranks the weights.
    layers : sequence of Layer
        The counted layers.
    """

    def __init__(self, on: ReplicaParts, pruner: Pruner, layers: Sequence[Layer]) -> None:
        self.on, self.pruner, self.layers = on, pruner, layers

    def trained(
        self, began: Arrays, rewound: Arrays, folder: RunFolder, movement: Movement | None
    ) -> Trained:
        """Return what the recipe lets the pruner score at the end of a level.

        Parameters
        ----------
        began, rewound : dict of str to array
            What the level began from, and the rewind weights.
        folder : RunFolder
            The run, which has kept the trained dense network where that is scored.
        movement : Movement or None
            Of the steps of the level.
        """
        recipe = self.on.recipe
        if scores_rewound(recipe):
            return Trained(rewound, rewound)
        if scores_dense(recipe):
            return Trained(_dense(folder), self.dense_start(rewound))
        sums = movement.by_layer() if movement else None
        return Trained(state_arrays(self.on.module), began, sums)

    def dense_start(self, rewound: Arrays) -> Arrays:
        """Return what level 0 begins from: where the schedule restarts, it runs through it all."""
        return self.on.initial("init") if self.on.recipe.schedule == "restart" else rewound

    def next_mask(self, trained: Trained, mask: Mask, level: int, began: Beginning) -> Mask:
        """Prune once.

        Parameters
        ----------
        trained : Trained
            What is scored.
        mask : Mask
            The mask of the level before.
        level : int
            The level that the new mask is for.
        began : Beginning
            What the replica began with.

        Raises
        ------
        RgtoolError
            The pruner fails, or its scores say nothing.
        Stopped
            The replica is to stop, between two steps.
        """

        def score(left: Mask, step: int, density: float) -> Scores:
            if step > 1:
                self.on.heed()
            try:
                scores = self.pruner.scores(self.scoring(trained, left, level, step, density))
                for part in ranked_together(self.layers, self.on.recipe):
                    _check(scores, left, part)
            except RgtoolError as error:
                raise RgtoolError(f"pruner {self.pruner.name} at level {level}: {error}") from None
            return scores

        weights = {layer.name: trained.state[f"{layer.name}.weight"] for layer in self.layers}
        return next_mask(score, weights, mask, self.layers, self.on.recipe, level, began)

    def scoring(
        self, trained: Trained, mask: Mask, level: int, step: int, density: float
    ) -> Scoring:
        """Return what the pruner sees at one step: copies, which it may work in."""
        on, recipe = self.on, self.on.recipe
        masked = {f"{name}.weight": trained.state[f"{name}.weight"] * m for name, m in mask.items()}
        purpose = ("prune", level) if step == 1 else ("prune", level, step)
        return Scoring(
            weights=_copies({name: masked[f"{name}.weight"] for name in mask}),
            rewind=_copies({name: trained.began[f"{name}.weight"] for name in mask}),
            mask=_copies(mask),
            network=lambda: self._network({**trained.state, **masked}),
            batches=lambda: self.loader.epoch(0),
            classes=on.images.classes,
            input_shape=on.images.input_shape,
            mode=recipe.score_mode,
            movement=None if trained.movement is None else _copies(trained.movement),
            generator=generator(on.seed, *purpose),
            density=density,
        )

    def _network(self, state: Arrays) -> nn.Module:
        try:
            module = copy.deepcopy(self.on.module)
        except Exception:  # of the user's own, which may hold what cannot be copied
            module = self.on.built("score").to(self.on.device)
        load_arrays(module, state)
        module.zero_grad()
        return module.train(self.on.recipe.score_mode == "train")

    @cached_property
    def loader(self) -> Loader:
        """What is looked at: the same images at every step of every level, in equal batches."""
        images, recipe = self.on.images, self.on.recipe
        if recipe.score_images is not None:
            order = torch.randperm(
                len(images.y_train), generator=generator(self.on.seed, "score_images")
            )
            images = images.balanced_subset(
                recipe.score_images, order=order.numpy(), field="score_images"
            )
        count = len(images.y_train)
        return Loader(
            images,
            batch_size=-(-count // -(-count // recipe.batch_size)),
            augment=(),
            seed=self.on.seed,
            device=self.on.device,
        )


def _copies(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: array.copy() for name, array in arrays.items()}


def _dense(folder: RunFolder) -> Arrays:
    try:
        return read_tensors(folder.weights("dense"))[0]
    except FileNotFoundError:
        raise RgtoolError(
            f"run {folder.path.name} has no trained dense weights, which score_from dense scores: "
            "move its records from level 0 on away to compute them again"
        ) from None


def _check(scores: Scores, mask: Mask, part: Sequence[str]) -> None:
    """Refuse scores that rank nothing among the kept weights of layers that are compared."""
    candidates = {name: scores[name][mask[name]] for name in part if mask[name].any()}
    for name, values in candidates.items():
        if not np.isfinite(values).all():
            raise RgtoolError(f"scores of layer {name} are not finite")
    if candidates and not any(values.any() for values in candidates.values()):
        where = f" of layer {part[0]}" if len(part) == 1 else ""
        raise RgtoolError(f"all scores{where} are 0, so that none is smaller than another")
