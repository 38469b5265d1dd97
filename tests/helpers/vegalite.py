"""What specifications of charts are held to: the schema of Vega-Lite 5."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from rgtool.analysis.charts.chart import Chart


@functools.cache
def _validator() -> Any:
    core = pytest.importorskip("altair.vegalite.v5.schema.core", reason="needs rgtool[browser]")
    return pytest.importorskip("jsonschema").Draft7Validator(core.load_schema())


def check(chart: Chart, **options: Any) -> dict[str, Any]:
    """Hold a chart's specification to the schema, and return it as JSON carries it."""
    spec = as_json(chart, **options)
    validator = _validator()
    from jsonschema.exceptions import best_match

    found = best_match(validator.iter_errors(spec))
    assert found is None, f"{list(found.absolute_path)}: {found.message}"
    return spec


def as_json(chart: Chart, **options: Any) -> dict[str, Any]:
    """Return a chart's specification as JSON carries it, which has no NaN."""
    found: dict[str, Any] = json.loads(json.dumps(chart.specification(**options), allow_nan=False))
    return found


def texts_of(spec: Any, *keys: str) -> set[str]:
    """Collect the texts that stand under some keys anywhere in a specification, data left out."""
    found: set[str] = set()
    if isinstance(spec, dict):
        for key, value in spec.items():
            if key in keys and isinstance(value, str):
                found.add(value)
            elif key != "datasets":
                found |= texts_of(value, *keys)
    elif isinstance(spec, list):
        found = found.union(*(texts_of(one, *keys) for one in spec)) if spec else found
    return found
