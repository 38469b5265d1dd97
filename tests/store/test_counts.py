"""Counts that no pruning can have made are refused wherever they come from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from page import read
from synthetic import counts, without

from rgtool.schemas.errors import RgtoolError


def test_counts_that_cannot_be_are_refused() -> None:
    found = counts("resnet20", seeds=2)
    for place, value, words in (
        ((1, 3, 2), -5, r"group 1\.1 keeps -5 weights, expected 0 to"),
        ((1, 3, 2), 10**9, r"group 1\.1 keeps 1000000000 weights, expected 0 to"),
    ):
        kept = found.kept.copy()
        kept[place] = value
        with pytest.raises(RgtoolError, match=f"run .*-s1, level 3: {words}"):
            dataclasses.replace(found, kept=kept)
    kept = found.kept.copy()
    kept[0, 5] = kept[0, 3]
    with pytest.raises(
        RgtoolError, match="-s0, level 5: the network keeps .* pruning only removes"
    ):
        dataclasses.replace(found, kept=kept)


def test_an_accuracy_in_per_cent_is_refused() -> None:
    found = counts("resnet20", seeds=1)
    with pytest.raises(RgtoolError, match="level 0: accuracy 90.* is no fraction"):
        dataclasses.replace(found, accuracy=found.accuracy * 100)


def test_levels_without_a_record_are_not_looked_at() -> None:
    found = counts("resnet20", seeds=1)
    recorded, kept = found.recorded.copy(), found.kept.copy()
    recorded[0, 4], kept[0, 4] = False, 0
    accuracy = np.where(recorded, found.accuracy, np.nan)
    assert dataclasses.replace(found, recorded=recorded, kept=kept, accuracy=accuracy).runs


def test_counts_are_seen_by_group_at_the_last_level() -> None:
    found = counts("resnet20", seeds=3)
    last = len(found.levels) - 1
    found = without(found, (1, last))
    seen = read(found._repr_html_())
    assert seen.header == ["name", "total", "kept", "density", "share_start", "share", "exempt"]
    kept = found.kept[[0, 2], last].mean(axis=0)
    for row, name, total, mean in zip(seen.rows, found.names, found.total, kept, strict=True):
        assert row[:4] == [name, str(total), f"{mean:.1f}", f"{mean / total:.4f}"]
        assert row[5] == f"{mean / kept.sum():.4f}"
    assert sum(float(row[4]) for row in seen.rows) == pytest.approx(1, abs=0.001)
    assert found.label in seen.caption and seen.caption.endswith("mean over 2 runs")
