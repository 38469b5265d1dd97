"""The record: one Parquet file per level and run, a row per layer.

`COLUMNS` is the only place where the columns stand. The Arrow schema, writing, reading, the
validation of foreign files, the SQL views and the reference page in `docs/` follow from it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..blocks import Layer
from ..errors import RecordError
from ..files import bytes_for_arrow, read_file, write_atomic
from ..sums import FOOTER_PLACE, KEY, WRONG, holds, seal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

VERSION = 1


@dataclass(frozen=True)
class Column:
    """One column of the record.

    Attributes
    ----------
    name, unit, meaning : str
        Name, unit and one sentence.
    type : str
        Arrow type: `string`, `bool`, `int16`, `int32`, `int64`, `float64`, `timestamp` or
        `list<int32>`.
    part : str
        `key` (run and level), `layer` (a value per layer) or `level` (repeated on every row);
        `epoch` of what is no record, see `epochs`.
    null : bool
        Whether the value may be missing.
    measured : bool
        Whether it depends on the machine: left out when two records are compared.
    """

    name: str
    type: str
    unit: str
    part: Literal["key", "layer", "level", "epoch"]
    meaning: str
    null: bool = False
    measured: bool = False


COLUMNS: tuple[Column, ...] = (
    Column("version", "int16", "", "key", "Version of this schema that the writer used."),
    Column("run_id", "string", "", "key", "The run this record belongs to."),
    Column("level", "int32", "prunings", "key", "Prunings applied; level 0 is dense."),
    Column("layer", "string", "", "layer", "Canonical name of the layer."),
    Column("source_layer", "string", "", "layer", "Name of the layer in the source.", null=True),
    Column("layer_index", "int32", "", "layer", "Position in the forward pass, from 0."),
    Column("stage", "string", "", "layer", "Stage, `stem` or `head`; null without.", null=True),
    Column("block", "string", "", "layer", "Block, `stem`, `head`, or the layer itself."),
    Column(
        "kind", "string", "", "layer", "`conv`, `linear`, or `group` where an import tells no more."
    ),
    Column("shape", "list<int32>", "", "layer", "Shape of the weight, output channels first."),
    Column("total", "int64", "weights", "layer", "Weights in the layer."),
    Column("kept", "int64", "weights", "layer", "Weights in the mask this level trained with."),
    Column("kept_prev", "int64", "weights", "layer", "The same, one level before.", null=True),
    Column(
        "magnitude", "float64", "", "layer", "Sum of |w|, kept weights, end of training.", null=True
    ),
    Column("magnitude_prev", "float64", "", "layer", "The same, one level before.", null=True),
    Column("exempt", "bool", "", "layer", "Counted but never pruned."),
    Column("network_total", "int64", "weights", "level", "Sum of total over the layers."),
    Column("network_kept", "int64", "weights", "level", "Sum of kept over the layers."),
    Column("network_kept_prev", "int64", "weights", "level", "Sum of kept_prev.", null=True),
    Column("accuracy", "float64", "fraction", "level", "On the test set, at the end.", null=True),
    Column("loss", "float64", "nats", "level", "Mean cross-entropy, test set, end.", null=True),
    Column(
        "train_accuracy",
        "float64",
        "fraction",
        "level",
        "On the training batches of the last epoch, as they were trained on.",
        null=True,
    ),
    Column("train_loss", "float64", "nats", "level", "Mean loss of the same batches.", null=True),
    Column("validation_accuracy", "float64", "fraction", "level", "Validation set.", null=True),
    Column("validation_loss", "float64", "nats", "level", "Validation set.", null=True),
    Column("diverged", "bool", "", "level", "Training met a loss that is not finite."),
    Column("wall_seconds", "float64", "s", "level", "Time of the level.", null=True, measured=True),
    Column(
        "images_per_second",
        "float64",
        "1/s",
        "level",
        "Training images a second, evaluation excluded.",
        null=True,
        measured=True,
    ),
    Column(
        "peak_memory",
        "int64",
        "bytes",
        "level",
        "Peak memory of the process, or of the GPU.",
        null=True,
        measured=True,
    ),
)


def columns(*parts: str, measured: bool | None = None) -> list[str]:
    """Name the columns of the given parts, in schema order."""
    return [
        c.name for c in COLUMNS if c.part in parts and (measured is None or c.measured == measured)
    ]


def arrow_schema() -> pa.Schema:
    """Return the record as an Arrow schema."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "bool": pa.bool_(),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "list<int32>": pa.list_(pa.int32()),
    }
    return pa.schema([pa.field(c.name, types[c.type], c.null) for c in COLUMNS])


