"""What a pruner asks of a recipe, and which weights a recipe lets it score."""

from __future__ import annotations

import torch
from torch import nn

from ...schemas.errors import UsageError
from ...schemas.recipe import Recipe
from ...schemas.spelling import asked
from ..datasets.images import Images
from ..models import KnownNetwork, Network
from . import obd
from .gradients import hold_apart
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
    if pruner.of_single_images:
        try:
            hold_apart(_built(network, recipe, images).train(recipe.score_mode == "train"))
        except UsageError as error:
            raise UsageError(f"pruner {pruner.name}: {error}") from None
    trained = images.part(recipe.train_size, recipe.valid_size)
    if recipe.score_images is not None:
        trained = trained.balanced_subset(recipe.score_images, field="score_images")
    if pruner.name == "obd" and isinstance(network, KnownNetwork):
        _hold_feasible(recipe, trained, network)


def _hold_feasible(recipe: Recipe, scored: Images, network: KnownNetwork) -> None:
    """Refuse a Hessian that would take too long, before anything is trained."""
    shape, classes = scored.input_shape, scored.classes
    layers = network.traits(shape, classes).architecture.counted(recipe.prunable)
    module = _built(network, recipe, scored)
    image = torch.empty(1, *shape, device="meta")
    obd.hold_feasible(module, [one.name for one in layers], image, len(scored.y_train), classes)


def _built(network: Network, recipe: Recipe, images: Images) -> nn.Module:
    """Build a network to look at: rgtool's own without numbers, the user's as it comes."""
    shape, classes = images.input_shape, images.classes
    if isinstance(network, KnownNetwork):
        with torch.device("meta"):
            return network.build(shape, classes, pooling=recipe.pooling)
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it is
        return network.build(shape, classes)
