"""Two commands of one study at once, and a study that is told to end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command import Cli

import rgtool
from rgtool.cli.plans import heeding_sigterm
from rgtool.runner.event import Event
from rgtool.schemas.errors import Unfinished
from rgtool.schemas.lock import lock
from rgtool.store import Store
from rgtool.studies import transfer, transfer_plans
from rgtool.studies.complete import complete

MAIN = "import sys; from rgtool.cli import main; main(sys.argv[1:])"
TWIN = "permuted:digits:0"
QUICK: dict[str, Any] = {"recipe": "quick", "epochs": 1, "levels": 2, "workers": 1}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a source of two seeds."""
    rgtool.run("lenet", "digits", seeds=2, store=tmp_path, progress=False, **QUICK)
    return tmp_path


def command(store: Path) -> subprocess.Popen[str]:
    told = ["transfer", "lenet/digits", TWIN, "--at", "0,2", "--controls", "shuffle,reinit"]
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *told, "--workers", "1", "--csv", "--store", str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_commands_share_what_is_missing(store: Path) -> None:
    both = [command(store), command(store)]
    said = [one.communicate(timeout=300) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert said[0][0] == said[1][0] and len(said[0][0].splitlines()) == 1 + 2 + 2 + 1 + 1
    assert len(Store(store).runs()) == 2 * 5 and all(run.finished for run in Store(store).runs())


def held(made: Any, seed: int) -> Path:
    """The lock of the run of a seed, whose folder is made."""
    folder: Path = made.parts(seed)[-1].folder.path
    folder.mkdir(parents=True)
    return folder / "lock"


def watching(heard: list[Event], stop: threading.Event) -> Any:
    @contextmanager
    def watch(made: Any) -> Any:
        yield heard.append, stop.is_set

    return watch


def test_a_seed_in_other_hands_is_waited_for(store: Path) -> None:
    made = rgtool.plan(
        "lenet", "digits", parent="lenet/digits", seeds=2, at=(1,), workers=1, store=store
    )
    heard: list[Event] = []

    def free() -> None:
        while not any("waiting" in event.message for event in heard):
            time.sleep(0.01)
        release.set()

    release, stop = threading.Event(), threading.Event()

    def hold() -> None:
        with lock(path, "run"):
            taken.set()
            release.wait(60)

    path, taken = held(made, 0), threading.Event()
    threads = [threading.Thread(target=one) for one in (hold, free)]
    threads[0].start()
    taken.wait(60)
    threads[1].start()
    outcome = complete(made, watching(heard, stop))
    for one in threads:
        one.join(60)
    assert outcome.seeds("done") == [0, 1]
    messages = [event.message for event in heard if event.message]
    assert messages == ["at work in another process: waiting"]
    assert [event.seed for event in heard if event.kind == "level"] == [1, 0]


def test_waiting_is_ended_as_training_is(store: Path) -> None:
    made = rgtool.plan("lenet", "digits", parent="lenet/digits", at=(1,), workers=1, store=store)
    stop = threading.Event()
    with lock(held(made, 0), "run"):
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(Unfinished, match=r"not finished \(seeds 0\)"):
            complete(made, watching([], stop))


def test_a_stop_at_the_end_of_a_plan_is_none_of_the_next(store: Path) -> None:
    made = rgtool.plan("lenet", "digits", parent="lenet/digits", at=(1,), workers=1, store=store)
    stop, heard = threading.Event(), list[Event]()

    class Heard(list[Event]):
        def append(self, event: Event) -> None:
            heard.append(event)
            if event.kind == "done":
                stop.set()

    with pytest.raises(Unfinished, match="finished, and stopped there"):
        complete(made, watching(Heard(), stop))
    assert made.is_finished


def test_sigterm_outside_of_training_ends_in_words(
    cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(*arguments: object, **options: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    # What the command takes; the study has bound its own before, and keeps it.
    assert transfer.plan_transfer is transfer_plans.plan_transfer
    monkeypatch.setattr(transfer_plans, "plan_transfer", planned)
    before = signal.getsignal(signal.SIGTERM)
    done = cli("transfer", "lenet/digits", TWIN, "--store", str(store))
    assert done.code == 3 and "the same command goes on" in done.err
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_is_left_alone_in_other_threads() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def look() -> None:
        with heeding_sigterm():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(60)
    assert found == [before]
