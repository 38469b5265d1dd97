"""Exponents of an experiment that has no runs yet, as those of another one: universality, tested.

The model is that of one class: the target has the exponents of the source, seeds apart. N1 says
those of the untrained target, off by as much as it was off the source; the constant says that no
share grows, off by as much as those of the source do.
"""

from __future__ import annotations

import math

import numpy as np

from ...schemas.blocks import coarsest
from ...schemas.errors import RgtoolError
from ...schemas.records.predictions import Kind, Meant, Registered, Statement, Student
from ...store import Store
from ...store.catalogue.predictions import Witness
from ...store.counts import Counts
from ...store.figures import figure_rows
from .. import flow
from ..arrays import Floats
from ..flow import UNIT
from ..gamma.estimate import gamma
from ..gamma.power_law import LOG_G
from ..gamma.result import Fitted
from ..named import Named, Stored, StoreLike, look_up, unsuited
from ..spectrum.eigen import eigen
from ..spectrum.noise import ASSUMED_SD
from ..window import SLACK, Window, choose_window
from .drafts import Draft, by_experiment, counts_of_witnesses
from .laws import Outcome, cell, student_of
from .line import Outcomes
from .targets import Target, check_groups

KINDS: tuple[Kind, ...] = ("exponents", "gamma")  # of experiments without runs
GAMMA = "log gamma"
_LONE_DF = 3.0  # of a sd that is assumed, as good as one of four seeds


def exponents_draft(store: StoreLike, source: Named, target: Target, *, by: str | None) -> Draft:
    """Predict the exponents of an experiment without runs from those of another one.

    Raises
    ------
    RgtoolError
        The source has no spectrum, or the target other groups, or other densities alone.
    """
    found = _stored(store, source)
    by = by or _coarsest(found)
    counts = found.counts(by)
    whole = choose_window(counts).distinct
    check_groups(target, by, whole.names)
    levels, theirs = target.windows(whole)
    window = whole.between(*levels)
    spectrum = eigen(found.store, counts, window=window.levels)
    y, names = _by_run(window), window.names
    untrained, lacking = target.untrained(by, theirs, window)
    off = math.sqrt(float((y.mean(axis=0) ** 2).mean()))
    constant = student_of(0.0, off, len(names))
    beside = _about(
        np.array([untrained.get(name, math.nan) for name in names]),
        spectrum.anomalous.value[window.open],
    )
    statements = tuple(
        Statement(name, _like_another(own), constant, null)
        for name, own, null in zip(names, y.T, beside, strict=True)
    )
    about = {"by": by, "window": "{}:{}".format(*theirs)}
    if levels != theirs:
        about["source window"] = "{}:{}".format(*levels)
    return Draft(
        kind="exponents",
        source=found.experiment_id,
        target=target.recipe.experiment_id,
        labels=(counts.label, target.label),
        meant=Meant(experiment=target.recipe.experiment_id),
        statements=statements,
        settings=about,
        notes=(*spectrum.notes, *([f"no N1: {lacking}"] if lacking else [])),
        command=f"{target.command} --levels {theirs[1]} --seeds {len(y)}",
    )


def _coarsest(found: Stored) -> str:
    return coarsest(found.counts("layer").layers)


def _stored(store: StoreLike, name: Named) -> Stored:
    found = look_up(store, name)
    if not isinstance(found, Stored):
        raise unsuited(found, "exponents are predicted from those of an experiment of the store")
    return found


def _by_run(window: Window) -> Floats:
    """Return y of the pruned groups over a window, of every run: (S, K)."""
    return flow.window_exponents(window.kept, 0, window.steps)[:, window.open]


def _like_another(y: Floats) -> Student:
    """Return the law of another run's exponent, of those of some (S,); one has an assumed sd."""
    if len(y) < 2:
        return student_of(y[0], ASSUMED_SD / UNIT * math.sqrt(2), _LONE_DF)
    return student_of(y.mean(), y.std(ddof=1) * math.sqrt(1 + 1 / len(y)), len(y) - 1)


