"""From the runs of a store to what a transfer shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...schemas.errors import RgtoolError
from ...schemas.notes import Note, Rank
from ...schemas.words import counted, listed
from ...store.counts import Counts
from ..arrays import Floats
from ..chance import guessing, images_of, learned_nothing
from ..classes.compare import Comparison, compare
from ..curves.matching import matching_draws, matching_level
from ..named import Named, StoreLike, counts_of_all
from ..scoreboard.predict import predict
from ..values import NOTHING, Estimate
from .arms import Arm, arm_of, unit_of
from .differences import UNKNOWN, Difference, difference, mean_of, seed_pairs
from .result import OWN, SHUFFLE, TRANSFERRED, Cell, Transfer

_DRAWS = 9999
_WHAT = "a transfer"


@dataclass(frozen=True, eq=False)
class Arms:
    """The runs of a transfer.

    Attributes
    ----------
    source : Counts
        The experiment that the tickets come from.
    own : Counts
        That of the target's own tickets.
    arms : dict of str to Arm
        By condition; the target's own is the first.
    unit : float
        What one test image is worth.
    """

    source: Counts
    own: Counts
    arms: dict[str, Arm]
    unit: float

    @property
    def is_own_task(self) -> bool:
        """Whether the source's tickets are the target's own."""
        return self.source.experiment_id == self.own.experiment_id


def read_arms(store: StoreLike, source: Named, own: Named, children: Mapping[str, Named]) -> Arms:
    """Read the runs of a transfer; parameters and errors are those of `measure_transfer`."""
    names = [source, own, *children.values()]
    of_source, of_own, *read = counts_of_all(store, names, "layer", _WHAT)
    of_children = zip(children, read, strict=True)
    arms = {OWN: arm_of(OWN, of_own)} | {name: arm_of(name, one) for name, one in of_children}
    return Arms(of_source, of_own, arms, unit_of(arms.values()))


def measure_transfer(
    store: StoreLike,
    source: Named,
    own: Named,
    children: Mapping[str, Named],
    *,
    at: Sequence[int] | None = None,
    tickets: Mapping[int, int] | None = None,
    spectra: bool = True,
    rng: np.random.Generator | int = 0,
) -> Transfer:
    """Hold tickets of a source against the target's own, and against controls.

    Parameters
    ----------
    store : Store or path, or None
        Where the records are.
    source, own : str
        Experiments: where the tickets come from, and that of the target's own tickets.
    children : mapping of str to str
        Experiments by condition, see `result.CONDITIONS`; `transferred` is one.
    at : sequence of int, optional
        Levels to show; default all that the children have.
    tickets : mapping of int to int, optional
        Seeds of children, each with that of the source's run whose ticket it trains; default equal.
    spectra : bool
        Whether to compare the spectra of source and target, and say what `predict` does.
    rng : numpy.random.Generator or int
        Randomness of intervals of matching densities and of the tests of spectra.

    Raises
    ------
    UsageError
        A name cannot be had.
    RgtoolError
        An experiment has no accuracy on record.
    """
    rng = np.random.default_rng(rng)
    found = read_arms(store, source, own, children)
    levels = _levels(found, at)
    cells = tuple(_cells(found, levels))
    matching = {name: _matching(arm, found.arms[OWN], rng) for name, arm in found.arms.items()}
    verdict, predicted, about = "", "", list[Note]()
    if spectra and not found.is_own_task:
        verdict, predicted, about = _of_spectra(store, source, own, rng)
    return Transfer(
        source=found.source.experiment_id,
        source_label=found.source.label,
        own=found.own.experiment_id,
        task=found.own.recipe.task,
        cells=cells,
        unit=found.unit,
        matching=matching,
        verdict=verdict,
        predicted=predicted,
        notes=(
            *_conclusions(cells, matching),
            *about,
            *_of_seeds(found),
            *_of_cells(cells),
            *_always(found, tickets),
        ),
    )


def _levels(found: Arms, at: Sequence[int] | None) -> list[int]:
    """Return the levels to show: those asked for, else those of the children."""
    children = [arm for name, arm in found.arms.items() if name != OWN]
    shown = {int(level) for arm in children for level in arm.levels}
    return sorted(shown if at is None else set(at))


def _cells(found: Arms, levels: Sequence[int]) -> list[Cell]:
    guess, images = guessing(found.own), images_of(found.own.recipe.task)
    own, shuffled = found.arms[OWN], found.arms.get(SHUFFLE)

    def against(arm: Arm, column: int, other: Arm | None) -> Difference:
        if other is None or other is arm:
            return UNKNOWN
        return difference(arm, column, other, found.unit)

    return [
        Cell(
            condition=name,
            experiment_id=arm.experiment_id,
            level=int(level),
            density=float(np.nanmean(arm.density[:, column])),
            accuracy=mean_of(arm.accuracy[:, column], found.unit),
            runs=int(np.isfinite(arm.accuracy[:, column]).sum()),
            guessing=_who_guesses(arm.accuracy[:, column], guess, images),
            to_own=against(arm, column, own),
            to_shuffle=against(arm, column, shuffled),
        )
        for name, arm in found.arms.items()
        for column, level in enumerate(arm.levels)
        if level in levels
    ]


def _who_guesses(accuracy: Floats, guess: float | None, images: int) -> str:
    """Say whether `all` or `some` runs cannot be told from guessing."""
    known = accuracy[np.isfinite(accuracy)]
    if guess is None or not len(known):
        return ""
    if learned_nothing(known[:, None], guess, images):
        return "all"
    return "some" if any(learned_nothing(one[None, None], guess, images) for one in known) else ""


def _matching(arm: Arm, own: Arm, rng: np.random.Generator) -> Estimate[float]:
    """Return the smallest density at which an arm matches the target's own dense network."""
    if not len(own.levels) or own.levels[0] != 0:
        return NOTHING
    pairs = [(i, j) for i, j in seed_pairs(arm.seeds, own.seeds) if np.isfinite(own.accuracy[j, 0])]
    if not pairs:
        return NOTHING
    mine, dense = map(list, zip(*pairs, strict=True))
    columns = np.flatnonzero(
        np.isfinite(arm.accuracy[mine]).all(axis=0) & ((arm.levels > 0) | (arm is not own))
    )
    accuracy = np.column_stack([own.accuracy[dense, 0], arm.accuracy[np.ix_(mine, columns)]])
    # Position 0 is the dense network: there no ticket matches but itself.
    none = 1.0 if arm is own else math.nan
    density = np.array([none, *arm.density[np.ix_(mine, columns)].mean(axis=0)])
    value = float(density[matching_level(accuracy)])
    if len(pairs) < 2:
        return Estimate(value, math.nan, math.nan)
    drawn = matching_draws(accuracy, _DRAWS, rng)
    early, late = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf")
    return Estimate(value, float(density[int(late)]), float(density[int(early)]))


