"""The seeds of an experiment in one process: each to its last event."""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from ..schemas.errors import RgtoolError
from ..schemas.lock import Locked
from . import machine
from .event import Event
from .imp import Replica
from .own.home import printing_aside
from .own.network import OwnNetwork
from .plan import Plan
from .replicas.side_by_side import Work, drive, is_memory
from .replicas.training import Stopped

OnEvent = Callable[[Event], None]


def compute_seeds(
    made: Plan, seeds: Sequence[int], on_event: OnEvent, should_stop: Callable[[], bool]
) -> dict[int, Event]:
    """Compute seeds in this process, `made.replicas` side by side, and return their last events.

    Nothing that is expected is raised.
    """
    device = torch.device(made.device)
    machine.prepare(device, made.recipe.precision, made.threads)
    ends = {seed: Event(kind="stopped", seed=seed) for seed in seeds}
    out = sys.stdout

    def hear(event: Event) -> None:  # not the user's network, but who has called
        with contextlib.redirect_stdout(out):
            on_event(event)

    def works() -> Iterator[tuple[int, Work]]:
        for seed in seeds:
            if not should_stop():
                yield seed, _seed_work(made, seed, ends, hear, should_stop)

    def tell(text: str) -> None:
        hear(Event(kind="warning", seed=seeds[0], message=text))

    with printing_aside():
        drive(works(), made.replicas, tell)
    return ends


def _seed_work(
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
        for one in made.parts(seed):
            if "diverged" in (ends[seed].kind, ends[seed].message):
                continue  # a control of a run that diverged has no masks to train
            replica = Replica(
                one.recipe,
                made.recipe_name,
                seed,
                made.images,
                made.network,
                made.store,
                torch.device(made.device),
                parent=one.parent,
                on_event=listen,
                should_stop=stop,
                keep=made.keep,
                pretrained=made.pretrained,
                kernels=made.kernels,
                pruner=made.pruner,
            )
            yield from replica.work(one.at)
    except Stopped:
        listen(Event(kind="stopped", seed=seed, level=ends[seed].level))
    except Locked as error:
        text = f"{error}; it is left to that one"
        listen(Event(kind="failed", seed=seed, message=text, elsewhere=True))
    except RgtoolError as error:
        listen(Event(kind="failed", seed=seed, level=ends[seed].level, message=str(error)))
    except OSError as error:
        text = _disk_words(error, made)
        listen(Event(kind="failed", seed=seed, level=ends[seed].level, message=text))
    except Exception as error:
        if is_memory(error):  # outside of training, which can do with fewer
            text = (
                "memory does not suffice: choose fewer --replicas, a smaller --batch-size or "
                "network"
            )
        elif isinstance(made.network, OwnNetwork):  # whose code may raise anything
            text = made.network.words(error)
        else:
            raise
        listen(Event(kind="failed", seed=seed, level=ends[seed].level, message=text))


def _disk_words(error: OSError, made: Plan) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk that holds {made.store} is full; every record written so far is whole: free "
            "some space and give the same command again"
        )
    return f"{error.filename or made.store}: {error.strerror or error}"
