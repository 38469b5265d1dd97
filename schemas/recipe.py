"""What defines an experiment, and the identity that follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from .display import Shown, Table
from .errors import UsageError, choose, did_you_mean
from .spelling import asked
from .steps import Step
from .words import spelled

Rounding = Literal["exact", "openlth", "round"]
Control = Literal["none", "reinit", "shuffle", "random", "permute"]

CHOICES: dict[str, tuple[str, ...]] = {
    "rounding": ("exact", "openlth", "round"),
    "scope": ("global", "layerwise"),
    "control": ("none", "reinit", "shuffle", "random", "permute", "copies"),
    "prunable": ("all", "convolutions", "convolutions_without_stem", "masked"),
    "fan": ("fan_in", "fan_out"),
    "head_init": ("same", "torch"),
    "schedule": ("continue", "restart"),
    "pooling": ("max", "average"),
    "score_at": ("end", "rewind"),
    "score_mode": ("eval", "train"),
    "score_from": ("previous", "dense"),
}
ANEW = ("reinit", "permute")  # controls whose weights are others at every level
# Initialisers whose scales follow from the shapes of layers.
INITIALISERS = ("kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform")
_LEAST = {"epochs": 0, "batch_size": 1, "score_steps": 1, "score_images": 1}
_INT64 = range(-(2**63), 2**63)
# What a field's annotation asks of a value, and in words.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda v: isinstance(v, str), "a text"),
    "int": (lambda v: isinstance(v, int) and not isinstance(v, bool), "a whole number"),
    "float": (lambda v: isinstance(v, int | float) and not isinstance(v, bool), "a number"),
    "bool": (lambda v: isinstance(v, bool), "true or false"),
    "tuple[str, ...]": (
        lambda v: isinstance(v, tuple) and all(isinstance(x, str) for x in v),
        "a list of texts",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Recipe(Shown):
    """Everything that defines how a run trains and prunes, the seed excepted.

    The defaults are frozen: `experiment_id` hashes only what differs from them, so a field that
    is added later, with a default that means what was done before, moves no identity. They are
    the values of OpenLTH's CIFAR ResNets (Frankle et al. 2020).
    """

    architecture: str = field(metadata={"meaning": "network, such as resnet20 or resnet8w4"})
    task: str = field(metadata={"meaning": "data set"})
    train_size: int | None = field(
        default=None, metadata={"meaning": "class-balanced subset of the training set, images"}
    )
    valid_size: int = field(
        default=0, metadata={"meaning": "last training images, held out for validation"}
    )
    init: str = field(default="kaiming_normal", metadata={"meaning": "initialiser of weights"})
    pretrained: str | None = field(
        default=None, metadata={"meaning": "hash of the weights that training starts from"}
    )
    fan: str = field(default="fan_in", metadata={"meaning": "fan that the initialiser divides by"})
    bn_init: str = field(default="uniform", metadata={"meaning": "initialiser of BN weights"})
    head_init: str = field(
        default="same", metadata={"meaning": "initialiser of the output layer: same or torch's"}
    )
    pooling: str = field(
        default="max", metadata={"meaning": "how a VGG pools its last positions: max or average"}
    )
    optimizer: str = field(default="sgd", metadata={"meaning": "optimizer"})
    lr: float = field(default=0.1, metadata={"meaning": "learning rate"})
    momentum: float = field(default=0.9, metadata={"meaning": "momentum of SGD"})
    weight_decay: float = field(default=1e-4, metadata={"meaning": "L2 penalty"})
    epochs: int | None = field(
        default=160,
        metadata={"meaning": "epochs of training at every level; null where length tells"},
    )
    length: str | None = field(
        default=None,
        metadata={"meaning": "length of training in iterations, as 63000it, instead of epochs"},
    )
    milestones: tuple[str, ...] = field(
        default=("80ep", "120ep"), metadata={"meaning": "points where the learning rate drops"}
    )
    gamma: float = field(default=0.1, metadata={"meaning": "factor of each drop"})
    warmup: str = field(
        default="0it", metadata={"meaning": "point up to which the learning rate grows linearly"}
    )
    batch_size: int = field(default=128, metadata={"meaning": "images a batch"})
    drop_last: bool = field(
        default=False, metadata={"meaning": "leave out the last batch where it is smaller"}
    )
    augment: tuple[str, ...] = field(
        default=("flip", "crop4"), metadata={"meaning": "augmentation of the training images"}
    )
    prune: float = field(default=0.2, metadata={"meaning": "share of the weights pruned a level"})
    pruner: str = field(default="magnitude", metadata={"meaning": "what ranks the weights"})
    score_at: str = field(
        default="end", metadata={"meaning": "weights that are ranked: at the end, or rewound"}
    )
    score_steps: int = field(
        default=1, metadata={"meaning": "steps of a pruning; after each weights are ranked anew"}
    )
    score_images: int | None = field(
        default=None,
        metadata={"meaning": "class-balanced training images that a pruner looks at; null: all"},
    )
    score_mode: str = field(
        default="eval",
        metadata={"meaning": "what batch norm does while a pruner looks"},
    )
    score_from: str = field(
        default="previous",
        metadata={"meaning": "mask that a pruning begins from: that before, or the dense one"},
    )
    scope: str = field(default="global", metadata={"meaning": "weights that are ranked together"})
    rounding: str = field(default="exact", metadata={"meaning": "how kept counts are rounded"})
    prunable: str = field(default="all", metadata={"meaning": "layers that are counted"})
    exempt: tuple[str, ...] = field(
        default=(), metadata={"meaning": "layers that are counted and never pruned"}
    )
    rewind: str = field(default="1000it", metadata={"meaning": "point that weights go back to"})
    schedule: str = field(
        default="continue",
        metadata={"meaning": "whether the schedule goes on from the rewind point or restarts"},
    )
    control: str = field(
        default="none", metadata={"meaning": "what of the parent's tickets is drawn anew"}
    )
    precision: str = field(default="float32", metadata={"meaning": "arithmetic of training"})
    parent: str | None = field(
        default=None, metadata={"meaning": "experiment whose masks or weights are used"}
    )
    transform: str | None = field(
        default=None, metadata={"meaning": "transformation of the parent's tickets"}
    )
    fresh: tuple[str, ...] = field(
        default=(),
        metadata={"meaning": "layers that are not the parent's: drawn from the seed, dense"},
    )
    start: int | None = field(
        default=None,
        metadata={"meaning": "level of the parent's ticket that a run prunes on from by itself"},
    )
    origin: str | None = field(
        default=None, metadata={"meaning": "study that an import comes from; null for own runs"}
    )

    def __post_init__(self) -> None:
        """Hold every field to its range.

        Raises
        ------
        UsageError
            A value is out of range; the message names the field.
        """
        for one in dataclasses.fields(self):
            self._check_kind(one.name, getattr(one.type, "__name__", str(one.type)))
        for name, choices in CHOICES.items():
            object.__setattr__(self, name, choose(name, getattr(self, name), choices))
        if not 0 < self.prune < 1:
            raise UsageError(
                f"prune is {self.prune}: it is the share of the remaining weights that a level "
                "removes, between 0 and 1, such as 0.2"
            )
        self._settle_length()
        for name, least in (
            ("batch_size", 1),
            ("score_steps", 1),
            ("score_images", 1),
            ("epochs", 0),
        ):
            if (value := getattr(self, name)) is not None and value < least:
                raise UsageError(f"{name} is {value}: at least {least} is needed")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise UsageError(f"lr is {self.lr}: a positive number is needed")
        if self.start is not None and self.start < 0:
            raise UsageError(f"start is {self.start}: it is a level of the parent, 0 or more")
        if self.valid_size < 0:
            raise UsageError(f"valid_size is {self.valid_size}: 0 or more images are held out")
        # One spelling for one meaning, for the same reason.
        for name in ("rewind", "warmup"):
            object.__setattr__(self, name, str(Step.parse(getattr(self, name))))
        object.__setattr__(self, "milestones", tuple(str(Step.parse(m)) for m in self.milestones))

    def _settle_length(self) -> None:
        """Hold that one of `epochs` and `length` tells; whole epochs are told by `epochs`."""
        if (self.epochs is None) == (self.length is None):
            told = "neither tells" if self.length is None else f"{self.epochs} and {self.length}"
            raise UsageError(f"epochs and length: {told}: one of them says how long training is")
        if self.length is None:
            return
        length = Step.parse(self.length)
        if length == Step(0, 0):
            raise UsageError(f"length is {self.length}: at least 1it is needed")
        whole = length.iterations == 0
        object.__setattr__(self, "epochs", length.epochs if whole else None)
        object.__setattr__(self, "length", None if whole else str(length))

    @property
    def whole_epochs(self) -> int:
        """Epochs of training at every level.

        Raises
        ------
        UsageError
            Training is not a whole number of epochs.
        """
        if self.epochs is None:
            raise UsageError(
                f"length is {self.length}: rgtool trains whole epochs, as by {asked('epochs', 160)}"
            )
        return self.epochs

    def _check_kind(self, name: str, annotation: str) -> None:
        value, kind = getattr(self, name), annotation.removesuffix(" | None")
        if value is None and kind != annotation:
            return
        fits, words = _KINDS[kind]
        if not fits(value):
            raise UsageError(f"{name} is {value!r}: {words} is needed")
        if isinstance(value, int) and value not in _INT64:
            raise UsageError(
                f"{name} is {value:.1e}: {words} of at most 64 bits is needed"
                if abs(value) < 10**300
                else f"{name} has more than 300 digits: {words} is needed"
            )
        if kind == "float":  # 1 and 1.0 are one number, so that one experiment has one identity
            try:
                object.__setattr__(self, name, float(value))
            except OverflowError:
                raise UsageError(f"{name} is too large a number") from None

    def table(self) -> Table:
        """Return what `rgtool recipes show` prints."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return recipe_table(values, f"{self.architecture}/{self.task}")

    @property
    def finds_masks(self) -> bool:
        """Whether its runs prune: without a parent, or from one of a parent's tickets on."""
        return self.parent is None or self.start is not None

    def non_defaults(self) -> dict[str, Any]:
        """Return the fields that differ from the frozen defaults, in order of their names.

        Epochs that `length` stands for are none of them.
        """
        values = {f.name: (getattr(self, f.name), f.default) for f in dataclasses.fields(self)}
        return {
            name: value
            for name, (value, default) in sorted(values.items())
            if value is not None and value != default
        }

    @property
    def experiment_id(self) -> str:
        """Twelve hexadecimal digits that depend on the non-default fields alone."""
        text = json.dumps(self.non_defaults(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def run_id(self, seed: int | str, parent_run: str | None = None) -> str:
        """Name one replicate: the experiment, its seed and the parent's run, if there is one."""
        if parent_run is None:
            return f"{self.experiment_id}-s{seed}"
        return f"{self.experiment_id}-s{seed}-{hashlib.sha256(parent_run.encode()).hexdigest()[:6]}"

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON types (tuples become lists)."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a recipe from `to_json`; absent fields take their frozen defaults."""
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UsageError(
                f"recipe field '{unknown[0]}' is unknown: {did_you_mean(unknown[0], known)}"
            )
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**fields)


def recipe_table(values: Mapping[str, Any], title: str) -> Table:
    """Return a row for every field of `Recipe` but architecture and task, and what it means.

    Parameters
    ----------
    values : mapping of str to Any
        Values of fields; the others have their frozen defaults.
    title : str
        Shown above.
    """
    rows = []
    for one in dataclasses.fields(Recipe):
        if one.name not in ("architecture", "task"):
            value = values.get(one.name, one.default)
            differs = "" if value == one.default else "*"
            rows.append((one.name, spelled(value, "none"), differs, one.metadata["meaning"]))
    note = "* differs from the default of a field"
    return Table(("field", "value", "differs", "meaning"), rows, title=title, notes=(note,))


def parse_field(text: str) -> tuple[str, Any]:
    """Read `lr=0.05`, `milestones=40ep,60ep` or `augment=none` as a field of the recipe.

    Raises
    ------
    UsageError
        There is no such field, or the value is not of its kind.

    Examples
    --------
    >>> parse_field("milestones=40ep,60ep"), parse_field("drop_last=true")
    (('milestones', ('40ep', '60ep')), ('drop_last', True))
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    kinds = {f.name: str(f.type).removesuffix(" | None") for f in dataclasses.fields(Recipe)}
    if not equals:
        raise UsageError(f"'{text}' sets nothing: write a field and its value, as lr=0.05")
    name = choose("recipe field", name, kinds)
    kind = kinds[name]
    try:
        if kind == "int":
            return name, int(value)
        if kind == "float":
            return name, float(value)
        if kind == "bool":
            return name, {"true": True, "false": False}[value.lower()]
    except (ValueError, KeyError):
        raise UsageError(f"{name} is '{value}': {_KINDS[kind][1]} is needed") from None
    if kind == "str":
        return name, value
    return name, () if value.lower() == "none" else tuple(
        v.strip() for v in value.split(",") if v.strip()
    )
