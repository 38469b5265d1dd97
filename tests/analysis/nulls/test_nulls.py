"""Null models against slow oracles and simulations, and beside the spectra of real runs."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from synthetic import counts

import rgtool
from rgtool import RgtoolError, Store, nulls_of
from rgtool.analysis import flow
from rgtool.analysis.nulls.beside import nulls_beside
from rgtool.analysis.nulls.initial import initial_scale_kept, initial_scales
from rgtool.analysis.nulls.models import NULL_MODELS, Situation
from rgtool.analysis.nulls.random import random_kept, random_log_variance
from rgtool.analysis.nulls.static import static_kept
from rgtool.analysis.nulls.untrained import measured_null_kept, null_groups, null_kept
from rgtool.analysis.window import choose_window
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_tensors, write_tensors
from rgtool.store.weights import layer_weights

# N2: one go, against sorting everything


def plain_static(weights, kept, exempt):
    """The oracle: rank all weights, remove the smallest, count layer by layer."""
    layer = np.repeat(np.arange(len(weights)), [w.size for w in weights])
    size = np.abs(np.concatenate([w.ravel() for w in weights]))
    free = np.flatnonzero(~np.asarray(exempt)[layer])
    order = free[np.argsort(size[free], kind="stable")]  # among equals the first goes first
    rows = []
    for target in kept:
        remaining = int(np.clip(target - (len(layer) - len(free)), 0, len(free)))
        row = [int(w.size) if e else 0 for w, e in zip(weights, exempt, strict=True)]
        for i in order[len(order) - remaining :]:
            row[layer[i]] += 1
        rows.append(row)
    return rows


@given(
    st.lists(
        hnp.arrays(
            np.float32,
            hnp.array_shapes(max_dims=2, max_side=6),
            elements=st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0]),
        ),
        min_size=1,
        max_size=5,
    ),
    st.data(),
)
def test_one_go_is_sorting_everything_ties_included(weights, data):
    total = sum(w.size for w in weights)
    exempt = data.draw(st.lists(st.booleans(), min_size=len(weights), max_size=len(weights)))
    kept = data.draw(st.lists(st.integers(0, total), min_size=1, max_size=4))
    assert static_kept(weights, kept, exempt).tolist() == plain_static(weights, kept, exempt)


def test_one_go_agrees_with_the_pruning_of_a_run():
    """From the dense mask, one step of the runner's pruning and N2 are the same thing."""

    from pruned import prune_once

    from rgtool.schemas.blocks import architecture

    network = architecture("lenet", (1, 8, 8))
    rng = np.random.default_rng(0)
    weights = {x.name: rng.normal(size=x.shape).astype(np.float32) for x in network.layers}
    mask = {x.name: np.ones(x.shape, np.bool_) for x in network.layers}
    recipe = Recipe(architecture="lenet", task="digits", prune=0.6, exempt=network.exempt)
    new = prune_once(weights, mask, network.layers, recipe, 1)
    counted = [int(m.sum()) for m in new.values()]
    exempt = [name in network.exempt for name in weights]
    assert static_kept(list(weights.values()), [sum(counted)], exempt)[0].tolist() == counted


def test_one_go_of_initial_weights_is_n1():
    layers = counts("resnet20").layers
    rng = np.random.default_rng(1)
    scales = initial_scales(layers)
    weights = [tau * rng.normal(size=x.total) for x, tau in zip(layers, scales, strict=True)]
    kept = sum(x.total for x in layers) * 0.8 ** np.arange(0, 13, 4)
    expected = initial_scale_kept([x.total for x in layers], scales, kept)
    found = static_kept(weights, kept.astype(int))
    assert (np.abs(found - expected) < 5 * np.sqrt(expected) + 1).all()


# N0: the hypergeometric


