"""Checkpoints are read as torch reads them, without torch, and only as far as somebody asks."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
import tempfile
import warnings
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from test_house import loaded_by
from torch._weights_only_unpickler import _tensor_rebuild_functions

from rgtool.schemas.errors import RecordError, Refused, Unreadable
from rgtool.schemas.tensors.checkpoints import read_checkpoint
from rgtool.schemas.tensors.contents import OnDisk
from rgtool.schemas.tensors.rebuild import CALLS
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors, write_mask, write_tensors
from rgtool.schemas.tensors.stored import Strange, Tensor, is_tensor, to_array
from rgtool.schemas.tensors.torch_files import read_torch

TYPES = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16",
    "bfloat16", "float32", "float64",
]  # fmt: skip
EIGHT = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]
_TYPED = {*TYPES} - {"uint16", "uint32", "uint64"}
both_formats = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "row"])


def saved(path: Path, value: Any, *, zipped: bool = True, protocol: int = 2) -> Any:
    """Save as torch does, and read without it."""
    torch.save(value, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    return read_torch(path)


def expected(tensor: torch.Tensor) -> Any:
    """The numbers of a tensor as numpy can hold them."""
    tensor = tensor.detach()
    narrow = tensor.dtype is torch.bfloat16 or tensor.itemsize == 1 and tensor.is_floating_point()
    return (tensor.float() if narrow else tensor).to_dense().numpy()


def assert_same(found: Any, value: Any) -> None:
    """Hold a value that was read to the one that torch loads."""
    if isinstance(value, torch.Tensor):
        array, due = to_array(found, "here"), expected(value)
        assert array.dtype == due.dtype
        np.testing.assert_array_equal(array, due)
    elif isinstance(value, dict):
        assert list(found) == list(value)
        for key in value:
            assert_same(found[key], value[key])
    elif isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        assert type(found) is type(value)
        for one, other in zip(found, value, strict=True):
            assert_same(one, other)
    elif isinstance(value, np.ndarray | np.generic):
        assert type(found) is type(value)
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(found, value)
    else:
        assert found == value


def some(kind: str) -> torch.Tensor:
    rng = torch.Generator().manual_seed(3)
    if kind.startswith("float8"):
        return torch.arange(256, dtype=torch.uint8).view(getattr(torch, kind)).view(16, 16)
    return torch.randint(0, 2, (3, 4, 5), generator=rng).to(getattr(torch, kind))


@both_formats
@pytest.mark.parametrize("kind", [*TYPES, *EIGHT])
def test_every_type_of_numbers(kind: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    found = saved(path, {"a": some(kind)}, zipped=zipped)
    # Of types that have no class of storages, torch itself cannot load the row of pickles so.
    typed = zipped or kind in _TYPED
    assert_same(found, torch.load(path, weights_only=True) if typed else {"a": some(kind)})


def views() -> dict[str, torch.Tensor]:
    whole = torch.arange(60.0).reshape(3, 4, 5)
    return {
        "whole": whole,
        "part": whole[1:, ::2],
        "turned": whole.permute(2, 0, 1),
        "channels last": torch.ones(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "one": whole[2, 3, 4],
        "empty": whole[:0],
        "spread": torch.tensor([2.0]).expand(6, 7),
        "parameter": torch.nn.Parameter(whole),
        "again": whole,
    }


@both_formats
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_views_parameters_and_all_protocols(zipped: bool, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    found = saved(path, views(), zipped=zipped, protocol=protocol)
    # Beyond protocol 2, torch's own guard does not read what torch writes.
    assert_same(found, torch.load(path, weights_only=protocol == 2))
    assert found["whole"].storage is found["part"].storage


def with_attributes() -> dict[str, Any]:
    tensor, parameter = torch.ones(2), torch.nn.Parameter(torch.ones(3))
    tensor.note = parameter.note = "mine"  # type: ignore[attr-defined]
    return {"tensor": tensor, "parameter": parameter}


PLAIN: dict[str, Any] = {
    "state dict": torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)).state_dict(),
    "attributes": with_attributes(),
    "containers": [{"a": [1, (2.5, None)], 3: True}, {1, 2}, frozenset([b"x"]), bytearray(b"y")],
    "texts": ["é", "\U0001f40d", b"", b"\xff\x00", "x" * 300],
    "numbers": [0, -1, 2**31, -(2**63), 2**200, 1e300, float("inf"), 1 + 2j],
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
    "counted": Counter("aab"),
    "size": torch.Size([2, 3]),
    "keys": {(1, "a"): 1, 2.5: 2, None: 3, b"k": 4},
}  # fmt: skip


@both_formats
@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("what", PLAIN)
def test_plain_data(what: str, protocol: int, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    found = saved(path, PLAIN[what], zipped=zipped, protocol=protocol)
    assert_same(found, torch.load(path, weights_only=False))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_and_numbers_of_numpy_in_a_plain_pickle(protocol: int, tmp_path: Path) -> None:
    arrays = [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(2)), np.array([True, False]),
              np.arange(3, dtype=">i4"), np.float32(0.5), np.int64(3), np.bool_(True),
              np.zeros((0, 4))]  # fmt: skip
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=protocol))
    found = read_torch(path)
    for one, other in zip(found, arrays, strict=True):
        assert np.asarray(one).dtype.newbyteorder("=") == np.asarray(other).dtype.newbyteorder("=")
        np.testing.assert_array_equal(one, other)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
    | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)
    | st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(value=values, protocol=st.integers(0, 5))
def test_any_nested_data(value: Any, protocol: int, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "nested.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    assert read_torch(path) == value


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms())
def test_any_view_of_a_storage(shape: list[int], rng: Any) -> None:
    strides = [rng.randint(0, 5) for _ in shape]
    offset = rng.randint(0, 9)
    reach = offset + 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    tensor = torch.arange(float(reach + 3)).as_strided(shape, strides, offset)
    with tempfile.TemporaryDirectory() as folder:
        assert_same(saved(Path(folder, "x.pt"), [tensor]), [tensor])


LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "coo": torch.Tensor.to_sparse,
    "one axis of two": lambda m: m.to_sparse(1),
    "csr": torch.Tensor.to_sparse_csr,
    "csc": torch.Tensor.to_sparse_csc,
    "bsr": lambda m: m.to_sparse_bsr((2, 4)),
    "bsc": lambda m: m.to_sparse_bsc((3, 2)),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("kind", ["float32", "bool", "bfloat16", "int64"])
@pytest.mark.parametrize("layout", LAYOUTS)
@both_formats
def test_sparse_masks_are_made_dense(layout: str, kind: str, zipped: bool, tmp_path: Path) -> None:
    mask = (torch.arange(48).reshape(6, 8) % 5 == 0).to(getattr(torch, kind))
    for value in (mask, torch.zeros_like(mask), torch.ones_like(mask)):
        found = saved(tmp_path / "x.pt", {"m": LAYOUTS[layout](value)}, zipped=zipped)
        assert not isinstance(found["m"], Tensor)
        assert_same(found["m"], value)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_tensors_of_more_axes_or_none_and_values_at_one_place(tmp_path: Path) -> None:
    cube = (torch.arange(24).reshape(2, 3, 4) % 5 == 0).float()
    for value in (cube, torch.tensor(3.0), torch.zeros(0, 4)):
        assert_same(saved(tmp_path / "x.pt", value.to_sparse()), value)
    assert isinstance(saved(tmp_path / "x.pt", torch.ones(2, 3, 4).to_sparse_csr()), Strange)
    doubled = torch.sparse_coo_tensor(torch.zeros(2, 2, dtype=torch.int64), torch.ones(2), (2, 2))
    assert to_array(saved(tmp_path / "x.pt", doubled), "here")[0, 0] == 2


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("part", ["crow_indices", "col_indices"])
@pytest.mark.parametrize("at", [0, 1, -1])
@pytest.mark.parametrize("wrong", [-1, 9, 2**62, -(2**63)])
def test_sparse_tensors_that_point_elsewhere_are_refused(
    part: str, at: int, wrong: int, tmp_path: Path
) -> None:
    matrix = torch.eye(3).to_sparse_csr()
    parts = {n: getattr(matrix, n)().clone() for n in ("crow_indices", "col_indices", "values")}
    parts[part][at] = wrong
    with torch.sparse.check_sparse_tensor_invariants(False):
        bad = torch.sparse_csr_tensor(*parts.values(), (3, 3))
        found = saved(tmp_path / "x.pt", bad)
    with pytest.raises(Refused, match="outside of its shape"):
        to_array(found, "here")


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("starts", [[1, 1, 2, 3], [0, 1, 2, 2], [0, 2, 1, 3]])
def test_rows_that_do_not_follow_one_another_are_refused(starts: list[int], tmp_path: Path) -> None:
    with torch.sparse.check_sparse_tensor_invariants(False):
        bad = torch.sparse_csr_tensor(torch.tensor(starts), torch.arange(3), torch.ones(3), (3, 3))
        found = saved(tmp_path / "x.pt", bad)
    with pytest.raises(Refused, match="outside of its shape"):
        to_array(found, "here")


def test_every_name_that_torch_itself_trusts_is_known() -> None:
    names = {f"torch._utils.{f.__name__}" for f in _tensor_rebuild_functions()}
    assert names - {*CALLS} == set()


def test_a_zip_that_goes_on_as_another_is_damaged(tmp_path: Path) -> None:
    one, other = tmp_path / "level_1.pt", tmp_path / "level_2.pt"
    for number, path in enumerate((one, other)):
        torch.save({"a": torch.full((64,), number), "\u00e9": torch.ones(3)}, path)
        assert is_tensor(read_torch(path)["a"])
    start = other.read_bytes().index(b"level_2/data/0")
    one.write_bytes(one.read_bytes()[:start] + other.read_bytes()[start:])
    with pytest.raises(Unreadable, match="an entry under two names"):
        read_torch(one)


def test_gzip_and_both_containers_in_it(tmp_path: Path) -> None:
    for zipped in (True, False):
        plain, packed = tmp_path / "x.pt", tmp_path / "x.pt.gz"
        saved(plain, views(), zipped=zipped)
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        assert_same(read_torch(packed), views())


def test_archives_without_check_sums(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        found = saved(tmp_path / "x.pt", views())
    finally:
        torch.serialization.set_crc32_options(True)
    assert_same(found, views())


def test_numbers_of_the_other_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"a": torch.arange(5.0)}, path)
    with zipfile.ZipFile(path) as archive:
        items = {name: archive.read(name) for name in archive.namelist()}
    items["x/byteorder"] = b"big"
    items["x/data/0"] = np.arange(5.0).astype(">f4").tobytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in items.items():
            archive.writestr(name, data)
    assert_same(read_torch(path), {"a": torch.arange(5.0)})


def test_what_is_strange_beside_the_tensors_costs_itself_alone(tmp_path: Path) -> None:
    found = saved(tmp_path / "x.pt", {
        "args": Namespace(lr=0.1), "path": Path("a"), "module": torch.nn.Linear(2, 2),
        "huge": 10**400, "meta": torch.ones(2, device="meta"), "complex": torch.ones(2) + 1j,
        "seen": {1, 2}, "state_dict": {"a": torch.ones(3)},
    })  # fmt: skip
    assert_same(found["state_dict"], {"a": torch.ones(3)})
    assert found["args"].what == "argparse.Namespace"
    assert found["module"].what == "torch.nn.modules.linear.Linear"
    for name in ("args", "path", "module", "huge", "meta", "complex", "seen"):
        assert not is_tensor(found[name])
        with pytest.raises(Unreadable, match="here: "):
            to_array(found[name], "here")
    with pytest.raises(TypeError):
        float(found["huge"])


@both_formats
def test_tensors_are_read_when_they_are_asked(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    plain = OnDisk.read

    def counting(self: OnDisk, begin: int, end: int) -> bytes:
        data = plain(self, begin, end)
        read.append(len(data))
        return data

    monkeypatch.setattr(OnDisk, "read", counting)
    found = saved(tmp_path / "x.pt", {"large": torch.ones(1 << 20), "mask": torch.ones(9)},
                  zipped=zipped)  # fmt: skip
    to_array(found["mask"], "here")
    assert sum(read) < 1 << 20
    to_array(found["large"], "here")
    assert sum(read) > 4 << 20


def test_a_file_that_changes_or_is_damaged_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    found = saved(path, torch.arange(1000.0))
    data = bytearray(path.read_bytes())
    at = data.index(np.arange(1000, dtype="<f4").tobytes())
    data[at + 400] ^= 1
    path.write_bytes(data)
    with pytest.raises(Unreadable, match="changed while it was read"):
        found.read()
    with pytest.raises(Unreadable, match="a check sum does not hold"):
        read_torch(path).read()
    path.write_bytes(data[: at + 100])
    with pytest.raises(Unreadable, match="no whole zip archive"):
        read_torch(path)


def test_truth_values_are_zero_or_one(tmp_path: Path) -> None:
    torch.save(torch.full((9,), 7, dtype=torch.uint8), tmp_path / "x.pt")
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path) as archive:
        items = {name: archive.read(name) for name in archive.namelist()}
    items["x/data.pkl"] = items["x/data.pkl"].replace(b"ByteStorage", b"BoolStorage")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in items.items():
            archive.writestr(name, data)
    with pytest.raises(Unreadable, match="a truth value of 7"):
        read_torch(path).read()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (bytes(257) + b"ustar" + bytes(300), "tar format of torch 0.1"),
        (b"\x80\x02N.more", "something behind it"),
        (b"\x1f\x8b\x08 no gzip", "no whole gzip file"),
        (b"PK\x03\x04 no zip", "no whole zip archive"),
    ],
)
def test_files_of_other_kinds_get_a_line(head: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(head)
    with pytest.raises(Unreadable, match=words):
        read_torch(tmp_path / "x.pt")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in (
        (tmp_path / "pipe", "a named pipe"), (tmp_path, "a folder"), (Path("/dev/zero"), "a device")
    ):  # fmt: skip
        with pytest.raises(Unreadable, match=f"{kind} where a file is due"):
            read_torch(path)
    with pytest.raises(Unreadable, match="cannot be read"):
        read_torch(tmp_path / "absent")


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(torch.ones(3), path)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("x/data/0", b"other")
    with pytest.raises(Refused, match="two entries of one name"):
        read_torch(path)


@pytest.mark.parametrize("kind", ["bfloat16", *EIGHT[:2]])
def test_safetensors_of_short_floats(kind: str, tmp_path: Path) -> None:
    save_file({"a": some(kind)}, tmp_path / "x.safetensors")
    assert_same(read_tensors(tmp_path / "x.safetensors")[0], {"a": some(kind)})


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}},
        {"a": {"dtype": "U8", "shape": [0, 10**30], "data_offsets": [0, 0]}},
        {"a": {"dtype": "U8", "shape": [True], "data_offsets": [0, 1]}},
        {"a": {"dtype": "U8", "shape": [1.0], "data_offsets": [0, 1]}},
        {"a": {"dtype": [], "shape": [1], "data_offsets": [0, 1]}},
        {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "__metadata__": [1]},
        {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "__metadata__": {"a": 1}},
    ],
)
def test_odd_headers_of_safetensors_are_refused(header: Any, tmp_path: Path) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "x").write_bytes(len(text).to_bytes(8, "little") + text + b"\7")
    with pytest.raises(RecordError, match="not a whole safetensors file"):
        read_tensors(tmp_path / "x")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b'{"a":{"dtype":"\\u001b' + b"A" * 10**6 + b'","shape":[1],"data_offsets":[0,1]}}',
         "a type of numbers that is unknown: '\\\\x1bAAA"),
        (b'{"__metadata__":[]}', "metadata that are no texts"),
        (b'{"a":null}', "tensor a has no description"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":null}}', "without its place"),
        (b'{"a":{"dtype":"U8","shape":[' + b"1" * 5000 + b"]}}", "a number of 5000 digits"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deeply"),
        (b"[]", "names no tensors"), (b"{", "no JSON"), (b"\xff\xff", "no JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_header_is_said_in_plain_words(
    header: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + b"\1")
    with pytest.raises(RecordError, match=words) as error:
        read_tensors(tmp_path / "x")
    assert len(str(error.value)) < 150 + len(str(tmp_path))


@pytest.mark.parametrize("shapes", ["[]", '{"b": [1]}', '{"a": null}', '{"a": [99]}', "{"])
def test_masks_without_their_shapes_are_refused(shapes: str, tmp_path: Path) -> None:
    about = {"format": "rgtool-mask-1", "shapes": shapes}
    write_tensors(tmp_path / "x", {"a": np.ones(1, np.uint8)}, about)
    with pytest.raises(RecordError, match="not a whole mask"):
        read_mask(tmp_path / "x")


def test_a_pipe_in_place_of_safetensors_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(RecordError, match=r"cannot be read \(a named pipe where a file is due\)"):
        read_tensors(tmp_path / "x")


@pytest.mark.parametrize("what", ["keys", "protocol", "first"])
def test_old_files_with_containers_where_numbers_are_due(what: str, tmp_path: Path) -> None:
    nested = b"\x80\x04]" + b"q\x000](h\x00h\x00e" * 40 + b"."
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {}, {"a": 1})]
    array = pickle.dumps(np.zeros(3))
    rows = {
        "keys": [*head, b"\x80\x04]" + nested[2:-1] + b"a."],
        "protocol": [head[0], nested, head[2]],
        "first": [array, head[1]],
    }
    (tmp_path / "x.pt").write_bytes(b"".join(rows[what]))
    with pytest.raises(Unreadable):
        read_torch(tmp_path / "x.pt")


@given(st.lists(st.sampled_from(["a", *(f"{'_' * n}__metadata__" for n in range(4))]), unique=True))
def test_masks_of_layers_of_any_name_come_back(names: list[str]) -> None:
    masks = {name: np.arange(9) % (n + 2) == 0 for n, name in enumerate(names)}
    with tempfile.TemporaryDirectory() as folder:
        write_mask(Path(folder, "mask"), masks)
        found = read_mask(Path(folder, "mask"))
    assert {name: mask.tolist() for name, mask in found.items()} == {
        name: mask.tolist() for name, mask in masks.items()
    }
    with pytest.raises(ValueError, match="no tensor can be called"):
        write_tensors(Path("nowhere"), {"__metadata__": np.ones(1)})


def test_import_needs_no_torch_and_weakens_none(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for level in range(2):
        torch.save({"fc.weight_mask": torch.arange(12.0).reshape(3, 4) >= 4 * level,
                    "fc.weight_orig": torch.ones(3, 4)}, folder / f"net_{level}.pt")  # fmt: skip
    code = (
        "from rgtool.store import Store\n"
        f"report = Store({str(tmp_path / 'store')!r}).import_runs([{str(folder)!r}])\n"
        "assert len(report.runs) == 1, report"
    )
    assert "torch" not in loaded_by(code)
    # torch lets a few classes of its own through.
    listed = "torch.serialization.get_safe_globals()"
    before, after = f"import torch\nown = {listed}\n", f"\nassert {listed} == own"
    assert "torch" in loaded_by(before + code.replace("/store", "/other") + after)


def test_values_are_tensors_that_know_their_place(tmp_path: Path) -> None:
    found = saved(tmp_path / "x.pt", torch.tensor(0.25))
    assert isinstance(found, Tensor)
    assert float(found) == 0.25
    with pytest.raises(ValueError, match="can only convert"):
        float(saved(tmp_path / "x.pt", torch.ones(2)))


def test_tensors_in_a_pickle_of_python_are_read(tmp_path: Path) -> None:
    values = {"a": some("bool"), "b": [some("float32")[1:], torch.nn.Parameter(torch.ones(3))]}
    for protocol in range(6):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(values, protocol=protocol))
        assert_same(read_torch(tmp_path / "x.pkl"), values)


class Nested:
    """A storage in bytes that are no file of torch, but a pickle of such a storage again."""

    def __init__(self, depth: int) -> None:
        self.depth = depth

    def __reduce__(self) -> Any:
        inner = pickle.dumps(Nested(self.depth - 1) if self.depth else torch.ones(3).storage(), 2)
        return torch.storage._load_from_bytes, (inner,)


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_a_file_in_a_file_in_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Nested(3), 2))
    with pytest.raises(Refused, match="would execute code"):
        read_torch(tmp_path / "x.pkl")


def test_safetensors_of_types_that_are_unknown_cost_themselves_alone(tmp_path: Path) -> None:
    header = {"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]},
              "b": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}  # fmt: skip
    text = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\7\1")
    found = read_checkpoint(tmp_path / "x.safetensors")
    assert found["b"].tolist() == [1]
    with pytest.raises(Unreadable, match="'F4'"):
        to_array(found["a"], "here")
    with pytest.raises(RecordError, match="unknown: 'F4'"):
        read_tensors(tmp_path / "x.safetensors")


def test_a_program_of_torchscript_is_refused_with_the_line_that_saves_its_weights(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(Refused, match="a TorchScript program: where torch is, torch.save") as error:
        read_torch(path)
    line = str(error.value).split("where torch is, ")[1]
    with contextlib.chdir(tmp_path), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        exec(line, {"torch": torch})
    assert {*read_torch(tmp_path / "x_plain.pt")} == {"weight", "bias"}
