"""`rgtool recipes`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ...schemas.errors import UsageError
from ..output import Table, output_options


@output_options
def recipes(
    action: Annotated[str | None, typer.Argument(help="show", metavar="[show]")] = None,
    name: Annotated[str | None, typer.Argument(help="A recipe.", metavar="[NAME]")] = None,
    model: Annotated[str, typer.Argument(help="Network that it is resolved for.")] = "resnet20",
) -> Table:
    """List the named recipes, or show all fields of one.

    `rgtool recipes show NAME [MODEL]` resolves it; `--set FIELD=VALUE` of `rgtool run` or a TOML
    file changes any field.

    Example: rgtool recipes show chen2021a resnet50
    """
    if action is None:
        from ...runner.listing import recipes as listed

        return listed().table()
    if action.lower() != "show":
        words = action if name is None else f"{action} {name}"
        if not any(map(_is_recipe, words.split())):
            _show(words.split()[0], model)  # says what it could have been
        raise UsageError(f"recipes {words}: write `rgtool recipes show {words}` to see its fields")
    if name is None:
        raise UsageError("recipes show: name a recipe, as in rgtool recipes show frankle2020")
    turned = _is_recipe(model) and not _is_recipe(name)
    return _show(model, name) if turned else _show(name, model)


def _is_recipe(name: str) -> bool:
    from ...schemas.published_recipes import is_recipe

    return name.endswith(".toml") or is_recipe(name)


def _show(name: str, model: str) -> Table:
    from ...schemas.blocks import architecture, canonical
    from ...schemas.published_recipes import named
    from ...schemas.recipe import recipe_table

    changes: dict[str, Any] = {}
    if name.endswith(".toml"):
        from ...runner.recipes import read_recipe

        name, changes = read_recipe(Path(name))
    fields_of = named(name)[1]
    network = architecture(canonical(model))
    fields = {"prunable": network.prunable, "exempt": network.exempt} | fields_of(network)
    title = (fields_of.__doc__ or "").replace("\n    ", "\n").strip()
    table = recipe_table(fields | changes, title)
    return replace(table, notes=(f"{table.notes[0]}; augment follows the data set",))
