"""The step loop against a plain one, and iterative pruning against OpenLTH's semantics."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import plain
import pytest
import torch
from experiments import few_digits, kept, only_run, synthetic
from pruned import prune_once
from torch import Tensor, nn

from rgtool.runner import data
from rgtool.runner.experiment import execute, plan
from rgtool.runner.models import build, initialise
from rgtool.runner.pruning import Mask
from rgtool.runner.replicas.loader import Loader
from rgtool.runner.replicas.randomness import generator
from rgtool.runner.replicas.training import (
    Diverged,
    Lane,
    Score,
    Stopped,
    Trainer,
    evaluate,
    layer_weights,
    load_arrays,
    state_arrays,
    train,
)
from rgtool.schemas.blocks import architecture
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors

CPU = torch.device("cpu")
CASES = {
    "lenet": ("lenet", few_digits(600), {"exempt": ("fc",), "momentum": 0.0, "weight_decay": 0.0}),
    "lenet-momentum": ("lenet", few_digits(600), {}),
    "resnet": ("resnet8w4", few_digits(600), {}),
    "resnet-crops-flips": ("resnet8w4", synthetic(600, augment=("flip", "crop4")), {}),
}


class Double(Loader):
    """The same batches in float64, where two ways to add up the same numbers agree to 1e-15.

    In float32 a pre-activation near 0 can fall on the other side of a ReLU, and large learning
    rates make much of that within a few steps.
    """

    def gather(self, draw: Tensor) -> tuple[Tensor, Tensor]:
        images, labels = super().gather(draw)
        return images.double(), labels


def setting(
    name: str, kind: type[Loader] = Loader, **changes: object
) -> tuple[Recipe, Loader, nn.Module, dict[str, Tensor]]:
    """A recipe with milestones inside its epochs, its batches, a fresh network and its tensors."""
    model, images, fields = CASES[name]
    values = {"epochs": 3, "milestones": ("10it", "2ep"), "augment": images.augment}
    recipe = Recipe(architecture=model, task=images.name, **{**values, **fields, **changes})
    batches = kind(images, batch_size=recipe.batch_size, augment=recipe.augment, seed=3, device=CPU)
    module = build(model, images.input_shape, images.classes)
    rng = generator(3, "init")
    initialise(module, init="kaiming_normal", fan="fan_in", bn_init="uniform", rng=rng)
    if kind is Double:
        module.double()
    return recipe, batches, module, tensors(module)


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in state_arrays(module).items()}


def random_mask(module: nn.Module, share: float = 0.5) -> Mask:
    rng = np.random.default_rng(0)
    names = [n for n, p in module.named_modules() if isinstance(p, nn.Conv2d | nn.Linear)]
    return {n: rng.random(module.get_parameter(f"{n}.weight").shape) < share for n in names}


# The step.


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("kind", "lr", "tolerance"), [(Loader, 0.01, 2e-3), (Double, 0.1, 1e-9)])
@pytest.mark.parametrize("case", CASES)
def test_an_epoch_is_that_of_a_plain_loop(
    case: str, kind: type[Loader], lr: float, tolerance: float, masked: bool
) -> None:
    recipe, loader, module, state = setting(case, kind, lr=lr)
    mask = random_mask(module) if masked else None
    per_epoch = loader.iterations_per_epoch
    assert per_epoch == 5  # 600 images in batches of 128, the last of 88
    start = 7  # inside the second epoch; the rate drops at 10
    expected = plain.train(state, mask, loader, recipe, start, start + per_epoch)
    Trainer(module, recipe, loader, mask).run(start, start + per_epoch)
    found = tensors(module)
    for name, tensor in expected.items():
        if "num_batches" not in name:
            moved = float((tensor - state[name]).abs().max())
            assert moved > 0, name
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=tolerance * moved)
    for name, array in (mask or {}).items():
        assert (found[f"{name}.weight"].numpy()[~array] == 0).all()


def test_the_learning_rate_drops_after_the_steps_of_the_milestones() -> None:
    recipe, loader, module, _ = setting("lenet", lr=0.4, gamma=0.5, milestones=("2ep", "7it"))
    trainer = Trainer(module, recipe, loader, None)
    rates = [trainer.learning_rate(step) for step in range(12)]
    assert rates == [0.4] * 7 + [0.2] * 3 + [0.1] * 2


def test_the_score_is_that_of_the_batches_of_the_last_epoch() -> None:
    recipe, loader, module, state = setting("resnet", Double)
    epochs = []
    score = Trainer(module, recipe, loader, None).run(
        3, 12, on_epoch=lambda epoch, score: epochs.append((epoch, score))
    )
    assert [epoch for epoch, _ in epochs] == [1, 2, 3]
    assert epochs[-1][1] == score
    loss = correct = images = 0.0
    for step, (x, y) in zip(range(10, 12), loader.epoch(2), strict=False):
        before = plain.train(state, None, loader, recipe, 3, step)
        logits = plain.forward(before, x.contiguous(), training=True)
        loss += float(nn.functional.cross_entropy(logits, y, reduction="sum"))
        correct += int((logits.argmax(1) == y).sum())
        images += len(y)
    assert score.loss == pytest.approx(loss / images, rel=1e-9)
    assert score.accuracy == correct / images


# Leaving and entering.


@pytest.mark.parametrize("case", ["lenet", "resnet-crops-flips"])
def test_training_goes_on_to_the_same_bits_from_every_step(case: str) -> None:
    recipe, loader, module, _ = setting(case)
    start, mask = state_arrays(module), random_mask(module)
    whole = Trainer(module, recipe, loader, mask)
    score = whole.run(2, 13)
    expected = whole.state()
    for stop in (3, 4, 5, 10, 12):
        load_arrays(module, start)
        first = Trainer(module, recipe, loader, mask)
        with pytest.raises(Stopped):
            first.run(2, 13, on_step=lambda done, stop=stop: done == stop)
        saved = first.state()
        other = build(recipe.architecture, CASES[case][1].input_shape, 10)
        second = Trainer(other, recipe, loader, mask)
        second.restore(saved)
        assert second.run(stop, 13) == score
        found = second.state()
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{name} after {stop}")


def test_a_saved_state_does_not_move_with_the_training() -> None:
    recipe, loader, module, _ = setting("resnet")
    trainer = Trainer(module, recipe, loader, None)
    trainer.run(0, 3)
    saved = trainer.state()
    copy = {name: array.copy() for name, array in saved.items()}
    trainer.run(3, 6)
    for name, array in copy.items():
        np.testing.assert_array_equal(saved[name], array)
    assert any("momentum" in name for name in saved)


def test_a_state_of_another_network_is_refused() -> None:
    recipe, loader, module, _ = setting("resnet")
    trainer = Trainer(module, recipe, loader, None)
    trainer.run(0, 2)
    state = trainer.state()
    wrong_shape = {name: np.zeros((2, 2), np.float32) for name in state}
    missing = {name: array for name, array in state.items() if name != "fc.weight"}
    without_tally = {name: array for name, array in state.items() if name != "tally"}
    momentum = state | {"momentum/fc.weight": np.zeros((1, 1), np.float32)}
    for other in (wrong_shape, missing, without_tally, momentum):
        with pytest.raises(ValueError, match="another network"):
            trainer.restore(other)
    for name, array in state.items():
        np.testing.assert_array_equal(trainer.state()[name], array)


# Divergence.


def test_a_loss_that_is_not_finite_ends_training_after_its_epoch() -> None:
    recipe, loader, module, _ = setting("lenet", lr=1e9)
    done: list[int] = []
    with pytest.raises(Diverged):
        Trainer(module, recipe, loader, None).run(0, 15, on_step=lambda step: done.append(step))
    assert len(done) <= 2 * loader.iterations_per_epoch


def test_weights_that_are_not_finite_are_no_end_of_training() -> None:
    # The loss of the only step is finite; what the step does to the weights is not.
    bright = dataclasses.replace(CASES["lenet"][1], std=(1e-4,))
    recipe = setting("lenet", lr=3e38)[0]
    module = build("lenet", bright.input_shape, 10)
    loader = Loader(bright, batch_size=128, augment=(), seed=0, device=CPU)
    trainer = Trainer(module, recipe, loader, None)
    with pytest.raises(Diverged):
        trainer.run(0, 1)
    assert math.isfinite(float(trainer.tally[0]))


# Iterative magnitude pruning.

REWIND = 7  # iterations: inside the second of three epochs


def pruned_by_openlth(
    start: dict[str, Tensor], loader: Loader, recipe: Recipe, names: list[str], levels: int
) -> list[Mask]:
    """Masks of levels 0 to `levels` as OpenLTH finds them."""
    end = recipe.epochs * loader.iterations_per_epoch
    rewound = plain.train(start, None, loader, recipe, 0, REWIND)
    masks: list[Mask] = [{name: np.ones(start[f"{name}.weight"].shape, bool) for name in names}]
    for _ in range(levels):
        trained = plain.train(rewound, masks[-1], loader, recipe, REWIND, end)
        masks.append(plain.prune(trained, masks[-1], recipe))
    return masks


def assert_equal_masks(found: list[Mask], expected: list[Mask]) -> None:
    assert len(found) == len(expected)
    for level, (mine, right) in enumerate(zip(found, expected, strict=True)):
        assert mine.keys() == right.keys()
        for name in right:
            np.testing.assert_array_equal(mine[name], right[name], err_msg=f"{name}, {level}")
    assert all((a[n] <= b[n]).all() for b, a in itertools.pairwise(found) for n in found[0])


@pytest.mark.parametrize("case", CASES)
def test_three_levels_of_masks_are_those_of_openlth(case: str) -> None:
    recipe, loader, module, state = setting(case, Double, rounding="openlth", rewind=f"{REWIND}it")
    layers = architecture(recipe.architecture, CASES[case][1].input_shape, 10).counted()
    names = [layer.name for layer in layers]
    expected = pruned_by_openlth(state, loader, recipe, names, 3)

    Trainer(module, recipe, loader, None).run(0, REWIND)
    rewound = state_arrays(module)
    masks: list[Mask] = [{layer.name: np.ones(layer.shape, bool) for layer in layers}]
    for level in (1, 2, 3):
        load_arrays(module, rewound)
        Trainer(module, recipe, loader, masks[-1]).run(REWIND, 3 * loader.iterations_per_epoch)
        weights = layer_weights(module, names)
        masks.append(prune_once(weights, masks[-1], layers, recipe, level))
    assert_equal_masks(masks, expected)


# Learning rates and seeds for which the smallest survivor and the largest weight that goes differ,
# relatively, by ten times the noise of float32 or more: 8e-5, 6e-5, 1e-3 and 8e-4.
CLEAR_CUT = {
    "lenet": (0.02, 2),
    "lenet-momentum": (0.02, 6),
    "resnet": (0.002, 0),
    "resnet-crops-flips": (0.002, 5),
}


@pytest.mark.parametrize("case", CASES)
def test_a_whole_run_finds_the_masks_of_openlth(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model, images, fields), (lr, seed) = CASES[case], CLEAR_CUT[case]
    monkeypatch.setitem(data.DATASETS, images.name, lambda folder: images)
    changes = {"epochs": 2, "milestones": ("9it",), "rewind": "1ep2it", "rounding": "openlth"}
    defaults = {"momentum": 0.9, "weight_decay": 1e-4, "exempt": (), "lr": lr}
    made = plan(
        model,
        images.name,
        levels=3,
        store=tmp_path,
        workers=1,
        seeds=[seed],
        **{**defaults, **fields, **changes},
    )
    assert execute(made).seeds("done") == [seed]
    folder = only_run(tmp_path)
    initial = {n: torch.from_numpy(a) for n, a in read_tensors(folder.weights("init"))[0].items()}
    loader = Loader(images, batch_size=128, augment=images.augment, seed=seed, device=CPU)
    names = [layer.name for layer in made.layers]
    expected = pruned_by_openlth(initial, loader, made.recipe, names, 3)
    assert_equal_masks([read_mask(folder.mask(level)) for level in range(4)], expected)
    assert kept(tmp_path) == [sum(int(m.sum()) for m in mask.values()) for mask in expected]


# Replicas side by side, and what belongs to a state.


def lanes(number: int = 2, **calls: object) -> list[Lane]:
    made = []
    for _ in range(number):
        recipe, loader, module, _ = setting("lenet")
        made.append(Lane(Trainer(module, recipe, loader, None), **calls))  # type: ignore[arg-type]
    return made


def test_where_one_replica_stops_the_others_are_told_and_it_is_not() -> None:
    told: list[tuple[str, int]] = []
    asks, waits, silent = lanes(3)
    asks.on_step = lambda done: done == 4
    asks.on_stop = lambda done: told.append(("asks", done))
    waits.on_step = lambda done: False
    waits.on_stop = lambda done: told.append(("waits", done))
    with pytest.raises(Stopped):
        train([asks, waits, silent], 2, 9)
    assert told == [("waits", 4)]
    assert not (asks.diverged or waits.diverged or silent.diverged)


def test_nobody_is_asked_after_the_last_step() -> None:
    asked: list[int] = []
    (lane,) = lanes(1, on_step=lambda done: asked.append(done))
    train([lane], 3, 7)
    assert asked == [4, 5, 6]
    train([lane], 7, 7)
    assert asked == [4, 5, 6]


def test_epochs_are_counted_and_scored_from_their_first_batch() -> None:
    """Entered in its midst, an epoch scores what was trained on; the next begins anew."""
    closed: list[tuple[int, float]] = []
    (lane,) = lanes(1, on_epoch=lambda epochs, score: closed.append((epochs, score.loss)))
    assert lane.trainer.loader.iterations_per_epoch == 5
    train([lane], 3, 11)
    assert [epochs for epochs, _ in closed] == [1, 2, 3]
    assert float(lane.trainer.tally[2]) == 128  # the one batch of the third epoch
    assert lane.score.loss == closed[-1][1] == float(lane.trainer.tally[0]) / 128
    train([lane], 11, 12)
    assert float(lane.trainer.tally[2]) == 2 * 128  # the same epoch goes on


def test_a_tally_of_nothing_is_no_number_and_one_that_overflowed_none() -> None:
    (lane,) = lanes(1)
    score = lane.trainer.read_tally()
    assert score is not None and math.isnan(score.loss) and math.isnan(score.accuracy)
    lane.trainer.tally[:] = torch.tensor([6.0, 3.0, 4.0])
    assert lane.trainer.read_tally() == Score(1.5, 0.75)
    lane.trainer.tally[0] = math.inf
    assert lane.trainer.read_tally() is None


def test_a_replica_whose_loss_is_no_number_is_left_where_it_was() -> None:
    wild, tame = lanes()
    with torch.no_grad():
        wild.trainer.parameters["fc1.weight"].fill_(math.nan)
    train([wild, tame], 0, 12)
    assert (wild.diverged, tame.diverged) == (True, False)
    assert float(wild.trainer.tally[2]) == 600  # it trained no second epoch
    assert math.isnan(wild.score.loss) and math.isfinite(tame.score.loss)


def test_the_rate_on_a_cpu_is_the_number_itself() -> None:
    """Not a float32 tensor, in which 0.1 is 0.10000000149."""
    recipe, loader, module, _ = setting("lenet", lr=0.1, gamma=0.5, milestones=("2it",))
    trainer = Trainer(module, recipe, loader, None)
    assert (type(trainer.lr), trainer.lr) == (float, 0.1)
    trainer.set_rate(2)
    assert (trainer.lr, trainer.rate) == (0.05, 0.05)


def test_a_warmed_up_rate_is_counted_from_its_first_step() -> None:
    recipe, loader, module, _ = setting(
        "lenet", lr=0.4, gamma=0.5, milestones=("6it",), warmup="4it"
    )
    trainer = Trainer(module, recipe, loader, None)
    rates = [trainer.learning_rate(step) for step in range(8)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.2, 0.2])


def test_states_with_and_without_a_loss_scale_enter_each_other() -> None:
    recipe, loader, module, _ = setting("lenet-momentum")
    plain_, half = (
        Trainer(module, dataclasses.replace(recipe, precision=p), loader, None)
        for p in ("float32", "fp16")
    )
    assert half.scale is not None and plain_.scale is None
    half.scale.factor.fill_(1024.0)
    half.scale.steady.fill_(77)
    saved = half.state()
    assert saved["loss_scale"].tolist() == [1024.0, 77.0] and "loss_scale" not in plain_.state()
    plain_.restore(saved)
    half.scale.factor.fill_(2.0)
    half.scale.steady.fill_(1)
    half.restore(plain_.state())  # says nothing of the scale
    assert (half.scale.factor.item(), half.scale.steady.item()) == (2.0, 1)
    half.restore(saved)
    assert (half.scale.factor.item(), half.scale.steady.item()) == (1024.0, 77)


def test_a_state_without_momentum_begins_with_none() -> None:
    recipe, loader, module, _ = setting("lenet-momentum")
    trainer = Trainer(module, recipe, loader, None)
    trainer.run(0, 3)
    assert all(float(m.abs().max()) > 0 for m in trainer.momenta if m is not None)
    state = {n: a for n, a in trainer.state().items() if not n.startswith("momentum/")}
    trainer.restore(state)
    assert all(float(m.abs().max()) == 0 for m in trainer.momenta if m is not None)
    assert len(trainer.momenta) == len(trainer.parameters)


def test_scores_are_means_over_images() -> None:
    """Batches of different sizes count by their images."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    batches = [(torch.randn(n, 1, 2, 2), torch.randint(3, (n,))) for n in (5, 2)]
    score = evaluate(module, batches)
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    logits = module(x).detach()
    assert score.loss == pytest.approx(float(nn.functional.cross_entropy(logits, y)), rel=1e-6)
    assert score.accuracy == pytest.approx(float((logits.argmax(1) == y).double().mean()))
    assert not module.training
