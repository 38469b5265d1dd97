"""A spectrum of networks that have learned nothing says so before anything else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import stores
from command import Cli
from flows import write_experiment
from hypothesis import given
from hypothesis import strategies as st
from synthetic import counts

import rgtool
from rgtool import eigen
from rgtool.analysis.chance import CHANCE, at_chance, guessing, images_of, learned_nothing
from rgtool.analysis.window import choose_window
from rgtool.store.counts import Counts

SD = (0.1 * 0.9 / 75) ** 0.5


def with_accuracy(accuracy: float | np.ndarray, seeds: int = 3, task: str = "digits") -> Counts:
    found = counts("resnet8", "stage", seeds=seeds, levels=8, task=task)
    return dataclasses.replace(found, accuracy=np.full(found.accuracy.shape, 0.0) + accuracy)


@given(
    st.integers(1, 10),
    st.integers(1, 20),
    st.sampled_from([2, 10, 100, 1000]),
    st.integers(0, 2**32 - 1),
)
def test_a_constant_guess_is_one_whatever_the_class_and_a_trained_network_is_none(
    runs: int, levels: int, classes: int, seed: int
) -> None:
    guess = 1 / classes
    rng = np.random.default_rng(seed)
    drawn = rng.binomial(10_000, guess, (runs, levels)) / 10_000
    assert learned_nothing(drawn, guess)
    assert not learned_nothing(np.full((runs, levels), guess + 0.5 * (1 - guess)), guess)
    drawn[0, -1] = guess + 0.5 * (1 - guess)  # one level of one run has learned
    assert not learned_nothing(drawn, guess)


def test_the_bounds_are_those_that_are_stated() -> None:
    assert learned_nothing(np.array([[0.1 + 3.99 * SD, 0.1, 0.1]]), 0.1)
    assert not learned_nothing(np.array([[0.1 + 4.01 * SD, 0.1, 0.1]]), 0.1)
    for runs in (1, 4, 9):
        alike = np.full((runs, 5), 0.1)
        assert learned_nothing(alike + 2.99 * SD / runs**0.5, 0.1)
        assert not learned_nothing(alike + 3.01 * SD / runs**0.5, 0.1)


def test_a_larger_test_set_tells_a_little_learning_and_not_an_untrained_network() -> None:
    """Untrained ResNet-8 of width 4 reached .150 on CIFAR-10, at a standard deviation of .0197."""
    images = images_of("cifar10")
    assert (0.1 * 0.9 / images) ** 0.5 == pytest.approx(0.0197, rel=0.02)
    assert learned_nothing(np.array([[0.15]]), 0.1, images)
    for task, accuracy in (("cifar10", 0.2), ("cifar100", 0.04)):
        found = with_accuracy(accuracy, seeds=1, task=task)
        # The layers are those of ten classes; the task is known, so its own guess counts.
        assert eigen(None, found).at_chance is False
    assert eigen(None, with_accuracy(0.2, seeds=1, task="svhn")).at_chance is True
    assert images_of("digits") == images_of(None) == 75


def test_what_is_not_known_is_not_said() -> None:
    assert not learned_nothing(np.full((2, 3), np.nan), 0.1)
    assert learned_nothing(np.array([[np.nan] * 3, [0.1, np.nan, 0.1]]), 0.1)
    for found in (with_accuracy(np.nan), with_accuracy(0.1, task="nobody knows")):
        spectrum = eigen(None, dataclasses.replace(found, layers=found.layers[:-1]))
        assert not spectrum.summary().startswith("no evidence that")
    nothing = choose_window(with_accuracy(np.nan))
    assert nothing.at_chance is None and eigen(None, with_accuracy(np.nan)).at_chance is None
    assert choose_window(with_accuracy(0.9)).at_chance is False


def test_guessing_is_that_of_the_task_or_of_the_classes() -> None:
    assert CHANCE["svhn"] == 0.804
    for task in ("svhn", "permuted:svhn:7", "random-labels:noise:svhn:1:2"):
        assert guessing(with_accuracy(0.1, task=task)) == pytest.approx(0.196)
    assert guessing(with_accuracy(0.1, task="npz:mine.npz")) == pytest.approx(0.1)
    bare = dataclasses.replace(with_accuracy(0.1, task="mine"), layers=())
    assert guessing(bare) is None
    assert at_chance(bare, 1, 8, np.arange(3)) is None


def test_untrained_networks_on_the_digits_are_no_better_than_guessing() -> None:
    import torch

    from rgtool.runner import data, models

    images = data.load("digits")
    mean, std = torch.tensor(images.mean), torch.tensor(images.std)
    pixels = ((torch.tensor(images.x_test).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    accuracy = []
    for seed in range(30):
        torch.manual_seed(seed)
        network = models.build("lenet", tuple(pixels.shape[1:]), 10)
        with torch.no_grad():
            right = network(pixels).argmax(1) == torch.tensor(images.y_test).long()
        accuracy.append(float(right.float().mean()))
    assert learned_nothing(np.array(accuracy)[:, None], 0.1)
    told = [learned_nothing(np.array([[one]]), 0.1) for one in accuracy]
    assert np.mean(told) > 0.9


def test_the_dense_level_counts_and_levels_outside_the_window_do_not() -> None:
    accuracy = np.full(9, 0.1)
    accuracy[0] = 0.9
    assert eigen(None, with_accuracy(accuracy)).at_chance is False
    accuracy[:] = 0.1
    accuracy[8] = 0.9
    found = with_accuracy(accuracy)
    assert eigen(None, found).at_chance is False
    assert eigen(None, found, window=(1, 7)).at_chance is True
    assert eigen(None, found, window=(0, 7)).at_chance is True


def test_runs_that_have_learned_nothing_beside_others_are_named() -> None:
    accuracy = np.full((3, 9), 0.8)
    accuracy[1] = 0.1
    found = with_accuracy(accuracy)
    spectrum = eigen(None, found)
    (note,) = [note for note in spectrum.notes if "no evidence that anything" in note]
    assert note.startswith(
        f"no evidence that anything was learned by 1 run of 3 ({found.runs[1]}): "
    )
    assert spectrum.at_chance is False
    assert not spectrum.summary().startswith("no evidence")


def test_the_level_from_which_on_all_guess_is_named() -> None:
    accuracy = np.full(9, 0.8)
    accuracy[6:] = 0.1
    told = "from level 6 on no run is certainly better than guessing (0.1)"
    assert any(note.startswith(told) for note in eigen(None, with_accuracy(accuracy)).notes)
    accuracy[8] = 0.8
    assert "certainly better than guessing" not in "".join(
        eigen(None, with_accuracy(accuracy)).notes
    )
    ends = eigen(None, with_accuracy(np.r_[np.full(6, 0.8), np.full(3, 0.1)]), window=(3, 7))
    assert any(note.startswith(told) for note in ends.notes)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rgtool.Store:
    """Two experiments that guess, one that prunes other shares, and one that learns."""
    folder = tmp_path_factory.mktemp("chance")
    write = stores.write_record

    def guesses(*arguments: object, **numbers: object) -> Path:
        return write(*arguments, accuracy=0.1, **numbers)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "write_record", guesses)
        for rng, fields in enumerate(({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.1, "prune": 0.36})):
            write_experiment(folder, architecture="resnet14w4", rng=rng, **fields)
    write_experiment(folder, architecture="resnet14w4", rng=9, lr=0.5)
    return rgtool.Store(folder)


ASKED = (
    "eigen {0}",
    "eigen --all",
    "eigen {0} --nulls",
    "classify {0} {1}",
    "classify {0} {1} --by exponent",
    "classify {0} --against published",
    "compare {0} {1}",
    "compare {0} {3}",
    "scheme {0} {2}",
    "predict {0} {1}",
    "match {0} {1} --draws 20",
    "forecast {0}",
    "gamma {0}",
    "show {0}",
    "plot {0} --to {store}/figures",
)


def named(store: rgtool.Store) -> list[str]:
    by_recipe = {(e.recipe.lr, e.recipe.prune): e.experiment_id for e in store.experiments()}
    return [by_recipe[key] for key in ((0.1, 0.2), (0.2, 0.2), (0.1, 0.36), (0.5, 0.2))]


@pytest.mark.parametrize("command", ASKED)
def test_every_verb_says_it_before_anything_else(
    store: rgtool.Store, cli: Cli, command: str
) -> None:
    names = named(store)
    done = cli(
        *command.format(*names, store=store.path.parent / "drawn").split(),
        "--store",
        str(store.path),
    )
    assert done.code == 0, done.err
    first = done.err.splitlines()[0]
    assert "no evidence that anything was learned by" in first and names[0] in first
    assert first.endswith("[spectra.md#networks-that-may-have-learned-nothing]")
    if "{3}" not in command and "--all" not in command:
        assert names[3] not in done.err


@pytest.mark.parametrize("format_", ["--json", "--md", "--csv"])
def test_it_is_said_beside_every_format(store: rgtool.Store, cli: Cli, format_: str) -> None:
    guessed, learned = named(store)[0], named(store)[3]
    done = cli("eigen", guessed, format_, "--store", str(store.path))
    assert done.err.startswith("no evidence that anything was learned by")
    assert "no evidence" not in cli("eigen", learned, format_, "--store", str(store.path)).err


def test_programs_have_a_flag(store: rgtool.Store, cli: Cli) -> None:
    rows = json.loads(cli("eigen", "--all", "--json", "--store", str(store.path)).out)
    flags = {(row["experiment_id"], row["at_chance"]) for row in rows}
    assert sorted(flag for _, flag in flags) == [False, True, True, True]
    for name, flag in flags:
        one = json.loads(cli("eigen", name, "--json", "--store", str(store.path)).out)
        assert {row["at_chance"] for row in one} == {flag}
    assert eigen(store, next(name for name, flag in flags if flag)).summary().startswith("no ")
