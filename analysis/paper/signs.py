"""Checks of signs, the 5 % criterion and transfers: Tables 2, 4, 5, 6, and Chen et al. 2021a."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from ...store.figures import figure_rows
from .claim import Finding, finding
from .printed import HALF, PrintedSpectra, Sign, certain, gaps, signs_of, std_half, with_sign


def leading_signs(spectra: PrintedSpectra) -> Finding:
    """Ask for two relevant groups at the start of every spectrum and none at its end."""
    found = [signs_of(s) for s in spectra]
    sure = np.array([certain(s.eigenvalue, s.std) for s in spectra])
    starts = all(signs[:2] == ("relevant", "relevant") for signs in found)
    return finding(
        starts and all(signs[-1] != "relevant" for signs in found),
        signs="; ".join(" ".join(signs) for signs in found),
        sure=int(sure.sum()),
        number=sure.size,
    )


def relevant_sets(spectra: PrintedSpectra) -> Finding:
    """Ask whether rounding allows spectra to have the same relevant groups."""
    printed = [
        [name for name, sign in zip(s.names, signs_of(s), strict=True) if sign == "relevant"]
        for s in spectra
    ]
    possible, sure = zip(*(with_sign(s, "relevant") for s in spectra), strict=True)
    common = set.intersection(*possible)
    sets = ", ".join("{" + ", ".join(names) + "}" for names in printed)
    return finding(all(one <= common for one in sure), sets=sets)


def equal_exponents(spectra: PrintedSpectra) -> Finding:
    """Count differences between spectra beyond both printed spreads."""
    gap, room = gaps(spectra)
    beyond = int((gap > room).sum())
    return finding(
        beyond == 0, largest=gap.max(axis=0), room=room.max(), beyond=beyond, number=gap.size
    )


def tasks_differ(spectra: PrintedSpectra) -> Finding:
    """Ask whether tasks of one pretraining differ beyond both spreads, in every pretraining."""
    names = list(dict.fromkeys(s.pretraining for s in spectra))
    found = [gaps([s for s in spectra if s.pretraining == name]) for name in names]
    beyond = [int((gap > room).sum()) for gap, room in found]
    return finding(
        all(beyond),
        beyond=dict(zip(names, beyond, strict=True)),
        number=found[0][0].size,
        room=max(float(room.max()) for _, room in found),
    )


def criterion(spectra: PrintedSpectra, limit: float) -> Finding:
    """Ask whether every printed std may lie below a share of its eigenvalue."""
    values = _against_limit(spectra, limit)
    return Finding(values["surely"] == 0, values)


def mostly_below(spectra: PrintedSpectra, limit: float) -> Finding:
    """Ask whether most printed stds lie below a share of their eigenvalue."""
    values = _against_limit(spectra, limit)
    return Finding(2 * values["below"] > values["number"], values)


def _against_limit(spectra: PrintedSpectra, limit: float) -> dict[str, Any]:
    value, std = (np.concatenate([getattr(s, a) for s in spectra]) for a in ("eigenvalue", "std"))
    relative, least = std / value, (std - std_half(std)) / (value + HALF)
    below, number = int((relative < limit).sum()), len(std)
    return {
        "stds": std,
        "largest": 100 * relative.max(),
        "below": below,
        "over": number - below,
        "surely": int((least >= limit).sum()),
        "number": number,
    }


def all_signs(spectra: PrintedSpectra) -> Finding:
    """Ask whether a spectrum has groups of every sign, whatever the rounding."""
    (spectrum,) = spectra
    counted = Counter(signs_of(spectrum))
    sure = {sign: len(with_sign(spectrum, sign)[1]) for sign in get_args(Sign)}
    return finding(
        all(sure.values()),
        counts=", ".join(f"{counted[sign]} {sign}" for sign in sure),
        sure=", ".join(f"{number} {sign}" for sign, number in sure.items()),
    )


def all_marginal(spectra: PrintedSpectra) -> Finding:
    """Ask whether every group of a spectrum is marginal as printed."""
    (spectrum,) = spectra
    found = signs_of(spectrum)
    return finding(
        set(found) == {"marginal"},
        marginal=found.count("marginal"),
        number=len(found),
        sure=len(with_sign(spectrum, "marginal")[1]),
    )


def transfers(pretraining: str, tasks: Sequence[str]) -> Finding:
    """Look up to which level tickets of a pretraining match on tasks."""
    found = _matching_levels()
    levels = {task: found[pretraining, task, ""] for task in tasks}
    return finding(all(level > 0 for level in levels.values()), levels=levels)


def transfers_need_equal_sets(
    spectra: PrintedSpectra, pretraining: str, tasks: Sequence[str]
) -> Finding:
    """Ask whether tickets transfer only where the relevant sets, the first the source's, agree."""
    (_, source), *others = (with_sign(s, "relevant") for s in spectra)
    differ = [not source <= possible for possible, _ in others]
    words = ", ".join("yes" if one else "no" for one in differ)
    levels = transfers(pretraining, tasks).values
    return finding(not any(differ), differ=words, **levels)


def best_source(pretrainings: Sequence[str], best: str) -> Finding:
    """Count where tickets of a pretraining match at the sparsest level, ties counted."""
    found = _matching_levels()
    tasks = dict.fromkeys((task, measure) for _, task, measure in found)
    levels = [
        {name: found[name, *task] for name in pretrainings}
        for task in tasks
        if all((name, *task) in found for name in pretrainings)
    ]
    first = Counter(name for row in levels for name in row if row[name] == max(row.values()))
    return finding(
        first[best] == max(first.values()),
        number=len(levels),
        counts=", ".join(f"{name} {first[name]}" for name in pretrainings),
    )


def _matching_levels() -> dict[tuple[str, str, str], int]:
    """Return the sparsest matching level of tickets by (pretraining, task, measure)."""
    return {
        (row["weights_from"], row["task"], row["measure"] or ""): row["level"]
        for row in figure_rows("published_transfers")
        if row["ticket"] == "transfer" and row["matching"] and row["level"] is not None
    }
