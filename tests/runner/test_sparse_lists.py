"""Lists of kept weights, and images in lanes."""

from __future__ import annotations

import bisect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sparse_parts import sets

from rgtool.runner.sparse.lanes import Arena, Size, from_lanes, to_lanes
from rgtool.runner.sparse.library import Shape, library
from rgtool.runner.sparse.lists import convolution_lists, linear_lists, strip_rows
from rgtool.runner.sparse.signals import Context
from rgtool.runner.sparse.weights import Kept

STRIP, HEIGHT, WIDTH = 4, 9, 8
needs_kernels = pytest.mark.parametrize("chosen", sets()[-1:])


def sorted_forward(mask: np.ndarray, stride: int, paired: bool) -> tuple[list[int], ...]:
    """First entries of cells, offsets, and where every kept weight stands, from sorted tuples."""
    kept = [tuple(map(int, place)) for place in np.argwhere(mask)]

    def entry(k: int, *tap: int) -> tuple[int, ...]:
        shared = paired and (k ^ 1, *tap) in kept
        return (k // 2 * 3 + (0 if shared else 1 + k % 2), *tap)

    entries = sorted({entry(*place) for place in kept})
    deep = stride * STRIP + 3 - stride
    offsets = [((c * deep + y) * (WIDTH + 2) + x) * 16 for _, c, y, x in entries]
    cells = [cell for cell, *_ in entries]
    starts = [bisect.bisect_left(cells, cell) for cell in range(3 * ((len(mask) + 1) // 2) + 1)]
    stand = [
        2 * entries.index(entry(*place)) + (entry(*place)[0] % 3 == 0 and place[0] % 2)
        for place in kept
    ]
    return starts, offsets, stand


def sorted_backward(mask: np.ndarray, stride: int) -> tuple[list[int], ...]:
    """The same for the way back: a weight links an input's row to one of the outputs' rows."""
    kept = [tuple(map(int, place)) for place in np.argwhere(mask)]

    def link(tap: int) -> tuple[int, int]:
        # Output o reads input stride o - 1 + tap; the scratch has a row of zeros before it.
        phase = (tap - 1) % stride
        return phase, (phase + 1 - tap) // stride + 1

    def entry(k: int, c: int, y: int, x: int) -> tuple[int, ...]:
        (down, up), (right, left) = link(y), link(x)
        return (c * stride + down) * stride + right, k, up, left

    entries = sorted(entry(*place) for place in kept)
    wide = -(-WIDTH // stride) + 2
    offsets = [((k * (STRIP + 2) + up) * wide + left) * 16 for _, k, up, left in entries]
    cells = [cell for cell, *_ in entries]
    starts = [bisect.bisect_left(cells, cell) for cell in range(mask.shape[1] * stride**2 + 1)]
    return starts, offsets, [entries.index(entry(*place)) for place in kept]


@needs_kernels
@given(
    mask=st.tuples(*[st.integers(1, 5)] * 2).flatmap(
        lambda size: arrays(np.bool_, (*size, 3, 3), elements=st.booleans())
    ),
    stride=st.sampled_from([1, 2]),
    paired=st.booleans(),
)
def test_kept_weights_of_a_convolution_are_listed_in_order(
    chosen: str, mask: np.ndarray, stride: int, paired: bool
) -> None:
    shape = Shape(*mask.shape[:2], HEIGHT, WIDTH, stride, STRIP)
    lists, standing = convolution_lists(library(chosen), mask, shape, paired)
    for found, places, expected in (
        (lists.forward, standing.forward, sorted_forward(mask, stride, paired)),
        (lists.backward, standing.backward, sorted_backward(mask, stride)),
    ):
        arrays_found = found.start, found.offset, places[mask]
        assert tuple(array.tolist() for array in arrays_found) == expected
    assert len(lists.forward.weight) == 2 * len(lists.forward.offset)
    assert len(lists.backward.weight) == len(lists.backward.offset)


def test_lists_of_a_linear_layer() -> None:
    mask = np.array([[1, 0, 1], [0, 0, 1]], dtype=np.bool_)
    lists, standing = linear_lists(mask)
    assert lists.forward.start.tolist() == [0, 2, 3]
    assert lists.forward.offset.tolist() == [0, 2, 2]
    assert lists.backward.start.tolist() == [0, 1, 1, 3]
    assert lists.backward.offset.tolist() == [0, 0, 1]
    assert standing.forward[mask].tolist() == [0, 1, 2]
    assert standing.backward[mask].tolist() == [0, 1, 2]


@needs_kernels
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("side", [1, 3])
def test_a_tensor_is_read_whatever_its_strides(
    chosen: str, layout: torch.memory_format, side: int
) -> None:
    """Of a layer's second branch, whose channels follow those of the first."""
    border = (3 - side) // 2
    inside = (slice(3, None), slice(None), *[slice(border, 3 - border)] * 2)
    whole = np.zeros((10, 5, 3, 3), dtype=np.bool_)
    whole[:3] = True
    whole[inside] = mask = np.random.default_rng(0).random((7, 5, side, side)) < 0.5
    weight = torch.randn(mask.shape).contiguous(memory_format=layout)
    context = Context(library(chosen), Arena(), 1, lambda layer: mask, lambda tensor: None)
    shape = Shape(10, 5, HEIGHT, WIDTH, 1, STRIP)
    lists, standing = convolution_lists(library(chosen), whole, shape, True)
    kept = Kept(context, weight, lists, standing.of(slice(3, 10)))
    kept.load()
    for places, entries in (
        (standing.forward, lists.forward),
        (standing.backward, lists.backward),
    ):
        np.testing.assert_array_equal(entries.weight[places[inside][mask]], weight.numpy()[mask])
        assert np.count_nonzero(entries.weight) == len(kept) == mask.sum()
    if layout == torch.channels_last:
        assert (np.diff(kept._places[0]) > 0).all()


@given(*[st.integers(1, 70)] * 2, st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2]))
def test_strips_cover_an_image(
    outputs: int, inputs: int, height: int, width: int, stride: int
) -> None:
    rows = strip_rows(outputs, inputs, height, width, stride)
    assert 1 <= rows <= -(-height // stride)


@given(arrays(np.float32, st.tuples(*[st.integers(1, 20)] * 2, *[st.integers(1, 4)] * 2)))
def test_lanes_there_and_back(images: np.ndarray) -> None:
    size = Size(*images.shape[1:])
    planes = to_lanes(images)
    assert planes.ctypes.data % 64 == 0
    assert np.array_equal(from_lanes(planes, len(images), size), images, equal_nan=True)
    assert np.count_nonzero(planes) == np.count_nonzero(images)
