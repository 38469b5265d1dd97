"""How tensors of a parent become those of another network, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ...schemas.blocks import Architecture
from ...schemas.tickets.perturbation import Perturbation
from ...schemas.tickets.stack import stack_of
from ...schemas.tickets.transform import Transform
from ..networks import InputShape
from .elastic import later_copies, stretched
from .pixels import dense_first, permuted_inputs, pixels_seed

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Transformation:
    """A transformation of tickets.

    Attributes
    ----------
    spelling : str or None
        The only one that the recipe has of it; None where tickets stay what they are.
    carry : callable
        Transforms a state dict or a mask, tensors by the names of a network or of its layers.
    copies : tuple of str
        Layers of the network that are made of what another layer before them is made of.
    perturbation : Perturbation or None
        What changes masks by other masks of the parent, see `perturbed`; tensors alone stay.
    """

    spelling: str | None
    carry: Callable[[Tensors], Tensors]
    copies: tuple[str, ...] = ()
    perturbation: Perturbation | None = None


def transformation(
    transform: str | None, parent: Architecture, network: Architecture, shape: InputShape
) -> Transformation:
    """Find the transformation that a text means.

    Parameters
    ----------
    transform : str or None
        As the user or a recipe has it.
    parent, network : Architecture
        The parent's network and the child's.
    shape : tuple of int
        Channels, height and width of the child's images.

    Raises
    ------
    UsageError
        There is none, or it does not fit the networks.
    """
    if transform is None:
        return Transformation(None, lambda tensors: tensors)
    if (wanted := Perturbation.read(transform)) is not None:
        wanted = wanted.resolve(network.name, network.layers)
        return Transformation(str(wanted), lambda tensors: tensors, perturbation=wanted)
    if (seed := pixels_seed(transform)) is not None:
        dense_first(network, shape, seed)
        return Transformation(
            f"pixels:{seed}", lambda tensors: permuted_inputs(tensors, seed, network, shape)
        )
    stacks = (stack_of(one.name, one.layers) for one in (parent, network))
    blocks = Transform.parse(transform).resolve(*stacks)
    return Transformation(
        str(blocks),
        lambda tensors: stretched(tensors, parent, network, blocks),
        later_copies(network, blocks),
    )
