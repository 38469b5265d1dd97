"""Guessing: the error of it on a task, and whether networks do any better."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..schemas.notes import Note, Rank
from ..schemas.records.data_names import innermost
from ..schemas.words import counted, listed
from ..store.counts import Counts
from .arrays import Floats, Integers

# Error of guessing: the share of all classes but the most frequent one of the test set.
CHANCE = {
    "cifar10": 0.9,
    "cifar100": 0.99,
    "svhn": 0.804,
    "digits": 0.9,
    "mnist": 0.886,
    "fashion-mnist": 0.9,
    "imagenet": 0.999,
}
# Images of the test set that comes with a task.
TEST_IMAGES = {
    "cifar10": 10_000,
    "cifar100": 10_000,
    "svhn": 26_032,
    "digits": 355,
    "mnist": 10_000,
    "fashion-mnist": 10_000,
}
# Untrained networks answer alike to images that are alike, so their accuracy scatters as that of
# guesses at few images, which a larger test set does not make many: lenet 76 of 355 digits and 96
# of 1797, ResNet-8 of width 4 117 and 178; on the CIFAR-10 test set lenet 461, ResNet-8 232 of 2000
# images. CIFAR-100 has the same kind of images. What was not measured is taken to scatter most.
_IMAGES = 75
_MORE_IMAGES = {"cifar10": 230, "cifar100": 230}
_ONE, _MEAN = 4.0, 3.0  # sds by which one accuracy, standard errors by which the mean may exceed it
SEE = "spectra.md#networks-that-may-have-learned-nothing"


def chance_of(task: str | None, classes: int | None = None) -> float | None:
    """Return the error of guessing on a task, by its classes where it is unknown.

    A data set that is made of another has as many test images of every class.

    Examples
    --------
    >>> chance_of("svhn"), chance_of("npz:mine.npz", 4), chance_of("permuted:svhn:1")
    (0.804, 0.75, 0.804)
    """
    of_classes = None if classes is None else 1 - 1 / classes
    return of_classes if task is None else CHANCE.get(innermost(task), of_classes)


def guessing(counts: Counts) -> float | None:
    """Return the accuracy of guessing on an experiment's task; None where it is unknown."""
    shape = counts.layers[-1].shape if counts.layers else ()
    error = chance_of(counts.recipe.task, shape[0] if shape else None)
    return None if error is None else 1 - error


def worth_of_image(counts: Counts) -> float | None:
    """Return what one test image is worth in accuracy; None where its task does not tell.

    An import or a recording need not have been tested on all images, and may tell means.
    """
    images = TEST_IMAGES.get(innermost(counts.recipe.task))
    return None if images is None or counts.recipe.origin is not None else 1 / images


def images_of(task: str | None) -> int:
    """Return at how many images guesses scatter as an untrained network's accuracy on a task."""
    return _MORE_IMAGES.get(task or "", _IMAGES)


def learned_nothing(accuracy: Floats, guess: float, images: int = _IMAGES) -> bool:
    """Tell whether runs cannot be told from guessing.

    Parameters
    ----------
    accuracy : array, shape (S, T)
        Test accuracy of S runs at T levels, NaN where it is not known.
    guess : float
        Accuracy of guessing.
    images : int
        At how many images guesses scatter as an untrained network's accuracy (`images_of`).

    Returns
    -------
    bool
        No accuracy exceeds guessing by more than four standard deviations of an untrained network's
        accuracy, nor the mean over runs by more than three standard errors: many runs that are a
        little better have learned something. False where nothing is known.

    Examples
    --------
    >>> learned_nothing(np.array([[0.12, 0.1, 0.09]]), 0.1)
    True
    >>> learned_nothing(np.array([[0.9, 0.1, 0.1]]), 0.1)
    False
    """
    known = accuracy[np.isfinite(accuracy).any(axis=1)]
    if not len(known):
        return False
    sd = math.sqrt(guess * (1 - guess) / images)
    mean = np.nanmean(known, axis=1).mean()
    return bool(
        np.nanmax(known) <= guess + _ONE * sd and mean <= guess + _MEAN * sd / math.sqrt(len(known))
    )


