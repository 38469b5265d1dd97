"""The experiment of the store that another source of the same function has made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...schemas.errors import RgtoolError
from ...schemas.recipe import Recipe
from ...schemas.records.manifest import Manifest


def other_source(store: Path, label: str, written: str, recipe: Recipe) -> tuple[str, str] | None:
    """Find the newest experiment with this recipe whose network is the same function's of before.

    Parameters
    ----------
    store : Path
        The store; it need not be there yet.
    label : str
        Name of the function, the part of the network's name before the hash.
    written : str
        The file that the function is written in, as descriptions name it.
    recipe : Recipe
        What is to be computed.

    Returns
    -------
    tuple of str or None
        The experiment, and the name of its network. What cannot be read is passed over.
    """
    own = re.compile(rf'"architecture":\s*"{re.escape(label)}-[0-9a-f]{{8}}"')
    wanted = _all_but_network(recipe.to_json())
    found: dict[str, tuple[str, str]] = {}
    for text in _descriptions(store):
        if not own.search(text):  # many stores hold none, and parsing takes its time
            continue
        try:
            values = json.loads(text)
            made, network = values["recipe"], values["recipe"]["architecture"]
            is_of_it = values["files"][0]["path"] == written and _all_but_network(made) == wanted
            if is_of_it and network != recipe.architecture:
                found[values["created_at"]] = values["experiment_id"], network
        except (ValueError, KeyError, TypeError, IndexError):
            continue
    return found[max(found)] if found else None


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
