"""Small genuine-looking runs in every foreign format, the ground that hostile elements are laid on.

All runs have the same four masks of a ResNet-8 with four channels (BERT: of a BERT with eight
hidden units), so a test knows what a sound importer may read from any of them.
"""

from __future__ import annotations

import functools
import json
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from rgtool.schemas.blocks import architecture

ARCHITECTURE, TASK = "resnet8w4", "cifar10"
# What Chen et al. 2021a prune of it: the convolutions without the stem.
INNER = "resnet8w4-inner"
LEVELS = (0, 1, 2, 3)
Masks = dict[str, Any]
Alter = Callable[[int, Masks], Mapping[Any, Any]]


def shapes(network: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the pruned weights by canonical name."""
    if network == INNER:
        layers = architecture(ARCHITECTURE).counted("convolutions_without_stem")
        return {layer.name: layer.shape for layer in layers}
    if network != "bert":
        return {layer.name: layer.shape for layer in architecture(network).counted()}
    inner = {
        "attention.self.query": (8, 8),
        "attention.self.key": (8, 8),
        "attention.self.value": (8, 8),
        "attention.output.dense": (8, 8),
        "intermediate.dense": (32, 8),
        "output.dense": (8, 32),
    }
    names = {f"bert.encoder.layer.{i}.{n}": s for i in range(12) for n, s in inner.items()}
    return {**names, "bert.pooler.dense": (8, 8)}


@functools.cache
def _ranks(network: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.uniform(size=shape) for name, shape in shapes(network).items()}


def genuine(level: int, network: str = ARCHITECTURE) -> dict[str, np.ndarray]:
    """Masks of a level: each level keeps 80 % of what the one before kept."""
    return {name: (rank < 0.8**level).astype(np.int32) for name, rank in _ranks(network).items()}


def network_of(layout: str) -> str:
    """Name the network of a layout; tables count all layers."""
    return LAYOUTS[layout].network if layout in LAYOUTS else ARCHITECTURE


def kept(level: int, network: str = ARCHITECTURE) -> int:
    return sum(int(mask.sum()) for mask in genuine(level, network).values())


def weights(level: int, network: str = ARCHITECTURE) -> dict[str, torch.Tensor]:
    masks = genuine(level, network)
    return {name: torch.from_numpy((rank - 0.5) * masks[name]).float()
            for name, rank in _ranks(network).items()}  # fmt: skip


def unaltered(level: int, masks: Masks) -> Masks:
    return masks


# Genuine runs as they were first written: hundreds of cases begin with one.
_WRITTEN: dict[str, dict[str, bytes]] = {}


@dataclass(frozen=True)
class Layout:
    """One format: where its masks lie and how they are written.

    Attributes
    ----------
    place : callable
        Path of a level's mask file, relative to the folder that is imported.
    save : callable
        Writes altered masks (name -> tensor) of a level to a path.
    aside : callable
        Writes what lies beside the masks of a level: `(root, level)`.
    levels : tuple of int
        Levels that have a mask file.
    """

    name: str
    place: Callable[[int], str]
    save: Callable[[Path, int, Mapping[Any, Any]], None]
    aside: Callable[[Path, int], None] = lambda root, level: None
    levels: tuple[int, ...] = LEVELS
    network: str = ARCHITECTURE

    def write(self, root: Path, alter: Alter = unaltered) -> None:
        """Lay the run under `root`, each level's masks passed through `alter`."""
        if alter is unaltered and self.name in _WRITTEN:
            for file, data in _WRITTEN[self.name].items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_bytes(data)
            return
        fresh = not (root.exists() and any(root.iterdir()))
        for level in self.levels:
            path = root / self.place(level)
            path.parent.mkdir(parents=True, exist_ok=True)
            masks = {k: torch.from_numpy(v) for k, v in genuine(level, self.network).items()}
            self.save(path, level, alter(level, masks))
            self.aside(root, level)
        if alter is unaltered and fresh:
            files = [path for path in root.rglob("*") if path.is_file()]
            _WRITTEN[self.name] = {str(p.relative_to(root)): p.read_bytes() for p in files}


def renamed(masks: Mapping[Any, Any], rename: Callable[[str], str]) -> OrderedDict[Any, Any]:
    """Apply the names of a format; what is no string goes through as it is."""
    return OrderedDict((rename(k) if isinstance(k, str) else k, v) for k, v in masks.items())


def openlth_name(name: str) -> str:
    name = re.sub(r"^layer(\d)\.0\.", lambda m: f"blocks.{int(m[1]) - 1}.", name)
    name = name.replace("downsample", "shortcut")
    return {"conv1": "conv"}.get(name, name) + ".weight"


OPENLTH_ROOT = "lottery_0123456789abcdef0123456789abcdef/replicate_1"


def openlth_folder(level: int) -> str:
    return f"{OPENLTH_ROOT}/level_{level}/main"


HPARAMS = """Dataset Hyperparameters
    * dataset_name => cifar10
    * batch_size => 128
Model Hyperparameters
    * model_name => cifar_resnet_8_4
    * model_init => kaiming_normal
    * batchnorm_init => uniform
Pruning Hyperparameters
    * pruning_strategy => sparse_global
    * pruning_fraction => 0.2
Training Hyperparameters
    * optimizer_name => sgd
    * lr => 0.1
    * training_steps => 160ep"""


def _openlth_save(path: Path, level: int, masks: Mapping[Any, Any]) -> None:
    torch.save(dict(renamed(masks, openlth_name)), path)


def _openlth_aside(root: Path, level: int) -> None:
    folder = root / openlth_folder(level)
    state = renamed(weights(level), openlth_name)
    for point in ("ep0_it0", "ep160_it0"):
        torch.save(state, folder / f"model_{point}.pth")
    (folder / "logger").write_text("test_accuracy,0,0.1\ntest_accuracy,62560,0.9")
    report = {"total": float(kept(0)), "unpruned": float(kept(level))}
    (folder / "sparsity_report.json").write_text(json.dumps(report))
    if level == 0:
        (folder / "hparams.log").write_text(HPARAMS)


def _state(level: int, masks: Mapping[Any, Any], prefix: str, network: str) -> dict[Any, Any]:
    """State dict of `torch.nn.utils.prune`; level 0 was not pruned yet, so it has no masks."""
    state: dict[Any, Any] = {}
    for name, value in weights(0).items():
        pruned = level and name in shapes(network)
        state[f"{prefix}{name}.weight{'_orig' * bool(pruned)}"] = value
    for name, mask in masks.items() if level else ():
        key = f"{prefix}{name}.weight_mask" if isinstance(name, str) else name
        state[key] = mask.float() if _plain(mask) else mask
    return state


def _plain(mask: object) -> bool:
    """Whether a mask is genuine, to be cast as its format does; hostile ones stay as they are."""
    return isinstance(mask, torch.Tensor) and mask.dtype == torch.int32


def _cv_lth_save(path: Path, level: int, masks: Mapping[Any, Any]) -> None:
    state = _state(level, masks, "", INNER)
    result = {"train": [80.0], "test_ta": [89.0], "ta": [90.0]}
    loaded = {"state": level, "result": result, "epoch": 182, "best_sa": 89.0, "optimizer": {}}
    torch.save({**loaded, "state_dict": state, "init_weight": _state(0, {}, "", INNER)}, path)


def _moco_save(path: Path, level: int, masks: Mapping[Any, Any]) -> None:
    state = _state(level, masks, "module.encoder_q.", INNER)
    torch.save({"epoch": 10 * level, "arch": "resnet50", "state_dict": state}, path)


def _simclr_save(path: Path, level: int, masks: Mapping[Any, Any]) -> None:
    state = _state(level, masks, "module.", INNER)
    torch.save({"epoch": 10 * level, "state_dict": state}, path)


def _bert_save(path: Path, level: int, masks: Mapping[Any, Any]) -> None:
    torch.save({f"{k}.weight_mask" if isinstance(k, str) else k: v.float() if _plain(v) else v
                for k, v in masks.items()}, path)  # fmt: skip


def _bert_aside(root: Path, level: int) -> None:
    folder = root / f"checkpoint-{1000 * level}"
    state = {f"{k}.weight": v for k, v in weights(level - 1, "bert").items()}
    torch.save(state, folder / "model.pt")
    torch.save({"acc": 0.9}, folder / "result.pt")
    (folder / "eval_results.txt").write_text("acc = 0.9\n")


def _generic_save(path: Path, level: int, masks: Mapping[Any, Any]) -> None:
    state = _state(max(level, 1), masks, "", ARCHITECTURE)
    torch.save(state, path)


def _safetensors_save(path: Path, level: int, masks: Mapping[Any, Any]) -> None:
    save_file({f"{k}.weight_mask": v.to(torch.uint8) if _plain(v) else v
               for k, v in masks.items()}, path)  # fmt: skip


def _rahul_place(level: int) -> str:
    return f"dumps/lt/resnet8w4/cifar10/lt_mask_{100 * 0.8**level:.1f}.pkl"


def _rahul_save(path: Path, level: int, masks: Mapping[Any, Any]) -> None:
    path.write_bytes(pickle.dumps([v.numpy() if _plain(v) else v for v in masks.values()]))


def _rahul_aside(root: Path, level: int) -> None:
    folder = root / "dumps/lt/resnet8w4/cifar10"
    (folder / "lt_bestaccuracy.dat").write_bytes(pickle.dumps(np.array([90.0, 89.0, 88.0, 87.0])))
    (folder / "lt_compression.dat").write_bytes(
        pickle.dumps(np.array([100 * 0.8**n for n in LEVELS]))
    )


def table_rows() -> list[dict[str, Any]]:
    """Rows of the table formats: a group a row."""
    totals = {name: int(mask.size) for name, mask in genuine(0).items()}
    return [
        {"experiment": "a", "seed": 0, "level": level, "group": name, "kept": int(mask.sum()),
         "total": totals[name], "accuracy": 0.9}
        for level in LEVELS
        for name, mask in genuine(level).items()
    ]  # fmt: skip


def csv_text(rows: list[dict[str, Any]]) -> str:
    lines = [",".join(rows[0]), *(",".join(str(v) for v in row.values()) for row in rows)]
    return "\n".join(lines) + "\n"


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


TORCH_LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("openlth", lambda n: f"{openlth_folder(n)}/mask.pth", _openlth_save, _openlth_aside),
        Layout("cv_lth", lambda n: f"{n}checkpoint.pth.tar", _cv_lth_save,
               network=INNER),
        Layout("moco", lambda n: f"checkpoint_{10 * n - 1:04d}.pth.tar", _moco_save,
               levels=(1, 2, 3), network=INNER),
        Layout("simclr", lambda n: f"model_{10 * n}.pt", _simclr_save, levels=(1, 2, 3),
               network=INNER),
        Layout("bert", lambda n: f"checkpoint-{1000 * n}/mask.pt", _bert_save, _bert_aside,
               levels=(1, 2, 3), network="bert"),
        Layout("generic", lambda n: f"level_{n:02d}.pt", _generic_save),
    )
}  # fmt: skip
LAYOUTS = {
    **TORCH_LAYOUTS,
    "safetensors": Layout("safetensors", lambda n: f"level_{n:02d}.safetensors", _safetensors_save),
    "rahul": Layout("rahul", _rahul_place, _rahul_save, _rahul_aside),
}
