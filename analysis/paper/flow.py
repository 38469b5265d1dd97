"""Claims of Sec. 3.1 about the flow: where it starts, whether eigenvalues can stay constant."""

from __future__ import annotations

import numpy as np

from ...schemas.blocks import architecture
from ...store import PublishedSpectrum, published, published_names
from .claim import (
    HALF,
    SHARE_HALF,
    Claim,
    Floats,
    agrees,
    corners,
    numbers,
    replicator,
    std_half,
    weighted_power,
)

STEPS = 16  # ratios from level 1 to level 17
_BOX = "eigenvalues +-.005, shares +-.00005, both propagated to the ends"


def started() -> list[PublishedSpectrum]:
    """Return the spectra whose starting point is printed: ResNet-50, simCLR, three tasks."""
    spectra = [published(name) for name in published_names()]
    return [s for s in spectra if np.isfinite(s.share_start).all()]


def dense_share(spectrum: PublishedSpectrum) -> Floats:
    """Return M_i(0), which the architecture alone sets: shape (G,)."""
    network = architecture(spectrum.architecture)
    layers = network.counted()
    total = sum(layer.total for layer in layers)
    return np.array(
        [
            sum(layer.total for layer in layers if layer.group(spectrum.by) == name) / total
            for name in spectrum.names
        ]
    )


def claims() -> list[Claim]:
    """Check what Sec. 3.1 and Fig. 2 say of the flow of ResNet-50."""
    spectra = started()
    each = [check(s) for s in spectra for check in (_one_step, _window, _mean, _drift)]
    return [
        _density(),
        _blocks(),
        _dimension(),
        _sums(spectra),
        _level(spectra),
        _tasks(spectra),
        _first_step(spectra),
        _constant(spectra),
        *each,
    ]


def _density() -> Claim:
    found = [100 * 0.8**n for n in (1, 17, 18, 19)]
    return Claim(
        "fig2-density",
        "Fig. 2, caption",
        "one application leaves 80 % of the weights and 17 applications leave 1.44 %",
        "80 % after 1, 1.44 % after 17",
        f"0.8^n for n = 1, 17, 18, 19: {numbers(found, '.2f')} %",
        "+-.005 % from the printed digits",
        "consistency",
        "contradiction inside the paper",
        "1.44 % is 19 applications and 17 are 2.25 %; the tables of Chen et al. 2021a, whose data "
        "these are, go to 18: the number of levels is not known",
    )


def _blocks() -> Claim:
    layers = architecture("resnet50").counted()
    stages, blocks = ({layer.group(by) for layer in layers} for by in ("stage", "block"))
    return Claim(
        "resnet50-blocks",
        "Sec. 3.1",
        "ResNet-50 has four residual blocks",
        "4",
        f"{len(blocks)} residual blocks in {len(stages)} stages (3 + 4 + 6 + 3)",
        "a count, exact",
        "recomputed",
        agrees(len(blocks) == 4),
        "the groups of Tables 2 and 4 are stages of several blocks; their counts fit the printed "
        "starting points, those of single blocks do not",
    )


def _dimension() -> Claim:
    return Claim(
        "flow-dimension",
        "Sec. 3.1, eq. 13",
        "pruning induces a four-dimensional flow of the four shares",
        "4 dimensions",
        "4 shares of sum 1 have 3 dimensions",
        "exact",
        "consistency",
        "contradiction inside the paper",
        "eq. 13 divides by all kept weights, so the shares sum to 1: an eigenvalue above 1 forces "
        "one below 1 somewhere else",
    )


def _sums(spectra: list[PublishedSpectrum]) -> Claim:
    sums = [float(s.share_start.sum()) for s in spectra]
    bound = 4 * SHARE_HALF
    return Claim(
        "starting-points-sum",
        "Sec. 3.1, eq. 13",
        "the starting points are shares of all kept weights",
        "; ".join(numbers(s.share_start, ".4f") for s in spectra),
        f"sums {numbers(sums, '.4f')}",
        f"+-{bound:.4f}: four shares of +-.00005",
        "recomputed",
        agrees(all(abs(value - 1) <= bound + 1e-12 for value in sums)),
        "the four stages are all that is counted: convolutions without the stem, no output layer",
    )


