"""Every name that a pickle may call, with arguments that are not what it is there for."""

from __future__ import annotations

import array as arrays
import collections
import io
import ipaddress
import itertools
import logging
import pickle
import random
import re
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
import torch
from hostile_programs import blob, call, name, pack, text
from places import CLONE

from rgtool.schemas.errors import Refused, Unreadable
from rgtool.schemas.tensors.budget import Budget
from rgtool.schemas.tensors.contents import Unpacked
from rgtool.schemas.tensors.pickles import read_pickle
from rgtool.schemas.tensors.rebuild import CALLS, CALLS_WITH_LIMITS
from rgtool.schemas.tensors.stored import Storage, Strange
from rgtool.schemas.tensors.torch_files import read_torch

SIZE = 1 << 20  # bytes of tensors that are granted
PRIME = 2**61 - 1


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def row(*values: int) -> bytes:
    return pack(*(number(value) for value in values))


def read(program: bytes) -> Any:
    """Read a pickle in which the persistent id of a text names a storage of four floats."""
    contents = Unpacked(bytes(16), "here")
    return read_pickle(
        io.BytesIO(b"\x80\x04" + program + b"."),
        Budget(SIZE, "here"),
        lambda identity: Storage("float32", 16, contents),
    )


def refused(program: bytes) -> str:
    with pytest.raises((Refused, Unreadable)) as error:
        read(program)
    assert len(str(error.value)) < 300
    return str(error.value)


STORAGE = b")Q"
ORDERED = call(name("collections", "OrderedDict"))
INT8 = call(name("numpy", "dtype"), text("i1"), b"\x89", b"\x88") + pack(
    number(3), text("|"), b"N", b"N", b"N", number(-1), number(-1), number(0)) + b"b"  # fmt: skip
V2, V3 = (name("torch._utils", f"_rebuild_tensor_v{n}") for n in (2, 3))


def tensor(offset: int, size: bytes, stride: bytes) -> bytes:
    return call(V2, STORAGE, number(offset), size, stride, b"\x89", ORDERED)


FOUR = tensor(0, row(4), row(1))
RECONSTRUCT = call(name("numpy._core.multiarray", "_reconstruct"), name("numpy", "ndarray"),
                   row(0), b"C\x01b")  # fmt: skip


def array(*state: bytes) -> bytes:
    return RECONSTRUCT + pack(*state) + b"b"


