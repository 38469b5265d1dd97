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
    spec = json.loads(json.dumps(chart.specification(**options), allow_nan=False))
    from jsonschema.exceptions import best_match

    found = best_match(_validator().iter_errors(spec))
    assert found is None, f"{list(found.absolute_path)}: {found.message}"
    return spec
