"""A prediction before it is written down: what is said, or why nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...schemas.recipe import ANEW
from ...schemas.records.description import OWN, UNKNOWN
from ...schemas.records.layout import RunFolder
from ...schemas.records.predictions import Kind, Meant, Registered, Statement
from ...store import Store
from ...store.catalogue.predictions import Witness
from ...store.counts import Counts
from ...store.importers.recognition.networks import is_known
from ..named import Meaning, Named, Stored, StoreLike, look_up


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is predicted of a target from a source.

    Attributes
    ----------
    kind : str
        Of `schemas.records.predictions.KINDS`.
    source, target : str
        Ids of experiments; the target may have no runs yet.
    labels : tuple of str
        Of both.
    meant : Meant or None
        Which runs test it; None where none can, as of the literature.
    statements : tuple of Statement
        Empty where it is refused.
    settings : mapping of str to str
        How it was made.
    refused : str
        Why there is no prediction; empty where there is one.
    notes : tuple of str
        What the numbers alone do not say.
    command : str
        What makes the runs that test it, where they are those of one experiment without any.
    untested : str
        Why no run of rgtool can test it; empty where one can, or where it is of the literature.
    """

    kind: Kind
    source: str
    target: str
    labels: tuple[str, str]
    meant: Meant | None
    statements: tuple[Statement, ...]
    settings: Mapping[str, str]
    refused: str = ""
    notes: tuple[str, ...] = ()
    command: str = ""
    untested: str = ""

    @property
    def architecture(self) -> str:
        """That of the target."""
        return architecture_of(self.labels[1])

    def unregistered(self) -> Registered:
        """Return it as it is handed to the store, which fills in time and what is known."""
        assert self.meant is not None
        return Registered(
            kind=self.kind,
            made_at="",
            afterwards=False,
            source=self.source,
            target=self.target,
            labels=self.labels,
            tests=self.meant,
            seen={},
            statements=self.statements,
            settings={**self.settings, **({"command": self.command} if self.command else {})},
        )


def architecture_of(label: str) -> str:
    """Return the architecture of a label such as `resnet20/cifar10`."""
    return label.partition("/")[0]


def needs_of(one: Registered) -> str:
    """Say which runs a prediction waits for."""
    if one.kind == "exponents":
        return f"level {one.settings['window'].partition(':')[2]}"
    if one.kind == "gamma":
        return "an error curve whose exponent may be quoted"
    if one.kind == "collapse":
        return f"levels after {max(one.seen.values(), default=-1)}, or new seeds"
    children = f"children of {one.source} on {one.tests.fields.get('task', one.labels[1])}"
    return f"{children} by two of its maps" if one.kind == "ordering" else children


def no_transfer(store: StoreLike, source: Named, target: Named) -> str:
    """Say why no run can train tickets of a source on a target's task; empty where one can.

    Parameters
    ----------
    store, source, target
        As for `named.look_up`; of the literature nothing is said.
    """
    sides = [look_up(store, one) for one in (source, target)]
    counts = [one.counts("layer") for one in sides if isinstance(one, Stored)]
    if len(counts) < 2:
        return ""
    one, other = counts
    if one.recipe.control in ANEW:
        return f"{one.label} is a control {one.recipe.control}, which has no weights to hand on"
    if one.source != OWN and not _may_be_whole(sides[0], one):
        return (
            f"{one.label} was not trained by rgtool: of its tickets there are masks, and weights of"
            " counted layers at most, which no run can start from"
        )
    if other.recipe.task == UNKNOWN:
        return f"nothing tells what {other.label} is trained on: rgtool import --task does"
    return ""


def _may_be_whole(found: Meaning, counts: Counts) -> bool:
    """Tell whether what is kept of an import may be all weights: known networks have others."""
    if not isinstance(found, Stored) or is_known(counts.recipe.architecture):
        return False
    folders = [RunFolder.of(found.store.path, run) for run in counts.runs]
    return any(one.weights(name).is_file() for one in folders for name in ("init", "rewind"))


def by_experiment(witnesses: list[Witness]) -> dict[str, list[Witness]]:
    """Gather the runs that test a prediction by experiment; a prediction has one or several."""
    found: dict[str, list[Witness]] = {}
    for one in witnesses:
        found.setdefault(one.experiment_id, []).append(one)
    return found


def counts_of_witnesses(
    store: Store, experiment: str, witnesses: list[Witness], by: str = "layer"
) -> Counts:
    """Return the counts of an experiment, of the runs alone that test a prediction.

    Raises
    ------
    RgtoolError
        There are no records, or runs do not agree on their layers.
    """
    counts = store.counts(experiment, by)
    wanted = {one.run_id for one in witnesses}
    return counts.select([i for i, run in enumerate(counts.runs) if run in wanted])
