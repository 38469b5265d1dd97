"""Recipes on the command line: lists, any field by --set, files of one's own, mistakes in them."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from command import Cli
from experiments import synthetic
from page import read

import rgtool
from rgtool.runner.recipes import recipe
from rgtool.schemas.block_map import read_blocks
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.published_recipes import IMPORTS_ONLY, PUBLISHED, summary
from rgtool.schemas.recipe import Recipe, parse_field

CIFAR = dataclasses.replace(synthetic(5000, size=4), name="cifar10", augment=("flip", "crop4"))
LARGE = dataclasses.replace(
    CIFAR, x_train=CIFAR.x_train.repeat(10, 0), y_train=CIFAR.y_train.repeat(10)
)
# What the studies fix.


def test_chen2021a_is_the_code_of_the_study() -> None:
    # main_imp_downstream.py and dataset.py of CV_LTH_Pre-training: their defaults.
    found = recipe("resnet50", LARGE, "chen2021a")
    assert (found.lr, found.momentum, found.weight_decay) == (0.1, 0.9, 2e-4)
    assert (found.epochs, found.milestones, found.warmup) == (182, ("91ep", "136ep"), "1ep")
    assert (found.batch_size, found.drop_last, found.valid_size) == (256, True, 5000)
    assert (found.prune, found.rounding, found.scope) == (0.2, "round", "global")
    assert (found.prunable, found.exempt) == ("convolutions_without_stem", ())
    assert (found.rewind, found.schedule) == ("0it", "continue")
    assert (found.fan, found.bn_init, found.head_init) == ("fan_out", "ones", "torch")


@pytest.mark.parametrize(
    ("name", "differences"),
    [
        ("chen2021a_rewind_lt", {"rewind": "9ep", "schedule": "restart"}),
        ("chen2021a_pt", {"rewind": "182ep", "schedule": "restart"}),
        (
            "zhang2021",
            {"weight_decay": 1e-4, "batch_size": 128, "prunable": "convolutions"},
        ),
    ],
)
def test_variants_differ_from_it_in_what_they_say(name: str, differences: dict[str, Any]) -> None:
    base, found = (recipe("resnet18", LARGE, one).to_json() for one in ("chen2021a", name))
    assert {k: v for k, v in found.items() if v != base[k]} == differences


def test_pretrained_tickets_start_from_a_file() -> None:
    base = recipe("resnet18", LARGE, "chen2021a").to_json()
    found = recipe("resnet18", LARGE, "chen2021a_pt_trans", pretrained="0" * 16).to_json()
    assert {k: v for k, v in found.items() if v != base[k]} == {
        "init": "pretrained",
        "pretrained": "0" * 16,
    }


def test_one_experiment_has_one_identity_under_two_names() -> None:
    ids = {recipe("resnet20", LARGE, n).experiment_id for n in ("frankle2020", "chen2021c")}
    assert ids == {"fc91548504e2"}


def test_vgg_of_openlth_prunes_all_but_its_output_layer() -> None:
    found = recipe("vgg16", LARGE, "frankle2020")
    assert (found.prunable, found.exempt, found.rewind) == ("all", ("fc",), "1000it")


@pytest.mark.parametrize(
    ("model", "name", "before"),
    [("vgg16", "frankle2020", "1f3e763494cf"), ("vgg16", "zhang2021", "25dd4a4b13ec")],
)
def test_vgg_averages_as_its_studies_do_and_older_runs_keep_their_identity(
    model: str, name: str, before: str
) -> None:
    found = recipe(model, LARGE, name)
    assert found.pooling == "average"
    assert recipe(model, LARGE, name, pooling="max").experiment_id == before
    assert found.experiment_id != before
    assert recipe("resnet18", LARGE, name).pooling == Recipe.pooling == "max"


def test_pooling_is_a_choice_of_vgg_alone() -> None:
    with pytest.raises(UsageError, match="pooling 'average' of resnet20: only VGG leaves it"):
        recipe("resnet20", LARGE, pooling="average")
    assert recipe("resnet20", LARGE, pooling="max") == recipe("resnet20", LARGE)
    with pytest.raises(UsageError, match="pooling 'mean' is unknown: choose from average, max"):
        recipe("vgg16", LARGE, pooling="mean")


def test_fewer_epochs_move_a_rewind_point_at_the_end() -> None:
    assert recipe("resnet18", LARGE, "chen2021a_pt", epochs=4).rewind == "4ep"
    assert recipe("resnet18", LARGE, "chen2021a_rewind_lt", epochs=20).rewind == "9ep"
    assert recipe("resnet18", LARGE, "chen2021a_pt", epochs=4, rewind="2ep").rewind == "2ep"
    with pytest.raises(UsageError, match="rewind 9ep is iteration 1575, but training ends at 700"):
        recipe("resnet18", LARGE, "chen2021a_rewind_lt", epochs=4)


def test_a_tenth_of_a_small_set_is_held_out() -> None:
    assert recipe("resnet18", CIFAR, "chen2021a").valid_size == 500
    assert recipe("resnet18", CIFAR, "chen2021a", valid_size=700).valid_size == 700


def test_a_batch_that_is_never_full_is_refused() -> None:
    with pytest.raises(UsageError, match="batch_size 256 with drop_last leaves no batch of 90"):
        recipe("resnet18", synthetic(100), "chen2021a")


# One field.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lr=0.05", 0.05),
        (" epochs = 12 ", 12),
        ("train_size=500", 500),
        ("augment=none", ()),
        ("milestones=4ep,6ep", ("4ep", "6ep")),
        ("drop_last=True", True),
        ("rewind=2ep", "2ep"),
    ],
)
def test_a_setting_is_read_by_the_kind_of_its_field(text: str, value: object) -> None:
    assert parse_field(text) == (text.split("=")[0].strip(), value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr", "'lr' sets nothing: write a field and its value, as lr=0.05"),
        ("lrr=1", "recipe field 'lrr' is unknown: did you mean lr?"),
        ("lr=fast", "lr is 'fast': a number is needed"),
        ("epochs=1.5", "epochs is '1.5': a whole number is needed"),
        ("drop_last=maybe", "drop_last is 'maybe': true or false is needed"),
    ],
)
def test_settings_that_say_nothing_are_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_field(text)
    assert words in str(refused.value)


# Files.


def test_a_file_changes_fields_of_its_base(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "zhang2021"\nlr = 1\nepochs = 91\naugment = ["flip"]\n')
    found = recipe("resnet18", LARGE, str(path))
    right = recipe("resnet18", LARGE, "zhang2021", lr=1.0, epochs=91, augment=("flip",))
    assert found == right
    assert recipe("resnet18", LARGE, str(path), lr=0.5).lr == 0.5  # the command has the last word
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as editors of Windows write it
    assert recipe("resnet18", LARGE, str(path)) == right


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr = 0.1\nmomentun = 0.9\n", "mine.toml: field 'momentun' is unknown: did you mean"),
        ("lr == 0.1\n", "mine.toml: no TOML ("),
        ("lr = " + "[" * 5000, "mine.toml: no TOML ("),
        ("lr = 1" + "0" * 5000, "mine.toml: no TOML ("),
        ("lr = 1" + "0" * 400, "lr has more than 300 digits"),
        (
            "batch_size = 99999999999999999999",
            "batch_size is 1.0e+20: a whole number of at most 64",
        ),
        (
            "lr = 1" + "0" * (1 << 20),
            "mine.toml: cannot be read (it has 1,048,582 bytes, at most",
        ),
        ("lr = nan", "lr is nan: a positive number"),
        ("milestones = [[1]]", "milestones is"),
        ('lr = "fast"\n', "lr is 'fast': a number is needed"),
        ("epochs = true\n", "epochs is True: a whole number is needed"),
        ('milestones = "80ep"\n', "milestones is '80ep': a list of texts is needed"),
        ("milestones = [80]\n", "milestones is (80,): a list of texts is needed"),
        ('base = "frankle2002"\n', "recipe 'frankle2002' is unknown: did you mean frankle2020?"),
        ('task = "svhn"\n', "task cannot be chosen: it is the data set that is named beside"),
        ('rewind = "soon"\n', "'soon' is no point in training"),
        ("[optimizer]\nlr = 1\n", "optimizer is {'lr': 1}: a text is needed"),
        ("prune = nan\n", "prune is nan"),
    ],
)
def test_mistakes_in_files_are_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RgtoolError) as refused:
        recipe("resnet18", LARGE, str(path))
    assert words in str(refused.value)
    assert str(refused.value).count("\n") <= 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_fifo_is_no_recipe_and_no_block_map(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(RgtoolError, match=r"pipe\.toml: cannot be read \(a named pipe"):
        recipe("resnet18", LARGE, str(tmp_path / "pipe.toml"))
    with pytest.raises(
        UsageError, match=r"pipe\.toml: no block map \(cannot be read \(a named pipe"
    ):
        read_blocks(tmp_path / "pipe.toml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RgtoolError, match=r"no\.toml: no such file"):
        recipe("resnet18", LARGE, str(tmp_path / "no.toml"))


# Commands.


def test_recipes_are_listed(cli: Cli) -> None:
    code, out, _ = cli("recipes", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [row["recipe"] for row in rows] == list(PUBLISHED)
    assert [row["recipe"] for row in rows if row["for"] == "imports"] == list(IMPORTS_ONLY)
    assert all(row["what it is"] == summary(PUBLISHED[row["recipe"]]) for row in rows)
    epochs = {row["recipe"]: (row["epochs"], row["rewind"]) for row in rows}
    assert (epochs["frankle2020"], epochs["quick"]) == ((160, "1000it"), (8, "1ep"))


def test_a_recipe_is_shown_with_all_its_fields(cli: Cli) -> None:
    code, out, err = cli("recipes", "show", "chen2021a", "resnet50", "--json")
    rows = {row["field"]: row for row in json.loads(out)}
    assert code == 0
    fields = {field.name for field in dataclasses.fields(Recipe)}
    assert set(rows) == fields - {"architecture", "task"}
    assert (rows["epochs"]["value"], rows["epochs"]["differs"]) == (182, "*")
    assert rows["lr"]["differs"] == ""


def test_a_recipe_of_ones_own_is_shown(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "quick"\nlr = 0.05\nmilestones = ["3ep"]\n')
    code, out, _ = cli("recipes", "show", "mine.toml", "--json")
    rows = {row["field"]: row["value"] for row in json.loads(out)}
    assert code == 0
    assert (rows["lr"], rows["milestones"], rows["epochs"]) == (0.05, "3ep", 8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("recipes", "chen2021a"), "write `rgtool recipes show chen2021a` to see its fields"),
        (("recipes", "quick", "lenet"), "write `rgtool recipes show quick lenet` to see"),
        (("recipes", "quikc"), "recipe 'quikc' is unknown: did you mean quick?"),
        (("run", "quick", "lenet", "digits"), "a recipe is named by --recipe; see"),
        (("eigen", "lenet", "digits"), "an experiment is one argument: resnet20/cifar10, 'r"),
        (("diff", "a", "lenet/digits", "prune=.36"), "an experiment is one argument: resnet20/"),
        (("sql", "SELECT", "1"), "unexpected extra argument(s) (1); see"),
        (("run", "lenet", "Quick"), "Quick is a recipe: --recipe Quick, beside"),
        (("recipes", "show"), "name a recipe, as in rgtool recipes show frankle2020"),
        (("recipes", "show", "chen2012a"), "recipe 'chen2012a' is unknown: did you mean chen20"),
        (("recipes", "show", "quick", "vgg15"), "architecture 'vgg15' is unknown"),
        (("run", "lenet", "digits", "--set", "lrr=1"), "recipe field 'lrr' is unknown"),
        (("run", "lenet", "digits", "--prune", ".3", "--set", "prune=.2"), "prune is given twice"),
        (("run", "lenet", "digits", "--recipe", "no.toml"), "recipe no.toml: no such file"),
        (("run", "lenet", "digits", "--precision", "half"), "precision 'half' cannot be run: use"),
        (("run", "lenet", "digits", "--init", "no.pt"), "no.pt: no such file"),
        (("run", "lenet", "digits", "--compile", "yes"), "compile 'yes' is unknown"),
        (("run", "lenet", "digits", "--threads", "0"), "threads is 0: from 1 to 1024 compute"),
        (("run", "lenet", "digits", "--set", "pretrained=a"), "pretrained cannot be chosen"),
        (("run", "lenet", "digits", "--set", "task=cifar10"), "task cannot be chosen"),
        (("recipes", "show", "no.toml"), "recipe no.toml: no such file"),
    ],
)
def test_wrong_commands_are_refused_in_words(
    arguments: tuple[str, ...], words: str, cli: Cli, tmp_path: Path
) -> None:
    code, out, err = cli(*arguments)
    assert code in (1, 2)
    assert words in err
    assert err.count("\n") <= 2
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_any_field_can_be_set_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "quick"\nlr = 0.02\n')
    code, out, _ = cli(
        "run", "lenet", "digits", "--recipe", "mine.toml", "--set", "momentum=0.5", "--set",
        "epochs=1", "--levels", "0", "--json",
    )  # fmt: skip
    assert code == 0
    told = json.loads(next((tmp_path / "rgstore" / "runs").glob("*/run.json")).read_text())
    assert (told["recipe"]["lr"], told["recipe"]["momentum"]) == (0.02, 0.5)
    assert (told["recipe"]["epochs"], told["recipe_name"]) == (1, "mine.toml")


def test_a_recipe_is_seen_as_the_command_shows_it(cli: Cli) -> None:
    made = rgtool.plan("resnet50", "cifar10", "chen2021a", seeds=1).recipe
    seen = read(made._repr_html_())
    rows = {
        row["field"]: row
        for row in json.loads(cli("recipes", "show", "chen2021a", "resnet50", "--json").out)
    }
    assert seen.caption == "resnet50/cifar10" and seen.header == [*rows["lr"]]
    differ = {row[0] for row in seen.rows if list(map(str, rows[row[0]].values())) != row}
    assert differ <= {"augment"} and len(seen.rows) == len(rows)
