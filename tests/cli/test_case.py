"""Values of options that are names: their case matters nowhere, in commands and in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
import stores
from command import Cli

from rgtool.runner.launch import Launch
from rgtool.runner.machine import device
from rgtool.runner.plan import plan
from rgtool.runner.replicas.kernels import kernels
from rgtool.schemas.errors import UsageError, choose, known_name
from rgtool.schemas.recipe import Recipe, parse_field
from rgtool.store.importers import imports

A, B = "resnet20/cifar10 prune=.2", "resnet20/cifar10 prune=.36"
PRINTED = ("published:resnet56-cifar10", "published:resnet32-cifar10")
# A command, of which the words that come after an option are written in capitals, too.
COMMANDS = [
    ("eigen", A, "--by", "stage", "--method", "hierarchical", "--weighting", "magnitude"),
    ("eigen", A, "--by", "layer", "--rule", "paper"),
    ("eigen", A, "--by", "stage", "--coordinates", "scale"),
    ("eigen", "--all", "--by", "stage", "--method", "moderated", "--coordinates", "share"),
    ("eigen", A, "--nulls", "--by", "stage", "--rule", "tost"),
    ("eigen", PRINTED[0], "--by", "block"),
    ("scheme", A, B, "--by", "stage"),
    ("null", "resnet20", "--init", "fan_out", "--by", "stage", "--prunable", "convolutions"),
    ("power", "--like", A, "--by", "stage", "--simulations", "50"),
    ("plot", A, "--kind", "slices", "--by", "stage", "--format", "svg"),
    ("plot", A, "--kind", "flow", "--coordinates", "scale", "--by", "stage"),
    ("classify", "--by", "exponent", "--grouping", "stage", "--weighting", "magnitude"),
    ("classify", "--against", "published", "--grouping", "stage"),
    ("compare", A, B, "--by", "stage"),
    ("meta", A, B, "--by", "stage"),
    ("predict", A, B, "--by", "stage"),
    ("match", *PRINTED, "--maps", "published", "--score", "position", "--draws", "20"),
    ("match", "--all", "--published", "--maps", "families", "--score", "signature"),
    ("gamma", PRINTED[0].replace("resnet56-cifar10", "renda2020-resnet56"), "--method", "paper"),
    ("forecast", A, "--by", "stage"),
    ("ls", "--sort", "levels"),
]  # fmt: skip

# What takes names of rgtool.
OPTIONS = {
    word
    for command in COMMANDS
    for word, value in zip(command, command[1:], strict=False)
    if word.startswith("--") and not value.startswith("--")
} - {"--like", "--simulations", "--draws"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two experiments of three seeds."""
    path = tmp_path_factory.mktemp("case") / "store"
    for prune in (0.2, 0.36):
        for seed in range(3):
            recipe = Recipe(architecture="resnet20", task="cifar10", prune=prune)
            stores.write_run(path, int(100 * prune) + seed, 6, recipe=recipe)
    return path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_regard_no_case(
    cli: Cli, store: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RGTOOL_STORE", str(store))
    loud = [
        word.upper() if at and command[at - 1] in OPTIONS else word
        for at, word in enumerate(command)
    ]
    assert loud != list(command)
    expected, found = cli(*command, "--json"), cli(*loud, "--json")
    assert expected.code == 0, expected.err
    assert (found.code, found.out) == (expected.code, expected.out), found.err


def test_a_plan_regards_no_case() -> None:
    fields = {
        "rounding": "openlth", "scope": "layerwise", "pruner": "random", "precision": "float32",
        "init": "kaiming_uniform", "fan": "fan_out", "prunable": "all", "schedule": "restart",
        "control": "reinit",
    }  # fmt: skip
    expected = plan("lenet", "digits", levels=1, keep=("dense",), **fields)
    loud = {name: value.upper() for name, value in fields.items()}
    found = plan("lenet", "digits", levels=1, keep=("DENSE",), **loud)
    assert found.recipe == expected.recipe
    assert (found.found, found.keep) == (expected.found, expected.keep)


def test_what_computes_regards_no_case() -> None:
    assert Launch(keep=("Init", "DENSE")).keep == ("init", "dense")
    chosen = device("CPU")
    assert chosen == device("cpu")
    assert kernels("ON", chosen) == kernels("on", chosen)


def test_fields_of_recipes_and_imports_regard_no_case() -> None:
    assert parse_field("LR=0.05") == ("lr", 0.05)
    assert Recipe(architecture="lenet", task="digits", scope="LAYERWISE").non_defaults() == {
        "architecture": "lenet", "task": "digits", "scope": "layerwise"
    }  # fmt: skip
    said = imports.choices(recipe="Frankle2020", init="Xavier_Normal", fan="FAN_IN", keep=("INIT",))
    expected = imports.choices(
        recipe="frankle2020", init="xavier_normal", fan="fan_in", keep=("init",)
    )
    assert said == expected


def test_names_that_differ_in_case_alone_are_told_apart() -> None:
    assert choose("group", "b", ("B", "b")) == "b"
    assert known_name("ab", ("AB", "Ab")) is None
    with pytest.raises(UsageError, match="fan 'fan' is unknown: did you mean"):
        choose("fan", "fan", ("fan_in", "fan_out"))
