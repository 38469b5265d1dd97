"""How often what is said of a scheme is wrong: semigroup or not, fixed point or running away.

    python -m benchmarks.statistics.scheme_sizes
    python -m benchmarks.statistics.scheme_sizes --repeats 1000

semigroup  two flows of the same seeds, of which the step matters or does not, whose noise is the
           same to a share rho (1: the same weights, the same masks but for the step). `different`
           at no effect is the size, aimed at .05 and .08 at most; at an effect it is the power.
           Compared seed by seed (paired), and as if seeds were strangers (apart).
fate       flows with a known kappa, sampled as counts: drawn to a point, driven from one, running
           steadily, standing still. Shares of verdicts, and how often the interval of kappa covers.
           A wrong verdict is one of another fate than the true one; aimed at: .05 at most, coverage
           .92 to .97. `few`: the network is 40 times smaller, so that counts are coarse and levels
           end early; `loud`: seeds start .2 apart in every log share; `unequal`: groups from 1 to
           300 in size; `one shot`: every level is drawn anew from the dense network; `curved`: a
           second exponent, twice the first, holds half of the deviation.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np

from benchmarks.machine import machine
from benchmarks.statistics.flows import sampled
from rgtool.analysis.classes.same import same_class, same_paired
from rgtool.analysis.scheme.fixed_point import followed_shares

GROUPS, LEVELS, STEP = 6, 12, 0.5
FATES = {"attracted": 0.6, "repelled": -0.3, "steady": 0.0, "still": 0.0}
DESIGNS = ("plain", "few", "loud", "unequal", "one shot", "curved")


def semigroup_rates(
    groups: int, seeds: int, rho: float, effect: float, loud: bool, repeats: int
) -> tuple[float, float, float, float]:
    """Return shares of `different`, and of `same`, paired and apart."""
    rng, counts = np.random.default_rng(0), Counter[str]()
    sd = 0.0068 * np.where((np.arange(groups) == 0) & loud, 8, 1)
    shift = effect * (np.arange(groups) < 2) * (-1.0) ** np.arange(groups)
    for _ in range(repeats):
        common, *own = rng.standard_normal((3, seeds, groups))
        a, b = (sd * (np.sqrt(rho) * common + np.sqrt(1 - rho) * one) for one in own)
        for name, compare in (("paired", same_paired), ("apart", same_class)):
            counts[f"{name} {compare(a + shift, b, rng, draws=299).verdict}"] += 1
    keys = ("paired different", "apart different", "paired same", "apart same")
    return tuple(counts[key] / repeats for key in keys)  # type: ignore[return-value]


def flow_of(fate: str, design: str, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Draw counts (S, T, G) of a flow in ln shares about a point that seeds share."""
    kappa, t = FATES[fate], STEP * np.arange(LEVELS)
    fixed = np.zeros(GROUPS)
    if design == "unequal":
        fixed = np.log(np.geomspace(1, 300, GROUPS))
    c = np.linspace(-1, 1, GROUPS)
    loud = 0.2 if design == "loud" else 0.02
    risen = t if kappa == 0 else -np.expm1(-kappa * t) / kappa
    if design == "curved" and kappa:
        risen = risen / 2 - np.expm1(-2 * kappa * t) / (4 * kappa)
    speed = {"attracted": -0.6, "repelled": 0.15, "steady": 0.3, "still": 0.0}[fate]
    x = fixed + c + loud * rng.standard_normal((seeds, 1, GROUPS)) + speed * risen[:, None] * c
    network = (2.5e4 if design == "few" else 1e6) * np.exp(-t)
    share = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    kept = share * network[:, None]
    if design == "one shot":
        return np.asarray(np.maximum(rng.poisson(kept), 1), float)
    return np.asarray(sampled(rng, kept))


def fate_rates(
    fate: str, design: str, seeds: int, repeats: int
) -> tuple[Counter[str], list[float]]:
    """Return verdicts; how often kappa is covered, mean width, how often bent, later covered."""
    rng, said = np.random.default_rng(0), Counter[str]()
    told: list[tuple[float, ...]] = []
    for _ in range(repeats):
        kept = flow_of(fate, design, seeds, rng)
        enough = (kept.mean(axis=0).min(axis=-1) >= 10).cumprod().astype(bool)
        found = followed_shares(kept[:, enough], STEP * np.arange(LEVELS)[enough])
        said[found.fate] += 1
        rate, later = found.rate, found.later
        if fate != "still" and np.isfinite(rate.low):
            covered = [one.low <= FATES[fate] <= one.high for one in (rate, later)]
            told.append((covered[0], rate.high - rate.low, found.bent, covered[1]))
    return said, np.mean(told or [(np.nan,) * 4], axis=0).tolist()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    began = time.perf_counter()
    print(f"NumPy {np.__version__}, {machine()}; {options.repeats} repeats")
    print(f"{'groups':<8}{'seeds':>6}{'rho':>5}{'effect':>8}{'loud':>6}", end="")
    print(f"{'different: paired':>19}{'apart':>8}{'same: paired':>14}{'apart':>8}")
    for groups in (3, 9):
        for seeds in (2, 3, 5):
            for rho, effect, loud in (
                (0.0, 0.0, False),
                (0.5, 0.0, False),
                (0.9, 0.0, False),
                (0.9, 0.0, True),
                (0.0, 0.02, False),
                (0.5, 0.02, False),
                (0.9, 0.02, False),
            ):
                rates = semigroup_rates(groups, seeds, rho, effect, loud, options.repeats)
                print(f"{groups:<8}{seeds:>6}{rho:>5}{effect:>8}{loud!s:>6}", end="")
                widths = zip(rates, (19, 8, 14, 8), strict=True)
                print("".join(f"{rate:>{w}.3f}" for rate, w in widths), flush=True)
    fates = [*FATES, "undecided"]
    print(f"\n{'true':<11}{'design':<10}{'seeds':>6}", end="")
    print(
        "".join(f"{fate:>11}" for fate in fates)
        + f"{'covered':>9}{'width':>7}{'bent':>7}{'later':>7}"
    )
    for fate in FATES:
        for design in DESIGNS:
            for seeds in (2, 3, 5, 10):
                said, told = fate_rates(fate, design, seeds, options.repeats)
                print(f"{fate:<11}{design:<10}{seeds:>6}", end="")
                print("".join(f"{said[one] / options.repeats:>11.3f}" for one in fates), end="")
                print(
                    "".join(f"{x:>{w}.2f}" for x, w in zip(told, (9, 7, 7, 7), strict=True)),
                    flush=True,
                )
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
