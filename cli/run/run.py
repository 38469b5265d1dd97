"""`rgtool run`."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.blocks import coarsest
from ...schemas.errors import UsageError
from ...schemas.records.names import Naming
from ...schemas.words import counted
from ..options import (
    DataOption,
    DeviceOption,
    DryRunOption,
    KernelsOption,
    NoteOption,
    StoreOption,
    TagOption,
    UsingOption,
    WorkersOption,
    read_duration,
    read_fields,
)
from ..output import Table, duration, output_options, say, say_event, table_of
from ..plans import WORTH_A_PROBE

if TYPE_CHECKING:
    from ...runner.experiment import Outcome
    from ...runner.plan import Plan
    from ...runner.speed.estimate import Estimate

_ANNOUNCED = 3600.0  # seconds after which a run is announced with its estimate


@output_options
def run(
    model: Annotated[
        str, typer.Argument(help="Network (rgtool models), or your own: my.py:build.")
    ],
    task: Annotated[
        str, typer.Argument(help="Data set (rgtool datasets), or your own: my.py:load.")
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Named recipe (rgtool recipes), or a TOML file.",
            show_default="frankle2020, or the parent's",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="A count (5: seeds 0 to 4) or seeds (3,7).")] = "1",
    levels: Annotated[int, typer.Option(help="Prunings; one record more is written.")] = 16,
    prune: Annotated[float | None, typer.Option(help="Share pruned a level.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs a level; milestones move along.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a batch.")] = None,
    rewind: Annotated[str | None, typer.Option(help="Rewind point: 0, 500it, 2ep.")] = None,
    rounding: Annotated[str | None, typer.Option(help="exact, openlth or round.")] = None,
    scope: Annotated[str | None, typer.Option(help="global or layerwise ranking.")] = None,
    pruner: Annotated[
        str | None, typer.Option(help="What ranks weights (docs/running.md).")
    ] = None,
    parent: Annotated[
        str | None, typer.Option(help="Experiment whose tickets are trained.")
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="shuffle, random, reinit, permute or copies.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Levels of a child: 0,4,8.", metavar="LEVELS")
    ] = None,
    fresh: Annotated[
        str | None, typer.Option(help="Layers drawn anew, dense: conv1,fc.", metavar="LAYERS")
    ] = None,
    transform: Annotated[
        str | None, typer.Option(help="How tickets become those of this network.")
    ] = None,
    start: Annotated[
        int | None, typer.Option(help="Prune on from the parent's ticket of this level.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Channels of a ResNet's first stage.")] = None,
    train_size: Annotated[int | None, typer.Option(help="Class-balanced training subset.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any field: lr=0.05. Repeatable.", metavar="FIELD=VALUE"),
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="Weights: .safetensors, of torch.save, or an initialiser.")
    ] = None,
    blocks: Annotated[
        Path | None, typer.Option(help="Block map of your own network: a TOML file.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="float32, tf32, bf16 or fp16.")] = None,
    compile: Annotated[
        str, typer.Option(help="auto, on or off: fuse the steps with torch.compile.")
    ] = "auto",
    kernels: KernelsOption = "auto",
    data: DataOption = None,
    using: UsingOption = None,
    store: StoreOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    threads: Annotated[int, typer.Option(help="Threads of a process: other bits.")] = 1,
    replicas: Annotated[
        int | None, typer.Option(help="Seeds side by side in one process; for GPUs.")
    ] = None,
    keep: Annotated[str, typer.Option(help="Weights kept: init, rewind, dense.")] = "init,rewind",
    name: Annotated[
        str | None, typer.Option(help="What to call the experiment, wherever one is due.")
    ] = None,
    note: NoteOption = None,
    tag: TagOption = None,
    time_budget: Annotated[
        str | None, typer.Option(help="Stop cleanly after 90s, 9m, 1.5h.")
    ] = None,
    dry_run: DryRunOption = False,
) -> Table:
    """Train, prune, rewind, record: iterative magnitude pruning.

    The same command continues what was interrupted, and does nothing where all is done.

    Example: rgtool run resnet8 digits --recipe quick --seeds 3 --levels 8
    """
    from ...runner.experiment import execute
    from ...runner.progress import Stop, show_progress
    from ...runner.speed.estimate import estimate
    from ...studies.children import plan

    if workers is not None and workers < 1:
        raise typer.BadParameter("at least one process is needed", param_hint="--workers")
    naming = Naming(name, note, tuple(tag or ()))
    options = {
        "prune": prune,
        "epochs": epochs,
        "batch_size": batch_size,
        "rewind": rewind,
        "rounding": rounding,
        "scope": scope,
        "pruner": pruner,
        "control": control,
        "train_size": train_size,
        "precision": precision,
    }
    fields = read_fields(set_ or (), options)
    if init is not None and "init" in fields:
        raise UsageError(f"--init {init} and --set init={fields['init']} together: choose one")
    made = plan(
        model,
        task,
        recipe,
        seeds=seeds,
        levels=levels,
        at=at,
        parent=parent,
        transform=transform,
        fresh=fresh or (),
        start=start,
        store=store,
        data=data,
        using=using or (),
        device=device,
        workers=workers,
        threads=threads,
        replicas=replicas,
        compile=compile,
        kernels=kernels,
        keep=tuple(part.strip() for part in keep.split(",") if part.strip()),
        time_budget=read_duration(time_budget),
        width=width,
        blocks=blocks,
        **{"init": init, **fields},
    )
    if not dry_run:
        for line in made.notes:
            say(line)
    naming.check(made.store, made.recipe.experiment_id)
    if dry_run:
        return table_of(estimate(made))
    if made.work > WORTH_A_PROBE:
        expected = estimate(made)
        if expected.seconds > _ANNOUNCED:
            say(f"this will take about {duration(expected.seconds)}: {_what(made, expected)}")
    naming.give(made.store, made.recipe.experiment_id)
    made.load()  # here Ctrl-C ends it at once
    with show_progress(made, say_event, say) as (on_event, tell), Stop(tell) as stop:
        outcome = execute(made, on_event=on_event, should_stop=stop)
    return _outcome_table(made, outcome)


def _what(made: Plan, expected: Estimate) -> str:
    return (
        f"{expected.remaining} of {made.records} records, "
        f"{expected.speed} a process, {_processes(made)}"
    )


def _processes(made: Plan) -> str:
    return counted(made.workers, "process", "processes")


def _outcome_table(made: Plan, outcome: Outcome) -> Table:
    """Tell how every seed ended; leave with 1 or 3 where not all did well."""
    failed, stopped = outcome.seeds("failed"), outcome.seeds("stopped")
    table = dataclasses.replace(outcome.table(), notes=_plan_notes(made, outcome))
    if failed or stopped:
        from ..output import print_table

        print_table(table)
        done = len(outcome.ends) - len(failed) - len(stopped)
        raise typer.Exit(3 if done or stopped else 1)
    return table


def _plan_notes(made: Plan, outcome: Outcome) -> tuple[str, ...]:
    failed = outcome.seeds("failed")
    if outcome.seeds("stopped"):
        return (f"stopped; to go on: {shlex.join(['rgtool', *sys.argv[1:]])}",)
    if failed:
        return _failure_notes(made, failed)
    store = f" --store {made.store}" if str(made.store) != "rgstore" else ""
    if all("diverged" in (end.kind, end.message) for end in outcome.ends.values()):
        return ("training diverged: its loss or a weight was not finite; try a smaller --set lr=",)
    if len(made.at) < 3:  # a spectrum needs the two steps between three records
        return (f"next: rgtool show {made.recipe.experiment_id}{store}",)
    by = coarsest(made.layers)
    return (f"next: rgtool eigen {made.recipe.experiment_id} --by {by}{store}",)


def _failure_notes(made: Plan, failed: list[int]) -> tuple[str, ...]:
    """Say what failed seeds leave; another source of the user's own would not go on with it."""
    if all(made.remaining_of(seed) * len(made.seeds) == made.records for seed in failed):
        return ("nothing was recorded",)
    goes_on = "" if made.network.sources else "; the same command goes on where it was"
    return (f"what was recorded is whole{goes_on}",)
