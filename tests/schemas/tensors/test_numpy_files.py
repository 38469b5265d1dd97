"""Files of numpy are read as numpy writes them, and not beyond what they hold."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save_file

from rgtool.schemas.errors import Refused, Unreadable
from rgtool.schemas.tensors.checkpoints import read_checkpoint
from rgtool.schemas.tensors.stored import Strange, Tensor

numbers = arrays.arrays(
    st.sampled_from(["?", "u1", "<i4", ">i4", "<i8", "<f2", "<f4", ">f8", "<c8"]),
    arrays.array_shapes(min_dims=0, max_dims=4, max_side=5),
)


@given(array=numbers, fortran=st.booleans(), packed=st.booleans())
def test_any_array_comes_back(array: Any, fortran: bool, packed: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    with tempfile.TemporaryDirectory() as folder:
        one, several = Path(folder, "x.npy"), Path(folder, "x.npz")
        np.save(one, array)
        (np.savez_compressed if packed else np.savez)(several, array, other=array)
        found = [read_checkpoint(one), *read_checkpoint(several).values()]
    assert len(found) == 3
    for value in found:
        assert value.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(value, array)


def test_objects_are_data(tmp_path: Path) -> None:
    masks = {"a": np.eye(3, dtype=bool), "b": [np.zeros(2), None, "text"]}
    np.save(tmp_path / "x.npy", masks, allow_pickle=True)  # type: ignore[arg-type]
    found = read_checkpoint(tmp_path / "x.npy")
    np.testing.assert_array_equal(found["a"], masks["a"])
    np.testing.assert_array_equal(found["b"][0], np.zeros(2))
    assert found["b"][1:] == [None, "text"]
    ragged = np.empty(2, object)
    ragged[:] = [np.ones((2, 3)), np.ones(4)]
    np.savez(tmp_path / "x.npz", masks=ragged)
    (one, other) = read_checkpoint(tmp_path / "x.npz")["masks"]
    assert (one.shape, other.shape) == ((2, 3), (4,))


@pytest.mark.parametrize(
    "array",
    [np.array(["conv", "fc"]), np.array([b"x"]), np.array(["2020-01-01"], "datetime64[D]"),
     np.zeros(3, [("level", "i4"), ("kept", "f8")]), np.array("one")],
)  # fmt: skip
def test_arrays_of_other_things_cost_themselves_alone(array: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", fc=np.eye(2), x=array)
    found = read_checkpoint(tmp_path / "x.npz")
    np.testing.assert_array_equal(found["fc"], np.eye(2))
    assert isinstance(found["x"], Strange)


class Harm:
    """What an array of objects may hold that runs a program when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harm",)


def test_objects_that_run_programs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "x.npy", np.array([Harm()], object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", a=np.array([Harm()], object))
    for name in ("x.npy", "x.npz"):
        with pytest.raises(Refused, match="would execute code"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "harm").exists()
    np.load(tmp_path / "x.npy", allow_pickle=True)
    assert (tmp_path / "harm").exists()


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "data",
    [
        header("(1000000000000,)") + bytes(8), header("(2,)") + bytes(8), header("(1,)") + bytes(9),
        header("(-1,)"), header("(2**40,)"), header("('a',)"), header("(1,)", "[('a', '<f8')]"),
        header("(1,)", "'<U4'") + bytes(15), header("(1,)", "__import__('os')"), b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, b"\x93NUMPY\x09\x00", header("(1,)", "'|O'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [True, False])
def test_arrays_that_claim_more_than_they_hold(data: bytes, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    if zipped:
        path = tmp_path / "x.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", data)
    with pytest.raises(Unreadable, match="no whole"):
        read_checkpoint(path)


def packed(content: bytes, *, names: tuple[str, ...] = ("a.npy",)) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def test_archives_that_unpack_to_far_more_are_refused(tmp_path: Path) -> None:
    large = header("(32000000,)") + bytes(256_000_000)
    (tmp_path / "x.npz").write_bytes(packed(large))
    with pytest.raises(Refused, match="unpack to more"):
        read_checkpoint(tmp_path / "x.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damaged_archives_are_said(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.arange(500.0))
    data = bytearray(path.read_bytes())
    data[120] ^= 255
    path.write_bytes(data)
    with pytest.raises(Unreadable, match="no whole npz file"):
        read_checkpoint(path)
    path.write_bytes(packed(header("()") + bytes(8), names=("a.npy", "a.npy")))
    with pytest.raises(Refused, match="two arrays of one name"):
        read_checkpoint(path)


def test_what_a_file_is_follows_from_its_beginning_not_its_name(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "y.npz", a=array)
    save_file({"a": array}, tmp_path / "z.safetensors")
    torch.save({"a": torch.from_numpy(array)}, tmp_path / "t.pt")
    for name in ("x.npy", "y.npz", "z.safetensors", "t.pt"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / "any.bin").write_bytes(data)
        found = read_checkpoint(tmp_path / "any.bin")
        found = found if name == "x.npy" else found["a"]
        found = found.read() if isinstance(found, Tensor) else found
        np.testing.assert_array_equal(found, array)
    (tmp_path / "x.npy.gz").write_bytes(gzip.compress((tmp_path / "x.npy").read_bytes()))
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "x.npy.gz"), array)


def test_safetensors_by_name_that_are_none_are_said(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x80\x02N.\xff\xff\xff\xff\xff")
    with pytest.raises(Unreadable, match="not a whole safetensors file"):
        read_checkpoint(tmp_path / "x.safetensors")
