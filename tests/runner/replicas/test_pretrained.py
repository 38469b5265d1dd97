"""Weights that training starts from: read safely, held to shapes, part of the identity."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments import few_digits, go, only_run, results, stop_at, synthetic
from safetensors.torch import save_file
from torch import Tensor

from rgtool.runner import data
from rgtool.runner.models import build
from rgtool.runner.replicas.pretrained import read_pretrained
from rgtool.runner.replicas.randomness import generator
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.tensors.safetensors import read_tensors

DIGITS, COLOURS = few_digits(), synthetic(60)
SHAPE = (3, 8, 8)


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.DATASETS, "few-digits", lambda folder: DIGITS)
    monkeypatch.setitem(data.DATASETS, "synthetic", lambda folder: COLOURS)


def weights(
    model: str = "resnet8w4", shape: tuple[int, int, int] = SHAPE, classes: int = 10
) -> Any:
    """A state dict of random numbers, in torch's default memory format."""
    rng = generator(7, model)
    return OrderedDict(
        (name, torch.rand(tensor.shape, generator=rng) if tensor.dim() else torch.tensor(3))
        for name, tensor in build(model, shape, classes).state_dict().items()
    )


def masked(state: dict[str, Tensor], kept: int = 1) -> dict[str, Tensor]:
    """As `torch.nn.utils.prune` saves it; of each layer the first weights have the mask `kept`."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith("conv1.weight"):
            mask = torch.ones_like(tensor)
            mask[0] = kept
            found |= {f"{name}_orig": tensor, f"{name}_mask": mask}
        else:
            found[name] = tensor
    return found


def read(path: Path, model: str = "resnet8w4") -> Any:
    return read_pretrained(path, build(model, SHAPE, 10))


def test_one_set_of_weights_has_one_identity_whatever_its_file(tmp_path: Path) -> None:
    state = weights()
    files = {
        "a.safetensors": lambda p: save_file(dict(state), p),
        "b.pt": lambda p: torch.save(state, p),
        "c.pth.tar": lambda p: torch.save({"state_dict": state, "epoch": 3}, p),
        "d.pt": lambda p: torch.save({f"module.{n}": t for n, t in state.items()}, p),
        "e.pt": lambda p: torch.save(state, p, _use_new_zipfile_serialization=False),
        "moco.pt": lambda p: torch.save(
            {"state_dict": {f"module.encoder_q.{n}": t for n, t in state.items()}}, p
        ),
        "more.pt": lambda p: torch.save({**state, "normalize.mean": torch.zeros(3)}, p),
        "average.pt": lambda p: torch.save(
            {**{f"module.{n}": t for n, t in state.items()}, "n_averaged": torch.tensor(4)}, p
        ),
        "compiled.pt": lambda p: torch.save(
            {"model": {n.replace("1.0", "1._orig_mod.0"): t for n, t in state.items()}}, p
        ),
        "loss.pt": lambda p: torch.save(
            {**{f"trunk.net.{n}": t for n, t in state.items()}, "loss.weight": torch.ones(10)}, p
        ),
        "masked.pt": lambda p: torch.save(masked(state), p),
    }
    digests = set()
    for name, write in files.items():
        write(tmp_path / name)
        found = read(tmp_path / name)
        assert not found.fresh
        for key, tensor in state.items():
            np.testing.assert_array_equal(found.arrays[key], tensor.numpy())
        digests.add(found.digest)
    assert len(digests) == 1
    state["fc.bias"][0] += 1
    torch.save(state, tmp_path / "other.pt")
    assert read(tmp_path / "other.pt").digest not in digests


def test_of_a_network_and_its_average_the_network_is_taken_and_said(tmp_path: Path) -> None:
    state = weights()
    average = {f"ema.module.{n}": t + 1 for n, t in state.items()}
    torch.save(average | {f"model.{n}": t for n, t in state.items()}, tmp_path / "w.pt")
    found = read(tmp_path / "w.pt")
    np.testing.assert_array_equal(found.arrays["fc.bias"], state["fc.bias"].numpy())
    assert found.note == "w.pt holds a copy of the network, ema.module., which is not taken"
    torch.save(average, tmp_path / "w.pt")
    found = read(tmp_path / "w.pt")
    np.testing.assert_array_equal(found.arrays["fc.bias"], state["fc.bias"].numpy() + 1)
    assert found.note == ""


def test_weights_that_a_mask_prunes_start_at_zero_which_is_said(tmp_path: Path) -> None:
    state = weights()
    torch.save(masked(state, kept=0), tmp_path / "w.pt")
    found = read(tmp_path / "w.pt")
    array = found.arrays["layer1.0.conv1.weight"]
    assert not array[0].any()
    np.testing.assert_array_equal(array[1:], state["layer1.0.conv1.weight"][1:].numpy())
    assert found.note == "171 weights of w.pt are pruned by its masks: they start at 0"
    broken = {**masked(state), "conv1.weight_mask": torch.full_like(state["conv1.weight"], 0.5)}
    torch.save(broken, tmp_path / "w.pt")
    with pytest.raises(RgtoolError, match="'conv1.weight_mask' is no mask of 'conv1.weight_orig'"):
        read(tmp_path / "w.pt")


@pytest.mark.parametrize("layer", ["fc", "conv1"])
def test_stem_and_head_may_differ_and_are_said_to_start_afresh(layer: str, tmp_path: Path) -> None:
    state = weights()
    state[f"{layer}.weight"] = torch.zeros(1000, 16)
    if layer == "fc":
        state["fc.bias"] = torch.zeros(1000)
    torch.save(state, tmp_path / "w.pt")
    found = read(tmp_path / "w.pt")
    assert found.fresh == (layer,)
    assert found.note == f"w.pt has no fitting weights for {layer}: drawn from the seed"
    assert not any(name.startswith(f"{layer}.") for name in found.arrays)
    assert len(found.arrays) == len(state) - (2 if layer == "fc" else 1)


def bad(state: dict[str, Tensor], path: Path) -> dict[str, Any]:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {path.parent / 'executed'}",)

    name = "layer1.0.conv1.weight"
    nan = {**state, name: torch.full_like(state[name], torch.nan)}
    return {
        "shape": (
            lambda: torch.save({**state, name: torch.zeros(3)}, path),
            "has shape (4, 4, 3, 3)",
        ),
        "missing": (
            lambda: torch.save({n: t for n, t in state.items() if n != name}, path),
            "no such tensor in the file",
        ),
        "nan": (lambda: torch.save(nan, path), "values that are not finite"),
        "tensor": (lambda: torch.save(torch.zeros(3), path), "where a state dict is expected"),
        "empty": (lambda: path.write_bytes(b""), "an empty file"),
        "garbage": (lambda: path.write_bytes(b"\x00garbage"), "no whole pickle"),
        "cut": (lambda: (torch.save(state, path), _cut(path)), "no whole zip"),
        "evil": (lambda: torch.save({"state_dict": Evil()}, path), "would execute code"),
        "plain evil": (lambda: path.write_bytes(pickle.dumps(Evil())), "would execute code"),
        "module": (lambda: torch.save(build("lenet", SHAPE, 10), path), "pickle"),
        "absent": (lambda: None, "no such file"),
    }


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize("name", ["~nosuchuser/x", "a" * 5000, "\0", "/".join(["a" * 200] * 40)])
def test_a_name_that_no_file_has_is_refused_in_words(name: str) -> None:
    with pytest.raises(RgtoolError, match="no such file; --init") as caught:
        read(Path(name))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("case", bad(weights(), Path("x")))
def test_bad_files_are_refused_in_words(case: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    write, words = bad(weights(), path)[case]
    write()
    with pytest.raises(RgtoolError) as refused:
        read(path)
    assert words in str(refused.value)
    assert "w.pt" in str(refused.value)
    assert str(refused.value).count("\n") <= 1
    assert not (tmp_path / "executed").exists()


def test_a_damaged_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(dict(weights()), path)
    _cut(path)
    with pytest.raises(RgtoolError, match="not a whole safetensors file"):
        read(path)


# Runs.


def test_a_run_begins_with_the_weights_of_the_file(tmp_path: Path) -> None:
    state = weights(classes=7)  # another head
    torch.save(state, tmp_path / "w.pt")
    options: dict[str, Any] = {"model": "resnet8w4", "task": "synthetic", "rewind": "0"}
    store = tmp_path / "store"
    outcome = go(store, **options, init=tmp_path / "w.pt")
    assert outcome.seeds("done") == [0]
    folder = only_run(store)
    initial = read_tensors(folder.weights("init"))[0]
    for name, tensor in state.items():
        if not name.startswith("fc."):
            np.testing.assert_array_equal(initial[name], tensor.numpy())
    description = folder.read_description()
    assert description is not None
    assert (description.recipe.init, len(description.recipe.pretrained or "")) == ("pretrained", 16)
    assert description.files[0]["path"] == "w.pt"
    # Interrupted, or from another file with the same tensors: the same experiment.
    save_file(dict(state), tmp_path / "w.safetensors")
    again = tmp_path / "again"
    go(again, **options, init=tmp_path / "w.pt", should_stop=stop_at(9))
    go(again, **options, init=tmp_path / "w.safetensors")
    assert results(again) == results(store)
    plain = go(tmp_path / "plain", **options)
    assert plain.experiment_id != outcome.experiment_id


def test_recipes_that_start_from_weights_ask_for_their_file(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="starts from pretrained weights: name their file with init="
    ):
        go(tmp_path, "resnet8w4", "synthetic", recipe="chen2021a_pt_trans")
    with pytest.raises(UsageError, match="pretrained cannot be chosen: it follows from the file"):
        go(tmp_path, pretrained="0" * 16)
    with pytest.raises(UsageError, match="starts from pretrained weights"):
        go(tmp_path, init="pretrained")
    with pytest.raises(UsageError, match="init 'kaiming_norml' .* did you mean kaiming_normal"):
        go(tmp_path, init="kaiming_norml")
    torch.save(weights(), tmp_path / "w.pt")
    with pytest.raises(UsageError, match='and init="FILE" together'):
        (tmp_path / "r.toml").write_text('init = "kaiming_normal"\n')
        go(
            tmp_path, "resnet8w4", "synthetic",
            recipe=tmp_path / "r.toml", init=tmp_path / "w.pt",
        )  # fmt: skip
    assert not (tmp_path / "runs").exists()
