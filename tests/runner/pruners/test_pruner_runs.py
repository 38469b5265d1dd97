"""Runs by every pruner: what is scored, from where, with which images; nothing trained; resumed."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import plain
import pytest
import torch
from experiments import few_digits, go, kept, only_run, replica_tasks, results, stop_at
from torch import Tensor

from rgtool.runner.data import DATASETS
from rgtool.runner.event import Event
from rgtool.runner.experiment import Outcome, plan
from rgtool.runner.pruners import registry
from rgtool.runner.pruners.scoring import Scoring
from rgtool.runner.pruning import Mask, Scores, smallest
from rgtool.runner.replicas.kernels import EAGER
from rgtool.runner.replicas.movement import Movement
from rgtool.runner.replicas.replica_parts import ReplicaParts
from rgtool.runner.replicas.training import Arrays, Trainer, load_arrays
from rgtool.runner.speed.estimate import estimate
from rgtool.schemas.errors import UsageError
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors
from rgtool.store import Store

CPU = torch.device("cpu")
LAYERS = ("fc1", "fc2", "fc")


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


def masks_of(folder: RunFolder, levels: int) -> list[Mask]:
    return [read_mask(folder.mask(level)) for level in range(levels + 1)]


def message(outcome: Outcome) -> str:
    assert outcome.ends[0].kind == "failed"
    text = outcome.ends[0].message
    assert text.count("\n") <= 1
    return text


def largest(scores: dict[str, np.ndarray], candidates: Mask, count: int) -> Mask:
    """Keep the largest scores of LeNet's first two layers; the last one is exempt."""
    names = LAYERS[:2]
    order = [
        (-scores[name].flat[i], place, i)
        for place, name in enumerate(names)
        for i in np.flatnonzero(candidates[name])
    ]
    found = {name: np.zeros_like(candidates[name]) for name in names}
    for _, place, i in sorted(order)[:count]:
        found[names[place]].flat[i] = True
    return found


def assert_masks(found: Mask, expected: Mask) -> None:
    for name, mask in expected.items():
        np.testing.assert_array_equal(found[name], mask, err_msg=name)


