"""`rgtool import`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.progress import bar
from ...schemas.records.layout import store_path
from ..options import StoreOption
from ..output import Table, output_options, say

if TYPE_CHECKING:
    from ...store.importers.found import FoundRun, Skipped
    from ...store.importers.imports import Survey
    from ...store.importers.report import ImportReport


@output_options
def import_(
    paths: Annotated[list[Path], typer.Argument(help="Folders or files.", show_default=False)],
    format: Annotated[
        str | None, typer.Option("--format", help="Format; by default it is detected.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the experiment.")] = None,
    task: Annotated[str | None, typer.Option(help="Data set, where the files do not tell.")] = None,
    arch: Annotated[str | None, typer.Option(help="Architecture: known ones must fit.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Published recipe it was made with.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Initialiser of the weights, such as kaiming_normal.")
    ] = None,
    fan: Annotated[str | None, typer.Option(help="Its fan: fan_in or fan_out.")] = None,
    blocks: Annotated[
        Path | None, typer.Option(help="Block map of an unknown network (TOML).")
    ] = None,
    keep: Annotated[str, typer.Option(help="Weights to copy: init, rewind, dense.")] = "",
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Read what links out of the folder lead to.")
    ] = False,
    zeros_are_mask: Annotated[
        bool, typer.Option("--zeros-are-mask", help="The zeros of weights are the mask.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
    store: StoreOption = None,
) -> Table:
    """Import other people's checkpoints; the format is detected from the files.

    No code in a checkpoint ever runs. Importing twice changes nothing; of a folder that has grown
    only the new levels come in, and what is told later corrects what was imported.

    Example: rgtool import chen2021a/ --task cifar10
    """
    from ...store import Store
    from ...store.importers import imports
    from ...store.importers.tree import Reading

    chosen = imports.choices(
        name=name,
        task=task,
        architecture=arch,
        recipe=recipe,
        init=init,
        fan=fan,
        blocks=blocks,
        keep=[part.strip() for part in keep.split(",") if part.strip()],
    )
    found = imports.survey(paths, format, Reading(follow_links, zeros_are_mask))
    opened = Store(store)  # a file in the way is said before anything is read
    bring = imports.rehearse if dry_run else imports.import_runs
    with _progress(found) as on_level:
        report = bring(opened.path, found, chosen, on_level)
    return _report(report, opened.path, dry_run)


@contextmanager
def _progress(found: Survey) -> Iterator[Callable[[FoundRun, int], None] | None]:
    """Show a bar over all levels where somebody watches."""
    with bar("levels") as shown:
        if shown is None:
            yield None
            return
        done = itertools.count(1)
        yield lambda run, level: shown.show(
            f"{run.path.name} level {level}", next(done), found.levels
        )


_NOTHING = "no run was found: docs/importing.md shows the layouts that are known"


def _report(report: ImportReport, store: Path, dry_run: bool) -> Table:
    """Show what is in the store now, or would be; the command ends with 1 or 3 if not all is."""
    _say_skipped(report.skipped)
    for run in report.runs:
        for note in run.notes:
            say(f"{run.run_id}: {note}")
    rows = [
        (
            r.run_id,
            r.experiment_id,
            r.format,
            r.label,
            r.replicate,
            len(r.levels),
            len(r.new),
            r.source,
        )
        for r in report.runs
    ]
    columns = ("run", "experiment", "format", "label", "replicate", "levels", "new", "source")
    note = _closing(report, store, dry_run)
    return Table(columns, rows, notes=(note,), exit_code=report.exit_code)


def _closing(report: ImportReport, store: Path, dry_run: bool) -> str:
    if not report.runs:
        return _NOTHING if not report.skipped else "nothing was imported: the store is as it was"
    option = f" --store {store}" if store != store_path().absolute() else ""
    several = len({run.run_id for run in report.runs})
    counted = f"{report.new_levels} new level(s) of {several} run(s)"
    skipped = f", {len(report.skipped)} skipped" if report.skipped else ""
    corrected = f", {report.corrected} corrected" if report.corrected else ""
    if dry_run:
        return f"a dry run: {counted}{corrected}{skipped}; nothing was imported"
    first = report.runs[0].experiment_id
    return f"{counted}{corrected}{skipped}; next: rgtool eigen {first} --by layer{option}"


def _say_skipped(skipped: tuple[Skipped, ...]) -> None:
    for one in skipped:
        for line in f"skipped: {one}".splitlines():
            say(line)
