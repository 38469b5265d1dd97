"""Files of `torch.save`, read without torch: nothing is run, nothing grows beyond a budget.

Three containers are known: the zip archive of torch since 1.6, the row of pickles before, and
either of them under gzip. A plain pickle of numbers, texts and numpy arrays is read, too.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Literal

from ..errors import Refused, Unreadable
from .budget import Budget
from .contents import Contents, Stream, Unpacked, open_contents
from .number_types import Order, width
from .pickles import read_pickle
from .stored import Name, Storage, described, short

_UTF8 = 0x800  # the flag of a zip entry whose name is UTF-8
ZIP = b"PK\x03\x04"  # what an archive begins with
_TAR = (257, b"ustar")
_MAX_PICKLE = 64 << 20  # bytes of the pickle in a checkpoint; that of a ResNet-152 has .2 MB
# Bytes of tensors that a file may name: those in it in wider types, and those spread out of a few.
_WIDER, _SPREAD = 4, 96 << 20
_MAGIC = 0x1950A86A20F9469CFC6C  # what a file of torch before 1.6 begins with
_PROTOCOL = 1001
_LOCAL = 30  # bytes of the header before an entry of a zip, its name and extra field aside


_STORAGES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16",
    "Bool": "bool", "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32",
    "Long": "int64", "ComplexFloat": "complex64", "ComplexDouble": "complex128",
}  # fmt: skip
_STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?([A-Z]\w*?)(?:Storage|Tensor)")


def _storage_kind(name: object) -> str:
    """Return torch's name of the type of numbers in a class of storages; empty where it has none.

    Raises
    ------
    ValueError
        It is no class of storages.

    Examples
    --------
    >>> _storage_kind(Name("torch.cuda.HalfStorage")), _storage_kind(Name("torch.QInt8Storage"))
    ('float16', '')
    """
    match = _STORAGE.fullmatch(name.what) if isinstance(name, Name) else None
    if match is None:
        raise ValueError("a storage of no type")
    return _STORAGES.get(match[1], "")


def read_torch(path: Path) -> Any:
    """Read a file of `torch.save` as data.

    Returns
    -------
    object
        What `pickles.read_pickle` returns; its tensors are read from the file when they are asked.

    Raises
    ------
    Unreadable
        It is empty, cut off or something else.
    Refused
        It would execute code, or builds more than it holds.
    """
    return read_torch_contents(open_contents(path))


def read_torch_contents(contents: Contents) -> Any:
    """Read the bytes of a file of `torch.save` as data, as `read_torch` does."""
    head = bytes(contents.read(0, 512))
    if head[_TAR[0] :].startswith(_TAR[1]):
        raise Unreadable(
            f"{contents.where}: the tar format of torch 0.1: load it with a torch before 2.13, "
            "weights only, and save it again"
        )
    budget = Budget(_WIDER * contents.size + _SPREAD, contents.where, _read_inner)
    read = _read_zip if head.startswith(ZIP) else _read_row
    return read(contents, budget)


# The zip archive.


def _read_zip(contents: Contents, budget: Budget) -> Any:
    entries = _entries(contents)
    root = _root(entries, contents.where)
    order: Order = ">" if _first_bytes(entries.get(f"{root}/byteorder")) == b"big" else "<"
    storages: dict[str, Storage] = {}

    def load_storage(identity: tuple[Any, ...]) -> Storage:
        kind, key, size = _storage_identity(identity)
        if key not in storages:
            entry = entries.get(f"{root}/data/{key}")
            if entry is None or (kind and entry.size != size * width(kind)):
                raise ValueError(f"storage {short(key)} is missing or of another size")
            entry.kind, entry.order = kind, order
            storages[key] = entry
        if storages[key].kind != kind:
            raise ValueError(f"storage {short(key)} of two types")
        return storages[key]

    pickled = entries[f"{root}/data.pkl"]
    return read_pickle(io.BytesIO(pickled.read(0, pickled.size)), budget, load_storage)


def _storage_identity(identity: tuple[Any, ...]) -> tuple[str, str, int]:
    """Return type, key and number of elements of a storage that a pickle refers to."""
    if len(identity) < 5 or type(identity[0]) is not str or identity[0] != "storage":
        raise ValueError("a reference to something else than a storage")
    kind, key, size = _storage_kind(identity[1]), identity[2], identity[4]
    if not isinstance(key, str) or type(size) is not int or size < 0:
        raise ValueError("a reference to a storage without name or size")
    return kind, key, size


def _first_bytes(entry: Storage | None) -> bytes:
    return bytes(entry.read(0, min(entry.size, 16))).strip() if entry is not None else b""


def _entries(contents: Contents) -> dict[str, Storage]:
    """List the entries of an archive as torch writes them: as they are, one behind the other."""
    where = contents.where
    try:
        with zipfile.ZipFile(Stream(contents)) as archive:
            found = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            last = archive.start_dir
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise Unreadable(f"{where}: no whole zip archive ({short(error)})") from None
    except (KeyError, RuntimeError, OverflowError, UnicodeError) as error:
        raise Unreadable(f"{where}: a damaged zip archive ({short(error)})") from None
    if any(re.fullmatch(r"[^/]+/(?:constants\.pkl|code/.*)", e.filename) for e in found):
        file = PurePath(where)
        raise Refused(
            f"{where}: a TorchScript program: where torch is, torch.save(torch.jit.load("
            f"{file.name!r}).state_dict(), {f'{file.stem}_plain{file.suffix}'!r})"
        )
    # What is packed, or lies twice in the file, would grow in memory: torch writes neither.
    if any(e.compress_type != zipfile.ZIP_STORED for e in found):
        raise Refused(f"{where}: a zip with packed entries, which torch never writes")
    if any(e.flag_bits & 1 for e in found):
        raise Refused(f"{where}: an encrypted zip archive")
    if sum(e.file_size for e in found) > contents.size:
        raise Refused(f"{where}: a zip that claims to hold more than its {contents.size} bytes")
    if len({e.filename for e in found}) < len(found):
        raise Refused(f"{where}: a zip with two entries of one name")
    ends = [*(e.header_offset for e in found[1:]), last]
    return {e.filename: _entry(e, end, contents) for e, end in zip(found, ends, strict=True)}


def _entry(entry: zipfile.ZipInfo, end: int, contents: Contents) -> Storage:
    """Find the bytes of an entry, which must lie between its header and what follows."""
    header = bytes(contents.read(entry.header_offset, entry.header_offset + _LOCAL))
    if not header.startswith(ZIP) or len(header) < _LOCAL:
        raise Unreadable(f"{contents.where}: a damaged zip archive (an entry without a header)")
    named = entry.header_offset + _LOCAL
    extra = named + int.from_bytes(header[26:28], "little")
    begin = extra + int.from_bytes(header[28:30], "little")
    name = entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")
    if bytes(contents.read(named, extra)) != name:  # parts of two archives, each with its sums
        raise Unreadable(f"{contents.where}: a damaged zip archive (an entry under two names)")
    if entry.file_size != entry.compress_size or begin + entry.file_size > end:
        raise Unreadable(f"{contents.where}: a damaged zip archive (entries overlap)")
    return Storage("", entry.file_size, contents, begin, entry.CRC)


def _root(entries: dict[str, Storage], where: str) -> str:
    """Return the folder of the archive that the checkpoint is in."""
    roots = [name[:-9] for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise Unreadable(f"{where}: a zip without the data.pkl of a checkpoint")
    if (size := entries[f"{roots[0]}/data.pkl"].size) > _MAX_PICKLE:
        raise Refused(f"{where}: a pickle of {size} bytes")
    return roots[0]


# The row of pickles.


def _read_row(contents: Contents, budget: Budget) -> Any:
    stream = Stream(contents)
    first = read_pickle(stream, budget, _nowhere)
    if type(first) is not int or first != _MAGIC:
        if stream.read(1):
            raise Unreadable(f"{contents.where}: a pickle with something behind it, no checkpoint")
        return first
    protocol, system = (read_pickle(stream, budget, _nowhere) for _ in range(2))
    if type(protocol) is not int or protocol != _PROTOCOL:
        found = protocol if type(protocol) is int else described(protocol)
        raise Unreadable(f"{contents.where}: {found} where the protocol of a checkpoint is due")
    little = not isinstance(system, dict) or system.get("little_endian") is not False
    storages: dict[str, Storage] = {}
    found = read_pickle(stream, budget, _referred(storages, contents, "<" if little else ">"))
    keys = read_pickle(stream, budget, _nowhere)
    _place(storages, keys, stream, contents)
    return found


def _read_inner(data: bytes, budget: Budget) -> Any:
    """Read what Python's pickle has of a tensor: its storage, as torch saves it, in bytes."""
    return _read_row(Unpacked(data, budget.where), budget)


