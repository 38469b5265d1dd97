"""The criterion `gamma` of `classify`: whether the exponents of error curves are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...schemas.errors import UsageError
from ..curves.curve import curve_of_counts
from ..gamma.estimate import gamma
from ..gamma.result import Gamma
from ..gamma.shared import same_gamma
from ..values import Refusal
from .evidence import Evidence, UnfitError
from .pairs import all_pairs
from .subjects import Subject


def by_gamma(subjects: Sequence[Subject], weighting: str, rng: np.random.Generator) -> Evidence:
    """Compare exponents pair by pair: the F test of one g, and of ratios near 1.

    A pair of which one exponent may not be quoted is undecided. There are no draws of exponents.

    Raises
    ------
    UsageError
        A published spectrum has no error curve; shares of magnitude are asked for.
    UnfitError
        A curve cannot be fitted.
    """
    if weighting != "count":
        raise UsageError("error curves know no weighting: leave --weighting out with --by gamma")
    gammas = [_gamma_estimate(subject) for subject in subjects]
    unfit = {
        subject.id: f"{subject.label} ({subject.id}) has no exponent: {one.fitted.reason}"
        for subject, one in zip(subjects, gammas, strict=True)
        if isinstance(one.fitted, Refusal)
    }
    if unfit:
        raise UnfitError(unfit)
    first, second = all_pairs(len(gammas))
    tests = [same_gamma(gammas[a], gammas[b]) for a, b in zip(first, second, strict=True)]
    quoted = np.array([one.verdict == "quoted" for one in gammas])
    estimates = np.array([one.estimate.value for one in gammas])
    both = quoted[first] & quoted[second]
    return Evidence(
        distance=np.abs(np.log(estimates[first] / estimates[second])),
        p=np.where(both, [test.found.p for test in tests], np.nan),
        same=np.array([test.verdict == "accepted" for test in tests]),
        draws=None,
        metric="the logarithm of the ratio of exponents",
        columns={"gamma_a": estimates[first], "gamma_b": estimates[second]},
        notes=_quoted_notes(gammas),
    )


def _gamma_estimate(subject: Subject) -> Gamma:
    if subject.window is None:
        raise UsageError(
            f"{subject.id} is a spectrum without an error curve: leave it out, or compare curves "
            "by rgtool gamma --shared"
        )
    return gamma(None, replace(curve_of_counts(subject.counts), name=subject.id))


def _quoted_notes(gammas: Sequence[Gamma]) -> tuple[str, ...]:
    unquoted = [one for one in gammas if one.verdict != "quoted"]
    notes = [f"{one.curve.name}: {one.verdict}: {one.reason}" for one in unquoted]
    if unquoted:
        notes.append(
            f"{len(unquoted)} of {len(gammas)} exponents may not be quoted, and pairs with them "
            "are undecided; classes are made from all estimates"
        )
    return (*notes, "exponents have no draws, so classes have no stability")
