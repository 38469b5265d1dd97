"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..schemas.errors import UsageError
from ..schemas.recipe import parse_field

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", help="Folder of the store.", envvar="RGTOOL_STORE", show_default="rgstore"
    ),
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of the data sets.", envvar="RGTOOL_DATA")
]
UsingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--using",
        help="Where data or a network of your own lies: npz:FILE, my.py:load. Repeatable.",
    ),
]
KernelsOption = Annotated[
    str,
    typer.Option(
        "--kernels",
        help="auto, dense or sparse: what is kept alone; auto measures at every level.",
        envvar="RGTOOL_KERNELS",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", help="Processes; default one a core.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")]
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Draw to this .png, .svg or .pdf.")]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option("--exclude", help="An experiment to leave out; may be given several times."),
]
NoteOption = Annotated[str | None, typer.Option("--note", help="What is to be remembered of it.")]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", help="A tag, shared with others. Repeatable.")
]
CoarsestOption = Annotated[
    str | None, typer.Option("--by", help="layer, block, stage or role; default the coarsest.")
]
WindowOption = Annotated[
    str | None, typer.Option("--window", help="Levels a:b, ends included.", metavar="A:B")
]


def read_window(text: str | None, option: str = "--window") -> tuple[int, int] | None:
    """Read `1:16` as two levels.

    Raises
    ------
    UsageError
        The text is no pair of levels, or its end is not after its beginning.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text.strip())
    if match is None or int(match[1]) >= int(match[2]):
        raise UsageError(f"{option} {text}: give two levels, the first before the last, as 1:16")
    return int(match[1]), int(match[2])


def read_duration(text: str | None, option: str = "--time-budget") -> float | None:
    """Read `90`, `90s`, `9m` or `1.5h` as seconds.

    Raises
    ------
    UsageError
        The text is no duration.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*([smh]?)", text.strip())
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"{option} {text}: give a duration such as 90s, 9m or 1.5h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def read_fields(settings: Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Join `--set field=value` with the options that are fields of the recipe, too.

    Raises
    ------
    UsageError
        A setting names no field, its value does not fit, or a field is given twice.
    """
    from ..runner.recipes import check_choosable

    fields = {name: value for name, value in options.items() if value is not None}
    for text in settings:
        name, value = parse_field(text)
        check_choosable([name])
        if name in fields:
            raise UsageError(f"--set {text}: {name} is given twice")
        fields[name] = value
    return fields
