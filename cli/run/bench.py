"""`rgtool bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import DataOption, DeviceOption, KernelsOption, WorkersOption
from ..output import Table, output_options, say, table_of


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
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    seconds: Annotated[float, typer.Option(help="Time for each layout.")] = 3.0,
    kernels: KernelsOption = "auto",
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
        kernels=kernels,
        precision=precision,
    )
    for note in made.notes:
        say(note)
    return table_of(measure(made, seconds))
