"""Flows with a known truth, thousands at once: what the benchmarks of intervals and tests draw.

Kept weights have the shape (N, S, T + 1, K): N experiments of S seeds at T + 1 levels in K groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgtool.analysis import flow
from rgtool.analysis.nulls.initial import DISTRIBUTIONS, initial_scale_kept, initial_scales
from rgtool.analysis.nulls.initial import threshold as threshold_of
from rgtool.schemas.blocks import Layer, architecture

# Nine blocks of a ResNet-20, and what their growth scatters by between seeds and between steps.
LOG_S = 1.2 * np.log([1.07, 1.07, 1.07, 1.06, 1.02, 1.02, 1.0, 0.97, 0.95])
SEED_SD, STEP_SD, STEPS = 0.006, 0.0144, 16
RETENTION = np.full(STEPS, 0.8)
BERT = 1 - 1 / np.arange(9.0, 2.0, -1)  # .89 to .67: a tenth of the dense network at every step


def log_s(groups: int) -> np.ndarray:
    """Return growth of K groups: those of the blocks, or as far apart."""
    return LOG_S if groups == len(LOG_S) else np.linspace(0.08, -0.06, groups)


def replicator(
    growth: np.ndarray, retention: np.ndarray = RETENTION, start: np.ndarray | float = 1e9
) -> np.ndarray:
    """Return kept weights of shares that grow by growth (..., T, K) and are renormalised.

    `start`, shape (K,), is what the groups keep at first; by default they are large and alike.
    """
    first = np.broadcast_to(np.asarray(start, float), growth.shape[-1:])
    zero = np.zeros((*growth.shape[:-2], 1, growth.shape[-1]))
    log_m = np.log(first) + np.concatenate([zero, np.cumsum(growth, axis=-2)], axis=-2)
    share = np.exp(log_m - log_m.max(axis=-1, keepdims=True))
    network = first.sum() * np.concatenate([[1.0], np.cumprod(retention)])
    return share / share.sum(axis=-1, keepdims=True) * network[:, None]


def sampled(rng: np.random.Generator, kept: np.ndarray) -> np.ndarray:
    """Return whole counts that lose weights at random as often as `kept` does on average."""
    counts = [np.rint(kept[..., 0, :])]
    for step in range(kept.shape[-2] - 1):
        odds = np.clip(kept[..., step + 1, :] / kept[..., step, :], 0, 1)
        counts.append(np.maximum(rng.binomial(counts[-1].astype(np.int64), odds), 1))
    return np.stack(counts, axis=-2).astype(float)


def ar1(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """Return stationary noise of variance 1 that is correlated along the last axis but one."""
    noise = rng.standard_normal(shape)
    for step in range(1, shape[-2]):
        noise[..., step, :] *= math.sqrt(1 - rho**2)
        noise[..., step, :] += rho * noise[..., step - 1, :]
    return noise


def alternating(groups: int) -> np.ndarray:
    """Return +1, -1, ...: how a common factor that renormalisation leaves loads on groups."""
    return (-1.0) ** np.arange(groups)


@dataclass(frozen=True)
class Untrained:
    """Global magnitude pruning of an untrained network from level 1 on, nothing fitted.

    Attributes
    ----------
    layers : tuple of Layer
        Layers that count.
    exempt : array, shape (L,)
        Layers that are never pruned.
    names : tuple of str, length K
        Groups.
    """

    layers: tuple[Layer, ...]
    exempt: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, name: str, by: str = "block") -> Untrained:
        """Return the untrained network of an architecture."""
        network = architecture(name)
        layers = network.counted()
        exempt = np.array([layer.name in network.exempt for layer in layers])
        names = tuple(dict.fromkeys(str(layer.group(by)) for layer in layers))
        return cls(layers, exempt, names)

    @property
    def total(self) -> np.ndarray:
        """Dense weights of the layers, shape (L,)."""
        return np.array([layer.total for layer in self.layers])

    @property
    def network(self) -> np.ndarray:
        """Weights of the whole network from level 1 to level 17, shape (T + 1,)."""
        return np.rint(self.total.sum() * 0.8 ** np.arange(1, STEPS + 2))

    def grouped(self, layers: np.ndarray) -> np.ndarray:
        """Sum layers within blocks: (..., L) to (..., K)."""
        index = flow.group_index([str(x.block) for x in self.layers], self.names)
        return flow.group_sums(layers, index, len(self.names))

    def expected(self) -> np.ndarray:
        """Return what is expected to be kept: shape (T + 1, L)."""
        return initial_scale_kept(
            self.total, initial_scales(self.layers), self.network, exempt=self.exempt
        )

    def draw(self, rng: np.random.Generator, simulations: int, seeds: int) -> np.ndarray:
        """Return kept weights of the layers, shape (N, S, T + 1, L).

        Survivors of fixed thresholds are nested binomials; the threshold that keeps the wanted
        number is moved from there along the densities, which is exact to first order.
        """
        tau, free = initial_scales(self.layers), ~self.exempt
        target = self.network - self.total[self.exempt].sum()
        t = threshold_of(self.total[free], tau[free], target)
        q = np.where(free, DISTRIBUTIONS["gaussian"].kept(t[:, None] / tau), 1.0)
        density = np.where(free, DISTRIBUTIONS["gaussian"].density(t[:, None] / tau) / tau, 0.0)
        odds = q / np.concatenate([np.ones((1, q.shape[1])), q[:-1]])
        counts = [np.broadcast_to(self.total, (simulations, seeds, q.shape[1]))]
        for one in odds:
            counts.append(rng.binomial(counts[-1], one))
        kept = np.stack(counts[1:], axis=-2).astype(float)
        weight = self.total * density / (self.total * density).sum(axis=-1, keepdims=True)
        over = kept.sum(axis=-1, keepdims=True) - self.network[:, None]
        return np.clip(np.rint(kept - over * weight), 1, self.total)