class Seen:
    """A pruner that notes what it is shown, and scores by magnitude."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scorings: list[Scoring] = []
        self.labels: list[list[int]] = []
        self.modes: list[bool] = []
        monkeypatch.setitem(registry.PRUNERS, "seen", self.scores)

    def scores(self, scoring: Scoring) -> Scores:
        self.scorings.append(scoring)
        for _ in range(2):  # at every call the same
            self.labels.append([int(y) for _, labels in scoring.batches() for y in labels])
        self.modes.append(scoring.module.training)
        return {name: np.abs(weight) for name, weight in scoring.weights.items()}


# What is scored.


def test_the_network_and_the_weights_that_a_pruner_sees_are_those_of_the_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch)
    go(tmp_path, pruner="seen", keep=("init", "rewind", "dense"))
    folder = only_run(tmp_path)
    rewind, dense = (read_tensors(folder.weights(name))[0] for name in ("rewind", "dense"))
    masks = masks_of(folder, 3)
    assert len(seen.scorings) == 3 and seen.modes == [False] * 3
    for level, scoring in enumerate(seen.scorings):
        state = scoring.module.state_dict()
        for name in LAYERS:
            weight = state[f"{name}.weight"].numpy()
            np.testing.assert_array_equal(scoring.weights[name], weight)
            np.testing.assert_array_equal(scoring.rewind[name], rewind[f"{name}.weight"])
            np.testing.assert_array_equal(scoring.mask[name], masks[level][name])
            assert (weight[~masks[level][name]] == 0).all()
        assert scoring.movement is None
        assert (scoring.classes, scoring.input_shape) == (10, (1, 8, 8))
        total = sum(mask.size for mask in masks[0].values())
        after = sum(int(mask.sum()) for mask in masks[level + 1].values())
        assert scoring.density == pytest.approx(after / total, abs=1e-12)
    for name, array in dense.items():
        np.testing.assert_array_equal(seen.scorings[0].module.state_dict()[name].numpy(), array)
    drawn = {scoring.generator.initial_seed() for scoring in seen.scorings}
    assert len(drawn) == 3


@pytest.mark.parametrize("restart", [False, True])
def test_rewound_weights_are_scored_where_the_recipe_says_so(tmp_path: Path, restart: bool) -> None:
    schedule = "restart" if restart else "continue"
    go(tmp_path, score_at="rewind", schedule=schedule)
    folder = only_run(tmp_path)
    rewind = read_tensors(folder.weights("rewind"))[0]
    scores = {name: np.abs(rewind[f"{name}.weight"]) for name in LAYERS}
    masks, fixed = masks_of(folder, 3), 1000
    for level in (1, 2, 3):
        count = sum(int(m.sum()) for m in masks[level].values()) - fixed
        assert_masks(masks[level], largest(scores, masks[level - 1], count))


def test_the_dense_network_is_scored_at_every_level(tmp_path: Path) -> None:
    """Each mask is the one-shot mask of its density; the trained dense weights are kept for it."""
    go(tmp_path, score_from="dense", should_stop=stop_at(13))  # inside level 1
    assert go(tmp_path, score_from="dense").seeds("done") == [0]
    folder = only_run(tmp_path)
    dense = read_tensors(folder.weights("dense"))[0]
    scores = {name: np.abs(dense[f"{name}.weight"]) for name in LAYERS}
    masks = masks_of(folder, 3)
    assert kept(tmp_path) == [50200, 40159, 32126]
    for level in (1, 2, 3):
        count = sum(int(m.sum()) for m in masks[level].values()) - 1000
        assert_masks(masks[level], largest(scores, masks[0], count))
    go(tmp_path / "previous")
    other = masks_of(only_run(tmp_path / "previous"), 3)
    assert_masks(other[1], masks[1])
    assert any((other[2][name] != masks[2][name]).any() for name in LAYERS)


def test_dense_weights_that_are_gone_are_told(tmp_path: Path) -> None:
    go(tmp_path, score_from="dense", levels=1)
    only_run(tmp_path).weights("dense").unlink()
    text = message(go(tmp_path, score_from="dense", levels=3))
    assert "pruner" not in text and "has no trained dense weights" in text


def test_a_layer_may_gain_what_others_lose(tmp_path: Path) -> None:
    """Masks that are drawn anew from the dense network at every level are not nested."""
    changes = {"pruner": "random", "score_from": "dense", "prune": 0.01, "epochs": 0}
    go(tmp_path, "resnet8w4", "synthetic", levels=6, rewind=None, **changes)
    masks = masks_of(only_run(tmp_path), 6)
    grown = [(masks[n + 1][name] & ~masks[n][name]).any() for n in (1, 5) for name in masks[0]]
    assert any(grown)
    store = Store(tmp_path)
    rows = store.sql("SELECT kept, kept_prev FROM layers WHERE level > 0").to_dicts()
    assert any(row["kept"] > row["kept_prev"] for row in rows)
    (run,) = store.sql("SELECT experiment_id FROM runs").to_dicts()
    (note,) = store.counts(run["experiment_id"], by="layer").notes
    assert "not nested" in note


def test_a_step_begins_from_the_mask_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch)
    go(tmp_path, pruner="seen", score_steps=3, levels=0)
    counts = [sum(int(m.sum()) for m in s.mask.values()) for s in seen.scorings]
    assert counts[0] == 50200 and counts == sorted(counts, reverse=True) and len(set(counts)) == 3
    for scoring in seen.scorings:
        for name, mask in scoring.mask.items():
            assert (
                scoring.module.get_parameter(f"{name}.weight").detach().numpy()[~mask] == 0
            ).all()
    assert len({s.generator.initial_seed() for s in seen.scorings}) == 3


# Images.


def test_images_are_balanced_the_same_at_every_level_and_others_for_another_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch)
    go(tmp_path, pruner="seen", score_images=50, seeds=2)
    assert [len(labels) for labels in seen.labels] == [50] * 12
    assert all(set(Counter(labels).values()) == {5} for labels in seen.labels)
    assert len({tuple(labels) for labels in seen.labels}) == 2  # one for each seed
    go(tmp_path / "all", pruner="seen", levels=0)
    assert Counter(seen.labels[-1]) == dict.fromkeys(range(10), 15)


def test_batches_are_no_larger_than_those_of_training_and_near_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def scores(scoring: Scoring) -> Scores:
        sizes.extend(len(x) for x, _ in scoring.batches())
        return {name: np.abs(weight) for name, weight in scoring.weights.items()}

    monkeypatch.setitem(registry.PRUNERS, "sizes", scores)
    go(tmp_path, pruner="sizes", levels=0)
    assert sizes == [30] * 5  # of 150, at most 32
    del sizes[:]
    go(tmp_path / "33", pruner="sizes", levels=0, score_images=33)
    assert sizes == [17, 16]


def test_images_are_the_training_images_without_augmentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Tensor] = []

    def scores(scoring: Scoring) -> Scores:
        shown.extend(x for batch, _ in scoring.batches() for x in batch)
        return {name: np.abs(weight) for name, weight in scoring.weights.items()}

    monkeypatch.setitem(registry.PRUNERS, "shown", scores)
    go(tmp_path, "resnet8w4", "synthetic", pruner="shown", levels=0)
    images = DATASETS["synthetic"](None)
    assert "flip" in images.augment
    wanted = (images.x_train / 255 - np.array(images.mean)) / np.array(images.std)
    found = np.stack([x.permute(1, 2, 0).numpy() for x in shown])

    def rows(array: np.ndarray) -> list[tuple[float, ...]]:
        return sorted(tuple(row) for row in array.reshape(len(array), -1).round(3).tolist())

    np.testing.assert_allclose(rows(found), rows(wanted), atol=2e-3)


def test_batch_norm_is_in_the_mode_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch)
    go(tmp_path, "resnet8w4", "synthetic", pruner="seen", score_mode="train", levels=0)
    assert seen.modes == [True]


def test_a_pruner_may_spoil_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(tmp_path / "plain")

    def scores(scoring: Scoring) -> Scores:
        for tensor in scoring.module.double().state_dict().values():
            tensor.zero_()
        torch.rand(3, generator=scoring.generator)
        return {name: np.abs(weight) for name, weight in scoring.weights.items()}

    monkeypatch.setitem(registry.PRUNERS, "spoils", scores)
    go(tmp_path / "spoilt", pruner="spoils")
    plain_run, spoilt = only_run(tmp_path / "plain"), only_run(tmp_path / "spoilt")
    for level in range(3):
        one, other = (run.read_record(level)["accuracy"] for run in (plain_run, spoilt))
        assert one.to_pylist() == other.to_pylist()
        assert_masks(read_mask(spoilt.mask(level + 1)), read_mask(plain_run.mask(level + 1)))


# Movement.


def plain_movement(trainer: Trainer, mask: Mask, start: int, end: int) -> dict[str, np.ndarray]:
    """-sum lr g w, step by step, in a network of named tensors trained by torch.optim.SGD."""
    recipe, loader = trainer.recipe, trainer.loader
    state = {n: t.clone().contiguous() for n, t in trainer.module.state_dict().items()}
    parameters = {n: t.requires_grad_() for n, t in state.items()}
    masks = {f"{name}.weight": torch.from_numpy(m).float() for name, m in mask.items()}
    optimizer = torch.optim.SGD(
        parameters.values(), lr=recipe.lr, momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )  # fmt: skip
    sums = {name: np.zeros(m.shape) for name, m in mask.items()}
    per_epoch = loader.iterations_per_epoch
    for done in range(start, end):
        epoch, first = divmod(done, per_epoch)
        images, labels = next(iter(loader.epoch(epoch, first)))
        with torch.no_grad():
            for name, kept_here in masks.items():
                parameters[name].mul_(kept_here)
        optimizer.zero_grad()
        logits = plain.forward(parameters, images, training=True)
        torch.nn.functional.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        rate = 0.1 if done < 6 else 0.01
        for name, total in sums.items():
            tensor = parameters[f"{name}.weight"]
            assert tensor.grad is not None
            total -= rate * tensor.grad.numpy() * tensor.detach().numpy()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    return sums


MOVING: dict[str, Any] = {
    "pruner": "movement", "lr": 0.1, "milestones": ("6it",), "weight_decay": 0.01, "epochs": 2,
}  # fmt: skip


def parts_of(store: Path) -> ReplicaParts:
    made = plan("lenet", "few-digits", store=store, **{**SMALL_MOVING, "workers": 1})
    return ReplicaParts(
        made.recipe, 0, made.images, made.network, CPU, None, EAGER, lambda text: None
    )


SMALL_MOVING: dict[str, Any] = {
    **{"batch_size": 32, "rewind": "2it", "levels": 2, "rounding": "openlth", "momentum": 0.9},
    **MOVING,
}


def trained_again(store: Path, level: int) -> tuple[Trainer, Mask]:
    """A trainer at the beginning of a level of the one run of a store."""
    folder, on = only_run(store), parts_of(store)
    mask = read_mask(folder.mask(level))
    load_arrays(on.module, read_tensors(folder.weights("rewind"))[0])
    return on.trainer(mask), mask


@pytest.mark.parametrize("level", [0, 1])
def test_movement_is_summed_over_the_steps_of_a_level(level: int, tmp_path: Path) -> None:
    go(tmp_path, **MOVING)
    trainer, mask = trained_again(tmp_path, level)
    expected = plain_movement(trainer, mask, 2, 10)
    trainer.sum_movement(LAYERS)
    trainer.run(2, 10)
    assert trainer.movement is not None
    sums = trainer.movement.by_layer()
    for name in LAYERS:
        scale = np.abs(expected[name]).max()
        assert scale > 0 and sums[name].dtype == np.float64
        np.testing.assert_allclose(sums[name], expected[name], atol=2e-5 * scale)
        assert (sums[name][~mask[name]] == 0).all()
    count = sum(int(m.sum()) for m in read_mask(only_run(tmp_path).mask(level + 1)).values())
    found = read_mask(only_run(tmp_path).mask(level + 1))
    assert_masks(found, largest(sums, mask, count - 1000))


def test_a_run_by_movement_that_is_stopped_after_every_step_is_the_same(tmp_path: Path) -> None:
    go(tmp_path / "whole", **MOVING)
    store, stops = tmp_path / "stopped", 0
    while (outcome := go(store, should_stop=stop_at(2), **MOVING)).seeds("stopped"):
        stops += 1
        checkpoint = read_tensors(only_run(store).checkpoint)[0]
        inside = [name for name in checkpoint if name.startswith("movement/")]
        assert len(inside) in (0, 3)  # none before the rewind point
    assert outcome.seeds("done") == [0]
    assert stops == 1 + 3 * 7
    assert results(store) == results(tmp_path / "whole")


def test_a_state_without_its_movement_is_not_gone_on_from(tmp_path: Path) -> None:
    go(tmp_path, **MOVING)
    trainer, _ = trained_again(tmp_path, 1)
    state: Arrays = trainer.state()
    trainer.sum_movement(LAYERS)
    with pytest.raises(ValueError, match="another network"):
        trainer.restore(state)
    trainer.restore(trainer.state())


@torch.no_grad()
def test_a_step_that_overflows_moves_nothing_and_a_frozen_weight_never() -> None:
    weight, frozen = (torch.nn.Parameter(torch.tensor([2.0, -3.0])) for _ in range(2))
    movement = Movement({"a.weight": weight, "b.weight": frozen})
    weight.grad = torch.tensor([0.5, 1.0])
    movement.add(0.1, torch.zeros(()))
    weight.grad = torch.tensor([math.inf, 1.0])
    movement.add(torch.tensor(0.1), torch.ones(()))
    weight.grad = torch.tensor([1.0, 1.0])
    movement.add(0.2, None)
    found = movement.by_layer()
    np.testing.assert_allclose(found["a"], [-0.1 * 0.5 * 2 - 0.2 * 2, 0.1 * 3 + 0.2 * 3])
    assert found["b"].tolist() == [0.0, 0.0]


def test_seeds_side_by_side_move_as_alone(tmp_path: Path) -> None:
    go(tmp_path / "alone", seeds=2, **MOVING)
    go(tmp_path / "beside", seeds=2, replicas=2, **MOVING)
    assert results(tmp_path / "beside") == results(tmp_path / "alone")


def test_movement_needs_dense_steps_and_says_so(tmp_path: Path) -> None:
    def planned(pruner: str, kernels: str) -> Any:
        return plan("lenet", "few-digits", store=tmp_path, kernels=kernels, epochs=2, rewind="0",
                    levels=1, pruner=pruner)  # fmt: skip

    if planned("magnitude", "auto").kernels.choice != "auto":
        pytest.skip("there are no sparse kernels here")
    made = planned("movement", "auto")
    assert made.kernels.choice == "dense"
    assert any("pruner movement sums gradients" in note for note in made.notes)
    with pytest.raises(UsageError, match="kernels sparse: pruner movement sums gradients"):
        planned("movement", "sparse")


def test_increase_is_measured_from_where_the_level_began(tmp_path: Path) -> None:
    go(tmp_path, pruner="increase", keep=("init", "rewind", "dense"))
    folder = only_run(tmp_path)
    rewind, dense = (read_tensors(folder.weights(name))[0] for name in ("rewind", "dense"))
    scores = {
        name: np.abs(dense[f"{name}.weight"].astype(float))
        - np.abs(rewind[f"{name}.weight"].astype(float))
        for name in LAYERS
    }
    masks = masks_of(folder, 1)
    count = sum(int(m.sum()) for m in masks[1].values()) - 1000
    assert_masks(masks[1], largest(scores, masks[0], count))


# Nothing trained.


@pytest.mark.parametrize("kernels", ["dense", "auto"])
def test_a_flow_without_training_has_no_accuracy(tmp_path: Path, kernels: str) -> None:
    events: list[Event] = []
    outcome = go(tmp_path, epochs=0, rewind=None, pruner="synflow", score_steps=4, kernels=kernels,
                 on_event=events.append)  # fmt: skip
    assert outcome.seeds("done") == [0]
    folder = only_run(tmp_path)
    description = folder.read_description()
    assert (description.recipe.epochs, description.recipe.rewind) == (0, "0it")
    assert description.recipe.milestones == ()
    assert description.scales["init"] == description.scales["rewind"]
    assert kept(tmp_path) == [50200, 40159, 32126]
    for level in range(3):
        record = folder.read_record(level)
        for column in ("accuracy", "loss", "train_accuracy", "train_loss", "images_per_second"):
            assert record[column].null_count == record.num_rows, column
        assert not record["diverged"][0].as_py()
    ends = [event for event in events if event.kind == "level"]
    assert all(math.isnan(event.accuracy) for event in ends)
    assert [event.reached for event in ends] == [
        "density 1.0000", "density 0.8000", "density 0.6400",
    ]  # fmt: skip
    assert go(tmp_path, epochs=0, rewind=None, pruner="synflow", score_steps=4).seeds("known")


def test_a_flow_without_training_is_that_of_scores_at_the_rewind_point(tmp_path: Path) -> None:
    go(tmp_path / "none", epochs=0, rewind=None, pruner="synflow")
    go(tmp_path / "some", rewind="0", pruner="synflow", score_at="rewind")
    none, some = (masks_of(only_run(tmp_path / name), 3) for name in ("none", "some"))
    for one, other in zip(none, some, strict=True):
        assert_masks(one, other)


def test_a_plan_of_no_training_can_be_estimated_and_shown(tmp_path: Path) -> None:
    made = plan("lenet", "few-digits", store=tmp_path, epochs=0, levels=2)
    assert "recipe.epochs" in made.table().text()
    assert estimate(made).seconds >= 0


def test_an_estimate_knows_what_scoring_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def scores(scoring: Scoring) -> Scores:
        sizes.extend(len(x) for x, _ in scoring.batches())
        return {name: np.abs(weight) for name, weight in scoring.weights.items()}

    monkeypatch.setitem(registry.PRUNERS, "sizes", scores)

    def seconds(steps: int) -> float:
        changes = {"epochs": 0, "levels": 2, "workers": 1, "score_steps": steps}
        return estimate(
            plan("lenet", "few-digits", store=tmp_path, pruner="sizes", **changes)
        ).seconds

    assert seconds(10**6) > 1000 * seconds(1)
    assert set(sizes) == {75}  # one batch of two


def test_a_point_behind_no_training_is_refused() -> None:
    with pytest.raises(UsageError, match="rewind 3it is iteration 3, but training ends at 0"):
        plan("lenet", "few-digits", epochs=0, rewind="3it")


def test_points_in_training_go_with_it() -> None:
    made = plan("resnet8w4", "synthetic", "chen2021a", batch_size=32, epochs=0, levels=1)
    recipe = made.recipe
    assert (recipe.milestones, recipe.rewind, recipe.warmup) == ((), "0it", "0it")


def test_a_recipe_without_training_may_get_epochs(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    file.write_text('base = "quick"\nepochs = 0\n')
    assert plan("lenet", "few-digits", str(file)).recipe.rewind == "0it"
    base = plan("lenet", "few-digits", epochs=0).recipe
    again = plan("lenet", "few-digits", base, epochs=4).recipe
    assert (again.epochs, again.rewind, again.milestones) == (4, "0it", ())


# What says nothing.


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "all scores are 0"), (math.nan, "scores of layer fc1 are not finite")],
)
def test_scores_that_rank_nothing_are_refused_once_the_level_is_recorded(
    value: float, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores(scoring: Scoring) -> Scores:
        spoilt = sum(m.sum() for m in scoring.mask.values()) < 45000
        return {
            name: np.full(w.shape, value) if spoilt else np.abs(w)
            for name, w in scoring.weights.items()
        }

    monkeypatch.setitem(registry.PRUNERS, "spoilt", scores)
    text = message(go(tmp_path, pruner="spoilt"))
    assert words in text and "pruner spoilt at level 2" in text
    assert only_run(tmp_path).recorded_levels() == [0, 1]
    assert "mask of level 2 cannot be read" in message(go(tmp_path, pruner="spoilt"))


@pytest.mark.parametrize(
    ("scope", "values", "words"),
    [
        ("global", {"fc": math.nan}, ""),
        ("layerwise", {"fc": math.inf}, ""),
        ("global", {"fc1": 0.0}, ""),
        ("global", {"fc1": 0.0, "fc2": 0.0}, "all scores are 0"),
        ("layerwise", {"fc2": 0.0}, "all scores of layer fc2 are 0"),
        ("layerwise", {"fc2": math.nan}, "scores of layer fc2 are not finite"),
    ],
)
def test_scores_must_rank_what_is_compared(
    scope: str,
    values: dict[str, float],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Layer fc is exempt: nothing uses its scores."""
    monkeypatch.setitem(
        registry.PRUNERS, "some",
        lambda scoring: {
            name: np.full(w.shape, values.get(name)) if name in values else np.abs(w)
            for name, w in scoring.weights.items()
        },
    )  # fmt: skip
    outcome = go(tmp_path, pruner="some", scope=scope, levels=1)
    assert words in message(outcome) if words else outcome.seeds("done") == [0]


