"""How often the tests of spectra err: of one class (semigroup, classify), and against a null.

    python -m benchmarks.statistics.contrast_size
    python -m benchmarks.statistics.contrast_size --quick
    python -m benchmarks.statistics.contrast_size --parts size same

Seeds have a standard deviation of .0068 in log eigenvalue and group, of which "2:1" and the like
are multiples for the one experiment and the other. Groups are independent; neighbours (correlation
.6 exp(-lag/3)); under one factor whose loadings are a cosine over the groups, .9 of every variance
or .5 of it; or one group scatters eight times as far.

size     equal spectra called different at 5 %, by numbers of seeds and ratio of deviations. Aimed
         at: .08 at most, .13 where a factor dominates; with 2 + 2 seeds nothing is decided.
broken   designs that the test was not made for: seeds of Student's t with 3 degrees of freedom (by
         group, or whole runs), counts of groups of 40 weights and more, groups that are loud in one
         experiment alone, more unequal deviations than ten to one, very few beside many.
alone    the first has 20 independent groups, the second one factor of twice the deviation: size at
         5, 1 and .1 %, since p < .001 survives Holm's correction.
null     the same of one experiment against a null without noise.
power    two groups shifted by 2 % (one where there are two), equal seeds.
same     equal spectra certified the same within the margin, S + S seeds: must not fall with S.
margin   the same where one group differs by just the margin: .05 at most by group, .07 allowed.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence

import numpy as np
import scipy

from benchmarks.machine import machine
from rgtool.analysis.classes.same import SameClass, same_class
from rgtool.analysis.nulls.beyond import differs
from rgtool.analysis.spectrum.verdicts import MARGIN

Draw = Callable[[np.random.Generator, int, float], np.ndarray]  # seeds, multiple: (S, K)

SEED_SD, SHIFT, ALPHA = 0.0068, 0.02, 0.05
SEEDS = (  # of a and b, and multiples of the standard deviation
    (2, 2, 1, 1),
    (3, 3, 1, 1),
    (5, 5, 1, 1),
    (10, 10, 1, 1),
    (3, 5, 2, 1),
    (2, 5, 3, 1),
    (10, 2, 0.3, 1),
    (5, 3, 2, 1),
)
DESIGNS = (
    *(("independent", groups) for groups in (2, 9, 20)),
    *((kind, groups) for kind in ("neighbours", "factor", "half factor") for groups in (9, 20)),
    *(("one group 8x", groups) for groups in (9, 20)),
)
STRANGE = ((2, 2, 1, 1), (3, 3, 1, 1), (5, 5, 1, 1), (2, 10, 1, 1), (2, 10, 10, 1), (3, 15, 0.1, 1))
ALONE = ((15, 4, 1, 2), (10, 3, 1, 2), (5, 5, 1, 2), (10, 10, 1, 2), (15, 2, 1, 2), (3, 3, 1, 2))
KEPT = (40, 100, 250, 600, 1500, 4000, 10_000, 25_000, 60_000)  # weights of small groups, at last
STEPS = 12
MANY = (2, 3, 4, 5, 6, 8, 10, 15)


def mixing(kind: str, groups: int) -> np.ndarray:
    """Return what makes normal seeds (S, K) of independent groups those of this kind: (K, K)."""
    part = {"neighbours": 0.6, "factor": 0.9, "half factor": 0.5}.get(kind, 0.0)
    place = np.arange(groups)
    if kind == "neighbours":
        shared = np.exp(-np.abs(np.subtract.outer(place, place)) / 3)
    else:
        loading = np.sqrt(2) * np.cos(np.pi * (place + 0.5) / groups)
        shared = np.outer(loading, loading)
    root = np.linalg.cholesky((1 - part) * np.eye(groups) + part * shared).T
    if kind == "one group 8x":
        root[0] *= 8
    return SEED_SD * root


def normal(kind: str, groups: int) -> Draw:
    """Return a design of normal seeds."""
    root = mixing(kind, groups)
    return lambda rng, seeds, multiple: multiple * rng.standard_normal((seeds, groups)) @ root


def heavy(rng: np.random.Generator, seeds: int, multiple: float) -> np.ndarray:
    """Draw seeds whose groups are Student's t with 3 degrees of freedom."""
    return np.asarray(multiple * SEED_SD * rng.standard_t(3, (seeds, 9)) / np.sqrt(3))


