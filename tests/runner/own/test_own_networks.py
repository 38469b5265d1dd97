"""Networks of the user's own: what they must be like, what is counted, runs that go on exactly."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Cli
from experiments import few_digits, go, only_run, results, stop_at
from torch import nn

from rgtool.runner import data
from rgtool.runner.event import Event
from rgtool.runner.experiment import plan
from rgtool.runner.layers import layers_of
from rgtool.runner.models import architecture, find_network
from rgtool.runner.own.fingerprint import difference, fingerprint, hold_layers
from rgtool.runner.own.network import OwnNetwork
from rgtool.runner.own.notes import introduction
from rgtool.runner.replicas.kernels import kernels
from rgtool.runner.replicas.randomness import generator
from rgtool.runner.replicas.replica_parts import ReplicaParts
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask
from rgtool.store import Store

SHAPE, CLASSES = (3, 8, 8), 10

# Dropout, a layer of another kind, an unused and a frozen weight, and a `view`.
NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.layer1 = nn.Sequential(
            nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.drop = nn.Dropout(0.3)
        self.shift = nn.Parameter(torch.randn(4, 1, 1))
        self.unused = nn.Linear(3, 3)
        self.fc = nn.LazyLinear(classes)

    def forward(self, x):
        x = self.layer1(x) + self.shift
        return self.fc(self.drop(x.view(x.size(0), -1)))

def build(channels, classes):
    return Net(channels, classes)
"""


@pytest.fixture(autouse=True)
def _few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = few_digits()
    monkeypatch.setitem(data.DATASETS, "few-digits", lambda folder: digits)


@pytest.fixture
def my(tmp_path: Path) -> str:
    return built(NETWORK)


def built(text: str) -> str:
    Path("my.py").write_text(textwrap.dedent(text))
    return "my.py:build"


def built_of(expression: str, before: str = "") -> str:
    """A network whose forward pass is an expression of `x` and a linear layer `self.fc`."""
    return built(
        f"""
import random, torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(192, 10)
{textwrap.indent(textwrap.dedent(before), " " * 8)}
    def forward(self, x):
        out = self.fc(x.flatten(1))
        return {expression}
def build():
    return Net()
"""
    )


def traits(place: str) -> Any:
    return find_network(place).traits(SHAPE, CLASSES)


# What is refused, in words.


@pytest.mark.parametrize(
    ("expression", "before", "text"),
    [
        ("out, x", "", "in training the network returns tuple; one number"),
        ("out if self.training else [out]", "", r"in eval\(\) the network returns list"),
        ("out[:, :7]", "", r"2 images give an output of shape \(2, 7\); one number .* 10 classes"),
        ("out.softmax(1)", "", "its outputs are probabilities; the loss takes logits"),
        ("out * random.random()", "", "changes with something that is neither weights"),
        ("out + torch.rand(1)", "", r"its output is random in eval\(\) too"),
        ("out.detach()", "", "no gradient: RuntimeError"),
        ("out + nosuch", "", r"my.py, line \d+: NameError: name 'nosuch' is not defined"),
        ("self.fc(x)", "", r"does not take images of shape \(3, 8, 8\): my.py, line 1"),
        (
            "out + self.seen.add_(1).sum()",
            "self.register_buffer('seen', torch.zeros(1), persistent=False)",
            "changes the buffer seen|changes with something",
        ),
        ("out", "self.half()", "fc.weight is torch.float16; float32 is trained"),
        (
            "out",
            "nn.utils.parametrizations.weight_norm(self.fc)",
            "the weight of fc is no parameter of its own",
        ),
        ("out", "self.register_buffer('c', torch.zeros(1, dtype=torch.complex64))", "complex64"),
    ],
)
def test_what_cannot_be_trained_is_refused(expression: str, before: str, text: str) -> None:
    with pytest.raises(UsageError, match=text) as refused:
        traits(built_of(expression, before))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def build(): return 3", "my.py:build returns int, where a network"),
        (
            "from torch import nn\nNET = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))\n"
            "def build(): return NET",
            "returns the same weights every time",
        ),
        ("async def build(): ...", "my.py:build is an async def: write it as a plain def"),
        (
            "from torch import nn\ndef build(): return nn.Linear(192, 10, device='meta')",
            "weight is on the device meta, which holds no numbers",
        ),
        (
            "from torch import nn\nWIDTHS = iter(range(8, 99))\ndef build():\n"
            "    w = next(WIDTHS)\n"
            "    return nn.Sequential(nn.Flatten(), nn.Linear(192, w), nn.Linear(w, 10))",
            "builds another network every time",
        ),
        (
            "import random, torch\nfrom torch import nn\ndef build():\n"
            "    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))\n"
            "    nn.init.constant_(net[1].bias, random.random())\n    return net",
            "1.bias starts otherwise every time, with the same seed",
        ),
        (
            "from torch import nn\ndef build(): return nn.Sequential("
            "nn.Flatten(), nn.Unflatten(1, (1, 192)), nn.Conv1d(1, 10, 192), nn.Flatten())",
            "has no convolution .* and no linear layer",
        ),
    ],
)
def test_what_is_no_network_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        traits(built(text))


