"""Writes OpenLTH and ElasticLTH folders by the rules of those programs."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import foreign_networks as networks
import numpy as np
import torch
from foreign_layout import Layout, State, Tally, numpy_one, save, saved_on
from foreign_rules import deeper, openlth_prune, prunable, trained, untie
from torch import Tensor

EXEMPT = {"vgg": ("fc.weight",), "lenet": ("fc.weight",), "resnet": ()}
TASK = {"vgg": ("cifar10", 391), "resnet": ("cifar10", 391), "lenet": ("mnist", 469)}


@dataclass(frozen=True)
class Options:
    """How an OpenLTH folder looks; the defaults are those of a plain run without rewinding.

    `name` replaces the hashed folder name. `rewind` is a step such as "1000it"; it makes
    `level_pretrain` and models named after it. `module` says where DataParallel's prefix
    stands: in the checkpoints, where OpenLTH itself puts it, or everywhere, as others do.
    `gzip` is what a packed mask's name gets at its end (None: not packed). `suffix` and
    `ratio` are ElasticLTH's. `device` is where the tensors claim to have been.
    """

    name: str | None = None
    rewind: str | None = None
    checkpoint: bool = False
    hparams: bool = True
    report: bool = True
    models: bool = True
    infinite_loss: bool = False
    mask_dtype: torch.dtype = torch.int32
    gzip: str | None = None
    module: Literal["nowhere", "checkpoint", "everywhere"] = "nowhere"
    suffix: str = ""
    ratio: bool = False
    device: str = "cpu"
    branches: tuple[str, ...] = ()
    branch_levels: tuple[int, ...] = (1,)


def write_openlth(
    folder: Path,
    model: str = "cifar_resnet_20",
    *,
    levels: int = 3,
    replicate: int = 1,
    seed: int | None = None,
    fraction: float = 0.2,
    options: Options | None = None,
) -> Layout:
    """Write one replicate of an OpenLTH experiment, levels 0 to `levels`.

    Call it again with another `replicate` for more of them in the same experiment. Branches come
    as layouts of their own, by their folder's name.
    """
    writer = OpenLTH(folder, model, replicate, fraction, options or Options(), "openlth")
    return writer.write(levels, replicate if seed is None else seed)


def write_elastic(
    folder: Path,
    model: str = "cifar_resnet_14",
    *,
    levels: int = 3,
    replicate: int = 1,
    options: Options | None = None,
) -> Layout:
    """Write one replicate of an ElasticLTH experiment: the density in the report, and branches.

    Without options there is a `change_depth` branch and no suffix.
    """
    options = replace(options or Options(branches=("change_depth",)), ratio=True)
    writer = OpenLTH(folder, model, replicate, 0.2, options, "elastic")
    return writer.write(levels, replicate)


class OpenLTH:
    """One replicate; a level is written before the next is made."""

    def __init__(
        self,
        folder: Path,
        model: str,
        replicate: int,
        fraction: float,
        options: Options,
        format_: str,
    ) -> None:
        self.folder, self.model, self.options = folder, model, options
        self.format, self.fraction = format_, fraction
        kind = model.split("_")[1]
        self.exempt = EXEMPT[kind]
        self.dataset, self.per_epoch = TASK[kind]
        self.epochs = 40 if kind == "lenet" else 160
        self.start = _iteration(options.rewind or "0it", self.per_epoch)
        hashed = hashlib.md5(self.hparams().encode()).hexdigest()
        self.experiment = folder / (options.name or f"lottery_{hashed}")
        self.replicate = self.experiment / f"replicate_{replicate}"

    def write(self, levels: int, seed: int) -> Layout:
        """Write levels 0 to `levels`."""
        network = networks.seeded(lambda: networks.openlth(self.model), seed)
        init = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        generator = torch.Generator().manual_seed(seed)
        if self.start:
            init = self.pretrain(init, generator)
        masks = {n: torch.ones_like(init[n], dtype=torch.int32) for n in prunable(network)}
        tally = Tally(self.folder, self.format, self.model)
        branches = {name: Tally(self.folder, self.format, self.model) for name in self.branches()}
        for level in range(levels + 1):
            end = trained(init, masks, generator)
            untie(end, masks, self.fraction, self.exempt)
            path = self.replicate / f"level_{level}" / "main"
            accuracy = round(0.9126 - 0.0031 * level - 0.0007 * (seed % 10), 4)
            files = self.level(path, init, end, masks, accuracy)
            tally.level(masks, accuracy, *files)
            for name, branch in branches.items():
                self.branch(name, level, init, masks, branch, generator)
            masks = openlth_prune(end, masks, self.fraction, self.exempt)
        if self.options.hparams:
            log = self.replicate / "level_0" / "main" / self.file("hparams", ".log")
            log.write_text(self.hparams())
        return tally.layout({name: branch.layout() for name, branch in branches.items()})

    def level(
        self, path: Path, init: State, end: State, masks: State, accuracy: float
    ) -> list[Path]:
        """Write the files of a level: masks, report, both models, log and checkpoint."""
        path.mkdir(parents=True, exist_ok=True)
        options, log = self.options, self.log(accuracy)
        files = [self.mask(path, masks)]
        if options.report:
            (path / self.file("sparsity_report", ".json")).write_text(self.report(masks))
        if options.models:
            files += self.models(path, init, end, masks)
        (path / self.file("logger", "")).write_text(log)
        if options.checkpoint:
            content = self.checkpoint(end, masks, log)
            where = path / self.file("checkpoint", ".pth")
            with numpy_one():
                files.append(save(content, where, device=options.device))
        return files

    def file(self, stem: str, ending: str) -> str:
        """Return a file name; ElasticLTH puts its suffix before the ending."""
        return f"{stem}{self.options.suffix}{ending}"

    def mask(self, path: Path, masks: State) -> Path:
        prefix = "module." if self.options.module == "everywhere" else ""
        content = {prefix + n: m.to(self.options.mask_dtype) for n, m in masks.items()}
        where = path / self.file("mask", ".pth")
        if self.options.gzip is None:
            return save(content, where, device=self.options.device)
        buffer = io.BytesIO()
        with saved_on(self.options.device):
            torch.save(content, buffer)
        where = where.with_name(where.name + self.options.gzip)
        where.write_bytes(gzip.compress(buffer.getvalue(), compresslevel=1))
        return where

    def report(self, masks: State) -> str:
        total = sum(mask.numel() for mask in masks.values())
        kept = sum(int(mask.sum()) for mask in masks.values())
        content = {"total": float(total), "unpruned": float(kept)}
        if self.options.ratio:  # a share of kept weights, whatever its name says
            content["sparsity_ratio"] = kept / total
        return json.dumps(content, indent=4)

    def models(self, path: Path, init: State, end: State, masks: State) -> list[Path]:
        """Write the model at the start and at the end, with exact zeros where it is pruned."""
        start = {n: t * masks[n] if n in masks else t for n, t in init.items()}
        prefix = "module." if self.options.module == "everywhere" else ""
        files = []
        last = self.epochs * self.per_epoch
        for iteration, state in ((self.start, start), (last, end)):
            step = f"ep{iteration // self.per_epoch}_it{iteration % self.per_epoch}"
            named = OrderedDict((prefix + name, tensor) for name, tensor in state.items())
            where = path / self.file(f"model_{step}", ".pth")
            files.append(save(named, where, device=self.options.device))
        return files

    def log(self, accuracy: float, start: int | None = None, end: int | None = None) -> str:
        """Return the log of a level: a test at the start, at each epoch and at the end.

        Half-way the accuracy is higher than at the end, so that the best is not the last.
        """
        start = self.start if start is None else start
        end = self.epochs * self.per_epoch if end is None else end
        first = -(-(start + 1) // self.per_epoch) * self.per_epoch
        steps = sorted({start, *range(first, end, self.per_epoch), end})
        rows = []
        for number, step in enumerate(steps):
            value = accuracy if step == end else accuracy - 0.1 / (number + 1)
            value = accuracy + 0.004 if number == len(steps) // 2 else value
            loss = 2.3 * (1 - value) + 0.01
            if self.options.infinite_loss and number < 2:
                loss = math.inf
            rows.append(f"test_loss,{step},{loss}")
            rows.append(f"test_accuracy,{step},{round(value, 4)}")
            rows.append(f"test_examples,{step},10000.0")
        return "\n".join(rows)

    def checkpoint(self, end: State, masks: State, log: str) -> dict[str, Any]:
        """Return a checkpoint; the epoch and the rate are numpy scalars, as in real ones."""
        prefix = "" if self.options.module == "nowhere" else "module."
        state = OrderedDict(
            (f"{prefix}mask_{name.replace('.', '___')}", mask.float())
            for name, mask in masks.items()
        )
        state.update((f"{prefix}model.{name}", tensor) for name, tensor in end.items())
        group = {
            "lr": np.float64(0.001),
            "momentum": 0.9,
            "dampening": 0,
            "weight_decay": 1e-4,
            "nesterov": False,
            "initial_lr": 0.1,
            "params": [0],
        }
        return {
            "ep": np.int64(self.epochs),
            "it": np.int64(0),
            "model_state_dict": state,
            "optimizer_state_dict": {
                "state": {0: {"momentum_buffer": None}},
                "param_groups": [group],
            },
            "logger": log,
        }

    def pretrain(self, init: State, generator: torch.Generator) -> State:
        """Write `level_pretrain/main`, which has no mask, and return its weights at the end."""
        end = trained(init, {}, generator)
        path = self.replicate / "level_pretrain" / "main"
        for iteration, state in ((0, init), (self.start, end)):
            step = f"ep{iteration // self.per_epoch}_it{iteration % self.per_epoch}"
            name = self.file(f"model_{step}", ".pth")
            save(OrderedDict(state), path / name, device=self.options.device)
        log = self.log(0.6123, start=0, end=self.start)
        (path / self.file("logger", "")).write_text(log)
        return end

    def hparams(self) -> str:
        """Return `hparams.log`: sections in the order of their fields, falsy values left out."""
        data = {"dataset_name": self.dataset, "batch_size": 128}
        model = {"model_name": self.model, "model_init": "kaiming_normal"}
        model["batchnorm_init"] = "uniform"
        pruning = {"pruning_strategy": "sparse_global", "pruning_fraction": self.fraction}
        if self.exempt:
            pruning["pruning_layers_to_ignore"] = ",".join(self.exempt)
        training = self.training(f"{self.epochs}ep")
        sections: list[tuple[str, Mapping[str, object]]] = [
            ("Dataset Hyperparameters", data),
            ("Model Hyperparameters", model),
        ]
        if self.options.rewind:
            sections.append(("Pretraining Dataset Hyperparameters", data))
            rewound = self.training(self.options.rewind)
            sections.append(("Pretraining Training Hyperparameters", rewound))
        sections += [("Pruning Hyperparameters", pruning), ("Training Hyperparameters", training)]
        lines = []
        for title, values in sections:
            lines.append(title)
            lines += [f"    * {name} => {value}" for name, value in values.items()]
        return "\n".join(lines)

    def training(self, steps: str) -> dict[str, object]:
        values: dict[str, object] = {"optimizer_name": "sgd", "lr": 0.1, "training_steps": steps}
        if self.dataset != "mnist":
            values |= {"momentum": 0.9, "milestone_steps": "80ep,120ep"}
            values |= {"gamma": 0.1, "weight_decay": 1e-4}
        return values

    # Branches.

    def branches(self) -> dict[str, str]:
        """Return folder names of branches and their kinds."""
        return {
            f"lottery_branch_{kind}_{hashlib.md5((kind + self.hparams()).encode()).hexdigest()}": (
                kind
            )
            for kind in self.options.branches
        }

    def branch(
        self,
        name: str,
        level: int,
        init: State,
        masks: State,
        tally: Tally,
        generator: torch.Generator,
    ) -> None:
        """Write a branch at a level: masks shuffled, kept, or carried to a deeper network.

        The counts of a `retrain` branch are those of its level, but it has no mask file.
        """
        kind = self.branches()[name]
        if kind == "randomly_prune":
            masks = {n: _shuffled(mask, generator) for n, mask in masks.items()}
        elif kind == "change_depth":
            masks, init = deeper(masks), deeper(init)
            tally.about = (*tally.about[:2], _deeper_name(self.model))
        elif kind == "randomly_reinitialize":
            init = trained(init, {}, generator)
        elif kind != "retrain":
            raise ValueError(f"unknown branch {kind}")
        end = trained(init, masks, generator)
        written = level in self.options.branch_levels
        accuracy = round(0.88 - 0.002 * level, 4)
        path = self.replicate / f"level_{level}" / name
        files = self.level(path, init, end, masks, accuracy) if written else []
        if written and kind == "retrain":  # uses the masks of its level and saves none
            files.pop(0).unlink()
            (path / self.file("sparsity_report", ".json")).unlink(missing_ok=True)
        tally.level(masks, accuracy, *files, written=written)


def _deeper_name(model: str) -> str:
    kind, family, depth, *width = model.split("_")
    return "_".join((kind, family, str(int(depth) + 6), *width))


def _shuffled(mask: Tensor, generator: torch.Generator) -> Tensor:
    return mask.flatten()[torch.randperm(mask.numel(), generator=generator)].reshape(mask.shape)


def _iteration(step: str, per_epoch: int) -> int:
    epochs, _, rest = step.rpartition("ep")
    return int(epochs or 0) * per_epoch + int(rest.removesuffix("it") or 0)
