"""What torch's functions in a pickle stand for: views of a storage, in place of tensors.

Each gets the arguments in the file and raises ValueError or TypeError where they are not what
`torch.save` writes; none calls anything of torch. `rebuild` lists them among all that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .number_types import NAMES
from .stored import (
    Compressed,
    InFile,
    Name,
    Sparse,
    Storage,
    Strange,
    StrangeTensor,
    Tensor,
    held_shape,
    short,
    text_of,
)

# Layouts of matrices whose values are listed line by line: whether the lines are rows.
_COMPRESSED = {"sparse_csr": True, "sparse_csc": False, "sparse_bsr": True, "sparse_bsc": False}


def _number_type(name: object) -> str:
    kind = name.what.removeprefix("torch.") if isinstance(name, Name) else ""
    if kind not in NAMES:
        raise ValueError("a tensor of no type")
    return kind


def _view(storage: Any, kind: str, offset: Any, size: Any, stride: Any) -> Any:
    if isinstance(storage, Strange):
        return storage
    if not isinstance(storage, Storage) or not isinstance(stride, tuple | list):
        raise ValueError("a tensor without a storage")
    if not kind:
        return StrangeTensor("a tensor of quantized numbers")
    return Tensor(storage, kind, offset, held_shape(size), tuple(stride))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any) -> Any:
    return _view(storage, getattr(storage, "kind", ""), offset, size, stride)


def _tensor_v2(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, metadata: Any = None
) -> Any:
    if metadata:
        return StrangeTensor("a tensor with pending conjugation or negation")
    return _tensor(storage, offset, size, stride)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, kind: Any,
    metadata: Any = None,
) -> Any:  # fmt: skip
    if metadata or (isinstance(kind, Name) and kind.what.removeprefix("torch.") not in NAMES):
        return StrangeTensor(f"a tensor of {getattr(kind, 'what', 'no type')}")
    return _view(storage, _number_type(kind), offset, size, stride)


def _parameter(data: Any, grad: Any, hooks: Any, state: Any = None) -> Any:
    if not isinstance(data, InFile | Strange):
        raise ValueError("a parameter that is no tensor")
    return data


def _layout(text: Any) -> Any:
    return Strange(short(text_of(text)))


def _device(kind: Any, index: Any = None) -> Any:
    return Strange(f"torch.device {short(text_of(kind))}")


def _sparse(layout: Any, data: Any) -> Any:
    name = getattr(layout, "what", "unknown").removeprefix("torch.")
    if name not in ("sparse_coo", *_COMPRESSED):
        return StrangeTensor(f"a tensor of layout {name}")
    if not isinstance(data, tuple):
        raise ValueError("a sparse tensor without its parts")
    *parts, size = data[:3] if name == "sparse_coo" else data[:4]
    if not all(isinstance(part, Tensor) for part in parts):
        return StrangeTensor("a sparse tensor of strange parts")
    shape = held_shape(size)
    if name == "sparse_coo":
        indices, values = parts
        return Sparse(indices, values, shape)
    starts, places, values = parts
    if len(shape) != 2 or len(values.shape) not in (1, 3):
        return StrangeTensor(f"a tensor of layout {name} that is no matrix")
    return Compressed(starts, places, values, shape, _COMPRESSED[name])


def _on_device(data: Any, kind: Any, device: Any, grad: Any) -> Any:
    """Rebuild a tensor of a TPU or another device that torch saves by way of the CPU."""
    if not isinstance(data, InFile | np.ndarray | Strange):
        raise ValueError("a tensor of a device without its data")
    return data


def _from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """Rebuild a tensor that has attributes, or is of a class derived from torch's."""
    name = function.what if isinstance(function, Name) else ""
    if name not in _OF_TENSORS or not isinstance(arguments, tuple):
        raise ValueError("a tensor rebuilt by no function for tensors")
    return _OF_TENSORS[name](*arguments)


def _strange(what: str) -> Callable[..., Any]:
    return lambda *arguments: StrangeTensor(what)


_OF_TENSORS: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _on_device,
    "torch._utils._rebuild_device_tensor_from_numpy": _on_device,
    "torch._utils._rebuild_wrapper_subclass": _strange("a tensor of a class without data"),
    "torch._utils._rebuild_qtensor": _strange("a quantized tensor"),
    "torch._utils._rebuild_nested_tensor": _strange("a nested tensor"),
    "torch._utils._rebuild_meta_tensor_no_storage": _strange("a tensor without data"),
}
TENSOR_CALLS: Mapping[str, Callable[..., Any]] = {
    **_OF_TENSORS,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.serialization._get_layout": _layout,
    "torch.device": _device,
}
