"""What a pruner asks of a recipe, and which weights a recipe lets it score."""

from __future__ import annotations

import torch

from ...schemas.errors import UsageError
from ...schemas.recipe import Recipe
from ...schemas.spelling import asked
from ..datasets.images import Images
from ..models import KnownNetwork, Network
from . import obd
from .registry import Pruner


def scores_rewound(recipe: Recipe) -> bool:
    """Tell whether the rewind weights are scored: asked for, or nothing is trained."""
    return recipe.score_at == "rewind" or recipe.epochs == 0


def scores_dense(recipe: Recipe) -> bool:
    """Tell whether every pruning scores the trained dense network, which then must be kept."""
    return recipe.score_from == "dense" and not scores_rewound(recipe)


def check_scheme(recipe: Recipe, pruner: Pruner, images: Images, network: Network) -> None:
    """Hold a recipe to what its pruner asks for.

    Parameters
    ----------
    recipe, pruner : Recipe, Pruner
        The recipe, and what its field of that name means.
    images : Images
        The whole data set.
    network : KnownNetwork or OwnNetwork
        What is pruned.

    Raises
    ------
    UsageError
        The pruner would have nothing to rank by, or would take too long to.
    """
    if pruner.of_training and scores_rewound(recipe):
        untrained = recipe.epochs == 0
        why = "epochs is 0" if untrained else "score_at is rewind"
        instead = asked("epochs", 1) if untrained else asked("score_at", "end")
        raise UsageError(
            f"pruner {pruner.name} ranks by what training changes, and {why}: choose {instead}, "
            f"say, or another pruner, such as {asked('pruner', 'magnitude')}"
        )
    if pruner.sums_movement and recipe.score_from == "dense":
        raise UsageError(
            f"pruner {pruner.name} sums over the steps of each level, and score_from is dense: "
            f"choose {asked('score_from', 'previous')}"
        )
    if pruner.of_single_images and recipe.score_mode == "train":
        raise UsageError(
            f"pruner {pruner.name} takes gradients of single images, which batch norm in training "
            f"mode mixes: choose {asked('score_mode', 'eval')}, or snip or grasp"
        )
    trained = images.part(recipe.train_size, recipe.valid_size)
    if recipe.score_images is not None:
        trained = trained.balanced_subset(recipe.score_images, field="score_images")
    if pruner.name == "obd" and isinstance(network, KnownNetwork):
        _hold_feasible(recipe, trained, network)


def _hold_feasible(recipe: Recipe, scored: Images, network: KnownNetwork) -> None:
    """Refuse a Hessian that would take too long, before anything is trained."""
    shape, classes = scored.input_shape, scored.classes
    layers = network.traits(shape, classes).architecture.counted(recipe.prunable)
    with torch.device("meta"):  # shapes alone
        module = network.build(shape, classes, pooling=recipe.pooling)
        image = torch.empty(1, *shape)
    obd.hold_feasible(module, [one.name for one in layers], image, len(scored.y_train), classes)
