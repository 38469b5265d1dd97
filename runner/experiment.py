"""An experiment at work: planned, and computed in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..schemas.errors import RgtoolError
from ..schemas.lock import check_locks
from .data import Loading
from .event import Event
from .models import Builder
from .plan import Plan, plan
from .pool import execute_parallel
from .recipes import DEFAULT
from .seeds import OnEvent, compute_seeds


def _ignore(event: Event) -> None:
    pass


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Outcome:
    """How every seed ended.

    Attributes
    ----------
    experiment_id : str
        The experiment.
    ends : dict of int to Event
        The last event of every seed: `done`, `known`, `stopped`, `diverged` or `failed`.
    """

    experiment_id: str
    ends: dict[int, Event]

    def seeds(self, *kinds: str) -> list[int]:
        """List the seeds that ended in one of these ways."""
        return [seed for seed, event in self.ends.items() if event.kind in kinds]


def execute(
    made: Plan, *, on_event: OnEvent = _ignore, should_stop: Callable[[], bool] = _never
) -> Outcome:
    """Compute a plan; what is on the disk already is not computed again.

    Parameters
    ----------
    made : Plan
        What to compute.
    on_event : callable
        Gets an `Event` for every epoch and level of every seed.
    should_stop : callable
        Asked often; true stops all seeds cleanly, to be continued by the same command.

    Raises
    ------
    RgtoolError
        The store is not a folder, cannot be written, or its file system has no locks.
    """
    _make_store(made.store)
    if made.workers > 1:
        return Outcome(made.recipe.experiment_id, execute_parallel(made, on_event, should_stop))
    ends = compute_seeds(made, made.seeds, on_event, should_stop)
    return Outcome(made.recipe.experiment_id, ends)


def _make_store(store: Path) -> None:
    try:
        (store / "runs").mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise RgtoolError(
            f"store {store}: a file is in the way; name a folder with --store"
        ) from None
    except OSError as error:
        raise RgtoolError(
            f"store {store}: cannot be written ({error.strerror}); name another folder with --store"
        ) from None
    check_locks(store / "runs")  # once, before every seed makes a folder and fails


def run(
    model: str | Builder,
    task: str | Loading,
    recipe: str | Path = DEFAULT,
    *,
    seeds: int | Sequence[int] = 1,
    levels: int = 16,
    store: str | Path | None = None,
    data: str | Path | None = None,
    init: str | Path | None = None,
    blocks: str | Path | None = None,
    on_event: OnEvent = _ignore,
    **options: Any,
) -> Outcome:
    """Train, prune and record an experiment.

    Parameters
    ----------
    model, task : str or callable
        Network and data set, such as `resnet20` and `cifar10`; or functions of your own, see
        `models.find_network` and `data.find_task`: in a file, `my.py:build` and `my.py:load`, or
        given themselves.
    recipe : str or path
        A named recipe, or a TOML file with fields of one.
    seeds : int or sequence of int
        A number of replicates (seeds 0, 1, ...), or the seeds themselves.
    levels : int
        Prunings; a run has `levels` + 1 records.
    store : path, optional
        Folder of the store; default `$RGTOOL_STORE`, then `rgstore`.
    data : path, optional
        Folder of the data sets; default `$RGTOOL_DATA`, then `~/.cache/rgtool`.
    init : path or str, optional
        Weights that training starts from, a safetensors file or one of `torch.save`; or the name
        of an initialiser.
    blocks : path, optional
        Block map of a network of your own, see `schemas.block_map`.
    on_event : callable
        Gets an `Event` for every epoch and level.
    **options
        Fields of `Launch`, such as `device` or `workers`, fields of `Recipe` that differ from the
        named recipe, and `width`. One process computes unless `workers` says otherwise; with
        several a script needs the usual `if __name__ == "__main__":`.

    Returns
    -------
    Outcome
        How every seed ended.

    Raises
    ------
    UsageError
        A name is unknown or a value out of range.
    RgtoolError
        The data or the store cannot be used.

    Examples
    --------
    >>> import rgtool, tempfile
    >>> store = tempfile.mkdtemp()
    >>> outcome = rgtool.run("lenet", "digits", levels=1, epochs=1, store=store)
    >>> outcome.seeds("done")
    [0]
    """
    made = plan(
        model,
        task,
        recipe,
        seeds=seeds,
        levels=levels,
        store=store,
        data=data,
        init=init,
        blocks=blocks,
        **{"workers": 1, **options},
    )
    return execute(made, on_event=on_event)
