"""How often the tests of constant growth, and of a change of it, reject: size and power.

    python -m benchmarks.statistics.linearity_size
    python -m benchmarks.statistics.linearity_size --quick

Growth is constant in the first flows: size, nominally 5 %. They are replicator flows of nine
groups, N(0, .006^2) between seeds and groups and N(0, .0144^2) between 16 steps of 20 %, with one
thing changed each. The groups of 432 and 2000 weights (at first) lose theirs at random. Untrained
networks (N1) bend, and that bend is to be taken off: beyond it growth is constant, without it they
are rejected. In the last flows growth changes, by so much over the window or from one step to the
next in two of nine groups, or all along like that of an untrained ResNet-20, which is not taken
off: power. A cell is the share
of experiments that the test of constant growth and the search for a change of it reject at 5 %.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from benchmarks.machine import machine
from benchmarks.statistics.flows import (
    BERT,
    RETENTION,
    SEED_SD,
    STEP_SD,
    STEPS,
    Untrained,
    ar1,
    log_s,
    replicator,
    sampled,
)
from rgtool.analysis import flow
from rgtool.analysis.nulls.initial import initial_scale_kept, initial_scales
from rgtool.analysis.nulls.own import own_scales
from rgtool.analysis.spectrum.linearity import growth_of, linearity

SEEDS, ALPHA = (1, 2, 3, 5, 10), 0.05
Rng = np.random.Generator
# Kept weights and those of the null, or None: (S, T + 1, K) each, pruned groups and the network.
Experiment = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class Replicator:
    """A flow of constant growth, or of growth that changes by `bend` over the window."""

    groups: int = 9
    retention: tuple[float, ...] = tuple(RETENTION)
    rho: float = 0.0
    step_sd: float = STEP_SD
    small: tuple[float, ...] = ()
    stem: bool = True  # the small groups are those that grow most; else those that grow least
    bend: float = 0.0
    seed_bend: float = 0.0
    jump: float = 0.0
    factor: bool = False  # one factor moves the steps of all groups
    swell: float = 1.0  # deviation of the last step over that of the first

    def __call__(self, rng: Rng, seeds: int) -> Experiment:
        """Draw an experiment."""
        retention = np.array(self.retention)
        unit = -np.log(retention) / flow.UNIT
        middle = np.cumsum(unit) - unit / 2
        middle = (middle - middle.mean()) / unit.sum()
        bend = np.where(np.arange(self.groups) < 2, self.bend, 0.0)
        own = log_s(self.groups) + SEED_SD * rng.standard_normal((seeds, 1, self.groups))
        bends = bend + self.seed_bend * rng.standard_normal((seeds, 1, self.groups))
        noise = ar1(rng, (seeds, len(unit), self.groups), self.rho)
        if self.factor:
            shared = ar1(rng, (seeds, len(unit), 1), self.rho)
            noise = shared * np.sqrt(3) * np.linspace(-1, 1, self.groups) + 0.1 * noise
        swell = np.linspace(1, self.swell, len(unit))
        noise *= self.step_sd * (swell / np.sqrt((swell**2).mean()))[:, None]
        jump = np.where(np.arange(self.groups) < 2, self.jump, 0.0) * (middle[:, None] > 0)
        growth = (own + bends * middle[:, None] + jump + noise) * unit[:, None]
        start = np.full(self.groups, 1e5 if self.small else 1e9)
        place = slice(len(self.small)) if self.stem else slice(-len(self.small), None)
        if self.small:
            start[place] = self.small
        kept = replicator(growth, retention, start)
        kept = sampled(rng, kept) if self.small else kept
        return kept, kept.sum(axis=-1), None


@dataclass(frozen=True)
class OfUntrained:
    """The flow of an untrained network, with its null or without."""

    name: str
    known: bool = True

    def __call__(self, rng: Rng, seeds: int) -> Experiment:
        """Draw an experiment."""
        network = Untrained.of(self.name)
        layers = network.draw(rng, 1, seeds)[0]
        kept, whole = network.grouped(layers), layers.sum(axis=-1)
        open_ = network.grouped(~network.exempt) > 0
        if not self.known:
            return kept[..., open_], whole, None
        tau = np.broadcast_to(initial_scales(network.layers), (seeds, len(network.total)))
        if seeds == 1:
            index = flow.group_index([str(x.block) for x in network.layers], network.names)
            tau = own_scales(kept, network.total, tau, index, network.exempt)
        null = initial_scale_kept(network.total, tau[:, None], whole, exempt=network.exempt)
        return kept[..., open_], whole, network.grouped(null)[..., open_]


def curved(rng: Rng, seeds: int) -> Experiment:
    """Draw the curved flow of an untrained ResNet-20 with the noise of a trained one."""
    network = Untrained.of("resnet20")
    path = network.grouped(network.expected())[:, 1:-1]
    growth = np.diff(np.log(path), axis=0) - np.log(0.8)
    own = SEED_SD * rng.standard_normal((seeds, 1, 9))
    noise = STEP_SD * rng.standard_normal((seeds, STEPS, 9))
    kept = replicator(growth + own + noise, RETENTION, path[0])
    return kept, kept.sum(axis=-1), None


FLOWS: dict[str, Callable[[Rng, int], Experiment]] = {
    "constant growth": Replicator(),
    "one group of 432": Replicator(small=(432,), step_sd=0.0),
    "432, 2000; steps .0144": Replicator(small=(432, 2000)),
    "432, of which 5 are left": Replicator(small=(432,), stem=False, step_sd=0.0),
    "retention .89-.67": Replicator(retention=tuple(BERT)),
    "AR(1) .6, K=5": Replicator(5, rho=0.6),
    "AR(1) .6, K=9": Replicator(rho=0.6),
    "AR(1) .8, K=9": Replicator(rho=0.8),
    "one factor of all steps": Replicator(factor=True),
    "one factor, AR(1) .7": Replicator(factor=True, rho=0.7),
    "steps swell tenfold": Replicator(swell=10.0),
    "steps swell twofold": Replicator(swell=2.0),
    "K=2": Replicator(2),
    "K=20": Replicator(20),
    "seeds bend by .02": Replicator(seed_bend=0.02),
    "six steps": Replicator(retention=(0.8,) * 6),
    "untrained LeNet": OfUntrained("lenet"),
    "untrained ResNet-8 w8": OfUntrained("resnet8w8"),
    "... its null unknown": OfUntrained("resnet8w8", known=False),
    "LeNet, null unknown": OfUntrained("lenet", known=False),
    "bend .02, 2 of 9 groups": Replicator(bend=0.02),
    "bend .04": Replicator(bend=0.04),
    "bend .08": Replicator(bend=0.08),
    "bends of ResNet-20's N1": curved,
    "jump .02, 2 of 9 groups": Replicator(jump=0.02),
    "jump .04": Replicator(jump=0.04),
}


def rejected(
    draw: Callable[[Rng, int], Experiment], seeds: int, options: argparse.Namespace, number: int
) -> tuple[float, float]:
    """Return the shares of experiments that the two tests reject."""
    rng = np.random.default_rng([options.seed, number, seeds])
    found = np.zeros((options.simulations, 2), bool)
    for one in found:
        kept, network, null = draw(rng, seeds)
        test = linearity(growth_of(kept, network, null), draws=options.draws, rng=rng)
        one[:] = test.p_all <= ALPHA, test.change_p <= ALPHA
    linear, change = found.mean(axis=0).tolist()
    return linear, change


def main() -> None:
    """Run the simulations and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--draws", type=int, default=199)
    parser.add_argument("--flows", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="fewer simulations")
    options = parser.parse_args()
    if options.quick:
        options.simulations, options.draws = 100, 99
    began = time.perf_counter()
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {machine()}")
    print(f"{'constant growth/no change':<26}" + "".join(f"{f'S={s}':>13}" for s in options.seeds))
    for number, (name, draw) in enumerate(FLOWS.items()):
        if options.flows and name not in options.flows:
            continue
        cells = [rejected(draw, seeds, options, number) for seeds in options.seeds]
        print(f"{name:<26}" + "".join(f"{f'{a:.3f}/{b:.3f}':>13}" for a, b in cells), flush=True)
    error = math.sqrt(ALPHA * (1 - ALPHA) / options.simulations)
    print(f"{options.simulations} simulations, {options.draws} draws, error of .05: {error:.3f}")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
