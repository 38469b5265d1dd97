"""Break core modules line by line and count the breakages that the tests notice.

    python -m benchmarks.robustness.mutants --mutants 200
    python -m benchmarks.robustness.mutants --mutants 20 --modules runner/pruning.py --processes 2
    python -m benchmarks.robustness.mutants --mutants 200 --again earlier_output.txt

A mutant changes one constant, comparison, operator or junction of one line. It runs in a copy of
the clone against the tests of its room that execute that line (found once, by coverage; `pip
install coverage`), fastest first, until one fails or `--budget` seconds of tests have run. A mutant
that no test reaches survives; one that hangs is killed. What becomes of each is told as soon as it
is known, and `--again` spares those that an earlier output of the same draw calls killed: what more
tests cannot change. Mutants that change nothing anyone could see are named in EQUIVALENT and
counted apart.
"""

from __future__ import annotations

import argparse
import ast
import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from benchmarks.machine import machine
from benchmarks.robustness.lines_by_test import PYTEST, environment, seen

CLONE = Path(__file__).parents[2]
# The modules whose numbers everything rests on, and the tests of their rooms.
CORE: Mapping[str, tuple[str, ...]] = {
    "analysis/flow.py": ("test_flow", "test_identities", "test_spectrum"),
    "analysis/scales.py": ("test_scales", "test_scale_flow"),
    "analysis/window.py": ("test_window", "test_spectrum", "test_bad_input"),
    "analysis/spectrum/innovations.py": ("test_intervals",),
    "analysis/spectrum/intervals.py": ("test_intervals", "test_spectrum"),
    "analysis/stats/moderation.py": ("test_intervals", "test_spectrum", "test_same_class"),
    "analysis/stats/contrast.py": ("test_same_class", "test_classify"),
    "analysis/stats/difference.py": ("test_same_class",),
    "analysis/nulls/initial.py": ("test_null", "test_nulls"),
    "analysis/gamma/fit.py": ("test_gamma", "test_gamma_seeds"),
    "analysis/gamma/correlated.py": ("test_gamma_seeds",),
    "analysis/gamma/misfit.py": ("test_gamma_seeds",),
    "analysis/gamma/parameters.py": ("test_gamma_seeds",),
    "runner/replicas/training.py": (
        "test_training",
        "test_arithmetic",
        "test_side_by_side",
        "test_runs",
    ),
    "runner/pruning.py": ("test_pruning", "test_runs"),
    "runner/tickets/perturbed.py": ("test_perturbed",),
    "schemas/records/record.py": ("test_schemas", "test_broken_files"),
    "schemas/tickets/transform.py": ("test_transform",),
    "store/importers/arrivals/levels.py": (
        "test_levels",
        "test_import",
        "test_import_identity",
        "test_foreign",
    ),
    "store/importers/formats/openlth.py": ("test_openlth", "test_foreign", "test_import"),
}
_INFERRED_LENGTHS = (
    ("analysis/gamma/fit.py", "return np.stack(grid, axis=-1).reshape(-3, 4)"),
    ("analysis/gamma/fit.py", "begin.reshape(-3, 4),"),
    (
        "analysis/gamma/fit.py",
        "ssr, theta = ssr.reshape(len(values), -3), theta.reshape(len(values), -1, 4)",
    ),
    (
        "analysis/gamma/fit.py",
        "ssr, theta = ssr.reshape(len(values), -1), theta.reshape(len(values), -3, 4)",
    ),
    ("analysis/gamma/fit.py", "best = ssr.reshape(len(log_errors), -3).argmin(axis=1)"),
    (
        "analysis/gamma/fit.py",
        "return np.asarray("
        "found.reshape(len(log_errors), -3, 4)[np.arange(len(log_errors)), best])",
    ),
    ("analysis/scales.py", "every = enough.reshape(-3, enough.shape[-1]).all(axis=0)"),
    (
        "analysis/spectrum/intervals.py",
        "away = weights.reshape(draws, -3) @ data.reshape(-1, groups) - centre",
    ),
    (
        "analysis/spectrum/intervals.py",
        "away = weights.reshape(draws, -1) @ data.reshape(-3, groups) - centre",
    ),
    (
        "analysis/stats/moderation.py",
        "return np.asarray(~np.isnan(values).reshape(-3, values.shape[-1]).any(axis=0))",
    ),
    ("runner/pruning.py", "flat = new[name].reshape(-3)"),
)
# (module, the line as the mutant has it): why nobody could see it.
EQUIVALENT: Mapping[tuple[str, str], str] = {
    **dict.fromkeys(
        _INFERRED_LENGTHS, "NumPy infers the length for any negative number, not only -1"
    ),
    (
        "analysis/gamma/fit.py",
        "hessian[:, diagonal, diagonal] += "
        "damping[:, None] * np.maximum(scale, floor) - stays + 1e-14",
    ): "a parameter that is held has gradient 0 and no other in its row: its step is 0 in any case",
    (
        "analysis/gamma/fit.py",
        "stays = ((place <= low) & (downhill < 0)) | ((place >= high) & (downhill >= 0))",
    ): "a gradient of exactly 0 at a bound: the parameter has no reason to move either way",
    (
        "analysis/gamma/fit.py",
        "ended = gain < settled * reached + 1e-18",
    ): "a gain that is the least one to the last bit is a matter of rounding",
    (
        "analysis/gamma/fit.py",
        "better = reached <= ssr[going]",
    ): "steps that gain nothing shrink until the descent ends, at the same sum",
    (
        "analysis/nulls/initial.py",
        "lambda x: np.where(x <= math.sqrt(3), 1 / math.sqrt(3), 0.0),",
    ): "at the edge itself, one point, the share kept has no derivative",
    (
        "analysis/nulls/initial.py",
        "if scales.ndim >= 1:",
    ): "merging layers of one scale saves work; the root is the same to its tolerance",
    (
        "analysis/nulls/initial.py",
        "low, high = np.where(excess > 0, t, low), np.where(excess <= 0, t, high)",
    ): "an excess of 0 is the root, and a bracket that closes on it leaves it there",
    (
        "analysis/spectrum/innovations.py",
        "return Scatter(np.zeros((*steps.shape[:-3], groups)), 3.0)",
    ): "a variance of 0 makes an interval of no width at any degrees of freedom",
    (
        "analysis/spectrum/innovations.py",
        "in_levels = pooled - _autocorrelation_of_residuals(length) <= LEVEL_NOISE",
    ): "on which side an autocorrelation of exactly -.25 falls is for rounding to say",
    (
        "runner/pruning.py",
        "for name, kept_here in zip(part, np.split(survives, bounds), strict=False):",
    ): "np.split returns a part for every name",
    (
        "schemas/tickets/transform.py",
        "empty = next(target for target in range(len(feeds) + 3) if target not in feeds)",
    ): "of one target more than there are feeds one is not fed: the search never goes on",
    (
        "schemas/tickets/transform.py",
        "if empty <= max(feeds):",
    ): "the empty target is none of those that are fed",
}
_COMPARISONS: Mapping[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
}
_OPERATORS: Mapping[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.Pow: ("**", "*"),
}


