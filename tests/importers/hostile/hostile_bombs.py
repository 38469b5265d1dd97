"""Files that are small on disk and huge, endless or unpayable once they are believed."""

from __future__ import annotations

import functools
import gzip
import json
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hostile_case import (
    EVERY_LEVEL,
    Case,
    any_of,
    counted,
    crashed,
    exhausted,
    hung,
    reading,
    without,
)
from hostile_layouts import LAYOUTS, Layout, kept, openlth_folder
from hostile_pickles import entries, into_legacy, into_plain, into_zip, write_zip
from hostile_programs import call, name, text
from hostile_victim import DEADLINE

Damage = Callable[[Path], object]
CHUNK, CHUNKS = 1 << 20, 1 << 10


@functools.cache
def deflated_zeros() -> bytes:
    """A raw deflate stream of 1 GiB of zeros, as a chunk that is repeated after full flushes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = packer.compress(bytes(CHUNK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return chunk * CHUNKS + packer.flush(zlib.Z_FINISH)


@functools.cache
def checksum_of_zeros() -> int:
    value = 0
    for _ in range(CHUNKS):
        value = zlib.crc32(bytes(CHUNK), value)
    return value


def zip_of(items: list[tuple[str, bytes, int, int]], overlap: int = 0) -> bytes:
    """Build a zip by hand: (name, deflated data, checksum, declared size) each.

    The last item is named `overlap` times more in the directory, all pointing to one place.
    """
    body, directory, count = b"", b"", 0
    for position, (entry, data, checksum, size) in enumerate(items):
        offset = len(body)
        copies = 1 + overlap * (position == len(items) - 1)
        # Sizes of 4 GiB and more go into the zip64 field.
        extra = struct.pack("<HHQ", 1, 8, size) if size >= 1 << 32 else b""
        sizes = checksum, len(data), min(size, 0xFFFFFFFF)
        for copy in range(copies):
            title = entry.format(copy).encode()
            fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, *sizes, len(title), len(extra))
            if copy == 0:
                body += b"PK\3\4" + fields + title + extra + data
            tail = struct.pack("<HHHII", 0, 0, 0, 0, offset)
            directory += b"PK\1\2" + struct.pack("<H", 20) + fields + tail + title + extra
        count += copies
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


def deflated(entry: str, data: bytes, size: int | None = None) -> tuple[str, bytes, int, int]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    return entry, packed, zlib.crc32(data), len(data) if size is None else size


def storage_pickle(elements: int, storages: int = 1) -> bytes:
    """`data.pkl` of a dict of float32 vectors, one for each storage."""
    items = b""
    for number in range(storages):
        pid = b"(" + text("storage") + name("torch", "FloatStorage") + text(str(number))
        pid += text("cpu") + b"J" + struct.pack("<i", elements) + b"tQ"
        size = b"J" + struct.pack("<i", elements) + b"\x85"
        hooks = name("collections", "OrderedDict") + b")R"
        tensor = call(name("torch._utils", "_rebuild_tensor_v2"), pid, b"K\0", size,
                      b"K\1\x85", b"\x89", hooks)  # fmt: skip
        items += text(f"layer{number}.weight_mask") + tensor + b"s"
    return b"\x80\x02}" + items + b"."


def _zip_bomb(path: Path) -> None:
    bomb = ("m/data/0", deflated_zeros(), checksum_of_zeros(), CHUNK * CHUNKS)
    pickled = deflated("m/data.pkl", storage_pickle(CHUNK * CHUNKS // 4))
    path.write_bytes(zip_of([pickled, deflated("m/version", b"3\n"), bomb]))


def _pickle_bomb(path: Path) -> None:
    """The bomb is data.pkl itself, so even to look at its opcodes is too much."""
    bomb = ("m/data.pkl", deflated_zeros(), checksum_of_zeros(), CHUNK * CHUNKS)
    path.write_bytes(zip_of([deflated("m/version", b"3\n"), bomb]))


def _overlapping(path: Path) -> None:
    packed = deflated("m/data/{}", bytes(CHUNK))
    pickled = deflated("m/data.pkl", storage_pickle(CHUNK // 4, CHUNKS))
    path.write_bytes(zip_of([pickled, deflated("m/version", b"3\n"), packed], CHUNKS - 1))


def _claimed_size(size: int) -> Damage:
    def write(path: Path) -> None:
        items = [deflated(entry, data) for entry, data in entries(path).items()]
        items = [(e, d, c, size if "/data/" in e else s) for e, d, c, s in items]
        path.write_bytes(zip_of(items))

    return write


def _hidden_size(path: Path) -> None:
    """The directory says 16 bytes of what holds 1 GiB."""
    bomb = ("m/data/0", deflated_zeros(), checksum_of_zeros(), 16)
    pickled = deflated("m/data.pkl", storage_pickle(4))
    path.write_bytes(zip_of([pickled, deflated("m/version", b"3\n"), bomb]))


def _gzip_bomb(path: Path) -> None:
    tail = struct.pack("<II", checksum_of_zeros(), CHUNK * CHUNKS)
    path.write_bytes(b"\x1f\x8b\x08" + bytes(6) + b"\xff" + deflated_zeros() + tail)


def _gzip_twice(path: Path) -> None:
    _gzip_bomb(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def saved(value: Callable[[], Any], legacy: bool = False) -> Damage:
    def write(path: Path) -> None:
        torch.save(value(), path, _use_new_zipfile_serialization=not legacy)

    return write


class _Rebuilt:
    """Pickles as a call of torch's own tensor builder with arguments of ours."""

    def __init__(self, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.arguments = (offset, size, stride)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        held = torch.storage.TypedStorage(
            wrap_storage=torch.ones(4).untyped_storage(), dtype=torch.float32, _internal=True
        )
        return torch._utils._rebuild_tensor_v2, (held, *self.arguments, False, OrderedDict())


def rebuilt(
    offset: int, size: tuple[int, ...], stride: tuple[int, ...], legacy: bool = False
) -> Damage:
    return saved(lambda: {"fc.weight": _Rebuilt(offset, size, stride)}, legacy)


def spliced(program: bytes) -> Damage:
    return lambda path: into_zip(path, program)


def _nested(depth: int) -> bytes:
    return b"]" + b"\x85" * depth


def _as_value(program: bytes) -> Damage:
    """Put what `program` builds in place of all masks."""

    def write(path: Path) -> None:
        pickled = b"\x80\x02}" + text("fc.weight") + program + b"s."
        write_zip(path, [("m/data.pkl", pickled), ("m/version", b"3\n")])

    return write


def _laughing() -> bytes:
    """Ten times a list of ten times a list ..., a kilobyte for 10**12 leaves."""
    program = text("ha") + b"q\0"
    for memo in range(12):
        program += b"0](" + (b"h" + bytes([memo])) * 10 + b"eq" + bytes([memo + 1])
    return program


RECURSIVE = b"]q\0h\0a"
SIZED = {
    "bytearray": call(name("builtins", "bytearray"), b"\x8a\x06" + (10**14).to_bytes(6, "little")),
    "storage": call(name("torch.storage", "UntypedStorage"),
                    b"\x8a\x06" + (10**14).to_bytes(6, "little")),
    "tensor": call(name("torch", "Tensor"), b"J\x80\x96\x98\0", b"J\x80\x96\x98\0"),
}  # fmt: skip
MEMO = text("x") + b"r\xf0\xff\xff\x7f"
LENGTHS = {
    "bytes8": b"\x8e" + struct.pack("<Q", 1 << 40),
    "bytearray8": b"\x96" + struct.pack("<Q", 1 << 40),
    "unicode8": b"\x8d" + struct.pack("<Q", 1 << 40),
    "long4": b"\x8b" + struct.pack("<i", (1 << 31) - 1),
    "frame": b"\x95" + struct.pack("<Q", 1 << 40),
}
# id -> (mechanism, writes the file anew, loader, harm, layouts)
EITHER = any_of(crashed, exhausted)
ENDLESS = any_of(hung, exhausted)
BOMBS: dict[str, tuple[str, Damage, str, Any]] = {
    "deflated-storage": ("zip bomb", _zip_bomb, "torch_file", exhausted),
    "deflated-pickle": ("zip bomb", _pickle_bomb, "every_zip_entry", exhausted),
    "overlapping": ("overlapping zip entries", _overlapping, "torch_file", exhausted),
    "claims-1tib": ("false sizes in the zip directory", _claimed_size(1 << 40), "torch_file",
                    EITHER),
    "claims-1gib": ("false sizes in the zip directory", _claimed_size(1 << 30), "torch_file",
                    EITHER),
    "hides-1gib": ("false sizes in the zip directory", _hidden_size, "every_zip_entry", EITHER),
    "gzip": ("gzip bomb", _gzip_bomb, "torch_gzipped", exhausted),
    "gzip-gzip": ("gzip bomb", _gzip_twice, "gunzip_twice", exhausted),
    "stride0": ("tensor of stride 0", rebuilt(0, (10**12,), (0,)), "torch_file", exhausted),
    "stride0-2d": ("tensor of stride 0", rebuilt(0, (10**6, 10**6), (0, 0)), "torch_file",
                   exhausted),
    "overlapping-rows": ("tensor whose rows overlap", saved(lambda: {"fc.weight": torch.ones(
        10**5).as_strided((50_000, 50_000), (1, 1))}), "torch_file", exhausted),
    "offset-negative": ("storage offset out of range", rebuilt(-1, (2,), (1,)), "torch_file",
                        crashed),
    "offset-huge": ("storage offset out of range", rebuilt(1 << 40, (1,), (1,)), "torch_file",
                    crashed),
    "offset-legacy": ("storage offset out of range", rebuilt(1 << 40, (1,), (1,), True),
                      "torch_file", exhausted),
    "storage-short": ("storage shorter than the shape", rebuilt(0, (10, 16), (16, 1)),
                      "torch_file", crashed),
    "storage-short-legacy": ("storage shorter than the shape",
                             rebuilt(0, (10**6, 10**6), (10**6, 1), True), "torch_file",
                             exhausted),
    "shape-overflow": ("shape whose product overflows", rebuilt(0, (2**33, 2**33), (0, 0)),
                       "torch_file", crashed),
    "shape-negative": ("negative shape", rebuilt(0, (-3,), (1,)), "torch_file", crashed),
    "stride-negative": ("negative stride", rebuilt(0, (3,), (-1,)), "torch_file", crashed),
    "memo": ("huge memo index", spliced(MEMO), "torch_file", exhausted),
    "nested": ("deeply nested tuples", _as_value(_nested(100_000)), "walk", crashed),
    "laughs": ("billion laughs", _as_value(_laughing()), "walk", ENDLESS),
    "recursive": ("list that holds itself", _as_value(RECURSIVE), "walk", crashed),
    **{f"sized-{key}": ("allow-listed type, huge size", spliced(program), "torch_file",
                        exhausted) for key, program in SIZED.items()},
    **{f"length-{key}": ("huge length in a pickle", spliced(program), "torch_file", EITHER)
       for key, program in LENGTHS.items()},
}  # fmt: skip


def _damaged(layout: Layout, place: str, damage: Damage) -> Callable[[Path, Path], None]:
    def write(folder: Path, marker: Path) -> None:
        layout.write(folder)
        damage(folder / place)

    return write


def unreadable(
    id_: str, mechanism: str, layout: Layout, level: int, damage: Damage,
    loader: str, harm: Any,
) -> Case:  # fmt: skip
    """Return a case whose file of one level counts as missing; the others may be imported."""
    place = layout.place(level)
    return Case(
        f"{id_}-{level}-{layout.name}", mechanism, layout.name, _damaged(layout, place, damage),
        reading(loader, place, harm, 1.0 if harm is ENDLESS else DEADLINE), Path(place).name,
        may_import=True,
        # A memo that is a dictionary takes the index, and what follows is the genuine mask.
        sound_levels=EVERY_LEVEL if id_ == "memo" else without(level),
    )  # fmt: skip


def _bomb_cases() -> Iterator[Case]:
    turns = ("openlth", "cv_lth", "generic", "bert", "moco", "simclr")
    for turn, (id_, (mechanism, damage, loader, harm)) in enumerate(BOMBS.items()):
        for step in range(2):
            layout = LAYOUTS[turns[(turn + 3 * step) % 6]]
            level = layout.levels[(turn + step) % len(layout.levels)]
            yield unreadable(id_, mechanism, layout, level, damage, loader, harm)
    rahul = LAYOUTS["rahul"]
    long_, memo, sized = (
        "huge length in a pickle",
        "huge memo index",
        "allow-listed type, huge size",
    )
    for key in ("bytes8", "bytearray8", "long4"):
        put = functools.partial(into_plain, program=LENGTHS[key])
        yield unreadable(f"length-{key}", long_, rahul, 1, put, "pickled", EITHER)
    put = functools.partial(into_plain, program=MEMO)
    yield unreadable("memo", memo, rahul, 2, put, "pickled", exhausted)
    for key, program in SIZED.items():
        put = functools.partial(into_legacy, program=program)
        yield unreadable(f"sized-{key}-legacy", sized, LAYOUTS["openlth"], 2, put, "torch_file",
                         exhausted)  # fmt: skip


def _gzipped_name(folder: Path, marker: Path) -> None:
    """A bomb under the name that zipped masks have."""
    layout = LAYOUTS["openlth"]
    layout.write(folder)
    plain = folder / layout.place(2)
    plain.unlink()
    _gzip_bomb(plain.with_name("mask.pth.gz"))


def _side_bombs() -> Iterator[Case]:
    layout = LAYOUTS["openlth"]
    place = f"{openlth_folder(2)}/mask.pth.gz"
    yield Case("gzip-by-name", "gzip bomb", "openlth", _gzipped_name,
               reading("torch_gzipped", place, exhausted), "mask.pth.gz", may_import=True,
               sound_levels=without(2))  # fmt: skip
    for file in ("model_ep0_it0.pth", "model_ep160_it0.pth"):
        side = f"{openlth_folder(0)}/{file}"
        yield Case(f"side-{file[:-4]}", "bomb in a file beside the masks", "openlth",
                   _damaged(layout, side, _zip_bomb), reading("torch_file", side, exhausted), file,
                   may_import=True, sound_levels=frozenset(range(4)))  # fmt: skip


def _flipped(path: Path) -> None:
    """Weights are cut from the mask and the entry's checksum stays: torch does not look at it."""
    with zipfile.ZipFile(path) as archive:
        entry = max(archive.infolist(), key=lambda e: e.file_size * e.filename.count("/data/"))
    data = bytearray(path.read_bytes())
    start = entry.header_offset + 30
    start += sum(struct.unpack_from("<HH", data, entry.header_offset + 26))
    values = np.frombuffer(data, np.uint8, entry.file_size, start)
    values[: entry.file_size // 2] = 0
    path.write_bytes(data)


def _checksum_cases() -> Iterator[Case]:
    for layout, level in ((LAYOUTS["openlth"], 1), (LAYOUTS["bert"], 2)):
        harm = counted(kept(level, layout.network))
        yield unreadable("checksum", "data that belie their checksum", layout, level, _flipped,
                         "torch_file", harm)  # fmt: skip


def _safetensors(header: bytes | dict[str, Any], body: bytes = b"\1" * 64) -> bytes:
    text_ = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text_)) + text_ + body


