"""Charts of results and of experiments, by what they are and by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...schemas.errors import UsageError
from ...store.counts import Counts
from ..drawing import Drawable, draw
from ..result import Result
from ..spectrum.eigen import eigen
from .accuracy import accuracy_chart
from .chart import Chart
from .flow import flow_chart
from .recipes import recipe_chart
from .spectra import spectrum_chart


def _flow(experiments: Sequence[Counts]) -> Chart:
    if len(experiments) > 1:
        raise UsageError(f"a chart of the flow shows one experiment, not {len(experiments)}")
    return flow_chart(experiments[0])


# Of experiments, by kind.
CHARTS: dict[str, Callable[[Sequence[Counts]], Chart]] = {
    "accuracy": accuracy_chart,
    "flow": _flow,
    "recipes": recipe_chart,
    "spectrum": lambda experiments: spectrum_chart([eigen(None, one) for one in experiments]),
}


def chart(what: Drawable, kind: str | None = None) -> Chart:
    """Draw a result, or experiments, as a chart that a notebook lets one look into.

    Parameters
    ----------
    what : Result, Counts, or several
        A result of `eigen`, `gamma`, `classify`, `score`, `transfer` or `transfer_all`; several
        spectra or exponents go into one chart. Or the counts of experiments.
    kind : str, optional
        What of experiments: `accuracy` (against density), `flow` (shares against level),
        `recipes` (beside the matching density that each reaches) or `spectrum`.

    Raises
    ------
    UsageError
        The kind is unknown, there is nothing to draw, or a result has no chart.
    RgtoolError
        An experiment lacks what the chart shows.

    Examples
    --------
    >>> import rgtool
    >>> rgtool.chart(rgtool.gamma(None, "published:renda2020-resnet56")).key
    'gamma'
    """
    return draw(what, kind, CHARTS, _together, word="chart", verb="chart")


def _together(results: Sequence[Result]) -> Chart:
    return results[0].chart() if len(results) == 1 else type(results[0]).chart_together(results)
