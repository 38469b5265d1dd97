"""Tables as people have them, CSV or Parquet: columns by name, cells that are texts or numbers.

Names count in lower case. A CSV file may be UTF-8 or, by its byte order mark, UTF-16, and gzip'd;
it parts its cells by commas, semicolons or tabs, as Excel's line `sep=;` may say. Whole numbers may
be written `1000.0`, fractions `91.5 %`, `0,915` or under a name such as `accuracy (%)`; `NaN`, `NA`
`-` and an empty cell are no number. Lines before the header that begin with `#` are remarks.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Refused, Unreadable
from .files import bytes_for_arrow, read_file

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
MAX_TEXT = 200  # characters of a cell
_MAX_CSV = 64 << 20  # bytes
_MAX_DECODED = 64 << 20  # bytes of a row group: a few bytes of run lengths may claim any number
_EMPTY_CELLS = ("", "nan", "na", "n/a", "#n/a", "<na>", "none", "null", "-", "--")
_CELL = re.compile(r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?)\s*(%?)", re.ASCII | re.I)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)  # or is it a fraction?
_SEPARATOR = re.compile(r"sep=([,;\t])\s*", re.I)
_PERCENT = re.compile(r"(.*?)\s*(?:%|\(%\)|\[%\])")
Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table that is open.

    Attributes
    ----------
    names : tuple of str
        Names of its columns, in lower case.
    rows : callable
        Takes the names of columns and yields its rows, once, each a mapping of these names to
        cells; raises Refused or Unreadable.
    """

    names: tuple[str, ...]
    rows: Callable[[Collection[str]], Iterator[Row]]


# What a file of one is, and where it can be taken to, for messages.
KIND, TAKEN = "a table of errors", "rgtool gamma and collapse take"


def is_table(name: str) -> bool:
    """Tell whether a file of this name is a table."""
    return name.lower().endswith(SUFFIXES)


def open_table(path: Path) -> Table:
    """Open a table: Parquet by the ending of its name, CSV otherwise.

    Raises
    ------
    Unreadable
        It cannot be read, or has no header.
    """
    return (_open_parquet if path.suffix.lower() == ".parquet" else _open_csv)(path)


def number(cell: object) -> float | None:
    """Return the finite number that a cell holds, None where it holds nothing.

    Raises
    ------
    ValueError
        It holds something else; `1,000` too, which may be a thousand or one.

    Examples
    --------
    >>> number("1000.0"), number("91.5 %"), number("0,5"), number("NaN")
    (1000.0, 0.915, 0.5, None)
    """
    if isinstance(cell, str):
        text = cell.strip()
        if text.lower() in _EMPTY_CELLS:
            return None
        found = _CELL.fullmatch(text)
        if found is None or _THOUSANDS.fullmatch(found[1]):
            raise ValueError(f"'{cell}' is no number")
        value = float(found[1].replace(",", ".")) / (100 if found[2] else 1)
    elif cell is None:
        return None
    elif isinstance(cell, bool):
        raise ValueError(f"{cell} is no number")
    else:
        value = float(cell)  # type: ignore[arg-type]
        if math.isnan(value):
            return None
    if not math.isfinite(value):
        raise ValueError(f"'{cell}' is no finite number")
    return value


def label(cell: object) -> str:
    """Return a cell as the name of a seed: a whole number without its `.0`, nothing as "".

    Examples
    --------
    >>> label(3.0), label("007"), label("run 1 "), label("nan")
    ('3', '007', 'run 1', '')
    """
    text = "" if cell is None else str(cell).strip()
    if text.lower() == "nan":
        return ""
    whole = re.fullmatch(r"(-?\d+)\.0+", text)
    return whole[1] if whole else text


def shown(cell: object) -> str:
    """Write a cell for a message.

    Examples
    --------
    >>> shown(""), shown("half")
    ('nothing', "'half'")
    """
    return "nothing" if cell is None or not str(cell).strip() else f"'{str(cell)[:40]}'"


def _failed(path: Path, error: Exception) -> Unreadable:
    what = (str(error).strip() or "nothing in it").splitlines()[0]
    return Unreadable(f"{path}: cannot be read as a table ({what[:80]})")


def _read(path: Path, most: int | None = None) -> bytes:
    try:
        return read_file(path, most)
    except OSError as error:
        raise _failed(path, OSError(error.strerror or "")) from None


# Columns.


