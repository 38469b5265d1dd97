"""The flow in effective scales: an untrained network stands still, and drift is what was put in."""

import dataclasses

import numpy as np
import pytest
from scipy.special import erfc
from synthetic import counts
from untrained import untrained

import rgtool
from rgtool.analysis.nulls.initial import initial_scales, threshold
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.analysis.spectrum.scale_flow import scale_flow
from rgtool.schemas.errors import RgtoolError, UsageError

NETWORK = "resnet8w8"


def simulated(eta=0.0, *, seeds=5, levels=12, architecture=NETWORK, rng=0, exempt=(), noise=1.0):
    """Layers of Gaussian weights whose log scales drift by eta (L,) a unit of -ln d; counts drawn.

    With noise 0 counts are expectations: the slow oracle of what the estimator must return.
    """
    made = counts(architecture, "layer", seeds=seeds, levels=levels)
    layers = made.layers
    total = np.array([x.total for x in layers], float)
    fixed = np.array([x.name in exempt for x in layers])
    eta = np.zeros(len(layers)) + eta
    draw = np.random.default_rng(rng)
    kept = np.zeros((seeds, levels + 1, len(layers)))
    kept[:, 0] = total
    # Weights in units of their scale, largest first: what a threshold keeps are the first ones.
    sizes = [np.sort(np.abs(draw.normal(size=(seeds, int(n)))), axis=1) for n in total]
    for level in range(1, levels + 1):
        tau = initial_scales(layers) * np.exp(eta * -np.log(0.8) * level)
        target = total.sum() * 0.8**level - total[fixed].sum()
        t = threshold(total[~fixed], tau[~fixed], target)
        expected = total * erfc(t / tau / np.sqrt(2))
        own = np.array([(s > x).sum(axis=1) for s, x in zip(sizes, t / tau, strict=True)]).T
        kept[:, level] = np.where(fixed, total, own if noise else np.rint(expected))
    return dataclasses.replace(
        made,
        kept=kept.astype(np.int64),
        exempt=fixed,
        exempt_layers=tuple(exempt),
    )


def test_an_untrained_network_stands_still():
    made = simulated(architecture="resnet20")
    found = scale_flow(None, made, by="stage", window=(2, 12))
    shares = eigen(None, made, window=(2, 12))
    assert np.abs(shares.exponent.value).max() > 0.3  # in shares it moves
    assert found.travel.share > 10 * found.travel.scale
    assert found.travel.scale == pytest.approx(found.travel.chance, rel=0.5)
    assert np.nanmax(np.abs(found.drift.value[[1, 2, 3]])) < 0.01


@pytest.mark.parametrize("init", ["kaiming_uniform", "xavier_uniform"])
def test_an_untrained_network_stands_still_in_the_scales_of_its_initialiser(init):
    made = untrained("resnet20", seeds=5, levels=6, init=init)
    found = scale_flow(None, made, by="stage", window=(1, 4))
    assert found.distribution == "uniform" and "of uniform weights" in found.title
    assert found.travel.scale == pytest.approx(found.travel.chance, rel=0.5)
    assert np.nanmax(np.abs(found.drift.value[[1, 2, 3]])) < 0.01


def test_scales_of_an_unknown_initialiser_are_those_of_gaussian_weights_and_it_is_said():
    made = untrained("resnet20", seeds=2, levels=6)
    pretrained = dataclasses.replace(
        made, recipe=dataclasses.replace(made.recipe, init="pretrained")
    )
    found = scale_flow(None, pretrained, by="stage")
    assert found.distribution == "gaussian"
    assert any("Gaussian weights" in n and "init is pretrained" in n for n in found.notes)
    assert not any("Gaussian" in note for note in scale_flow(None, made, by="stage").notes)


@pytest.mark.parametrize("by", ["layer", "stage"])
def test_a_drift_is_found_with_its_sign(by):
    """eta = -ds/dln d of centred scales, from expected counts: nothing but rounding is left."""
    put_in = np.linspace(-0.05, 0.05, len(counts(NETWORK, "layer").layers))
    made = simulated(put_in, seeds=1, noise=0)
    found = scale_flow(None, made, by=by, window=(2, 12))
    total = np.array([x.total for x in made.layers], float)
    kept = made.kept[0, 2:]
    known = ((kept >= 4) & (total - kept >= 4) & (kept <= 0.999 * total)).all(axis=0)
    groups = [x.group(by) for x in made.layers]
    centred = put_in - (put_in * total)[known].sum() / total[known].sum()
    for name, eta in zip(found.names, found.drift.value, strict=True):
        of = known & (np.array(groups) == name)
        if not of.any():
            assert np.isnan(eta)
            continue
        rounded = 0.003 + 0.7 / total[of].sum()  # half a weight, of 72 in the stem
        assert eta == pytest.approx((centred * total)[of].sum() / total[of].sum(), abs=rounded)


