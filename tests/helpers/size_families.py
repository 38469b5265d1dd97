"""Error curves of several network sizes that obey the joint law of density, width and depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from stores import counts, describe, write_record

from rgtool.analysis.collapse.joint_law import joint_log_error
from rgtool.analysis.curves.family import ErrorCurve, Family
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder

PSI, PHI, GAMMA, LOG_P, CHANCE = 1.2, 0.8, 0.5, -1.0, 0.9


def law(width: float, depth: float, density: np.ndarray, dense: float) -> np.ndarray:
    """Log error at densities, by the law."""
    log_m = np.log(density) + PSI * np.log(width) + PHI * np.log(depth / 8)
    return joint_log_error(log_m, np.log(dense), np.log(CHANCE), GAMMA, LOG_P)


def family(
    sizes: Sequence[tuple[float, float]] = ((4, 8), (6, 8), (8, 8), (12, 8)),
    *,
    seeds: int = 3,
    levels: int = 22,
    noise: float = 0.03,
    dense: float | None = None,
    rng: int = 0,
) -> Family:
    """Draw curves; the dense error falls with size unless it is given."""
    draw, curves = np.random.default_rng(rng), []
    for width, depth in sizes:
        density = 0.8 ** np.arange(levels + 1)
        eps = dense or 0.2 * width**-0.3
        error = np.exp(law(width, depth, density, eps))
        error = error * (1 + noise * draw.normal(size=(seeds, levels + 1)))
        curves.append(ErrorCurve(f"w{width:g} l{depth:g}", width, depth, density, error))
    return Family(tuple(curves), "made", CHANCE, ())


def columns(made: Family) -> dict[str, list[float]]:
    """The same as the columns of a table."""
    rows: dict[str, list[float]] = {n: [] for n in ("density", "error", "width", "depth", "seed")}
    for curve in made.curves:
        for seed, errors in enumerate(curve.error):
            for density, error in zip(curve.density, errors, strict=True):
                values = (density, error, curve.width, curve.depth, seed)
                for name, value in zip(rows, values, strict=True):
                    rows[name].append(float(value))
    return rows


def write_csv(path: Path, rows: dict[str, list[float]]) -> Path:
    lines = [",".join(rows), *(",".join(map(str, row)) for row in zip(*rows.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_store(store: Path, made: Family, task: str = "digits") -> list[str]:
    """Write the runs of such curves as any runner would; returns the names of the experiments."""
    names = []
    for curve in made.curves:
        width = "" if curve.width == 16 else f"w{curve.width:g}"
        recipe = Recipe(architecture=f"resnet{curve.depth:g}{width}", task=task)
        for seed, errors in enumerate(curve.error):
            levels = len(errors) - 1
            description = describe(recipe, seed, levels)
            folder = RunFolder.of(store, description.run_id)
            folder.make()
            description.write(folder.description)
            total = counts(recipe, seed, 0)[0]
            kept = np.rint(total * curve.density[:, None]).astype(np.int64)
            for level, error in enumerate(errors):
                accuracy = float(1 - min(error, 1.0))
                write_record(store, recipe, description.run_id, level, kept, accuracy=accuracy)
        names.append(f"{recipe.architecture}/{task}")
    return names
