"""Writes folders of state dicts and of safetensors, and tables, as anybody might have them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import foreign_networks as networks
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from foreign_layout import Layout, Tally, save
from foreign_vita import MODELS, Named, masks_of, prune_global, step
from safetensors.torch import save_file
from torch import Tensor, nn

# Folders of state dicts by anybody.


def write_generic(
    folder: Path,
    model: str = "resnet8",
    *,
    levels: int = 3,
    seed: int = 1,
    wrap: str | None = None,
    prefix: str = "",
    pattern: str = "level_{:02d}.pt",
    linear: bool = True,
    mask_dtype: torch.dtype = torch.float32,
    manifest: bool = False,
    device: str = "cpu",
) -> Layout:
    """Write a state dict a level; `wrap` is the key that holds it, if it stands in a dict.

    The network is pruned and trained on without going back, as most users do. Level 0 has no
    masks. `linear` prunes the fully connected layers too.
    """
    network = networks.seeded(MODELS[model], seed)
    generator = torch.Generator().manual_seed(seed)
    layers = generic_layers(network, linear=linear)
    tally = Tally(folder, "torch_prune", model)
    for level in range(levels + 1):
        step(network, generator)
        state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
        for name in [n for n in state if n.endswith("_mask")]:
            state[name] = state[name].to(mask_dtype)
        content = {wrap: state, "epoch": 90} if wrap else state
        path = save(content, folder / pattern.format(level), device=device)
        tally.level(masks_of(layers), _accuracy(level) if manifest else None, path)
        if level < levels:
            prune_global(layers, 0.2)
    if manifest:
        _manifest(folder, tally, model, seed)
    return tally.layout()


def _accuracy(level: int) -> float:
    return round(0.93 - 0.004 * level, 4)


def _manifest(folder: Path, tally: Tally, model: str, seed: int) -> None:
    """Write which file is which level, with its accuracy."""
    entries = [
        {"file": path.name, "level": level, "accuracy": _accuracy(level)}
        for level, path in enumerate(tally.files)
    ]
    described = {"architecture": model, "seed": seed, "levels": entries}
    (folder / "manifest.json").write_text(json.dumps(described, indent=2))


def generic_layers(network: nn.Module, *, linear: bool) -> Named:
    """Return the convolutions and, if asked, the fully connected layers."""
    kinds = (nn.Conv2d, nn.Linear) if linear else (nn.Conv2d,)
    return [(n, module) for n, module in network.named_modules() if isinstance(module, kinds)]


def generic_masks(
    model: str, levels: int, seed: int, *, linear: bool = True
) -> Iterator[dict[str, Tensor]]:
    """Yield masks of levels 0 to `levels` by the names of the weights."""
    network = networks.seeded(MODELS[model], seed)
    generator = torch.Generator().manual_seed(seed)
    layers = generic_layers(network, linear=linear)
    for _ in range(levels + 1):
        yield masks_of(layers)
        step(network, generator)
        prune_global(layers, 0.2)


def write_safetensors(
    folder: Path,
    model: str = "resnet8",
    *,
    levels: int = 3,
    seed: int = 1,
    pattern: str = "level_{:02d}.safetensors",
    ending: str = ".weight_mask",
    mask_dtype: torch.dtype = torch.uint8,
    manifest: bool = False,
) -> Layout:
    """Write the masks of a level to a safetensors file, named as in `{layer}{ending}`.

    The manifest says which file is which level, and the accuracies; `pattern` then need not hold
    the level in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tally = Tally(folder, "safetensors", model)
    for level, masks in enumerate(generic_masks(model, levels, seed)):
        path = folder / pattern.format(level)
        content = {n.removesuffix(".weight") + ending: m.to(mask_dtype) for n, m in masks.items()}
        save_file(content, path)
        tally.level(masks, _accuracy(level) if manifest else None, path)
    if manifest:
        _manifest(folder, tally, model, seed)
    return tally.layout()


# Tables.

COLUMNS = ("experiment", "seed", "level", "group", "kept", "total", "accuracy")
GROUPS = {"stem": 432, "1.0": 4608, "2.0": 14336, "3.0": 57344, "head": 640}


def write_table(
    path: Path,
    *,
    experiments: tuple[str, ...] = ("dense-first",),
    seeds: tuple[int, ...] = (0, 1),
    levels: int = 4,
    accuracy: bool = True,
    groups: dict[str, int] | None = None,
) -> dict[tuple[str, int], Layout]:
    """Write a CSV or Parquet table, by the ending of `path`; return layouts by run.

    Each group keeps its own share a level, so that groups differ; stem and head keep more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str | int | float, ...]] = []
    layouts = {}
    for experiment in experiments:
        for seed in seeds:
            layouts[experiment, seed] = layout = _table_run(path, seed, levels, groups or GROUPS)
            rows += [
                (experiment, seed, level, group, kept, layout.totals[group], reached)
                for level, reached in enumerate(layout.accuracy)
                for group, kept in ((g, counts[level]) for g, counts in layout.layers.items())
            ]
    columns = COLUMNS if accuracy else COLUMNS[:-1]
    if path.suffix == ".parquet":
        values = list(zip(*rows, strict=True))
        pq.write_table(pa.table({n: list(v) for n, v in zip(columns, values, strict=False)}), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(row[: len(columns)] for row in rows)
    return layouts


def _table_run(path: Path, seed: int, levels: int, groups: dict[str, int]) -> Layout:
    counts = {}
    every = range(levels + 1)
    for place, (group, total) in enumerate(groups.items()):
        share = 0.78 + 0.02 * abs(2 * place - len(groups) + 1) / len(groups) + 0.001 * seed
        counts[group] = [round(total * share**level) for level in every]
    return Layout(
        folder=path.parent,
        format="table",
        architecture="",
        kept=tuple(sum(kept) for kept in zip(*counts.values(), strict=True)),
        layers=counts,
        totals=dict(groups),
        accuracy=tuple(
            round(0.91 - 0.003 * level - 0.001 * seed, 4) for level in range(levels + 1)
        ),
        written=tuple(range(levels + 1)),
        files=(path,),
    )
