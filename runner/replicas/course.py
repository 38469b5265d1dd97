"""The course of a run: training from one point to another, which can be left and entered anywhere.

Where a process ends inside a level, the next enters at the state that was saved last, to the same
bits. Every epoch is told, and written beside the records.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Generator

import torch

from ...schemas.records.epochs import Epoch, EpochLog
from ...schemas.records.layout import RunFolder
from .checkpoint import Checkpoint
from .kernels import Kernels
from .side_by_side import Training
from .training import Diverged, Lane, Score, Trainer

OnEpoch = Callable[[int, Score, float], None]


class Course:
    """The training of a run at work, whose lock is held.

    Parameters
    ----------
    folder : RunFolder
        The run.
    kernels : Kernels
        How steps are computed.
    should_stop : callable
        Asked after every step; true ends the run, to be continued.
    """

    def __init__(
        self, folder: RunFolder, kernels: Kernels, should_stop: Callable[[], bool]
    ) -> None:
        self.kernels, self.should_stop = kernels, should_stop
        self.checkpoint = Checkpoint(folder.checkpoint)
        self.epochs = EpochLog(folder.epochs, folder.path.name)

    def train(
        self, trainer: Trainer, level: int, start: int, end: int, on_epoch: OnEpoch
    ) -> Generator[Training, None, tuple[Score, float]]:
        """Train with checkpoints; return the last epoch's score and the images a second.

        Parameters
        ----------
        trainer : Trainer
            The network as it is at `start`.
        level : int
            The level, or `epochs.PRETRAINING`.
        start, end : int
            Iterations of the schedule.
        on_epoch : callable
            Gets the epochs done, the score of the last one's batches and its images a second.

        Raises
        ------
        Diverged
            A loss or a weight is not finite.
        OSError
            A state cannot be saved.
        """
        resumed = self.checkpoint.restore(trainer, level)
        start = start if resumed is None else resumed
        self.epochs.enter(level, start // trainer.loader.iterations_per_epoch)
        began = _Clock(trainer, start)
        clock = _Clock(trainer, start)

        def save(done: int) -> None:
            self.epochs.flush()  # or a power cut would take epochs that are not trained again
            self.checkpoint.save(trainer, level, done)

        def on_step(done: int) -> bool:
            stop = self.should_stop()
            if stop or self.checkpoint.due:
                save(done)
            return stop

        def close(epoch: int, score: Score) -> None:
            speed = clock.lap(min(epoch * clock.per_epoch, end))
            self.epochs.add(
                Epoch(
                    run_id=self.epochs.run_id,
                    level=level,
                    epoch=epoch,
                    loss=score.loss,
                    accuracy=score.accuracy,
                    lr=trainer.rate,
                    images_per_second=speed,
                    ended_at=datetime.datetime.now(datetime.UTC),
                )
            )
            on_epoch(epoch, score, speed)

        lane = Lane(trainer, on_step=on_step, on_epoch=close, on_stop=save)
        yield Training(lane, level, start, end, self.kernels)
        if lane.diverged:
            raise Diverged
        if trainer.device.type == "cuda":
            torch.cuda.synchronize(trainer.device)
        return lane.score, began.lap(end)


class _Clock:
    """Tells how fast iterations follow each other, since the last time it was asked."""

    def __init__(self, trainer: Trainer, done: int) -> None:
        self.per_epoch = trainer.loader.iterations_per_epoch
        self._images = trainer.loader.end / self.per_epoch  # an iteration, on average
        self._done, self._at = done, time.perf_counter()

    def lap(self, done: int) -> float:
        """Return the images a second up to iteration `done`."""
        iterations, seconds = done - self._done, time.perf_counter() - self._at
        self._done, self._at = done, self._at + seconds
        return iterations * self._images / seconds
