"""The semigroup test: flows that are one, flows that are not, and what is refused."""

import dataclasses

import numpy as np
import pytest
import synthetic

from rgtool import RgtoolError
from rgtool.analysis import flow
from rgtool.analysis.flow import UNIT
from rgtool.analysis.nulls.untrained import null_kept
from rgtool.analysis.scheme.semigroup import equally_dense, semigroup
from rgtool.analysis.window import choose_window, common_levels


def experiment(prune, *, seeds=3, levels=None, rng=0, noise=0.0068, shift=None, by="block"):
    """N1 of ResNet-20, with seeds that scatter in y ln(1/.8) and perhaps another spectrum."""
    levels = levels or round(12 * np.log(0.8) / np.log(1 - prune))
    made = synthetic.counts("resnet20", by, seeds=seeds, levels=levels, prune=prune)
    network = made.total.sum() * (1 - prune) ** np.arange(levels + 1)
    layers, _ = null_kept(made.layers, (), made.recipe, network)
    index = flow.group_index([x.group(by) for x in made.layers], made.names)
    kept = flow.group_sums(layers, index, len(made.names))
    draws = noise * np.random.default_rng(rng).normal(size=(seeds, 1, len(made.names)))
    theta = draws + (0 if shift is None else np.asarray(shift))
    steps = -np.log1p(-prune) / UNIT * np.arange(levels + 1)
    kept = np.maximum(kept * np.exp(theta * steps[:, None]), 1)
    kept *= (network / kept.sum(axis=-1))[..., None]
    return dataclasses.replace(made, kept=np.rint(kept).astype(np.int64))


def levels(found):
    return tuple(window.levels for window in found.windows)


def strangers(counts):
    """The same experiment of seeds that the other one does not have."""
    return dataclasses.replace(counts, seeds=tuple(seed + 100 for seed in counts.seeds))


def shifted(groups=11, by=0.02):
    shift = np.zeros(groups)
    shift[[3, 4]] = by
    return shift


def test_a_static_flow_is_a_semigroup():
    """Thresholds of one set of weights depend on density alone: N1 at .2 and .36 is one flow."""
    found = semigroup(experiment(0.2, noise=1e-4), experiment(0.36, noise=1e-4, rng=1), draws=499)
    assert found.verdict == "same"
    np.testing.assert_allclose(found.exponent_a, found.exponent_b, atol=2e-3)
    assert levels(found) == ((2, 12), (1, 6))
    np.testing.assert_allclose(found.densities, 0.64 ** np.arange(1, 7), rtol=1e-3)
    assert "between densities 0.64 and 0.0687, 6 of them" in found.notes[-1]


def test_exponents_are_those_of_the_flow():
    a, b = experiment(0.2), experiment(0.36, rng=1)
    found = semigroup(a, b, draws=99)
    y_a = flow.window_exponents(a.kept, 2, 12)
    y_b = flow.window_exponents(b.kept, 1, 6)
    np.testing.assert_allclose(found.exponent_a, y_a.mean(axis=0))
    np.testing.assert_allclose(found.exponent_b, y_b.mean(axis=0))
    d = UNIT * (y_a.mean(axis=0) - y_b.mean(axis=0))
    np.testing.assert_allclose(found.comparison.d, d - d.mean(), atol=1e-12)
    assert float(np.exp(UNIT)) == pytest.approx(1.25)


def test_the_order_does_not_matter():
    a, b = experiment(0.2, shift=shifted()), experiment(0.36, rng=1)
    one, other = semigroup(a, b, draws=999), semigroup(b, a, draws=999)
    np.testing.assert_allclose(one.comparison.d, -other.comparison.d, atol=1e-12)
    assert one.comparison.q == pytest.approx(other.comparison.q)
    assert levels(one) == levels(other)[::-1]
    np.testing.assert_allclose(one.densities, other.densities, rtol=1e-3)


def test_another_spectrum_is_found_different():
    found = semigroup(experiment(0.2, shift=shifted(by=0.06)), experiment(0.36, rng=1))
    assert found.verdict == "different" and found.comparison.p < 0.01
    worst = np.argsort(-np.abs(found.comparison.d))[:2]
    assert sorted(found.names[i] for i in worst) == sorted(found.names[i] for i in (3, 4))
    assert (found.comparison.p_group[[3, 4]] < 0.05).all()


@pytest.mark.parametrize(("paired", "power"), [(False, (0.5, 0.85)), (True, (0.3, 0.6))])
def test_size_and_power_over_experiments(paired, power):
    """150 pairs: the flow is one, and then another by 2 % in two of eleven groups.

    Seeds have nothing in common here, in which case pairing them costs power, and no size.
    """
    p = {None: [], 0.02: []}
    for change, values in p.items():
        shift = None if change is None else shifted(by=change)
        for i in range(150):
            a, b = experiment(0.2, shift=shift, rng=i), experiment(0.36, rng=1000 + i)
            b = b if paired else strangers(b)
            values.append(semigroup(a, b, draws=99, rng=i).comparison.p)
    assert np.mean(np.array(p[None]) <= 0.05) <= 0.1
    assert power[0] <= np.mean(np.array(p[0.02]) <= 0.05) <= power[1]


