"""Named recipes: the fields that each published study fixes.

A recipe is a function from an architecture to fields of `Recipe`; its docstring is the paper's
table, its first line stands in lists. The runner takes those that it can run, imports those that
the files were made with. Adding one is a function and a line in `PUBLISHED`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .blocks import VGG_PLANS, Architecture
from .entry_points import added, added_names, load_added
from .errors import UsageError, did_you_mean, known_name

Fields = Callable[[Architecture], dict[str, Any]]


def frankle2020(network: Architecture) -> dict[str, Any]:
    """Frankle, Dziugaite, Roy & Carbin 2020, as the defaults of OpenLTH have it; 16 prunings.

    CIFAR ResNets and VGG: SGD with momentum .9, learning rate .1, a tenth at epochs 80 and 120 of
    160, batch 128, weight decay 1e-4, rewinding to iteration 1000, the smallest 20 % of all weights
    (output layer of VGG and LeNet exempt); VGG averages its last positions. LeNet-300-100: SGD .1
    without momentum, 40 epochs, rewinding to the initial weights.
    """
    if network.name == "lenet":
        return {
            "momentum": 0.0,
            "weight_decay": 0.0,
            "epochs": 40,
            "milestones": (),
            "rewind": "0it",
        }
    if network.name in VGG_PLANS:
        return {"prunable": "all", "exempt": ("fc",), **_average(network)}
    return {}


def chen2021c(network: Architecture) -> dict[str, Any]:
    """Chen et al. 2021c (arXiv 2103.16547), elastic tickets: frankle2020 with 16 prunings.

    Their code is OpenLTH with its defaults: fields and identity are those of frankle2020.
    """
    return frankle2020(network)


def chen2021a(network: Architecture) -> dict[str, Any]:
    """Chen et al. 2021a (arXiv 2012.06908), `lt`: rewinding to the initial weights; 18 prunings.

    ResNet-18 and ResNet-50 on CIFAR and SVHN: SGD with momentum .9, learning rate .1 after a
    warm-up of one epoch, a tenth at epochs 91 and 136 of 182, batch 256 without a partial last one,
    weight decay 2e-4, the last 5000 training images held out, the smallest 20 % of all convolutions
    but the stem, rounded as torch.nn.utils.prune does it. Convolutions start as torchvision's do
    (fan_out), BN weights at 1, the output layer as PyTorch's own.
    """
    return {
        "fan": "fan_out",
        "bn_init": "ones",
        "head_init": "torch",
        "weight_decay": 2e-4,
        "epochs": 182,
        "milestones": ("91ep", "136ep"),
        "warmup": "1ep",
        "batch_size": 256,
        "drop_last": True,
        "valid_size": 5000,
        "rounding": "round",
        "prunable": "convolutions_without_stem",
        "rewind": "0it",
    }


def chen2021a_rewind_lt(network: Architecture) -> dict[str, Any]:
    """Chen et al. 2021a, `rewind_lt`: to the weights of epoch 9; the schedule starts again."""
    return {**chen2021a(network), "rewind": "9ep", "schedule": "restart"}


def chen2021a_pt(network: Architecture) -> dict[str, Any]:
    """Chen et al. 2021a, `pt`: to the trained dense weights; the schedule starts again.

    Theirs are the weights of the best epoch on the validation set, these those of the last one.
    """
    return {**chen2021a(network), "rewind": "182ep", "schedule": "restart"}


def chen2021a_pt_trans(network: Architecture) -> dict[str, Any]:
    """Chen et al. 2021a, `pt_trans`: from pretrained weights, named with `--init`, and back."""
    return {**chen2021a(network), "init": "pretrained"}


def zhang2021(network: Architecture) -> dict[str, Any]:
    """Zhang et al. 2021 (PrAC): chen2021a, batch 128, decay 1e-4, the stem pruned; 15 prunings.

    Their VGG averages its last positions.
    """
    return {
        **chen2021a(network),
        **_average(network),
        "weight_decay": 1e-4,
        "batch_size": 128,
        "prunable": "convolutions",
    }


def tanaka2020_synflow(network: Architecture) -> dict[str, Any]:
    """Tanaka et al. 2020 (arXiv 2006.05467), SynFlow: flows of the initial weights, untrained.

    100 steps of scores to every density 10^(-n/4), each from the dense network; weights He normal
    by fan_in, BN weights 1; all layers are pruned. Their VGG averages its last positions.
    """
    return {
        **_average(network),
        "bn_init": "ones",
        "epochs": 0,
        "milestones": (),
        "prune": 1 - 10**-0.25,
        "pruner": "synflow",
        "score_steps": 100,
        "score_from": "dense",
        "prunable": "all",
        "exempt": (),
        "rewind": "0it",
    }


def _average(network: Architecture) -> dict[str, Any]:
    return {"pooling": "average"} if network.name in VGG_PLANS else {}


def quick(network: Architecture) -> dict[str, Any]:
    """For a laptop, after no paper: frankle2020 in 8 epochs (LeNet 10) instead of 160.

    The learning rate falls at epochs 4 and 6; weights go back to the end of epoch 1.
    """
    if network.name == "lenet":
        return {**frankle2020(network), "epochs": 10}
    shorter = {"epochs": 8, "milestones": ("4ep", "6ep"), "rewind": "1ep"}
    return {**frankle2020(network), **shorter}


def chen2020a(network: Architecture) -> dict[str, Any]:
    """Chen et al. 2020a (arXiv 2007.12223): tickets of pretrained BERT.

    AdamW 2e-5, batch 32, 3 epochs a level, rewinding to the pretrained weights; step k removes
    1/(10 - k) of what remains, a tenth of the whole.
    """
    return {
        "init": "pretrained",
        "bn_init": "none",
        "optimizer": "adamw",
        "lr": 2e-5,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "epochs": 3,
        "milestones": (),
        "batch_size": 32,
        "augment": (),
        "prune": 0.1,
        "rounding": "round",
        "prunable": "all",
        "rewind": "0it",
    }


PUBLISHED: dict[str, Fields] = {
    "frankle2020": frankle2020,
    "chen2021c": chen2021c,
    "chen2021a": chen2021a,
    "chen2021a_rewind_lt": chen2021a_rewind_lt,
    "chen2021a_pt": chen2021a_pt,
    "chen2021a_pt_trans": chen2021a_pt_trans,
    "zhang2021": zhang2021,
    "chen2020a": chen2020a,
    "tanaka2020_synflow": tanaka2020_synflow,
    "quick": quick,
}

IMPORTS_ONLY = ("chen2020a",)  # AdamW and BERT, which the runner does not have


# Of an import of which no recipe is told.
_UNTOLD: dict[str, Any] = {"augment": (), "rewind": "0it"}


# Fields on which nothing that an import holds depends: identities of imports are older than they
# are, and stay.
_NOT_OF_IMPORTS = ("pooling",)


def named(name: str) -> tuple[str, Fields]:
    """Find a recipe, of rgtool or of an installed package, by its name in whatever case.

    Returns
    -------
    str
        Its name.
    callable
        Its fields.

    Raises
    ------
    UsageError
        There is none; the message offers the nearest names.
    """
    if (known := known_name(name, PUBLISHED)) is not None:
        return known, PUBLISHED[known]
    if (found := added("rgtool.recipes", name)) is None:
        names = [*PUBLISHED, *added_names("rgtool.recipes")]
        raise UsageError(f"recipe '{name}' is unknown: {did_you_mean(name, names)}")
    return found.name, load_added("rgtool.recipes", found.name)


def is_recipe(name: str) -> bool:
    """Tell whether a text is the name of a recipe, in whatever case."""
    return known_name(name, [*PUBLISHED, *added_names("rgtool.recipes")]) is not None


def fields_of(name: str, network: Architecture) -> dict[str, Any]:
    """Return the fields that an import has by its recipe; an unknown or empty name tells few."""
    made = PUBLISHED[name](network) if name in PUBLISHED else _UNTOLD
    return {field: value for field, value in made.items() if field not in _NOT_OF_IMPORTS}


def summary(fields: Fields) -> str:
    """Return what the first line of a recipe's docstring says of it."""
    return next(iter((fields.__doc__ or "").strip().splitlines()), "")
