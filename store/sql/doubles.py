"""Records that stand in a store twice, as after a copy of one store over another.

They count once. Where two say the same nothing is told; where they do not, the one that does not
count is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from ...schemas.records import record, views
from ...schemas.records.manifest import Manifest, some
from ...schemas.records.parts import Part
from .connection import connect
from .relations import compacted, known_columns, parquet

# What a repetition on the same machine may change is no difference.
_COLUMNS = {
    c.name: views.record_columns()[c.name]
    for c in record.COLUMNS
    if not c.measured and c.name != "version"
}


def differing_part(manifest: Manifest, part: Part) -> str | None:
    """Say which runs of a part, of those that are read from others, are other ones there.

    Parameters
    ----------
    manifest : Manifest
        Of the store.
    part : Part
        One with hidden records.

    Returns
    -------
    str or None
        One line; None where all are the same.

    Raises
    ------
    duckdb.Error
        A file is damaged or gone.
    """
    hidden = sorted((run, level) for run, levels in part.hidden.items() for level in levels)
    if not hidden or not manifest.records:
        return None
    others = [p for p in manifest.records if p.name != part.name]
    runs = _differing(manifest, [manifest.folder / part.file], others, hidden)
    if not runs:
        return None
    where = ", ".join(p.file for p in others)
    return (
        f"records of {some({run for run, _ in runs})} stand in {where} too, and differ: those count"
    )


def differing_loose(manifest: Manifest, files: Sequence[tuple[str, str, int]]) -> list[str]:
    """Name the loose records that differ from the compacted ones of the same run and level.

    Parameters
    ----------
    manifest : Manifest
        Of the store.
    files : sequence of (path, run, level)
        Records that are compacted too.

    Raises
    ------
    duckdb.Error
        A file is damaged or gone.
    """
    wanted = sorted({(run, level) for _, run, level in files})
    found = _differing(manifest, [Path(path) for path, _, _ in files], manifest.records, wanted)
    return [path for path, run, level in files if (run, level) in found]


def _differing(
    manifest: Manifest,
    files: Sequence[Path],
    others: Sequence[Part],
    wanted: Sequence[tuple[str, int]],
) -> set[tuple[str, int]]:
    """Return which of the wanted records of some files are not the same in other parts."""
    with connect() as connection:
        connection.execute("CREATE TABLE wanted (run_id VARCHAR, level INTEGER)")
        runs, levels = [run for run, _ in wanted], [level for _, level in wanted]
        connection.execute("INSERT INTO wanted SELECT unnest(?), unnest(?)", [runs, levels])
        here = [known_columns(connection, parquet(files), _COLUMNS)]
        there = compacted(connection, manifest.folder, others, _COLUMNS)
        one, other = (
            f"SELECT {', '.join(_COLUMNS)} FROM ({' UNION ALL '.join(parts)}) "
            "JOIN wanted USING (run_id, level)"
            for parts in (here, there)
        )
        rows = connection.execute(
            f"SELECT DISTINCT run_id, level FROM (({one} EXCEPT {other}) UNION ALL "
            f"({other} EXCEPT {one}))"
        ).fetchall()
    return {(run, level) for run, level in rows}


def same(manifest: Manifest, part: Part) -> bool:
    """Tell whether all that is hidden of a part stands in others as it does there."""
    try:
        return differing_part(manifest, part) is None
    except duckdb.Error:
        return False
