"""What is said of an experiment with a network or data of the user's own, before it is computed."""

from __future__ import annotations

from pathlib import Path

from ...schemas.recipe import Recipe
from ..pruners.registry import OwnPruner
from .earlier import other_source
from .function import OwnFunction
from .network import OwnNetwork


def introduction(network: object, store: Path, recipe: Recipe) -> tuple[str, ...]:
    """Say where a network comes from, and which source of it the store has seen last."""
    if not isinstance(network, OwnNetwork):
        return ()
    function = network.function
    files = [str(path.name) for path in function.home.files]
    written = " and ".join(files) if files else "its own text"
    blocks = " and the block map" if network.blocks else ""
    earlier = other_source(store, function.label, network.sources[0]["path"], recipe)
    return (
        f"network {network.name} is {function.place}, named by a hash of {written}{blocks}",
        *(
            f"experiment {experiment} was made by another source of it ({name}): this is another "
            "experiment"
            for experiment, name in filter(None, [earlier])
        ),
    )


def unshipped(*parts: object) -> tuple[str, ...]:
    """Say which functions no other process can execute, so that one process computes alone."""
    functions = [
        part.function if isinstance(part, OwnNetwork | OwnPruner) else part for part in parts
    ]
    return tuple(
        f"{own.place} {_why(own)}: one process computes"
        for own in functions
        if isinstance(own, OwnFunction) and not own.portable
    )


def _why(own: OwnFunction) -> str:
    if own.hidden:
        return f"uses {', '.join(own.hidden)}, whose value no text tells"
    return "cannot be made from its text alone" if own.original else "is a long text"
