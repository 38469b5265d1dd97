"""Several studies together: random effects, printed spectra with an assumed sd, bad input."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from command import Cli
from flows import BASE, write_experiment
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

import rgtool
from rgtool import published
from rgtool.analysis.flow import UNIT
from rgtool.analysis.meta.pool import LEAST, MOST, pool, signs, steady_range
from rgtool.analysis.meta.result import Meta
from rgtool.analysis.stats.difference import same_mean_p
from rgtool.analysis.stats.level import holm
from rgtool.analysis.stats.seeds import seed_mean
from rgtool.schemas.errors import UsageError

WORDS = ("up", "down", "flat", "open")
IMAGENET = "published:resnet50-simclr-imagenet"
SIX = tuple(
    f"published:resnet50-{how}-{task}"
    for how in ("simclr", "supervised")
    for task in ("imagenet", "cifar10", "cifar100")
)


def columns(*values: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    effect, variance = (np.array(one)[:, None] for one in values)
    return effect, variance, np.full(len(effect), np.inf)


# Thirteen trials of the BCG vaccine (Colditz et al. 1994), the example of Viechtbauer 2010: cases
# and others among the vaccinated, then among the rest.
BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619),
        (33, 5036, 47, 5761), (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892),
        (29, 7470, 45, 7232), (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    float,
)  # fmt: skip


def test_the_textbook_example_comes_out() -> None:
    a, b, c, d = BCG.T
    effect = np.log(a / (a + b)) - np.log(c / (c + d))
    variance = 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)
    found = pool(effect[:, None], variance[:, None], np.full(13, np.inf))
    assert found.q[0] == pytest.approx(152.2330, abs=5e-5)
    assert found.i2[0] == pytest.approx(0.9212, abs=5e-5)
    assert found.tau[0] ** 2 == pytest.approx(0.3181, abs=5e-5)
    assert found.mean[0] == pytest.approx(-0.7150, abs=5e-5)
    whole = found.interval()
    assert (whole.low[0], whole.high[0]) == pytest.approx((-1.1091, -0.3208), abs=5e-5)


def by_hand(y: np.ndarray, v: np.ndarray) -> dict[str, float]:
    """Formulas of the papers with a root finder: Paule & Mandel, Hartung & Knapp, Higgins et al."""
    df = len(y) - 1

    def generalised(tau2: float) -> float:
        w = 1 / (v + tau2)
        return float((w * (y - (w @ y) / w.sum()) ** 2).sum())

    most = 10 * float(np.ptp(y) ** 2 + v.max())
    tau2 = 0.0
    if generalised(0) > df:
        tau2 = optimize.brentq(lambda t: generalised(t) - df, 0, most, xtol=1e-15)
    w = 1 / (v + tau2)
    mean = (w @ y) / w.sum()
    factor = max(1.0, generalised(tau2) / df)
    error = math.sqrt(factor / w.sum())
    half = stats.t.ppf(0.975, df) * error
    further = stats.t.ppf(0.975, df - 1) * math.sqrt(tau2 + error**2) if df > 1 else math.nan
    return {
        "mean": mean, "low": mean - half, "high": mean + half, "tau": math.sqrt(tau2),
        "predicted_low": mean - further, "predicted_high": mean + further,
        "i2": max(0.0, 1 - df / generalised(0)), "q": generalised(0),
        "p": float(stats.chi2.sf(generalised(0), df)),
    }  # fmt: skip


@settings(max_examples=60)
@given(st.integers(2, 8), st.floats(0.0, 0.3), st.integers(0, 2**32 - 1))
def test_every_number_is_that_of_the_formulas(studies: int, tau: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    variance = rng.uniform(0.01, 0.2, (studies, 3)) ** 2
    effect = 0.3 + tau * rng.normal(size=(studies, 3)) + np.sqrt(variance) * rng.normal(size=3)
    found = pool(effect, variance, np.full(studies, np.inf))
    adjusted = holm([by_hand(*one)["p"] for one in zip(effect.T, variance.T, strict=True)])
    whole, further = found.interval(), found.prediction()
    for k in range(3):
        expected = by_hand(effect[:, k], variance[:, k]) | {"p": adjusted[k]}
        told = {
            "mean": found.mean[k], "low": whole.low[k], "high": whole.high[k],
            "tau": found.tau[k], "predicted_low": further.low[k],
            "predicted_high": further.high[k], "i2": found.i2[k], "q": found.q[k],
            "p": found.p[k],
        }  # fmt: skip
        assert told == pytest.approx(expected, rel=1e-4, abs=2e-5, nan_ok=True)
    np.testing.assert_allclose(found.weight.sum(axis=0), 1)


def test_studies_that_agree_by_luck_do_not_narrow_the_interval() -> None:
    found = pool(*columns([0.2, 0.2, 0.2], [0.01, 0.01, 0.01]))
    assert found.tau[0] == 0 and found.i2[0] == 0 and found.p[0] == pytest.approx(1)
    assert found.error[0] == pytest.approx(math.sqrt(0.01 / 3))
    low = 0.2 - stats.t.ppf(0.975, 2) * math.sqrt(0.01 / 3)
    assert found.interval().low[0] == pytest.approx(low)
    assert signs(found, np.nan, WORDS).tolist() == ["open"]
    exact = pool(*columns([0.25, 0.25], [0.0625, 0.0625]))
    assert (exact.q[0], exact.i2[0], exact.p[0], exact.mean[0]) == (0, 0, 1, 0.25)


def test_a_mean_near_zero_is_certified_by_two_tests_and_only_where_that_is_asked() -> None:
    found = pool(*columns([0.001, -0.001, 0.0], [1e-5, 1e-5, 1e-5]))
    inner = found.interval(0.9)
    edge = max(-inner.low[0], inner.high[0])
    assert signs(found, edge * 1.01, WORDS).tolist() == ["flat"]
    assert signs(found, edge * 0.99, WORDS).tolist() == ["open"]
    assert signs(found, np.nan, WORDS).tolist() == ["open"]


@given(st.floats(0.001, 0.05), st.lists(st.floats(0.0006, 0.09), min_size=2, max_size=2))
def test_the_range_is_that_of_a_walk_over_all_sds(sd: float, edges: list[float]) -> None:
    low, high = sorted(edges)

    def answer(at: np.ndarray) -> np.ndarray:
        return np.array(["in" if low <= s < high else "out" for s in at.tolist()])

    found = steady_range(answer, sd, 2)
    walk = np.geomspace(LEAST, MOST, 20_001)
    same = answer(walk) == answer(np.array([sd]))[0]
    here = int(np.searchsorted(walk, sd))
    below, above = np.flatnonzero(~same[:here]), np.flatnonzero(~same[here:])
    step = 2**0.25
    for got, change in (
        (found[0], walk[below[-1]] if len(below) else math.nan),
        (found[1], walk[here + above[0]] if len(above) else math.nan),
    ):
        assert got[0] == pytest.approx(got[1], nan_ok=True)
        if high / low > step**2 and abs(math.log(sd / low)) > 1e-3 < abs(math.log(sd / high)):
            assert got[0] == pytest.approx(change, rel=2e-3, nan_ok=True)


# Experiments of a store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rgtool.Store:
    """Ten seeds, three, one; one whose seeds are copies; one of another network."""
    folder = tmp_path_factory.mktemp("meta")
    for rng, (lr, seeds) in enumerate(((0.1, 10), (0.2, 3), (0.3, 1))):
        shift = {"1": 0.01 * rng}
        write_experiment(folder, seeds=seeds, levels=8, shift=shift, rng=rng, lr=lr)
    write_experiment(folder, seeds=3, levels=8, noise=0.0, lr=0.4)
    write_experiment(folder, seeds=3, levels=8, architecture="lenet")
    write_experiment(folder, seeds=3, levels=8, rng=5, architecture="resnet14w4")
    return rgtool.Store(folder)


def named(store: rgtool.Store, lr: float, architecture: str = "resnet8w4") -> str:
    (found,) = (
        e.experiment_id
        for e in store.experiments()
        if e.recipe.lr == lr and e.recipe.architecture == architecture
    )
    return found


def exponents(store: rgtool.Store, name: str) -> np.ndarray:
    """y of every run and stage, from the last and the second level: shape (S, K)."""
    counts = store.counts(name, "stage")
    kept = counts.kept[:, [1, -1]].astype(float)
    network = kept.sum(axis=-1)
    share = np.log(kept / network[..., None])
    return (share[:, 1] - share[:, 0]) / np.log(network[:, 0] / network[:, 1])[:, None]


def test_a_study_with_seeds_has_the_variance_of_their_mean(store: rgtool.Store) -> None:
    ten, three = named(store, 0.1), named(store, 0.2)
    found = rgtool.meta(store, [ten, three], by="stage")
    y, z = exponents(store, ten), exponents(store, three)
    studies = found.studies
    assert studies.seeds.tolist() == [10, 3] and not studies.assumed.any()
    np.testing.assert_allclose(studies.exponent.mean, [y.mean(axis=0), z.mean(axis=0)], atol=1e-12)
    variance = studies.exponent.error**2
    np.testing.assert_allclose(variance[0], y.var(axis=0, ddof=1) / 10)
    # (d0 s0^2 + 2 s^2)/(d0 + 2): a line in s^2, and the other groups count as one seed at most.
    own, lent = z.var(axis=0, ddof=1) / 3, variance[1]
    slope, offset = np.polyfit(own, lent, 1)
    np.testing.assert_allclose(lent, slope * own + offset, rtol=1e-9)
    assert 2 / 3 - 1e-9 <= slope < 1 and offset > 0
    for k, row in enumerate(found.to_frame().to_dicts()):
        expected = by_hand(studies.exponent.mean[:, k], variance[:, k])
        assert row["exponent"] == pytest.approx(expected["mean"])
        assert (row["low"], row["high"]) == pytest.approx((expected["low"], expected["high"]))
        assert row["predicted_low"] is None and row["sd_from"] is None and row["sd_to"] is None
    assert any(note.startswith("two studies: intervals have one degree") for note in found.notes)
    assert "assumed" not in found.title


def test_the_anomalous_exponent_is_pooled_as_eigen_finds_it(store: rgtool.Store) -> None:
    names = [named(store, lr) for lr in (0.1, 0.2)]
    found = rgtool.meta(store, names, by="stage")
    assert found.anomalous is not None and found.studies.anomalous is not None
    for name, anomalous in zip(names, found.studies.anomalous.mean, strict=True):
        np.testing.assert_allclose(
            anomalous, rgtool.eigen(store, name, by="stage").anomalous.value, atol=1e-12
        )
    row = found.to_frame().to_dicts()[0]
    beyond = found.studies.anomalous
    expected = by_hand(beyond.mean[:, 0], beyond.error[:, 0] ** 2)
    assert row["anomalous"] == pytest.approx(expected["mean"])
    assert row["anomalous_low"] == pytest.approx(expected["low"])
    assert row["against_null"] in ("above", "below", "none", "undecided")


def test_one_seed_beside_ten_enters_with_the_assumed_sd(store: rgtool.Store) -> None:
    names = [named(store, 0.1), named(store, 0.3)]
    found = rgtool.meta(store, names, by="stage", sd=0.01)
    assert found.studies.assumed.tolist() == [False, True]
    assert np.isnan(found.studies.exponent.error[1]).all()
    table = found.study_table.to_frame()
    lone = table.filter(study=names[1])
    assert lone["assumed"].all()
    np.testing.assert_allclose(lone["error"].to_numpy(), 0.01 / UNIT)
    assert "1 single seed" in found.notes[1] and "sd of 0.01" in found.notes[1]
    assert found.title.endswith("; sd 0.01 assumed for 1 of them")
    wider = rgtool.meta(store, names, by="stage", sd=0.05).study_table.to_frame()
    assert (wider.filter(study=names[1])["weight"] <= lone["weight"] + 1e-12).all()


def test_a_printed_spectrum_is_rounded_besides_and_matched_by_name(store: rgtool.Store) -> None:
    mine = named(store, 0.1)
    found = rgtool.meta(store, [mine, IMAGENET], sd=0.01)
    assert found.by == "stage" and found.studies.names == ("1", "2", "3")
    assert found.studies.ids == (mine, IMAGENET)
    np.testing.assert_allclose(
        found.studies.exponent.mean[1], np.log([1.15, 1.09, 1.02]) / np.log(1.25)
    )
    printed = found.study_table.to_frame().filter(study=IMAGENET)
    np.testing.assert_allclose(printed["error"].to_numpy(), np.hypot(0.01, 0.0029) / UNIT)
    words = "\n".join(found.notes)
    assert "left out, since not all studies have them: stem, head, 4" in words
    assert "pooled across architectures (resnet8w4, resnet50)" in words
    assert f"no anomalous exponents: {IMAGENET} has no counts" in words
    assert found.anomalous is None and found.against_null is None


def test_by_stage_printed_blocks_are_averaged(store: rgtool.Store) -> None:
    name = "published:resnet20-cifar10"
    found = rgtool.meta(store, [named(store, 0.1), name], by="stage")
    printed = published(name)
    logs = [
        np.log(printed.eigenvalue[[name[0] == stage for name in printed.names]]).mean()
        for stage in "123"
    ]
    assert found.studies.names == ("1", "2", "3")
    np.testing.assert_allclose(found.studies.exponent.mean[1], np.array(logs) / UNIT)
    assert any("is the mean of its printed blocks" in note for note in found.notes)


def verdicts(found: Meta, sd: float) -> tuple[tuple[str, ...], np.ndarray]:
    again = rgtool.meta(None, found.studies.ids, sd=sd)
    return again.verdict, again.exponent.p < 0.05


def test_the_sds_at_which_the_conclusion_changes_are_where_it_changes() -> None:
    found = rgtool.meta(None, SIX)
    assert found.verdict == ("relevant", "relevant", "relevant", "irrelevant")
    assert "marginal" not in found.verdict
    ends = np.concatenate([found.sd_from, found.sd_to])
    assert np.isfinite(ends).any()
    for k in range(4):
        for sd, side in ((found.sd_from[k], -1), (found.sd_to[k], 1)):
            outer = (LEAST if side < 0 else MOST) if np.isnan(sd) else sd * 1.01**side
            inner = outer if np.isnan(sd) else sd * 0.99**side
            assert verdicts(found, inner)[0][k] == found.verdict[k]
            assert (verdicts(found, outer)[0][k] == found.verdict[k]) == np.isnan(sd)
        alike = found.sd_alike[k]
        assert verdicts(found, alike * 0.99)[1][k] and not verdicts(found, alike * 1.01)[1][k]
    said = found.notes[1]
    assert said.startswith("a sd of 0.008 of a log eigenvalue is assumed for 6 printed spectra")
    for name, sd in zip(found.studies.names, found.sd_to, strict=True):
        assert (f"{name} above {sd:.2g}" in said) == bool(np.isfinite(sd))


def test_the_order_of_studies_changes_nothing() -> None:
    one, other = rgtool.meta(None, SIX), rgtool.meta(None, SIX[::-1])
    assert one.to_frame().equals(other.to_frame()) or np.allclose(
        one.exponent.mean, other.exponent.mean, atol=1e-12
    )
    assert one.verdict == other.verdict


def test_nothing_is_certified_where_a_sd_was_assumed(store: rgtool.Store) -> None:
    names = [named(store, lr) for lr in (0.1, 0.2)]
    sure = rgtool.meta(store, names, by="stage")
    for other in (named(store, 0.3), IMAGENET):
        told = rgtool.meta(store, [*names, other], sd=LEAST)
        assert "marginal" not in told.verdict
        assert told.against_null is None or "none" not in told.against_null
        assert "certified" not in told.summary()
    assert sure.sd_from.shape == (5,) and np.isnan(sure.sd_alike).all()


def test_studies_with_seeds_certify_that_nothing_moves(tmp_path: Path) -> None:
    level = dict.fromkeys(BASE, 0.0)
    names = [
        write_experiment(tmp_path, seeds=10, levels=8, shift=level, rng=rng, lr=0.1 * (1 + rng))
        for rng in range(3)
    ]
    found = rgtool.meta(tmp_path, names, by="stage")
    assert found.verdict == ("marginal",) * 5
    assert found.against_null is not None and found.notes[0].startswith(
        "over studies the share of stem, 1, 2, 3, head stays within the margin; the studies"
    )
    run = rgtool.Store(tmp_path).counts(names[0], "stage").runs[0]
    assert "marginal" not in rgtool.meta(tmp_path, [*names[1:], run], by="stage").verdict


@pytest.mark.parametrize(("studies", "seeds"), [(2, 3), (3, 3), (5, 2), (5, 5)])
def test_equal_studies_of_few_seeds_are_seldom_said_to_differ(studies: int, seeds: int) -> None:
    """Cochran's p, which takes errors for known, calls 9 to 43 per cent of groups different."""
    rng, said, known = np.random.default_rng(7), [], []
    for _ in range(60):
        found = [seed_mean(0.006 * rng.standard_normal((seeds, 5))) for _ in range(studies)]
        mean = np.array([one.value for one in found])
        variance = np.array([one.error**2 for one in found])
        df = np.array([one.df for one in found])
        p, chi2 = same_mean_p(mean, variance, df), same_mean_p(mean, variance, df + np.inf)
        said.append(holm(p).min() < 0.05)
        known.append((chi2 < 0.05).mean())
    assert np.mean(said) <= 0.15 and np.mean(known) > 0.08
    far = same_mean_p(mean + 0.1 * np.arange(studies)[:, None], variance, df)
    assert holm(far).max() < (0.05 if seeds > 2 else 0.2)


