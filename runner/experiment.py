"""An experiment at work: planned, and computed in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..schemas.display import Row, Shown, Table
from ..schemas.errors import RecordError, RgtoolError, UsageError
from ..schemas.lock import check_locks
from ..schemas.recipe import Recipe
from ..schemas.records.layout import RunFolder, make_runs
from ..schemas.records.names import Naming
from ..schemas.records.parents import Parent
from .arguments import DEFAULT_LEVELS, Seeds
from .data import Loading
from .event import Event
from .models import Builder
from .own.stored import Using
from .plan import Plan, plan
from .pool import execute_parallel
from .progress import Stop, ignore, show_progress
from .seeds import OnEvent, compute_seeds


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Outcome(Shown):
    """How every seed ended.

    Attributes
    ----------
    experiment_id : str
        The experiment.
    ends : dict of int to Event
        The last event of every seed: `done`, `known`, `stopped`, `diverged` or `failed`.
    runs : dict of int to str
        The run of every seed.
    store : Path
        Where they are.
    """

    experiment_id: str
    ends: dict[int, Event]
    runs: dict[int, str]
    store: Path

    @classmethod
    def of(cls, made: Plan, ends: dict[int, Event]) -> Outcome:
        """Return how the seeds of a plan ended."""
        runs = {seed: made.run_id(seed) for seed in ends}
        return cls(made.recipe.experiment_id, ends, runs, made.store)

    def seeds(self, *kinds: str) -> list[int]:
        """List the seeds that ended in one of these ways."""
        return [seed for seed, event in self.ends.items() if event.kind in kinds]

    def table(self) -> Table:
        """Return a row for every seed, with its last record, as `rgtool run` prints it."""
        failed = [event for event in self.ends.values() if event.kind == "failed"]
        stopped = ("stopped; the same goes on where it was",) if self.seeds("stopped") else ()
        return Table(
            ("run", "seed", "end", "level", "density", "accuracy"),
            [self._row(seed, event) for seed, event in self.ends.items()],
            title=f"experiment {self.experiment_id} in {self.store}",
            notes=(*(f"seed {event.seed}: {event.message}" for event in failed), *stopped),
            formats={"density": ".4f", "accuracy": ".4f"},
        )

    def _row(self, seed: int, event: Event) -> Row:
        end = "diverged" if event.message == "diverged" else event.kind
        folder = RunFolder.of(self.store, self.runs[seed])
        try:
            level = folder.recorded_levels()[-1]
            last = folder.read_record(level).slice(0, 1).to_pylist()[0]
        except (IndexError, RecordError):  # nothing is recorded, or it is damaged
            return (self.runs[seed], seed, end, None, None, None)
        density = last["network_kept"] / last["network_total"]
        return (self.runs[seed], seed, end, level, density, last["accuracy"])


def execute(
    made: Plan, *, on_event: OnEvent = ignore, should_stop: Callable[[], bool] = _never
) -> Outcome:
    """Compute a plan; what is on the disk already is not computed again.

    Where nothing is left, neither is data loaded nor a process started.

    Parameters
    ----------
    made : Plan
        What to compute.
    on_event : callable
        Gets an `Event` for every epoch and level of every seed.
    should_stop : callable
        Asked often; true stops all seeds cleanly, to be continued by the same command.

    Raises
    ------
    RgtoolError
        The store is not a folder, cannot be written, or its file system has no locks.
    """
    ends = {seed: end for seed in made.seeds if (end := made.known_end(seed)) is not None}
    for end in ends.values():
        on_event(end)
    if left := [seed for seed in made.seeds if seed not in ends]:
        made.load()  # once, before several processes do it at a time
        _make_store(made.store)
        compute = compute_seeds if min(made.workers, len(left)) == 1 else execute_parallel
        ends |= compute(made, left, on_event, should_stop)
    return Outcome.of(made, {seed: ends[seed] for seed in made.seeds})


def _make_store(store: Path) -> None:
    try:
        make_runs(store)
    except (FileExistsError, NotADirectoryError):
        raise RgtoolError(
            f"store {store}: a file is in the way; name a folder with --store"
        ) from None
    except OSError as error:
        raise RgtoolError(
            f"store {store}: cannot be written ({error.strerror}); name another folder with --store"
        ) from None
    check_locks(store / "runs")  # once, before every seed makes a folder and fails


def run(
    model: str | Builder,
    task: str | Loading,
    recipe: str | Path | Recipe | None = None,
    *,
    seeds: Seeds = 1,
    levels: int = DEFAULT_LEVELS,
    at: str | int | Sequence[int] | None = None,
    parent: Parent | str | None = None,
    transform: str | None = None,
    fresh: str | Sequence[str] = (),
    start: int | None = None,
    store: str | Path | None = None,
    data: str | Path | None = None,
    using: Using = (),
    init: str | Path | None = None,
    blocks: str | Path | None = None,
    name: str | None = None,
    note: str | None = None,
    tags: Sequence[str] = (),
    on_event: OnEvent = ignore,
    progress: bool = True,
    **options: Any,
) -> Outcome:
    """Train, prune and record an experiment.

    An interrupt (Ctrl-C, or that of a notebook) takes effect when the state inside the level is
    saved: the same call goes on from there.

    Parameters
    ----------
    model, task : str or callable
        Network and data set, such as `resnet20` and `cifar10`; or functions of your own, see
        `models.find_network` and `data.find_task`: in a file, `my.py:build` and `my.py:load`, or
        given themselves.
    recipe : str or path or Recipe, optional
        A named recipe, a TOML file with fields of one, or a recipe whose training is taken over;
        default `frankle2020`, with a parent that of the parent.
    seeds : int, sequence of int, mapping of int to int, or str
        A number of replicates (seeds 0, 1, ...), or the seeds themselves; as the command takes
        them, too: `5`, `3,7`. A child of seed 10 that is to train the ticket of its parent's seed 0
        is `{10: 0}`, or `"10:0"`; each has that of its own seed otherwise.
    levels : int
        Prunings; a run has `levels` + 1 records.
    at : sequence of int or str, optional
        Levels to record, instead of all up to `levels`: `(0, 4, 8)`, `"0,4,8"`. For children, whose
        levels do not follow from each other.
    parent : Parent or str, optional
        The experiment whose tickets are trained, or what selects it in the store. `control` says
        what of them is drawn anew.
    transform : str, optional
        How the parent's tickets become those of this network.
    fresh : sequence of str or str, optional
        Layers that are drawn from the seed and left dense, instead of the parent's.
    start : int, optional
        Level of the parent whose ticket a run begins with: its records begin there, and it prunes
        on by itself up to `levels`.
    store : path, optional
        Folder of the store; default `$RGTOOL_STORE`, then `rgstore`.
    data : path, optional
        Folder of the data sets; default `$RGTOOL_DATA`, then `~/.cache/rgtool`.
    using : str, callable or sequence of these, optional
        Where networks and data of your own lie that the parent was trained on, such as
        `npz:FILE`: the store has them by names.
    init : path or str, optional
        Weights that training starts from, a safetensors file or one of `torch.save`; or the name
        of an initialiser.
    blocks : path, optional
        Block map of a network of your own, see `schemas.block_map`.
    name, note : str, optional
        What to call the experiment from now on, and to remember of it; no part of its identity.
    tags : sequence of str
        Tags that it gets.
    on_event : callable
        Gets an `Event` for every epoch and level.
    progress : bool
        Whether a bar shows how far it is, in a terminal and in a notebook.
    **options
        Fields of `Launch`, such as `device` or `workers`, fields of `Recipe` that differ from the
        named recipe, and `width`.

    Returns
    -------
    Outcome
        How every seed ended.

    Raises
    ------
    UsageError
        A name is unknown, or that of another experiment, or a value out of range.
    RgtoolError
        The data or the store cannot be used.
    KeyboardInterrupt
        It was interrupted, and its state is saved.

    Examples
    --------
    >>> import rgtool, tempfile
    >>> store = tempfile.mkdtemp()
    >>> outcome = rgtool.run("lenet", "digits", levels=1, epochs=1, store=store)
    >>> outcome.seeds("done")
    [0]
    """
    if "dry_run" in options:
        raise UsageError(
            "dry_run is the command's: rgtool.plan takes the same and computes nothing"
        )
    naming = Naming(name, note, tuple(tags))
    made = plan(
        model,
        task,
        recipe,
        seeds=seeds,
        levels=levels,
        at=at,
        parent=parent,
        transform=transform,
        fresh=fresh,
        start=start,
        store=store,
        data=data,
        using=using,
        init=init,
        blocks=blocks,
        **options,
    )
    naming.give(made.store, made.recipe.experiment_id)
    with show_progress(made, wanted=progress) as (show, tell):
        for note in made.notes:
            tell(note)
        made.load()  # here an interrupt ends it at once

        def hear(event: Event) -> None:
            show(event)
            on_event(event)

        with Stop(tell) as stop:
            outcome = execute(made, on_event=hear, should_stop=stop)
    stop.pass_on()
    return outcome
