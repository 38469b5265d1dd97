"""Experiments with a known spectrum: the replicator flow of kept shares, with noise."""

from __future__ import annotations

import dataclasses

import numpy as np

from rgtool.schemas import blocks
from rgtool.schemas.recipe import Recipe
from rgtool.store.counts import Counts

# Growth of the 9 blocks of ResNet-20 in the design of the interval comparison, and of its ends.
RESNET20 = (1.08, *(v**1.2 for v in (1.07, 1.07, 1.07, 1.06, 1.02, 1.02, 1.0, 0.97, 0.95)), 1.09)
SEED_SD, STEP_SD = 0.006, 0.0144


def strengths(architecture: str, by: str) -> np.ndarray:
    """log s of every group, falling with depth; ResNet-20 by block is the published design."""
    if (architecture, by) == ("resnet20", "block"):
        return np.log(RESNET20)
    network = blocks.architecture(architecture)
    groups = dict.fromkeys(layer.group(by) for layer in network.counted())
    return np.linspace(0.08, -0.05, len(groups))


def replicator(
    total: np.ndarray, log_s: np.ndarray, levels: int, prune: float, exempt: np.ndarray
) -> np.ndarray:
    """Kept counts (T + 1, G) of one run whose shares grow by exp(log_s[n]) (T, G), renormalised."""
    kept = [total.astype(float)]
    for step in range(levels):
        target = total.sum() * (1 - prune) ** (step + 1) - total[exempt].sum()
        grown = np.where(exempt, 0, kept[-1] * np.exp(log_s[step]))
        following = np.minimum(target * grown / grown.sum(), kept[-1])
        kept.append(np.where(exempt, total, following))
    return np.rint(kept).astype(np.int64)


def counts(
    architecture: str = "resnet20",
    by: str = "block",
    *,
    seeds: int = 5,
    levels: int = 12,
    prune: float = 0.2,
    task: str = "cifar10",
    noise: float = 1.0,
    rng: int = 0,
) -> Counts:
    """Draw an experiment: S seeds, `levels` prunings."""
    network = blocks.architecture(architecture)
    recipe = Recipe(architecture=architecture, task=task, prune=prune, exempt=network.exempt)
    layers = network.counted()
    names = tuple(dict.fromkeys(str(layer.group(by)) for layer in layers))
    total = np.array([sum(x.total for x in layers if x.group(by) == name) for name in names])
    exempt = np.array(
        [all(x.name in network.exempt for x in layers if x.group(by) == name) for name in names]
    )
    draw = np.random.default_rng(rng)
    log_s = strengths(architecture, by) + noise * (
        SEED_SD * draw.normal(size=(seeds, 1, len(names)))
        + STEP_SD * draw.normal(size=(seeds, levels, len(names)))
    )
    kept = np.array([replicator(total, one, levels, prune, exempt) for one in log_s])
    density = kept.sum(axis=-1) / total.sum()
    accuracy = 0.9 - 0.02 * np.maximum(-np.log(density / 0.2), 0) ** 1.5
    accuracy += 0.003 * draw.normal(size=(seeds, 1)) + 0.002 * draw.normal(size=density.shape)
    return Counts(
        experiment_id=recipe.experiment_id,
        recipe=recipe,
        by=by,
        names=names,
        runs=tuple(recipe.run_id(seed) for seed in range(seeds)),
        seeds=tuple(range(seeds)),
        levels=np.arange(levels + 1),
        recorded=np.ones((seeds, levels + 1), bool),
        kept=kept,
        magnitude=np.full(kept.shape, np.nan),
        accuracy=accuracy,
        total=total,
        exempt=exempt,
        layers=layers,
        exempt_layers=network.exempt,
    )


def without(counts: Counts, *missing: tuple[int, int]) -> Counts:
    """The same experiment without the records of (run, level)."""
    recorded, kept, accuracy = counts.recorded.copy(), counts.kept.copy(), counts.accuracy.copy()
    for run, level in missing:
        recorded[run, level], kept[run, level], accuracy[run, level] = False, 0, np.nan
    return dataclasses.replace(counts, recorded=recorded, kept=kept, accuracy=accuracy)


def first_levels(counts: Counts, levels: int) -> Counts:
    """The same experiment, stopped after the first so many levels."""
    return dataclasses.replace(
        counts,
        levels=counts.levels[:levels],
        recorded=counts.recorded[:, :levels],
        kept=counts.kept[:, :levels],
        magnitude=counts.magnitude[:, :levels],
        accuracy=counts.accuracy[:, :levels],
    )


def whole_in(counts: Counts, *names: str) -> Counts:
    """The same experiment at the same densities that leaves groups whole at every level."""
    whole = np.isin(counts.names, names)
    rest = np.where(whole, 0, counts.kept)
    left = counts.kept.sum(axis=-1) - counts.total[whole].sum()
    kept = np.rint(rest * (left / np.maximum(rest.sum(axis=-1), 1))[..., None]).astype(np.int64)
    kept = np.where(whole, counts.total, kept)
    return dataclasses.replace(counts, kept=kept)
