"""A spectrum beside all its null models, and what it has beyond each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...schemas.blocks import Layer
from ...schemas.errors import RgtoolError, StoreError
from ...schemas.notes import Note, Rank
from ...schemas.recipe import Recipe
from ...schemas.words import listed
from ...store.weights import layer_weights
from .. import flow
from ..arrays import Bools, Floats
from ..named import Meaning, Named, Stored, StoreLike, counts_of, look_up, open_store
from ..result import SIGNED, Column, Result, ends
from ..stats.contrast import DRAWS
from ..stats.level import ALPHA
from ..stats.seeds import SeedMean
from ..window import LEAST_WEIGHTS, Window, choose_window
from .beyond import beyond, differs
from .known import null_words
from .models import MEANING, NULL_MODELS, DenseWeights, Situation
from .untrained import null_groups


@dataclass(frozen=True, eq=False)
class Null:
    """One null model of an experiment, at the counts of every run; S runs, G groups.

    Attributes
    ----------
    name : str
        `random` (N0), `initial` or `measured` (N1), `static` (N2).
    theta, y : array, shape (S, G)
        Mean log eigenvalue and exponent over the window.
    beyond : SeedMean, shape (G,)
        Mean over runs of the experiment's exponent minus the null's, without error where there is
        one seed. All NaN for exempt groups.
    """

    name: str
    theta: Floats
    y: Floats
    beyond: SeedMean

    @property
    def eigenvalue(self) -> Floats:
        """Geometric mean over window and runs, shape (G,)."""
        return np.asarray(np.exp(self.theta.mean(axis=0)))

    @property
    def exponent(self) -> Floats:
        """Mean over runs, shape (G,)."""
        return np.asarray(self.y.mean(axis=0))

    def dead(self, names: Sequence[str]) -> list[str]:
        """Name the groups that have lost every weight in some run."""
        return [name for name, y in zip(names, self.exponent, strict=True) if np.isnan(y)]


def _null_columns(null: str) -> tuple[Column, ...]:
    what = MEANING.get(null, null)
    return (
        Column(f"{null}_eigenvalue", f"Eigenvalue of {what}.", "1 a level", ".3f", "wide"),
        Column(f"{null}_exponent", "Its exponent.", "", SIGNED),
        Column(f"{null}_beyond", "exponent minus that of this null.", "", SIGNED),
        *ends(f"{null}_low", f"{null}_high", "what is beyond it", "", SIGNED, "if any"),
    )


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

    columns = (
        Column("name", "The group."),
        Column("exempt", "Counted and never pruned.", shown="if any"),
        Column("exponent", "y = ln eigenvalue / -ln retention over the window.", "", SIGNED),
        Column(
            "random_sd",
            "Standard deviation of the log eigenvalue if pruning were random (N0).",
            "log, a level",
            ".4f",
        ),
        *(column for name in NULL_MODELS for column in _null_columns(name)),
    )
    rows = "a row for every group; the columns of a null that cannot be had are left out"
    see = "spectra.md#null-models"

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

    def _values(self) -> dict[str, Any]:
        values = {
            "name": self.names,
            "exempt": self.exempt,
            "exponent": self.exponent,
            "random_sd": self.random_sd,
        }
        for null in self.nulls:
            low, high = null.beyond.ends()
            values |= {
                f"{null.name}_eigenvalue": null.eigenvalue,
                f"{null.name}_exponent": null.exponent,
                f"{null.name}_beyond": null.beyond.value,
                f"{null.name}_low": low,
                f"{null.name}_high": high,
            }
        return values


def nulls_of(
    store: StoreLike = None,
    experiment: Named = None,
    *,
    by: str = "block",
    window: tuple[int, int] | None = None,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
) -> Nulls:
    """Compute all null models of an experiment in a store, and what it has beyond them.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are, and for N2 the weights that `--keep dense` keeps.
    experiment : str or Counts, optional
        An experiment or a run, see `named.look_up`.
    by : str
        `layer`, `block`, `stage` or `role`.
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
    found = look_up(store, experiment)
    counts = counts_of(store, found, by, "a comparison with null models")
    at = Situation(
        choose_window(counts, window).distinct, dense_weights(store, found, counts.layers)
    )
    return nulls_beside(at, rng=rng, draws=draws)


def dense_weights(
    store: StoreLike, found: Meaning, layers: Sequence[Layer]
) -> Callable[[str], DenseWeights]:
    """Return what reads the trained dense weights of a run: a flat array a layer.

    They lie in the store of what was found; those of counts in the store that is given, if one is.
    """
    place = found.store if isinstance(found, Stored) else store

    def read(run: str) -> DenseWeights:
        if place is None:
            raise StoreError(f"no weights of run {run} are at hand: name their store")
        return layer_weights(open_store(place), run, "dense", layers)

    return read


