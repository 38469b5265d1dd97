"""What the numbers of a result alone do not say: sentences with a rank and a place to read on.

A note is text, so that whatever takes text takes a note. What comes as plain text gets the rank
and the page of the result that it stands under, in one place: `ranked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

from .words import counted

SHOWN = 3  # notes that people see beside those that always stand


class Rank(IntEnum):
    """How much a note matters; the lowest stands first."""

    VOID = 0  # the numbers are not about what they seem to be: above everything
    CONCLUSION = 1  # what the result says, in one sentence: first below the table
    WARNING = 2  # an interval, a p or a verdict does not mean what it usually means
    CAUTION = 3  # what one must know to read the numbers
    DETAIL = 4  # how it was done, and what is always true of such numbers


class Note(str):
    """A sentence about a result.

    Parameters
    ----------
    text : str
        The sentence.
    see : str
        Where `docs/` says more: page and section, such as `spectra.md#intervals`. Empty: where it
        says more about the result that the note stands under.
    rank : Rank
        How much it matters.

    Examples
    --------
    >>> Note("one seed", "spectra.md#intervals", Rank.WARNING).about("3f2a").line
    '3f2a: one seed [spectra.md#intervals]'
    """

    __slots__ = ("rank", "see")

    see: str
    rank: Rank

    def __new__(cls, text: str = "", see: str = "", rank: Rank = Rank.CAUTION) -> Note:
        """Make a note of a text."""
        note = super().__new__(cls, text)
        note.see, note.rank = see, rank
        return note

    @classmethod
    def of(cls, text: str, see: str = "") -> Note:
        """Return a note as it is, plain text as a note; `see` stands in where none is said."""
        if not isinstance(text, Note):
            return cls(text, see)
        return text if text.see else type(text)(text, see, text.rank)

    def about(self, name: str) -> Note:
        """Return the same with the name of what it is about before it, unless it says that."""
        return self if name in self else type(self)(f"{name}: {self}", self.see, self.rank)

    @property
    def line(self) -> str:
        """The sentence, and where to read on."""
        return f"{self} [{self.see}]" if self.see else str(self)


class LeftOut(Note):
    """Says that an experiment that was meant is not in a result: a command then ends with 3."""

    __slots__ = ()


def noted(texts: Iterable[str], see: str, rank: Rank = Rank.CAUTION) -> list[Note]:
    """Make notes of texts that matter alike and are explained in one place; notes keep theirs."""
    return [
        Note.of(text, see) if isinstance(text, Note) else Note(text, see, rank) for text in texts
    ]


def ranked(notes: Iterable[str], see: str = "") -> tuple[Note, ...]:
    """Return notes by rank, each once; those of one rank stay in their order.

    Parameters
    ----------
    notes : iterable of str
        Notes, or plain text.
    see : str
        Page and section for those that name none.
    """
    return tuple(
        sorted((Note.of(note, see) for note in dict.fromkeys(notes)), key=lambda note: note.rank)
    )


def voiding(notes: Iterable[str]) -> list[Note]:
    """Return those that make numbers void: they go wherever the numbers go."""
    return [note for note in map(Note.of, notes) if note.rank == Rank.VOID]


def shown_lines(
    notes: Sequence[str], every: bool = False, more: str = "--notes shows them"
) -> tuple[list[str], list[str]]:
    """Choose the notes that people see.

    Parameters
    ----------
    notes : sequence of str
        Notes by rank; plain text among them always stands.
    every : bool
        Whether to show all.
    more : str
        What shows the rest.

    Returns
    -------
    above, below : list of str
        Lines before the title, and lines below the table.
    """
    found = [note if isinstance(note, Note) else Note(note, "", Rank.CONCLUSION) for note in notes]
    above = [note.line for note in found if note.rank == Rank.VOID]
    first = [note.line for note in found if note.rank == Rank.CONCLUSION]
    rest = [note for note in found if note.rank > Rank.CONCLUSION]
    rest.sort(key=lambda note: not isinstance(note, LeftOut))  # who is not there goes before
    others = [note.line for note in rest]
    shown = others if every else others[:SHOWN]
    hidden = len(others) - len(shown)
    end = [f"{counted(hidden, 'more note')}: {more}"] if hidden else []
    return above, [*first, *shown, *end]
