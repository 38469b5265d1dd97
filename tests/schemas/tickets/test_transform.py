"""Stretches and squeezes as values: the grammar, what they fit, and how many there are."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgtool.analysis.elastic import maps as elastic_maps
from rgtool.analysis.elastic.maps import (
    as_transform,
    candidates,
    count_order_preserving,
    families,
    order_preserving,
    published_maps,
)
from rgtool.schemas.blocks import Layer
from rgtool.schemas.errors import UsageError
from rgtool.schemas.tickets.stack import check_family, same_family, stack_of
from rgtool.schemas.tickets.transform import StageMap, Transform
from rgtool.store.figures import figure_rows

MAPPINGS = figure_rows("published_elastic_mappings")  # Chen et al. 2021c, Figs. 4 to 6
DEPTHS = (14, 20, 32, 44, 56)

stage_maps = st.lists(st.integers(1, 12), max_size=15).map(lambda f: StageMap(tuple(f)))
transforms = st.lists(stage_maps, min_size=1, max_size=4).map(lambda s: Transform(tuple(s)))


# The grammar


@given(transforms)
def test_what_is_printed_is_read_back(transform: Transform) -> None:
    assert Transform.parse(str(transform)) == transform


@pytest.mark.parametrize("row", MAPPINGS, ids=lambda row: row["transform"])
def test_published_mappings_fit_and_print_back_unchanged(row: dict[str, str]) -> None:
    transform = Transform.parse(row["mapping"])
    source, target = stack_of(row["from_architecture"]), stack_of(row["architecture"])
    assert str(transform) == row["mapping"]
    assert transform.resolve(source, target) == transform
    for depth in DEPTHS:
        if f"resnet{depth}" != row["architecture"]:
            with pytest.raises(UsageError, match=rf"makes \d normal block.* and resnet{depth} has"):
                transform.resolve(source, stack_of(f"resnet{depth}"))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("2:1;0:0;1:2", "0:0;1:2;2:1"),
        ("0:0;1:3,1,2", "0:0;1:1,2,3"),
        ("0:0", "0:0"),
        ("0:0|0:0;5:1", "0:0|0:0;5:1"),
    ],
)
def test_a_transform_has_one_spelling(text: str, printed: str) -> None:
    assert str(Transform.parse(text)) == printed


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", 0, "expected a source block"),
        ("0", 1, "expected ':' after source block 0"),
        ("0:0;", 4, "expected a source block"),
        ("0:0;1:1,,2", 8, "expected a target block"),
        ("0:0;1:", 6, "expected a target block"),
        ("0:0;1:1;1:2", 8, "source block 1 stands twice"),
        ("0:1", 2, "block 0 down-samples: it goes to block 0 alone"),
        ("0:0;1:0", 6, "block 0 down-samples"),
        ("0:0,1", 4, "block 0 down-samples"),
        ("1:1", 0, "block 0, which down-samples, is not mapped"),
        ("0:0;1:2", 7, "target block 1 is left empty"),
        ("0:0;1:1,3;2:4", 13, "target block 2 is left empty"),
        ("0:0;1:1,1", 8, "target block 1 is fed twice"),
        ("0:0;1:1;2:1", 10, "target block 1 is fed twice"),
        ("0:0;1:999999", 12, "target block 1 is left empty"),
        ("0:0 ;1:1", 3, "expected ',', ';', '|' or the end"),
        ("0:0;01:1", 4, "expected a source block"),
        ("0:0;1:-1", 6, "expected a target block"),
        ("0:0;1:12345678", 6, "expected a target block"),
        ("0:0;1:1|", 8, "expected a source block"),
        ("0:0;1:1||0:0", 8, "expected a source block"),
        ("0:0;1:1|1:1", 8, "block 0, which down-samples, is not mapped"),
        ("0:0;1:²", 6, "expected a target block"),
    ],
)
def test_a_malformed_text_fails_with_a_caret_at_the_place(
    text: str, place: int, words: str
) -> None:
    with pytest.raises(UsageError) as error:
        Transform.parse(text)
    message, shown, caret = str(error.value).split("\n")
    assert words in message
    assert len(shown) - 2 == len(text)
    assert caret == " " * (2 + place) + "^"


def test_of_a_long_text_the_place_is_shown() -> None:
    text = "0:0;1:" + ",".join(map(str, range(1, 200))) + ",x" + ",3" * 100
    with pytest.raises(UsageError) as error:
        Transform.parse(text)
    _, shown, caret = str(error.value).split("\n")
    assert shown[caret.index("^")] == "x"
    assert shown.startswith("  ...") and shown.endswith("...") and len(shown) < 80


def sound(length: int) -> str:
    """The beginning of a transform, this long, after which a target block is due."""
    threes = -(length - 6) % 4
    blocks = [*range(10, 10 + threes), *range(100, 100 + (length - 6 - 3 * threes) // 4)]
    text = "0:0;1:" + "".join(f"{block}," for block in blocks)
    assert len(text) == length
    return text


@pytest.mark.parametrize("rest", [1, 30, 31])
@pytest.mark.parametrize("place", [6, 29, 30, 31, 90])
def test_thirty_characters_either_side_are_shown(place: int, rest: int) -> None:
    text = sound(place) + "x" * rest
    with pytest.raises(UsageError) as error:
        Transform.parse(text)
    before, after = "..." if place > 30 else "", "..." if rest > 30 else ""
    shown = f"  {before}{text[max(place - 30, 0) : place]}{'x' * min(rest, 30)}{after}"
    caret = " " * (2 + len(before) + min(place, 30)) + "^"
    assert str(error.value).split("\n")[1:] == [shown, caret]


def test_what_cannot_be_printed_is_masked() -> None:
    with pytest.raises(UsageError) as error:
        Transform.parse("0:0;\x1b[31m\n:1")
    assert "\x1b" not in str(error.value) and str(error.value).count("\n") == 2


@given(st.text(alphabet="0123:;,|x ", max_size=25))
@example("0:0;1:1;2:2")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        transform = Transform.parse(text)
    except UsageError as error:
        assert str(error).split("\n")[2].strip() == "^"  # noqa: PT017
    else:
        assert Transform.parse(str(transform)) == transform
        assert sorted(str(transform)) == sorted(text)


def test_values_that_are_no_transform() -> None:
    with pytest.raises(UsageError, match="fed by block 0: block 0 down-samples"):
        StageMap((0, 1))
    with pytest.raises(UsageError, match="maps at least one stage"):
        Transform(())


# What fits what


@pytest.mark.parametrize("width", [2, 16])
@pytest.mark.parametrize("depth", [8, *DEPTHS, 110])
def test_a_cifar_resnet_has_normal_blocks_of_18_width_squared(depth: int, width: int) -> None:
    stack = stack_of(f"resnet{depth}" + ("" if width == 16 else f"w{width}"))
    assert stack.depths == ((depth - 2) // 6 - 1,) * 3
    expected = [18 * (width * 2**i) ** 2 if depth > 8 else 0 for i in range(3)]
    assert [stage.weights for stage in stack.stages] == expected


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("resnet20", "resnet32w8", r"block 1.0 has 16x16x3x3 \+ 16x16x3x3 and 8x8x3x3"),
        ("resnet20", "resnet32a", r"block 2.0 has .* \+ 32x16x1x1 and"),
        ("resnet20", "resnet18", "3 and 4 stages"),
        ("resnet34", "resnet50", "block 1.0 has"),
    ],
)
def test_other_families_are_refused(source: str, target: str, words: str) -> None:
    one, other = stack_of(source), stack_of(target)
    assert not same_family(one, other)
    with pytest.raises(
        UsageError, match=f"{source} and {target} are of different families.*{words}"
    ):
        check_family(one, other)
    with pytest.raises(UsageError, match="different families"):
        Transform.parse("0:0;1:1").resolve(one, other)


@pytest.mark.parametrize("name", ["lenet", "vgg16", "bert-base"])
def test_networks_without_residual_stages_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} has no stages of residual blocks"):
        stack_of(name)


def layer(block: str, *shape: int, kind: str = "conv") -> Layer:
    return Layer(f"{block}.{len(shape)}{shape}", kind, shape, block, block.partition(".")[0])


def test_stages_that_are_not_uniform_are_refused() -> None:
    def block(name: str, width: int) -> list[Layer]:
        return [layer(name, width, width, 3, 3), layer(name, width, width, 1, 1)]

    with pytest.raises(UsageError, match="normal blocks of stage 1 differ in shape"):
        stack_of("odd", [*block("1.0", 4), *block("1.1", 4), *block("1.2", 8)])
    with pytest.raises(UsageError, match="stage 1 has blocks 1.0, 1.2, expected 1.0 to 1.1"):
        stack_of("odd", [*block("1.0", 4), *block("1.2", 4)])
    # A table tells counts of groups, and no shapes.
    table = [layer(f"1.{i}", 500, kind="group") for i in range(3)]
    assert stack_of("table", table).depths == (2,)


def test_a_network_may_have_no_normal_blocks() -> None:
    bare, more = stack_of("resnet8"), stack_of("resnet14")
    assert (bare.depths, more.depths) == ((0, 0, 0), (1, 1, 1))
    nothing = Transform.parse("0:0")
    for source in (bare, more):
        assert nothing.resolve(source, bare) == nothing
    with pytest.raises(UsageError, match="takes block 1 of stage 1, and resnet8 has normal blocks"):
        Transform.parse("0:0;1:1").resolve(bare, more)


def test_stages_are_counted() -> None:
    source, target = stack_of("resnet20"), stack_of("resnet32")
    with pytest.raises(UsageError, match="maps 2 stages and resnet32 has 3: give one mapping"):
        Transform.parse("0:0;1:1,2;2:3,4|0:0;1:1,2;2:3,4").resolve(source, target)
    with pytest.raises(
        UsageError, match="takes block 3 of stage 1, and resnet20 has normal blocks"
    ):
        Transform.parse("0:0;1:1,2;3:3,4").resolve(source, target)
    with pytest.raises(UsageError, match="makes 3 normal blocks in stage 2, and resnet32 has 4"):
        Transform.parse("0:0;1:1,2;2:3,4|0:0;1:1,2,3|0:0;1:1,2,3,4").resolve(source, target)
    # Three times the same is one mapping for all stages.
    three = Transform.parse("|".join(["0:0;1:1,2;2:3,4"] * 3))
    assert str(three.resolve(source, target)) == "0:0;1:1,2;2:3,4"
    apart = Transform.parse("0:0;1:1,2;2:3,4|0:0;1:1,3;2:2,4|0:0;1:1,2,3,4")
    assert apart.resolve(source, target) == apart


# How many there are


def every_map(source: int, target: int) -> list[tuple[int, ...]]:
    return list(product(range(1, source + 1), repeat=target))


@pytest.mark.parametrize("source", range(1, 6))
@pytest.mark.parametrize("target", range(1, 7))
def test_order_preserving_maps_are_all_of_them(source: int, target: int) -> None:
    """The oracle: all maps, kept where blocks stay in order, and none is repeated or dropped."""
    stays = [f for f in every_map(source, target) if list(f) == sorted(f)]
    wanted = [f for f in stays if len({*f}) == min(source, target)]
    found = list(order_preserving(source, target))
    assert sorted(found) == sorted(wanted)
    assert len(found) == count_order_preserving(source, target)
    closed = math.comb(source, target) if target <= source else math.comb(target - 1, source - 1)
    assert len(found) == closed


def test_nothing_can_be_made_of_nothing() -> None:
    assert list(order_preserving(0, 3)) == [] and count_order_preserving(0, 3) == 0
    assert families(0, 3) == {}
    assert list(order_preserving(3, 0)) == [()]


def name_of(feeds: tuple[int, ...], source: int) -> str | None:
    """The oracle of the families: what a map does, judged by itself."""
    counts = Counter(feeds)
    if len(feeds) >= source:
        repeated = [block for block, n in counts.items() if n > 1]
        if len(counts) < source or len({counts[block] for block in repeated}) > 1:
            return None
        first, last = min(repeated, default=1), max(repeated, default=0)
        if sorted(repeated) != list(range(first, last + 1)):
            return None
        if list(feeds) == sorted(feeds):
            return "interpolate" if repeated else "identity"
        around = [*range(1, first), *range(last + 1, source + 1)]
        inside = [block for block in feeds if first <= block <= last]
        cycle = sorted(repeated) * counts[first]
        before, after = feeds[: first - 1], feeds[len(feeds) - (source - last) :]
        ordered = [*before, *after] == around if around else True
        return "append" if inside == cycle and ordered and _together(feeds, repeated) else None
    if list(feeds) != sorted({*feeds}):
        return None
    dropped = [block for block in range(1, source + 1) if block not in feeds]
    groups: list[list[int]] = []
    for block in dropped:
        if groups and groups[-1][-1] == block - 1:
            groups[-1].append(block)
        else:
            groups.append([block])
    distances = {b[0] - a[-1] for a, b in zip(groups, groups[1:], strict=False)}
    if len(groups) == 1:
        return "consecutive"
    return "interval" if len({*map(len, groups)}) == len(distances) == 1 else None


def _together(feeds: tuple[int, ...], repeated: list[int]) -> bool:
    places = [i for i, block in enumerate(feeds) if block in repeated]
    return places == list(range(places[0], places[-1] + 1))


@pytest.mark.parametrize("source", range(1, 6))
@pytest.mark.parametrize("target", range(1, 7))
def test_families_are_what_they_say(source: int, target: int) -> None:
    wanted = {f: name for f in every_map(source, target) if (name := name_of(f, source))}
    assert families(source, target) == wanted


def test_every_published_map_belongs_to_a_family() -> None:
    for row in MAPPINGS:
        source, target = stack_of(row["from_architecture"]), stack_of(row["architecture"])
        (only,) = Transform.parse(row["mapping"]).stages
        name = families(source.depths[0], target.depths[0])[only.feeds]
        if "append" in row["transform"]:
            assert name == "append"
        if row["transform"].endswith(("inter", "x5")):
            assert name == "interpolate"
        assert published_maps(source, target)[only.feeds] == row["transform"]


def test_candidates_of_a_pair() -> None:
    source, target = stack_of("resnet56"), stack_of("resnet32")
    sizes = {
        kind: len(candidates(source, target, kind)) for kind in ("published", "families", "all")
    }
    assert sizes == {"published": 11, "families": 17, "all": 70}
    found = candidates(source, target, "all")
    assert found.uniform and found.notes == ()
    texts = [str(found.transform(i)) for i in range(len(found))]
    assert len({*texts}) == 70
    for text in texts:
        Transform.parse(text).resolve(source, target)
    # Appending does not keep the order: 35 maps that do, and four that append.
    back = candidates(target, source, "all")
    assert Counter(back.family)["append"] == 4 and len(back) == 35 + 4


def test_own_maps_stand_beside_the_others() -> None:
    source, target = stack_of("resnet20"), stack_of("resnet32")
    own = Transform.parse("0:0;2:1,2;1:3,4")
    apart = Transform.parse("0:0;1:1,2;2:3,4|0:0;1:1,3;2:2,4|0:0;2:1,2,3;1:4")
    found = candidates(source, target, "published", [own, apart, own])
    assert [str(found.transform(i)) for i in range(3)] == ["0:0;1:1,3;2:2,4", str(own), str(apart)]
    assert found.published == ("20>32", "", "")
    assert found.family == ("append", "other", "other")
    assert not found.uniform
    with pytest.raises(UsageError, match="makes 2 normal blocks"):
        candidates(source, target, "families", [Transform.parse("0:0;1:1;2:2")])


def test_stages_of_different_depths_are_combined() -> None:
    """ResNet-34 to -18: stages of 2, 3, 5, 2 normal blocks to 1 each; equal depths go alike."""
    found = candidates(stack_of("resnet34"), stack_of("resnet18"), "all")
    assert len(found) == 2 * 3 * 5
    np.testing.assert_array_equal(found.feeds[0], found.feeds[3])
    assert {*found.family} == {"consecutive", "other"}  # two blocks lose one: consecutive
    for i in range(len(found)):
        found.transform(i).resolve(stack_of("resnet34"), stack_of("resnet18"))
    only = candidates(stack_of("resnet18"), stack_of("resnet34"))
    assert str(only.transform(0)) == "0:0;1:1,2|0:0;1:1,2,3|0:0;1:1,2,3,4,5|0:0;1:1,2"
    deep = candidates(stack_of("resnet50"), stack_of("resnet101"))
    assert {*deep.family} == {"interpolate"}  # stages that stay as they are do not count


def test_too_many_maps_are_not_enumerated() -> None:
    source, target = stack_of("resnet164"), stack_of("resnet80")
    found = candidates(source, target, "all")
    (note,) = found.notes
    assert note.startswith(f"{math.comb(26, 12):,} order-preserving maps lead from resnet164")
    assert f"the {len(found)} of the named families are ranked instead" in note
    (huge,) = candidates(stack_of("resnet1202"), stack_of("resnet602"), "all").notes
    assert huge.startswith("4.5e+58 ")


def test_too_many_families_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elastic_maps, "LIMIT", 20)
    source, target = stack_of("resnet152"), stack_of("resnet50")
    with pytest.raises(UsageError, match="maps of the named families.*give those you mean with"):
        candidates(source, target)
    few = candidates(source, target, "published", [as_transform(_any_squeeze())])
    assert len(few) == 1


def _any_squeeze() -> list[tuple[int, ...]]:
    return [tuple(range(1, depth + 1)) for depth in stack_of("resnet50").depths]


def test_what_cannot_be_had() -> None:
    with pytest.raises(UsageError, match="maps 'al' is unknown: did you mean all"):
        candidates(stack_of("resnet20"), stack_of("resnet32"), "al")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no published maps from resnet20 to resnet38"):
        candidates(stack_of("resnet20"), stack_of("resnet38"), "published")
    for pair in (("resnet8", "resnet14"), ("resnet14", "resnet8")):
        with pytest.raises(UsageError, match="resnet8 has no normal block in stage 1"):
            candidates(*map(stack_of, pair))
