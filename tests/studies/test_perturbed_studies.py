"""Perturbed tickets from end to end: what is missing is trained, the rest is measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Cli

import rgtool
from rgtool import RgtoolError, Store
from rgtool.runner.event import Event
from rgtool.runner.plan import Plan
from rgtool.schemas.errors import Unfinished, UsageError
from rgtool.studies.perturbed_plans import plan_perturbed
from rgtool.studies.response import plan_response

SMALL: dict[str, Any] = {"train_size": 150, "epochs": 2, "batch_size": 32, "rewind": "2it"}
WHAT = "lenet/digits"
ASKED: dict[str, Any] = {"by": "layer", "level": 3, "workers": 1}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a LeNet of three seeds and five prunings, not to be written."""
    store = tmp_path_factory.mktemp("perturbed") / "store"
    rgtool.run(
        "lenet", "digits", seeds=3, levels=5, store=store, workers=1, progress=False, **SMALL
    )
    return store


def watching(heard: list[Plan], stop: Callable[[], bool] = lambda: False) -> Any:
    @contextmanager
    def watch(made: Plan) -> Iterator[tuple[Callable[[Event], None], Callable[[], bool]]]:
        heard.append(made)
        yield lambda event: None, stop

    return watch


@pytest.fixture(scope="module")
def trained(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Plan]]:
    """A copy with all perturbed tickets, and runs that prune on from them; not to be written."""
    store, heard = tmp_path_factory.mktemp("trained") / "store", list[Plan]()
    shutil.copytree(source, store)
    rgtool.intervene(store, WHAT, watch=watching(heard), **ASKED)
    rgtool.response(store, WHAT, levels=2, watch=watching(heard), **ASKED)
    return store, heard


@pytest.fixture
def store(source: Path, tmp_path: Path) -> Path:
    """A copy without them."""
    shutil.copytree(source, tmp_path / "store")
    return tmp_path / "store"


def test_every_group_is_trained_thinner_and_thicker_once(
    trained: tuple[Path, list[Plan]],
) -> None:
    store, heard = trained
    tickets = [made for made in heard if made.recipe.start is None]
    found = rgtool.intervene(store, WHAT, watch=watching(heard), **ASKED)
    assert [made.recipe.transform for made in tickets] == [
        f"perturb:layer={name}:{factor}" for name in found.names for factor in (0.8, 1.25)
    ]
    assert all(made.at == (3,) and made.remaining() == 0 for made in tickets)
    number = len(heard)
    again = rgtool.intervene(store, WHAT, watch=watching(heard), **ASKED)
    assert again.to_frame().equals(found.to_frame()) and again.notes == found.notes
    own = Store(store).counts(WHAT, "layer")
    for made in tickets:
        child = Store(store).counts(made.recipe.experiment_id, "layer")
        assert (child.kept[:, 3].sum(axis=1) == own.kept[:, 3].sum(axis=1)).all()
    few = rgtool.intervene(store, WHAT, seeds="0,2", watch=watching(heard), **ASKED)
    assert few.by_seed.shape[0] == 2 and len(heard) == number
    np.testing.assert_array_equal(few.by_seed, found.by_seed[[0, 2]])


def test_chi_is_that_of_the_records(trained: tuple[Path, list[Plan]]) -> None:
    store, _ = trained
    found = rgtool.intervene(store, WHAT, **ASKED)
    name = found.names[0]
    own = Store(store).counts(WHAT, "layer")
    place = own.names.index(name)
    ends, made = [], plan_perturbed(store, WHAT, **ASKED).children
    for child in (made[name, "thinner"], made[name, "thicker"]):
        counts = Store(store).counts(child.recipe.experiment_id, "layer")
        ends.append((np.log(1 - counts.accuracy[:, 3]), np.log(counts.kept[:, 3, place])))
    (thin, less), (thick, more) = ends
    np.testing.assert_allclose(found.by_seed[:, 0], (thick - thin) / (more - less))


def test_runs_prune_on_from_perturbed_tickets(trained: tuple[Path, list[Plan]]) -> None:
    store, heard = trained
    onward = [made for made in heard if made.recipe.start is not None]
    assert {made.recipe.start for made in onward} == {3}
    assert {made.at for made in onward} == {(3, 4, 5)}
    assert all(str(made.recipe.transform).endswith(":random") for made in onward)
    number = len(heard)
    found = rgtool.response(store, WHAT, levels=2, watch=watching(heard), **ASKED)
    assert len(heard) == number and len(onward) == 2 * len(found.names)
    assert found.levels == (3, 5) and len(found.operator) == 3
    assert len(found.to_frame()) == len(found.names) - 1
    one = rgtool.response(store, WHAT, levels=1, watch=watching(heard), **ASKED)
    assert one.levels == (3, 4) and len(heard) == number
    own = Store(store).counts(WHAT, "layer").kept.sum(axis=-1)
    assert found.rescaling == pytest.approx(np.log(own[:, 3] / own[:, 5]).mean())


def test_what_the_source_lacks_is_trained_unperturbed(store: Path) -> None:
    heard: list[Plan] = []
    rgtool.response(store, WHAT, levels=3, seeds=1, watch=watching(heard), **ASKED)
    first = heard[0]
    assert first.recipe.transform is None and first.recipe.start == 3
    assert first.at == (3, 4, 5, 6)
    own = Store(store).counts(WHAT, "layer")
    again = Store(store).counts(first.recipe.experiment_id, "layer")
    np.testing.assert_array_equal(again.kept[0, 3:6], own.kept[0, 3:6])


