"""Forecasts of the level at which layers run empty, against levels that are known.

    python -m benchmarks.statistics.forecast [--simulations 40] [--only simulated]
    python -m benchmarks.statistics.forecast --only runs --store STORE

Simulated: the ten layers of a ResNet-8 of width 6, Gaussian weights that one threshold prunes by
20 % a level, each level from what the one before kept. Log scales move by .008 a level and layer
(standard deviation), seeds add .003 a level, steps .004. The drift is absent, constant, stops at
level 12, or wanders (its correlation from level to level .8). Runs: five widths of a ResNet-8 on
the 8x8 digits, 26 prunings, trained here unless the store has them (ten minutes on a core).

Beside the forecast stand two that extrapolate: eigenvalues that stay constant, and strengths of a
replicator flow that do; and the threshold with scales that stay as they are. Printed for windows
from level 1: the root mean square error in levels over layers that run empty, how often the
interval covers the seeds' mean and one run, and its width. What a method does not see run empty
counts as if it did where the network ends. Aimed at: covers .90 or more.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import rgtool
from benchmarks.machine import machine
from rgtool import Store
from rgtool.analysis.nulls.initial import initial_scales
from rgtool.analysis.spectrum.emptying import empty_levels, still
from rgtool.analysis.spectrum.forecast import Forecast, forecast
from rgtool.schemas.blocks import architecture
from rgtool.schemas.display import plain
from rgtool.schemas.recipe import Recipe
from rgtool.store.counts import Counts

TRUTHS = ("none", "constant", "stops", "wanders")
DRIFT, SEEDS_SD, WALK, STOP, MEMORY = 0.008, 0.003, 0.004, 12, 0.8
WIDTHS, LEVELS, RUNS = (4, 6, 8, 10, 12), 26, 3
SIMULATED_ENDS, RUNS_ENDS = (8, 12, 16), (6, 10, 14)
PRUNE = 0.2
METHODS = ("forecast", "scales stay", "replicator", "constant")


def gained(truth: str, runs: int, levels: int, layers: int, rng: np.random.Generator) -> np.ndarray:
    """Draw what log scales have gained by every level: (S, levels + 1, G)."""
    drift = np.empty((levels, layers))
    now = rng.standard_normal(layers)
    for level in range(levels):
        drift[level] = now
        if truth == "wanders":
            fresh = np.sqrt(1 - MEMORY**2) * rng.standard_normal(layers)
            now = MEMORY * now + fresh
    drift *= 0.0 if truth == "none" else DRIFT
    if truth == "stops":
        drift[STOP:] = 0.0
    own = SEEDS_SD * rng.standard_normal((runs, 1, layers))
    steps = drift + own + WALK * rng.standard_normal((runs, levels, layers))
    return np.concatenate([np.zeros((runs, 1, layers)), steps.cumsum(axis=1)], axis=1)


def pruned(
    total: np.ndarray, tau: np.ndarray, gain: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Prune one Gaussian network whose scales move: counts (levels + 1, G)."""
    layer = np.repeat(np.arange(len(total)), total)
    size = np.log(np.abs(rng.standard_normal(len(layer))) * np.repeat(tau, total))
    kept = [total]
    for level in range(1, len(gain)):
        keep = round(total.sum() * (1 - PRUNE) ** level)
        score = size + gain[level][layer]
        best = np.argpartition(-score, keep - 1)[:keep]
        layer, size = layer[best], size[best]
        kept.append(np.bincount(layer, minlength=len(total)))
    return np.array(kept)


def simulated(truth: str, runs: int, rng: np.random.Generator) -> Counts:
    """Draw an experiment."""
    network = architecture("resnet8w6", (1, 8, 8), 10)
    layers = network.counted()
    total = np.array([layer.total for layer in layers])
    tau = np.asarray(initial_scales(layers))
    levels = int(np.log(2 * total.sum()) / -np.log(1 - PRUNE))  # while a weight is left
    gain = gained(truth, runs, levels, len(layers), rng)
    kept = np.array([pruned(total, tau, one, rng) for one in gain])
    recipe = Recipe(architecture="resnet8w6", task="digits", prune=PRUNE)
    return Counts(
        experiment_id=recipe.experiment_id,
        recipe=recipe,
        by="layer",
        names=tuple(layer.name for layer in layers),
        runs=tuple(recipe.run_id(seed) for seed in range(runs)),
        seeds=tuple(range(runs)),
        levels=np.arange(levels + 1),
        recorded=np.ones((runs, levels + 1), bool),
        kept=kept,
        magnitude=np.full(kept.shape, np.nan),
        accuracy=np.full(kept.shape[:2], np.nan),
        total=total,
        exempt=np.zeros(len(layers), bool),
        layers=layers,
        exempt_layers=(),
    )


