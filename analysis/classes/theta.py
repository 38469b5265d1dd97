"""Log eigenvalues and exponents of subjects by run, made comparable where retention differs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...schemas.errors import UsageError
from .. import flow
from ..arrays import Floats
from ..flow import UNIT
from .subjects import Subject

_RETENTION = 0.01  # relative difference of steps from which on eigenvalues do not compare


def scaled_theta(
    subjects: Sequence[Subject], weighting: str = "count"
) -> tuple[list[Floats], list[str]]:
    """Return log eigenvalues by run, (S_e, K_e), made comparable where retention differs.

    Returns
    -------
    thetas : list of array
        Mean log eigenvalues; y ln(1/.8) where a step does not keep the same share in all.
    notes : list of str
        That it does not.
    """
    rates = np.array([subject.rate.mean() for subject in subjects])
    thetas = [run_theta(subject, weighting) for subject in subjects]
    if np.ptp(rates) <= _RETENTION * rates.min():
        return thetas, []
    scaled = [t * (UNIT / s.rate)[:, None] for t, s in zip(thetas, subjects, strict=True)]
    return scaled, [
        f"a step keeps between {np.exp(-rates.max()):.3g} and {np.exp(-rates.min()):.3g}, so "
        "theta = y ln(1/.8) is compared, the log eigenvalue of a step that keeps .8"
    ]


def run_exponents(subject: Subject, weighting: str = "count") -> Floats:
    """Return theta = y ln(1/.8) of the pruned groups by run: shape (S, K)."""
    return run_theta(subject, weighting) * (UNIT / subject.rate)[:, None]


def run_weights(subject: Subject, weighting: str) -> Floats:
    """Return counts or sums of |w| over the window: shape (S, T + 1, G)."""
    if weighting == "count":
        return subject.measured.kept
    found = subject.measured.magnitude
    if not np.isfinite(found).all():
        raise UsageError(
            f"{subject.label} ({subject.id}) tells no magnitudes at some level, and weightings are "
            "not mixed: take --weighting count, or leave it out"
        )
    return found


def run_theta(subject: Subject, weighting: str) -> Floats:
    """Return mean log eigenvalues of the pruned groups by run: shape (S, K)."""
    if subject.printed is not None:
        if weighting != "count":
            raise UsageError(
                f"{subject.id} is printed for counts, and weightings are not mixed: take "
                "--weighting count, or leave it out"
            )
        return np.log(subject.printed.eigenvalue)[None]
    weights = run_weights(subject, weighting)
    return flow.window_log_eigenvalues(weights, 0, weights.shape[1] - 1)[:, subject.measured.open]
