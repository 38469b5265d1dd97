"""Exponents of a scheme in two parts, and whether they are those of magnitude pruning.

The canonical part of an exponent is what the scheme makes of the initial weights; training adds the
anomalous one. Magnitude pruning has its canonical part from N1; of another scheme it is measured,
on its own flow before training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.notes import Note
from .. import flow
from ..arrays import Floats
from ..classes.same import SameClass
from ..nulls.untrained import null_groups
from ..window import Window
from .families import Family, magnitude_of, untrained_of
from .semigroup import (
    compared,
    equally_dense,
    exponents_of,
    names_of,
    pruned_in_all,
    shared_seeds,
    whole_notes,
)

Compared = Literal["anomalous", "canonical", "whole"]
SEE = "schemes.md#canonical-and-anomalous"


@dataclass(frozen=True, eq=False)
class Against:
    """A scheme against magnitude pruning, K groups that both prune.

    Attributes
    ----------
    other : str
        The experiment of magnitude pruning.
    what : str
        Which part of the exponents is compared: `anomalous` of trained flows; `canonical` of
        untrained ones, which have no other; `whole` where a part is not to be had.
    densities : (float, float)
        First and last of the common ones.
    names : tuple of str, length K
        The groups.
    comparison : SameClass
        Of the scheme, minus that of magnitude pruning, in units of theta.
    notes : tuple of str
        What was not to be had, and which groups one of them leaves whole.
    """

    other: str
    what: Compared
    densities: tuple[float, float]
    names: tuple[str, ...]
    comparison: SameClass
    notes: tuple[str, ...]


def canonical_of(
    family: Family, window: Window, others: Sequence[Family]
) -> tuple[Floats, tuple[str, ...]]:
    """Return the canonical exponents of a trained scheme over a window (S, K), and notes.

    Raises
    ------
    RgtoolError
        They are not to be had; the message says what would give them.
    """
    untrained = untrained_of(family, others)
    if untrained is not None and (pairs := shared_seeds(window, untrained.main)) is not None:
        (own, other), densities = equally_dense(window, untrained.main)
        if own.levels == window.levels:
            return exponents_of(other, window.open)[pairs[1]], ()
        raise UsageError(
            f"its flow before training ({untrained.main.counts.experiment_id}) lacks densities "
            f"beyond {densities[-1]:.3g}: add --levels to it"
        )
    try:
        kept, notes = null_groups(window.counts, window.network[:, [0, -1]], window.scales)
    except RgtoolError as error:
        raise UsageError(
            f"{error}: its flow before training tells it, which takes epochs=0 and rewind=0it of "
            "the same seeds"
        ) from None
    return flow.window_exponents(kept, 0, 1)[:, window.open], notes


def against_magnitude(
    family: Family, others: Sequence[Family], rng: np.random.Generator | int = 0
) -> Against | None:
    """Compare a scheme with magnitude pruning; None where it is that, or that is not at hand.

    Raises
    ------
    UsageError
        The two have other groups, or no densities in common.
    """
    magnitude = None if family.pruner == "magnitude" else magnitude_of(family, others)
    if magnitude is None:
        return None
    (own, other), densities = equally_dense(family.main, magnitude.main)
    groups = pruned_in_all((own, other))
    y = [exponents_of(own, groups), exponents_of(other, groups)]
    what: Compared = "canonical"
    notes: tuple[str, ...] = ()
    if family.trained:
        try:
            parts = [
                canonical_of(one, window, others)[0][:, groups[window.open]]
                for one, window in ((family, own), (magnitude, other))
            ]
            y, what = [whole - part for whole, part in zip(y, parts, strict=True)], "anomalous"
        except RgtoolError as error:
            text = f"whole exponents are compared, the canonical part is not to be had: {error}"
            what, notes = "whole", (Note(text, SEE),)
    return Against(
        other=other.counts.experiment_id,
        what=what,
        densities=(float(densities[0]), float(densities[-1])),
        names=names_of(own, groups),
        comparison=compared(own, other, *y, rng=rng)[0],
        notes=(*whole_notes(own, other), *notes),
    )