def test_a_network_itself_is_no_builder() -> None:
    with pytest.raises(UsageError, match=r"a network itself \(Linear\).* lambda: Net\(\)"):
        find_network(nn.Linear(3, 3))
    with pytest.raises(UsageError, match="width goes with a CIFAR ResNet"):
        find_network(built(NETWORK), width=8)
    with pytest.raises(UsageError, match="the blocks of lenet are known"):
        find_network("lenet", block_map=Path("blocks.toml"))


# What is said.


def test_what_is_not_counted_or_not_trained_is_said(my: str) -> None:
    found = traits(my)
    assert [layer.name for layer in found.architecture.layers] == [
        "layer1.0.0", "layer1.1.0", "unused", "fc",
    ]  # fmt: skip
    assert found.draws and not found.channels_last
    assert found.notes == (
        "my.py:build: counted and pruned are Conv2d and Linear; not so shift (Net, 4)",
        "my.py:build: training does not move unused.weight, unused.bias: frozen, or no part of the "
        "output",
    )
    again = traits(built_of("self.other(out)", "self.other = nn.Linear(10, 10)"))
    assert not again.draws and again.channels_last and again.notes == ()
    spare = "self.spare = nn.ParameterList(nn.Parameter(torch.ones(1, n)) for n in range(1, 6))"
    many, idle = traits(
        built_of("self.other(out)", f"self.other = nn.Linear(10, 10); {spare}")
    ).notes
    assert many.endswith("spare.2 (ParameterList, 3) and 2 more")
    assert idle.startswith(
        "my.py:build: training does not move spare.0, spare.1, spare.2 and 2 more"
    )


def test_outputs_that_happen_to_sum_to_one_are_logits() -> None:
    expression = "out - out.mean(1, keepdim=True) + 0.1"
    assert traits(built_of(expression, "")).notes == ()


def test_state_that_is_kept_may_change_in_training() -> None:
    place = built_of(
        "out + (self.seen.add_(1) if self.training else self.seen)",
        "self.register_buffer('seen', torch.zeros(1))",
    )
    assert traits(place).notes == ()


def test_shared_weights_count_once() -> None:
    place = built_of(
        "self.two(self.one(out)) + self.again(out)",
        """
        self.one, self.two = nn.Linear(10, 10), nn.Linear(10, 10)
        self.two.weight = self.one.weight
        self.again = self.one
        """,
    )
    found = traits(place)
    assert [layer.name for layer in found.architecture.layers] == ["fc", "one"]
    assert found.notes == (
        "my.py:build: two and one, again and one share a weight, which is counted once",
    )


# Blocks and stages.


