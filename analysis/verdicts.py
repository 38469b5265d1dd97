"""What an eigenvalue says about its group."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Verdict = Literal["relevant", "irrelevant", "marginal", "indeterminate", "exempt"]


def paper_rule(mean: ArrayLike, spread: ArrayLike) -> tuple[Verdict, ...]:
    """Judge by the paper's rule (Table 2): marginal within one standard deviation of 1.

    The rule knows no error bar. The spread over levels holds deterministic drift and does not
    shrink with more seeds, so a true 0.985 is called marginal about half the time.

    Parameters
    ----------
    mean, spread : array, shape (G,)
        Arithmetic mean of the eigenvalues over levels, and their standard deviation over levels.

    Returns
    -------
    tuple of str, length G
        `relevant` above 1, `irrelevant` below, `marginal` within one spread of 1, and
        `indeterminate` where there is no spread.
    """
    return tuple(
        _judge(float(m), float(s))
        for m, s in zip(np.asarray(mean), np.asarray(spread), strict=True)
    )


def _judge(mean: float, spread: float) -> Verdict:
    if not np.isfinite(spread):
        return "indeterminate"
    if abs(mean - 1) <= spread:
        return "marginal"
    return "relevant" if mean > 1 else "irrelevant"
