"""From a run that was found to records: which run it is, and what of it is new.

A run is read and put together in a folder of its own and takes its place in one rename, so that a
run which turns out to contradict itself, or an import that is killed, leaves the store as it was. A
run that is there already gains the levels it lacks in the same way: checked first, moved into place
afterwards. Which run it is, is decided under the lock of imports.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...schemas.blocks import Architecture
from ...schemas.description import SEEN, UNKNOWN, Description
from ...schemas.errors import UsageError
from ...schemas.files import flush_tree
from ...schemas.layout import RunFolder
from ...schemas.published_recipes import fields_of
from ...schemas.recipe import Recipe
from .found import FoundRun, Refused, escaped, printable
from .identity import Alias, Content, new_id, with_name
from .incoming import Incoming
from .known import Known
from .levels import Steps, adopt
from .provenance import FileEntry, copy_weights, entries, scales
from .report import Choices, ImportedRun
from .staging import Staging


def ingest(
    staging: Staging, found: FoundRun, choices: Choices, on_level: Callable[[int], None]
) -> ImportedRun:
    """Bring one run that was found into a store: the levels that it lacks.

    Parameters
    ----------
    staging : Staging
        The store.
    found : FoundRun
        The run.
    choices : Choices
        What the user says.
    on_level : callable
        Called with each level when it is read.

    Raises
    ------
    Refused
        Levels contradict one another, or those that are there.
    Locked
        Another process has been importing for too long.
    StoreError
        The store cannot be read.
    OSError
        The disk is full or not writable; the store is as it was.
    """
    with staging.run() as folder:
        incoming = Incoming(found, choices, folder, on_level)
        if max(incoming.levels) == 0:
            raise Refused(incoming.why_nothing())
        read = [level for level in found.levels if level.level in incoming.levels]
        files = {level.level: entries(found, level.files) for level in read}
        with staging.decision() as known:
            give_back_name(staging.store, known, incoming.content)
            one = _Arrival(staging.store, known, incoming, folder, files, choices)
            run_id = known.find(incoming.content, incoming.counts)
            return one.mint() if run_id is None else one.grow(run_id)


@dataclass(frozen=True)
class _Arrival:
    """A run that has been read, at the door of the store."""

    store: Path
    known: Known
    incoming: Incoming
    staged: RunFolder
    files: Mapping[int, Sequence[FileEntry]]
    choices: Choices

    def mint(self) -> ImportedRun:
        """Make a run of its own of it."""
        incoming, found, content = self.incoming, self.incoming.found, self.incoming.content
        exempt = _exempt(incoming)
        recipe, told = self._recipe(exempt)
        self._note_bearers(recipe, content.aliases[0])
        starts = [path for start in found.starts.values() for path in start.files]
        now = _now()
        description = Description(
            run_id=new_id(found.format, content, self.known.taken),
            experiment_id=recipe.experiment_id,
            recipe_name=self.choices.recipe or found.recipe_name or UNKNOWN,
            recipe=recipe,
            seed=found.seed,
            replicate=found.replicate or "0",
            levels=max(incoming.levels),
            source=found.format,
            created_at=now,
            updated_at=now,
            scales=scales(found, incoming.network, incoming.notes),
            files=_last_of_each_path(self._files(incoming.levels), entries(found, starts)),
            inferred=incoming.inferred,
            told=told,
            aliases=tuple(alias.to_json() for alias in content.aliases),
            mask_digests=_texts(content.digests),
        )
        folder = RunFolder.of(self.store, description.run_id)
        copy_weights(found, incoming.network, self.choices.keep, self.staged, incoming.notes)
        Steps(folder, self.staged, incoming.network, exempt, (), incoming.levels).write()
        description.write(self.staged.description, flush=False)
        flush_tree(self.staged.path)  # all of it, before it takes its place
        self.staged.path.replace(folder.path)
        self.known.add(description)
        return self._imported(description, (), sorted(incoming.levels))

    def grow(self, run_id: str) -> ImportedRun:
        """Bring a run that is there the levels that it lacks, and a name that it does not have."""
        incoming, content = self.incoming, self.incoming.content
        folder = RunFolder.of(self.store, run_id)
        old = folder.read_description()
        if old is None:
            raise Refused(f"run {run_id} was removed while this was imported: import it again")
        known, there = self.known.contents[run_id], folder.recorded_levels()
        new = [n for n in incoming.levels if n not in there]
        self._note_changes(old, there)
        if not content.named_as(known):
            incoming.notes.append(f"it is the run of '{known.aliases[0].experiment}': same masks")
        if new:
            self._add(folder, there, new)
        start, told = self._new_start(old), self._told_of(old)
        aliases = with_name(known.aliases, content.aliases[0])
        # What rgtool 0.1.0 wrote has no names and stays as it is as long as nothing is to be told.
        if (
            new
            or told != old.told
            or (aliases != known.aliases and (old.aliases or len(aliases) > 1))
        ):
            folder.make()
            recipe = dataclasses.replace(old.recipe, **start)
            grown = dataclasses.replace(
                old,
                recipe=recipe,
                experiment_id=recipe.experiment_id,
                told=told,
                levels=max(old.levels, *incoming.levels),
                files=_last_of_each_path(old.files, self._files(new)),
                aliases=tuple(alias.to_json() for alias in aliases),
                mask_digests=_texts({**content.digests, **known.digests}),
                updated_at=_now(),
            )
            grown.write(folder.description)
            self.known.add(grown)
            old = grown
        return self._imported(old, there, new)

    def _new_start(self, old: Description) -> dict[str, Any]:
        """Return what the user says of the initialiser and nothing had told of this run."""
        asked, notes = self.choices.start, self.incoming.notes
        other = {k: v for k, v in asked.items() if v != getattr(old.recipe, k)}
        sure = [f"{k} {v}" for k, v in asked.items() if k in old.assumed and k not in other]
        if sure:
            notes.append(
                f"told from now on, as it was assumed: {', '.join(sure)}; its null may change"
            )
        for name, value in other.items():
            if name in old.assumed:
                notes.append(f"its {name} is {value} from now on, so it is of another experiment")
            else:
                notes.append(f"its {name} stays {getattr(old.recipe, name)}, as it was told before")
        return {k: v for k, v in asked.items() if k in old.assumed}

    def _told_of(self, old: Description) -> tuple[str, ...]:
        """Return the fields that are told of this run by now, at the values that it has."""
        recipe, told = self._recipe(old.recipe.exempt)
        asked = {*self.choices.start}
        same = {name for name in told if getattr(recipe, name) == getattr(old.recipe, name)}
        return tuple(sorted({*old.told, *same, *asked}))

    def _add(self, folder: RunFolder, there: Sequence[int], new: Sequence[int]) -> None:
        """Stage the levels that a run lacks, hold them to those it has, and move them in."""
        table = folder.read_record(there[0])
        exempt = [
            row["layer"] for row in table.select(["layer", "exempt"]).to_pylist() if row["exempt"]
        ]
        for level in self.incoming.levels.keys() & set(there):
            self.staged.mask(level).unlink(missing_ok=True)
        levels = {n: self.incoming.levels[n] for n in new}
        network, levels = adopt(table, self.incoming.network, levels, self.staged)
        steps = Steps(folder, self.staged, network, exempt, there, levels)
        steps.hold_nested()
        steps.write()
        flush_tree(self.staged.path)
        steps.move_in()

    def _imported(self, kept: Description, there: Sequence[int], new: Sequence[int]) -> ImportedRun:
        incoming, found = self.incoming, self.incoming.found
        levels = sorted({*there, *new})
        gaps = self._note_gaps(levels)
        return ImportedRun(
            run_id=kept.run_id,
            experiment_id=kept.experiment_id,
            format=found.format,
            architecture=kept.recipe.architecture,
            task=kept.recipe.task,
            replicate=kept.replicate,
            source=escaped(str(found.path)),
            levels=tuple(levels),
            new=tuple(new),
            whole=not incoming.missing and not gaps,
            notes=tuple(dict.fromkeys(map(printable, incoming.notes))),
        )

    # What the user is told.

    def _note_bearers(self, recipe: Recipe, alias: Alias) -> None:
        """Say where the store has a run of this name already."""
        for run_id in self.known.bearing(alias):
            if self.known.experiments.get(run_id) == recipe.experiment_id:
                self.incoming.notes.append(
                    f"run {run_id} of this experiment has the same name and other masks: give "
                    "--name where this is another experiment"
                )

    def _note_changes(self, old: Description, there: Sequence[int]) -> None:
        """Say which files and accuracies are others than those of the records in the store."""
        known = {str(entry["path"]): entry.get("sha256") for entry in old.files}
        for level in there:
            for entry in self.files.get(level, ()):
                if known.get(entry["path"], entry["sha256"]) != entry["sha256"]:
                    self.incoming.notes.append(
                        f"level {level}: {entry['path']} has changed since it was imported; "
                        "its record stays as it is"
                    )
        content = self.incoming.content
        for level, recorded in sorted(self.known.accuracies(old.run_id, content).items()):
            here = content.accuracies[level]
            if here is None or (recorded is not None and math.isclose(here, recorded)):
                continue
            there_is = "none" if recorded is None else format(recorded, ".6g")
            self.incoming.notes.append(
                f"level {level}: accuracy {here:.6g} here, {there_is} in the store: its record "
                "stays as it is"
            )

    def _note_gaps(self, levels: Sequence[int]) -> list[int]:
        notes = self.incoming.notes
        if levels[0] > 0:
            notes.append(f"starts at level {levels[0]}")
        gaps = sorted(set(range(levels[0], levels[-1])) - set(levels))
        if gaps:
            shown = ", ".join(map(str, gaps[:5])) + (" ..." if len(gaps) > 5 else "")
            notes.append(f"level {shown} missing: no step leads across the gap")
        return gaps

    # What is written beside the records.

    def _files(self, levels: Iterable[int]) -> list[FileEntry]:
        return [entry for level in levels for entry in self.files.get(level, ())]

    def _recipe(self, exempt: Sequence[str]) -> tuple[Recipe, tuple[str, ...]]:
        """Return how the run was made, and which fields the source or the user tells.

        The rest is that of the format's study, or default.
        """
        found, network = self.incoming.found, self.incoming.network
        name = self.choices.recipe or found.recipe_name
        fields = fields_of(name, Architecture(network.architecture, network.layers))
        told = {k: v for k, v in found.fields.items() if k != "architecture"}
        said = dict(self.choices.start)
        if self.choices.task:
            said["task"] = self.choices.task
        known_here = {
            **said,
            "architecture": network.architecture,
            "task": said.get("task") or told.get("task", "unknown"),
            "prunable": network.prunable,
            "exempt": tuple(exempt),
            "origin": self.choices.name or found.experiment,
        }
        every = {f.name for f in dataclasses.fields(Recipe)} if self.choices.recipe else set()
        try:
            recipe = Recipe.from_json({**fields, **told, **known_here})
        except (UsageError, TypeError, ValueError) as error:
            self.incoming.notes.append(f"how it was trained is not taken over: {error}")
            recipe, told = Recipe.from_json({**fields, **known_here}), {}
        return recipe, tuple(sorted({*every, *told, *said} - {*SEEN}))


def give_back_name(store: Path, known: Known, content: Content) -> None:
    """Rename the run that bears a name of this content and holds other masks than it.

    A run of one level may be seen under two names, grow under the second, and then turn out not to
    be that of the first: the levels that differ were never seen under it. So it goes on under the
    second name, and the first is free.
    """
    own = content.aliases[0]
    for run_id in known.bearing(own):
        there = known.contents[run_id]
        heir = next((a for a in there.aliases[1:] if content.differs_at(there) & {*a.levels}), None)
        if heir is None or content.differs_at(there) & {*there.aliases[0].levels}:
            continue
        folder = RunFolder.of(store, run_id)
        old = folder.read_description()
        if old is None or old.recipe.origin != own.experiment:  # a name that the user gave
            continue
        recipe = dataclasses.replace(old.recipe, origin=heir.experiment)
        aliases = (heir, *(alias for alias in there.aliases if alias != heir))
        description = dataclasses.replace(
            old,
            recipe=recipe,
            experiment_id=recipe.experiment_id,
            replicate=heir.replicate or "0",
            seed=heir.seed,
            aliases=tuple(alias.to_json() for alias in aliases),
            updated_at=_now(),
        )
        folder.make()
        description.write(folder.description)
        known.add(description)


def _exempt(incoming: Incoming) -> tuple[str, ...]:
    """Name the layers that are counted and never pruned: told or usual, and full at the end."""
    network, last = incoming.network, incoming.levels[max(incoming.levels)]
    source = dict(zip(network.sources, network.layers, strict=True))
    told = {source[name].name for name in incoming.found.exempt if name in source}
    return tuple(
        layer.name
        for layer, kept in zip(network.layers, last.kept, strict=True)
        if kept == layer.total and layer.name in {*told, *network.exempt}
    )


def _last_of_each_path(*several: Iterable[Mapping[str, str]]) -> tuple[Mapping[str, str], ...]:
    """Join lists of files; of a path the last counts."""
    return tuple({entry["path"]: entry for entries in several for entry in entries}.values())


def _texts(digests: Mapping[int, str]) -> dict[str, str]:
    return {str(level): digest for level, digest in sorted(digests.items())}


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
