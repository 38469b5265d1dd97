"""Spectra beside their nulls: exponents, what initial scales alone give, and the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ...schemas.errors import printable
from ..flow import UNIT
from ..plots.style import BLUE, GREEN, VERMILLION, Style, named_apart, series_styles
from ..stats.level import CONFIDENCE, t_quantile
from .chart import Chart
from .marks import (
    APART,
    Series,
    Spec,
    among,
    command,
    each_told,
    has,
    known,
    line_at,
    number,
    tooltips,
    unique,
    without_legend,
)
from .theme import BAND, FAINT, INK

if TYPE_CHECKING:
    from ..spectrum.result import Spectrum

VERDICTS = {
    "relevant": Style(VERMILLION, "^", "-"),
    "marginal": Style(GREEN, "o", "-"),
    "irrelevant": Style(BLUE, "v", "-"),
    "indeterminate": Style(FAINT, "s", "-"),
    "exempt": Style(FAINT, "X", "-"),
}
AGAINST = {
    "above": Style(VERMILLION, "^", "-"),
    "none": Style(GREEN, "o", "-"),
    "below": Style(BLUE, "v", "-"),
    "undecided": Style(FAINT, "s", "-"),
}
_SHOWN = (
    "total verdict exponent exponent_low exponent_high canonical anomalous anomalous_low "
    "anomalous_high against_null eigenvalue low high static_eigenvalue"
)
_WIDE, _CLOSE, _LEAST = 80, 480, 12  # pixels: of a group; of all of them about; of a mark at least
_SHORT = 6  # letters of names that stand upright
_PRUNED = among("verdict", (name for name in VERDICTS if name != "exempt"))


def spectrum_chart(spectra: Sequence[Spectrum]) -> Chart:
    """Draw exponents beside the canonical ones, and below them the anomalous rest.

    One spectrum is coloured by verdict. Several lie side by side in one pair of panels where their
    groups are the same, a colour and a mark an experiment; others have panels of their own.

    Parameters
    ----------
    spectra : sequence of Spectrum, one at least
        What to draw.
    """
    from ..plots.spectrum import plot_spectrum

    names = unique(named_apart(spectra))
    rows = pl.concat(_rows(one, name) for one, name in zip(spectra, names, strict=True))
    families: dict[tuple[str, ...], list[int]] = {}
    for place, one in enumerate(spectra):
        families.setdefault((one.by, *one.names), []).append(place)
    panels = []
    for places in families.values():
        mine = [names[i] for i in places]
        first, *others = _panels([spectra[i] for i in places], mine, rows)
        # Several experiments are named by the legend.
        titled = {"title": mine[0]} if len(places) == 1 < len(spectra) else {}
        panels += [first | titled, *others]
    return Chart(
        key="spectrum",
        title=_title(spectra, names),
        caption=_caption(spectra, rows),
        spec={"data": {"name": "rows"}, "vconcat": panels, "resolve": {"scale": APART}},
        data={"rows": rows},
        query="\n".join(map(_command, spectra)),
        alternative=f"Exponents with intervals. {_alternative(spectra, names)}.",
        of=" ".join(one.experiment_id for one in spectra),
        figure=lambda: plot_spectrum(spectra, "exponent"),
    )


def _rows(spectrum: Spectrum, name: str) -> pl.DataFrame:
    """Return what is drawn of a spectrum, a row a group: columns of the result and nulls in y.

    `static` is the exponent of `static_eigenvalue`; `random_low` and `random_high` are where that
    of one run lies 19 times of 20 if pruning is random; `margin` is what counts as nothing.
    """
    unit, margin = _unit(spectrum), spectrum.judgement.margin / UNIT
    drawn = spectrum.to_frame().with_columns(
        pl.col("^.*(_low|_high|_sd|_eigenvalue|canonical|anomalous)$").cast(pl.Float64)
    )
    reach = t_quantile(np.inf, CONFIDENCE) * pl.col("random_sd") / unit
    return drawn.select(
        pl.lit(name).alias("experiment"),
        pl.Series("name", [printable(group) for group in spectrum.names]),
        *_SHOWN.split(),
        static=(pl.col("static_eigenvalue").log() / unit).fill_nan(None),
        random_low=(-reach).fill_nan(None),
        random_high=reach.fill_nan(None),
        margin_low=pl.lit(None if math.isnan(margin) else -margin, pl.Float64),
        margin_high=pl.lit(None if math.isnan(margin) else margin, pl.Float64),
    )


def _unit(spectrum: Spectrum) -> float:
    """Return what an exponent of 1 is in log eigenvalue of a level: -ln of the mean retention."""
    exponent = np.nan_to_num(spectrum.exponent.value)
    largest = int(np.abs(exponent).argmax())
    growth = float(spectrum.theta.mean(axis=0)[largest])
    return growth / float(exponent[largest]) if exponent[largest] else math.nan


def _panels(spectra: Sequence[Spectrum], names: Sequence[str], rows: pl.DataFrame) -> list[Spec]:
    """Return a panel of exponents and one of their anomalous parts, over the same groups."""
    mine = rows.filter(pl.col("experiment").is_in(names))
    told, place = tooltips(mine, spectra[0].columns), _place(spectra[0], names)
    below = any(mine["against_null"])  # a panel, which names the groups
    upper = _exponents(_series("verdict", VERDICTS, names, told, mine), place, mine)
    panels = [(190, _unnamed(upper) if below else upper)]
    if below:
        series = _series("against_null", AGAINST, names, told, mine)
        panels.append((120, _anomalous(series, place, mine)))
    width = _step(len(spectra[0].names), len(names))
    shared = {"transform": [among("experiment", names)], "width": width}
    return [{**shared, "height": height, "layer": layers} for height, layers in panels]


def _series(
    field: str,
    styles: Mapping[str, Style],
    names: Sequence[str],
    told: Sequence[Spec],
    rows: pl.DataFrame,
) -> Series:
    """Return the series of a panel: verdicts of one experiment, or several experiments."""
    if len(names) > 1:
        apart = dict(zip(names, series_styles(len(names)), strict=True))
        return Series("experiment", apart, told, "experiment", rows)
    there = rows[field].to_list()
    styles = {name: style for name, style in styles.items() if name in there}
    return Series(field, styles, told, field.replace("_", " "), rows)


def _place(spectrum: Spectrum, names: Sequence[str]) -> Spec:
    """Return the axis of groups, in the order of the forward pass, and the place within one."""
    groups = [printable(name) for name in spectrum.names]
    upright = max(map(len, groups)) <= _SHORT
    x = {
        "field": "name",
        "type": "nominal",
        "title": spectrum.by,
        "scale": {"domain": groups},
        "axis": {"labelAngle": 0 if upright else -60, "labelLimit": 160},
    }
    beside = {"field": "experiment", "type": "nominal", "scale": {"domain": list(names)}}
    return {"x": x} | ({"xOffset": beside} if len(names) > 1 else {})


def _step(groups: int, lanes: int) -> Spec:
    """Return the width of a group; that of one experiment in it, where there are several."""
    group = min(_WIDE, _CLOSE / groups)
    if lanes > 1:
        return {"step": max(_LEAST, group / lanes), "for": "offset"}
    return {"step": max(_LEAST, group)}


def _exponents(series: Series, place: Spec, rows: pl.DataFrame) -> list[Spec]:
    """Return the layers of the upper panel: nulls, and the exponents with their intervals."""
    y = {**place, "y": number("exponent", "exponent y")}
    layers = [line_at(0.0, "exponent y")]
    if known(rows, "random_low"):
        layers.append(_boxes(y, "random"))
    if known(rows, "canonical"):
        layers += _canonical(series, y)
    if known(rows, "static"):
        tick = {
            "transform": [_PRUNED, has("static")],
            "mark": {"type": "tick", "thickness": 2, "color": INK, "tooltip": None},
            "encoding": {**_at(y, "static"), "tooltip": list(series.told)},
        }
        layers += each_told(tick, rows)
    if known(rows, "exponent_low"):
        layers += series.intervals(y, ("exponent_low", "exponent_high"))
    return [*layers, *series.points(y, chooses=True)]


def _canonical(series: Series, place: Spec) -> list[Spec]:
    """Return hollow diamonds, of one experiment all alike, and the lines that lead to them."""
    there, at = [_PRUNED, has("canonical")], _at(place, "canonical")
    part = {"type": "rule", "strokeDash": [2, 2], "opacity": 0.5, "tooltip": None}
    hollow = series.marks(at, filled=False, size=90)
    hollow["mark"] |= {"shape": "diamond", "color": INK}
    for channel in ("shape",) if series.field == "experiment" else ("shape", "color"):
        del hollow["encoding"][channel]
    return [
        {"transform": there, "mark": part, "encoding": {**at, "y2": {"field": "exponent"}}},
        *each_told({"transform": there, **hollow}, series.rows),
    ]


def _anomalous(series: Series, place: Spec, rows: pl.DataFrame) -> list[Spec]:
    """Return the layers of the lower panel: what exponents have beyond the canonical ones."""
    y = {**place, "y": number("anomalous", "anomalous")}
    layers = [line_at(0.0, "anomalous")]
    if known(rows, "margin_low"):
        layers.append(_boxes(y, "margin"))
    if known(rows, "anomalous_low"):
        layers += series.intervals(y, ("anomalous_low", "anomalous_high"))
    layers += series.points(y, chooses=series.field != "experiment")
    return layers if series.field != "experiment" else list(map(without_legend, layers))


def _boxes(place: Spec, what: str) -> Spec:
    """Return a layer of grey boxes around 0, one a group."""
    return {
        "transform": [_PRUNED, has(f"{what}_low")],
        "mark": {"type": "bar", "color": FAINT, "opacity": BAND, "tooltip": None},
        "encoding": {**_at(place, f"{what}_low"), "y2": {"field": f"{what}_high"}},
    }


def _at(place: Spec, field: str) -> Spec:
    """Return the same place for another column of y."""
    return {**place, "y": {**place["y"], "field": field}}


def _unnamed(layers: list[Spec]) -> list[Spec]:
    """Take the names off the axis of groups, which stand below the next panel."""
    bare = {"labels": False, "title": None, "ticks": False}
    return [
        {**one, "encoding": {**one["encoding"], "x": {**one["encoding"]["x"], "axis": bare}}}
        if "x" in one["encoding"]
        else one
        for one in layers
    ]


def _title(spectra: Sequence[Spectrum], names: Sequence[str]) -> str:
    if len(spectra) > 1:
        return f"spectra of {len(spectra)} experiments, by {spectra[0].by}"
    first, last = spectra[0].window
    return f"{names[0]}: exponents by {spectra[0].by}, levels {first}:{last}"


def _caption(spectra: Sequence[Spectrum], rows: pl.DataFrame) -> str:
    """Say what marks, boxes and lines mean, as far as there are any."""
    alone, bars = len(spectra) == 1, any(one.has_intervals for one in spectra)
    parts = [
        "Exponents y of groups in the order of the forward pass: above 0 the share of a group "
        "grows as the network is pruned. Filled marks are what was measured"
        + (f", bars {_intervals(spectra)}." if bars else "; there are no intervals.")
    ]
    if known(rows, "canonical"):
        parts.append(
            "Hollow diamonds are the canonical exponents, which the initial scales alone give (N1: "
            "the untrained network, pruned as far); the dotted line to the mark is the anomalous "
            "part, which training adds and the lower panel shows with its interval; within its "
            "grey box a part is taken for none."
        )
    if known(rows, "random_low"):
        parts.append(
            "Grey boxes of the upper panel: where the exponent of one run lies 19 times of 20 if "
            "pruning is random (N0)."
        )
    if known(rows, "static"):
        parts.append("Ticks: the trained dense network pruned in one go (N2).")
    told = "verdict" if alone else "experiment"
    parts.append(f"Colour and mark tell the {told}; a click in the legend lets others fade.")
    return " ".join(parts)


def _intervals(spectra: Sequence[Spectrum]) -> str:
    if any(one.method == "paper" for one in spectra):
        return "one standard deviation over levels, which is no error bar"
    scopes = {one.scope for one in spectra if one.has_intervals}
    of = "the population of seeds" if scopes == {"population"} else "this run alone"
    return f"95 % intervals of {of}" if len(scopes) == 1 else "95 % intervals (of one run: its own)"


def _alternative(spectra: Sequence[Spectrum], names: Sequence[str]) -> str:
    """Say in words what the marks show, experiment by experiment."""
    return "; ".join(
        f"{name}: "
        + ", ".join(
            f"{printable(group)} {y:+.3f} ({verdict})"
            for group, y, verdict in zip(one.names, one.exponent.value, one.verdict, strict=True)
        )
        for one, name in zip(spectra, names, strict=True)
    )


def _command(spectrum: Spectrum) -> str:
    """Return the command that prints the rows; of one run that of this run."""
    of = spectrum.runs[0] if len(spectrum.runs) == 1 else spectrum.experiment_id
    first, last = spectrum.window
    return command(
        *("eigen", of, "--by", spectrum.by, "--window", f"{first}:{last}"),
        *_unusual("method", spectrum.method, "moderated"),
        *_unusual("weighting", spectrum.weighting, "count"),
        "--csv",
    )


def _unusual(option: str, value: str, default: str) -> tuple[str, ...]:
    return () if value == default else (f"--{option}", value)