def module_of(*names: str) -> nn.Module:
    root = nn.Module()
    for name in names:
        place = root
        *folders, last = name.split(".")
        for folder in folders:
            if not hasattr(place, folder):
                place.add_module(folder, nn.Module())
            place = place.get_submodule(folder)
        place.add_module(last, nn.Linear(2, 2))
    return root


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (
            ("conv1", "layer1.0.conv1", "layer1.1.conv1", "layer2.0.conv1", "fc"),
            ("stem stem", "1.0 1", "1.1 1", "2.0 2", "head head"),
        ),
        (
            ("stem", "stages.0.blocks.0.fc1", "stages.1.downsample", "stages.1.blocks.0.fc1", "fc"),
            ("stem stem", "0.0 0", "1.0 1", "1.0 1", "head head"),
        ),
        (
            ("f.conv0", "f.denseblock1.denselayer1.conv1", "f.transition1.conv",
             "f.denseblock2.denselayer1.conv1"),
            ("stem stem", "1.1 1", "2.1 2", "2.1 2"),
        ),
        (("net.block1.layer.0.conv1", "net.block1.layer.1.conv1"), ("1.0 1", "1.1 1")),
        (("conv2_x.0.residual_function.0", "fc"), ("2.0 2", "head head")),
        (
            ("embed", "blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.1.mlp", "fc2"),
            ("embed None", "blocks.0 None", "blocks.0 None", "blocks.1 None", "blocks.1 None",
             "fc2 None"),
        ),
        (("features.0", "features.3", "classifier"),
         ("features.0 None", "features.3 None", "classifier None")),
    ],
)  # fmt: skip
def test_names_tell_blocks_and_stages(names: tuple[str, ...], groups: tuple[str, ...]) -> None:
    layers = layers_of(module_of(*names))
    assert [layer.name for layer in layers] == list(names)
    assert [f"{layer.block} {layer.stage}" for layer in layers] == list(groups)


def test_a_block_map_goes_before_names_and_is_part_of_the_name(my: str) -> None:
    Path("blocks.toml").write_text('"layer1.*" = "1.0"\n"unused" = "2.0"\n"fc" = "head"\n')
    mapped, plain = find_network(my, block_map=Path("blocks.toml")), find_network(my)
    layers = mapped.traits(SHAPE, CLASSES).architecture.layers
    assert [(x.block, x.stage) for x in layers] == [
        ("1.0", "1"), ("1.0", "1"), ("2.0", "2"), ("head", "head"),
    ]  # fmt: skip
    assert mapped.name != plain.name
    recipe = Recipe(architecture="any", task="any")
    said = [introduction(one, Path("none"), recipe)[0] for one in (mapped, plain)]
    assert [text.endswith(" and the block map") for text in said] == [True, False]
    assert pickle.loads(pickle.dumps(mapped)) == mapped
    for text, words in [
        ('"layer1.*" = "1.0"\n', "no pattern for layer unused"),
        ('"layer1.*" = "1.0"\n"*" = "rest"\n', "block 'rest' none: write it as 1.0"),
    ]:
        Path("blocks.toml").write_text(text)
        network = find_network(my, block_map=Path("blocks.toml"))
        with pytest.raises(UsageError, match=words):
            network.traits(SHAPE, CLASSES)


def test_what_is_known_is_counted_as_before() -> None:
    shape = (3, 32, 32)
    for name in ("resnet14", "resnet18"):
        known = architecture(name, shape, 10)
        module = find_network(name).build(shape, 10)
        assert layers_of(module) == known.layers


# Weights.


def test_what_the_network_draws_itself_follows_from_the_seed(my: str) -> None:
    stores = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(ord(name))  # of no matter
        before = torch.get_rng_state()
        go(Path(name), my, seeds=[seed], levels=0, keep=("init",))
        assert torch.equal(before, torch.get_rng_state())
        stores[name] = only_run(Path(name)).weights("init").read_bytes()
    assert stores["a"] == stores["b"] != stores["c"]


def test_built_keeps_the_weights_that_the_code_draws(my: str) -> None:
    made = plan(my, "few-digits", init="built", epochs=2, rewind="0")
    assert isinstance(made.network, OwnNetwork)
    parts = ReplicaParts(
        made.recipe, 3, made.images, made.network, torch.device("cpu"), None, made.kernels, print
    )
    torch.manual_seed(generator(3, "init", "build").initial_seed())
    expected = made.network.build((1, 8, 8), 10).state_dict()
    for name, array in parts.initial("init").items():
        np.testing.assert_array_equal(array, expected[name].numpy())


