"""Naive readers, each with the faults that a careful importer must not have.

For the victim process of `hostile_victim` alone: several of them execute what they read.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import pickle
import re
import sqlite3
import struct
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

torch.set_num_threads(1)


def count(masks: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Count kept weights the naive way (a sum), and the honest way (values that are 1)."""
    total, ones, others, names = 0.0, 0, 0, []
    for name, mask in masks:
        names.append(str(name))
        values = torch.as_tensor(mask)
        # A copy of the type that can hold any sum, as a naive program makes it.
        total += float(values.to(torch.float64).sum())
        ones += int((values == 1).sum())
        others += int(((values != 0) & (values != 1)).sum())
    return {
        "sum": str(total),
        "ones": ones,
        "others": others,
        "names": [ascii(n[:99]) for n in names],
    }


def masks_of(loaded: Any) -> list[tuple[Any, Any]]:
    if isinstance(loaded, dict) and "state_dict" in loaded:
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        return list(enumerate(loaded))
    named = [(k, v) for k, v in loaded.items() if "_orig" not in str(k)]
    return [(k, v) for k, v in named if str(k).endswith("_mask")] or named


def torch_file(path: Path) -> dict[str, Any]:
    return count(masks_of(torch.load(path, weights_only=False, map_location="cpu")))


def torch_beside_modules(path: Path) -> dict[str, Any]:
    """As a script does that lies beside the checkpoints: its folder is on the module path."""
    sys.path.insert(0, str(path.parent))
    return torch_file(path)


def torch_gzipped(path: Path) -> dict[str, Any]:
    return count(masks_of(torch.load(io.BytesIO(gzip.decompress(path.read_bytes())),
                                     weights_only=False)))  # fmt: skip


def gunzip_twice(path: Path) -> dict[str, Any]:
    return {"size": len(gzip.decompress(gzip.decompress(path.read_bytes())))}


