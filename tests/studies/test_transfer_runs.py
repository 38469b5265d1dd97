"""Transfers from end to end: what is missing is trained, the rest is measured."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Cli

import rgtool
from rgtool.runner.event import Event
from rgtool.runner.plan import Plan
from rgtool.schemas.errors import Unfinished
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask

TWIN = "permuted:digits:0"
QUICK: dict[str, Any] = {"recipe": "quick", "epochs": 1, "levels": 4, "workers": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with LeNets on digits and on a twin, two seeds and four prunings each."""
    path = tmp_path_factory.mktemp("transfer") / "store"
    for task in ("digits", TWIN):
        rgtool.run("lenet", task, seeds=2, store=path, progress=False, **QUICK)
    return path


def watching(heard: list[Plan], stop: Callable[[], bool]) -> Callable[[Plan], object]:
    @contextmanager
    def watch(made: Plan) -> Iterator[tuple[Callable[[Event], None], Callable[[], bool]]]:
        heard.append(made)
        yield lambda event: None, stop

    return watch


def transfer(store: Path, task: str = TWIN, **changes: Any) -> Any:
    return rgtool.transfer(
        store, "lenet/digits", task, **{"at": (0, 2, 4), "workers": 1, **changes}
    )


def test_what_is_missing_is_trained_once(store: Path) -> None:
    heard: list[Plan] = []
    watch = watching(heard, lambda: False)
    found = transfer(store, watch=watch)
    assert [made.recipe.control for made in heard] == ["none", "shuffle", "random", "reinit"]
    assert all(made.recipe.parent == found.source for made in heard)  # the twin's own is there
    frame = found.to_frame()
    assert frame["condition"].unique(maintain_order=True).to_list() == [
        "own", "transferred", "shuffle", "random", "reinit",
    ]  # fmt: skip
    assert frame.filter(condition="transferred")["level"].to_list() == [0, 2, 4]
    assert frame.filter(condition="reinit")["level"].to_list() == [2, 4]
    assert set(frame["runs"]) == {2}
    assert any("only the mask is transferred" in note for note in found.notes)
    again = transfer(store, watch=watch)
    assert len(heard) == 4 and again.to_frame().equals(frame)
    more = transfer(store, at="0,1,2,4", controls=(), watch=watch)
    assert [(made.recipe.control, made.remaining()) for made in heard[4:]] == [("none", 0)]
    assert more.to_frame().filter(condition="transferred")["level"].to_list() == [0, 1, 2, 4]


@pytest.mark.parametrize("none", ["none", "None", ["none"], None, (), ""])
def test_no_controls_are_asked_for_in_python_as_in_the_command(store: Path, none: Any) -> None:
    found = transfer(store, "digits", controls=none)
    assert {cell.condition for cell in found.cells} == {"own", "transferred"}


def test_the_own_task_is_the_same_runs_again(store: Path) -> None:
    found = transfer(store, "digits", controls="reinit")
    assert found.own == found.source
    rows = found.to_frame().filter(condition="transferred")
    assert rows["to_own"].to_list() == [0.0, 0.0, 0.0]
    assert any("the source's own task" in note for note in found.notes)
    assert found.to_frame().filter(condition="reinit")["to_own"].null_count() == 0


def test_tickets_of_other_seeds_come_with_their_weights(store: Path) -> None:
    found = transfer(store, "permuted:digits:2", controls=(), at=(2,), seeds="5:0,6:1")
    (own, moved) = (rgtool.Store(store).counts(cell.experiment_id) for cell in found.cells)
    assert own.seeds == moved.seeds == (5, 6) and found.cells[1].to_own.pairs == 2
    assert rgtool.Store(store).description(moved.runs[0]).parent_run == f"{found.source}-s0"
    assert not any("only the mask is transferred" in note for note in found.notes)


def test_only_the_runs_that_are_asked_for_are_measured(store: Path) -> None:
    """Whatever other seeds and pairings the child experiments hold by now."""
    twin = "permuted:digits:3"
    asked: dict[str, Any] = {"controls": ["shuffle"], "at": (2, 4)}
    first = transfer(store, twin, **asked)
    crossed = transfer(store, twin, seeds="0:1,1:0", **asked)
    transfer(store, twin, seeds="5:0,6:1", **asked)
    again = transfer(store, twin, **asked)
    assert again.to_frame().equals(first.to_frame()) and again.notes == first.notes
    assert crossed.to_frame().equals(transfer(store, twin, seeds="0:1,1:0", **asked).to_frame())
    counts = rgtool.Store(store).counts(first.of("transferred")[0].experiment_id, "layer")
    assert sorted(counts.seeds) == [0, 0, 1, 1, 5, 6]
    of = {
        (seed, rgtool.Store(store).description(run).parent_run): counts.accuracy[i, 4]
        for i, (run, seed) in enumerate(zip(counts.runs, counts.seeds, strict=True))
    }
    own = rgtool.Store(store).counts(first.own, "layer")
    for found, parents in ((first, (0, 1)), (crossed, (1, 0))):
        cell = found.of("transferred")[1]
        expected = {
            seed: of[seed, f"{first.source}-s{parent}"]
            - own.accuracy[own.seeds.index(seed), own.levels == 4].item()
            for seed, parent in enumerate(parents)
        }
        assert cell.runs == 2 and cell.to_own.by_seed == pytest.approx(expected)
        assert found.of("own")[0].runs == 2
    (row,) = (
        transfer(store, twin, seeds=1, **asked)
        .to_frame()
        .filter(condition="own", level=4)["runs"]
        .to_list()
    )
    assert row == 1


