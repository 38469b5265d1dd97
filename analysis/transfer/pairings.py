"""Which of several runs of one seed counts: a child may train tickets of several seeds as one."""

from __future__ import annotations

from ...schemas.errors import RgtoolError
from ...store import Store
from ...store.counts import Counts


def one_a_seed(store: Store, counts: Counts) -> tuple[Counts, tuple[str, ...]]:
    """Keep of several runs of a seed the one that trains the ticket of that seed.

    Parameters
    ----------
    store : Store
        Where the runs and their parents are.
    counts : Counts
        A child; a seed may have a run for each of several tickets, as `--seeds 0:0` and `--seeds
        0:1` train them.

    Returns
    -------
    counts : Counts
        With one run a seed; without the seeds of which several runs train others' tickets alone.
    others : tuple of str
        Ids of the runs that are left out.
    """
    several = {seed for seed in counts.seeds if seed is not None and counts.seeds.count(seed) > 1}
    stay = [
        i
        for i, (run, seed) in enumerate(zip(counts.runs, counts.seeds, strict=True))
        if seed not in several or _seed_of_ticket(store, run) == seed
    ]
    others = tuple(run for i, run in enumerate(counts.runs) if i not in stay)
    return (counts.select(stay), others) if others else (counts, ())


def _seed_of_ticket(store: Store, run: str) -> int | None:
    """Return the seed of the run whose ticket another trains; None where nothing tells it."""
    try:
        parent = store.description(run).parent_run
        return None if parent is None else store.description(parent).seed
    except RgtoolError:  # the parent was removed
        return None