def test_two_means_with_many_seeds_have_the_p_of_welch() -> None:
    mean, variance = np.array([[0.0, 0.0], [1.5, 2.5]]), np.array([[0.3, 0.3], [0.5, 0.5]])
    df = np.array([9.0, 4.0])
    found = same_mean_p(mean, variance, df)
    welch = 0.8**2 / (0.3**2 / 9 + 0.5**2 / 4)
    expected = 2 * stats.t.sf(np.array([1.5, 2.5]) / math.sqrt(0.8), welch)
    np.testing.assert_allclose(found, expected, atol=0.015)


def test_copies_count_once(store: rgtool.Store) -> None:
    three = store.counts(named(store, 0.2), "stage")
    ten = store.counts(named(store, 0.1), "stage")
    again = dataclasses.replace(three.select([0, 1, 2, 0, 1]), runs=tuple("abcde"))
    bare, twice = (rgtool.meta(None, [ten, one], by="stage") for one in (three, again))
    assert twice.studies.seeds.tolist() == [10, 3]
    np.testing.assert_array_equal(bare.studies.exponent.error, twice.studies.exponent.error)
    np.testing.assert_array_equal(bare.exponent.p, twice.exponent.p)
    assert any("2 runs of 5 (d, e) with the counts of another" in note for note in twice.notes)
    # Seeds that are all one run are one seed, whose error is assumed.
    alone = rgtool.meta(store, [named(store, 0.1), named(store, 0.4)], by="stage")
    assert alone.studies.seeds.tolist() == [10, 1] and alone.studies.assumed.tolist() == [
        False,
        True,
    ]
    assert any("such runs count once" in note for note in alone.notes)