# Runs.


def test_interrupted_after_any_step_it_goes_on_to_the_same(my: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    assert go(whole, my).seeds("done") == [0]
    expected = results(whole)
    for asked in (3, 9, 14, 22):
        store = tmp_path / str(asked)
        assert go(store, my, should_stop=stop_at(asked)).seeds("stopped") == [0]
        assert go(store, my).seeds("done") == [0]
        assert results(store) == expected


def test_other_processes_compute_the_same(my: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"task": "digits", "train_size": 100, "seeds": 2}
    for store, more in (("one", {}), ("two", {"workers": 2}), ("beside", {"replicas": 2})):
        assert go(tmp_path / store, my, **options, **more).seeds("done") == [0, 1]
    assert results(tmp_path / "one") == results(tmp_path / "two") == results(tmp_path / "beside")


def test_masks_that_are_found_are_trained_from_new_weights(my: str, tmp_path: Path) -> None:
    assert go(tmp_path / "store", my, control="reinit").seeds("done") == [0]
    found, control = (
        [folder.read_record(level).to_pydict() for level in folder.recorded_levels()]
        for folder in sorted(
            map(RunFolder, (tmp_path / "store" / "runs").iterdir()), key=lambda f: len(f.path.name)
        )
    )
    assert [r["kept"] for r in found] == [r["kept"] for r in control]
    assert [r["magnitude"] for r in found] != [r["magnitude"] for r in control]


def test_values_that_no_text_tells_are_looked_at_anew() -> None:
    class Size:
        value = 8

    size = Size()

    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(192, size.value), nn.Linear(size.value, 10))

    for size.value in (8, 16):
        layers = find_network(network).traits(SHAPE, CLASSES).architecture.layers
        assert layers[0].shape == (size.value, 192)


WIDTH = 8


def wide() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, WIDTH), nn.Linear(WIDTH, 10))


def test_a_value_that_was_changed_behind_its_source_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find_network(wide).traits(SHAPE, CLASSES).architecture.layers[0].shape == (8, 192)
    monkeypatch.setitem(globals(), "WIDTH", 9)
    with pytest.raises(UsageError, match=r"another network .* \(1.weight was 9x192, is 8x192\)"):
        find_network(wide).traits(SHAPE, CLASSES)


def test_a_network_of_a_value_that_no_text_tells_is_refused() -> None:
    lock = threading.Lock()

    def network() -> nn.Module:
        with lock:
            return wide()

    with pytest.raises(UsageError, match=r"network uses lock \(lock\), whose value no text tells"):
        find_network(network)


READS = """
from pathlib import Path
from torch import nn
def build():
    kind = getattr(nn, Path("kind.txt").read_text())
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), kind(), nn.Linear(8, 10))
"""


@pytest.mark.parametrize("kind", ["Sigmoid", "Mish"])
def test_a_file_that_the_source_reads_makes_no_other_network_of_a_run(
    tmp_path: Path, kind: str
) -> None:
    place = built(READS)
    Path("kind.txt").write_text("Mish")
    assert go(tmp_path / "store", place, should_stop=stop_at(9)).seeds("stopped") == [0]
    Path("kind.txt").write_text(kind)
    (end,) = go(tmp_path / "store", place).ends.values()
    assert (end.kind, "2 was Mish, is Sigmoid" in end.message) == (
        ("done", False) if kind == "Mish" else ("failed", True)
    )


def test_what_is_recorded_is_known_for_the_same_network_alone(my: str, tmp_path: Path) -> None:
    go(tmp_path / "store", my)
    record = only_run(tmp_path / "store").read_record(0)
    shapes = dict(zip(record["layer"].to_pylist(), record["shape"].to_pylist(), strict=True))
    layers = find_network(my).traits((1, 8, 8), CLASSES).architecture.layers
    hold_layers("run a-s0", shapes, layers)
    with pytest.raises(RgtoolError, match="a-s0 .* another network: fc was 10x63, is 10x64"):
        hold_layers("run a-s0", shapes | {"fc": [10, 63]}, layers)
    with pytest.raises(RgtoolError, match="another network: new was 1x1, is absent"):
        hold_layers("run a-s0", shapes | {"new": [1, 1]}, layers)


