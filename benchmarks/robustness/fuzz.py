"""Damage valid files at random and see what rgtool makes of them: crashes, hangs, other numbers.

    python -m benchmarks.robustness.fuzz --cases 3000
    python -m benchmarks.robustness.fuzz --seed 5 --only 1234  # one case again, with what was said

Ctrl-C or SIGTERM ends it early, with the table of what was done.

Valid files of every foreign format are imported, and the files of a store queried, each with one
mutation: bits flipped, cut off, overwritten, inserted, deleted, fields swapped, numbers grown, tags
changed, spliced with another file. Counted are processes that died, tracebacks, hangs, peaks above
600 MB, stores that changed, numbers that are others without a word (in stores, and in formats that
carry sums of their own), and refusals that do not name the file. All should be 0.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine

TESTS = Path(__file__).parents[2] / "tests"
sys.path[:0] = [str(TESTS / one) for one in ("helpers", "importers/foreign", "importers/hostile")]

from fuzz_files import FAULTS, Case, Trials  # noqa: E402


def main() -> int:
    """Run the cases and print a table; 1 where there was any fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one case, and what was said")
    parser.add_argument("--shown", type=int, default=2, help="examples of each fault of a target")
    options = parser.parse_args()
    # A shell lets what it starts in the background ignore Ctrl-C; both signals end with the table.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    began = time.perf_counter()
    print(f"seed {options.seed}, {options.cases} cases, {machine()}", flush=True)
    cases: collections.Counter[str] = collections.Counter()
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    with (
        tempfile.TemporaryDirectory(prefix="rgtool-fuzz-") as home,
        Trials(Path(home), options.seed) as trials,
    ):
        numbers = range(options.cases) if options.only is None else [options.only]
        with contextlib.suppress(KeyboardInterrupt):
            for number in numbers:
                case = trials.case(number)
                cases[case.target.name] += 1
                for fault in case.faults:
                    found[case.target.name, fault] += 1
                    if found[case.target.name, fault] <= options.shown:
                        print(_line(case), flush=True)
                if options.only is not None:
                    print(case.said)
    _print_table(cases, found)
    print(f"all of it {time.perf_counter() - began:.0f} s")
    return 1 if found else 0


def _line(case: Case) -> str:
    said = case.said.strip().splitlines()[-1:] or ["nothing was said"]
    return (
        f"case {case.number} {case.target.name} {case.mutation}: {', '.join(case.faults)}: "
        f"{ascii(said[0])[:200]}"
    )


def _print_table(
    cases: collections.Counter[str], found: collections.Counter[tuple[str, str]]
) -> None:
    print(f"{'target':<22} {'cases':>6} " + " ".join(f"{name:>9}" for name in FAULTS))
    for target in cases:
        counts = " ".join(f"{found[target, fault]:>9}" for fault in FAULTS)
        print(f"{target:<22} {cases[target]:>6} {counts}")
    sums = [sum(found[target, fault] for target in cases) for fault in FAULTS]
    print(f"{'all':<22} {sum(cases.values()):>6} " + " ".join(f"{n:>9}" for n in sums))


if __name__ == "__main__":
    sys.exit(main())