# Bad input


def test_what_cannot_be_pooled_is_refused(store: rgtool.Store) -> None:
    ten, three = named(store, 0.1), named(store, 0.2)
    with pytest.raises(UsageError, match="give a list of names"):
        rgtool.meta(store, ten)
    for sd in (0.0, -0.01, math.nan, math.inf, "x"):
        with pytest.raises(UsageError, match="it is a positive standard deviation"):
            rgtool.meta(store, [ten, three], sd=sd)
    with pytest.raises(UsageError, match="sd is x: it is a positive"):
        rgtool.meta(store, [ten, three], sd="x")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"the text '{ten}': give a list of names"):
        rgtool.meta(store, ten)
    for few, count in (((), "0 studies"), ((ten,), "1 study")):
        with pytest.raises(UsageError, match=f"{count}: a meta-analysis takes two"):
            rgtool.meta(store, few)
    with pytest.raises(UsageError, match="1 study: a meta-analysis takes two"):
        rgtool.meta(store, [ten, ten])
    lenet = named(store, 0.1, "lenet")
    with pytest.raises(UsageError, match=r"the groups differ: .*\(fc1, fc2"):
        rgtool.meta(store, [ten, lenet])
    deeper = named(store, 0.1, "resnet14w4")
    with pytest.raises(UsageError, match="the groups differ"):
        rgtool.meta(store, [ten, deeper], by="block")
    with pytest.raises(UsageError, match="the groups differ"):
        rgtool.meta(store, [IMAGENET, "published:resnet20-cifar10"])
    first = published(IMAGENET)
    by_block = dataclasses.replace(first, name="published:other", by="block")  # names as by stage
    with pytest.raises(UsageError, match=r"4 stages .*4 blocks"):
        rgtool.meta(None, [first, by_block])
    with pytest.raises(UsageError, match="error"):
        rgtool.meta(store, [ten, "published:renda2020-resnet20"])


