"""The description of a run: `run.json`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import RecordError, UsageError
from .files import write_atomic
from .recipe import Recipe

VERSION = 1
_LISTS = ("files", "history", "aliases")


@dataclass(frozen=True, kw_only=True)
class Description:
    """Where a run comes from, and all that is needed to do it again.

    Attributes
    ----------
    run_id, experiment_id : str
        Identity, see `Recipe`.
    recipe_name : str
        The named recipe that the fields were resolved from.
    recipe : Recipe
        The resolved recipe.
    seed : int or None
        None in imports whose source does not tell.
    replicate : str
        Tells the runs of an experiment apart where the seed cannot.
    source : str
        `rgtool`, or the format of an import.
    levels : int
        Prunings asked for.
    parent_run : str or None
        Run whose masks or weights were used.
    scales : mapping of str to mapping of str to float
        `init` and `rewind`: root mean square of every counted layer's weights.
    versions, machine : mapping
        Code and libraries; device, threads, instruction set, determinism.
    history : tuple of str
        Levels from which on versions or machine were others, and what changed; `versions` and
        `machine` are the last.
    files : list of mapping
        Files read by an import, with their sha256.
    inferred : mapping of str to str
        What an import concluded, and from what.
    aliases : tuple of mapping
        Names under which imports have seen this run: `experiment`, `replicate`, `variant`, `seed`
        and the `levels` seen under them. The first is the one that the run bears.
    mask_digests : mapping of str to str
        In imports, a sum over the masks of each level, see `store.importers.identity`.
    created_at, updated_at : str
        Times, ISO 8601, UTC.
    """

    run_id: str
    experiment_id: str
    recipe_name: str
    recipe: Recipe
    seed: int | None
    replicate: str
    levels: int
    created_at: str
    updated_at: str
    source: str = "rgtool"
    parent_run: str | None = None
    scales: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    files: tuple[Mapping[str, str], ...] = ()
    inferred: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[Mapping[str, Any], ...] = ()
    mask_digests: Mapping[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the description as JSON, atomically."""
        values: dict[str, Any] = {"version": VERSION}
        values |= {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["recipe"] = self.recipe.to_json()
        values |= {name: list(values[name]) for name in _LISTS}
        write_atomic(path, (json.dumps(values, indent=2) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Description:
        """Read a description.

        Raises
        ------
        RecordError
            The file is damaged, incomplete or written by a newer rgtool.
        """
        try:
            text = path.read_bytes()
        except OSError as error:
            raise RecordError(f"{path}: not a description of a run ({error})") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str | bytes, where: str) -> Description:
        """Read a description from the text of `run.json`.

        Raises
        ------
        RecordError
            `where`, and what is damaged, missing or newer than this rgtool.
        """
        try:
            values = json.loads(text)
            version = values.pop("version")
            if version > VERSION:
                raise RecordError(
                    f"{where}: written by a newer rgtool (description version {version}, this one "
                    f"reads up to {VERSION}): upgrade rgtool to read it"
                )
            values["recipe"] = Recipe.from_json(values["recipe"])
            for name in _LISTS:
                values[name] = tuple(values.get(name, ()))
            description = cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
            raise RecordError(f"{where}: not a description of a run ({error})") from None
        for name, kind in (("run_id", str), ("experiment_id", str), ("levels", int)):
            if not isinstance(values[name], kind):
                raise RecordError(
                    f"{where}: not a description of a run ('{name}' is no {kind.__name__})"
                )
        return description