def heavy_runs(rng: np.random.Generator, seeds: int, multiple: float) -> np.ndarray:
    """Draw seeds of which some are far off in all groups: a multivariate t."""
    scale = np.sqrt(3 / rng.chisquare(3, (seeds, 1)))
    return np.asarray(multiple * SEED_SD / np.sqrt(3) * scale * rng.standard_normal((seeds, 9)))


def counts(rng: np.random.Generator, seeds: int, multiple: float) -> np.ndarray:
    """Draw log eigenvalues from whole numbers of weights, and noise where seeds are to be loud."""
    kept = np.maximum(rng.poisson(KEPT, (seeds, len(KEPT))), 1)
    noise = max(multiple - 1, 0) * SEED_SD * rng.standard_normal(kept.shape)
    return np.log(kept) / STEPS + noise


def loud_by_turns(number: int) -> Draw:
    """Return seeds of which one group is loud, another for another number."""

    def draw(rng: np.random.Generator, seeds: int, multiple: float) -> np.ndarray:
        scale = np.where(np.arange(9) == number, 8.0, 1.0)
        return multiple * SEED_SD * scale * rng.standard_normal((seeds, 9))

    return draw


BROKEN: dict[str, tuple[Draw, Draw]] = {
    "t3 groups": (heavy, heavy),
    "t3 runs": (heavy_runs, heavy_runs),
    "40 weights": (counts, counts),
    "loud by turns": (loud_by_turns(0), loud_by_turns(1)),
    "normal, K = 3": (normal("independent", 3),) * 2,
    "normal, K = 50": (normal("independent", 50),) * 2,
    "factor, K = 5": (normal("factor", 5),) * 2,
}


def tests(
    options: argparse.Namespace,
    label: str,
    pair: tuple[Draw, Draw],
    seeds: Sequence[float],
    shift: Sequence[float] = (),
    draws: int | None = None,
) -> list[SameClass]:
    """Compare simulated pairs; `shift` is added to the first groups of the first."""
    rng = np.random.default_rng([options.seed, *label.encode(), *(int(10 * s) for s in seeds)])
    first, second, one, other = int(seeds[0]), int(seeds[1]), seeds[2], seeds[3]
    found = []
    for _ in range(options.simulations):
        a, b = pair[0](rng, first, one), pair[1](rng, second, other)
        a[:, : len(shift)] += shift
        found.append(same_class(a, b, rng, options.draws if draws is None else draws))
    return found


def lone_factor(rng: np.random.Generator, seeds: int, multiple: float) -> np.ndarray:
    """Draw seeds whose 20 groups hang on one factor and scatter little beside it."""
    factor = rng.standard_normal((seeds, 1)) * np.sqrt(3) * np.linspace(-1, 1, 20)
    return np.asarray(multiple * SEED_SD * (factor + 0.1 * rng.standard_normal((seeds, 20))))


def rejected(found: Sequence[SameClass], level: float = ALPHA) -> float:
    """Return the share of pairs called different at a level by the test of all groups."""
    return float(np.mean([one.p <= level for one in found]))


def certified(found: Sequence[SameClass]) -> float:
    """Return the share of pairs that are certified the same."""
    return float(np.mean([one.equivalent.all() for one in found]))


def title(seeds: Sequence[float]) -> str:
    """Name numbers of seeds and the ratio of their deviations, such as `3+5,2:1`."""
    first, second, one, other = seeds
    ratio = "" if one == other else f",{one:g}:{other:g}".replace("0.", ".")
    return f"{first:g}+{second:g}{ratio}"


def row(name: str, values: Sequence[float], width: int = 10) -> None:
    """Print a row of shares."""
    print(f"{name:<22}" + "".join(f"{value:>{width}.3f}" for value in values), flush=True)


def heading(name: str, cells: Sequence[object], width: int = 10) -> None:
    """Print the heading of a table."""
    print(f"\n{name:<22}" + "".join(f"{cell!s:>{width}}" for cell in cells))


def size(options: argparse.Namespace) -> None:
    """Print how often equal spectra are called different."""
    heading("size", [title(seeds) for seeds in SEEDS])
    for kind, groups in DESIGNS:
        pair = (normal(kind, groups),) * 2
        name = f"{kind}, K = {groups}"
        row(name, [rejected(tests(options, name, pair, seeds)) for seeds in SEEDS])


