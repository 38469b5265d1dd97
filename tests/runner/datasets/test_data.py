"""Data sets: what is loaded, how subsets are drawn, what wrong or absent files get."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib
import os
import struct
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import official
import pytest
from command import Cli
from experiments import go, results, synthetic
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from rgtool.runner import data
from rgtool.runner.data import Images, load
from rgtool.runner.datasets import known_data
from rgtool.runner.datasets.known_data import KNOWN_DATA
from rgtool.runner.datasets.vision import torchvision_datasets
from rgtool.schemas.errors import RgtoolError, UsageError

PARTS = ("x_train", "y_train", "x_test", "y_test")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection: every proxy is a port where nobody listens."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def assert_sound(images: Images) -> None:
    channels, height, width = images.input_shape
    for x, y in ((images.x_train, images.y_train), (images.x_test, images.y_test)):
        assert x.dtype == np.uint8
        assert x.shape == (len(y), height, width, channels)
        assert y.dtype == np.int64
        assert y.min() >= 0
        assert y.max() < images.classes
    assert len(images.mean) == len(images.std) == channels


# Digits.


def test_digits_are_those_of_scikit_learn() -> None:
    oracle = load_digits()
    rows = np.loadtxt(data.DIGITS, delimiter=",")
    np.testing.assert_array_equal(rows[:, :-1], oracle.data, strict=True)
    np.testing.assert_array_equal(rows[:, -1], oracle.target)
    images, fifth = load("digits"), np.zeros(1797, bool)
    for label in range(10):
        fifth[np.flatnonzero(oracle.target == label)[4::5]] = True
    pixels = np.rint(oracle.images * (255 / 16)).astype(np.uint8)[..., None]
    for part, places in (("train", ~fifth), ("test", fifth)):
        x, y = getattr(images, f"x_{part}"), getattr(images, f"y_{part}")
        np.testing.assert_array_equal(x, pixels[places], strict=True)
        np.testing.assert_array_equal(y, oracle.target[places].astype(np.int64), strict=True)


def test_digits_keep_their_hash() -> None:
    """Runs record it, and go on upon the same data alone."""
    assert load("digits").sha256 == (
        "3baeb8053ef4be8b3373d48b5836a8071b23b35e392d6068b06c37e50f02811d"
    )


def test_digits_are_split_by_class() -> None:
    images = load("digits")
    assert_sound(images)
    assert images.input_shape == (1, 8, 8)
    assert (images.classes, images.augment) == (10, ())
    assert len(images.y_train) + len(images.y_test) == 1797
    per_class = np.bincount(np.concatenate([images.y_train, images.y_test]))
    np.testing.assert_array_equal(np.bincount(images.y_test), per_class // 5)
    seen = {x.tobytes() for x in images.x_train}
    assert not any(x.tobytes() in seen for x in images.x_test)
    assert sorted(np.unique(images.x_train)) == [round(v * 255 / 16) for v in range(17)]


def test_digits_are_normalised_by_their_own_moments() -> None:
    images = load("digits")
    pixels = images.x_train / 255
    assert images.mean[0] == pytest.approx(pixels.mean(), abs=1e-3)
    assert images.std[0] == pytest.approx(pixels.std(), abs=1e-3)


# Subsets.


@pytest.mark.parametrize("size", [10, 100, 107, 1000])
def test_a_subset_is_balanced_and_keeps_the_order(size: int) -> None:
    whole, part = load("digits"), load("digits", train_size=size)
    counts = np.bincount(part.y_train, minlength=10)
    assert counts.sum() == size
    assert counts.max() - counts.min() <= 1
    for label in range(10):
        first = whole.x_train[whole.y_train == label][: counts[label]]
        np.testing.assert_array_equal(part.x_train[part.y_train == label], first)
    places = {x.tobytes(): i for i, x in enumerate(whole.x_train)}
    order = [places[x.tobytes()] for x in part.x_train]
    assert order == sorted(order)
    np.testing.assert_array_equal(part.x_test, whole.x_test)
    assert part.sha256 != whole.sha256


@pytest.mark.parametrize("size", [0, 9, 1500, 50_000])
def test_a_subset_that_cannot_be_balanced_is_refused(size: int) -> None:
    with pytest.raises(
        UsageError, match=rf"train_size {size}: digits has \d+ training .* is the most, and 10 the"
    ):
        load("digits", train_size=size)


def test_the_hash_sees_every_pixel_and_label() -> None:
    images = synthetic()
    hashes = {images.sha256, synthetic().sha256}
    assert len(hashes) == 1
    for part in PARTS:
        changed = getattr(images, part).copy()
        changed.flat[-1] ^= 1
        hashes.add(Images(**{**vars(images), part: changed}).sha256)
    assert len(hashes) == 5


# Names.


def test_unknown_data_sets_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="data set 'cifar-10' is unknown: did you mean cifar10"):
        load("cifar-10")


def test_a_data_set_is_a_function_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def load_mine(folder: Path) -> Images:
        seen.append(folder)
        return synthetic()

    monkeypatch.setitem(data.DATASETS, "mine", load_mine)
    load("mine", tmp_path)
    monkeypatch.setenv("RGTOOL_DATA", str(tmp_path / "other"))
    load("mine")
    monkeypatch.delenv("RGTOOL_DATA")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    load("mine")
    assert seen == [tmp_path, tmp_path / "other", tmp_path / "home/.cache/rgtool"]


# Files of one's own.


def save(path: Path, **changes: object) -> str:
    images = synthetic()
    arrays = {name: getattr(images, name) for name in PARTS} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return f"npz:{path}"


def test_arrays_of_ones_own_are_a_data_set(tmp_path: Path) -> None:
    images = load(save(tmp_path / "mine.npz"))
    assert_sound(images)
    right = synthetic()
    for part in PARTS:
        np.testing.assert_array_equal(getattr(images, part), getattr(right, part))
    pixels = right.x_train.reshape(-1, 3) / 255
    np.testing.assert_allclose(images.mean, pixels.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(images.std, pixels.std(axis=0), atol=1e-4)
    assert images.augment == ()


def test_grey_images_and_small_integers_are_accepted(tmp_path: Path) -> None:
    grey = {name: getattr(synthetic(), name)[..., 0] for name in ("x_train", "x_test")}
    labels = {name: getattr(synthetic(), name).astype(np.uint8) for name in ("y_train", "y_test")}
    images = load(save(tmp_path / "mine.npz", **grey, **labels))
    assert_sound(images)
    assert images.input_shape == (1, 8, 8)


def test_the_identity_is_the_content_and_not_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    one, moved = load(save(tmp_path / "mine.npz")), load(save(tmp_path / "a/mine.npz"))
    assert one.name == moved.name
    changed = synthetic().x_train.copy()
    changed[0, 0, 0, 0] ^= 1
    assert load(save(tmp_path / "mine.npz", x_train=changed)).name != one.name


def test_a_run_on_ones_own_data_is_repeatable(tmp_path: Path) -> None:
    task = save(tmp_path / "mine.npz")
    for store in ("one", "two"):
        options = {"levels": 1, "epochs": 1, "rewind": "1it"}
        assert go(tmp_path / store, task=task, **options).seeds("done") == [0]
    assert results(tmp_path / "one") == results(tmp_path / "two")


X, Y = synthetic().x_train, synthetic().y_train


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"y_test": None}, "array 'y_test' is missing; x_train, y_train, x_test, y_test are"),
        ({"x_train": X / 255}, "x_train is float64 of shape (40, 8, 8, 3); bytes (uint8)"),
        ({"x_train": X / 255}, "expected: its values are 0 to 1, save (255 * x).round()"),
        ({"x_test": X.astype(int)}, "expected: its values are 0 to 255, save x.round()"),
        ({"x_train": X / 64 - 1.5}, "beyond 0 to 255, so save the images as they were before"),
        ({"x_train": X * 2.0}, "its values go from 0 to 510, beyond 0 to 255"),
        ({"x_train": np.where(X > 0, X, np.nan)}, "expected: not all of its values are finite"),
        ({"x_train": X.transpose(0, 3, 1, 2)}, "has its channels first; (N, H, W, C) is expected"),
        ({"x_test": X.transpose(0, 3, 1, 2)}, "save x_test.transpose(0, 2, 3, 1)"),
        ({"x_train": X[..., :1].transpose(0, 3, 1, 2)}, "of shape (40, 1, 8, 8) has its channels"),
        (
            {"y_train": Y + 1, "y_test": Y[:20] + 1},
            "labels run from 1 to 10; classes are numbered from",
        ),
        ({"y_train": Y + 1, "y_test": Y[:20] + 1}, "save y_train - 1 and y_test - 1"),
        ({"x_train": X.reshape(40, -1)}, "x_train is uint8 of shape (40, 192)"),
        ({"x_train": X[:0]}, "x_train is uint8 of shape (0, 8, 8, 3)"),
        ({"x_test": X[:, :7]}, "images of shape (8, 8, 3) in x_train, (7, 8, 3) in x_test"),
        ({"y_train": Y[:-1]}, "y_train is int64 of shape (39,); 40 whole numbers from 0 on"),
        ({"y_train": Y - 1}, "40 whole numbers from 0 on are expected"),
        ({"y_train": Y.astype(float)}, "y_train is float64 of shape (40,)"),
        (
            {"y_train": np.array([None] * 40)},
            "y_train is no array of plain numbers (it holds object)",
        ),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(
    changes: dict[str, object], text: str, tmp_path: Path
) -> None:
    with pytest.raises(RgtoolError) as refused:
        load(save(tmp_path / "mine.npz", **changes))
    assert str(refused.value).startswith(str(tmp_path / "mine.npz"))
    assert text in str(refused.value)


def test_what_is_odd_about_ones_own_data_is_said_before_it_trains(cli: Cli, tmp_path: Path) -> None:
    sparse = {"y_train": Y * 3, "y_test": np.minimum(synthetic().y_test * 3, 24)}
    images = load(save(tmp_path / "mine.npz", **sparse))
    assert images.classes == 28
    train, test = images.notes
    assert train.startswith(f"{images.name}: 18 of 28 classes have no training image (1, 2, 4, 5,")
    assert "19 of 28 classes have no test image" in test
    one = {"y_test": np.minimum(synthetic().y_test, 8)}
    task = save(tmp_path / "mine.npz", **one, x_train=X // 128, x_test=X[: len(one["y_test"])])
    found = load(task).notes
    assert [note.split(": ")[1].split(";")[0] for note in found] == [
        "1 of 10 classes have no test image (9), and an output of the network all the same",
        "no pixel is above 1 of 255",
    ]
    done = cli("run", "lenet", task, "--levels", "1", "--epochs", "1", "--dry-run")
    assert done.code == 0
    assert all(note in done.err for note in found)
    assert load(save(tmp_path / "mine.npz")).notes == load("digits").notes == ()
    alone = {"y_train": Y * 0, "y_test": synthetic().y_test * 0}
    (note,) = load(save(tmp_path / "mine.npz", **alone)).notes
    assert "all images are of one class" in note


@pytest.mark.parametrize("shape", [(4, 4, 4), (5, 8, 5), (8, 8, 4), (8, 8, 12), (5, 5, 5)])
def test_small_images_and_many_channels_stay_images(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    x = np.arange(40 * np.prod(shape)).astype(np.uint8).reshape(40, *shape)
    images = load(save(tmp_path / "mine.npz", x_train=x, x_test=x, y_test=Y))
    assert images.input_shape == (shape[2], *shape[:2])


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(RgtoolError, match="none.npz: no such file; npz:FILE names an archive"):
        load(f"npz:{tmp_path}/none.npz")


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("x_train, y_train")


def half(path: Path) -> None:
    save(path)
    path.write_bytes(path.read_bytes()[:-50])


def single(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, X)


@pytest.mark.parametrize("write", [text, nothing, half, single])
def test_files_that_are_no_archive_are_refused(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / "broken.npz")
    with pytest.raises(RgtoolError, match="broken.npz: not an archive of plain arrays"):
        load(f"npz:{tmp_path}/broken.npz")


# MNIST and its kin.


def idx(array: np.ndarray) -> bytes:
    sizes = np.array(array.shape, ">i4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def small_kin(task: str) -> Images:
    """As many images of every class as the data set has, of four pixels each."""
    known = dataclasses.replace(KNOWN_DATA[task], shape=(1, 2, 2))
    return known.noise()


def write_idx(
    folder: Path, task: str, pack: Callable[[bytes], bytes] = bytes, ending: str = ""
) -> None:
    images = small_kin(task)
    for part, prefix in (("train", "train"), ("test", "t10k")):
        x, y = getattr(images, f"x_{part}")[..., 0], getattr(images, f"y_{part}")
        (folder / f"{prefix}-images-idx3-ubyte{ending}").write_bytes(pack(idx(x)))
        (folder / f"{prefix}-labels-idx1-ubyte{ending}").write_bytes(pack(idx(y)))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("task", "home"),
    [("mnist", "."), ("mnist", "MNIST/raw"), ("fashion-mnist", "FashionMNIST/raw")],
)
def test_idx_files_are_read_where_people_keep_them(
    task: str, home: str, zipped: bool, tmp_path: Path
) -> None:
    (tmp_path / home).mkdir(parents=True, exist_ok=True)
    write_idx(tmp_path / home, task, *((gzip.compress, ".gz") if zipped else ()))
    images, right = load(task, tmp_path), small_kin(task)
    assert_sound(images)
    assert images.name == task
    for part in PARTS:
        np.testing.assert_array_equal(getattr(images, part), getattr(right, part))


@pytest.mark.parametrize("damage", [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\x01\0"])
def test_broken_idx_files_are_named(damage: bytes, tmp_path: Path) -> None:
    write_idx(tmp_path, "mnist")
    path = tmp_path / "t10k-labels-idx1-ubyte"
    path.write_bytes(damage)
    with pytest.raises(RgtoolError, match=f"{path}: not a whole IDX file"):
        load("mnist", tmp_path)
    write_idx(tmp_path, "mnist", gzip.compress, ".gz")
    for plain in tmp_path.glob("*ubyte"):
        plain.unlink()
    zipped = path.with_name(path.name + ".gz")
    zipped.write_bytes(zipped.read_bytes()[:-9])
    with pytest.raises(RgtoolError, match=f"{zipped}: not a whole IDX file"):
        load("mnist", tmp_path)


@pytest.mark.parametrize(
    ("asked", "there"), [("mnist", "fashion-mnist"), ("fashion-mnist", "mnist")]
)
def test_the_files_of_another_kin_are_refused(asked: str, there: str, tmp_path: Path) -> None:
    write_idx(tmp_path, there)
    with pytest.raises(RgtoolError, match=f"the files of {there}, not those of {asked}: bring"):
        load(asked, tmp_path)
    assert load(there, tmp_path).name == there
    home = tmp_path / KNOWN_DATA[asked].files  # the folder that is its own goes before
    home.mkdir(parents=True)
    write_idx(home, asked)
    assert load(asked, tmp_path).name == asked
    (tmp_path / "few").mkdir()
    write_idx(tmp_path / "few", asked)
    (tmp_path / "few" / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(9)))
    with pytest.raises(RgtoolError, match=r"60000 \+ 9 other images, not those of"):
        load(asked, tmp_path / "few")


def test_kin_without_a_name_here_is_known_by_its_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(tmp_path, "fashion-mnist")
    digest = hashlib.md5((tmp_path / "train-images-idx3-ubyte").read_bytes()).hexdigest()
    monkeypatch.setitem(known_data._OTHER_KIN, digest, "KMNIST")
    with pytest.raises(RgtoolError, match="the files of KMNIST, not those of fashion-mnist"):
        load("fashion-mnist", tmp_path)


# Published data sets, through torchvision.


@pytest.mark.parametrize("task", ["cifar10", "svhn", "mnist"])
def test_without_torchvision_it_is_named(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torchvision", "torchvision.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RgtoolError, match=f"{task} is read by torchvision, which cannot be imp"):
        load(task, tmp_path)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("task", "files"),
    [
        ("cifar10", "cifar-10-batches-py"),
        ("cifar100", "cifar-100-python"),
        ("svhn", "train_32x32.mat"),
        ("mnist", "MNIST/raw"),
    ],
)
def test_absent_files_are_asked_for_where_they_belong(
    task: str, files: str, tmp_path: Path
) -> None:
    with pytest.raises(RgtoolError) as refused:
        load(task, tmp_path)
    text = str(refused.value)
    assert f"{task}: not found in {tmp_path} and the download failed (" in text
    assert f"Bring the official files to {tmp_path / files}" in text
    assert "--data DIR or RGTOOL_DATA" in text
    assert "\n" not in text


def test_torchvision_is_imported_once_and_again() -> None:
    code = """