SPARSE = name("torch._utils", "_rebuild_sparse_tensor")
COMPLEX, BIG = (
    call(name("numpy", "dtype"), text(code), b"\x89", b"\x88")
    + pack(number(3), text(order), b"N", b"N", b"N", number(-1), number(-1), number(0)) + b"b"
    for code, order in (("c16", "<"), ("f8", ">"))
)  # fmt: skip
COO = call(name("torch.serialization", "_get_layout"), text("torch.sparse_coo"))
INNER = name("torch.storage", "_load_from_bytes")
CSR = call(name("torch.serialization", "_get_layout"), text("torch.sparse_csr"))
# Name -> programs that call it with what it must not be given.
GETATTR = name("builtins", "getattr")
ABUSED: dict[str, list[bytes]] = {
    "torch._utils._rebuild_tensor": [
        call(name("torch._utils", "_rebuild_tensor"), text("x"), number(0), row(4), row(1)),
        call(name("torch._utils", "_rebuild_tensor"), STORAGE, number(-1), row(4), row(1)),
    ],
    "torch._utils._rebuild_tensor_v2": [
        tensor(1, row(4), row(1)), tensor(0, row(-1), row(1)), tensor(0, row(4), row(-1)),
        tensor(0, row(2**40, 2**40), row(0, 0)), tensor(0, row(2**22), row(0)),
        tensor(0, row(4), row(1, 1)), tensor(0, text("4"), row(1)), tensor(2**62, row(1), row(1)),
    ],
    "torch._utils._rebuild_tensor_v3": [
        call(V3, STORAGE, number(0), row(4), row(1), b"\x89", ORDERED, name("torch", "float64")),
        call(V3, STORAGE, number(0), row(4), row(1), b"\x89", ORDERED, text("float64")),
    ],
    "torch._utils._rebuild_parameter": [
        call(name("torch._utils", "_rebuild_parameter"), text("x"), b"\x88", ORDERED)],
    "torch._utils._rebuild_parameter_with_state": [
        call(name("torch._utils", "_rebuild_parameter_with_state"), b"]", b"\x88", ORDERED, b"}")],
    "torch._utils._rebuild_sparse_tensor": [
        call(SPARSE, COO, pack(FOUR, FOUR, row(4))), call(SPARSE, COO, b"N"),
        call(SPARSE, COO, pack(tensor(0, row(0, 0), row(1, 1)), FOUR, row(2**40, 2**40))),
        call(SPARSE, CSR, pack(FOUR, FOUR, FOUR, row(2, 2))), call(SPARSE, CSR, b"N"),
        call(SPARSE, CSR, pack(FOUR, FOUR, FOUR, row(3, 2**40))),
        call(SPARSE, CSR, pack(FOUR, tensor(0, row(0), row(1)), tensor(0, row(0, 0, 2),
             row(1, 1, 1)), row(3, 2))),
    ],
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": [
        call(name("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"), text("x"),
             name("torch", "float32"), text("xla:0"), b"\x89")],
    "torch._utils._rebuild_device_tensor_from_numpy": [
        call(name("torch._utils", "_rebuild_device_tensor_from_numpy"), row(4),
             name("torch", "float32"), text("xla:0"), b"\x89")],
    "builtins.getattr": [
        call(GETATTR, name("lab", "X")), call(GETATTR, name("lab", "X"), number(3)),
        call(call(GETATTR, name("lab", "X"), text("run"))),
        call(call(GETATTR, name("torch", "serialization"), text("os")), text("touch")),
        call(call(GETATTR, call(GETATTR, name("torch", "serialization"), text("os")),
                  text("system")), text("touch")),
        call(call(GETATTR, text("x"), text("format"))),
        call(GETATTR, name("lab", "X"), text("x" * 500)),
    ],
    "torch._utils._rebuild_qtensor": [],
    "torch._utils._rebuild_nested_tensor": [],
    "torch._utils._rebuild_meta_tensor_no_storage": [],
    "torch._utils._rebuild_wrapper_subclass": [],
    "torch._tensor._rebuild_from_type_v2": [
        call(name("torch._tensor", "_rebuild_from_type_v2"), name("x", "run"), name("x", "X"),
             pack(text("touch")), b"}"),
        call(name("torch._tensor", "_rebuild_from_type_v2"), V2, name("x", "X"), b"]", b"}"),
    ],
    "torch.storage._load_from_bytes": [
        call(INNER, text("x")), call(INNER, b"C\x00"), call(INNER, b"C\x02N."),
        call(INNER, b"C\x03](."), call(INNER, number(10**9)),
    ],
    "torch.serialization._get_layout": [call(name("torch.serialization", "_get_layout"), b"]")],
    "torch.Size": [
        call(name("torch", "Size"), row(-1)), call(name("torch", "Size"), pack(text("x"))),
        call(name("torch", "Size"), number(10**9)),
    ],
    "torch.device": [call(name("torch", "device"), number(1))],
    "numpy._core.multiarray._reconstruct": [
        array(number(1), row(2**40), INT8, b"\x89", b"C\x01x"),
        array(number(1), row(-1), INT8, b"\x89", b"C\x01x"),
        array(number(1), row(1), text("O"), b"\x89", b"C\x01x"),
        array(number(1), row(1), INT8, b"\x89", b"]"),
        array(number(1), row(1)),
    ],
    "numpy._core.multiarray.scalar": [
        call(name("numpy._core.multiarray", "scalar"), INT8, b"C\x02xx"),
        call(name("numpy._core.multiarray", "scalar"), text("O"), b"C\x01x"),
    ],
    "numpy._core.numeric._frombuffer": [
        call(name("numpy._core.numeric", "_frombuffer"), b"C\x01x", INT8, row(9), text("C")),
        call(name("numpy._core.numeric", "_frombuffer"), b"C\x01x", INT8, row(1), text("K")),
    ],
    "numpy.dtype": [call(name("numpy", "dtype"), b"]"), call(name("numpy", "dtype"), text("i4"))
                    + b"Nb"],
    "_codecs.encode": [
        *(call(name("_codecs", "encode"), text("00"), text(codec))
          for codec in ("hex", "punycode", "idna", "utf-7", "zlib", "rot13")),
        call(name("_codecs", "encode"), b"C\x01x", text("latin1")),
        call(name("_codecs", "encode"), text("\u4e00"), text("latin1")),
    ],
    "builtins.bytes": [call(name("builtins", "bytes"), number(10**12)),
                       call(name("builtins", "bytes"), b"](K\x01K\x02e")],
    "builtins.bytearray": [call(name("builtins", "bytearray"), number(10**12)),
                           call(name("builtins", "bytearray"), text("x"), text("hex"))],
    "builtins.list": [call(name("builtins", "list"), text("x"))],
    "builtins.tuple": [call(name("builtins", "tuple"), number(3))],
    "builtins.complex": [call(name("builtins", "complex"), text("1"), text("2"))],
    "builtins.dict": [call(name("builtins", "dict"), b"](" + row(1) + b"e")],
    "builtins.set": [call(name("builtins", "set"), b"]" + row(PRIME) + b"a"),
                     call(name("builtins", "set"), b"]]a")],
    "builtins.frozenset": [call(name("builtins", "frozenset"), b"]" + number(PRIME) + b"a")],
    "collections.OrderedDict": [
        call(name("collections", "OrderedDict"), b"]" + pack(number(PRIME), b"N") + b"a")],
    "collections.Counter": [call(name("collections", "Counter"), text("aab"))],
    "collections.defaultdict": [],
    "copyreg._reconstructor": [
        call(name("copyreg", "_reconstructor"), name("numpy", "memmap"), b"N", b"N"),
        call(name("copyreg", "_reconstructor"), text("x"), b"N", b"N"),
    ],
}  # fmt: skip
# What is kept of these calls is their name, whatever the arguments: nothing can be asked of them.
INERT = {name for name, programs in ABUSED.items() if not programs} - {"collections.defaultdict"}


