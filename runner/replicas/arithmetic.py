"""The numbers that training computes with; weights are float32 whatever they are."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from torch import Tensor

from ...schemas.errors import UsageError

# float32; float32 with convolutions and products of 10 bits (tf32); mixed precision, where
# convolutions and products take and give half precision and all else stays as it is.
PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_FIRST_SCALE, _GROWTH, _INTERVAL = 65536.0, 2.0, 2000  # as torch.amp.GradScaler begins and goes on


def check_precision(precision: str, device: torch.device) -> str:
    """Hold a precision to what the device can do and return what should be said of it.

    Raises
    ------
    UsageError
        The precision needs a GPU.
    """
    if precision in ("tf32", "fp16") and device.type == "cpu":
        raise UsageError(
            f"precision {precision} needs a GPU, and the device is a CPU: use float32, or bf16 "
            "where the processor has instructions for it"
        )
    if precision == "bf16" and device.type == "cpu" and not has_bf16():
        return "this processor has no bfloat16 instructions: float32 is faster here than bf16"
    return ""


def has_bf16() -> bool:
    """Tell whether this processor computes in bfloat16 rather than around it."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return the context in which a forward pass has this precision."""
    if PRECISIONS[precision] is torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])


class LossScale:
    """A factor that lifts small gradients into the range of float16 (Micikevicius et al. 2018).

    It halves when a gradient overflows, and that step is left out; it doubles after 2000 steps
    without. Nothing waits for the device, so that a CUDA graph can hold it.
    """

    def __init__(self, device: torch.device) -> None:
        self.factor = torch.full((), _FIRST_SCALE, device=device)
        self.steady = torch.zeros((), dtype=torch.int32, device=device)
        self.overflow = torch.zeros((), device=device)

    def lower(self, gradients: Sequence[Tensor]) -> None:
        """Divide gradients by the factor, in place, and note whether one overflowed."""
        self.overflow.zero_()
        torch._amp_foreach_non_finite_check_and_unscale_(
            list(gradients), self.overflow, self.factor.double().reciprocal().float()
        )

    def adapt(self) -> None:
        """Choose the next factor from whether the last gradients overflowed."""
        torch._amp_update_scale_(
            self.factor, self.steady, self.overflow, _GROWTH, 1 / _GROWTH, _INTERVAL
        )