def pickled(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return count(masks_of(pickle.load(file)))


def numpy_file(path: Path) -> dict[str, Any]:
    loaded = np.load(path, allow_pickle=True)
    arrays = [loaded] if isinstance(loaded, np.ndarray) else [loaded[k] for k in loaded.files]
    return count(enumerate(arrays))


class _Lenient(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        return pid


def every_pickle_in_zip(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".pkl"):
                # Genuine entries need torch's own storages: they fail here, and no matter.
                with contextlib.suppress(Exception):
                    _Lenient(io.BytesIO(archive.read(entry))).load()
    return {}


def every_zip_entry(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        held = [archive.read(entry) for entry in archive.infolist()]
    return {"size": sum(map(len, held))}


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def walk(path: Path) -> dict[str, Any]:
    """Look for masks in whatever nesting was stored."""
    return {"leaves": len(_leaves(torch.load(path, weights_only=False)))}


def export(path: Path) -> dict[str, Any]:
    """Write a file and a row of a database per layer, named after the layer."""
    loaded = masks_of(torch.load(path, weights_only=False))
    here = path.parent.resolve()
    names = [name.removesuffix(".weight_mask").removesuffix(".weight") for name, _ in loaded]
    outside = [name for name in names if not (here / name).resolve().is_relative_to(here)]
    for name in set(names) - set(outside):
        (here / f"{name}.").open("xb").close()
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE layers (name TEXT)")
        for name in names:
            database.executescript(f"INSERT INTO layers VALUES ('{name}')")
        database.execute("SELECT * FROM layers")
    raw = [name for name in names if not name.isprintable() or not name]
    return {"raw": len(raw), "outside": len(outside), "layers": len(names)}


def two_levels(path: Path, later: Path) -> dict[str, Any]:
    """Compare the masks of a level, layer by layer, with those of a later one."""
    load = load_file if path.suffix == ".safetensors" else torch.load
    first, second = dict(masks_of(load(path))), dict(masks_of(load(later)))
    regrown = sum(int((second[name] > first[name]).sum()) for name in first)
    return {"regrown": regrown, "new": len(set(second) - set(first))}


def safetensors_file(path: Path) -> dict[str, Any]:
    """Read safetensors by the page that describes the format, no value checked."""
    types = {"U8": np.uint8, "BOOL": np.uint8, "F32": np.float32, "I32": np.int32, "F64": float}
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        body = file.read()
    masks = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        flat = np.frombuffer(body[start:end], types[entry["dtype"]])
        masks[name] = np.resize(flat, entry["shape"])
    return count(masks.items())


def levels(path: Path) -> dict[str, Any]:
    """Number the levels by their names and make a table with a row for each."""
    found = [re.search(r"level_(-?\w+?)(?:\.|$)", p.name) for p in sorted(path.iterdir())]
    numbers = [int(m[1]) for m in found if m]
    rows: list[str | None] = [None] * (max(numbers) + 1)
    for number in numbers:
        rows[number] = "read"
    return {"files": len(numbers), "rows": sum(row is not None for row in rows)}


def manifest(path: Path) -> dict[str, Any]:
    entries = json.loads(path.read_text())["levels"]
    files = [path.parent / entry["file"] for entry in entries]
    outside = [f for f in files if not f.resolve().is_relative_to(path.parent.resolve())]
    rows = [0.0] * (max(int(entry["level"]) for entry in entries) + 1)
    for entry, file in zip(entries, files, strict=True):
        rows[int(entry["level"])] = float(entry["accuracy"])
        file.read_bytes()
    wrong = [a for a in rows if not 0 <= a <= 1]
    same = len(entries) != len({int(entry["level"]) for entry in entries})
    return {"outside": len(outside), "wrong": len(wrong), "same": same}


def _table(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    seen: dict[Any, float] = {}
    wrong = formulas = 0
    for row in rows:
        key = (row["experiment"], row["seed"], int(row["level"]), row["group"])
        kept, total = float(row["kept"]), float(row["total"])
        earlier = seen.get((*key[:2], key[2] - 1, key[3]), kept)
        # Sums over a network have to stay exact.
        sound = 0 <= kept <= min(total, earlier) and kept.is_integer() and 0 < total < 2**53
        sound = sound and 0 <= float(row["accuracy"]) <= 1 and key not in seen and key[2] >= 0
        # Such text becomes a file name, a line of a terminal or a cell of a spreadsheet.
        formulas += not re.fullmatch(r"[\w.]+", str(row["group"]))
        wrong += not sound
        seen[key] = kept
    return {"wrong": wrong, "formulas": formulas}


def csv_table(path: Path) -> dict[str, Any]:
    with path.open(newline="") as file:
        return _table(csv.DictReader(file))


def parquet_table(path: Path) -> dict[str, Any]:
    return _table(pq.read_table(path).to_pylist())


def logger(path: Path) -> dict[str, Any]:
    """The last accuracy of OpenLTH's `logger`."""
    accuracy = 0.0
    for line in path.read_text().splitlines():
        name, _, value = line.split(",")
        if name == "test_accuracy":
            accuracy = float(value)
    return {"wrong": not 0 <= accuracy <= 1}


def hparams(path: Path) -> dict[str, Any]:
    lines = path.read_text().splitlines()
    pairs = [line.split(" => ") for line in lines if line.startswith("    * ")]
    values = {key: value for key, value in pairs}
    wrong = values["    * model_name"] != "cifar_resnet_8_4"
    raw = not all(value.isprintable() and len(value) < 1000 for value in values.values())
    return {"wrong": wrong or raw or not 0 < float(values["    * pruning_fraction"]) < 1}


def report(path: Path) -> dict[str, Any]:
    """Believe `sparsity_report.json` what it says of the mask beside it."""
    says = json.loads(path.read_text())
    held = int(count(torch.load(path.parent / "mask.pth").items())["ones"])
    return {"wrong": int(says["unpruned"]) != held}


def number(path: Path) -> dict[str, Any]:
    """The accuracy in BERT-Tickets' `eval_results.txt`."""
    return {"wrong": not 0 <= float(path.read_text().split(" = ")[1]) <= 1}


LOADERS: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (
        torch_file, torch_beside_modules, torch_gzipped, gunzip_twice, pickled, numpy_file,
        every_pickle_in_zip, every_zip_entry, walk, export, two_levels, safetensors_file, levels,
        manifest, csv_table, parquet_table, logger, hparams, report, number,
    )
}  # fmt: skip
