"""Whether what a parent has kept fits a child's network, and which layers do not come from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import nn

from ...schemas.blocks import Architecture
from ...schemas.errors import RgtoolError, UsageError, choose, known_name
from ...schemas.recipe import Recipe
from ...schemas.records.layout import RunFolder
from ...schemas.records.parents import Parent
from ...schemas.spelling import asked
from ...schemas.words import listed
from ..datasets.images import Images
from ..pruning import Beginning, kept_series
from ..replicas.training import Arrays
from .perturbed import Exchange, exchanging
from .source import Source
from .transforms import Tensors, transformation


def sources_of(parent: Parent, pairs: Mapping[int, int], store: Path) -> dict[int, Source]:
    """Return the parent's run that each seed is paired with.

    Parameters
    ----------
    parent : Parent
        The experiment.
    pairs : mapping of int to int
        Seeds of the child, and of the parent.
    store : Path
        Where its runs are.

    Raises
    ------
    UsageError
        The parent has no run of such a seed.
    RgtoolError
        A run is damaged or gone.
    """
    if lacking := [seed for seed in pairs.values() if seed not in parent.runs]:
        there = ",".join(map(str, sorted(parent.runs)))
        cures = asked("seeds", _as_list(parent)), asked("seeds", _paired(parent, pairs))
        raise UsageError(
            f"parent {parent.experiment_id} has no run of seed {lacking[0]}, it has {there}: "
            f"{cures[0]}, or pair others, as {cures[1]}"
        )
    runs = {seed: parent.runs[of] for seed, of in pairs.items()}
    return {seed: Source.read(RunFolder.of(store, run)) for seed, run in runs.items()}


def _as_list(parent: Parent) -> str:
    """Write the seeds of a parent so that one alone is no count."""
    seeds = sorted(parent.runs)
    return f"{seeds[0]}:{seeds[0]}" if len(seeds) == 1 else ",".join(map(str, seeds))


def _paired(parent: Parent, pairs: Mapping[int, int]) -> str:
    return ",".join(f"{seed}:{of}" for seed, of in zip(pairs, sorted(parent.runs), strict=False))


def check_kept(source: Source, at: Sequence[int], start: Sequence[str]) -> None:
    """Hold what is asked of a run to what it has kept.

    Parameters
    ----------
    source : Source
        A run of the parent.
    at : sequence of int
        Levels, ascending.
    start : sequence of str
        Weights that are needed: `init`, `rewind` or none.

    Raises
    ------
    UsageError
        It has no mask of a level; the message says of which it has.
    RgtoolError
        It has not kept the weights.
    """
    there = [level for level in range(at[-1] + 1) if source.has_mask(level)]
    if lacking := [level for level in at if level not in there]:
        levels = listed([str(level) for level in lacking])
        raise UsageError(
            f"run {source.name}, the parent, has no mask of level {levels}: {_would_do(there)}"
        )
    for name in start:
        source.check_has(name)


def _would_do(there: Sequence[int]) -> str:
    if list(there) == list(range(len(there))):
        return f"level {there[-1]} is its last"
    return f"{asked('at', ','.join(map(str, there)))} would do"


def check_whole(
    source: Source, network: Architecture, module: nn.Module, fresh: Sequence[str]
) -> None:
    """Refuse the weights of an import where a network has more than weights of layers.

    Parameters
    ----------
    source : Source
        A run of the parent.
    network, module : Architecture, nn.Module
        The child's.
    fresh : sequence of str
        Layers that are drawn instead.

    Raises
    ------
    RgtoolError
        It has biases or batch norm, say.
    """
    if not source.is_import:
        return
    drawn = {known_name(name, [layer.name for layer in network.layers]) for name in fresh}
    weights = {f"{layer.name}.weight" for layer in network.layers}
    others = [
        n for n in module.state_dict() if n not in weights and n.rpartition(".")[0] not in drawn
    ]
    if others:
        raise RgtoolError(
            f"run {source.name}, the parent, was not trained by rgtool, which has its masks and "
            f"weights of counted layers at most; {network.name} has others as well ({others[0]}): "
            "its masks alone are enough for rgtool run --control reinit"
        )


class Misfit(NamedTuple):
    """Shapes of a tensor: what the child's network needs, and what there is, if anything."""

    here: tuple[int, ...]
    there: tuple[int, ...] | None

    def __str__(self) -> str:
        return f"{_size(self.here)} here, {_size(self.there)} there"