def broken(options: argparse.Namespace) -> None:
    """Print the same of designs that the test was not made for."""
    heading("broken", [title(seeds) for seeds in STRANGE])
    for name, pair in BROKEN.items():
        row(name, [rejected(tests(options, name, pair, seeds)) for seeds in STRANGE])


def alone(options: argparse.Namespace) -> None:
    """Print the size where one experiment alone hangs on a factor, far into the tail."""
    heading("alone", [title(seeds) for seeds in ALONE])
    pair = (normal("independent", 20), lone_factor)
    found = [tests(options, "factor in one only", pair, s, draws=1999) for s in ALONE]
    for level in (0.05, 0.01, 0.001):
        row(f"factor in one, p {level:g}", [rejected(one, level) for one in found])


def null(options: argparse.Namespace) -> None:
    """Print how often an experiment is told from the null that it is."""
    numbers = (2, 3, 5, 10)
    heading("null", [f"S = {number}" for number in numbers])
    for kind, groups in DESIGNS:
        draw, shares = normal(kind, groups), []
        for number in numbers:
            rng = np.random.default_rng([options.seed, number, groups, *kind.encode()])
            p = [
                differs(draw(rng, number, 1), np.zeros(groups), rng, options.draws).p
                for _ in range(options.simulations)
            ]
            shares.append(float(np.mean(np.array(p) <= ALPHA)))
        row(f"{kind}, K = {groups}", shares)


def power(options: argparse.Namespace) -> None:
    """Print how often a shift of two per cent is found."""
    numbers = (2, 3, 4, 5)
    heading("power", [f"S = {number}" for number in numbers])
    for kind, groups in (*DESIGNS[:3], ("one group 8x", 9), ("factor", 9)):
        pair, name = (normal(kind, groups),) * 2, f"{kind}, K = {groups}"
        shift = [0.0, SHIFT, SHIFT] if "8x" in kind else [SHIFT] * min(2, groups - 1)
        found = [tests(options, name, pair, (s, s, 1, 1), shift) for s in numbers]
        row(name, [rejected(one) for one in found])


def same(options: argparse.Namespace) -> None:
    """Print how often equal spectra are certified the same, and by how much that falls with S."""
    heading("same", [f"S = {number}" for number in MANY], 9)
    for kind, groups in (*DESIGNS[:3], ("independent", 5), ("factor", 9), ("one group 8x", 9)):
        pair, name = (normal(kind, groups),) * 2, f"{kind}, K = {groups}"
        row(name, [certified(tests(options, name, pair, (s, s, 1, 1), draws=1)) for s in MANY], 9)


def margin(options: argparse.Namespace) -> None:
    """Print how often that is certified where one group lies at the margin."""
    cells = ((2, 2, 1, 1), (3, 3, 1, 1), (4, 4, 1, 1), (5, 5, 1, 1), (10, 10, 1, 1), (2, 10, 3, 1))
    heading("margin", [title(seeds) for seeds in cells])
    for kind, groups in (*DESIGNS[:5], ("independent", 5), ("one group 8x", 9)):
        pair, name = (normal(kind, groups),) * 2, f"{kind}, K = {groups}"
        move = MARGIN * groups / (groups - 1)  # centring keeps 1 - 1/K of a shift of one group
        shift = [0.0, move] if "8x" in kind else [move]
        values = [certified(tests(options, name, pair, s, shift, draws=1)) for s in cells]
        row(name, values)


PARTS = {f.__name__: f for f in (size, broken, alone, null, power, same, margin)}


def main() -> None:
    """Run the parts and say on what machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="150 simulations of 199 draws")
    parser.add_argument("--simulations", type=int, default=600)
    parser.add_argument("--draws", type=int, default=299)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.quick:
        options.simulations, options.draws = 150, 199
    started = time.perf_counter()
    for part in options.parts:
        PARTS[part](options)
    errors = [np.sqrt(share * (1 - share) / options.simulations) for share in (0.05, 0.5)]
    print(
        f"\n{options.simulations} simulations of {options.draws} draws, Monte-Carlo error of .05 "
        f"{errors[0]:.3f}, of .5 {errors[1]:.3f}; {time.perf_counter() - started:.0f} s; "
        f"{machine()}, Python {platform.python_version()}, NumPy {np.__version__}, SciPy "
        f"{scipy.__version__}"
    )


if __name__ == "__main__":
    main()
