"""No invented null: what nothing tells is assumed, and said, or the null is absent."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from flows import write_experiment
from stores import describe, write_record
from synthetic import counts, whole_in

import rgtool
from rgtool import RgtoolError, Store
from rgtool.analysis.nulls.known import scale_source, weight_law
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.analysis.spectrum.many import spectra
from rgtool.schemas.blocks import architecture
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.description import assumed_fields
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.sums import KEY
from rgtool.store.counts import never_pruned

LENET = Recipe(architecture="lenet", task="mnist", augment=(), rewind="0it")
EVERYTHING = assumed_fields("table", (), LENET)


def import_of(made=None, **changes):
    """An experiment of which nothing tells how it was made."""
    made = counts("resnet20", "stage", seeds=2) if made is None else made
    return dataclasses.replace(made, assumed=EVERYTHING, **changes)


def without_shapes(made):
    layers = tuple(
        dataclasses.replace(layer, kind="group", shape=(layer.total,)) for layer in made.layers
    )
    return dataclasses.replace(made, layers=layers)


def measured(made):
    return tuple({"rewind": {x.name: 0.1 for x in made.layers}} for _ in made.runs)


def test_an_own_run_is_told_everything():
    assert assumed_fields("rgtool", (), LENET) == ()
    assert scale_source(counts("resnet20")) == ("recipe", ())


def test_an_initialiser_that_nothing_tells_gives_no_null():
    with pytest.raises(RgtoolError, match="nothing tells.*--init.*manifest.json"):
        scale_source(import_of())
    spectrum = eigen(None, import_of())
    assert np.isnan(spectrum.canonical).all() and np.isnan(spectrum.anomalous.value).all()
    assert set(spectrum.against_null) == {""} and np.isnan(spectrum.untrained.p)
    assert any("no null is shown: nothing tells how" in note for note in spectrum.notes)


def test_the_recipe_of_a_study_is_an_assumption_and_shown_as_one():
    source, (note,) = scale_source(import_of(study="chen2021a"))
    assert source == "recipe"
    assert "recipe chen2021a" in note and "init kaiming_normal, fan fan_in, pruner" in note
    spectrum = eigen(None, import_of(study="chen2021a"))
    assert np.isfinite(spectrum.canonical).all() and note in spectrum.notes


def test_what_is_measured_goes_before_what_is_assumed():
    made = import_of()
    source, (note,) = scale_source(made, measured(made))
    assert source == "stored" and "init" not in note and "pruner magnitude" in note
    assert scale_source(import_of(study="chen2021a"), measured(made))[0] == "stored"
    told = dataclasses.replace(made, assumed=())
    assert scale_source(told, measured(made)) == ("recipe", ())


def test_what_is_told_of_an_import_is_enough():
    told = tuple(name for name in EVERYTHING if name != "init")
    source, (note,) = scale_source(dataclasses.replace(import_of(), assumed=told))
    assert source == "recipe" and "init" not in note and "fan fan_in" in note


def initialised(made, init):
    return dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, init=init))


def test_the_law_of_weights_is_that_of_a_known_initialiser():
    assert weight_law(initialised(counts("resnet20"), "xavier_uniform")) == ("uniform", ())
    studied = initialised(import_of(study="chen2021a"), "kaiming_uniform")
    law, (note,) = weight_law(studied)
    assert law == "uniform" and "init kaiming_uniform, pruner magnitude, scope global" in note


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (initialised(counts("resnet20"), "pretrained"), "init is pretrained"),
        (initialised(import_of(), "kaiming_uniform"), "nothing of the import tells"),
    ],
)
def test_weights_of_no_known_law_count_as_gaussian_and_it_is_said(made, why):
    law, (note, *_) = weight_law(made)
    assert law == "gaussian" and "Gaussian weights" in note and why in note


def test_a_table_without_shapes_has_no_scales():
    table = without_shapes(import_of())
    with pytest.raises(RgtoolError, match="tells no shapes.*--arch and --init"):
        scale_source(table)
    told = dataclasses.replace(table, assumed=())
    with pytest.raises(RgtoolError, match="tells no shapes"):
        scale_source(told)
    assert scale_source(table, measured(table))[0] == "stored"
    random = dataclasses.replace(table.recipe, pruner="random")
    assert scale_source(dataclasses.replace(table, recipe=random))[0] == "recipe"


def test_the_null_is_that_of_magnitude_pruning():
    made = counts("resnet20", "stage", seeds=2)
    snip = dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, pruner="snip"))
    with pytest.raises(RgtoolError, match="by magnitude, not by snip"):
        scale_source(snip)


def test_never_pruned_is_whole_at_all_levels_of_all_runs():
    total = np.array([10, 20, 30])
    kept = np.array(
        [[[10, 20, 30], [10, 15, 30], [0, 0, 0]], [[10, 20, 30], [10, 12, 29], [9, 9, 9]]]
    )
    recorded = np.array([[True, True, False], [True, True, False]])
    assert never_pruned(kept, total, recorded).tolist() == [True, False, False]
    dense = np.broadcast_to(total, (2, 3, 3))
    assert not never_pruned(dense, total, np.ones((2, 3), bool)).any()  # nothing is pruned yet


# From files to a null


def table(path: Path, layers, *, init="kaiming_normal", whole="", seeds=3, levels=8) -> None:
    """Counts of untrained networks: every seed draws its weights and prunes them by size."""
    rows = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        draw = {
            "kaiming_normal": lambda x, rng=rng: rng.normal(size=x.total) * np.sqrt(2 / x.fan_in),
            "small": lambda x, rng=rng: rng.normal(size=x.total) * 0.02,
        }[init]
        weights = [np.abs(draw(x)) for x in layers]
        weights = [w + 100 * (x.name == whole) for w, x in zip(weights, layers, strict=True)]
        pool = np.sort(np.concatenate(weights))[::-1]
        for level in range(levels):
            threshold = pool[int(len(pool) * 0.8**level) - 1]
            rows += [
                ("mine", seed, level, x.name, int((w >= threshold).sum()), x.total)
                for x, w in zip(layers, weights, strict=True)
            ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("experiment", "seed", "level", "group", "kept", "total"), *rows]
        )


def test_untrained_tables_differ_from_no_null_that_is_invented(tmp_path):
    """Layers of one scale, told nothing: He's scales were assumed once, and p was .0001."""
    layers = architecture("resnet8w4").layers
    table(tmp_path / "t.csv", layers, init="small")
    store = Store(tmp_path / "store")
    (run, *_) = store.import_runs(tmp_path / "t.csv", architecture="resnet8w4").runs
    spectrum = eigen(store, run.experiment_id, by="stage")
    assert np.isnan(spectrum.untrained.p)
    assert any("--init" in note for note in spectrum.notes)


