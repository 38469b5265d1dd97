"""Schemes as a whole: which experiments belong together, what each is set beside, the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import flows
import numpy as np
import pytest
import synthetic
from command import Cli
from flows import write_experiment

import rgtool
from rgtool import RgtoolError, Store
from rgtool.analysis import flow
from rgtool.analysis.nulls.untrained import null_groups
from rgtool.analysis.scheme.against import against_magnitude, canonical_of
from rgtool.analysis.scheme.families import (
    Family,
    families,
    is_trained,
    magnitude_of,
    untrained_of,
)
from rgtool.analysis.scheme.result import Scheme, Schemes
from rgtool.analysis.scheme.semigroup import exponents_of
from rgtool.analysis.window import Window, choose_window
from rgtool.store.counts import Counts
from rgtool.store.literature import published_flow_names

UNTRAINED = {"epochs": 0, "rewind": "0it", "milestones": ()}


def flow_of(
    rng: int = 0, shift: Any = 0.0, seeds: int = 4, levels: int = 10, **fields: Any
) -> Window:
    """A replicator flow of ResNet-20 whose shares grow by more or less than those of others."""
    made = synthetic.counts(
        "resnet20", "stage", seeds=seeds, levels=levels, prune=fields.get("prune", 0.2), rng=rng
    )
    recipe = dataclasses.replace(made.recipe, **fields)
    counts = dataclasses.replace(made, recipe=recipe, experiment_id=recipe.experiment_id)
    return choose_window(tilted(counts, shift))


def tilted(counts: Counts, shift: Any) -> Counts:
    """The same with log shares that grow by `shift` a step more, of all runs."""
    steps = -np.log1p(-counts.recipe.prune) / flow.UNIT * counts.levels
    kept = counts.kept * np.exp(np.asarray(shift) * steps[:, None])
    kept *= counts.kept.sum(axis=-1, keepdims=True) / kept.sum(axis=-1, keepdims=True)
    whole = np.minimum(np.rint(kept), counts.total).astype(np.int64)
    return dataclasses.replace(counts, kept=np.minimum.accumulate(whole, axis=1))


SHIFT = np.array([0.0, -0.05, 0.02, 0.0, 0.0])


# Families


def test_experiments_that_differ_in_steps_are_one_scheme() -> None:
    fine, coarse = flow_of(), flow_of(prune=0.36, levels=5)
    once = flow_of(score_from="dense")
    snip = flow_of(pruner="snip")
    found = families([coarse, once, snip, fine])
    assert [one.pruner for one in found] == ["magnitude", "snip"]
    one = found[0]
    assert (one.main, one.coarser, one.at_once) == (fine, (coarse,), (once,))
    assert found[1].coarser == found[1].at_once == ()


def test_scores_of_the_dense_network_in_many_steps_are_set_against_those_in_one() -> None:
    many = flow_of(score_from="dense", score_steps=100)
    one, some = flow_of(score_from="dense"), flow_of(score_from="dense", score_steps=10)
    large = flow_of(score_from="dense", score_steps=100, prune=0.36, levels=5)
    (found,) = families([one, some, large, many])
    assert found.main is many and found.at_once == (one, some) and found.coarser == (large,)


def test_what_has_a_coarser_one_beside_it_goes_before_a_finer_one_alone() -> None:
    fine, coarse = flow_of(), flow_of(prune=0.36, levels=5)
    finer = flow_of(score_steps=5)
    other, like = flow_of(score_from="dense", score_steps=20), flow_of(score_from="dense")
    (found,) = families([finer, other, fine, coarse, like])
    assert (found.main, found.coarser, found.rest) == (fine, (coarse,), (finer,))
    assert found.at_once == (like, other)
    alone = flow_of(score_from="dense", score_steps=5)
    (found,) = families([fine, like, finer, alone])
    assert (found.main, found.at_once, found.rest) == (finer, (alone, like), (fine,))


def test_runs_of_one_experiment_are_schemes_of_their_own() -> None:
    whole = flow_of()
    runs = [choose_window(whole.counts.select([i])) for i in (0, 1)]
    assert [one.main for one in families(runs)] == runs


def test_what_training_has_no_say_in_is_untrained() -> None:
    recipe = flow_of().counts.recipe
    assert is_trained(recipe)
    for fields in (UNTRAINED, {"score_at": "rewind", "rewind": "0it"}):
        assert not is_trained(dataclasses.replace(recipe, **fields))
    # Weights of a later point are trained.
    assert is_trained(dataclasses.replace(recipe, score_at="rewind", rewind="100it"))


def test_a_scheme_finds_its_own_flow_before_training_and_magnitudes_as_it_is() -> None:
    windows = [
        flow_of(pruner="snip"),
        flow_of(pruner="snip", **UNTRAINED),
        flow_of(),
        flow_of(lr=0.05),
        flow_of(**UNTRAINED),
        flow_of(pruner="snip", fan="fan_out", **UNTRAINED),
    ]
    trained, own, magnitude, other, plain, strange = families(windows)
    every = [trained, strange, other, own, magnitude, plain]
    assert untrained_of(trained, every) is own
    assert magnitude_of(trained, every) is magnitude  # not the one of another learning rate
    assert magnitude_of(own, every) is plain and magnitude_of(trained, [plain]) is None
    assert magnitude_of(strange, every) is None and untrained_of(strange, every) is None


# Canonical and anomalous


def test_the_canonical_part_of_magnitude_pruning_is_that_of_initial_scales() -> None:
    (one,) = families([flow_of()])
    found, _ = canonical_of(one, one.main, [one])
    expected, _ = null_groups(one.main.counts, one.main.network[:, [0, -1]])
    np.testing.assert_allclose(found, flow.window_exponents(expected, 0, 1))


def test_that_of_another_scheme_is_its_flow_before_training_seed_by_seed() -> None:
    trained = flow_of(rng=1, shift=SHIFT, pruner="snip")
    before = flow_of(pruner="snip", **UNTRAINED)
    turned = dataclasses.replace(before.counts.select([2, 0, 3, 1]))
    known = families([trained, choose_window(turned)])
    found, notes = canonical_of(known[0], trained, known)
    np.testing.assert_allclose(found, exponents_of(before))
    assert notes == ()


def test_without_a_flow_before_training_it_is_told_what_would_give_it() -> None:
    (one,) = families([flow_of(pruner="snip")])
    with pytest.raises(RgtoolError, match="not by snip: its flow before training tells it, which"):
        canonical_of(one, one.main, [one])
    few = families([flow_of(pruner="snip"), flow_of(pruner="snip", levels=5, **UNTRAINED)])
    with pytest.raises(RgtoolError, match=r"lacks densities beyond 0\.328: add --levels to it"):
        canonical_of(few[0], few[0].main, few)
    others = families([flow_of(pruner="snip"), flow_of(pruner="snip", seeds=3, **UNTRAINED)])
    with pytest.raises(RgtoolError, match="of the same seeds"):
        canonical_of(others[0], others[0].main, others)


def family(of: Any, known: Any) -> Family:
    (found,) = (one for one in known if one.main is of)
    return found


def test_training_that_adds_the_same_to_two_schemes_is_found_the_same() -> None:
    """Schemes differ before training, and training shifts both alike: anomalous parts agree."""
    snip = np.array([0.02, 0.0, 0.0, -0.04, 0.0])
    trained = flow_of(shift=snip + SHIFT, pruner="snip")
    before = flow_of(shift=snip, pruner="snip", **UNTRAINED)
    magnitude, plain = flow_of(shift=SHIFT), flow_of(**UNTRAINED)
    known = families([trained, before, magnitude, plain])
    found = against_magnitude(family(trained, known), known)
    assert (
        found is not None
        and found.what == "anomalous"
        and found.other == magnitude.counts.experiment_id
    )
    assert found.comparison.verdict == "same"
    untrained = against_magnitude(family(before, known), known)
    assert untrained is not None and untrained.what == "canonical"
    assert untrained.comparison.verdict == "different"
    np.testing.assert_allclose(untrained.comparison.d, snip - snip.mean(), atol=3e-3)
    assert against_magnitude(family(magnitude, known), known) is None


def test_without_its_canonical_part_whole_exponents_are_compared_and_that_is_said() -> None:
    known = families([flow_of(pruner="snip", shift=SHIFT), flow_of()])
    found = against_magnitude(known[0], known)
    assert found is not None and found.what == "whole"
    assert "whole exponents are compared" in found.notes[0]
    np.testing.assert_allclose(found.comparison.d, SHIFT - SHIFT.mean(), atol=3e-3)


# The whole


def test_published_flows_stand_beside_and_can_be_left_out(tmp_path: Path) -> None:
    store = tmp_path / "s"
    name = write_experiment(store, levels=8)
    found = rgtool.scheme(store, by="stage")
    frame = found.to_frame()
    assert frame["scheme"].to_list() == [
        "magnitude",
        "magnitude",
        "snip",
        "synflow",
        "grasp",
        "random",
    ]
    assert frame["experiment_id"].to_list() == [name, *published_flow_names()]
    assert frame["trained"].to_list() == [True] + [False] * 5
    alone = rgtool.scheme(store, name, by="stage", published=False)
    assert alone.to_frame().to_dicts() == frame[:1].to_dicts()
    assert alone.title == "1 pruning scheme by stage"
    groups = alone.group_table.to_frame()
    assert groups["name"].to_list() == ["stem", "1", "2", "3", "head"]
    np.testing.assert_allclose(
        groups["anomalous"].to_numpy(),
        groups["exponent"].to_numpy() - groups["canonical"].to_numpy(),
    )


def test_one_published_flow_is_named_once() -> None:
    found = rgtool.scheme(None, [published_flow_names()[2]], by="stage")
    frame = found.to_frame()
    assert len(frame) == 5 and frame["scheme"][0] == "synflow"
    said = [note for note in found.notes if note.startswith("shares: ")]
    assert "are drawn to a fixed point: synflow (published)" in said[0]
    assert "stand still: random (published)" in said[0]
    compared = dict(zip(frame["scheme"], frame["magnitude"], strict=True))
    assert compared == dict.fromkeys(("snip", "synflow", "grasp", "random"), "different") | {
        "magnitude": None
    }


def test_exponents_between_ten_and_one_per_cent_are_those_of_the_flows() -> None:
    """Of SynFlow by stage and fc, to two digits; a window applies to published flows too."""
    found = rgtool.scheme(None, [published_flow_names()[2]], by="stage", window=(4, 8))
    rows = found.group_table.to_frame().filter(scheme="synflow")
    np.testing.assert_allclose(
        rows["exponent"].to_numpy(), [0.57, 0.17, -0.08, -0.09, -0.09, 0.37], atol=0.006
    )
    random = found.group_table.to_frame().filter(scheme="random")
    assert random["exponent"].abs().max() < 0.015


def test_a_figure_has_a_panel_for_every_scheme(tmp_path: Path) -> None:
    write_experiment(tmp_path / "s", levels=8)
    figure = rgtool.scheme(tmp_path / "s", by="stage").plot()
    titles = [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]
    assert titles[0].startswith("magnitude, resnet8w4/digits: ")
    assert titles[3] == "synflow, untrained, vgg16/cifar100: attracted"
    drawn = figure.axes[3]
    dashed = [line for line in drawn.lines if len(set(line.get_ydata())) == 1]
    assert len(dashed) == 6 and len(drawn.patches) == 2  # fixed shares, and where size bounds them


def test_experiments_that_enter_no_comparison_are_named(tmp_path: Path) -> None:
    store = tmp_path / "s"
    main, coarse, *rest = (
        write_experiment(store, levels=levels, **fields)
        for levels, fields in (
            (8, {}),
            (4, {"prune": 0.36}),
            (8, {"score_steps": 5}),
            (4, {"prune": 0.488}),
        )
    )
    found = rgtool.scheme(store, by="stage", published=False)
    frame = found.to_frame()
    assert frame["experiment_id"].to_list() == [main] and frame["step_with"][0] == coarse
    (said,) = (note for note in found.notes if "entered no comparison" in note)
    assert said == (
        f"{main}: of this scheme {rest[1]} (prune=0.488 score_from=previous score_steps=1), "
        f"{rest[0]} (prune=0.2 score_from=previous score_steps=5) entered no comparison: an "
        "experiment named alone has a row of its own"
    )
    alone = rgtool.scheme(store, rest[0], by="stage", published=False)
    assert not any("entered no comparison" in note for note in alone.notes)


def test_a_scheme_that_leaves_a_group_whole_is_compared_over_the_others() -> None:
    magnitude = flow_of(**UNTRAINED)
    erk = choose_window(synthetic.whole_in(flow_of(pruner="erk", **UNTRAINED).counts, "stem"))
    known = families([erk, magnitude])
    found = against_magnitude(known[0], known)
    assert found is not None and found.names == ("1", "2", "3", "head")
    assert found.notes[0].startswith("stem left out of the comparison: ")
    groups = Schemes("stage", (Scheme(known[0], None, None, None, None, None, found),), ())
    np.testing.assert_allclose(
        groups.group_table.to_frame()["magnitude"].to_numpy(), found.comparison.d / flow.UNIT
    )


def test_a_group_that_is_not_compared_keeps_its_row_without_a_comparison() -> None:
    snip = flow_of(pruner="snip", shift=SHIFT, **UNTRAINED)
    plain = choose_window(synthetic.whole_in(flow_of(**UNTRAINED).counts, "head"))
    known = families([snip, plain])
    found = against_magnitude(known[0], known)
    assert found is not None and found.other in found.notes[0]
    groups = Schemes("stage", (Scheme(known[0], None, None, None, None, None, found),), ())
    rows = groups.group_table.to_frame()
    assert rows["name"].to_list() == ["stem", "1", "2", "3", "head"]
    np.testing.assert_allclose(
        rows["magnitude"].to_numpy(), np.append(found.comparison.d / flow.UNIT, np.nan)
    )


def test_the_canonical_part_of_a_group_that_is_whole_before_training_is_there() -> None:
    trained = flow_of(pruner="snip", shift=SHIFT)
    whole = synthetic.whole_in(flow_of(pruner="snip", **UNTRAINED).counts, "stem")
    before = choose_window(whole)
    known = families([trained, before])
    found, _ = canonical_of(known[0], trained, known)
    assert found.shape == (4, 5)
    # Its share grows as that of the network falls.
    np.testing.assert_allclose(found[:, 0], 1.0)


def test_what_has_no_flow_is_left_out_and_told(tmp_path: Path, cli: Cli) -> None:
    store = tmp_path / "s"
    write_experiment(store, levels=8)
    write_experiment(store, levels=1, prune=0.3)
    done = cli("scheme", "--store", str(store), "--by", "stage", "--json", "--no-published")
    assert done.code == 3 and "left out: resnet8w4/digits prune=0.3" in done.err
    assert [row["scheme"] for row in json.loads(done.out)] == ["magnitude"]
    short = cli("scheme", "--store", str(store), "resnet8w4/digits prune=0.3")
    assert short.code == 1 and "its longest run has 2 levels" in short.err


@pytest.mark.parametrize(
    ("changes", "does"),
    [
        ({"control": "shuffle"}, "trains single"),
        ({"transform": "perturb:block=1.0:0.8", "start": 2}, "begins with changed"),
    ],
)
def test_a_child_is_no_scheme_of_its_own(tmp_path: Path, changes: Any, does: str) -> None:
    parent = write_experiment(tmp_path)
    child = flows.copy_counts(tmp_path, parent, parent=parent, **changes)
    with pytest.raises(RgtoolError, match=f"it {does} tickets of {parent} and is no scheme of its"):
        rgtool.scheme(tmp_path, child, published=False)


def test_levels_that_do_not_meet_and_those_that_are_too_few_are_told(tmp_path: Path) -> None:
    store = tmp_path / "s"
    write_experiment(store, levels=8)
    write_experiment(store, levels=4, prune=0.3)
    found = rgtool.scheme(store, by="stage", published=False)
    assert found.to_frame()["step"][0] is None
    assert any("small against large steps: not to be had" in note for note in found.notes)
    few = rgtool.scheme(store, "prune=.2", by="stage", window=(1, 3), published=False)
    assert few.to_frame()["shares"][0] is None
    assert any("fate of shares: not to be had, 3 levels" in note for note in few.notes)


# Real runs


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lenet, magnitude and random pruning by .2 and by .36, trained and before."""
    store = tmp_path_factory.mktemp("schemes") / "store"
    for prune, levels in ((0.2, 6), (0.36, 3)):
        rgtool.run("lenet", "digits", seeds=2, levels=levels, epochs=1, prune=prune, store=store)
        for pruner in ("magnitude", "random"):
            rgtool.run(
                "lenet", "digits", seeds=2, levels=levels, prune=prune, pruner=pruner,
                store=store, **UNTRAINED,
            )  # fmt: skip
    return store