@pytest.mark.parametrize("exempt", [False, True])
def test_random_pruning_against_simulation(exempt):
    start = np.array([400, 1500, 6000, 12000])
    fixed = np.array([400, 500, 0, 0]) if exempt else np.zeros(4, int)
    network = np.array([19900, 12000, 5000])  # a step, and a window over two
    rng = np.random.default_rng(2)
    kept = [np.tile(start, (20_000, 1))]
    for total in network[1:]:
        drawn = [
            rng.multivariate_hypergeometric(pool, total - fixed.sum(), method="marginals")
            for pool in kept[-1] - fixed
        ]
        kept.append(fixed + np.array(drawn))
    kept = np.stack(kept, axis=1)
    expected = random_kept(start, fixed, network[1])
    np.testing.assert_allclose(kept[:, 1].mean(axis=0), expected, rtol=0.01)
    logs = np.log(flow.shares(kept))
    step = random_log_variance(np.stack([start, start * 12000 / 19900]), fixed)[0]
    np.testing.assert_allclose(logs[:, 1].var(axis=0), step, rtol=0.08, atol=1e-12)
    ends = np.stack([start, kept[0, 2]])  # only the network's count of the end is used
    window = random_log_variance(ends, fixed)[0]
    np.testing.assert_allclose(logs[:, 2].var(axis=0), window, rtol=0.08, atol=1e-12)
    assert (window[0] == 0) == exempt


def test_random_pruning_has_eigenvalue_one():
    start = np.array([[10.0, 90.0], [30.0, 70.0]])
    end = random_kept(start, np.zeros(2), np.array([50.0, 20.0]))
    np.testing.assert_allclose(flow.eigenvalues(np.stack([start, end], 1)), 1)
    assert random_log_variance(np.ones((3, 5, 2))).shape == (3, 4, 2)
    assert np.isnan(random_log_variance([[0, 5], [0, 3]])[0, 0])


# N1: from stored scales, and the identities of its magnitude form


def test_magnitude_form_is_written_out():
    """Gaussian: N tau sqrt(2/pi) exp(-t^2 / 2 tau^2), that is up to a factor for all layers."""
    total, tau = np.array([3000.0, 50000.0]), np.array([0.3, 0.1])
    from rgtool.analysis.nulls.initial import threshold

    kept = total.sum() * 0.8 ** np.arange(8)
    t = threshold(total, tau, kept)[:, None]
    found = initial_scale_kept(total, tau, kept, weighting="magnitude")
    written = total * tau * np.exp(-(t**2) / (2 * tau**2))
    np.testing.assert_allclose(found, np.sqrt(2 / np.pi) * written, rtol=1e-12)
    # A weight at the threshold weighs t: d(sum |w|) = t dN, layer by layer.
    near = initial_scale_kept(total, tau, kept * (1 - 1e-6), weighting="magnitude")
    lost = initial_scale_kept(total, tau, kept) - initial_scale_kept(total, tau, kept * (1 - 1e-6))
    np.testing.assert_allclose((found - near)[1:], (t * lost)[1:], rtol=1e-4)


@pytest.mark.parametrize(("distribution", "power"), [("gaussian", 2), ("laplace", 1)])
def test_far_along_a_layer_falls_as_its_scale_says(distribution, power):
    """lambda_l -> (1-p)^((tau_max/tau_l)^power - 1): reached slowly, and from above."""
    total, tau = np.array([1e6, 1e6]), np.array([1.0, 0.8])
    kept = total.sum() * 0.8 ** np.arange(20, 200, 10.0)
    expected = initial_scale_kept(total, tau, kept, distribution=distribution)
    y = flow.exponents(expected)[:, 1]
    limit = 1 - (1 / 0.8) ** power
    distance = y - limit
    assert (np.diff(np.abs(distance)) < 0).all() and abs(distance[-1]) < 0.05 * abs(limit)


def stored(experiment, factor=1.0):
    """Scales of the initialiser as runs store them, every run a little apart."""
    values = initial_scales(experiment.layers, experiment.recipe.init, experiment.recipe.fan)
    return tuple(
        {
            "init": {x.name: 1.0 for x in experiment.layers},
            "rewind": {
                x.name: factor * (1 + run / 100) * tau
                for x, tau in zip(experiment.layers, values, strict=True)
            },
        }
        for run in range(len(experiment.runs))
    )


