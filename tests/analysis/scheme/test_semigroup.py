"""The semigroup test: flows that are one, flows that are not, and what is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import synthetic

import rgtool
from rgtool import RgtoolError, Store, semigroup
from rgtool.analysis import flow
from rgtool.analysis.classes.semigroup import common_levels
from rgtool.analysis.flow import UNIT
from rgtool.analysis.nulls.untrained import null_kept
from rgtool.cli import main


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


def shifted(groups=11, by=0.02):
    shift = np.zeros(groups)
    shift[[3, 4]] = by
    return shift


def test_a_static_flow_is_a_semigroup():
    """Thresholds of one set of weights depend on density alone: N1 at .2 and .36 is one flow."""
    found = semigroup(
        None, experiment(0.2, noise=1e-4), experiment(0.36, noise=1e-4, rng=1), draws=499
    )
    assert found.verdict == "same"
    np.testing.assert_allclose(found.exponent_a, found.exponent_b, atol=2e-3)
    assert found.windows == ((2, 12), (1, 6))
    np.testing.assert_allclose(found.densities, 0.64 ** np.arange(1, 7), rtol=1e-3)
    assert "between densities 0.64 and 0.0687, 6 of them" in found.notes[-2]


def test_exponents_are_those_of_the_flow():
    a, b = experiment(0.2), experiment(0.36, rng=1)
    found = semigroup(None, a, b, draws=99)
    y_a = flow.window_exponents(a.kept, 2, 12)
    y_b = flow.window_exponents(b.kept, 1, 6)
    np.testing.assert_allclose(found.exponent_a, y_a.mean(axis=0))
    np.testing.assert_allclose(found.exponent_b, y_b.mean(axis=0))
    d = UNIT * (y_a.mean(axis=0) - y_b.mean(axis=0))
    np.testing.assert_allclose(found.comparison.d, d - d.mean(), atol=1e-12)
    assert float(np.exp(UNIT)) == pytest.approx(1.25)


def test_the_order_does_not_matter():
    a, b = experiment(0.2, shift=shifted()), experiment(0.36, rng=1)
    one, other = semigroup(None, a, b, draws=999), semigroup(None, b, a, draws=999)
    np.testing.assert_allclose(one.comparison.d, -other.comparison.d, atol=1e-12)
    assert one.comparison.q == pytest.approx(other.comparison.q)
    assert one.windows == other.windows[::-1]
    np.testing.assert_allclose(one.densities, other.densities, rtol=1e-3)


def test_another_spectrum_is_found_different():
    found = semigroup(None, experiment(0.2, shift=shifted(by=0.06)), experiment(0.36, rng=1))
    assert found.verdict == "different" and found.comparison.p < 0.01
    worst = np.argsort(-np.abs(found.comparison.d))[:2]
    assert sorted(found.names[i] for i in worst) == sorted(found.names[i] for i in (3, 4))
    assert (found.comparison.p_group[[3, 4]] < 0.05).all()


def test_size_and_power_over_experiments():
    """400 pairs: the flow is one, and then another by 2 % in two of eleven groups."""
    p = {None: [], 0.02: []}
    for change, values in p.items():
        shift = None if change is None else shifted(by=change)
        for i in range(400):
            a, b = experiment(0.2, shift=shift, rng=i), experiment(0.36, rng=1000 + i)
            values.append(semigroup(None, a, b, draws=99, rng=i).comparison.p)
    assert 0.015 <= np.mean(np.array(p[None]) <= 0.05) <= 0.08
    assert 0.5 <= np.mean(np.array(p[0.02]) <= 0.05) <= 0.85


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
    assert semigroup(None, a, b, draws=99).windows == ((3, 12), (1, 4))


def test_seeds_and_levels_that_lack_are_told():
    a = synthetic.without(experiment(0.2), (0, 11), (0, 12))
    found = semigroup(None, a, experiment(0.36, rng=1), draws=99)
    assert found.windows == ((2, 10), (1, 5))
    assert any("the window ends at level 10" in note for note in found.notes)
    lone = semigroup(None, experiment(0.2, seeds=1), experiment(0.36, rng=1), draws=99)
    assert any("a lone seed tells nothing" in note for note in lone.notes)
    assert lone.verdict == "undecided" and "undecided, no test" in lone.title


def test_what_else_differs_is_told():
    b = experiment(0.36, rng=1)
    longer = dataclasses.replace(b, recipe=dataclasses.replace(b.recipe, epochs=20, lr=0.05))
    found = semigroup(None, experiment(0.2), longer, draws=99)
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
        (lambda b: experiment(0.36, by="stage"), "do not count or prune the same groups"),
        (lambda b: dataclasses.replace(b, total=b.total + 1), "do not count or prune the same"),
        (lambda b: experiment(0.2), "both prune 0.2"),
        (lambda b: experiment(0.3), "common densities: 1, two are needed: prune 0.2 has 0.8"),
        (lambda b: experiment(0.36, levels=2), None),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(change, words):
    a = experiment(0.2, seeds=1)
    b = change(experiment(0.36, rng=1))
    if words is None:
        assert semigroup(None, a, b, draws=9).windows == ((2, 4), (1, 2))
        return
    a = experiment(0.2)
    with pytest.raises(RgtoolError, match=words) as error:
        semigroup(None, a, b)
    assert "\n" not in str(error.value)


def test_seeds_that_are_all_alike_tell_nothing():
    found = semigroup(None, experiment(0.2, noise=0), experiment(0.36, noise=0))
    assert found.verdict == "undecided" and np.isnan(found.comparison.p)
    assert any("of 3 and 3 runs 1 and 1 differ" in note for note in found.notes)


def test_a_lone_group_is_refused():
    a, b = experiment(0.2), experiment(0.36)
    exempt = np.arange(11) > 0
    a, b = (dataclasses.replace(x, exempt=exempt) for x in (a, b))
    with pytest.raises(RgtoolError, match="fewer than two groups"):
        semigroup(None, a, b)


# Real runs


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Lenet pruned by .2 and by .36, two seeds each."""
    store = tmp_path_factory.mktemp("pair") / "store"
    for prune, levels in ((0.2, 6), (0.36, 3)):
        rgtool.run("lenet", "digits", seeds=2, levels=levels, epochs=1, prune=prune, store=store)
    names = {x.recipe.prune: x.experiment_id for x in Store(store).experiments()}
    return store, names[0.2], names[0.36]


