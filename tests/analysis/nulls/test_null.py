"""N1: the printed reference values, the oracle of a random draw, and every wrong question."""

import json
from pathlib import Path

import numpy as np
import pytest
import stores
from command import Cli
from hypothesis import given
from hypothesis import strategies as st

from rgtool import RgtoolError, null
from rgtool.analysis.nulls.initial import (
    DISTRIBUTIONS,
    INITIALISERS,
    initial_scale_kept,
    initial_scales,
    threshold,
)
from rgtool.runner.models import architecture as build_architecture
from rgtool.schemas.blocks import architecture
from rgtool.schemas.recipe import Recipe

VGG_CONVOLUTIONS = [f"features.{i}" for i in (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)]


def printed(spectrum, names=None):
    """Eigenvalues as they are printed, to three decimals."""
    values = dict(zip(spectrum.names, spectrum.eigenvalue.round(3).tolist(), strict=True))
    return [values[name] for name in names or spectrum.names]


@pytest.mark.parametrize(
    ("fan", "expected"),
    [("fan_in", [1.132, 1.084, 1.026, 0.943]), ("fan_out", [1.120, 1.077, 1.028, 0.948])],
)
def test_resnet50_stages(fan, expected):
    spectrum = null("resnet50", fan=fan)
    assert spectrum.names == ("1", "2", "3", "4")
    assert spectrum.window == (1, 17)
    assert printed(spectrum) == expected


@pytest.mark.parametrize(
    ("fan", "expected"),
    [
        ("fan_in", [1.237, *[1.173] * 2, *[1.129] * 2, *[1.055] * 3, *[0.933] * 5]),
        ("fan_out", [*[1.180] * 2, *[1.140] * 2, *[1.074] * 3, *[0.964] * 6]),
    ],
)
def test_vgg16_convolutions(fan, expected):
    spectrum = null("vgg16", by="layer", fan=fan, levels=(0, 17))
    assert list(spectrum.names) == VGG_CONVOLUTIONS
    assert printed(spectrum) == expected


@pytest.mark.parametrize(
    ("name", "blocks", "expected"),
    [("resnet20", 3, [1.108, 1.021, 0.879]), ("resnet56", 9, [1.121, 1.043, 0.915])],
)
def test_normal_blocks_of_cifar_resnets(name, blocks, expected):
    spectrum = null(name, by="block", levels=(0, 16))
    for stage, value in enumerate(expected, start=1):
        names = [f"{stage}.{block}" for block in range(1, blocks)]
        assert printed(spectrum, names) == [value] * len(names)


def test_ends_of_resnet20():
    spectrum = null("resnet20", by="layer", levels=(0, 16))
    assert printed(spectrum, ["conv1", "fc"]) == [1.201, 1.167]


def test_agrees_with_pruning_random_weights():
    """The slow oracle: draw the weights, sort them, count what is kept."""
    layers = architecture("resnet20").counted()
    total = np.array([layer.total for layer in layers])
    scale = initial_scales(layers)
    draws = {
        "gaussian": lambda rng, size: rng.normal(size=size),
        "uniform": lambda rng, size: rng.uniform(-np.sqrt(3), np.sqrt(3), size),
        "laplace": lambda rng, size: rng.laplace(scale=np.sqrt(0.5), size=size),
    }
    assert set(draws) == set(DISTRIBUTIONS)
    network = np.rint(total.sum() * 0.8 ** np.arange(0, 13, 4)).astype(int)
    layer_of = np.repeat(np.arange(len(total)), total)
    for name, draw in draws.items():
        rng = np.random.default_rng(3)
        size = np.abs(draw(rng, total.sum())) * scale[layer_of]
        order = np.argsort(-size)
        for weighting in ("count", "magnitude"):
            value = size if weighting == "magnitude" else np.ones(len(size))
            found = np.array(
                [np.bincount(layer_of[order[:n]], value[order[:n]], len(total)) for n in network]
            )
            expected = initial_scale_kept(
                total, scale, network, distribution=name, weighting=weighting
            )
            # Counts are binomial: five standard deviations, in units of the mean weight.
            unit = np.where(weighting == "magnitude", scale * np.sqrt(2), 1)
            tolerance = 5 * np.sqrt(np.maximum(expected / unit, 1)) * unit + 2 * unit
            assert (np.abs(found - expected) < tolerance).all(), (name, weighting)


@given(
    st.lists(st.tuples(st.integers(1, 10**7), st.floats(1e-3, 1e2)), min_size=1, max_size=8),
    st.lists(st.floats(1e-4, 1), min_size=1, max_size=6),
    st.sampled_from(sorted(DISTRIBUTIONS)),
)
def test_threshold_solves_its_equation(layers, density, distribution):
    total, scale = np.array(layers).T
    kept = np.array(density) * total.sum()
    t = threshold(total, scale, kept, distribution)
    found = (total * DISTRIBUTIONS[distribution].kept(t[:, None] / scale)).sum(axis=-1)
    np.testing.assert_allclose(found, kept, rtol=1e-11)
    # Scales of every run apart give what one run at a time gives.
    apart = threshold(
        total, np.stack([scale, 2 * scale])[:, None], np.stack([kept, kept]), distribution
    )
    np.testing.assert_allclose(apart, [t, 2 * t], rtol=1e-9, atol=1e-12)