def _nowhere(identity: tuple[Any, ...]) -> Storage:
    raise ValueError("a reference to a storage where none is due")


def _referred(
    storages: dict[str, Storage], contents: Contents, order: Order
) -> Callable[[tuple[Any, ...]], Storage]:
    """Return what notes the storages that a pickle refers to; where they are stands behind it."""

    def load_storage(identity: tuple[Any, ...]) -> Storage:
        kind, key, count = _storage_identity(identity)
        if len(identity) > 5 and identity[5] is not None:
            raise ValueError("a storage that is part of another")
        size = count * _each(kind)
        held = storages.setdefault(key, Storage(kind, size, contents, contents.size, order=order))
        if (held.kind, held.size) != (kind, size):
            raise ValueError(f"storage {short(key)} of two types or sizes")
        return held

    return load_storage


def _each(kind: str) -> int:
    """Return the bytes of an element of a storage; one of no type counts in bytes."""
    return width(kind) if kind else 1


def _place(storages: dict[str, Storage], keys: Any, stream: BinaryIO, contents: Contents) -> None:
    """Find the storages behind the pickles: each its number of elements, then its bytes."""
    where = contents.where
    if not isinstance(keys, list) or not all(type(key) is str for key in keys):
        raise Unreadable(f"{where}: a checkpoint whose list of storages is none")
    if len(keys) != len(storages) or set(keys) != set(storages):
        raise Unreadable(f"{where}: a checkpoint that does not list its storages")
    at = stream.tell()
    for key in keys:
        storage = storages[key]
        order: Literal["little", "big"] = "little" if storage.order == "<" else "big"
        count = int.from_bytes(contents.read(at, at + 8), order)
        storage.begin = at + 8
        at = storage.begin + storage.size
        if count * _each(storage.kind) != storage.size:
            raise Unreadable(f"{where}: storage {short(key)} is of another size than its tensors")
        if at > contents.size:
            raise Unreadable(f"{where}: cut off")
