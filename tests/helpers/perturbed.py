"""Experiments of perturbed tickets whose answers are known: counts and errors by a formula."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from synthetic import counts

from rgtool.analysis.response.perturbed import SIDES, Perturbed, Side
from rgtool.store.counts import Counts

IMAGES = 10_000


def ticket(
    base: Counts, level: int, logs: np.ndarray, later: np.ndarray, error: np.ndarray, name: str
) -> Counts:
    """An experiment with log counts (S, G) at a level and at its last, and errors (S,) there."""
    kept = base.kept.copy()
    kept[:, level], kept[:, -1] = np.rint(np.exp(logs)), np.rint(np.exp(later))
    accuracy = base.accuracy.copy()
    accuracy[:, level] = 1 - np.rint(error * IMAGES) / IMAGES
    return dataclasses.replace(base, experiment_id=name, kept=kept, accuracy=accuracy)


def perturbed(
    slope: Sequence[float],
    operator: np.ndarray | None = None,
    *,
    seeds: int = 5,
    noise: float = 0.0,
    factor: float = 0.8,
    level: int = 3,
    levels: int = 5,
    refused: Sequence[tuple[str, Side]] = (),
    exempt: Sequence[str] = (),
    rng: int = 0,
) -> Perturbed:
    """ResNet-20 by stage: tickets of one level, each group that is not exempt perturbed.

    The log of the error is linear in log counts with these slopes, and deviations of log counts are
    carried to the last level by `operator` (G, G).
    """
    draw = np.random.default_rng(rng)
    base = counts("resnet20", "stage", seeds=seeds, levels=levels, noise=0.0)
    size = len(base.names)
    # So many that rounding to whole weights is no matter, and that none is above its total.
    base = dataclasses.replace(
        base,
        total=10_000 * base.total,
        kept=1000 * base.kept,
        exempt=np.isin(base.names, exempt),
    )
    groups = [i for i in range(size) if not base.exempt[i]]
    logs = np.log(base.kept[:, level].astype(float))
    after = np.log(base.kept[:, -1].astype(float))
    carried = np.eye(size) if operator is None else operator

    def made(change: np.ndarray, name: str) -> Counts:
        scatter = noise * draw.standard_normal((seeds, size))
        error = 0.1 * np.exp((change + scatter) @ np.asarray(slope))
        moved = logs + change
        return ticket(base, level, moved, after + change @ carried.T + scatter, error, name)

    children = {}
    for i in groups:
        for side, by in zip(SIDES, (factor, 1 / factor), strict=True):
            if (base.names[i], side) in refused:
                continue
            change = np.zeros_like(logs)
            own = np.exp(logs[:, i])
            others = np.exp(logs[:, groups]).sum(axis=1) - own
            change[:, groups] = np.log((others - (by - 1) * own) / others)[:, None]
            change[:, i] = np.log(by)
            children[base.names[i], side] = made(change, f"{base.names[i]} {side}")
    return Perturbed(
        by="stage",
        levels=(level, levels),
        factor=factor,
        choice="random",
        source=base,
        unperturbed=made(np.zeros_like(logs), "unperturbed"),
        children=children,
        refused={key: "too few" for key in refused},
    )
