"""Recording a pruning loop of one's own: what is counted, again and on, refused, and told."""

from __future__ import annotations

import contextlib
import copy
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Cli
from page import read
from places import CLONE
from stores import data_of
from torch import nn
from torch.nn.utils import prune

import rgtool
from rgtool.runner.models import build
from rgtool.schemas.errors import Refused, StoreError, UsageError
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors
from rgtool.store import Store

Masks = dict[str, torch.Tensor]
TOLD = {"task": "toy", "seed": 0, "lr": 0.05, "prune": 0.3}
LAYERS = ("0", "3")
ONES = {"0.weight": torch.ones(4, 3, 3, 3)}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2)
    )


def nested(levels: int, layers: tuple[str, ...] = LAYERS, seed: int = 0) -> list[Masks]:
    """Masks of levels 0 to `levels`: each drops about a third of the one before, at random."""
    rng = torch.Generator().manual_seed(seed)
    shapes = {name: weight.shape for name, weight in network().state_dict().items()}
    found = [{f"{name}.weight": torch.ones(shapes[f"{name}.weight"]) for name in layers}]
    for _ in range(levels):
        found.append(
            {n: m * (torch.rand(m.shape, generator=rng) > 0.3) for n, m in found[-1].items()}
        )
    return found


def weights(level: int) -> nn.Sequential:
    """The network as it is at the end of training of a level."""
    return network(100 + level)


# Ways to give a level: functions from network and masks to arguments of `level`.