def collapse_levels(kept: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return where one weight is left if each layer goes on to lose what it lost in the window."""
    logs = np.log(kept[:, [start, end]]).mean(axis=0)
    rate = (logs[0] - logs[1]) / (end - start)
    with np.errstate(divide="ignore"):
        levels = end + logs[1] / rate
    gone = end + np.log(kept[:, end].sum(axis=-1)).mean() / -np.log(1 - PRUNE)
    return np.where(levels < gone, levels, np.nan)


def replicator_levels(kept: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return the same if strengths stay, M_i(n+1) = M_i(n) s_i / sum_j M_j(n) s_j.

    No layer gains weights: what one cannot take the others keep.
    """
    logs = np.log(kept[:, [start, end]]).mean(axis=0)
    strength, now = np.exp((logs[1] - logs[0]) / (end - start)), np.exp(logs[1])
    network, out = now.sum(), np.full(len(now), np.nan)
    for step in range(1, int(np.log(network) / -np.log(1 - PRUNE)) + 1):
        target, full = network * (1 - PRUNE) ** step, np.zeros(len(now), bool)
        while True:
            scale = (target - now[full].sum()) / (now * strength)[~full].sum()
            following = np.where(full, now, scale * now * strength)
            if not (following > now * (1 + 1e-12)).any():
                break
            full |= following > now * (1 + 1e-12)
        first = np.isnan(out) & (following <= 1)
        part = np.log(now) / (np.log(now) - np.log(following))
        out = np.where(first, end + step - 1 + part, out)
        now = following
    return out


def still_levels(counts: Counts, end: int) -> np.ndarray:
    """Return the levels at which scales of level `end` that never move let layers run empty."""
    kept, total = counts.kept[:, end].astype(float), counts.total.astype(float)
    now, rng = kept.sum(axis=-1), np.random.default_rng(0)
    ahead = np.arange(1, int(np.log(now.min()) / -np.log(1 - PRUNE)) + 1)
    left = now * (1 - PRUNE) ** ahead[:, None]
    gains = still(len(total)).gains(ahead.astype(float), 200, len(kept), rng)
    found = empty_levels(kept, total, left, gains, 200, rng).mean(axis=1)
    middle = end + np.median(found, axis=0)
    return np.where(np.isfinite(middle), middle, np.nan)


def first_empty(counts: Counts) -> np.ndarray:
    """Return the level of the first record without a weight, infinite without one: (S, G)."""
    empty = counts.kept == 0
    return np.where(empty.any(axis=1), empty.argmax(axis=1), np.inf)


@dataclasses.dataclass
class Tally:
    """What is counted over the layers of many forecasts."""

    errors: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    mean_covered: list[bool] = dataclasses.field(default_factory=list)
    run_covered: list[bool] = dataclasses.field(default_factory=list)
    widths: list[float] = dataclasses.field(default_factory=list)

    def add(self, counts: Counts, end: int, draws: int) -> None:
        """Forecast from level `end` what has run empty later in all runs."""
        truth = first_empty(counts)
        of = np.isfinite(truth).all(axis=0) & (counts.kept[:, end] > 0).all(axis=0)
        if not of.any():
            return
        found = forecast(None, counts, window=(1, end), draws=draws)
        if found.names != counts.names:
            raise SystemExit("layers are missing from the forecast")
        alive = (counts.kept[:, end] > 0).all(axis=0)
        kept = counts.kept[..., alive].astype(float)
        constant, replicator = np.full((2, len(counts.names)), np.nan)
        constant[alive] = collapse_levels(kept, 1, end)
        replicator[alive] = replicator_levels(kept, 1, end)
        forecasts = (found.level.value, still_levels(counts, end), replicator, constant)
        for name, levels in zip(METHODS, forecasts, strict=True):
            seen = np.where(np.isnan(levels), found.end, levels)
            self.errors.setdefault(name, []).extend((seen - truth.mean(axis=0))[of])
        self._cover(found, truth, of)

    def _cover(self, found: Forecast, truth: np.ndarray, of: np.ndarray) -> None:
        def inside(low: np.ndarray, high: np.ndarray, levels: np.ndarray) -> np.ndarray:
            return (levels >= low) & ~(levels > high)  # no upper end: the end of the network

        mean = truth.mean(axis=0)
        self.mean_covered += inside(found.level.low, found.level.high, mean)[of].tolist()
        self.run_covered += inside(found.run.low, found.run.high, truth)[:, of].ravel().tolist()
        high = np.where(np.isnan(found.level.high), found.end, found.level.high)
        self.widths += (high - found.level.low)[of].tolist()

    def row(self) -> list[str]:
        """Return the cells: errors, covers, width."""
        cells = []
        for errors in self.errors.values():
            cells.append(f"{np.sqrt(np.mean(np.square(errors))):.1f}")
        return [
            *cells,
            f"{np.mean(self.mean_covered):.3f}",
            f"{np.mean(self.run_covered):.3f}",
            f"{np.mean(self.widths):.1f}",
            str(len(self.mean_covered)),
        ]


HEADER = [*METHODS, "covers mean", "covers run", "width", "layers"]


def report(rows: Iterable[tuple[list[str], Tally]], first: list[str]) -> None:
    """Print a table."""
    lines = [first + HEADER, *([*name, *tally.row()] for name, tally in rows)]
    print(plain(lines, [False] + [True] * (len(lines[0]) - 1)), end="", flush=True)


def simulation(options: argparse.Namespace) -> None:
    """Forecast simulated experiments from several levels."""
    print("simulated; rms error in levels")
    for runs in options.seeds:
        rows = []
        for truth in TRUTHS:
            tallies = {end: Tally() for end in options.windows or SIMULATED_ENDS}
            rng = np.random.default_rng([options.seed, runs, TRUTHS.index(truth)])
            for _ in range(options.simulations):
                counts = simulated(truth, runs, rng)
                for end, tally in tallies.items():
                    tally.add(counts, end, options.draws)
            rows += [([truth, str(runs), f"1:{end}"], tally) for end, tally in tallies.items()]
        report(rows, ["drift", "seeds", "window"])


def own_runs(options: argparse.Namespace) -> None:
    """Forecast runs of this package from several levels."""
    store, rows, experiments = Store(Path(options.store)), [], []
    for width in WIDTHS:
        outcome = rgtool.run(
            "resnet8", "digits", recipe="quick", width=width, levels=LEVELS, seeds=RUNS,
            store=options.store, workers=None,
        )  # fmt: skip
        experiments.append(outcome.experiment_id)
    ends = options.windows or RUNS_ENDS
    every = {end: Tally() for end in ends}
    for width, name in zip(WIDTHS, experiments, strict=True):
        counts = store.counts(name, "layer").select(range(RUNS))
        for end in ends:
            own = Tally()
            for tally in (own, every[end]):
                tally.add(counts, end, options.draws)
            if own.widths:
                rows.append(([f"w{width}", f"1:{end}"], own))
    rows += [(["all", f"1:{end}"], tally) for end, tally in every.items()]
    print(f"resnet8 on digits, {RUNS} seeds; rms error in levels")
    report(rows, ["width", "window"])


def main() -> None:
    """Run what is asked for and say on what machine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulations", type=int, default=40)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 5])
    parser.add_argument("--windows", type=int, nargs="+", help="last levels")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", default="rgstore-forecast")
    parser.add_argument("--only", choices=("simulated", "runs"))
    options = parser.parse_args()
    began = time.perf_counter()
    if options.only != "runs":
        simulation(options)
    if options.only != "simulated":
        own_runs(options)
    print(
        f"{time.perf_counter() - began:.0f} s; {machine()}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}"
    )


if __name__ == "__main__":
    main()
