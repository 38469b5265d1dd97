"""What bad input gets from the commands about spectra: a clear line, or an answer with notes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import stores

from rgtool import Store
from rgtool.analysis.gamma.result import Gamma
from rgtool.cli import main
from rgtool.schemas.blocks import Layer, architecture
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records import record
from rgtool.schemas.records.layout import RunFolder

TINY = Recipe(architecture="resnet8w4", task="digits")
LAYERS = architecture("resnet8w4").counted()
NAME = "resnet8w4/digits"
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command on the store of the test; warnings are errors, a traceback fails the test."""

    def call(*arguments: str, store: bool = True) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([*arguments, *(("--store", str(tmp_path)) if store else ())])
        captured = capsys.readouterr()
        code = int(left.value.code or 0)
        if code:
            assert captured.out == "" and captured.err.count("\n") <= 2
        assert "nan" not in captured.out.lower() and "inf" not in captured.out.lower()
        return code, captured.out, captured.err

    return call


def flow(seed: int, levels: int = 8, layers: Sequence[Layer] = LAYERS) -> np.ndarray:
    """Counts (levels + 1, L) of a replicator flow with a little noise, 20 % pruned a level."""
    total = np.array([layer.total for layer in layers], float)
    rng = np.random.default_rng(seed)
    kept, log_s = [total], np.linspace(0.08, -0.05, len(total))
    for level in range(1, levels + 1):
        grown = kept[-1] * np.exp(log_s + 0.01 * rng.normal(size=len(total)))
        kept.append(np.minimum(grown * total.sum() * 0.8**level / grown.sum(), kept[-1]))
    return np.rint(kept).astype(np.int64)


def write(
    store: Path,
    kept: np.ndarray,
    seed: int = 0,
    *,
    recipe: Recipe = TINY,
    layers: Sequence[Layer] = LAYERS,
    magnitude: np.ndarray | None = None,
    accuracy: float | None = 0.9,
    recorded: Sequence[int] | None = None,
) -> str:
    """Write a run with these counts (T, L), and return its id."""
    description = stores.describe(recipe, seed, len(kept) - 1)
    folder = RunFolder.of(store, description.run_id)
    folder.make()
    description.write(folder.description)
    for level in range(len(kept)) if recorded is None else recorded:
        table = record.build_record(
            description.run_id,
            level,
            layers,
            kept[level],
            kept_prev=kept[level - 1] if level else None,
            magnitude=None if magnitude is None else magnitude[level],
            exempt=recipe.exempt,
            numbers={"accuracy": accuracy},
        )
        record.write_record(folder.record(level), table)
    return description.run_id


def test_a_run_without_stages_is_said_to_have_none(tmp_path: Path, cli: Cli) -> None:
    recipe = Recipe(architecture="lenet", task="digits-small")
    layers = architecture("lenet").counted()
    write(tmp_path, flow(0, layers=layers), recipe=recipe, layers=layers)
    code, _, err = cli("eigen", "lenet/digits-small", "--by", "stage")
    assert code == 2 and "lenet has no stages" in err


def test_copies_of_one_run_are_named(tmp_path: Path, cli: Cli) -> None:
    runs = [write(tmp_path, flow(0), seed) for seed in range(3)]
    code, _, err = cli("eigen", NAME)
    assert code == 0 and "2 runs of 3 (" in err and runs[0] not in err.splitlines()[1]
    assert "growth is not constant" not in err and "such runs count once" in err


def test_the_first_step_is_flagged_inside_a_window_too(tmp_path: Path, cli: Cli) -> None:
    for seed in range(2):
        kept = flow(seed)
        kept[0] = [layer.total for layer in LAYERS]
        kept[1:, 0] //= 2  # half of the stem goes at once
        write(tmp_path, kept, seed)
    outside, inside = (
        cli("eigen", NAME, "--window", window, "--notes")[2] for window in ("1:8", "0:8")
    )
    assert "the step 0 -> 1 is unlike the later ones" in outside and "outside" in outside
    assert "the step 0 -> 1 is unlike the later ones" in inside
    assert "in the window, --window 1:8 has it out" in inside


def test_what_few_seeds_cost_is_said(tmp_path: Path, cli: Cli) -> None:
    write(tmp_path, flow(0))
    said = "variances lean on those of the other groups"
    assert said not in cli("eigen", NAME, "--notes")[2]
    write(tmp_path, flow(1), 1)
    assert "below 90 % where one factor moves all groups, and 85 %" in cli("eigen", NAME)[2]
    assert said not in cli("eigen", NAME, "--method", "t", "--notes")[2]
    rows = json.loads(cli("eigen", NAME, "--window", "1:2", "--json")[1])
    for row in rows:  # one step, one retention: the exponent's interval is the eigenvalue's
        width = np.log(row["high"] / row["low"]) / -np.log(0.8)
        assert row["exponent_high"] - row["exponent_low"] == pytest.approx(width, rel=0.01)