def plain(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (net, masks), {}


def of_booleans(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (net.state_dict(), {n.removesuffix(".weight"): m.bool() for n, m in masks.items()}), {}


def of_arrays(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (net, {n: m.numpy().astype(np.uint8) for n, m in masks.items()}), {}


def of_lists(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (net, {**masks, "3.weight": masks["3.weight"].tolist()}), {}


def sparse(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (net, {n: m.to_sparse() for n, m in masks.items()}), {}


def within(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (nn.ModuleDict({"net": net, "loss": nn.BatchNorm1d(3)}), masks), {}


def of_another(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (net, {f"module.net.{n}_mask": m for n, m in masks.items()}), {}


def pruned(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for name, mask in masks.items():
        prune.custom_from_mask(net.get_submodule(name.removesuffix(".weight")), "weight", mask)
    return (net,), {}


def wrapped(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    pruned(net, masks)
    return (nn.DataParallel(net),), {}


def buffers(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for name, mask in masks.items():
        net.get_submodule(name.removesuffix(".weight")).register_buffer("mask", mask)
    return (net,), {}


def halves(net: nn.Sequential, masks: Masks) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (net.to(torch.bfloat16), masks), {}


WAYS = [
    plain,
    of_booleans,
    of_arrays,
    of_lists,
    sparse,
    of_another,
    pruned,
    wrapped,
    buffers,
    halves,
]


def recorded(store: Store, run_id: str, level: int) -> dict[str, tuple[int, int, float]]:
    """Total, kept and magnitude of every layer, by its name in the source."""
    table = RunFolder.of(store.path, run_id).read_record(level)
    names = ("source_layer", "total", "kept", "magnitude")
    return {row[0]: row[1:] for row in zip(*(table[n].to_pylist() for n in names), strict=True)}


def counted(net: nn.Module, masks: Masks) -> dict[str, tuple[int, int, float]]:
    """The same, counted here."""
    state = net.state_dict()
    found = {}
    for name, mask in masks.items():
        magnitude = (state[name].double().abs() * mask.double()).sum().item()
        layer = name.removesuffix(".weight")
        found[layer] = (mask.numel(), int(mask.sum()), pytest.approx(magnitude, rel=1e-6))
    return found


@pytest.mark.parametrize("way", WAYS)
def test_counts_are_those_of_the_masks(way: Callable[..., Any], store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD)
    for level, masks in enumerate(nested(3)):
        net = weights(level)
        due = counted(net.to(torch.bfloat16) if way is halves else net, masks)
        arguments, options = way(copy.deepcopy(net), masks)
        found = recorder.level(*arguments, accuracy=0.9, **options)
        assert (found.level, found.new, found.notes) == (level, True, ())
        assert found.kept == sum(int(mask.sum()) for mask in masks.values())
        assert found.total == sum(mask.numel() for mask in masks.values())
        assert recorded(store, found.run_id, level) == due
        kept = read_mask(RunFolder.of(store.path, found.run_id).mask(level))
        for name, mask in masks.items():
            np.testing.assert_array_equal(kept[name.removesuffix(".weight")], mask.bool().numpy())
    assert recorder.levels == (0, 1, 2, 3)
    steps = "SELECT count(*) FROM flow WHERE grouping = 'layer' AND eigenvalue IS NOT NULL"
    assert store.query(steps).rows == [(6,)]


def test_masks_that_are_given_go_before_those_that_a_network_carries(store: Store) -> None:
    carried, given = nested(1, seed=1)[1], nested(1)[1]
    net = weights(1)
    pruned(net, carried)
    with pytest.warns(UserWarning, match="level 0 was not given"):
        found = rgtool.Recorder(store, **TOLD).level(net, given)
    assert found.kept == sum(int(mask.sum()) for mask in given.values())


def test_masks_are_of_the_layers_that_they_name(store: Store) -> None:
    net = nn.ModuleDict({name: nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)) for name in "abc"})
    masks = {f"b.{i}.weight": (torch.rand(8, 8) > 0.3).float() for i in (0, 1)}
    given = {**masks, "b.0.bias": torch.ones(8)}
    with pytest.warns(UserWarning, match="level 0 was not given"):
        found = rgtool.Recorder(store, **TOLD).level(net, given)
    assert recorded(store, found.run_id, 1) == counted(net, masks)
    assert set(recorded(store, found.run_id, 1)) == {"b.0", "b.1"}


def test_a_network_may_be_within_another(store: Store) -> None:
    masks, net = nested(1)[1], weights(1)
    with pytest.warns(UserWarning, match="level 0 was not given"):
        found = rgtool.Recorder(store, **TOLD).level(*within(net, masks)[0])
    assert found.kept == sum(int(mask.sum()) for mask in masks.values())
    twins = nn.ModuleDict({"net": net, "ema": copy.deepcopy(net)})
    with pytest.raises(Refused, match=r"mask of 0\.weight, which the network has not"):
        rgtool.Recorder(store, **{**TOLD, "seed": 1}).level(twins, masks)


def test_zeros_are_the_mask_where_that_is_told(store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD)
    series = nested(2, ("0", "3", "5"))
    for level, masks in enumerate(series):
        net = weights(level)
        due = counted(net, masks)
        with torch.no_grad():
            for name, mask in masks.items():
                net.get_parameter(name).mul_(mask)
        if level:
            with pytest.raises(Refused, match="of the weights are zeros: give masks=.*zeros_are"):
                recorder.level(net)
        found = recorder.level(net, zeros_are_mask=True)
        assert recorded(store, found.run_id, level) == due
    with torch.no_grad():
        net.get_parameter("0.weight").fill_(0.5)
    with pytest.raises(Refused, match="zeros come back.*\n.*another seed or origin"):
        recorder.level(net, zeros_are_mask=True)


def record_all(store: Store, levels: int = 3, **told: Any) -> rgtool.Recorder:
    recorder = rgtool.Recorder(store, **{**TOLD, **told})
    for level, masks in enumerate(nested(levels, seed=told.get("seed", 0))):
        recorder.level(weights(level), masks, accuracy=0.9 - level / 100)
    return recorder


def test_a_level_given_again_changes_nothing(store: Store) -> None:
    record_all(store)
    before = data_of(store.path)
    recorder = rgtool.Recorder(str(store.path), **TOLD)
    assert (recorder.levels, recorder.next_level) == ((0, 1, 2, 3), 4)
    for level, masks in enumerate(nested(3)):  # the loop starts from the beginning
        found = recorder.level(weights(50 + level), masks, accuracy=0.9 - level / 100)
        assert (found.level, found.new, found.notes) == (level, False, ())
    with pytest.warns(UserWarning, match="nothing is recorded: .* those of level 0, which is"):
        assert recorder.level(weights(0)).level == 0  # without masks
    assert data_of(store.path) == before
    assert recorder.level(weights(4), nested(4)[4]).level == 4
    assert recorder.next_level == 5


def test_other_masks_are_refused_and_the_store_is_as_it_was(store: Store) -> None:
    recorder = record_all(store)
    before = data_of(store.path)
    with pytest.raises(Refused, match="layer 0 keeps weights at level 4 that level 3 had pruned"):
        recorder.level(weights(2), nested(3, seed=1)[2])
    partly = {"0.weight": nested(4)[4]["0.weight"]}
    with pytest.raises(Refused, match="layer 3 keeps weights"):
        recorder.level(weights(4), partly)
    more = {**nested(4)[4], "5.weight": torch.zeros(2, 8)}
    with pytest.raises(Refused, match="layer 5 is pruned and not counted: a run counts"):
        recorder.level(weights(4), more)
    with pytest.raises(Refused, match="layer 3 is missing"):
        recorder.level(weights(4)[:3], {"0.weight": nested(4)[4]["0.weight"]})
    assert data_of(store.path) == before


def test_numbers_that_were_missing_come_in_and_others_stay(store: Store) -> None:
    recorder, series = rgtool.Recorder(store, **TOLD), nested(1)
    for masks in series:
        recorder.level(weights(0), masks, loss=0.5)
    found = recorder.level(
        weights(0), series[1], accuracy=torch.tensor(0.75), loss=0.5, train_loss=0.25
    )
    assert not found.new
    query = "SELECT accuracy, loss, train_loss FROM levels ORDER BY level"
    assert store.query(query).rows == [(None, 0.5, None), (0.75, 0.5, 0.25)]
    with pytest.warns(UserWarning, match="level 1 is recorded with accuracy 0.75: 0.5 is left out"):
        recorder.level(weights(0), series[1], accuracy=0.5)
    assert store.query(query).rows[1] == (0.75, 0.5, 0.25)


def test_the_first_masks_tell_the_layers(store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD, exempt=("5.weight",))
    recorder.start(network(7))
    dense = recorder.level(weights(0), accuracy=0.9, loss=0.4)
    assert dense.total == 4 * 27 + 8 * 16 + 2 * 8  # all weights of two or more axes
    again = rgtool.Recorder(store, **TOLD, exempt=("5.weight",))  # another process
    found = again.level(weights(1), nested(1)[1])
    assert found.run_id == dense.run_id
    assert found.total == 4 * 27 + 8 * 16
    assert found.experiment_id != dense.experiment_id
    assert store.find_experiment(dense.experiment_id) == found.experiment_id
    assert recorded(store, found.run_id, 0) == counted(weights(0), nested(0)[0])
    query = "SELECT accuracy, loss, network_total FROM levels WHERE level = 0"
    assert store.query(query).rows == [(0.9, 0.4, found.total)]
    first = network(7).state_dict()
    kept, _ = read_tensors(RunFolder.of(store.path, found.run_id).weights("init"))
    assert {name: array.tolist() for name, array in kept.items()} == {
        name: first[f"{name}.weight"].tolist() for name in LAYERS
    }
    scales = store.description(found.run_id).scales["init"]
    assert scales == {n: pytest.approx(float(np.sqrt(np.mean(w**2)))) for n, w in kept.items()}


def test_a_level_that_diverged_stays_one(store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD)
    recorder.level(weights(0), accuracy=0.5, loss=float("inf"), train_loss=float("nan"))
    recorder.level(weights(1), nested(1)[1], accuracy=0.9, loss=0.1)
    query = "SELECT diverged, loss FROM levels ORDER BY level"
    assert store.query(query).rows == [(True, None), (False, 0.1)]


def test_masks_of_ones_tell_the_layers_too(store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD, exempt=["5"])
    series = nested(2, ("0", "3", "5"))
    for level, masks in enumerate(series):
        masks["5.weight"] = torch.ones(2, 8)
        found = recorder.level(weights(level), masks)
        assert found.total == 4 * 27 + 8 * 16 + 2 * 8
    assert store.description(found.run_id).recipe.exempt == ("5",)
    table = RunFolder.of(store.path, found.run_id).read_record(2)
    assert table["exempt"].to_pylist() == [False, False, True]


def test_a_loop_that_prunes_first_has_an_implied_dense_level(store: Store) -> None:
    with pytest.warns(UserWarning, match="level 0 was not given"):
        found = rgtool.Recorder(store, **TOLD).level(weights(1), nested(1)[1], accuracy=0.5)
    assert found.level == 1
    assert store.query("SELECT level, accuracy, density FROM levels ORDER BY level").rows == [
        (0, None, 1.0),
        (1, 0.5, found.density),
    ]


def test_a_known_network_has_its_canonical_names(store: Store) -> None:
    net = build("resnet8", (3, 32, 32), 10).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    recorder = rgtool.Recorder(store, task="cifar10", seed=3, recipe="frankle2020")
    recorder.level(net, accuracy=0.9)
    parts = [part for part in net.modules() if isinstance(part, nn.Conv2d)]
    prune.global_unstructured([(p, "weight") for p in parts], prune.L1Unstructured, amount=0.2)
    found = recorder.level(nn.DataParallel(net), accuracy=0.8)
    assert (found.architecture, found.notes) == ("resnet8", ())
    run = store.description(found.run_id)
    assert (run.recipe.prunable, run.seed, run.source) == ("convolutions", 3, "recorder")
    stages = store.query("SELECT DISTINCT stage FROM layers ORDER BY ALL").rows
    assert stages == [("1",), ("2",), ("3",), ("stem",)]
    wrong = rgtool.Recorder(store, task="cifar10", seed=4, architecture="resnet14")
    with pytest.raises(Refused, match="resnet14"):
        wrong.level(net)


def test_what_is_told_is_known_and_the_rest_assumed(store: Store) -> None:
    recorder = record_all(store, levels=1, pruner="random", architecture="mine")
    assert recorder.run_id is not None
    run = store.description(recorder.run_id)
    assert run.recipe.architecture == "mine"
    assert {"lr", "prune", "pruner", "task"} <= {*run.told}
    assert not {"lr", "prune", "pruner", "task"} & {*run.assumed}
    assert {"init", "epochs", "momentum"} <= {*run.assumed}
    assert run.versions["torch"] == torch.__version__
    assert "None" not in run.versions.values()  # what is not loaded has no version


def test_a_new_run_begins_at_level_0_and_layers_have_one_name(store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD, exempt=("0.weight",))
    assert (recorder.run_id, recorder.levels, recorder.next_level) == (None, (), 0)
    found = recorder.level(weights(0), accuracy=1.0)
    assert (recorder.run_id, recorder.levels, recorder.next_level) == (found.run_id, (0,), 1)
    assert found.new and rgtool.Recorder(store, **TOLD, exempt=("0",)).run_id == found.run_id
    table = RunFolder.of(store.path, found.run_id).read_record(0)
    exempt = dict(zip(table["layer"].to_pylist(), table["exempt"].to_pylist(), strict=True))
    assert exempt["0"] and not exempt["3"]


def test_seeds_are_one_experiment_and_other_words_another(store: Store) -> None:
    runs = {record_all(store, seed=seed).run_id for seed in (0, 1)}
    (experiment,) = store.experiments()
    assert {run.run_id for run in experiment.runs} == runs
    assert [run.seed for run in experiment.runs] == [0, 1]
    spectrum = rgtool.eigen(store, by="layer")
    assert list(spectrum.names) == list(LAYERS)
    record_all(store, levels=1, lr=0.1)
    record_all(store, levels=1, origin="other")
    assert len(store.experiments()) == 3


def test_what_is_not_told_is_said_as_of_a_recording(store: Store, cli: Cli) -> None:
    run = record_all(store)
    notes = " ".join(rgtool.eigen(store, by="layer").notes)
    assert "nothing tells how its weights were initialised: record it with " in notes
    assert "init= and fan= or recipe=, or with recorder.start(model)" in notes
    assert "record more seeds" in notes
    scale = " ".join(rgtool.eigen(store, by="layer", coordinates="scale").notes)
    assert "the Recorder was not told the initialiser" in scale
    assert "the Recorder was not told, by arguments of these names): pruner" in scale
    shown = cli("show", str(run.run_id), "--store", str(store.path), "--notes")
    assert "the Recorder was not told these fields; they are defaults" in shown.err
    assert "rgtool.Recorder(..., lr=0.1) tells one" in shown.err
    assert "import" not in f"{notes} {scale} {shown.err}".replace("importing.md", "")


def test_a_recording_is_called_as_it_is_told(store: Store) -> None:
    called = {"name": "mine", "note": "two words", "tags": ["paper"]}
    masks = nested(1)
    for seed in (0, 1):  # a level 0 without masks has an id that goes with the first masks
        recorder = rgtool.Recorder(store, **{**TOLD, "seed": seed}, **called)
        recorder.level(weights(0))
        found = recorder.level(weights(1), masks[1])
    plain = rgtool.Recorder(store, **{**TOLD, "seed": 2}).level(weights(0), masks[0])
    assert plain.experiment_id == found.experiment_id  # no part of the identity
    (info,) = store.experiments("mine")
    assert (info.experiment_id, info.note, info.tags) == (
        found.experiment_id, "two words", ("paper",)
    )  # fmt: skip
    assert len(info.runs) == 3


def test_a_name_is_said_once_and_never_costs_a_level(store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD, name="mine")
    masks = nested(1)
    first = recorder.level(weights(0), masks[0])
    store.name(first.experiment_id, "later")
    recorder.level(weights(1), masks[1])
    assert [one.name for one in store.experiments()] == ["later"]
    other = rgtool.Recorder(store, **TOLD, origin="other", name="Later")
    with pytest.warns(UserWarning, match="not named: the name 'Later' is that of"):
        assert other.level(weights(0), masks[0]).new
    assert other.levels == (0,)
    with pytest.raises(UsageError, match="the name 'a b' cannot be given"):
        rgtool.Recorder(store, **TOLD, name="a b")


def test_a_run_goes_on_after_compaction_and_removal(store: Store) -> None:
    recorder = record_all(store, levels=0)
    store.compact()
    masks = nested(2)
    recorder.level(weights(1), masks[1])
    store.compact()
    found = recorder.level(weights(2), masks[2])
    assert recorder.levels == (0, 1, 2)
    assert recorded(store, found.run_id, 1) == counted(weights(1), masks[1])
    store.remove(found.run_id)
    assert (recorder.levels, recorder.run_id) == ((), None)
    assert recorder.level(weights(0), masks[0]).run_id == found.run_id


LOOP = """
import os, sys, torch, rgtool
from torch.nn.utils import prune
store, seed, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(seed)
net = torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
recorder = rgtool.Recorder(store, task="toy", seed=seed)
recorder.start(net)
for level in range(4):
    if level == end:
        os.kill(os.getpid(), 9)
    recorder.level(net, accuracy=0.5)
    parts = [(net[0], "weight"), (net[2], "weight")]
    prune.global_unstructured(parts, prune.L1Unstructured, amount=0.5)
"""


def test_loops_at_once_are_killed_and_start_again(store: Store) -> None:
    query = "SELECT list(network_kept ORDER BY level) FROM levels GROUP BY run_id"
    for end, code, kept in ((2, -9, [704, 352]), (-1, 0, [704, 352, 176, 88])):
        command = [sys.executable, "-c", LOOP, str(store.path)]
        loops = [subprocess.Popen([*command, seed, str(end)]) for seed in "01"]
        assert [loop.wait(timeout=300) for loop in loops] == [code, code]
        assert store.query(query).rows == [(kept,), (kept,)]
        assert store.check().problems == ()


def test_checkpoints_of_a_recorded_loop_are_its_run(store: Store, tmp_path: Path) -> None:
    recorder = record_all(store)
    for level, masks in enumerate(nested(3)):
        net = weights(level)
        pruned(net, masks)
        (tmp_path / "mine").mkdir(exist_ok=True)
        torch.save(net.state_dict(), tmp_path / "mine" / f"level_{level}.pt")
    (run,) = store.import_runs(tmp_path / "mine").runs
    assert (run.run_id, run.new) == (recorder.run_id, ())


def test_first_weights_are_kept_once(store: Store) -> None:
    with rgtool.Recorder(store, **TOLD) as recorder:
        net = network(1)
        recorder.start(net)
        recorder.start(network(2), "rewind")
        with torch.no_grad():
            net[0].weight.zero_()  # training goes on in the same memory
        recorder.level(weights(0), nested(0)[0])
        recorder.start(network(3))  # a loop that starts again
    assert recorder.run_id is not None
    folder = RunFolder.of(store.path, recorder.run_id)
    for name, seed in (("init", 1), ("rewind", 2)):
        kept, _ = read_tensors(folder.weights(name))
        np.testing.assert_array_equal(kept["0"], network(seed)[0].weight.detach().numpy())
    other = record_all(store, levels=0, seed=1)
    with pytest.warns(UserWarning, match="init weights are left out: they come before"):
        other.start(network(1))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (weights(0), {"1.weight": torch.ones(4, 3, 3, 3)}),
            Refused,
            r"mask of 1\.weight, which the",
        ),
        ((weights(0), {"0.weight": torch.ones(4, 3)}), Refused, r"shape \(4, 3\) for weights of"),
        ((weights(0), {"0.weight": torch.full((4, 3, 3, 3), 0.5)}), Refused, "mask that holds 0.5"),
        ((weights(0), [torch.ones(4, 3, 3, 3)]), UsageError, "a list where masks by name"),
        ((weights(0), {}), UsageError, "masks is empty: leave it out"),
        ((weights(0), {**ONES, "3.weight": None}), UsageError, "masks, 3.weight: None where a t"),
        ((weights(0), {**ONES, "3.weight": 1}), UsageError, "masks, 3.weight: 1 where a tensor"),
        ((weights(0), {**ONES, "3.weight": [["1"]]}), UsageError, "array of <U1 where zeros and"),
        ((weights(0), {**ONES, "3.weight": [[1], [1, 0]]}), UsageError, "rows of unequal length"),
        ((weights(0), {**ONES, "3.weigth": torch.ones(8, 16)}), Refused, "did you mean 3.weight"),
        ((weights(0), {**ONES, "nosuch": torch.ones(2)}), Refused, "mask of nosuch, which the n"),
        ((weights(0), {**ONES, "other.3": torch.ones(8, 16)}), Refused, "mask of other.3, which"),
        ((weights(0), {**ONES, "0": torch.ones(4, 3, 3, 3)}), Refused, "two masks of layer 0"),
        ((weights(0), {"0.bias": torch.ones(4)}), Refused, "masks are of biases or norms, such"),
        ((weights(0), {"0.weight": -ONES["0.weight"]}), Refused, "all a mask may hold$"),
        ((weights(0), {"0": torch.eye(4, 27)[..., None] / 2}), Refused, "say zeros_are_mask=True"),
        ((weights(0), {"0": ONES["0.weight"].to("meta")}), UsageError, "on meta has no values"),
        ((network().to("meta"),), UsageError, "0.weight: a tensor on meta has no values"),
        ((object(),), UsageError, "a object where a network or its state dict is due"),
        ((nn.BatchNorm1d(3),), UsageError, "no weight of two or more axes"),
    ],
)
def test_what_is_no_level_is_refused(
    arguments: tuple[Any, ...], error: type[Exception], message: str, store: Store
) -> None:
    with pytest.raises(error, match=message):
        rgtool.Recorder(store, **TOLD).level(*arguments)
    assert not store.path.exists()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"accuracy": 91.3}, "accuracy is 91.3: a fraction is due, such as 0.913"),
        ({"accuracy": float("nan")}, "a fraction is due"),
        ({"los": 1.0}, "did you mean loss"),
        ({"network_kept": 1}, "number of a level 'network_kept' is unknown"),
        ({"loss": "low"}, "loss is a str: a number is due"),
        ({"accuracy": "0.5"}, "accuracy is a str: a number is due"),
        ({"accuracy": True}, "accuracy is a bool: a number is due"),
        ({"accuracy": torch.tensor(True)}, "accuracy is a Tensor: a number is due"),
        ({"accuracy": 1.0000001}, "accuracy is 1.0000001: a fraction is due"),
        ({"loss": -1.0}, "loss is -1.0: a number from 0 on is due"),
        ({"train_loss": float("inf")}, "train_loss is inf: a number from 0 on is due"),
        ({"wall_seconds": -1}, "wall_seconds is -1.0: a number from 0 on"),
    ],
)
def test_numbers_are_held_to_what_they_are(
    numbers: dict[str, Any], message: str, store: Store
) -> None:
    with pytest.raises(UsageError, match=message):
        rgtool.Recorder(store, **TOLD).level(weights(0), **numbers)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"learning_rate": 1}, "recipe field 'learning_rate' is unknown"),
        ({"prune": 20}, "prune is 20"),
        ({"prunable": "all"}, "prunable is not told"),
        ({"seed": "0"}, "seed is '0': a whole number"),
        ({"seed": True}, "seed is True: a whole number"),
        ({"seed": -1}, "seed is -1: a whole number"),
        ({"seed": 2**63}, "a whole number"),
        ({"recipe": "frankle2O20"}, "did you mean frankle2020"),
        ({"origin": " "}, "is no name"),
        ({"task": "a/b"}, "the task 'a/b' cannot be given: a / parts"),
        ({"task": "two words"}, "the task 'two words' cannot be given: ' ' in it"),
        ({"architecture": "../x"}, r"the architecture '\.\./x' cannot be given: a / parts"),
    ],
)
def test_words_are_held_to_the_recipe(told: dict[str, Any], message: str, store: Store) -> None:
    with pytest.raises(UsageError, match=message):
        rgtool.Recorder(store, **{**TOLD, **told})


