"""A real kernel runs the cells of the page: everything is seen, nothing needs a widget."""

from __future__ import annotations

import asyncio
import base64
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from page import read
from places import CLONE

import rgtool

nbformat = pytest.importorskip("nbformat", reason="pip install '.[notebooks]' for a kernel")
nbclient = pytest.importorskip("nbclient", reason="pip install '.[notebooks]' for a kernel")
pytest.importorskip("ipykernel", reason="pip install '.[notebooks]' for a kernel")
# jupyter_client and zmq warn of what they do with event loops, which is none of rgtool's.
pytestmark = pytest.mark.filterwarnings("default")

PAGE = CLONE / "docs" / "notebooks.md"
NO_WIDGETS = "import sys; sys.modules['ipywidgets'] = None"  # as if it were not installed
NOTHING_LEFT = "nothing is to be computed: every level of every seed is recorded"
MIME = "application/vnd.vegalite.v5+json"
PNG = b"\x89PNG\r\n\x1a\n"


class Kernel:
    """A kernel at work in a folder; every cell returns what it shows."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.ask(NO_WIDGETS)

    def ask(self, source: str) -> list[Any]:
        cells = self.client.nb.cells
        cells.append(nbformat.v4.new_code_cell(source))
        self.client.execute_cell(cells[-1], len(cells) - 1)
        return list(cells[-1].outputs)

    def shown(self, source: str) -> Any:
        """The data of the one thing that a cell shows."""
        (found,) = (one for one in self.ask(source) if one.output_type != "stream")
        assert found.output_type == "execute_result", found
        return found.data


@contextmanager
def kernel(folder: Path) -> Iterator[Kernel]:
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(),
        timeout=500,
        allow_errors=True,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    with client.setup_kernel():
        yield Kernel(client)


def text_of(outputs: list[Any]) -> str:
    return "".join(one.text for one in outputs if one.output_type == "stream")


def test_the_page_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    cells = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    for word in (
        "run(",
        "Store()",
        "sql(",
        "eigen(",
        "classify(",
        "compare(",
        "gamma(",
        "plot(",
        "chart(",
    ):
        assert any(word in cell for cell in cells)
    with kernel(tmp_path) as at_work:
        progress, *others = (at_work.ask(cell) for cell in cells)
        # Tables and figures, each once and nothing beside it.
        shown = [found for (found,) in others]
        assert [found.output_type for found in shown] == ["execute_result"] * len(shown)
        charts = [found.data for found in shown if MIME in found.data]
        assert len(charts) == 4 == sum("chart(" in cell for cell in cells)
        for chart in charts:
            assert chart[MIME]["$schema"].endswith("/vega-lite/v5.json")
            assert all(chart[MIME]["datasets"].values())
            assert base64.b64decode(chart["image/png"]).startswith(PNG)  # where none draws it
        pictures = [one.data for one in shown if "image/png" in one.data and one.data not in charts]
        assert len(pictures) == 3 == sum(".plot(" in cell for cell in cells)
        assert all(base64.b64decode(one["image/png"]).startswith(PNG) for one in pictures)
        others = [one.data for one in shown if one.data not in (*pictures, *charts)]
        tables = [read(one["text/html"]) for one in others]
        assert len(tables) == len(shown) - 7 and all(one.rows for one in tables)
        assert not any({"script", "style"} & one.tags for one in tables)
        # As text it is what is printed.
        data = at_work.shown("spectrum")
        (plain,) = at_work.ask("print(spectrum.summary())")
        assert data["text/plain"] == plain.text.rstrip("\n")
        lines = [" ".join(line.split()) for line in plain.text.splitlines()]
        (spectrum,) = (one for one in tables if "eigenvalue" in one.header)
        assert lines == [*spectrum.above, spectrum.caption, *spectrum.lines(), *spectrum.below]
        state = at_work.shown("'matplotlib.pyplot' in sys.modules")
        assert state["text/plain"] == "False"
        at_work.ask("%matplotlib inline")
        (inline,) = at_work.ask("spectrum.plot()")
        (first,) = (one for one in shown if one.data == pictures[0])
        assert (inline.data, inline.metadata) == (first.data, first.metadata)
        assert set(inline.metadata["image/png"]) == {"width", "height"}
        at_work.ask("%config InlineBackend.figure_formats = ['svg']")
        drawn = at_work.shown("spectrum.plot()")
        assert set(drawn) == {"text/plain", "image/svg+xml"}
        again = text_of(at_work.ask(cells[0]))
    assert again.splitlines() == [NOTHING_LEFT] * 2
    bars = text_of(progress).splitlines()
    assert len(bars) == 2 and all("21.0/21 levels in " in line for line in bars)
    store = rgtool.Store(tmp_path / "rgstore")
    assert tables[0].lines() == [" ".join(line.split()) for line in store.summary().splitlines()]
    assert [run.finished for run in store.runs()] == [True] * 6


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_is_a_clean_stop_and_the_same_cell_goes_on(
    workers: int, tmp_path: Path
) -> None:
    call = (
        "import rgtool\n"
        f"rgtool.run('lenet', 'digits', 'quick', seeds=2, levels=8, workers={workers})"
    )
    with kernel(tmp_path) as at_work:
        waiting = threading.Thread(target=interrupt, args=(at_work, tmp_path))
        waiting.start()
        *told, error = at_work.ask(call)
        waiting.join()
        assert error.output_type == "error" and error.ename == "KeyboardInterrupt"
        assert "stopping: saving the state inside the level" in text_of(told)
        assert list(tmp_path.glob("rgstore/runs/*/checkpoint.safetensors"))
        seen = read(at_work.shown(call)["text/html"])
    assert seen.header == ["run", "seed", "end", "level", "density", "accuracy"]
    assert [row[1:4] for row in seen.rows] == [["0", "done", "8"], ["1", "done", "8"]]
    rgtool.run("lenet", "digits", "quick", seeds=2, levels=8, workers=1, store=tmp_path / "whole")
    counts = [rgtool.Store(tmp_path / name).counts("lenet/digits") for name in ("rgstore", "whole")]
    assert (counts[0].kept == counts[1].kept).all()
    assert (counts[0].magnitude == counts[1].magnitude).all()


def interrupt(at_work: Kernel, folder: Path) -> None:
    """Interrupt the kernel when the second level of a run is on the disk."""
    end = time.monotonic() + 240
    while not list(folder.glob("rgstore/runs/*/records/0001.parquet")):
        assert time.monotonic() < end
        time.sleep(0.01)
    asyncio.run(at_work.client.km.interrupt_kernel())


def test_an_error_is_its_message(tmp_path: Path) -> None:
    with kernel(tmp_path) as at_work:
        (error,) = at_work.ask("import rgtool\nrgtool.eigen(None, 'resnet20/cifar10')")
        (other,) = at_work.ask("rgtool.Store().sql('SELECT wrong FROM runs')")
    (line,) = error.traceback
    assert line.startswith("StoreError: the store ") and "holds no runs" in line
    assert len(other.traceback) == 1 and "wrong" in other.traceback[0]
