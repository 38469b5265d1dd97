"""Notes: ranked, three of them shown, each with a place in docs/ that exists."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Cli
from flows import write_experiment
from hypothesis import given
from hypothesis import strategies as st
from places import CLONE

import rgtool
from rgtool.analysis.spectrum.notes import BLIND, SUM_RULE, conclusion
from rgtool.schemas.notes import SHOWN, Note, Rank, noted, ranked, shown_lines, voiding

PACKAGE = Path(rgtool.__file__).parent
PLACE = re.compile(r"[\w-]+\.md#[\w-]*")
NOTES = st.lists(
    st.builds(Note, st.text(max_size=8), st.sampled_from(["", "a.md#b"]), st.sampled_from(Rank)),
    max_size=12,
)


def test_a_note_is_text_that_knows_its_place_and_rank() -> None:
    note = Note("one seed", "spectra.md#intervals", Rank.WARNING)
    assert note == "one seed" and isinstance(note, str) and f"{note}." == "one seed."
    assert note.line == "one seed [spectra.md#intervals]" and Note("x").line == "x"
    for other in (pickle.loads(pickle.dumps(note)), copy.deepcopy(note), Note.of(note)):
        assert (str(other), other.see, other.rank) == ("one seed", note.see, note.rank)
    about = note.about("3f2a")
    assert (about, about.see, about.rank) == ("3f2a: one seed", note.see, note.rank)
    assert about.about("3f2a") is about


def test_plain_text_gets_the_place_of_what_it_stands_under() -> None:
    plain = Note.of("text", "a.md#b")
    assert (plain, plain.see, plain.rank) == ("text", "a.md#b", Rank.CAUTION)
    assert Note.of(Note("x", "", Rank.DETAIL), "a.md#b").see == "a.md#b"
    assert Note.of(Note("x", "", Rank.DETAIL), "a.md#b").rank == Rank.DETAIL
    assert Note.of(Note("x", "c.md#d"), "a.md#b").see == "c.md#d"
    assert [(n, n.see, n.rank) for n in noted(["a", "b"], "p.md#q", Rank.WARNING)] == [
        ("a", "p.md#q", Rank.WARNING),
        ("b", "p.md#q", Rank.WARNING),
    ]


@given(NOTES)
def test_ranking_keeps_every_note_once_and_the_order_within_a_rank(notes: list[Note]) -> None:
    found = ranked(notes, "p.md#q")
    assert sorted(found) == sorted(set(notes))
    assert [note.rank for note in found] == sorted(note.rank for note in found)
    assert all(note.see for note in found)
    first = list(dict.fromkeys(notes))
    for rank in Rank:
        assert [n for n in found if n.rank == rank] == [n for n in first if n.rank == rank]
    assert ranked(found, "other.md#x") == found
    assert voiding(found) == [n for n in found if n.rank == Rank.VOID]


@given(NOTES, st.booleans())
def test_people_see_what_always_stands_and_three_more(notes: list[Note], every: bool) -> None:
    found = ranked(notes, "p.md#q")
    above, below = shown_lines(found, every)
    assert above == [n.line for n in found if n.rank == Rank.VOID]
    others = [n for n in found if n.rank > Rank.CONCLUSION]
    hidden = 0 if every else max(0, len(others) - SHOWN)
    kept = [n for n in found if n.rank == Rank.CONCLUSION] + others[: len(others) - hidden]
    more = [f"{hidden} more note{'s' * (hidden > 1)}: --notes shows them"] if hidden else []
    assert below == [n.line for n in kept] + more


def test_plain_lines_of_tables_that_are_no_results_always_stand() -> None:
    assert shown_lines([f"line {i}" for i in range(9)]) == ([], [f"line {i}" for i in range(9)])


def test_the_conclusion_of_a_spectrum_is_one_sentence() -> None:
    names = ["stem", "1", "2", "3", "head"]
    verdict = ["relevant", "irrelevant", "marginal", "indeterminate", "exempt"]
    against = ["above", "below", "none", "undecided", ""]
    note = conclusion(names, verdict, against)
    assert note.rank == Rank.CONCLUSION
    assert note == (
        "the share of stem grows, that of 1 shrinks, that of 2 stays within the margin, that of 3 "
        "is undecided; against the initial scales alone that of stem gains, that of 1 loses, that "
        "of 2 stays within the margin, that of 3 is undecided"
    )
    assert conclusion(["fc"], ["exempt"], [""]) == "no group has a verdict"
    assert "gains" not in conclusion(names, verdict, [""] * 5)
    many = conclusion([str(i) for i in range(9)], ["relevant"] * 9, [""] * 9)
    assert many == "the share of 0, 1, 2, 3, 4, 5 and 3 more grows"


# Places in docs/


def slug(heading: str) -> str:
    """The name that a heading has in links, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def places() -> set[str]:
    return {
        f"{page.name}#{slug(heading)}"
        for page in (CLONE / "docs").glob("*.md")
        for heading in re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    }