def _about(middle: Floats, errors: Floats) -> list[Student | None]:
    """Return laws about some numbers (K,), as far off as errors were; None where nothing tells."""
    known = errors[np.isfinite(errors)]
    scale = math.sqrt(float((known**2).mean())) if len(known) else math.nan
    there = np.isfinite(middle + scale)
    return [
        student_of(m, scale, len(known)) if is_there else None
        for m, is_there in zip(middle, there, strict=True)
    ]


def exponent_outcomes(store: Store, one: Registered, witnesses: list[Witness]) -> Outcomes:
    """Return the exponents of every run over the window of the prediction.

    A group that has run empty has an exponent below that of its last weight. Runs that do not
    reach the end of the window tell nothing yet.
    """
    start, end = map(int, one.settings["window"].split(":"))
    found: dict[str, list[Outcome]] = {each.name: [] for each in one.statements}
    for experiment, runs in by_experiment(witnesses).items():
        try:
            counts = counts_of_witnesses(store, experiment, runs, one.settings["by"])
        except RgtoolError:
            continue
        if len(counts.levels) <= end:
            continue
        whole = counts.recorded[:, [start, end]].all(axis=1)
        kept = counts.kept[whole][:, [start, end]].astype(np.float64)
        for name in found.keys() & {*counts.names}:
            found[name] += _exponent_cells(kept, counts.names.index(name))
    return found


def _exponent_cells(kept: Floats, group: int) -> list[Outcome]:
    """Return the cells of y of a group, of every run: kept (S, 2, G)."""
    y = flow.window_exponents(np.maximum(kept, 1), 0, 1)[:, group]
    empty = kept[:, 1, group] == 0
    return [
        Outcome(-math.inf, float(value)) if gone else cell(float(value))
        for value, gone in zip(y, empty, strict=True)
    ]


def gamma_draft(store: StoreLike, source: Named, target: Target) -> Draft:
    """Predict the exponent of the error curve of an experiment without runs from another one's.

    The constant is another gamma like those that are published; N1 says nothing, an untrained
    network has no error curve.

    Raises
    ------
    RgtoolError
        The source has no error curve.
    """
    found = _stored(store, source)
    counts = found.store.counts(found.experiment_id, "layer")
    told = gamma(found.store, found)
    last = _same_density(counts, target)
    statements: tuple[Statement, ...] = ()
    refused = ""
    fitted = told.fitted
    if told.verdict == "quoted" and isinstance(fitted, Fitted) and fitted.parameters is not None:
        parameters = fitted.parameters
        statements = (
            Statement(
                GAMMA,
                student_of(
                    parameters.theta[LOG_G],
                    parameters.error(LOG_G) * math.sqrt(2),
                    parameters.df,
                ),
                _published_gamma(),
            ),
        )
    else:
        refused = f"the exponent of {counts.label} is {told.verdict}: {told.reason}"
    return Draft(
        kind="gamma",
        source=found.experiment_id,
        target=target.recipe.experiment_id,
        labels=(counts.label, target.label),
        meant=Meant(experiment=target.recipe.experiment_id),
        statements=statements,
        settings={"plateau": told.plateau},
        refused=refused,
        notes=tuple(told.notes),
        command=f"{target.command} --levels {last} --seeds {len(counts.runs)}",
    )


def _same_density(counts: Counts, target: Target) -> int:
    """Return the level at which a target is no denser than the source at its last one.

    Raises
    ------
    UsageError
        It cannot be pruned so far.
    """
    steps = math.log1p(-counts.recipe.prune) / math.log1p(-target.recipe.prune)
    last = math.ceil(float(counts.levels[-1]) * steps - SLACK)
    target.kept(last)
    return last


def _published_gamma() -> Student:
    known = np.log([abs(row["gamma"]) for row in figure_rows("published_gammas")])
    scale = known.std(ddof=1) * math.sqrt(1 + 1 / len(known))
    return student_of(known.mean(), scale, len(known) - 1)


def gamma_outcomes(store: Store, one: Registered, witnesses: list[Witness]) -> Outcomes:
    """Return the logarithm of gamma of every experiment whose exponent may be quoted."""
    found: list[Outcome] = []
    for experiment, runs in by_experiment(witnesses).items():
        try:
            told = gamma(store, counts_of_witnesses(store, experiment, runs))
        except RgtoolError:
            continue
        if told.verdict == "quoted":
            found.append(cell(math.log(told.gamma)))
    return {GAMMA: found}
