"""How often intervals and tests of perturbed tickets are right, where chi and J are known.

    python -m benchmarks.statistics.response_sizes [--simulations 500] [--parts chi tau]

Perturbations are a factor of .8 and its inverse, of one group after the other.

chi       a logarithm of the error that has chi for its slope, bends, and scatters from ticket to
          ticket by 4 per cent, rounded to whole images: coverage of chi, of no group alone called
          falling or rising where all chi are 0 (corrected for the groups, so .05 at most over all),
          of `flat` where chi is at the margin (.05 at most), and of the sum that closes (.95).
tau       Kendall's tau with y: coverage of its mean over many seeds, and how often the interval
          leaves out 0 where chi knows nothing of y (.05 at most).
operator  shares of K groups m levels on, by a J with known eigenvalues, every run with noise of its
          own: coverage of what stands for a cluster, how many clusters there are, how often a
          verdict is the wrong one (relevant or irrelevant of 1, or of the other side).
identity  how often J = 1 is rejected where it is so (.05), and where it is not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.machine import machine
from rgtool.analysis.response import chi as answers
from rgtool.analysis.response.operator import (
    contrasts,
    eigen_of,
    identity_p,
    interval_of,
    operators,
    verdict_of,
)

FACTOR, SEEDS = 0.8, (2, 3, 5, 10)
TICKET_SD = 0.04  # of the logarithm of the error, from ticket to ticket
SEED_SD = 0.1  # that all tickets of a seed share
RUN_SD = 0.0375  # of a log share four levels on: .0068 of a seed and .0144 of a step, a level
CHI_DESIGNS = {  # images, error, sd of a ticket, second derivative, one group louder by
    "digits, error .1": (360, 0.10, TICKET_SD, 0.0, 1.0),
    "digits, error .02": (360, 0.02, TICKET_SD, 0.0, 1.0),
    "digits, all seeds alike": (360, 0.05, 0.005, 0.0, 1.0),
    "ten thousand, error .3": (10_000, 0.30, TICKET_SD, 0.0, 1.0),
    "bent": (10_000, 0.30, TICKET_SD, 2.0, 1.0),
    "one group eight times as loud": (10_000, 0.30, TICKET_SD, 0.0, 8.0),
}


def errors(
    rng: np.random.Generator, chi: np.ndarray, design: tuple[int, float, float, float, float]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Draw accuracies (S, K, 2), log shares (S, K, 2) and what an image is worth; chi is (S, K)."""
    images, error, sd, bend, loud = design
    step = np.array([np.log(FACTOR), -np.log(FACTOR)])
    share = np.broadcast_to(step, (*chi.shape, 2))
    scatter = sd * rng.standard_normal(share.shape)
    scatter[:, 0] *= loud
    common = 0.0 if sd < TICKET_SD else SEED_SD * rng.standard_normal((len(chi), 1, 1))
    log = np.log(error) + common + chi[..., None] * share + bend * share**2 / 2 + scatter
    wrong = np.clip(np.rint(images * np.exp(log)), 0, images)
    return 1 - wrong / images, share, 1 / images