from rgtool.runner.datasets.vision import torchvision_datasets
one, two = torchvision_datasets(), torchvision_datasets()
assert one is two and one.CIFAR10 and one.SVHN
import torchvision.transforms
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    assert torchvision_datasets() is importlib.import_module("torchvision.datasets")


AUGMENT = {"cifar10": ("flip", "crop4"), "cifar100": ("flip", "crop4"), "svhn": ()}


@pytest.mark.parametrize("task", official.CLASSES)
def test_published_files_are_read_as_they_lie(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = official.write(task, tmp_path)
    official.accept(task, tmp_path, monkeypatch)
    images = load(task, tmp_path)
    assert_sound(images)
    assert (images.name, images.augment) == (task, AUGMENT[task])
    assert images.classes == (classes := official.CLASSES[task])
    for part, expected in zip(PARTS, (*train, *test), strict=True):
        np.testing.assert_array_equal(getattr(images, part), expected)

    part = load(task, tmp_path, train_size=3 * classes)
    np.testing.assert_array_equal(np.bincount(part.y_train), [3] * classes)
    for label in range(classes):
        first = images.x_train[images.y_train == label][:3]
        np.testing.assert_array_equal(part.x_train[part.y_train == label], first)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("task", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_3"),
        ("cifar10", "cifar-10-batches-py/test_batch"),
        ("cifar100", "cifar-100-python/meta"),
        ("svhn", "test_32x32.mat"),
    ],
)
def test_damaged_files_are_not_used(
    task: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official.write(task, tmp_path)
    official.accept(task, tmp_path, monkeypatch)
    load(task, tmp_path)
    damaged = tmp_path / file
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(RgtoolError, match=f"{task}: not found in .* Bring the official files"):
        load(task, tmp_path)


def header(descr: str, shape: tuple[int, ...], text: str | None = None) -> bytes:
    """The beginning of an npy file that announces whatever is wanted."""
    about = text or repr({"descr": descr, "fortran_order": False, "shape": shape})
    line = about.encode() + b" " * (64 - (11 + len(about)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line


def archive_with(path: Path, x_train: bytes, method: int = zipfile.ZIP_STORED) -> str:
    """A valid archive but for one member."""
    save(path)
    with zipfile.ZipFile(path) as valid:
        members = {name: valid.read(name) for name in valid.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in {**members, "x_train.npy": x_train}.items():
            archive.writestr(name, content)
    return f"npz:{path}"


PICKLE = b"\x80\x04cposix\nsystem\nX\x04\0\0\0true\x85R."


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (header("|u1", (10**12, 8, 8)), "takes 64000000000000 bytes, and 0 are there"),
        (header("|u1", (2**62, 8, 8)) + b"x" * 100, "and 100 are there"),
        (header("|u1", (-1, 8, 8)) + b"x" * 64, "of shape"),
        (header("|u1", (0, 2**62)), "bytes .uint8. of shape"),
        (header("", (), "(" * 9000), "x_train is no array of plain numbers"),
        (header("", (), "__import__('os').system('touch PWNED')"), "no array of plain numbers"),
        (header("", (), "{'descr': " + "[" * 3000 + "]" * 3000 + "}"), "no array of plain numbers"),
        (header("|O", (60, 8, 8)) + PICKLE, "it holds object"),
        (header("<U1000000000", (60, 8, 8)), "no array of plain numbers"),
        (PICKLE, "no array of plain numbers"),
        (b"", "no array of plain numbers"),
    ],
    ids=range(11),
)
def test_what_an_array_announces_is_held_to_what_is_there(
    content: bytes, told: str, tmp_path: Path
) -> None:
    task = archive_with(tmp_path / "mine.npz", content)
    with pytest.raises(RgtoolError, match=told) as refused:
        load(task)
    assert str(refused.value).startswith(f"{tmp_path}/mine.npz: ")
    assert len(str(refused.value).splitlines()) == 1
    assert not Path("PWNED").exists()


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    zeros = header("|u1", (1 << 20, 16, 16)) + bytes(1 << 28)
    task = archive_with(tmp_path / "mine.npz", zeros, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        with pytest.raises(RgtoolError, match="x_train unpacks to 268435584 bytes, more than 100"):
            load(task)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_an_archive_of_a_later_version_is_told(tmp_path: Path) -> None:
    task = save(tmp_path / "mine.npz")
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(RgtoolError, match="mine.npz: not an archive of plain arrays .zip file ver"):
        load(task)


@pytest.mark.parametrize(
    ("place", "value"), [(6, 1), (8, 99)], ids=["encrypted", "unknown compression"]
)
def test_archives_that_cannot_be_unpacked_are_told(place: int, value: int, tmp_path: Path) -> None:
    task = save(tmp_path / "mine.npz")
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    central = content.index(b"PK\x01\x02")
    content[place] = content[central + place + 2] = value
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(RgtoolError, match="mine.npz: x_train is no array of plain numbers"):
        load(task)


@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_damage_is_seen_or_harmless(place: int, flip: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mine.npz")
        task = save(path)
        whole, content = load(task).sha256, bytearray(path.read_bytes())
        content[place % len(content)] ^= flip
        path.write_bytes(content)
        try:
            found = load(task)
        except RgtoolError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert found.sha256 == whole


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_fifo_is_no_archive(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(RgtoolError, match="pipe.npz: a named pipe where a file is due"):
        load(f"npz:{tmp_path}/pipe.npz")


@pytest.mark.parametrize("label", [10**9, 2**62, 2**64 - 1])
def test_labels_beyond_all_classes_are_told(label: int, tmp_path: Path) -> None:
    labels = np.zeros(len(load(save(tmp_path / "a.npz")).y_train), dtype=np.uint64)
    labels[0] = label
    with pytest.raises(RgtoolError, match=f"y_train has the label {label}: classes are numbered"):
        load(save(tmp_path / "mine.npz", y_train=labels))


def test_a_name_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff\x1b.npz")
    assert load(save(tmp_path / name)).name.startswith(r"npz-a\udcff\x1b-")
