"""Named recipes: the published values, what may be changed, what the runner refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from experiments import synthetic

from rgtool.runner.plan import plan
from rgtool.runner.recipes import read_recipe, recipe
from rgtool.runner.tickets.child import as_control
from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import UsageError
from rgtool.schemas.published_recipes import IMPORTS_ONLY, PUBLISHED
from rgtool.schemas.recipe import CHOICES, Recipe, parse_field
from rgtool.schemas.steps import Step

CIFAR = dataclasses.replace(synthetic(40, augment=("flip", "crop4")), name="cifar10")
CIFAR_50K = dataclasses.replace(CIFAR, x_train=CIFAR.x_train.repeat(1250, 0)[:50_000])
CIFAR_50K = dataclasses.replace(CIFAR_50K, y_train=CIFAR.y_train.repeat(1250)[:50_000])


def resolve(model: str = "resnet20", **changes: Any) -> Recipe:
    return recipe(model, CIFAR_50K, **changes)


def test_a_recipe_alone_says_what_it_is_resolved_for() -> None:
    with pytest.raises(UsageError, match=r"plan\('resnet8', 'digits', 'quick'\)\.recipe"):
        recipe("quick")


def test_frankle2020_is_what_openlth_does_by_default() -> None:
    found = resolve()
    assert (found.lr, found.momentum, found.weight_decay) == (0.1, 0.9, 1e-4)
    assert (found.epochs, found.milestones, found.gamma) == (160, ("80ep", "120ep"), 0.1)
    assert (found.batch_size, found.rewind) == (128, "1000it")
    assert (found.init, found.fan, found.bn_init) == ("kaiming_normal", "fan_in", "uniform")
    assert found.augment == ("flip", "crop4")
    assert (found.prune, found.pruner, found.scope) == (0.2, "magnitude", "global")
    assert (found.prunable, found.exempt) == ("all", ())
    assert found == Recipe(architecture="resnet20", task="cifar10")  # the frozen defaults


def test_lenet_is_trained_without_momentum_and_keeps_its_output_layer() -> None:
    found = resolve("lenet")
    assert (found.lr, found.momentum, found.weight_decay) == (0.1, 0.0, 0.0)
    assert (found.epochs, found.milestones, found.rewind) == (40, (), "0it")
    assert found.exempt == ("fc",)


def test_augmentation_follows_the_images() -> None:
    plain = dataclasses.replace(CIFAR, augment=())
    assert recipe("resnet20", plain, rewind="0").augment == ()
    assert recipe("resnet20", CIFAR, rewind="0").augment == ("flip", "crop4")
    assert recipe("resnet20", CIFAR, rewind="0", augment=[]).augment == ()


@pytest.mark.parametrize(
    ("epochs", "milestones"),
    [
        (160, ("80ep", "120ep")),
        (320, ("160ep", "240ep")),
        (8, ("4ep", "6ep")),
        (10, ("5ep", "2932it")),  # 7.5 epochs of 391 steps
    ],
)
def test_milestones_move_along_with_the_epochs(epochs: int, milestones: tuple[str, ...]) -> None:
    assert resolve(epochs=epochs).milestones == milestones


def test_milestones_that_are_given_stay_where_they_are() -> None:
    assert resolve(epochs=10, milestones=("3ep",)).milestones == ("3ep",)
    assert resolve("lenet", epochs=8).milestones == ()


def test_none_means_no_change() -> None:
    assert resolve(epochs=None, prune=None, rounding=None) == resolve()


@pytest.mark.parametrize(
    ("model", "width", "name"),
    [
        ("resnet20", None, "resnet20"),
        ("resnet20", 16, "resnet20"),
        ("resnet20w16", None, "resnet20"),
        ("resnet20", 8, "resnet20w8"),
        ("resnet20w8", None, "resnet20w8"),
    ],
)
def test_one_network_has_one_name(model: str, width: int | None, name: str) -> None:
    assert resolve(model, width=width).architecture == name


def test_one_rewind_point_has_one_identity() -> None:
    assert len({resolve(rewind=text).experiment_id for text in ("0", "0it", "0ep")}) == 1
    assert resolve(rewind="2ep50it").rewind == "2ep50it"


def test_one_number_has_one_identity() -> None:
    assert resolve(lr=1).experiment_id == resolve(lr=1.0).experiment_id
    assert resolve("lenet", momentum=0).experiment_id == resolve("lenet").experiment_id


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "frankle2002"}, "recipe 'frankle2002' is unknown: did you mean frankle2020?"),
        ({"model": "resnet21"}, "model 'resnet21' is unknown: did you mean"),
        ({"model": "bert-base"}, "model 'bert-base' is unknown"),
        ({"width": 0}, "width is 0: from 1 to 4096 channels are possible"),
        ({"model": "lenet", "width": 4}, "width goes with a CIFAR ResNet"),
        ({"prune": 1.5}, "prune is 1.5: it is the share of the remaining weights"),
        ({"prune": 0}, "prune is 0.0: it is the share of the remaining weights"),
        ({"epochs": -1, "rewind": "0"}, "epochs is -1: at least 0 is needed"),
        ({"batch_size": 0}, "batch_size is 0: at least 1 is needed"),
        ({"lr": 0.0}, "lr is 0.0: a positive number is needed"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"momentum": -0.5}, "momentum is -0.5: a number from 0 on is needed"),
        ({"milestones": ("161ep",)}, "milestones 161ep is iteration 62951, but training ends at"),
        (
            {"warmup": "200ep"},
            '78200, but training ends at 62560 (160 epochs of 391): warmup="0" or epochs=200',
        ),
        ({"momentum": 1.0}, "momentum is 1.0: less than 1 is needed"),
        ({"exempt": ("fcc",)}, "exempt 'fcc' is no layer: did you mean fc?"),
        ({"name": "chen2020a"}, "recipe 'chen2020a' describes imports: rgtool cannot train it"),
        ({"weight_decay": float("inf")}, "weight_decay is inf: a number from 0 on is needed"),
        ({"rewind": "5xx"}, "'5xx' is no point in training: write epochs as 2ep"),
        ({"rewind": "160ep"}, "rewind 160ep is iteration 62560, but training ends at 62560"),
        (
            {"epochs": 2},
            '782 (2 epochs of 391): rewind="0", recipe="quick" or epochs=3 would do',
        ),
        ({"rounding": "opnlth"}, "rounding 'opnlth' is unknown: did you mean openlth?"),
        ({"scope": "local"}, "scope 'local' is unknown: did you mean global?"),
        ({"pruner": "magnitud"}, "pruner 'magnitud' cannot be run: did you mean magnitude?"),
        ({"prunable": "convs"}, "prunable 'convs' is unknown"),
        ({"optimizer": "adam"}, "optimizer 'adam' cannot be run: choose from sgd"),
        (
            {"precision": "float16"},
            "cannot be run: use float32, tf32, bf16, fp16",
        ),
        (
            {"init": "orthogonal"},
            "init 'orthogonal' cannot be run: choose from built, kaiming_normal",
        ),
        ({"bn_init": "one"}, "bn_init 'one' cannot be run: did you mean ones?"),
        ({"augment": ("flp",)}, "augment 'flp' is unknown: choose from flip, crop4"),
        ({"augment": ("crop0",)}, "augment 'crop0' is unknown"),
        ({"parent": "0123456789ab"}, "parent cannot be chosen"),
        ({"transform": "stretch"}, "transform cannot be chosen"),
        ({"momentun": 0.5}, "recipe field 'momentun' is unknown: did you mean momentum?"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolve(**changes)
    assert text in str(refused.value)
    assert str(refused.value).count("\n") <= 1


@pytest.mark.parametrize("field", CHOICES)
def test_every_choice_resolves(field: str) -> None:
    model = "vgg16" if field == "pooling" else "resnet20"
    for value in CHOICES[field]:
        if value == "masked":  # of imports alone
            with pytest.raises(UsageError, match="prunable 'masked' cannot be run"):
                resolve(**{field: value})
        else:
            assert getattr(resolve(model, **{field: value}), field) == value


def test_a_control_belongs_to_the_experiment_that_finds_its_masks() -> None:
    found = resolve(prune=0.3)
    control = as_control(found)
    assert control.parent == found.experiment_id
    assert control.experiment_id != found.experiment_id
    assert dataclasses.replace(control, control="none", parent=None) == found


@pytest.mark.parametrize("name", sorted({*PUBLISHED} - {*IMPORTS_ONLY}))
@pytest.mark.parametrize("model", ["lenet", "resnet20"])
def test_every_recipe_names_fields_of_the_schema(name: str, model: str) -> None:
    fields = {field.name for field in dataclasses.fields(Recipe)}
    assert set(PUBLISHED[name](architecture(model))) <= fields
    changes = {"prunable": "all"} if model == "lenet" else {}  # it has no convolutions
    digest = "0" * 16 if name.endswith("pt_trans") else None
    assert recipe(model, CIFAR_50K, name, pretrained=digest, **changes).architecture == model


def test_fields_and_values_count_in_any_case(tmp_path: Path) -> None:
    written = {"Prune": 0.3, "LR": 0.05, "augment": ("FLIP",), "Exempt": ("FC",), "rewind": "1EP"}
    spelled = {"prune": 0.3, "lr": 0.05, "augment": ("flip",), "exempt": ("fc",), "rewind": "1ep"}
    launch = {"levels": 2, "Keep": ("Init", "REWIND"), "DEVICE": "CPU", "store": tmp_path}
    found = plan("lenet", "digits", "quick", **written, **launch)
    plainly = plan("lenet", "digits", "quick", **spelled, levels=2, store=tmp_path)
    assert found.recipe == plainly.recipe and found.keep == ("init", "rewind")
    with pytest.raises(UsageError, match="Prune.*, prune.*: one of them is given twice"):
        plan("lenet", "digits", Prune=0.3, prune=0.2)
    (tmp_path / "mine.toml").write_text('BASE = "Quick"\nPRUNE = 0.3\n')
    assert read_recipe(tmp_path / "mine.toml") == ("Quick", {"prune": 0.3})
    assert parse_field("Milestones=2EP,4EP") == ("milestones", ("2EP", "4EP"))
    assert Step.parse("2EP50It") == Step(2, 50)


@pytest.mark.parametrize(
    ("model", "task", "train_size", "batch_size", "advice"),
    [
        ("vgg11", "digits", 50, 1, 2),
        ("vgg11", "digits", 51, 2, 3),  # 25 batches, and one image
        ("vgg11", "digits", 51, 25, 26),
        ("resnet8", "digits", 51, 1, None),  # 2 x 2 pixels are left at its end
        ("lenet", "digits", 51, 1, None),  # has no batch norm
        ("vgg11", "digits", 51, 60, None),
    ],
)
def test_a_batch_of_one_image_is_refused_where_batch_norm_sees_one_value(
    model: str, task: str, train_size: int, batch_size: int, advice: int | None
) -> None:
    options: dict[str, Any] = {"train_size": train_size, "batch_size": batch_size}
    if advice is None:
        assert plan(model, task, "quick", **options).recipe.batch_size == batch_size
        return
    with pytest.raises(UsageError, match=f"a single value a channel: batch_size={advice} would do"):
        plan(model, task, "quick", **options)
    plan(model, task, "quick", **{**options, "batch_size": advice})
    if batch_size > 1:
        plan(model, task, "quick", drop_last=True, **options)