def test_told_later_the_initialiser_gives_the_null(tmp_path):
    layers = architecture("resnet8w4").layers
    table(tmp_path / "t.csv", layers)
    store = Store(tmp_path / "store")
    known = {"architecture": "resnet8w4"}
    first = store.import_runs(tmp_path / "t.csv", **known).runs
    assert np.isnan(eigen(store, first[0].experiment_id, by="stage").canonical).all()
    told = store.import_runs(tmp_path / "t.csv", init="kaiming_normal", fan="fan_in", **known).runs
    assert [run.run_id for run in told] == [run.run_id for run in first]
    assert not any(run.new for run in told)
    spectrum = eigen(store, told[0].experiment_id, by="stage")
    assert (
        np.isfinite(spectrum.anomalous.value).all() and np.abs(spectrum.anomalous.value).max() < 0.2
    )
    assert spectrum.untrained.p > 0.05
    description = store.description(told[0].run_id)
    assert {"init", "fan"} <= set(description.told) and "lr" in description.assumed
    # What is told last counts, and the former id still finds it.
    (other, *_) = others = store.import_runs(tmp_path / "t.csv", fan="fan_out", **known).runs
    assert {run.experiment_id for run in others} == {other.experiment_id}
    assert other.experiment_id != told[0].experiment_id
    assert any("fan fan_out (fan_in before)" in note for note in other.notes)
    assert store.find_experiment(told[0].experiment_id) == other.experiment_id


