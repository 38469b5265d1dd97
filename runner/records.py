"""The records of a run as the runner goes on from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..schemas.errors import RecordError, RgtoolError
from ..schemas.records.layout import RunFolder
from .event import Event

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
