"""Shared by all tests: one torch thread, nothing outside tmp_path."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest
from command import Cli, Done

# A deadline would be a bound on time, which a busy machine breaks.
hypothesis.settings.register_profile("rgtool", deadline=None)
hypothesis.settings.load_profile("rgtool")
# Two-thread OpenMP collapses on a loaded machine, and identity is promised for one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Which kernels are faster is a matter of the moment, and bits are those of the kernels.
os.environ.setdefault("RGTOOL_KERNELS", "dense")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line: takes its arguments, returns how it ended."""
    from rgtool.cli import main

    def call(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        captured = capsys.readouterr()
        return Done(int(left.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(autouse=True)
def _no_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `auto` be the CPU, here and in the processes that a test starts: bits are a device's."""
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        if "torch" in sys.modules:
            monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RGTOOL_STORE", raising=False)
    monkeypatch.delenv("RGTOOL_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