def test_levels_that_meet():
    fine, coarse = 0.8 ** np.arange(1.0, 13), 0.64 ** np.arange(1.0, 7)
    assert common_levels(fine, coarse).tolist() == [[2 * i + 1, i] for i in range(6)]
    assert common_levels(coarse, fine).tolist() == [[i, 2 * i + 1] for i in range(6)]
    rounded = np.ceil(fine * 50_000) / 50_000 + 1e-4 * fine
    assert len(common_levels(rounded, coarse)) == 6
    assert len(common_levels(fine, 0.7 ** np.arange(1.0, 5))) == 0
    assert common_levels(fine, 0.7 ** np.arange(1.0, 6)).tolist() == [[7, 4]]  # .1678 and .1681
    assert len(common_levels(fine, fine)) == 12


def test_three_steps_of_one_are_one_of_the_other():
    a, b = experiment(0.2, levels=13), experiment(1 - 0.8**3, levels=4, rng=1)
    assert levels(semigroup(a, b, draws=99)) == ((3, 12), (1, 4))


def test_seeds_and_levels_that_lack_are_told():
    a = synthetic.without(experiment(0.2), (0, 11), (0, 12))
    found = semigroup(a, experiment(0.36, rng=1), draws=99)
    assert levels(found) == ((2, 10), (1, 5))
    lone = semigroup(experiment(0.2, seeds=1), experiment(0.36, rng=1), draws=99)
    assert any("a lone seed tells nothing" in note for note in lone.notes)
    assert lone.verdict == "undecided" and lone.comparison.tested == "no test"


def test_what_else_differs_is_told():
    b = experiment(0.36, rng=1)
    longer = dataclasses.replace(b, recipe=dataclasses.replace(b.recipe, epochs=20, lr=0.05))
    found = semigroup(experiment(0.2), longer, draws=99)
    assert any("differ in lr, epochs too" in note for note in found.notes)


def other(experiment_, **recipe):
    return dataclasses.replace(
        experiment_, recipe=dataclasses.replace(experiment_.recipe, **recipe)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: other(b, architecture="resnet56"), "architecture is resnet20 in one and resnet"),
        (lambda b: other(b, task="svhn"), "task is cifar10 in one and svhn"),
        (lambda b: experiment(0.36, by="stage"), r"do not count the same groups \(by block and by"),
        (
            lambda b: dataclasses.replace(b, total=b.total + 1),
            "stem has 432 weights in one and 433 in",
        ),
        (lambda b: experiment(0.2), "both prune 0.2"),
        (lambda b: experiment(0.3), "common densities: 1, two are needed: prune 0.2 has 0.8"),
        (lambda b: experiment(0.36, levels=2), None),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(change, words):
    a = experiment(0.2, seeds=1)
    b = change(experiment(0.36, rng=1))
    if words is None:
        assert levels(semigroup(a, b, draws=9)) == ((2, 4), (1, 2))
        return
    a = experiment(0.2)
    with pytest.raises(RgtoolError, match=words) as error:
        semigroup(a, b)
    assert "\n" not in str(error.value)


def test_seeds_that_are_all_alike_tell_nothing():
    found = semigroup(experiment(0.2, noise=0), strangers(experiment(0.36, noise=0)))
    assert found.verdict == "undecided" and np.isnan(found.comparison.p)
    assert any("of 3 and 3 runs 1 and 1 differ" in note for note in found.notes)


def test_a_lone_group_is_refused():
    a, b = experiment(0.2), experiment(0.36)
    exempt = np.arange(11) > 0
    a, b = (dataclasses.replace(x, exempt=exempt) for x in (a, b))
    with pytest.raises(
        RgtoolError, match="1 of 11 groups by block is pruned in both, two are needed: use"
    ):
        semigroup(a, b)