def _of_spectra(
    store: StoreLike, source: Named, own: Named, rng: np.random.Generator
) -> tuple[str, str, list[Note]]:
    """Return the verdict of the spectra, what `predict` says, and both in words."""
    try:
        compared: Comparison = compare(store, source, own, masks=False, rng=rng)
    except RgtoolError as error:
        return "", "", [Note(f"no spectra are compared: {error}", rank=Rank.CONCLUSION)]
    said = f", {compared.spectra.tested}" if compared.spectra else ""
    notes = [
        Note(
            f"spectra of source and target by {compared.by}: {compared.verdict}{said}",
            "transfer.md#what-spectra-say-before",
            Rank.CONCLUSION,
        )
    ]
    try:
        predicted = predict(store, source, own, rng=rng).title
    except RgtoolError as error:
        predicted = f"no prediction: {error}"
    see = "classes.md#how-far-may-tickets-transfer"
    return compared.verdict, predicted, [*notes, Note(predicted, see, Rank.CONCLUSION)]


def _conclusions(cells: Sequence[Cell], matching: Mapping[str, Estimate[float]]) -> list[Note]:
    """Say what came out at the sparsest level that can be told, and how far conditions match."""
    told = [
        cell
        for cell in cells
        if cell.condition == TRANSFERRED and cell.guessing != "all" and cell.to_own.is_known
    ]
    notes = []
    if told:
        last = max(told, key=lambda cell: cell.level)
        beside = f"; {_said(last.to_shuffle)} to shuffle" if last.to_shuffle.is_known else ""
        notes.append(
            f"at density {last.density:.3g} (level {last.level}) transferred tickets reach "
            f"{last.accuracy.value:.4f}: {_said(last.to_own)} to the target's own{beside}"
        )
    shown = [f"{name} {_density(found)}" for name, found in matching.items()]
    notes.append(
        f"smallest density that matches the target's own dense network: {', '.join(shown)}"
    )
    return [Note(text, rank=Rank.CONCLUSION) for text in notes]


def _said(found: Difference) -> str:
    one = found.estimate
    ends = f" [{one.low:+.4f}, {one.high:+.4f}]" if math.isfinite(one.low) else ""
    return f"{one.value:+.4f}{ends}"


