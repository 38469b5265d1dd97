"""The steps of a GPU on a device that computes nothing: all that a step touches lies on it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from places import HELPERS

PROGRAM = HELPERS[0] / "pretended.py"
LACKING = 77  # its exit code where PyTorch lacks what it needs


def trained(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", str(PROGRAM), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode == LACKING:
        pytest.skip(f"this PyTorch cannot pretend a device: {done.stdout}")
    return done


@pytest.mark.parametrize(
    ("network", "precision"),
    [("lenet", "float32"), ("resnet8", "float32"), ("vgg11", "bf16"), ("resnet18", "fp16")],
)
def test_a_step_and_an_evaluation_stay_on_the_device(network: str, precision: str) -> None:
    done = trained(network, precision)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "waits for the device once, to read the score\n"


def test_what_is_left_on_the_cpu_is_found() -> None:
    done = trained("lenet", "float32", "left")
    assert done.returncode == 1
    assert "found at least two devices, pretend:0 and cpu" in done.stderr
