"""The first study: two small networks on digits, from training to their spectra."""

from __future__ import annotations

from pathlib import Path

from ..analysis.spectrum.eigen import eigen
from ..analysis.spectrum.result import Spectrum
from ..runner.plan import plan
from ..schemas.blocks import coarsest
from ..store import Store
from .complete import Watch, complete, unwatched

_NETWORKS = (("lenet", None), ("resnet8", 8))  # and the width


def demo(
    store: Path, *, seeds: int = 5, levels: int = 12, watch: Watch = unwatched
) -> tuple[Spectrum, ...]:
    """Train a LeNet and a narrow ResNet-8 on digits and return the spectrum of each.

    Parameters
    ----------
    store : Path
        Folder of the store; what is there already is not computed again.
    seeds, levels : int
        Runs of each network, and prunings of 20 %.
    watch : callable
        Follows the training of each network, see `complete`.

    Raises
    ------
    RgtoolError
        Seeds failed or were stopped.
    """
    plans = [
        plan(model, "digits", "quick", width=width, seeds=seeds, levels=levels, store=store)
        for model, width in _NETWORKS
    ]
    outcomes = [complete(made, watch) for made in plans]
    opened = Store(store)
    return tuple(
        eigen(opened, opened.counts(outcome.experiment_id, coarsest(made.layers)))
        for made, outcome in zip(plans, outcomes, strict=True)
    )
