"""The records of a run as the runner goes on from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..schemas.blocks import Layer
from ..schemas.errors import RecordError, RgtoolError
from ..schemas.recipe import Recipe
from ..schemas.records.description import Description
from ..schemas.records.layout import RunFolder
from ..schemas.tensors.safetensors import read_mask
from . import machine
from .event import Event
from .own.fingerprint import hold_layers, hold_network
from .pruning import Mask

if TYPE_CHECKING:
    import pyarrow as pa

Counts = NDArray[np.int64]
Magnitudes = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A run of an experiment, and the levels that it is to have.

    Attributes
    ----------
    recipe : Recipe
        What it does.
    at : tuple of int
        The levels, ascending.
    folder : RunFolder
        Where it is.
    parent : str or None
        The run whose tickets it trains.
    """

    recipe: Recipe
    at: tuple[int, ...]
    folder: RunFolder
    parent: str | None = None

    @property
    def left(self) -> list[int]:
        """Its levels that are not on the disk yet."""
        done = self.folder.recorded_levels()
        return [level for level in self.at if level not in done]

    def known_end(self, seed: int, fingerprint: str, layers: Sequence[Layer]) -> Event | None:
        """Return how it ended if nothing is left to compute, once `hold` found its network here."""
        hold(self.folder, self.recipe, fingerprint, layers)
        return known_end(self.folder, self.recipe, seed, self.at)


def recorded(run: RunFolder, recipe: Recipe) -> list[int]:
    """List the levels of a run that are on the disk: from its first on, without a gap.

    Levels of a run that trains tickets of another do not follow from each other: there may be gaps.

    Parameters
    ----------
    run : RunFolder
        What is on the disk.
    recipe : Recipe
        What it does.

    Raises
    ------
    RgtoolError
        There is a gap.
    """
    done, first = run.recorded_levels(), recipe.start or 0
    if done != list(range(first, first + len(done))) and recipe.finds_masks:
        raise RgtoolError(
            f"run {run.path.name}: the records of levels {done} leave a gap; move those after "
            "the gap away to compute them again"
        )
    return done


def read(run: RunFolder, level: int) -> pa.Table:
    """Read one record of a run.

    Raises
    ------
    RgtoolError
        It is damaged.
    """
    try:
        return run.read_record(level)
    except RecordError as error:
        raise RgtoolError(
            f"{error}; once that file is moved away, level {level} is computed again"
        ) from None


def previous(run: RunFolder, level: int) -> tuple[Counts | None, Magnitudes | None]:
    """Return kept weights and magnitudes of one level before; None as far as nothing tells them.

    Raises
    ------
    RgtoolError
        That record is damaged.
    """
    if level == 0 or level - 1 not in run.recorded_levels():
        return None, None
    before = read(run, level - 1).to_pydict()
    magnitude = before["magnitude"]
    return np.array(before["kept"]), None if None in magnitude else np.array(magnitude)


def description_of(run: RunFolder) -> Description | None:
    """Read the description of a run; None where it has none.

    Raises
    ------
    RgtoolError
        It is damaged.
    """
    try:
        return run.read_description()
    except RecordError as error:
        raise RgtoolError(f"{error}; once it is moved away, it is written again") from None


def gone_on(
    description: Description, before: Description, begin: int, tell: Callable[[str], None]
) -> Description:
    """Return the description of a run that goes on: since when, and what has changed meanwhile.

    Parameters
    ----------
    description, before : Description
        As the run is described here, and as it was.
    begin : int
        The level that it goes on with.
    tell : callable
        Hears of every change of conditions.
    """
    then, here = ({**one.versions, **one.machine} for one in (before, description))
    changes = machine.changes(then, here, f"run {description.run_id}")
    for change in changes:
        tell(f"goes on under other conditions: {change}")
    return replace(
        description,
        scales=dict(before.scales),
        history=(*before.history, *(f"from level {begin}: {change}" for change in changes)),
        created_at=before.created_at,
    )


def scales_of(arrays: Mapping[str, NDArray[Any]], names: Sequence[str]) -> dict[str, float]:
    """Return the root mean square of the weights of layers, of a state dict."""
    weights = {name: arrays[f"{name}.weight"].astype(np.float64) for name in names}
    return {name: float(np.sqrt(np.mean(w**2))) for name, w in weights.items()}


def found_mask(run: RunFolder, level: int) -> Mask:
    """Read the mask of a level, found by the level before.

    Raises
    ------
    RgtoolError
        It is not there, or damaged.
    """
    try:
        return read_mask(run.mask(level))
    except (FileNotFoundError, RecordError) as error:
        raise RgtoolError(
            f"run {run.path.name}: the mask of level {level} cannot be read ({error}); move its "
            f"records from level {max(level - 1, 0)} on away to compute it again"
        ) from None


def hold(run: RunFolder, recipe: Recipe, fingerprint: str, layers: Sequence[Layer]) -> None:
    """Hold a network to that of what is on the disk: its name may not tell all.

    Parameters
    ----------
    run, recipe
        As for `recorded`.
    fingerprint : str
        See `own.fingerprint`; empty for networks of rgtool's own.
    layers : sequence of Layer
        The counted layers.

    Raises
    ------
    RgtoolError
        It is another network, or a file is damaged.
    """
    name = f"run {run.path.name}"
    if fingerprint:
        hold_network(name, description_of(run), fingerprint, machine.versions()["torch"])
    if done := recorded(run, recipe):
        record = read(run, done[-1])
        shapes = zip(record["layer"].to_pylist(), record["shape"].to_pylist(), strict=True)
        hold_layers(name, dict(shapes), layers)


def known_end(run: RunFolder, recipe: Recipe, seed: int, at: Sequence[int]) -> Event | None:
    """Return how a run ended of which nothing is left to compute; None where something is.

    A level that diverged ends a run that prunes by itself; of others it ends none but itself.

    Parameters
    ----------
    run, recipe
        As for `recorded`.
    seed : int
        That of the run.
    at : sequence of int
        Levels that are asked for, ascending.

    Raises
    ------
    RgtoolError
        Its records leave a gap, or the last one is damaged.
    """
    done = recorded(run, recipe)
    whole = set(at) <= set(done)
    last = done[-1] if done and recipe.finds_masks else at[-1]
    if (whole or recipe.finds_masks) and done and read(run, last)["diverged"][0].as_py():
        return Event(kind="known", seed=seed, level=last, message="diverged")
    return Event(kind="known", seed=seed, level=at[-1]) if whole else None
