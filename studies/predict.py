"""Predictions, also of experiments without runs, which are resolved as `rgtool run` would."""

from __future__ import annotations

from functools import wraps
from typing import Any

from ..analysis.named import Named, Stored, StoreLike, look_up, open_store
from ..analysis.scoreboard import predict as scoreboard
from ..analysis.scoreboard.exponents import KINDS
from ..analysis.scoreboard.targets import Target


@wraps(scoreboard.predict)
def predict(store: StoreLike, a: Named, b: Named = None, *, using: Any = (), **options: Any) -> Any:
    """Predict what runs will show, see `analysis.scoreboard.predict.predict`.

    `using` says where data of the user's own lie that `a` was trained on, as `npz:FILE`.
    """
    asked = {name: options[name] for name in ("register", "afterwards", "maps") if name in options}
    kind = scoreboard.check_asked(options.get("kind", "transfer"), b is not None, **asked)
    target: Named | Target = b
    if kind in KINDS and isinstance(b, str):
        found = look_up(open_store(store), a)
        if isinstance(found, Stored):  # all else is refused where it is predicted from
            from .targets import target_of  # needs torch

            target = target_of(found.store, found.counts("layer").recipe, b, using)
    return scoreboard.predict(store, a, target, **options)