@given(st.floats(0.01, 100), st.sampled_from(["count", "magnitude"]))
def test_only_ratios_of_scales_matter(factor, weighting):
    layers = architecture("resnet20").counted()
    scales = dict(zip((x.name for x in layers), initial_scales(layers), strict=True))
    scaled = {name: factor * value for name, value in scales.items()}
    one = null("resnet20", scales=scales, weighting=weighting)
    other = null("resnet20", scales=scaled, weighting=weighting)
    np.testing.assert_allclose(one.eigenvalue, other.eigenvalue, rtol=1e-9)
    np.testing.assert_allclose(one.eigenvalue, null("resnet20", weighting=weighting).eigenvalue)


def test_equal_scales_give_exactly_one():
    scales = {layer.name: 0.02 for layer in architecture("resnet20").layers}
    spectrum = null("resnet20", by="block", scales=scales)
    np.testing.assert_allclose(spectrum.eigenvalue, 1, rtol=1e-12)
    np.testing.assert_allclose(spectrum.exponent, 0, atol=1e-12)


def test_identities_hold_at_every_step():
    for weighting in ("count", "magnitude"):
        spectrum = null("resnet56", by="layer", levels=(0, 20), weighting=weighting)
        np.testing.assert_allclose(
            (spectrum.share[:-1] * spectrum.step_eigenvalues).sum(axis=-1), 1, rtol=1e-11
        )
        geometric = np.exp(np.log(spectrum.step_eigenvalues).mean(axis=0))
        np.testing.assert_allclose(spectrum.eigenvalue, geometric, rtol=1e-11)
        np.testing.assert_allclose(
            spectrum.exponent, np.log(spectrum.eigenvalue) / -np.log(0.8), rtol=1e-11
        )


def test_exempt_layers_stay_as_they_are():
    spectrum = null("lenet", prune=0.3, levels=(0, 9))
    assert spectrum.exempt.tolist() == [False, False, True]
    np.testing.assert_allclose(spectrum.step_eigenvalues[:, 2], 1 / 0.7, rtol=1e-12)
    assert spectrum.exponent[2] == pytest.approx(1)
    kept = spectrum.share[-1] * spectrum.total.sum() * 0.7**9
    assert kept[2] == pytest.approx(1000)


def test_layers_of_bounded_weights_die_and_it_is_said():
    spectrum = null("resnet20", distribution="uniform", levels=(1, 30))
    dead = [spectrum.names[i] for i in np.flatnonzero(spectrum.eigenvalue == 0)]
    assert dead == ["1", "head"]
    assert "1, head lost every weight" in spectrum.summary()
    rows = {row["name"]: row for row in spectrum.to_frame().to_dicts()}
    assert rows["1"]["eigenvalue"] == 0 and rows["1"]["exponent"] is None
    assert all(rows[name]["exponent"] is not None for name in ("stem", "2", "3"))


def test_a_result_shows_itself():
    spectrum = null("lenet")
    frame = spectrum.to_frame()
    assert frame.columns[:3] == ["name", "total", "exempt"]
    assert frame["total"].to_list() == [235200, 30000, 1000]
    assert spectrum.summary().splitlines()[4].split()[:3] == ["fc", "1000", "True"]
    assert spectrum._repr_html_().count("<tr>") == 4


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({"architecture": "resnet5O"}, "unknown"),
        ({"by": "stage"}, "lenet has no stages: group by layer or block"),
        ({"prune": 1.5}, "prune is 1.5"),
        ({"levels": (3, 3)}, "levels 3:3 hold no step"),
        ({"levels": (-1, 3)}, "levels -1:3 hold no step"),
        ({"levels": (1, 40)}, "1,000 are exempt from pruning: ask for fewer levels"),
        ({"fan": "fanin"}, "did you mean fan_in"),
        ({"init": "kaiming"}, "did you mean kaiming_"),
        ({"distribution": "gauss"}, "distribution 'gauss'"),
        ({"weighting": "mag"}, "weighting 'mag'"),
        ({"prunable": "convs"}, "prunable 'convs'"),
        ({"scales": {"fc1": 0.1}}, "no scale is given for layer fc2"),
        ({"scales": {"fc1": 0.1, "fc2": 0.0, "fc": 1.0}}, "the scale of layer fc2 is 0.0"),
    ],
)
def test_a_wrong_question_is_answered_in_words(question, answer):
    with pytest.raises(RgtoolError, match=answer) as error:
        null(**{"architecture": "lenet", **question})
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