def _entry(**changes: Any) -> bytes:
    entry = {"dtype": "U8", "shape": [4, 3, 3, 3], "data_offsets": [0, 108], **changes}
    return _safetensors({"conv1.weight_mask": entry}, b"\1" * 108)


_ONE = '"a.weight_mask":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}'
_TWO = '"a.weight_mask":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
_B = '"b.weight_mask":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}'
DIFFERS = counted(kept(1))
SAFETENSORS: dict[str, tuple[str, bytes, Any]] = {
    "header-longer": ("safetensors header longer than the file", struct.pack("<Q", 1 << 40) + b"{}",
                      crashed),
    "header-63bit": ("safetensors header longer than the file", b"\xff" * 8 + b"{}", crashed),
    "header-cut": ("safetensors header longer than the file", b"\x05\0\0", crashed),
    "no-json": ("safetensors header that is no JSON", _safetensors(b"\x80\x04N."), crashed),
    "json-nested": ("deeply nested JSON", _safetensors(b"[" * 200_000), crashed),
    "json-nested-value": ("deeply nested JSON",
                          _safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), crashed),
    "json-list": ("safetensors header that is no JSON", _safetensors(b"[1, 2]"), crashed),
    "overlapping": ("overlapping offsets in safetensors",
                    _safetensors(f"{{{_ONE},{_B}}}".encode()), DIFFERS),
    "duplicate-keys": ("duplicate keys in safetensors",
                       _safetensors(f"{{{_ONE},{_TWO}}}".encode()), DIFFERS),
    "offset-negative": ("offsets out of range in safetensors", _entry(data_offsets=[-108, -1]),
                        any_of(crashed, DIFFERS)),
    "offset-past-end": ("offsets out of range in safetensors",
                        _entry(data_offsets=[0, 1 << 62]), DIFFERS),
    "shape-huge": ("huge shape in safetensors", _entry(shape=[10**6, 10**6]), exhausted),
    "shape-overflow": ("huge shape in safetensors", _entry(shape=[2**62, 4]), crashed),
    "shape-negative": ("huge shape in safetensors", _entry(shape=[-1, 108]), crashed),
    "dtype": ("unknown type in safetensors", _entry(dtype="Q7"), crashed),
    "dtype-wrong": ("unknown type in safetensors", _entry(dtype="F64"), crashed),
    "shape-text": ("unknown type in safetensors", _entry(shape="(4, 3, 3, 3)"), crashed),
}  # fmt: skip


def _safetensors_cases() -> Iterator[Case]:
    layout = LAYOUTS["safetensors"]
    for id_, (mechanism, data, harm) in SAFETENSORS.items():
        yield unreadable(f"st-{id_}", mechanism, layout, 1, lambda p, d=data: p.write_bytes(d),
                         "safetensors_file", harm)  # fmt: skip


def bomb_cases() -> list[Case]:
    return [*_bomb_cases(), *_side_bombs(), *_checksum_cases(), *_safetensors_cases()]
