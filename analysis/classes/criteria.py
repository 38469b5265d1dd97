"""What `--by` may mean: a registry of functions from experiments to evidence.

A criterion takes subjects and a source of randomness and returns an `Evidence`: for every pair a
distance, a p and whether sameness is certified, and draws of the distances. Classes, Holm's
correction, tables and figures follow from that alone, so a new criterion is one function and one
line of `CRITERIA`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...schemas.errors import UsageError
from .. import flow
from ..arrays import Floats
from ..flow import UNIT
from ..nulls.beside import initial_null
from ..spectrum.intervals import Interval, estimate
from ..spectrum.noise import ONE_SEED, PRINTED
from ..spectrum.verdicts import MARGIN, judge
from .by_gamma import by_gamma
from .distances import condensed
from .evidence import Evidence, UnfitError, spectral
from .subjects import Subject
from .theta import run_exponents, run_theta, run_weights, scaled_theta

SIGNS = ("relevant", "marginal", "irrelevant", "indeterminate")
Signature = tuple[int, int, int, int]

Criterion = Callable[[Sequence[Subject], str, np.random.Generator], Evidence]


def by_eigen(subjects: Sequence[Subject], weighting: str, rng: np.random.Generator) -> Evidence:
    """Compare log eigenvalues; y ln(1/.8) instead where steps keep different shares."""
    thetas, notes = scaled_theta(subjects, weighting)
    return spectral(subjects, thetas, rng, notes)


def by_exponent(subjects: Sequence[Subject], weighting: str, rng: np.random.Generator) -> Evidence:
    """Compare theta = y ln(1/.8) from the exponents of every run."""
    return spectral(subjects, [run_exponents(subject, weighting) for subject in subjects], rng)


def by_anomalous(subjects: Sequence[Subject], weighting: str, rng: np.random.Generator) -> Evidence:
    """Compare anomalous exponents, what training adds: (y - canonical y) ln(1/.8)."""
    if weighting != "count":
        raise UsageError(
            "the null stands beside counts: take --weighting count with --by anomalous"
        )
    printed = [subject.id for subject in subjects if subject.printed is not None]
    if printed:
        raise UsageError(
            f"{printed[0]} has no counts, from which the null is computed: leave published spectra "
            "out, or take --by eigen"
        )
    thetas: list[Floats] = []
    notes: list[str] = []
    unfit: dict[str, str] = {}
    for subject in subjects:
        window, name = subject.measured, f"{subject.label} ({subject.id})"
        y = flow.window_exponents(window.kept, 0, window.steps)
        try:
            null, about = initial_null(window, y)
        except UsageError as error:
            unfit[subject.id] = f"{name} has no null of its initial scales: {error}"
            continue
        found = ((y - null.y) * UNIT)[:, window.open]
        if not np.isfinite(found).all():
            unfit[subject.id] = (
                f"{name}: a group dies in its null, which has no exponent then: take --by exponent"
            )
        thetas.append(found)
        notes += about
    if unfit:
        raise UnfitError(unfit)
    return spectral(subjects, thetas, rng, list(dict.fromkeys(notes)))


def by_signature(subjects: Sequence[Subject], weighting: str, rng: np.random.Generator) -> Evidence:
    """Compare counts of verdicts, as the literature does: blunt, and without a test."""
    intervals = [interval_of(subject, weighting) for subject in subjects]
    shares = np.array([shares_of(i.centre[None], i)[0] for i in intervals])

    def draws(number: int, rng: np.random.Generator) -> Iterator[Floats]:
        drawn = np.stack(
            [shares_of(i.centre + _of_interval(i, number, rng), i) for i in intervals], axis=1
        )
        for points in drawn:
            yield condensed(points, "cityblock") / 2

    distance = condensed(shares, "cityblock") / 2
    return Evidence(
        distance=distance,
        p=np.full(len(distance), np.nan),
        same=np.zeros(len(distance), np.bool_),
        draws=draws,
        metric="half the L1 distance between shares of verdicts",
        tested=False,
        notes=(
            "signatures are blunt: they count verdicts, know no test, and agree for spectra that "
            "differ as well as differ for one verdict at a margin; take --by eigen for evidence",
        ),
    )


CRITERIA: dict[str, Criterion] = {
    "eigen": by_eigen,
    "exponent": by_exponent,
    "anomalous": by_anomalous,
    "signature": by_signature,
    "gamma": by_gamma,
}

SIGNED = ("eigen", "exponent", "signature")  # criteria about the eigenvalues that signatures judge


def interval_of(subject: Subject, weighting: str = "count") -> Interval:
    """Return the interval of a subject's log eigenvalues: those of the pruned groups."""
    if subject.printed is not None:
        theta = run_theta(subject, weighting)[0]
        variance, half = np.full(len(theta), PRINTED), 1.96 * np.sqrt(PRINTED)
        return Interval("t", "population", theta, theta - half, theta + half, variance, 1e6, 1)
    return estimate(
        flow.log_eigenvalues(run_weights(subject, weighting))[..., subject.measured.open]
    )


def shares_of(theta: Floats, interval: Interval) -> Floats:
    """Return the shares of the four verdicts with the interval moved to theta (B, K): (B, 4)."""
    half = (interval.high - interval.low) / 2
    inner = (interval.quantile(0.9)[1] - interval.centre) if np.isfinite(interval.df) else half
    relevant, irrelevant = theta - half > 0, theta + half < 0
    marginal = ~relevant & ~irrelevant & (np.abs(theta) + inner < MARGIN)
    parts = [relevant, marginal, irrelevant]
    shares = [part.mean(axis=-1) for part in parts]
    return np.stack([*shares, 1 - sum(shares)], axis=-1)


def signature_of(subject: Subject, weighting: str = "count") -> Signature:
    """Count relevant, marginal, irrelevant and indeterminate groups by the tool's own rule."""
    interval = interval_of(subject, weighting)
    verdicts = judge(interval, np.zeros(len(interval.centre), np.bool_)).verdict
    return tuple(verdicts.count(sign) for sign in SIGNS)  # type: ignore[return-value]


def _of_interval(interval: Interval, number: int, rng: np.random.Generator) -> Floats:
    error = np.sqrt(np.nan_to_num(interval.variance, nan=ONE_SEED) / interval.seeds)
    return np.asarray(error * rng.standard_normal((number, len(error))))