def test_less_than_a_weight_is_no_spectrum():
    with pytest.raises(RgtoolError, match="less than one of 270,896 weights at level 200"):
        null("resnet20", levels=(1, 200))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_functions_of_a_distribution_are_those_of_one_density(name):
    """Slow oracles: differences and sums over a fine grid."""
    one = DISTRIBUTIONS[name]
    edges = np.linspace(0, 40, 400_001)
    edges = edges[one.kept(edges) > 0] if name != "uniform" else np.linspace(0, np.sqrt(3), 400_001)
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    kept = one.kept(edges)
    assert kept[0] == 1 and (np.diff(kept) <= 0).all()
    np.testing.assert_allclose(one.density(middle), -np.diff(kept) / width, rtol=1e-6, atol=1e-9)
    mass = one.density(middle) * width
    assert (middle**2 * mass).sum() == pytest.approx(1, rel=1e-6)  # standard deviation
    above = np.append(np.cumsum((middle * mass)[::-1])[::-1], 0)
    np.testing.assert_allclose(one.magnitude(edges), above, atol=1e-6)
    share = np.linspace(0.001, 1, 200)
    np.testing.assert_allclose(one.kept(one.inverse(share)), share, rtol=1e-9)
    share = np.linspace(0.01, 0.99, 99)
    x, step = one.inverse(share), 1e-6
    logs = np.log(one.inverse(share - step)) - np.log(one.inverse(share + step))
    np.testing.assert_allclose(one.slope(x), logs / (2 * step), rtol=1e-5)


def test_nothing_is_left_beyond_the_edge_of_uniform_weights():
    uniform = DISTRIBUTIONS["uniform"]
    beyond = np.sqrt(3) * np.array([1.0001, 1.5, 10])
    for function in (uniform.kept, uniform.density, uniform.magnitude):
        assert (function(beyond) == 0).all()


@pytest.mark.parametrize(
    ("init", "fan", "variance", "distribution"),
    [
        ("kaiming_normal", "fan_in", 2 / 27, "gaussian"),
        ("kaiming_uniform", "fan_out", 2 / 144, "uniform"),
        ("xavier_normal", "fan_in", 2 / 171, "gaussian"),
        ("xavier_uniform", "fan_in", 2 / 171, "uniform"),
    ],
)
def test_scales_are_those_of_torch(init, fan, variance, distribution):
    """The stem of ResNet-20, 16 x 3 x 3 x 3, against the formulas and against drawn weights."""
    import torch

    layer = architecture("resnet20").counted()[0]
    assert layer.shape == (16, 3, 3, 3)
    (scale,) = initial_scales([layer], init, fan)
    assert scale == pytest.approx(np.sqrt(variance))
    assert INITIALISERS[init].distribution == distribution
    draw = getattr(torch.nn.init, f"{init}_")
    arguments = {"mode": fan, "nonlinearity": "relu"} if "kaiming" in init else {}
    torch.manual_seed(0)
    weights = torch.stack([draw(torch.empty(layer.shape), **arguments) for _ in range(400)])
    assert float(weights.std()) == pytest.approx(scale, rel=0.02)


# Networks that are not of the literature

OWN = """
from torch import nn

def build(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
"""


def test_a_network_of_ones_own_has_a_null(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(OWN)
    found = json.loads(
        cli("null", "my.py:build", "--task", "digits", "--by", "layer", "--json").out
    )
    assert [row["total"] for row in found] == [36, 288, 80]
    plain = json.loads(cli("null", "my.py:build", "--by", "layer", "--json").out)
    assert [row["total"] for row in plain] == [108, 288, 80]
    layers = build_architecture(f"{tmp_path}/my.py:build", (1, 8, 8), 10)
    spectrum = null(layers, by="layer")
    assert spectrum.eigenvalue.tolist() == [row["eigenvalue"] for row in found]
    known = json.loads(cli("null", "lenet", "--task", "digits", "--by", "layer", "--json").out)
    assert known[0]["total"] == 64 * 300
    refused = cli("null", "nothing", "--task", "digits")
    assert refused.code == 2 and "--task digits goes with a network" in refused.err


def test_an_experiment_has_the_null_of_its_layers(cli: Cli, tmp_path: Path) -> None:
    recipe = Recipe(
        architecture="resnet20", task="cifar10", prune=0.3, fan="fan_out", exempt=("fc",)
    )  # fmt: skip
    path = tmp_path / "store"
    name = stores.write_run(path, recipe=recipe).partition("-")[0]
    spectrum = null(name, store=path, levels=(1, 8))
    assert (spectrum.architecture, spectrum.prune) == ("resnet20", 0.3)
    assert spectrum.init == "kaiming_normal, fan_out"
    expected = null("resnet20", fan="fan_out", prune=0.3, levels=(1, 8), prunable="all")
    assert spectrum.exempt.any() and not expected.exempt.any()
    assert spectrum.total.tolist() == expected.total.tolist()
    asked = null("resnet20/cifar10", store=path, fan="fan_in", prune=0.2)
    assert (asked.prune, asked.init) == (0.2, "kaiming_normal, fan_in")
    code, out, _ = cli("null", name, "--levels", "1:8", "--store", str(path), "--json")
    assert code == 0
    assert [row["eigenvalue"] for row in json.loads(out)] == spectrum.eigenvalue.tolist()
    with pytest.raises(RgtoolError, match="counts in the experiment: leave prunable out"):
        null(name, store=path, prunable="all")
    with pytest.raises(RgtoolError, match="architecture 'nothing' is unknown: .*; and "):
        null("nothing", store=path)
