"""Which run an import is: names, sums over masks, and when two contents are one run.

Two contents are compared by the masks of their pruned levels. One level that differs makes them
two runs. Where every common level agrees they are one run if

- the pruned levels of one are among those of the other (a folder that has grown, a copy), or
- two pruned levels agree, or
- their sources bear one name.

Names keep contents apart that masks cannot: branches of one run, replicates whose numbers are both
told, and sources of different names that report different accuracies (one mask, trained in two
ways). Counts are no masks: uniform pruning gives every experiment the same ones, so that of tables
only the names tell.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DENSE, _MASK, _COUNTS = "dense-", "mask-", "counts-"
_SAME_ACCURACY = 1e-9
# A digest; where it is of counts, with an experiment and a replicate (None for any).
Mark = tuple[str, str | None, str | None]


@dataclass(frozen=True)
class Alias:
    """A name under which a source holds a run.

    Attributes
    ----------
    experiment : str
        What the runs of one experiment have in common: a folder, the column of a table.
    replicate : str
        Tells them apart; empty where nothing tells.
    variant : str
        A branch of the run.
    seed : int or None
        The seed, where it is told.
    levels : tuple of int
        The levels that were seen under this name.
    """

    experiment: str
    replicate: str = ""
    variant: str = ""
    seed: int | None = None
    levels: tuple[int, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Alias:
        """Read a name from a description."""
        return cls(
            str(values["experiment"]),
            str(values.get("replicate", "")),
            str(values.get("variant", "")),
            values.get("seed"),
            tuple(values.get("levels", ())),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "experiment": self.experiment,
            "replicate": self.replicate,
            "variant": self.variant,
            "seed": self.seed,
            "levels": list(self.levels),
        }

    @property
    def key(self) -> tuple[str, str, str]:
        """Experiment, replicate and variant."""
        return self.experiment, self.replicate, self.variant

    def may_be(self, other: Alias) -> bool:
        """Whether nothing in two names says that they are of two runs."""
        told = "" not in (self.replicate, other.replicate)
        return self.variant == other.variant and not (told and self.replicate != other.replicate)

    def agrees(self, other: Alias) -> bool:
        """Whether two names are one."""
        return self.experiment == other.experiment and self.may_be(other)


@dataclass(frozen=True)
class Content:
    """What tells a run apart.

    Attributes
    ----------
    digests : mapping of int to str
        By level, see `mask_digest` and `counts_digest`.
    aliases : tuple of Alias
        Its names, the one that it bears first.
    accuracies : mapping of int to float or None
        By level; levels may lack.
    """

    digests: Mapping[int, str]
    aliases: tuple[Alias, ...]
    accuracies: Mapping[int, float | None] = field(default_factory=dict)

    @property
    def pruned(self) -> frozenset[int]:
        """Levels at which something is pruned."""
        return frozenset(n for n, digest in self.digests.items() if not _is_dense(digest))

    @property
    def marks(self) -> frozenset[Mark]:
        """What it is found by: `sought` of every content that is one run with it meets these."""
        return self._marks(lambda alias: {alias.replicate, None})

    @property
    def sought(self) -> frozenset[Mark]:
        """What to look for: few contents have these, however many have the same counts."""
        return self._marks(lambda alias: {alias.replicate, ""} if alias.replicate else {None})

    def _marks(self, replicates: Callable[[Alias], set[str | None]]) -> frozenset[Mark]:
        digests = [self.digests[n] for n in self.pruned]
        masks: set[Mark] = {(d, None, None) for d in digests if not d.startswith(_COUNTS)}
        counts: set[Mark] = {
            (digest, alias.experiment, replicate)
            for digest in digests
            if digest.startswith(_COUNTS)
            for alias in self.aliases
            for replicate in replicates(alias)
        }
        return frozenset(masks | counts)

    def agreeing(self, other: Content) -> frozenset[int]:
        """Pruned levels at which the masks are equal."""
        return frozenset(n for n in self.pruned if other.digests.get(n) == self.digests[n])

    def differs_at(self, other: Content) -> frozenset[int]:
        """Levels of both that differ."""
        common = self.digests.keys() & other.digests.keys()
        return frozenset(n for n in common if self.digests[n] != other.digests[n])

    def named_as(self, other: Content) -> bool:
        """Whether a name of one is a name of the other."""
        return any(a.agrees(b) for a in self.aliases for b in other.aliases)

    def reports_otherwise(self, other: Content) -> bool:
        """Whether both report accuracies of a level and they differ."""
        pairs = ((self.accuracies.get(n), other.accuracies.get(n)) for n in self.accuracies)
        return any(a is not None and b is not None and abs(a - b) > _SAME_ACCURACY
                   for a, b in pairs)  # fmt: skip


def same_run(one: Content, other: Content) -> bool:
    """Tell whether two contents are one run; the rule stands above."""
    agreeing = one.agreeing(other)
    if not agreeing or one.differs_at(other):
        return False
    if not all(a.may_be(b) for a in one.aliases for b in other.aliases):
        return False
    if one.named_as(other):
        return True
    if any(one.digests[n].startswith(_COUNTS) for n in agreeing):
        return False
    enough = len(agreeing) >= 2 or agreeing in (one.pruned, other.pruned)
    return enough and not one.reports_otherwise(other)


def with_name(aliases: Sequence[Alias], name: Alias) -> tuple[Alias, ...]:
    """Return the names of a run and one more, or the levels of one that it has."""
    for place, alias in enumerate(aliases):
        if alias.key == name.key:
            levels = tuple(sorted({*alias.levels, *name.levels}))
            seen = dataclasses.replace(alias, levels=levels)
            return (*aliases[:place], seen, *aliases[place + 1 :])
    return (*aliases, name)


def mask_digest(masks: Mapping[str, NDArray[np.bool_]]) -> str:
    """Return a sum over the masks of a level by the source's names of its layers."""
    text = hashlib.sha256()
    dense = all(mask.all() for mask in masks.values())
    for name, mask in sorted(masks.items()):
        text.update(f"{name}\0{tuple(map(int, mask.shape))}\0".encode())
        if not dense:
            text.update(np.packbits(mask).tobytes())
    return f"{_DENSE if dense else _MASK}{text.hexdigest()[:32]}"


def counts_digest(names: Sequence[str], totals: Sequence[int], kept: Sequence[int]) -> str:
    """Return a sum over the counts of a level of a table."""
    rows = sorted(zip(names, map(int, totals), map(int, kept), strict=True))
    text = "".join(f"{name}\0{total}\0{count}\0" for name, total, count in rows)
    dense = all(total == count for _, total, count in rows)
    kind = _DENSE if dense else _COUNTS
    return f"{kind}{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def new_id(format: str, content: Content, taken: Callable[[str], bool]) -> str:
    """Return the format, and twelve digits from the name and the first pruned mask.

    Where another run bears them, the masks of the levels after it are hashed too.
    """
    text = hashlib.sha256("\0".join((format, *content.aliases[0].key)).encode())
    following = (content.digests[n] for n in sorted(content.pruned))
    for part in itertools.chain(following, map(str, itertools.count(1))):
        text.update(f"\0{part}".encode())
        run_id = f"{format}-{text.hexdigest()[:12]}"
        if not taken(run_id):
            return run_id
    raise AssertionError("counting does not end")


def _is_dense(digest: str) -> bool:
    return digest.startswith(_DENSE)