def nulls_beside(at: Situation, *, rng: np.random.Generator | int = 0, draws: int = DRAWS) -> Nulls:
    """Compute all null models of a situation; see `nulls_of`."""
    window, counts = at.window, at.window.counts
    y = flow.window_exponents(at.kept, 0, 1)
    found, notes = [], list(window.notes)
    for name, model in NULL_MODELS.items():
        try:
            kept, said = model(at)
        except RgtoolError as error:
            notes.append(Note(f"{MEANING.get(name, name)}: not to be had, {error}", Nulls.see))
            continue
        null = set_beside(name, kept, y, window)
        found.append(null)
        notes += [
            Note.of(text, Nulls.see).about(MEANING.get(name, name))
            for text in (*said, *_dead_notes(null, counts.names))
        ]
    initial = next((null for null in found if null.name in ("initial", "measured")), None)
    p, why = (
        (np.nan, "no p: there is no initial-scale null")
        if initial is None
        else null_p(y, initial, window, rng, draws)
    )
    return Nulls(
        experiment_id=counts.experiment_id,
        label=counts.label,
        by=counts.by,
        window=window.levels,
        runs=at.runs,
        names=counts.names,
        exempt=counts.exempt,
        exponent=y.mean(axis=0),
        random_sd=at.random_sd,
        nulls=tuple(found),
        p=p if np.isfinite(p) else None,
        p_null=None if initial is None else initial.name,
        notes=(*notes, *_about_p(p, why, initial, counts.recipe)),
    )


def _about_p(p: float, why: str, null: Null | None, recipe: Recipe) -> list[Note]:
    """Say in a sentence what came of the test against the initial scales, or why there is none."""
    found = [Note(why, Nulls.see)] if why else []
    if null is None or not np.isfinite(p):
        return found
    words = "differs from" if p < ALPHA else "cannot be told from"
    text = f"the spectrum {words} that of {null_words(recipe)} (p {p:.2g})"
    return [Note(text, Nulls.see, Rank.CONCLUSION), *found]


def set_beside(name: str, expected: Floats, y: Floats, window: Window) -> Null:
    """Set what a null model expects beside the exponents of an experiment.

    Parameters
    ----------
    name : str
        Of the model.
    expected : array, shape (S, 2, G)
        Counts at the two ends of the window.
    y : array, shape (S, G)
        Exponents over the window.
    window : Window
        It tells the steps, and which groups are pruned.
    """
    theta = flow.window_log_eigenvalues(expected, 0, 1) / window.steps
    null_y = flow.window_exponents(expected, 0, 1)
    # What prunes the same dense weights shares their chance; the other nulls are expectations.
    time = np.log(window.network[:, 0] / window.network[:, -1])[:, None]
    sampling = None if name == "static" else window.sampling / time**2
    found = beyond(np.where(window.open, y, np.nan), null_y, sampling)
    return Null(name, theta, null_y, found)


def initial_null(window: Window, y: Floats) -> tuple[Null, tuple[str, ...]]:
    """Set N1 beside exponents (S, G), at the scales of the recipe or else the stored ones.

    Returns
    -------
    null : Null
    notes : tuple of str
        What was assumed.

    Raises
    ------
    RgtoolError
        It is not to be had; the message says why.
    """
    expected, notes = null_groups(window.counts, window.network[:, [0, -1]], window.scales)
    return set_beside("initial", expected, y, window), notes


def missing_null(window: Window) -> Null:
    """Return what stands for a null model that is not to be had: NaN everywhere."""
    by_run = np.full((len(window.runs), len(window.counts.names)), np.nan)
    nothing = by_run[0]
    return Null("initial", by_run, by_run, SeedMean(nothing, nothing, np.nan))


def null_p(
    y: Floats, null: Null, window: Window, rng: np.random.Generator | int = 0, draws: int = DRAWS
) -> tuple[float, str]:
    """Return p of a spectrum that is that of a null, over all groups; NaN and why where none is.

    Exponents are compared, y ln(1/.8): log eigenvalues at the usual retention, whatever each run's
    was. Groups that keep fewer than ten weights take no part, which is said.
    """
    if len(y) < 2:
        return np.nan, (
            "one seed: no interval of what is beyond and no p, since nothing tells how far seeds "
            f"lie apart: {window.counts.more('seeds')}"
        )
    known = window.open & (window.kept[:, -1].mean(axis=0) >= LEAST_WEIGHTS)
    theta, expected = (flow.UNIT * values[:, known] for values in (y, null.y))
    if not np.isfinite(expected).all():
        return np.nan, "no p: a group would have lost every weight in the null"
    few = [name for name, n in zip(window.counts.names, window.open & ~known, strict=True) if n]
    why = few and f"p is without {listed(few)}: fewer than {LEAST_WEIGHTS} weights at the end"
    try:
        return differs(theta, expected, np.random.default_rng(rng), draws).p, why or ""
    except ValueError as error:
        return np.nan, f"no p: {error}"


def _dead_notes(null: Null, names: tuple[str, ...]) -> tuple[str, ...]:
    dead = null.dead(names)
    if not dead:
        return ()
    return (f"{', '.join(dead)} would have lost every weight: eigenvalue 0, no exponent",)
