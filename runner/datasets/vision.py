"""torchvision, also beside a torch without CUDA.

The wheel of torchvision on PyPI is built against CUDA. Beside a CPU build of torch its compiled
operators do not load, and the import fails because the schemas of two of them are missing. None of
the operators is needed here, so the two schemas are defined and the import is tried again.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

import torch

T = TypeVar("T")

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None  # the schemas live as long as this object


def torchvision_datasets() -> ModuleType:
    """Return the module `torchvision.datasets`.

    Raises
    ------
    ImportError
        torchvision is not installed.
    """
    return with_torchvision(lambda: importlib.import_module("torchvision.datasets"))


def with_torchvision(act: Callable[[], T]) -> T:
    """Do what imports torchvision, perhaps; where that fails for want of operators, do it again."""
    with warnings.catch_warnings():
        # Decoding files is not needed either.
        warnings.filterwarnings("ignore", message="Failed to load image Python extension")
        try:
            return act()
        except RuntimeError as error:
            if "torchvision::" not in str(error):
                raise
        _define_schemas()
        return act()


def _define_schemas() -> None:
    global _library
    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # what the failed import left behind
    _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        _library.define(schema)  # type: ignore[no-untyped-call]
