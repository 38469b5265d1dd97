"""Lines of a file of epochs, and lines that are none."""

from __future__ import annotations

from datetime import UTC, datetime

from rgtool.schemas.records.epochs import Epoch

RUN = "ab12-s0"
TIME = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def epoch(level: int, number: int, **numbers: float | None) -> Epoch:
    told = {"loss": 1.5, "accuracy": 0.5, "lr": 0.1, "images_per_second": 100.0, **numbers}
    return Epoch(run_id=RUN, level=level, epoch=number, ended_at=TIME, **told)


OTHER_LINES = {
    "torn": epoch(0, 2).line()[:40],
    "of another run": epoch(0, 2).line().replace(RUN.encode(), b"cd34-s0"),
    "without its level": b'{"run_id": "ab12-s0", "epoch": 2}\n',
    "with a level in words": b'{"run_id": "ab12-s0", "level": "zero", "epoch": 2}\n',
    "of a list": b"[1, 2]\n",
    "of a level beyond its column": b'{"run_id": "ab12-s0", "level": 4294967296, "epoch": 2}\n',
    "of a level that is none": b'{"run_id": "ab12-s0", "level": -2, "epoch": 2}\n',
    "of an epoch before the first": b'{"run_id": "ab12-s0", "level": 0, "epoch": 0}\n',
    "of bytes": b"\xff\x00\n",
    "deep": b"[" * 100_000 + b"\n",
    "empty": b"\n",
    "of a level with a point": b'{"run_id": "ab12-s0", "level": 0.0, "epoch": 2}\n',
    "of a level in quotes": b'{"run_id": "ab12-s0", "level": "0", "epoch": 2}\n',
}
