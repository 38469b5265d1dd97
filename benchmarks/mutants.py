"""Break core modules line by line and count the breakages that the tests notice.

    python benchmarks/mutants.py --mutants 200
    python benchmarks/mutants.py --mutants 20 --modules runner/training.py --processes 2

A mutant changes one constant, comparison, operator or junction of one line. It runs against the
tests that execute that line (found once, by coverage; `pip install coverage`), in a copy of the
clone, until one fails. A mutant that no test reaches survives; one that hangs is killed. Mutants
that change nothing anyone could see are named in EQUIVALENT and counted apart.
"""

from __future__ import annotations

import argparse
import ast
import collections
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from machine import machine

CLONE = Path(__file__).parents[1]
# The modules whose numbers everything rests on, and the tests of their rooms.
CORE: Mapping[str, tuple[str, ...]] = {
    "analysis/flow.py": ("test_flow", "test_identities", "test_spectrum"),
    "analysis/window.py": ("test_window", "test_spectrum", "test_flow", "test_bad_input"),
    "analysis/spectrum/intervals.py": ("test_intervals", "test_spectrum"),
    "analysis/stats/moderation.py": ("test_intervals", "test_spectrum", "test_same_class"),
    "analysis/stats/contrast.py": ("test_same_class", "test_classify"),
    "analysis/stats/difference.py": ("test_same_class",),
    "analysis/nulls/initial.py": ("test_null", "test_nulls"),
    "analysis/gamma/fit.py": ("test_gamma",),
    "analysis/gamma/correlated.py": ("test_gamma_seeds",),
    "analysis/gamma/misfit.py": ("test_gamma_seeds",),
    "analysis/gamma/parameters.py": ("test_gamma_seeds",),
    "runner/training.py": ("test_training", "test_arithmetic", "test_runs"),
    "runner/pruning.py": ("test_pruning", "test_runs"),
    "schemas/record.py": ("test_schemas", "test_broken_files"),
    "schemas/transform.py": ("test_transform",),
    "store/importers/levels.py": ("test_import", "test_foreign"),
    "store/importers/formats/openlth.py": ("test_foreign", "test_import"),
}
# (module, text of the line, replacement): why nobody could see it.
EQUIVALENT: Mapping[tuple[str, str, str], str] = {}
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
_LONGEST = 180.0  # seconds after which a mutant counts as hanging


@dataclass(frozen=True)
class Mutant:
    """One breakage: bytes `begin` to `end` of a module become `replacement`."""

    module: str
    line: int
    text: str
    kind: str
    begin: int
    end: int
    replacement: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.kind} -> {self.replacement}: {self.text}"


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
        for kind, begin, end, replacement in _changes(node, data, at):
            line = data[:begin].count(b"\n") + 1
            text = lines[line - 1].strip()
            yield Mutant(module, line, text, kind, begin, end, replacement)


def _changes(node: ast.AST, data: bytes, at: object) -> Iterator[tuple[str, int, int, str]]:
    """Yield kind, begin, end and replacement of what can be changed at a node."""
    assert callable(at)

    def between(left: ast.expr, right: ast.expr, kind: str, old: str, new: str) -> Iterator:
        begin = at(left.end_lineno, left.end_col_offset)
        place = data.find(old.encode(), begin, at(right.lineno, right.col_offset))
        if place >= 0:
            yield kind, place, place + len(old), new

    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        begin, end = (
            at(node.lineno, node.col_offset),
            at(node.end_lineno, node.end_col_offset),
        )
        new = not node.value if isinstance(node.value, bool) else node.value * 2 + 1
        yield "const", begin, end, repr(new)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        old, new = _COMPARISONS[type(node.ops[0])]
        yield from between(node.left, node.comparators[0], "cmp", old, new)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield from between(node.left, node.right, "bin", *_OPERATORS[type(node.op)])
    elif isinstance(node, ast.BoolOp):
        pair = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        yield from between(node.values[0], node.values[1], "bool", *pair)


def in_code(source: str) -> set[int]:
    """Return the lines on which statements of a module stand: decorators are none."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
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


def environment(copy: Path) -> dict[str, str]:
    """Return an environment in which the copy is what `import rgtool` finds."""
    alone = {"PYTHONPATH": str(copy.parent), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **alone}


def test_files(copy: Path, names: Sequence[str]) -> list[Path]:
    """Return the test files of these names, wherever in tests/ they lie, from the clone's root."""
    found = [path for name in names for path in sorted((copy / "tests").rglob(f"{name}.py"))]
    return [path.relative_to(copy) for path in found]


