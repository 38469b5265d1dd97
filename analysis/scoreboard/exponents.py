"""Exponents of an experiment that has no runs yet, as those of another one: universality, tested.

The model is that of one class: the target has the exponents of the source, seeds apart. N1 says
those of the untrained target, off by as much as it was off the source; the constant says that no
share grows, off by as much as those of the source do.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ...schemas.blocks import architecture
from ...schemas.errors import RgtoolError, UsageError
from ...schemas.recipe import Recipe, parse_field
from ...schemas.records.predictions import Meant, Registered, Statement, Student
from ...schemas.words import listed
from ...store import Store
from ...store.catalogue.predictions import Witness
from ...store.figures import figure_rows
from .. import flow
from ..arrays import Floats
from ..flow import UNIT
from ..gamma.estimate import gamma
from ..gamma.power_law import LOG_G
from ..gamma.result import Fitted
from ..named import Named, Stored, StoreLike, look_up, unsuited
from ..nulls.untrained import null_kept
from ..spectrum.eigen import eigen
from ..spectrum.noise import ASSUMED_SD
from ..window import Window, choose_window
from .drafts import Draft, by_experiment, counts_of_witnesses
from .laws import Outcome, cell, student_of
from .line import Outcomes

GAMMA = "log gamma"
_LONE_DF = 3.0  # of a sd that is assumed, as good as one of four seeds


def target_recipe(source: Recipe, text: str) -> Recipe:
    """Return the recipe of a target: that of the source, but for what is written.

    Parameters
    ----------
    source : Recipe
        Of the source.
    text : str
        A label such as `lenet/mnist`, and fields such as `prune=.36`, with spaces between them.

    Raises
    ------
    UsageError
        It is no label, or a field is none.
    """
    label, *fields = text.split()
    network, slash, task = label.partition("/")
    if not (network and slash and task):
        raise UsageError(
            f"'{text}' is no target: a label such as lenet/mnist is due, of an experiment without "
            "runs, and fields such as prune=.36 in which its recipe is not that of the source"
        )
    told: dict[str, Any] = {"architecture": network, "task": task, **dict(map(parse_field, fields))}
    return dataclasses.replace(source, **told)


def exponents_draft(store: StoreLike, source: Named, target: str, *, by: str = "stage") -> Draft:
    """Predict the exponents of an experiment without runs from those of another one.

    Raises
    ------
    RgtoolError
        The source has no spectrum, or the target other groups.
    """
    found = _stored(store, source)
    by = by or _coarsest(found)
    counts = found.counts(by)
    recipe = target_recipe(counts.recipe, target)
    window = choose_window(counts).distinct
    spectrum = eigen(found.store, counts, window=window.levels)
    y, names = _by_run(window), window.names
    untrained = _untrained(recipe, by, window.levels)
    if lacking := [name for name in names if name not in untrained]:
        raise UsageError(
            f"{target} has no group {lacking[0]} by {by}: its groups are {listed([*untrained])}"
        )
    off = math.sqrt(float((y.mean(axis=0) ** 2).mean()))
    constant = student_of(0.0, off, len(names))
    beside = _about(
        np.array([untrained[name] for name in names]), spectrum.anomalous.value[window.open]
    )
    statements = tuple(
        Statement(name, _like_another(own), constant, null)
        for name, own, null in zip(names, y.T, beside, strict=True)
    )
    return Draft(
        kind="exponents",
        source=found.experiment_id,
        target=recipe.experiment_id,
        labels=(counts.label, f"{recipe.architecture}/{recipe.task}"),
        meant=Meant(experiment=recipe.experiment_id),
        statements=statements,
        settings={"by": by, "window": "{}:{}".format(*window.levels)},
        notes=tuple(spectrum.notes),
    )


def _coarsest(found: Stored) -> str:
    layers = found.counts("layer").layers
    return "block" if any(layer.group("stage") is None for layer in layers) else "stage"


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


def _untrained(recipe: Recipe, by: str, window: tuple[int, int]) -> dict[str, float]:
    """Return y of N1 by group of a recipe over a window of levels."""
    network = architecture(recipe.architecture)
    layers = network.counted(recipe.prunable)
    groups = [layer.group(by) for layer in layers]
    if None in groups:
        raise UsageError(
            f"{network.name} has no {by}s: exponents are predicted by group, name --by"
        )
    names = tuple(dict.fromkeys(map(str, groups)))
    index = flow.group_index(groups, names)
    total = sum(layer.total for layer in layers)
    kept = total * (1 - recipe.prune) ** np.array(window, float)
    try:
        expected, _ = null_kept(layers, recipe.exempt, recipe, kept)
    except UsageError:
        return dict.fromkeys(names, math.nan)
    y = flow.window_exponents(flow.group_sums(expected, index, len(names)), 0, 1)
    return dict(zip(names, y.tolist(), strict=True))


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


def gamma_draft(store: StoreLike, source: Named, target: str) -> Draft:
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
    recipe, told = target_recipe(counts.recipe, target), gamma(found.store, found)
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
        target=recipe.experiment_id,
        labels=(counts.label, f"{recipe.architecture}/{recipe.task}"),
        meant=Meant(experiment=recipe.experiment_id),
        statements=statements,
        settings={"plateau": told.plateau},
        refused=refused,
        notes=tuple(told.notes),
    )


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
