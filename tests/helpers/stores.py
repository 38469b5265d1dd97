"""Stores with runs whose counts follow from a seed, and a slow reader to hold queries against."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from rgtool.schemas.blocks import architecture
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records import record
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.epochs import Epoch, write_epochs
from rgtool.schemas.records.layout import RunFolder

TIME = "2026-03-01T12:00:00+00:00"
NOTES = (".left_out.json", ".seen", "last")  # what readers and imports note for themselves


def data_of(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a hash of its content; locks and notes are nobody's data."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "lock" not in path.name and path.name not in NOTES
    }


def counts(recipe: Recipe, seed: int, levels: int) -> np.ndarray:
    """Kept weights of shape (levels + 1, layers), never rising; exempt layers stay whole."""
    layers = architecture(recipe.architecture).counted(recipe.prunable)
    rng = np.random.default_rng(seed)
    kept = [np.array([layer.total for layer in layers])]
    for _ in range(levels):
        fewer = np.rint(kept[-1] * rng.uniform(0.7, 0.9, len(layers))).astype(np.int64)
        kept.append(np.where([x.name in recipe.exempt for x in layers], kept[0], fewer))
    return np.array(kept)


def describe(recipe: Recipe, seed: int | None, levels: int, **fields: object) -> Description:
    values: dict[str, object] = {
        "run_id": recipe.run_id("unknown" if seed is None else seed),
        "experiment_id": recipe.experiment_id,
        "recipe_name": "frankle2020",
        "recipe": recipe,
        "seed": seed,
        "replicate": str(seed),
        "levels": levels,
        "created_at": TIME,
        "updated_at": TIME,
    }
    return Description(**{**values, **fields})  # type: ignore[arg-type]


def write_record(
    store: Path, recipe: Recipe, run_id: str, level: int, kept: np.ndarray, **numbers: object
) -> Path:
    layers = architecture(recipe.architecture).counted(recipe.prunable)
    table = record.build_record(
        run_id,
        level,
        layers,
        kept[level],
        kept_prev=kept[level - 1] if level else None,
        magnitude=kept[level] * 0.25,
        exempt=recipe.exempt,
        numbers={"accuracy": 0.9 - 0.01 * level, "wall_seconds": 1.5, **numbers},  # type: ignore[dict-item]
    )
    path = RunFolder.of(store, run_id).record(level)
    record.write_record(path, table)
    return path


def curve(run_id: str, seed: int, levels: Sequence[int]) -> list[Epoch]:
    """Two epochs of each of some levels, whose numbers follow from seed, level and epoch."""
    return [
        Epoch(
            run_id=run_id,
            level=level,
            epoch=epoch,
            loss=1 / (3 + epoch + level + seed % 7),
            accuracy=1 - 1 / (3 + epoch + level),
            lr=0.1,
            images_per_second=1000.0 + level,
            ended_at=datetime.fromisoformat(TIME) + timedelta(minutes=2 * level + epoch),
        )
        for level in levels
        for epoch in (1, 2)
    ]


def write_run(
    store: Path,
    seed: int = 0,
    levels: int = 3,
    *,
    recipe: Recipe | None = None,
    recorded: Sequence[int] | None = None,
    asked: int | None = None,
    diverged: bool = False,
    source: str = "rgtool",
) -> str:
    """Write a run as any runner would, and return its id."""
    recipe = recipe or Recipe(architecture="resnet8w4", task="digits")
    description = describe(recipe, seed, levels if asked is None else asked, source=source)
    folder = RunFolder.of(store, description.run_id)
    folder.make()
    description.write(folder.description)
    kept = counts(recipe, seed, levels)
    there = range(levels + 1) if recorded is None else recorded
    for level in there:
        write_record(
            store, recipe, description.run_id, level, kept, diverged=diverged and level == levels
        )
    write_epochs(folder.epochs, curve(description.run_id, seed, (-1, *there)))
    return description.run_id


def plain_flow(store: Path, run_id: str, by: str) -> list[tuple[str, int, float, float | None]]:
    """The oracle of the view `flow`: (group, level, share, eigenvalue), by loops over records."""
    rows = []
    folder = RunFolder.of(store, run_id)
    for level in folder.recorded_levels():
        table = record.read_record(folder.record(level)).to_pylist()
        kept: dict[str, int] = defaultdict(int)
        before: dict[str, int] = defaultdict(int)
        for row in table:
            if row[by] is not None:
                kept[row[by]] += row["kept"]
                before[row[by]] += row["kept_prev"] or 0
        network, previous = (sum(row[name] or 0 for row in table) for name in ("kept", "kept_prev"))
        for name in kept:
            share = kept[name] / network
            step = share / (before[name] / previous) if previous else None
            rows.append((name, level, share, step))
    return sorted(rows)
