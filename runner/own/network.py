"""A network of the user's own, as rgtool's networks are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from torch import nn

from ..networks import InputShape
from .function import OwnFunction
from .trial import Traits, laid_out, made, traits


@dataclass(frozen=True)
class OwnNetwork:
    """A network that a function of the user's own builds.

    Parameters
    ----------
    function : OwnFunction
        Called with what it accepts of `input_shape`, `channels`, `classes` and `num_classes`.
    blocks : tuple of (str, str)
        Block map: patterns of layer names, and blocks; empty: the names of the parts tell.
    """

    function: OwnFunction
    blocks: tuple[tuple[str, str], ...] = ()
    # With this object alone: a function may use values that its source does not tell.
    _tried: dict[tuple[InputShape, int], Traits] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __reduce__(self) -> tuple[type[OwnNetwork], tuple[object, ...]]:
        """Leave out what another process finds itself."""
        return OwnNetwork, (self.function, self.blocks)

    @property
    def name(self) -> str:
        """The function's name, and a hash of its source and of the block map."""
        digest = self.function.home.digest
        if self.blocks:
            digest = hashlib.sha256(json.dumps([digest, self.blocks]).encode()).hexdigest()
        return f"{self.function.label}-{digest[:8]}"

    @property
    def sources(self) -> tuple[dict[str, str], ...]:
        """Name, hash and text of what it is written in, for the description of a run."""
        sources = self.function.home.sources(self.function.place)
        if not self.blocks:
            return sources
        text = json.dumps(dict(self.blocks))
        digest = hashlib.sha256(text.encode()).hexdigest()
        return (*sources, {"path": "blocks", "sha256": digest, "text": text})

    def build(
        self, input_shape: InputShape, classes: int, *, pooling: str | None = None
    ) -> nn.Module:
        """Build it; `pooling` is a matter of rgtool's own networks.

        What it draws comes from PyTorch's global generator.

        Raises
        ------
        RgtoolError
            The function fails, or what it returns cannot be trained.
        """
        channels_last = self.traits(input_shape, classes).channels_last
        return laid_out(made(self.function, input_shape, classes), input_shape, channels_last)

    def traits(self, input_shape: InputShape, classes: int) -> Traits:
        """Build it and try it on two images, once; see `trial.traits`."""
        key = input_shape, classes
        if key not in self._tried:
            blocks = dict(self.blocks) or None
            self._tried[key] = traits(self.function, self.name, blocks, input_shape, classes)
        return self._tried[key]

    def words(self, error: BaseException) -> str:
        """Say what an error in its code is, and in which line."""
        return f"{self.function.place} fails: {self.function.home.words(error)}"