def test_a_store_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is a file"):
        rgtool.Recorder(tmp_path / "file", **TOLD)


def page() -> str:
    text = (CLONE / "docs" / "recording.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S)[0]


def test_the_loop_of_the_page_works_as_it_stands(tmp_path: Path) -> None:
    store = Store(tmp_path / "rgstore")
    for _ in range(2):  # the second time it comes to what is there
        variables: dict[str, Any] = {}
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(page(), variables)  # noqa: S102
        assert "/products" in out.getvalue()
        kept = [
            kept for (kept,) in store.query("SELECT network_kept FROM levels ORDER BY level").rows
        ]
        assert kept == [round_(0.8, level, 3392) for level in range(6)]
    prunes = variables["model"].state_dict()
    masks = sum(int(prunes[f"{name}.weight_mask"].sum()) for name in "024")
    assert masks == round_(0.8, 6, 3392)  # one pruning further than the last level
    told = [line for line in page().splitlines() if "recorder" in line]
    assert len(told) <= 10


def round_(share: float, level: int, total: int) -> int:
    """What `torch.nn.utils.prune` keeps."""
    kept = total
    for _ in range(level):
        kept -= round((1 - share) * kept)
    return kept


def test_a_recorder_shows_the_run_that_it_goes_on_with(store: Store) -> None:
    recorder = rgtool.Recorder(store, task="digits", seed=7)
    assert dict(read(recorder._repr_html_()).rows)["run"].startswith("none yet")
    found = recorder.level(weights(0), accuracy=0.9)
    page = read(found._repr_html_())
    row = dict(zip(page.header, page.rows[0], strict=True))
    assert (row["run"], row["level"], row["density"]) == (found.run_id, "0", "1.0000")
    seen = dict(read(recorder._repr_html_()).rows)
    assert (seen["run"], seen["seed"], seen["next level"]) == (found.run_id, "7", "1")


# Epochs.


def curves(store: Store) -> list[tuple[Any, ...]]:
    query = "SELECT seed, level, epoch, loss, accuracy, lr FROM epochs ORDER BY ALL"
    return store.sql(query).rows


def test_epochs_are_those_of_the_level_that_is_given_next(store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD)
    for level, masks in enumerate(nested(2)):
        for epoch in (1, 2):
            recorder.epoch(loss=1 / (level + epoch), accuracy=torch.tensor(0.5), lr=0.05)
        recorder.level(weights(level), masks if level else None)  # at level 1 the run is made anew
    expected = [(0, n, e, 1 / (n + e), 0.5, 0.05) for n in range(3) for e in (1, 2)]
    assert curves(store) == expected
    store.compact()
    assert curves(store) == expected
    recorder = rgtool.Recorder(store, **TOLD)  # a loop that has lost its last level
    recorder.epoch(loss=9.0)
    recorder.level(weights(2), nested(2)[2])
    assert curves(store) == expected
    recorder.level(weights(3), nested(3)[3])  # of which nothing was told
    assert curves(store) == expected


def test_epochs_of_a_level_that_was_not_finished_are_told_once(store: Store) -> None:
    rgtool.Recorder(store, **TOLD).epoch(loss=9.0)  # the process ends
    recorder = rgtool.Recorder(store, **TOLD)
    recorder.epoch(loss=2.0)
    recorder.level(weights(0))
    assert [row[1:4] for row in curves(store)] == [(0, 1, 2.0)]


def test_a_corrected_run_keeps_its_epochs(store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD)
    recorder.epoch(loss=2.0)
    recorder.level(weights(0), nested(1)[0])
    recorder.level(weights(0), nested(1)[0], accuracy=0.5)  # the record is put together anew
    assert store.sql("SELECT accuracy FROM levels").rows == [(0.5,)]
    assert [row[1:4] for row in curves(store)] == [(0, 1, 2.0)]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"loss": -1.0}, "loss is -1.0: a number from 0 on"),
        ({"accuracy": 91.0}, "accuracy is 91.0: a fraction is due"),
        ({"speed": 3.0}, "speed"),
        ({"lr": "fast"}, "lr is a str: a number is due"),
    ],
)
def test_wrong_numbers_of_epochs_are_refused(
    numbers: dict[str, Any], words: str, store: Store
) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        rgtool.Recorder(store, **TOLD).epoch(**numbers)


def test_a_training_that_diverges_has_epochs_without_a_loss(store: Store) -> None:
    recorder = rgtool.Recorder(store, **TOLD)
    recorder.epoch(loss=float("nan"), accuracy=0.1)
    recorder.level(weights(0), loss=float("inf"))
    assert [row[3:5] for row in curves(store)] == [(None, 0.1)]
