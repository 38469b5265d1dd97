"""A run that arrives and is in the store: the levels that it brings, and what it corrects."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ....schemas.files import flush_tree
from ....schemas.lock import lock
from ....schemas.records.description import Description
from ....schemas.records.layout import RunFolder
from ....schemas.words import listed
from ...exchange import take_place
from ..found import Refused, escaped
from ..identity import Alias, Content, with_name
from ..ordering.names import place
from ..recognition.networks import is_known
from ..recognition.recognise import Recognised
from ..report import ImportedRun
from .arrival import Arrival, last_of_each_path, now, texts
from .correction import Correction, Numbers, by_level, naming, other_numbers, rebuild
from .levels import Steps, adopt, exempt_layers, stored_level, stored_network
from .moves import WAIT, follow, moved, write
from .notes import change_notes, number_notes
from .provenance import copy_weights
from .told import by_user, network_from, told_again


def meet(arrival: Arrival, run_id: str) -> ImportedRun:
    """Bring a run that is there the levels that it lacks, and what is told otherwise of it.

    Raises
    ------
    Refused
        Levels contradict those that are there, or the run is gone.
    Locked
        Another process holds the run.
    OSError
        The disk is full or not writable; the store is as it was.
    """
    folder = RunFolder.of(arrival.store, run_id)
    old = folder.read_description()
    if old is None:
        raise Refused(f"run {run_id} was removed while this was imported: import it again")
    meeting = _Meeting(arrival, folder, old, arrival.known.contents[run_id])
    kept = meeting.settle()
    arrival.known.settled.add(run_id)
    arrival.known.add(kept)
    followed = {x.run_id: x.experiment_id for x in follow(arrival.store, arrival.known, kept)}
    # A name that is added, or a level, corrects nothing.
    says = (kept.recipe, kept.told, kept.seed, kept.replicate, kept.parent_run)
    said = (old.recipe, old.told, old.seed, old.replicate, old.parent_run)
    corrected = meeting.correction.rewrites or says != said or bool(followed)
    found = arrival.imported(kept, meeting.there, meeting.new, corrected=corrected)
    return dataclasses.replace(found, was=meeting.seen.experiment_id, followed=followed)


@dataclass(frozen=True)
class _Meeting:
    arrival: Arrival
    folder: RunFolder
    old: Description
    known: Content

    @cached_property
    def there(self) -> list[int]:
        """Levels that the store has."""
        return self.folder.recorded_levels()

    @cached_property
    def seen(self) -> Description:
        """The run as it was before this import, in which it may have followed another."""
        return self.arrival.known.followed.pop(self.old.run_id, self.old)

    @cached_property
    def new(self) -> list[int]:
        """Levels that it gains."""
        return [n for n in self.arrival.incoming.levels if n not in self.there]

    @cached_property
    def stored(self) -> Recognised:
        """The layers as the store names them."""
        return stored_network(self.folder.read_record(self.there[0]), self.old.recipe)

    @cached_property
    def is_own(self) -> bool:
        """Whether it comes under the name that the run bears; a manifest may give it another."""
        found, bears = self.arrival.found, self.known.aliases[0]
        if self.arrival.content.aliases[0].agrees(bears):
            return True
        where = place(found.path)
        here = Alias(escaped(where.experiment), where.replicate)
        return bool(found.stated) and here.agrees(bears)

    @cached_property
    def is_first(self) -> bool:
        """Whether this import has not met the run before: of several sources the first corrects."""
        return self.old.run_id not in self.arrival.known.settled

    @cached_property
    def stated(self) -> frozenset[str]:
        """Fields that a manifest tells and that correct the store."""
        return self.arrival.found.stated if self.is_own and self.is_first else frozenset()

    @cached_property
    def is_told_apart(self) -> bool:
        """Whether its replicate is told now, and nothing had told it."""
        told = self.arrival.found.replicate and not self.known.aliases[0].replicate
        return self.is_own and bool(told)

    @cached_property
    def is_renamed(self) -> bool:
        """Whether a manifest gives its experiment another name."""
        bears = self.known.aliases[0].experiment
        return "experiment" in self.stated and self.arrival.found.experiment != bears

    def settle(self) -> Description:
        """Write what is new or otherwise; return the description as it is then."""
        self._note_files()
        if not self.arrival.content.named_as(self.known):
            name = self.known.aliases[0].experiment
            self.arrival.notes.append(f"it is the run of '{name}': same masks")
        gained, kept = self._gained(), self._described()
        weights = self._stage_weights()
        if self.correction.rewrites:
            self._exchange(gained, kept)
            return kept
        if self.new:
            gained.write()
            flush_tree(self.arrival.staged.path)
            gained.move_in()
        if weights:
            self._move_weights(weights)
        if kept is not self.old:
            write(self.folder, kept)
        return kept

    # What is otherwise.

    @cached_property
    def correction(self) -> Correction:
        """What is otherwise of the records from now on."""
        after = naming(
            self.stored, self.arrival.incoming.network, self.arrival.choices, self._stated_name()
        )
        correction = Correction(self.stored, after, self._numbers())
        exempt = self._exempt(correction) if correction.renames else self.stored.exempt
        return dataclasses.replace(correction, after=dataclasses.replace(after, exempt=exempt))

    def _stated_name(self) -> str | None:
        """Return the architecture that a manifest tells, where neither user nor layers do."""
        if "architecture" not in self.stated or by_user(self.old, "architecture"):
            return None
        told = str(self.arrival.found.fields["architecture"])
        fits = is_known(self.arrival.incoming.network.architecture) or not is_known(told)
        return told if fits else None

    def _exempt(self, correction: Correction) -> tuple[str, ...]:
        """Name the layers that were never pruned as they are named from now on."""
        pairs = zip(self.stored.sources, self.stored.layers, strict=True)
        before = {source for source, layer in pairs if layer.name in self.stored.exempt}
        last = correction.level(self.there[-1], stored_level(self.folder, self.there[-1]))
        return exempt_layers(correction.after, last, before)

    def _numbers(self) -> Numbers:
        """Return the numbers that correct the store; all that are otherwise are named."""
        found = other_numbers(self.folder, self.there, self.arrival.incoming.levels)
        taken = [one for one in found if self.is_own and (self.is_first or one.before is None)]
        name = self.known.aliases[0].experiment
        why = "another source of this import tells it" if self.is_own else f"it is that of '{name}'"
        self.arrival.notes.extend(number_notes(taken, [x for x in found if x not in taken], why))
        return by_level(taken)

    # What is written.

    def _gained(self) -> Steps:
        """Take in the levels that the run lacks, as it names its layers, and hold them to it."""
        incoming, staged = self.arrival.incoming, self.arrival.staged
        for level in incoming.levels.keys() & {*self.there}:
            staged.mask(level).unlink(missing_ok=True)
        new = {n: incoming.levels[n] for n in self.new}
        levels = adopt(incoming.network, self.stored, new, staged)
        steps = Steps(self.folder, staged, self.stored, self.stored.exempt, self.there, levels)
        steps.hold_nested()
        return steps

    def _exchange(self, gained: Steps, kept: Description) -> None:
        """Put the run together as it is from now on, and let it take its place."""
        staged = self.arrival.staged
        levels = {n: stored_level(self.folder, n) for n in self.there} | dict(gained.new)
        rebuild(self.folder, staged, levels, self.correction)
        kept.write(staged.description, flush=False)
        flush_tree(staged.path)
        self.folder.make()
        with lock(self.folder.path / "lock", f"run {kept.run_id}", wait=WAIT):
            take_place(self.arrival.store, kept.run_id, staged.path)

    def _stage_weights(self) -> list[str]:
        """Copy the weights that are asked for and that the run lacks beside it; name them."""
        arrival = self.arrival
        lacking = [n for n in arrival.choices.keep if not self.folder.weights(n).is_file()]
        if lacking and not self.is_own:
            arrival.notes.append(
                f"{listed(lacking)} weights are left out: under another name they may be those of "
                "another training"
            )
            return []
        copy_weights(arrival.found, self.correction.after, lacking, arrival.staged, arrival.notes)
        come = [name for name in lacking if arrival.staged.weights(name).is_file()]
        arrival.notes.extend(f"{name} weights are added" for name in come)
        return come

    def _move_weights(self, names: Sequence[str]) -> None:
        """Bring weights that lie beside the run to their place."""
        self.folder.make()
        with lock(self.folder.path / "lock", f"run {self.old.run_id}", wait=WAIT):
            for name in names:
                self.arrival.staged.weights(name).replace(self.folder.weights(name))

    def _described(self) -> Description:
        """Return the description as it is from now on; the old one where nothing is otherwise."""
        arrival, old, found, parent = self.arrival, self.old, self.arrival.found, self._parent()
        told = told_again(
            old, found, self.correction.after, arrival.choices, parent, self.stated,
            arrival.notes,
        )  # fmt: skip
        by_layer = self.correction.by_layer
        kept = moved(
            old,
            told.recipe,
            self.seen,
            **({"seed": found.seed, "replicate": found.replicate} if self.is_told_apart else {}),
            recipe_name=told.recipe_name,
            told=told.fields,
            inferred={**old.inferred, **self._why(), **told.inferred},
            parent_run=parent.run_id if parent else old.parent_run,
            scales={name: by_layer(values) for name, values in old.scales.items()},
            levels=max(old.levels, *arrival.incoming.levels),
            files=last_of_each_path(old.files, arrival.files_of(self.new)),
        )
        aliases = self._aliases()
        # What rgtool 0.1.0 wrote has no names and stays as it is as long as nothing is to be told.
        named = aliases != self.known.aliases and (old.aliases or len(aliases) > 1)
        if kept == old and not self.new and not named:
            return old
        arrival.notes.extend(change_notes(old, kept, arrival.choices, self.correction))
        return dataclasses.replace(
            kept,
            aliases=tuple(alias.to_json() for alias in aliases),
            mask_digests=texts({**arrival.content.digests, **self.known.digests}),
            updated_at=now(),
        )

    def _parent(self) -> ImportedRun | None:
        """Return what became of the run that it begins with, where nobody told another."""
        parent = self.arrival.parent
        if parent is not None and self.old.parent_run in (None, parent.run_id):
            return parent
        return None

    def _aliases(self) -> tuple[Alias, ...]:
        """Return its names; the one under which it comes is first where it bears that now."""
        own = self.arrival.content.aliases[0]
        aliases = with_name(self.known.aliases, own)
        if self.is_told_apart or self.is_renamed:
            return tuple(sorted(aliases, key=lambda alias: alias.key != own.key))
        return aliases

    def _why(self) -> dict[str, str]:
        """Return what the network is concluded from, where that is otherwise."""
        network, choices = self.arrival.incoming.network, self.arrival.choices
        if choices.architecture or self.correction.names or self.correction.renames:
            return {"architecture": network_from(network.why, choices)}
        return {}

    def _note_files(self) -> None:
        """Say which files are others than those that were imported."""
        known = {str(entry["path"]): entry.get("sha256") for entry in self.old.files}
        for level in self.there:
            for entry in self.arrival.files.get(level, ()):
                if known.get(entry["path"], entry["sha256"]) != entry["sha256"]:
                    self.arrival.notes.append(
                        f"level {level}: {entry['path']} has changed since it was imported; its "
                        "counts stay as they are"
                    )