def strings() -> Iterator[tuple[str, str]]:
    """Every string of the package that names a section of docs/, and the file it stands in."""
    for path in sorted(PACKAGE.glob("*/**/*.py")):
        if "tests" in path.relative_to(PACKAGE).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and PLACE.fullmatch(value):
                yield value, str(path.relative_to(PACKAGE))


def test_slugs_are_those_of_links() -> None:
    assert slug("How far may tickets transfer?") == "how-far-may-tickets-transfer"
    assert slug("What `rgtool eigen` estimates") == "what-rgtool-eigen-estimates"
    assert slug("What the first paper's tables certify") == "what-the-first-papers-tables-certify"


def test_every_place_that_a_note_names_exists() -> None:
    named, known = list(strings()), places()
    assert len({place for place, _ in named}) > 15
    assert [f"{file}: {place}" for place, file in named if place not in known] == []


def test_links_to_sections_lead_somewhere() -> None:
    known = places()
    for page in [*CLONE.glob("*.md"), *(CLONE / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?:docs/)?([\w-]*\.md#[^)]+)\)", page.read_text()):
            assert target in known, f"{page.name}: {target}"


# On the command line


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notes")
    write_experiment(folder, seeds=3, levels=8)
    return folder


def test_the_conclusion_stands_first_and_three_notes_follow(store: Path, cli: Cli) -> None:
    spectrum = rgtool.eigen(store)
    assert spectrum.notes[0].startswith("the share of ")
    lines = cli("eigen", "--store", str(store)).err.splitlines()
    assert lines[0] == spectrum.title and lines[1] == Note.of(spectrum.notes[0]).line
    assert len(spectrum.notes) > 1 + SHOWN
    left = len(spectrum.notes) - 1 - SHOWN
    assert lines[2:] == [
        *(Note.of(note).line for note in spectrum.notes[1 : 1 + SHOWN]),
        f"{left} more note{'s' * (left > 1)}: --notes shows them",
    ]
    every = cli("eigen", "--notes", "--store", str(store)).err.splitlines()
    assert every[1:] == [Note.of(note).line for note in spectrum.notes]
    assert spectrum.summary().splitlines()[-1] == f"{left} more notes: .notes has them"


def test_what_is_always_true_of_a_spectrum_is_said_last(store: Path) -> None:
    assert rgtool.eigen(store).notes[-2:] == (SUM_RULE, BLIND)


@pytest.mark.parametrize("format_", ["--json", "--csv", "--md"])
def test_notes_go_beside_every_format(store: Path, cli: Cli, format_: str) -> None:
    plain, other = (cli("eigen", *more, "--store", str(store)) for more in ((), (format_,)))
    assert other.err.splitlines() == plain.err.splitlines()[1:]
    assert other.out == cli("eigen", format_, "--notes", "--store", str(store)).out


def test_printed_spectra_and_nulls_begin_with_what_they_say(cli: Cli, tmp_path: Path) -> None:
    printed = cli("eigen", "published:resnet50-simclr-cifar10", "--store", str(tmp_path))
    assert printed.err.splitlines()[1] == (
        "as printed the share of 1, 2, 3 grows, that of 4 shrinks; without seeds nothing tells how "
        "surely"
    )
    null = cli("null", "lenet", "--levels", "1:4")
    assert null.err.splitlines()[1] == (
        "without any training the share of fc2 grows, that of fc1 shrinks [spectra.md#null-models]"
    )
