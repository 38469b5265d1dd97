"""A run whose tickets are trained: the masks and weights that it has kept."""

from __future__ import annotations

from dataclasses import dataclass

from ...schemas.blocks import Architecture, Layer
from ...schemas.errors import RecordError, RgtoolError
from ...schemas.recipe import ANEW, Recipe
from ...schemas.records.description import OWN
from ...schemas.records.layout import RunFolder
from ...schemas.steps import Step
from ...schemas.tensors.safetensors import read_tensors
from ..models import find_network, is_network
from ..networks import InputShape
from ..pruning import Mask
from ..records import description_of, found_mask, read
from ..replicas.training import Arrays


@dataclass(frozen=True)
class Source:
    """A run of any origin, as the parent of another.

    Attributes
    ----------
    folder : RunFolder
        Where it is.
    recipe : Recipe
        How it was trained.
    is_import : bool
        Whether others have trained it: of such a run the weights of counted layers alone are kept.
    """

    folder: RunFolder
    recipe: Recipe
    is_import: bool = False

    @classmethod
    def read(cls, folder: RunFolder) -> Source:
        """Read what a run says of itself.

        Raises
        ------
        RgtoolError
            There is no such run, or its description is damaged.
        """
        description = description_of(folder)
        if description is None:
            raise RgtoolError(f"run {folder.path.name}, the parent, is not in the store any more")
        return cls(folder, description.recipe, description.source != OWN)

    @property
    def name(self) -> str:
        """The run."""
        return self.folder.path.name

    def network(self, shape: InputShape, classes: int) -> Architecture:
        """Return the layers of its network: all where it is known, else those in its records.

        Parameters
        ----------
        shape, classes : tuple of int, int
            What first and last layer of a known network are made for.
        """
        name = self.recipe.architecture
        if is_network(name):
            return find_network(name).traits(shape, classes).architecture
        record = read(self.folder, self.folder.recorded_levels()[0])
        columns = ("layer", "kind", "shape", "block", "stage")
        rows = zip(*(record[column].to_pylist() for column in columns), strict=True)
        return Architecture(name, tuple(Layer(n, k, tuple(s), b, t) for n, k, s, b, t in rows))

    def has_mask(self, level: int) -> bool:
        """Tell whether the mask of a level is known: kept, or that of the dense network."""
        is_dense = level == 0 and not self.recipe.start
        return is_dense or self.folder.mask(level).is_file()

    def mask(self, level: int) -> Mask:
        """Read the mask of a level.

        Raises
        ------
        RgtoolError
            It is not there, or damaged.
        """
        return found_mask(self.folder, level)

    def start_of(self, level: int, schedule: str) -> str:
        """Name the weights that a level starts from: `rewind`, or `init`.

        Where the schedule begins again the dense network is trained from its initial weights.

        Parameters
        ----------
        level : int
            The level.
        schedule : str
            That of the run that trains the ticket.
        """
        dense = level == 0 and schedule == self.recipe.schedule == "restart"
        return "init" if dense or not self.has("rewind") and self.starts_at_zero else "rewind"

    @property
    def starts_at_zero(self) -> bool:
        """Whether its tickets are rewound to the initial weights."""
        return Step.parse(self.recipe.rewind) == Step(0, 0)

    def has(self, name: str) -> bool:
        """Tell whether the run has kept the weights called `init` or `rewind`."""
        return self.folder.weights(name).is_file()

    def check_has(self, name: str) -> None:
        """Hold that the run has kept the weights called `init` or `rewind`.

        Raises
        ------
        RgtoolError
            It has not.
        """
        if self.has(name):
            return
        control = self.recipe.control
        if control in ANEW:
            why = f"is a control {control}, which starts from other weights at every level"
        else:
            why = f"has kept no {name} weights; runs and imports keep them with --keep {name}"
        raise RgtoolError(
            f"run {self.name}, the parent, {why}; its masks alone are enough for "
            "rgtool run --control reinit"
        )

    def weights(self, name: str) -> Arrays:
        """Read the weights called `init` or `rewind`.

        Raises
        ------
        RgtoolError
            They were not kept, or are damaged.
        """
        self.check_has(name)
        try:
            tensors = read_tensors(self.folder.weights(name))[0]
        except RecordError as error:
            raise RgtoolError(str(error)) from None
        if not self.is_import:
            return tensors
        return {f"{layer.removesuffix('.weight')}.weight": a for layer, a in tensors.items()}
