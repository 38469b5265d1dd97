"""The network that a null spectrum is of: a known one, one that is given, or an experiment's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...schemas import blocks
from ...schemas.blocks import Architecture
from ...schemas.errors import RgtoolError, UsageError
from ...schemas.recipe import Recipe
from ..named import Meaning, Named, StoreLike, counts_of
from .initial import INITIALISERS

Networked = str | Architecture | Meaning


@dataclass(frozen=True)
class Network:
    """A network, and how its weights start and go where nothing else is asked for.

    Attributes
    ----------
    architecture : Architecture
        Its layers; of an experiment those that it counts.
    init, fan : str
        Initialiser, and the fan that it divides by.
    prune : float
        Share of the remaining weights that a level removes.
    counted : bool
        Whether an experiment tells which layers count.
    """

    architecture: Architecture
    init: str = "kaiming_normal"
    fan: str = "fan_in"
    prune: float = 0.2
    counted: bool = False

    def held(self, prunable: str | None) -> str:
        """Return the set of layers that counts.

        Raises
        ------
        UsageError
            The layers are those of an experiment, and a set is asked for.
        """
        if prunable is not None and self.counted:
            raise UsageError(
                f"the layers are those that {self.architecture.name} counts in the experiment: "
                "leave prunable out"
            )
        return prunable or self.architecture.prunable


def network_of(
    what: Networked,
    store: StoreLike = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
) -> Network:
    """Find the network that something means: the name of one, itself, or an experiment.

    Raises
    ------
    UsageError
        It is none of them, or an experiment of which only numbers of weights are known.
    """
    if isinstance(what, Architecture):
        return Network(what)
    if not isinstance(what, str):
        return _of_experiment(store, what)
    try:
        return Network(blocks.architecture(blocks.canonical(what), input_shape, classes))
    except UsageError as unknown:
        try:
            return _of_experiment(store, what)
        except RgtoolError as missing:
            raise UsageError(f"{unknown}; and {missing}") from None


def _of_experiment(store: StoreLike, name: Named) -> Network:
    counts = counts_of(store, name, "layer", "an untrained network")
    recipe: Recipe = counts.recipe
    if not counts.has_shapes:
        raise UsageError(f"{counts.label}: a table tells no shapes, from which scales follow")
    found = Architecture(recipe.architecture, counts.layers, "masked", counts.exempt_layers)
    own = Network(found, prune=recipe.prune, counted=True)
    known = recipe.init in INITIALISERS
    return replace(own, init=recipe.init, fan=recipe.fan) if known else own


def check_range(prune: float, levels: tuple[int, int]) -> None:
    """Hold to their ranges how much a level prunes, and the first and last level of a window.

    Raises
    ------
    UsageError
        One is out of range.
    """
    if not 0 < prune < 1:
        raise UsageError(
            f"prune is {prune}: it is the share of the remaining weights that a level removes, "
            "between 0 and 1, such as 0.2"
        )
    if not 0 <= levels[0] < levels[1]:
        raise UsageError(
            f"levels {levels[0]}:{levels[1]} hold no step: the first is at least 0 and the last "
            "greater than the first, such as 1:17"
        )