def test_every_name_that_may_be_called_stands_here_and_in_the_page() -> None:
    assert set(ABUSED) == set(CALLS) | set(CALLS_WITH_LIMITS)
    page = (CLONE / "docs" / "importing.md").read_text()
    assert [name for name in ABUSED if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    "program",
    [pytest.param(p, id=f"{n}-{i}") for n, programs in ABUSED.items()
     for i, p in enumerate(programs)],
)  # fmt: skip
def test_a_name_is_refused_what_it_is_not_for(program: bytes) -> None:
    refused(program)


@pytest.mark.parametrize("what", sorted(INERT))
def test_of_some_calls_the_name_alone_is_kept(what: str) -> None:
    module, _, last = what.rpartition(".")
    assert isinstance(read(call(name(module, last), number(10**9), text("x"))), Strange)


def test_a_default_factory_is_never_called() -> None:
    assert read(call(name("collections", "defaultdict"), name("x", "run"))) == {}


@pytest.mark.parametrize(
    "program",
    [
        call(name("numpy", "ndarray"), row(1), text("O"), b"C\x08AAAAAAAA"),
        call(name("numpy", "ndarray"), row(64), text("u1"), b"C\x01A", number(-64)),
        name("numpy", "ndarray") + row(1) + b"\x81",
        call(name("torch", "Tensor"), number(10**9)),
        call(name("torch.storage", "UntypedStorage"), number(10**9)),
        call(name("os", "getcwd")), name("os", "system"), call(name("lab.models", "build")),
        b"(" + text("x") + b"ilab.models\nbuild\n", b"(" + name("lab", "build") + b"o", b"\x82\x01",
        call(call(name("functools", "partial"), name("lab", "build"))),
        name("numpy", "memmap") + b")\x81", call(FOUR),
    ],
)  # fmt: skip
def test_what_would_execute_code_is_called_so(program: bytes) -> None:
    assert "would execute code" in refused(program)


