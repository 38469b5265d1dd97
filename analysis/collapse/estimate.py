"""Do the error curves of several network sizes fall on one? Exponents, quality, verdict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import LeftOut
from ..arrays import Bools, Floats
from ..curves.family import ErrorCurve, Family, family_of
from ..curves.scatter import CurveNoise, curve_noise, noise_draws
from ..named import Named, StoreLike
from ..values import Refusal
from .fit import CollapseFit, best_collapse
from .joint_law import JointLaw, fit_joint_law
from .quality import curves_of
from .result import EXPONENT, Collapse

OVERS = ("width", "depth", "both")
ABOVE = 1.5  # points enter from so many times the error of the dense network on
BOX = (-5.0, 5.0)  # where exponents are sought
_LEAST = 2  # points above the bar that a size needs


def collapse(
    store: StoreLike,
    experiments: Sequence[Named] | Family,
    *,
    chance: float | None = None,
    over: str | None = None,
    above: float = ABOVE,
    noise: float | None = None,
    draws: int = 400,
    rng: np.random.Generator | int = 0,
) -> Collapse:
    """Collapse the error curves of experiments that differ in width, depth or both.

    y = log error of the points with error over `above` times that of the dense network, against
    x = log density + psi log width + phi log depth; the exponents make the quality of Houdayer &
    Hartmann (2004) smallest. Beside it stands the joint law of Rosenfeld et al. (2021).

    Parameters
    ----------
    store : Store or path, or None
        Where the records are.
    experiments : sequence of str or Counts, or Family
        Two sizes at least, of one family and task, or one CSV or Parquet file; see `family_of`.
    chance : float, optional
        Error of guessing, of a file.
    over : str, optional
        `width`, `depth` or `both`; by default what the sizes differ in.
    above : float
        The bar, in units of the dense error of each size.
    noise : float, optional
        Relative standard deviation of one seed's error, in place of what the seeds say.
    draws : int
        Draws behind the intervals.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    UsageError
        The experiments or options are not to be had, or do not belong together.
    RgtoolError
        The curves have nothing to collapse: one size, no points above the bar, no overlap.
    """
    over = None if over is None else choose("over", over, OVERS)
    _check_options(above, noise, draws)
    family = (
        experiments
        if isinstance(experiments, Family)
        else family_of(store, experiments, chance=chance)
    )
    return _collapse(family, over, above, noise, draws, np.random.default_rng(rng))


def _collapse(
    family: Family,
    over: str | None,
    above: float,
    noise: float | None,
    draws: int,
    generator: np.random.Generator,
) -> Collapse:
    axes = _axes(family.curves, over)
    curves = family.curves
    scatter = curve_noise(curves, noise)
    taken, notes = _above_bar(curves, above)
    mean = np.concatenate([c.mean for c in curves])
    size = np.array([[getattr(c, name) for name in axes] for c in curves])
    member = np.repeat(np.arange(len(curves)), [len(c.density) for c in curves])
    log_density = np.log(np.concatenate([c.density for c in curves]))
    points = np.flatnonzero(taken)
    used = curves_of(
        log_density[points], np.log(mean[points]), scatter.sigma[points], size[member[points]]
    )
    # `curves_of` sorts by size and density: where each of its points comes from.
    origin = points[np.lexsort((log_density[points], *size[member[points]].T[::-1]))]
    deviations = noise_draws(curves, scatter, draws, generator)
    fit = best_collapse(used, [BOX] * len(axes), replicas=used.y + deviations[:, origin])
    law = _law(family, curves, scatter, axes, fit, deviations)
    return Collapse(
        label=family.task or "a table",
        over=axes,
        curves=family.curves,
        used=used,
        fit=fit,
        law=law,
        noise=scatter,
        above=above,
        verdict=_verdict(fit, scatter, noise),
        notes=(
            *family.notes,
            *notes,
            *_collapse_notes(axes, fit, law, scatter, noise, above),
        ),
    )


def _check_options(above: float, noise: float | None, draws: int) -> None:
    if not (np.isfinite(above) and above > 0):
        raise UsageError(f"above is {above}: a positive multiple of the dense error, such as 1.5")
    if noise is not None and not (np.isfinite(noise) and noise > 0):
        raise UsageError(f"noise is {noise}: a positive relative deviation, .03 for 3 per cent")
    if draws < 20:
        raise UsageError(f"draws is {draws}: an interval needs at least 20")


def _axes(curves: Sequence[ErrorCurve], over: str | None) -> tuple[str, ...]:
    """Return what sizes differ in, checked against what is asked for."""
    if len(curves) < 2:
        raise RgtoolError(
            f"{curves[0].label} is one size: a collapse compares sizes, name two experiments at "
            "least that differ in width or depth"
        )
    values = {name: np.array([getattr(c, name) for c in curves]) for name in EXPONENT}
    differ = tuple(name for name, v in values.items() if len(np.unique(v)) > 1)
    asked = differ if over is None else ("width", "depth") if over == "both" else (over,)
    for name in asked:
        if np.isnan(values[name]).any():
            raise UsageError(f"the {name} of {_unknown(curves, name)} is unknown")
        if name not in differ:
            raise UsageError(
                f"all sizes have {name} {values[name][0]:g}: over {name} there is nothing to "
                f"collapse, they differ in {' and '.join(differ)}"
            )
    other = [name for name in differ if name not in asked]
    if other:
        raise UsageError(
            f"the sizes differ in {other[0]} too: --over both, or experiments of one {other[0]}"
        )
    logs = np.log(np.column_stack([values[name] for name in asked]))
    if np.linalg.matrix_rank(logs - logs.mean(axis=0), tol=1e-6) < len(asked):
        raise UsageError(
            f"{len(curves)} sizes whose width and depth change together do not tell psi from phi: "
            "add a size that changes one of them alone"
        )
    return asked


def _unknown(curves: Sequence[ErrorCurve], name: str) -> str:
    return next(c.label for c in curves if not np.isfinite(getattr(c, name))) or "a row"


def _above_bar(curves: Sequence[ErrorCurve], above: float) -> tuple[Bools, list[str]]:
    """Choose the points above the bar; sizes with too few of them are left out and named."""
    taken = [curve.mean > above * curve.dense_error for curve in curves]
    short = [i for i, flags in enumerate(taken) if flags.sum() < _LEAST]
    if len(curves) - len(short) < 2:
        counts = ", ".join(
            f"{c.label} {int(flags.sum())}" for c, flags in zip(curves, taken, strict=True)
        )
        raise RgtoolError(
            f"points with an error over {above:g} times the dense one: {counts}; two sizes with "
            f"{_LEAST} at least are needed: prune further, the plateau tells nothing"
        )
    for i in short:
        taken[i] = np.zeros_like(taken[i])
    names = [curves[i].label for i in short]
    why = f"fewer than {_LEAST} points above the bar, left out: prune further"
    return np.concatenate(taken), [LeftOut(f"{', '.join(names)}: {why}")] if names else []


def _law(
    family: Family,
    curves: Sequence[ErrorCurve],
    noise: CurveNoise,
    axes: tuple[str, ...],
    fit: CollapseFit,
    deviations: Floats,
) -> JointLaw | Refusal:
    size = np.array([[getattr(c, name) for name in axes] for c in curves])
    try:
        return fit_joint_law(
            np.log(np.concatenate([c.density for c in curves])),
            np.log(np.concatenate([c.mean for c in curves])),
            noise.sigma,
            np.repeat(np.arange(len(curves)), [len(c.density) for c in curves]),
            np.log(size),
            seed_sd=noise.seed_sd,
            chance=family.chance,
            starts=np.array([fit.exponents, np.zeros(len(axes))]),
            deviations=deviations,
        )
    except RgtoolError as error:
        return Refusal(str(error))


def _verdict(fit: CollapseFit, noise: CurveNoise, assumed: float | None) -> str:
    low, high = BOX
    edge = 0.02 * (high - low)
    if fit.accepted and ((fit.boot_low < low + edge) | (fit.boot_high > high - edge)).any():
        return "refused: draws of the curves have their exponents anywhere"
    if fit.accepted and not noise.measured and assumed is None:
        return "refused: one seed has no errors to judge by: more seeds, or --noise"
    return fit.verdict


def _collapse_notes(
    axes: tuple[str, ...],
    fit: CollapseFit,
    law: JointLaw | Refusal,
    noise: CurveNoise,
    assumed: float | None,
    above: float,
) -> list[str]:
    notes = [f"no joint law: {law.reason}"] if isinstance(law, Refusal) else []
    if not noise.measured:
        source = "one seed: errors of" if assumed is None else "as told, errors of"
        notes.append(f"{source} {noise.seed_sd:.1%} a seed are assumed, and quality hangs on them")
    notes.append(
        "interval: exponents of curves drawn with the scatter of the seeds along each; S_min + 1: "
        f"the rule of Houdayer & Hartmann; S compares {fit.points} points"
    )
    if fit.quality < 0.5 and noise.measured:
        notes.append("S_min is below 0.5: errors are correlated along curves, or taken too large")
    if isinstance(law, Refusal):
        return notes
    state = "rejected" if law.rejected else "not rejected"
    up = f"eps_up {law.error_up:.3g}"
    notes.append(
        f"joint law {state}: residuals {law.rms:.1%} of the error, seeds {law.seed_sd:.1%}; "
        f"p {law.p:.3g}, {up}"
    )
    if law.gamma_at_bound:
        notes.append(
            f"gamma runs to its bound {law.gamma:.3g}: no stretch of the curves is a power law, so "
            "the law's gamma and p mean nothing here"
        )
    elif law.gamma > 0.7 and len({round(float(e), 6) for e in law.error_np}) > 1:
        notes.append(
            f"with gamma {law.gamma:.2g} curves of different dense errors bend apart near the bar: "
            f"see whether the exponents hold with --above {2 * above:g}"
        )
    return notes
