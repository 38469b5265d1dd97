"""Many small minimisations at once: the simplex method of Nelder & Mead (1965) over batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Floats, Integers

# Points (B, E) and the positions (B,) of their problems to values (B,).
Objective = Callable[[Floats, Integers], Floats]


def minimise(
    objective: Objective, start: Floats, step: Floats, *, iterations: int = 200, tol: float = 1e-4
) -> tuple[Floats, Floats]:
    """Minimise B functions of E variables, each from its own start.

    Standard coefficients (reflection 1, expansion 2, contraction and shrinkage 1/2). A problem ends
    where its simplex is smaller than `tol` times `step`.

    Parameters
    ----------
    objective : callable
        Values at points (B, E) of the problems at the positions given; infinite outside bounds.
    start : array, shape (B, E)
        First corner of every simplex.
    step : array, shape (E,)
        Its size along every axis, positive.
    iterations : int
        The most that are made.
    tol : float
        Size of a finished simplex.

    Returns
    -------
    points, values : array, shapes (B, E) and (B,)
        The minima found.
    """
    problems, variables = start.shape
    corners = np.repeat(start[:, None], variables + 1, axis=1)
    corners[:, 1:] += np.diag(step)
    flat = np.repeat(np.arange(problems), variables + 1)
    values = objective(corners.reshape(-1, variables), flat).reshape(problems, -1)
    active = np.arange(problems)
    for _ in range(iterations):
        order = np.argsort(values[active], axis=1, kind="stable")
        corners[active] = np.take_along_axis(corners[active], order[..., None], axis=1)
        values[active] = np.take_along_axis(values[active], order, axis=1)
        size = np.abs(corners[active, 1:] - corners[active, :1]).max(axis=1) / step
        active = active[(size > tol).any(axis=1)]
        if not len(active):
            break
        _step(objective, corners, values, active)
    best = np.argmin(values, axis=1)
    rows = np.arange(problems)
    return corners[rows, best], values[rows, best]


def _step(objective: Objective, corners: Floats, values: Floats, active: Integers) -> None:
    """Move the worst corner of every active simplex, or draw all towards the best."""
    worst, centre = corners[active, -1], corners[active, :-1].mean(axis=1)
    reflected = 2 * centre - worst
    at_reflected = objective(reflected, active)
    best, second, last = values[active, 0], values[active, -2], values[active, -1]
    expand = at_reflected < best
    settle = ~expand & (at_reflected < second)
    outside = ~expand & ~settle & (at_reflected < last)
    # One further point each: expanded, or contracted on the better side.
    factor = np.where(expand, 2.0, np.where(outside, 0.5, -0.5))[:, None]
    further = centre + factor * (centre - worst)
    at_further = np.full(len(active), np.inf)
    asking = np.flatnonzero(~settle)
    at_further[asking] = objective(further[asking], active[asking])
    bar = np.where(expand | outside, at_reflected, last)
    take = ~settle & (at_further < bar)
    keep = settle | (expand & ~take)
    corners[active[take], -1], values[active[take], -1] = further[take], at_further[take]
    corners[active[keep], -1], values[active[keep], -1] = reflected[keep], at_reflected[keep]
    shrink = active[~take & ~keep]
    if len(shrink):
        near = (corners[shrink, 1:] + corners[shrink, :1]) / 2
        corners[shrink, 1:] = near
        count, others, variables = near.shape
        flat = np.repeat(shrink, others)
        values[shrink, 1:] = objective(near.reshape(-1, variables), flat).reshape(count, others)