def test_the_own_task_by_other_tickets_is_not_the_same_runs(store: Path) -> None:
    for changes in ({"seeds": "0:1,1:0"}, {"fresh": "fc1"}):
        found = transfer(store, "digits", controls=(), at=(2,), **changes)
        assert not any("the same runs again" in note for note in found.notes)
    (cell,) = found.of("transferred")
    assert cell.to_own.estimate.value != 0


def test_the_target_may_be_trained_by_another_recipe(store: Path) -> None:
    other = "permuted:digits:1"
    found = transfer(store, other, controls=(), at=(2,), train_size=300, batch_size=64, seeds="1")
    recipes = [
        rgtool.Store(store).counts(one).recipe for one in (found.own, found.cells[-1].experiment_id)
    ]
    assert [(one.train_size, one.batch_size, one.task) for one in recipes] == [(300, 64, other)] * 2
    assert recipes[1].parent == found.source and recipes[0].parent is None
    assert {cell.runs for cell in found.cells} == {1}


def test_what_was_stopped_goes_on(store: Path, tmp_path: Path) -> None:
    rgtool.run("lenet", "digits", store=tmp_path, progress=False, **QUICK | {"levels": 2})
    heard: list[Plan] = []
    with pytest.raises(Unfinished, match=f"^lenet/{TWIN}: not finished .*goes on") as stopped:
        transfer(tmp_path, at=(0, 2), watch=watching(heard, lambda: True))
    assert len(heard) == 1 and stopped.value.exit_code == 3
    heard.clear()
    found = transfer(
        tmp_path, at=(0, 2), controls=["shuffle"], watch=watching(heard, lambda: False)
    )
    assert len(heard) == 3 and len(found.to_frame()) == 2 + 2 + 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"controls": ["shufle"]}, "control 'shufle' is unknown: did you mean shuffle"),
        ({"controls": ["own"]}, "control 'own' is unknown"),
        ({"at": (0,)}, "the dense network has no mask, of which controls are"),
        ({"at": "x"}, "give levels such as 0,4,8"),
        ({"at": (True,)}, r"at \(True,\): give levels such as 0,4,8"),
        ({"task": None}, "None is neither a name nor a function"),
        ({"at": (0, 9)}, "has no mask of level 9"),
        ({"seeds": 5}, "has no run of seed 2"),
        ({"task": "digts"}, "digts"),
        ({"task": "digits", "controls": ["pixels"]}, "it is for permuted:digits:SEED, and the"),
        ({"task": "permuted:mnist:0", "controls": ["pixels"]}, "digits"),
        ({"fresh": "fc7"}, "fc7"),
        ({"schedule": "backwards"}, "backwards"),
        ({"control": "shuffle"}, r"control is none of the target's own tickets: controls \("),
        ({"Transform": "pixels:0"}, "transform is none of the target's own tickets"),
        ({"parent": "lenet/digits"}, "parent is none of the target's own .* named first"),
    ],
)
def test_bad_input_is_said_before_anything_is_trained(
    store: Path, changes: dict[str, Any], said: str
) -> None:
    before = sorted((store / "runs").iterdir())
    with pytest.raises(rgtool.RgtoolError, match=said):
        transfer(store, **changes)
    assert sorted((store / "runs").iterdir()) == before


def shared(store: Path, experiments: Sequence[str], level: int) -> float:
    """What masks of equal seeds both keep, over the mean of what one keeps; fc has no mask."""
    found = []
    for seed in (0, 1):
        folders = [RunFolder.of(store, f"{name}-s{seed}") for name in experiments]
        masks = [read_mask(folder.mask(level)) for folder in folders]
        one, other = (np.concatenate([m[n].ravel() for n in ("fc1", "fc2")]) for m in masks)
        found.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    return float(np.mean(found))


