"""What selects an experiment: ids, names, labels, fields; what is said where none or many fit."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgtool.schemas.errors import StoreError, UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.store.catalogue.apart import label_of, told_apart
from rgtool.store.catalogue.selection import Candidate, pick, pick_run, select

BASE = Recipe(architecture="resnet20", task="cifar10")


def vary(**fields: object) -> Recipe:
    return dataclasses.replace(BASE, **fields)  # type: ignore[arg-type]


def candidate(recipe: Recipe, *names: str, **fields: object) -> Candidate:
    return Candidate(recipe.experiment_id, recipe, names or ("frankle2020",), **fields)  # type: ignore[arg-type]


BY_SIZE = candidate(BASE, name="Baseline", tags=("paper", "old"))
FASTER = candidate(vary(prune=0.36), "quick")
AT_RANDOM = candidate(vary(prune=0.36, pruner="random"), tags=("paper",))
LENET = candidate(Recipe(architecture="lenet", task="mnist", rewind="0it", exempt=("fc",)))
EVERY = [BY_SIZE, FASTER, AT_RANDOM, LENET]


def chosen(text: str) -> list[Candidate]:
    ids = select(text, EVERY, "s")
    return [one for one in EVERY if one.experiment_id in ids]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BY_SIZE.experiment_id, [BY_SIZE]),
        (BY_SIZE.experiment_id[:5], [BY_SIZE]),
        ("baseline", [BY_SIZE]),
        ("resnet20/cifar10", [BY_SIZE, FASTER, AT_RANDOM]),
        ("ResNet20/CIFAR10", [BY_SIZE, FASTER, AT_RANDOM]),
        ("resnet20/cifar10 prune=.36", [FASTER, AT_RANDOM]),
        ("prune=0.36 resnet20/cifar10 pruner=RANDOM", [AT_RANDOM]),
        ("prune=.2", [BY_SIZE, LENET]),
        ("tag=paper", [BY_SIZE, AT_RANDOM]),
        ("tag=paper tag=old", [BY_SIZE]),
        ("TAG=Paper PRUNE=.36", [AT_RANDOM]),
        ("recipe=Quick", [FASTER]),
        ("task=MNIST", [LENET]),
        ("rewind=0", [LENET]),
        ("rewind=1000it", [BY_SIZE, FASTER, AT_RANDOM]),
        ("exempt=fc", [LENET]),
        ("exempt=none task=cifar10", [BY_SIZE, FASTER, AT_RANDOM]),
        ("train_size=none", EVERY),
        ("drop_last=false lr=1e-1", EVERY),
        ("length=160ep lenet/mnist", [LENET]),
        ("length=160ep", EVERY),
        (f"tag=paper {AT_RANDOM.experiment_id[:4]} ...", [AT_RANDOM]),
    ],
)
def test_a_selection_means_all_that_fit(text: str, expected: list[Candidate]) -> None:
    assert chosen(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resnet20/cifar10 prune=.5", r"prune is 0\.2 or 0\.36 there"),
        ("lenet/mnist tag=paper", "tag is nowhere there"),
        ("recipe=chen2021a", "recipe is frankle2020 or quick there"),
        ("resnet20/cifar1O", "did you mean resnet20/cifar10"),
        ("cifar10/resnet20", "did you mean resnet20/cifar10"),
        ("basline", "did you mean Baseline"),
        ("resnet20/cifar10 lenet/mnist", "lenet/mnist does not fit"),
        ("pruen=.2", "'pruen' is no field .* did you mean prune"),
        ("prune=much", "prune is 'much': a number is needed"),
        ("prune=2", "prune is 2.0: it is the share"),
        ("rounding=up", "rounding 'up' is unknown"),
        ("length=20ep", "no experiment 'length=20ep'"),
        ("wholly-else", "choose from Baseline, lenet/mnist, resnet20/cifar10"),
        ("it's", "choose from"),
        ("", "choose from"),
        ("...", "choose from"),
    ],
)
def test_where_none_fits_what_there_is_is_said(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        select(text, EVERY, "s")


@pytest.mark.parametrize("place", range(12))
def test_a_mistyped_id_gets_the_nearest(place: int) -> None:
    right = BY_SIZE.experiment_id
    wrong = right[:place] + ("0" if right[place] != "0" else "1") + right[place + 1 :]
    for typed in (wrong, wrong[: max(place + 1, 4)]):
        with pytest.raises(UsageError, match=rf"did you mean {right} \(Baseline: resnet20/cifar10"):
            pick(typed, EVERY, "s")


def test_ids_are_offered_where_they_are_near_and_three_at_most() -> None:
    ids = [f"aaaaaaaaaa{n:02}" for n in range(4)]
    every = [dataclasses.replace(LENET, experiment_id=one) for one in ids]
    for text, near in (("aaaaaaaaabbb", ids[:3]), ("aaaa55555555", []), ("5a", [])):
        with pytest.raises(UsageError) as caught:
            select(text, every, "s")
        assert [one for one in ids if f"{one} (" in str(caught.value)] == near


def test_a_message_lists_five() -> None:
    every = [candidate(vary(lr=lr / 10)) for lr in range(1, 8)]
    with pytest.raises(UsageError) as caught:
        pick(None, every, "s")
    said = str(caught.value)
    assert said.count("(resnet20/cifar10 lr=") == 5 and said.endswith(" and 2 more")


def test_the_label_as_it_is_written_goes_before_other_cases() -> None:
    own = candidate(Recipe(architecture="Lenet", task="mnist"))
    for one in (own, LENET):
        assert select(one.label, [own, LENET], "s") == [one.experiment_id]
    assert len(select("LENET/MNIST", [own, LENET], "s")) == 2


def test_where_one_is_due_several_are_told_apart() -> None:
    with pytest.raises(UsageError) as caught:
        pick("prune=.36", EVERY, "s")
    said = str(caught.value)
    assert "'prune=.36' fits 2 experiments, name one by its id or by what differs" in said
    assert f"{FASTER.experiment_id} (resnet20/cifar10 pruner=magnitude)" in said
    assert pick("prune=.36 pruner=magnitude", EVERY, "s") == FASTER.experiment_id


def test_a_name_comes_before_the_beginning_of_an_id_and_former_ids_last() -> None:
    named = candidate(vary(lr=0.3), name="x" + BY_SIZE.experiment_id)
    former = {BY_SIZE.experiment_id: [LENET.experiment_id], "0" * 12: [LENET.experiment_id]}
    every = [*EVERY, named]
    for text, found in ((named.name, named), (BY_SIZE.experiment_id, BY_SIZE), ("0" * 12, LENET)):
        assert select(str(text), every, "s", lambda: former) == [found.experiment_id]
    assert select("0000 rewind=0", every, "s", lambda: former) == [LENET.experiment_id]


def test_an_empty_store_says_what_fills_it() -> None:
    for choose in (lambda: select("x", [], "s"), lambda: pick(None, [], "s")):
        with pytest.raises(StoreError, match="holds no runs"):
            choose()
    assert pick(None, [LENET], "s") == LENET.experiment_id
    with pytest.raises(UsageError, match="holds 4 experiments, name one"):
        pick(None, EVERY, "s")


def test_a_run_is_found_by_id_beginning_and_name() -> None:
    runs = {"aa-s0": None, "aa-s1": "First", "aa-s10": None}
    assert pick_run("aa-s1", runs) == pick_run("FIRST", runs) == "aa-s1"
    assert pick_run("aa-s0", runs) == "aa-s0" and pick_run("bb", runs) is None
    assert pick_run("", runs) is None
    with pytest.raises(UsageError, match="begins the names of 3 runs"):
        pick_run("aa", runs)
    with pytest.raises(UsageError, match="'b' begins the names of 2 runs: b-s0, b-s1"):
        pick_run("b", {"b-s1": None, "b-s0": None})


RECIPES = st.builds(
    vary,
    prune=st.sampled_from([0.2, 0.36, 0.5]),
    lr=st.sampled_from([0.1, 1e-05]),
    pruner=st.sampled_from(["magnitude", "random"]),
    rewind=st.sampled_from(["0it", "1000it", "2ep"]),
    milestones=st.sampled_from([(), ("40ep", "60ep")]),
    train_size=st.sampled_from([None, 100]),
    drop_last=st.booleans(),
    origin=st.sampled_from([None, "a study", "it's", "a=b"]),
    task=st.sampled_from(["cifar10", "a=b"]),
    epochs=st.sampled_from([160, 20]),
)


@given(st.lists(RECIPES, min_size=1, max_size=12, unique_by=lambda one: one.experiment_id))
def test_a_label_selects_the_experiment_that_it_stands_for(recipes: list[Recipe]) -> None:
    every = [candidate(recipe) for recipe in recipes]
    labels = [label_of(r) + apart for r, apart in zip(recipes, told_apart(recipes), strict=True)]
    assert len({*labels}) == len(labels)
    for label, one in zip(labels, every, strict=True):
        assert pick(label, every, "s") == one.experiment_id


def test_a_label_names_three_fields_or_the_fewest() -> None:
    three = [BASE, vary(prune=0.36, lr=0.3, epochs=20)]
    assert told_apart(three)[1] == " prune=0.36 lr=0.3 epochs=20"
    four = [BASE, vary(prune=0.36, lr=0.3, epochs=20, momentum=0.5)]
    assert told_apart(four) == [" prune=0.2 ...", " prune=0.36 ..."]
    more = [*four, vary(lr=0.3, batch_size=64)]
    assert told_apart(more)[2] == " prune=0.2 lr=0.3 ..."
    assert told_apart([BASE, LENET.recipe]) == ["", ""]
