"""Layouts of an experiment over processes, threads and replicas, and what was measured of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...schemas.display import Row, Shown, Table
from ...schemas.words import counted, duration
from .. import machine
from .by_density import ByDensity

_BUSY = 0.8  # share of its time below which a replica alone was disturbed
_CHOSEN = "what rgtool run does by default with the same options"


@dataclass(frozen=True)
class Layout:
    """One way to spread replicas, measured.

    Attributes
    ----------
    processes, threads, replicas : int
        Processes, threads of each, replicas side by side in each.
    images_per_second : float
        Of all of them together.
    """

    processes: int
    threads: int
    replicas: int
    images_per_second: float

    def __str__(self) -> str:
        parts = (
            counted(self.processes, "process", "processes"),
            counted(self.threads, "thread"),
            counted(self.replicas, "replica"),
        )
        return "{} of {}, {} in each".format(*parts)

    @property
    def is_plain(self) -> bool:
        """Whether it is one process of one thread."""
        return (self.processes, self.threads) == (1, machine.THREADS)

    @property
    def seeds(self) -> int:
        """Seeds that it trains at once."""
        return self.processes * self.replicas

    def is_part(self, whole: Layout) -> bool:
        """Tell whether it is another layout, or what fewer seeds make of that."""
        fewer = self.processes <= whole.processes and self.replicas <= whole.replicas
        return self.threads == whole.threads and fewer


@dataclass(frozen=True)
class Bench(Shown):
    """What was measured, on the machine as busy as it was.

    Attributes
    ----------
    layouts : tuple of Layout
        The first is one replica alone; the plan's own is among them.
    chosen : Layout
        The plan's own, or the nearest to it that memory has room for.
    busy_images_per_second : float
        Of one replica, by the time that a processor worked for it: other processes that take turns
        on the same core do not count. On a GPU the same as by the clock.
    flops : float
        FLOP that a training image takes (multiplications and additions of convolutions and
        products, forward and backward).
    peak : float or None
        FLOP/s of a well-shaped convolution, forward, on one thread; None on a GPU.
    ceiling : float or None
        Images/s on one thread if the network's convolutions and products, as fast as they are
        here, were all that took time; None on a GPU.
    floor_bytes : float or None
        On a GPU: bytes that an image moves with kernels that are not fused.
    bandwidth : float or None
        On a GPU: measured bytes/s of a copy, reading and writing.
    test_seconds : float
        Of one pass over the test set.
    level_images : float
        Images that a level trains on.
    seeds, records, epochs : int
        Of the plan: its seeds, the levels of each that are trained, and the epochs of a level.
    trained : str
        What was trained, and how.
    curve : ByDensity or None
        Speed at the densities of its levels; None: every level takes what the first does.
    """

    layouts: tuple[Layout, ...]
    chosen: Layout
    busy_images_per_second: float
    flops: float
    peak: float | None
    ceiling: float | None
    floor_bytes: float | None
    bandwidth: float | None
    test_seconds: float
    level_images: float
    seeds: int
    records: int
    epochs: int
    trained: str
    curve: ByDensity | None = None

    @property
    def share(self) -> float:
        """Share of what the machine allows: of its convolution peak, or of the bytes floor."""
        speed = self.busy_images_per_second
        if self.peak is not None:
            return speed * self.flops / self.peak
        assert self.floor_bytes is not None
        assert self.bandwidth is not None
        return speed * self.floor_bytes / self.bandwidth

    @property
    def busy(self) -> float:
        """Share of its time that a processor worked for one replica; less than 1 beside others."""
        return min(1.0, self.layouts[0].images_per_second / self.busy_images_per_second)

    def gains(self, layout: Layout) -> list[float]:
        """Return how many times as fast as dense steps every level trains in a layout."""
        if self.curve is None:
            return [1.0]
        if layout.threads == machine.THREADS:
            return self.curve.gains()
        return self.curve.gains(layout.images_per_second / layout.seeds)

    def level_seconds(self, layout: Layout) -> float:
        """Return the time of a level of a seed beside the others of a layout, of all the mean."""
        gains = self.gains(layout)
        gain = len(gains) / sum(1 / gain for gain in gains)
        return (
            self.level_images * layout.seeds / (layout.images_per_second * gain) + self.test_seconds
        )

    def experiment_seconds(self, layout: Layout) -> float:
        """Return the time that the whole plan takes: its seeds, as many at once as a layout has.

        Fewer that are left at the end take what the nearest measured part of the layout takes.
        """
        waves, left = divmod(self.seeds, layout.seeds)
        seconds = waves * self.level_seconds(layout)
        if left:
            parts = [one for one in self.layouts if one.is_part(layout) and one.seeds >= left]
            seconds += min(map(self.level_seconds, parts))
        return self.records * seconds

    @property
    def shortest(self) -> Layout:
        """The layout in which the plan takes the least time, the chosen one where it is as good."""
        return min(self.layouts, key=lambda one: (self.experiment_seconds(one), one != self.chosen))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is chosen, and why, where another layout was measured to be shorter."""
        chosen, shortest = self.chosen, self.shortest
        notes = [f"chosen: {chosen}"]
        if shortest == chosen:
            notes[0] += ", in which the experiment takes the least time of those measured"
        else:
            less = 1 - self.experiment_seconds(shortest) / self.experiment_seconds(chosen)
            notes[0] += f"; {shortest} would take {less:.0%} less: {_options(shortest, chosen)}"
            if shortest.threads != chosen.threads:
                notes[0] += ", other bits than those of a seed on one thread"
        if self.busy < _BUSY:
            notes.append(
                f"other programs have had {1 - self.busy:.0%} of the time of one replica: measure "
                "again on a quiet machine before the layouts are compared"
            )
        return tuple(notes)

    def table(self) -> Table:
        """Return what `rgtool bench` prints."""
        return Table(
            ("what", "value", "unit", "note"),
            [*self._speeds(), *self._layouts(), *self._by_density(), *self._times()],
            title=self.trained,
            notes=self.notes,
            formats={"value": ".4g"},
        )

    def _speeds(self) -> Iterator[Row]:
        achieved = self.busy_images_per_second * self.flops / 1e9
        alone = _rounded(self.layouts[0].images_per_second)
        yield "speed", alone, "images/s", "one replica, one thread"
        yield "arithmetic", self.flops / 1e6, "MFLOP/image", "forward and backward"
        yield "achieved", achieved, "GFLOP/s", "one replica, by processor time"
        if self.peak is not None:
            peak = "well-shaped convolution, by processor time"
            yield "peak", self.peak / 1e9, "GFLOP/s", peak
            yield "share", self.share, "of peak", ""
        if self.ceiling is not None:
            bound = "if its convolutions alone took time, one thread"
            yield "ceiling", _rounded(self.ceiling), "images/s", bound
        if self.floor_bytes is not None and self.bandwidth is not None:
            yield "moved", self.floor_bytes / 1e6, "MB/image", "kernels that are not fused"
            yield "bandwidth", self.bandwidth / 1e9, "GB/s", "of a copy"
            yield "share", self.share, "of floor", "bytes over bandwidth, over time"

    def _layouts(self) -> Iterator[Row]:
        for layout in self.layouts:
            ratio = layout.images_per_second / self.layouts[0].images_per_second
            chosen = f"; chosen: {_CHOSEN}" if layout == self.chosen else ""
            takes = duration(self.experiment_seconds(layout))
            told = f"{layout}: {ratio:.2f} x alone, the experiment in {takes}{chosen}"
            yield "layout", _rounded(layout.images_per_second), "images/s", told

    def _by_density(self) -> Iterator[Row]:
        """Tell what a level costs by what it keeps, and what all of them cost."""
        curve = self.curve
        if curve is None or not curve.points:
            return
        for point in curve.points:
            note = f"level {point.level}, {point.sparse / curve.dense:.2f} x dense"
            yield f"density {point.density:.3f}", _rounded(point.sparse), "images/s", note
        gains = curve.gains()
        mean = len(gains) / sum(1 / gain for gain in gains)
        yield "all levels", mean, "x dense", "steps of every level, one replica"

    def _times(self) -> Iterator[Row]:
        level = self.level_seconds(self.chosen)
        mean = ", the mean of all levels" if self.curve is not None and self.curve.points else ""
        experiment = self.experiment_seconds(self.chosen)
        what = f"{counted(self.seeds, 'seed')} x {counted(self.records, 'level')}"
        whole = f"{what} in the chosen layout: {duration(experiment)}"
        yield "test set", self.test_seconds, "s", "one pass"
        yield "level", _rounded(level), "s", f"{counted(self.epochs, 'epoch')}, one seed{mean}"
        yield "experiment", _rounded(experiment), "s", whole


def _rounded(number: float) -> float:
    """Drop the fractions of a large number."""
    return round(number) if number >= 1000 else number


def _options(layout: Layout, chosen: Layout) -> str:
    """Write the options of `rgtool run` that ask for a layout instead of the chosen one."""
    named = {"workers": "processes", "threads": "threads", "replicas": "replicas"}
    wanted = {option: getattr(layout, field) for option, field in named.items()}
    return " ".join(
        f"--{option} {value}"
        for option, value in wanted.items()
        if value != getattr(chosen, named[option])
    )
