"""`rgtool bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...schemas.words import counted
from ..options import DataOption
from ..output import Table, duration, output_options, say

if TYPE_CHECKING:
    from ...runner.plan import Plan
    from ...runner.speed.bench import Bench, Layout

_BUSY = 0.8  # share of its time below which a replica alone was disturbed


@output_options
def bench(
    model: Annotated[
        str, typer.Argument(help="Network (rgtool models), or your own: my.py:build.")
    ] = "resnet8",
    task: Annotated[
        str, typer.Argument(help="Data set (rgtool datasets), or your own: my.py:load.")
    ] = "digits",
    recipe: Annotated[str, typer.Option(help="Named recipe, or a TOML file.")] = "frankle2020",
    seeds: Annotated[str, typer.Option(help="Seeds of the experiment that is timed.")] = "5",
    levels: Annotated[int, typer.Option(help="Its prunings.")] = 16,
    precision: Annotated[str | None, typer.Option(help="float32, tf32, bf16 or fp16.")] = None,
    compile: Annotated[str, typer.Option(help="auto, on or off.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core.")] = None,
    seconds: Annotated[float, typer.Option(help="Time for each layout.")] = 3.0,
    data: DataOption = None,
) -> Table:
    """Measure training on this machine: images a second, share of what it allows, hours to come.

    Nothing is recorded. Figures are those of the machine as busy as it is.

    Example: rgtool bench resnet20 cifar10
    """
    from ...runner.plan import plan
    from ...runner.speed.bench import measure

    if not seconds > 0:
        raise typer.BadParameter("a positive time is needed", param_hint="--seconds")
    made = plan(
        model,
        task,
        recipe,
        seeds=seeds,
        levels=levels,
        data=data,
        device=device,
        workers=workers,
        compile=compile,
        precision=precision,
    )
    for note in made.notes:
        say(note)
    return _layouts_table(made, measure(made, seconds))


def _layouts_table(made: Plan, found: Bench) -> Table:
    alone = found.layouts[0]
    rows: list[tuple[str, Any, str, str]] = [
        ("speed", _rounded(alone.images_per_second), "images/s", "one replica, one thread"),
        ("arithmetic", found.flops / 1e6, "MFLOP/image", "forward and backward"),
        (
            "achieved",
            found.busy_images_per_second * found.flops / 1e9,
            "GFLOP/s",
            "one replica, by processor time",
        ),
    ]
    if found.peak is not None:
        rows.append(
            ("peak", found.peak / 1e9, "GFLOP/s", "well-shaped convolution, by processor time")
        )
        rows.append(("share", found.share, "of peak", ""))
    if found.ceiling is not None:
        rows.append(
            (
                "ceiling",
                _rounded(found.ceiling),
                "images/s",
                "if its convolutions alone took time, one thread",
            )
        )
    if found.floor_bytes is not None and found.bandwidth is not None:
        rows.append(("moved", found.floor_bytes / 1e6, "MB/image", "kernels that are not fused"))
        rows.append(("bandwidth", found.bandwidth / 1e9, "GB/s", "of a copy"))
        rows.append(("share", found.share, "of floor", "bytes over bandwidth, over time"))
    for layout in found.layouts:
        rows.append(
            ("layout", _rounded(layout.images_per_second), "images/s", _told(layout, found))
        )
    level = found.level_seconds(found.chosen)
    experiment = found.experiment_seconds(found.chosen)
    rows += [
        ("test set", found.test_seconds, "s", "one pass"),
        ("level", _rounded(level), "s", f"{made.recipe.whole_epochs} epochs, one seed"),
        (
            "experiment",
            _rounded(experiment),
            "s",
            f"{counted(found.seeds, 'seed')} x {counted(found.records, 'level')} in the chosen "
            f"layout: {duration(experiment)}",
        ),
    ]
    return Table(
        ("what", "value", "unit", "note"),
        rows,
        title=f"{made.recipe.architecture}/{made.recipe.task}, batch {made.recipe.batch_size}, "
        f"{made.recipe.precision}, {made.kernels.name} kernels, {made.device}",
        notes=_choice(found),
        formats={"value": ".4g"},
    )


def _rounded(number: float) -> float:
    """Drop the fractions of a large number."""
    return round(number) if number >= 1000 else number


def _told(layout: Layout, found: Bench) -> str:
    ratio = layout.images_per_second / found.layouts[0].images_per_second
    chosen = ""
    if layout == found.chosen:
        chosen = "; chosen: what rgtool run does by default with the same options"
    takes = duration(found.experiment_seconds(layout))
    return f"{layout}: {ratio:.2f} x alone, the experiment in {takes}{chosen}"


def _choice(found: Bench) -> tuple[str, ...]:
    """Say what is chosen, and why, where another layout was measured to be shorter."""
    chosen, shortest = found.chosen, found.shortest
    notes = [f"chosen: {chosen}"]
    if shortest == chosen:
        notes[0] += ", in which the experiment takes the least time of those measured"
    else:
        less = 1 - found.experiment_seconds(shortest) / found.experiment_seconds(chosen)
        notes[0] += f"; {shortest} would take {less:.0%} less: {_options(shortest, chosen)}"
        if shortest.threads != chosen.threads:
            notes[0] += ", other bits than those of a seed on one thread"
    if found.busy < _BUSY:
        notes.append(
            f"other programs have had {1 - found.busy:.0%} of the time of one replica: measure "
            "again on a quiet machine before the layouts are compared"
        )
    return tuple(notes)


def _options(layout: Layout, chosen: Layout) -> str:
    """Write the options of `rgtool run` that ask for a layout instead of the chosen one."""
    named = {"workers": "processes", "threads": "threads", "replicas": "replicas"}
    wanted = {option: getattr(layout, field) for option, field in named.items()}
    return " ".join(
        f"--{option} {value}"
        for option, value in wanted.items()
        if value != getattr(chosen, named[option])
    )
