"""N2 of weights in a file: any program's, any network's, against sorting all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from command import Cli
from hypothesis import given, settings
from hypothesis import strategies as st

import rgtool
from rgtool import RgtoolError, null
from rgtool.analysis.nulls.beside import nulls_of
from rgtool.analysis.nulls.schedule import Schedule
from rgtool.runner.models import architecture as layers_of_own
from rgtool.runner.models import build
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store

HIDDEN, INNER = 8, 32
# What the matrices of an encoder layer are called, and their shapes.
PARTS = {
    "attention.self.query": (HIDDEN, HIDDEN),
    "attention.self.key": (HIDDEN, HIDDEN),
    "attention.self.value": (HIDDEN, HIDDEN),
    "attention.output.dense": (HIDDEN, HIDDEN),
    "intermediate.dense": (INNER, HIDDEN),
    "output.dense": (HIDDEN, INNER),
}
ROLES = ("query", "key", "value", "attention.output", "intermediate", "output", "head")
ALIKE: Mapping[str, float] = {}


def bert_state(
    depth: int = 3, *, scales: Mapping[str, float] = ALIKE, prefix: str = "", rng: int = 0
) -> dict[str, np.ndarray]:
    """Return tensors by name, in the order of the forward pass; `scales` of parts, 1 by default."""
    draw = np.random.default_rng(rng)

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (scale * draw.normal(size=shape)).astype(np.float32)

    state = {
        "embeddings.word_embeddings.weight": normal(50, HIDDEN, scale=9),
        "embeddings.position_embeddings.weight": normal(16, HIDDEN, scale=9),
        "embeddings.LayerNorm.weight": normal(HIDDEN),
    }
    for i in range(depth):
        for part, shape in PARTS.items():
            name = f"encoder.layer.{i}.{part}"
            state[f"{name}.weight"] = normal(*shape, scale=scales.get(part, 1.0))
            state[f"{name}.bias"] = normal(shape[0])
        state[f"encoder.layer.{i}.output.LayerNorm.weight"] = normal(HIDDEN)
    state["pooler.dense.weight"] = normal(HIDDEN, HIDDEN, scale=scales.get("pooler", 1.0))
    state["pooler.dense.bias"] = normal(HIDDEN)
    return {f"{prefix}{name}": array for name, array in state.items()}


# The schedule of Chen et al. 2020a: a tenth of the whole network at every step.
TENTHS = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]


def saved(state: Mapping[str, np.ndarray], path: Path) -> Path:
    """Write a state dict as the ending of the name says."""
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file(dict(state), path)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    return path


def plain_shares(weights: list[np.ndarray], groups: list[str], targets: list[int]) -> dict:
    """The oracle: sort all weights, keep the largest, count them by group."""
    size = np.abs(np.concatenate([array.ravel() for array in weights]))
    group = np.repeat(groups, [array.size for array in weights])
    order = group[np.argsort(-size, kind="stable")]
    return {
        name: [(order[:target] == name).sum() / target for target in targets]
        for name in dict.fromkeys(groups)
    }


def matrices(state: Mapping[str, np.ndarray], roles: bool = True) -> tuple[list, list[str]]:
    """The matrices that are pruned, and their groups, read off their names."""
    names = [n for n, a in state.items() if a.ndim == 2 and "embeddings" not in n]
    tails = [name.removesuffix(".weight").split("encoder.layer.")[-1] for name in names]
    if roles:
        found = [t.partition(".")[2].removesuffix(".dense").split("self.")[-1] for t in tails]
        found = ["head" if "pooler" in t else f for t, f in zip(tails, found, strict=True)]
    else:
        found = ["head" if "pooler" in t else t.partition(".")[0] for t in tails]
    return [state[name] for name in names], found


@pytest.mark.parametrize("by", ["role", "block"])
@pytest.mark.parametrize("densities", [TENTHS, None])
def test_against_sorting_all_weights(
    tmp_path: Path, by: str, densities: list[float] | None
) -> None:
    state = bert_state(scales={"output.dense": 0.5, "attention.self.query": 2})
    path = saved(state, tmp_path / "model.safetensors")
    found = null(weights=path, by=by, densities=densities, levels=None if densities else (0, 12))
    weights, groups = matrices(state, by == "role")
    density = np.array(densities or 0.8 ** np.arange(13))
    targets = np.rint(density * sum(map(np.size, weights))).astype(int)
    expected = plain_shares(weights, groups, targets.tolist())
    assert found.names == tuple(expected) and found.architecture == "bert3x8"
    shares = np.array([expected[name] for name in found.names]).T
    np.testing.assert_allclose(found.share, shares, rtol=1e-12)
    with np.errstate(divide="ignore"):
        y = np.log(shares[-1] / shares[0]) / np.log(targets[0] / targets[-1])
    np.testing.assert_allclose(found.exponent, np.where(np.isfinite(y), y, np.nan), rtol=1e-9)
    held = (found.share[:-1] * np.nan_to_num(found.step_eigenvalues)).sum(axis=1)
    np.testing.assert_allclose(held, 1, rtol=1e-12)


def test_marginal_by_block_and_far_from_it_by_role(tmp_path: Path) -> None:
    """Blocks of one make keep their shares, whatever the matrices in them do."""
    scales = {"attention.self.query": 1.6, "attention.self.key": 1.6, "output.dense": 0.6}
    path = saved(bert_state(24, scales=scales, rng=3), tmp_path / "model.safetensors")
    by_block = null(weights=path, by="block", densities=TENTHS[:8])
    by_role = null(weights=path, by="role", densities=TENTHS[:8])
    assert by_role.names == ROLES
    y = dict(zip(by_role.names, by_role.exponent.tolist(), strict=True))
    spread = by_block.exponent[:-1].std()
    assert spread < 0.06 and abs(by_block.exponent[:-1].mean()) < 0.02
    assert min(y["query"], y["key"]) > 0.3 and y["output"] < -0.3


# Forms in which weights come


def hugging_face(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A masked language model: behind a prefix, with a head and without pooler, names sorted."""
    kept = {f"bert.{n}": a for n, a in state.items() if "pooler" not in n}
    kept["cls.predictions.transform.dense.weight"] = np.ones((8, 8), np.float32)
    return {name: kept[name] for name in sorted(kept)}


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (lambda state: state, "model.safetensors"),
        (lambda state: state, "pytorch_model.bin"),
        (lambda state: {f"module.roberta.{n}": a for n, a in state.items()}, "model.pt"),
        (lambda state: {n: a.astype(np.float16) for n, a in state.items()}, "half.safetensors"),
        (lambda state: {f"model.{n}": a for n, a in state.items()}, "model.ckpt"),
    ],
)
def test_one_network_in_any_file(tmp_path: Path, form: Callable, name: str) -> None:
    state = {n: a.astype(np.float16).astype(np.float32) for n, a in bert_state(11).items()}
    expected = null(weights=saved(state, tmp_path / "plain.pt"), by="block")
    found = null(weights=str(saved(form(state), tmp_path / name)), by="block")
    assert found.names == expected.names == (*map(str, range(11)), "head")
    np.testing.assert_array_equal(found.share, expected.share)
    assert "embeddings.word_embeddings" in " ".join(found.notes)