def _density(found: Estimate[float]) -> str:
    """Write a matching density; where the dense network alone matches it is none."""
    if not math.isfinite(found.value):
        return "none"
    low, high = (f"{end:.2g}" if math.isfinite(end) else "none" for end in (found.low, found.high))
    known = math.isfinite(found.low) or math.isfinite(found.high)
    return f"{found.value:.2g}" + (f" [{low}, {high}]" if known else "")


def _of_seeds(found: Arms) -> list[Note]:
    """Say which seeds do not pair, and that one alone gives no interval."""
    notes, own = list[Note](), found.arms[OWN]
    for name, arm in found.arms.items():
        pairs = len(seed_pairs(arm.seeds, own.seeds))
        if arm is not own and pairs < max(len(arm.seeds), len(own.seeds)):
            apart = (
                f"{counted(pairs, 'pair')} of {len(arm.seeds)} and {len(own.seeds)} runs are used"
                if pairs > 1
                else "the means of all runs are compared, as of independent ones"
            )
            notes.append(
                Note(
                    f"seeds of {name} ({_seeds(arm)}) and of the target's own ({_seeds(own)}) do "
                    f"not all pair: {apart}",
                    rank=Rank.WARNING,
                )
            )
    if min(len(arm.seeds) for arm in found.arms.values()) < 2:
        text = f"one seed has no interval: {found.source.more('seeds')}"
        notes.append(Note(text, rank=Rank.WARNING))
    if not math.isfinite(found.unit):
        text = "all accuracies are one number, so that what an image is worth is not known: there "
        notes.append(Note(f"{text}are no intervals", rank=Rank.WARNING))
    return notes


def _seeds(arm: Arm) -> str:
    return listed([str(seed) if seed is not None else "unknown" for seed in arm.seeds])


def _of_cells(cells: Sequence[Cell]) -> list[Note]:
    """Say where there is no common density, and where networks guess."""
    notes = []
    apart = [c for c in cells if c.condition != OWN and not c.to_own.is_known]
    if apart:
        where = listed([f"{c.condition} {c.density:.3g} (level {c.level})" for c in apart], 4)
        notes.append(
            Note(
                f"the target's own is not known at these densities: {where}: no difference",
                rank=Rank.WARNING,
            )
        )
    if every := [c for c in cells if c.guessing == "all"]:
        where = listed([f"{c.condition} at {c.density:.3g}" for c in every], 4)
        notes.append(
            Note(
                f"no run can be told from guessing: {where}: equal accuracies there are no sign of "
                "a transfer",
                "transfer.md#where-networks-guess",
                Rank.WARNING,
            )
        )
    if some := [c for c in cells if c.guessing == "some"]:
        where = listed([f"{c.condition} at {c.density:.3g}" for c in some], 4)
        notes.append(
            Note(
                f"some runs guess and others do not: {where}: intervals of a few seeds, which take "
                "them for normal, are too narrow there",
                "transfer.md#where-networks-guess",
                Rank.WARNING,
            )
        )
    return notes


def _always(found: Arms, tickets: Mapping[int, int] | None) -> list[Note]:
    """Say what is transferred, and how to read differences."""
    notes = []
    if found.is_own_task:
        text = (
            "the source's own task: its transferred tickets are the same runs again, so that the "
            "differences are those of machines, if any"
        )
        notes.append(Note(text, rank=Rank.CONCLUSION))
    elif has_equal_weights(found.source, found.own, tickets):
        text = (
            "source and target begin with equal weights, seed by seed, and rewind to them: only "
            "the mask is transferred"
        )
        text += "; tickets of other seeds (--seeds 5:0,6:1) come with their weights"
        notes.append(Note(text, "transfer.md#equal-initial-weights", Rank.WARNING))
    notes.append(
        Note(
            "differences are taken at the recorded density, between levels of the target's own "
            "linearly in its logarithm; intervals are 95 % each, not of all rows together",
            "transfer.md#how-differences-are-taken",
            Rank.DETAIL,
        )
    )
    return notes


def has_equal_weights(
    source: Counts, own: Counts, tickets: Mapping[int, int] | None = None
) -> bool:
    """Tell whether tickets rewind to the weights of the target's own, by the scales of all layers.

    Parameters
    ----------
    source, own : Counts
        Experiments.
    tickets : mapping of int to int, optional
        Seeds of `own`, each with the one of `source` that is compared with it; default equal ones.
    """
    of_source = [
        seed if tickets is None or seed is None else tickets.get(seed) for seed in own.seeds
    ]
    pairs = seed_pairs(source.seeds, of_source)
    if not pairs or not source.scales or not own.scales:
        return False
    scales = [(source.scales[i].get("rewind"), own.scales[j].get("rewind")) for i, j in pairs]
    return all(one and dict(one) == dict(other or {}) for one, other in scales)
