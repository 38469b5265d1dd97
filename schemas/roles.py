"""What a matrix does in its block: the grouping `role`, which the names of layers tell.

No record holds it: it follows from a layer's name and block, so that stores which are older have
it too, and no name that is learned later leaves a stale column behind.
"""

from __future__ import annotations

from functools import lru_cache

# Ends of names and what they stand for; the first that fits counts. BERT's are those of Devlin et
# al. 2019, a ResNet's those of torchvision, its shortcuts also those of other codes.
ROLES = {
    ".attention.self.query": "query",
    ".attention.self.key": "key",
    ".attention.self.value": "value",
    ".attention.output.dense": "attention.output",
    ".intermediate.dense": "intermediate",
    ".output.dense": "output",
    ".conv1": "first",
    ".conv2": "second",
    ".conv3": "third",
    ".downsample.0": "shortcut",
    ".downsample": "shortcut",
    ".shortcut.0": "shortcut",
    ".shortcut": "shortcut",
}
OUTSIDE = ("stem", "head")  # blocks that stand by themselves, and are roles as they are


@lru_cache(maxsize=65536)  # asked for every layer of every experiment of a store
def role_of(layer: str, block: str) -> str | None:
    """Return what a layer does in its block; None where its name does not tell.

    Parameters
    ----------
    layer : str
        Canonical name.
    block : str
        Its block; a layer that is a block of its own does nothing in it.

    Examples
    --------
    >>> role_of("layer1.0.conv2", "1.0"), role_of("fc", "head"), role_of("features.3", "1.1")
    ('second', 'head', None)
    """
    if block in OUTSIDE:
        return block
    if block == layer:
        return None
    return next((role for end, role in ROLES.items() if layer.endswith(end)), None)


def role_sql(layer: str, block: str) -> str:
    """Return `role_of` in SQL.

    Parameters
    ----------
    layer, block : str
        Columns, or what else is a text.
    """
    outside = ", ".join(f"'{name}'" for name in OUTSIDE)
    ends = " ".join(
        f"WHEN ends_with({layer}, '{end}') THEN '{role}'" for end, role in ROLES.items()
    )
    alone = f"WHEN {block} IN ({outside}) THEN {block} WHEN {block} = {layer} THEN NULL"
    return f"CASE {alone} {ends} END"
