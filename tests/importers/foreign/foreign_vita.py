"""Writes the formats that are built on `torch.nn.utils.prune`, with that module itself.

CV_LTH (CIFAR, ImageNet, MoCo, SimCLR), PrAC, and folders of plain state dicts. Each level goes
the way of the originals: a step of SGD with random gradients stands for training, global L1
pruning follows, the masks are taken, pruning is removed, weights are rewound, and the masks put
back. So `weight_orig` is not zero where it is pruned, and drifts there by weight decay alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import foreign_networks as networks
import torch
from foreign_layout import Layout, State, Tally, save
from torch import nn
from torch.nn.utils import prune

Named = list[tuple[str, nn.Module]]

MODELS: dict[str, Callable[[], nn.Module]] = {
    "resnet8": networks.resnet8,
    "resnet18": networks.resnet18,
    "resnet50": networks.resnet50,
    "res20s": lambda: networks.prac_resnet(20),
    "res56s": lambda: networks.prac_resnet(56),
    "vgg16_bn": networks.prac_vgg16_bn,
}


def cloned(state: dict[str, Any]) -> State:
    """Return a copy that later training leaves alone."""
    return {name: tensor.clone() for name, tensor in state.items()}


def masks_of(layers: Named) -> State:
    """Return the masks by the names of the weights; ones where a layer is not pruned yet."""
    found = {}
    for name, module in layers:
        mask = getattr(module, "weight_mask", None)
        found[f"{name}.weight"] = torch.ones_like(module.weight) if mask is None else mask
    return found


def step(network: nn.Module, generator: torch.Generator, decay: float = 2e-4) -> Any:
    """Train for one step on random gradients; return the optimizer."""
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=decay)
    masks = {n.removesuffix("_mask"): b for n, b in network.named_buffers() if n.endswith("_mask")}
    for name, parameter in network.named_parameters():
        spread = 3 * float(parameter.detach().std(correction=0)) + 0.01
        parameter.grad = spread * torch.randn(parameter.shape, generator=generator)
        if name.endswith("_orig"):
            parameter.grad *= masks[name.removesuffix("_orig")]
    optimizer.step()
    optimizer.zero_grad()
    for module in network.modules():  # `weight` follows `weight_orig` in a forward pass only
        for hook in module._forward_pre_hooks.values():
            hook(module, ())
    return optimizer


def prune_global(layers: Named, amount: float) -> State:
    """Prune by magnitude over all layers; return the masks as `{name}.weight_mask`."""
    pairs = [(module, "weight") for _, module in layers]
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=amount)
    return {f"{name}.weight_mask": module.weight_mask.clone() for name, module in layers}


def put_masks(layers: Named, masks: State) -> None:
    """Prune by masks that are given."""
    for name, module in layers:
        prune.custom_from_mask(module, "weight", mask=masks[f"{name}.weight_mask"])


def prune_and_rewind(network: nn.Module, layers: Named, init: State, amount: float) -> None:
    """Prune, rewind to `init` and put the new masks on."""
    masks = prune_global(layers, amount)
    for _, module in layers:
        prune.remove(module, "weight")
    network.load_state_dict(init)
    put_masks(layers, masks)


# CV_LTH on CIFAR and SVHN, and PrAC.


@dataclass(frozen=True)
class Options:
    """What a CV_LTH or PrAC folder holds; the files shrink with what is left out.

    `rewind` is the source's prune type: "lt" rewinds to the initial weights, "rewind_lt" to those
    of an early epoch, "pt" to the best dense ones (so there is no `init_weight` at state 0).
    `prac` adds what the PrAC program itself saves besides, numpy arrays among it.
    """

    last: bool = True
    best: bool = True
    optimizer: bool = True
    init_weight: bool = True
    rewind: str = "lt"
    epochs: int = 182
    device: str = "cpu"
    prac: bool = False


def write_cv_lth(
    folder: Path,
    model: str = "resnet8",
    *,
    levels: int = 3,
    seed: int = 1,
    options: Options | None = None,
) -> Layout:
    """Write a CV_LTH folder of CIFAR or SVHN, states 0 to `levels`; the stem is not pruned."""
    return _write_vita(folder, model, levels, seed, options or Options(), "cv_lth")


def write_prac(
    folder: Path,
    model: str = "res20s",
    *,
    levels: int = 3,
    seed: int = 1,
    options: Options | None = None,
) -> Layout:
    """Write a PrAC folder, states 0 to `levels`; all convolutions are pruned."""
    return _write_vita(folder, model, levels, seed, options or Options(), "prac")


def _write_vita(
    folder: Path, model: str, levels: int, seed: int, options: Options, source: str
) -> Layout:
    folder.mkdir(parents=True, exist_ok=True)
    network = networks.seeded(MODELS[model], seed)
    generator = torch.Generator().manual_seed(seed)
    layers = [
        (name, module)
        for name, module in networks.convolutions(network)
        if source == "prac" or name != "conv1"
    ]
    init: State | None = cloned(network.state_dict()) if options.rewind == "lt" else None
    tally = Tally(folder, source, model)
    for state in range(levels + 1):
        if options.rewind == "rewind_lt" and state == 0:
            step(network, generator)
            init = cloned(network.state_dict())
            epoch = 3 if source == "prac" else 9
            save(init, folder / f"epoch_{epoch}_rewind_weight.pt", device=options.device)
        files, accuracy, best = _write_state(folder, network, state, init, generator, options)
        tally.level(masks_of(layers), accuracy, *files)
        init = best if init is None else init
        if state < levels:
            prune_and_rewind(network, layers, init, 0.2)
    return tally.layout()


def _write_state(
    folder: Path,
    network: nn.Module,
    state: int,
    init: State | None,
    generator: torch.Generator,
    options: Options,
) -> tuple[list[Path], float, State]:
    """Write a state's files: the best epoch's first, which is a copy of the last one's then."""
    result, best_epoch = curves(state, options.epochs)
    last = folder / f"{state}checkpoint.pth.tar"
    files = []
    for epochs in (best_epoch + 1, options.epochs):
        optimizer = step(network, generator)
        content = {
            "state": state,
            "result": {name: values[:epochs] for name, values in result.items()},
            "epoch": epochs,
            "state_dict": network.state_dict(),
            "best_sa": max(result["ta"][:epochs]),
        }
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [91, 136], gamma=0.1)
        if options.optimizer:
            content |= {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
        if options.init_weight:
            content["init_weight"] = init
        if options.prac:
            content |= _prac_extras(network, epochs)
        if epochs == options.epochs:
            if options.last:
                files.append(save(content, last, device=options.device))
            break
        best = cloned(network.state_dict()) if init is None else {}
        if options.best:
            name = folder / f"{state}model_SA_best.pth.tar"
            files.append(save(content, name, device=options.device))
    return files, result["test_ta"][best_epoch] / 100, best


def curves(state: int, epochs: int) -> tuple[dict[str, list[float]], int]:
    """Return accuracies in percent by epoch, and the epoch of the best on validation.

    The test set has its best elsewhere, and the last epoch differs from both.
    """
    best = max(0, epochs - 8)
    level = 95.0 - 0.25 * state
    validation = [level - 40.0 / (epoch + 2) for epoch in range(epochs)]
    validation[best] = level + 0.5
    test = [value - 0.7 for value in validation]
    test[best] = level + 0.06
    test[-1] = level + 0.11
    train = [min(100.0, value + 4.0) for value in validation]
    return {"train": train, "ta": validation, "test_ta": test}, best


def _prac_extras(network: nn.Module, epochs: int) -> dict[str, Any]:
    masks = {n: b.clone() for n, b in network.named_buffers() if n.endswith("_mask")}
    order = torch.arange(50)
    return {
        "prediction": [(order[:, None] % 2).numpy() for _ in range(2)],
        "sequence": order.numpy(),
        "remain_para": float(sum(mask.sum() for mask in masks.values())),
        "distance_queue": torch.full((5,), 0.04),
        "last_mask": masks or None,
        "start_record": epochs > 1,
    }


# CV_LTH on ImageNet.


def write_imagenet(
    folder: Path,
    model: str = "resnet8",
    *,
    levels: int = 3,
    seed: int = 1,
    optimizer: bool = True,
    device: str = "cpu",
) -> Layout:
    """Write a CV_LTH folder of ImageNet: states 1 to `levels`, none for the dense network.

    `state_dict` has no prefix (the program saves the module inside DataParallel), its masks are
    saved again under `mask`, and `best_acc1` is a tensor of no dimensions, in percent.
    """
    builders = {"resnet18": networks.resnet18, "resnet50": networks.resnet50}
    builder = builders.get(model)
    build = MODELS[model] if builder is None else lambda: builder(stem=7, classes=1000)
    network = networks.seeded(build, seed)
    generator = torch.Generator().manual_seed(seed)
    layers = [pair for pair in networks.convolutions(network) if pair[0] != "conv1"]
    init = cloned(network.state_dict())
    tally = Tally(folder, "cv_lth_imagenet", model)
    tally.level(masks_of(layers), None, written=False)
    for state in range(1, levels + 1):
        prune_and_rewind(network, layers, init, 0.2)
        trained = step(network, generator)
        masks = {f"{n.removesuffix('.weight')}.weight_mask": m for n, m in masks_of(layers).items()}
        accuracy = torch.tensor(76.4 - 0.3 * state)
        content: dict[str, Any] = {
            "epoch": 9,
            "state": state,
            "arch": model,
            "state_dict": network.state_dict(),
            "mask": cloned(masks),
            "best_acc1": accuracy,
        }
        if optimizer:
            content["optimizer"] = trained.state_dict()
        content |= {"if_pruned": True, "init_weight": init}
        best = save(content, folder / f"{state}model_best.pth.tar", device=device)
        tally.level(masks_of(layers), float(accuracy) / 100, best)
    if levels:  # overwritten by every epoch, so it is of the last state
        shutil.copyfile(best, folder / "checkpoint.pth.tar")
    return tally.layout()
