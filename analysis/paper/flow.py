"""Checks of the flow: where it starts, whether eigenvalues stay constant, what bounds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...schemas.blocks import architecture as network_named
from ...store import PublishedSpectrum
from .claim import Finding, finding
from .printed import (
    HALF,
    SHARE_HALF,
    PrintedSpectra,
    corners,
    dense_share,
    replicator,
    std_half,
    weighted_power,
)


def density_after(keep: float, levels: Sequence[int], application: int, printed: float) -> Finding:
    """Compute keep^n in per cent at some levels, one of which is printed."""
    found = 100 * keep ** np.array(levels, np.float64)
    apart = abs(float(found[levels.index(application)]) - printed)
    return finding(apart <= HALF, found=found)


def residual_blocks(architecture: str, count: int) -> Finding:
    """Count the residual blocks of an architecture, stage by stage."""
    layers = network_named(architecture).counted()
    stages = {layer.group("block"): layer.group("stage") for layer in layers}
    by_stage = Counter(stages.values())
    return finding(
        len(stages) == count,
        blocks=len(stages),
        stages=len(by_stage),
        sum=" + ".join(map(str, by_stage.values())),
    )


def dimension(spectra: PrintedSpectra, dimensions: int) -> Finding:
    """Count the free coordinates of shares that sum to 1."""
    shares = len(spectra[0].names)
    return finding(shares - 1 == dimensions, shares=shares, free=shares - 1)


def start_sums(spectra: PrintedSpectra) -> Finding:
    """Add up the printed starting points."""
    sums = np.array([s.share_start.sum() for s in spectra])
    bound = len(spectra[0].names) * SHARE_HALF
    return finding(bool((np.abs(sums - 1) <= bound + 1e-12).all()), sums=sums, bound=bound)


def start_levels(spectra: PrintedSpectra) -> Finding:
    """Hold starting points against M(0), which is one for all tasks."""
    dense = dense_share(spectra[0])
    apart = np.array([np.abs(s.share_start - dense).max() for s in spectra])
    return finding(bool((apart > SHARE_HALF).all()), dense=dense, apart=apart)


def start_tasks(spectra: PrintedSpectra) -> Finding:
    """Compare the starting points of tasks with each other."""
    apart = np.ptp([s.share_start for s in spectra], axis=0)
    return finding(bool((apart > 2 * SHARE_HALF).any()), apart=apart)


def first_step(spectra: PrintedSpectra) -> Finding:
    """Compare M(1)/M(0) of the first group with its printed eigenvalue."""
    dense = dense_share(spectra[0])[0]
    found = np.array([s.share_start[0] / dense for s in spectra])
    printed = np.array([s.eigenvalue[0] for s in spectra])
    spread = np.array([s.std[0] + std_half(s.std)[0] for s in spectra])
    room = spread + HALF + SHARE_HALF / dense
    meets = bool((np.abs(found - printed) <= room).all())
    return finding(meets, first=printed, found=found, room=room)


def sums_of_powers(spectra: PrintedSpectra, steps: int) -> Finding:
    """Compute sum M(1) lambda^T, which is 1 where eigenvalues are those of shares."""
    ends = np.array([weighted_power(s.share_start, s.eigenvalue, steps) for s in spectra])
    value, low, high = ends.T
    return finding(
        bool(((low <= 1) & (high >= 1)).all()),
        sums=", ".join(f"{v:.3f} [{a:.3f}, {b:.3f}]" for v, a, b in ends),
        down=value - low,
        up=high - value,
        # An arithmetic mean lies above the geometric one by about half the variance.
        means=steps / 2 * max(float((s.std**2).max()) for s in spectra),
    )


def replicator_means(spectra: PrintedSpectra, steps: int) -> Finding:
    """Follow the flow of shares with the printed eigenvalues as strengths: its means."""
    (spectrum,) = spectra
    mean, _ = replicator(spectrum.share_start, spectrum.eigenvalue, steps)
    return finding(bool((np.abs(mean - spectrum.eigenvalue) <= HALF).all()), mean=mean)


def drift(spectra: PrintedSpectra, steps: int, longer: int) -> Finding:
    """Compare the spread over levels of a flow without noise with the printed std."""
    (spectrum,) = spectra
    start, half = spectrum.share_start, std_half(spectrum.std)
    box = corners(spectrum.eigenvalue)
    _, several = replicator(np.broadcast_to(start, box.shape), box, steps)
    low, high = several.min(axis=0), several.max(axis=0)
    meets = (low <= spectrum.std + half) & (high >= spectrum.std - half)
    case = "all" if meets.all() else "most" if 2 * meets.sum() > len(meets) else "some"
    return finding(
        bool(meets.all()),
        case,
        drift=replicator(start, spectrum.eigenvalue, steps)[1],
        ends=", ".join(f"[{a:.3f}, {b:.3f}]" for a, b in zip(low, high, strict=True)),
        long_drift=replicator(start, spectrum.eigenvalue, longer)[1],
        met=int(meets.sum()),
        stages=len(meets),
        less=int((low > spectrum.std + half).sum()),
    )


def layer_indices(spectra: PrintedSpectra) -> Finding:
    """Compare printed indices with the positions, from 1, of layers named `features.N`."""
    (spectrum,) = spectra
    positions = [int(name.removeprefix("features.")) + 1 for name in spectrum.names]
    return finding(
        list(spectrum.printed_index) == positions,
        index=np.array(spectrum.printed_index),
        layers=len(positions),
    )


def sum_from_dense(spectra: PrintedSpectra, steps: int, keep: float) -> Finding:
    """Compute sum M(0) lambda^T of a spectrum without the output layer, which is never pruned."""
    (spectrum,) = spectra
    value, low, high = weighted_power(dense_share(spectrum), spectrum.eigenvalue, steps, 0.0)
    layers = network_named(spectrum.architecture).layers
    head = layers[-1].total / sum(layer.total for layer in layers) * keep**-steps
    return finding(low <= 1 <= high + head, value=value, low=low, high=high, head=head)


def upper_bound(spectra: PrintedSpectra, keep: float, keeps: dict[str, float]) -> Finding:
    """Hold the largest eigenvalue of every architecture to 1/keep; `keeps` has exceptions."""
    top: dict[str, float] = {}
    for s in spectra:
        top[s.architecture] = max(top.get(s.architecture, 0.0), float(s.eigenvalue.max()))
    meets = all(value - HALF <= 1 / keeps.get(name, keep) for name, value in top.items())
    return finding(
        meets,
        tops=", ".join(f"{name} {value:.2f}" for name, value in top.items()),
        bound=1 / keep,
        bounds={name: 1 / kept for name, kept in keeps.items()},
        number=sum(len(s.names) for s in spectra),
    )


def both_sides(spectra: PrintedSpectra) -> Finding:
    """Ask whether spectra of whole networks reach across 1."""
    ends = [(float(s.eigenvalue.min()), float(s.eigenvalue.max())) for s in spectra]
    across = sum(low - HALF <= 1 <= high + HALF for low, high in ends)
    return finding(
        across == len(ends),
        ends=", ".join(f"{low:.2f} to {high:.2f}" for low, high in ends),
        across=across,
        spectra=len(ends),
    )


def room_for_the_rest(spectra: PrintedSpectra, steps: int, keep: float) -> Finding:
    """Compute the growth that printed groups leave to those that are not printed."""
    ends = np.array([growth_of_rest(s, steps) for s in spectra])
    low, high = float(ends[:, 1].min()), float(ends[:, 2].max())
    return finding(
        low > 0 and high <= 1 / keep,
        number=sum(len(s.names) for s in spectra),
        rests=", ".join(
            f"{s.architecture} {end[0]:.3f}" for s, end in zip(spectra, ends, strict=True)
        ),
        low=low,
        high=high,
    )


def growth_of_rest(spectrum: PublishedSpectrum, steps: int) -> tuple[float, float, float]:
    """Return the mean growth left for unprinted groups from level 0 on, its least and its most."""
    share = dense_share(spectrum)
    value, low, high = weighted_power(share, spectrum.eigenvalue, steps, 0.0)
    rest = 1 - share.sum()
    growth = [(max(1 - end, 0.0) / rest) ** (1 / steps) for end in (value, high, low)]
    return growth[0], growth[1], growth[2]