def _level(spectra: list[PublishedSpectrum]) -> Claim:
    dense = dense_share(spectra[0])
    apart = [float(np.abs(s.share_start - dense).max()) for s in spectra]
    return Claim(
        "starting-points-level",
        "Sec. 3.1, Fig. 2",
        "the flow starts after one application, and tasks start at different points although "
        "they share their initial weights",
        "; ".join(numbers(s.share_start, ".4f") for s in spectra),
        f"M(0) from the block map {numbers(dense, '.6f')}; largest distances "
        f"{numbers(apart, '.4f')}",
        "+-.00005 from the printed digits",
        "recomputed",
        agrees(all(value > SHARE_HALF for value in apart)),
        "M(0) depends on the architecture alone and would be equal for all tasks, so the printed "
        "points are of level 1, not of the dense network",
    )


def _tasks(spectra: list[PublishedSpectrum]) -> Claim:
    points = np.array([s.share_start for s in spectra])
    apart = np.ptp(points, axis=0)
    return Claim(
        "starting-points-task",
        "Sec. 3.1",
        "the task matters: each one starts the flow at a point of its own",
        "; ".join(numbers(point, ".4f") for point in points),
        f"largest differences between tasks {numbers(apart, '.4f')}",
        "+-.0001 for a difference of two printed shares",
        "recomputed",
        agrees(bool((apart > 2 * SHARE_HALF).any())),
        "the points differ by far more than rounding; whether by more than two seeds of one task "
        "would, no printed number tells",
    )


def _first_step(spectra: list[PublishedSpectrum]) -> Claim:
    dense = dense_share(spectra[0])[0]
    found = np.array([s.share_start[0] / dense for s in spectra])
    printed = np.array([s.eigenvalue[0] for s in spectra])
    spread = np.array([s.std[0] + std_half(s.std)[0] for s in spectra])
    room = spread + HALF + SHARE_HALF / dense
    return Claim(
        "first-step",
        "Sec. 3.1, eq. 13",
        "M_i(n) = lambda_i^n M_i(0): the printed eigenvalues hold from the dense network on",
        f"stage 1: {numbers(printed, '.2f')}",
        f"M(1)/M(0) of stage 1: {numbers(found, '.2f')}",
        f"{numbers(room)}: the printed std with its rounding, +-.005, and the share's rounding",
        "recomputed",
        agrees(bool((np.abs(found - printed) <= room).all())),
        "the first pruning moves stage 1 the other way: the step 0 -> 1 starts at counts that no "
        "training has set, and belongs to no eigenvalue",
    )


def _constant(spectra: list[PublishedSpectrum]) -> Claim:
    middle = [weighted_power(s.share_start, s.eigenvalue, 8) for s in spectra]
    return Claim(
        "constant-eigenvalue",
        "Sec. 3.1, eq. 13, Table 2",
        "shares grow by constant factors, M_i(n+1) = lambda_i M_i(n), with lambda_i other than 1",
        "; ".join(numbers(s.eigenvalue, ".2f") for s in spectra),
        "sum M(1) lambda^8: " + ", ".join(f"{v:.3f} [{a:.3f}, {b:.3f}]" for v, a, b in middle),
        _BOX,
        "consistency",
        "contradiction inside the paper",
        "shares sum to 1 at every n, but sum M lambda^n is strictly convex in n unless every "
        "lambda is 1, so it equals 1 at two n at most; for ImageNet the printed numbers show it "
        "beyond rounding. What can exist is M_i(n) s_i over its sum, whose eigenvalues drift",
    )


def _printed(spectrum: PublishedSpectrum) -> str:
    growth, start = numbers(spectrum.eigenvalue, ".2f"), numbers(spectrum.share_start, ".4f")
    return f"lambda {growth}, M(1) {start}"