def test_a_head_is_left_out_and_named_and_the_pooler_may_lack(tmp_path: Path) -> None:
    state = hugging_face(bert_state(2))
    found = null(weights=saved(state, tmp_path / "mlm.safetensors"), by="role")
    assert found.names == ROLES[:-1] and found.architecture == "bert2x8"
    assert any("left out" in note and "cls.predictions" in note for note in found.notes)
    named = null("BERT2x8", weights=tmp_path / "mlm.safetensors", by="role")
    np.testing.assert_array_equal(named.share, found.share)


def resnet_state(name: str = "resnet8w4", **shape: int) -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    module = build(name, (shape.get("channels", 3), 32, 32), shape.get("classes", 10))
    return {n: t.detach().numpy().copy(order="C") for n, t in module.state_dict().items()}


@pytest.mark.parametrize("shape", [{}, {"channels": 1, "classes": 7}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_known_network_is_told_by_its_layers(
    tmp_path: Path, shape: dict[str, int], prefix: str
) -> None:
    state = resnet_state(**shape)
    path = saved({f"{prefix}{n}": a for n, a in state.items()}, tmp_path / "net.pt")
    found = null(weights=path)
    assert (found.architecture, found.by, found.window) == ("resnet8w4", "stage", (1, 17))
    assert found.total.sum() == sum(a.size for n, a in state.items() if a.ndim > 1)
    by_role = null("resnet8w4", weights=path, by="role", levels=(1, 8), prune=0.3)
    assert by_role.names == ("stem", "first", "second", "shortcut", "head")
    convolutions = null(weights=path, prunable="convolutions")
    assert convolutions.names == ("stem", "1", "2", "3")


def test_an_unknown_network_has_the_blocks_that_its_names_tell(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {
        "tok_embeddings.weight": (30, 4),
        "wte.weight": (30, 4),
        **{f"h.{i}.{part}.weight": (4, 4) for i in range(12) for part in ("query", "up")},
        "norm.weight": (4,),
        "head.weight": (30, 4),
    }
    state = {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    for name in ("net.pt", "net.safetensors"):  # the latter sorts names: h.10 before h.2
        found = null(weights=saved(state, tmp_path / name), by="block", levels=(0, 4))
        assert found.names == (*(f"h.{i}" for i in range(12)), "head")
        assert found.architecture.startswith("net-")
        assert any("left out" in n and "wte" in n and "tok_embeddings" in n for n in found.notes)
    with pytest.raises(RgtoolError, match="has no roles: group by layer or block"):
        null(weights=tmp_path / "net.pt", by="role")


OWN = """
from torch import nn

def build(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
"""


def test_a_network_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(OWN)
    network = layers_of_own(f"{tmp_path}/my.py:build", (3, 32, 32), 10)
    rng = np.random.default_rng(1)
    state = {f"net.{x.name}.weight": rng.normal(size=x.shape) for x in network.layers}
    path = saved(state, tmp_path / "own.pt")
    found = null(network, weights=path, by="layer", levels=(0, 6))
    done = cli("null", f"{tmp_path}/my.py:build", "--weights", str(path), "--by", "layer",
               "--levels", "0:6", "--json")  # fmt: skip
    assert done.code == 0
    assert [row["eigenvalue"] for row in json.loads(done.out)] == found.eigenvalue.tolist()
    state["net.6.weight"] = rng.normal(size=(3, 8))
    with pytest.raises(RgtoolError, match=r"net.6 has shape \(3, 8\) instead of \(10, 8\)"):
        null(network, weights=saved(state, tmp_path / "own.pt"))
    del state["net.6.weight"]
    with pytest.raises(RgtoolError, match="another network, layer 6 is missing"):
        null(network, weights=saved(state, tmp_path / "own.pt"))


def test_what_a_run_has_kept_gives_its_own_n2(tmp_path: Path) -> None:
    keep = ("init", "dense")
    rgtool.run("lenet", "digits", levels=4, epochs=1, store=tmp_path, keep=keep, seeds=1)
    counts = Store(tmp_path).counts("lenet/digits", "layer")
    path = RunFolder.of(tmp_path, counts.runs[0]).weights("dense")
    density = (counts.kept[0].sum(axis=-1) / counts.total.sum())[1:].tolist()
    expected = nulls_of(Store(tmp_path), counts.runs[0], by="layer", draws=99)["static"].y[0]
    for name in ("lenet", "lenet/digits", None):
        found = null(name, weights=path, by="layer", densities=density, store=tmp_path)
        assert found.exempt.tolist() == [False, False, True]
        np.testing.assert_allclose(found.exponent, expected, rtol=1e-9)
    with pytest.raises(RgtoolError, match="1,000 are exempt from pruning: ask for fewer levels"):
        null(weights=path, levels=(1, 40))


# Densities


@settings(max_examples=30)
@given(st.floats(0.05, 0.6), st.integers(0, 3), st.integers(1, 6))
def test_densities_are_the_schedule_that_they_spell(prune: float, first: int, steps: int) -> None:
    asked = null("resnet8w4", prune=prune, levels=(first, first + steps))
    spelled = null("resnet8w4", densities=asked.density.tolist())
    assert (spelled.prune, spelled.window) == (None, (0, steps))
    np.testing.assert_allclose(spelled.exponent, asked.exponent, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(spelled.share, asked.share, rtol=1e-12)
    np.testing.assert_allclose(asked.density, (1 - prune) ** np.arange(first, first + steps + 1))
    assert f"prune {prune:g}, levels {first}:" in asked.title and " steps" in spelled.title


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({"densities": [1]}, "densities 1: give two or more that fall"),
        ({"densities": []}, "give two or more that fall"),
        ({"densities": [0.5, 0.5]}, "give two or more that fall"),
        ({"densities": [0.5, 0.6]}, "give two or more that fall"),
        ({"densities": [1.1, 0.6]}, "between 1 and 0"),
        ({"densities": [1, 0.5, 0]}, "between 1 and 0"),
        ({"densities": [1, float("nan")]}, "give two or more that fall"),
        ({"densities": [1, 0.5], "prune": 0.3}, "leave prune out"),
        ({"densities": [1, 0.5], "levels": (1, 2)}, "leave levels out"),
        ({"densities": [1, 1e-9]}, "density 1e-09 leaves less than one of"),
        ({"architecture": None}, "name a network"),
    ],
)
def test_a_wrong_schedule_is_refused(question: dict, answer: str) -> None:
    with pytest.raises(RgtoolError, match=answer) as error:
        null(**{"architecture": "resnet8w4", **question})
    assert error.value.exit_code == 2 and "\n" not in str(error.value)
    assert Schedule.of(None, None, None).levels == (1, 17)


# Bad input


def damaged(**changes: np.ndarray) -> dict[str, np.ndarray]:
    state = resnet_state()
    return {**state, **{n.replace("__", "."): a for n, a in changes.items()}}


def with_nan() -> dict[str, np.ndarray]:
    state = resnet_state()
    state["layer2.0.conv1.weight"][0, 0, 0, 0] = np.nan
    return state


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (with_nan, "layer layer2.0.conv1 holds values that are not finite"),
        (lambda: {"conv1.weight_mask": np.ones((3, 3), np.float32)}, "holds no weights of layers"),
        (lambda: {"x.word_embeddings.weight": np.ones((9, 4), np.float32)}, "no matrix but x.word"),
        (lambda: {"steps": np.ones(3, np.float32)}, "net.pt"),
    ],
)
def test_files_without_usable_weights(tmp_path: Path, make: Callable, answer: str) -> None:
    with pytest.raises(RgtoolError, match=answer) as error:
        null(weights=saved(make(), tmp_path / "net.pt"))
    assert "net.pt" in str(error.value) and "\n" not in str(error.value)


class Module:
    """Something that only its own code could load."""


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no weights at all, but a text"])
def test_files_that_are_something_else(cli: Cli, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(content)
    for file in (path, tmp_path / "none.pt", tmp_path):
        code, out, err = cli("null", "--weights", str(file))
        assert code != 0 and out == "" and str(file) in err and "Traceback" not in err
    torch.save({"model": Module()}, path)
    code, _, err = cli("null", "--weights", str(path))
    assert code != 0 and "pickled object" in err


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = saved(resnet_state(), tmp_path / "net.pt")
    with pytest.raises(RgtoolError, match="net.pt: the layers are not those of resnet20: "):
        null("resnet20", weights=path)
    bert = saved(bert_state(2), tmp_path / "bert.pt")
    with pytest.raises(RgtoolError, match="bert.pt: the layers are not those of bert3x8: "):
        null("bert3x8", weights=bert)
    for name, value in (("init", "xavier_normal"), ("fan", "fan_in"), ("scales", {"conv1": 1.0}),
                        ("distribution", "uniform"), ("weighting", "magnitude"), ("classes", 3),
                        ("input_shape", (3, 8, 8))):  # fmt: skip
        with pytest.raises(RgtoolError, match=f"are what they are, {name} does not go"):
            null(weights=path, **{name: value})


def test_a_file_that_is_pruned_already_says_where_levels_may_begin(tmp_path: Path) -> None:
    state = resnet_state()
    names = [name for name, array in state.items() if array.ndim > 1]
    rng = np.random.default_rng(0)
    for name in names:
        state[name] = state[name] * (rng.random(state[name].shape) < 0.45)
    total = sum(state[name].size for name in names)
    there = sum(np.count_nonzero(state[name]) for name in names)
    path = saved(state, tmp_path / "pruned.pt")
    with pytest.raises(RgtoolError, match=r"of its weights are 0, .* as levels 4:17 do") as error:
        null(weights=path)
    assert f"{1 - there / total:.3g}" in str(error.value)
    assert 0.8**4 <= there / total < 0.8**3
    assert null(weights=path, levels=(4, 17)).share.shape == (14, 5)
    with pytest.raises(RgtoolError, match=f"begin with a density of at most {there / total:.3g}"):
        null(weights=path, densities=[0.5, 0.4])
    whole = null(weights=path, densities=[1, 0.4])  # of a whole network nothing is chosen
    assert whole.share[0, 0] == 108 / total
    masked = {n: a for n, a in resnet_state().items() if n != "layer1.0.conv1.weight"}
    weight = resnet_state()["layer1.0.conv1.weight"]
    masked["layer1.0.conv1.weight_orig"] = weight
    masked["layer1.0.conv1.weight_mask"] = np.zeros_like(weight)
    found = null(weights=saved(masked, tmp_path / "mask.pt"), by="layer", levels=(1, 3))
    assert found.share[0, 1] == 0


def test_integers_have_a_magnitude_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    state = {f"layers.{i}.weight": rng.integers(-128, 128, (20, 20)) for i in range(3)}
    state["layers.0.weight"][:] = -128  # whose magnitude is no int8
    small = {name: array.astype(np.int8) for name, array in state.items()}
    found = null(weights=saved(small, tmp_path / "int8.safetensors"), by="layer", levels=(0, 4))
    assert found.names == ("layers.0", "layers.1", "layers.2")
    assert found.exponent[0] == pytest.approx(1)