def test_groups_that_one_leaves_whole_are_left_out_by_name_and_the_others_compared():
    a, b = experiment(0.2, seeds=4), experiment(0.36, seeds=4)
    found = semigroup(a, synthetic.whole_in(b, "1.0", "head"), draws=99)
    names = tuple(name for name in a.names if name not in ("1.0", "head"))
    assert found.names == names and len(found.comparison.d) == len(found.exponent_b) == 9
    places = [a.names.index(name) for name in names]
    np.testing.assert_allclose(
        found.exponent_a, flow.window_exponents(a.kept, 2, 12)[:, places].mean(axis=0)
    )
    (said,) = (note for note in found.notes if "left out" in note)
    assert said == (
        f"1.0, head left out of the comparison: {b.experiment_id} keeps all of their weights at "
        "every level compared"
    )
    both = semigroup(*(synthetic.whole_in(x, "head") for x in (a, b)), draws=99)
    assert "head" not in both.names and not any("left out" in note for note in both.notes)
    # Of the levels that are compared, whatever comes after them.
    kept = synthetic.whole_in(a, "1.0").kept
    kept[:, 7:] = a.kept[:, 7:]
    late, early = dataclasses.replace(a, kept=kept), synthetic.first_levels(b, 4)
    here = semigroup(late, early, draws=99)
    assert here.windows[0].levels == (2, 6) and "1.0" not in here.names
    assert any(f"1.0 left out of the comparison: {a.experiment_id}" in x for x in here.notes)
    assert "1.0" in semigroup(late, b, draws=99).names
    alone = dataclasses.replace(b, exempt=np.arange(11) > 0)
    with pytest.raises(RgtoolError, match=r"1 of 11 groups .* in both.*\(1\.0, .* at every level"):
        semigroup(a, alone)


# Seeds that begin with the same weights


def test_the_same_seeds_are_compared_one_by_one_and_others_are_not():
    a, b = experiment(0.2, noise=0.02), experiment(0.36, noise=0.02)
    pairs, apart = semigroup(a, b, draws=99), semigroup(a, strangers(b), draws=99)
    assert pairs.paired and not apart.paired
    np.testing.assert_allclose(pairs.comparison.d, apart.comparison.d)
    # What they have in common is no noise of the difference, and does not hide it.
    assert (pairs.comparison.error < apart.comparison.error / 5).all()
    assert (pairs.verdict, apart.verdict) == ("same", "undecided")


def test_seeds_are_paired_whatever_their_order():
    a, b = experiment(0.2, noise=0.02), experiment(0.36, noise=0.02)
    turned = [2, 0, 1]
    other = dataclasses.replace(
        b,
        seeds=tuple(b.seeds[i] for i in turned),
        kept=b.kept[turned],
        runs=tuple(b.runs[i] for i in turned),
    )
    one, two = semigroup(a, b, draws=99), semigroup(a, other, draws=99)
    np.testing.assert_allclose(one.comparison.error, two.comparison.error)


@pytest.mark.parametrize("field", ["init", "fan", "bn_init", "pretrained", "origin"])
def test_what_draws_other_weights_of_a_seed_is_not_paired(field):
    a, b = experiment(0.2), experiment(0.36)
    values = {"init": "xavier_normal", "fan": "fan_out", "bn_init": "ones"}
    assert not semigroup(a, other(b, **{field: values.get(field, "x")}), draws=99).paired


def test_seeds_that_only_one_has_are_not_paired():
    a, b = experiment(0.2, seeds=3), experiment(0.36, seeds=4)
    assert not semigroup(a, b, draws=99).paired
    unknown = [dataclasses.replace(x.select([0, 1, 2]), seeds=(None, 1, 2)) for x in (a, b)]
    assert not semigroup(*unknown, draws=99).paired


def test_masks_that_are_the_same_are_a_semigroup_without_chance():
    """Of untrained weights one threshold decides: equal counts at equal densities."""
    fine, coarse = experiment(0.2, noise=0.0), experiment(0.36, noise=0.0)
    kept = fine.kept[:, ::2]
    found = semigroup(fine, dataclasses.replace(coarse, kept=kept))
    assert found.verdict == "same" and found.largest == 0.0 and found.comparison.certain
    assert "the same in all seeds, 0 at most" in found.notes[0]


def test_a_difference_that_all_seeds_share_is_certain():
    fine = experiment(0.2, noise=0.0)
    shift = np.zeros(11)
    shift[[5, 6]] = 0.1, -0.1
    coarse = experiment(0.36, noise=0.0, shift=shift)
    found = semigroup(fine, coarse)
    assert found.verdict == "different" and np.isnan(found.comparison.p)
    assert 0.3 < found.largest < 0.6  # .1 / ln 1.25
    lone = semigroup(experiment(0.2, seeds=1), experiment(0.36, seeds=1, rng=1))
    assert lone.verdict == "undecided" and not lone.comparison.certain


def test_more_than_two_meet_at_the_densities_that_all_have():
    three = [experiment(p) for p in (0.2, 0.36, 1 - 0.8**3)]
    windows, densities = equally_dense(*map(choose_window, three))
    assert [window.levels for window in windows] == [(6, 12), (3, 6), (2, 4)]
    np.testing.assert_allclose(densities, 0.8 ** np.array([6, 12]), rtol=1e-3)


def test_steps_of_scoring_are_steps_too():
    a = experiment(0.2)
    for field in ({"score_from": "dense"}, {"score_steps": 10}):
        found = semigroup(a, other(experiment(0.2), **field), draws=99)
        assert levels(found) == ((1, 12), (1, 12)) and found.verdict == "same"
