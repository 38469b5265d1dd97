"""What a pruner asks of a recipe, and which weights a recipe lets it score."""

from __future__ import annotations

from ...schemas.errors import UsageError
from ...schemas.recipe import Recipe
from ...schemas.spelling import asked
from ..datasets.images import Images
from .registry import Pruner


def scores_rewound(recipe: Recipe) -> bool:
    """Tell whether the rewind weights are scored: asked for, or nothing is trained."""
    return recipe.score_at == "rewind" or recipe.epochs == 0


def scores_dense(recipe: Recipe) -> bool:
    """Tell whether every pruning scores the trained dense network, which then must be kept."""
    return recipe.score_from == "dense" and not scores_rewound(recipe)


def check_scheme(recipe: Recipe, pruner: Pruner, images: Images) -> None:
    """Hold a recipe to what its pruner asks for.

    Parameters
    ----------
    recipe, pruner : Recipe, Pruner
        The recipe, and what its field of that name means.
    images : Images
        The whole data set.

    Raises
    ------
    UsageError
        The pruner would have nothing to rank by.
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
    if recipe.score_images is not None:
        trained = images.part(recipe.train_size, recipe.valid_size)
        trained.balanced_subset(recipe.score_images, field="score_images")
