"""Data sets that are made of others: permuted, with random labels, of noise, smoothed."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import official
import pytest
import torch
from command import Cli
from experiments import go, only_run, results, synthetic
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

import rgtool
from rgtool.runner import data
from rgtool.runner.data import find_task, load, outline, shape_of
from rgtool.runner.datasets.images import Images
from rgtool.runner.datasets.known_data import KNOWN_DATA
from rgtool.runner.datasets.wrapped import MAKERS, Wrapped, low_pass, pixel_order
from rgtool.runner.plan import plan
from rgtool.runner.replicas.loader import Loader
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.records.data_names import KINDS
from rgtool.schemas.records.description import Description

PARTS = ("x_train", "y_train", "x_test", "y_test")
DIGITS = load("digits")
CPU = torch.device("cpu")


def same(one: Images, other: Images, *parts: str) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in parts)


def states() -> list[object]:
    """All global states of random numbers."""
    numpy = np.random.get_state()[1]  # noqa: NPY002
    return [random.getstate(), torch.get_rng_state().tolist(), numpy.tolist()]


def coloured(monkeypatch: pytest.MonkeyPatch, name: str = "colours", **about: object) -> Images:
    """Make images in colour a data set of this name."""
    images = dataclasses.replace(synthetic(60, **about), name=name)  # type: ignore[arg-type]
    monkeypatch.setitem(data.DATASETS, name, lambda folder: images)
    return images


def test_every_kind_of_name_is_made() -> None:
    assert MAKERS.keys() == KINDS.keys()


@pytest.mark.parametrize(
    ("task", "digest"),
    [
        ("permuted:digits:7", "270cf9351f28a850867e5e00de5621436e25116a23604532569bba7ebbbfb27c"),
        (
            "random-labels:digits:7",
            "d10cf60f578f52f152ca384a2bef501d22a284b0e5571875b40517e8b741485e",
        ),
        ("noise:digits:7", "a301c2ee3ae6e8854705611453be7d92278c4d2f570c3275160300da51e46083"),
        ("low-pass:digits:2.5", "7b3cda12745a1b20542f786521bebecf3eea30dc19fd58108f0fd17a4c704b74"),
    ],
)
def test_they_keep_their_hashes(task: str, digest: str) -> None:
    """On every machine and with every version: runs record them, and go on upon the same alone."""
    images = load(task)
    assert images.name == task
    assert images.sha256 == digest


@pytest.mark.parametrize("kind", ["permuted", "random-labels", "noise"])
def test_what_is_drawn_follows_from_the_seed_alone(kind: str) -> None:
    before = states()
    one, other = load(f"{kind}:digits:0"), load(f"{kind}:digits:1")
    assert states() == before
    assert load(f"{kind}:digits:0").sha256 == one.sha256
    assert len({one.sha256, other.sha256, DIGITS.sha256}) == 3


# Permuted pixels.


def test_one_order_serves_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    images = coloured(monkeypatch)
    twin, order = load("permuted:colours:3"), pixel_order((3, 8, 8), 3)
    assert sorted(order) == [*range(64)] and (order != np.arange(64)).any()
    for part in ("x_train", "x_test"):
        before, after = getattr(images, part), getattr(twin, part)
        for place, source in enumerate(order):
            np.testing.assert_array_equal(
                after[:, place // 8, place % 8], before[:, source // 8, source % 8]
            )
    assert same(twin, images, "y_train", "y_test")
    assert (twin.mean, twin.std, twin.classes) == (images.mean, images.std, images.classes)
    np.testing.assert_array_equal(twin.natural, images.x_train)
    assert images.natural is images.x_train


def test_orders_are_as_likely_as_each_other() -> None:
    first = [pixel_order((1, 2, 2), seed).tolist() for seed in range(2400)]
    counts = np.unique([int("".join(map(str, order))) for order in first], return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-4


def test_data_sets_of_one_size_have_one_order_in_common() -> None:
    np.testing.assert_array_equal(pixel_order((1, 8, 8), 5), pixel_order((3, 8, 8), 5))
    assert (pixel_order((1, 4, 16), 5) != pixel_order((1, 8, 8), 5)).any()


@pytest.mark.parametrize("augment", [(), ("flip",), ("crop3",), ("flip", "crop4")])
def test_images_are_augmented_as_before_and_permuted_then(
    augment: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = coloured(monkeypatch, augment=augment)
    twin, order = load("permuted:colours:3"), pixel_order((3, 8, 8), 3)
    assert twin.augment == augment

    def batches(of: Images, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
        loader = Loader(of, batch_size=16, augment=augment, seed=seed, device=CPU)
        return [*loader.epoch(0), *loader.epoch(1)]

    for (x, y), (x_twin, y_twin) in zip(batches(images), batches(twin), strict=True):
        assert torch.equal(y, y_twin)
        assert torch.equal(x.flatten(2)[:, :, order], x_twin.flatten(2))
    plain = Loader(twin, batch_size=80, augment=(), seed=0, device=CPU)  # of the same images
    raw = plain.normalise(torch.from_numpy(twin.x_train))
    (number, _, _) = draw = next(plain.draws(0))
    assert torch.equal(plain.gather(draw)[0], raw[number])


def test_a_part_of_the_twin_is_the_twin_of_the_part() -> None:
    part, twin = load("digits", None, 200, 100), load("permuted:digits:4", None, 200, 100)
    order = pixel_order((1, 8, 8), 4)
    for name in ("x_train", "x_valid", "x_test"):
        before, after = getattr(part, name), getattr(twin, name)
        np.testing.assert_array_equal(
            before.reshape(len(before), -1)[:, order], after.reshape(len(after), -1)
        )
    assert same(part, twin, "y_train", "y_valid", "y_test")


# Random labels.


def test_labels_are_shuffled_within_each_part() -> None:
    images = load("random-labels:digits:0")
    assert same(images, DIGITS, "x_train", "x_test")
    for part in ("y_train", "y_test"):
        before, after = getattr(DIGITS, part), getattr(images, part)
        np.testing.assert_array_equal(np.bincount(before), np.bincount(after))
        assert np.mean(before == after) == pytest.approx(0.1, abs=0.06)
        assert stats.chi2_contingency(np.histogram2d(before, after, 10)[0]).pvalue > 1e-4
    (note,) = images.notes
    assert "test accuracy is that of guessing" in note


# Noise.


def test_noise_has_shapes_and_labels_and_nothing_else_of_the_data() -> None:
    images = load("noise:digits:0")
    assert same(images, DIGITS, "y_train", "y_test")
    for part in ("x_train", "x_test"):
        noise = getattr(images, part)
        assert noise.shape == getattr(DIGITS, part).shape and noise.dtype == np.uint8
        assert stats.chisquare(np.bincount(noise.ravel(), minlength=256)).pvalue > 1e-4
    seen = {x.tobytes() for x in images.x_train}
    assert len(seen) == len(images.x_train)
    assert not any(x.tobytes() in seen for x in images.x_test)
    normal = (images.x_train / 255 - images.mean[0]) / images.std[0]
    assert normal.mean() == pytest.approx(0, abs=0.02)
    assert normal.std() == pytest.approx(1, abs=0.01)


def test_two_data_sets_have_noise_and_labels_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured(monkeypatch, "one"), coloured(monkeypatch, "other")
    assert not same(load("noise:one:0"), load("noise:other:0"), "x_train")
    assert not same(load("random-labels:one:0"), load("random-labels:other:0"), "y_train")


# Frequencies.


def smoothed(x: NDArray[np.uint8], cutoff: float) -> Images:
    """Images of one channel without what is above the cutoff."""
    y = np.zeros(len(x), dtype=np.int64)
    images = Images("any", x[..., None], y, x[..., None], y, 1, (0.5,), (0.5,))
    return low_pass(images, cutoff, "any")


def by_definition(x: NDArray[np.uint8], cutoff: float) -> NDArray[np.float64]:
    """The same by a sum over waves, one after the other."""
    _, height, width = x.shape
    rows, columns = np.mgrid[:height, :width]
    made = np.zeros(x.shape)
    for down in range(-(height // 2), height - height // 2):
        for across in range(-(width // 2), width - width // 2):
            side = max(height, width)
            if np.hypot(down * side / height, across * side / width) <= cutoff + 1e-9:
                wave = np.exp(2j * np.pi * (down * rows / height + across * columns / width))
                share = (x * wave.conj()).mean(axis=(1, 2))
                made += (share[:, None, None] * wave).real
    return made


@settings(deadline=None)
@example(5, 8, 0, 34)  # three cycles across and one down, of 8 / 5, are 3.4
@given(st.integers(3, 9), st.integers(3, 9), st.integers(0, 99), st.integers(10, 40))
def test_what_stays_are_the_waves_below_the_cutoff(
    height: int, width: int, seed: int, tenths: int
) -> None:
    x = np.random.default_rng(seed).integers(256, size=(3, height, width), dtype=np.uint8)
    try:
        images = smoothed(x, tenths / 10)
    except UsageError:
        np.testing.assert_allclose(by_definition(x, tenths / 10), x, atol=1e-9)
    else:
        right = by_definition(x, tenths / 10).clip(0, 255)
        for part in (images.x_train, images.x_test):
            np.testing.assert_allclose(part[..., 0], right, atol=0.5 + 1e-6)


@pytest.mark.parametrize("side", [8, 28, 31, 32])
def test_waves_stay_or_go_whole(side: int) -> None:
    across = np.cos(2 * np.pi * np.arange(side) / side * np.arange(side // 2 + 1)[:, None])
    x = np.rint(128 + 100 * across)[:, None, :].repeat(side, axis=1).astype(np.uint8)
    found = smoothed(x, 3).x_train[..., 0].astype(int)
    assert np.abs(found[:4] - x[:4].astype(int)).max() <= 2  # the rounding of x has all frequencies
    assert np.ptp(found[4:], axis=(1, 2)).max() <= 4


def test_halves_are_rounded_alike_everywhere() -> None:
    """With six pixels a side all grey levels are whole numbers of 72nds: every 72nd is a half."""
    x = np.random.default_rng(0).integers(256, size=(500, 6, 6), dtype=np.uint8)
    points = np.eye(36).reshape(36, 6, 6)
    shares = 72 * by_definition(points.astype(np.uint8), 2).reshape(36, 36)
    np.testing.assert_allclose(shares, np.rint(shares), atol=1e-9)
    exact = (x.reshape(-1, 36).astype(int) @ np.rint(shares).astype(int)).reshape(x.shape)
    assert np.mean(exact % 72 == 36) > 0.01
    right = np.where(exact % 144 == 36, exact // 72, (exact + 36) // 72).clip(0, 255)  # to even
    np.testing.assert_array_equal(smoothed(x, 2).x_train[..., 0], right)


def test_what_leaves_the_grey_levels_is_cut_off() -> None:
    x = np.zeros((1, 32, 32), dtype=np.uint8)
    x[:, :, 8:24] = 255
    beyond = by_definition(x, 8)
    assert beyond.min() < -15 and beyond.max() > 270
    found = smoothed(x, 8).x_train[..., 0]
    np.testing.assert_allclose(found, beyond.clip(0, 255), atol=0.5 + 1e-6)


def test_a_cutoff_that_nothing_exceeds_is_refused() -> None:
    with pytest.raises(UsageError, match=r"low-pass:digits:5.7: images of 8 x 8 pixels have at mo"):
        load("low-pass:digits:5.7")
    assert load("low-pass:digits:5.6").sha256 != DIGITS.sha256


# Within one another, and of anybody's data.


def test_they_nest_as_they_are_written() -> None:
    images = load("permuted:random-labels:low-pass:digits:2:5:7")
    assert images.name == "permuted:random-labels:low-pass:digits:2:5:7"
    order = pixel_order((1, 8, 8), 7)
    low = load("low-pass:digits:2").x_train.reshape(-1, 64)[:, order]
    np.testing.assert_array_equal(images.x_train.reshape(-1, 64), low)
    assert same(images, load("random-labels:digits:5"), "y_train", "y_test")


def test_archives_and_functions_stand_inside(tmp_path: Path) -> None:
    images = synthetic()
    np.savez(tmp_path / "a:b.npz", **{part: getattr(images, part) for part in PARTS})
    file = load(f"permuted:npz:{tmp_path}/a:b.npz:4")
    inner = load(f"npz:{tmp_path}/a:b.npz")
    assert file.name == f"permuted:{inner.name}:4"
    np.testing.assert_array_equal(file.natural, images.x_train)
    source = "import numpy as np\ndef load():\n    x = np.arange(60 * 64).reshape(60, 8, 8)\n"
    source += (
        "    y = np.arange(60) % 3\n    x = (x % 251).astype('uint8')\n    return x, y, x, y\n"
    )
    (tmp_path / "my.py").write_text(source)
    place = f"{tmp_path}/my.py:load"
    own = load(f"random-labels:{place}:4")
    assert own.name == f"random-labels:{load(place).name}:4"
    assert same(own, load(place), "x_train", "x_test")


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("permuted:cifar1:0", "data set 'cifar1' is unknown: did you mean cifar10"),
        ("permute:digits:1", "is unknown: did you mean permuted:digits:1?"),
        ("Lowpass:digits:3", "is unknown: did you mean low-pass:digits:3?"),
        ("random_labels:digits:3", "did you mean random-labels:digits:3?"),
        ("permuted:lowpass:digits:3:1", "'lowpass:digits:3' is unknown: did you mean low-pass:di"),
        ("permuted", "is unknown: write permuted:DATASET:SEED"),
        ("permuted:digits", "'digits' is not a seed"),
        ("permuted:my.py:load:1", "my.py: no such file"),
        ("permuted:npz:none.npz:1", "none.npz: no such file; npz:FILE names an archive"),
    ],
)
def test_what_is_no_data_set_is_told(task: str, told: str, cli: Cli) -> None:
    with pytest.raises(RgtoolError) as refused:
        load(task)
    assert told in str(refused.value)
    done = cli("run", "lenet", task, "--dry-run")
    assert done.code == refused.value.exit_code
    assert done.err == f"rgtool: {refused.value}\n"


def test_the_order_of_network_and_data_set_is_seen(cli: Cli) -> None:
    assert "did you mean lenet permuted:digits:1?" in cli("run", "permuted:digits:1", "lenet").err
    assert "a network comes before it" in cli("run", "noise:digits:1", "cifar10").err


# Plans and runs.


@pytest.mark.parametrize("task", ["permuted:low-pass:svhn:8:1", "random-labels:noise:svhn:8:1"])
def test_plans_need_no_data(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"epochs": 1, "rewind": "0", "levels": 1, "data": tmp_path, "store": tmp_path / "s"}
    made = plan("resnet8w4", task, "quick", train_size=1000, **options)
    noise = made.outline
    assert made.recipe.task == task and noise.name == task
    assert (noise.input_shape, noise.classes, len(noise.y_train)) == ((3, 32, 32), 10, 1000)
    assert any("svhn is not in" in note and "246 MB" in note for note in made.notes)
    assert shape_of(task, tmp_path) == ((3, 32, 32), 10)
    with pytest.raises(UsageError, match="at most 22.63 cycles"):
        plan("resnet8w4", "low-pass:svhn:23", "quick", **options)
    official.write("svhn", tmp_path)
    official.accept("svhn", tmp_path, monkeypatch)
    assert outline(find_task(task), tmp_path) is None
    whole, sketch = load(task, tmp_path), KNOWN_DATA["svhn"].noise()
    found = find_task(task)
    assert isinstance(found, Wrapped)
    about = found.outline(sketch)
    for field in dataclasses.fields(Images):
        if field.name not in PARTS:
            np.testing.assert_equal(getattr(about, field.name), getattr(whole, field.name))


def test_runs_are_repeatable_and_say_what_they_saw(tmp_path: Path) -> None:
    task, options = "permuted:random-labels:digits:1:2", {"levels": 1, "epochs": 1, "rewind": "1it"}
    for store in ("one", "two"):
        assert go(tmp_path / store, task=task, **options).seeds("done") == [0]
    assert results(tmp_path / "one") == results(tmp_path / "two")
    run = Description.read(only_run(tmp_path / "one").description)
    assert run.recipe.task == task
    assert run.versions["data_sha256"] == load(task).sha256


def test_other_processes_make_the_same(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(
        "from rgtool.runner.data import load as known\n"
        "def load():\n    return known('digits', train_size=100)\n"
    )
    task = f"permuted:{tmp_path}/my.py:load:2"
    options = {"levels": 1, "epochs": 2, "rewind": "1it", "seeds": 2}
    for store, workers in (("one", 1), ("two", 2)):
        done = rgtool.run(
            "lenet", task, "quick", store=tmp_path / store, workers=workers, progress=False,
            **options,
        )  # fmt: skip
        assert done.seeds("done") == [0, 1]
    assert results(tmp_path / "one") == results(tmp_path / "two")


def test_the_store_finds_them_by_their_names(tmp_path: Path, cli: Cli) -> None:
    task = "permuted:digits:3"
    go(tmp_path, task=task, levels=3, epochs=1, rewind="1it", seeds=2)
    for command in ("eigen", "show", "ls"):
        done = cli(command, f"LeNet/{task}", "--store", str(tmp_path))
        assert done.code == 0 and task in done.out + done.err
    assert cli("show", f"task={task}", "--store", str(tmp_path)).code == 0


# Lists.


def test_they_are_listed(cli: Cli) -> None:
    names = rgtool.datasets().names
    assert names[-4:] == [
        "noise:DATASET:SEED", "low-pass:DATASET:CUTOFF", "random-labels:DATASET:SEED",
        "permuted:DATASET:SEED",
    ]  # fmt: skip
    rows = {row[0]: row for row in rgtool.models("permuted:cifar100:3").table().rows}
    assert rows["resnet8"] == {r[0]: r for r in rgtool.models("cifar100").table().rows}["resnet8"]
    with pytest.raises(UsageError, match="data set 'cifar1000' is unknown: did you mean cifar100"):
        rgtool.models("permuted:cifar1000:1")
