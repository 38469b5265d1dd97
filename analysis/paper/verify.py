"""A paper's claims, one by one, against what its own printed numbers say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, get_args

from ...schemas.errors import UsageError, did_you_mean
from ..result import Column, Result
from .claim import CLAIM_VERDICTS, Claim, ClaimVerdict, Kind

__all__ = ["Claim", "ClaimVerdict", "Kind", "Verification", "verify"]

PAPER = "Redman et al. 2021 (arXiv 2110.03210)"


@dataclass(frozen=True)
class Verification(Result):
    """What became of the claims of one paper.

    Attributes
    ----------
    paper : str
        The paper.
    claims : tuple of Claim
        In the order of the text: the theory, Sec. 3.1 with its tables, the null model, Sec. 3.2.
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
        Column(
            "verdict", "agrees, disagrees, contradiction inside the paper, or cannot be checked."
        ),
        Column("why", "The reason, with what limits it.", shown="wide"),
    )
    rows = "a row for every claim"

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
    def title(self) -> str:
        """One line that says what this is."""
        return f"{len(self.claims)} claims of {self.paper} against the numbers it prints"

    @property
    def notes(self) -> tuple[str, ...]:
        """The rule of judgement, and the counts."""
        counts = "; ".join(f"{verdict}: {count}" for verdict, count in self.counts.items())
        return (
            "rounding counts in the paper's favour: a claim disagrees only where no numbers that "
            "round to the printed ones meet it",
            "there are no masks and no seeds behind printed numbers: to agree is not to be proved",
            counts,
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
    claims = tuple(claim for chapter in _chapters() for claim in chapter())
    assert all(claim.kind in get_args(Kind) for claim in claims)
    return Verification(PAPER, claims)


def _chapters() -> tuple[Callable[[], list[Claim]], ...]:
    from . import bounds as verify_bounds
    from . import elastic as verify_elastic
    from . import flow as verify_flow
    from . import null as verify_null
    from . import rules as verify_rules
    from . import theory as verify_theory
    from . import transfer as verify_transfer

    return (
        verify_theory.claims,
        verify_flow.claims,
        verify_rules.claims,
        verify_bounds.claims,
        verify_transfer.claims,
        verify_null.claims,
        verify_elastic.claims,
    )
