"""Points in training, written as in OpenLTH: `160ep`, `1000it`, `2ep50it`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import UsageError

_PATTERN = re.compile(r"(?:(?P<ep>[0-9]{1,15})ep)?(?:(?P<it>[0-9]{1,15})it)?")


@dataclass(frozen=True)
class Step:
    """A point in training: whole epochs plus iterations (optimizer steps, batches).

    Examples
    --------
    >>> Step.parse("2ep50it").iteration(iterations_per_epoch=391)
    832
    >>> str(Step.parse("0"))
    '0it'
    """

    epochs: int
    iterations: int

    @classmethod
    def parse(cls, text: str) -> Step:
        """Read `160ep`, `1000it`, `2ep50it` or `0`.

        Raises
        ------
        UsageError
            The text is none of these.
        """
        if text.strip() == "0":
            return cls(0, 0)
        match = _PATTERN.fullmatch(text.strip().lower())
        if match is None or not match.group(0):
            raise UsageError(
                f"'{text}' is no point in training: write epochs as 2ep, iterations as 500it, "
                "both as 2ep50it, or 0"
            )
        return cls(int(match["ep"] or 0), int(match["it"] or 0))

    def iteration(self, iterations_per_epoch: int) -> int:
        """Count the iterations from the start of training to this point."""
        return self.epochs * iterations_per_epoch + self.iterations

    def __str__(self) -> str:
        if not self.epochs:
            return f"{self.iterations}it"
        return f"{self.epochs}ep" + (f"{self.iterations}it" if self.iterations else "")
