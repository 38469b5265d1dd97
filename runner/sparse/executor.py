"""A step of training by the sparse kernels, in place of `Trainer`'s own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...schemas.recipe import Recipe
from ..networks import InputShape
from ..pruning import Mask
from .lanes import Arena, Size
from .library import Library, Rule, library
from .networks import Units, add_units, unserved_part
from .signals import Context
from .units import Convolution


def unserved(module: nn.Module, recipe: Recipe, input_shape: InputShape) -> str | None:
    """Say why a network trains dense, in words; None where the sparse kernels serve it."""
    if recipe.optimizer != "sgd":
        return f"sparse kernels train with sgd, not {recipe.optimizer}"
    if recipe.precision != "float32":
        return f"sparse kernels compute in float32, not {recipe.precision}"
    parameters = list(module.parameters())
    kinds = {(tensor.device.type, tensor.dtype) for tensor in parameters}
    if kinds != {("cpu", torch.float32)}:
        return "sparse kernels compute on the CPU in float32"
    if not all(tensor.requires_grad for tensor in parameters):
        return "some of its weights are frozen"
    return unserved_part(module)


class Executor:
    """Steps of SGD on the kept weights alone, in the memory of a network's own tensors.

    Whatever else reads or writes these tensors between two steps (a checkpoint, a rewinding, an
    evaluation) finds and leaves the truth in them: nothing is kept here but memory.

    Parameters
    ----------
    module : nn.Module
        The network; its weights are zero where the mask is.
    momenta : mapping of parameter name to Tensor or None
        Momenta, of the strides of the parameters; those of pruned weights are left as they are.
    mask : Mask or None
        The kept weights (None, and layers that it does not name: all).
    recipe : Recipe
        Momentum and weight decay.
    input_shape : tuple of int
        Channels, height and width of the images.
    batch_size : int
        Images of the largest batch.
    kernels : Library, optional
        Of another instruction set than the widest.
    between : callable, optional
        Called between two units, whose lists take long where weights are many; what it raises ends
        the making.

    Raises
    ------
    Missing
        There are no kernels, see `library`.

    Notes
    -----
    A network that `unserved` says something of must not be given.
    """

    def __init__(
        self,
        module: nn.Module,
        momenta: Mapping[str, Tensor | None],
        mask: Mask | None,
        recipe: Recipe,
        input_shape: InputShape,
        batch_size: int,
        kernels: Library | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        kernels = kernels or library()
        self.name = f"sparse {kernels.instruction_set}"
        self.module, self.recipe = module, recipe
        self.input_shape, self.batch_size = tuple(input_shape), batch_size
        names = {part: name for name, part in module.named_modules()}
        momentum_of: dict[Tensor | None, Tensor | None] = {
            parameter: momenta[name] for name, parameter in module.named_parameters()
        }

        def mask_of(layer: nn.Module) -> NDArray[np.bool_]:
            weight = layer.get_parameter("weight")
            found = (mask or {}).get(names[layer])
            shape = tuple(weight.shape)
            return np.ones(shape, dtype=np.bool_) if found is None else found.reshape(shape)

        context = Context(kernels, Arena(), batch_size, mask_of, momentum_of.get)
        self.units = Units(context, Size(*input_shape), between)
        add_units(self.units, module)

    @torch.no_grad()
    def step(self, images: Tensor, labels: Tensor, lr: float) -> tuple[float, int]:
        """Make a step of SGD in place.

        Parameters
        ----------
        images : float32 Tensor, shape (B, C, H, W)
            Of any strides, up to `batch_size` of them.
        labels : int64 Tensor, shape (B,)
        lr : float
            Learning rate.

        Returns
        -------
        tuple of float, int
            Sum of the losses (nats) and number of images whose label has the largest logit.

        Raises
        ------
        ValueError
            A batch of another kind or size, or one of which a batch norm would see a single value a
            channel, as torch raises it.
        IndexError
            A label is no class.
        """
        count, units = len(images), self.units.in_order
        self._check_batch(images, labels)
        self._check_values(count)
        rule = Rule(lr, self.recipe.momentum, self.recipe.weight_decay)
        self.units.images.take(images)
        for unit in units:
            unit.forward(count)
        loss, correct = self.units.loss(labels)
        for unit in reversed(units):
            unit.backward(count, rule)
        return loss, correct

    def _check_batch(self, images: Tensor, labels: Tensor) -> None:
        """Hold a batch to what there is memory for, since the kernels do not look."""
        found = (*images.shape[1:], images.dtype, images.device.type)
        expected = (*self.input_shape, torch.float32, "cpu")
        if found != expected or not 0 < len(images) == len(labels) <= self.batch_size:
            raise ValueError(
                f"a batch of {tuple(images.shape)} {images.dtype} with {len(labels)} labels: "
                f"1 to {self.batch_size} images of {self.input_shape} torch.float32 are expected"
            )

    def _check_values(self, images: int) -> None:
        for unit in self.units.in_order:
            if isinstance(unit, Convolution) and images * unit.size.pixels == 1:
                size = [images, unit.outputs[0].size.channels, 1, 1]
                raise ValueError(
                    f"Expected more than 1 value per channel when training, got input size {size}"
                )
