"""From what people write to the experiments and runs that they mean.

A selection is a prefix of an id, a name that was given, a label such as `resnet20/cifar10`, or
fields such as `prune=0.36` and `tag=paper`; several words, such as `'resnet20/cifar10 prune=.36'`,
must all fit. What `told_apart` writes is one.
"""

from __future__ import annotations

import dataclasses
import difflib
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...schemas.errors import StoreError, UsageError, did_you_mean
from ...schemas.recipe import Recipe, parse_field
from .apart import MORE, label_of, told_apart, written


class Identified(Protocol):
    """What has the id of an experiment: itself in a list, how its runs ended, its counts."""

    @property
    def experiment_id(self) -> str:
        """The experiment."""


Former = Callable[[], Mapping[str, Collection[str]]]
_SHOWN = 5  # candidates that a message lists
_NEAR = 0.6  # similarity of two beginnings of ids
_NULLS = {f.name for f in dataclasses.fields(Recipe) if f.default is None} | {"epochs"}
_OF_CHILDREN = ("parent", "control", "transform", "fresh", "tag")  # fields that tell them
_LENGTH = ("epochs", "length")  # one meaning may be spelled as either


@dataclass(frozen=True)
class Candidate:
    """An experiment, by all that it can be selected by.

    Attributes
    ----------
    experiment_id : str
        Identity.
    recipe : Recipe
        What its runs have in common.
    recipe_names : tuple of str
        The named recipes that its runs were resolved from.
    name, note : str or None
        What people call it, and say of it.
    tags : tuple of str
        Its tags.
    """

    experiment_id: str
    recipe: Recipe
    recipe_names: tuple[str, ...] = ()
    name: str | None = None
    note: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Architecture and task, such as `resnet20/cifar10`."""
        return label_of(self.recipe)


def text_of(selection: str | Identified) -> str:
    """Return what selects as a text: the id of an experiment or a run that was given itself.

    Raises
    ------
    UsageError
        It is nothing that has one.
    """
    if isinstance(selection, str):
        return selection
    for name in ("run_id", "experiment_id"):
        if isinstance(found := getattr(selection, name, None), str):
            return found
    kind = type(selection).__name__
    raise UsageError(f"an experiment or a run is due, itself or what selects it: found {kind}")


def select(
    text: str, candidates: Sequence[Candidate], where: str, former: Former = dict
) -> list[str]:
    """List the experiments that a selection fits.

    Parameters
    ----------
    text : str
        The selection.
    candidates : sequence of Candidate
        All experiments there are.
    where : str
        The store, for messages.
    former : callable
        Returns ids that experiments have no more, and of which the runs that had them are now.

    Raises
    ------
    UsageError
        None fits; the message names the nearest.
    StoreError
        There are no experiments.
    """
    if not candidates:
        raise StoreError(empty_store(where))
    if whole := _called(text, candidates, former):
        return [one.experiment_id for one in whole]
    words = [word for word in _words(text) if word != MORE]
    if not words or (len(words) == 1 and not _is_field(words[0])):
        raise UsageError(f"no experiment '{text}' in {where}: {_nearest(text, candidates)}")
    found = list(candidates)
    for word in words:
        fitting = _fitting(word, found, former)
        if not fitting:
            why = _why_not(word, found, len(words))
            raise UsageError(f"no experiment '{text}' in {where}: {why}")
        found = fitting
    return [one.experiment_id for one in found]


def pick(
    text: str | None,
    candidates: Sequence[Candidate],
    where: str,
    former: Former = dict,
    *,
    strict: bool = False,
) -> str:
    """Find the one experiment that a selection means; None means the only one there is.

    What fits an experiment and children means the one that finds its own tickets. A label means
    such a one: where it is not here, a child is meant by what tells that it is one.

    Parameters
    ----------
    text, candidates, where, former
        As for `select`.
    strict : bool
        Whether children count like all others.

    Raises
    ------
    UsageError
        None or several fit; the message lists the candidates.
    StoreError
        There are no experiments.
    """
    if text is None:
        if not candidates:
            raise StoreError(empty_store(where))
        found = [one.experiment_id for one in candidates]
        problem = f"the store holds {len(found)} experiments, name one"
        if len(found) > 1 and all(one.recipe.parent for one in candidates):
            equal = ", so that their spectra are equal to those by construction"
            equal = "" if any(one.recipe.finds_masks for one in candidates) else equal
            problem = (
                f"the store holds {len(found)} experiments, all children, trained on tickets of "
                f"others{equal}: name one"
            )
    else:
        found = select(text, candidates, where, former)
        problem = f"'{text}' fits {len(found)} experiments, name one by its id or by what differs"
    whole = [one for one in candidates if one.experiment_id in found]
    if text is not None and not strict and _is_label_alone(text, whole):
        of = sorted({str(one.recipe.parent) for one in whole})
        raise UsageError(
            f"'{text}' means an experiment that finds its own tickets, and there are only children "
            f"of {_some(of)}: name one by its id or by its parent: {_some(described_all(whole))}"
        )
    own = [one.experiment_id for one in whole if one.recipe.parent is None]
    if len(found) == 1 or (len(own) == 1 and not strict):
        return found[0] if len(found) == 1 else own[0]
    raise UsageError(f"{problem}: {_some(described_all(whole))}")


def pick_run(text: str, runs: Mapping[str, str | None]) -> str | None:
    """Find the one run of this name or whose id starts so; None where there is none.

    Parameters
    ----------
    text : str
        Name, or beginning of an id.
    runs : mapping of str to (str or None)
        Ids of all runs, and what people call them.

    Raises
    ------
    UsageError
        Several runs start so.
    """
    if text in runs:
        return text
    if named := [run for run, name in runs.items() if name and _same(name, text)]:
        return named[0]
    start = text.casefold()
    found = sorted(run for run in runs if start and run.casefold().startswith(start))
    if len(found) > 1:
        raise UsageError(f"'{text}' begins the names of {len(found)} runs: {_some(found)}")
    return found[0] if found else None


def nearest_runs(text: str, runs: Iterable[str]) -> str:
    """Name the runs whose ids are nearest, as the end of a message; empty where none is near."""
    near = _near_ids(text, runs)
    return f"did you mean {' or '.join(near)}?" if near else ""


def described_all(candidates: Sequence[Candidate]) -> list[str]:
    """Name experiments by id, by what people call them, and by what tells them apart."""
    apart = told_apart([one.recipe for one in candidates])
    return [
        f"{one.experiment_id} ({f'{one.name}: ' if one.name else ''}{one.label}{told})"
        for one, told in zip(candidates, apart, strict=True)
    ]


def empty_store(where: str) -> str:
    """Say that a store holds no runs, and how to fill it."""
    return (
        f"the store {where} holds no runs: `rgtool run lenet digits` fills it, `rgtool demo` shows "
        "how, --store or RGTOOL_STORE names another one"
    )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a lone quotation mark
        return text.split()


def _is_field(word: str) -> bool:
    """Tell whether a word is a field and a value; the name of a data set may hold a `=`, too."""
    field, equals, _ = word.partition("=")
    return bool(equals) and "/" not in field


def _called(text: str, among: Sequence[Candidate], former: Former) -> list[Candidate]:
    """List the experiments that one word means: by name, id, label, or an id that was."""
    if not text:
        return []
    return (
        [one for one in among if one.name and _same(one.name, text)]
        or [one for one in among if one.experiment_id.startswith(text.lower())]
        or [one for one in among if one.label == text]
        or [one for one in among if _same(one.label, text)]
        or _moved(text, among, former())  # last: what bears the id now is meant first
    )


def _moved(
    text: str, among: Sequence[Candidate], former: Mapping[str, Collection[str]]
) -> list[Candidate]:
    """List the experiments of the runs that once were of one whose id starts so."""
    found = {key for was, now in former.items() if was.startswith(text.lower()) for key in now}
    return [one for one in among if one.experiment_id in found]


def _is_label_alone(text: str, found: Sequence[Candidate]) -> bool:
    """Tell whether children alone were found, by a label and by nothing that tells of children."""
    if any(one.recipe.parent is None for one in found):
        return False
    words = {text, *_words(text)}
    labels = {one.label.casefold() for one in found}
    return any(word.casefold() in labels for word in words) and not any(
        _tells_child(word, one) for word in words for one in found
    )


def _tells_child(word: str, child: Candidate) -> bool:
    if _is_field(word):
        return word.partition("=")[0].lower() in _OF_CHILDREN
    named = child.name is not None and _same(child.name, word)
    return named or child.experiment_id.startswith(word.lower())


def _fitting(word: str, among: Sequence[Candidate], former: Former) -> list[Candidate]:
    if not _is_field(word):
        return _called(word, among, former)
    field, _, value = word.partition("=")
    field = field.lower()
    if field == "tag":
        return [one for one in among if any(_same(tag, value) for tag in one.tags)]
    if field == "recipe":
        return [one for one in among if any(_same(name, value) for name in one.recipe_names)]
    wanted = _wanted(field, value)
    return [
        one
        for one in among
        if all(_equal(getattr(one.recipe, name), value) for name, value in wanted.items())
    ]


def _wanted(field: str, text: str) -> dict[str, Any]:
    """Read a field and its value, spelled as recipes spell it.

    Raises
    ------
    UsageError
        There is no such field, or its value cannot be.
    """
    if field in _NULLS and text.lower() == "none":
        return {field: None}
    try:
        name, value = parse_field(f"{field}={text}")
    except UsageError as error:
        known = [f.name for f in dataclasses.fields(Recipe)]
        if field in known:
            raise
        raise UsageError(
            f"'{field}' is no field of a recipe, tag or recipe: "
            f"{did_you_mean(field, [*known, 'tag', 'recipe'])}"
        ) from error
    if name in ("architecture", "task"):
        return {name: value}
    least: dict[str, Any] = {"architecture": "any", "task": "any"}
    if name == "length":
        least["epochs"] = None
    normal = Recipe(**{**least, name: value})
    return {one: getattr(normal, one) for one in (_LENGTH if name in _LENGTH else (name,))}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return _same(one, other)
    return bool(one == other)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _why_not(word: str, among: Sequence[Candidate], words: int) -> str:
    """Say what there is in place of what a word asks for."""
    field = word.partition("=")[0].lower()
    if not _is_field(word):
        return f"{word} does not fit; {_nearest(word, among)}" if words > 1 else ""
    if field == "tag":
        values = {tag for one in among for tag in one.tags}
    elif field == "recipe":
        values = {name for one in among for name in one.recipe_names}
    else:
        values = {str(written(getattr(one.recipe, field))) for one in among}
    there = f"is {_some(sorted(values), ' or ')}" if values else "is nowhere"
    return f"{field} {there} there"


def _nearest(text: str, candidates: Sequence[Candidate]) -> str:
    """Name what is written nearly so, else what there is."""
    near = _near_ids(text, [one.experiment_id for one in candidates])
    if near:
        described = described_all([one for one in candidates if one.experiment_id in near])
        return f"did you mean {' or '.join(described)}?"
    names = [one.name for one in candidates if one.name]
    labels = sorted({one.label for one in candidates})
    known = [*names, *labels, *(one.experiment_id for one in candidates)]
    said = did_you_mean(text, [*names, *labels])
    if text.count("/") == 1 and not said.startswith("did"):  # a data set before its network
        said = did_you_mean("/".join(reversed(text.split("/"))), labels)
    return said if said.startswith("did") else f"choose from {_some(known)}"


def _near_ids(text: str, ids: Iterable[str]) -> list[str]:
    """List the ids, three at most, whose beginnings are nearest to a mistyped one."""
    if not set(text[:12]) <= set("0123456789abcdefABCDEF") or len(text) < 3:
        return []
    found = sorted((-_alike(text.lower(), one[: len(text)]), one) for one in ids)
    return [one for alike, one in found[:3] if -alike >= _NEAR]


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _some(names: Sequence[str], joint: str = ", ") -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return joint.join(names[:_SHOWN]) + more
