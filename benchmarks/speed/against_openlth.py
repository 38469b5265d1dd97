"""Training speed beside OpenLTH: same network, batch, recipe and images, in one run.

    python -m benchmarks.speed.against_openlth --openlth PATH --data DIR

PATH is a clone of https://github.com/facebookresearch/open_lth, DIR the folder that holds
cifar-10-batches-py. OpenLTH does not import on a current PyTorch: it is copied to a temporary
folder, where two base classes in models/base.py change places and np.product becomes np.prod; the
clone stays as it is. LeNet trains on the files of MNIST, or of Fashion-MNIST, which have the same
shapes, where they are found.

OpenLTH runs as it does by default: its own loop, a PIL pipeline without workers, one process with
a thread a core. By the clock the ways to use the cores take turns, since other work on a machine
comes and goes. On a busy machine only the lines by processor time mean anything:
images a second that a thread really worked (--busy measures nothing else). OpenLTH scores the test
set after every epoch, rgtool at the end of a level: whole epochs are compared below the speeds.

Both do the same convolutions with the same library. `ceiling` is what a thread would reach if
these alone took time: no way of doing the rest of a step can pass it.

Aims for ResNet-20 on two cores: 2 x for one seed, 2.5 x for two replicas of one thread, 3.4 x for
bf16 (on a processor that has its instructions), 10 x for the pipeline alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

import rgtool
from benchmarks.machine import machine
from rgtool.runner.machine import workers
from rgtool.runner.plan import Plan, plan
from rgtool.runner.replicas.arithmetic import has_bf16
from rgtool.runner.speed.bench import processes_speed
from rgtool.runner.speed.ceiling import convolutions_speed
from rgtool.runner.speed.layouts import Layout
from rgtool.runner.speed.probe import parts_of, speed

# Run inside the copy: OpenLTH's own loop, timed by one of its callbacks.
OPENLTH = """
import json, sys, time
from rgtool.runner.datasets.vision import torchvision_datasets
torchvision_datasets()  # torchvision, also beside a torch without CUDA
import torch
name, threads, steps, repeats = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
from platforms import local, platform
platform._PLATFORM = local.Platform(num_workers=0)
import datasets.registry, models.registry
from foundations.step import Step
from training.metric_logger import MetricLogger
from training.standard_callbacks import create_eval_callback
from training.train import train
defaults = models.registry.get_default_hparams(name)
loader = datasets.registry.get(defaults.dataset_hparams, train=True)
batch = defaults.dataset_hparams.batch_size
times, busy = [], []
def note(output_location, step, model, optimizer, logger):
    times.append(time.perf_counter())
    busy.append(time.process_time())
model = models.registry.get(defaults.model_hparams)
end = Step.from_iteration(2 + steps * repeats, loader.iterations_per_epoch)
train(defaults.training_hparams, model, loader, "out", callbacks=[note], end_step=end)
times = times[2:]
speeds = [steps * batch / (times[i + steps] - times[i]) for i in range(0, steps * repeats, steps)]
loader.shuffle(0)
batches = iter(loader)
next(batches)
began = time.process_time()
for _ in range(10):
    next(batches)
pipeline = 10 * batch / (time.process_time() - began)
test_loader = datasets.registry.get(defaults.dataset_hparams, train=False)
log = MetricLogger()
began = time.perf_counter()
create_eval_callback("test", test_loader)("out", Step.zero(1), model, None, log)
tested = len(test_loader.dataset) / (time.perf_counter() - began)
worked = steps * repeats * batch / (busy[-1] - busy[2])
print(json.dumps({"speeds": speeds, "busy": worked, "pipeline": pipeline, "tested": tested}))
"""
CASES = {"resnet20": ("cifar_resnet_20", "cifar10"), "lenet": ("mnist_lenet_300_100", "mnist")}
MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def main() -> None:
    """Measure both, print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--openlth", type=Path, required=True, help="clone of OpenLTH")
    parser.add_argument("--data", type=Path, required=True, help="folder of cifar-10-batches-py")
    parser.add_argument(
        "--mnist", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="IDX files"
    )
    parser.add_argument("--models", default="resnet20,lenet")
    parser.add_argument("--steps", type=int, default=8, help="steps of ResNet-20 in a repeat")
    parser.add_argument("--repeats", type=int, default=3, help="of these steps in a round")
    parser.add_argument("--rounds", type=int, default=5, help="by the clock, all ways in turns")
    parser.add_argument("--busy", action="store_true", help="by processor time only")
    options = parser.parse_args()
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"{machine()}, {capability}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        tree = patched_copy(options.openlth, Path(folder) / "open_lth")
        home = homes(Path(folder), options)
        for model in options.models.split(","):
            if model == "lenet" and not (home / "open_lth_datasets" / "mnist").exists():
                print("lenet: left out, no files of MNIST (--mnist)")
                continue
            compare(model, tree, home, options)


def patched_copy(clone: Path, tree: Path) -> Path:
    """Copy OpenLTH and make it run on the PyTorch of today."""
    shutil.copytree(clone, tree, ignore=shutil.ignore_patterns(".git"))
    base = tree / "models" / "base.py"
    bases = ("class Model(abc.ABC, torch.nn.Module)", "class Model(torch.nn.Module, abc.ABC)")
    base.write_text(base.read_text().replace(*bases))
    optimizers = tree / "training" / "optimizers.py"
    optimizers.write_text(optimizers.read_text().replace("np.product", "np.prod"))
    return tree


