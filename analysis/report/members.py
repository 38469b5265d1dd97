"""The experiments of a report, each with what is known of it by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ...schemas.blocks import coarsest
from ...schemas.errors import RgtoolError
from ...schemas.notes import voiding
from ...store import ExperimentInfo, Store
from ...store.counts import Counts
from ..chance import chance_of_all
from ..curves.matching import Matching, matching_density
from ..named import Named, Stored, look_up_each, unsuited
from ..spectrum.eigen import eigen
from ..spectrum.result import Spectrum
from .markup import slug

_LIKE = "as "  # how the recipe of a child names that experiment
_WITH_EPOCHS = "SELECT DISTINCT experiment_id FROM epochs"
Found = TypeVar("Found")
Read = Counts | RgtoolError


@dataclass(frozen=True, eq=False)
class Member:
    """An experiment of a report.

    Attributes
    ----------
    info : ExperimentInfo
        What the store lists of it.
    counts, layers : Counts or None
        In the coarsest grouping that its network has, and by layer; None where there are none.
    matching : Matching or None
        How far it prunes; None where it cannot be told.
    spectrum : Spectrum or None
        None of children, whose masks are their parents', and where there is none.
    problems : tuple of str
        Why one of these is missing.
    epochs : Stored or None
        Where the epochs of its runs are; None where none is on record.
    """

    info: ExperimentInfo
    counts: Counts | None = None
    layers: Counts | None = None
    matching: Matching | None = None
    spectrum: Spectrum | None = None
    problems: tuple[str, ...] = ()
    epochs: Stored | None = None

    @property
    def id(self) -> str:
        """The id of the experiment."""
        return self.info.experiment_id

    @property
    def title(self) -> str:
        """Label and id, with the name that people gave it."""
        called = f"{self.info.name}: " if self.info.name else ""
        return f"{called}{self.info.label} ({self.id})"

    @property
    def anchor(self) -> str:
        """What links within the page name it by."""
        return f"experiment-{slug(self.id)}"

    @property
    def like(self) -> str:
        """Of a child the experiment of its task's own tickets, which it is trained like."""
        names = (name for name in self.info.recipe_names if name.startswith(_LIKE))
        return next(names, "").removeprefix(_LIKE)

    @property
    def is_void(self) -> bool:
        """Whether its networks are no better than guessing, so that any density matches."""
        return self.counts is not None and bool(voiding(chance_of_all(self.counts)))

    @property
    def flows(self) -> bool:
        """Whether its levels follow from each other: a child trains single tickets."""
        return self.counts is not None and not self.counts.is_child


def gather(store: Store, experiments: Sequence[Named] | None = None) -> tuple[Member, ...]:
    """Read the experiments that names mean, those that find their own tickets first.

    Parameters
    ----------
    store : Store
        Where they are.
    experiments : sequence of str, optional
        Names, each with all that it fits; by default all of the store, children too.

    Raises
    ------
    UsageError
        A name cannot be had, or is not that of experiments of the store.
    StoreError
        The store cannot be read.
    """
    every = store.experiments()
    wanted = None if experiments is None else _ids(store, experiments)
    infos = [one for one in every if wanted is None or one.experiment_id in wanted]
    infos.sort(key=lambda one: one.recipe.parent is not None)  # stable: else as the store lists
    layers = dict(store.counts_of([one.experiment_id for one in infos], "layer")) if infos else {}
    counts = _coarse(store, layers)
    members = (
        _member(store, one, counts[one.experiment_id], layers[one.experiment_id]) for one in infos
    )
    curves = {name: Stored(store, name) for (name,) in store.query(_WITH_EPOCHS).rows}
    return tuple(replace(one, epochs=curves.get(one.id)) for one in members)


def _ids(store: Store, experiments: Sequence[Named]) -> set[str]:
    found = [one for name in experiments for one in look_up_each(store, name)]
    for one in found:
        if not isinstance(one, Stored) or one.run_id is not None:
            raise unsuited(one, "a report is of experiments of the store")
    return {one.experiment_id for one in found if isinstance(one, Stored)}


def _coarse(store: Store, layers: Mapping[str, Read]) -> dict[str, Read]:
    """Read counts again in the coarsest grouping that their layers have."""
    grouped: dict[str, list[str]] = {}
    for name, counts in layers.items():
        if isinstance(counts, Counts):
            grouped.setdefault(coarsest(counts.layers), []).append(name)
    found = dict(layers)
    for by, names in grouped.items():
        found |= dict(store.counts_of(names, by))
    return found


def _member(store: Store, info: ExperimentInfo, counts: Read, layers: Read) -> Member:
    if not (isinstance(counts, Counts) and isinstance(layers, Counts)):
        return Member(info, problems=(f"no counts: {counts}",))
    problems: list[str] = []
    matching = tried(problems, "no matching density", matching_density, None, counts)
    spectrum = None if counts.is_child else tried(problems, "no spectrum", eigen, store, counts)
    return Member(info, counts, layers, matching, spectrum, tuple(problems))


def tried(
    problems: list[str], without: str, make: Callable[..., Found], *arguments: Any
) -> Found | None:
    """Return what a function makes, or None where it cannot; why goes to problems."""
    try:
        return make(*arguments)
    except RgtoolError as error:
        problems.append(f"{without}: {error}")
        return None