def at_chance(counts: Counts, start: int, end: int, runs: Integers) -> bool | None:
    """Tell whether nothing shows that an experiment learned, at its dense level and in a window.

    Parameters
    ----------
    counts : Counts
        The experiment.
    start, end : int
        Levels of the window.
    runs : integer array, shape (S,)
        Positions of its runs.

    Returns
    -------
    bool or None
        None where accuracy or the error of guessing is unknown.
    """
    guess, accuracy = guessing(counts), _window_accuracies(counts, start, end, runs)
    if guess is None or not np.isfinite(accuracy).any():
        return None
    return learned_nothing(accuracy, guess, images_of(counts.recipe.task))


def chance_notes(counts: Counts, start: int, end: int, runs: Integers) -> list[Note]:
    """Say where the networks of a window are no better than guessing; see `at_chance`."""
    guess = guessing(counts)
    if guess is None:
        return []
    accuracy = _window_accuracies(counts, start, end, runs)
    images = images_of(counts.recipe.task)
    if learned_nothing(accuracy, guess, images):
        return [_nothing(counts, accuracy, guess, (start, end))]
    names = [counts.runs[i] for i in runs]
    return [
        *_some_runs(accuracy, guess, images, names),
        *_lost_from(accuracy, guess, images, end),
    ]


def chance_of_all(counts: Counts) -> list[Note]:
    """Return the `chance_notes` of all runs of an experiment over all levels."""
    return chance_notes(counts, 1, len(counts.levels) - 1, np.arange(len(counts.runs)))


def _window_accuracies(counts: Counts, start: int, end: int, runs: Integers) -> Floats:
    """Return accuracies at the dense level and the window's: shape (S, 1 + T)."""
    return counts.accuracy[runs][:, [0, *range(max(start, 1), end + 1)]]


def _nothing(counts: Counts, accuracy: Floats, guess: float, levels: tuple[int, int]) -> Note:
    name = f"{counts.label} ({counts.experiment_id})"
    return Note(
        f"no evidence that anything was learned by {name}: its test accuracy, "
        f"{np.nanmean(accuracy):.3g} in the mean over the dense level and levels "
        f"{levels[0]}:{levels[1]} and {np.nanmax(accuracy):.3g} at best, cannot be told from "
        f"guessing ({guess:.3g}): what stands here may be how networks that know nothing of the "
        "task are pruned",
        SEE,
        Rank.VOID,
    )


def _some_runs(accuracy: Floats, guess: float, images: int, names: Sequence[str]) -> list[Note]:
    idle = [
        name
        for name, own in zip(names, accuracy, strict=True)
        if learned_nothing(own[None], guess, images)
    ]
    if not idle:
        return []
    return [
        Note(
            f"no evidence that anything was learned by {counted(len(idle), 'run')} of {len(names)} "
            f"({listed(idle, 3)}): test accuracy cannot be told "
            f"from guessing ({guess:.3g}) at any level",
            SEE,
            Rank.WARNING,
        )
    ]


def _lost_from(accuracy: Floats, guess: float, images: int, end: int) -> list[Note]:
    """Name the level from which on all runs guess, where others learn."""
    lost = [learned_nothing(column[:, None], guess, images) for column in accuracy.T]
    first = len(lost) - lost[::-1].index(False) if False in lost else 0
    if not 0 < first < len(lost):
        return []
    level = end - (len(lost) - 1 - first)
    return [
        Note(
            f"from level {level} on no run is certainly better than guessing ({guess:.3g}): what "
            "these levels keep may not be chosen by what the network learned",
            SEE,
            Rank.CAUTION,
        )
    ]
