"""Networks that never learn, or whose scales move as told, and that one threshold prunes."""

from __future__ import annotations

import dataclasses

import numpy as np
import synthetic

from rgtool.analysis.nulls.initial import initial_scales, initialiser
from rgtool.store.counts import Counts


def pruned(
    total: np.ndarray,
    gain: np.ndarray,
    keep: np.ndarray,
    exempt: np.ndarray,
    rng: object,
    distribution: str = "gaussian",
) -> np.ndarray:
    """Counts (T, G) of a network of such weights; `gain` (T, G) are log scales at every level.

    Each level is pruned from the one before, to `keep` (T,) weights with the exempt ones.
    """
    draw = np.random.default_rng(rng)  # type: ignore[arg-type]
    layer = np.repeat(np.arange(len(total)), np.where(exempt, 0, total))
    normal = distribution == "gaussian"
    drawn = np.abs(draw.standard_normal(len(layer))) if normal else draw.random(len(layer))
    size = np.log(drawn if normal else np.sqrt(3) * drawn)
    kept = []
    for level, number in enumerate(keep - total[exempt].sum()):
        order = np.argsort(-(size + gain[level][layer]), kind="stable")[:number]
        layer, size = layer[order], size[order]
        counts = np.bincount(layer, minlength=len(total))
        kept.append(np.where(exempt, total, counts))
    return np.array(kept)


def untrained(
    architecture: str = "resnet8w4",
    *,
    seeds: int = 3,
    levels: int = 30,
    drift: np.ndarray | float = 0.0,
    own: float = 0.0,
    retention: np.ndarray | float = 0.8,
    exempt: tuple[str, ...] = (),
    init: str = "kaiming_normal",
    rng: int = 0,
) -> Counts:
    """Draw an experiment, counts by layer: log scales gain `drift` a level, seeds `own` besides."""
    made = synthetic.counts(architecture, "layer", seeds=seeds, levels=levels, task="digits")
    made = dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, init=init))
    if exempt:
        never = np.array([name in exempt for name in made.names])
        made = dataclasses.replace(made, exempt=never, exempt_layers=exempt)
    rho = np.broadcast_to(retention, levels)
    keep = np.rint(made.total.sum() * np.cumprod(np.concatenate([[1.0], rho]))).astype(int)
    tau, draw = np.log(initial_scales(made.layers, init)), np.random.default_rng(rng)
    slope = drift + own * draw.standard_normal((seeds, 1, len(tau)))
    gain = tau + slope * np.arange(levels + 1)[:, None]
    of = (keep, made.exempt)
    law = initialiser(init).distribution
    kept = [pruned(made.total, one, *of, [rng, seed], law) for seed, one in enumerate(gain)]
    return dataclasses.replace(made, kept=np.array(kept))
