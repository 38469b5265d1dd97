"""An experiment whose tickets are trained, and a copy of it for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from experiments import go, replica_tasks

from rgtool.runner.experiment import Outcome


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