def drained(scoring: Scoring) -> Scores:
    """Let the weights of layer fc2 go first."""
    return {name: np.abs(w) * (1e-9 if name == "fc2" else 1) for name, w in scoring.weights.items()}


def test_a_layer_that_runs_empty_is_told_once_at_the_level_that_is_trained_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.PRUNERS, "drained", drained)

    def told(levels: int) -> list[str]:
        events: list[Event] = []
        done = go(tmp_path, pruner="drained", prune=0.5, levels=levels, on_event=events.append)
        assert done.seeds("done") == [0]
        return [event.message for event in events if event.kind == "warning"]

    assert told(1) == []  # the mask of level 2 is there already
    assert not read_mask(only_run(tmp_path).mask(2))["fc2"].any()
    (warning,) = told(4)
    assert warning.endswith("keeps no weight of fc2 at level 2: nothing passes there")


def test_an_empty_layer_has_no_scores_to_compare(tmp_path: Path) -> None:
    events: list[Event] = []
    changes = {"prune": 0.9, "scope": "layerwise", "exempt": ("fc1",), "rounding": "exact"}
    assert go(tmp_path, levels=4, on_event=events.append, **changes).seeds("done") == [0]
    mask = read_mask(only_run(tmp_path).mask(4))
    assert (int(mask["fc"].sum()), int(mask["fc2"].sum())) == (0, 3)
    (warning,) = [event.message for event in events if event.kind == "warning"]
    assert "keeps no weight of fc at level 4" in warning  # and the mask of level 5 is found


