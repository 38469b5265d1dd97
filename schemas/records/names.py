"""Names, notes and tags that people give: `names.json` of a store.

They are no part of any identity. Whatever is written of a run stays as it is, and the file is
written whole or not at all, by one process at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import RecordError, StoreError, UsageError, did_you_mean
from ..files import read_file, write_atomic
from ..lock import lock
from ..published import PREFIX
from ..sums import EDITED, KEY, PLACE, holds, seal
from ..tables import is_table

FILE = "names.json"
VERSION = 1
_MOST = 1 << 26  # bytes
_LONGEST = {"name": 100, "tag": 100, "note": 10_000}  # characters
_WAIT = 60.0  # seconds; a change takes a moment
_LIKE_ID = re.compile(r"[0-9a-f]{1,12}|[0-9a-f]{12}-.*")


@dataclass(frozen=True)
class Entry:
    """What people call an experiment or a run.

    Attributes
    ----------
    name : str or None
        Unique in a store, whatever its case.
    note : str or None
        Any text.
    tags : tuple of str
        What it has in common with others, in alphabetical order; one whatever its case.
    """

    name: str | None = None
    note: str | None = None
    tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return self != Entry()

    def or_else(self, other: Entry) -> Entry:
        """Fill what is not said from another; tags are those of both."""
        tags = _tags((*self.tags, *other.tags))
        return Entry(self.name or other.name, self.note or other.note, tags)


@dataclass(frozen=True)
class Naming:
    """A change of what people call something.

    Attributes
    ----------
    name, note : str or None
        The new one; an empty text takes it away, None leaves it.
    tags, untag : tuple of str
        Tags that it gets, and that it loses.
    clear : bool
        Whether all that was said before goes.

    Raises
    ------
    UsageError
        A name could be taken for something else, or a text is too long or no text.
    """

    name: str | None = None
    note: str | None = None
    tags: tuple[str, ...] = ()
    untag: tuple[str, ...] = ()
    clear: bool = False

    def __post_init__(self) -> None:
        if self.name:
            _check_word("name", self.name)
            _check_name(self.name)
        for tag in self.tags:
            _check_word("tag", tag)
        if self.note is not None:
            _check_text("note", self.note)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return self != Naming()

    def check(self, store: Path, key: str) -> None:
        """Refuse a name that something else than `key` has.

        Raises
        ------
        UsageError
            It is that of another one.
        RecordError
            The names of the store are damaged.
        """
        holders = _holders(read_names(store), self.name) if self.name else []
        _refuse(self.name, [one for one in holders if one != key])

    def give(self, store: Path, key: str) -> None:
        """Say it of the experiment or run `key`; errors are those of `name_things`."""
        if self:
            name_things(store, self, {key: ()})

    def of(self, entry: Entry) -> Entry:
        """Return what an entry becomes."""
        before = Entry() if self.clear else entry
        return Entry(
            before.name if self.name is None else self.name or None,
            before.note if self.note is None else self.note or None,
            _tags((*before.tags, *self.tags), without=self.untag),
        )


def read_names(store: Path) -> dict[str, Entry]:
    """Read what people call experiments and runs, by id.

    Raises
    ------
    RecordError
        The file is damaged or of a newer rgtool.
    """
    path = store / FILE
    try:
        blob = read_file(path, _MOST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        values = json.loads(blob)
        if values["version"] > VERSION:
            raise RecordError(
                f"{path}: written by a newer rgtool (version {values['version']}, this one reads "
                f"up to {VERSION}): upgrade rgtool to read it"
            )
        if values.get(KEY, PLACE) != PLACE and not holds(blob):
            raise ValueError(EDITED)
        return {str(key): _entry(entry) for key, entry in values["names"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, UsageError, RecursionError) as error:
        raise RecordError(f"{path}: no names of a store ({error})") from None


def name_things(
    store: Path,
    naming: Naming,
    things: Mapping[str, Collection[str]],
    gone: Collection[str] = (),
) -> dict[str, Entry]:
    """Change what people call experiments and runs.

    Parameters
    ----------
    store : Path
        The store; it need not exist.
    naming : Naming
        The change.
    things : mapping of str to collection of str
        Ids, and other ids under which the same was named before.
    gone : collection of str
        Ids of what is gone: their names are free.

    Returns
    -------
    dict of str to Entry
        What they are called now.

    Raises
    ------
    UsageError
        Another one has the name, or none has a tag that is to go.
    RecordError
        What is there is damaged: it is left as it is.
    StoreError
        The store cannot be written.
    Locked
        Another process holds the names for too long.
    """
    if naming.name and len(things) > 1:
        raise UsageError(f"the name '{naming.name}' is for one: {len(things)} fit")
    with changing_names(store) as names:
        before = {key: _merged(names, (key, *others)) for key, others in things.items()}
        _hold_there(naming.untag, before.values())
        for key, others in things.items():
            for one in (key, *others):
                names.pop(one, None)
            entry = naming.of(before[key])
            holders = _holders(names, entry.name)
            _refuse(entry.name, [one for one in holders if one not in gone])
            for holder in holders:
                names[holder] = replace(names[holder], name=None)
            if entry:
                names[key] = entry
        return {key: names.get(key, Entry()) for key in things}


def adopt(store: Path, entries: Mapping[str, Entry], *, dry_run: bool = False) -> list[str]:
    """Take over what people call things elsewhere, where nothing else is said here.

    Returns
    -------
    list of str
        Which names and notes are not taken over, and why.
    """
    if not any(entries.values()):
        return []
    if dry_run:
        return _take_over(read_names(store), entries)
    with changing_names(store) as names:
        return _take_over(names, entries)


def _take_over(names: dict[str, Entry], entries: Mapping[str, Entry]) -> list[str]:
    refused = []
    for key, entry in entries.items():
        here = names.get(key, Entry())
        taken = [one for one in _holders(names, entry.name) if one != key]
        if taken and not here.name:
            refused.append(f"{key} comes without its name '{entry.name}': {taken[0]} has it here")
        refused += _kept(key, here, entry)
        names[key] = here.or_else(Entry(None if taken else entry.name, entry.note, entry.tags))
    return refused


def _kept(key: str, here: Entry, other: Entry) -> Iterator[str]:
    """Say what is called otherwise here, and stays so."""
    if here.name and other.name and here.name.casefold() != other.name.casefold():
        yield f"{key} keeps its name '{here.name}': '{other.name}' is left out"
    if here.note and other.note and here.note != other.note:
        yield f"{key} keeps the note that it has here: the other one is left out"


@contextmanager
def changing_names(store: Path) -> Iterator[dict[str, Entry]]:
    """Hold the names of a store; what they are afterwards is written, if it is otherwise.

    Raises
    ------
    RecordError
        The file is damaged: it is left as it is.
    StoreError
        The store cannot be written.
    Locked
        Another process holds the names for a minute.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        with lock(store / f".{FILE}.lock", f"what is called how in {store}", wait=_WAIT):
            before = read_names(store)
            names = dict(before)
            yield names
            if names != before:
                _write(store / FILE, names)
    except OSError as error:
        raise StoreError(
            f"{store / FILE}: cannot be written ({error.strerror or error}): names are as they were"
        ) from None