def test_what_was_stopped_goes_on(store: Path) -> None:
    heard: list[Plan] = []
    child = "^lenet/digits, perturb:layer=fc1:0.8: "
    with pytest.raises(Unfinished, match=f"{child}.*goes on") as stopped:
        rgtool.intervene(store, WHAT, watch=watching(heard, lambda: True), **ASKED)
    assert len(heard) == 1 and stopped.value.exit_code == 3
    heard.clear()
    asked = {**ASKED, "seeds": 1}
    found = rgtool.intervene(store, WHAT, watch=watching(heard), **asked)
    assert len(heard) == 2 * len(found.names)


def test_seeds_are_those_of_the_experiment(store: Path) -> None:
    assert plan_perturbed(store, WHAT, **ASKED).seeds == (0, 1, 2)
    with pytest.raises(UsageError, match="no run of seed 3"):
        plan_perturbed(store, WHAT, seeds="7", **ASKED)
    with pytest.raises(UsageError, match="paired with the runs that found them"):
        plan_perturbed(store, WHAT, seeds="5:0", **ASKED)


def test_a_factor_and_its_inverse_are_one_question(store: Path) -> None:
    thin, thick = (plan_perturbed(store, WHAT, factor=factor, **ASKED) for factor in (0.8, 1.25))
    assert thin.factor == thick.factor == 0.8
    assert [made.recipe for made in thin.children.values()] == [
        made.recipe for made in thick.children.values()
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"level": 0}, "level=0: .* from 1 on"),
        ({"level": 17}, "level 17"),
        ({"factor": 1.0}, "factor=1.0: .* not 1"),
        ({"factor": -0.5}, "factor=-0.5"),
        ({"factor": float("nan")}, "factor"),
        ({"factor": 1e-6}, "no group by layer can be perturbed at level 3: .*would keep none"),
        ({"by": "colour"}, "grouping"),
        ({"by": "stage"}, "stage"),
        ({"choice": "best"}, "choice"),
        ({"parent": "x"}, "parent is none of the target's own"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    wrong: dict[str, Any], message: str, source: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        plan_perturbed(source, WHAT, **{**ASKED, **wrong})


def test_deviations_are_read_after_a_pruning(source: Path) -> None:
    with pytest.raises(UsageError, match="levels=0: .*1 or more"):
        plan_response(source, WHAT, levels=0, **ASKED)


def test_a_window_is_held_to_the_source_before_anything_is_computed(store: Path) -> None:
    heard: list[Plan] = []
    for study in (rgtool.intervene, rgtool.response):
        with pytest.raises(UsageError, match="2:9"):
            study(store, WHAT, window=(2, 9), watch=watching(heard), **ASKED)
    assert not heard


def test_an_experiment_without_masks_is_refused(source: Path) -> None:
    with pytest.raises(RgtoolError):
        rgtool.intervene(source, "published:renda2020-resnet56", **ASKED)


def test_commands_show_what_python_finds(
    trained: tuple[Path, list[Plan]], cli: Cli, tmp_path: Path
) -> None:
    store, _ = trained
    where = ["--store", str(store), "--by", "layer", "--level", "3", "--workers", "1"]
    dry = cli("intervene", WHAT, *where, "--dry-run")
    assert dry.code == 0 and "nothing was computed" in dry.err and "fc1 thinner" in dry.out
    figure = tmp_path / "chi.png"
    shown = cli("intervene", WHAT, *where, "--json", "--plot", str(figure))
    assert shown.code == 0 and figure.stat().st_size > 0
    frame = rgtool.intervene(store, WHAT, **ASKED).to_frame()
    assert [row["chi"] for row in json.loads(shown.out)] == frame["chi"].to_list()
    both = cli("response", WHAT, *where, "--matrix", "--directions")
    assert both.code == 2 and "ask for one of them" in both.err
    found = rgtool.response(store, WHAT, levels=1, **ASKED)
    for option, result in (
        ((), found),
        (("--matrix",), found.matrix),
        (("--directions",), found.directions),
    ):
        done = cli("response", WHAT, *where, "--levels", "1", "--json", *option)
        assert done.code == 0 and json.loads(done.out) == result.to_frame().to_dicts()


def test_children_of_changed_tickets_are_no_schemes(trained: tuple[Path, list[Plan]]) -> None:
    store, heard = trained
    child = next(made.recipe for made in heard if made.recipe.start is not None)
    assert child.parent is not None
    found = rgtool.scheme(store, [child.parent, child.experiment_id], by="layer", published=False)
    assert len(found.schemes) == 1
    assert any(
        "left out" in note and child.experiment_id in note and "no scheme of its own" in note
        for note in found.notes
    )


def test_tickets_of_one_level_need_no_start_in_their_label(
    trained: tuple[Path, list[Plan]],
) -> None:
    store, heard = trained
    labels = {
        made.recipe.start: Store(store).counts(made.recipe.experiment_id, "layer").label
        for made in heard
    }
    assert "start=3" in labels[3] and "start" not in labels[None]


def test_what_cannot_be_asked_for_is_refused_before_training(store: Path) -> None:
    heard = list[Plan]()
    for asked in ({"margin": -1.0}, {"coordinates": "shape"}):
        with pytest.raises(UsageError, match="|".join(asked)):
            rgtool.response(store, WHAT, watch=watching(heard), **ASKED, **asked)
    assert not heard
