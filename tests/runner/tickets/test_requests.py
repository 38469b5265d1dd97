"""What is asked of a child: resolved, said, or refused before anything is done."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from children import train
from experiments import REPLICA_CASES, SMALL, disk, go, replica_tasks

from rgtool.runner.plan import Plan, plan
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_tensors, write_tensors
from rgtool.store import Store
from rgtool.store.catalogue.parents import parent_of

LENET, RESNET = (tuple(case.values()) for case in REPLICA_CASES.values())


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a LeNet and of a ResNet-8, not to be written."""
    store: Path = tmp_path_factory.mktemp("found")
    with pytest.MonkeyPatch.context() as patch:
        replica_tasks(patch)
        go(store, *LENET, seeds="0,3")
        go(store, *RESNET, rewind="1ep")
    return store


@pytest.fixture
def store(found: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(found, tmp_path / "store")
    return tmp_path / "store"


def ask(
    store: Path, of: str = "lenet/few-digits", model: str = "", task: str = "", **changes: Any
) -> Plan:
    """Plan a child of the same network on the same task, but for what is changed."""
    own = of.split("/")
    options = {**({} if "at" in changes else {"levels": 2}), "store": store, **changes}
    return plan(model or own[0], task or own[1], parent=parent_of(Store(store), of), **options)


def run_of(store: Path, of: str = "lenet/few-digits") -> RunFolder:
    return RunFolder.of(store, parent_of(Store(store), of).runs[0])


# What a child is.


def test_a_child_is_trained_as_its_parent_was(found: Path) -> None:
    parent = parent_of(Store(found), "lenet/few-digits")
    made = ask(found)
    own = dataclasses.replace(made.recipe, parent=None)
    assert own == parent.recipe and made.recipe.epochs == SMALL["epochs"]
    assert made.parents == {0: parent.runs[0]} and made.at == (0, 1, 2)
    assert made.recipe_name == f"as {parent.experiment_id}"
    changed = ask(found, lr=0.05, batch_size=16)
    assert (changed.recipe.lr, changed.recipe.batch_size) == (0.05, 16)
    other = ask(found, recipe="quick", epochs=3)
    assert other.recipe_name == "quick" and other.recipe.batch_size == 128
    # How masks were found is the parent's, whatever the recipe says.
    assert (other.recipe.rounding, made.recipe.rounding) == ("openlth", "openlth")
    assert other.kept == made.kept == plan(*LENET, store=found, **SMALL).kept


def test_controls_and_fresh_layers_are_other_experiments(found: Path) -> None:
    controls = ("none", "shuffle", "random", "permute", "reinit")
    ids = {ask(found, control=control).recipe.experiment_id for control in controls}
    ids |= {ask(found, fresh=fresh).recipe.experiment_id for fresh in ("fc1", "fc1,fc")}
    ids |= {ask(found, transform="pixels:1").recipe.experiment_id}
    assert len(ids) == 8
    assert ask(found, fresh="FC, fc1").recipe.fresh == ("fc1", "fc")
    assert ask(found, fresh=["fc1", "fc"]).recipe == ask(found, fresh="fc,fc1").recipe


def test_older_recipes_have_no_fresh_layers() -> None:
    old = Recipe(architecture="lenet", task="mnist", control="reinit", parent="0123456789ab")
    values = {name: value for name, value in old.to_json().items() if name != "fresh"}
    assert Recipe.from_json(values) == old
    assert "fresh" not in old.non_defaults()
    assert old.experiment_id == "c14c045e74d0"


def test_levels_and_parents_are_shown(found: Path) -> None:
    made = ask(found, at="0,2", fresh="fc2", seeds="0,3")
    shown = {row[0]: row[1] for row in made.table().rows}
    assert shown["kept weights"].split() == [str(made.kept[0]), str(made.kept[2])]
    assert made.kept[0] == 50_200 and made.kept[1] > made.kept[2] > 40_000
    assert shown["parent of seed 3"] == made.parents[3]
    assert shown["records"] == "4, of which 4 are to be computed"


def test_the_rewind_point_is_the_iteration_of_the_parent(found: Path) -> None:
    of = "resnet8w4/synthetic"
    assert ask(found, of).recipe.rewind == "1ep"  # on its own data
    assert ask(found, of, batch_size=15).recipe.rewind == "5it"  # 10 steps an epoch, 5 there
    assert ask(found, of, task="few-digits", batch_size=64).recipe.rewind == "5it"
    assert ask(found, of, task="few-digits").recipe.rewind == "1ep"  # epochs as long as there


def test_points_of_the_schedule_move_along(found: Path) -> None:
    of = "resnet8w4/synthetic"
    assert ask(found, of).recipe.milestones == ("1ep", "8it")  # of 10
    assert ask(found, of, task="digits").recipe.milestones == ("1ep", "74it")  # of 92
    longer = ask(found, of, task="digits", epochs=4, warmup="3it").recipe
    assert (longer.milestones, longer.warmup) == (("2ep", "147it"), "3it")
    assert ask(found, of, task="digits", milestones=("1ep",)).recipe.milestones == ("1ep",)


def test_subsets_go_along_to_what_is_made_of_a_data_set(store: Path) -> None:
    go(store, "lenet", "digits", train_size=200)
    made = ask(store, "lenet/digits", task="permuted:digits:1", transform="pixels:1")
    assert made.recipe.train_size == 200
    assert ask(store, "lenet/digits", task="few-digits").recipe.train_size is None


# What is said.


def test_equal_initial_weights_are_said(store: Path) -> None:
    go(store, "lenet", "few-digits", rewind="0", seeds="0,3")
    of = "lenet/few-digits rewind=0it"
    options = {"of": of, "model": "lenet", "task": "permuted:few-digits:1"}
    (said,) = ask(store, **options, seeds="0,3").notes
    assert "seeds 0, 3 draw the weights of their tickets here, too: only masks are" in said
    assert 'seeds="100:0,103:3" pairs other seeds' in said
    for seeds in ("5:0,3", "3,5:0"):
        (said,) = ask(store, **options, seeds=seeds).notes
        assert said.startswith("seed 3 draws the weights of its ticket here, too: only the mask is")
        assert said.endswith(f'seeds="{seeds.replace("3", "103:3", 1)}" pairs another seed')
    assert "only the mask is" in ask(store, **options, control="shuffle").notes[0]
    unsaid = [{"seeds": "100:0,103:3"}, {"control": "reinit"}, {"transform": "pixels:1"}]
    for changes in unsaid:
        assert not ask(store, **{**options, **changes}).notes
    # Rewound to a later point the weights have learned; on the own data nothing is transferred.
    assert not ask(store, "lenet/few-digits rewind=2it", "lenet", "permuted:few-digits:1").notes
    assert not ask(store, of, "lenet", "few-digits").notes


def test_layers_that_are_drawn_unasked_are_said(found: Path) -> None:
    of = "resnet8w4/synthetic"
    made = ask(found, of, task="few-digits")
    assert made.recipe.fresh == ("conv1",)
    assert made.notes == (
        "conv1: of another shape than the parent's, so drawn from the seed and left dense",
    )
    asked = ask(found, of, task="few-digits", fresh="conv1")
    assert asked.recipe == made.recipe and not asked.notes


def test_a_head_of_another_size_is_drawn(store: Path) -> None:
    run = run_of(store)
    weights = read_tensors(run.weights("rewind"))[0]
    weights["fc.weight"], weights["fc.bias"] = weights["fc.weight"][:4], weights["fc.bias"][:4]
    write_tensors(run.weights("rewind"), weights)
    made = ask(store)
    assert made.recipe.fresh == ("fc",) and "fc: of another shape" in made.notes[0]


# What is refused.


@pytest.mark.parametrize("layer", ["fc1", "fc"])
def test_layers_that_a_parent_lacks_are_not_drawn_unasked(layer: str, store: Path) -> None:
    run = run_of(store)
    weights = read_tensors(run.weights("rewind"))[0]
    del weights[f"{layer}.weight"]
    write_tensors(run.weights("rewind"), weights)
    with pytest.raises(RgtoolError, match=f"{layer}.weight is .* here, missing there"):
        ask(store)
    assert ask(store, fresh=layer).recipe.fresh == (layer,)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"levels": 5}, "has no mask of level 4, 5: level 3 is its last"),
        ({"at": (0, 7)}, "has no mask of level 7: level 3 is its last"),
        ({"seeds": "0,1"}, 'has no run of seed 1, it has 0,3: seeds="0,3", or pair others, as '),
        ({"seeds": "5:1"}, 'seeds="5:0"'),
        ({"rewind": "0"}, "rewind cannot be chosen: it is that of the parent's tickets"),
        ({"prune": 0.3}, "prune cannot be chosen: it is that of the parent's tickets"),
        ({"fresh": "fc3"}, "fresh 'fc3' is no layer: did you mean fc or fc1 or fc2?"),
        ({"control": "shufle"}, "control 'shufle' is unknown: did you mean shuffle?"),
        ({"epochs": 1, "batch_size": 100}, "weights are of iteration 2 (2it), but training ends"),
        ({"model": "resnet8w4"}, "does not fit resnet8w4: "),
        ({"transform": "0:0;1:1"}, "lenet"),
        ({"at": "0,b"}, "at 0,b: give levels such as 0,4,8"),
        ({"at": ()}, "at (): give levels such as 0,4,8"),
        ({"at": (True,)}, "at (True,): give levels such as 0,4,8"),
        ({"at": True}, "at True: give levels such as 0,4,8"),
        ({"levels": True}, "levels is True: it is the number of prunings"),
        ({"levels": "2"}, "levels is 2: it is the number of prunings"),
        ({"seeds": True}, "seeds True: give a count such as 5, or seeds such as 3,7"),
        ({"seeds": [True]}, "seeds [True]: give a count such as 5, or seeds such as 3,7"),
        ({"seeds": {0: False}}, "seeds [False]: give a count such as 5, or seeds such as 3,7"),
        ({"model": 3}, "3 is neither a name nor a function: name a network or a data set"),
        ({"at": -1}, "at -1: levels are numbers of prunings, from 0 to 9999"),
        ({"parent": "x"}, "here it is due itself"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], text: str, found: Path) -> None:
    before = disk(found / "runs")
    with pytest.raises(RgtoolError) as refused:
        if "parent" in changes:
            plan(*LENET, store=found, **changes)
        ask(found, **changes)
    assert text in str(refused.value) and str(refused.value).count("\n") <= 1
    assert disk(found / "runs") == before


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"at": "0,4"}, 'at="0,4" is of tickets of another experiment'),
        ({"fresh": "fc"}, "fresh=('fc',) is of tickets"),
        ({"transform": "pixels:1"}, 'transform="pixels:1" is of tickets'),
        ({"seeds": "1:0"}, 'seeds="1:0" is of tickets'),
        ({"control": "shuffle", "fresh": "fc"}, "name that with parent="),
    ],
)
def test_what_is_of_children_needs_a_parent(
    changes: dict[str, Any], text: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        plan(*LENET, store=tmp_path, **{**SMALL, **changes})
    assert text in str(refused.value)


def test_levels_that_were_all_named_are_no_gap(tmp_path: Path) -> None:
    assert plan(*LENET, store=tmp_path, **SMALL, at="0,1,2").at == (0, 1, 2)
    made = plan(*LENET, store=tmp_path, **SMALL, control="shuffle", at="0,2")
    assert [one.at for one in made.parts(0)] == [(0, 1, 2), (0, 2)]
    assert (made.records, made.remaining()) == (5, 5)


def test_a_restart_needs_no_point_in_the_schedule(found: Path) -> None:
    made = ask(found, epochs=1, batch_size=100, schedule="restart")
    assert made.recipe.rewind == "2it"


@pytest.mark.parametrize("kept", [(), ("init",)])
def test_a_parent_without_weights_is_refused(kept: tuple[str, ...], tmp_path: Path) -> None:
    go(tmp_path, keep=kept)
    with pytest.raises(
        RgtoolError, match="kept no rewind weights; runs and .* masks alone are enough"
    ):
        ask(tmp_path)
    assert ask(tmp_path, control="reinit").remaining() == 3


def test_initial_weights_do_where_tickets_are_rewound_to_them(tmp_path: Path) -> None:
    go(tmp_path, keep=("init",), rewind="0")
    assert ask(tmp_path).recipe.rewind == "0it"


def test_children_whose_weights_are_drawn_anew_are_no_parents(store: Path) -> None:
    for control in ("permute", "reinit"):
        train(store, "lenet/few-digits", control=control, levels=0)
        said = f"is a control {control}, which starts from other weights at every level"
        with pytest.raises(RgtoolError, match=said):
            ask(store, f"lenet/few-digits control={control}", "lenet", "few-digits", levels=0)


def test_an_import_has_masks_at_most(tmp_path: Path) -> None:
    go(tmp_path)
    run = run_of(tmp_path)
    weights = read_tensors(run.weights("rewind"))[0]
    layers = {n.removesuffix(".weight"): a for n, a in weights.items() if n.endswith(".weight")}
    write_tensors(run.weights("rewind"), layers)
    told = Store(tmp_path).description(run.path.name)
    imported = dataclasses.replace(told.recipe, origin="study")
    dataclasses.replace(told, source="openlth", recipe=imported).write(run.description)
    said = r"weights of counted layers at most; lenet has others as well \(fc1.bias\): its masks"
    with pytest.raises(RgtoolError, match=said):
        ask(tmp_path)
    run.weights("rewind").unlink()  # which --keep could not mend
    with pytest.raises(RgtoolError, match=said):
        ask(tmp_path)
    made = ask(tmp_path, control="reinit")
    assert made.recipe.origin is None and made.remaining() == 3


@pytest.mark.parametrize("field", ["prune = 0.5", 'rewind = "5it"', 'control = "shuffle"'])
def test_a_file_says_nothing_of_what_is_the_parents(
    found: Path, tmp_path: Path, field: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'base = "quick"\nepochs = 3\n{field}\n')
    name = field.partition(" ")[0]
    with pytest.raises(UsageError, match=f"{name} cannot be chosen in .*mine.toml: "):
        ask(found, recipe=path)
    path.write_text('base = "quick"\nepochs = 3\n')
    assert ask(found, recipe=str(path)).recipe.epochs == 3


def test_the_cure_for_a_lone_seed_is_no_count(tmp_path: Path) -> None:
    go(tmp_path, seeds="5,")
    with pytest.raises(UsageError, match='it has 5: seeds="5:5", or pair .* seeds="0:5"'):
        ask(tmp_path)
    for seeds, paired in (("5:5", 5), ("0:5", 0)):
        assert ask(tmp_path, seeds=seeds).seeds == (paired,)


def test_a_seed_has_one_partner(found: Path) -> None:
    with pytest.raises(UsageError, match="seeds 5:0,5:3: 5 is paired with 0 and with 3"):
        ask(found, seeds="5:0,5:3")
    with pytest.raises(UsageError, match="5 is paired with 5 and with 0"):
        ask(found, seeds="5,5:0")
    assert list(ask(found, seeds="5:0,6:3,5:0").seeds) == [5, 6]


def test_levels_are_asked_for_in_one_way(found: Path) -> None:
    with pytest.raises(UsageError, match='at="2" and levels=1: the first names single levels'):
        ask(found, at=2, levels=1)
    assert ask(found, at="0,2", levels=2).at == ask(found, at="0,2").at == (0, 2)
