"""How much of a network is kept, level by level, where no run tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...schemas.errors import UsageError
from ..arrays import Floats

LEVELS = (1, 17)
_ONE_OF = "densities say how much every level keeps: leave {} out"


@dataclass(frozen=True, eq=False)
class Schedule:
    """What share of its weights a network keeps at T levels.

    Attributes
    ----------
    levels : (a, b)
        The first and the last of them.
    density : array, shape (T,)
        Falling, of the whole network.
    prune : float or None
        Share of the remaining weights that a level removes; None where densities are given.
    """

    levels: tuple[int, int]
    density: Floats
    prune: float | None = None

    @classmethod
    def of(
        cls,
        prune: float | None,
        levels: tuple[int, int] | None,
        densities: Sequence[float] | None,
        usual: float = 0.2,
    ) -> Schedule:
        """Take what is asked for: densities, or a share pruned a level between two levels.

        Parameters
        ----------
        prune : float, optional
            Share of the remaining weights that a level removes; by default the `usual` one.
        levels : (a, b), optional
            The first and the last level; by default `LEVELS`.
        densities : sequence of float, optional
            Densities of the levels, counted from 0, in place of both.

        Raises
        ------
        UsageError
            One is out of range, or both are asked for.
        """
        if densities is None:
            return cls._by_share(usual if prune is None else prune, levels or LEVELS)
        for name, value in (("prune", prune), ("levels", levels)):
            if value is not None:
                raise UsageError(_ONE_OF.format(name))
        found = np.asarray(densities, np.float64)
        falling = len(found) > 1 and (np.diff(found) < 0).all()
        if not (falling and found[-1] > 0 and found[0] <= 1):
            raise UsageError(
                f"densities {', '.join(f'{one:g}' for one in found)}: give two or more that fall, "
                "between 1 and 0, such as 1, 0.9, 0.8"
            )
        return cls((0, len(found) - 1), found)

    @classmethod
    def _by_share(cls, prune: float, levels: tuple[int, int]) -> Schedule:
        if not 0 < prune < 1:
            raise UsageError(
                f"prune is {prune}: it is the share of the remaining weights that a level removes, "
                "between 0 and 1, such as 0.2"
            )
        first, last = levels
        if not 0 <= first < last:
            raise UsageError(
                f"levels {first}:{last} hold no step: the first is at least 0 and the last "
                "greater than the first, such as 1:17"
            )
        return cls(levels, (1 - prune) ** np.arange(first, last + 1), prune)

    @property
    def steps(self) -> int:
        """From the first level to the last."""
        return len(self.density) - 1

    def kept(self, total: int) -> Floats:
        """Return the weights that a network of `total` keeps at every level, not rounded: (T,).

        Raises
        ------
        UsageError
            The last level keeps less than one.
        """
        found = np.asarray(total * self.density)
        if found[-1] < 1:
            asked = f"density {self.density[-1]:g}" if self.prune is None else f"prune {self.prune}"
            raise UsageError(
                f"{asked} leaves less than one of {total:,} weights at level {self.levels[1]}: ask "
                "for fewer levels"
            )
        return found

    def __str__(self) -> str:
        """Say what is asked for."""
        if self.prune is not None:
            return f"prune {self.prune:g}, levels {self.levels[0]}:{self.levels[1]}"
        return f"densities {self.density[0]:g} to {self.density[-1]:g} in {self.steps} steps"
