"""Data sets of the user's own, as a function returns them."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments import go, synthetic
from torch.utils.data import Dataset, TensorDataset

from rgtool.runner import data
from rgtool.runner.data import Images, find_task, load
from rgtool.runner.experiment import execute, plan
from rgtool.schemas.errors import RgtoolError, UsageError

RIGHT = synthetic(40)
ARRAYS = (RIGHT.x_train, RIGHT.y_train, RIGHT.x_test, RIGHT.y_test)


def loaded(returned: Any) -> Images:
    def mine() -> Any:
        return returned

    return load(find_task(mine))


def same(images: Images, right: Images = RIGHT) -> bool:
    parts = ("x_train", "y_train", "x_test", "y_test")
    return all(
        np.array_equal(getattr(images, part), getattr(right, part))
        and getattr(images, part).dtype == getattr(right, part).dtype
        for part in parts
    )


def first(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 3, 1, 2)


class Items(Dataset[tuple[Any, Any]]):
    """A data set of PyTorch's kind, item by item."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, place: int) -> tuple[Any, Any]:
        return self.x[place], self.y[place]


class Noisy(Items):
    def __getitem__(self, place: int) -> tuple[Any, Any]:
        x, y = super().__getitem__(place)
        return x + np.random.default_rng().integers(0, 9, x.shape).astype(np.uint8), y


def tensors(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(first(x) / np.float32(255))


@pytest.mark.parametrize(
    "returned",
    [
        ARRAYS,
        list(ARRAYS),
        tuple(map(torch.from_numpy, ARRAYS)),
        (first(RIGHT.x_train), RIGHT.y_train, first(RIGHT.x_test), RIGHT.y_test),
        (tensors(RIGHT.x_train), RIGHT.y_train, tensors(RIGHT.x_test), RIGHT.y_test),
        (Items(*ARRAYS[:2]), Items(*ARRAYS[2:])),
        (Items(tensors(RIGHT.x_train), RIGHT.y_train), Items(first(RIGHT.x_test), RIGHT.y_test)),
        tuple(TensorDataset(tensors(x), torch.from_numpy(y)) for x, y in (ARRAYS[:2], ARRAYS[2:])),
    ],
)
def test_what_is_returned_becomes_the_same_images(returned: Any) -> None:
    images = loaded(returned)
    assert same(images)
    assert images.name == loaded(ARRAYS).name
    assert re.fullmatch("mine-[0-9a-f]{8}", images.name)
    pixels = RIGHT.x_train.reshape(-1, 3) / 255
    np.testing.assert_allclose(images.mean, pixels.mean(axis=0), atol=1e-4)


def test_images_keep_what_they_say_and_it_counts() -> None:
    mine = dataclasses.replace(
        RIGHT, name="birds", augment=("flip",), y_train=RIGHT.y_train.astype(np.int32)
    )
    images = loaded(mine)
    assert same(images) and images.augment == ("flip",) and images.mean == RIGHT.mean
    assert re.fullmatch("birds-[0-9a-f]{8}", images.name)
    other = loaded(dataclasses.replace(mine, mean=(0.0, 0.0, 0.0)))
    assert other.name != images.name
    for wrong, text in [
        ({"classes": 3}, "a label is 9, and there are 3 classes"),
        ({"mean": (0.5,)}, "as many channels"),
        ({"x_test": RIGHT.x_test[:, :4]}, "of one shape"),
        ({"x_train": RIGHT.x_train / 2}, "x_train is float64"),
    ]:
        with pytest.raises(RgtoolError, match=text):
            loaded(dataclasses.replace(mine, **wrong))


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (3, "mine returns int; x_train, y_train"),
        (ARRAYS[:3], "mine returns 3 things; x_train"),
        ((1, 2), "mine returns 2 things"),
        ((tensors(RIGHT.x_train) * 2 - 1, *ARRAYS[1:]), "before they were normalised"),
        ((tensors(RIGHT.x_train) * 0.9, *ARRAYS[1:]), "its values are 0 to 1"),
        ((RIGHT.x_train.astype(np.float32), *ARRAYS[1:]), "its values are 0 to 255"),
        ((RIGHT.x_train, RIGHT.y_train + 1, RIGHT.x_test, RIGHT.y_test + 1), "numbered from 0"),
        ((Items(RIGHT.x_train, ["cat"] * 40), Items(*ARRAYS[2:])), "is no pair of image and class"),
        ((Items([], []), Items(*ARRAYS[2:])), "no images in Items"),
        (
            (Items([RIGHT.x_train[0], RIGHT.x_train[1][:4]], [0, 1]), Items(*ARRAYS[2:])),
            r"shapes \(8, 8, 3\) and \(4, 8, 3\) in Items; all have one shape",
        ),
        ((Noisy(*ARRAYS[:2]), Items(*ARRAYS[2:])), "gives another image every time: .*augment"),
    ],
)
def test_what_is_no_data_set_is_refused(returned: Any, text: str) -> None:
    with pytest.raises(RgtoolError, match=text):
        loaded(returned)


def test_a_function_gets_the_folder_of_the_data(tmp_path: Path) -> None:
    def mine(folder: Path) -> Any:
        assert folder == tmp_path
        return ARRAYS

    assert same(load(find_task(mine), tmp_path))


def test_a_function_that_lacks_something_is_refused() -> None:
    def mine(place: str) -> Any:
        return ARRAYS

    with pytest.raises(UsageError, match="mine asks for 'place'.*it gives folder by name"):
        load(find_task(mine))


TEXT = """
import numpy as np
{more}
def load():
    y = np.arange(60) % 3
    rng = np.random.default_rng({seed})
    x = (rng.normal(y[:, None, None] * 70 + 40, 20, (60, 6, 6))).clip(0, 255).astype("uint8")
    return x[:40], y[:40], x[40:], y[40:]
"""


def test_processes_load_it_themselves_and_names_follow_from_the_content(tmp_path: Path) -> None:
    store = tmp_path / "store"
    Path("my.py").write_text(textwrap.dedent(TEXT.format(seed=0, more="")))
    outcome = go(store, task="my.py:load", seeds=2, workers=2, levels=1)
    assert outcome.seeds("done") == [0, 1]
    Path("my.py").write_text(textwrap.dedent(TEXT.format(seed=0, more="# other text, same data")))
    assert go(store, task="my.py:load", seeds=2, levels=1).seeds("known") == [0, 1]
    Path("my.py").write_text(textwrap.dedent(TEXT.format(seed=1, more="")))
    assert go(store, task="my.py:load", levels=1).experiment_id != outcome.experiment_id


def test_data_that_differ_every_time_fail_in_words(tmp_path: Path) -> None:
    Path("my.py").write_text(textwrap.dedent(TEXT.format(seed="", more="")))
    outcome = go(tmp_path / "store", task="my.py:load", seeds=2, workers=2, levels=1)
    messages = [end.message for end in outcome.ends.values()]
    assert all("other data than before" in message for message in messages)


def test_the_name_of_a_data_set_of_rgtool_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.DATASETS, "my.py:load", lambda folder: RIGHT)
    assert load("my.py:load") is RIGHT


def test_arrays_of_the_process_stay_in_it(tmp_path: Path) -> None:
    arrays = ARRAYS

    def mine() -> Any:
        return arrays

    made = plan("lenet", mine, seeds=2, workers=2, levels=0, epochs=1)
    assert made.workers == 1
    assert "mine uses arrays (tuple), whose value no text tells" in " ".join(made.notes)
    assert execute(made).seeds("done") == [0, 1]
