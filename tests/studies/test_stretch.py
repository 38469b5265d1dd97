"""Stretched tickets in earnest: what is trained, what it is held to, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Cli
from experiments import results, stop_at

import rgtool
from rgtool import RgtoolError, Store
from rgtool.analysis.elastic.stretched import Stretch
from rgtool.runner.plan import Plan
from rgtool.runner.tickets.elastic import stretched
from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import UsageError
from rgtool.schemas.records import record
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors
from rgtool.studies.complete import Watch, Watching
from rgtool.studies.stretch_plans import plan_stretch

SMALL: dict[str, Any] = {"train_size": 150, "epochs": 2, "batch_size": 32, "rewind": "2it"}
COMMON: dict[str, Any] = {**SMALL, "workers": 1, "progress": False}
SOURCE, TARGET = "resnet20w2/digits", "resnet26w2"
ONCE: dict[str, Any] = {"workers": 1, "at": "2,4"}
Found = tuple[Path, Stretch]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A store of a source, stretched by its first map with two controls."""
    store = tmp_path_factory.mktemp("stretch") / "store"
    rgtool.run("resnet20", "digits", width=2, seeds=2, levels=4, store=store, **COMMON)
    return store, rgtool.stretch(store, SOURCE, TARGET, **ONCE)


def runs_of(store: Path, experiment: str) -> list[RunFolder]:
    runs = Store(store).runs()
    return [RunFolder.of(store, one.run_id) for one in runs if one.experiment_id == experiment]


def test_the_first_map_has_a_random_one_and_a_shuffle_beside(found: Found) -> None:
    store, made = found
    frame = made.to_frame()
    assert frame["ticket"].to_list() == [
        x for x in ("first", "random map", "shuffle") for _ in "ab"
    ]
    assert frame["level"].to_list() == [2, 4] * 3
    assert frame["seeds"].to_list() == [2] * 6
    first, drawn, shuffle = (frame.filter(ticket=x) for x in ("first", "random map", "shuffle"))
    assert set(first["transform"]) == set(shuffle["transform"]) != set(drawn["transform"])
    assert first["density"].to_list() == shuffle["density"].to_list()
    assert first["own"].is_not_null().all()
    ranked = rgtool.match(store, SOURCE, made.own, draws=1)
    assert first["transform"][0] == str(ranked.best)
    recipe = Store(store).experiments(made.own)[0].recipe
    theirs = Store(store).experiments(SOURCE)[0].recipe
    fields = theirs.to_json() | {"architecture": TARGET}
    assert recipe.to_json() == fields  # the source's training, at another depth


def test_children_train_the_ticket_that_the_map_makes(found: Found) -> None:
    store, made = found
    parents = {run.path.name for run in runs_of(store, made.source)}
    here, there = architecture("resnet20w2"), architecture("resnet26w2")
    for line, transform in zip(made.lines[:2], made.tickets.transforms, strict=False):
        for run in runs_of(store, line.experiment):
            description = run.read_description()
            parent = RunFolder.of(store, description.parent_run)
            assert description.parent_run in parents
            assert description.parent_run.endswith(f"-s{description.seed}")
            for level in (2, 4):
                mask = read_mask(run.mask(level))
                expected = stretched(read_mask(parent.mask(level)), here, there, transform)
                assert mask.keys() == expected.keys()
                assert all(np.array_equal(mask[name], expected[name]) for name in mask)
            weights = read_tensors(run.weights("rewind"))[0]
            carried = stretched(read_tensors(parent.weights("rewind"))[0], here, there, transform)
            assert weights.keys() == carried.keys()
            assert all(np.array_equal(weights[name], carried[name]) for name in weights)


def test_the_identity_is_the_parents_own_ticket_bit_for_bit(found: Found) -> None:
    store, _ = found
    made = rgtool.run(
        "resnet20w2", "digits", parent=SOURCE, transform="0:0;1:1;2:2", seeds=2, at="2,4",
        store=store, workers=1, progress=False,
    )  # fmt: skip
    measured = [*record.columns("level", measured=True), "run_id"]
    for run_id in made.runs.values():
        child = RunFolder.of(store, run_id)
        parent = RunFolder.of(store, child.read_description().parent_run)
        for level in (2, 4):
            one, other = (
                run.read_record(level).drop_columns([*measured, "magnitude_prev"])
                for run in (child, parent)
            )
            assert one == other


