"""The spectra of many experiments at once: a table that a query could have made.

Everything that `eigen` computes by resampling is left out (bootstrap, tests of constant growth and
against the null); estimates, intervals, null and verdicts are those of `eigen`. What
experiments have in common (seeds, window, groups, exemptions) is computed for all of them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.blocks import GROUPINGS
from ...schemas.errors import RgtoolError, choose
from ...schemas.notes import Note, Rank, ranked
from ...schemas.words import counted, listed
from ...store import Store
from ...store.counts import Counts
from .. import chance
from ..arrays import Floats
from ..named import Named, Stored, StoreLike, look_up, look_up_all, open_store, unsuited
from ..nulls.beside import Null, missing_null, set_beside
from ..nulls.beyond import against_null
from ..nulls.initial import INITIALISERS
from ..nulls.known import ASSUMED, scale_source
from ..nulls.untrained import null_groups
from ..result import LABEL, Column, Result, columns_like, frame
from ..window import Window, choose_window
from .estimates import estimates
from .result import Spectrum
from .verdicts import check_margin, judge

if TYPE_CHECKING:
    import polars as pl

_BATCH = 250  # experiments in memory at once
_OWN = "SELECT DISTINCT experiment_id FROM runs WHERE parent IS NULL ORDER BY experiment_id"


@dataclass(frozen=True, eq=False)
class Spectra(Result):
    """The spectra of many experiments.

    Attributes
    ----------
    by : str
        Grouping: `layer`, `block`, `stage` or `role`.
    experiments : int
        How many experiments have a spectrum.
    problems : mapping of str to str
        Experiments that have none, and why.
    """

    by: str
    experiments: int
    problems: Mapping[str, str]
    _frame: pl.DataFrame

    columns = (
        Column("experiment_id", "The experiment."),
        Column("label", LABEL),
        Column("architecture", "Its network.", shown="wide"),
        Column("task", "Its data set.", shown="wide"),
        Column("seeds", "Runs used."),
        Column("first_level", "Where the window begins.", "levels", shown="wide"),
        Column("last_level", "Where it ends.", "levels", shown="wide"),
        *columns_like(
            Spectrum.columns,
            "name total exempt eigenvalue low high exponent exponent_low exponent_high "
            "canonical_eigenvalue canonical",
            total="wide",
        ),
        Column("assumed", "What the null rests on that nobody tells.", shown="wide"),
        *columns_like(
            Spectrum.columns,
            "anomalous anomalous_low anomalous_high against_null p verdict strong within_margin "
            "at_chance scope",
        ),
    )
    rows = "a row for every experiment and group"
    see = "spectra.md#all-experiments-at-once"
    most = 40

    def to_frame(self) -> pl.DataFrame:
        """Return all columns as a frame; what does not exist is null."""
        return self._frame

    @property
    def title(self) -> str:
        """One line that says what this is."""
        without = f", {len(self.problems)} without" if self.problems else ""
        experiments = "experiment" if self.experiments == 1 else "experiments"
        return f"spectra of {self.experiments} {experiments} by {self.by}{without}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the spectra show together, and which of them lack something, and why."""
        return ranked(
            [
                *self._of_chance(),
                *self._conclusion(),
                *self._of_one_run(),
                *self._of_assumptions(),
                *(Note(f"{name}: {why}", rank=Rank.WARNING) for name, why in self.problems.items()),
            ],
            self.see,
        )

    def _conclusion(self) -> list[Note]:
        if not self.experiments:
            return []
        said = [self._tally("verdict"), self._tally("against_null")]
        text = "; against the initial scales alone ".join(part for part in said if part)
        of = counted(self.experiments, "experiment")
        return [Note(f"groups of {of}: {text}", self.see, Rank.CONCLUSION)]

    def _tally(self, column: str) -> str:
        counts = self._frame[column].drop_nulls().value_counts(sort=True)
        return ", ".join(f"{count:,} {word}" for word, count in counts.rows() if word)

    def _of_one_run(self) -> list[Note]:
        names = self._named(scope="this run")
        if not names:
            return []
        text = f"one seed: intervals of {listed(names)} are of this run, not of other seeds"
        return [Note(f"{text} (column scope)", "spectra.md#intervals", Rank.WARNING)]

    def _of_assumptions(self) -> list[Note]:
        if not self.experiments:
            return []
        pairs = (
            self._frame.select("experiment_id", "assumed").drop_nulls().unique(maintain_order=True)
        )
        return [Note(f"{name}: {text}", ASSUMED, Rank.WARNING) for name, text in pairs.rows()]

    def _named(self, **those: Any) -> list[str]:
        """Name the experiments of the rows with these values."""
        rows = self._frame.filter(**those) if self.experiments else self._frame
        return rows["experiment_id"].unique(maintain_order=True).to_list() if len(rows) else []

    def _of_chance(self) -> list[Note]:
        names = self._named(at_chance=True)
        if not names:
            return []
        return [
            Note(
                f"no evidence that anything was learned by {counted(len(names), 'experiment')} "
                f"({listed(names)}): test accuracy cannot be told from guessing (column at_chance)",
                chance.SEE,
                Rank.VOID,
            )
        ]