def test_masks_of_untrained_weights_are_a_semigroup_exactly(real: Path) -> None:
    found = rgtool.scheme(real, by="layer", published=False)
    rows = {(x["scheme"], x["trained"]): x for x in found.to_frame().to_dicts()}
    assert set(rows) == {("magnitude", True), ("magnitude", False), ("random", False)}
    plain = rows["magnitude", False]
    assert plain["step"] == "same" and plain["step_largest"] < 1e-6
    assert rows["magnitude", True]["step_largest"] > 0
    assert rows["random", False]["compared"] == "canonical"
    assert rows["random", False]["shares"] == "still"
    with pytest.raises(RgtoolError, match="has no stages"):
        rgtool.scheme(real, by="stage")


def test_the_command(real: Path, cli: Cli, tmp_path: Path) -> None:
    asked = ("scheme", "lenet/digits", "--by", "layer", "--store", str(real))
    done = cli(*asked, "--plot", str(tmp_path / "f.svg"))
    assert done.code == 0 and (tmp_path / "f.svg").exists()
    assert "8 pruning schemes by layer" in done.err and "a semigroup in density: " in done.err
    groups = cli(*asked, "--groups", "--json", "--no-published")
    rows = json.loads(groups.out)
    assert {row["name"] for row in rows} == {"fc1", "fc2"}
    assert len(rows) == 6 and rows[0]["step"] is not None
    assert cli("semigroup", "a", "b").code == 2
    assert Store(real).experiments()  # nothing was changed
