"""Printed spectra against identities: windows, bounds, what is left for the unprinted groups."""

from __future__ import annotations

from ...schemas.blocks import architecture
from ...store import PublishedSpectrum, published, published_names
from .claim import HALF, Claim, agrees, numbers, weighted_power
from .flow import dense_share

_CIFAR = tuple(f"resnet{depth}" for depth in (14, 20, 32, 44, 56))


def claims() -> list[Claim]:
    """Check the layers of Table 5, its window, and the bounds of all tables."""
    return [_vgg_indices(), _vgg_window(), _more_levels(), _bound(), _both_sides(), _rest()]


def _spectra() -> list[PublishedSpectrum]:
    return [published(name) for name in published_names()]


def _vgg_indices() -> Claim:
    spectrum = published("vgg16-cifar10")
    positions = [int(name.removeprefix("features.")) + 1 for name in spectrum.names]
    return Claim(
        "vgg-indices",
        "Table 5",
        "the rows are the prunable layers of VGG-16",
        " ".join(map(str, spectrum.printed_index)),
        f"{len(positions)} convolutions at these positions (from 1) of torchvision's vgg16_bn",
        "a list, exact",
        "recomputed",
        agrees(list(spectrum.printed_index) == positions),
        "indices count batch norms, activations and poolings too; the output layer, pruned by no "
        "one, is left out",
    )


def _vgg_window() -> Claim:
    spectrum, steps = published("vgg16-cifar10"), 17
    value, low, high = weighted_power(dense_share(spectrum), spectrum.eigenvalue, steps, 0.0)
    exempt = architecture("vgg16").layers[-1].total
    total = sum(layer.total for layer in architecture("vgg16").layers)
    head = exempt / total * 0.8**-steps
    return Claim(
        "vgg-window",
        "App. B, Table 5",
        "the eigenvalues are of the first 17 applications, so that sum M(0) lambda^17 = 1",
        numbers(spectrum.eigenvalue, ".2f"),
        f"{value:.3f} [{low:.3f}, {high:.3f}]; with the output layer counted, never pruned, "
        f"{head:.3f} more",
        "eigenvalues +-.005, M(0) exact; arithmetic means lie above geometric ones, which makes "
        "the true sum smaller still",
        "recomputed",
        agrees(low <= 1 <= high + head),
        "a flow that starts at the dense network cannot have these means; one that starts at "
        "level 1 can, but its M(1) is not printed",
    )


def _more_levels() -> Claim:
    return Claim(
        "vgg-more-levels",
        "App. B",
        "beyond 17 applications the standard deviations of VGG-16 grow, for systems become small",
        "17 applications are printed",
        "0 numbers beyond them are printed",
        "none",
        "not checkable",
        "cannot be checked",
        "the longer series is not printed; drift widens a spread over levels too, so small "
        "systems are not the only cause",
    )


def _bound() -> Claim:
    spectra = _spectra()
    top = {s.architecture: 0.0 for s in spectra}
    for s in spectra:
        top[s.architecture] = max(top[s.architecture], float(s.eigenvalue.max()))
    meets = all(v - HALF <= (1 / 0.9 if a == "bert-base" else 1.25) for a, v in top.items())
    return Claim(
        "upper-bound",
        "Tables 2 to 8",
        "no group grows faster than one that loses nothing: lambda <= 1/rho",
        ", ".join(f"{a} {v:.2f}" for a, v in top.items()),
        f"1/rho = 1.25; BERT, pruned by a tenth of the dense network a step, {1 / 0.9:.2f} at "
        "first",
        "+-.005 from the printed digits",
        "recomputed",
        agrees(meets),
        f"an identity of counts; all {sum(len(s.names) for s in spectra)} printed eigenvalues "
        "meet it",
    )


def _both_sides() -> Claim:
    spectra = [s for s in _spectra() if s.architecture in ("resnet50", "vgg16")]
    ends = [(float(s.eigenvalue.min()), float(s.eigenvalue.max())) for s in spectra]
    return Claim(
        "both-sides-of-1",
        "Tables 2, 4, 5",
        "eigenvalues weighted by shares average to 1, so a whole spectrum has them on both sides",
        ", ".join(f"{a:.2f} to {b:.2f}" for a, b in ends),
        f"{sum(a - HALF <= 1 <= b + HALF for a, b in ends)} of {len(ends)} reach across 1",
        "+-.005 from the printed digits",
        "recomputed",
        agrees(all(a - HALF <= 1 <= b + HALF for a, b in ends)),
        "an identity of shares: that a network has relevant and irrelevant groups is no finding",
    )


def _rest() -> Claim:
    spectra = [s for s in _spectra() if s.architecture in _CIFAR]
    ends = [_rest_of(s) for s in spectra]
    low, high = (min(e[1] for e in ends), max(e[2] for e in ends))
    return Claim(
        "unprinted-blocks",
        "Tables 3, 7, 8",
        "the normal blocks leave room for the down-sampling blocks, stem and output layer",
        f"{sum(len(s.names) for s in spectra)} eigenvalues of normal blocks",
        "mean growth left for the rest: "
        + ", ".join(f"{s.architecture} {e[0]:.3f}" for s, e in zip(spectra, ends, strict=True)),
        f"{low:.3f} to {high:.3f} with eigenvalues +-.005; 16 steps from the dense network",
        "recomputed",
        agrees(low > 0 and high <= 1.25),
        "the rest would have to grow in every depth, within its bound of 1.25; the paper leaves "
        "out exactly these relevant groups",
    )


def _rest_of(spectrum: PublishedSpectrum) -> tuple[float, float, float]:
    share = dense_share(spectrum)
    value, low, high = weighted_power(share, spectrum.eigenvalue, 16, 0.0)
    rest = 1 - share.sum()
    growth = [(max(1 - end, 0.0) / rest) ** (1 / 16) for end in (value, high, low)]
    return growth[0], growth[1], growth[2]
