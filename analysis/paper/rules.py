"""Claims about signs, exponents and the 5 % criterion: Tables 2, 4, 5, 6."""

from __future__ import annotations

import math
from collections import Counter
from typing import get_args

import numpy as np

from ...store import PublishedSpectrum, published
from .claim import (
    HALF,
    Claim,
    Floats,
    Sign,
    agrees,
    certain,
    listed,
    numbers,
    signs,
    std_half,
)

RULE = "marginal where |lambda - 1| <= std; each number may move by half its last digit"
TASKS = ("imagenet", "cifar10", "cifar100")
_LIMIT = 0.05


def resnet50(pretraining: str) -> list[PublishedSpectrum]:
    """Return the spectra of ResNet-50 after one pretraining: ImageNet, CIFAR-10, CIFAR-100."""
    return [published(f"resnet50-{pretraining}-{task}") for task in TASKS]


def claims() -> list[Claim]:
    """Check the signs of Tables 2, 4, 5 and 6 by the paper's rule, and its criterion."""
    return [
        _first_two_relevant(),
        _relevant_sets("simclr", "Table 2, Secs. 2, 3.1"),
        _relevant_sets("supervised", "Table 4, Sec. 2, App. A"),
        _equal_exponents("simclr", "Table 2, App. D"),
        _equal_exponents("supervised", "Table 4, Apps. A, D"),
        _task_matters(),
        _criterion("2", "Sec. 3.1, Table 2", resnet50("simclr")),
        _criterion("4", "Table 4, criterion of Sec. 3.1", resnet50("supervised")),
        _criterion("5", "Table 5, App. B", [published("vgg16-cifar10")]),
        _criterion("6", "Table 6, App. B", [published("bert-base-mlm")]),
        _usually(),
        _vgg_signs(),
        _bert_signs(),
    ]


def with_sign(spectrum: PublishedSpectrum, sign: Sign) -> tuple[set[str], set[str]]:
    """Return the groups that may have a sign within the rounding, and those that surely do."""
    found = signs(spectrum.eigenvalue, spectrum.std)
    sure = certain(spectrum.eigenvalue, spectrum.std).tolist()
    rows = list(zip(spectrum.names, found, sure, spectrum.eigenvalue, strict=True))
    side = {"relevant": 1, "irrelevant": -1}.get(sign, 0)
    possible = {
        name
        for name, s, c, value in rows
        if s == sign or (not c and (side == 0 or side * (value - 1) > -HALF))
    }
    return possible, {name for name, s, c, _ in rows if s == sign and c}


def _first_two_relevant() -> Claim:
    spectra = resnet50("simclr")
    found = [signs(s.eigenvalue, s.std) for s in spectra]
    sure = np.array([certain(s.eigenvalue, s.std) for s in spectra])
    meets = all(f[:2] == ("relevant", "relevant") and f[3] != "relevant" for f in found)
    return Claim(
        "signs-table2",
        "Sec. 3.1, Table 2",
        "all three tasks have stages 1 and 2 relevant, and stage 4 marginal or irrelevant",
        "; ".join(with_std(s) for s in spectra),
        "stages 1 to 4: " + "; ".join(" ".join(f) for f in found),
        f"{RULE}; {int(sure.sum())} of {sure.size} signs do not depend on it",
        "recomputed",
        agrees(meets),
        "the signs of stages 1 and 2 are beyond rounding; the rule's std is a spread over levels "
        "of one flow, so it is no test",
    )


def _relevant_sets(pretraining: str, source: str) -> Claim:
    spectra = resnet50(pretraining)
    printed = [
        [n for n, s in zip(x.names, signs(x.eigenvalue, x.std), strict=True) if s == "relevant"]
        for x in spectra
    ]
    ends = [with_sign(s, "relevant") for s in spectra]
    common = set.intersection(*(possible for possible, _ in ends))
    same = all(sure <= common for _, sure in ends)
    return Claim(
        f"relevant-set-{pretraining}",
        source,
        "systems of one universality class have the same relevant directions, and the three tasks "
        "are in one class",
        "; ".join(with_std(s) for s in spectra),
        "relevant stages: " + ", ".join(listed(p) for p in printed),
        RULE,
        "consistency",
        agrees(same),
        "by the paper's own rule the relevant sets differ between the tasks, beyond rounding; what "
        "the text compares is a part of the spectrum",
    )


def _gaps(spectra: list[PublishedSpectrum]) -> tuple[Floats, Floats]:
    """Differences of eigenvalues between pairs of tasks, and the room they have: (pairs, G)."""
    values, spread = (np.array([getattr(s, a) for s in spectra]) for a in ("eigenvalue", "std"))
    pairs = [(0, 1), (0, 2), (1, 2)]
    gap = np.array([np.abs(values[i] - values[j]) for i, j in pairs])
    room = np.array([spread[i] + spread[j] for i, j in pairs])
    room += np.array([std_half(spread[i]) + std_half(spread[j]) for i, j in pairs]) + 2 * HALF
    return gap, room + 1e-9


