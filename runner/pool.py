"""Seeds on several cores: one process a core, one thread a process.

Two processes of one thread train faster than one of two threads, and each computes exactly what it
computes alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from .experiment import OnEvent, Plan, compute_seed
from .imp import Event


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    seed: int | None = None
    last: Event | None = None


def execute_parallel(
    made: Plan, on_event: OnEvent, should_stop: Callable[[], bool]
) -> dict[int, Event]:
    """Compute the seeds of a plan with `made.workers` processes; see `execute`.

    A worker that dies (killed, out of memory) fails its seed only; another takes its place.
    """
    waiting = list(made.seeds)
    ends: dict[int, Event] = {}
    workers: list[_Worker] = []
    stopping = False
    try:
        while len(ends) < len(made.seeds):
            if should_stop() and not stopping:
                stopping = True
                for worker in workers:
                    worker.process.terminate()  # SIGTERM: it saves its state and reports
                ends |= {seed: Event(kind="stopped", seed=seed) for seed in waiting}
                waiting.clear()
            while waiting and len(workers) < made.workers:
                workers.append(_start(made))
            for worker in workers:
                if worker.seed is None and waiting:
                    worker.seed = waiting.pop(0)
                    worker.pipe.send(worker.seed)
            _listen(workers, ends, on_event)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()
    return {seed: ends[seed] for seed in made.seeds}


def _start(made: Plan) -> _Worker:
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(made, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _listen(workers: list[_Worker], ends: dict[int, Event], on_event: OnEvent) -> None:
    """Take what the workers report within a short while."""
    ready = wait([worker.pipe for worker in workers], timeout=0.2)
    for worker in [w for w in workers if w.pipe in ready]:
        try:
            event, ended = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            workers.remove(worker)
            worker.process.join()
            if worker.seed is not None:
                ends[worker.seed] = _death(worker)
                on_event(ends[worker.seed])
            continue
        if ended:
            ends[event.seed], worker.seed = event, None
        else:
            on_event(event)
            worker.last = event


def _death(worker: _Worker) -> Event:
    code = worker.process.exitcode or 0
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    assert worker.seed is not None
    return Event(
        kind="failed",
        seed=worker.seed,
        level=worker.last.level if worker.last else 0,
        message=f"its process ended ({how}); the same command goes on where it was",
    )


def _work(made: Plan, pipe: Connection) -> None:
    """Compute the seeds that come through the pipe, until the parent hangs up or dies."""
    stop = False
    parent = os.getppid()

    def on_sigterm(number: int, frame: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, on_sigterm)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the parent decides

    def should_stop() -> bool:
        return stop or os.getppid() != parent

    def report(event: Event, ended: bool = False) -> None:
        # A parent that is gone wants no reports; `should_stop` ends the run.
        try:
            pipe.send((event, ended))
        except (BrokenPipeError, ConnectionResetError):
            return

    while not should_stop():
        if not pipe.poll(0.2):
            continue
        try:
            seed = pipe.recv()
        except EOFError:
            return
        report(compute_seed(made, seed, report, should_stop), ended=True)
