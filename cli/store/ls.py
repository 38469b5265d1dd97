"""`rgtool ls`."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...schemas.errors import UsageError
from ..options import StoreOption
from ..output import Table, output_options, say, warn_of
from ..published import every_published

if TYPE_CHECKING:
    from ...store import ExperimentInfo, RunInfo


_MANY = 500  # loose runs, from which on queries take a noticeable time


@output_options
def ls(
    runs: Annotated[
        bool, typer.Option("--runs", help="A row per run, not per experiment.")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="What the literature has instead.")
    ] = False,
    store: StoreOption = None,
) -> Table:
    """List what is in the store, or the spectra and curves of the literature.

    Example: rgtool ls --runs
    """
    if published:
        if runs:
            raise UsageError("--runs and --published together: choose one")
        return every_published()

    from ...store import Store

    opened = Store(store)
    experiments = opened.experiments()
    every = [run for experiment in experiments for run in experiment.runs]
    table = _runs_table(every) if runs else _experiments(experiments)
    warn_of(opened.problems)
    loose = sum(run.finished and not run.compacted for run in every)
    if loose > _MANY:
        say(f"{loose} finished runs lie loose: rgtool compact makes queries quicker")
    if not table.rows:
        note = f"{opened.path}: no runs yet; rgtool demo or rgtool run lenet digits makes some"
        return Table(table.columns, [], notes=(note,))
    return table


def _experiments(experiments: list[ExperimentInfo]) -> Table:
    rows = [
        (
            e.experiment_id,
            e.label,
            len(e.runs),
            sum(run.finished for run in e.runs),
            e.levels,
            _mean([run.density for run in e.runs]),
            _mean([run.accuracy for run in e.runs]),
            _differences(e.distinction),
        )
        for e in experiments
    ]
    names = ("experiment", "label", "runs", "finished", "levels", "density", "accuracy", "differs")
    return Table(names, rows, formats={"density": ".4f", "accuracy": ".4f"})


def _runs_table(runs: list[RunInfo]) -> Table:
    rows = [
        (
            r.run_id,
            r.label,
            r.seed,
            r.recipe_name,
            r.recorded,
            r.levels + 1,
            "diverged" if r.diverged else "finished" if r.finished else "unfinished",
            r.density,
            r.accuracy,
            r.created_at,
        )
        for r in runs
    ]
    names = ("run", "label", "seed", "recipe", "records", "of", "state", "density", "accuracy")
    return Table((*names, "created"), rows, formats={"density": ".4f", "accuracy": ".4f"})


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _differences(fields: dict[str, Any]) -> str:
    """Write what tells an experiment from the frozen defaults."""
    parts = []
    for name, value in fields.items():
        text = ",".join(value) or "none" if isinstance(value, list | tuple) else str(value)
        parts.append(f"{name}={text}")
    return " ".join(parts)