@pytest.mark.parametrize(
    "program",
    [
        name("lab.config", "Config") + b")\x81}" + text("lr") + b"K\x01sb",
        name("lab.config", "Mode") + pack(text("fast")) + b"R",
        name("lab.data", "Items") + b")\x81" + text("a") + b"a" + text("k") + b"K\x01s",
        call(name("pathlib", "PosixPath"), text("a"), text("b")),
        name("torch.optim.sgd", "SGD") + b")\x81}b", name("lab", "Anything"),
        call(GETATTR, name("torch._C", "_VariableFunctions"), text("relu")),
        call(GETATTR, name("lab", "Loop") + b")\x81", text("step")),
    ],
)  # fmt: skip
def test_what_is_merely_unknown_is_kept_as_a_name(program: bytes) -> None:
    assert isinstance(read(program), Strange)


class Loop:
    """Somebody's own class, of which a method is kept."""

    def step(self) -> None: ...


STRANGE = {
    "random": lambda: random.Random(0), "default_rng": lambda: np.random.default_rng(0),
    "masked array": lambda: np.ma.array([1, 2], mask=[0, 1]), "poly1d": lambda: np.poly1d([1]),
    "polynomial": lambda: np.polynomial.Polynomial([1]), "torch.Generator": torch.Generator,
    "pattern": lambda: re.compile("a"), "method": lambda: Loop().step,
    "function": lambda: torch.relu, "count": lambda: itertools.count(3),
    "method of an array": lambda: np.zeros(2).sum, "iterator": lambda: iter([1, 2]),
    "distribution": lambda: torch.distributions.Normal(0.0, 1.0), "zone": lambda: ZoneInfo("UTC"),
    "logger": lambda: logging.getLogger("x"), "address": lambda: ipaddress.ip_address("::1"),
    "table": lambda: pa.table({"a": [1]}), "array": lambda: arrays.array("d", [1]),
    "error": lambda: ValueError("x"), "enumerate": lambda: enumerate([1]),
    "own dictionary": lambda: collections.ChainMap({}),
}  # fmt: skip


@pytest.mark.parametrize("what", STRANGE)
def test_a_strange_object_costs_itself_alone(what: str, tmp_path: Path) -> None:
    torch.save({"net": torch.ones(2), "x": STRANGE[what](), "y": 3}, tmp_path / "x.pt")
    found = read_torch(tmp_path / "x.pt")
    assert (found["net"].shape, found["y"]) == ((2,), 3)
    assert isinstance(found["x"], Strange)


def again(value: bytes, use: Callable[[bytes], bytes], times: int) -> bytes:
    """Keep a value in the memo and use it so often."""
    return value + b"r\0\1\0\0" + use(b"j\0\1\0\0") * times


def in_dictionary(*keys: bytes) -> bytes:
    return b"}(" + b"".join(key + b"N" for key in keys) + b"u"