def test_fingerprints_hold_on_other_machines_and_not_for_other_networks() -> None:
    def told(*parts: nn.Module) -> str:
        torch.manual_seed(0)
        for part in parts[1:]:
            part.reset_parameters() if isinstance(part, nn.Linear) else None
        return fingerprint(nn.Sequential(*parts), SHAPE)

    flat, one, other = nn.Flatten(), nn.Linear(192, 10), nn.Linear(192, 10)
    first = told(flat, one)
    assert difference(first, told(flat, other)) == ""
    near = json.loads(first)
    near["output"] = [number * (1 + 1e-5) for number in near["output"]]
    assert difference(first, json.dumps(near)) == ""
    near["output"][0] += 0.1
    assert "other outputs" in difference(first, json.dumps(near))
    assert difference(first, json.dumps(near), same_torch=False) == ""
    assert difference(first, told(flat, nn.Linear(192, 10, bias=False))) == (
        "1.bias was 10, is absent"
    )
    one, other = (
        told(flat, nn.Dropout(0.1), nn.Linear(192, 10)),
        told(flat, nn.Dropout(0.2), nn.Linear(192, 10)),
    )
    assert "p=0.1" in difference(one, other) and "p=0.2" in difference(one, other)
    assert difference(one, other, same_torch=False) == ""


@pytest.mark.parametrize("options", [{}, {"workers": 2, "seeds": 2}])
def test_what_a_network_prints_is_no_output(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, options: dict[str, Any]
) -> None:
    place = built_of("(print('forward'), out)[1]", "print('built')\nself.fc = nn.Linear(64, 10)")
    heard: list[str] = []

    def hear(event: Event) -> None:
        heard.append(event.kind)
        print("mine")

    go(tmp_path / "store", place, task="digits", train_size=100, on_event=hear, **options)
    out, err = capfd.readouterr()
    assert out.split() == ["mine"] * len(heard) and heard
    assert {"built", "forward"} <= set(err.split())


def test_a_failure_that_recorded_nothing_says_so(cli: Cli) -> None:
    place = built_of(
        "out if len(x) == 2 or not self.training else out.nosuch()", "self.fc = nn.LazyLinear(10)"
    )
    run = cli("run", place, "digits", "--recipe", "quick", "--levels", "1")
    assert run.code == 1 and "nothing was recorded" in run.err and "goes on" not in run.err


def test_training_is_where_the_step_says(my: str) -> None:
    """What dropout draws depends on seed and step: not on the steps before, nor on the level."""
    made = plan(my, "few-digits", epochs=2, rewind="0")
    parts = [
        ReplicaParts(
            made.recipe, seed, made.images, made.network, torch.device("cpu"), None,
            made.kernels, print,
        )
        for seed in (0, 0, 1)
    ]  # fmt: skip
    trainers = [one.trainer(None) for one in parts]
    for trainer in trainers[1:]:
        trainer.restore(trainers[0].state())
    for trainer in trainers:
        trainer.module.train()
    images, labels = next(iter(parts[0].loader.epoch(0)))
    for trainer, iteration in zip(trainers, (5, 5, 5), strict=True):
        trainer.set_rate(iteration)
        trainer.step(images, labels)
    one, same, other = (trainer.state()["fc.weight"] for trainer in trainers)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    trainers[1].restore(trainers[0].state())
    for trainer, iteration in zip(trainers[:2], (6, 7), strict=True):
        trainer.set_rate(iteration)
        trainer.step(images, labels)
    one, other = (trainer.state()["fc.weight"] for trainer in trainers[:2])
    assert (one != other).any()


def test_graphs_are_for_networks_that_do_not_draw() -> None:
    assert kernels("auto", torch.device("cuda")).graph
    assert not kernels("auto", torch.device("cuda"), draws=True).graph