def reached(copy: Path, module: str) -> dict[int, list[str]]:
    """Return the tests that execute each line of a module, as pytest names them.

    What runs when the module is imported, such as its constants, is for all tests of its room.
    """
    from coverage import CoverageData

    data, settings = copy.parent / ".coverage", copy.parent / "coveragerc"
    settings.write_text(
        f"[run]\ndata_file = {data}\ndynamic_context = test_function\ninclude = {copy / module}\n"
    )
    files = test_files(copy, CORE[module])
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest"]
    subprocess.run(
        [*command, "-q", "-x", "-p", "no:cacheprovider", *map(str, files)],
        cwd=copy,
        env=environment(copy),
        check=True,
        capture_output=True,
    )
    found = CoverageData(str(data))
    found.read()
    homes = {path.stem: path for path in files}
    lines = found.contexts_by_lineno(str(copy / module))
    every = [str(path) for path in files]
    return {
        line: sorted(filter(None, (_id(context, homes) for context in lines[line]))) or every
        for line in lines
    }


def _id(context: str, homes: Mapping[str, Path]) -> str | None:
    """Turn a context of coverage, such as `test_flow.test_shares`, into a name for pytest."""
    parts = context.split(".")
    for i, part in enumerate(parts):
        if part in homes:
            return "::".join([str(homes[part]), *parts[i + 1 :]])
    return None


def survives(copy: Path, mutant: Mutant, tests: Sequence[str]) -> bool:
    """Run the tests over a mutant; tell whether all pass."""
    path = copy / mutant.module
    sound = path.read_bytes()
    path.write_bytes(sound[: mutant.begin] + mutant.replacement.encode() + sound[mutant.end :])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
            cwd=copy,
            env=environment(copy),
            capture_output=True,
            timeout=_LONGEST,
        )
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_bytes(sound)


def chosen(modules: Sequence[str], number: int, seed: int) -> list[Mutant]:
    """Draw mutants of the modules, each module in proportion to what can be broken in it."""
    every: list[Mutant] = []
    for module in modules:
        source = (CLONE / module).read_text()
        lines = in_code(source)
        every += [m for m in mutants(module, source) if m.line in lines]
    return random.Random(seed).sample(every, min(number, len(every)))


def main() -> None:
    """Draw mutants, run them, print what survived."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--modules", nargs="*", default=list(CORE), choices=list(CORE))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    drawn = chosen(options.modules, options.mutants, options.seed)
    print(f"{machine()}; {len(drawn)} mutants, seed {options.seed}", flush=True)
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        made = [copy_clone(Path(folder, str(i))) for i in range(options.processes)]
        for copy in made:
            copies.put(copy)
        lines = {module: reached(made[0], module) for module in {m.module for m in drawn}}

        def run(mutant: Mutant) -> bool:
            tests = lines[mutant.module].get(mutant.line, [])
            copy = copies.get()
            try:
                return not tests or survives(copy, mutant, tests)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(options.processes) as pool:
            alive = [m for m, lived in zip(drawn, pool.map(run, drawn), strict=True) if lived]
    report(drawn, alive, time.time() - began)


def report(drawn: Sequence[Mutant], alive: Sequence[Mutant], seconds: float) -> None:
    """Print the share killed, by module and in all, and name the survivors."""
    same = [m for m in alive if (m.module, m.text, m.replacement) in EQUIVALENT]
    missed = [m for m in alive if m not in same]
    totals = collections.Counter(m.module for m in drawn)
    lost = collections.Counter(m.module for m in missed)
    for module, total in sorted(totals.items()):
        print(f"{module}: {total - lost[module]} of {total} killed or equivalent")
    for mutant in same:
        print(
            f"equivalent: {mutant} ({EQUIVALENT[mutant.module, mutant.text, mutant.replacement]})"
        )
    for mutant in sorted(missed, key=str):
        print(f"survived: {mutant}")
    killed = len(drawn) - len(alive)
    share = killed / max(1, len(drawn) - len(same))
    print(f"{killed} of {len(drawn)} killed, {len(same)} equivalent: {share:.2f}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
