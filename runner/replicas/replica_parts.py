"""What a replica computes with: its network, its batches, the device they lie on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch

from ...schemas.recipe import Recipe
from ..datasets.images import Images
from ..models import Network, initialise
from ..pruning import Mask
from .kernels import Kernels
from .loader import Batches, Loader, test_batches, valid_batches
from .pretrained import Pretrained
from .randomness import generator, seeded
from .sparse_training import SparseTrainer
from .training import Arrays, Stopped, Trainer, state_arrays


class ReplicaParts:
    """Made when it is first used, since it takes memory: a finished run needs none of it.

    Parameters
    ----------
    recipe, seed : Recipe, int
        What to do, and the seed that everything random follows from.
    images : Images
        The data set.
    network : KnownNetwork or OwnNetwork
        The network that the recipe names.
    device : torch.device
        Where to compute.
    pretrained : Pretrained or None
        Weights that training starts from.
    kernels : Kernels
        How the steps are computed.
    tell : callable
        Hears what goes wrong with them.
    should_stop : callable
        Asked by `heed`.
    """

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        images: Images,
        network: Network,
        device: torch.device,
        pretrained: Pretrained | None,
        kernels: Kernels,
        tell: Callable[[str], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.recipe, self.seed, self.images = recipe, seed, images
        self.network, self.device = network, device
        self.pretrained, self.kernels, self.tell = pretrained, kernels, tell
        self.should_stop = should_stop

    def heed(self) -> None:
        """Ask whether to stop, between two pieces of work that is no step of training.

        Raises
        ------
        Stopped
            The answer is yes.
        """
        if self.should_stop():
            raise Stopped

    @cached_property
    def module(self) -> torch.nn.Module:
        """The network."""
        return self.built("init").to(self.device)

    def built(self, *purpose: str | int) -> torch.nn.Module:
        """Build the network, on the CPU; what its own code draws follows from the seed too."""
        images = self.images
        with seeded(torch.device("cpu"), self.seed, *purpose, "build"):
            return self.network.build(
                images.input_shape, images.classes, pooling=self.recipe.pooling
            )

    @cached_property
    def forward(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """What computes its logits in training."""
        return self.kernels.forward(self.module, self.tell)

    @cached_property
    def loader(self) -> Loader:
        """The training batches."""
        return Loader(
            self.images,
            batch_size=self.recipe.batch_size,
            augment=self.recipe.augment,
            seed=self.seed,
            device=self.device,
            drop_last=self.recipe.drop_last,
        )

    @cached_property
    def tests(self) -> Batches:
        """The test set."""
        return test_batches(self.images, self.device)

    @cached_property
    def validation(self) -> Batches:
        """The validation set; empty where nothing is held out."""
        return valid_batches(self.images, self.device)

    def trainer(self, mask: Mask | None, *, sparse: bool = False) -> Trainer:
        """Return a trainer of the network as it is, without momentum."""
        if sparse:
            return SparseTrainer(self.module, self.recipe, self.loader, mask, self.heed)
        traits = self.network.traits(self.images.input_shape, self.images.classes)
        return Trainer(self.module, self.recipe, self.loader, mask, self.forward, traits.draws)

    def initial(self, *purpose: str | int) -> Arrays:
        """Draw weights from the seed; at the beginning pretrained ones take their places.

        On the CPU, so that they are the same wherever they are trained.
        """
        module = self.built(*purpose)
        initialise(
            module,
            init=self.recipe.init,
            fan=self.recipe.fan,
            bn_init=self.recipe.bn_init,
            head_init=self.recipe.head_init,
            rng=generator(self.seed, *purpose),
        )
        drawn = state_arrays(module)
        if self.pretrained is not None and purpose == ("init",):
            drawn |= self.pretrained.arrays
        return drawn