def test_drift_and_anomalous_exponent_are_two_quantities_that_agree_to_first_order():
    """a_l = E_l (eta_l - eta*), E = x sqrt(2/pi) exp(-x^2/2) / erfc(x/sqrt 2), sum M a = 0.

    E and M at the end of the window, where both flows are compared.
    """
    put_in = 0.02 * np.cos(np.arange(22))
    made = simulated(put_in, seeds=1, noise=0, architecture="resnet20w32", levels=8)
    window = (6, 8)
    found = scale_flow(None, made, by="layer", window=window)
    known = np.isfinite(found.drift.value)
    share = made.kept[0, 8] / made.total
    from scipy.special import erfcinv

    x = np.sqrt(2) * erfcinv(share)
    e = x * np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2) / share
    m = made.kept[0, 8] / made.kept[0, 8].sum()
    star = (m * e * found.drift.value)[known].sum() / (m * e)[known].sum()
    first_order = e * (found.drift.value - star)
    # The null at the scales that the network has there: what the drift alone adds.
    tau = np.exp(found.scale[0, 0])
    ends = made.kept[0, list(window)].astype(float)
    t = threshold(made.total.astype(float)[known], tau[known], ends[:, known].sum(axis=-1))
    null = made.total[known] * erfc(t[:, None] / tau[known] / np.sqrt(2))
    rate = np.log(ends[0].sum() / ends[1].sum())
    a = (np.log(ends[1] / ends[0])[known] - np.log(null[1] / null[0])) / rate
    np.testing.assert_allclose(a - (m[known] * a).sum(), first_order[known], atol=0.004)
    assert np.abs(first_order[known]).max() > 0.015


def test_exempt_and_nearly_whole_layers_are_left_out_and_said():
    made = simulated(architecture="lenet", exempt=("fc",))
    found = scale_flow(None, made, by="layer")
    assert np.isnan(found.drift.value).tolist() == [False, False, True]
    assert any("left out" in note and "fc (exempt)" in note for note in found.notes)
    kept = made.kept.copy()
    kept[0, 1, 0] = made.total[0] - 10  # .9999 of 235,200, and more than 4 are pruned
    with pytest.raises(RgtoolError, match="fewer than two layers have an effective scale"):
        scale_flow(None, dataclasses.replace(made, kept=kept), by="layer")
    small = simulated()
    found = scale_flow(None, small, by="layer")
    (note,) = [note for note in found.notes if "left out" in note]
    shortcut = found.names.index("layer2.0.downsample.0")
    assert "layer2.0.downsample.0 (fewer than 4 weights kept or pruned at a level" in note
    assert np.isnan(found.scale[..., shortcut]).all() and np.isfinite(found.scale[..., 1]).all()


def test_over_999_of_1000_kept_says_nothing_of_a_scale():
    made = simulated(architecture="resnet20")
    kept = made.kept.copy()
    layer = int(np.argmax(made.total))
    kept[0, 1, layer] = int(0.9995 * made.total[layer])
    found = scale_flow(None, dataclasses.replace(made, kept=kept), by="layer")
    assert np.isnan(found.drift.value[layer])
    assert any(f"{made.names[layer]} (over 99.9% kept)" in note for note in found.notes)


def test_intervals_over_seeds_cover_no_drift():
    covered = []
    for rng in range(40):
        found = scale_flow(None, simulated(seeds=3, rng=rng), by="layer", window=(2, 12))
        known = np.isfinite(found.drift.value)
        covered.append(((found.drift.low < 0) & (found.drift.high > 0))[known].mean())
    assert np.mean(covered) == pytest.approx(0.95, abs=0.04)