def test_pruned_weights_are_zero_and_counts_are_those_of_the_masks(my: str, tmp_path: Path) -> None:
    go(tmp_path / "store", my, keep=("init", "rewind", "dense"))
    folder = only_run(tmp_path / "store")
    for level in folder.recorded_levels():
        record = folder.read_record(level).to_pydict()
        mask = read_mask(folder.mask(level))
        counts = dict(zip(record["layer"], record["kept"], strict=True))
        assert counts == {name: int(array.sum()) for name, array in mask.items()}
        assert record["stage"] == ["1", "1", "head", "head"]


def test_a_failure_in_training_is_a_line_and_not_a_traceback(tmp_path: Path) -> None:
    place = built_of(
        "out if len(x) == 2 or not self.training else out.nosuch()", "self.fc = nn.LazyLinear(10)"
    )
    outcome = go(tmp_path / "store", place)
    (end,) = outcome.ends.values()
    assert end.kind == "failed"
    assert end.message.startswith("my.py:build fails: my.py, line")
    assert "AttributeError" in end.message


def test_the_description_holds_the_source(my: str, tmp_path: Path) -> None:
    go(tmp_path / "store", my, levels=0)
    description = only_run(tmp_path / "store").read_description()
    assert description is not None
    file, told = description.files
    assert (file["path"], file["text"]) == ("my.py", Path("my.py").read_text())
    assert json.loads(told["text"])["shapes"]["fc.weight"] == "10x64"
    assert description.recipe.architecture == find_network(my).name


def test_another_source_is_another_experiment_and_said(my: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = go(store, my, levels=0)
    before = find_network(my).name
    built(NETWORK + "# changed\n")
    made = plan(my, "few-digits", store=store, epochs=2, rewind="2it", batch_size=32)
    assert not [note for note in made.notes if "another source" in note]  # another recipe
    second = go(store, my, levels=0)
    assert second.experiment_id != first.experiment_id
    settings = {"epochs": 2, "rewind": "2it", "batch_size": 32, "rounding": "openlth"}
    notes = plan(my, "few-digits", store=store, momentum=0.9, **settings).notes
    assert (
        f"experiment {first.experiment_id} was made by another source of it ({before}): this is "
        "another experiment" in notes
    )
    assert not [note for note in notes if second.experiment_id in note]
    third = go(store, my, levels=0, momentum=0.8).experiment_id  # is of no matter
    Path("other.py").write_text(NETWORK + "# another file\n")
    for place in ("other.py:build", my):
        built(NETWORK + "# again\n")
        said = plan(place, "few-digits", store=store, momentum=0.9, **settings).notes
        earlier = [note for note in said if "another source" in note]
        assert len(earlier) == (place == my) and third not in str(earlier)
    Store(store).compact()
    assert plan(my, "few-digits", store=store, momentum=0.9, **settings).notes == said


def test_the_command_runs_is_stopped_goes_on_and_is_analysed(my: str, cli: Cli) -> None:
    command = [
        sys.executable, "-c", "from rgtool.cli import main; main()", "run", my, "digits",
        "--recipe", "quick", "--levels", "3", "--epochs", "4", "--seeds", "2", "--workers", "2",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        deadline = time.monotonic() + 120
        while not list(Path("rgstore").glob("runs/*/records/*.parquet")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    assert process.returncode in (1, 3) and "stopped" in out + err
    done = cli("run", my, "digits", "--recipe", "quick", "--levels", "3", "--epochs", "4",
               "--seeds", "2", "--workers", "1", "--json")  # fmt: skip
    assert [row["end"] for row in json.loads(done.out)] == ["done", "done"]
    name = find_network(my).name
    assert f"network {name} is my.py:build, named by a hash of my.py" in done.err
    rows = json.loads(cli("eigen", f"{name}/digits", "--by", "stage", "--json").out)
    assert [row["name"] for row in rows] == ["1", "head"]
    run = RunFolder(next(Path("rgstore/runs").iterdir()))
    assert "my.py sha256:" in cli("show", run.path.name).out
