"""Experiments of the store that another source of the same function has made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...schemas.errors import RgtoolError
from ...schemas.recipe import Recipe
from ...schemas.records.manifest import Manifest


def other_sources(store: Path, label: str, recipe: Recipe) -> dict[str, str]:
    """Find experiments with this recipe whose network is the same function's of other source.

    Parameters
    ----------
    store : Path
        The store; it need not be there yet.
    label : str
        Name of the function, the part of the network's name before the hash.
    recipe : Recipe
        What is to be computed.

    Returns
    -------
    dict of str to str
        Names of their networks by experiment. What cannot be read is passed over.
    """
    own = re.compile(rf'"architecture":\s*"{re.escape(label)}-[0-9a-f]{{8}}"')
    wanted = _all_but_network(recipe.to_json())
    found: dict[str, str] = {}
    for text in _descriptions(store):
        if not own.search(text):  # many stores hold none, and parsing takes its time
            continue
        try:
            made, experiment = json.loads(text)["recipe"], json.loads(text)["experiment_id"]
            network = made["architecture"]
        except (ValueError, KeyError, TypeError):
            continue
        if network != recipe.architecture and _all_but_network(made) == wanted:
            found[experiment] = network
    return found


def _all_but_network(recipe: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name != "architecture"}


def _descriptions(store: Path) -> Iterator[str]:
    """Yield the texts of all descriptions, loose and compacted."""
    for path in sorted((store / "runs").glob("*/run.json")):
        try:
            yield path.read_text()
        except (OSError, UnicodeDecodeError):
            continue
    try:
        files = Manifest.read(store).description_files
    except RgtoolError:
        return
    import pyarrow.parquet as pq

    for path in files:
        try:
            yield from pq.read_table(path, columns=["text"])["text"].to_pylist()
        except (OSError, ValueError):
            continue