def test_a_spread_is_no_interval_of_exponents(tmp_path: Path, cli: Cli) -> None:
    for seed in range(2):
        write(tmp_path, flow(seed), seed)
    for row in json.loads(cli("eigen", NAME, "--method", "paper", "--json")[1]):
        ends = np.log([row["mean"] - row["spread"], row["mean"] + row["spread"]]) / -np.log(0.8)
        found = [row["exponent_low"], row["exponent_high"]]
        np.testing.assert_allclose(found, ends, rtol=1e-3)


def test_the_correction_of_a_flow_that_bends_is_shown(tmp_path: Path, cli: Cli) -> None:
    levels = np.arange(9)[:, None]
    total = np.array([layer.total for layer in LAYERS])
    for seed in range(3):
        wobble = np.random.default_rng(seed).normal(size=(9, len(LAYERS)))
        rate = np.linspace(0.2, 0.25, len(LAYERS)) + 0.001 * wobble.mean(axis=0)
        bend = np.linspace(-0.008, 0.008, len(LAYERS))
        kept = 1000 * total * np.exp(-rate * levels - bend * levels**2 / 2 + 0.0005 * wobble)
        layers = [Layer(x.name, "linear", (1000, x.total), x.block, x.stage) for x in LAYERS]
        kept[0] = 1000 * total
        write(tmp_path, np.rint(kept).astype(np.int64), seed, layers=layers)
    code, out, err = cli("eigen", NAME, "--by", "stage", "--json")
    assert code == 0 and "growth is not constant" in err and "bend and correction" in err
    rows = json.loads(out)
    assert all(isinstance(row["correction"], float) for row in rows)


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_magnitudes_that_have_no_logarithm(tmp_path: Path, cli: Cli, value: float) -> None:
    magnitude = flow(0) * 0.25
    magnitude[4, 0] = value
    run = write(tmp_path, flow(0), 0, magnitude=magnitude)
    write(tmp_path, flow(1), 1, magnitude=flow(1) * 0.25)
    code, _, err = cli("eigen", NAME, "--weighting", "magnitude")
    assert code == 2 and run in err
    assert np.isfinite(value) == ("level 4: the magnitudes of group stem sum to" in err)
    code, out, _ = cli("eigen", NAME, "--weighting", "magnitude", "--window", "5:8", "--json")
    assert code == 0
    assert all(row["low"] < row["eigenvalue"] < row["high"] for row in json.loads(out))
    # What the null models say of counts is not set beside shares of magnitude.
    nulls = {(row["random_sd"], row["canonical"]) for row in json.loads(out)}
    assert nulls == {(None, None)}


def test_a_layer_without_magnitude_leaves_the_other_groups(tmp_path: Path) -> None:
    magnitude = flow(0) * 0.25
    magnitude[:, 0] = np.nan
    write(tmp_path, flow(0), magnitude=magnitude)
    found = Store(tmp_path).counts(NAME, "stage").magnitude
    assert np.isnan(found[..., 0]).all()
    np.testing.assert_allclose(found[0, :, 1], magnitude[:, 1:3].sum(axis=1))


def test_noise_takes_two_groups_and_one_that_is_pruned(tmp_path: Path, cli: Cli) -> None:
    layers = [Layer(f"a.{i}", "linear", (50, 40), f"a.{i}", "a") for i in range(4)]
    for seed in range(2):
        write(tmp_path, flow(seed, layers=layers), seed, layers=layers)
    code, _, err = cli("power", "--like", NAME, "--by", "stage")
    assert code == 1 and "its noise takes a finer grouping" in err


def test_zero_has_no_sign(tmp_path: Path, cli: Cli) -> None:
    for seed in range(2):
        write(tmp_path, flow(seed), seed)
    code, out, _ = cli("eigen", NAME, "--nulls")
    assert code == 0 and "+0.000" in out and "-0.000" not in out
    slope = next(column for column in Gamma.columns if column.name == "slope")
    assert format(-1e-9, slope.format) == "0.000"


def test_a_group_that_dies_in_the_null_leaves_the_others_their_anomalous_part(
    tmp_path: Path, cli: Cli
) -> None:
    recipe = Recipe(architecture="resnet8w4", task="digits", init="kaiming_uniform", prune=0.5)
    for seed in range(3):
        rng, kept = np.random.default_rng(seed), [flow(0)[0]]
        for _ in range(6):
            share = 0.5 + 0.02 * rng.random(len(LAYERS))
            kept.append(np.maximum(np.rint(kept[-1] * share), 1).astype(np.int64))
        write(tmp_path, np.array(kept), seed, recipe=recipe)
    code, out, err = cli("eigen", NAME, "--by", "layer", "--json")
    assert code == 0 and "the spectrum is not tested against it" in err
    found = {row["name"]: (row["anomalous_low"], row["anomalous_high"]) for row in json.loads(out)}
    known = [name for name, (low, _) in found.items() if low is not None]
    assert 0 < len(known) < len(found) and "fc" in known
    _, out, _ = cli("eigen", "--all", "--by", "layer", "--json")
    for row in json.loads(out):
        assert found[row["name"]] == pytest.approx((row["anomalous_low"], row["anomalous_high"]))


def test_a_bootstrap_takes_a_seed_from_zero_on(cli: Cli) -> None:
    code, _, err = cli("scheme", "a", "b", "--seed", "-1")
    assert code == 2 and "-1 is not in the range" in err
