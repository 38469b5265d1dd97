"""The benchmark of a machine: what it counts, and that its layouts run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Cli
from page import read

import rgtool
from rgtool.cli import main
from rgtool.runner import machine
from rgtool.runner.models import build
from rgtool.runner.plan import Plan, plan
from rgtool.runner.replicas.kernels import missing_library
from rgtool.runner.speed import bench as bench_module
from rgtool.runner.speed import estimate as estimate_module
from rgtool.runner.speed.bench import measure
from rgtool.runner.speed.by_density import ByDensity, Point
from rgtool.runner.speed.ceiling import (
    convolution_peak,
    convolutions_speed,
    moved_bytes,
    training_flops,
)
from rgtool.runner.speed.estimate import Stretch, _longest, estimate
from rgtool.runner.speed.layouts import Bench, Layout
from rgtool.schemas.errors import UsageError


def test_flops_are_those_of_the_literature() -> None:
    # He et al. 2016 give no count for CIFAR; by hand for ResNet-8 with 4 channels on 8x8 pixels:
    # stem 27 x 4 x 64, stage 1: 2 x 144 x 64, stage 2: (288 + 576 + 32) x 16, stage 3:
    # (1152 + 2304 + 128) x 4, head 160.
    stem, rest = 27 * 4 * 64, 2 * 144 * 64 + (288 + 576 + 32) * 16 + (1152 + 2304 + 128) * 4 + 160
    assert training_flops(build("resnet8w4", (3, 8, 8), 10), (3, 8, 8)) == 4 * stem + 6 * rest
    # 1.8 GMAC of ResNet-18 on ImageNet, as torchvision's table has it.
    with torch.device("meta"):
        large = build("resnet18", (3, 224, 224), 1000)
    with pytest.MonkeyPatch.context():
        flops = training_flops(large.to_empty(device="cpu"), (3, 224, 224))
    assert flops == pytest.approx(6 * 1.814e9, rel=0.05)


def test_a_small_bench_says_all_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "workers", lambda chosen: 2)
    made = plan("lenet", "digits", seeds=5, levels=3, epochs=2, device="cpu")
    found = measure(made, seconds=0.05)
    layouts = [(x.processes, x.threads, x.replicas) for x in found.layouts]
    assert layouts == [(1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1)]
    assert all(layout.images_per_second > 0 for layout in found.layouts)
    assert found.share > 0
    chosen = found.chosen
    assert chosen == found.layouts[-1]
    assert found.level_seconds(chosen) > found.test_seconds > 0
    # Two waves of two seeds, four levels each; the fifth is alone at worst as one of two.
    pairs, last = 2 * found.level_seconds(chosen), found.level_seconds(layouts_of_one(found))
    assert found.experiment_seconds(chosen) == pytest.approx(4 * (pairs + last))
    assert torch.get_num_threads() == machine.THREADS


def layouts_of_one(found: Bench) -> Layout:
    """The faster of what one seed was measured in: alone, or beside another process."""
    return min((found.layouts[0], found.layouts[-1]), key=found.level_seconds)


def measured(seeds: int, chosen: int, busy: float = 1.0) -> Bench:
    """A machine of two cores where only processes help; a level is 100 images and a test of 1 s."""
    layouts = (Layout(1, 1, 1, 100.0), Layout(1, 1, 2, 90.0), Layout(1, 2, 1, 120.0))
    layouts += (Layout(2, 1, 1, 180.0),)
    alone = 100.0 / busy
    speeds = (alone, 1e6, 1e9, 1e3, None, None)
    return Bench(layouts, layouts[chosen], *speeds, 1.0, 100.0, seeds, 3, 1, "lenet/digits")


@pytest.mark.parametrize(
    ("seeds", "seconds"),
    [
        # Seconds of a level: 1 s of the test beside 100 images of each seed at once.
        # The last of five is alone, whatever the others have been beside.
        (1, [6, 6, 3 * (100 / 120 + 1), 6]),
        (4, [24, 6 * (200 / 90 + 1), 12 * (100 / 120 + 1), 6 * (200 / 180 + 1)]),
        (5, [30, 6 + 6 * (200 / 90 + 1), 15 * (100 / 120 + 1), 6 + 6 * (200 / 180 + 1)]),
    ],
)
def test_seeds_come_in_waves(seeds: int, seconds: list[float]) -> None:
    found = measured(seeds, 0)
    times = [found.experiment_seconds(layout) for layout in found.layouts]
    assert times == pytest.approx(seconds)
    assert found.experiment_seconds(found.shortest) == min(times)


def test_the_layout_of_run_is_said_to_be_its_own() -> None:
    found = measured(5, 1)
    told = [str(row[-1]) for row in found.table().rows if row[0] == "layout"]
    assert [
        text.endswith("chosen: what rgtool run does by default with the same options")
        for text in told
    ] == [False, True, False, False]


def test_a_part_that_was_not_measured_takes_what_the_next_does() -> None:
    layouts = tuple(Layout(1, 1, n, 100.0) for n in (1, 2, 4))
    one = Bench(layouts, layouts[2], 1.0, 1.0, 1.0, 1.0, None, None, 0.0, 100.0, 7, 1, 1, "")
    assert [one.experiment_seconds(layout) for layout in layouts] == [7.0, 7.0, 8.0]


def test_what_is_as_good_stays_chosen() -> None:
    layouts = (Layout(1, 1, 1, 100.0), Layout(2, 1, 1, 200.0))
    for chosen in layouts:
        one = Bench(layouts, chosen, 1.0, 1.0, 1.0, 1.0, None, None, 1.0, 100.0, 1, 1, 1, "")
        assert one.shortest == chosen


@pytest.mark.parametrize(
    ("seeds", "chosen", "busy", "words"),
    [
        (4, 3, 1.0, ["2 processes of 1 thread, 1 replica in each, in which the experiment takes"]),
        (
            1, 0, 1.0,
            ["1 process of 2 threads, 1 replica in each would take 8% less: --threads 2, other"],
        ),
        (4, 1, 1.0, ["would take 34% less: --workers 2 --replicas 1"]),
        (4, 3, 0.5, ["chosen", "other programs have had 50% of the time of one replica"]),
        (4, 3, 0.9, ["chosen"]),
    ],
)  # fmt: skip
def test_the_choice_is_the_best_of_the_table_or_says_why(
    seeds: int, chosen: int, busy: float, words: list[str]
) -> None:
    notes = measured(seeds, chosen, busy).notes
    assert len(notes) == len(words)
    for note, text in zip(notes, words, strict=True):
        assert text in note


def test_the_plan_of_a_bench_is_among_its_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "workers", lambda chosen: 1)
    made = plan("lenet", "digits", seeds=3, epochs=1, device="cpu", replicas=3)
    found = measure(made, seconds=0.02)
    assert [layout.replicas for layout in found.layouts] == [1, 2, 3]
    assert found.chosen == found.layouts[2]
    threads = measure(plan("lenet", "digits", epochs=1, device="cpu", threads=2), seconds=0.02)
    assert (threads.chosen.threads, threads.chosen.processes) == (2, 1)
    assert torch.get_num_threads() == machine.THREADS


def test_an_estimate_counts_what_the_busiest_process_does(tmp_path: Path) -> None:
    made = plan(
        "lenet", "digits", seeds=5, levels=1, epochs=1, device="cpu", workers=2, store=tmp_path
    )
    stretches = [Stretch(1.0, 0.5), Stretch(8.0, 0.0), Stretch(2.0, 0.25)]
    # Three seeds after one another, two levels each, and the steps before the rewind point; the
    # first has chosen kernels for the others.
    assert _longest(made, stretches, 2.0) == 3 * 15 + 0.75
    for seeds, left in (([0, 1], 2 * 15), (5, 0)):  # the first two have chosen by then
        rgtool.run("lenet", "digits", seeds=seeds, levels=1, epochs=1, workers=1, store=tmp_path)
        assert _longest(made, stretches, 2.0) == left
    more = plan(
        "lenet", "digits", seeds=5, levels=2, epochs=1, device="cpu", workers=2, store=tmp_path
    )
    stretches = [*stretches, Stretch(1.5, 0.125)]
    assert _longest(more, stretches, 0.5) == 3 * 2 + 0.125  # the last level of each


def curve(**changes: Any) -> ByDensity:
    """Sparse steps of (1 + 9 d) ms at density d, an image each, and dense ones of 4 ms."""
    points = tuple(Point(n, d, 1e3 / (1 + 9 * d)) for n, d in ((0, 1.0), (2, 0.25), (4, 0.0625)))
    densities = (1.0, 0.5, 0.25, 0.125, 0.0625)
    return ByDensity(
        **{"clock": 125.0, "dense": 250.0, "points": points, "densities": densities, **changes}
    )


def test_between_densities_the_time_of_a_step_is_interpolated() -> None:
    one = curve()
    for kept in (1.0, 0.6, 0.25, 0.125, 0.0625):
        assert one.sparse(kept) == pytest.approx(1e3 / (1 + 9 * kept))
    ratios = [4 / (1 + 9 * kept) for kept in one.densities]
    assert ratios[1] < 1 < ratios[2]
    assert one.gains() == pytest.approx([1, 1, *ratios[2:]])
    assert curve(is_measured=False).gains() == pytest.approx(ratios)
    # With two threads a dense step takes 2.5 ms where one takes 4; sparse ones have one thread.
    assert one.gains(125.0 * 4 / 2.5) == pytest.approx(
        [1, 1, 1, *(r * 2.5 / 4 for r in ratios[3:])]
    )
    assert curve(points=()).gains() == [1.0] * 5


def test_an_experiment_takes_the_sum_of_its_levels() -> None:
    gains = curve().gains()
    one = dataclasses.replace(measured(1, 0), curve=curve(), records=5)
    alone, threads = one.layouts[0], one.layouts[2]
    expected = sum(100.0 / 100.0 / gain + 1.0 for gain in gains)
    assert one.experiment_seconds(alone) == pytest.approx(expected)
    assert one.level_seconds(alone) == pytest.approx(expected / 5)
    faster = curve().gains(120.0)  # which a thread has beside the clock's 125 of one
    assert one.experiment_seconds(threads) == pytest.approx(sum(100 / 120 / g + 1 for g in faster))
    twice = dataclasses.replace(one, records=10)  # a control, and the experiment that it is of
    assert twice.experiment_seconds(alone) == pytest.approx(2 * expected)


def test_a_bench_tells_what_a_level_costs_by_what_it_keeps(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "workers", lambda chosen: 1)
    if (missing := missing_library()) is not None:
        pytest.skip(missing)
    arguments = (
        "bench",
        "lenet",
        "digits",
        "--seconds",
        "0.02",
        "--device",
        "cpu",
        "--levels",
        "3",
    )
    done = cli(*arguments, "--kernels", "auto", "--json")
    rows = {row["what"]: row for row in json.loads(done.out)}
    for level, kept in enumerate(("1.000", "0.800", "0.640", "0.512")):
        row = rows[f"density {kept}"]
        assert row["unit"] == "images/s"
        assert row["note"].startswith(f"level {level}, ")
        assert row["value"] > 0
    assert rows["all levels"]["value"] >= 1
    assert "density 1.000" not in cli(*arguments, "--kernels", "dense").out


def test_an_estimate_knows_what_levels_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gains = [1.0, 2.0, 4.0]
    levels = curve(points=(), densities=(1.0, 0.8, 0.64))
    monkeypatch.setattr(estimate_module, "_by_density", lambda *arguments: (levels, gains))
    monkeypatch.setattr(estimate_module, "speed", lambda *arguments: (100.0, 100.0))
    monkeypatch.setattr(estimate_module, "evaluation_seconds", lambda one: 0.375)
    monkeypatch.setattr(estimate_module, "scoring_seconds", lambda one, parts: 0.125)
    options: dict[str, Any] = {"levels": 2, "epochs": 2, "train_size": 100, "batch_size": 50}
    made = plan("lenet", "digits", **options, rewind="1it", store=tmp_path, device="cpu")
    # 150 images a level at 100 a second, 50 more before the rewind point.
    expected = 0.5 + sum(1.5 / gain + 0.5 for gain in gains)
    assert estimate(made).seconds == pytest.approx(expected)
    again = plan("lenet", "digits", **options, rewind="1it", schedule="restart", device="cpu")
    assert estimate(again).seconds == pytest.approx(0.5 + sum(2 / gain + 0.5 for gain in gains))


def test_an_estimate_knows_what_passes_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Lists of 1 s at density 1, less below; images of 4 ms dense and 10 ms, 5.5 ms and 3.25 ms.
    points = tuple(Point(n, d, 1e3 / (1 + 9 * d), d) for n, d in enumerate((1.0, 0.5, 0.25)))
    levels = curve(points=points, densities=(1.0, 0.5, 0.25))
    monkeypatch.setattr(estimate_module, "by_density", lambda *arguments: levels)
    monkeypatch.setattr(estimate_module, "speed", lambda *arguments: (125.0, 250.0))
    monkeypatch.setattr(estimate_module, "evaluation_seconds", lambda one: 0.5)
    options: dict[str, Any] = {"levels": 2, "epochs": 20, "train_size": 1000, "batch_size": 50}
    options |= {"schedule": "restart", "kernels": "auto"}  # so that all levels have 400 steps

    def seconds(rewind: str) -> float:
        made = plan("lenet", "digits", **options, rewind=rewind, store=tmp_path, device="cpu")
        return estimate(made).seconds

    # By the clock all takes twice as long: 400 steps of 50 images at 125 a second and level.
    trains = 20000 / 125 * (1 + 1 + 3.25 / 4) + 3 * 0.5
    dense, sparse = 50 * 0.004, [50 * 0.001 * (1 + 9 * d) for d in (1, 0.5, 0.25)]
    # At 1 and at .5 the difference is clear at once and after a round more, at .25 after another.
    choosing = [1 + 2 * (dense + sparse[0]), 0.5 + 3 * (dense + sparse[1])]
    choosing.append(0.25 + 4 * (dense + sparse[2]))
    assert seconds("0") == pytest.approx(trains + 2 * (sum(choosing) + 0.25))
    # Measured once at density 1, before the rewind point where that has steps enough.
    assert seconds("13it") == pytest.approx(seconds("0") + 13 * 50 / 125)
    assert seconds("5it") == pytest.approx(seconds("0") + 5 * 50 / 125)


@pytest.mark.parametrize("threads", [1, 2])
def test_gains_are_measured_on_one_thread(threads: int, tmp_path: Path) -> None:
    if (missing := missing_library()) is not None:
        pytest.skip(missing)
    made = plan(
        "lenet", "digits", levels=2, epochs=1, device="cpu", threads=threads, kernels="sparse",
        store=tmp_path,
    )  # fmt: skip
    found = estimate(made)
    assert len(found.gains) == 3
    assert min(found.gains) > 0
    assert torch.get_num_threads() == threads
    torch.set_num_threads(machine.THREADS)


def test_on_a_gpu_the_share_is_of_bytes() -> None:
    made = plan("resnet8", "digits", width=4, precision="float32", device="cpu")
    module = build("resnet8w4", (1, 8, 8), 10)
    activations = 3 * 4 * 64 + 3 * 8 * 16 + 3 * 16 * 4 + 10
    assert moved_bytes(module, made) == 14 * 4 * activations
    layout = Layout(1, 1, 1, 1000.0)
    one = Bench((layout,), layout, 1000.0, 1e6, None, None, 2e6, 1e10, 1.0, 1.0, 1, 1, 1, "")
    assert one.share == pytest.approx(0.2)


def test_layouts_end_where_memory_does(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = bench_module.speed

    def short(made: Plan, parts: Any, *others: Any) -> tuple[float, float]:
        if len(parts) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return speed(made, parts, *others)

    monkeypatch.setattr(machine, "workers", lambda chosen: 1)
    monkeypatch.setattr(bench_module, "speed", short)
    found = measure(plan("lenet", "digits", epochs=1, device="cpu"), seconds=0.02)
    assert [layout.replicas for layout in found.layouts] == [1]


def test_an_estimate_is_measured_with_the_kernels_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[torch.nn.Module] = []

    def note(module: torch.nn.Module, **options: Any) -> torch.nn.Module:
        compiled.append(module)
        return module

    monkeypatch.setattr(torch, "compile", note)
    for choice, times in (("off", 0), ("on", 1)):
        made = plan("lenet", "digits", epochs=1, device="cpu", compile=choice)
        assert estimate(made).images_per_second > 0
        assert len(compiled) == times


def test_the_peak_is_measured() -> None:
    assert convolution_peak(seconds=0.05) > 1e8


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_convolutions_alone_are_measured_in_the_precision(precision: str) -> None:
    made = plan("resnet8", "digits", width=4, precision=precision, batch_size=16, device="cpu")
    module = build("resnet8w4", (1, 8, 8), 10)
    seen: list[tuple[torch.Size, torch.dtype]] = []
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda _, given, out: seen.append((out.shape, out.dtype)))
    assert convolutions_speed(module, made, repeats=1) > 0
    batch = [x for x in seen if x[0][0] == 16]
    assert len(batch) == 2 * 9  # a warm-up and a measurement of nine convolutions
    assert {dtype for _, dtype in batch} == {
        torch.float32 if precision == "float32" else torch.bfloat16
    }
    assert all(parameter.grad is None for parameter in module.parameters())


def test_the_command_prints_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "workers", lambda chosen: 1)
    with pytest.raises(SystemExit) as left:
        main(["bench", "lenet", "digits", "--seconds", "0.02", "--json", "--device", "cpu"])
    assert not left.value.code
    rows = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in rows] == [
        "speed", "arithmetic", "achieved", "peak", "share", "ceiling", "layout", "layout",
        "test set", "level", "experiment",
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit) as left:
        main(["bench", "lenet", "digits", "--seconds", "0"])
    assert left.value.code == 2


def test_the_same_three_ways_to_name_an_experiment() -> None:
    found = rgtool.bench("lenet", "digits", seconds=0.01, epochs=1, device="cpu", workers=1)
    assert found.layouts[0].images_per_second > 0
    seen = read(found._repr_html_())
    assert seen.header == ["what", "value", "unit", "note"] and seen.below == [*found.notes]
    assert seen.caption == "lenet/digits, batch 128, float32, eager kernels, cpu"
    assert ["level", "1 epoch, one seed"] in [[row[0], row[3]] for row in seen.rows]
    assert sum(row[0] == "layout" and "; chosen: " in row[3] for row in seen.rows) == 1
    made = rgtool.plan("lenet", "digits", seeds=3, device="cpu", workers=2, epochs=1)
    assert (made.workers, made.recipe.epochs) == (2, 1)
    with pytest.raises(UsageError, match="workers is 0"):
        rgtool.bench("lenet", "digits", workers=0)
