"""Error against density with its fit, and the exponents with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ...schemas.errors import printable
from ...schemas.published import PREFIX
from ...schemas.words import counted
from ..gamma.power_law import log_error
from ..plots.style import Style, series_styles
from ..result import frame
from ..values import Refusal
from . import theme
from .chart import Chart
from .marks import Series, Spec, command, known, number, tooltips, unique

if TYPE_CHECKING:
    from ..gamma.result import Gamma

_STEPS = 80  # of a fitted curve
_BEYOND = 0.3  # of log density, that a fitted curve goes on beyond the last point
_SHOWN = "gamma estimate low high scope profile profile_low profile_high onset slope signal verdict"


def gamma_chart(results: Sequence[Gamma]) -> Chart:
    """Draw data, fits with their bands, and the exponents with their intervals.

    Parameters
    ----------
    results : sequence of Gamma, one at least
        The curves.
    """
    from ..plots.gamma import plot_gamma

    names = unique([printable(_short(one)) for one in results])
    pairs = list(zip(names, results, strict=True))
    rows = pl.concat((_row(*pair) for pair in pairs), how="vertical_relaxed")
    points = pl.concat(_points(*pair) for pair in pairs)
    fits = [_fit(*pair) for pair in pairs if not isinstance(pair[1].fitted, Refusal)]
    data = {"rows": rows, "points": points} | ({"fits": pl.concat(fits)} if fits else {})
    styles = dict(zip(names, series_styles(len(names)), strict=True))
    panels = [_curves(styles, data)]
    if known(rows, "estimate"):
        panels.append(_exponents(styles, rows, results))
    return Chart(
        key="gamma",
        title=results[0].title
        if len(results) == 1
        else f"exponents of {counted(len(results), 'curve')}",
        caption=_caption(data),
        spec={"hconcat": panels},
        data=data,
        alternative=_alternative(pairs),
        query=_command(results),
        of=" ".join(one.name for one in results),
        figure=lambda: plot_gamma(results),
    )


def _short(result: Gamma) -> str:
    published = result.name.startswith(PREFIX)
    return result.name.removeprefix(PREFIX) if published else result.curve.label


def _row(name: str, result: Gamma) -> pl.DataFrame:
    """Return the row of the result, under the name that is drawn."""
    table = result.to_frame()
    numbers = [c for c in _SHOWN.split() if c not in ("scope", "verdict")]
    return table.select(pl.lit(name).alias("curve"), *_SHOWN.split()).cast(
        {column: pl.Float64 for column in numbers}
    )


def _points(name: str, result: Gamma) -> pl.DataFrame:
    """Return mean errors, with one standard error of the noise that the gates use."""
    curve, noise = result.curve, result.noise.mean_sd
    return frame(
        {
            "curve": [name] * len(curve.density),
            "density": curve.density,
            "error": curve.mean,
            "error_low": curve.mean * (1 - noise),
            "error_high": curve.mean * (1 + noise),
        }
    ).cast({column: pl.Float64 for column in ("error_low", "error_high")})


def _fit(name: str, result: Gamma) -> pl.DataFrame:
    """Return the fitted curve with its 95 % band, over the data and a little beyond."""
    fitted = result.fitted
    assert not isinstance(fitted, Refusal)
    last, first = np.log(result.curve.density[[-1, 0]])
    x, parameters = np.linspace(last - _BEYOND, first, _STEPS), fitted.parameters
    nothing = np.full(len(x), np.nan)
    low, high = (nothing, nothing) if parameters is None else np.exp(parameters.band(x))
    middle = log_error(x, fitted.theta) if parameters is None else parameters.curve(x)
    return frame(
        {
            "curve": [name] * len(x),
            "density": np.exp(x),
            "error": np.exp(middle),
            "error_low": low,
            "error_high": high,
        }
    )


def _curves(styles: Mapping[str, Style], data: Mapping[str, pl.DataFrame]) -> Spec:
    points = data["points"]
    series = Series("curve", styles, tooltips(points), "curve", points)
    drawn = pl.concat(data[name]["density"] for name in ("points", "fits") if name in data)
    axis = theme.density_axis(points["density"], drawn)
    place = {
        "x": {"field": "density", "type": "quantitative", **axis},
        "y": number("error", "test error", **_logarithmic()),
    }
    ends = ("error_low", "error_high")
    fits = [series.lines(place)] if "fits" in data else []
    if "fits" in data and known(data["fits"], "error_low"):
        fits.insert(0, series.bands(place, ends))
    marks = [*series.intervals(place, ends), *series.points(place, chooses=True)]
    return {
        "width": 330,
        "height": 260,
        "layer": [
            *({"data": {"name": "fits"}, **one} for one in fits),
            *({"data": {"name": "points"}, **one} for one in marks),
        ],
    }


def _exponents(styles: Mapping[str, Style], rows: pl.DataFrame, results: Sequence[Gamma]) -> Spec:
    """Return a row for every curve: its exponent, the interval, and the profile below it."""
    series = Series("curve", styles, tooltips(rows, results[0].columns), "curve", rows)
    place = {
        "x": number("estimate", "exponent |γ|", **_logarithmic()),
        "y": {"field": "curve", "type": "nominal", "sort": [*styles], "title": None, "axis": None},
    }
    return {
        "data": {"name": "rows"},
        "width": 200,
        "height": {"step": 34},
        "layer": [*series.intervals(place, ("low", "high"), "x"), *series.points(place)],
    }


def _logarithmic() -> Spec:
    """Return scale and axis of positive numbers that may lie within a decade."""
    return {
        "scale": {"type": "log", "nice": False, "padding": 8},
        "axis": {"tickCount": 5, "format": "~g"},
    }


def _caption(data: Mapping[str, pl.DataFrame]) -> str:
    parts = [
        "Test error, mean over seeds, against density, on logarithmic axes; bars are one standard "
        "error of the noise that the gates use."
    ]
    if "fits" in data:
        parts.append("Lines are the fitted crossovers, bands their 95 % intervals.")
    if known(data["rows"], "estimate"):
        parts.append(
            "At the right the exponents with their 95 % intervals; an interval that has one end "
            "only reaches to the edge, with an arrow. An exponent counts where its verdict is "
            "quoted, which tooltips tell."
        )
    return " ".join([*parts, "A click in the legend lets other curves fade."])


def _alternative(pairs: Sequence[tuple[str, Gamma]]) -> str:
    return (
        "Errors against density. "
        + "; ".join(
            f"{name}: {result.verdict}"
            + (f", exponent {result.gamma:.2f}" if np.isfinite(result.gamma) else "")
            for name, result in pairs
        )
        + "."
    )


def _command(results: Sequence[Gamma]) -> str:
    one = results[0]
    return command(
        *("gamma", *(result.name for result in results)),
        *(() if one.plateau == "chance" else ("--free-plateau",)),
        *(() if one.method == "seeds" else ("--method", one.method)),
        "--csv",
    )
