"""The records of a run as the runner goes on from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..schemas.blocks import Layer
from ..schemas.errors import RecordError, RgtoolError
from ..schemas.records.description import Description
from ..schemas.records.layout import RunFolder
from . import machine
from .event import Event
from .own.fingerprint import hold_layers, hold_network

if TYPE_CHECKING:
    import pyarrow as pa


def recorded(run: RunFolder) -> list[int]:
    """List the levels of a run that are on the disk: from 0 on, without a gap.

    Raises
    ------
    RgtoolError
        There is a gap.
    """
    done = run.recorded_levels()
    if done != list(range(len(done))):
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


def hold(run: RunFolder, fingerprint: str, layers: Sequence[Layer]) -> None:
    """Hold a network to that of what is on the disk: its name may not tell all.

    Parameters
    ----------
    run : RunFolder
        What is on the disk.
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
    if done := recorded(run):
        record = read(run, done[-1])
        shapes = zip(record["layer"].to_pylist(), record["shape"].to_pylist(), strict=True)
        hold_layers(name, dict(shapes), layers)


def known_end(run: RunFolder, seed: int, levels: int) -> Event | None:
    """Return how a run ended of which nothing is left to compute; None where something is.

    Raises
    ------
    RgtoolError
        Its records leave a gap, or the last one is damaged.
    """
    done = recorded(run)
    if done and read(run, done[-1])["diverged"][0].as_py():
        return Event(kind="known", seed=seed, level=done[-1], message="diverged")
    return Event(kind="known", seed=seed, level=levels) if len(done) > levels else None
