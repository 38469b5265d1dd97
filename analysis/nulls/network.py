"""The network that a null spectrum is of: a known one, one that is given, or an experiment's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...schemas import blocks
from ...schemas.blocks import Architecture
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.recipe import CHOICES, Recipe
from ..named import Meaning, Named, StoreLike, counts_of
from .initial import INITIALISERS
from .spectrum import Grouped

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
            The layers are those of an experiment, and a set is asked for, or it is unknown.
        """
        if prunable is not None and self.counted:
            raise UsageError(
                f"the layers are those that {self.architecture.name} counts in the experiment: "
                "leave prunable out"
            )
        return choose("prunable", prunable or self.architecture.prunable, CHOICES["prunable"])

    def grouped(self, prunable: str | None, by: str | None) -> Grouped:
        """Return the layers that count, in one grouping; errors are those of both."""
        return Grouped.of(self.architecture, self.held(prunable), by)


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
