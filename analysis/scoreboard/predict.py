"""Predictions, told where they have a score, and written down on request."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...schemas.errors import UsageError, choose
from ...schemas.notes import Note, Rank
from ...schemas.records.layout import DEFAULT_STORE
from ...schemas.records.predictions import KINDS, Kind, Registered
from ...store.catalogue.predictions import register as write_down
from ..classes.predict import Prediction, predict_transfer, rule_notes
from ..named import Named, StoreLike, open_store
from ..values import NOTHING
from .collapse import collapse_draft
from .drafts import Draft, architecture_of, no_transfer
from .exponents import exponents_draft, gamma_draft
from .line import Line
from .ordering import ordering_draft
from .result import SEE, Foretold, score_notes
from .score import lines_for
from .targets import Target
from .transfer import transfer_draft


def predict(
    store: StoreLike,
    a: Named,
    b: Named | Target = None,
    *,
    kind: str = "transfer",
    register: bool = False,
    afterwards: bool = False,
    by: str | None = None,
    maps: Sequence[str] = (),
    rng: np.random.Generator | int = 0,
) -> Prediction | Foretold:
    """Predict what runs will show that are not there yet, beside what such predictions were worth.

    Where none of its kind was ever scored for the architecture nothing is told: it can be written
    down all the same, and `score` scores it once the runs are there.

    Parameters
    ----------
    store : Store or path, or None
        Where the records are.
    a : str
        The source: an experiment or run, see `named.look_up`; of a transfer also `published:NAME`.
    b : str or Target, optional
        The target. Of a transfer or an ordering an experiment as the source is; of exponents and
        gamma an experiment without runs, that `rgtool.predict` takes as a label such as
        `lenet/mnist` and fields; of a collapse none, it is of the source itself.
    kind : str
        `transfer`: the smallest density at which tickets transfer; `ordering`: which of two maps
        gives the better ticket; `collapse`: when layers run empty; `exponents`; `gamma`.
    register : bool
        Whether to write it into the store, dated and hashed.
    afterwards : bool
        With `register`: also where runs that test it are there; it is never scored.
    by : str, optional
        Grouping of spectra.
    maps : sequence of str
        Of an ordering, maps such as `0:0;1:1,2`.
    rng : numpy.random.Generator or int
        Randomness of all draws, or its seed.

    Raises
    ------
    UsageError
        A name or choice is not to be had; it cannot be written down, or is to be and runs that
        test it are there.
    RgtoolError
        The experiments do not allow it.
    """
    kind = check_asked(kind, b is not None, register, afterwards, maps)
    rng = np.random.default_rng(rng)
    if kind == "transfer" and not isinstance(b, Target):
        return _transfer(store, a, b, by, rng, (register, afterwards))
    draft = _draft(kind, store, a, b, {"by": by, "maps": maps, "rng": rng})
    written = _registered(store, draft, (register, afterwards))
    lines = lines_for(store, kind, draft.architecture)
    refused = draft.refused or _no_score(kind, draft.architecture, lines)
    notes = (
        *_tested_by(store, draft),
        *([] if refused else draft.notes),
        *score_notes(lines),
    )
    experiments = (draft.source, draft.target)
    return Foretold(
        kind, experiments, draft.labels, draft.statements, refused, lines, written, notes
    )


def check_asked(
    kind: str,
    has_target: bool,
    register: bool = False,
    afterwards: bool = False,
    maps: Sequence[str] = (),
) -> Kind:
    """Hold what is asked of `predict` together, before anything is looked up; return the kind.

    Raises
    ------
    UsageError
        The kind is unknown, or does not go with the rest.
    """
    kind = choose("kind", kind, KINDS)
    if afterwards and not register:
        raise UsageError("afterwards goes with register: nothing is written down without it")
    if maps and kind != "ordering":
        raise UsageError(f"maps are those of an ordering: {kind} takes none")
    if has_target == (kind == "collapse"):
        raise UsageError(
            "a collapse is that of one experiment: name no target"
            if kind == "collapse"
            else f"{kind} is predicted of a target: name it after the source"
        )
    return kind


def _tested_by(store: StoreLike, draft: Draft) -> list[Note]:
    """Name the command whose runs test a prediction."""
    if not draft.command or draft.refused:
        return []
    path = open_store(store).path
    where = "" if str(path) == DEFAULT_STORE else f" --store {shlex.quote(str(path))}"
    return [Note(f"tested by: {draft.command}{where}", SEE, Rank.CONCLUSION)]


def _draft(
    kind: Kind, store: StoreLike, a: Named, b: Named | Target, options: dict[str, Any]
) -> Draft:
    rng, by = options["rng"], options["by"]
    if kind == "collapse":
        return collapse_draft(store, a, rng=rng)
    if isinstance(b, Target):
        return gamma_draft(store, a, b) if kind == "gamma" else exponents_draft(store, a, b, by=by)
    if kind == "ordering":
        return ordering_draft(store, a, b, maps=options["maps"], rng=rng)
    raise UsageError(f"{kind}: the target has no runs yet, name it as lenet/mnist")


def _transfer(
    store: StoreLike,
    a: Named,
    b: Named,
    by: str | None,
    rng: np.random.Generator,
    write: tuple[bool, bool],
) -> Prediction:
    found = predict_transfer(store, a, b, by=by, rng=rng)
    draft = transfer_draft(found, by, rng)
    unlike = architecture_of(found.labels[0]) != draft.architecture
    apart = "source and target are of different architectures, which nothing has scored"
    untested = apart if unlike else no_transfer(store, a, b)
    written = _registered(store, replace(draft, untested=untested), write)
    lines = lines_for(store, "transfer", draft.architecture)
    refused = found.refused or _no_score("transfer", draft.architecture, lines)
    if not refused and unlike:
        refused = apart
    if refused:
        found = replace(found, level=NOTHING, density=NOTHING)
    return replace(
        found,
        refused=refused,
        scores=lines,
        registered=written.id if written else "",
        notes=(*found.notes, *([] if refused else rule_notes(found)), *score_notes(lines)),
    )


def _registered(store: StoreLike, draft: Draft, write: tuple[bool, bool]) -> Registered | None:
    wanted, afterwards = write
    if not wanted:
        return None
    if draft.refused:
        raise UsageError(f"there is no prediction to write down: {draft.refused}")
    if draft.meant is None:
        raise UsageError(
            f"{' -> '.join((draft.source, draft.target))}: no run of a store can test what is "
            "said of the literature"
        )
    if draft.untested:
        raise UsageError(f"no run could test a prediction of this {draft.kind}: {draft.untested}")
    return write_down(open_store(store), draft.unregistered(), afterwards=afterwards)


def _no_score(kind: Kind, architecture: str, lines: Sequence[Line]) -> str:
    """Say that nothing tells what such a prediction is worth; empty where something does."""
    if lines:
        return ""
    return (
        f"no prediction of {kind} was ever scored for {architecture}, so nothing tells what this "
        "one would be worth: --register writes it down, rgtool score scores it when runs test it"
    )