def test_a_matrix_of_two_is_a_table_without_tests(store: Path) -> None:
    names = ["lenet/digits", f"lenet/{TWIN}"]
    found = rgtool.transfer_all(store, names, at=(2, 4), controls=["shuffle"], workers=1)
    assert found.names == ("digits", TWIN)
    rows = found.to_frame().to_dicts()
    assert [(row["source"], row["target"]) for row in rows] == [("digits", TWIN), (TWIN, "digits")]
    assert all(row["overlap"] > 0 and row["distance"] > 0 and row["told"] == 2 for row in rows)
    masks = [shared(store, found.experiments, level) for level in (2, 4)]
    assert [row["overlap"] for row in rows] == pytest.approx([sum(masks) / 2] * 2, rel=1e-6)
    assert any("2 experiments have 2 permutations" in note for note in found.notes)
    crossed = rgtool.transfer_all(
        store, names, at=(2, 4), controls=["shuffle"], workers=1, seeds="0:1,1:0"
    )
    assert {cell.runs for cell in crossed.transfers[1, 0].cells} == {2}
    again = rgtool.transfer_all(store, names, at=(2, 4), controls=["shuffle"], workers=1)
    assert again.to_frame().equals(found.to_frame()) and again.notes == found.notes
    assert again.level_table.to_frame().equals(found.level_table.to_frame())
    one = rgtool.transfer_all(store, names, at=(2, 4), controls=(), workers=1, seeds=1)
    assert {cell.runs for cell in one.transfers[0, 1].cells} == {1}
    (row,) = found.level_table.to_frame().filter(source=TWIN, condition="own", level=4).to_dicts()
    own = rgtool.Store(store).counts("lenet/digits prune=.2 train_size=none").accuracy[:, 4]
    assert row["accuracy"] == pytest.approx(own.mean())


def test_what_makes_no_matrix(store: Path) -> None:
    for names, said in (
        (["lenet/digits"], "1 experiment: a matrix is of two"),
        ("lenet/digits", "1 experiment: a matrix is of two"),
        (["lenet/digits"] * 2, "^[0-9a-f]{12} is named twice: a matrix is of two or more differ"),
    ):
        with pytest.raises(rgtool.RgtoolError, match=said):
            rgtool.transfer_all(store, names)
    with pytest.raises(rgtool.RgtoolError, match="train_size is that of each experiment"):
        rgtool.transfer_all(store, ["lenet/digits", f"lenet/{TWIN}"], train_size=300)


def test_seeds_of_a_matrix_are_those_in_common(store: Path, tmp_path: Path) -> None:
    for task, seeds in (("digits", "0,1"), (TWIN, "1,2"), ("permuted:digits:1", "3,")):
        rgtool.run(
            "lenet", task, seeds=seeds, store=tmp_path, progress=False, **QUICK | {"levels": 1}
        )
    names = ["lenet/digits", f"lenet/{TWIN}"]
    found = rgtool.transfer_all(tmp_path, names, controls=(), workers=1)
    assert {cell.runs for cell in found.transfers[0, 1].of("transferred")} == {1}
    with pytest.raises(rgtool.RgtoolError, match="no seed in common, by which tickets are"):
        rgtool.transfer_all(tmp_path, [names[0], "lenet/permuted:digits:1"])


def test_a_dry_run_trains_nothing(cli: Cli, tmp_path: Path) -> None:
    place = ("--store", str(tmp_path), "--workers", "1")
    rgtool.run("lenet", "digits", store=tmp_path, progress=False, **QUICK | {"levels": 4})
    done = cli("transfer", "lenet/digits", TWIN, *place, "--dry-run", "--csv")
    assert done.code == 0, done.err
    rows = list(csv.DictReader(done.out.splitlines()))
    assert [row["what"] for row in rows][:2] == [f"{TWIN}, own", f"digits to {TWIN}, transferred"]
    assert [int(row["to compute"]) for row in rows] == [5, 2, 1, 1, 1]
    assert "10 records to compute, about " in done.err
    assert "only the mask is transferred" in done.err
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_the_command(cli: Cli, store: Path, tmp_path: Path) -> None:
    place = ("--store", str(store), "--workers", "1")
    figure = tmp_path / "figure.png"
    done = cli("transfer", "lenet/digits", TWIN, "--at", "0,2,4", "--plot", str(figure), *place)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].split()[:4] == ["condition", "level", "density", "accuracy"]
    assert figure.exists()
    both = ["lenet/digits", f"lenet/{TWIN}", "--all", "--at", "2,4", "--controls", "shuffle"]
    for option, first in (("--levels", "source"), ("--predictors", "predictor")):
        done = cli("transfer", *both, *place, option)
        assert done.code == 0, done.err
        assert done.out.split()[0] == first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "1 name given: SOURCE and TASK, or --all and experiments"),
        (["a", "b", "--levels"], "--levels goes with --all"),
        (["a", "b", "--predictors"], "--predictors goes with --all"),
        (["a", "b", "--all", "--train-size", "9"], "--all and train_size"),
        (["a", "b", "--plot", "x.txt"], "a figure ends in"),
        (["a", "b", "--set", "parent=x"], "parent cannot be chosen"),
        (["a", "b", "--set", "control=shuffle"], "controls (--controls) names what is trained"),
        (["a", "b"], "holds no runs"),
    ],
)
def test_wrong_usage_of_the_command(
    cli: Cli, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = cli("transfer", *arguments, "--store", str(tmp_path))
    assert done.code in (1, 2) and said in done.err and len(done.err.splitlines()) <= 2