def spectra(
    store: StoreLike = None,
    experiments: Sequence[Named] | None = None,
    *,
    by: str = "block",
    window: tuple[int, int] | None = None,
    margin: float | None = None,
    exclude: Sequence[Named] = (),
) -> Spectra:
    """Compute the spectra of many experiments in a store.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are. Compacted ones are read quickly.
    experiments : sequence of str, optional
        Names of experiments, see `named.look_up_all`; by default all of the store that find their
        own tickets.
    by : str
        `layer`, `block`, `stage` or `role`.
    window : (a, b), optional
        Levels between which eigenvalues are taken; see `choose_window` for the default.
    margin : float, optional
        Half-width of the margin in log eigenvalue; default `verdicts.MARGIN`.
    exclude : sequence of str
        Names of experiments to leave out.

    Raises
    ------
    UsageError
        An experiment, the grouping or the margin is not to be had.
    """
    by = choose("grouping", by, GROUPINGS)
    check_margin(margin)
    store = open_store(store)
    names: list[str] = [name for (name,) in store.query(_OWN).rows]
    if experiments is not None or exclude:
        names = [_id(store, one) for one in look_up_all(store, experiments or (), exclude)]
    problems: dict[str, str] = {}
    parts: list[dict[str, Any]] = []
    done = 0
    for batch in _gathered(store.counts_of(names, by, chunk=_BATCH), window, problems):
        parts.append(_columns(batch, margin))
        done += len(batch)
    return Spectra(by, done, problems, _one_frame(parts))


def _id(store: Store, name: Named) -> str:
    found = look_up(store, name)
    if not isinstance(found, Stored) or (found.run_id, found.runs) != (None, None):
        raise unsuited(found, "many spectra at once are those of experiments of the store")
    return found.experiment_id


def _batch_key(window: Window) -> tuple[Any, ...]:
    """Return what experiments of one batch have in common."""
    counts = window.counts
    recipe = counts.recipe
    told = (counts.assumed, counts.study, counts.source)
    nulls = (recipe.init, recipe.fan, recipe.pruner, recipe.scope, *told)
    # Stored scales differ from run to run.
    own = counts.experiment_id if _may_use_stored_scales(counts) else ""
    shape = (len(window.runs), window.steps, window.whole.tobytes())
    return (*shape, counts.names, counts.layers, counts.exempt_layers, *nulls, own)


def _may_use_stored_scales(counts: Counts) -> bool:
    return counts.recipe.init not in INITIALISERS or "init" in counts.assumed


def _gathered(
    found: Iterable[tuple[str, Counts | RgtoolError]],
    window: tuple[int, int] | None,
    problems: dict[str, str],
) -> Iterator[list[Window]]:
    """Gather what can be computed together; why an experiment has no spectrum goes to problems."""
    waiting: dict[tuple[Any, ...], list[Window]] = {}
    for name, counts in found:
        try:
            if isinstance(counts, RgtoolError):
                raise counts
            chosen = choose_window(counts, window).distinct
        except RgtoolError as error:
            problems[name] = str(error)
            continue
        key = _batch_key(chosen)
        batch = waiting.setdefault(key, [])
        batch.append(chosen)
        if len(batch) == _BATCH:
            yield waiting.pop(key)
    yield from waiting.values()