def measured(
    rng: np.random.Generator, chi: np.ndarray, design: tuple[int, float, float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is measured of chi (S, K), and the variance of rounding."""
    accuracy, share, unit = errors(rng, chi, design)
    log = answers.log_error(accuracy, unit)
    return answers.susceptibility(log, share), answers.rounding(log, share, unit)


def chi_sizes(rng: np.random.Generator, simulations: int) -> None:
    """Print coverage of chi, and how often answers are called what they are not."""
    true = np.array([-0.3, -0.1, 0.0, 0.05, 0.2, 0.4])
    share = np.array([0.05, 0.1, 0.4, 0.25, 0.15, 0.05])
    print("chi: coverage, worst group | any group answers where none does | flat at the margin")
    print(f"{'':<32}" + "".join(f"{n:>24}" for n in SEEDS))
    for name, design in CHI_DESIGNS.items():
        cells = []
        for seeds in SEEDS:
            held, wrong, flat = list[np.ndarray](), 0, 0
            for _ in range(simulations):
                values, least = measured(rng, np.tile(true, (seeds, 1)), design)
                ends = answers.mean_of(values, least).ends()
                held.append((ends[0] <= true) & (true <= ends[1]))
                values, least = measured(rng, np.zeros((seeds, 6)), design)
                said = answers.judge(answers.mean_of(values, least)).verdict
                wrong += bool({"falls", "rises"} & {*said})
                at = np.full((seeds, 6), answers.MARGIN)
                values, least = measured(rng, at, design)
                flat += answers.judge(answers.mean_of(values, least)).verdict.count("flat")
            cover = np.mean(held, axis=0)
            cells.append(
                f"{cover.mean():.3f} {cover.min():.3f} | {wrong / simulations:.3f} | "
                f"{flat / simulations / 6:.3f}"
            )
        print(f"{name:<32}" + "".join(f"{cell:>30}" for cell in cells), flush=True)
    close(rng, simulations, share)


def close(rng: np.random.Generator, simulations: int, share: np.ndarray) -> None:
    """Print how often the sum that closes holds 0, of responses that follow from one function."""
    cells = []
    for seeds in SEEDS:
        held = 0
        for _ in range(simulations):
            slope = rng.normal(size=6)
            true = (slope - share * slope.sum()) / (1 - share)
            values, _ = measured(rng, np.tile(true, (seeds, 1)), CHI_DESIGNS["bent"])
            found = answers.closure(values, np.tile(share, (seeds, 1)))
            held += found.low <= 0 <= found.high
        cells.append(f"{held / simulations:.3f}")
    print(f"{'sum closes':<32}" + "".join(f"{cell:>30}" for cell in cells), flush=True)


def tau_sizes(rng: np.random.Generator, simulations: int) -> None:
    """Print coverage of Kendall's tau, and how often it is seen where there is none."""
    print("\ntau with y: coverage of its mean over many seeds | 0 left out where none is")
    print(f"{'chi is':<12}{'groups':>7}" + "".join(f"{n:>16}" for n in SEEDS[1:]))
    design = CHI_DESIGNS["ten thousand, error .3"]
    for name, slope in (("none", 0.0), ("-.1 y", -0.1), ("-.5 y", -0.5), ("-5 y", -5.0)):
        for groups in (3, 5, 9):
            y = np.linspace(-0.4, 0.4, groups)
            values, _ = measured(rng, np.tile(slope * y, (4000, 1)), design)
            true, cells = answers.rank_agreement(values, y).value, []
            for seeds in SEEDS[1:]:
                held = out = 0
                for _ in range(simulations):
                    values, _ = measured(rng, np.tile(slope * y, (seeds, 1)), design)
                    found = answers.rank_agreement(values, y)
                    held += found.low <= true <= found.high
                    out += found.high < 0 or found.low > 0
                cells.append(f"{held / simulations:.3f} | {out / simulations:.3f}")
            print(f"{name:<12}{groups:>7}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


OPERATORS = {  # eigenvalues, sd of J from seed to seed, noise of a run, noise of the first group
    "all 1, 3 groups": ([1.0] * 2, 0.0, RUN_SD, 1.0),
    "all 1, 5 groups": ([1.0] * 4, 0.0, RUN_SD, 1.0),
    "all 1, 10 groups": ([1.0] * 9, 0.0, RUN_SD, 1.0),
    "all 1, seeds differ": ([1.0] * 4, 0.1, RUN_SD, 1.0),
    "all 1, a group nearly empty": ([1.0] * 4, 0.0, RUN_SD, 5.0),
    "nothing stays": ([0.0] * 4, 0.0, RUN_SD, 1.0),
    "1 and 1, .5 and .5": ([1.0, 1.0, 0.5, 0.5], 0.0, RUN_SD, 1.0),
    "1.2 .7": ([1.2, 0.7], 0.0, RUN_SD, 1.0),
    "1.3 1 .7 .4": ([1.3, 1.0, 0.7, 0.4], 0.0, RUN_SD, 1.0),
    "1.3 1 .7 .4, seeds differ": ([1.3, 1.0, 0.7, 0.4], 0.1, RUN_SD, 1.0),
    "1.3 1 .7 .4, little noise": ([1.3, 1.0, 0.7, 0.4], 0.0, RUN_SD / 5, 1.0),
    ".8 exp(+-.6i) .5": ([0.8 * np.exp(0.6j), 0.8 * np.exp(-0.6j), 0.5], 0.0, RUN_SD, 1.0),
    "one direction alone": ([1.0, 0.5, 0.2], 0.0, RUN_SD, -1.0),
}


def matrix_of(rng: np.random.Generator, values: list[complex]) -> np.ndarray:
    """Return a matrix (d, d) with these eigenvalues and eigenvectors that are not orthogonal."""
    size = len(values)
    block = np.diag(np.real(values)).astype(float)
    for i in range(size):
        if np.imag(values[i]) > 0:
            block[i, i + 1], block[i + 1, i] = np.imag(values[i]), -np.imag(values[i])
    mix = np.eye(size) + 0.3 * rng.standard_normal((size, size)) / np.sqrt(size)
    return np.asarray(mix @ block @ np.linalg.inv(mix))


def flows(
    rng: np.random.Generator, seeds: int, design: tuple[list[complex], float, float, float]
) -> np.ndarray:
    """Draw the starts and ends of all runs of an experiment; return J of every seed (S, d, d)."""
    values, spread, noise, first = design
    size = len(values)
    basis, groups = contrasts(size + 1), size + 1
    steps = [np.zeros((1, groups)), np.log(FACTOR) * np.eye(groups)]
    steps += [] if first < 0 else [-steps[1]]  # thinner alone
    start = np.concatenate(steps) @ basis
    own = matrix_of(rng, values) + spread * rng.standard_normal((seeds, size, size))
    scatter = noise * rng.standard_normal((seeds, len(start), groups))
    scatter[..., 0] *= abs(first)
    common = 0.05 * rng.standard_normal((seeds, 1, size))
    starts = np.broadcast_to(start, (seeds, *start.shape))
    return operators(starts, np.einsum("sij,srj->sri", own, starts) + scatter @ basis + common)


def clusters_of(
    values: list[complex], found: np.ndarray
) -> Iterator[tuple[float, float, float, str]]:
    """Yield what stands for every cluster, with what is true of it and the verdict."""
    decomposed = eigen_of(found)
    true = np.array(sorted(values, key=lambda x: (-np.real(x), -np.imag(x))))
    order = np.lexsort((-decomposed.values.imag, -decomposed.values.real))
    rank = np.argsort(order)
    for cluster in decomposed.clusters:
        interval = interval_of(decomposed.told(cluster))
        of = true[rank[cluster]]
        pair = decomposed.is_pair(cluster)
        yield (
            interval.low,
            float(np.abs(of).mean() if pair else of.real.mean()),
            interval.high,
            (verdict_of(interval)),
        )


def operator_sizes(rng: np.random.Generator, simulations: int) -> None:
    """Print coverage of eigenvalues, numbers of clusters, and wrong verdicts."""
    print("\neigenvalues: coverage | clusters | wrong verdict in any cluster")
    print(f"{'':<30}" + "".join(f"{n:>22}" for n in SEEDS[1:]))
    for name, design in OPERATORS.items():
        cells = []
        for seeds in SEEDS[1:]:
            held, number, wrong = list[bool](), 0, 0
            for _ in range(simulations):
                rows = list(clusters_of(design[0], flows(rng, seeds, design)))
                held += [low <= true <= high for low, true, high, _ in rows]
                number += len(rows)
                wrong += any(
                    (said == "relevant" and abs(true) <= 1 + 1e-9)
                    or (said == "irrelevant" and abs(true) >= 1 - 1e-9)
                    for _, true, _, said in rows
                )
            cells.append(
                f"{np.mean(held):.3f} | {number / simulations:.2f} | {wrong / simulations:.3f}"
            )
        print(f"{name:<30}" + "".join(f"{cell:>22}" for cell in cells), flush=True)


def identity_sizes(rng: np.random.Generator, simulations: int) -> None:
    """Print how often J = 1 is rejected."""
    print("\nJ = 1: share rejected at .05")
    print(f"{'':<30}" + "".join(f"{n:>8}" for n in SEEDS))
    for name, design in OPERATORS.items():
        cells = []
        for seeds in SEEDS:
            p = [identity_p(flows(rng, seeds, design), rng, 999) for _ in range(simulations)]
            cells.append(f"{np.mean(np.array(p) < 0.05):.3f}")
        print(f"{name:<30}" + "".join(f"{cell:>8}" for cell in cells), flush=True)


PARTS = {
    "chi": chi_sizes,
    "tau": tau_sizes,
    "operator": operator_sizes,
    "identity": identity_sizes,
}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    options = parser.parse_args()
    print(f"NumPy {np.__version__}, {machine()}, {options.simulations} simulations")
    clock = time.process_time()
    for part in options.parts:
        PARTS[part](np.random.default_rng(options.seed), options.simulations)
    print(f"{time.process_time() - clock:.0f} s of the processor")


if __name__ == "__main__":
    main()