@pytest.mark.parametrize("sd", ["0", "-1", "nan"])
def test_the_command_refuses_a_sd_that_is_not_positive(cli: Cli, sd: str, tmp_path: Path) -> None:
    done = cli("meta", *SIX[:2], "--sd", sd, "--store", str(tmp_path))
    assert done.code == 2 and not done.out
    assert done.err.count("\n") == 1 and "it is a positive standard deviation" in done.err


def test_the_command_needs_two_studies(cli: Cli, tmp_path: Path) -> None:
    done = cli("meta", SIX[0], "--store", str(tmp_path))
    assert done.code == 2 and "1 study: a meta-analysis takes two at least" in done.err
    assert cli("meta", "--store", str(tmp_path)).code == 2


def test_programs_get_all_columns(cli: Cli, tmp_path: Path) -> None:
    done = cli("meta", *SIX, "--json", "--store", str(tmp_path))
    rows = json.loads(done.out)
    assert [row["name"] for row in rows] == ["1", "2", "3", "4"]
    assert set(rows[0]) == {column.name for column in Meta.columns}
    assert rows[0]["anomalous"] is None and 0 < rows[0]["i2"] < 1
    studies = json.loads(cli("meta", *SIX, "--studies", "--json", "--store", str(tmp_path)).out)
    assert len(studies) == 24
    assert sum(row["weight"] for row in studies if row["name"] == "1") == pytest.approx(1)
