"""Is pruning by a scheme a renormalization: semigroup, fixed point, exponents like magnitude's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.notes import LeftOut, Note, Rank
from ...store.counts import Counts
from ...store.literature import PREFIX, published_flow, published_flow_names
from ..arrays import Floats
from ..named import Meaning, Named, StoreLike, counts_of, look_up_all
from ..window import Window, choose_window
from .against import SEE as ANOMALOUS
from .against import Against, against_magnitude, canonical_of
from .families import Family, families
from .fixed_point import SEE as FIXED_POINT
from .fixed_point import FixedPoint, of_scales, of_shares
from .result import SEE, Scheme, Schemes
from .said import conclusions, fate_notes
from .semigroup import SEE as SEMIGROUP
from .semigroup import STEPS, Semigroup, beside, whole_notes

Made = TypeVar("Made")
Levels = tuple[int, int] | None


def scheme(
    store: StoreLike = None,
    experiments: Sequence[Named] | str = (),
    *,
    by: str = "block",
    window: Levels = None,
    published: bool = True,
    rng: int = 0,
) -> Schemes:
    """Ask of pruning schemes what a renormalization would answer.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiments : sequence of str, or one
        Names of experiments, see `named.look_up_all`; none: all of the store. Those that differ in
        `prune`, `score_from` or `score_steps` alone are one scheme.
    by : str
        Grouping.
    window : (a, b), optional
        Levels that are looked at, of published flows too. By default all that have weights in every
        group, and for fixed points those of them that are free of finite size, see
        `fixed_point.without_finite_size`.
    published : bool
        Whether the published flows of five schemes stand beside.
    rng : int
        Seed of the parametric bootstraps.

    Raises
    ------
    RgtoolError
        None of the experiments has a flow.
    UsageError
        An experiment, the grouping or the window is not to be had.
    """
    names = [experiments] if isinstance(experiments, str) else experiments
    read, notes = _read(store, look_up_all(store, names), by, window)
    if published:
        meant = {one.window.counts.experiment_id for one in read}
        beside_them = [published_flow(x) for x in published_flow_names() if x not in meant]
        more, lacking = _read(store, beside_them, by, window, needed=False)
        read, notes = read + more, notes + lacking
    layers = {one.window: one.layers for one in read}
    known = families([*layers])
    studies = [_Study(known, one, layers[one.main], window is not None, rng) for one in known]
    schemes = tuple(study.scheme() for study in studies)
    every = (*notes, *conclusions(schemes), *(note for study in studies for note in study.notes))
    return Schemes(by, schemes, every)


def _no_scheme(child: Counts) -> RgtoolError:
    """Say why a child, of single tickets or of a flow that begins with a change, is left out."""
    does = "trains single" if child.is_child else "begins with changed"
    return RgtoolError(
        f"{child.label} ({child.experiment_id}): it {does} tickets of {child.recipe.parent} and is "
        "no scheme of its own: ask for that experiment"
    )


@dataclass(frozen=True, eq=False)
class _Read:
    """An experiment: its window in the grouping that is asked for, and what reads that by layer."""

    window: Window
    layers: Callable[[], Window]


def _read(
    store: StoreLike, found: Sequence[Meaning], by: str, window: Levels, needed: bool = True
) -> tuple[list[_Read], list[Note]]:
    """Read experiments; those without a flow are told, an error where all are that is needed."""
    read: list[_Read] = []
    failed: list[RgtoolError] = []
    for one in found:

        def by_layer(one: Meaning = one) -> Window:
            return choose_window(counts_of(store, one, "layer", "a scheme"), window).distinct

        try:
            chosen = choose_window(counts_of(store, one, by, "a scheme"), window).distinct
        except RgtoolError as error:
            failed.append(error)
            continue
        if chosen.counts.is_child or chosen.counts.recipe.transform is not None:
            failed.append(_no_scheme(chosen.counts))
            continue
        read.append(_Read(chosen, by_layer))
    if needed and not read:
        raise failed[0]
    kind = LeftOut if needed else Note
    return read, [kind(f"left out: {error}", SEE, Rank.WARNING) for error in failed]


@dataclass(eq=False)
class _Study:
    """One scheme among others, and what is noted while it is asked."""

    known: Sequence[Family]
    family: Family
    layers: Callable[[], Window]
    chosen: bool
    rng: int
    notes: list[Note] = field(default_factory=list)

    def scheme(self) -> Scheme:
        """Ask all that there is to ask."""
        family, main = self.family, self.family.main
        counts = main.counts
        if not counts.experiment_id.startswith(PREFIX):
            self._note(main.notes)
        step = self._semigroup(family.coarser, "small against large steps")
        at_once = self._semigroup(family.at_once, "step by step against at once")
        self._name_rest(found for found in (step, at_once) if found is not None)
        return Scheme(
            family=family,
            step=step,
            at_once=at_once,
            shares=self._fate(lambda: of_shares(main, self.chosen), "shares"),
            scales=self._fate(
                lambda: of_scales(self.layers(), counts.by, self.chosen), "effective scales"
            ),
            canonical=self._canonical(),
            against=self._against(),
        )

    def _note(self, notes: Sequence[str], see: str = SEE) -> None:
        name = self.family.main.counts.experiment_id
        self.notes += [Note.of(text, see).about(name) for text in notes]

    def _tried(self, make: Callable[[], Made], what: str, see: str) -> Made | None:
        """Make something; where it is not to be had that is noted."""
        try:
            return make()
        except RgtoolError as error:
            self._note([Note(f"{what}: not to be had, {error}", see)])
            return None

    def _semigroup(self, others: Sequence[Window], what: str) -> Semigroup | None:
        """Compare with the first that has densities in common."""
        lacking: list[UsageError] = []
        for other in others:
            try:
                found = beside(self.family.main, other, rng=self.rng)
            except UsageError as error:
                lacking.append(error)
            else:
                self._note([Note.of(text, SEMIGROUP) for text in whole_notes(*found.windows)])
                return found
        if lacking:
            self._note([Note(f"{what}: not to be had, {lacking[0]}", SEMIGROUP)])
        return None

    def _name_rest(self, compared: Iterable[Semigroup]) -> None:
        """Name the experiments of the scheme that enter no comparison."""
        family = self.family
        entered = {one.windows[1].counts for one in compared}
        rest = [
            one.counts
            for one in (*family.coarser, *family.at_once, *family.rest)
            if one.counts not in entered
        ]
        if rest:
            text = (
                f"of this scheme {_listed_steps(rest)} entered no comparison: an experiment named "
                "alone has a row of its own"
            )
            self._note([Note(text, SEE, Rank.WARNING)])

    def _fate(self, make: Callable[[], FixedPoint], what: str) -> FixedPoint | None:
        found = self._tried(make, f"fate of {what}", FIXED_POINT)
        if found is not None:
            self._note(fate_notes(found, what), FIXED_POINT)
        return found

    def _canonical(self) -> Floats | None:
        if not self.family.trained:
            return None
        found = self._tried(
            lambda: canonical_of(self.family, self.family.main, self.known),
            "canonical exponents",
            ANOMALOUS,
        )
        if found is None:
            return None
        self._note(found[1], ANOMALOUS)
        return found[0]

    def _against(self) -> Against | None:
        found = self._tried(
            lambda: against_magnitude(self.family, self.known, self.rng),
            "a comparison with magnitude pruning",
            ANOMALOUS,
        )
        if found is not None:
            self._note(found.notes, ANOMALOUS)
        return found


def _listed_steps(experiments: Iterable[Counts]) -> str:
    """Write experiments of one scheme, each with the steps in which it prunes."""
    return ", ".join(
        f"{one.experiment_id} ({' '.join(f'{x}={getattr(one.recipe, x)}' for x in STEPS)})"
        for one in experiments
    )
