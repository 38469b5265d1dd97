"""What is to be drawn: a result, several of one type, or the counts of experiments by a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..schemas.errors import UsageError, choose
from ..store.counts import Counts
from .result import Result

T = TypeVar("T")
Drawable = Result | Counts | Sequence[Result] | Sequence[Counts]


def draw(
    what: Drawable,
    kind: str | None,
    kinds: Mapping[str, Callable[[Sequence[Counts]], T]],
    results: Callable[[Sequence[Result]], T],
    *,
    word: str,
    verb: str,
) -> T:
    """Draw results, or experiments, in whichever way.

    Parameters
    ----------
    what : Result, Counts, or several
        One or more results of one type, or the counts of experiments.
    kind : str or None
        What of experiments.
    kinds : mapping of str to callable
        What draws experiments, by kind.
    results : callable
        Draws results of one type.
    word, verb : str
        What comes of it, and the function that people call.

    Raises
    ------
    UsageError
        The kind is unknown, there is nothing to draw, or these are not to be drawn together.
    """
    things: list[Any] = list(what) if isinstance(what, list | tuple) else [what]
    if not things:
        raise UsageError(f"a {word} needs at least one experiment")
    if found := [one for one in things if not isinstance(one, Result | Counts)]:
        raise UsageError(
            f"a {word} shows results, or counts of experiments, and no {type(found[0]).__name__}: "
            f"as {verb}(eigen(store, name)) or {verb}(store.counts(name), 'flow')"
        )
    if kind is not None or isinstance(things[0], Counts):
        return _of_experiments(things, kind, kinds, word)
    of, *others = dict.fromkeys(map(type, things))
    if others:
        names = ", ".join(one.__name__ for one in (of, *others))
        raise UsageError(
            f"no {word} shows {len(things)} of {names}: give a result, several of one type, or the "
            "counts of experiments"
        )
    return results(things)


def _of_experiments(
    things: Sequence[Any],
    kind: str | None,
    kinds: Mapping[str, Callable[[Sequence[Counts]], T]],
    word: str,
) -> T:
    if kind is None:
        raise UsageError(f"no kind of {word} is given: choose from {', '.join(sorted(kinds))}")
    kind = choose(word, kind, kinds)
    if not all(isinstance(one, Counts) for one in things):
        raise UsageError(f"{word} '{kind}' is of experiments: give their counts, or leave it out")
    return kinds[kind](things)
