"""Stretched and squeezed state dicts and masks, held to the published transform, key for key."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rgtool
from rgtool.runner.models import build
from rgtool.runner.replicas.training import Arrays
from rgtool.runner.tickets.elastic import later_copies, stretched
from rgtool.schemas.blocks import Architecture, Layer, architecture
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors
from rgtool.schemas.tickets.transform import StageMap, Transform
from rgtool.store.figures import figure_rows

DEPTHS = (14, 20, 26, 32, 38, 44, 56)
MAPPINGS = figure_rows("published_elastic_mappings")  # Chen et al. 2021c, Figs. 4 to 6


def random_state(name: str, classes: int = 10, seed: int = 0) -> Arrays:
    """A state dict whose every tensor is told from every other."""
    rng = np.random.default_rng(seed)
    state = build(name, (3, 32, 32), classes).state_dict()
    return {
        key: np.array(rng.integers(1, 10**6)) if not tensor.shape else rng.normal(size=tensor.shape)
        for key, tensor in state.items()
    }


def published(source: Arrays, target_depth: int, mapping: dict[int, list[int]]) -> Arrays:
    """What the published transform does, told in its own words.

    Blocks are numbered through the whole network; block b of stage s has the number
    (s - 1) n + b. Conv and batch norm of a block are copied to every block its number maps to, the
    first of a stage with its shortcut to the first of the stage; what is no block is copied.
    """
    numbered = [re.fullmatch(r"layer(\d)\.(\d+)\.(.*)", key) for key in source]
    old = 1 + max(int(found[2]) for found in numbered if found)
    new = (target_depth - 2) // 6
    made: Arrays = {}
    for key, found in zip(source, numbered, strict=True):
        if found is None:
            made[key] = source[key]
            continue
        number = (int(found[1]) - 1) * old + int(found[2])
        stage, block = divmod(number, old)
        for goal in mapping.get(block, []):
            stage_, block_ = divmod(stage * new + goal, new)
            made[f"layer{stage_ + 1}.{block_}.{found[3]}"] = source[key]
    return made


def as_numbers(text: str) -> dict[int, list[int]]:
    pairs = (one.split(":") for one in text.split(";"))
    return {int(source): [int(t) for t in targets.split(",")] for source, targets in pairs}


def assert_equal(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("row", MAPPINGS, ids=lambda row: row["transform"])
def test_the_published_maps_key_for_key(row: dict[str, str]) -> None:
    source, target = row["from_architecture"], row["architecture"]
    state = random_state(source)
    found = stretched(
        state, architecture(source), architecture(target), Transform.parse(row["mapping"])
    )
    depth = int(target.removeprefix("resnet"))
    assert_equal(found, published(state, depth, as_numbers(row["mapping"])))
    assert found.keys() == build(target, (3, 32, 32), 10).state_dict().keys()


@pytest.mark.parametrize(("source", "target"), [*itertools.permutations(DEPTHS, 2)])
@pytest.mark.parametrize("order", [1, -1], ids=["onwards", "back to front"])
def test_all_pairs_of_depths_key_for_key(source: int, target: int, order: int) -> None:
    old, new = ((depth - 2) // 6 - 1 for depth in (source, target))
    feeds = [1 + i % old for i in range(new)][::order]
    text = str(Transform((StageMap(tuple(feeds)),)))
    state = random_state(f"resnet{source}w2")
    here, there = (architecture(f"resnet{depth}w2") for depth in (source, target))
    found = stretched(state, here, there, Transform.parse(text))
    assert_equal(found, published(state, target, as_numbers(text)))
    assert found.keys() == random_state(there.name).keys()


stage = st.lists(st.integers(1, 3), min_size=2, max_size=2)


@settings(max_examples=25)
@given(st.lists(stage, min_size=3, max_size=3))
def test_every_stage_by_a_map_of_its_own(feeds: list[list[int]]) -> None:
    source, target = architecture("resnet26w2"), architecture("resnet20w2")
    masks = {
        layer.name: np.random.default_rng(i).random(layer.shape) < 0.5
        for i, layer in enumerate(source.layers)
    }
    transform = Transform(tuple(StageMap(tuple(one)) for one in feeds))
    found = stretched(masks, source, target, transform)
    assert list(found) and {*found} == {layer.name for layer in target.layers}
    for s, one in enumerate(feeds, start=1):
        for block, feed in enumerate((0, *one)):
            for conv in ("conv1", "conv2"):
                made = found[f"layer{s}.{block}.{conv}"]
                np.testing.assert_array_equal(made, masks[f"layer{s}.{feed}.{conv}"])


def test_blocks_that_are_fed_alike_share_no_memory() -> None:
    state = random_state("resnet14w2")
    here, there = architecture("resnet14w2"), architecture("resnet20w2")
    found = stretched(state, here, there, Transform.parse("0:0;1:1,2"))
    found["layer1.1.conv1.weight"][:] = 0
    np.testing.assert_array_equal(found["layer1.2.conv1.weight"], state["layer1.1.conv1.weight"])
    assert state["layer1.1.conv1.weight"].any()


def test_block_1_and_block_10_are_two() -> None:
    state = random_state("resnet68w2")
    here, there = architecture("resnet68w2"), architecture("resnet14w2")
    found = stretched(state, here, there, Transform.parse("0:0;10:1"))
    name = "layer2.{}.bn2.running_var"
    np.testing.assert_array_equal(found[name.format(1)], state[name.format(10)])
    assert len(found) == len(random_state("resnet14w2"))


@pytest.mark.parametrize(("source", "target"), [("resnet18", "resnet34"), ("resnet50", "resnet50")])
def test_networks_of_other_depths_in_every_stage(source: str, target: str) -> None:
    here, there = architecture(source), architecture(target)
    depths = [len({x.block for x in there.layers if x.stage == s}) - 1 for s in "1234"]
    olds = [len({x.block for x in here.layers if x.stage == s}) - 1 for s in "1234"]
    transform = Transform(
        tuple(
            StageMap(tuple(1 + i * old // new for i in range(new)))
            for old, new in zip(olds, depths, strict=True)
        )
    )
    masks = {layer.name: np.full(1, i) for i, layer in enumerate(here.layers)}
    found = stretched(masks, here, there, transform)
    assert {*found} == {layer.name for layer in there.layers}
    assert (
        found["layer3.5.conv2"] == masks["layer3.5.conv2" if source == target else "layer3.1.conv2"]
    )


def test_layers_that_are_not_counted_are_not_asked_for() -> None:
    here, there = architecture("resnet20w2"), architecture("resnet14w2")
    masks = {x.name: np.ones(x.shape, bool) for x in here.counted("convolutions_without_stem")}
    found = stretched(masks, here, there, Transform.parse("0:0;1:1"))
    assert {*found} == {x.name for x in there.counted("convolutions_without_stem")}


# What does not fit


def test_what_is_not_filled_is_named() -> None:
    here, there = architecture("resnet14w2"), architecture("resnet20w2")
    state = random_state("resnet14w2")
    names = {*random_state("resnet20w2")}
    transform = Transform.parse("0:0;1:1,2")
    assert stretched(state, here, there, transform, names).keys() == names
    del state["layer3.1.bn2.running_mean"]
    assert "layer3.2.bn2.running_mean" not in stretched(state, here, there, transform)
    expected = r"resnet14w2 to resnet20w2 by 0:0;1:1,2: .* 'layer3\.[12]\.bn2\.running_mean'"
    with pytest.raises(RgtoolError, match=expected):
        stretched(state, here, there, transform, names)
    del state["layer2.1.conv1.weight"]
    with pytest.raises(RgtoolError, match=r"makes 'layer2\.1\.conv1\.weight'"):
        stretched(state, here, there, transform)


@pytest.mark.parametrize(
    ("source", "target", "text", "said"),
    [
        ("resnet14w2", "resnet20w4", "0:0;1:1,2", "different families"),
        ("resnet14w2", "resnet20w2", "0:0;1:1", "makes 1 normal blocks in stage 1"),
        ("resnet14w2", "resnet20w2", "0:0;2:1,2", "takes block 2 of stage 1"),
        ("resnet14w2", "lenet", "0:0;1:1", "no stages of residual blocks"),
    ],
)
def test_maps_that_do_not_fit_are_refused(source: str, target: str, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        stretched({}, architecture(source), architecture(target), Transform.parse(text))


def test_a_block_that_is_no_module_is_refused() -> None:
    def network(*names: str) -> Architecture:
        layers = [
            Layer(name, "conv", (4, 4, 3, 3), f"1.{i // 2}", "1") for i, name in enumerate(names)
        ]
        return Architecture("own", tuple(layers))

    tidy = network("a.0.x", "a.0.y", "a.1.x", "a.1.y")
    keys = {f"{n}.{x}" for n in ("a.0.x", "a.0.norm", "a.1.x", "a.1.y", "a.0.y") for x in "wb"}
    found = stretched(
        {key: np.zeros(1) for key in keys}, tidy, tidy, Transform.parse("0:0;1:1"), keys
    )
    assert found.keys() == keys
    for names in (("x", "y", "z", "w"), ("a.0", "a.1", "a.2", "a.3")):
        with pytest.raises(UsageError, match=r"own: block 1\.0 \(.*\) is no module by itself"):
            stretched({}, network(*names), network(*names), Transform.parse("0:0;1:1"))


def test_later_copies_are_named() -> None:
    there = architecture("resnet26w2")
    found = later_copies(there, Transform.parse("0:0;1:1,3;2:2|0:0;2:3;1:1,2|0:0;1:3;2:1,2"))
    blocks = ("layer1.3", "layer2.2", "layer3.2")
    assert found == tuple(f"{block}.{conv}" for block in blocks for conv in ("conv1", "conv2"))
    assert later_copies(there, Transform.parse("0:0;1:1;2:2;3:3")) == ()


def test_copies_get_masks_of_their_own_and_plain_weights(tmp_path: Path) -> None:
    small = {"width": 2, "train_size": 150, "epochs": 1, "batch_size": 50, "store": tmp_path}
    common = {"workers": 1, "progress": False}
    source = rgtool.run("resnet14", "digits", levels=2, rewind="1it", **small, **common)
    asked = {"parent": source.experiment_id, "transform": "0:0;1:1,2", "at": 2, "store": tmp_path}
    plain = rgtool.run("resnet20w2", "digits", **asked, **common)
    copies = rgtool.run("resnet20w2", "digits", control="copies", **asked, **common)
    one, other = (RunFolder.of(tmp_path, run.runs[0]) for run in (plain, copies))
    assert_equal(read_tensors(one.weights("rewind"))[0], read_tensors(other.weights("rewind"))[0])
    masks = read_mask(one.mask(2)), read_mask(other.mask(2))
    for name in masks[0]:
        later = name.startswith(("layer1.2", "layer2.2", "layer3.2"))
        assert np.array_equal(masks[0][name], masks[1][name]) != later, name
        assert masks[0][name].sum() == masks[1][name].sum()
    with pytest.raises(UsageError, match="blocks that a map repeats, and here none is repeated"):
        rgtool.run("resnet14w2", "digits", control="copies", **{**asked, "transform": None})
    with pytest.raises(UsageError, match='control="copies" is of tickets of another'):
        rgtool.run("resnet14w2", "digits", control="copies", store=tmp_path)
