"""Classes of exponents: experiments whose error curves are known by construction."""

from pathlib import Path

import numpy as np
import pytest
import stores

from rgtool import RgtoolError, Store, classify
from rgtool.analysis.gamma.power_law import log_error
from rgtool.schemas.errors import UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder

LEVELS, SEEDS = 22, 3


def write_curve(store: Path, task: str, gamma: float, *, onset: float = 0.3) -> str:
    """Write an experiment whose error follows the power law, with 2 % of noise a seed and level."""
    recipe = Recipe(architecture="resnet20", task=task)
    rng = np.random.default_rng(int.from_bytes(task.encode(), "big"))
    theta = np.log([0.06, gamma, onset, 0.9])
    kept = stores.counts(recipe, len(task) * 1000 + ord(task[0]), LEVELS)  # alike in all seeds
    density = kept.sum(axis=1) / kept[0].sum()
    for seed in range(SEEDS):
        error = np.exp(log_error(np.log(density), theta) + 0.02 * rng.standard_normal(LEVELS + 1))
        description = stores.describe(recipe, seed, LEVELS)
        folder = RunFolder.of(store, description.run_id)
        folder.make()
        description.write(folder.description)
        for level in range(LEVELS + 1):
            stores.write_record(
                store, recipe, description.run_id, level, kept, accuracy=float(1 - error[level])
            )
    return recipe.experiment_id


def test_equal_exponents_are_one_class_and_others_are_apart(tmp_path: Path) -> None:
    names = [write_curve(tmp_path, task, g) for task, g in (("a", 0.8), ("b", 0.8), ("c", 1.6))]
    found = classify(Store(tmp_path), names, by="gamma")
    verdicts = found.pair_table.to_frame().select("a", "b", "verdict").rows()
    assert [v for a, b, v in verdicts if {a, b} == set(names[:2])] == ["same"]
    assert [v for a, b, v in verdicts if names[2] in (a, b)] == ["different"] * 2
    label = dict(zip(found.experiments, found.clusters.labels.tolist(), strict=True))
    assert label[names[0]] == label[names[1]] != label[names[2]]
    estimates = found.pair_table.to_frame()["gamma_a"].to_list()
    assert estimates == pytest.approx([0.8, 0.8, 0.8], rel=0.15)
    assert any("no draws" in note for note in found.notes)
    assert found.certainty is None


def test_an_exponent_that_may_not_be_quoted_decides_nothing(tmp_path: Path) -> None:
    one = write_curve(tmp_path, "a", 0.8)
    other = write_curve(tmp_path, "late", 0.8, onset=0.006)
    found = classify(Store(tmp_path), [one, other], by="gamma")
    assert found.pairs.verdict == ("undecided",)
    assert np.isnan(found.pairs.p).all()
    assert any("1 of 2 exponents may not be quoted" in note for note in found.notes)


def test_what_has_no_exponent_is_named(tmp_path: Path) -> None:
    one = write_curve(tmp_path, "a", 0.8)
    flat = write_curve(tmp_path, "flat", 0.8, onset=1e-4)
    with pytest.raises(RgtoolError, match=rf"\({flat}\) has no exponent: the error is not seen"):
        classify(Store(tmp_path), [one, flat], by="gamma")
    with pytest.raises(UsageError, match="error curves know no weighting"):
        classify(Store(tmp_path), [one, flat], by="gamma", weighting="magnitude")


def test_a_published_spectrum_has_no_curve() -> None:
    names = ["published:resnet50-simclr-imagenet", "published:resnet50-simclr-cifar100"]
    with pytest.raises(UsageError, match="is a spectrum without an error curve"):
        classify(experiments=names, by="gamma")
