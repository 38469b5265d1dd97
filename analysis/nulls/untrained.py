"""The spectrum of an untrained network: the analytic initial-scale null N1, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.blocks import Layer
from ...schemas.errors import UsageError, choose
from ...schemas.recipe import Recipe
from ...store.counts import Counts, Scales
from .. import flow
from ..arrays import Floats
from ..named import StoreLike
from .initial import (
    INITIALISERS,
    DistributionName,
    Fan,
    Weighting,
    given_scales,
    initial_scale_kept,
    initial_scales,
    initialiser,
    known_distribution,
)
from .known import blindness, scale_source
from .network import Networked, network_of
from .schedule import Schedule
from .spectrum import NullSpectrum
from .weights import open_weights, weights_spectrum


def null(
    architecture: Networked | None = None,
    *,
    by: str | None = None,
    fan: Fan | None = None,
    prune: float | None = None,
    levels: tuple[int, int] | None = None,
    densities: Sequence[float] | None = None,
    prunable: str | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    scales: Mapping[str, float] | None = None,
    init: str | None = None,
    distribution: DistributionName | None = None,
    weighting: Weighting = "count",
    weights: str | Path | None = None,
    store: StoreLike = None,
) -> NullSpectrum:
    """Compute the spectrum that global magnitude pruning finds in an untrained network (N1).

    Of `weights` it is that of these, whatever trained them, pruned in one go to every density (N2).

    Parameters
    ----------
    architecture : str, Architecture or what `named.look_up` finds
        Any architecture with a block map, such as `resnet50` or `vgg16`, the layers of a network of
        one's own (`rgtool.runner.models.architecture(build)`), or an experiment of the store, whose
        counted layers, and initialiser and pruning unless others are asked for, are taken. With
        `weights` it may be left out: their names and shapes tell the network.
    by : str, optional
        `layer`, `block`, `stage` or `role`; by default the coarsest part that the network has.
    fan : str, optional
        Fan that the initialiser divides by: `fan_in` (the default) or `fan_out`.
    prune : float, optional
        Share of the remaining weights that a level removes; default .2.
    levels : (a, b), optional
        Window: eigenvalues are geometric means over the steps from level a to level b; default 1
        and 17.
    densities : sequence of float, optional
        What share of its weights the network keeps at every level, in place of both.
    prunable : str, optional
        Layers that count: `all`, `convolutions` or `convolutions_without_stem`; by default those
        that published studies of the architecture count.
    input_shape, classes : optional
        Passed to `schemas.blocks.architecture`.
    scales : mapping of str to float, optional
        Measured root mean square of every counted layer's weights, instead of `init` and `fan`.
    init : str, optional
        Initialiser; default `kaiming_normal`.
    distribution : str, optional
        `gaussian`, `uniform` or `laplace`; by default that of the initialiser.
    weighting : str
        `count` (eq. 13), or `magnitude` for shares of sum |w|.
    weights : str or Path, optional
        A checkpoint of any program, or a safetensors file. Nothing of it is run.
    store : Store or path, optional
        Where experiments are.

    Raises
    ------
    UsageError
        A name is unknown or a value out of range; the message says which.
    RgtoolError
        The file of weights cannot be read, or is of another network.

    Examples
    --------
    >>> [round(float(value), 3) for value in null("resnet50").eigenvalue]
    [1.132, 1.084, 1.026, 0.943]
    """
    if weights is not None:
        _refuse(fan=fan, init=init, scales=scales, distribution=distribution, classes=classes)
        _refuse(input_shape=input_shape, weighting=None if weighting == "count" else weighting)
        opened = open_weights(Path(weights), architecture, store)
        schedule = Schedule.of(prune, levels, densities, opened.network.prune)
        return weights_spectrum(opened, schedule, by, prunable)
    if architecture is None:
        raise UsageError("name a network, such as resnet20, or a file of weights")
    found = network_of(architecture, store, input_shape, classes)
    weighting = choose("weighting", weighting, get_args(Weighting))
    init = choose("initialiser", init or found.init, INITIALISERS)
    fan = choose("fan", fan or found.fan, get_args(Fan))
    grouped = found.grouped(prunable, by)
    schedule = Schedule.of(prune, levels, densities, found.prune)
    layers = grouped.layers
    scale = given_scales(layers, scales) if scales else initial_scales(layers, init, fan)
    shape = distribution or ("gaussian" if scales else initialiser(init).distribution)
    network_kept = schedule.kept(int(grouped.total.sum()))
    kept = initial_scale_kept(
        grouped.total,
        scale,
        network_kept,
        exempt=grouped.exempt,
        distribution=known_distribution(shape),
        weighting=weighting,
    )
    return grouped.spectrum(
        schedule,
        kept,
        network_kept,
        init="measured scales" if scales else f"{init}, {fan}",
        distribution=shape,
        weighting=weighting,
    )


def _refuse(**choices: object) -> None:
    """Refuse what is chosen beside weights, which tell it themselves and are counted alone."""
    for name, value in choices.items():
        if value is not None:
            raise UsageError(f"weights in a file are what they are, {name} does not go with them")


def null_kept(
    layers: Sequence[Layer], exempt: Sequence[str], recipe: Recipe, kept: Floats
) -> tuple[Floats, tuple[str, ...]]:
    """Return what N1 keeps in every layer at the scales of a recipe and counts of the network.

    Parameters
    ----------
    layers : sequence of Layer, length L
        The counted layers.
    exempt : sequence of str
        Names of the layers that are never pruned.
    recipe : Recipe
        Its initialiser and fan give the scales; where weights are pruned without regard to the
        scales of layers (a random pruner, layerwise scope) all scales count as equal.
    kept : array, shape (..., T)
        Weights that the network keeps.

    Returns
    -------
    kept : array, shape (..., T, L)
        Expected counts.
    notes : tuple of str
        Why scales do not matter, where they do not.

    Raises
    ------
    UsageError
        The scales of the initialiser are not known.
    """
    tau, shape = _recipe_scales(layers, recipe)
    totals, fixed = [x.total for x in layers], [x.name in exempt for x in layers]
    expected = initial_scale_kept(totals, tau, kept, exempt=fixed, distribution=shape)
    return expected, blindness(recipe)


def _recipe_scales(layers: Sequence[Layer], recipe: Recipe) -> tuple[Floats, DistributionName]:
    """Return the scales (L,) that a recipe tells, and the shape of the weights."""
    if blindness(recipe):
        return np.ones(len(layers)), known_distribution("gaussian")
    shape = initialiser(recipe.init).distribution
    return initial_scales(layers, recipe.init, recipe.fan), shape


def layer_scales(counts: Counts, scales: Sequence[Scales] = ()) -> tuple[Floats, DistributionName]:
    """Return the scales behind `null_groups`, (L,) or (S, L), and the shape of the weights.

    Raises
    ------
    UsageError
        Nothing tells the scales; the message says what would.
    """
    source, _ = scale_source(counts, scales)
    if source == "stored" and not blindness(counts.recipe):
        return _stored_scales(counts.layers, counts.recipe, scales)[:2]
    return _recipe_scales(counts.layers, counts.recipe)


def null_groups(
    counts: Counts, network: Floats, scales: Sequence[Scales] = ()
) -> tuple[Floats, tuple[str, ...]]:
    """Return what N1 keeps in every group of an experiment: shape (..., T, G), and notes.

    Parameters
    ----------
    counts : Counts
        The experiment.
    network : array, shape (..., T)
        Weights that the network keeps.
    scales : sequence of mapping, length S
        Stored scales of every run, used where the initialiser is not known or only assumed (see
        `scale_source`); `network` then has shape (S, T).

    Raises
    ------
    UsageError
        Nothing tells the scales; the message says what would.
    """
    source, assumed = scale_source(counts, scales)
    of = (counts.layers, counts.exempt_layers, counts.recipe)
    if source == "stored":
        layers, notes = measured_null_kept(*of, network, scales)
    else:
        layers, notes = null_kept(*of, network)
    return group_layers(counts, layers), (*notes, *assumed)


def group_layers(counts: Counts, values: ArrayLike) -> Floats:
    """Sum values of the counted layers within groups: shape (..., L) to (..., G)."""
    index = flow.group_index([layer.group(counts.by) for layer in counts.layers], counts.names)
    return flow.group_sums(values, index, len(counts.names))


def measured_null_kept(
    layers: Sequence[Layer],
    exempt: Sequence[str],
    recipe: Recipe,
    kept: Floats,
    scales: Sequence[Scales],
    distribution: str | None = None,
) -> tuple[Floats, tuple[str, ...]]:
    """Return what N1 keeps in every layer at the scales that the runs have stored.

    Parameters
    ----------
    layers, exempt, recipe
        As in `null_kept`.
    kept : array, shape (S, T)
        Weights that the network keeps in every run.
    scales : sequence of mapping, length S
        Of every run, `rewind` or `init`: root mean square of every layer's weights. `rewind` is
        used where all runs have it, since every level starts from there.
    distribution : str, optional
        `gaussian`, `uniform` or `laplace`; by default that of the recipe's initialiser, gaussian
        where that is not known.

    Returns
    -------
    kept : array, shape (S, T, L)
        Expected counts.
    notes : tuple of str
        Which scales were used.

    Raises
    ------
    UsageError
        A run has no scales, or a layer lacks one.
    """
    if blindness(recipe):
        return null_kept(layers, exempt, recipe, kept)
    tau, shape, name = _stored_scales(layers, recipe, scales, distribution)
    expected = initial_scale_kept(
        [layer.total for layer in layers],
        tau[:, None],
        kept,
        exempt=[layer.name in exempt for layer in layers],
        distribution=shape,
    )
    return expected, (f"scales are those stored of the {name} weights of every run, {shape}",)


def _stored_scales(
    layers: Sequence[Layer],
    recipe: Recipe,
    scales: Sequence[Scales],
    distribution: str | None = None,
) -> tuple[Floats, DistributionName, str]:
    """Return the scales (S, L) that runs have stored, the shape of the weights, and which."""
    name = next((n for n in ("rewind", "init") if scales and all(s.get(n) for s in scales)), None)
    if name is None:
        raise UsageError(
            "not all runs have stored scales: runs and imports with weights store them"
        )
    tau = np.stack([given_scales(layers, of_run[name]) for of_run in scales])
    known = INITIALISERS.get(recipe.init)
    shape = known_distribution(distribution or (known.distribution if known else "gaussian"))
    return tau, shape, name
