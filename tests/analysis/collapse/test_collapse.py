"""Data collapse: quality against its formula, exponents that are known, what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import Cli
from hypothesis import given, settings
from hypothesis import strategies as st
from size_families import CHANCE, GAMMA, PHI, PSI, columns, family, write_csv, write_store
from stores import write_run

import rgtool
from rgtool.analysis.collapse.estimate import collapse
from rgtool.analysis.collapse.fit import best_collapse
from rgtool.analysis.collapse.joint_law import JointLaw, joint_log_error
from rgtool.analysis.collapse.quality import Curves, critical, curves_of, quality, shift
from rgtool.analysis.collapse.result import Collapse
from rgtool.analysis.curves.curve import ASSUMED_SD, curve_of_file
from rgtool.analysis.curves.family import (
    ErrorCurve,
    Family,
    family_of,
    family_of_columns,
)
from rgtool.analysis.curves.scatter import curve_noise, noise_draws
from rgtool.analysis.stats.simplex import minimise
from rgtool.schemas.blocks import size_of
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.recipe import Recipe


def plain_quality(sets: list[list[tuple[float, float, float]]]) -> tuple[float, float]:
    """S by its formula, point by point, from scaled sets of (x, y, dy) sorted by x."""
    terms = []
    for i, own in enumerate(sets):
        for x, y, dy in own:
            chosen = []
            for k, other in enumerate(sets):
                for left, right in zip(other, other[1:], strict=False):
                    if k != i and left[0] <= x <= right[0]:
                        chosen += [left, right]
                        break
            if not chosen:
                continue
            w = [1 / p[2] ** 2 for p in chosen]
            s = sum(w)
            sx = sum(wi * p[0] for wi, p in zip(w, chosen, strict=True))
            sy = sum(wi * p[1] for wi, p in zip(w, chosen, strict=True))
            sxx = sum(wi * p[0] ** 2 for wi, p in zip(w, chosen, strict=True))
            sxy = sum(wi * p[0] * p[1] for wi, p in zip(w, chosen, strict=True))
            det = s * sxx - sx**2
            master = (sxx * sy - sx * sxy) / det + x * (s * sxy - sx * sy) / det
            variance = (sxx - 2 * x * sx + x**2 * s) / det
            terms.append((y - master) ** 2 / (dy**2 + variance))
    total = sum(len(own) for own in sets)
    return (sum(terms) / len(terms) if terms else np.inf), len(terms) / total


def scattered(rng: np.random.Generator, sizes: int, points: int) -> Curves:
    """Curves with points anywhere."""
    member = np.repeat(np.arange(sizes), points)
    x = rng.uniform(0, 3, len(member))
    return curves_of(
        x,
        np.sin(x) + rng.normal(size=len(x)) * 0.1,
        rng.uniform(0.05, 0.2, len(x)),
        2.0 ** (member + 1),
    )


def literal(curves: Curves, affine_x: list[tuple[float, float]], y_factor: list[float]) -> object:
    sets = []
    for k, (factor, moved) in enumerate(affine_x):
        part = slice(curves.start[k], curves.start[k + 1])
        sets.append(
            [
                (factor * x + moved, y_factor[k] * y, y_factor[k] * s)
                for x, y, s in zip(curves.x[part], curves.y[part], curves.sigma[part], strict=True)
            ]
        )
    return plain_quality(sets)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 9), st.floats(-2, 2))
def test_quality_is_its_formula(seed: int, sizes: int, points: int, psi: float) -> None:
    curves = scattered(np.random.default_rng(seed), sizes, points)
    s, compared = quality(curves, [[psi]], shift)
    expected = literal(curves, [(1.0, psi * np.log(L)) for L in curves.size[:, 0]], [1.0] * sizes)
    assert (s[0], compared[0]) == pytest.approx(expected, rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.2, 2), st.floats(-0.5, 0.5), st.floats(0.5, 2.5))
def test_quality_about_a_critical_point_is_its_formula(
    seed: int, inverse_nu: float, beta_nu: float, point: float
) -> None:
    curves = scattered(np.random.default_rng(seed), 3, 8)
    lengths = curves.size[:, 0]
    s, compared = quality(curves, [[inverse_nu, beta_nu, point]], critical)
    factors = [float(L**inverse_nu) for L in lengths]
    expected = literal(
        curves, [(f, -point * f) for f in factors], [float(L**beta_nu) for L in lengths]
    )
    assert (s[0], compared[0]) == pytest.approx(expected, rel=1e-6)


def test_many_exponents_at_once_are_each_by_itself() -> None:
    curves = scattered(np.random.default_rng(1), 4, 12)
    values = np.linspace(-1, 1, 7)[:, None]
    together = quality(curves, values)
    alone = [quality(curves, value[None]) for value in values]
    np.testing.assert_allclose(together[0], [s[0] for s, _ in alone])
    np.testing.assert_allclose(together[1], [c[0] for _, c in alone])


def test_points_on_points_are_compared() -> None:
    """Equal x in all curves, ends included, and an exact collapse: S is 0 over all points."""
    x = np.tile([0.0, 1.0, 2.0], 2)
    curves = curves_of(x, 2 * x, np.full(6, 0.1), [1, 1, 1, 2, 2, 2])
    s, compared = quality(curves, [[0.0]])
    assert s[0] == pytest.approx(0) and compared[0] == 1


def test_without_overlap_quality_is_infinite() -> None:
    curves = curves_of([0, 1, 5, 6], [0, 1, 0, 1], np.ones(4), [1, 1, 2, 2])
    s, compared = quality(curves, [[0.0]])
    assert np.isinf(s[0]) and compared[0] == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.1, 10), st.floats(-1, 1))
def test_quality_knows_no_units(seed: int, moved: float, factor: float, psi: float) -> None:
    """Order of points, origin of x, unit of y and unit of the sizes change nothing."""
    rng = np.random.default_rng(seed)
    curves = scattered(rng, 3, 7)
    size = curves.size[curves.member, 0]
    order = rng.permutation(len(size))
    other = curves_of(
        curves.x[order] + moved,
        factor * curves.y[order],
        factor * curves.sigma[order],
        3 * size[order],
    )
    np.testing.assert_allclose(quality(curves, [[psi]])[0], quality(other, [[psi]])[0], rtol=1e-6)


def test_quality_is_one_in_the_mean_at_the_true_exponents() -> None:
    rng, found = np.random.default_rng(3), []
    sizes = np.repeat([1.0, 2.0, 4.0], 15)
    x = rng.uniform(0, 4, 45) - 0.7 * np.log(sizes)
    truth = 0.3 * (x + 0.7 * np.log(sizes))
    for _ in range(300):
        curves = curves_of(x, truth + 0.05 * rng.normal(size=45), np.full(45, 0.05), sizes)
        found.append(quality(curves, [[0.7]])[0][0])
    assert np.mean(found) == pytest.approx(1, abs=0.06)


def test_simplices_find_the_minima_of_many_problems() -> None:
    centres = np.random.default_rng(0).normal(size=(20, 3))

    def bowl(points: np.ndarray, problem: np.ndarray) -> np.ndarray:
        return ((points - centres[problem]) ** 2 * [1, 10, 100]).sum(axis=1)

    found, values = minimise(bowl, np.zeros((20, 3)), np.full(3, 0.5), iterations=500, tol=1e-6)
    np.testing.assert_allclose(found, centres, atol=1e-4)
    assert values.max() < 1e-6


def test_a_critical_point_is_found_with_its_exponents() -> None:
    rng = np.random.default_rng(5)
    length = np.repeat([16.0, 32.0, 64.0, 128.0], 15)
    u = np.tile(np.linspace(-1, 1, 15), 4) + rng.uniform(-0.06, 0.06, 60)
    x = 2.0 + u / length**0.75
    y = length**-0.1 / (1 + np.exp(-2 * u))
    curves = curves_of(x, y * (1 + 0.01 * rng.normal(size=60)), 0.01 * y, length)
    fit = best_collapse(curves, [(0.3, 2), (0, 0.5), (1.9, 2.1)], scaling=critical)
    assert (np.abs(fit.exponents - [0.75, 0.1, 2.0]) < [0.1, 0.03, 0.006]).all()
    assert (
        fit.accepted and (fit.low < [0.75, 0.1, 2.0]).all() and (fit.high > [0.75, 0.1, 2.0]).all()
    )
    fixed = best_collapse(curves, [(0.3, 2), (0.1, 0.1), (2, 2)], scaling=critical)
    assert fixed.exponents[1:].tolist() == [0.1, 2.0] and np.isnan(fixed.low[1:]).all()


@pytest.mark.parametrize(
    ("sizes", "true"),
    [
        (((4, 8), (6, 8), (8, 8), (12, 8)), {"psi": PSI}),
        (((8, 8), (8, 14), (8, 20), (8, 32)), {"phi": PHI}),
        (((4, 8), (8, 8), (4, 20), (8, 20), (12, 14)), {"psi": PSI, "phi": PHI}),
    ],
)
def test_exponents_of_curves_that_obey_the_law(
    sizes: tuple[tuple[float, float], ...], true: dict[str, float]
) -> None:
    found = collapse(None, family(sizes, noise=0.02, rng=2), draws=100)
    assert found.accepted and found.names == tuple(true)
    for i, value in enumerate(true.values()):
        assert found.fit.boot_low[i] - 0.05 < value < found.fit.boot_high[i] + 0.05
        assert found.fit.exponents[i] == pytest.approx(value, abs=0.15)
    assert isinstance(found.law, JointLaw) and found.agrees
    np.testing.assert_allclose(found.law.exponents, list(true.values()), atol=0.1)
    assert found.law.gamma == pytest.approx(GAMMA, rel=0.15)


def test_a_common_unit_of_width_changes_no_exponent() -> None:
    made = family(rng=4)
    wide = dataclasses.replace(
        made, curves=tuple(dataclasses.replace(c, width=16 * c.width) for c in made.curves)
    )
    one, other = (collapse(None, f, draws=50) for f in (made, wide))
    assert one.fit.exponents == pytest.approx(other.fit.exponents, abs=1e-3)
    assert one.fit.quality == pytest.approx(other.fit.quality, rel=1e-3)


def test_the_law_has_its_plateaus_and_its_slope() -> None:
    dense, up, gamma, p = np.log(0.05), np.log(0.9), 0.5, -3.0
    assert joint_log_error(40.0, dense, up, gamma, p) == pytest.approx(dense)
    assert joint_log_error(-60.0, dense, up, gamma, p) == pytest.approx(up)
    # The form of the paper, with complex numbers.
    m = np.exp(1.3)
    ratio = np.exp((up - dense) / gamma) * np.exp(p)
    expected = np.exp(dense) * abs((m - 1j * ratio) / (m - 1j * np.exp(p))) ** gamma
    assert np.exp(joint_log_error(1.3, dense, up, gamma, p)) == pytest.approx(expected)


def test_curves_that_do_not_fall_together_are_refused() -> None:
    made = family(noise=0.01)
    bent = [
        dataclasses.replace(
            c, error=np.minimum(c.error * c.density**-0.25, 1) if i % 2 else c.error
        )
        for i, c in enumerate(made.curves)
    ]
    found = collapse(None, dataclasses.replace(made, curves=tuple(bent)), draws=30)
    assert not found.accepted and found.verdict.startswith("refused: S_min is over 1.3")
    assert found.agrees is False


def test_curves_that_any_shift_fits_are_refused() -> None:
    """Flat at chance: everything collapses, nothing is determined."""
    density = 0.8 ** np.arange(20)
    rng = np.random.default_rng(0)
    error = np.where(density == 1, 0.1, 0.9) * (1 + 0.02 * rng.normal(size=(3, 20)))
    curves = tuple(ErrorCurve(f"w{w}", w, np.nan, density, error) for w in (4.0, 8.0, 16.0))
    found = collapse(None, Family(curves, "flat", 0.9, ()), draws=30)
    assert found.verdict.startswith("refused: the curves are flat")


def test_few_points_are_refused() -> None:
    found = collapse(None, family(((4, 8), (6, 8)), levels=8, noise=0.02), draws=30)
    assert "are the least" in found.verdict and len(found.used.x) < 20


def test_one_seed_is_not_judged_unless_its_noise_is_told() -> None:
    made = family(seeds=1)
    found = collapse(None, made, draws=50)
    assert found.verdict.startswith("refused: one seed") and found.noise.seed_sd == ASSUMED_SD
    told = collapse(None, made, noise=0.03, draws=50)
    assert told.accepted and not told.noise.measured
    assert any("3.0% a seed" in note for note in told.notes)


def test_noise_is_that_of_the_seeds() -> None:
    made = family(seeds=5, noise=0.05, rng=7)
    noise = curve_noise(made.curves)
    assert noise.measured and noise.seed_sd == pytest.approx(0.05, rel=0.15)
    np.testing.assert_allclose(noise.sigma, 0.05 / np.sqrt(5), rtol=0.35)
    draws = noise_draws(made.curves, noise, 4000, np.random.default_rng(0))
    assert draws.std() == pytest.approx(0.05 / np.sqrt(5), rel=0.15)
    mixed = (made.curves[0], dataclasses.replace(made.curves[1], error=made.curves[1].error[:1]))
    sigma = curve_noise(mixed).sigma
    assert sigma[-1] / sigma[0] == pytest.approx(np.sqrt(5), rel=0.4)


def test_draws_are_those_of_the_seed() -> None:
    made = family()
    one, other = (collapse(None, made, draws=40, rng=3) for _ in range(2))
    assert one.fit.draws.tolist() == other.fit.draws.tolist()


def test_sizes_are_read_off_names() -> None:
    assert size_of("resnet20w8") == ("CIFAR ResNet", 8, 20)
    assert size_of("resnet56")[1:] == (16, 56)
    assert size_of("resnet50")[0] != size_of("resnet18")[0] != size_of("resnet20")[0]
    assert size_of("vgg16") == ("VGG", 64, 16)
    for name in ("lenet", "bert-base"):
        with pytest.raises(UsageError, match="tells no width and depth"):
            size_of(name)
    with pytest.raises(UsageError, match="unknown"):
        size_of("resnet21")


def test_experiments_of_a_store_are_the_curves_written(tmp_path: Path) -> None:
    made = family(levels=12)
    names = write_store(tmp_path, made)
    read = family_of(rgtool.Store(tmp_path), list(reversed(names)))
    assert read.chance == pytest.approx(CHANCE) and read.task == "digits" and not read.notes
    for written, curve in zip(made.curves, read.curves, strict=True):
        assert (curve.width, curve.depth) == (written.width, written.depth)
        np.testing.assert_allclose(curve.error, written.error, atol=1e-6)
        np.testing.assert_allclose(curve.density, written.density, rtol=2e-2)
    found = rgtool.collapse(rgtool.Store(tmp_path), names, draws=30)
    assert isinstance(found, Collapse) and found.label == "digits"
    with pytest.raises(UsageError, match="all sizes have depth 8"):
        collapse(rgtool.Store(tmp_path), names, over="depth")


def test_tables_are_read_in_any_order(tmp_path: Path) -> None:
    made, rng = family(), np.random.default_rng(0)
    rows = columns(made)
    order = rng.permutation(len(rows["density"]))
    shuffled = {name: [values[i] for i in order] for name, values in rows.items()}
    csv = write_csv(tmp_path / "curves.csv", shuffled)
    pl.DataFrame(rows).write_parquet(tmp_path / "curves.parquet")
    plain = collapse(None, dataclasses.replace(made, chance=None), draws=30)
    for path in (csv, tmp_path / "curves.parquet"):
        found = collapse(None, [str(path)], draws=30)
        assert found.fit.exponents == pytest.approx(plain.fit.exponents)
        assert isinstance(found.law, JointLaw)
        assert found.law.error_up == pytest.approx(CHANCE, rel=0.25)


def _table(**changes: object) -> dict[str, list[object]]:
    rows: dict[str, list[object]] = {k: list(v) for k, v in columns(family(levels=14)).items()}
    for name, value in changes.items():
        if value is None:
            del rows[name]
        elif isinstance(value, tuple):
            rows[name][value[0]] = value[1]
        elif isinstance(value, list):
            rows[name] = value
        else:
            rows[name] = [value] * len(rows["density"])
    return rows


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"density": None}, UsageError, "no column 'density', found error"),
        ({"error": None}, UsageError, "no column 'error'"),
        ({"width": None, "depth": None}, UsageError, "neither a column 'width' nor 'depth'"),
        ({"error": (4, None)}, RgtoolError, "row 5: error is nothing"),
        ({"error": (4, "x")}, RgtoolError, "row 5: error is 'x', a number is expected"),
        ({"error": (4, float("nan"))}, RgtoolError, "row 5: error is 'nan'"),
        ({"error": 31.5}, RgtoolError, "row 1: error is 31.5.*divide by 100"),
        ({"error": (2, -0.1)}, RgtoolError, "row 3: error is -0.1"),
        ({"density": (1, 80.0)}, RgtoolError, "row 2: density is 80.*percentages"),
        ({"density": (1, 0.0)}, RgtoolError, "row 2: density is 0"),
        ({"width": (0, -4)}, RgtoolError, "width is -4, a positive number"),
        ({"seed": (3, None)}, RgtoolError, "row 4: seed is nothing"),
        ({"error": (3, 0.1), "seed": [0]}, RgtoolError, "columns differ in length"),
        ({"width": 4}, RgtoolError, "is one size"),
        ({"depth": None, "width": 4}, RgtoolError, "is one size"),
    ],
)
def test_bad_tables_are_told_in_words(
    changes: dict[str, object], kind: type[RgtoolError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        collapse(None, family_of_columns(_table(**changes)))


def test_a_table_of_one_size_is_told() -> None:
    rows = columns(family(((4, 8),)))
    with pytest.raises(RgtoolError, match="is one size"):
        collapse(None, family_of_columns(rows))


def test_no_rows_and_wrong_chance_are_told() -> None:
    with pytest.raises(RgtoolError, match="no rows"):
        family_of_columns({"density": [], "error": [], "width": []})
    with pytest.raises(UsageError, match="chance 90: .* 0.9 perhaps"):
        family_of_columns(_table(), chance=90)
    read = family_of_columns(_table(), chance=0.2)
    assert any("points have an error over 1.05 times that of chance" in n for n in read.notes)


def test_seeds_without_common_densities_are_told() -> None:
    rows = {"density": [1, 0.5], "error": [0.1, 0.2], "width": [4, 4], "seed": [0, 1]}
    with pytest.raises(RgtoolError, match="2 seeds have no density in common"):
        family_of_columns(rows)
    rows = {"density": [1, 1, 0.5], "error": [0.1, 0.1, 0.2], "width": [4] * 3, "seed": [0, 1, 0]}
    assert "1 of 2 densities are used" in family_of_columns(rows).notes[0]


def test_points_on_the_plateau_alone_are_told() -> None:
    made = family(levels=1)
    with pytest.raises(RgtoolError, match="prune further"):
        collapse(None, made)


def test_sizes_that_never_overlap_are_told() -> None:
    """A tenth of a decade apart in error: no shift of density brings one curve over the other."""
    density = 0.8 ** np.arange(12)
    curves = tuple(
        ErrorCurve(
            f"w{w}", w, np.nan, density * w**-40.0, 0.1 / density[None] * np.ones((2, 1)) * 0.1
        )
        for w in (1.0, 4.0)
    )
    with pytest.raises(RgtoolError, match="the sizes do not overlap"):
        collapse(None, Family(curves, "far", 0.9, ()))


def test_fewer_points_than_exponents_are_told() -> None:
    curves = curves_of([0, 1, 0, 1], [0, 1, 0, 1], np.ones(4), [1, 1, 2, 2])
    with pytest.raises(RgtoolError, match="4 points for 3 exponents"):
        best_collapse(curves, [(0.1, 2), (0, 1), (-1, 2)], scaling=critical)
    with pytest.raises(UsageError, match="all exponents are fixed"):
        best_collapse(curves, [(1, 1)])
    with pytest.raises(UsageError, match="low end above"):
        best_collapse(curves, [(1, 0)])


def test_bad_points_are_told() -> None:
    good = [0.0, 1.0, 0.0, 1.0]
    with pytest.raises(RgtoolError, match="1 system size"):
        curves_of(good[:2], good[:2], [1, 1], [1, 1])
    with pytest.raises(RgtoolError, match="same x twice"):
        curves_of([0, 0, 0, 1], good, np.ones(4), [1, 1, 2, 2])
    with pytest.raises(RgtoolError, match="has 1 point"):
        curves_of(good[:3], good[:3], np.ones(3), [1, 1, 2])
    with pytest.raises(UsageError, match="not finite"):
        curves_of([np.nan, 1, 0, 1], good, np.ones(4), [1, 1, 2, 2])
    with pytest.raises(UsageError, match="positive"):
        curves_of(good, good, [0, 1, 1, 1], [1, 1, 2, 2])
    with pytest.raises(UsageError, match="equal lengths"):
        curves_of(good, good[:3], np.ones(4), [1, 1, 2, 2])


def test_wrong_options_are_told() -> None:
    made = family(levels=12)
    for options, message in (
        ({"over": "widht"}, "did you mean width"),
        ({"above": 0.0}, "above is 0"),
        ({"noise": -1.0}, "noise is -1"),
        ({"draws": 3}, "at least 20"),
        ({"over": "depth"}, "all sizes have depth 8"),
    ):
        with pytest.raises(UsageError, match=message):
            collapse(None, made, **options)  # type: ignore[arg-type]
    both = family(((4, 8), (8, 20)))
    with pytest.raises(UsageError, match="differ in depth too"):
        collapse(None, both, over="width")
    with pytest.raises(UsageError, match="do not tell psi from phi"):
        collapse(None, both)
    unknown = dataclasses.replace(
        made, curves=tuple(dataclasses.replace(c, depth=np.nan) for c in made.curves)
    )
    with pytest.raises(UsageError, match="the depth of w4 l8 is unknown"):
        collapse(None, unknown, over="both")


def test_experiments_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    store = rgtool.Store(tmp_path)
    for architecture, task in (
        ("resnet8w4", "digits"),
        ("resnet8w8", "cifar10"),
        ("lenet", "digits"),
        ("resnet8a", "digits"),
    ):
        exempt = ("fc",) if architecture == "lenet" else ()
        write_run(tmp_path, recipe=Recipe(architecture=architecture, task=task, exempt=exempt))
    with pytest.raises(UsageError, match="task is digits and cifar10"):
        family_of(store, ["resnet8w4/digits", "resnet8w8/cifar10"])
    with pytest.raises(UsageError, match="lenet tells no width and depth"):
        family_of(store, ["resnet8w4/digits", "lenet/digits"])
    with pytest.raises(UsageError, match="family is CIFAR ResNet and CIFAR ResNet with shortcuts"):
        family_of(store, ["resnet8w4/digits", "resnet8a/digits"])
    with pytest.raises(RgtoolError, match="is one size"):
        collapse(store, ["resnet8w4/digits", "resnet8w4/digits"])
    with pytest.raises(UsageError, match="none is given"):
        family_of(None, [])


def test_two_experiments_of_one_size_and_other_differences_are_told(tmp_path: Path) -> None:
    first = Recipe(architecture="resnet8w4", task="digits")
    longer = dataclasses.replace(first, lr=0.2)
    wider = Recipe(architecture="resnet8w8", task="digits", lr=0.2)
    for recipe in (first, longer, wider):
        write_run(tmp_path, recipe=recipe)
    store = rgtool.Store(tmp_path)
    with pytest.raises(UsageError, match="two experiments have width 4, depth 8"):
        family_of(store, [first.experiment_id, longer.experiment_id])
    read = family_of(store, [first.experiment_id, wider.experiment_id])
    assert any("differ in lr too" in note for note in read.notes)


def test_the_command_prints_and_draws(cli: Cli, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "curves.csv", columns(family(noise=0.02)))
    figure = tmp_path / "collapse.svg"
    code, out, err = cli(
        "collapse", str(path), "--chance", "0.9", "--draws", "40", "--plot", str(figure), "--json"
    )
    rows = json.loads(out)
    assert code == 0 and [row["exponent"] for row in rows] == ["psi", "psi", "gamma"]
    assert rows[0]["verdict"] == "accepted" and rows[1]["verdict"] == "agrees"
    assert rows[0]["low"] < PSI < rows[0]["high"]
    assert "S compares" in err and "before" in figure.read_text()
    code, out, err = cli("collapse", str(path), "--draws", "40")
    assert code == 0 and "accepted" in out and "S_min" in err


def test_the_command_takes_experiments(cli: Cli, tmp_path: Path) -> None:
    names = write_store(tmp_path / "store", family(noise=0.02))
    code, out, _ = cli(
        "collapse", *names, "--store", str(tmp_path / "store"), "--csv", "--draws", "40"
    )
    assert code == 0 and out.splitlines()[1].startswith("psi,collapse,")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as a table"),
        ("density,error,width\n", "no rows"),
        ("a,b\n1,2\n", "no column 'density'"),
    ],
)
def test_the_command_tells_of_broken_files(
    cli: Cli, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    code, out, err = cli("collapse", str(path))
    assert code in (1, 2) and not out and message in err and "Traceback" not in err
    path.rename(tmp_path / "x.parquet")
    code, out, err = cli("collapse", str(tmp_path / "x.parquet"))
    assert code == 1 and "cannot be read as a table" in err and len(err.splitlines()) <= 2


def test_the_command_tells_of_wrong_arguments(cli: Cli, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "nowhere"))
    for arguments, code, message in (
        (("none.csv",), 2, "no file none.csv"),
        (("a.csv", "resnet8/digits"), 2, "give it alone"),
        (("resnet8/digits", "--chance", "0.9", *store), 2, "--chance goes with a file"),
        (("resnet8/digits", "--plot", "x.txt", *store), 2, "ends in .png"),
        (("resnet8/digits", *store), 1, "holds no runs"),
    ):
        got, out, err = cli("collapse", *arguments)
        assert got == code and not out and message in err


def test_results_have_their_faces() -> None:
    found = collapse(None, family(noise=0.02), draws=30)
    assert found.title in found.summary() and "joint law" in found.summary()
    assert "<table" in found._repr_html_()
    frame = found.to_frame()
    assert frame["exponent"].to_list() == ["psi", "psi", "gamma"]
    assert frame["rise_low"].null_count() == 2


# What is read for one size is read so for several


def _one_size(**changes: object) -> dict[str, list[object]]:
    rows = _table(**changes)
    kept = [i for i, width in enumerate(rows["width"]) if width == 4]
    return {name: [values[i] for i in kept] for name, values in rows.items()}


def test_a_size_of_a_family_is_the_curve_of_its_rows(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "one.csv", _one_size())  # type: ignore[arg-type]
    alone, (first, *_) = curve_of_file(path), family_of_columns(_table()).curves
    np.testing.assert_array_equal(first.density, alone.density)
    np.testing.assert_array_equal(first.error, alone.error)


def test_densities_that_stand_twice_are_averaged_and_told() -> None:
    rows = _table(seed=None)
    read = family_of_columns(rows, where="mine.csv")
    for curve, whole in zip(read.curves, family_of_columns(_table()).curves, strict=True):
        np.testing.assert_allclose(curve.error, whole.mean[None])
    told = [note for note in read.notes if "stand more than once for one seed" in note]
    assert len(told) == 4 and told[0].startswith("mine.csv: width 4, depth 8: 15 densities")


def test_accuracies_and_names_of_seeds_are_read() -> None:
    rows = _table()
    rows["accuracy"] = [1 - error for error in rows.pop("error")]  # type: ignore[operator]
    rows["seed"] = [f"run {seed:g}" for seed in rows["seed"]]  # type: ignore[str-bytes-safe]
    for curve, whole in zip(
        family_of_columns(rows).curves, family_of_columns(_table()).curves, strict=True
    ):
        np.testing.assert_allclose(curve.error, whole.error, rtol=1e-12)
    rows["accuracy"] = [100 * value for value in rows["accuracy"]]  # type: ignore[operator]
    with pytest.raises(RgtoolError, match="accuracy is .*percentages: divide by 100"):
        family_of_columns(rows)


def test_seeds_without_the_densest_error_are_left_out_and_told() -> None:
    rows = {"density": [1, 0.5, 0.2, 0.5, 0.2], "error": [0.1, 0.2, 0.3, 0.2, 0.3]}
    read = family_of_columns({**rows, "width": [4] * 5, "seed": [0, 0, 0, 1, 1]})
    assert read.curves[0].error.tolist() == [[0.1, 0.2, 0.3]]
    assert read.notes == (
        "width 4: 1 of 2 seeds are left out, they lack the error of the densest network, at 1",
    )


def test_an_error_of_0_is_told() -> None:
    rows = _table()
    rows["error"] = [
        0 if d == 1 else e for d, e in zip(rows["density"], rows["error"], strict=True)
    ]
    with pytest.raises(RgtoolError, match="the error is 0 at density 1 in every seed"):
        family_of_columns(rows)