@dataclass(frozen=True)
class Mutant:
    """One breakage: bytes `begin` to `end` of a module become `replacement`."""

    module: str
    line: int
    text: str
    broken: str
    begin: int
    end: int
    replacement: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.text} -> {self.broken}"


@dataclass(frozen=True)
class Reached:
    """Which tests execute a line of a module, and how long tests take, s."""

    tests: Mapping[tuple[str, int], Sequence[str]]
    seconds: Mapping[str, float]

    def within(self, mutant: Mutant, budget: float) -> tuple[list[str], int]:
        """Return the fastest tests of a mutant that fit a budget, and how many are left out."""
        taken: list[str] = []
        tests = sorted(self.tests.get((mutant.module, mutant.line), ()), key=self.seconds.get)
        for test in tests:
            budget -= self.seconds[test]
            if taken and budget < 0:
                break
            taken.append(test)
        return taken, len(tests) - len(taken)

    def total(self, tests: Sequence[str]) -> float:
        """Return how long tests take together, s."""
        return sum(self.seconds[test] for test in tests)


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    data = source.encode()

    def at(line: int, column: int) -> int:
        return starts[line - 1] + column

    for node in ast.walk(ast.parse(source)):
        for begin, end, replacement in _changes(node, data, at):
            line = data[:begin].count(b"\n") + 1
            start, stop = starts[line - 1], starts[line]
            broken = (data[start:begin] + replacement.encode() + data[end:stop]).decode()
            text = lines[line - 1]
            yield Mutant(module, line, text.strip(), broken.strip(), begin, end, replacement)


