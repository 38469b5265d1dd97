"""From a run that was found to records: which run it is, and what of it is new.

A run is read and put together in a folder of its own and takes its place in one rename, so that a
run which turns out to contradict itself, or an import that is killed, leaves the store as it was. A
run that is there already gains the levels it lacks in the same way: checked first, moved into place
afterwards; what is told otherwise of it is corrected. Which run it is, is decided under the lock of
imports.
"""

from __future__ import annotations

from collections.abc import Callable

from ....schemas.files import flush_tree
from ....schemas.records.description import Description
from ....schemas.records.layout import RunFolder
from ..found import FoundRun, Refused
from ..identity import Alias, new_id
from ..report import Choices, ImportedRun
from .arrival import Arrival, last_of_each_path, now, texts
from .incoming import Incoming
from .levels import Steps, exempt_layers
from .meeting import meet
from .moves import give_back_name, moved
from .provenance import copy_weights, entries, scales
from .staging import Staging
from .told import network_from, told_first


def ingest(
    staging: Staging,
    found: FoundRun,
    choices: Choices,
    on_level: Callable[[int], None],
    parent: ImportedRun | None = None,
) -> ImportedRun:
    """Bring one run that was found into a store: the levels that it lacks, and what is told of it.

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
    parent : ImportedRun, optional
        What became of the run that it begins with.

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
            arrival = Arrival(staging.store, known, incoming, folder, files, choices, parent)
            run_id = known.find(incoming.content, incoming.counts)
            return _mint(arrival) if run_id is None else meet(arrival, run_id)


def _mint(arrival: Arrival) -> ImportedRun:
    """Make a run of its own of what has arrived."""
    run_id = new_id(arrival.found.format, arrival.content, arrival.known.taken)
    description = put_together(arrival, run_id)
    _note_bearers(arrival, description.experiment_id, arrival.content.aliases[0])
    RunFolder.of(arrival.store, run_id).settle(arrival.staged)
    return arrival.settled(description)


def put_together(arrival: Arrival, run_id: str, before: Description | None = None) -> Description:
    """Write all of a run into the folder where its masks are, flushed to the disk.

    Parameters
    ----------
    arrival : Arrival
        The run.
    run_id : str
        Its id from now on.
    before : Description, optional
        Of the run whose place it takes.

    Raises
    ------
    OSError
        The disk is full or not writable.
    """
    incoming, found, content = arrival.incoming, arrival.found, arrival.content
    network, choices, staged, notes = (
        incoming.network,
        arrival.choices,
        arrival.staged,
        arrival.notes,
    )
    if found.parent is not None and arrival.parent is None:
        notes.append("the run that it begins with could not be imported")
    exempt = exempt_layers(network, incoming.levels[max(incoming.levels)], found.exempt)
    told = told_first(found, network, choices, exempt, arrival.parent, notes)
    starts = [path for start in found.starts.values() for path in start.files]
    time = now()
    description = Description(
        run_id=run_id,
        experiment_id=told.recipe.experiment_id,
        recipe_name=told.recipe_name,
        recipe=told.recipe,
        seed=found.seed,
        replicate=found.replicate or "0",
        levels=max(incoming.levels),
        source=found.format,
        parent_run=arrival.parent.run_id if arrival.parent else None,
        former=moved(before, told.recipe).former if before else (),
        created_at=before.created_at if before else time,
        updated_at=time,
        scales=scales(found, network, notes),
        versions=found.versions,
        files=last_of_each_path(arrival.files_of(incoming.levels), entries(found, starts)),
        inferred={
            **incoming.inferred,
            "architecture": network_from(network.why, choices),
            **told.inferred,
        },
        told=told.fields,
        aliases=tuple(alias.to_json() for alias in content.aliases),
        mask_digests=texts(content.digests),
    )
    copy_weights(found, network, choices.keep, staged, notes)
    folder = RunFolder.of(arrival.store, run_id)
    Steps(folder, staged, network, exempt, (), incoming.levels).write()
    description.write(staged.description, flush=False)
    flush_tree(staged.path)  # all of it, before it takes its place
    return description


def _note_bearers(arrival: Arrival, experiment_id: str, alias: Alias) -> None:
    """Say where the store has a run of this name already, or one of these masks."""
    if twins := arrival.known.twins(arrival.content):
        name = arrival.known.contents[twins[0]].aliases[0]
        arrival.notes.append(
            f"run {twins[0]} ({' '.join(filter(None, name.key))}) has the same masks, and other "
            "accuracies or another number: where this one corrects it, remove it with rgtool rm"
        )
    for run_id in arrival.known.bearing(alias):
        if arrival.known.experiments.get(run_id) == experiment_id:
            arrival.notes.append(
                f"run {run_id} of this experiment has the same name and other masks: give --name "
                "where this is another experiment"
            )
