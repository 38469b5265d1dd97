"""A paper's claims, one by one, against what its own printed numbers say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ...schemas.errors import UsageError, did_you_mean
from ...schemas.notes import Note, Rank, ranked
from ...store import PublishedSpectrum, published
from ..result import Column, Result
from .claim import CLAIM_VERDICTS, REMARK, Claim, ClaimKind, ClaimVerdict, Finding, in_words
from .statements import Statement, common_words, statements

__all__ = ["Claim", "ClaimVerdict", "ClaimKind", "Verification", "verify"]

_TEXT_FIELDS = ("id", "source", "claim", "printed", "checked", "tolerance")
PAPER = "Redman et al. 2021 (arXiv 2110.03210)"


@dataclass(frozen=True)
class Verification(Result):
    """What became of the claims of one paper.

    Attributes
    ----------
    paper : str
        The paper.
    claims : tuple of Claim
        In the order of the text: the theory, Sec. 3.1 with its tables, the null model, Sec. 3.2;
        among them what rgtool itself remarks.
    """

    paper: str
    claims: tuple[Claim, ...]

    columns = (
        Column("id", "Unique name of the claim."),
        Column("source", "Table, figure, equation or section."),
        Column("claim", "What is claimed.", shown="wide"),
        Column("printed", "The numbers that the paper prints.", shown="wide"),
        Column("checked", "Those that were recomputed, or held against them.", shown="wide"),
        Column("tolerance", "How far the two may lie apart, and why.", shown="wide"),
        Column("kind", "recomputed, consistency, or not checkable."),
        Column("verdict", f"{', '.join(CLAIM_VERDICTS[:-1])}, or {CLAIM_VERDICTS[-1]}."),
        Column("why", "The reason, with what limits it.", shown="wide"),
    )
    rows = "a row for every claim"
    see = "verify.md#how-a-verdict-is-reached"

    @property
    def counts(self) -> dict[ClaimVerdict, int]:
        """Number of claims of every verdict."""
        found = Counter(claim.verdict for claim in self.claims)
        return {verdict: found[verdict] for verdict in CLAIM_VERDICTS}

    @property
    def contradictions(self) -> tuple[Claim, ...]:
        """The places where the paper contradicts itself."""
        return tuple(c for c in self.claims if c.verdict == "contradiction inside the paper")

    @property
    def remarks(self) -> tuple[Claim, ...]:
        """What rgtool says of the printed numbers and the paper does not."""
        return tuple(c for c in self.claims if c.verdict == REMARK)

    @property
    def title(self) -> str:
        """One line that says what this is."""
        remarks = len(self.remarks)
        return (
            f"{len(self.claims) - remarks} claims of {self.paper} against the numbers it prints, "
            f"and {remarks} remarks of rgtool"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """The counts, and the rule of judgement."""
        counts = "; ".join(f"{verdict}: {count}" for verdict, count in self.counts.items())
        return ranked(
            (
                Note(counts, rank=Rank.CONCLUSION),
                "rounding counts in the paper's favour: a claim disagrees only where no numbers "
                "that round to the printed ones meet it",
                "there are no masks and no seeds behind printed numbers: to agree is not to be "
                "proved",
                "a remark of rgtool is no claim of the paper and counts neither for nor against it",
            ),
            self.see,
        )

    def claim(self, name: str) -> Claim:
        """Look up a claim.

        Raises
        ------
        UsageError
            There is none of that name; the message offers the nearest.
        """
        for claim in self.claims:
            if claim.id == name:
                return claim
        names = [claim.id for claim in self.claims]
        raise UsageError(f"no claim '{name}': {did_you_mean(name, names)}")

    def _values(self) -> dict[str, Any]:
        return {
            field.name: [getattr(claim, field.name) for claim in self.claims]
            for field in fields(Claim)
        }


def verify(paper: str = "paper") -> Verification:
    """Check a paper claim by claim against its printed numbers, the block maps and the null N1.

    Parameters
    ----------
    paper : str
        `paper`: the one whose figures come with rgtool, Redman et al. 2021.

    Raises
    ------
    UsageError
        The paper is unknown.

    Examples
    --------
    >>> found = verify()
    >>> found.claim("fig2-density").verdict
    'contradiction inside the paper'
    """
    if paper != "paper":
        raise UsageError(
            f"no figures of '{paper}' come with rgtool: rgtool verify paper checks {PAPER}"
        )
    return Verification(PAPER, tuple(checked(one) for one in statements()))


def checked(statement: Statement) -> Claim:
    """Hold one statement of the paper against the numbers."""
    from .checks import CHECKS

    spectra = [published(name) for name in statement.spectra]
    found = Finding(None)
    if statement.check:
        check = CHECKS[statement.check]
        found = check(*([spectra] if spectra else []), **statement.given)
    verdict = _claim_verdict(statement, found.holds)
    values = common_words() | {**statement.given} | _spectra_values(spectra) | {**found.values}
    texts = {name: in_words(getattr(statement, name), values) for name in _TEXT_FIELDS}
    why = statement.why
    reason = why if isinstance(why, str) else why[found.case or verdict]
    return Claim(**texts, kind=statement.kind, verdict=verdict, why=in_words(reason, values))


def _claim_verdict(statement: Statement, holds: bool | None) -> ClaimVerdict:
    if statement.remark:
        return REMARK
    if statement.verdict is not None:
        return statement.verdict
    if holds is None:
        return "cannot be checked"
    return "agrees" if holds else statement.otherwise


def _spectra_values(spectra: Sequence[PublishedSpectrum]) -> dict[str, Any]:
    """Return what texts may say of the spectra: all of them, and the first by name."""
    if not spectra:
        return {}
    first = spectra[0]
    return {
        "eigenvalue": tuple(s.eigenvalue for s in spectra),
        "std": tuple(s.std for s in spectra),
        "start": tuple(s.share_start for s in spectra),
        "with_std": "; ".join(_with_std(s) for s in spectra),
        "name": first.name.removeprefix("published:"),
        "task": first.task,
        "tables": first.source.partition("), ")[2],
    }


def _with_std(spectrum: PublishedSpectrum) -> str:
    pairs = zip(spectrum.eigenvalue, spectrum.std, strict=True)
    return " ".join(f"{v:.2f}" + (f"+-{s:.3g}" if math.isfinite(s) else "") for v, s in pairs)
