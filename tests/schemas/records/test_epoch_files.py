"""The file of epochs: what is read of it, and that it holds every epoch once."""

from __future__ import annotations

import dataclasses
import errno
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from epoch_lines import OTHER_LINES, RUN, TIME, epoch
from hypothesis import given
from hypothesis import strategies as st

from rgtool.schemas.records import epochs
from rgtool.schemas.records.epochs import Epoch, EpochLog, joined, read_epochs, write_epochs


def keys(path: Path) -> list[tuple[int, int]]:
    return [(one.level, one.epoch) for one in read_epochs(path, RUN)]


finite = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.integers(-1, 99), st.integers(1, 10**6), finite, finite, st.none() | st.datetimes())
def test_a_line_tells_what_was_told(
    level: int, number: int, loss: float | None, lr: float | None, time: datetime | None
) -> None:
    at = time and time.replace(microsecond=time.microsecond // 1000 * 1000, tzinfo=UTC)
    one = Epoch(run_id=RUN, level=level, epoch=number, loss=loss, lr=lr, ended_at=at)
    assert Epoch.parse(one.line()) == one


def test_what_is_not_finite_is_not_there() -> None:
    line = epoch(0, 1, loss=float("nan"), lr=float("inf")).line()
    assert json.loads(line)["loss"] is None
    found = Epoch.parse(line.replace(b'"loss": null', b'"loss": NaN'))
    assert found == epoch(0, 1, loss=None, lr=None)


def test_times_are_those_of_utc() -> None:
    elsewhere = TIME.astimezone(timezone(timedelta(hours=5)))
    line = json.dumps({**json.loads(epoch(0, 1).line()), "ended_at": elsewhere.isoformat()})
    found = Epoch.parse(line.encode())
    assert found is not None
    assert found.ended_at is not None
    assert found.ended_at.utcoffset() == timedelta(0)
    assert found == epoch(0, 1)


@pytest.mark.parametrize("line", OTHER_LINES.values(), ids=OTHER_LINES)
def test_other_lines_are_passed_over(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / epochs.FILE
    path.write_bytes(epoch(0, 1).line() + line.rstrip(b"\n") + b"\n" + epoch(0, 3).line())
    assert keys(path) == [(0, 1), (0, 3)]


@pytest.mark.parametrize(
    "value", ["low", [1], {}, None, 10**400, "9999-12-31T23:59:59-12:00"], ids=lambda v: str(v)[:9]
)
def test_a_value_that_is_none_of_its_column_is_missing(value: object) -> None:
    line = {**json.loads(epoch(0, 1).line()), "loss": value, "ended_at": value}
    found = Epoch.parse(json.dumps(line).encode())
    assert found == dataclasses.replace(epoch(0, 1, loss=None), ended_at=None)


def test_of_two_lines_of_an_epoch_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / epochs.FILE
    lines = [epoch(0, 1), epoch(0, 2), epoch(0, 1, loss=9.0)]
    path.write_bytes(b"".join(map(Epoch.line, lines)))
    assert read_epochs(path, RUN) == [epoch(0, 1, loss=9.0), epoch(0, 2)]


def test_columns_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / epochs.FILE
    path.write_text(json.dumps({**json.loads(epoch(0, 1).line()), "energy": 3}))
    assert read_epochs(path, RUN) == [epoch(0, 1)]


def test_no_file_and_no_epochs(tmp_path: Path) -> None:
    assert read_epochs(tmp_path / epochs.FILE, RUN) == []
    write_epochs(tmp_path / epochs.FILE, [])
    assert not (tmp_path / epochs.FILE).exists()


def test_who_enters_a_level_writes_anew_what_comes(tmp_path: Path) -> None:
    path = tmp_path / epochs.FILE
    write_epochs(
        path, [epoch(-1, 1), *(epoch(0, n) for n in range(1, 4)), epoch(1, 1), epoch(1, 2)]
    )
    EpochLog(path, RUN).enter(1, 1)
    assert keys(path) == [(-1, 1), (0, 1), (0, 2), (0, 3), (1, 1)]
    EpochLog(path, RUN).enter(-1, 0)
    assert keys(path) == [(0, 1), (0, 2), (0, 3), (1, 1)]


def test_a_line_that_was_torn_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / epochs.FILE
    path.write_bytes(epoch(0, 1).line() + epoch(0, 2).line()[:30])
    log = EpochLog(path, RUN)
    log.enter(0, 1)
    log.add(epoch(0, 2))
    assert path.read_bytes() == epoch(0, 1).line() + epoch(0, 2).line()


def test_a_line_of_which_only_the_end_is_torn_counts(tmp_path: Path) -> None:
    path = tmp_path / epochs.FILE
    path.write_bytes(epoch(0, 1).line().rstrip())
    log = EpochLog(path, RUN)
    log.enter(0, 1)
    log.add(epoch(0, 2))
    assert path.read_bytes() == epoch(0, 1).line() + epoch(0, 2).line()


def test_nothing_is_written_where_nothing_is_to_go(tmp_path: Path) -> None:
    path = tmp_path / epochs.FILE
    write_epochs(path, [epoch(0, 1)])
    before = path.stat()
    EpochLog(path, RUN).enter(0, 1)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_epoch_that_is_trained_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / epochs.FILE
    log = EpochLog(path, RUN)
    for one in (epoch(0, 1), epoch(0, 2), epoch(0, 1, loss=9.0), epoch(0, 2, loss=8.0)):
        log.add(one)
    assert read_epochs(path, RUN) == [epoch(0, 1, loss=9.0), epoch(0, 2, loss=8.0)]


def test_a_disk_that_was_full_costs_epochs_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / epochs.FILE
    log = EpochLog(path, RUN)
    log.add(epoch(0, 1))
    path.rename(tmp_path / "aside")
    path.mkdir()  # nothing can be appended to it
    log.add(epoch(0, 2))
    log.flush()
    path.rmdir()
    (tmp_path / "aside").rename(path)
    with path.open("ab") as file:
        file.write(epoch(0, 2).line()[:20])  # what found room
    log.add(epoch(0, 3))
    assert keys(path) == [(0, 1), (0, 3)]


def test_what_cannot_be_dropped_is_not_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / epochs.FILE
    write_epochs(path, [epoch(0, 1), epoch(0, 2)])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(epochs, "write_atomic", full)
        log = EpochLog(path, RUN)
        log.enter(0, 1)
    log.add(epoch(0, 2))
    log.add(epoch(0, 3))
    assert keys(path) == [(0, 1), (0, 2)]
    log.add(epoch(1, 1))
    assert keys(path) == [(0, 1), (0, 2), (1, 1)]


def test_of_two_holdings_the_longer_curve_of_a_level_counts() -> None:
    ours = [epoch(0, 1), epoch(1, 1), epoch(1, 2)]
    theirs = [epoch(1, 1, loss=9.0), epoch(0, 1, loss=9.0), epoch(0, 2), epoch(2, 1)]
    assert joined(ours, theirs) == [
        epoch(0, 1, loss=9.0),
        epoch(0, 2),
        epoch(1, 1),
        epoch(1, 2),
        epoch(2, 1),
    ]
    assert joined(ours, []) == joined(ours, ours) == ours
