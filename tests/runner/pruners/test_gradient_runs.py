"""Runs by SNIP, GraSP, Fisher and OBD: what goes, what resumes, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Cli
from experiments import few_digits, few_digits_file, go, only_run, replica_tasks, results, stop_at
from torch import nn

from rgtool.runner import models
from rgtool.runner.experiment import plan
from rgtool.runner.pruners import fisher, grasp, obd, registry, snip
from rgtool.runner.pruning import smallest
from rgtool.runner.replicas.loader import Normalise
from rgtool.schemas.errors import UsageError
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors

SCHEMES = {"snip": snip, "grasp": grasp, "fisher": fisher, "obd": obd}
AT_START = {"epochs": 0, "rewind": "0it"}


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.mark.parametrize("name", SCHEMES)
def test_names(name: str) -> None:
    assert registry.PRUNERS[name] is SCHEMES[name].scores


def test_snip_of_initial_weights(tmp_path: Path) -> None:
    """The mask again, from the loss of all training images as it is written down."""
    go(tmp_path, pruner="snip", levels=1, exempt=(), **AT_START)
    folder, images = only_run(tmp_path), few_digits()
    arrays = read_tensors(folder.weights("rewind"))[0]
    module = models.build("lenet", images.input_shape, images.classes).double()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    x = Normalise(images, torch.device("cpu"))(torch.from_numpy(images.x_train)).double()
    nn.functional.cross_entropy(module(x), torch.from_numpy(images.y_train)).backward()
    weights = [module.get_parameter(f"{name}.weight") for name in ("fc1", "fc2", "fc")]
    scores = np.concatenate([(w * w.grad).abs().detach().numpy().ravel() for w in weights])
    found = read_mask(folder.mask(1))
    kept = np.concatenate([found[name].ravel() for name in ("fc1", "fc2", "fc")])
    other = kept ^ ~smallest(scores, int((~kept).sum()), None)
    border = np.sort(scores)[int((~kept).sum())]
    assert 0 < kept.mean() < 1
    np.testing.assert_allclose(scores[other], border, rtol=1e-3)  # rounding alone


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("model", ["lenet", "resnet"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    name: str, model: str, tmp_path: Path
) -> None:
    task = {"lenet": ("lenet", "few-digits"), "resnet": ("resnet8w4", "synthetic")}[model]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    changes = {"pruner": name, "levels": 2, "score_images": 40}
    go(whole, *task, **changes)
    go(parts, *task, **{**changes, "levels": 1}, should_stop=stop_at(3))
    go(parts, *task, **changes)
    found, expected = results(parts), results(whole)
    assert found.keys() == expected.keys() and len(found) > 5
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_what_cannot_be_scored_is_said_before_anything_is_trained(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = few_digits_file(tmp_path)
    command = ("run", "resnet8", task, "--recipe", "quick", "--pruner")
    tied = cli(*command, "fisher", "--set", "score_mode=train")
    assert tied.code == 2 and "choose --set score_mode=eval" in tied.err
    assert "pruner fisher: bn1 takes the statistics of the batch" in tied.err
    monkeypatch.setattr(obd, "MOST", 10**9)
    large = cli(*command, "obd")
    assert large.code == 2 and "Hessian" in large.err and "--set score_images=" in large.err
    assert not Path("rgstore").exists()


@pytest.mark.parametrize("name", ["fisher", "obd"])
def test_without_batch_norm_images_stay_apart_in_training_too(name: str, tmp_path: Path) -> None:
    for mode in ("eval", "train"):
        done = go(tmp_path / mode, pruner=name, score_mode=mode, levels=1, score_images=20)
        assert done.seeds("done") == [0]
    one, other = (read_mask(only_run(tmp_path / mode).mask(1)) for mode in ("eval", "train"))
    for layer, mask in one.items():
        np.testing.assert_array_equal(mask, other[layer])


def test_batch_norm_of_the_users_own_is_seen_before_anything_is_trained() -> None:
    def normed() -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 10))

    def forgetful() -> nn.Module:
        norm = nn.BatchNorm2d(1, track_running_stats=False)
        return nn.Sequential(norm, nn.Flatten(), nn.Linear(64, 10))

    def planned(build: Callable[[], nn.Module], mode: str) -> object:
        return plan(
            build,
            "few-digits",
            epochs=1,
            rewind="0",
            pruner="fisher",
            score_mode=mode,
            batch_size=32,
        )

    assert planned(normed, "eval")
    with pytest.raises(UsageError, match="^pruner fisher: 0 takes the statistics of the batch"):
        planned(normed, "train")
    with pytest.raises(UsageError, match="and a batch norm that keeps statistics"):
        planned(forgetful, "eval")


def test_a_network_of_the_users_own_is_told_when_it_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obd, "MOST", 1)
    outcome = go(tmp_path, lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), pruner="obd")  # type: ignore[arg-type]
    assert outcome.ends[0].kind == "failed" and "use fisher" in outcome.ends[0].message
