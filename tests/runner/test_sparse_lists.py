"""Lists of kept weights, and images in lanes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rgtool.runner.sparse.lanes import Size, from_lanes, to_lanes
from rgtool.runner.sparse.library import Shape
from rgtool.runner.sparse.lists import convolution_lists, linear_lists, strip_rows


@given(
    mask=st.tuples(*[st.integers(1, 7)] * 2).flatmap(
        lambda size: arrays(np.bool_, (*size, 3, 3), elements=st.booleans())
    ),
    stride=st.sampled_from([1, 2]),
    paired=st.booleans(),
)
def test_lists_hold_every_kept_weight_once(mask: np.ndarray, stride: int, paired: bool) -> None:
    outputs, inputs = mask.shape[:2]
    lists = convolution_lists(mask, Shape(outputs, inputs, 9, 8, stride, 4), paired)
    kept = int(mask.sum())
    assert len(set(lists.in_forward.tolist())) == len(set(lists.in_backward.tolist())) == kept
    assert lists.backward.start[-1] == len(lists.backward.offset) == kept
    shared = mask[::2][: outputs // 2] & mask[1::2] if paired else np.zeros(0)
    assert lists.forward.start[-1] == len(lists.forward.offset) == kept - int(shared.sum())


def test_lists_of_a_linear_layer() -> None:
    mask = np.array([[1, 0, 1], [0, 0, 1]], dtype=np.bool_)
    lists = linear_lists(mask)
    assert lists.forward.start.tolist() == [0, 2, 3]
    assert lists.forward.offset.tolist() == [0, 2, 2]
    assert lists.backward.start.tolist() == [0, 1, 1, 3]
    assert lists.backward.offset.tolist() == [0, 0, 1]
    assert lists.in_backward.tolist() == [0, 1, 2]


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
