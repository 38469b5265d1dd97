"""Coverage, bias and verdicts of the exponent gamma on error curves that are known.

    python -m benchmarks.statistics.gamma_recovery [--quick] [--simulations 200] [--processes 2]

Curves follow the fitted form, densities .8^n, an error of .06 without pruning, chance .9, in log
error. What real curves have is on top: noise that is correlated along the curve (AR(1)), seeds with
an exponent and an onset of their own, and forms that are not the fitted one. Every experiment goes
through `rgtool.gamma` as a user's would. Columns: bias, the median of log(estimate/gamma); coverage
of the 95 % interval and of the profile beside it, which takes levels as independent; width, the
median of log(high/low); quoted, and the coverage of those; rejected, the share of `model rejected`.
Of the forms that are not the fitted one, what counts is that few are quoted. The last table is the
comparison of two experiments: p < .05, and certified equal within a factor of 1.5. Aimed at:
coverage .95 from three seeds on in every design that has the fitted form.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
import scipy

from benchmarks.machine import machine
from rgtool.analysis.curves.curve import PruningCurve, make_curve
from rgtool.analysis.gamma.estimate import gamma
from rgtool.analysis.gamma.power_law import log_error
from rgtool.analysis.gamma.result import Fitted
from rgtool.analysis.gamma.shared import same_gamma
from rgtool.schemas.errors import RgtoolError

EPS_NP, CHANCE = 0.06, 0.9
SEEDS = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class Design:
    """How curves are made.

    Attributes
    ----------
    gamma, onset, levels : float, float, int
        The law, and how many densities.
    noise, rho : float
        Sd of log error of a seed, and its correlation from level to level.
    own : float
        Sd over seeds of log gamma and of log onset.
    plateau : float
        Error of the sparsest end; chance is told whatever it is.
    bump, steeper : float
        A bump of log error in the middle; an exponent that is added below density .02.
    common : float
        Sd of AR(.6) noise that all seeds share, such as that of one test set.
    growing, loud : float
        Factors of the noise at the sparsest end, and of the first seed.
    collapse : tuple of int, or None
        First and last level from which on a seed may be at chance, a layer having run empty.
    """

    gamma: float = 0.6
    onset: float = 0.2
    levels: int = 25
    noise: float = 0.03
    rho: float = 0.0
    own: float = 0.0
    plateau: float = CHANCE
    bump: float = 0.0
    steeper: float = 0.0
    common: float = 0.0
    growing: float = 1.0
    loud: float = 1.0
    collapse: tuple[int, int] | None = None

    def draw(self, seeds: int, rng: np.random.Generator, name: str = "made") -> PruningCurve:
        """Draw an experiment."""
        x = math.log(0.8) * np.arange(self.levels)
        theta = np.tile(np.log([EPS_NP, self.gamma, self.onset, self.plateau]), (seeds, 1))
        theta[:, 1:3] += self.own * rng.normal(size=(seeds, 2))
        grows = np.geomspace(1, self.growing, self.levels)
        y = log_error(x, theta) + self.noise * grows * along(self.rho, seeds, self.levels, rng)
        y[0] += (self.loud - 1) * self.noise * along(self.rho, 1, self.levels, rng)[0]
        y += self.common * along(0.6, 1, self.levels, rng)
        y += self.bump * np.exp(-(((x - x.mean()) / (0.1 * np.ptp(x))) ** 2))
        y += self.steeper * np.maximum(math.log(0.02) - x, 0)
        if self.collapse is not None:
            start = rng.integers(self.collapse[0], self.collapse[1] + 1, size=(seeds, 1))
            at_chance = math.log(CHANCE) + 0.01 * rng.normal(size=y.shape)
            y = np.where(np.arange(self.levels) >= start, at_chance, y)
        density = np.tile(np.exp(x), seeds)
        labels = np.repeat(np.arange(seeds), self.levels).tolist()
        return make_curve(name, density, np.exp(np.minimum(y, 0)).ravel(), labels, task="cifar10")


def along(rho: float, seeds: int, levels: int, rng: np.random.Generator) -> np.ndarray:
    """Draw noise of sd 1 with correlation rho from level to level: (seeds, levels)."""
    steps = rng.normal(size=(seeds, levels))
    for n in range(1, levels):
        steps[:, n] = rho * steps[:, n - 1] + math.sqrt(1 - rho**2) * steps[:, n]
    return steps


class Found(NamedTuple):
    """What came of one experiment; NaN where nothing was fitted."""

    estimate: float
    low: float
    high: float
    profile_low: float
    profile_high: float
    verdict: str


Job = tuple[Design, int, int, int]


def recover(job: Job) -> list[Found]:
    """Analyse some experiments of a design."""
    design, seeds, simulations, stream = job
    rng = np.random.default_rng([stream, seeds])
    return [one_experiment(design.draw(seeds, rng)) for _ in range(simulations)]


def one_experiment(curve: PruningCurve) -> Found:
    """Analyse an experiment as a user would."""
    nothing = (math.nan,) * 5
    try:
        found = gamma(None, curve)
    except RgtoolError:
        return Found(*nothing, "error")
    one = found.fitted
    if not isinstance(one, Fitted) or one.profile is None:
        return Found(*nothing, found.verdict)
    ends = one.profile.low, one.profile.high
    return Found(
        found.estimate.value, found.estimate.low, found.estimate.high, *ends, found.verdict
    )


def row(found: list[Found], truth: float) -> str:
    """Write what came of the simulations of one cell."""
    estimate, low, high, profile_low, profile_high = np.array([one[:5] for one in found]).T
    verdict = np.array([one.verdict for one in found])
    fitted, quoted = np.isfinite(estimate), verdict == "quoted"
    covered, profiled = (
        (low <= truth) & (truth <= high),
        (profile_low <= truth) & (truth <= profile_high),
    )
    bounded = fitted & (low > 0) & np.isfinite(high)
    width = np.median(np.log(high[bounded] / low[bounded])) if bounded.any() else math.nan
    cells = [
        f"{np.median(np.log(estimate[fitted] / truth)):+8.3f}" if fitted.any() else f"{'-':>8}",
        *(share(these, fitted, 10) for these in (covered, profiled)),
        f"{width:8.2f}",
        f"{quoted.mean():8.2f}",
        share(covered, quoted, 9),
        f"{(verdict == 'model rejected').mean():10.2f}",
    ]
    return "".join(cells)


def share(these: np.ndarray, among: np.ndarray, width: int) -> str:
    """Write the share of some among others."""
    return f"{these[among].mean():{width}.3f}" if among.any() else f"{'-':>{width}}"


HEAD = (
    f"{'bias':>8}{'coverage':>10}{'profile':>10}{'width':>8}{'quoted':>8}{'its cov':>9}"
    f"{'rejected':>10}"
)

ALONG = {
    f"{'own parameters' if own else 'equal seeds'}, AR({rho:g})": Design(rho=rho, own=own)
    for own, rho in product((0.0, 0.1), (0.0, 0.3, 0.6, 0.8))
}
OTHERS = {
    "noise grows to 9 %, AR(.3)": Design(rho=0.3, growing=3.0),
    "one loud seed, AR(.3)": Design(rho=0.3, loud=3.0),
    "1 % shared by seeds": Design(rho=0.3, common=0.01),
}
WRONG = {
    "plateau .6 told .9": Design(rho=0.3, plateau=0.6, onset=0.5),
    "bump of 10 %": Design(rho=0.3, bump=0.10),
    "bump of 5 %": Design(rho=0.3, bump=0.05),
    "steeper below .02": Design(rho=0.3, steeper=0.25),
    "layers collapse": Design(rho=0.3, collapse=(18, 20)),
}
HARD = {
    f"g {g:g}, onset {onset:g}, {levels} levels": Design(g, onset, levels, 0.034)
    for g, onset, levels in (
        (0.15, 0.05, 30), (0.15, 0.2, 17), (0.5, 0.05, 17), (0.5, 0.2, 17), (2.0, 0.05, 17),
        (2.0, 0.2, 30),
    )
}  # fmt: skip


def tables(options: argparse.Namespace, run: Callable[..., object]) -> None:
    """Print the tables of single experiments."""
    for title, designs, seeds in (
        ("correlation along the curve", ALONG, SEEDS),
        ("other noise", OTHERS, (1, 3, 5, 10)),
        ("another form", WRONG, (1, 3, 5, 10)),
        ("exponents that are hard to see, noise 3.4 %", HARD, (1, 3, 5)),
    ):
        print(f"\n{title:36}{'seeds':>6}{HEAD}", flush=True)
        for number, (name, design) in enumerate(designs.items()):
            for count in seeds:
                parts = options.processes
                each = math.ceil(options.simulations / parts)
                jobs = [(design, count, each, 100 * number + part) for part in range(parts)]
                found = [one for some in run(recover, jobs) for one in some]
                print(f"{name:36}{count:6}{row(found, design.gamma)}", flush=True)


class Pair(NamedTuple):
    """Two designs that are compared."""

    first: Design
    second: Design
    seeds: int
    simulations: int
    stream: int


def compare(pair: Pair) -> list[tuple[bool, bool, bool, bool]]:
    """Compare pairs: rejected, certified equal, accepted, common exponent covered."""
    rng = np.random.default_rng([pair.stream, pair.seeds])
    out = []
    for _ in range(pair.simulations):
        both = [one.draw(pair.seeds, rng, n) for one, n in ((pair.first, "a"), (pair.second, "b"))]
        found = same_gamma(gamma(None, both[0]), gamma(None, both[1]))
        ends = found.estimate.low, found.estimate.high
        ratio = float(found.found.ratio_low[0]), float(found.found.ratio_high[0])
        out.append(
            (
                found.p < 0.05,
                ratio[0] > 1 / 1.5 and ratio[1] < 1.5,
                found.verdict == "accepted",
                ends[0] <= pair.first.gamma <= ends[1],
            )
        )
    return out


def comparisons(options: argparse.Namespace, run: Callable[..., object]) -> None:
    """Print size and power of the comparison of two experiments."""
    ratios = (1.0, 1.2, 1.5)
    heads = "".join(f"{f'ratio {ratio:g}':>22}" for ratio in ratios)
    print(
        f"\ntwo experiments: p < .05, certified, accepted\n{'':28}{'seeds':>6}{heads}   common",
        flush=True,
    )
    for number, (own, rho) in enumerate(product((0.0, 0.1), (0.0, 0.6))):
        base = Design(rho=rho, own=own, onset=0.25, gamma=0.5)
        for seeds in (1, 3, 5, 10):
            cells, common = [], ""
            for place, ratio in enumerate(ratios):
                other = replace(base, gamma=base.gamma * ratio, onset=0.15)
                each = math.ceil(options.pairs / options.processes)
                jobs = [
                    Pair(base, other, seeds, each, 1000 * number + 10 * place + part)
                    for part in range(options.processes)
                ]
                shares = np.mean([one for some in run(compare, jobs) for one in some], axis=0)
                cells.append(f"{shares[0]:10.3f}{shares[1]:6.2f}{shares[2]:6.2f}")
                common = common or f"{shares[3]:9.3f}"
            name = f"{'own parameters' if own else 'equal seeds'}, AR({rho:g})"
            print(f"{name:28}{seeds:6}{''.join(cells)}{common}", flush=True)


def main() -> None:
    """Run the simulations and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulations", type=int, default=200, help="experiments a cell")
    parser.add_argument("--pairs", type=int, default=100, help="pairs a cell")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a tenth of them")
    options = parser.parse_args()
    if options.quick:
        options.simulations, options.pairs = options.simulations // 10, options.pairs // 10
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {machine()}")
    print(f"{options.simulations} experiments and {options.pairs} pairs a cell")
    error = math.sqrt(0.95 * 0.05 / options.simulations)
    print(f"Monte-Carlo error of a coverage of .95: {error:.3f}")
    began = time.perf_counter()
    with ProcessPoolExecutor(options.processes) as pool:
        tables(options, pool.map)
        comparisons(options, pool.map)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