def test_stored_scales_give_the_null_of_the_recipe_where_they_are_its_own():
    experiment = counts("resnet20", seeds=3)
    arguments = (experiment.layers, experiment.exempt_layers, experiment.recipe)
    network = experiment.kept[:, [1, -1]].sum(axis=-1).astype(float)
    expected, _ = null_kept(*arguments, network)
    found, notes = measured_null_kept(*arguments, network, stored(experiment))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert "rewind weights" in notes[0] and "gaussian" in notes[0]
    init_only = [{"init": scales["init"]} for scales in stored(experiment)]
    found, notes = measured_null_kept(*arguments, network, init_only)
    np.testing.assert_allclose(flow.eigenvalues(found), 1, rtol=1e-9)  # all scales are 1 there
    assert "init weights" in notes[0]
    laplace, notes = measured_null_kept(*arguments, network, stored(experiment), "laplace")
    assert "laplace" in notes[0] and not np.allclose(laplace, expected, rtol=1e-3)


def test_pretrained_weights_have_a_null_where_scales_are_stored():
    experiment = counts("resnet20", seeds=2)
    recipe = dataclasses.replace(experiment.recipe, init="imagenet")
    network = experiment.kept[:, [1, -1]].sum(axis=-1).astype(float)
    arguments = (experiment.layers, (), recipe, network)
    with pytest.raises(RgtoolError, match="initialiser 'imagenet' is unknown"):
        null_kept(*arguments)
    pretrained = dataclasses.replace(experiment, recipe=recipe)
    found, notes = null_groups(pretrained, network, stored(experiment))
    assert found.shape == (2, 2, len(experiment.names)) and "stored" in notes[0]
    with pytest.raises(RgtoolError, match="not all runs have stored scales"):
        measured_null_kept(*arguments, [stored(experiment)[0], {}])
    lacking = tuple({"rewind": {"conv1": 0.1}} for _ in range(2))
    with pytest.raises(RgtoolError, match="no scale is given for layer"):
        measured_null_kept(*arguments, lacking)


# All of them beside an experiment


def nulls(experiment, dense=None, draws=499):
    """As `nulls_of`, of counts that lie in no store."""

    def missing(run):
        raise RgtoolError(f"{run} has no weights")

    return nulls_beside(Situation(choose_window(experiment), dense or missing), draws=draws)


def test_what_an_experiment_has_beyond_its_nulls():
    experiment = dataclasses.replace(counts("resnet20", "stage", seeds=5, task="cifar10"))
    experiment = dataclasses.replace(experiment, scales=stored(experiment, 3.0))
    found = nulls(experiment)
    assert [null.name for null in found.nulls] == ["random", "initial", "measured"]
    np.testing.assert_allclose(found["random"].eigenvalue, 1, rtol=1e-12)
    np.testing.assert_allclose(found["initial"].y, found["measured"].y, rtol=1e-7, atol=1e-9)
    y = flow.window_exponents(experiment.kept, 1, 12)
    np.testing.assert_allclose(found.exponent, y.mean(axis=0))
    initial = found["initial"]
    np.testing.assert_allclose(initial.beyond.value, (y - initial.y).mean(axis=0))
    low, high = initial.beyond.ends()
    assert ((low < initial.beyond.value) & (initial.beyond.value < high)).all()
    assert found.p is not None and found.p < 0.01 and found.p_null == "initial"
    assert any("N2" in note and "has no weights" in note for note in found.notes)
    # Chance moves the small groups most, and far less than seeds do.
    assert (np.argsort(-found.random_sd)[:2] == [0, 4]).all()
    assert (found.random_sd < 0.02).all()


def test_random_sd_is_the_variance_over_the_window():
    experiment = counts("resnet20", "stage", seeds=2)
    found = nulls(experiment)
    ends = experiment.kept[:, [1, 12]]
    expected = np.sqrt(random_log_variance(ends)[:, 0].mean(axis=0)) / 11
    np.testing.assert_allclose(found.random_sd, expected)