def test_real_runs(pair):
    store, fine, coarse = pair
    found = semigroup(Store(store), fine[:8], coarse, by="layer", draws=99)
    assert found.experiments == (fine, coarse) and found.prune == (0.2, 0.36)
    assert found.names == ("fc1", "fc2")  # the output layer is exempt
    assert found.windows == ((2, 6), (1, 3))
    assert found.to_frame()["name"].to_list() == ["fc1", "fc2"]
    assert found.verdict in found.title and found.title in found.summary()
    assert found._repr_html_().count("<tr>") == 3
    with pytest.raises(RgtoolError, match="did you mean layer"):
        semigroup(Store(store), fine, coarse, by="layers")


def test_the_command(pair, capsys):
    store, fine, coarse = pair

    def call(*arguments):
        with pytest.raises(SystemExit) as left:
            main(["semigroup", *arguments, "--store", str(store)])
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    code, out, err = call(fine, coarse, "--by", "layer", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["name"] for row in rows] == ["fc1", "fc2"]
    assert rows[0]["low"] < rows[0]["difference"] < rows[0]["high"]
    assert "common to both" in err
    code, out, err = call(fine, coarse, "--by", "layer")
    assert code == 0 and "semigroup of lenet/digits by layer" in err
    code, out, err = call(fine, fine)
    assert code == 2 and "both prune 0.2" in err
