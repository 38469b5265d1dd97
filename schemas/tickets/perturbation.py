"""`perturb:BY=NAME:FACTOR`: a ticket with more or fewer weights in one group of its layers.

The other groups give or take as many, so that the network keeps its count: what follows answers to
where weights are, not to how many.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from ..blocks import GROUPINGS, Layer
from ..errors import UsageError, choose

Choice = Literal["next", "random"]
CHOICES: tuple[Choice, ...] = ("next", "random")
EXAMPLE = "perturb:block=1.0:0.8"
_PREFIX = "perturb:"
_PATTERN = re.compile(
    r"(?P<by>[^=]*)=(?P<name>.*?):(?P<factor>[^:]*)(?::(?P<choice>[a-z]*))?", re.I | re.DOTALL
)


@dataclass(frozen=True)
class Perturbation:
    """A change of the share of one group of layers at a level.

    Attributes
    ----------
    by, name : str
        The grouping, and the group in it.
    factor : float
        What the count of the group is multiplied by; above 0 and not 1.
    choice : str
        `next`: weights go that the next prunings take, and come back that the last ones took.
        `random`: any weights of the layers.

    Examples
    --------
    >>> str(Perturbation("block", "1.0", 0.8))
    'perturb:block=1.0:0.8'
    """

    by: str
    name: str
    factor: float
    choice: Choice = "next"

    def __post_init__(self) -> None:
        """Hold the factor to its range.

        Raises
        ------
        UsageError
            It is out of it.
        """
        if not (math.isfinite(self.factor) and self.factor > 0 and self.factor != 1):
            raise UsageError(
                f"{_PREFIX}{self.by}={self.name}: the factor is {self.factor:g}: a number above 0 "
                "is needed that is not 1, such as 0.8 or 1.25"
            )

    def __str__(self) -> str:
        factor = repr(float(self.factor)).removesuffix(".0")
        ending = "" if self.choice == "next" else f":{self.choice}"
        return f"{_PREFIX}{self.by}={self.name}:{factor}{ending}"

    @classmethod
    def read(cls, transform: str) -> Self | None:
        """Read a transformation of tickets; None: it is one of another kind.

        Raises
        ------
        UsageError
            It is a perturbation, and no whole one.

        Examples
        --------
        >>> str(Perturbation.read("perturb:Stage=2:.80:next"))
        'perturb:stage=2:0.8'
        """
        if not transform.lower().startswith(_PREFIX):
            return None
        found = _PATTERN.fullmatch(transform[len(_PREFIX) :])
        if found is None or not found["name"]:
            raise UsageError(
                f"transform '{transform}': expected a grouping, a group and a factor, as {EXAMPLE}"
            )
        try:
            factor = float(found["factor"])
        except ValueError:
            raise UsageError(
                f"transform '{transform}': '{found['factor']}' is no factor: a number such as 0.8 "
                "or 1.25 is needed"
            ) from None
        return cls(
            choose("grouping", found["by"], GROUPINGS),
            found["name"],
            factor,
            choose("choice", found["choice"] or "next", CHOICES),
        )

    def resolve(self, network: str, layers: Sequence[Layer]) -> Self:
        """Hold the group to a network; return the perturbation with the group as it is known.

        Parameters
        ----------
        network : str
            The name of the network.
        layers : sequence of Layer
            Its layers.

        Raises
        ------
        UsageError
            The network has no such grouping, or no such group.
        """
        groups = dict.fromkeys(group for x in layers if (group := x.group(self.by)) is not None)
        if not groups:
            raise UsageError(f"{self}: {network} has no grouping by {self.by}")
        return replace(self, name=choose(self.by, self.name, groups))

    def holds(self, layer: Layer) -> bool:
        """Tell whether a layer is in the group."""
        return layer.group(self.by) == self.name