def test_the_interval_of_one_run_is_that_of_its_counts():
    covered = []
    for rng in range(60):
        found = scale_flow(None, simulated(seeds=1, rng=rng), by="layer", window=(2, 12))
        known = np.isfinite(found.drift.value)
        covered.append(((found.drift.low < 0) & (found.drift.high > 0))[known].mean())
    assert found.scope == "this run" and "this run" in found.title
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_scales_are_centred_with_fixed_weights():
    found = scale_flow(None, simulated(architecture="resnet20"), by="stage")
    known = np.isfinite(found.scale[0, 0])
    weights = found.total[known] / found.total[known].sum()
    np.testing.assert_allclose(found.scale[..., known] @ weights, 0, atol=0.02)
    layers = scale_flow(None, simulated(architecture="resnet20"), by="layer")
    known = np.isfinite(layers.scale[0, 0])
    weights = layers.total[known] / layers.total[known].sum()
    np.testing.assert_allclose(layers.scale[..., known] @ weights, 0, atol=1e-12)


def test_eigen_gives_either_coordinate():
    made = simulated(architecture="resnet20")
    found = eigen(None, made, by="stage", coordinates="scale")
    assert found.drift == scale_flow(None, made, by="stage").drift
    frame = found.to_frame()
    assert frame["drift"].to_list() == pytest.approx(found.drift.value.tolist(), nan_ok=True)
    assert "kinematics" in found.summary()
    with pytest.raises(UsageError, match="leave method, weighting, rule and margin out"):
        eigen(None, made, coordinates="scale", margin=0.02)
    with pytest.raises(UsageError, match="coordinates 'scales'"):
        eigen(None, made, coordinates="scales")
    with pytest.raises(UsageError, match="these counts are by block"):
        eigen(None, counts("resnet20", "block"), coordinates="scale")
    with pytest.raises(UsageError, match="has no stages"):
        eigen(None, simulated(architecture="lenet"), by="stage", coordinates="scale")
    with pytest.raises(UsageError, match="needs the counts"):
        eigen(None, "published:resnet20-cifar10", coordinates="scale")
    with pytest.raises(RgtoolError, match="fewer than two layers"):
        eigen(None, made, window=(0, 12), coordinates="scale")
    one = [dataclasses.replace(x, block="all", stage="all") for x in made.layers]
    with pytest.raises(RgtoolError, match="one group alone"):
        scale_flow(None, dataclasses.replace(made, layers=tuple(one)), by="stage")


def test_the_flow_is_drawn_in_either_coordinate():
    made = simulated(architecture="resnet20")
    figure = rgtool.plot(scale_flow(None, made, by="stage"))
    (axes,) = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    found = scale_flow(None, made, by="stage")
    for group, name in enumerate(found.names):
        np.testing.assert_allclose(lines[name], found.scale[..., group].mean(axis=0))
    assert "effective scale" in axes.get_ylabel() and axes.get_yscale() == "linear"
    both = rgtool.plot([found, scale_flow(None, simulated(seeds=2, architecture="resnet20"))])
    assert len(both.axes) == 2


@pytest.mark.parametrize(
    ("change", "eta", "said"),
    [({}, 0.0, True), ({}, 1.0, False), ({"pruner": "synflow"}, 0.0, False)],
)
def test_kinematics_are_named_where_pruning_by_magnitude_makes_most_of_the_motion(
    change, eta, said
):
    drifts = eta * np.linspace(-1, 1, len(counts(NETWORK, "layer", seeds=1).layers))
    made = simulated(drifts)
    made = dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, **change))
    found = scale_flow(None, made, by="stage")
    (note,) = [note for note in found.notes if "centred log-ratios" in note]
    assert ("kinematics" in note) is said
    assert ("pruner synflow" in note) is bool(change)


def test_copies_count_once_and_are_named():
    made = simulated(seeds=1)
    twice = dataclasses.replace(
        made,
        runs=("a", "b"),
        seeds=(0, 1),
        **{
            name: np.repeat(getattr(made, name), 2, axis=0)
            for name in ("kept", "recorded", "magnitude", "accuracy")
        },
    )
    found = scale_flow(None, twice, by="stage")
    assert "1 seed, " in found.title and found.title.endswith("95 % intervals of this run")
    np.testing.assert_array_equal(found.drift.low, scale_flow(None, made, by="stage").drift.low)
    assert any("1 run of 2 (b) with the counts of another one" in note for note in found.notes)


def test_what_is_left_out_inside_a_group_is_said_of_the_group():
    made = simulated(architecture="resnet20")
    kept = made.kept.copy()
    at = [layer.name for layer in made.layers].index("layer1.0.conv1")
    kept[0, -1, at] = 2
    found = scale_flow(None, dataclasses.replace(made, kept=kept), by="stage")
    (note,) = [note for note in found.notes if "left out" in note]
    assert "1 of 6 layers of 1: layer1.0.conv1" in note