def build_record(
    run_id: str,
    level: int,
    layers: Sequence[Layer],
    kept: NDArray[np.int64],
    *,
    kept_prev: NDArray[np.int64] | None = None,
    magnitude: NDArray[np.float64] | None = None,
    magnitude_prev: NDArray[np.float64] | None = None,
    exempt: Sequence[str] = (),
    source_layers: Sequence[str] | None = None,
    numbers: Mapping[str, float | int | bool | None] | None = None,
) -> pa.Table:
    """Assemble the record of one level.

    Parameters
    ----------
    run_id, level : str, int
        The key.
    layers : sequence of Layer
        The counted layers, L of them.
    kept, kept_prev : integer array, shape (L,)
        Weights kept at this level and the one before (None at level 0 and after a gap).
    magnitude, magnitude_prev : float array, shape (L,), optional
        Sums of |w| over the kept weights.
    exempt : sequence of str
        Layers that are never pruned.
    source_layers : sequence of str, optional
        Names of the layers in a foreign source.
    numbers : mapping, optional
        Values of level columns, such as `accuracy`; columns left out are null.

    Returns
    -------
    pyarrow.Table
        L rows in the schema of the record, validated.
    """
    import pyarrow as pa

    rows = len(layers)
    values = dict(numbers or {})
    unknown = set(values) - set(columns("level"))
    if unknown:
        raise RecordError(f"no column of the record: {', '.join(sorted(unknown))}")
    values.setdefault("diverged", False)
    values["network_total"] = sum(layer.total for layer in layers)
    values["network_kept"] = int(kept.sum())
    values["network_kept_prev"] = None if kept_prev is None else int(kept_prev.sum())
    data: dict[str, list[Any]] = {
        "version": [VERSION] * rows,
        "run_id": [run_id] * rows,
        "level": [level] * rows,
        "layer": [layer.name for layer in layers],
        "source_layer": list(source_layers) if source_layers is not None else [None] * rows,
        "layer_index": list(range(rows)),
        "stage": [layer.stage for layer in layers],
        "block": [layer.block for layer in layers],
        "kind": [layer.kind for layer in layers],
        "shape": [list(layer.shape) for layer in layers],
        "total": [layer.total for layer in layers],
        "kept": kept.tolist(),
        "kept_prev": [None] * rows if kept_prev is None else kept_prev.tolist(),
        "magnitude": [None] * rows if magnitude is None else magnitude.tolist(),
        "magnitude_prev": [None] * rows if magnitude_prev is None else magnitude_prev.tolist(),
        "exempt": [layer.name in exempt for layer in layers],
    }
    data |= {name: [values.get(name)] * rows for name in columns("level")}
    table = pa.table(data, schema=arrow_schema())
    validate(table, f"run {run_id}, level {level}")
    return table


def write_record(path: Path, table: pa.Table, *, flush: bool = True) -> None:
    """Write a record atomically; `flush` as in `files.write_atomic`.

    Raises
    ------
    RecordError
        The table breaks the schema.
    OSError
        The disk is full or the folder is not writable.
    """
    import pyarrow.parquet as pq

    validate(table, str(path))
    buffer = io.BytesIO()
    # Without Arrow's own copy of the schema a record of ResNet-20 takes half the space.
    with pq.ParquetWriter(
        buffer, table.schema, compression="zstd", store_schema=False, write_page_checksum=True
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: FOOTER_PLACE})
    write_atomic(path, seal(buffer.getvalue()), flush=flush)


def read_record(path: Path) -> pa.Table:
    """Read and validate a record, in the column order of the schema.

    Raises
    ------
    RecordError
        The file is no whole Parquet file, has another sum than it carries, lacks a column, has a
        wrong type, was written by a newer rgtool, or its counts contradict each other. The message
        names the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        blob = read_file(path)
        if holds(blob) is False:
            raise RecordError(f"{path}: {WRONG}")
        table = pq.read_table(bytes_for_arrow(blob), page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(f"{path}: not a readable Parquet file ({reason})") from None
    return validate(table, str(path))


def validate(table: pa.Table, where: str) -> pa.Table:
    """Hold a table to the schema and to the identities of its counts.

    Returns
    -------
    pyarrow.Table
        The columns of the schema, in its order and types.

    Raises
    ------
    RecordError
        `where`, what was found and what was expected.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if table.num_rows == 0:
        raise RecordError(f"{where}: a record without rows")
    if "version" in table.column_names and pa.types.is_integer(table["version"].type):
        version = pc.max(table["version"]).as_py()
        if version is not None and version > VERSION:
            raise RecordError(
                f"{where}: written by a newer rgtool (record version {version}, this one reads up "
                f"to {VERSION}): upgrade rgtool to read it"
            )
    schema = arrow_schema()
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise RecordError(f"{where}: not a record of rgtool, column '{missing[0]}' is missing")
    for column in COLUMNS:
        if not column.null and table[column.name].null_count:
            raise RecordError(f"{where}: '{column.name}' has missing values")
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise RecordError(f"{where}: {str(error).splitlines()[0]}") from None
    _check_counts(table, where)
    return table


def _check_counts(table: pa.Table, where: str) -> None:
    import pyarrow.compute as pc

    def fail(what: str) -> None:
        raise RecordError(f"{where}: {what}")

    for name in ("run_id", "level", *columns("level", measured=False)):
        if pc.count_distinct(table[name], mode="all").as_py() != 1:
            fail(f"'{name}' differs between the rows of one level")
    if pc.any(pc.greater(table["kept"], table["total"])).as_py():
        fail("a layer keeps more weights than it has")
    if pc.min(table["kept"]).as_py() < 0:
        fail("a kept count is negative")
    for part in ("total", "kept", "kept_prev"):
        found, summed = table[f"network_{part}"][0].as_py(), pc.sum(table[part]).as_py()
        if found != summed:
            fail(f"network_{part} is {found}, the layers sum to {summed}")
    # Of the network alone: a layer may gain what others lose, where every level is pruned from the
    # dense network.
    if pc.any(pc.greater(table["network_kept"], table["network_kept_prev"])).as_py():
        fail("the network keeps more weights than one level before")
