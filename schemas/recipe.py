"""What defines an experiment, and the identity that follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from .errors import UsageError, did_you_mean
from .steps import Step

Rounding = Literal["exact", "openlth", "round"]
Scope = Literal["global", "layerwise"]
Control = Literal["none", "reinit"]

CHOICES: dict[str, tuple[str, ...]] = {
    "rounding": ("exact", "openlth", "round"),
    "scope": ("global", "layerwise"),
    "control": ("none", "reinit"),
    "pruner": ("magnitude", "random"),
    "prunable": ("all", "convolutions", "convolutions_without_stem", "masked"),
    "fan": ("fan_in", "fan_out"),
}
_FLOATS = ("lr", "momentum", "weight_decay", "gamma", "prune")


@dataclass(frozen=True, kw_only=True)
class Recipe:
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
    init: str = field(default="kaiming_normal", metadata={"meaning": "initialiser of weights"})
    fan: str = field(default="fan_in", metadata={"meaning": "fan that the initialiser divides by"})
    bn_init: str = field(default="uniform", metadata={"meaning": "initialiser of BN weights"})
    optimizer: str = field(default="sgd", metadata={"meaning": "optimizer"})
    lr: float = field(default=0.1, metadata={"meaning": "learning rate"})
    momentum: float = field(default=0.9, metadata={"meaning": "momentum of SGD"})
    weight_decay: float = field(default=1e-4, metadata={"meaning": "L2 penalty"})
    epochs: int = field(default=160, metadata={"meaning": "epochs of training at every level"})
    milestones: tuple[str, ...] = field(
        default=("80ep", "120ep"), metadata={"meaning": "points where the learning rate drops"}
    )
    gamma: float = field(default=0.1, metadata={"meaning": "factor of each drop"})
    batch_size: int = field(default=128, metadata={"meaning": "images a batch"})
    augment: tuple[str, ...] = field(
        default=("flip", "crop4"), metadata={"meaning": "augmentation of the training images"}
    )
    prune: float = field(default=0.2, metadata={"meaning": "share of the weights pruned a level"})
    pruner: str = field(default="magnitude", metadata={"meaning": "what ranks the weights"})
    scope: str = field(default="global", metadata={"meaning": "weights that are ranked together"})
    rounding: str = field(default="exact", metadata={"meaning": "how kept counts are rounded"})
    prunable: str = field(default="all", metadata={"meaning": "layers that are counted"})
    exempt: tuple[str, ...] = field(
        default=(), metadata={"meaning": "layers that are counted and never pruned"}
    )
    rewind: str = field(default="1000it", metadata={"meaning": "point that weights go back to"})
    control: str = field(default="none", metadata={"meaning": "control run"})
    precision: str = field(default="float32", metadata={"meaning": "arithmetic of training"})
    parent: str | None = field(
        default=None, metadata={"meaning": "experiment whose masks or weights are used"}
    )
    transform: str | None = field(
        default=None, metadata={"meaning": "transformation of the parent's tickets"}
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
        for name in _FLOATS:  # 1 and 1.0 are one number, so that one experiment has one identity
            object.__setattr__(self, name, float(getattr(self, name)))
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UsageError(f"{name} '{value}' is unknown: {did_you_mean(value, choices)}")
        if not 0 < self.prune < 1:
            raise UsageError(
                f"prune is {self.prune}: it is the share of the remaining weights that a level "
                "removes, between 0 and 1, such as 0.2"
            )
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}: at least 1 is needed")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise UsageError(f"lr is {self.lr}: a positive number is needed")
        # One spelling for one meaning, for the same reason.
        object.__setattr__(self, "rewind", str(Step.parse(self.rewind)))
        object.__setattr__(self, "milestones", tuple(str(Step.parse(m)) for m in self.milestones))

    def non_defaults(self) -> dict[str, Any]:
        """Return the fields that differ from the frozen defaults, in order of their names."""
        values = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.default is dataclasses.MISSING or getattr(self, f.name) != f.default
        }
        return dict(sorted(values.items()))

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