def test_what_is_there_is_not_trained_again(found: Found) -> None:
    store, made = found
    heard: list[Plan] = []
    again = rgtool.stretch(store, SOURCE, TARGET, watch=watching(heard), **ONCE)
    assert heard == []
    assert again.to_frame().equals(made.to_frame())
    fresh = rgtool.stretch(store, SOURCE, TARGET, watch=watching(heard), controls="reinit", **ONCE)
    assert [plan.recipe.control for plan in heard] == ["reinit"]
    assert fresh.to_frame()["ticket"].to_list() == ["first", "first", "reinit", "reinit"]


def watching(heard: list[Plan], stop: Callable[[], bool] = lambda: False) -> Watch:
    @contextmanager
    def watch(made: Plan) -> Iterator[Watching]:
        heard.append(made)
        yield lambda event: None, stop

    return watch


def test_what_was_stopped_goes_on_to_the_same(found: Found, tmp_path: Path) -> None:
    store, made = found
    other = tmp_path / "store"
    rgtool.run("resnet20", "digits", width=2, seeds=2, levels=4, store=other, **COMMON)
    for asked in (3, 40, 70):
        with pytest.raises(RgtoolError, match="the same command goes on where it was"):
            watch = watching([], stop_at(asked))
            rgtool.stretch(other, SOURCE, TARGET, controls="none", watch=watch, **ONCE)
    again = rgtool.stretch(other, SOURCE, TARGET, controls="none", **ONCE).to_frame()
    assert again.equals(made.to_frame().filter(ticket="first").select(again.columns))
    mine, theirs = results(other), results(store)
    assert mine.items() <= theirs.items()


def test_maps_are_given_drawn_or_of_the_ranking(found: Found) -> None:
    store, _ = found
    made = plan_stretch(
        store, SOURCE, TARGET, maps=["last", "0:0;1:1,3;2:2", "random:3"], controls="none", **ONCE
    )
    tickets, notes = made.tickets()
    names = [ticket.name for ticket in tickets]
    assert names[:2] == ["last", "given"] and 2 <= len(names) <= 5
    ranked = rgtool.match(store, SOURCE, made.own.recipe.experiment_id, draws=1)
    assert tickets[0].transform == ranked.transforms[-1]
    assert str(tickets[1].transform) == "0:0;1:1,3;2:2"
    assert notes == []
    again, _ = made.tickets()
    assert again == tickets
    every = plan_stretch(store, SOURCE, TARGET, maps="every", controls=(), **ONCE)
    assert len(every.tickets()[0]) == len(ranked.transforms) == every.number


def test_the_target_prunes_until_it_is_as_sparse(found: Found) -> None:
    store, made = found
    own = Store(store).counts(made.own, "layer")
    density = own.kept[:, -1].sum(axis=-1) / own.total.sum()
    assert density.max() <= np.nanmin(made.tickets.density)
    assert np.isfinite(made.tickets.own).all()


def test_a_lone_map_has_no_random_one(found: Found) -> None:
    store, _ = found
    rgtool.run("resnet14", "digits", width=2, seeds=2, levels=4, store=store, **COMMON)
    made = plan_stretch(store, "resnet14w2/digits", "resnet20w2", maps="0:0;1:1,2", at=2)
    tickets, notes = made.tickets()
    assert [ticket.name for ticket in tickets] == ["given", "shuffle"]
    assert any("no other map leads from resnet14w2 to resnet20w2" in note for note in notes)


# Bad input


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"maps": "0:0;1:1"}, "makes 1 normal blocks in stage 1, and resnet26w2 has 3"),
        ({"maps": "best"}, "transform: expected a source block"),
        ({"maps": "random:0"}, "random:8 draws eight maps"),
        ({"maps": ()}, "no map is asked for"),
        ({"controls": "magic"}, "control 'magic'"),
        ({"at": "2,9"}, "no record of level 9"),
        ({"seeds": "7"}, "no run of seed 2: choose from 0,1"),
        ({"seeds": "7,"}, "no run of seed 7: choose from 0,1"),
        ({"seeds": "5:0"}, "seeds 5:0: .* none are paired here, choose from 0,1"),
        ({"maps": "random8"}, "random:8 draws eight maps"),
        ({"kind": "published"}, "no published maps"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    found: Found, changes: dict[str, Any], said: str
) -> None:
    store, _ = found
    heard: list[Plan] = []
    with pytest.raises(RgtoolError, match=said):
        rgtool.stretch(store, SOURCE, TARGET, watch=watching(heard), **{**ONCE, **changes})
    assert heard == []