def flow_of_the_null(rng, seeds=3):
    """An experiment that is N1, with normal noise of seeds in log shares."""
    experiment = counts("resnet20", "block", seeds=seeds, levels=12)
    arguments = (experiment.layers, (), experiment.recipe)
    layers, _ = null_kept(*arguments, experiment.kept[0].sum(axis=-1).astype(float))
    index = flow.group_index([x.block for x in experiment.layers], experiment.names)
    kept = np.repeat(flow.group_sums(layers, index, len(experiment.names))[None], seeds, axis=0)
    kept[:, -1] *= np.exp(11 * 0.0068 * rng.normal(size=kept[:, -1].shape))
    return dataclasses.replace(experiment, kept=np.rint(kept).astype(np.int64))


def test_p_is_small_as_often_as_it_says_where_the_null_is_true():
    """Cautious where groups scatter alike: of 1000 experiments 2.6 % here, not 5 %."""
    rng = np.random.default_rng(4)
    p = [nulls(flow_of_the_null(rng), draws=99).p for _ in range(800)]
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.07


def test_one_seed_has_nothing_beyond_its_own():
    found = nulls(counts("resnet20", "stage", seeds=1))
    assert found.p is None and found.p_null == "initial"
    assert np.isnan(found["initial"].beyond.ends()[0]).all()
    assert np.isfinite(found["initial"].beyond.value).all()
    assert any("one seed" in note for note in found.notes)
    assert "p " not in found.title


def test_without_an_initialiser_the_stored_scales_are_the_null():
    experiment = counts("resnet20", "stage", seeds=3)
    scales = stored(experiment)
    unknown = dataclasses.replace(experiment.recipe, init="imagenet")
    found = nulls(dataclasses.replace(experiment, recipe=unknown, scales=scales))
    assert [null.name for null in found.nulls] == ["random", "measured"]
    assert found.p_null == "measured" and found.p is not None
    assert any("initialiser 'imagenet' is unknown" in note for note in found.notes)
    found = nulls(dataclasses.replace(experiment, recipe=unknown))
    assert found.p is None and found.p_null is None
    assert "no p: there is no initial-scale null" in found.notes


def test_pruning_that_is_blind_to_scales():
    experiment = counts("resnet20", "stage", seeds=2)
    layerwise = dataclasses.replace(experiment.recipe, scope="layerwise")
    found = nulls(dataclasses.replace(experiment, recipe=layerwise))
    assert [null.name for null in found.nulls] == ["random", "initial", "measured", "static"]
    for null in found.nulls:
        np.testing.assert_allclose(null.eigenvalue, 1, rtol=1e-9)
    random = dataclasses.replace(experiment.recipe, pruner="random")
    found = nulls(dataclasses.replace(experiment, recipe=random))
    assert any("a random pruner does not look at magnitudes" in note for note in found.notes)


def test_a_null_that_collapses_says_so():
    experiment = counts("resnet20", "stage", seeds=2, levels=12)
    uniform = dataclasses.replace(experiment.recipe, init="kaiming_uniform", prune=0.5)
    kept = np.maximum(experiment.total * 0.5 ** np.arange(13)[:, None], 1).astype(np.int64)
    kept = np.stack([kept, kept - (kept > 1000)])
    found = nulls(dataclasses.replace(experiment, recipe=uniform, kept=kept))
    assert any("would have lost every weight" in note for note in found.notes)
    assert found.p is None


