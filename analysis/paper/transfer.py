"""Claims about the transfer of tickets between tasks, from the tables of Chen et al. 2021a."""

from __future__ import annotations

from collections import Counter

from ...store.figures import figure_rows
from .claim import Claim, agrees
from .rules import RULE, TASKS, resnet50, with_sign, with_std


def claims() -> list[Claim]:
    """Check what Sec. 3.1 and App. A say of transfers."""
    return [_confirmed(), _necessary(), _best_source()]


def _transfers() -> dict[tuple[str, str, str], int]:
    """Sparsest matching level of a pretraining's ticket by (pretraining, task, measure)."""
    return {
        (row["weights_from"], row["task"], row["measure"] or ""): row["level"]
        for row in figure_rows("published_transfers")
        if row["ticket"] == "transfer" and row["matching"] and row["level"] is not None
    }


def _confirmed() -> Claim:
    found = _transfers()
    levels = [found["simclr", task, ""] for task in TASKS[1:]]
    return Claim(
        "transfer-confirmed",
        "Sec. 3.1",
        "tickets found in pretraining on ImageNet transfer to CIFAR-10 and CIFAR-100",
        "Table 2 averages over 17 applications",
        f"Chen et al. 2021a: matching to level {levels[0]} (CIFAR-10) and {levels[1]} (CIFAR-100)",
        "levels are whole numbers",
        "consistency",
        agrees(all(level > 0 for level in levels)),
        "they transfer, but only to these levels: the eigenvalues average over levels where no "
        "ticket was shown to match",
    )


def _necessary() -> Claim:
    found, spectra = _transfers(), resnet50("supervised")
    levels = [found["supervised", task, ""] for task in TASKS[1:]]
    ends = [with_sign(s, "relevant") for s in spectra]
    differ = [not (ends[0][1] <= possible) for possible, _ in ends[1:]]
    return Claim(
        "transfer-criterion",
        "Secs. 2.1, 3.1, App. A, Table 4",
        "whether tickets transfer follows from the relevant sets: equal sets transfer",
        "; ".join(with_std(s) for s in spectra),
        f"supervised ImageNet tickets match on CIFAR-10 to level {levels[0]} and on CIFAR-100 to "
        f"level {levels[1]} (Chen et al. 2021a); relevant sets differ: "
        + ", ".join("yes" if d else "no" for d in differ),
        RULE,
        "consistency",
        agrees(not any(differ)),
        "tickets transfer between tasks whose relevant sets differ by the paper's own rule, so "
        "equal sets are not needed; whether they suffice, no printed failure tests",
    )


def _best_source() -> Claim:
    found = _transfers()
    tasks = dict.fromkeys((task, measure) for _, task, measure in found)
    complete = [t for t in tasks if all((p, *t) in found for p in ("supervised", "simclr", "moco"))]
    best = Counter(
        p
        for t in complete
        for p in ("supervised", "simclr", "moco")
        if found[(p, *t)] == max(found[(q, *t)] for q in ("supervised", "simclr", "moco"))
    )
    top = max(best.values())
    return Claim(
        "simclr-transfers-best",
        "App. A",
        "Chen et al. 2021a show that tickets of simCLR transfer best across tasks",
        "no number; 3 pretrainings in Chen et al. 2021a",
        f"sparsest match, ties counted, on {len(complete)} tasks and measures: "
        + ", ".join(f"{p} {best[p]}" for p in ("supervised", "simclr", "moco")),
        "levels are whole numbers",
        "consistency",
        agrees(best["simclr"] == top),
        "by the sparsest matching ticket simCLR is not ahead; by another measure, which the paper "
        "does not name, it may be",
    )