def _header_columns(header: Sequence[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names of a header in lower case, and those of columns in percent."""
    names, percent = [], set()
    for title in header:
        name = title.strip().lower()
        found = _PERCENT.fullmatch(name)
        if found:
            name = found[1]
            percent.add(name)
        names.append(name)
    return tuple(names), frozenset(percent)


def _places(path: Path, names: Sequence[str], wanted: Collection[str]) -> dict[str, int]:
    """Return where the columns are.

    Raises
    ------
    Refused
        There are two of a name.
    """
    for name in wanted:
        if names.count(name) > 1:
            raise Refused(f"{path}: column {name} stands there {names.count(name)} times")
    return {name: names.index(name) for name in wanted}


def _fraction(cell: object) -> object:
    """Return a cell of a column in percent as a fraction; what is no number as it is."""
    try:
        value = number(cell)
    except (ValueError, TypeError, OverflowError):
        return cell
    in_words = isinstance(cell, str) and cell.rstrip().endswith("%")
    return value if value is None or in_words else value / 100


def _in_fractions(rows: Iterator[Row], percent: Collection[str]) -> Iterator[Row]:
    for row in rows:
        for name in percent:
            row[name] = _fraction(row[name])
        yield row


# CSV.


def _open_csv(path: Path) -> Table:
    text = _text(path).replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    text = _without_remarks(text)
    first, _, rest = text.partition("\n")
    if told := _SEPARATOR.fullmatch(first):
        delimiter, text = told[1], rest
    else:
        delimiter = max(",;\t", key=first.count)
    cells = _cells(path, csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    header = next(cells, None)
    if header is None:
        raise _failed(path, ValueError())
    names, percent = _header_columns(header)

    def rows(wanted: Collection[str]) -> Iterator[Row]:
        places = _places(path, names, wanted)
        return _in_fractions(_csv_rows(path, cells, len(names), places), percent & {*wanted})

    return Table(names, rows)


def _without_remarks(text: str) -> str:
    """Drop lines before the header that begin with `#`; a header may begin so, as of numpy."""
    while text.startswith("#"):
        first, _, rest = text.partition("\n")
        below = rest.partition("\n")[0]
        if any(0 < first.count(mark) == below.count(mark) for mark in ",;\t"):
            return f"{first.lstrip('# ')}\n{rest}"
        text = rest.lstrip("\n")
    return text


def _text(path: Path) -> str:
    data = _read(path, _MAX_CSV)
    if path.suffix.lower() == ".gz":
        try:
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(_MAX_CSV + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise _failed(path, error) from None
        if len(data) > _MAX_CSV:
            raise _failed(path, OSError(f"it unpacks to more than {_MAX_CSV:,} bytes"))
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:  # which other encoding it is nobody can tell
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(f"{path}: line {line} is no text in UTF-8: save the table as UTF-8") from None


def _cells(path: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield the rows that hold anything."""
    try:
        yield from (row for row in reader if any(cell.strip() for cell in row))
    except csv.Error as error:
        raise _failed(path, error) from None


def _csv_rows(
    path: Path, cells: Iterator[list[str]], width: int, places: dict[str, int]
) -> Iterator[Row]:
    for count, row in enumerate(cells, start=1):
        if any(cell.strip() for cell in row[width:]):
            raise Refused(
                f"{path}: row {count} has {len(row)} cells, {width} columns are named: a number "
                "with a decimal comma is to be quoted"
            )
        yield {name: row[at] if at < len(row) else None for name, at in places.items()}


# Parquet.


def _open_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = _read(path)
    try:
        parquet = pq.ParquetFile(bytes_for_arrow(data))
        titles = parquet.schema_arrow.names
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _failed(path, error) from None
    names, percent = _header_columns(titles)

    def rows(wanted: Collection[str]) -> Iterator[Row]:
        found = {titles[at]: name for name, at in _places(path, names, wanted).items()}
        _hold_small(path, parquet, found)
        return _in_fractions(_parquet_rows(path, data, found), percent & {*wanted})

    return Table(names, rows)


def _hold_small(path: Path, parquet: pq.ParquetFile, titles: Collection[str]) -> None:
    """Refuse columns of other types than tables have, and row groups that unpack to too much."""
    for field in parquet.schema_arrow:
        if field.name in titles and not _is_plain(field.type):
            kind = str(field.type)[:80]
            raise Refused(f"{path}: column {field.name} is {kind}: texts or numbers are due")
    for place in range(parquet.metadata.num_row_groups):
        group = parquet.metadata.row_group(place)
        chunks = (group.column(at) for at in range(group.num_columns))
        size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in titles)
        if size > _MAX_DECODED:
            raise Refused(
                f"{path}: {group.num_rows} rows unpack to {size:,} bytes, at most {_MAX_DECODED:,} "
                "are expected: write smaller row groups"
            )


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow.types as of

    if of.is_dictionary(kind):
        kind = kind.value_type
    texts = of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind)
    numbers = of.is_integer(kind) or of.is_floating(kind) or of.is_decimal(kind)
    return bool(texts or numbers or of.is_boolean(kind) or of.is_null(kind))


def _parquet_rows(path: Path, data: bytes, titles: dict[str, str]) -> Iterator[Row]:
    """Yield the rows of a Parquet file, a few at a time: it may claim more than it holds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # A text is there once so, however many rows it stands in.
        parquet = pq.ParquetFile(bytes_for_arrow(data), read_dictionary=list(titles))
        for batch in parquet.iter_batches(1000, columns=list(titles)):
            _hold_short(path, batch)
            for row in batch.to_pylist():
                yield {titles[title]: cell for title, cell in row.items()}
    except MemoryError:
        raise Refused(f"{path}: reading it takes more memory than there is") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _failed(path, error) from None


def _hold_short(path: Path, batch: pa.RecordBatch) -> None:
    """Refuse long texts before they are repeated in every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if isinstance(column, pa.DictionaryArray):
            longest = pc.max(pc.utf8_length(column.dictionary)).as_py()
            if longest is not None and longest > MAX_TEXT:
                raise Refused(f"{path}: {name} of {longest:,} characters is no plain text")
