"""Charts of epochs: a line a level, the training before the rewind point among them."""

import numpy as np
import pytest
import stores
from vegalite import as_json, check

from rgtool import RgtoolError, Store
from rgtool.analysis.charts.epochs import epoch_charts, thinned
from rgtool.analysis.report.thinning import drawn, fitted
from rgtool.schemas.errors import UsageError
from rgtool.schemas.records.epochs import PRETRAINING, Epoch, write_epochs
from rgtool.schemas.records.layout import RunFolder


def loss(seed, level, epoch):
    """What is written of an epoch."""
    return (2.0 + seed + 0.1 * level) / epoch


def write(store, *, seeds=2, levels=3, epochs=6, rewind=2, lowest=0.0):
    """Write runs with the curves of their epochs; the seeds of later ones are slower."""
    for seed in range(seeds):
        run = stores.write_run(store, seed, levels)
        spans = [(PRETRAINING, 1, rewind), *((n, rewind + 1, epochs) for n in range(levels + 1))]
        lines = [
            Epoch(
                run_id=run,
                level=level,
                epoch=epoch,
                loss=loss(seed, level, epoch) if lowest == 0 else lowest - 1,
                accuracy=epoch / 10,
                lr=0.1,
                images_per_second=100.0 / (1 + seed),
            )
            for level, first, last in spans
            for epoch in range(first, last + 1)
        ]
        write_epochs(RunFolder.of(store, run).epochs, lines)
    return Store(store)


def test_lines_are_means_over_runs_and_bands_reach_to_their_ends(tmp_path):
    charts = epoch_charts(write(tmp_path))
    assert [chart.key for chart in charts] == ["epochs-loss", "epochs-accuracy"]
    rows = charts[0].data["rows"]
    assert rows["level"].unique().sort().to_list() == [-1, 0, 1, 2, 3]
    for row in rows.to_dicts():
        ends = [loss(seed, row["level"], row["epoch"]) for seed in (0, 1)]
        assert row["loss"] == pytest.approx(np.mean(ends))
        assert (row["low"], row["high"]) == pytest.approx(tuple(ends))
        assert (row["images_per_second"], row["runs"]) == (75, 2)
    spec = check(charts[0])
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["area", "line", "point"]
    assert "dashed line is the training up to the rewind point" in charts[0].caption
    check(charts[1])


def test_the_query_of_epochs_gives_their_rows(tmp_path):
    store = write(tmp_path)
    for chart in epoch_charts(store):
        assert store.sql(chart.query).polars().equals(chart.data["rows"])


def test_of_many_epochs_some_are_drawn_and_the_last_of_each_level(tmp_path):
    store = write(tmp_path, seeds=1, levels=1, epochs=103, rewind=2)
    chart = epoch_charts(store, points=20)[0]
    rows = chart.data["rows"]
    for level, last in ((-1, 2), (0, 103), (1, 103)):
        assert rows.filter(rows["level"] == level)["epoch"].max() == last
    assert rows.group_by("level").len()["len"].max() <= 21
    assert "one in 6 is drawn" in chart.caption
    every = store.sql(chart.query).polars()
    assert len(every) == 2 + 2 * 101
    assert thinned(every, 101)[1] == 1
    assert len(thinned(every, 101)[0]) == len(every)


def test_bands_of_many_levels_would_hide_each_other(tmp_path):
    chart = epoch_charts(write(tmp_path, levels=8))[0]
    assert [layer["mark"]["type"] for layer in as_json(chart)["layer"]] == ["line", "point"]
    assert "Bands" not in chart.caption


@pytest.mark.parametrize(("lowest", "kind"), [(0.0, "log"), (1.0, None)])
def test_a_loss_of_0_has_no_logarithm(tmp_path, lowest, kind):
    chart = epoch_charts(write(tmp_path, lowest=lowest))[0]
    assert as_json(chart)["layer"][1]["encoding"]["y"]["scale"].get("type") == kind
    check(chart)


def test_what_has_no_epochs_is_told(tmp_path):
    RunFolder.of(tmp_path, stores.write_run(tmp_path)).epochs.unlink()  # as 0.1.0 left it
    with pytest.raises(RgtoolError, match="no epoch is on record"):
        epoch_charts(tmp_path)
    with pytest.raises(UsageError, match="epochs are those of runs"):
        epoch_charts(tmp_path, "published:renda2020-resnet56")


def test_all_epochs_are_drawn_and_fewer_where_a_page_asks(tmp_path):
    store = write(tmp_path, seeds=1, levels=1, epochs=103, rewind=2)
    chart = epoch_charts(store)[0]
    assert len(chart.data["rows"]) == 2 + 2 * 101
    assert "is drawn" not in chart.caption
    fewer = chart.fewer(20)
    assert fewer.data["rows"].equals(epoch_charts(store, points=20)[0].data["rows"])
    assert "one in 6 is drawn" in fewer.caption
    whole = drawn(chart)
    (kept,), _, notice = fitted([chart], whole.bytes * 2 // 3)
    assert "1 chart thinned" in notice
    assert "one in 2 is drawn" in kept.chart.caption
    assert "one epoch of" not in kept.thinned