def test_what_is_told_last_counts_when_levels_are_added(tmp_path):
    layers = architecture("resnet8w4").layers
    table(tmp_path / "t.csv", layers, seeds=1, levels=5)
    store = Store(tmp_path / "store")
    (first,) = store.import_runs(tmp_path / "t.csv", fan="fan_in").runs
    table(tmp_path / "t.csv", layers, seeds=1)
    (grown,) = store.import_runs(tmp_path / "t.csv", fan="fan_out").runs
    assert grown.new == (5, 6, 7) and grown.experiment_id != first.experiment_id
    assert store.description(grown.run_id).recipe.fan == "fan_out"
    (again,) = store.import_runs(tmp_path / "t.csv").runs  # nothing told changes nothing
    assert again.new == () and again.experiment_id == grown.experiment_id


def test_another_initialiser_told_later_is_another_experiment(tmp_path):
    table(tmp_path / "t.csv", architecture("resnet8w4").layers)
    store = Store(tmp_path / "store")
    (first, *_) = store.import_runs(tmp_path / "t.csv").runs
    (other, *_) = store.import_runs(tmp_path / "t.csv", fan="fan_out").runs
    assert other.run_id == first.run_id and other.experiment_id != first.experiment_id
    assert any("from now on: fan fan_out (fan_in before)" in note for note in other.notes)
    assert store.counts(other.experiment_id, "layer").recipe.fan == "fan_out"


def test_a_table_of_unknown_layers_has_no_shapes(tmp_path):
    layers = [dataclasses.replace(x, name=f"mine{i}") for i, x in
              enumerate(architecture("resnet8w4").layers)]  # fmt: skip
    table(tmp_path / "t.csv", layers)
    store = Store(tmp_path / "store")
    (run, *_) = store.import_runs(tmp_path / "t.csv", init="kaiming_normal").runs
    spectrum = eigen(store, run.experiment_id, by="layer")
    assert np.isnan(spectrum.canonical).all()
    assert any("tells no shapes" in note for note in spectrum.notes)


def test_a_layer_of_a_table_that_is_never_pruned_is_exempt(tmp_path):
    layers = [dataclasses.replace(x, name=f"mine{i}") for i, x in
              enumerate(architecture("resnet8w4").layers)]  # fmt: skip
    table(tmp_path / "t.csv", layers, whole="mine3")
    store = Store(tmp_path / "store")
    (run, *_) = store.import_runs(tmp_path / "t.csv").runs
    spectrum = eigen(store, run.experiment_id, by="layer")
    verdicts = dict(zip(spectrum.names, spectrum.verdict, strict=True))
    assert [name for name, verdict in verdicts.items() if verdict == "exempt"] == ["mine3"]


def test_runs_that_begin_at_a_pruned_mask_have_no_null_of_initial_weights():
    made = counts("resnet20", "stage", seeds=3)
    begun = dataclasses.replace(made.recipe, parent="0123456789ab", start=4)
    why = "these runs begin at the masks that 0123456789ab has at level 4"
    for scope in ("global", "layerwise"):
        recipe = dataclasses.replace(begun, scope=scope)
        spectrum = eigen(None, dataclasses.replace(made, recipe=recipe))
        assert np.isnan(spectrum.canonical).all() and np.isnan(spectrum.anomalous.value).all()
        assert any(note.startswith("no null is shown") and why in note for note in spectrum.notes)
    single = dataclasses.replace(begun, start=None)
    assert np.isfinite(eigen(None, dataclasses.replace(made, recipe=single)).canonical).all()


