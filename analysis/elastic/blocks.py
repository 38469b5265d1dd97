"""The normal blocks of one experiment, as stretching and squeezing sees them, stage by stage."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...schemas.blocks import architecture
from ...schemas.errors import RgtoolError, UsageError
from ...schemas.notes import Note, Rank
from ...schemas.recipe import Recipe
from ...schemas.tickets.stack import Stack, stack_of
from ...store.counts import Counts
from ...store.literature import PREFIX, PublishedSpectrum
from ..arrays import Floats
from ..flow import UNIT
from ..named import Named, Stored, StoreLike, counts_of, is_published, look_up
from ..nulls.untrained import null
from ..spectrum.eigen import eigen
from ..spectrum.noise import PUBLISHED_SD
from ..spectrum.result import Spectrum
from ..window import choose_window

Stages = tuple[Floats, ...]
_NAMED_ELSEWHERE = ("architecture", "task")  # fields of a recipe that are named elsewhere


@dataclass(frozen=True, eq=False)
class NormalBlocks:
    """The spectrum of the normal blocks of one experiment, or an architecture without any.

    Attributes
    ----------
    name : str
        Id of the experiment, `published:NAME`, or the architecture.
    architecture : str
        Its network.
    task : str or None
        None for an architecture by itself.
    stack : Stack
        Blocks of the network.
    theta : tuple of array, a stage each, shape (k,)
        log lambda at a step that prunes 20 %; empty for an architecture by itself.
    seeds : int
        Number of seeds; 0 where there are none behind the numbers.
    spectrum : Spectrum or PublishedSpectrum or None
        Where theta comes from.
    recipe : Recipe or None
        None for what is published, and for an architecture.
    scale : float
        theta over the spectrum's own log eigenvalue: 1 where a step prunes 20 %.
    """

    name: str
    architecture: str
    task: str | None
    stack: Stack
    theta: Stages
    seeds: int = 0
    spectrum: Spectrum | PublishedSpectrum | None = None
    recipe: Recipe | None = None
    scale: float = 1.0

    @property
    def label(self) -> str:
        """Architecture and task, such as `resnet20/cifar10`, and what tells it apart."""
        if isinstance(self.spectrum, Spectrum):
            return self.spectrum.label
        return self.architecture if self.task is None else f"{self.architecture}/{self.task}"

    @property
    def title(self) -> str:
        """Label and name, such as `resnet20/cifar10 (3f2a91cc04d1)`; the name of what has one."""
        return f"{self.label} ({self.name})" if isinstance(self.spectrum, Spectrum) else self.name

    @property
    def eigenvalue(self) -> Stages:
        """Eigenvalues at a step that prunes 20 %, a stage each, shape (k,)."""
        return tuple(np.exp(stage) for stage in self.theta)

    @property
    def sd(self) -> Stages:
        """Standard error of theta, NaN where one seed tells none: a stage each, shape (k,)."""
        if not isinstance(self.spectrum, Spectrum):
            return tuple(np.full_like(stage, PUBLISHED_SD) for stage in self.theta)
        found = self.spectrum.interval
        if not self.can_draw:
            return tuple(np.full_like(stage, np.nan) for stage in self.theta)
        return self._pick(np.sqrt(found.variance / found.seeds) * self.scale)

    @property
    def can_draw(self) -> bool:
        """Whether anything is known of how far theta may be off."""
        if isinstance(self.spectrum, Spectrum):
            return self.spectrum.scope == "population" and math.isfinite(self.spectrum.interval.df)
        return self.spectrum is not None

    def draws(self, number: int, rng: np.random.Generator) -> Stages:
        """Draw theta from what is known of it: a stage each, shape (number, k).

        By `Spectrum.draws`; normal with the assumed `PUBLISHED_SD` for what is published.

        Raises
        ------
        UsageError
            There is one seed.
        """
        if isinstance(self.spectrum, Spectrum):
            drawn = self.spectrum.draws(number, rng)
            return self._pick(drawn * self.scale)
        return tuple(
            stage + PUBLISHED_SD * rng.standard_normal((number, len(stage))) for stage in self.theta
        )

    @property
    def untrained(self) -> Stages:
        """Return theta of the same network without training (N1), NaN where it is not known.

        That of the recipe and the densities of an experiment; of what is published, and tells
        neither, that of He's initialisation over 16 steps.
        """
        if isinstance(self.spectrum, Spectrum):
            return self._pick(np.log(self.spectrum.untrained.eigenvalue) * self.scale)
        found = null(self.architecture, by="block")
        return _stages(np.log(found.eigenvalue), found.names, self.stack, self.name)

    def _pick(self, values: Floats) -> Stages:
        """Return the normal blocks' part of values of the spectrum's groups, shape (..., G)."""
        assert self.spectrum is not None
        return _stages(values, self.spectrum.names, self.stack, self.name)


def normal_blocks(
    store: StoreLike,
    name: Named | NormalBlocks,
    window: tuple[int, int] | None = None,
    *,
    lone: bool = False,
) -> NormalBlocks:
    """Look up the normal blocks of an experiment.

    Parameters
    ----------
    store : Store or path, or None
        Where the records are.
    name : str, or what `named.look_up` returns
        An experiment or run of the store, `published:NAME`, or, where `lone`, an architecture.
    window : (a, b), optional
        Levels of an experiment of the store, see `choose_window`.
    lone : bool
        Whether an architecture without a spectrum will do.

    Raises
    ------
    RgtoolError
        A block has collapsed, or there are too few levels.
    UsageError
        There is no such experiment, it has no residual blocks, or no spectrum by block.
    """
    if isinstance(name, NormalBlocks):
        return name
    unknown = None
    if isinstance(name, str) and not is_published(name):
        unknown = _no_architecture(name)
        if unknown is None:
            return _lone(name, lone)
    try:
        found = look_up(store, name)
    except RgtoolError as missing:
        if not (unknown and lone) or re.match(r"[0-9a-f]+(-|$)|.*/", str(name)):
            raise
        raise UsageError(f"{unknown}; and {missing}") from None
    if isinstance(found, PublishedSpectrum):
        return of_published(found)
    blocks = of_counts(counts_of(store, found, "block", "a match"), window)
    return replace(blocks, name=found.name) if isinstance(found, Stored) else blocks


def _lone(name: str, welcome: bool) -> NormalBlocks:
    if not welcome:
        raise UsageError(
            f"{name} is an architecture, and no spectrum comes with it: name an experiment of "
            f"the store such as {name}/cifar10, or of the literature such as "
            f"{PREFIX}resnet20-cifar10"
        )
    return NormalBlocks(name, name, None, stack_of(name), ())


def _no_architecture(name: str) -> str | None:
    """Say why a name is not that of an architecture; None where it is."""
    try:
        architecture(name)
    except UsageError as error:
        return str(error)
    return None


def of_published(spectrum: PublishedSpectrum) -> NormalBlocks:
    """Take the normal blocks of a published spectrum; raises as `normal_blocks` does."""
    stack = stack_of(spectrum.architecture)
    if spectrum.by != "block":
        raise UsageError(
            f"{spectrum.name} is printed by {spectrum.by}: elastic tickets need it by block"
        )
    _check_alive(spectrum.eigenvalue, spectrum.names, spectrum.name)
    theta = _stages(np.log(spectrum.eigenvalue), spectrum.names, stack, spectrum.name)
    return NormalBlocks(
        spectrum.name, spectrum.architecture, spectrum.task, stack, theta, spectrum=spectrum
    )


def of_counts(counts: Counts, window: tuple[int, int] | None = None) -> NormalBlocks:
    """Take the normal blocks of counts by block; raises as `normal_blocks` does."""
    stack = stack_of(counts.recipe.architecture, counts.layers)
    if window is None:
        # What choose_window advises, a coarser grouping, is not to be had here.
        early = counts.kept[:, : min(3, len(counts.levels))]
        empty = ((early == 0) & counts.recorded[:, : early.shape[1], None]).any(axis=1)
        _check_alive(np.where(empty.any(axis=0), 0.0, 1.0), counts.names, counts.label)
    spectrum = eigen(None, counts, window=window)
    growth = spectrum.eigenvalue.value
    _check_alive(growth, spectrum.names, counts.label)
    scale = _scale(counts, spectrum)
    theta = _stages(scale * np.log(growth), spectrum.names, stack, counts.label)
    return NormalBlocks(
        counts.experiment_id,
        counts.recipe.architecture,
        counts.recipe.task,
        stack,
        theta,
        len(spectrum.runs),
        spectrum,
        counts.recipe,
        scale,
    )


def _scale(counts: Counts, spectrum: Spectrum) -> float:
    """Return ln(1/.8) over the mean log retention of a step, as measured over window and runs."""
    window = choose_window(counts, spectrum.window)
    network = window.network
    return float(UNIT / (np.log(network[:, 0] / network[:, -1]).mean() / window.steps))


def _check_alive(eigenvalue: Floats, names: Sequence[str], where: str) -> None:
    dead = [name for name, v in zip(names, eigenvalue, strict=True) if not v > 0]
    if dead:
        raise RgtoolError(
            f"{where}: block {dead[0]} has collapsed (eigenvalue 0, no logarithm): a ticket "
            "without it can be neither stretched nor squeezed; end the window before (--window "
            "a:b), or use other runs"
        )


def _stages(values: Floats, names: Sequence[str], stack: Stack, where: str) -> Stages:
    """Cut values of groups, shape (..., G), into the normal blocks of stages."""
    place = {name: i for i, name in enumerate(names)}
    missing = [name for stage in stack.stages for name in stage.names if name not in place]
    if missing:
        raise UsageError(f"{where}: block {missing[0]} of {stack.name} is not in the spectrum")
    return tuple(values[..., [place[name] for name in stage.names]] for stage in stack.stages)


def check_window(window: tuple[int, int] | None, several: Sequence[NormalBlocks]) -> None:
    """Refuse a window where no experiment has levels.

    Raises
    ------
    UsageError
        All are published, or architectures.
    """
    if window is None or not several:
        return
    if not any(isinstance(one.spectrum, Spectrum) for one in several):
        raise UsageError(
            f"{several[0].name} has no levels to choose from, as all that is published: leave out "
            "the window"
        )


def own_notes(one: NormalBlocks) -> list[Note]:
    """Say what the numbers of an experiment alone do not say."""
    if not isinstance(one.spectrum, Spectrum):
        return []
    notes = [
        note
        for note in map(Note.of, one.spectrum.notes)
        if note.rank == Rank.VOID or note.startswith(("the window", "run "))
    ]
    if abs(one.scale - 1) > 0.01:
        share = -math.expm1(-UNIT / one.scale)
        notes.append(
            Note(f"a step prunes {share:.3g}; eigenvalues are put as those of steps of 0.2")
        )
    return [note.about(one.title) for note in notes]


def differences(several: Sequence[NormalBlocks]) -> list[str]:
    """Say in what experiments differ beside their depth."""
    notes = []
    tasks = sorted({one.task for one in several if one.task})
    if len(tasks) > 1:
        notes.append(f"the tasks differ: {', '.join(tasks)}")
    recipes = [one.recipe.to_json() for one in several if one.recipe]
    fields = sorted(
        field
        for field in (recipes[0] if recipes else ())
        if field not in _NAMED_ELSEWHERE and any(one[field] != recipes[0][field] for one in recipes)
    )
    if fields:
        notes.append(f"the recipes differ in {', '.join(fields)} too")
    return notes