def homes(folder: Path, options: argparse.Namespace) -> Path:
    """Lay the data out where OpenLTH looks for them: below a home of its own."""
    datasets = folder / "open_lth_datasets"
    datasets.mkdir()
    (datasets / "cifar10").symlink_to(options.data.resolve())
    if all(find(options.mnist, name) for name in MNIST_FILES):
        raw = datasets / "mnist" / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for name in MNIST_FILES:
            path = find(options.mnist, name)
            assert path is not None
            blob = path.read_bytes()
            (raw / name).write_bytes(gzip.decompress(blob) if path.suffix == ".gz" else blob)
    return folder


def find(folder: Path, name: str) -> Path | None:
    """Return a file, packed or not."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)


def openlth(model: str, threads: int, steps: int, tree: Path, home: Path, repeats: int) -> dict:
    """Train with OpenLTH in a process of its own."""
    package = Path(rgtool.__file__).parents[1]
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(package)}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPENLTH, CASES[model][0], str(threads), str(steps),
         str(repeats)],
        cwd=tree, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"OpenLTH failed:\n{done.stderr[-2000:]}")
    found: dict = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(model: str, tree: Path, home: Path, options: argparse.Namespace) -> None:
    """Print what both make of one network."""
    cores = workers(torch.device("cpu"))
    data = home / "open_lth_datasets" / CASES[model][1]
    if model == "lenet":
        data = data / "MNIST" / "raw"
    steps = options.steps * (50 if model == "lenet" else 1)

    def resolved(precision: str = "float32") -> Plan:
        task = CASES[model][1]
        return plan(
            model, task, "frankle2020", seeds=cores, data=data, device="cpu",
            precision=precision, kernels="dense",
        )  # fmt: skip

    def theirs(threads: int) -> dict:
        return openlth(model, threads, steps, tree, home, options.repeats)

    print(f"\n{model}, batch 128, load {os.getloadavg()[0]:.1f}")
    made = resolved()
    alone = theirs(1)
    torch.set_num_threads(1)
    one = parts_of(made, 0)
    # As long as OpenLTH's steps took, by the clock.
    seconds = options.repeats * steps * 128 / statistics.median(alone["speeds"])
    print("by processor time, one thread")
    line("OpenLTH", [alone["busy"]], alone["busy"])
    line("float32", [speed(made, [one], seconds)[1]], alone["busy"])
    line(
        "ceiling",
        [convolutions_speed(one.module, made)],
        alone["busy"],
        "convolutions and products alone",
    )
    line("their pipeline", [alone["pipeline"]], alone["pipeline"])
    began, images = time.process_time(), 0
    for batch, _ in one.loader.epoch(0):
        images += len(batch)
    line("our pipeline", [images / (time.process_time() - began)], alone["pipeline"])
    if not options.busy:
        by_the_clock(resolved, theirs, cores, seconds, options.rounds)


def by_the_clock(
    resolved: Callable[..., Plan],
    theirs: Callable[[int], dict],
    cores: int,
    seconds: float,
    rounds: int,
) -> None:
    """Measure the ways that a machine's cores can be used, in turns."""

    def ours(precision: str, threads: int) -> float:
        made = resolved(precision)
        torch.set_num_threads(threads)
        found = speed(made, [parts_of(made, 0)], seconds)[0]
        torch.set_num_threads(1)
        return found

    ways: dict[tuple[str, str], Callable[[], float]] = {}
    precisions = ("float32", "bf16") if has_bf16() else ("float32",)
    for precision in precisions:
        ways[precision, "1 seed, 1 thread"] = partial(ours, precision, 1)
        ways[precision, f"1 seed, {cores} threads (--threads)"] = partial(ours, precision, cores)
        ways[precision, f"{cores} seeds, a process each"] = partial(
            processes_speed, resolved(precision), Layout(cores, 1, 1, 0.0), seconds
        )
    trained: list[float] = []
    tested: list[float] = []
    figures: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        found = theirs(cores)
        trained.append(statistics.median(found["speeds"]))
        tested.append(found["tested"])
        for way, measure in ways.items():
            figures[way].append(measure())
    base = statistics.median(trained)
    print(f"by the clock, median of {rounds} rounds (all), load {os.getloadavg()[0]:.1f}")
    line("OpenLTH", trained, base, f"1 seed, {cores} threads")
    for (name, layout), speeds in figures.items():
        line(name, speeds, base, layout)
    if "bf16" not in precisions:
        print("bf16            left out: this processor has no bfloat16 instructions")
    images = resolved().images
    pass_over_tests = len(images.y_test) / statistics.median(tested)
    their_epoch = len(images.y_train) / base + pass_over_tests
    print(
        f"an epoch of OpenLTH takes {their_epoch:.1f} s, of which {pass_over_tests:.1f} s over the "
        "test set, as it does by default; ratios with these:"
    )
    for (name, layout), speeds in figures.items():
        epoch = len(images.y_train) / statistics.median(speeds)
        print(f"{name:<15} {epoch:9.2f} s         {their_epoch / epoch:6.2f} x  {layout}")


def line(what: str, speeds: list[float], base: float, note: str = "") -> None:
    """Print a figure beside its ratio."""
    images = statistics.median(speeds)
    every = f" ({' '.join(f'{x:.0f}' for x in speeds)})" if len(speeds) > 1 else ""
    print(f"{what:<15} {images:9.0f} images/s  {images / base:6.2f} x  {note}{every}", flush=True)


if __name__ == "__main__":
    main()
