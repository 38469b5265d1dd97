"""Exponents of files and stores, shared exponents, and what bad input is told."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import synthetic
from command import Cli
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind
from statsmodels.stats.oneway import anova_oneway
from synthetic import counts as synthetic_counts

import rgtool
from rgtool.analysis.curves.curve import curve_of_counts, curve_of_file, make_curve
from rgtool.analysis.gamma.common import common_exponent
from rgtool.analysis.gamma.estimate import gamma
from rgtool.analysis.gamma.parameters import Parameters, of_seeds
from rgtool.analysis.gamma.power_law import LOG_G, log_error
from rgtool.analysis.gamma.shared import (
    compare_gammas,
    same_gamma,
    shared_gamma,
)
from rgtool.analysis.values import Refusal
from rgtool.schemas.errors import RgtoolError, UsageError

DENSITY = 0.8 ** np.arange(17)


def true_error(gamma: float = 0.5, onset: float = 0.2, eps_np: float = 0.06) -> np.ndarray:
    return np.exp(log_error(np.log(DENSITY), np.log([eps_np, gamma, onset, 0.9])))


def rows(gamma: float = 0.5, onset: float = 0.2, seeds: int = 3, rng: int = 0, sd: float = 0.02):
    """Columns density, error, seed of a simulated experiment."""
    noise = np.exp(sd * np.random.default_rng(rng).normal(size=(seeds, len(DENSITY))))
    error = (true_error(gamma, onset) * noise).clip(max=0.9)
    return {
        "density": np.tile(DENSITY, seeds),
        "error": error.ravel(),
        "seed": np.repeat(np.arange(seeds), len(DENSITY)),
    }


def curve(name: str = "simulated", task: str | None = "cifar10", **kwargs):
    data = rows(**kwargs)
    return make_curve(name, data["density"], data["error"], data["seed"].tolist(), task=task)


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """`rgtool gamma`."""
    return lambda *arguments: cli("gamma", *arguments)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "curve.csv"
    pl.DataFrame(rows()).write_csv(path)
    return path


# Files


def test_csv_and_parquet_say_the_same(table: Path, cli):
    pl.read_csv(table).write_parquet(table.with_suffix(".parquet"))
    found = [
        json.loads(cli(str(path), "--chance", "0.9", "--json").out)[0]
        for path in (table, table.with_suffix(".parquet"))
    ]
    assert found[0]["estimate"] == pytest.approx(found[1]["estimate"], rel=1e-9)
    assert found[0]["seeds"] == 3 and found[0]["verdict"] == "quoted"
    assert found[0]["low"] < 0.5 < found[0]["high"]
    direct = gamma(None, curve())
    assert found[0]["estimate"] == pytest.approx(direct.estimate.value, rel=1e-6)


def test_the_order_of_rows_does_not_matter_and_is_told(table: Path, cli):
    shuffled = table.with_name("shuffled.csv")
    pl.read_csv(table).sample(fraction=1, shuffle=True, seed=1).write_csv(shuffled)
    one, other = (cli(str(p), "--chance", ".9", "--json") for p in (table, shuffled))
    assert "densities were not in order: sorted" in other.err
    assert "not in order" not in one.err
    a, b = (json.loads(done.out)[0]["estimate"] for done in (one, other))
    assert a == pytest.approx(b, rel=1e-9)


def test_accuracy_may_stand_in_for_error(table: Path, tmp_path: Path):
    path = tmp_path / "accuracy.csv"
    data = pl.read_csv(table)
    data.select("density", (1 - pl.col("error")).alias("Accuracy"), "seed").write_csv(path)
    np.testing.assert_allclose(curve_of_file(path).error, curve_of_file(table).error)


def test_one_seed_is_told_with_the_noise_assumed(tmp_path: Path, cli):
    path = tmp_path / "one.csv"
    pl.DataFrame(rows(seeds=1)).drop("seed").write_csv(path)
    done = cli(str(path), "--chance", "0.9", "--json")
    assert "one seed" in done.err and "3.4 % is assumed" in done.err
    assert json.loads(done.out)[0]["noise"] == pytest.approx(0.034)


def test_densities_that_stand_twice_are_averaged_and_told(tmp_path: Path, cli):
    path = tmp_path / "twice.csv"
    pl.DataFrame(rows()).drop("seed").write_csv(path)
    done = cli(str(path), "--chance", "0.9", "--json")
    assert "17 densities stand more than once for one seed, the first is 1" in done.err
    found = json.loads(done.out)[0]
    assert found["seeds"] == 1
    assert found["noise"] == pytest.approx(0.034)  # three rows of one seed are one run
    assert found["estimate"] == pytest.approx(
        gamma(None, curve()).fitted.profile.estimate, rel=1e-6
    )


def test_seeds_of_one_level_may_keep_a_weight_more_or_less():
    data = rows()
    density = data["density"] * np.where(data["seed"] == 1, 1 - 1e-5, 1.0)
    found = make_curve("near", density, data["error"], data["seed"].tolist())
    assert found.error.shape == (3, 17)


def test_levels_that_lack_seeds_count_for_less():
    data = rows()
    kept = (data["seed"] < 1) | (data["density"] > 0.1)
    found = make_curve(
        "ragged", data["density"][kept], data["error"][kept], data["seed"][kept].tolist()
    )
    assert any("6 of 17 levels without all seeds" in note for note in found.lone_notes)
    assert found.weight[0] == pytest.approx(3 * found.weight[-1])
    assert found.weight.mean() == pytest.approx(1)


TABLES: list[tuple[str, str, int, str]] = [
    ("empty", "", 1, "cannot be read as a table"),
    ("header", "density,error,seed\n", 1, "no rows"),
    ("density", "densities,error\n1,.1\n", 2, "no column 'density'"),
    ("error", "density,err\n1,.1\n", 2, "no column 'error', found density, err"),
    ("nan", "density,error\n1,.1\n.8,nan\n", 1, "row 2: error is 'nan'"),
    ("gap", "density,error\n1,.1\n.8,\n", 1, "row 2: error is nothing"),
    ("seed", "density,error,seed\n1,.1,0\n.8,.1,\n", 1, "row 2: seed is nothing"),
    ("word", "density,error\n1,.1\nhalf,.2\n", 1, "row 2: density is 'half'"),
    ("percent", "density,error\n1,8.2\n.8,9.1\n", 1, "these look like percentages"),
    (
        "a slip",
        "density,error\n1.2,.1\n.8,.1\n",
        1,
        "density is 1.2, a fraction of 1 is expected: mend the data",
    ),
    ("density percent", "density,error\n100,.1\n80,.1\n", 1, "density is 100"),
    ("accuracy percent", "density,accuracy\n1,91\n.8,90\n", 1, "accuracy is 91"),
    ("negative", "density,error\n1,-.1\n.8,.1\n", 1, "error is -0.1, a fraction of 1"),
    ("no density", "density,error\n1,.1\n0,.1\n", 1, "density is 0, a fraction"),
    ("zero", "density,error\n1,0\n.8,.1\n", 1, "the error is 0 at density 1"),
    ("above", "density,error\n1,.1\n.8,.2\n.6,.99\n.4,.99\n", 1, "above that of guessing"),
    ("few", "density,error\n1,.1\n.8,.2\n.6,.3\n", 1, "3 densities for 3 parameters"),
    ("sparsity", "density,error\n.1,.1\n.2,.2\n.3,.3\n.4,.4\n.5,.5\n", 1, "is the column an"),
]


@pytest.mark.parametrize(("name", "text", "code", "words"), TABLES, ids=lambda v: str(v)[:20])
def test_a_bad_table_is_told_in_words(name, text, code, words, tmp_path: Path, cli):
    path = tmp_path / f"{name}.csv"
    path.write_text(text)
    done = cli(str(path), "--chance", "0.9")
    assert (done.code, done.out) == (code, "")
    assert words in done.err and str(path) in done.err
    assert len(done.err.splitlines()) <= 2 and "Traceback" not in done.err


OPTIONS: list[tuple[list[str], int, str]] = [
    (["nowhere.csv"], 2, "no file nowhere.csv"),
    (["curve.csv"], 2, "give it with --chance"),
    (["curve.csv", "--chance", "90"], 2, "0.9 perhaps"),
    (["curve.csv", "--chance", "0"], 2, "a fraction of 1"),
    (["curve.csv", "--chance", ".9", "--free-plateau"], 2, "choose one"),
    (["curve.csv", "--chance", ".9", "--method", "papers"], 2, "did you mean paper"),
    (["curve.csv", "--chance", ".9", "--method", "paper"], 2, "leave out the chance error"),
    (["curve.csv", "--chance", ".9", "--plot", "x.gif"], 2, "ends in .png, .svg or .pdf"),
    (["curve.csv", "--chance", ".9", "--shared"], 2, "two curves at least"),
    (["curve.csv", "curve.csv", "--chance", ".9", "--shared"], 2, "stands twice"),
    (["curve.csv", "--chance", ".9", "--margin", "2"], 2, "--margin goes with --shared"),
    (["published:resnet20-cifar10"], 2, "is a printed spectrum"),
    (["published:chen2021a"], 2, "begins 12 published names"),
    (["published:nobody"], 2, "nothing published is named 'published:nobody'"),
    (["lenet/digits"], 1, "holds no runs"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), OPTIONS, ids=lambda v: str(v)[:40])
def test_wrong_options_are_told_in_words(arguments, code, words, table: Path, cli):
    done = cli(*arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err and len(done.err.splitlines()) <= 2


@pytest.mark.parametrize("options", [["--free-plateau"], ["--method", "paper"]])
def test_a_free_plateau_needs_no_chance(options, table: Path, cli):
    (row,) = json.loads(cli(str(table), *options, "--json").out)
    assert row["plateau"] == "free" and 0 < row["eps_dag"] <= 1


# Curves that have nothing to tell


def test_a_curve_that_never_leaves_its_plateau_is_refused():
    flat = curve(onset=1e-3)
    found = gamma(None, flat)
    assert (found.verdict, math.isnan(found.gamma)) == ("refused", True)
    assert "not seen to leave its plateau" in found.reason and "prune further" in found.reason


def test_a_child_is_told_to_train_more_tickets_since_it_prunes_none():
    """Single tickets of another experiment: flat, few, or seeds that scatter too much."""
    made = synthetic_counts(seeds=3, levels=16)
    child = dataclasses.replace(
        made, recipe=dataclasses.replace(made.recipe, parent="0123456789ab", control="shuffle")
    )
    cure = "these are single tickets of 0123456789ab: add sparser ones with --at"
    density = made.kept.sum(axis=-1) / made.total.sum()
    flat = 0.9 + 0.01 * np.random.default_rng(0).normal(size=density.shape)
    noisy = 1 - np.exp(0.4 * np.random.default_rng(2).normal(size=density.shape)) * (
        0.1 + 0.1 * (1 - density)
    )
    for accuracy, verdict in ((flat, "refused"), (noisy, "not quoted")):
        for one, said in ((child, cure), (made, "prune further")):
            found = gamma(None, dataclasses.replace(one, accuracy=accuracy), plateau="free")
            assert found.verdict == verdict and said in found.reason
    few = synthetic.without(child, *((run, level) for run in range(3) for level in range(1, 15)))
    with pytest.raises(RgtoolError, match=f"a dozen are good: {cure}"):
        gamma(None, few)


def test_a_constant_curve_is_refused():
    found = gamma(None, make_curve("constant", DENSITY, np.full(17, 0.1), task="cifar10"))
    assert found.verdict == "refused" and isinstance(found.fitted, Refusal)
    assert "0.1 at every density" in found.reason
    assert gamma(None, found.curve, method="paper").verdict == "refused"


def test_a_curve_of_another_form_is_rejected():
    steps = np.where(DENSITY > 0.3, 0.06, np.where(DENSITY > 0.05, 0.4, 0.15))
    noise = np.exp(0.01 * np.random.default_rng(0).normal(size=(3, 17)))
    found = gamma(None, 
        make_curve(
            "steps", np.tile(DENSITY, 3), (steps * noise).ravel(),
            np.repeat([0, 1, 2], 17).tolist(), task="cifar10",
        )
    )  # fmt: skip
    assert found.verdict == "model rejected" and "another form" in found.reason


def test_one_of_several_that_fails_is_left_out_and_the_exit_is_partly(table: Path, cli):
    bad = table.with_name("bad.csv")
    bad.write_text("density,error\n1,0\n.8,.1\n")
    done = cli(str(table), str(bad), "--chance", ".9", "--json")
    assert done.code == 3
    assert [row["experiment"] for row in json.loads(done.out)] == [str(table)]
    assert f"left out: {bad}: the error is 0" in done.err


# A store


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("digits") / "store"
    rgtool.run("lenet", "digits", seeds=2, levels=5, epochs=2, prune=0.5, store=store)
    return store


def test_an_experiment_of_a_store(digits: Path, cli, tmp_path: Path):
    store = Path(shutil.copytree(digits, tmp_path / "rgstore"))
    done = cli("lenet/digits", "--store", str(store), "--json", "--plot", "figures/gamma.png")
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)
    assert (row["label"], row["seeds"], row["levels"]) == ("lenet/digits", 2, 6)
    assert row["eps_dag"] in (None, pytest.approx(0.9))
    assert (tmp_path / "figures/gamma.png").read_bytes().startswith(b"\x89PNG")
    found = rgtool.gamma(rgtool.Store(store), "lenet/digits")
    assert found.estimate.value == row["estimate"] or math.isnan(found.estimate.value)
    opened = rgtool.Store(store).counts("lenet/digits", "layer")
    np.testing.assert_array_equal(found.curve.error, 1 - opened.accuracy)


def test_the_chance_error_of_an_unknown_task_is_that_of_its_classes():
    known = curve_of_counts(synthetic_counts())
    assert known.chance == 0.9
    strange = synthetic_counts(task="npz:mine.npz")
    assert curve_of_counts(strange).chance == pytest.approx(0.9)
    assert known.name == strange.recipe.experiment_id or known.label == "resnet20/cifar10"


def test_levels_without_accuracy_are_left_out_and_told():
    whole = synthetic_counts(seeds=3)
    accuracy = whole.accuracy.copy()
    accuracy[0, 3] = np.nan
    found = curve_of_counts(dataclasses.replace(whole, accuracy=accuracy))
    assert any("1 record without an accuracy" in note for note in found.notes)
    assert np.isnan(found.error[0, 3])
    with pytest.raises(RgtoolError, match="no accuracy is on record"):
        curve_of_counts(dataclasses.replace(whole, accuracy=np.full_like(accuracy, np.nan)))


def test_a_layer_that_runs_empty_is_named():
    whole = synthetic_counts(by="layer", seeds=3)
    assert not any("is empty" in note for note in curve_of_counts(whole).notes)
    kept = whole.kept.copy()
    kept[1, 7:, 4] = kept[2, 9:, 2] = 0
    kept[1, 11:, 2] = 0
    found = curve_of_counts(dataclasses.replace(whole, kept=kept))
    density = kept[1, 7].sum() / whole.total.sum()
    (note,) = (note for note in found.notes if "is empty" in note)
    assert f"{whole.names[4]} is empty from density {density:.2g} on, in 1 of 3 runs" in note
    recorded = whole.recorded.copy()
    recorded[1, 7:] = recorded[2, 9:] = False
    left = dataclasses.replace(whole, kept=kept, recorded=recorded)
    assert not any("is empty" in note for note in curve_of_counts(left).notes)


# One exponent for several curves


def test_golden_universality_of_renda():
    """Three trials of ResNet-20 (Renda et al. 2020) scatter too much to tell."""
    found = shared_gamma(None, ["published:renda2020-resnet20", "published:renda2020-resnet56"])
    one, other = (each.fitted.parameters.seeds[:, LOG_G] for each in found.gammas)
    assert found.p == pytest.approx(ttest_ind(one, other, equal_var=False).pvalue)
    assert found.verdict == "not decidable" and found.p == pytest.approx(0.52, abs=0.01)
    assert found.estimate.value == pytest.approx(math.exp((one.mean() + other.mean()) / 2))
    frame = found.to_frame()
    assert frame["universality"].to_list() == ["not decidable"] * 2
    assert "universality of gamma not decidable" in found.summary()
    assert "not decidable" in found._repr_html_()
    assert len(found.plot().get_axes()) == 2


def test_two_exponents_are_told_apart_and_one_is_accepted():
    a, b = curve("a", gamma=0.5, rng=1, sd=0.01), curve("b", gamma=0.5, onset=0.12, rng=2, sd=0.01)
    c = curve("c", gamma=0.9, rng=3, sd=0.01)
    one = shared_gamma(None, [a, b])
    assert (one.verdict, one.p > 0.05) == ("accepted", True)
    other = shared_gamma(None, [a, c])
    assert (other.verdict, other.p < 0.001) == ("rejected", True)
    assert shared_gamma(None, [a, b, c]).verdict == "rejected"
    results = [gamma(None, x) for x in (a, b, c)]
    assert same_gamma(results[0], results[1]).p == pytest.approx(one.p)
    assert compare_gammas(results).found.ratio_low.shape == (3,)
    onsets = [fitted.fitted.onset.value for fitted in one.gammas]
    assert onsets[0] > 1.2 * onsets[1]  # each keeps its own


def test_what_may_not_be_quoted_decides_nothing():
    found = shared_gamma(
        None, ["published:chen2021a-none-cifar10", "published:chen2021a-none-svhn"]
    )
    assert found.verdict == "not decidable" and "not quoted" in found.reason
    wide = shared_gamma(None, [f"published:renda2020-resnet{n}" for n in (20, 56)])
    assert wide.verdict == "not decidable" and "margin of 1.5" in wide.reason


def test_tasks_that_differ_are_told_and_keep_their_own_chance():
    names = ["published:chen2021a-moco-cifar10", "published:chen2021a-moco-cifar100"]
    found = shared_gamma(None, names)
    assert any("tasks differ (cifar10, cifar100)" in note for note in found.notes)
    assert [round(one.fitted.eps_dag, 6) for one in found.gammas] == [0.9, 0.99]
    with pytest.raises(UsageError, match=r"cifar10 0.9, cifar100 0.99\): leave it out"):
        shared_gamma(None, names, chance=0.9)


def test_a_refused_curve_cannot_be_compared():
    with pytest.raises(RgtoolError, match="no exponent to be compared"):
        shared_gamma(
            None, ["published:chen2021a-moco-cifar10", "published:chen2021a-supervised-cifar10"]
        )
    with pytest.raises(UsageError, match="a factor above 1"):
        shared_gamma(None, [curve("a"), curve("b", rng=1)], margin=1.0)


def test_the_shared_command(cli):
    names = ("published:renda2020-resnet20", "published:renda2020-resnet56")
    done = cli(*names, "--shared", "--json", "--plot", "shared.pdf")
    assert done.code == 0
    told = json.loads(done.out)
    assert [row["universality"] for row in told] == ["not decidable"] * 2
    assert told[0]["common"] == told[1]["common"]
    assert Path("shared.pdf").read_bytes().startswith(b"%PDF")
    assert "universality of gamma not decidable" in cli(*names, "--shared").err
    assert cli(*names, "--shared", "--method", "paper").code == 2


def known(logs: np.ndarray) -> Parameters:
    theta = np.tile(np.log([0.06, 0.5, 0.2, 0.9]), (len(logs), 1))
    theta[:, LOG_G] = logs
    return of_seeds(theta)


@given(st.integers(2, 5), st.integers(0, 1000))
def test_the_comparison_is_that_of_welch(curves, seed):
    rng = np.random.default_rng(seed)
    groups = [
        rng.normal(0.1 * n, 0.05 * (n + 1), size=int(rng.integers(2, 9))) for n in range(curves)
    ]
    found = common_exponent([known(logs) for logs in groups])
    slow = anova_oneway(groups, use_var="unequal", welch_correction=True)
    assert found.statistic == pytest.approx(slow.statistic)
    assert found.p == pytest.approx(slow.pvalue)
    assert found.df == pytest.approx(slow.df)
    assert found.ratio_low.shape == (curves * (curves - 1) // 2,)
    ends = ttest_ind(groups[0], groups[1], equal_var=False).confidence_interval(0.9)
    assert found.ratio_low[0] == pytest.approx(np.exp(ends.low))
    assert found.ratio_high[0] == pytest.approx(np.exp(ends.high))


def test_the_common_exponent_is_covered():
    """Three seeds beside six: weights from their variances would cover .91."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(600):
        groups = [rng.normal(0.2, sd, size=n) for sd, n in ((0.1, 3), (0.1, 6))]
        found = common_exponent([known(logs) for logs in groups]).exponent
        covered.append(found.low <= np.exp(0.2) <= found.high)
    assert 0.925 <= np.mean(covered) <= 0.985