def _write(path: Path, names: Mapping[str, Entry]) -> None:
    values = {
        "version": VERSION,
        KEY: PLACE,
        "names": {key: asdict(entry) for key, entry in sorted(names.items()) if entry},
    }
    write_atomic(path, seal((json.dumps(values, indent=1) + "\n").encode()))


def _tags(tags: Iterable[str], without: Iterable[str] = ()) -> tuple[str, ...]:
    """Sort tags; of those that differ in case alone the first stays."""
    gone = {tag.casefold() for tag in without}
    kept: dict[str, str] = {}
    for tag in tags:
        kept.setdefault(tag.casefold(), tag)
    return tuple(sorted(tag for key, tag in kept.items() if key not in gone))


def _entry(values: Mapping[str, Any]) -> Entry:
    entry = Entry(values.get("name"), values.get("note"), tuple(values.get("tags") or ()))
    Naming(entry.name, entry.note, entry.tags)
    return entry


def _merged(names: Mapping[str, Entry], keys: Iterable[str]) -> Entry:
    entry = Entry()
    for key in keys:
        entry = entry.or_else(names.get(key, Entry()))
    return entry


def _holders(names: Mapping[str, Entry], name: str | None) -> list[str]:
    """List the ids that have a name, whatever its case."""
    if not name:
        return []
    return [key for key, e in names.items() if e.name and e.name.casefold() == name.casefold()]


def _refuse(name: str | None, holders: Sequence[str]) -> None:
    if holders:
        raise UsageError(
            f"the name '{name}' is that of {holders[0]}: choose another one, or take it away with "
            f"rgtool name {holders[0]} ''"
        )


def _hold_there(tags: Iterable[str], entries: Collection[Entry]) -> None:
    """Refuse to take away a tag that none of several things has."""
    there = {tag.casefold(): tag for entry in entries for tag in entry.tags}
    for tag in tags:
        if tag.casefold() not in there:
            near = did_you_mean(tag, there.values()) if there else "no tag is"
            raise UsageError(f"the tag '{tag}' is not there: {near}")


def _check_name(name: str) -> None:
    """Refuse what could be taken for something else where an experiment is due."""
    reason = ""
    if _LIKE_ID.fullmatch(name.casefold()):
        reason = "it could be the beginning of an id"
    elif name.casefold().startswith(PREFIX):
        reason = f"{PREFIX} begins the names of the literature"
    elif is_table(name):
        reason = "it is the name of a table"
    elif any(sign in name for sign in "*?["):
        reason = "shells take * ? [ for patterns of files"
    elif "/" in name:
        reason = "with a / it could be a label, such as resnet20/cifar10"
    if reason:
        raise UsageError(f"the name '{name}' cannot be given: {reason}")


def check_in_label(kind: str, word: str) -> None:
    """Hold an architecture or a task to what a label such as `resnet20/cifar10` can have.

    Raises
    ------
    UsageError
        The label, or what selects by it, could be read in two ways.
    """
    _check_word(kind, word)
    if "/" in word:
        raise UsageError(f"the {kind} '{word}' cannot be given: a / parts it from the other one")


def _check_word(kind: str, word: str) -> None:
    _check_text(kind, word)
    wrong = next((c for c in word if c.isspace() or c in "='\"\\" or not c.isprintable()), None)
    if wrong is not None or not word or word.startswith("-") or word == "...":
        found = f"{wrong!r} in it" if wrong is not None else "it"
        raise UsageError(
            f"the {kind} '{word}' cannot be given: {found} has a meaning where experiments are "
            "named; letters, digits, and signs such as - _ . do"
        )


def _check_text(kind: str, text: object) -> None:
    if not isinstance(text, str):
        raise UsageError(f"a {kind} is a text, not {text!r}")
    if len(text) > (most := _LONGEST.get(kind, _LONGEST["name"])):
        raise UsageError(f"a {kind} of {len(text):,} characters: at most {most:,} do")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"a {kind} must be UTF-8 text") from None
