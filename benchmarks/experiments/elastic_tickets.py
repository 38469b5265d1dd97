"""Elastic tickets on digits: what stretched and squeezed ones reach, and whether scores foresee it.

    python -m benchmarks.experiments.elastic_tickets --store /tmp/elastic --seeds 5
    python -m benchmarks.experiments.elastic_tickets --estimate

ResNets of 4 channels find their tickets; those of ResNet-14 are stretched to 26, of 20 to 32, and
those of 26 squeezed to 14: by the first and the last map of the ranking, another map as dense as
the first, and maps drawn at random, which are what tau is over. Controls draw masks, places or
weights anew. All of it is fixed here before anything is trained. The store may be kept: what is
there is not computed again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import rgtool
from benchmarks.machine import machine
from rgtool.runner.speed.estimate import estimate
from rgtool.studies.stretch_plans import CONTROLS, plan_stretch

TRAINING = {"width": 4, "epochs": 8, "rewind": "20it", "levels": 9}
PAIRS = ((14, 26), (26, 14), (20, 32))
AT = (4, 8)


def maps_of(pair: tuple[int, int], drawn: int) -> tuple[str, ...]:
    """Name the maps of a pair; from ResNet-14 to 26 there is one alone."""
    return ("first",) if pair == (14, 26) else ("first", "last", f"random:{drawn}")


def name_of(depth: int) -> str:
    """Select the experiment that finds the tickets of a depth."""
    return f"resnet{depth}w4/digits"


def find(options: argparse.Namespace) -> None:
    """Let every depth find its own tickets."""
    for depth in sorted({depth for pair in PAIRS for depth in pair}):
        began = time.perf_counter()
        common = {"seeds": options.seeds, "store": options.store, "workers": options.workers}
        made = rgtool.plan(f"resnet{depth}", "digits", **common, **TRAINING)
        if options.estimate:
            print(f"resnet{depth}w4: {estimate(made).seconds:.0f} s")
            continue
        outcome = rgtool.run(f"resnet{depth}", "digits", **common, **TRAINING, progress=False)
        print(
            f"resnet{depth}w4: {len(outcome.seeds('done', 'known'))} seeds, "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )


def carry(pair: tuple[int, int], options: argparse.Namespace) -> None:
    """Train the tickets of a pair and print what came out."""
    source, target = pair
    choices = {
        "maps": maps_of(pair, options.maps),
        "controls": [name for name in CONTROLS if name != "copies" or source < target],
        "at": AT,
        "workers": options.workers,
    }
    began = time.perf_counter()
    print(f"\n{name_of(source)} -> resnet{target}w4", flush=True)
    if options.estimate:
        made = plan_stretch(options.store, name_of(source), f"resnet{target}w4", **choices)
        child = estimate(made.child(made.sample)).seconds
        print(f"{made.number} experiments of {child:.0f} s")
        return
    found = rgtool.stretch(options.store, name_of(source), f"resnet{target}w4", **choices)
    print(found.summary())
    if options.maps >= 8 and len(choices["maps"]) > 1:
        held = rgtool.match_trained(options.store, name_of(source), name_of(target))
        print(held.summary())
        print(held.agreement.summary())
    print(f"{time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, default=None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--maps", type=int, default=12, help="drawn at random, for tau")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--estimate", action="store_true", help="of what is known beforehand")
    options = parser.parse_args()
    options.store = options.store or Path(tempfile.mkdtemp(prefix="elastic-"))
    print(f"{machine()}; {options.store}")
    find(options)
    if options.estimate and not (options.store / "runs").is_dir():
        return
    for pair in PAIRS:
        carry(pair, options)


if __name__ == "__main__":
    main()
