"""What is asked for of an experiment, its network and its data found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...schemas.blocks import Architecture
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.recipe import ANEW, CHOICES, Recipe
from ...schemas.records.data_names import innermost
from ...schemas.spelling import asked
from ...schemas.steps import Step
from ..data import load, outline
from ..datasets.images import Images
from ..models import Network
from ..own.stored import Place, stored_task
from ..recipes import iterations_per_epoch
from ..recipes import recipe as resolve


@dataclass(frozen=True)
class Wanted:
    """What is to become of tickets.

    Attributes
    ----------
    control : str
        What of them is drawn anew.
    transform : str or None
        How they become those of another network.
    fresh : tuple of str
        Layers that are drawn from the child's seed.
    start : int or None
        The level whose ticket is the only one that is taken: from there a run prunes by itself.
    """

    control: str = "none"
    transform: str | None = None
    fresh: tuple[str, ...] = ()
    start: int | None = None

    @classmethod
    def read(
        cls,
        control: str | None,
        transform: str | None,
        fresh: str | Sequence[str] | None,
        start: int | None = None,
    ) -> Wanted:
        """Read it as it was asked for; `conv1,fc` names two layers.

        Raises
        ------
        UsageError
            The control is unknown, or cannot be pruned on from.
        """
        control = choose("control", control or "none", CHOICES["control"])
        if start is not None and control in ANEW:
            raise UsageError(
                f"{asked('start', start)} prunes on from a ticket, always back to the same weights,"
                f" and {asked('control', control)} draws others at every level: choose one of them"
            )
        layers = fresh.split(",") if isinstance(fresh, str) else fresh or ()
        named = tuple(filter(None, (layer.strip() for layer in layers)))
        return cls(control, transform, named, start)

    @property
    def needs_weights(self) -> bool:
        """Whether weights are taken along, and not masks alone."""
        return self.control != "reinit"


@dataclass(frozen=True)
class Request:
    """An experiment that is asked for, its network and its data found.

    Attributes
    ----------
    network, images : KnownNetwork or OwnNetwork, Images
        What is trained, and on what: the whole data set, or noise of its shape.
    recipe, changes : str or Recipe or None, mapping
        By which recipe, and the fields that differ.
    seeds : mapping of int to int
        Replicates, and the seed of the parent's run that each is paired with.
    at : tuple of int
        Levels.
    wanted : Wanted
        What is to become of tickets.
    store : Path
        Where runs are.
    data : Path or None
        Where data sets are.
    using : tuple of str or callable
        Where data of the user's own lie that other experiments were trained on.
    """

    network: Network
    images: Images
    recipe: str | Recipe | None
    changes: Mapping[str, Any]
    seeds: Mapping[int, int]
    at: tuple[int, ...]
    wanted: Wanted
    store: Path
    data: Path | None
    using: tuple[Place, ...] = ()

    @property
    def taken(self) -> tuple[int, ...]:
        """Levels of a parent whose tickets are trained, ascending."""
        return self.at if self.wanted.start is None else self.at[:1]

    @property
    def architecture(self) -> Architecture:
        """The layers of the network."""
        return self.network.traits(self.images.input_shape, self.images.classes).architecture

    def resolved(self, name: str | Recipe, pretrained: str | None, **changes: Any) -> Recipe:
        """Return the recipe of its training: a named one, or as another experiment is trained."""
        changes = {**self.changes, **changes}
        if isinstance(name, Recipe):
            changes = {**self._points(name, pretrained, changes), **changes}
        return resolve(self.network, self.images, name, pretrained=pretrained, **changes)

    def _points(
        self, other: Recipe, pretrained: str | None, changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Move points of another's schedule that are iterations along with the length of training.

        `rewind` is no part of it.
        """
        texts = (*other.milestones, other.warmup)
        if not any(Step.parse(text).iterations for text in texts):
            return {}
        start = {**changes, "milestones": (), "warmup": "0it", "rewind": "0it"}
        here = resolve(self.network, self.images, other, pretrained=pretrained, **start)
        is_enough = self.recipe is None and not Step.parse(other.rewind).epochs
        cure = f"; {asked('recipe', 'NAME')} trains by another recipe" if is_enough else ""
        per_epoch, theirs = iterations_per_epoch(here, self.images), self.epoch_of(other, cure)
        if per_epoch == theirs:
            return {}
        share = here.whole_epochs * per_epoch / (other.whole_epochs * theirs)

        def moved(text: str) -> str:
            step = Step.parse(text)
            whole, rest = divmod(step.epochs * here.whole_epochs, other.whole_epochs)
            if step.iterations or rest:
                return f"{round(step.iteration(theirs) * share)}it"
            return f"{whole}ep"

        return {"milestones": tuple(map(moved, other.milestones)), "warmup": moved(other.warmup)}

    def epoch_of(self, other: Recipe, cure: str = "") -> int:
        """Count the steps of an epoch of another experiment.

        Parameters
        ----------
        other : Recipe
            How it was trained.
        cure : str
            What is said besides where it cannot be told.

        Raises
        ------
        UsageError
            Its data set cannot be had.
        """
        images = self.images
        if innermost(other.task) != innermost(images.name):  # what is made of one has as many
            try:
                task = stored_task(other.task, self.using, self.data)
                images = outline(task, self.data) or load(task, self.data)
            except RgtoolError as error:
                raise UsageError(
                    f"{other.architecture}/{other.task} is trained by points in iterations or "
                    f"epochs, and how long an epoch is follows from its data: {error}{cure}"
                ) from None
        return iterations_per_epoch(other, images)