def _columns(batch: list[Window], margin: float | None) -> dict[str, Any]:
    """Compute the spectra of a batch: columns of length experiments x groups."""
    first = batch[0].counts
    whole, groups = batch[0].whole, len(first.names)
    found = estimates(
        np.stack([window.kept for window in batch]),
        ~batch[0].open,
        sampling=np.stack([window.sampling for window in batch]),
    )
    nulls, assumed = zip(*_initial_nulls(batch, found.y), strict=True)
    judged = [judge(one, first.exempt, margin, whole) for one in found.intervals]
    canonical = np.array([one.exponent for one in nulls])
    ends = [one.beyond.ends() for one in nulls]
    against = [
        against_null(one.beyond, judgement.margin)
        for one, judgement in zip(nulls, judged, strict=True)
    ]
    columns: dict[str, Any] = {
        name: np.repeat(values, groups) for name, values in _identity(batch).items()
    }
    return columns | {
        "name": np.tile(np.array(first.names), len(batch)),
        "total": np.tile(first.total, len(batch)),
        "exempt": np.tile(first.exempt, len(batch)),
        "eigenvalue": found.eigenvalue.ravel(),
        "low": np.exp([one.low for one in found.intervals]).ravel(),
        "high": np.exp([one.high for one in found.intervals]).ravel(),
        "exponent": found.exponent.ravel(),
        "exponent_low": found.exponent_low.ravel(),
        "exponent_high": found.exponent_high.ravel(),
        "canonical_eigenvalue": np.ravel([one.eigenvalue for one in nulls]),
        "canonical": canonical.ravel(),
        "assumed": [text for text in assumed for _ in range(groups)],
        "anomalous": (found.exponent - canonical).ravel(),
        "anomalous_low": np.ravel([low for low, _ in ends]),
        "anomalous_high": np.ravel([high for _, high in ends]),
        "against_null": np.ravel(against),
        "p": np.ravel([one.p for one in judged]),
        "verdict": np.ravel([one.verdict for one in judged]),
        "strong": np.ravel([one.strong for one in judged]),
        "within_margin": np.ravel([one.within for one in judged]),
        "at_chance": [window.at_chance for window in batch for _ in range(groups)],
        "scope": [one.scope for one in found.intervals for _ in range(groups)],
    }


def _identity(batch: list[Window]) -> dict[str, Any]:
    """Return what the rows of an experiment repeat."""
    return {
        "experiment_id": np.array([window.counts.experiment_id for window in batch]),
        "label": np.array([window.counts.label for window in batch]),
        "architecture": np.array([window.counts.recipe.architecture for window in batch]),
        "task": np.array([window.counts.recipe.task for window in batch]),
        "seeds": np.array([len(window.runs) for window in batch]),
        "first_level": np.array([window.start for window in batch]),
        "last_level": np.array([window.end for window in batch]),
    }


def _initial_nulls(batch: list[Window], y: Floats) -> list[tuple[Null, str | None]]:
    """Set N1 beside the exponents (E, S, G) of a batch, NaN where it is not to be had.

    What it rests on that nothing tells stands beside each.
    """
    first = batch[0]
    network = np.stack([window.network[:, [0, -1]] for window in batch])
    alone = _may_use_stored_scales(first.counts)  # a batch of one, with scales of its own
    try:
        kept, scales = (network[0], first.scales) if alone else (network, ())
        expected, _ = null_groups(first.counts, kept, scales)
        _, assumed = scale_source(first.counts, scales)
    except RgtoolError:
        if len(batch) == 1:
            return [(missing_null(first), None)]
        # One of them may be what has no null.
        return [
            found
            for i in range(len(batch))
            for found in _initial_nulls(batch[i : i + 1], y[i : i + 1])
        ]
    expected = expected.reshape(*network.shape, -1)
    text = "; ".join(assumed) or None
    return [(set_beside("initial", *one), text) for one in zip(expected, y, batch, strict=True)]


def _one_frame(parts: list[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    if not parts:
        return pl.DataFrame()
    whole = pl.concat([frame(part) for part in parts], how="vertical_relaxed", rechunk=True)
    return whole.sort("architecture", "task", "experiment_id", maintain_order=True)
