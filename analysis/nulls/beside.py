"""A spectrum beside all its null models, and what it has beyond each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...schemas.errors import RgtoolError
from ...store.counts import Counts
from ...store.weights import layer_weights
from .. import flow
from ..arrays import Bools, Floats
from ..result import Result, frame, interval, number
from ..spectrum.eigen import counts_named
from ..stats.contrast import DRAWS
from ..window import choose_window
from .excess import differs, excess
from .models import MEANING, NULL_MODELS, Situation, situation
from .random import random_log_variance

if TYPE_CHECKING:
    import polars as pl

    from ...store import Store


@dataclass(frozen=True, eq=False)
class Null:
    """One null model of an experiment, at the counts of every run; S runs, G groups.

    Attributes
    ----------
    name : str
        `random` (N0), `initial` or `measured` (N1), `static` (N2).
    theta, y : array, shape (S, G)
        Mean log eigenvalue and exponent over the window.
    excess, low, high : array, shape (G,)
        Mean over runs of the experiment's exponent minus the null's, and its moderated 95 % t
        interval over seeds, NaN with one seed. All NaN for exempt groups.
    """

    name: str
    theta: Floats
    y: Floats
    excess: Floats
    low: Floats
    high: Floats

    @property
    def eigenvalue(self) -> Floats:
        """Geometric mean over window and runs, shape (G,)."""
        return np.asarray(np.exp(self.theta.mean(axis=0)))

    @property
    def exponent(self) -> Floats:
        """Mean over runs, shape (G,)."""
        return np.asarray(self.y.mean(axis=0))


@dataclass(frozen=True, eq=False)
class Nulls(Result):
    """An experiment's exponents and its null models.

    Attributes
    ----------
    experiment_id, label, by : str
        Experiment, its architecture and task, and the grouping.
    window : (a, b)
        Levels between which exponents are taken.
    runs : tuple of str, length S
        The runs used.
    names : tuple of str, length G
        Groups in the order of the forward pass.
    exempt : bool array, shape (G,)
        Groups that are never pruned: constant in every null, without interval.
    exponent : array, shape (G,)
        y_i over the window, mean over runs.
    random_sd : array, shape (G,)
        Standard deviation over runs of ln lambda_i over the window if pruning were random (N0).
    nulls : tuple of Null
        The null models that can be had.
    p : float or None
        Of the hypothesis that the spectrum is that of `p_null`, all groups together; None where
        there is one seed.
    p_null : str or None
        The initial-scale null that p is about: `initial`, or `measured` where that is unknown.
    notes : tuple of str
        Which nulls cannot be had and why, and what was assumed.
    """

    experiment_id: str
    label: str
    by: str
    window: tuple[int, int]
    runs: tuple[str, ...]
    names: tuple[str, ...]
    exempt: Bools
    exponent: Floats
    random_sd: Floats
    nulls: tuple[Null, ...]
    p: float | None
    p_null: str | None
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Null:
        """Return the null model of that name."""
        return {null.name: null for null in self.nulls}[name]

    @property
    def title(self) -> str:
        """One line that says what this is."""
        (a, b), seeds = self.window, len(self.runs)
        said = "" if self.p is None else f", p {self.p:.2g} for the {self.p_null} null"
        return (
            f"nulls of {self.label} ({self.experiment_id}) by {self.by}: {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}, levels {a}:{b}{said}"
        )

    def to_frame(self) -> pl.DataFrame:
        """Return a row per group; what does not exist is null."""
        columns = {
            "name": self.names,
            "exempt": self.exempt,
            "exponent": self.exponent,
            "random_sd": self.random_sd,
        }
        for null in self.nulls:
            for part in ("eigenvalue", "exponent", "excess", "low", "high"):
                columns[f"{null.name}_{part}"] = getattr(null, part)
        return frame(columns)

    def _columns(self) -> dict[str, list[str]]:
        columns = {
            self.by: [
                f"{name} (exempt)" if exempt else name
                for name, exempt in zip(self.names, self.exempt, strict=True)
            ],
            "exponent": [number(value) for value in self.exponent],
        }
        for null in self.nulls:
            columns[null.name] = [number(value) for value in null.exponent]
            columns[f"beyond {null.name}"] = [
                f"{number(value)} {interval(low, high)}" if low < high else number(value)
                for value, low, high in zip(null.excess, null.low, null.high, strict=True)
            ]
        return columns


def nulls_of(
    store: Store,
    experiment: str | None = None,
    *,
    by: str = "block",
    window: tuple[int, int] | None = None,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
) -> Nulls:
    """Compute all null models of an experiment in a store, and what it has beyond them.

    Parameters
    ----------
    store : Store
        Where the records are, and for N2 the weights that `--keep dense` keeps.
    experiment : str, optional
        Any unique prefix of its id, or `resnet20/cifar10`; the id of a run for that run alone.
    by : str
        `layer`, `block` or `stage`.
    window : (a, b), optional
        Levels between which exponents are taken; see `choose_window` for the default.
    rng : numpy.random.Generator or int
        Randomness of p, or its seed.
    draws : int
        Draws behind p.

    Raises
    ------
    RgtoolError
        There are too few levels, or nothing was pruned.
    UsageError
        The experiment, the grouping or the window is not to be had.
    """
    counts = counts_named(store, experiment, by)
    chosen = choose_window(counts, window)
    at = situation(counts, chosen, lambda run: layer_weights(store, run, "dense", counts.layers))
    return _nulls(counts, at, (chosen.start, chosen.end), chosen.notes, (rng, draws))


def _nulls(
    counts: Counts,
    at: Situation,
    window: tuple[int, int],
    about: tuple[str, ...],
    randomness: tuple[np.random.Generator | int, int],
) -> Nulls:
    steps = window[1] - window[0]
    theta = flow.window_log_eigenvalues(at.kept, 0, 1) / steps
    y = flow.window_exponents(at.kept, 0, 1)
    found, notes = [], list(about)
    for name, model in NULL_MODELS.items():
        try:
            kept, said = model(at)
        except RgtoolError as error:
            notes.append(f"{MEANING.get(name, name)}: not to be had, {error}")
            continue
        null = _null(name, kept, steps, np.where(counts.exempt, np.nan, y))
        found.append(null)
        notes += [
            f"{MEANING.get(name, name)}: {text}" for text in (*said, *_collapse(null, counts.names))
        ]
    p, p_null, why = _p_value(theta, found, counts.exempt, *randomness)
    variance = random_log_variance(at.kept, at.fixed)[:, 0].mean(axis=0)
    return Nulls(
        experiment_id=counts.experiment_id,
        label=counts.label,
        by=counts.by,
        window=window,
        runs=at.runs,
        names=counts.names,
        exempt=counts.exempt,
        exponent=y.mean(axis=0),
        random_sd=np.sqrt(variance) / steps,
        nulls=tuple(found),
        p=p,
        p_null=p_null,
        notes=(*notes, *why),
    )


def _null(name: str, kept: Floats, steps: int, y: Floats) -> Null:
    null_y = flow.window_exponents(kept, 0, 1)
    centre, low, high = excess(y, null_y)
    theta = flow.window_log_eigenvalues(kept, 0, 1) / steps
    return Null(name, theta, null_y, centre, low, high)


def _collapse(null: Null, names: tuple[str, ...]) -> tuple[str, ...]:
    dead = [name for name, value in zip(names, null.exponent, strict=True) if np.isnan(value)]
    if not dead:
        return ()
    return (f"{', '.join(dead)} would have lost every weight: eigenvalue 0, no exponent",)


def _p_value(
    theta: Floats,
    nulls: list[Null],
    exempt: Bools,
    rng: np.random.Generator | int,
    draws: int,
) -> tuple[float | None, str | None, tuple[str, ...]]:
    null = next((null for null in nulls if null.name in ("initial", "measured")), None)
    if null is None:
        return None, None, ("no p: there is no initial-scale null",)
    if len(theta) < 2:
        return (
            None,
            null.name,
            (
                "one seed: no interval of the excess and no p, since nothing tells how far seeds "
                "lie apart: add --seeds",
            ),
        )
    open_ = ~exempt
    if not np.isfinite(null.theta[:, open_]).all():
        return None, null.name, ("no p: a group would have lost every weight in the null",)
    pair = theta[:, open_], null.theta[:, open_]
    try:
        return differs(*pair, np.random.default_rng(rng), draws).p, null.name, ()
    except ValueError as error:
        return None, null.name, (f"no p: {error}",)
