"""Stores of experiments whose spectra are known: replicator flows, as records and masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import stores
import synthetic

from rgtool.schemas.blocks import architecture
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import write_mask

SEED_SD = 0.0068
BASE = {"stem": 0.10, "1": 0.06, "2": 0.02, "3": -0.03, "head": 0.08}


def write_experiment(
    store: Path,
    *,
    seeds: int = 3,
    levels: int = 6,
    shift: dict[str, float] | None = None,
    noise: float = SEED_SD,
    rng: int = 0,
    masks: bool = False,
    collapse: int | None = None,
    **fields: object,
) -> str:
    """Write seeds of an experiment whose stages grow by BASE plus `shift`, and return its id.

    Masks keep the largest of random numbers that follow from seed and architecture alone, so equal
    seeds of two experiments keep much the same weights.
    """
    recipe = Recipe(**{"architecture": "resnet8w4", "task": "digits", **fields})  # type: ignore[arg-type]
    layers = architecture(recipe.architecture).counted(recipe.prunable)
    total = np.array([layer.total for layer in layers])
    growth = np.array([(BASE | (shift or {})).get(str(x.stage or x.name), 0.0) for x in layers])
    stages = [str(layer.stage or layer.name) for layer in layers]
    names = list(dict.fromkeys(stages))
    draw = np.random.default_rng(rng)
    for seed in range(seeds):
        # Layers of a stage share its noise, so that stages scatter by SEED_SD.
        own = dict(zip(names, noise * draw.normal(size=len(names)), strict=True))
        log_s = growth + np.array([own[stage] for stage in stages])
        exempt = np.array([layer.name in recipe.exempt for layer in layers])
        steps = np.tile(log_s, (levels, 1)) * (np.log1p(-recipe.prune) / np.log(0.8))
        kept = synthetic.replicator(total, steps, levels, recipe.prune, exempt)
        if collapse is not None:
            kept[collapse:, 0] = 0
        description = stores.describe(recipe, seed, levels)
        folder = RunFolder.of(store, description.run_id)
        folder.make()
        description.write(folder.description)
        ranks = np.random.default_rng(1000 + seed)
        scores = {layer.name: ranks.random(layer.shape) for layer in layers}
        for level in range(levels + 1):
            stores.write_record(store, recipe, description.run_id, level, kept)
            if masks:
                write_mask(folder.mask(level), _largest(scores, kept[level]))
    return recipe.experiment_id


def copy_counts(
    store: Path, experiment: str, seeds: Sequence[int] | None = None, **fields: object
) -> str:
    """Write the same runs again under another recipe, as a control does, and return its id.

    `seeds` are those to copy, each as often as it is named; default all.
    """
    from rgtool import Store

    counts = Store(store).counts(experiment, "layer")
    recipe = dataclasses.replace(counts.recipe, **fields)  # type: ignore[arg-type]
    for seed, kept in enumerate(counts.kept if seeds is None else counts.kept[list(seeds)]):
        description = stores.describe(recipe, seed, len(kept) - 1)
        folder = RunFolder.of(store, description.run_id)
        folder.make()
        description.write(folder.description)
        for level in range(len(kept)):
            stores.write_record(store, recipe, description.run_id, level, kept)
    return recipe.experiment_id


def _largest(scores: dict[str, np.ndarray], kept: np.ndarray) -> dict[str, np.ndarray]:
    return {
        name: values >= np.sort(values.ravel())[values.size - number] if number else values > 2
        for (name, values), number in zip(scores.items(), kept.tolist(), strict=True)
    }
