"""Spectra beside their null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from . import style as plot_style
from .style import BLUE, DOUBLE, FAINT, INK, SINGLE, VERMILLION, Style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..spectrum.result import Spectrum

Value = Literal["eigenvalue", "exponent"]
NAMES = {"eigenvalue": r"eigenvalue $\lambda_i$", "exponent": r"exponent $y_i$"}
HOLLOW = "hollow: canonical (untrained)"
_NARROW = 60  # letters of a label beside which a figure of one column has room
FIXED_POINT = {"eigenvalue": 1.0, "exponent": 0.0}
VERDICTS = {
    "relevant": Style(VERMILLION, "^", "-"),
    "marginal": Style(INK, "o", "-"),
    "irrelevant": Style(BLUE, "v", "-"),
    "indeterminate": Style("#6e6e6e", "s", "-"),
    "exempt": Style("#6e6e6e", "x", "-"),
    "whole": Style("#6e6e6e", "+", "-"),
}


def plot_spectrum(spectra: Sequence[Spectrum], value: Value = "eigenvalue") -> Figure:
    """Draw spectra with their intervals, and the untrained network's as hollow marks.

    One spectrum is coloured by verdict. Several with the same groups lie side by side in one
    panel, a colour and marker per experiment; where their groups differ, each has a panel.

    Parameters
    ----------
    spectra : sequence of Spectrum
        What to draw.
    value : str
        `eigenvalue`, or `exponent`, which compares where retention differs.
    """
    together = len(spectra) > 1 and all(one.names == spectra[0].names for one in spectra)
    titles = [*map(_title, plot_style.names_of(spectra), spectra)]
    many = len(spectra) > 2 or max(map(len, titles)) > _NARROW
    wide = max(len(one.names) for one in spectra) > 8 or (together and many)
    rows = 1 if together else len(spectra)
    figure, panels = plot_style.new_figure(rows, 1, (DOUBLE if wide else SINGLE, 2.5 * rows))
    styles = plot_style.series_styles(len(spectra))
    for place, spectrum in enumerate(spectra):
        offset = (place - (len(spectra) - 1) / 2) * min(0.3, 0.75 / len(spectra))
        if together:
            _draw_experiment(panels[0], spectrum, value, styles[place], offset, titles[place])
        else:
            _draw_verdicts(panels[place], spectrum, value)
    for axes, spectrum, title in zip(panels, spectra, titles, strict=False):
        _finish(axes, spectrum, value, "" if together else title)
    _legend(figure, panels, columns=(2 if together else 5) if wide else 1 if together else 2)
    return figure


def _legend(figure: Figure, panels: Sequence[Axes], columns: int) -> None:
    # Above the panels, where it hides nothing; a verdict that several panels show stands once.
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels = sorted(found, key=lambda label: label == HOLLOW)  # the null last
    plot_style.legend(
        figure,
        loc="outside upper left",
        handles=[found[label] for label in labels],
        labels=labels,
        ncols=columns,
        handlelength=1.2,
    )


def _draw_experiment(
    axes: Axes, spectrum: Spectrum, value: Value, style: Style, offset: float, label: str
) -> None:
    places = np.arange(len(spectrum.names), dtype=np.float64) + offset
    everything = np.ones(len(places), np.bool_)
    _draw_points(axes, spectrum, value, places, everything, style, label)
    _draw_null(axes, spectrum, value, places, style, HOLLOW)


def _draw_verdicts(axes: Axes, spectrum: Spectrum, value: Value) -> None:
    places = np.arange(len(spectrum.names), dtype=np.float64)
    _draw_null(axes, spectrum, value, places, Style(FAINT, "D", "-"), HOLLOW)
    for verdict, style in VERDICTS.items():
        chosen = np.array([one == verdict for one in spectrum.verdict])
        if chosen.any():
            _draw_points(axes, spectrum, value, places, chosen, style, verdict)


def _draw_points(
    axes: Axes,
    spectrum: Spectrum,
    value: Value,
    places: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    style: Style,
    label: str,
) -> None:
    found = spectrum.eigenvalue if value == "eigenvalue" else spectrum.exponent
    middle, low, high = found.value, found.low, found.high
    ends = chosen & np.isfinite(low) & np.isfinite(high)
    axes.errorbar(
        places[ends],
        middle[ends],
        yerr=[(middle - low)[ends], (high - middle)[ends]],
        fmt="none",
        ecolor=style.colour,
        capsize=1.8,
        elinewidth=0.9,
        capthick=0.9,
        zorder=3,
    )
    axes.plot(
        places[chosen],
        middle[chosen],
        linestyle="none",
        color=style.colour,
        marker=style.marker,
        markersize=3.6,
        label=label,
        zorder=3,
    )


def _draw_null(
    axes: Axes,
    spectrum: Spectrum,
    value: Value,
    places: NDArray[np.float64],
    style: Style,
    label: str,
) -> None:
    untrained = spectrum.untrained
    null = untrained.eigenvalue if value == "eigenvalue" else untrained.exponent
    # What is exempt has the same value in the null, by construction: no mark under the mark.
    shown = np.isfinite(null) & ~spectrum.exempt
    if shown.any():
        axes.plot(
            places[shown],
            null[shown],
            linestyle="none",
            marker=style.marker,
            markersize=6,
            markerfacecolor="none",
            markeredgecolor=style.colour,
            markeredgewidth=0.8,
            label=label,
            zorder=2,
        )


def _finish(axes: Axes, spectrum: Spectrum, value: Value, title: str) -> None:
    names = tuple(map(plot_style.plain, spectrum.names))
    axes.axhline(FIXED_POINT[value], color=FAINT, linewidth=0.6, zorder=1)
    marked = [
        f"{name}\n({verdict})" if verdict in ("exempt", "whole") else name
        for name, verdict in zip(names, spectrum.verdict, strict=True)
    ]
    axes.set_xticks(range(len(names)), marked)
    axes.set_xlim(-0.6, len(names) - 0.4)
    plot_style.dress(axes, x=spectrum.by, y=NAMES[value], title=title)
    if len(names) > 14 or max(map(len, names)) > 6:
        axes.tick_params(axis="x", labelrotation=90, labelsize=plot_style.SMALL)


def _title(name: str, spectrum: Spectrum) -> str:
    bars = "95 %" if spectrum.scope == "population" else "95 % of this run"
    shown = f", bars {bars}" if spectrum.has_intervals else ""
    return f"{name}, levels {spectrum.window[0]}:{spectrum.window[1]}{shown}"
