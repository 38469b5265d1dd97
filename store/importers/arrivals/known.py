"""The imports that a store holds, found by the masks of their levels."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ....schemas.blocks import GROUP
from ....schemas.errors import RecordError
from ....schemas.records.description import OWN, Description
from ....schemas.records.layout import RunFolder
from ....schemas.tensors.safetensors import read_mask
from ..identity import Alias, Content, Mark, counts_digest, mask_digest, same_run


class Known:
    """Every import of a store, with the sums over its masks.

    What this process adds is told by `add`. What others add is noticed by `refresh`, which looks at
    the files of descriptions and reads those that are new. Masks themselves are read only of runs
    whose description has no sums (rgtool 0.1.0 wrote none), and of those only where the counts of a
    level agree.

    Parameters
    ----------
    store : Path
        The store.

    Attributes
    ----------
    contents : dict of str to Content
        What tells each run apart, by id.
    experiments : dict of str to str
        The experiment of each.
    settled : set of str
        Runs that this process has brought in or met.
    followed : dict of str to Description
        Runs that have followed another to its experiment and were not met since, as they were
        before.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.contents: dict[str, Content] = {}
        self.experiments: dict[str, str] = {}
        self.settled: set[str] = set()
        self.followed: dict[str, Description] = {}
        self._parents: dict[str, tuple[str | None, str | None]] = {}
        self._by_mark: dict[Mark, set[str]] = {}
        self._by_name: dict[tuple[str, str, str], set[str]] = {}
        self._old: dict[str, frozenset[tuple[int, int, int]]] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._load()

    # What is there.

    def _load(self) -> None:
        from ...sql.reading import Reader

        self._seen = self._stamps()
        columns = (
            "run_id, experiment_id, source, replicate, seed, origin, aliases, mask_digests, "
            "parent, parent_run"
        )
        query = f"SELECT {columns} FROM runs WHERE source <> '{OWN}'"
        reader = Reader(self.store)
        rows = reader.run(lambda c: c.execute(query).fetchall(), wanted=("runs",))
        for row in rows:
            values = dict(zip(columns.split(", "), row, strict=True))
            for name, empty in (("aliases", "[]"), ("mask_digests", "{}")):
                values[name] = json.loads(values[name] or empty)
            self._take(values)
        if without := [run_id for run_id, found in self.contents.items() if not found.digests]:
            self._old = self._counted(reader, without)

    def _counted(
        self, reader: Any, runs: Iterable[str]
    ) -> dict[str, frozenset[tuple[int, int, int]]]:
        """Return level, total and kept weights of every level at which something is pruned."""
        query = """SELECT run_id, list((level, network_total, network_kept)) FROM levels
                   WHERE network_kept < network_total GROUP BY run_id"""
        found = reader.run(
            lambda c: c.execute(query).fetchall(), only=list(runs), wanted=("levels",)
        )
        return {run_id: frozenset(map(tuple, rows)) for run_id, rows in found}

    def refresh(self) -> None:
        """Take in what has been added or changed since."""
        stamps = self._stamps()
        for run_id, stamp in stamps.items():
            if self._seen.get(run_id) != stamp:
                with contextlib.suppress(RecordError):  # a broken one is left out everywhere
                    self.add(RunFolder.of(self.store, run_id).read_description())
        self._seen = stamps

    def add(self, description: Description | None) -> None:
        """Take in a run by its description."""
        if description is None or description.source == OWN:
            return
        values = {f.name: getattr(description, f.name) for f in dataclasses.fields(description)}
        recipe = description.recipe
        self._take({**values, "origin": recipe.origin, "parent": recipe.parent})

    def _take(self, values: Mapping[str, Any]) -> None:
        digests = {int(level): str(digest) for level, digest in values["mask_digests"].items()}
        self.experiments[values["run_id"]] = values["experiment_id"]
        self._parents[values["run_id"]] = values["parent"], values["parent_run"]
        self._keep(values["run_id"], Content(digests, _aliases(values)))

    def _keep(self, run_id: str, content: Content) -> None:
        if run_id in self.contents:
            self._by_name[self.contents[run_id].aliases[0].key].remove(run_id)
        self.contents[run_id] = content
        self._by_name.setdefault(content.aliases[0].key, set()).add(run_id)
        for mark in content.marks:
            self._by_mark.setdefault(mark, set()).add(run_id)

    def _stamps(self) -> dict[str, tuple[int, int, int]]:
        """Return what changes with every description: its size, time and inode."""
        stamps = {}
        runs = self.store / "runs"
        with contextlib.suppress(FileNotFoundError), os.scandir(runs) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if not entry.name.startswith("."):
                        found = os.stat(f"{entry.path}{os.sep}run.json")  # noqa: PTH116 once a run
                        stamps[entry.name] = (found.st_size, found.st_mtime_ns, found.st_ino)
        return stamps

    # What is asked.

    def taken(self, run_id: str) -> bool:
        """Whether a run bears this id, or lies in its folder."""
        return run_id in self.contents or (self.store / "runs" / run_id).exists()

    def find(self, content: Content, counts: Mapping[int, tuple[int, int]]) -> str | None:
        """Return the run that this content is; None where it is none of them.

        Parameters
        ----------
        content : Content
            Of the run that comes in.
        counts : mapping of int to (int, int)
            Total and kept weights of its levels.

        Where it may be several, names go first, then replicates that are told, then the number of
        common levels, then the lowest id.
        """
        self._sum_up(counts)
        fits = [run_id for run_id in self._candidates(content) if self._fits(run_id, content)]
        return min(fits, key=lambda run_id: self._rank(run_id, content), default=None)

    def bearing(self, alias: Alias) -> list[str]:
        """List the runs that bear a name, by id."""
        return sorted(self._by_name.get(alias.key, ()))

    def twins(self, content: Content) -> list[str]:
        """List runs whose masks are all those of a content, and that are other runs than it.

        A branch that has the masks of its run, or of another branch, is no surprise.
        """
        return sorted(
            run_id
            for run_id in self._candidates(content)
            if content.agreeing(self.contents[run_id]) == content.pruned
            and not content.differs_at(self.contents[run_id])
            and content.aliases[0].variant == self.contents[run_id].aliases[0].variant
        )

    def children(self, run: Description) -> list[str]:
        """List the children of a run that an experiment is parent of which it was of before.

        A child that names no run but an experiment stays as long as other runs are of that.
        """
        left = {one for one in run.former if one not in self.experiments.values()}
        return sorted(
            run_id
            for run_id, (experiment, of) in self._parents.items()
            if experiment not in (None, run.experiment_id)
            and (of == run.run_id or (of is None and experiment in left))
        )

    def _candidates(self, content: Content) -> set[str]:
        return set().union(*(self._by_mark.get(mark, set()) for mark in content.sought))

    def _fits(self, run_id: str, content: Content) -> bool:
        known = self.contents[run_id]
        if not same_run(content, known):
            return False
        if content.named_as(known):
            return True
        told = Content(known.digests, known.aliases, self.accuracies(run_id, content))
        return same_run(content, told)

    def _rank(self, run_id: str, content: Content) -> tuple[bool, bool, bool, int, str]:
        known, own = self.contents[run_id], content.aliases[0]
        return (
            not own.agrees(known.aliases[0]),
            not content.named_as(known),
            all(own.replicate != alias.replicate for alias in known.aliases),
            -len(content.agreeing(known)),
            run_id,
        )

    def accuracies(self, run_id: str, content: Content) -> dict[int, float | None]:
        """Return what a run has recorded at the levels of which a content tells the accuracy."""
        folder = RunFolder.of(self.store, run_id)
        found: dict[int, float | None] = {}
        told = {level for level, value in content.accuracies.items() if value is not None}
        for level in told & self.contents[run_id].digests.keys():
            with contextlib.suppress(RecordError):
                found[level] = folder.read_record(level)["accuracy"][0].as_py()
        return found

    # Stores of rgtool 0.1.0.

    def _sum_up(self, counts: Mapping[int, tuple[int, int]]) -> None:
        """Sum up the masks of old runs that share the counts of a level."""
        wanted = {(level, total, kept) for level, (total, kept) in counts.items()}
        for run_id in [r for r, found in self._old.items() if not found.isdisjoint(wanted)]:
            del self._old[run_id]
            digests = digests_of(RunFolder.of(self.store, run_id))
            self._keep(run_id, dataclasses.replace(self.contents[run_id], digests=digests))


