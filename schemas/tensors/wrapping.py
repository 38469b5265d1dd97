"""What wraps a network, and what it puts around the names of the network's tensors.

DataParallel, Lightning, `torch.compile` and FSDP put components before or into the names; averages
of the weights and momentum encoders stand beside the network, with names that end like its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

# Where training codes put the state dict in what they save.
HOMES = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params"
)  # fmt: skip
# Components that torch and fairscale put anywhere in a name, and nobody else.
_INSERTED = frozenset(
    ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_fpw_module")
)
_COPY = re.compile(
    r"(?:.*_)?(?:ema|swa|avg|averaged?|polyak|shadow|momentum|teacher|target|frozen|best|old|init"
    r"|initial|reference|backup)(?:_.*)?|encoder_k|key_encoder",
    re.IGNORECASE,
)
# What holds both calls the network itself so: `ema.ema_model.` beside `ema.online_model.`.
_ITSELF = re.compile(r"(?:.*_)?(?:online|student)(?:_.*)?", re.IGNORECASE)


def plain(name: str) -> str:
    """Return a name without what torch puts into it.

    Examples
    --------
    >>> plain("layer1._orig_mod.0.conv1.weight")
    'layer1.0.conv1.weight'
    """
    return ".".join(part for part in name.split(".") if part not in _INSERTED) or name


def beneath(names: Iterable[str], wanted: Collection[str]) -> dict[str, str]:
    """Find names behind one prefix: the one that most of them have.

    Where several have as many, that of a copy comes last, then the longer one.

    Parameters
    ----------
    names : iterable of str
        Names of tensors or layers in a file.
    wanted : collection of str
        Those of the network alone.

    Returns
    -------
    dict of str to str
        What is wanted, as far as it is there, to its name in the file.

    Examples
    --------
    >>> beneath(["ema.module.fc", "model.fc", "model.conv1", "steps"], ["conv1", "fc"])
    {'fc': 'model.fc', 'conv1': 'model.conv1'}
    """
    tails = frozenset(wanted)
    depth = max((tail.count(".") + 1 for tail in tails), default=0)
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        parts = plain(name).split(".")
        for cut in range(max(len(parts) - depth, 0), len(parts)):
            if (tail := ".".join(parts[cut:])) in tails:
                found.setdefault(tuple(parts[:cut]), {}).setdefault(tail, name)
    best = max(found, key=lambda p: (len(found[p]), not _of_copy(p), -len(p)), default=())
    return found.get(best, {})


def copies(names: Collection[str]) -> dict[str, str]:
    """Map the names of copies of a network that stands beside them to the network's own.

    Copies are what their names say to be averages (`ema.`, `swa.`), targets, teachers and momentum
    encoders, if all that one holds stands behind another prefix too, and is most of what there is.

    Examples
    --------
    >>> copies(["model.fc", "ema.module.fc"])
    {'ema.module.fc': 'model.fc'}
    >>> copies(["ema.module.fc"])
    {}
    >>> copies(["ema.ema_model.fc", "ema.online_model.fc"])
    {'ema.ema_model.fc': 'ema.online_model.fc'}
    """
    held: dict[str, dict[str, str]] = {}
    own: list[str] = []
    for name in names:
        prefix, tail = _parted(name)
        if prefix:
            held.setdefault(prefix, {})[tail] = name
        else:
            own.append(name)
    found: dict[str, str] = {}
    for theirs in held.values():
        originals = beneath(own, theirs)
        if len(originals) == len(theirs) and 2 * len(originals) > len(own):
            found |= {name: originals[tail] for tail, name in theirs.items()}
    return found


def before(name: str, other: str) -> str:
    """Return what stands before the components that two names end with, a dot behind it.

    Examples
    --------
    >>> before("ema.module.conv1", "model.conv1")
    'ema.module.'
    """
    parts, theirs = name.split("."), plain(other).split(".")
    while parts and theirs and parts[-1] == theirs[-1]:
        del parts[-1], theirs[-1]
    return "".join(f"{part}." for part in parts)


def _of_copy(parts: Sequence[str]) -> bool:
    return _copy_ends(parts) > 0


def _copy_ends(parts: Sequence[str]) -> int:
    """Return how many components lead up to one that speaks of a copy; 0 where none does."""
    cut = max((i + 1 for i, part in enumerate(parts) if _COPY.fullmatch(part)), default=0)
    return 0 if any(_ITSELF.fullmatch(part) for part in parts[cut:]) else cut


def _parted(name: str) -> tuple[str, str]:
    """Part a name behind the last component that speaks of a copy, and behind what wraps that."""
    parts = plain(name).split(".")
    cut = _copy_ends(parts)
    while cut and parts[cut : cut + 1] == ["module"]:
        cut += 1
    return ".".join(parts[:cut]), ".".join(parts[cut:])
