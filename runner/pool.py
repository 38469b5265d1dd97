"""Seeds on several cores: one process a core, one thread a process.

Two processes of one thread train faster than one of two threads, and each computes exactly what it
computes alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import ModuleType

from .event import Event
from .plan import Plan
from .seeds import OnEvent, compute_seeds


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    seed: int | None = None
    last: Event | None = None


def execute_parallel(
    made: Plan, seeds: Sequence[int], on_event: OnEvent, should_stop: Callable[[], bool]
) -> dict[int, Event]:
    """Compute seeds of a plan with `made.workers` processes at most; see `execute`.

    A worker that dies (killed, out of memory) fails its seed only; another takes its place.
    """
    waiting = list(seeds)
    most = min(made.workers, len(waiting))
    ends: dict[int, Event] = {}
    workers: list[_Worker] = []
    stopping = False
    try:
        while len(ends) < len(seeds):
            if should_stop() and not stopping:
                stopping = True
                for worker in workers:
                    worker.process.terminate()  # SIGTERM: it saves its state and reports
                ends |= {seed: Event(kind="stopped", seed=seed) for seed in waiting}
                waiting.clear()
            while waiting and len(workers) < most:
                workers.append(_start_worker(made))
            for worker in workers:
                if worker.seed is None and waiting:
                    worker.seed = waiting.pop(0)
                    with contextlib.suppress(OSError):  # it is dead, which `_listen` will find
                        worker.pipe.send(worker.seed)
            _listen(workers, ends, on_event)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            _bury(worker)
    return {seed: ends[seed] for seed in seeds}


def _start_worker(made: Plan) -> _Worker:
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(made, theirs), daemon=True)
    with _signals_held(), main_hidden():
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back in a process that is started here, until it can save."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its own start would let the signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def main_hidden() -> Iterator[None]:
    """Keep a process that is started here from running the caller's script again.

    A worker needs nothing of it, a script need not be written for that, and a notebook or standard
    input is no file that could be run.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _bury(worker: _Worker) -> int:
    """Wait for the end of a process, free what it held here, and return its exit code."""
    worker.process.join()
    code = worker.process.exitcode or 0
    worker.process.close()
    worker.pipe.close()
    return code


def _listen(workers: list[_Worker], ends: dict[int, Event], on_event: OnEvent) -> None:
    """Take what the workers report within a short while."""
    ready = wait([worker.pipe for worker in workers], timeout=0.2)
    for worker in [w for w in workers if w.pipe in ready]:
        try:
            event, ended = worker.pipe.recv()
        except (EOFError, OSError):  # OSError: killed while it was writing
            workers.remove(worker)
            code = _bury(worker)
            if worker.seed is not None:
                ends[worker.seed] = _last_event(worker, code)
                on_event(ends[worker.seed])
            continue
        if ended:
            ends[event.seed] = event
            worker.seed = worker.last = None
        else:
            on_event(event)
            worker.last = event


def _last_event(worker: _Worker, code: int) -> Event:
    """Say how a seed ended whose process is gone without a report."""
    assert worker.seed is not None
    if code == 0:  # asked to stop before it took the seed out of the pipe
        return Event(kind="stopped", seed=worker.seed)
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return Event(
        kind="failed",
        seed=worker.seed,
        level=worker.last.level if worker.last else 0,
        message=f"its process ended ({how}); the same command goes on where it was",
    )


def _serve(made: Plan, pipe: Connection) -> None:
    """Compute the seeds that come through the pipe, until the parent hangs up or dies."""
    stop = False
    parent = multiprocessing.parent_process()
    assert parent is not None

    def on_sigterm(number: int, frame: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, on_sigterm)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the parent decides
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})

    def should_stop() -> bool:
        return stop or os.getppid() != parent.pid

    def report(event: Event, ended: bool = False) -> None:
        # A parent that is gone wants no reports; `should_stop` ends the run.
        try:
            pipe.send((event, ended))
        except (BrokenPipeError, ConnectionResetError):
            return

    while not should_stop():
        try:
            if not pipe.poll(0.2):
                continue
            seed = pipe.recv()
        except (EOFError, OSError):
            return
        report(compute_seeds(made, [seed], report, should_stop)[seed], ended=True)