def test_what_a_scheme_leaves_whole_has_a_verdict_of_its_own():
    """The recipe alone exempts: the null prunes what the scheme did not, and no test takes it."""
    made = counts("resnet20", "stage", seeds=3)
    whole = whole_in(made, "stem")
    spectrum = eigen(None, whole)
    assert spectrum.verdict[0] == "whole" and not spectrum.exempt.any()
    assert spectrum.pruned.tolist() == [False, True, True, True, True]
    assert spectrum.exponent.value[0] == pytest.approx(1)
    assert spectrum.canonical[0] < 1 and np.isnan(spectrum.anomalous.low[0])
    assert eigen(None, whole, rule="paper").verdict[0] == "whole"
    assert any("stem: not exempt, but whole up to level 12" in note for note in spectrum.notes)
    taken = dataclasses.replace(whole, exempt=np.arange(5) == 0, exempt_layers=("conv1",))
    said = eigen(None, taken)
    assert said.verdict[0] == "exempt" and said.canonical[0] == pytest.approx(1)
    # All else is measured alike.
    np.testing.assert_array_equal(said.interval.low[1:], spectrum.interval.low[1:])


def test_own_runs_are_exempt_by_their_recipe_alone(tmp_path):
    """In one call for many experiments as in one for each; what an import is silent of is told."""
    name = write_experiment(tmp_path, levels=4)
    found = Store(tmp_path).counts(name, "layer")
    total = found.total
    kept = np.where(np.arange(len(total)) == 2, total, found.kept)
    same = dataclasses.replace(found.recipe, pruner="snip")
    for origin, verdict in ((None, "whole"), ("theirs", "exempt")):
        recipe = dataclasses.replace(same, origin=origin)
        for seed, counted in enumerate(kept):
            description = describe(recipe, seed, 4)
            folder = RunFolder.of(tmp_path, description.run_id)
            folder.make()
            description.write(folder.description)
            for level in range(5):
                write_record(tmp_path, recipe, description.run_id, level, counted)
        read = Store(tmp_path).counts(recipe.experiment_id, "layer")
        assert read.exempt.any() == (verdict == "exempt")
        assert eigen(Store(tmp_path), recipe.experiment_id, by="layer").verdict[2] == verdict
        together = spectra(tmp_path, [recipe.experiment_id], by="layer").to_frame()
        assert together["verdict"][2] == verdict


def test_retention_that_changes_in_the_window_is_taken_from_the_counts(tmp_path):
    """Untrained, pruned by other shares at every step: anomalous exponents of zero all the same."""
    made = counts("resnet20", "layer", seeds=3, levels=8)
    totals = np.array([x.total for x in made.layers])
    network = totals.sum() * np.cumprod([1, 0.9, 0.89, 0.85, 0.8, 0.75, 0.7, 0.67, 0.5])
    from rgtool.analysis.nulls.untrained import null_kept

    kept, _ = null_kept(made.layers, (), made.recipe, network)
    rng = np.random.default_rng(0)
    drawn = np.rint(kept + np.sqrt(kept) * rng.normal(size=(3, *kept.shape)) * 0.3)
    drawn[:, 0] = totals
    drawn = np.minimum.accumulate(drawn, axis=1).astype(np.int64)
    spectrum = eigen(None, dataclasses.replace(made, kept=drawn))
    assert np.abs(spectrum.anomalous.value).max() < 0.06
    assert not {"above", "below"} & set(spectrum.against_null)


def test_stores_without_the_column_told_are_read(tmp_path):
    """A description that was written before the column existed tells nothing."""
    table(tmp_path / "t.csv", architecture("resnet8w4").layers, seeds=1)
    store = Store(tmp_path / "store")
    (run,) = store.import_runs(tmp_path / "t.csv", init="kaiming_normal").runs
    path = store.path / "runs" / run.run_id / "run.json"
    values = json.loads(path.read_text())
    assert values.pop("told") == ["init"]
    values.pop(KEY)
    path.write_text(json.dumps(values))
    assert "init" in Store(store.path).counts(run.experiment_id, "layer").assumed
    assert rgtool.Store(store.path).sql("SELECT told FROM runs").rows == [(None,)]
