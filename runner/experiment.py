"""An experiment at work: its seeds, and the processes that compute them."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..schemas.errors import RgtoolError
from ..schemas.lock import Locked
from . import machine
from .event import Event
from .imp import Replica
from .plan import Plan, plan
from .recipes import DEFAULT
from .together import Work, drive, is_memory
from .training import Stopped

__all__ = ["Outcome", "Plan", "compute_seeds", "execute", "plan", "run"]

OnEvent = Callable[[Event], None]


def _ignore(event: Event) -> None:
    pass


def _never() -> bool:
    return False


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
    ends = compute_seeds(made, made.seeds, on_event, should_stop)
    return Outcome(made.recipe.experiment_id, ends)


def compute_seeds(
    made: Plan, seeds: Sequence[int], on_event: OnEvent, should_stop: Callable[[], bool]
) -> dict[int, Event]:
    """Compute seeds in this process, `made.replicas` side by side, and return their last events.

    Nothing that is expected is raised.
    """
    device = torch.device(made.device)
    machine.prepare(device, made.recipe.precision, made.threads)
    ends = {seed: Event(kind="stopped", seed=seed) for seed in seeds}

    def works() -> Iterator[tuple[int, Work]]:
        for seed in seeds:
            if not should_stop():
                yield seed, _work(made, seed, ends, on_event, should_stop)

    def tell(text: str) -> None:
        on_event(Event(kind="warning", seed=seeds[0], message=text))

    drive(works(), made.replicas, tell)
    return ends


def _work(
    made: Plan,
    seed: int,
    ends: dict[int, Event],
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> Work:
    """Compute one seed; what becomes of it is its last event."""
    ends[seed] = Event(kind="failed", seed=seed)

    def listen(event: Event) -> None:
        if event.kind != "warning":
            ends[seed] = event
        on_event(event)

    def stop() -> bool:
        return should_stop() or (made.deadline is not None and time.time() >= made.deadline)

    try:
        for one in (made.found, made.recipe):
            if one is None or "diverged" in (ends[seed].kind, ends[seed].message):
                continue  # a control of a run that diverged has no masks to train
            replica = Replica(
                one,
                made.recipe_name,
                seed,
                made.images,
                made.store,
                torch.device(made.device),
                on_event=listen,
                should_stop=stop,
                keep=made.keep,
                pretrained=made.pretrained,
                kernels=made.kernels,
            )
            yield from replica.work(made.levels)
    except Stopped:
        listen(Event(kind="stopped", seed=seed, level=ends[seed].level))
    except Locked as error:
        listen(Event(kind="failed", seed=seed, message=f"{error}; it is left to that one"))
    except RgtoolError as error:
        listen(Event(kind="failed", seed=seed, level=ends[seed].level, message=str(error)))
    except (RuntimeError, MemoryError) as error:  # outside of training, which can do with fewer
        if not is_memory(error):
            raise
        text = "memory does not suffice: choose fewer --replicas, a smaller --batch-size or network"
        listen(Event(kind="failed", seed=seed, level=ends[seed].level, message=text))
    except OSError as error:
        text = _explain(error, made)
        listen(Event(kind="failed", seed=seed, level=ends[seed].level, message=text))


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
    threads: int = machine.THREADS,
    replicas: int | None = None,
    compile: str = "auto",
    keep: Sequence[str] = ("init", "rewind"),
    init_file: str | Path | None = None,
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
        A named recipe, or a TOML file with fields of one.
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
    threads : int
        Threads of a process; other numbers give other bits, and several processes of one thread
        train more images than one of several.
    replicas : int or None
        Replicas that train side by side in a process; None: one on a CPU, several on a GPU.
    compile : str
        `auto`, `on` or `off`: whether PyTorch's compiler fuses the steps; `auto` does not, but
        takes CUDA graphs on a GPU.
    keep : sequence of str
        Weights that stay in the store: any of `init`, `rewind`, `dense`.
    init_file : path, optional
        Weights that training starts from: a safetensors file, or one of `torch.save`.
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
        threads=threads,
        replicas=replicas,
        compile=compile,
        keep=keep,
        init_file=init_file,
        time_budget=time_budget,
        **changes,
    )
    return execute(made, on_event=on_event)
