"""Training speed beside OpenLTH: same network, batch, recipe and images, in one run.

    python benchmarks/against_openlth.py --openlth PATH --data DIR

PATH is a clone of https://github.com/facebookresearch/open_lth, DIR the folder that holds
cifar-10-batches-py. OpenLTH does not import on a current PyTorch: it is copied to a temporary
folder, where two base classes in models/base.py change places and np.product becomes np.prod; the
clone stays as it is. LeNet trains on the files of MNIST, or of Fashion-MNIST, which have the same
shapes, where they are found.

OpenLTH runs as it does by default: its own loop, a PIL pipeline without workers, one process with a
thread a core. On a machine that is busy with other things only the lines by processor time mean
anything: images a second that a thread really worked (--busy measures nothing else).

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
from pathlib import Path

import torch
from machine import machine

import rgtool
from rgtool.runner.arithmetic import has_bf16
from rgtool.runner.bench import equipment_of, processes_speed, speed
from rgtool.runner.machine import workers
from rgtool.runner.plan import Plan, plan

# Run inside the copy: OpenLTH's own loop, timed by one of its callbacks.
OPENLTH = """
import json, sys, time
from rgtool.runner.vision import torchvision_datasets
torchvision_datasets()  # torchvision, also beside a torch without CUDA
import torch
name, threads, steps, repeats = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
from platforms import local, platform
platform._PLATFORM = local.Platform(num_workers=0)
import datasets.registry, models.registry
from foundations.step import Step
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
worked = steps * repeats * batch / (busy[-1] - busy[2])
print(json.dumps({"speeds": speeds, "busy": worked, "pipeline": pipeline}))
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
    parser.add_argument("--repeats", type=int, default=5)
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
            model, task, "frankle2020", seeds=cores, data_folder=data, device="cpu",
            precision=precision,
        )  # fmt: skip

    print(f"\n{model}, batch 128, load {os.getloadavg()[0]:.1f}")
    made = resolved()
    alone = openlth(model, 1, steps, tree, home, options.repeats)
    torch.set_num_threads(1)
    one = [equipment_of(made, 0)]
    # As long as OpenLTH's steps took, by the clock.
    seconds = options.repeats * steps * 128 / statistics.median(alone["speeds"])
    line("OpenLTH", alone["busy"], alone["busy"], "one thread, by processor time")
    line("float32", speed(made, one, seconds)[1], alone["busy"], "one thread, by processor time")
    if not options.busy:
        theirs = openlth(model, cores, steps, tree, home, options.repeats)
        base = statistics.median(theirs["speeds"])
        line("OpenLTH", base, base, f"one process of {cores} threads")
        by_the_clock(resolved, cores, seconds, base)
    began, images = time.process_time(), 0
    for batch, _ in one[0].loader.epoch(0):
        images += len(batch)
    ours = images / (time.process_time() - began)
    line("their pipeline", alone["pipeline"], alone["pipeline"], "by processor time")
    line("our pipeline", ours, alone["pipeline"], "by processor time")


def by_the_clock(resolved: Callable[..., Plan], cores: int, seconds: float, base: float) -> None:
    """Measure the ways that a machine's cores can be used."""
    made = resolved()
    one = [equipment_of(made, 0)]
    line("float32", speed(made, one, seconds)[0], base, "one seed, one thread")
    torch.set_num_threads(cores)
    line("float32", speed(made, one, seconds)[0], base, f"one seed, {cores} threads (--threads)")
    torch.set_num_threads(1)
    line("float32", processes_speed(made, cores, seconds), base, f"{cores} seeds, a process each")
    if not has_bf16():
        print("bf16            left out: this processor has no bfloat16 instructions")
        return
    half = resolved("bf16")
    torch.set_num_threads(cores)
    line("bf16", speed(half, [equipment_of(half, 0)], seconds)[0], base, f"{cores} threads")
    torch.set_num_threads(1)
    line("bf16", processes_speed(half, cores, seconds), base, f"{cores} seeds, a process each")


def line(what: str, images: float, base: float, remark: str) -> None:
    """Print a figure beside its ratio."""
    print(f"{what:<15} {images:9.0f} images/s  {images / base:6.2f} x  {remark}", flush=True)


if __name__ == "__main__":
    main()
