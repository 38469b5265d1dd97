"""Iterative magnitude pruning measured as a renormalization-group flow.

Names are loaded when they are first used, so that `import rgtool` is quick and a machine that only
trains needs neither DuckDB nor SciPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rgtool.analysis.against import against_published
    from rgtool.analysis.classify import classify
    from rgtool.analysis.collapse import collapse
    from rgtool.analysis.compare import compare
    from rgtool.analysis.eigen import eigen
    from rgtool.analysis.forecast import forecast
    from rgtool.analysis.gamma import gamma
    from rgtool.analysis.gamma_shared import shared_gamma
    from rgtool.analysis.match import match
    from rgtool.analysis.match_all import match_all
    from rgtool.analysis.null import null
    from rgtool.analysis.nulls import nulls_of
    from rgtool.analysis.power import power
    from rgtool.analysis.predict import predict
    from rgtool.analysis.semigroup import semigroup
    from rgtool.analysis.spectra import spectra
    from rgtool.analysis.verify import verify
    from rgtool.runner.experiment import run
    from rgtool.runner.recipes import recipe
    from rgtool.schemas.errors import RgtoolError
    from rgtool.schemas.recipe import Recipe
    from rgtool.store import Store, published

__version__ = "0.1.0"

_HOMES = {
    "Recipe": "rgtool.schemas.recipe",
    "RgtoolError": "rgtool.schemas.errors",
    "Store": "rgtool.store",
    "against_published": "rgtool.analysis.against",
    "classify": "rgtool.analysis.classify",
    "collapse": "rgtool.analysis.collapse",
    "compare": "rgtool.analysis.compare",
    "eigen": "rgtool.analysis.eigen",
    "forecast": "rgtool.analysis.forecast",
    "match": "rgtool.analysis.match",
    "match_all": "rgtool.analysis.match_all",
    "gamma": "rgtool.analysis.gamma",
    "null": "rgtool.analysis.null",
    "nulls_of": "rgtool.analysis.nulls",
    "power": "rgtool.analysis.power",
    "predict": "rgtool.analysis.predict",
    "published": "rgtool.store",
    "recipe": "rgtool.runner.recipes",
    "run": "rgtool.runner.experiment",
    "semigroup": "rgtool.analysis.semigroup",
    "shared_gamma": "rgtool.analysis.gamma_shared",
    "spectra": "rgtool.analysis.spectra",
    "verify": "rgtool.analysis.verify",
}

__all__ = [
    "Recipe",
    "RgtoolError",
    "Store",
    "against_published",
    "classify",
    "collapse",
    "compare",
    "eigen",
    "forecast",
    "match",
    "match_all",
    "gamma",
    "null",
    "nulls_of",
    "power",
    "predict",
    "published",
    "recipe",
    "run",
    "semigroup",
    "shared_gamma",
    "spectra",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rgtool' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