def _one_step(spectrum: PublishedSpectrum) -> Claim:
    value, low, high = weighted_power(spectrum.share_start, spectrum.eigenvalue, 1)
    return Claim(
        f"one-step-{spectrum.task}",
        "Sec. 3.1, Table 2",
        f"{spectrum.task}: the eigenvalues hold at the printed starting point, so that "
        "sum M(1) lambda = 1",
        _printed(spectrum),
        f"{value:.3f} [{low:.3f}, {high:.3f}]",
        f"+-{high - value:.4f}: {_BOX}",
        "recomputed",
        agrees(low <= 1 <= high),
        "the sum is 1 exactly for the ratios of one step; a mean over 16 steps meets it only as "
        "far as the ratios do not drift",
    )


def _window(spectrum: PublishedSpectrum) -> Claim:
    value, low, high = weighted_power(spectrum.share_start, spectrum.eigenvalue, STEPS)
    return Claim(
        f"window-{spectrum.task}",
        "Sec. 3.1, Table 2",
        f"{spectrum.task}: starting point and eigenvalues describe one flow of 16 ratios, so that "
        "sum M(1) lambda^16 = 1",
        _printed(spectrum),
        f"{value:.3f} [{low:.3f}, {high:.3f}]",
        f"-{value - low:.3f} +{high - value:.3f}: {_BOX}; arithmetic instead of geometric means "
        f"add at most {STEPS / 2 * float((spectrum.std**2).max()):.3f}",
        "recomputed",
        agrees(low <= 1 <= high),
        "the identity of the window's two ends holds for geometric means whatever the drift; the "
        "rounding is too wide to tell 16 ratios from 18",
    )


def _mean(spectrum: PublishedSpectrum) -> Claim:
    mean, _ = replicator(spectrum.share_start, spectrum.eigenvalue, STEPS)
    return Claim(
        f"replicator-mean-{spectrum.task}",
        "Table 2",
        f"{spectrum.task}: the eigenvalues are means of M(n+1)/M(n) along a flow of shares",
        numbers(spectrum.eigenvalue, ".2f"),
        f"replicator flow from M(1), 16 ratios: {numbers(mean)}",
        "+-.005 from the printed digits",
        "recomputed",
        agrees(bool((np.abs(mean - spectrum.eigenvalue) <= HALF).all())),
        "the flow that multiplies shares by the printed numbers and divides by the sum returns "
        "these numbers as its means",
    )


def _drift(spectrum: PublishedSpectrum) -> Claim:
    _, std = replicator(spectrum.share_start, spectrum.eigenvalue, STEPS)
    box = corners(spectrum.eigenvalue)
    _, several = replicator(np.broadcast_to(spectrum.share_start, box.shape), box, STEPS)
    low, high, half = several.min(axis=0), several.max(axis=0), std_half(spectrum.std)
    meets = (low <= spectrum.std + half) & (high >= spectrum.std - half)
    ends = ", ".join(f"[{a:.3f}, {b:.3f}]" for a, b in zip(low, high, strict=True))
    _, longer = replicator(spectrum.share_start, spectrum.eigenvalue, STEPS + 2)
    return Claim(
        f"drift-{spectrum.task}",
        "Table 2",
        f"{spectrum.task}: the +- is what a flow of shares without any noise shows over levels",
        numbers(spectrum.std, ".3g"),
        f"drift of the replicator flow alone: {numbers(std)}, with the rounding of lambda {ends}; "
        f"over 18 ratios {numbers(longer)}",
        "the printed digits of the std, +-.005 or +-.0005",
        "recomputed",
        agrees(bool(meets.all())),
        "drift alone makes the printed +-, so it is no error bar"
        if meets.all()
        else f"drift reaches the printed +- in {int(meets.sum())} of {len(meets)} stages"
        + (
            ": most of it is drift and no error bar"
            if 2 * meets.sum() > len(meets)
            else f", {int((low > spectrum.std + half).sum())} of the others print less than the "
            "drift and the rest more, scatter between levels that no printed number explains"
        ),
    )