@pytest.mark.parametrize("asked", ["first", "last", "every"])
def test_a_source_that_ranks_no_maps_is_refused_before_the_target_is_trained(
    cli: Cli, tmp_path: Path, asked: str
) -> None:
    store = tmp_path / "store"
    rgtool.run("resnet20", "digits", width=2, seeds=1, levels=1, store=store, **COMMON)
    there = len(Store(store).runs())
    for more in ([], ["--dry-run"]):
        words = ["--at", "1", "--map", asked, "--workers", "1", "--store", str(store)]
        done = cli("stretch", SOURCE, TARGET, *words, *more)
        assert done.code == 2 and "ranks the maps" in done.err and "give maps" in done.err
    assert len(Store(store).runs()) == there
    assert plan_stretch(store, SOURCE, TARGET, maps="0:0;1:1,3;2:2", at=1, workers=1).at == (1,)


def test_a_child_with_gaps_ranks_no_maps(found: Found) -> None:
    store, _ = found
    child = rgtool.run(
        "resnet20w2", "digits", parent=SOURCE, control="shuffle", seeds=2, at="4",
        store=store, workers=1, progress=False,
    )  # fmt: skip
    with pytest.raises(UsageError, match="ranks the maps"):
        plan_stretch(store, child.experiment_id, TARGET, at="4", workers=1)


def test_nothing_is_copied_where_nothing_is_repeated(found: Found) -> None:
    store, made = found
    heard: list[Plan] = []
    with pytest.raises(UsageError, match="here none is repeated"):
        rgtool.stretch(
            store, made.own, "resnet20w2", controls="copies", watch=watching(heard), **ONCE
        )
    assert heard == []


def test_other_families_are_refused(found: Found) -> None:
    store, _ = found
    with pytest.raises(UsageError, match="different families"):
        rgtool.stretch(store, SOURCE, "resnet26w4", **ONCE)
    with pytest.raises(UsageError, match="no stages of residual blocks"):
        rgtool.stretch(store, SOURCE, "lenet", **ONCE)


def test_parents_without_weights_are_refused(found: Found, tmp_path: Path) -> None:
    bare = tmp_path / "store"
    Store(bare).merge(found[0])
    for path in bare.glob("runs/*/weights/*"):
        path.unlink()
    heard: list[Plan] = []
    with pytest.raises(RgtoolError, match="has kept no (rewind|init) weights"):
        rgtool.stretch(bare, SOURCE, TARGET, maps="0:0;1:1,3;2:2", watch=watching(heard), **ONCE)
    assert heard == []


# The command


def test_the_command_says_what_it_would_do_and_does_it(
    cli: Cli, found: Found, tmp_path: Path
) -> None:
    store, made = found
    asked = ["stretch", SOURCE, TARGET, "--at", "2,4", "--workers", "1", "--store", str(store)]
    dry = cli(*asked, "--dry-run", "--map", "last", "--map", "random:4")
    assert dry.code == 0, dry.err
    assert "records of tickets" in dry.out and "28 at most" in dry.out
    wrong = cli(*asked, "--plot", str(tmp_path / "figure.txt"))
    assert wrong.code == 2 and "a figure ends in .png, .svg or .pdf" in wrong.err
    figure = tmp_path / "new" / "figure.svg"
    done = cli(*asked, "--json", "--plot", str(figure))
    assert done.code == 0, done.err
    assert "random map" in figure.read_text() and f"drawn: {figure}" in done.err
    assert f'"{made.tickets.transforms[0]}"' in done.out
    assert "first at level 4" in done.err
    trained = cli("match", SOURCE, made.own, "--trained", "--store", str(store))
    assert trained.code == 0, trained.err
    assert "no tau of w1 against accuracy at level 4: 2 maps have all seeds" in trained.err
    table = cli("match", SOURCE, made.own, "--trained", "--agreement", "--store", str(store))
    assert "measured density" in table.out
    for wrong in (["--trained", "--all"], ["--agreement"], ["--at", "4"]):
        assert cli("match", SOURCE, made.own, *wrong, "--store", str(store)).code == 2
