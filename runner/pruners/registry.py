"""The pruners that there are. Adding one is a module here and a line in `PRUNERS`.

A pruner of the user's own needs no line: a function in a file, or an entry point `rgtool.pruners`
of an installed package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...schemas.entry_points import added, added_names
from ...schemas.errors import UsageError, did_you_mean, known_name
from ...schemas.spelling import asked
from ..own.function import (
    OwnFunction,
    from_entry_point,
    from_object,
    from_reference,
    is_reference,
)
from ..pruning import Scores
from . import erk, fisher, grasp, increase, magnitude, movement, obd, random, snip, synflow
from .scoring import Scheme, Scoring

PRUNERS: dict[str, Scheme] = {
    "magnitude": magnitude.scores,
    "random": random.scores,
    "erk": erk.scores,
    "synflow": synflow.scores,
    "snip": snip.scores,
    "grasp": grasp.scores,
    "fisher": fisher.scores,
    "obd": obd.scores,
    "increase": increase.scores,
    "movement": movement.scores,
}
_OF_TRAINING = ("increase", "movement")  # what they score are changes that training made
_OF_SINGLE_IMAGES = ("fisher", "obd")  # whose gradients the statistics of a batch would mix
_REGROW = ("force", "rigl", "set")
_OFFERED = ("scoring", "weights", "rewind", "mask", "movement", "generator")


@dataclass(frozen=True)
class KnownPruner:
    """A pruner of `PRUNERS`, by its name."""

    name: str

    sources = ()  # is part of rgtool

    @property
    def of_training(self) -> bool:
        """Whether it scores what training changes."""
        return self.name in _OF_TRAINING

    @property
    def of_single_images(self) -> bool:
        """Whether it takes gradients of single images."""
        return self.name in _OF_SINGLE_IMAGES

    @property
    def sums_movement(self) -> bool:
        """Whether training sums `Scoring.movement` for it."""
        return self.name == "movement"

    def scores(self, scoring: Scoring) -> Scores:
        """Return a score for every weight; the smallest go."""
        return PRUNERS[self.name](scoring)


@dataclass(frozen=True)
class OwnPruner:
    """A pruner that a function of the user's own is.

    Parameters
    ----------
    function : OwnFunction
        Called with what it accepts of `scoring`, `weights`, `rewind`, `mask`, `movement` and
        `generator`, all of them parts of a `Scoring`.
    """

    function: OwnFunction

    @property
    def name(self) -> str:
        """The function's name, and a hash of its source."""
        return f"{self.function.label}-{self.function.home.digest[:8]}"

    @property
    def sources(self) -> tuple[dict[str, str], ...]:
        """Name, hash and text of what it is written in, for the description of a run."""
        return self.function.home.sources(self.function.place)

    of_single_images = False  # as far as anything tells

    @property
    def of_training(self) -> bool:
        """Whether it scores what training changes, as far as its parameters tell."""
        return self.sums_movement

    @property
    def sums_movement(self) -> bool:
        """Whether training sums `Scoring.movement` for it: it asks for `movement` by name."""
        return "movement" in self.function.asks(_OFFERED)

    def scores(self, scoring: Scoring) -> Scores:
        """Return a score for every weight; the smallest go.

        Raises
        ------
        UsageError
            It asks for something else, or returns something else.
        RgtoolError
            It fails; the message names the line.
        """
        shapes = {name: kept.shape for name, kept in scoring.mask.items()}  # it may change the mask
        parts = {name: getattr(scoring, name) for name in _OFFERED if name != "scoring"}
        found = self.function.call({"scoring": scoring, **parts})
        if not isinstance(found, dict):
            raise UsageError(
                f"{self.function.place} returns {type(found).__name__}: a dict of layer name to an "
                "array of scores is expected"
            )
        return {name: self._array(found, name, shape) for name, shape in shapes.items()}

    def _array(self, found: dict[str, Any], name: str, shape: tuple[int, ...]) -> Any:
        given = found.get(name)
        if isinstance(given, torch.Tensor):
            given = given.detach().cpu().numpy()
        array = np.asarray(given)
        if array.shape != shape or array.dtype.kind not in "fiub":
            has = "none" if given is None else f"{array.dtype} of shape {array.shape}"
            raise UsageError(
                f"{self.function.place}: numbers of shape {shape} are expected as the scores of "
                f"{name}, found {has}"
            )
        return array if array.dtype == np.float32 else array.astype(np.float64)


Pruner = KnownPruner | OwnPruner
_FOUND: dict[str, OwnPruner] = {}  # by their names, of which a recipe has no more


def find_pruner(pruner: str | Callable[..., Any] | Pruner) -> Pruner:
    """Find a pruner.

    Parameters
    ----------
    pruner : str, callable or pruner
        A name of `PRUNERS` or of an installed package's entry point, a function that scores
        weights, or where such a function lies: `my.py:large`, `package.module:large`; or the name
        of one of the user's own that was found before.

    Raises
    ------
    UsageError
        There is no such pruner; the message offers the nearest names.
    RgtoolError
        The function's source fails.
    """
    if isinstance(pruner, KnownPruner | OwnPruner):
        return pruner
    if isinstance(pruner, str):
        if (known := known_name(pruner, PRUNERS)) is not None:
            return KnownPruner(known)
        if pruner in _FOUND:
            return _FOUND[pruner]
    own = OwnPruner(_own(pruner) if isinstance(pruner, str) else from_object(pruner))
    if own.function.hidden:
        raise UsageError(
            f"{own.function.place} uses {', '.join(own.function.hidden)}, whose value no text "
            "tells, so that two pruners would have one name: write the value into the source"
        )
    _ = own.sums_movement  # asks for what is offered, and loads
    return _FOUND.setdefault(own.name, own)


def _own(name: str) -> OwnFunction:
    if is_reference(name):
        return from_reference(name)
    if (found := added("rgtool.pruners", name)) is not None:
        return from_entry_point(found)
    if name.lower() in _REGROW:
        raise UsageError(
            f"pruner '{name}' cannot be run: it lets pruned weights grow again, and here a pruning "
            "takes the smallest scores from what the one before it has left "
            f"({asked('score_from', 'dense')}: from the whole network)"
        )
    names = [*PRUNERS, *added_names("rgtool.pruners")]
    raise UsageError(f"pruner '{name}' cannot be run: {did_you_mean(name, names)}")
