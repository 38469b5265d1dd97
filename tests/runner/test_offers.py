"""What there is: lists of networks, data sets and recipes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import official
import pytest
from command import Cli

import rgtool
from rgtool.runner import data
from rgtool.runner.data import DATASETS, load
from rgtool.runner.datasets.images import Images
from rgtool.runner.datasets.known_data import KNOWN_DATA, find
from rgtool.runner.listing import Listing
from rgtool.runner.models import MODELS, build
from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import UsageError
from rgtool.schemas.records.data_names import KINDS, pattern


def rows_of(listing: Listing) -> dict[str, dict[str, Any]]:
    """Rows by their name, whole."""
    table = listing.table()
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_networks_are_listed_with_the_sizes_of_their_papers() -> None:
    rows = rows_of(rgtool.models())
    assert list(rows) == list(MODELS)
    # LeCun et al. 1998 as Frankle & Carbin 2019 count it; torchvision's tables of its networks.
    assert rows["lenet"]["parameters"] == 266_610
    assert rows["resnet18"]["parameters"] == 11_689_512
    assert rows["resnet50"]["parameters"] == 25_557_032
    for name in ("lenet", "resnet20", "resnet50", "vgg16"):
        counted = architecture(name).counted()
        assert rows[name]["prunable"] == sum(layer.total for layer in counted)
        assert rows[name]["layers"] == len(counted)
    assert all(row["what it is"] for row in rows.values())


def test_sizes_are_those_for_a_data_set() -> None:
    rows = rows_of(rgtool.models("CIFAR100"))
    for name in ("lenet", "resnet8", "resnet18"):
        module = build(name, (3, 32, 32), 100)
        assert rows[name]["parameters"] == sum(p.numel() for p in module.parameters())
        assert (rows[name]["input"], rows[name]["classes"]) == ("3x32x32", 100)
    with pytest.raises(UsageError, match=r"data set 'cifar1000' is unknown: did you mean cifar100"):
        rgtool.models("cifar1000")


def test_data_sets_are_listed_with_where_they_are(tmp_path: Path) -> None:
    official.write("cifar10", tmp_path)
    rows = rows_of(rgtool.datasets(tmp_path))
    assert list(rows) == [*DATASETS, *map(pattern, KINDS)]
    assert rows["digits"]["files"] == "come with rgtool"
    assert rows["cifar10"]["files"] == str(tmp_path / "cifar-10-batches-py")
    assert rows["svhn"]["files"] == "to be downloaded, 246 MB"
    assert (rows["svhn"]["training"], rows["svhn"]["test"]) == (73_257, 26_032)
    assert rows["mnist"]["training"] == 60_000


def test_a_data_set_without_known_facts_is_listed_by_its_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stripes(folder: Path) -> Images:
        """Stripes, upright or level."""
        raise AssertionError(folder)

    monkeypatch.setitem(data.DATASETS, "stripes", stripes)
    rows = rows_of(rgtool.datasets())
    assert rows["stripes"]["what it is"] == "Stripes, upright or level."
    assert rows["stripes"]["training"] is None


def test_what_is_known_of_digits_is_what_they_are() -> None:
    images, known = load("digits"), KNOWN_DATA["digits"]
    np.testing.assert_array_equal(np.bincount(images.y_train), known.train)
    assert (len(images.y_test), images.input_shape) == (known.test, known.shape)
    noise = known.noise()
    for name in (field.name for field in dataclasses.fields(Images)):
        ours, theirs = getattr(noise, name), getattr(images, name)
        if isinstance(theirs, np.ndarray):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        else:
            assert ours == theirs
    np.testing.assert_array_equal(np.bincount(noise.y_train), known.train)
    # Mixed, so that the last images are of all classes.
    assert len(np.unique(noise.y_train[-100:])) == 10


@pytest.mark.parametrize("name", official.CLASSES)
def test_files_are_found_where_torchvision_puts_them(name: str, tmp_path: Path) -> None:
    assert find(name, tmp_path) is None
    official.write(name, tmp_path)
    assert find(name, tmp_path) == tmp_path / KNOWN_DATA[name].files


def test_a_network_alone_is_listed_and_a_recipe_in_any_order(cli: Cli) -> None:
    assert rgtool.models("ResNet20").names == ["resnet20"]
    shown = cli("recipes", "show", "quick", "lenet")
    assert shown.code == 0 and "0.1" in shown.out
    assert cli("recipes", "Show", "LENET", "Quick") == shown


@pytest.mark.parametrize("command", ["models", "datasets", "recipes"])
def test_lists_are_the_same_for_people_programs_and_notebooks(command: str, cli: Cli) -> None:
    listing = getattr(rgtool, command)()
    done = cli(command, "--json")
    assert done.code == 0
    rows = json.loads(done.out)
    assert [next(iter(row.values())) for row in rows] == listing.names
    assert tuple(rows[0]) == listing.table().columns
    assert all(f">{name}<" in listing._repr_html_() for name in listing.names)
