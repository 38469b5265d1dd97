"""Which tests execute each line of some modules, and how long tests take.

`seen` runs pytest under coverage with this module as a plugin (`-p lines_by_test`): it tells
coverage which test or fixture runs, and writes down which tests a fixture serves.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
_TOLD = "RGTOOL_LINES_BY_TEST"  # names the file in which the plugin writes what it saw


@dataclass(frozen=True)
class Seen:
    """What tests did.

    Attributes
    ----------
    tests : mapping of (module, line) to set of str
        Ids of the tests that execute the line; empty for what runs when the module is imported.
    seconds : mapping of str to float
        How long every test takes that passes.
    """

    tests: Mapping[tuple[str, int], set[str]]
    seconds: Mapping[str, float]


def environment(copy: Path) -> dict[str, str]:
    """Return an environment in which the copy is what `import rgtool` finds."""
    path = os.pathsep.join([str(copy.parent), str(copy / "benchmarks")])
    alone = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **alone}


def seen(copy: Path, files: Sequence[str], modules: Iterable[str]) -> Seen:
    """Run test files in a copy of the clone; a fixture counts for all tests that it serves."""
    from coverage import CoverageData

    data, settings, told = (copy.parent / name for name in (".coverage", "coveragerc", "told.json"))
    include = "\n    ".join(str(copy / module) for module in modules)
    settings.write_text(f"[run]\ncore = ctrace\ndata_file = {data}\ninclude =\n    {include}\n")
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", *PYTEST[1:]]
    done = subprocess.run(
        [*command, "-p", "lines_by_test", *files],
        cwd=copy,
        env={**environment(copy), _TOLD: str(told)},
        capture_output=True,
        text=True,
    )
    if done.returncode > 1:  # 1: some test fails, which is then used for no mutant
        raise SystemExit(done.stdout + done.stderr)
    noted = json.loads(told.read_text())
    for test in noted["failed"]:
        print(f"fails without a mutant, not used: {test}", flush=True)
    found = CoverageData(str(data))
    found.read()
    lines: dict[tuple[str, int], set[str]] = {}
    for module in modules:
        for line, contexts in found.contexts_by_lineno(str(copy / module)).items():
            tests = (noted["fixtures"].get(context, [context]) for context in contexts)
            lines[module, line] = {test for some in tests for test in some if test}
    return Seen(lines, noted["seconds"])


_seconds: dict[str, float] = collections.defaultdict(float)
_failed: set[str] = set()
_fixtures: dict[str, list[str]] = collections.defaultdict(list)
_now = [""]


@contextlib.contextmanager
def _within(context: str) -> Iterator[None]:
    """Let coverage count lines for a test or fixture."""
    from coverage import Coverage

    measured = Coverage.current()
    assert measured is not None
    _now.append(context)
    measured.switch_context(context)
    try:
        yield
    finally:
        _now.pop()
        measured.switch_context(_now[-1])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Plugin: note which tests a fixture serves."""
    for item in session.items:
        for name in getattr(item, "fixturenames", ()):
            _fixtures[f"fixture {name}"].append(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Plugin: count lines for the test that runs."""
    with _within(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
    """Plugin: count lines for a fixture, where it serves several tests."""
    alone = fixturedef.scope == "function"
    with contextlib.nullcontext() if alone else _within(f"fixture {fixturedef.argname}"):
        return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Plugin: note how long a test takes and whether it fails."""
    _seconds[report.nodeid] += report.duration
    if report.failed:
        _failed.add(report.nodeid)


def pytest_sessionfinish() -> None:
    """Plugin: write down what was noted."""
    passed = {test: took for test, took in _seconds.items() if test not in _failed}
    told = {"seconds": passed, "failed": sorted(_failed), "fixtures": _fixtures}
    Path(os.environ[_TOLD]).write_text(json.dumps(told))
