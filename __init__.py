"""Iterative magnitude pruning measured as a renormalization-group flow.

Names are loaded when they are first used, so that `import rgtool` is quick and a machine that only
trains needs neither DuckDB nor SciPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rgtool.analysis.charts.draw import chart
    from rgtool.analysis.classes.against import against_published
    from rgtool.analysis.classes.classify import classify
    from rgtool.analysis.classes.compare import compare
    from rgtool.analysis.collapse.estimate import collapse
    from rgtool.analysis.curves.matching import matching_density
    from rgtool.analysis.elastic.match import match
    from rgtool.analysis.elastic.match_all import match_all
    from rgtool.analysis.elastic.match_trained import match_trained
    from rgtool.analysis.gamma.estimate import gamma
    from rgtool.analysis.gamma.shared import shared_gamma
    from rgtool.analysis.meta.estimate import meta
    from rgtool.analysis.nulls.beside import nulls_of
    from rgtool.analysis.nulls.untrained import null
    from rgtool.analysis.paper.verify import verify
    from rgtool.analysis.plots.figures import plot
    from rgtool.analysis.report.report import report
    from rgtool.analysis.scheme.estimate import scheme
    from rgtool.analysis.scoreboard.score import score
    from rgtool.analysis.spectrum.eigen import eigen
    from rgtool.analysis.spectrum.forecast import forecast
    from rgtool.analysis.spectrum.many import spectra
    from rgtool.analysis.spectrum.power import power
    from rgtool.runner.launch import Launch
    from rgtool.runner.listing import datasets, models, recipes
    from rgtool.runner.recipes import recipe
    from rgtool.runner.speed.bench import bench
    from rgtool.schemas.errors import RgtoolError
    from rgtool.schemas.recipe import Recipe
    from rgtool.store import Store, published
    from rgtool.store.recorder import Recorder
    from rgtool.studies.children import plan, run
    from rgtool.studies.intervene import intervene
    from rgtool.studies.predict import predict
    from rgtool.studies.response import response
    from rgtool.studies.stretch import stretch
    from rgtool.studies.transfer import transfer, transfer_all

__version__ = "0.1.0"

_HOMES = {
    "Launch": "rgtool.runner.launch",
    "Recipe": "rgtool.schemas.recipe",
    "Recorder": "rgtool.store.recorder",
    "RgtoolError": "rgtool.schemas.errors",
    "Store": "rgtool.store",
    "against_published": "rgtool.analysis.classes.against",
    "bench": "rgtool.runner.speed.bench",
    "chart": "rgtool.analysis.charts.draw",
    "classify": "rgtool.analysis.classes.classify",
    "collapse": "rgtool.analysis.collapse.estimate",
    "compare": "rgtool.analysis.classes.compare",
    "datasets": "rgtool.runner.listing",
    "eigen": "rgtool.analysis.spectrum.eigen",
    "forecast": "rgtool.analysis.spectrum.forecast",
    "intervene": "rgtool.studies.intervene",
    "match": "rgtool.analysis.elastic.match",
    "match_all": "rgtool.analysis.elastic.match_all",
    "match_trained": "rgtool.analysis.elastic.match_trained",
    "matching_density": "rgtool.analysis.curves.matching",
    "gamma": "rgtool.analysis.gamma.estimate",
    "meta": "rgtool.analysis.meta.estimate",
    "models": "rgtool.runner.listing",
    "null": "rgtool.analysis.nulls.untrained",
    "nulls_of": "rgtool.analysis.nulls.beside",
    "plan": "rgtool.studies.children",
    "plot": "rgtool.analysis.plots.figures",
    "power": "rgtool.analysis.spectrum.power",
    "predict": "rgtool.studies.predict",
    "published": "rgtool.store",
    "recipe": "rgtool.runner.recipes",
    "recipes": "rgtool.runner.listing",
    "report": "rgtool.analysis.report.report",
    "response": "rgtool.studies.response",
    "run": "rgtool.studies.children",
    "scheme": "rgtool.analysis.scheme.estimate",
    "score": "rgtool.analysis.scoreboard.score",
    "shared_gamma": "rgtool.analysis.gamma.shared",
    "spectra": "rgtool.analysis.spectrum.many",
    "stretch": "rgtool.studies.stretch",
    "transfer": "rgtool.studies.transfer",
    "transfer_all": "rgtool.studies.transfer",
    "verify": "rgtool.analysis.paper.verify",
}

__all__ = [
    "Launch",
    "Recipe",
    "Recorder",
    "RgtoolError",
    "Store",
    "against_published",
    "bench",
    "chart",
    "classify",
    "collapse",
    "compare",
    "datasets",
    "eigen",
    "forecast",
    "intervene",
    "match",
    "match_all",
    "match_trained",
    "matching_density",
    "gamma",
    "meta",
    "models",
    "null",
    "nulls_of",
    "plan",
    "plot",
    "power",
    "predict",
    "published",
    "recipe",
    "recipes",
    "report",
    "response",
    "run",
    "scheme",
    "score",
    "shared_gamma",
    "spectra",
    "stretch",
    "transfer",
    "transfer_all",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rgtool' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
