"""What it costs to write the epochs of a run: training with and without, in turns.

    python -m benchmarks.speed.epoch_files --rounds 7

The worst there is: the smallest network on the smallest data set, an epoch of a few hundredths of a
second. A round trains the same run with and without the file, which comes first changes from round
to round. Speeds are images a second of processor time, which other work on the machine disturbs
least; beside them stands what one epoch takes to write.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.machine import machine
from rgtool.runner.experiment import execute
from rgtool.runner.plan import plan
from rgtool.schemas.records.epochs import Epoch, EpochLog

LEVELS = 1
WRITES = 2000


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=60)
    asked = parser.parse_args()
    found: dict[bool, list[float]] = {True: [], False: []}
    _train(1, written=True)  # what is loaded and made once
    for number in range(asked.rounds):
        for written in (number % 2 == 0, number % 2 == 1):
            found[written].append(_train(asked.epochs, written=written))
    ratios = [one / other for one, other in zip(found[True], found[False], strict=True)]
    print(machine())
    for written, speeds in found.items():
        told = ", ".join(f"{speed:.0f}" for speed in speeds)
        print(
            f"{'with' if written else 'without'} the file: {median(speeds):.0f} images/s ({told})"
        )
    told = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    print(f"with / without: {median(ratios):.4f} ({told})")
    print(f"an epoch takes {_writing() * 1e6:.0f} microseconds to write")


def _train(epochs: int, *, written: bool) -> float:
    """Train a small run; return the images a second of processor time."""
    with tempfile.TemporaryDirectory() as store, _without_file(not written):
        made = plan(
            "lenet",
            "digits",
            store=Path(store),
            levels=LEVELS,
            epochs=epochs,
            rewind="0",
            workers=1,
            kernels="dense",
        )
        began = time.process_time()
        assert execute(made).seeds("done") == [0]
        seconds = time.process_time() - began
        files = [*Path(store).glob("runs/*/epochs.jsonl")]
        assert len(files) == written
        return (LEVELS + 1) * epochs * len(made.images.y_train) / seconds


@contextmanager
def _without_file(wanted: bool) -> Iterator[None]:
    """Let epochs be made and told, and nothing be written."""
    add = EpochLog.add
    try:
        if wanted:
            EpochLog.add = lambda self, epoch: None  # type: ignore[method-assign]
        yield
    finally:
        EpochLog.add = add  # type: ignore[method-assign]


def _writing() -> float:
    """Return the median seconds that an epoch takes to write."""
    with tempfile.TemporaryDirectory() as folder:
        log, seconds = EpochLog(Path(folder) / "epochs.jsonl", "0123456789ab-s0"), []
        for number in range(1, WRITES + 1):
            epoch = Epoch(
                run_id=log.run_id,
                level=0,
                epoch=number,
                loss=1 / number,
                accuracy=1 - 1 / number,
                lr=0.1,
                images_per_second=1e4 / number,
                ended_at=datetime.now(UTC),
            )
            began = time.perf_counter()
            log.add(epoch)
            seconds.append(time.perf_counter() - began)
        return median(seconds)


if __name__ == "__main__":
    main()