# Real runs


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of lenet that keep their dense weights."""
    path = tmp_path_factory.mktemp("dense") / "store"
    keep = ("init", "rewind", "dense")
    rgtool.run("lenet", "digits", seeds=2, levels=5, epochs=2, store=path, keep=keep)
    return path


def test_real_runs_have_all_nulls(store):
    found = nulls_of(Store(store), "lenet/digits", by="layer", draws=99)
    assert [null.name for null in found.nulls] == list(NULL_MODELS)
    assert found.names == ("fc1", "fc2", "fc") and found.exempt.tolist() == [False, False, True]
    for null in found.nulls:
        assert np.isfinite(null.y).all()
        np.testing.assert_allclose(null.exponent[2], 1)
        assert np.isnan(null.beyond.value[2]) and np.isfinite(null.beyond.ends()[1][:2]).all()
    assert found.p is not None
    # N2 by hand, from the files.
    counted = Store(store).counts("lenet/digits", "layer")
    y = []
    for run, kept in zip(counted.runs, counted.kept, strict=True):
        arrays, _ = read_tensors(RunFolder.of(store, run).weights("dense"))
        weights = [arrays[f"{x.name}.weight"] for x in counted.layers]
        network = kept[[1, 5]].sum(axis=-1)
        rows = plain_static(weights, network, [False, False, True])
        y.append(flow.window_exponents(rows, 0, 1))
    np.testing.assert_allclose(found["static"].y, y, rtol=1e-12)


def test_stored_scales_are_read_with_the_counts(store):
    counted = Store(store).counts("lenet/digits", "layer")
    assert len(counted.scales) == 2
    for run, scales in zip(counted.runs, counted.scales, strict=True):
        written = json.loads(RunFolder.of(store, run).description.read_text())["scales"]
        assert scales == written and set(scales) == {"init", "rewind"}
    he = initial_scales(counted.layers)
    measured = [counted.scales[0]["init"][x.name] for x in counted.layers]
    np.testing.assert_allclose(measured, he, rtol=0.1)


def test_results_show_themselves(store):
    found = nulls_of(Store(store), by="layer", draws=99)
    frame = found.to_frame()
    assert frame["name"].to_list() == ["fc1", "fc2", "fc"]
    for null in found.nulls:
        assert f"{null.name}_beyond" in frame.columns
    assert frame["static_low"].to_list()[2] is None
    header = found.summary().splitlines()[1].split()
    assert {"exempt", "static_beyond", "static_low", "static_high"} <= set(header)
    assert found._repr_html_().count("<tr>") == 4
    with pytest.raises(KeyError):
        found["nonsense"]


def test_the_same_seed_gives_the_same_p(store):
    one, other = (nulls_of(Store(store), by="layer", draws=99, rng=7).p for _ in range(2))
    assert one == other


def test_weights_are_read_in_order_and_refused_in_words(store, tmp_path):
    opened = Store(store)
    counted = opened.counts("lenet/digits", "layer")
    run, layers = counted.runs[0], counted.layers
    found = layer_weights(opened, run, "init", layers)
    assert [array.size for array in found] == [x.total for x in layers]
    with pytest.raises(RgtoolError, match="kept no nonsense weights.*--keep nonsense"):
        layer_weights(opened, run, "nonsense", layers)
    folder = RunFolder.of(tmp_path, "r")
    folder.make()
    other = Store(tmp_path)
    whole = {x.name: np.zeros(x.shape, np.float32) for x in layers}  # names of an import
    write_tensors(folder.weights("dense"), whole)
    assert len(layer_weights(other, "r", "dense", layers)) == 3
    for change, words in (
        ({"fc2": np.zeros(3)}, "fc2 has 3 weights, expected 30,000"),
        ({"fc": np.full(layers[2].shape, np.nan)}, "fc is not finite"),
    ):
        write_tensors(folder.weights("dense"), whole | change)
        with pytest.raises(RgtoolError, match=words):
            layer_weights(other, "r", "dense", layers)
    write_tensors(folder.weights("dense"), {"fc1": whole["fc1"]})
    with pytest.raises(RgtoolError, match="fc2 is missing"):
        layer_weights(other, "r", "dense", layers)


def test_without_kept_weights_the_others_are_there(tmp_path):
    rgtool.run("lenet", "digits", levels=3, epochs=1, store=tmp_path / "s", keep=())
    found = nulls_of(Store(tmp_path / "s"), by="layer")
    assert [null.name for null in found.nulls] == ["random", "initial", "measured"]
    assert any("--keep dense" in note for note in found.notes)
