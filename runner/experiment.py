"""An experiment: a recipe, its seeds, and the processes that compute them."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ..schemas.blocks import Layer, architecture, with_width
from ..schemas.errors import RgtoolError, UsageError
from ..schemas.layout import RunFolder, store_path
from ..schemas.lock import Locked
from ..schemas.recipe import Recipe
from . import data, machine
from .event import Event
from .imp import KEEPABLE, Replica
from .models import check
from .pruning import kept_series
from .recipes import DEFAULT, as_control, recipe
from .training import Stopped

OnEvent = Callable[[Event], None]


def _ignore(event: Event) -> None:
    pass


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Plan:
    """What will be computed, resolved and checked.

    Attributes
    ----------
    recipe, recipe_name : Recipe, str
        What to do, and the name it was resolved from.
    task : str
        The data set as it was asked for: `cifar10`, `npz:FILE`.
    seeds : tuple of int
        Replicates.
    levels : int
        Prunings; a run has `levels` + 1 records.
    store : Path
        Folder of the store.
    data_folder : Path or None
        Folder of the data sets.
    device : str
        Device, as torch names it.
    workers : int
        Processes that compute at once, each with one thread.
    keep : tuple of str
        Weights that stay in the store.
    deadline : float or None
        Time (seconds since the epoch) at which to stop cleanly.
    found : Recipe or None
        For a control: the experiment that finds the masks, computed first.
    """

    recipe: Recipe
    recipe_name: str
    task: str
    seeds: tuple[int, ...]
    levels: int
    store: Path
    data_folder: Path | None
    device: str
    workers: int
    keep: tuple[str, ...] = ("init", "rewind")
    deadline: float | None = None
    found: Recipe | None = None

    @cached_property
    def images(self) -> data.Images:
        """The data set."""
        return data.load(self.task, self.data_folder, self.recipe.train_size)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The counted layers of the network."""
        network = architecture(
            self.recipe.architecture, self.images.input_shape, self.images.classes
        )
        return network.counted(self.recipe.prunable)

    @cached_property
    def kept(self) -> list[int]:
        """Kept weights of the network at every level."""
        return kept_series(self.layers, self.recipe, self.levels)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is cached: a worker loads the data itself.

        It must stay small: `multiprocessing` writes it into a pipe before the worker reads, and
        would wait for ever for one that died at its start.
        """
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def remaining(self) -> int:
        """Count the levels that are not on the disk yet, over all seeds."""
        recipes = [r for r in (self.found, self.recipe) if r is not None]
        runs = [
            RunFolder.of(self.store, run_id)
            for seed in self.seeds
            for run_id in _run_ids(recipes, seed)
        ]
        return sum(max(0, self.levels + 1 - len(run.recorded_levels())) for run in runs)


def _run_ids(recipes: Sequence[Recipe], seed: int) -> list[str]:
    ids: list[str] = []
    for one in recipes:
        ids.append(one.run_id(seed, ids[-1] if one.parent else None))
    return ids


def plan(
    model: str,
    task: str,
    recipe_name: str = DEFAULT,
    *,
    seeds: int | Sequence[int] = 1,
    levels: int = 16,
    store: str | Path | None = None,
    data_folder: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    keep: Sequence[str] = ("init", "rewind"),
    time_budget: float | None = None,
    **changes: Any,
) -> Plan:
    """Resolve and check an experiment without computing anything; see `run` for the parameters."""
    numbers = tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds))
    if not numbers or min(numbers) < 0:
        raise UsageError(f"seeds {seeds}: give a count such as 5, or seeds such as 3,7")
    if levels < 0:
        raise UsageError(f"levels is {levels}: it is the number of prunings, 0 or more")
    unknown = [name for name in keep if name not in KEEPABLE]
    if unknown:
        raise UsageError(f"keep '{unknown[0]}' is unknown: choose from {', '.join(KEEPABLE)}")
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}: at least one process is needed")
    check(with_width(model, changes.get("width")))  # before the data, which may be long in coming
    folder = Path(data_folder) if data_folder is not None else None
    images = data.load(task, folder, changes.get("train_size"))
    control = changes.pop("control", None) or "none"
    resolved = recipe(model, images, recipe_name, **changes)
    found = None
    if control == "reinit":
        found, resolved = resolved, as_control(resolved)
    elif control != "none":
        resolved = replace(resolved, control=control)  # rejected there, with the known names
    chosen = machine.device(device)
    made = Plan(
        recipe=resolved,
        recipe_name=recipe_name,
        task=task,
        seeds=numbers,
        levels=levels,
        store=store_path(store),
        data_folder=folder,
        device=str(chosen),
        workers=min(len(numbers), workers or machine.workers(chosen)),
        keep=tuple(keep),
        deadline=None if time_budget is None else time.time() + time_budget,
        found=found,
    )
    made.__dict__["images"] = images  # loaded already
    _ = made.kept  # raises where the levels are too many
    return made


@dataclass(frozen=True)
class Outcome:
    """How every seed ended.

    Attributes
    ----------
    experiment_id : str
        The experiment.
    ends : dict of int to Event
        The last event of every seed: `done`, `known`, `stopped`, `diverged` or `failed`.
    """

    experiment_id: str
    ends: dict[int, Event]

    def seeds(self, *kinds: str) -> list[int]:
        """List the seeds that ended in one of these ways."""
        return [seed for seed, event in self.ends.items() if event.kind in kinds]


def execute(
    made: Plan, *, on_event: OnEvent = _ignore, should_stop: Callable[[], bool] = _never
) -> Outcome:
    """Compute a plan; what is on the disk already is not computed again.

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
        The store is not a folder or cannot be written.
    """
    _make_store(made.store)
    if made.workers > 1:
        from .pool import execute_parallel

        return Outcome(made.recipe.experiment_id, execute_parallel(made, on_event, should_stop))
    ends = {}
    for seed in made.seeds:
        if should_stop():
            ends[seed] = Event(kind="stopped", seed=seed)
            continue
        ends[seed] = compute_seed(made, seed, on_event, should_stop)
    return Outcome(made.recipe.experiment_id, ends)


def compute_seed(
    made: Plan, seed: int, on_event: OnEvent, should_stop: Callable[[], bool]
) -> Event:
    """Compute one seed in this process and return its last event; raises nothing expected."""
    device = torch.device(made.device)
    machine.prepare(device)
    last = Event(kind="failed", seed=seed)

    def listen(event: Event) -> None:
        nonlocal last
        last = event
        on_event(event)

    def stop() -> bool:
        return should_stop() or (made.deadline is not None and time.time() >= made.deadline)

    try:
        for one in (made.found, made.recipe):
            if one is None or "diverged" in (last.kind, last.message):
                continue  # a control of a run that diverged has no masks to train
            replica = Replica(
                one,
                made.recipe_name,
                seed,
                made.images,
                made.store,
                device,
                on_event=listen,
                should_stop=stop,
                keep=made.keep,
            )
            replica.run(made.levels)
    except Stopped:
        listen(Event(kind="stopped", seed=seed, level=last.level))
    except Locked as error:
        listen(Event(kind="failed", seed=seed, message=f"{error}; it is left to that one"))
    except RgtoolError as error:
        listen(Event(kind="failed", seed=seed, level=last.level, message=str(error)))
    except OSError as error:
        listen(Event(kind="failed", seed=seed, level=last.level, message=_explain(error, made)))
    return last


def _explain(error: OSError, made: Plan) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk that holds {made.store} is full; every record written so far is whole: free "
            "some space and give the same command again"
        )
    return f"{error.filename or made.store}: {error.strerror or error}"


def _make_store(store: Path) -> None:
    try:
        (store / "runs").mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise RgtoolError(
            f"store {store}: a file is in the way; name a folder with --store"
        ) from None
    except OSError as error:
        raise RgtoolError(
            f"store {store}: cannot be written ({error.strerror}); name another folder with --store"
        ) from None


def run(
    model: str,
    task: str,
    recipe_name: str = DEFAULT,
    *,
    seeds: int | Sequence[int] = 1,
    levels: int = 16,
    store: str | Path | None = None,
    data_folder: str | Path | None = None,
    device: str = "auto",
    workers: int | None = 1,
    keep: Sequence[str] = ("init", "rewind"),
    time_budget: float | None = None,
    on_event: OnEvent = _ignore,
    **changes: Any,
) -> Outcome:
    """Train, prune and record an experiment.

    Parameters
    ----------
    model, task : str
        Network and data set, such as `resnet20` and `cifar10`.
    recipe_name : str
        A named recipe.
    seeds : int or sequence of int
        A number of replicates (seeds 0, 1, ...), or the seeds themselves.
    levels : int
        Prunings; a run has `levels` + 1 records.
    store : path, optional
        Folder of the store; default `$RGTOOL_STORE`, then `rgstore`.
    data_folder : path, optional
        Folder of the data sets; default `$RGTOOL_DATA`, then `~/.cache/rgtool`.
    device : str
        `auto`, `cpu`, `cuda` or `cuda:1`.
    workers : int or None
        Processes at once; None takes one a core (a script then needs the usual
        `if __name__ == "__main__":`).
    keep : sequence of str
        Weights that stay in the store: any of `init`, `rewind`, `dense`.
    time_budget : float, optional
        Seconds after which to stop cleanly, inside a level if need be.
    on_event : callable
        Gets an `Event` for every epoch and level.
    **changes
        Fields of `Recipe` that differ from the named recipe, and `width`.

    Returns
    -------
    Outcome
        How every seed ended.

    Raises
    ------
    UsageError
        A name is unknown or a value out of range.
    RgtoolError
        The data or the store cannot be used.

    Examples
    --------
    >>> import rgtool, tempfile
    >>> store = tempfile.mkdtemp()
    >>> outcome = rgtool.run("lenet", "digits", levels=1, epochs=1, store=store)
    >>> outcome.seeds("done")
    [0]
    """
    made = plan(
        model,
        task,
        recipe_name,
        seeds=seeds,
        levels=levels,
        store=store,
        data_folder=data_folder,
        device=device,
        workers=workers,
        keep=keep,
        time_budget=time_budget,
        **changes,
    )
    return execute(made, on_event=on_event)
