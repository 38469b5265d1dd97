"""N2 of weights in a file: the spectrum of pruning them in one go, nothing trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...schemas.blocks import canonical
from ...schemas.errors import UsageError
from ...store.checkpoint import Checkpoint, read_network, read_weights
from ...store.importers.recognition.networks import is_known
from ..arrays import Integers
from ..named import StoreLike
from .network import Network, Networked, network_of
from .schedule import Schedule
from .spectrum import Grouped, NullSpectrum
from .static import static_kept


@dataclass(frozen=True, eq=False)
class Opened:
    """A file of weights, and the network that they are of."""

    checkpoint: Checkpoint
    network: Network


def open_weights(path: Path, what: Networked | None, store: StoreLike = None) -> Opened:
    """Read weights of what is named: of a network or an experiment, or of what they tell.

    Raises
    ------
    RgtoolError
        The file cannot be read, or is of another network.
    UsageError
        There is no such network.
    """
    named = canonical(what) if isinstance(what, str) else what
    if named is None or (isinstance(named, str) and is_known(named)):
        found = read_network(path, named)
        return Opened(found, Network(found.network))
    network = network_of(what, store)
    return Opened(read_weights(path, network.architecture), network)


def weights_spectrum(
    opened: Opened, schedule: Schedule, by: str | None = None, prunable: str | None = None
) -> NullSpectrum:
    """Return the spectrum of weights that are pruned in one go to every density (N2).

    Parameters
    ----------
    opened : Opened
        The weights.
    schedule : Schedule
        The densities.
    by, prunable : str, optional
        As `null` takes them.

    Raises
    ------
    UsageError
        The network lacks the grouping or set of layers, exempt layers hold more than a level keeps,
        or the file is pruned already and a level keeps more than it does.
    """
    grouped = opened.network.grouped(prunable, by)
    weights = [opened.checkpoint.weights[layer.name] for layer in grouped.layers]
    network_kept = np.rint(schedule.kept(int(grouped.total.sum()))).astype(np.int64)
    there = np.array([np.count_nonzero(array) for array in weights])
    _hold_nonzero(opened.checkpoint.file, grouped, schedule, network_kept, there)
    return grouped.spectrum(
        schedule,
        static_kept(weights, network_kept, grouped.exempt),
        network_kept,
        init=f"weights of {opened.checkpoint.file}",
        about=opened.checkpoint.notes,
    )


def _hold_nonzero(
    file: str, grouped: Grouped, schedule: Schedule, kept: Integers, there: Integers
) -> None:
    """Hold every level to weights that magnitude orders: which zeros go, it does not tell."""
    fixed, total = grouped.total[grouped.exempt].sum(), grouped.total.sum()
    if kept[-1] <= fixed:
        raise UsageError(
            f"a level keeps {kept[-1]:,} weights, but layers with {fixed:,} are exempt from "
            "pruning: ask for fewer levels"
        )
    most = fixed + there[~grouped.exempt].sum()
    beyond = (kept > most) & (kept < total)
    if not beyond.any():
        return
    level = schedule.levels[0] + int(np.flatnonzero(beyond)[0])
    raise UsageError(
        f"{file} is pruned already: {1 - most / total:.3g} of its weights are 0, and nothing tells "
        f"which of them go before level {level} is reached: {_from(schedule, most / total)}"
    )


def _from(schedule: Schedule, density: float) -> str:
    """Say where the levels may begin that keep at most so much."""
    if schedule.prune is None:
        return f"begin with a density of at most {density:.3g}"
    first = int(np.ceil(np.log(density) / np.log1p(-schedule.prune) + 1e-9))
    last = max(schedule.levels[1], first + 1)
    return f"begin where less is kept, as levels {first}:{last} do"
