"""The spectrum of an untrained network: the analytic initial-scale null N1, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.blocks import GROUPINGS, Layer, coarsest, groups_of
from ...schemas.errors import UsageError, choose
from ...schemas.notes import Note, Rank, ranked
from ...schemas.recipe import CHOICES, Recipe
from ...schemas.words import growing_shares
from ...store.counts import Counts, Scales
from .. import flow
from ..arrays import Bools, Floats, Integers
from ..named import StoreLike
from ..result import Column, Result
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
from .network import Networked, check_range, network_of


@dataclass(frozen=True, eq=False)
class NullSpectrum(Result):
    """Spectrum of N1 for one architecture.

    Attributes
    ----------
    architecture, by, prunable : str
        What was asked for.
    init : str
        Initialiser and fan, or `measured scales`.
    distribution : str
        Shape of the initial weights.
    weighting : str
        `count` or `magnitude`.
    prune : float
        Share of the remaining weights that a level removes.
    window : tuple of int
        First and last level, a and b.
    names : tuple of str, length G
        Groups in the order of the forward pass.
    total : integer array, shape (G,)
        Weights of the dense groups.
    exempt : bool array, shape (G,)
        Groups that are counted and never pruned: eigenvalue 1/rho, exponent 1 by construction.
    share : array, shape (b - a + 1, G)
        M_i(n) at the levels of the window.
    step_eigenvalues : array, shape (b - a, G)
        lambda_i(n) of every step.
    eigenvalue : array, shape (G,)
        Geometric mean over the window.
    exponent : array, shape (G,)
        y_i over the window.
    """

    architecture: str
    by: str
    prunable: str
    init: str
    distribution: str
    weighting: str
    prune: float
    window: tuple[int, int]
    names: tuple[str, ...]
    total: Integers
    exempt: Bools
    share: Floats
    step_eigenvalues: Floats
    eigenvalue: Floats
    exponent: Floats

    columns = (
        Column("name", "The group."),
        Column("total", "Weights of the dense group.", "weights"),
        Column("exempt", "Counted and never pruned.", shown="if any"),
        Column("share_start", "Share of all kept weights at the first level.", "", ".4f", "wide"),
        Column("share_end", "The same at the last level.", "", ".4f", "wide"),
        Column("eigenvalue", "Geometric mean of M(n+1)/M(n).", "1 a level", ".3f"),
        Column("exponent", "y = ln eigenvalue / -ln retention.", "", "+z.3f"),
    )
    rows = "a row for every group"
    see = "spectra.md#null-models"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        a, b = self.window
        return (
            f"initial-scale null of {self.architecture} by {self.by}: {self.init}, "
            f"{self.distribution}; prune {self.prune:g}, levels {a}:{b}"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers alone do not say."""
        pruned = np.flatnonzero(~self.exempt)
        names = [self.names[i] for i in pruned]
        shares = growing_shares(names, self.eigenvalue[pruned].tolist())
        dead = [name for name, value in zip(self.names, self.eigenvalue, strict=True) if value == 0]
        lost = f"{', '.join(dead)} lost every weight in the window: eigenvalue 0, no exponent"
        said = Note(f"without any training {shares}", rank=Rank.CONCLUSION)
        return ranked([said, *([lost] if dead else [])], self.see)

    def _values(self) -> dict[str, Any]:
        return {
            "name": self.names,
            "total": self.total,
            "exempt": self.exempt,
            "share_start": self.share[0],
            "share_end": self.share[-1],
            "eigenvalue": self.eigenvalue,
            "exponent": self.exponent,
        }


def null(
    architecture: Networked,
    *,
    by: str | None = None,
    fan: Fan | None = None,
    prune: float | None = None,
    levels: tuple[int, int] = (1, 17),
    prunable: str | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    scales: Mapping[str, float] | None = None,
    init: str | None = None,
    distribution: DistributionName | None = None,
    weighting: Weighting = "count",
    store: StoreLike = None,
) -> NullSpectrum:
    """Compute the spectrum that global magnitude pruning finds in an untrained network (N1).

    Parameters
    ----------
    architecture : str, Architecture or what `named.look_up` finds
        Any architecture with a block map, such as `resnet50` or `vgg16`, the layers of a network of
        one's own (`rgtool.runner.models.architecture(build)`), or an experiment of the store, whose
        counted layers, and initialiser and pruning unless others are asked for, are taken.
    by : str, optional
        `layer`, `block`, `stage` or `role`; by default the coarsest that the architecture has.
    fan : str, optional
        Fan that the initialiser divides by: `fan_in` (the default) or `fan_out`.
    prune : float, optional
        Share of the remaining weights that a level removes; default .2.
    levels : (a, b)
        Window: eigenvalues are geometric means over the steps from level a to level b.
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
    store : Store or path, optional
        Where experiments are.

    Raises
    ------
    UsageError
        A name is unknown or a value out of range; the message says which.

    Examples
    --------
    >>> [round(float(value), 3) for value in null("resnet50").eigenvalue]
    [1.132, 1.084, 1.026, 0.943]
    """
    found = network_of(architecture, store, input_shape, classes)
    network = found.architecture
    grouping = choose("grouping", by or coarsest(network.layers), GROUPINGS)
    weighting = choose("weighting", weighting, get_args(Weighting))
    init = choose("initialiser", init or found.init, INITIALISERS)
    fan = choose("fan", fan or found.fan, get_args(Fan))
    prune = found.prune if prune is None else prune
    prunable = choose("prunable", found.held(prunable), CHOICES["prunable"])
    check_range(prune, levels)
    layers = network.counted(prunable)
    scale = given_scales(layers, scales) if scales else initial_scales(layers, init, fan)
    shape = distribution or ("gaussian" if scales else initialiser(init).distribution)
    total = np.array([layer.total for layer in layers], np.int64)
    exempt = np.array([layer.name in network.exempt for layer in layers], np.bool_)
    groups = groups_of(layers, grouping, network.name)
    names = tuple(dict.fromkeys(groups))
    index = flow.group_index(groups, names)
    network_kept = total.sum() * (1 - prune) ** np.arange(levels[0], levels[1] + 1)
    if network_kept[-1] < 1:
        raise UsageError(
            f"prune {prune:g} leaves less than one of {total.sum():,} weights at level "
            f"{levels[1]}: ask for fewer levels"
        )
    kept = initial_scale_kept(
        total,
        scale,
        network_kept,
        exempt=exempt,
        distribution=known_distribution(shape),
        weighting=weighting,
    )
    kept = flow.group_sums(kept, index, len(names))
    theta = flow.window_log_eigenvalues(kept, 0, levels[1] - levels[0])
    return NullSpectrum(
        architecture=network.name,
        by=grouping,
        prunable=prunable,
        init="measured scales" if scales else f"{init}, {fan}",
        distribution=shape,
        weighting=weighting,
        prune=prune,
        window=levels,
        names=names,
        total=flow.group_sums(total, index, len(names)).astype(np.int64),
        exempt=flow.group_sums(~exempt, index, len(names)) == 0,
        share=flow.shares(kept),
        step_eigenvalues=flow.eigenvalues(kept),
        eigenvalue=np.exp(theta),
        # Retention is of counts in either weighting, so it is 1 - p by construction.
        exponent=np.where(np.isfinite(theta), theta / -np.log1p(-prune), np.nan),
    )


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
