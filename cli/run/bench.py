"""`rgtool bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...schemas.words import counted
from ..options import DataOption, read_seeds
from ..output import Table, duration, output_options, say

if TYPE_CHECKING:
    from ...runner.bench import Bench
    from ...runner.plan import Plan


@output_options
def bench(
    model: Annotated[str, typer.Argument(help="Network.")] = "resnet8",
    task: Annotated[str, typer.Argument(help="Data set.")] = "digits",
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
    from ...runner.bench import measure
    from ...runner.plan import plan

    if not seconds > 0:
        raise typer.BadParameter("a positive time is needed", param_hint="--seconds")
    made = plan(
        model,
        task,
        recipe,
        seeds=read_seeds(seeds),
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
    for layout in found.layouts[1:]:
        ratio = layout.images_per_second / alone.images_per_second
        rows.append(
            (
                "layout",
                _rounded(layout.images_per_second),
                "images/s",
                f"{layout}: {ratio:.2f} x alone",
            )
        )
    rows += [
        ("test set", found.test_seconds, "s", "one pass"),
        (
            "level",
            _rounded(found.level_seconds),
            "s",
            f"{made.recipe.whole_epochs} epochs, one seed",
        ),
        (
            "experiment",
            _rounded(found.experiment_seconds),
            "s",
            f"{counted(len(made.seeds), 'seed')} x {counted(made.levels + 1, 'level')}: "
            f"{duration(found.experiment_seconds)}",
        ),
    ]
    return Table(
        ("what", "value", "unit", "note"),
        rows,
        title=f"{made.recipe.architecture}/{made.recipe.task}, batch {made.recipe.batch_size}, "
        f"{made.recipe.precision}, {made.kernels.name} kernels, {made.device}",
        notes=(_why(made, found),),
        formats={"value": ".4g"},
    )


def _rounded(number: float) -> float:
    """Drop the fractions of a large number."""
    return round(number) if number >= 1000 else number


def _why(made: Plan, found: Bench) -> str:
    fastest = found.fastest
    if made.device != "cpu":
        return f"chosen: {made.replicas} seeds side by side; the fastest measured: {fastest}"
    processes = counted(made.workers, "process", "processes")
    chosen = f"chosen: {processes} of one thread, one seed in each"
    if fastest.threads == 1:
        return f"{chosen}; the fastest measured: {fastest}"
    return (
        f"{chosen}, so that a seed gives the same bits alone and beside others; here and now "
        f"{fastest} is faster"
    )