def digests_of(folder: RunFolder) -> dict[int, str]:
    """Sum up the levels of a run in a store from its masks, or the counts of a table.

    A level whose files cannot be read is not among them.
    """
    found = {}
    for level in folder.recorded_levels():
        with contextlib.suppress(RecordError, FileNotFoundError):
            table = folder.read_record(level)
            names = table["source_layer"].to_pylist()
            if set(table["kind"].to_pylist()) == {GROUP}:
                columns = (table[name].to_pylist() for name in ("total", "kept"))
                found[level] = counts_digest(names, *columns)
                continue
            masks = read_mask(folder.mask(level))
            layers = zip(names, table["layer"].to_pylist(), strict=True)
            found[level] = mask_digest({name: masks[layer] for name, layer in layers})
    return found


def _aliases(values: Mapping[str, Any]) -> tuple[Alias, ...]:
    """Return the names of a run; one that rgtool 0.1.0 imported has the name of its study."""
    if values["aliases"]:
        return tuple(Alias.of(alias) for alias in values["aliases"])
    experiment, seed = values["origin"] or "", values["seed"]
    told = seed is not None or values["replicate"] != "0"
    variant = experiment.partition("/")[2] if values["source"] == "openlth" else ""
    return (Alias(experiment, values["replicate"] if told else "", variant, seed),)
