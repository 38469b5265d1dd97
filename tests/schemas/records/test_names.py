"""`names.json`: what people call things, whole or not at all, and no two alike."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgtool.schemas.errors import RecordError, StoreError, UsageError
from rgtool.schemas.records.names import (
    FILE,
    Entry,
    Naming,
    adopt,
    changing_names,
    name_things,
    read_names,
)

WORDS = st.text("gxyzäé_0", min_size=1, max_size=8)
ENTRIES = st.builds(
    Entry,
    st.none() | WORDS.map("n{}".format),
    st.none() | st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30),
    st.lists(WORDS, max_size=3, unique_by=str.casefold).map(lambda tags: tuple(sorted(tags))),
)


def test_a_store_without_the_file_calls_nothing_anything(tmp_path: Path) -> None:
    assert read_names(tmp_path / "nowhere") == {}
    with changing_names(tmp_path / "s"):
        pass
    assert not (tmp_path / "s" / FILE).exists()


@given(ENTRIES)
def test_what_is_said_is_read_again(tmp_path_factory: pytest.TempPathFactory, entry: Entry) -> None:
    store = tmp_path_factory.mktemp("s")
    naming = Naming(entry.name, entry.note, entry.tags)
    assert name_things(store, naming, {"a": ()}) == {"a": entry}
    assert read_names(store) == ({"a": entry} if entry else {})


@pytest.mark.parametrize(
    ("naming", "after"),
    [
        (Naming(), Entry("base", "why", ("one", "two"))),
        (Naming("other"), Entry("other", "why", ("one", "two"))),
        (Naming("", ""), Entry(None, None, ("one", "two"))),
        (Naming(tags=("two", "three"), untag=("one",)), Entry("base", "why", ("three", "two"))),
        (Naming(tags=("Two", "THREE", "three")), Entry("base", "why", ("THREE", "one", "two"))),
        (Naming(untag=("ONE",)), Entry("base", "why", ("two",))),
        (Naming(note="new", clear=True), Entry(None, "new")),
    ],
)
def test_a_change_leaves_what_it_does_not_name(naming: Naming, after: Entry) -> None:
    assert naming.of(Entry("base", "why", ("one", "two"))) == after


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("3f2a", "beginning of an id"),
        ("DECADE", "beginning of an id"),
        ("0123456789ab-s0", "beginning of an id"),
        ("resnet20/cifar10", "label"),
        ("published:mine", "literature"),
        ("curve.csv", "table"),
        ("a=b", "'=' in it"),
        ("two words", "' ' in it"),
        ("it's", "in it"),
        ("...", "has a meaning"),
        ("*", "shells take"),
        ("best?", "shells take"),
        ("--all", "has a meaning"),
        ("x\x1b", "in it"),
        ("x" * 101, "at most 100"),
        ("x\udc80", "UTF-8"),
    ],
)
def test_a_name_cannot_be_taken_for_something_else(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Naming(name)


@pytest.mark.parametrize(
    "name", ["baseline", "v2", "decades", "0123456789ab0", "größer", "a-b_c.d"]
)
def test_other_words_are_names(name: str) -> None:
    assert Naming(name).name == name


def test_tags_and_notes_have_their_lengths() -> None:
    longest = Naming(note="x" * 10_000, tags=("x" * 100,))
    assert longest.of(Entry()) == Entry(None, longest.note, longest.tags)
    with pytest.raises(UsageError, match="a note of 10,001 characters: at most 10,000 do"):
        Naming(note="x" * 10_001)
    with pytest.raises(UsageError, match="a tag of 101 characters: at most 100 do"):
        Naming(tags=("x" * 101,))


def test_a_name_is_that_of_one_whatever_its_case(tmp_path: Path) -> None:
    name_things(tmp_path, Naming("Base"), {"a": ()})
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UsageError, match=r"'bASE' is that of a: choose .*rgtool name a ''"):
        name_things(tmp_path, Naming("bASE", tags=("t",)), {"b": ()})
    with pytest.raises(UsageError, match="is that of a"):
        Naming("base").check(tmp_path, "b")
    Naming("base").check(tmp_path, "a")
    with pytest.raises(UsageError, match="is for one: 2 fit"):
        name_things(tmp_path, Naming("new"), {"b": (), "c": ()})
    assert (tmp_path / FILE).read_bytes() == before
    name_things(tmp_path, Naming("base"), {"b": ()}, gone=["a"])
    assert read_names(tmp_path) == {"b": Entry("base")}


def test_what_was_called_under_other_ids_comes_along(tmp_path: Path) -> None:
    name_things(tmp_path, Naming("base", tags=("x",)), {"old": ()})
    name_things(tmp_path, Naming(note="n", tags=("y",)), {"new": ()})
    name_things(tmp_path, Naming(), {"new": ("old", "never")})
    assert read_names(tmp_path) == {"new": Entry("base", "n", ("x", "y"))}


def test_a_tag_that_is_not_there_cannot_go(tmp_path: Path) -> None:
    name_things(tmp_path, Naming(tags=("Paper",)), {"a": ()})
    with pytest.raises(UsageError, match="the tag 'papre' is not there: did you mean Paper?"):
        name_things(tmp_path, Naming("x", untag=("papre",)), {"a": ()})
    with pytest.raises(UsageError, match="the tag 'paper' is not there: no tag is"):
        name_things(tmp_path, Naming(untag=("paper",)), {"b": ()})
    assert read_names(tmp_path) == {"a": Entry(tags=("Paper",))}
    name_things(tmp_path, Naming(untag=("PAPER",)), {"a": (), "b": ()})
    assert read_names(tmp_path) == {}


def test_the_same_again_writes_nothing(tmp_path: Path) -> None:
    name_things(tmp_path, Naming("base", tags=("t",)), {"a": ()})
    before = (tmp_path / FILE).stat()
    name_things(tmp_path, Naming("base", tags=("t",)), {"a": ()})
    after = (tmp_path / FILE).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    def say(number: int) -> None:
        name_things(tmp_path, Naming(f"n{number}", tags=("all",)), {str(number): ()})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(say, range(24)))
    assert read_names(tmp_path) == {str(n): Entry(f"n{n}", None, ("all",)) for n in range(24)}


def test_names_of_elsewhere_fill_what_is_not_said_here(tmp_path: Path) -> None:
    name_things(tmp_path, Naming("base"), {"a": ()})
    name_things(tmp_path, Naming(note="mine"), {"b": ()})
    there = {
        "a": Entry("other", "theirs", ("t",)),
        "b": Entry("BASE", "theirs"),
        "c": Entry("fresh"),
        "d": Entry("base"),
    }
    name_things(tmp_path, Naming("dora"), {"d": ()})
    said = adopt(tmp_path, there, dry_run=True)
    assert said == [
        "a keeps its name 'base': 'other' is left out",
        "b comes without its name 'BASE': a has it here",
        "b keeps the note that it has here: the other one is left out",
        "d keeps its name 'dora': 'base' is left out",
    ]
    assert adopt(tmp_path, there) == said and adopt(tmp_path, there) == said
    assert read_names(tmp_path) == {
        "a": Entry("base", "theirs", ("t",)),
        "b": Entry(None, "mine"),
        "c": Entry("fresh"),
        "d": Entry("dora"),
    }


_ALONE = '{"version": 1, "names": {"a": %s}}'


def _damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"base", b"bose"))


def _newer(path: Path) -> None:
    values = json.loads(path.read_text()) | {"version": 99}
    del values["rgtool_sum"]
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_damaged, "the sum differs"),
        (_newer, "newer rgtool"),
        (lambda path: path.write_text("{"), "no names of a store"),
        (lambda path: path.write_text("[" * 100_000), "no names of a store"),
        (
            lambda path: path.write_text(_ALONE % '{"name": "3f"}'),
            "of an id",
        ),
        (lambda path: path.write_text(_ALONE % '{"note": 3}'), "no names"),
    ],
)
def test_a_damaged_file_is_told_and_left_as_it_is(tmp_path: Path, harm, words: str) -> None:  # type: ignore[no-untyped-def]
    name_things(tmp_path, Naming("base"), {"a": ()})
    path = tmp_path / FILE
    harm(path)
    before = path.read_bytes()
    with pytest.raises(RecordError, match=words):
        read_names(tmp_path)
    with pytest.raises(RecordError, match=words):
        name_things(tmp_path, Naming("other"), {"a": ()})
    assert path.read_bytes() == before


def test_an_edited_file_counts_without_its_sum(tmp_path: Path) -> None:
    name_things(tmp_path, Naming("base"), {"a": ()})
    path = tmp_path / FILE
    lines = path.read_text().replace("base", "edited").splitlines()
    path.write_text("\n".join(line for line in lines if "rgtool_sum" not in line))
    assert read_names(tmp_path) == {"a": Entry("edited")}


@pytest.mark.skipif(sys.platform == "win32", reason="no rights of folders there")
def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="names are as they were"):
        name_things(tmp_path / "file" / "s", Naming("base"), {"a": ()})