def _equal_exponents(pretraining: str, source: str) -> Claim:
    spectra = resnet50(pretraining)
    gap, room = _gaps(spectra)
    beyond = int((gap > room).sum())
    return Claim(
        f"equal-exponents-{pretraining}",
        source,
        "the three tasks are in similar classes, and systems of one class share their exponents",
        "; ".join(with_std(s) for s in spectra),
        f"largest differences by stage {numbers(gap.max(axis=0), '.2f')}",
        f"both stds, their rounding and +-.01, at most {room.max():.3f}",
        "consistency",
        agrees(beyond == 0),
        f"{beyond} of {gap.size} differences between tasks exceed both spreads together: "
        "equal signs are not equal exponents, which is what a class means",
    )


def _task_matters() -> Claim:
    sets = [resnet50("simclr"), resnet50("supervised")]
    found = [_gaps(spectra) for spectra in sets]
    beyond = [int((gap > room).sum()) for gap, room in found]
    return Claim(
        "task-beyond-pretraining",
        "Sec. 3.1, Tables 2, 4",
        "the eigenvalues are not set by the pretrained weights alone: the task matters",
        "; ".join(with_std(s) for spectra in sets for s in spectra),
        f"differences between tasks beyond both spreads: simCLR {beyond[0]} of {found[0][0].size}, "
        f"supervised {beyond[1]} of {found[1][0].size}",
        f"both stds, their rounding and +-.01, at most {max(r.max() for _, r in found):.3f}",
        "consistency",
        agrees(all(count > 0 for count in beyond)),
        "pruning without training would give all tasks of one pretraining one spectrum, and theirs "
        "differ; the same fact speaks against equal exponents",
    )


def _criterion(table: str, source: str, spectra: list[PublishedSpectrum]) -> Claim:
    relative = np.concatenate([s.std / s.eigenvalue for s in spectra])
    least = np.concatenate([_least(s) for s in spectra])
    over, surely = int((relative >= _LIMIT).sum()), int((least >= _LIMIT).sum())
    return Claim(
        f"criterion-table{table}",
        source,
        "standard deviations are below 5 %, so the shares are eigenfunctions",
        f"std {numbers(np.concatenate([s.std for s in spectra]), '.3g')}",
        f"largest {100 * relative.max():.1f} %; {over} of {len(relative)} are 5 % or more",
        f"printed digits; {surely} are 5 % or more whatever the rounding",
        "recomputed",
        agrees(surely == 0),
        "every printed std may lie below 5 %; a spread below 5 % does not make a constant of a "
        "ratio, for drift and noise do not enter apart"
        if surely == 0
        else "the paper's own criterion fails here; nothing is said of why these shares count as "
        "eigenfunctions all the same",
    )


def _least(spectrum: PublishedSpectrum) -> Floats:
    return np.asarray(
        (spectrum.std - std_half(spectrum.std)) / (spectrum.eigenvalue + HALF), np.float64
    )


def _usually() -> Claim:
    spectra = [published("vgg16-cifar10"), published("bert-base-mlm")]
    relative = np.concatenate([s.std / s.eigenvalue for s in spectra])
    below = int((relative < _LIMIT).sum())
    return Claim(
        "usually-below-5-percent",
        "App. B, Tables 5, 6",
        "the standard deviations of VGG-16 and BERT are usually below 5 %",
        f"std {numbers(np.concatenate([s.std for s in spectra]), '.3g')}",
        f"{below} of {len(relative)} are below 5 %",
        "a majority; rounding moves single numbers only",
        "recomputed",
        agrees(2 * below > len(relative)),
        "BERT, with hardly any spread, carries it: of the 13 layers of VGG-16 8 are below 5 %",
    )


def _vgg_signs() -> Claim:
    spectrum = published("vgg16-cifar10")
    counted = Counter(signs(spectrum.eigenvalue, spectrum.std))
    sure = {sign: len(with_sign(spectrum, sign)[1]) for sign in get_args(Sign)}
    return Claim(
        "signs-table5",
        "App. B, Table 5",
        "VGG-16 has relevant, marginal and irrelevant layers",
        with_std(spectrum),
        ", ".join(f"{counted[s]} {s}" for s in sure),
        f"{RULE}; for certain {', '.join(f'{n} {s}' for s, n in sure.items())}",
        "recomputed",
        agrees(all(sure.values())),
        "all three kinds are there whatever the rounding; the wide middle is made by the large "
        "stds of these layers",
    )


def _bert_signs() -> Claim:
    spectrum = published("bert-base-mlm")
    found = signs(spectrum.eigenvalue, spectrum.std)
    sure = len(with_sign(spectrum, "marginal")[1])
    return Claim(
        "signs-table6",
        "App. B, Table 6",
        "BERT has marginal layers only",
        with_std(spectrum),
        f"{found.count('marginal')} of {len(found)} are marginal",
        f"{RULE}; {sure} are marginal whatever the rounding",
        "recomputed",
        agrees(set(found) == {"marginal"}),
        "true as printed; two decimals and stds of one unit leave half of the signs to rounding",
    )


def with_std(spectrum: PublishedSpectrum) -> str:
    """Write eigenvalues with their printed stds."""
    pairs = zip(spectrum.eigenvalue, spectrum.std, strict=True)
    return " ".join(f"{v:.2f}" + (f"+-{s:.3g}" if math.isfinite(s) else "") for v, s in pairs)
