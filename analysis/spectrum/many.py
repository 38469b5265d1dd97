"""The spectra of many experiments at once: a table that a query could have made.

Everything that `eigen` computes by resampling is left out (bootstrap, tests of constant growth and
against the null); estimates, intervals, null, excess and verdicts are those of `eigen`. What
experiments have in common (seeds, window, groups, exemptions) is computed for all of them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.errors import RgtoolError
from ...store.counts import Counts
from .. import flow
from ..arrays import Floats
from ..nulls.excess import excess
from ..nulls.initial import INITIALISERS
from ..nulls.untrained import null_groups
from ..result import frame
from ..stats.level import t_quantile
from ..window import Window, choose_window
from .intervals import Interval, estimate, moderated_variances, sampling_variance
from .verdicts import check_margin, judge

if TYPE_CHECKING:
    import polars as pl

    from ...store import Store

_CHUNK = 250  # experiments in memory at once


@dataclass(frozen=True, eq=False)
class Spectra:
    """The spectra of many experiments.

    Attributes
    ----------
    by : str
        Grouping: `layer`, `block` or `stage`.
    experiments : int
        How many experiments have a spectrum.
    problems : mapping of str to str
        Experiments that have none, and why.
    """

    by: str
    experiments: int
    problems: Mapping[str, str]
    _frame: pl.DataFrame

    def to_frame(self) -> pl.DataFrame:
        """Return a row per experiment and group; what does not exist is null."""
        return self._frame

    @property
    def title(self) -> str:
        """One line that says what this is."""
        without = f", {len(self.problems)} without" if self.problems else ""
        experiments = "experiment" if self.experiments == 1 else "experiments"
        return f"spectra of {self.experiments} {experiments} by {self.by}{without}"

    def summary(self) -> str:
        """Return the title, the frame and what is missing as plain text."""
        return "\n".join([self.title, str(self._frame), *self.notes])

    @property
    def notes(self) -> tuple[str, ...]:
        """Which experiments have no spectrum, and why."""
        return tuple(f"{name}: {why}" for name, why in self.problems.items())


def spectra(
    store: Store,
    experiments: Sequence[str] | None = None,
    *,
    by: str = "block",
    window: tuple[int, int] | None = None,
    margin: float | None = None,
) -> Spectra:
    """Compute the spectra of many experiments in a store.

    Parameters
    ----------
    store : Store
        Where the records are. Compacted ones are read quickly.
    experiments : sequence of str, optional
        Names as `eigen` takes them; by default all experiments.
    by : str
        `layer`, `block` or `stage`.
    window : (a, b), optional
        Levels between which eigenvalues are taken; see `choose_window` for the default.
    margin : float, optional
        Half-width of the margin in log eigenvalue; default .02 below five seeds, .01 from five.

    Raises
    ------
    UsageError
        An experiment, the grouping or the margin is not to be had.
    """
    check_margin(margin)
    names = None if experiments is None else [store.find_experiment(name) for name in experiments]
    problems: dict[str, str] = {}
    parts: list[dict[str, Any]] = []
    done = 0
    for batch in _batches(store.counts_of(names, by, chunk=_CHUNK), window, problems):
        parts.append(_columns(batch, margin))
        done += len(batch)
    return Spectra(by, done, problems, _joined(parts))


@dataclass(frozen=True, eq=False)
class _Member:
    """An experiment and the runs and levels that its spectrum is computed from."""

    counts: Counts
    window: Window

    @property
    def kept(self) -> Floats:
        """Counts over the window, shape (S, T + 1, G)."""
        levels = slice(self.window.start, self.window.end + 1)
        return self.counts.kept[self.window.runs, levels].astype(np.float64)

    @property
    def alike(self) -> tuple[Any, ...]:
        """What members of one batch have in common."""
        counts, window = self.counts, self.window
        recipe = counts.recipe
        nulls = (recipe.init, recipe.fan, recipe.pruner, recipe.scope)
        # Stored scales differ from run to run.
        own = "" if recipe.init in INITIALISERS else counts.experiment_id
        shape = (len(window.runs), window.end - window.start)
        return (*shape, counts.names, counts.layers, counts.exempt_layers, *nulls, own)


def _batches(
    found: Iterable[tuple[str, Counts | RgtoolError]],
    window: tuple[int, int] | None,
    problems: dict[str, str],
) -> Iterator[list[_Member]]:
    """Gather what can be computed together; why an experiment has no spectrum goes to problems."""
    waiting: dict[tuple[Any, ...], list[_Member]] = {}
    for name, counts in found:
        try:
            if isinstance(counts, RgtoolError):
                raise counts
            member = _Member(counts, choose_window(counts, window))
        except RgtoolError as error:
            problems[name] = str(error)
            continue
        batch = waiting.setdefault(member.alike, [])
        batch.append(member)
        if len(batch) == _CHUNK:
            yield waiting.pop(member.alike)
    yield from waiting.values()


def _columns(batch: list[_Member], margin: float | None) -> dict[str, Any]:
    """Compute the spectra of a batch: columns of length experiments x groups."""
    first = batch[0].counts
    exempt = first.exempt
    kept = np.stack([member.kept for member in batch])
    steps = kept.shape[-2] - 1
    logs = np.where(exempt, np.nan, flow.log_eigenvalues(kept))
    network = kept.sum(axis=-1)
    scale = (steps / np.log(network[..., 0] / network[..., -1]))[..., None, None]
    sampling = sampling_variance(kept, exempt)
    theta = _estimates(logs, sampling)
    exponent = _estimates(logs * scale, sampling * (scale**2).mean(axis=(1, 2)))
    y = flow.window_exponents(kept, 0, steps)
    null_theta, null_y = _null(batch, network[..., [0, -1]], steps)
    beyond = [excess(np.where(exempt, np.nan, a), b) for a, b in zip(y, null_y, strict=True)]
    judged = [judge(one, exempt, margin) for one in theta]
    centre = flow.window_log_eigenvalues(kept, 0, steps).mean(axis=1)
    groups = len(first.names)
    columns: dict[str, Any] = {
        name: np.repeat(values, groups) for name, values in _about(batch).items()
    }
    return columns | {
        "name": np.tile(np.array(first.names), len(batch)),
        "total": np.tile(first.total, len(batch)),
        "exempt": np.tile(exempt, len(batch)),
        "eigenvalue": np.exp(centre).ravel(),
        "low": np.exp([one.low for one in theta]).ravel(),
        "high": np.exp([one.high for one in theta]).ravel(),
        "exponent": y.mean(axis=1).ravel(),
        "exponent_low": np.ravel([one.low for one in exponent]),
        "exponent_high": np.ravel([one.high for one in exponent]),
        "null_eigenvalue": np.exp(null_theta.mean(axis=1)).ravel(),
        "null_exponent": null_y.mean(axis=1).ravel(),
        "excess": (y - null_y).mean(axis=1).ravel(),
        "excess_low": np.ravel([one for _, one, _ in beyond]),
        "excess_high": np.ravel([one for _, _, one in beyond]),
        "p": np.ravel([one.p for one in judged]),
        "verdict": np.ravel([one.verdict for one in judged]),
        "strong": np.ravel([one.strong for one in judged]),
        "within_margin": np.ravel([one.within for one in judged]),
    }


def _about(batch: list[_Member]) -> dict[str, Any]:
    """Return what the rows of an experiment repeat."""
    return {
        "experiment_id": np.array([member.counts.experiment_id for member in batch]),
        "architecture": np.array([member.counts.recipe.architecture for member in batch]),
        "task": np.array([member.counts.recipe.task for member in batch]),
        "seeds": np.array([len(member.window.runs) for member in batch]),
        "first_level": np.array([member.window.start for member in batch]),
        "last_level": np.array([member.window.end for member in batch]),
    }


def _estimates(steps: Floats, sampling: Floats) -> list[Interval]:
    """Do what `intervals.estimate` does by default, for many experiments: steps (E, S, T, G)."""
    seeds = steps.shape[1]
    if seeds == 1:
        return [estimate(one) for one in steps]
    variance, df = moderated_variances(steps, sampling)
    centre = steps.mean(axis=(1, 2))
    quantiles = {value: t_quantile(value, 0.95) for value in set(df.tolist())}
    half = np.array([quantiles[value] for value in df.tolist()])[:, None]
    half = half * np.sqrt(variance / seeds)
    return [
        Interval("moderated", "population", c, c - h, c + h, v, float(d), seeds)
        for c, h, v, d in zip(centre, half, variance, df, strict=True)
    ]


def _null(batch: list[_Member], network: Floats, steps: int) -> tuple[Floats, Floats]:
    """Return theta and exponent of N1 in every run: (E, S, G); NaN where it is not to be had."""
    counts = batch[0].counts
    scales = [counts.scales[i] for i in batch[0].window.runs] if counts.scales else []
    alone = counts.recipe.init not in INITIALISERS  # a batch of one, with scales of its own
    try:
        ends, _ = null_groups(counts, network[0] if alone else network, scales)
    except RgtoolError:
        if len(batch) > 1:  # one of them may be what has no null
            apart = [_null([one], network[i : i + 1], steps) for i, one in enumerate(batch)]
            return np.concatenate([a for a, _ in apart]), np.concatenate([b for _, b in apart])
        nothing = np.full((*network.shape[:2], len(counts.names)), np.nan)
        return nothing, nothing
    ends = ends.reshape(*network.shape, len(counts.names))
    return flow.window_log_eigenvalues(ends, 0, 1) / steps, flow.window_exponents(ends, 0, 1)


def _joined(parts: list[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    if not parts:
        return pl.DataFrame()
    whole = pl.concat([frame(part) for part in parts], how="vertical_relaxed", rechunk=True)
    return whole.sort("architecture", "task", "experiment_id", maintain_order=True)
