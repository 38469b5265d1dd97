"""What a replica computes with, wherever it computes."""

from __future__ import annotations

import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from experiments import few_digits, synthetic

from rgtool.runner import machine
from rgtool.runner.datasets.images import Images
from rgtool.runner.models import KnownNetwork
from rgtool.runner.recipes import recipe
from rgtool.runner.replicas.kernels import EAGER
from rgtool.runner.replicas.replica_parts import ReplicaParts
from rgtool.schemas.errors import RgtoolError


@pytest.mark.parametrize(
    ("model", "images"), [("lenet", few_digits()), ("resnet8w4", synthetic(40))]
)
def test_initial_weights_do_not_depend_on_the_device(model: str, images: Images) -> None:
    def initial(device: str, seed: int) -> dict[str, np.ndarray]:
        made = recipe(model, images, batch_size=16, rewind="0")
        network, where = KnownNetwork(made.architecture), torch.device(device)
        on = ReplicaParts(made, seed, images, network, where, None, EAGER, lambda text: None)
        return on.initial("init")

    here, there = initial("cpu", 3), initial("meta", 3)  # meta: a device that holds no numbers
    assert here.keys() == there.keys()
    assert all(np.array_equal(here[name], there[name]) for name in here)
    other = initial("meta", 4)
    assert any(not np.array_equal(here[name], other[name]) for name in here)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_a_replica_pools_as_its_recipe_says(pooling: str) -> None:
    images, cpu = synthetic(20, size=32), torch.device("cpu")
    made = recipe("vgg11", images, batch_size=16, rewind="0", pooling=pooling)
    network = KnownNetwork("vgg11")
    parts = ReplicaParts(made, 0, images, network, cpu, None, EAGER, lambda text: None)
    last = parts.module.get_submodule("features")[-1]  # type: ignore[index]
    assert isinstance(last, torch.nn.MaxPool2d) is (pooling == "max")
    assert parts.initial("init").keys() == parts.module.state_dict().keys()


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert machine.device("cuda:1").index == 1
    assert machine.device("cuda").index is None
    with pytest.raises(RgtoolError, match="device 'cuda:2': there are 2 GPUs, counted from cuda:0"):
        machine.device("cuda:2")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries hold it or cannot")
def test_memory_that_was_freed_is_held() -> None:
    program = """
import resource, torch
from rgtool.runner import machine
machine.prepare(torch.device("cpu"))
for _ in range(10):  # the heap finds its size
    torch.zeros(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.zeros(1 << 24)  # 64 MB: 16384 pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert int(done.stdout) < 16384, done.stderr
