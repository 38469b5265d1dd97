"""Perturbed tickets, and runs that prune on from a ticket."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from children import folder, rows, train
from experiments import REPLICA_CASES, go, replica_tasks

from rgtool.runner.experiment import Outcome
from rgtool.schemas.tensors.safetensors import read_mask


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A store with an experiment of two seeds and six levels, not to be written."""
    store: Path = tmp_path_factory.mktemp("found")
    with pytest.MonkeyPatch.context() as patch:
        replica_tasks(patch)
        return store, go(store, seeds=2, levels=5)


@pytest.fixture
def parent(found: tuple[Path, Outcome], tmp_path: Path) -> tuple[Path, Outcome]:
    """A copy of it."""
    shutil.copytree(found[0], tmp_path, dirs_exist_ok=True)
    return tmp_path, found[1]


@pytest.mark.parametrize("rounding", ["exact", "openlth"])
@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("case", REPLICA_CASES)
def test_a_run_from_an_unchanged_ticket_has_the_records_of_its_parent(
    case: str, scope: str, rounding: str, tmp_path: Path
) -> None:
    of: dict[str, Any] = {**REPLICA_CASES[case], "levels": 3}
    found = go(tmp_path, **of, scope=scope, rounding=rounding)
    child = train(tmp_path, found.experiment_id, **of, start=1)
    assert child.experiment_id != found.experiment_id and child.seeds("done") == [0]
    mine, theirs = (folder(tmp_path, one) for one in (child, found))
    assert mine.recorded_levels() == [1, 2, 3]
    for level in (1, 2, 3):
        apart = ("kept_prev", "network_kept_prev", "magnitude_prev") if level == 1 else ()
        here, there = rows(mine, level), rows(theirs, level)
        for name in apart:
            assert {row.pop(name) for row in here} == {None}
            assert None not in {row.pop(name) for row in there}
        assert here == there
    for level in (1, 2, 3, 4):
        assert mine.mask(level).read_bytes() == theirs.mask(level).read_bytes()


@pytest.mark.parametrize("choice", ["", ":random"])
@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_perturbed_tickets_keep_the_count(
    factor: float, choice: str, parent: tuple[Path, Outcome]
) -> None:
    store, found = parent
    text = f"perturb:layer=fc2:{factor}{choice}"
    child = folder(store, train(store, found.experiment_id, at="3", transform=text))
    mine, theirs = read_mask(child.mask(3)), read_mask(folder(store, found).mask(3))
    assert mine["fc2"].sum() == round(factor * theirs["fc2"].sum())
    assert sum(m.sum() for m in mine.values()) == sum(m.sum() for m in theirs.values())
    assert (mine["fc"] == theirs["fc"]).all()
    row = rows(child, 3)[0]
    assert row["kept_prev"] is row["network_kept_prev"] is row["magnitude_prev"] is None