def _changes(
    node: ast.AST, data: bytes, at: Callable[[int, int], int]
) -> Iterator[tuple[int, int, str]]:
    """Yield begin, end and replacement of what can be changed at a node."""

    def between(left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator:
        begin = at(left.end_lineno, left.end_col_offset)
        place = data.find(old.encode(), begin, at(right.lineno, right.col_offset))
        if place >= 0:
            yield place, place + len(old), new

    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        begin, end = (
            at(node.lineno, node.col_offset),
            at(node.end_lineno, node.end_col_offset),
        )
        new = not node.value if isinstance(node.value, bool) else node.value * 2 + 1
        yield begin, end, repr(new)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        old, new = _COMPARISONS[type(node.ops[0])]
        yield from between(node.left, node.comparators[0], old, new)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield from between(node.left, node.right, *_OPERATORS[type(node.op)])
    elif isinstance(node, ast.BoolOp):
        pair = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        yield from between(node.values[0], node.values[1], *pair)


def in_code(source: str) -> set[int]:
    """Return the lines on which statements of a module stand: decorators are none."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def remembered(source: str) -> set[int]:
    """Return the lines of cached functions, which only the first test that calls them executes."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and any(
            "cache" in ast.unparse(decorator) for decorator in node.decorator_list
        ):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def copy_clone(folder: Path) -> Path:
    """Copy what git tracks, under the name of the package; return the copy."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CLONE, capture_output=True, check=True
    ).stdout.split(b"\0")
    copy = folder / "rgtool"
    for name in (os.fsdecode(name) for name in listed if name):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CLONE / name, target)
    return copy


def test_files(copy: Path, names: Sequence[str]) -> list[Path]:
    """Return the test files of these names, wherever in tests/ they lie, from the clone's root."""
    found = {path.stem: path for path in (copy / "tests").rglob("test_*.py")}
    return [found[name].relative_to(copy) for name in names]


def reached(copies: Sequence[Path], modules: Sequence[str]) -> Reached:
    """Run the tests of the modules' rooms, each copy a part, and see which lines they execute.

    What runs once, when a module is imported or in a cached function, is for all tests of its room.
    """
    rooms = {m: [str(path) for path in test_files(copies[0], CORE[m])] for m in modules}
    files = sorted({path for room in rooms.values() for path in room})
    parts = [files[i :: len(copies)] for i in range(len(copies))]
    with ThreadPoolExecutor(len(copies)) as pool:
        found = list(pool.map(lambda copy, part: seen(copy, part, rooms), copies, parts))
    once = {(m, line) for m in modules for line in remembered((CLONE / m).read_text())}
    seconds = {test: took for one in found for test, took in one.seconds.items()}
    tests: dict[tuple[str, int], list[str]] = {}
    for place in {place for one in found for place in one.tests}:
        room = [test for test in seconds if test.partition("::")[0] in rooms[place[0]]]
        here = {test for one in found for test in one.tests.get(place, ()) if place not in once}
        tests[place] = [test for test in room if test in here] or room
    return Reached(tests, seconds)


