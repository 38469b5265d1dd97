"""`rgtool show`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...schemas.errors import RgtoolError
from ...schemas.records.description import assumption_notes, recipe_rows
from ...schemas.words import sparkline
from ..options import StoreOption
from ..output import Table, bars, output_options, warn_of

if TYPE_CHECKING:
    from ...analysis.named import Stored
    from ...store import Store

Rows = list[tuple[str, Any]]


@output_options
def show(
    name: Annotated[str, typer.Argument(help="A run, an experiment, or published:NAME.")],
    store: StoreOption = None,
) -> Table:
    """Show one run (recipe, provenance, accuracy and shares) or one experiment.

    Fields of a recipe that nobody tells are named assumed.FIELD, not recipe.FIELD.
    For an experiment: its runs together, and the matching density, the sparsest level whose
    accuracy is within one seed standard deviation of the dense network's. published:NAME shows a
    spectrum, a curve or a flow of the literature with its source; rgtool ls --published lists them.

    Example: rgtool show resnet20/cifar10
    """
    from ...analysis.named import Stored, look_up, unsuited
    from ...store import PublishedCurve, PublishedFlow, PublishedSpectrum, Store

    opened = Store(store)
    found = look_up(opened, name)
    if isinstance(found, PublishedSpectrum | PublishedCurve | PublishedFlow):
        return found.table()
    if not isinstance(found, Stored):
        raise unsuited(found, "a store shows experiments and runs")
    table = _show_experiment(opened, found.name) if found.run_id is None else _show_run(found)
    warn_of(opened.problems)
    return table


def _show_run(found: Stored) -> Table:
    opened, run_id = found.store, found.name
    table = opened.description(run_id).table()
    return replace(table, rows=[*table.rows, *_curves(opened, f"run_id = '{run_id}'")])


def _show_experiment(opened: Store, experiment: str) -> Table:
    from ...analysis.chance import chance_of_all
    from ...analysis.curves.matching import matching_density

    info = next(e for e in opened.experiments() if e.experiment_id == experiment)
    rows: Rows = [
        ("experiment_id", info.experiment_id),
        ("label", info.label),
        ("runs", " ".join(run.run_id for run in info.runs)),
        ("finished", sum(run.finished for run in info.runs)),
        ("levels", info.levels),
    ]
    described = [opened.description(run.run_id) for run in info.runs]
    assumed = {name for one in described for name in one.assumed}
    rows += recipe_rows(info.distinction, assumed)
    notes = assumption_notes(assumed, described[0])
    try:
        matching = matching_density(opened, experiment)
    except RgtoolError as error:
        notes = (f"no matching density: {error}", *notes)
    else:
        found = matching.to_frame().to_dicts()[0]
        rows += [
            ("matching_density", found["density"]),
            ("matching_density_low", found["density_low"]),
            ("matching_density_high", found["density_high"]),
            ("matching_level", found["level"]),
            ("dense_accuracy", found["dense_accuracy"]),
            ("seed_std", found["seed_std"]),
        ]
        notes = (*matching.notes, *notes)
    notes = (*chance_of_all(opened.counts(experiment, "layer")), *notes)
    rows += _curves(opened, f"experiment_id = '{experiment}'")
    return Table(("what", "value"), rows, title=f"experiment {info.label}", notes=notes)


def _curves(opened: Store, where: str) -> Rows:
    """Draw accuracy and the share of every stage (or layer) against level, mean over runs."""
    rows: Rows = []
    accuracy = opened.query(
        "SELECT avg(accuracy) FROM levels JOIN runs USING (run_id) "
        f"WHERE {where} GROUP BY level ORDER BY level"
    ).rows
    if any(value is not None and math.isfinite(value) for (value,) in accuracy):
        rows.append(("accuracy", _curve([value for (value,) in accuracy], ".4f")))
    shares = opened.query(
        "SELECT name, list(share ORDER BY level) FROM ("
        "  SELECT name, level, min(place) AS place, avg(share) AS share FROM ("
        "    SELECT run_id, level, coalesce(stage, layer) AS name, min(layer_index) AS place,"
        "           sum(kept) / any_value(network_kept) AS share"
        "    FROM layers JOIN levels USING (run_id, level) JOIN runs USING (run_id)"
        f"   WHERE {where} GROUP BY ALL)"
        "  GROUP BY name, level) GROUP BY name ORDER BY min(place)"
    ).rows
    return rows + [(f"share of {name}", _curve(values, ".4f")) for name, values in shares]


def _curve(values: list[float | None], format_: str) -> str:
    numbers = [math.nan if value is None else value for value in values]
    ends = [format(x, format_) if math.isfinite(x) else "none" for x in (numbers[0], numbers[-1])]
    return f"{sparkline(numbers, bars())}  first {ends[0]}, last {ends[1]}"