def test_the_last_level_stands_though_none_could_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        registry.PRUNERS, "zero",
        lambda scoring: {name: np.zeros(w.shape) for name, w in scoring.weights.items()},
    )  # fmt: skip
    events: list[Event] = []
    assert go(tmp_path, pruner="zero", levels=0, on_event=events.append).seeds("done") == [0]
    (warning,) = [event.message for event in events if event.kind == "warning"]
    assert "finds no mask behind level 0: pruner zero at level 1: all scores are 0" in warning
    assert only_run(tmp_path).recorded_levels() == [0]


def test_synflow_in_one_step_empties_a_layer_where_a_hundred_do_not(tmp_path: Path) -> None:
    """Tanaka et al., theorems 2 and 3: every layer carries equal flow, so the largest go whole."""
    changes: dict[str, Any] = {
        "epochs": 0, "rewind": None, "pruner": "synflow", "prune": 0.99, "levels": 2,
        "rounding": "exact", "exempt": (),
    }  # fmt: skip
    text = message(go(tmp_path / "one", **changes))
    assert "pruner synflow at level 2: layer fc1 has run empty" in text
    assert kept(tmp_path / "one") == [50200, 502]
    go(tmp_path / "hundred", score_steps=100, **{**changes, "levels": 1})
    mask = read_mask(only_run(tmp_path / "hundred").mask(1))
    assert all(kept_here.any() for kept_here in mask.values())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pruner": "movement", "epochs": 0, "rewind": "0"}, "epochs is 0"),
        ({"pruner": "increase", "epochs": 0, "rewind": "0"}, "epochs is 0"),
        ({"pruner": "increase", "score_at": "rewind"}, "score_at is rewind"),
        ({"pruner": "movement", "score_from": "dense"}, "score_from is dense"),
        ({"pruner": "rigl"}, "lets pruned weights grow again"),
        ({"pruner": "FORCE"}, 'score_from="dense": from the whole network'),
        ({"pruner": "synflo"}, "did you mean synflow"),
        ({"score_images": 151}, "score_images 151: few-digits has 150 training images"),
        ({"score_images": 5}, "score_images 5: .*10 the least"),
        ({"score_images": 0}, "score_images is 0: at least 1"),
        ({"score_steps": 0}, "score_steps is 0: at least 1"),
        ({"score_at": "start"}, "score_at 'start' is unknown"),
        ({"score_mode": "test"}, "score_mode 'test' is unknown"),
        ({"score_from": "last"}, "score_from 'last' is unknown"),
        ({"epochs": -1}, "epochs is -1: at least 0"),
    ],
)
def test_what_a_pruner_cannot_do_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        plan("lenet", "few-digits", **{"epochs": 2, "rewind": "2it", **changes})
    assert str(refused.value).count("\n") <= 1


# The same as ever.


def test_defaults_mean_what_was_done_before() -> None:
    recipe = plan("lenet", "few-digits", "quick").recipe
    fields = {name for name in recipe.to_json() if name.startswith("score_")}
    assert len(fields) == 5 and not fields & set(recipe.non_defaults())


def test_smallest_takes_ties_by_position_without_more() -> None:
    scores = np.array([1.0, 1.0, 0.0, 1.0])
    assert smallest(scores, 2).tolist() == [True, False, True, False]
    assert smallest(scores, 2, np.array([3.0, 2.0, 9.0, 1.0])).tolist() == [
        False, False, True, True,
    ]  # fmt: skip


def test_few_digits_are_balanced_in_any_order() -> None:
    images = few_digits()
    order = np.arange(150)[::-1]
    first, last = images.balanced_subset(20), images.balanced_subset(20, order=order)
    for subset in (first, last):
        assert Counter(subset.y_train.tolist()) == dict.fromkeys(range(10), 2)
    assert (first.x_train != last.x_train).any()