def fresh_layers(
    named: Sequence[str], misfits: Mapping[str, Misfit], network: Architecture, source: Source
) -> tuple[str, ...]:
    """Return the layers that are not the parent's: those named, and first or last if they differ.

    Parameters
    ----------
    named : sequence of str
        Layers that were asked for.
    misfits : mapping of str to Misfit
        See `misfits`.
    network, source : Architecture, Source
        The child's network, and a run of the parent.

    Returns
    -------
    tuple of str
        In the order of the network.

    Raises
    ------
    UsageError
        There is no such layer.
    RgtoolError
        Another layer differs, or what is no layer: its parent is another network.
    """
    layers = [layer.name for layer in network.layers]
    fresh = {known_name(name, layers) or name for name in named}
    for name in fresh:
        choose("fresh", name, layers, "is no layer")
    free = {layers[0], layers[-1]}
    for tensor, found in misfits.items():
        layer = tensor if tensor in layers else tensor.rpartition(".")[0]
        if layer not in fresh and (layer not in free or found.there is None):
            raise RgtoolError(
                f"run {source.name}, the parent, does not fit {network.name}: {tensor} is {found}; "
                "--fresh names layers to draw instead, --transform maps blocks"
            )
        fresh.add(layer)
    return tuple(name for name in layers if name in fresh)


def misfits(
    masks: Tensors | None, weights: Tensors | None, module: nn.Module, counted: Sequence[str]
) -> dict[str, Misfit]:
    """List the tensors that are missing, or of another shape than a network's.

    Parameters
    ----------
    masks, weights : mapping of str to array, or None
        What there is; None: it is not needed.
    module : nn.Module
        The network.
    counted : sequence of str
        Its counted layers, which have masks.
    """
    state = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    needed = []
    if masks is not None:
        needed += [(name, state[f"{name}.weight"], masks.get(name)) for name in counted]
    if weights is not None:
        needed += [(name, shape, weights.get(name)) for name, shape in state.items()]
    return {
        name: Misfit(shape, None if array is None else array.shape)
        for name, shape, array in needed
        if array is None or array.shape != shape
    }


def _size(shape: Sequence[int] | None) -> str:
    if shape is None:
        return "missing"
    return "x".join(map(str, shape)) or "a number"


def kept_by_tickets(
    source: Source, recipe: Recipe, network: Architecture, images: Images, levels: int
) -> list[int]:
    """Count the kept weights of a child's network at levels 0 to `levels`.

    Controls and perturbations move kept weights and change no count of the network. A level of
    which the parent has no mask counts as the one before.

    Parameters
    ----------
    source : Source
        A run of the parent.
    recipe, network : Recipe, Architecture
        The child's.
    images : Images
        Its data set, or noise of that shape.
    levels : int
        The last level.
    """
    layers, last = network.counted(recipe.prunable), recipe.start
    series = [sum(layer.total for layer in layers)]
    for level in range(1, 1 + (levels if last is None else last)):
        if source.has_mask(level):
            series.append(sum(_kept_at(source, recipe, network, images, level).values()))
        else:
            series.append(series[-1])
    if last is None:
        return series
    began = Beginning(last, _kept_at(source, recipe, network, images, last, perturbed=True))
    return [*series[:last], *kept_series(layers, recipe, levels, began)]


def _kept_at(
    source: Source,
    recipe: Recipe,
    network: Architecture,
    images: Images,
    level: int,
    *,
    perturbed: bool = False,
) -> dict[str, int]:
    """Count what every layer of a child keeps; at levels above 0 the parent has a mask."""
    layers = network.counted(recipe.prunable)
    kept = {layer.name: layer.total for layer in layers}
    if level == 0:
        return kept
    parent = source.network(images.input_shape, images.classes)
    carried = transformation(recipe.transform, parent, network, images.input_shape)
    mask = carried.carry(dict(source.mask(level)))
    kept |= {name: int(mask[name].sum()) for name in kept if name not in recipe.fresh}
    if perturbed and carried.perturbation is not None:
        exchange = Exchange(source, level, carried.perturbation, exchanging(layers, recipe))
        kept |= exchange.kept()
    return kept


def are_equal(weights: Tensors, drawn: Arrays, counted: Sequence[str]) -> bool:
    """Tell whether weights of layers are the ones that a child draws itself."""
    names = [f"{name}.weight" for name in counted]
    return all(np.array_equal(weights[name], drawn[name]) for name in names)
