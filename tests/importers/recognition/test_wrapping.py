"""Networks under any wrapping and under other people's names; biases; what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import foreign_others as others
import numpy as np
import pytest
import torch
from foreign_networks import VGG16, openlth_resnet, resnet18, resnet50, seeded, tree
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from rgtool.runner.models import build
from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import Refused
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_tensors
from rgtool.schemas.tensors.wrapping import beneath, copies, plain
from rgtool.store import Store
from rgtool.store.importers.found import LevelData, Shapes
from rgtool.store.importers.recognition.recognise import Recognised, recognise
from rgtool.store.importers.report import ImportedRun, ImportReport


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def only(report: ImportReport) -> ImportedRun:
    assert report.skipped == ()
    (run,) = report.runs
    return run


# Files of real modules.


def small() -> nn.Module:
    return build("resnet8w4", (3, 32, 32), 10).to(memory_format=torch.contiguous_format)


def layers_of(network: nn.Module) -> list[tuple[nn.Module, str]]:
    kinds = (nn.Conv2d, nn.Linear)
    return [(module, "weight") for module in network.modules() if isinstance(module, kinds)]


def write(
    folder: Path,
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network,
    *,
    pruned: Callable[[nn.Module], list[tuple[nn.Module, str]]] = layers_of,
    change: Callable[[int, dict[str, Tensor]], dict[str, Tensor]] = lambda level, state: state,
    levels: int = 2,
) -> list[dict[str, int]]:
    """Prune a network and save it wrapped, level by level; return what its own masks keep."""
    folder.mkdir(parents=True)
    network = seeded(small, 3)
    wrapped = wrap(network)
    counts = []
    for level in range(levels + 1):
        if level:
            share = prune.L1Unstructured
            prune.global_unstructured(pruned(network), pruning_method=share, amount=0.3)
        state = change(level, dict(wrapped.state_dict()))
        torch.save({"state_dict": state}, folder / f"level_{level}.pt")
        masks = {n.removesuffix(".weight_mask"): m for n, m in network.named_buffers()}
        known = [layer.name for layer in architecture("resnet8w4").layers]
        counts.append({n: int(masks[n].sum()) for n in known} if level else {})
    return counts


def kept(store: Store, run: ImportedRun) -> list[dict[str, int]]:
    found: list[dict[str, int]] = []
    for level in run.levels:
        rows = store.query(
            "SELECT layer, kept FROM layers WHERE run_id = ? AND level = ?", [run.run_id, level]
        ).rows
        found.append(dict(rows))
    return found


def stages(store: Store) -> list[str]:
    return [s for (s,) in store.query("SELECT DISTINCT stage FROM layers ORDER BY 1").rows]


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "plain": lambda network: network,
    "DataParallel": nn.DataParallel,
    "average": others.averaged,
    "Lightning": others.Lightning,
    "compiled": others.compiled,
    "compiled within Lightning": lambda network: others.Lightning(others.compiled(network)),
    "net": lambda network: tree(net=network),
    "two deep": lambda network: tree(student=tree(network=nn.DataParallel(network))),
    "backbone and head": lambda network: tree(
        backbone=tree(**{n: m for n, m in network.named_children() if n != "fc"}),
        head=tree(fc=network.get_submodule("fc")),
    ),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_network_is_known_whatever_wraps_it(store: Store, tmp_path: Path, wrapper: str) -> None:
    counts = write(tmp_path / "in" / "mine", WRAPPERS[wrapper])
    run = only(store.import_runs(tmp_path / "in"))
    assert run.architecture == "resnet8w4"
    assert kept(store, run)[1:] == counts[1:]
    assert stages(store) == ["1", "2", "3", "head", "stem"]
    assert run.notes == ()


@pytest.mark.parametrize(
    ("inserted", "at"), [("_orig_mod", 1), ("_fsdp_wrapped_module", 0), ("_orig_mod", 3)]
)
def test_what_torch_puts_into_names_is_no_part_of_them(
    store: Store, tmp_path: Path, inserted: str, at: int
) -> None:
    counts = write(tmp_path / "in", change=lambda level, state: others.renamed(state, inserted, at))
    run = only(store.import_runs(tmp_path / "in", task="cifar10"))
    assert run.label == "resnet8w4/cifar10"
    assert kept(store, run)[1:] == counts[1:]


def test_of_a_network_and_its_average_the_network_is_taken_and_said(
    store: Store, tmp_path: Path
) -> None:
    average = others.averaged(seeded(small, 4))

    def pruned(network: nn.Module) -> list[tuple[nn.Module, str]]:
        prune.global_unstructured(layers_of(average), prune.L1Unstructured, amount=0.3)
        return layers_of(network)

    counts = write(tmp_path / "in", lambda network: tree(ema=average, model=network), pruned=pruned)
    run = only(store.import_runs(tmp_path / "in"))
    assert run.architecture == "resnet8w4"
    assert kept(store, run)[1:] == counts[1:]
    assert run.notes == (
        "ema.module. is a copy: its masks are left out, those of model. are taken",
    )


def test_levels_may_be_wrapped_in_different_ways(store: Store, tmp_path: Path) -> None:
    """The dense network was saved as it is, the pruned ones from a Lightning module."""

    def change(level: int, state: dict[str, Tensor]) -> dict[str, Tensor]:
        if level == 0:
            return {n.removeprefix("model."): t for n, t in state.items() if "criterion" not in n}
        return {f"module.{n}": t for n, t in state.items()} if level == 2 else state

    counts = write(tmp_path / "in", others.Lightning, change=change)
    run = only(store.import_runs(tmp_path / "in", keep=["dense"]))
    assert (run.architecture, run.levels) == ("resnet8w4", (0, 1, 2))
    assert kept(store, run)[1:] == counts[1:]
    magnitudes = store.query("SELECT count(magnitude), count(*) FROM layers").rows
    assert magnitudes == [(30, 30)]
    dense = read_tensors(RunFolder.of(store.path, run.run_id).weights("dense"))[0]
    saved = torch.load(tmp_path / "in" / "level_0.pt", weights_only=True)["state_dict"]
    np.testing.assert_array_equal(dense["fc"], saved["fc.weight"])


def test_names_of_the_source_stay_those_of_its_file(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "in", others.Lightning, levels=1)
    only(store.import_runs(tmp_path / "in"))
    rows = store.query("SELECT DISTINCT layer, source_layer FROM layers ORDER BY 1").rows
    assert rows[0] == ("conv1", "model.conv1")


def test_pruned_biases_are_named_and_counted_apart(store: Store, tmp_path: Path) -> None:
    """As in the tutorial of torch and Lightning's ModelPruning: biases are pruned too."""

    def pruned(network: nn.Module) -> list[tuple[nn.Module, str]]:
        every = layers_of(network)
        biases = [(m, "bias") for m, _ in every if getattr(m, "bias", None) is not None]
        norms = [(m, "weight") for m in network.modules() if isinstance(m, nn.BatchNorm2d)][:1]
        for module, name in (*biases, *norms):
            with torch.no_grad():
                parameter = getattr(module, f"{name}_orig", getattr(module, name))
                parameter[: len(parameter) // 2] = 0  # the first to be pruned
        return [*every, *biases, *norms]

    counts = write(tmp_path / "in", pruned=pruned)
    run = only(store.import_runs(tmp_path / "in", architecture="resnet8w4"))
    assert run.label.startswith("resnet8w4/")
    assert kept(store, run)[1:] == counts[1:]
    state = torch.load(tmp_path / "in" / "level_2.pt", weights_only=True)["state_dict"]
    norm, bias = (int(state[f"{name}_mask"].sum()) for name in ("bn1.weight", "fc.bias"))
    assert norm < 4 and bias < 10
    assert run.notes == (
        f"pruned biases are no layers and counted apart: bn1 keeps {norm} of 4, fc.bias keeps "
        f"{bias} of 10 at level 2",
    )


# Names and shapes alone.


def level_of(network: nn.Module, *, without: tuple[str, ...] = (), weights: bool = True) -> Any:
    """A level at which every layer of a network has a mask, without a byte of memory for it."""
    kinds = (nn.Conv2d, nn.Linear)
    shapes = {n: tuple(m.weight.shape) for n, m in network.named_modules() if isinstance(m, kinds)}
    return level(shapes, without=without, weights=weights)


def level(shapes: Shapes, *, without: tuple[str, ...] = (), weights: bool = True) -> LevelData:
    masks = {n: np.broadcast_to(np.False_, s) for n, s in shapes.items() if n not in without}
    filled = {n: np.broadcast_to(np.float32(1), s) for n, s in shapes.items()}
    return LevelData(shapes, masks, weights=filled if weights else {})


def found(build: Callable[[], nn.Module], **options: Any) -> Recognised:
    with torch.device("meta"):
        return recognise(level_of(build()), **options)


def named(network: Recognised) -> Mapping[str, str]:
    return {
        layer.name: source for layer, source in zip(network.layers, network.sources, strict=True)
    }


OTHERS: dict[str, tuple[Callable[[], nn.Module], str, dict[str, str]]] = {
    "kuangliu": (
        lambda: others.kuangliu((2, 2, 2, 2)),
        "resnet18",
        {"layer2.0.downsample.0": "layer2.0.shortcut.0", "fc": "linear"},
    ),
    "kuangliu, bottlenecks, 100 classes": (
        lambda: others.kuangliu((3, 4, 6, 3), bottleneck=True, classes=100),
        "resnet50",
        {"layer1.0.downsample.0": "layer1.0.shortcut.0", "layer1.0.conv3": "layer1.0.conv3"},
    ),
    "CIFAR, option B": (lambda: others.kuangliu((3, 3, 3), 16), "resnet20", {"fc": "linear"}),
    "CIFAR, option A": (lambda: others.akamaster(9), "resnet56a", {"fc": "linear"}),
    "weiaicunzai": (
        lambda: others.weiaicunzai((2, 2, 2, 2), bottleneck=False),
        "resnet18",
        {
            "conv1": "conv1.0",
            "layer1.1.conv2": "conv2_x.1.residual_function.3",
            "layer2.0.downsample.0": "conv3_x.0.shortcut.0",
        },
    ),
    "weiaicunzai, bottlenecks": (
        lambda: others.weiaicunzai((3, 4, 6, 3), bottleneck=True),
        "resnet50",
        {
            "layer1.0.conv3": "conv2_x.0.residual_function.6",
            "layer1.0.downsample.0": "conv2_x.0.shortcut.0",
        },
    ),
    "transformers": (
        others.hugging_face,
        "resnet50",
        {
            "layer1.0.conv3": "resnet.encoder.stages.0.layers.0.layer.2.convolution",
            "layer1.0.downsample.0": "resnet.encoder.stages.0.layers.0.shortcut.convolution",
            "fc": "classifier.1",
        },
    ),
    "detectron2": (
        lambda: others.stem_and_stages(others.kuangliu((3, 4, 6, 3), bottleneck=True)),
        "resnet50",
        {"conv1": "bottom_up.stem.conv1", "layer4.2.conv3": "bottom_up.res5.2.conv3"},
    ),
    "children of a list": (
        lambda: others.numbered(resnet18()),
        "resnet18",
        {"conv1": "0", "layer1.0.conv1": "2.0.conv1", "fc": "6"},
    ),
    "OpenLTH, wrapped": (
        lambda: tree(model=openlth_resnet(20), steps=nn.BatchNorm1d(3)),
        "resnet20",
        {"layer2.0.downsample.0": "model.blocks.3.shortcut.0"},
    ),
    "VGG without normalisation": (
        lambda: others.plain_vgg(VGG16),
        "vgg16",
        {"features.0": "features.0", "features.7": "features.5", "fc": "classifier.0"},
    ),
    "LeNet": (
        lambda: tree(fc1=nn.Linear(784, 300), fc2=nn.Linear(300, 100), fc3=nn.Linear(100, 47)),
        "lenet",
        {"fc": "fc3"},
    ),
}


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("ordered", [True, False])
def test_a_network_is_known_by_other_peoples_names(case: str, ordered: bool) -> None:
    """Also where the file sorts its names, as safetensors do."""
    make, name, pairs = OTHERS[case]
    with torch.device("meta"):
        shapes = level_of(make()).shapes
    network = recognise(level(shapes if ordered else dict(sorted(shapes.items()))))
    assert network.architecture == name
    assert pairs.items() <= named(network).items()
    assert sorted(network.sources) == sorted(shapes)
    known = {layer.name: (layer.block, layer.stage) for layer in architecture(name).layers}
    for layer, source in zip(network.layers, network.sources, strict=True):
        assert layer.shape == shapes[source]
        assert (layer.block, layer.stage) == known[layer.name]


def test_the_layers_of_a_block_come_in_the_order_of_the_source() -> None:
    """Of each pair of equal shapes the first stays the first."""
    with torch.device("meta"):
        shapes = level_of(others.weiaicunzai((2, 2, 2, 2), bottleneck=False)).shapes
    for layer, source in named(recognise(level(shapes))).items():
        if layer.endswith((".conv1", ".conv2")):
            assert source.endswith(".0" if layer.endswith("1") else ".3"), (layer, source)


def test_numbers_alone_are_no_blocks_unless_the_user_says_so() -> None:
    """A plain network has the weights of a ResNet with shortcuts without weights."""

    def build() -> nn.Module:
        flat = [m for m in others.akamaster(3).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return nn.Sequential(*flat)

    network = found(build)
    assert network.architecture.startswith("net-")
    assert {layer.stage for layer in network.layers} == {None}
    assert {layer.stage for layer in found(build, named="mine").layers} == {None}
    asked = found(build, named="resnet20a")
    assert (asked.architecture, named(asked)["layer1.0.conv2"]) == ("resnet20a", "2")
    assert asked.why.startswith("order and shapes")


def test_most_of_the_layers_tell_the_prefix() -> None:
    """Masks alone, and not of all layers: the head stands outside of what is called backbone."""
    shapes = {layer.name: layer.shape for layer in architecture("resnet20").layers}
    inside = {f"backbone.{n}": s for n, s in shapes.items() if n not in ("conv1", "fc")}
    network = recognise(level({**inside, "head.fc": (10, 64)}, weights=False))
    assert (network.architecture, network.prunable) == ("resnet20", "masked")
    assert named(network)["fc"] == "head.fc"


def test_of_two_layers_of_one_name_that_with_a_mask_counts() -> None:
    shapes = {layer.name: layer.shape for layer in architecture("resnet8w4").layers}
    other = {"conv1": (8, 1, 3, 3)}
    every = {**{f"net.{n}": s for n, s in shapes.items()}, **other}
    data = level(every, without=("conv1", "net.layer1.0.conv1"))
    assert recognise(data).architecture == "resnet8w4"


def test_networks_with_names_like_berts_are_others() -> None:
    shapes = {layer.name: layer.shape for layer in architecture("bert-base").layers}
    for prefix, name in (("bert.", "bert-base"), ("model.bert.", "bert-base"), ("roberta.", "net")):
        network = recognise(level({f"{prefix}{n}": s for n, s in shapes.items()}))
        assert network.architecture.startswith(name)


def test_a_name_of_a_known_network_that_is_not_taken_is_said() -> None:
    network = found(lambda: others.akamaster(3), named="mynet")
    assert network.architecture == "resnet20a"
    assert network.notes == ("not called mynet: these are the layers of resnet20a",)
    assert found(lambda: others.akamaster(3)).notes == ()


PREFIX = st.lists(st.sampled_from(("module", "net", "trunk", "_orig_mod", "m2")), max_size=4)


@given(PREFIX, st.sampled_from(("_orig_mod", "_fsdp_wrapped_module", "")), st.integers(0, 3))
def test_wrapping_changes_nothing_but_names_of_the_source(
    prefix: list[str], inserted: str, at: int
) -> None:
    shapes = {layer.name: layer.shape for layer in architecture("resnet8w4").layers}

    def wrapped(name: str) -> str:
        parts = name.split(".")
        within = [*parts[:at], inserted, *parts[at:]] if inserted else parts
        return ".".join([*prefix, *within])

    network = recognise(level({wrapped(name): shape for name, shape in shapes.items()}))
    assert network.layers == architecture("resnet8w4").layers
    assert network.sources == tuple(wrapped(name) for name in shapes)
    # And it is found again in a file without any of that.
    assert network.located(shapes) == {wrapped(name): name for name in shapes}


def test_copies_are_told_by_their_names_and_by_what_they_hold() -> None:
    one = ["conv1", "layer1.0.conv1", "fc"]
    both = [f"{prefix}.{name}" for prefix in ("encoder_q", "encoder_k") for name in one]
    assert copies(both) == {f"encoder_k.{name}": f"encoder_q.{name}" for name in one}
    assert copies([*both, "encoder_k.conv9"]) == {}  # another network
    assert copies(["init.conv", *(f"stage{i}.conv" for i in range(3))]) == {}  # a layer of it
    assert copies([f"layer1.{i}.conv1" for i in range(3)]) == {}
    assert copies([f"ema.{name}" for name in one]) == {}  # the average is all there is
    assert copies([*one, *(f"ema_model.module.{name}" for name in one)]).keys() == {
        f"ema_model.module.{name}" for name in one
    }


def test_of_two_prefixes_that_fit_alike_that_of_a_copy_comes_last() -> None:
    for order in (1, -1):
        names = ["ema.module.fc", "online.net.fc"][::order]
        assert beneath(names, ["fc"]) == {"fc": "online.net.fc"}
    assert beneath(["a.fc", "b.fc", "b.conv1"], ["fc", "conv1"]) == {
        "fc": "b.fc",
        "conv1": "b.conv1",
    }
    assert beneath(["steps"], ["fc"]) == {}
    assert plain("_orig_mod") == "_orig_mod"


# What does not fit.


def refused(data: LevelData, name: str) -> str:
    with pytest.raises(Refused) as error:
        recognise(data, named=name)
    return str(error.value).removeprefix(f"the layers are not those of {name}: ")


def test_a_network_that_does_not_fit_is_refused_by_its_layers() -> None:
    shapes = {layer.name: layer.shape for layer in architecture("resnet20").layers}
    other = {**shapes, "layer2.1.conv2": (32, 32, 5, 5)}
    assert refused(level(other), "resnet20") == (
        "layer2.1.conv2 has shape (32, 32, 5, 5) instead of (32, 32, 3, 3)"
    )
    assert refused(level({**shapes, "aux": (10, 32)}), "resnet20") == "aux is extra"
    fewer = {name: shape for name, shape in shapes.items() if name != "layer2.1.conv2"}
    assert refused(level(fewer), "resnet20") == "layer2.1.conv2 is missing"
    renamed = {name.replace("layer3", "last"): shape for name, shape in fewer.items()}
    text = refused(level({**renamed, "last.0.conv1": (1, 1, 3, 3)}), "resnet20")
    assert text.startswith("last.0.conv1 is extra, last.0.conv2 is extra, last.0.downsample.0 is ")
    assert text.endswith(" and 12 more")


def test_layers_of_any_name_that_do_not_fit_are_named() -> None:
    """What fastai makes of a ResNet: its children by number, and a head of two layers."""

    def build(*head: nn.Module) -> nn.Module:
        body = others.numbered(resnet18(head=nn.Identity()))
        return nn.Sequential(body, nn.Sequential(*head))

    with torch.device("meta"):
        data = level_of(build(nn.Linear(1024, 512), nn.Linear(512, 10)))
        assert recognise(level_of(build()), named="resnet18").architecture == "resnet18"
    assert refused(data, "resnet18") == "1.0 is extra"
    shapes = {name: shape for name, shape in data.shapes.items() if name != "1.0"}
    assert recognise(level(shapes)).architecture == "resnet18"
    other = {**shapes, "0.2.1.conv2": (64, 64, 1, 1)}
    assert refused(level(other), "resnet18") == (
        "0.2.1.conv2 has shape (64, 64, 1, 1) instead of (64, 64, 3, 3)"
    )
    other["0.2.1.conv2"] = (64, 64, 3, 3)
    del other["0.3.0.conv1"]
    assert refused(level(other), "resnet18") == "layer2.0.conv1 is missing"


def test_the_network_that_it_is_instead_is_named() -> None:
    with torch.device("meta"):
        data = level_of(small())
    assert refused(data, "resnet20").endswith(" and 19 more; they are those of resnet8w4")


def test_part_of_the_masks_of_a_network_is_enough_where_the_weights_are_there() -> None:
    """What has no mask was never pruned; of masks alone nothing tells whether more belongs."""
    with torch.device("meta"):
        build = resnet50()
    data = level_of(build, without=("layer1.0.conv1", "fc"))
    assert (recognise(data).architecture, recognise(data).prunable) == ("resnet50", "masked")
    shapes = {n: s for n, s in data.shapes.items() if n != "layer1.0.conv1"}
    assert recognise(level(shapes, weights=False)).architecture == "resnet50"
    assert recognise(level(shapes)).architecture.startswith("net-")
    few = {name: shape for name, shape in shapes.items() if name.startswith("layer1")}
    assert refused(level(few, weights=False), "resnet50") == (
        "layer1.0.conv1 has no mask, layer2.0.conv1 has no mask, layer2.0.conv2 has no mask "
        "and 40 more"
    )
    rest = tuple(name for name in data.shapes if not name.startswith("layer1"))
    assert refused(level(data.shapes, without=rest), "resnet50") == (
        "layer2.0.conv1 has no mask, layer2.0.conv2 has no mask, layer2.0.conv3 has no mask "
        "and 39 more"
    )


def table(shapes: Shapes) -> LevelData:
    totals = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    half = {name: total // 2 for name, total in totals.items()}
    return LevelData({name: (total,) for name, total in totals.items()}, kept=half)


@pytest.mark.parametrize(
    ("name", "image", "classes"),
    [
        ("resnet20", None, None),
        ("resnet20", (1, 28, 28), 100),
        ("resnet14w8", None, 43),
        ("resnet50", (3, 64, 64), 200),
        ("resnet18", None, None),
        ("vgg16", None, 100),
        ("lenet", (3, 32, 32), None),
    ],
)
def test_a_table_fits_by_counts(name: str, image: Any, classes: int | None) -> None:
    known = architecture(name, image, classes)
    shapes = {layer.name: layer.shape for layer in known.layers}
    network = recognise(table(shapes))
    assert (network.architecture, network.layers) == (name, known.layers)
    other = {n.replace("downsample", "shortcut").replace("fc", "linear"): s
             for n, s in shapes.items()}  # fmt: skip
    if name != "lenet":
        assert recognise(table(other), named=name).layers == known.layers


def test_a_table_of_other_names_fits_in_order_where_the_user_names_the_network() -> None:
    known = architecture("resnet8")
    sizes = {f"weight {i}": layer.shape for i, layer in enumerate(known.layers)}
    data = table(sizes)
    assert recognise(data).architecture.startswith("net-")
    assert recognise(data, named="resnet8").layers == known.layers
    lenet = table({layer.name[::-1]: layer.shape for layer in architecture("lenet").layers})
    assert recognise(lenet).architecture.startswith("net-")
    wrong = table({**sizes, "weight 3": (32, 16, 3, 2)})
    assert refused(wrong, "resnet8") == "weight 3 has 3072 weights instead of 4608"


def test_a_count_of_a_table_that_does_not_fit_is_named() -> None:
    shapes = {layer.name: layer.shape for layer in architecture("resnet8").layers}
    text = refused(table({**shapes, "layer1.0.conv2": (7,)}), "resnet8")
    assert text == "layer1.0.conv2 has 7 weights instead of 2304"


@pytest.mark.parametrize("first", [(5000, 4, 3, 3), (5,)])
def test_widths_that_no_network_has_are_of_none(first: tuple[int, ...]) -> None:
    shapes = {"conv1": first, "layer1.0.conv1": first, "fc": (*first[:1], 3)[: len(first)]}
    data = table(shapes) if len(first) == 1 else level(shapes)
    assert recognise(data).architecture.startswith("net-")


def test_layers_that_are_not_there_are_left_out() -> None:
    shapes = {layer.name: layer.shape for layer in architecture("resnet8").layers}
    network = recognise(level({f"net.{name}": shape for name, shape in shapes.items()}))
    assert network.located([n for n in shapes if n != "fc"]) == {}
    assert network.located(["net.fc", "conv1"]) == {"net.fc": "net.fc"}


# Block maps.


def test_a_block_map_may_name_layers_with_or_without_their_wrapping() -> None:
    shapes = {f"module.{n}": (4, 4) for n in ("enc.0.a", "enc.1.a", "out")} | {"n": (2, 2)}
    data = level(shapes, without=("n",))
    for prefix in ("", "module."):
        blocks = {f"{prefix}enc.0.*": "1.0", f"{prefix}enc.1.*": "1.1", f"{prefix}out": "head"}
        network = recognise(data, blocks=blocks, named="mine")
        assert [(x.name, x.block, x.stage) for x in network.layers] == [
            ("enc.0.a", "1.0", "1"), ("enc.1.a", "1.1", "1"), ("out", "head", "head"),
        ]  # fmt: skip


def test_layers_that_are_only_numbered_are_no_stages() -> None:
    network = recognise(level({"0": (5, 4), "2": (3, 5)}))
    assert [(layer.block, layer.stage) for layer in network.layers] == [("0", None), ("2", None)]