BOMBS = {
    "colliding integers": in_dictionary(*(number(PRIME * n) for n in range(1, 40_000))),
    "colliding floats": in_dictionary(*(b"G" + struct.pack(">d", 2.0**n) for n in range(70))),
    "colliding tuples": in_dictionary(*(row(n, n) for n in range(5000))),
    "nested keys": in_dictionary(b"N" + b"\x85" * 1000),
    "set": b"\x8f(" + number(PRIME) + b"\x90",
    "frozenset": b"(" + number(PRIME) + b"\x91",
    "instructions": b"N0" * 1_100_000,
    "copies": text("x" * 10**6) + b"\x94" + b"".join(
        call(name("_codecs", "encode"), b"h\x00", text("latin1")) for _ in range(300)),
    "tensors named again": tensor(0, row(2**17), row(0)) + b"\x94" + b"h\x00" * 3,
    "tensor twice on the stack": tensor(0, row(2**17), row(0)) + b"222",
    "colliding complex numbers": in_dictionary(*(
        call(name("numpy._core.multiarray", "scalar"), COMPLEX,
             b"C\x10" + struct.pack("<dd", -1000003.0 * n, n)) for n in range(1, 100))),
    "arrays of the other byte order": again(
        pack(number(1), row(12_500), BIG, b"\x89", blob(bytes(100_000))),
        lambda state: RECONSTRUCT + state + b"b", 11),
    "arrays of texts": again(
        b"(K\x01" + row(100_000) + INT8 + b"\x89" + text("x" * 100_000) + b"t",
        lambda state: RECONSTRUCT + state + b"b", 11),
    "notes": again(text("x" * 1000) + b"\x85", lambda of: name("torch", "device") + of + b"R0",
                   500_000),
    "long names": again(text("x" * 501), lambda what: what + what + b"\x93", 1),
    "bytes that grow": b"\x96" + struct.pack("<Q", 130 << 20) + bytes(130 << 20),
    "wide text": text("\U0001f600" + "x" * (52 << 20)),
    "wide line": b"V" + b"x" * (33 << 20) + b"\n",
    "memo": b"N" + b"p99999999999999\n",
    "decimal digits": b"L" + b"9" * 100_000 + b"L\n",
}  # fmt: skip


@pytest.mark.parametrize("what", BOMBS)
def test_a_budget_is_held_while_reading(what: str) -> None:
    begin = time.monotonic()
    message = refused(BOMBS[what])
    assert "would execute" not in message
    assert time.monotonic() - begin < 60, "the time that is squared is far longer"


def test_arrays_are_counted_before_they_are_made() -> None:
    budget = Budget(1 << 40, "here")
    state = pack(number(1), row(12_500), BIG, b"\x89", blob(bytes(100_000)))
    program = again(state, lambda of: RECONSTRUCT + of + b"b0", 3000)
    with pytest.raises(Refused, match="more than 256 MB"):
        read_pickle(io.BytesIO(program + b"."), budget, Storage)


def test_a_long_text_leaves_a_short_note() -> None:
    found = read(call(name("torch", "device"), text("\n" * 10**6)))
    assert len(found.what) < 100
    assert found.what.isprintable()


def test_wide_texts_are_refused_before_they_are_made() -> None:
    program = BOMBS["wide text"]
    tracemalloc.start()
    refused(program)
    assert tracemalloc.get_traced_memory()[1] < 4 * len(program)
    tracemalloc.stop()


def test_another_state_for_a_copy_does_not_fill_the_memo_again() -> None:
    state = pack(number(1), row(1), INT8, b"\x89", b"C\x01x")
    found = read(RECONSTRUCT + b"2q\x64" + state + b"bq\x650" + b"N0" + state + b"bh\x64\x86")
    assert found[1] is not found[0]


def test_numbers_that_no_float_holds_are_strange() -> None:
    assert read(number(2**1000)) == 2**1000
    assert isinstance(read(b"\x8b" + struct.pack("<i", 500) + b"\x7f" * 500), Strange)


def test_copies_by_the_memo_cost_nothing_and_stay_one_object() -> None:
    found = read(text("x" * 10**6) + b"\x940](" + b"h\x00" * 2000 + b"e")
    assert len(found) == 2000
    assert len({id(item) for item in found}) == 1


@pytest.mark.parametrize(
    "program",
    [b"", b"0", b"R", b"(", b"u", b"a", b"s", b"b", b"NNa", b"NK\x01K\x01s", b"Nb" * 2, b"h\x07",
     b"P1\n", b"\x97", b"(NNNd", b"NQ", b"\xff", b"X\xff\xff\xff\x7fabc", b"NN\x93"],
)  # fmt: skip
def test_what_is_no_pickle_is_unreadable(program: bytes) -> None:
    with pytest.raises(Unreadable, match="no whole pickle"):
        read(program)


def test_arrays_keep_their_place_in_the_memo() -> None:
    shared = np.arange(3)
    found = read_pickle(io.BytesIO(pickle.dumps([shared, shared])), Budget(SIZE, "x"), Storage)
    assert found[0] is found[1]