def survives(copy: Path, mutant: Mutant, tests: Sequence[str], limit: float) -> bool:
    """Run tests over a mutant; tell whether all pass within `limit` seconds."""
    path = copy / mutant.module
    sound = path.read_bytes()
    path.write_bytes(sound[: mutant.begin] + mutant.replacement.encode() + sound[mutant.end :])
    command = [*PYTEST, "-x", "--hypothesis-seed=0", *tests]
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=environment(copy),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what tests start ends with them
    )
    try:
        return process.wait(limit) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        path.write_bytes(sound)


def every(modules: Sequence[str]) -> list[Mutant]:
    """Return every mutant of the modules that stands in a statement."""
    found: list[Mutant] = []
    for module in modules:
        source = (CLONE / module).read_text()
        lines = in_code(source)
        found += [m for m in mutants(module, source) if m.line in lines]
    return found


def killed_before(output: Path | None) -> set[str]:
    """Return what an earlier output says was killed."""
    lines = output.read_text().splitlines() if output else []
    return {line.removeprefix("killed: ") for line in lines if line.startswith("killed: ")}


def main() -> None:
    """Draw mutants, run them, tell what becomes of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--modules", nargs="*", default=list(CORE), choices=list(CORE))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of tests per mutant")
    parser.add_argument("--again", type=Path, help="earlier output of the same draw")
    options = parser.parse_args()
    pool = every(options.modules)
    drawn = random.Random(options.seed).sample(pool, min(options.mutants, len(pool)))
    dead = killed_before(options.again)
    due = [m for m in drawn if str(m) not in dead]
    print(f"{machine()}; {len(drawn)} mutants, seed {options.seed}, {len(due)} to run", flush=True)
    for mutant in drawn:
        if mutant not in due:
            print(f"killed: {mutant}")
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        copies = [copy_clone(Path(folder, str(i))) for i in range(options.processes)]
        lines = reached(copies, sorted({m.module for m in due}))
        print(f"{len(lines.seconds)} tests, {time.time() - began:.0f} s", flush=True)
        alive = run_all(copies, due, lines, options.budget)
    report(drawn, alive, time.time() - began)


def run_all(
    copies: Sequence[Path], due: Sequence[Mutant], lines: Reached, budget: float
) -> list[Mutant]:
    """Run mutants side by side, one in each copy; tell of each at once and return survivors."""
    idle: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        idle.put(copy)

    def run(mutant: Mutant) -> bool:
        tests, left = lines.within(mutant, budget)
        limit = 60 + 5 * lines.total(tests)  # beyond it the mutant hangs
        copy = idle.get()
        try:
            lived = not tests or survives(copy, mutant, tests, limit)
        finally:
            idle.put(copy)
        told = f"survived: {mutant}\n    {len(tests)} tests run, {left} slower ones not"
        print(told if lived else f"killed: {mutant}", flush=True)
        return lived

    with ThreadPoolExecutor(len(copies)) as pool:
        return [m for m, lived in zip(due, pool.map(run, due), strict=True) if lived]


def report(drawn: Sequence[Mutant], alive: Sequence[Mutant], seconds: float) -> None:
    """Print the share killed, by module and in all, and why equivalent ones are."""
    same = [m for m in alive if (m.module, m.broken) in EQUIVALENT]
    totals = collections.Counter(m.module for m in drawn)
    lost = collections.Counter(m.module for m in alive if m not in same)
    for module, total in sorted(totals.items()):
        print(f"{module}: {total - lost[module]} of {total} killed or equivalent")
    for mutant in same:
        print(f"equivalent: {mutant} ({EQUIVALENT[mutant.module, mutant.broken]})")
    killed = len(drawn) - len(alive)
    share = killed / max(1, len(drawn) - len(same))
    print(f"{killed} of {len(drawn)} killed, {len(same)} equivalent: {share:.2f}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
