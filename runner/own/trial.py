"""A network of the user's own on two images, before it is trained: what it is like, what it lacks.

What would give wrong results later, or results that could not be continued, is refused in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...schemas.block_map import Blocks
from ...schemas.blocks import Architecture
from ...schemas.errors import UsageError
from ..layers import counted_parts, layers_of
from ..networks import InputShape
from .fingerprint import difference, fingerprint, text_of
from .function import OwnFunction
from .home import printing_aside

_IMAGES = 2
_MOST = 3  # names in a message
_KEPT = (  # what a file of tensors holds, see `schemas.tensors.safetensors`
    torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


@dataclass(frozen=True)
class Traits:
    """What a network is like.

    Attributes
    ----------
    architecture : Architecture
        Its counted layers.
    notes : tuple of str
        What should be said before it is trained.
    draws : bool
        Training draws random numbers, as dropout does.
    channels_last : bool
        It takes images whose channels lie together in memory, which is faster.
    fingerprint : str
        Of a network of the user's own, what tells it from others; see `fingerprint`.
    """

    architecture: Architecture
    notes: tuple[str, ...] = ()
    draws: bool = False
    channels_last: bool = True
    fingerprint: str = ""


def made(function: OwnFunction, input_shape: InputShape, classes: int) -> nn.Module:
    """Let a function build its network, on the CPU.

    Raises
    ------
    UsageError
        It asks for what rgtool does not know, or returns something else.
    RgtoolError
        It fails.
    """
    offered: dict[str, object] = {
        "input_shape": input_shape,
        "channels": input_shape[0],
        "in_channels": input_shape[0],
        "classes": classes,
        "num_classes": classes,
    }
    module = function.call(offered)
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"{function.place} returns {type(module).__name__}, where a network (nn.Module) is "
            "expected"
        )
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_meta:
            raise UsageError(
                f"{function.place}: {name} is on the device meta, which holds no numbers: leave "
                "device= out"
            )
    return module.cpu()


def laid_out(module: nn.Module, input_shape: InputShape, channels_last: bool) -> nn.Module:
    """Give a network the memory format that it can compute in, and lazy layers their shapes."""
    if any(nn.parameter.is_lazy(parameter) for parameter in module.parameters()):
        module.eval()
        with torch.no_grad():
            module(torch.zeros(_IMAGES, *input_shape))
    if channels_last:
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
    # A copy: of images with one channel `contiguous()` leaves the strides as they are.
    module.register_forward_pre_hook(
        lambda _, given: tuple(x.clone(memory_format=torch.contiguous_format) for x in given)
    )
    return module


def traits(
    function: OwnFunction, name: str, blocks: Blocks | None, input_shape: InputShape, classes: int
) -> Traits:
    """Build a network and try it.

    Raises
    ------
    UsageError
        It cannot be trained as it is; the message says why.
    RgtoolError
        The function fails.
    """
    with torch.random.fork_rng(devices=[]), printing_aside():
        first, second = (_seeded(function, input_shape, classes) for _ in range(2))
        _hold_weights(function.place, first, second)
        channels, height, width = input_shape
        # As `Loader` has them: also images of one channel have the strides of channels last.
        images = torch.randn(_IMAGES, height, width, channels).permute(0, 3, 1, 2)
        module, channels_last = _computing(function, first, second, images)
        _hold_state(function.place, module)
        draws = _hold_output(function, module, images, classes)
        notes = (*_uncounted(module), *_shared(module), *_untrained(function, module, images))
        told = _fingerprint(function, input_shape, classes, channels_last)
    layers = layers_of(module, blocks)
    said = tuple(f"{function.place}: {note}" for note in notes)
    return Traits(Architecture(name, layers), said, draws, channels_last, told)


def _seeded(function: OwnFunction, input_shape: InputShape, classes: int) -> nn.Module:
    torch.manual_seed(0)
    return made(function, input_shape, classes)


def _fingerprint(
    function: OwnFunction, input_shape: InputShape, classes: int, channels_last: bool
) -> str:
    """Describe the network; that of the function as it was given must be the same."""

    def of(one: OwnFunction) -> str:
        module = laid_out(_seeded(one, input_shape, classes), input_shape, channels_last)
        return fingerprint(module, input_shape)

    told = of(function)
    if function.given is None or function.original is not None:
        return told
    found = difference(of(replace(function, original=function.given)), told)
    if found:
        raise UsageError(
            f"{function.place}: its source builds another network than the function does here "
            f"({found}): a value was changed after it was loaded; write it into the source"
        )
    return told


def _hold_weights(place: str, first: nn.Module, second: nn.Module) -> None:
    """Hold two networks of one function to weights of their own, in float32."""
    for name, parameter in first.named_parameters():
        if parameter.dtype is not torch.float32:
            raise UsageError(f"{place}: {name} is {parameter.dtype}; float32 is trained")
    if {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}:
        raise UsageError(
            f"{place} returns the same weights every time: build the network inside of the "
            "function, so that every seed has its own"
        )
    found = [
        {n: v for n, v in one.state_dict().items() if isinstance(v, Tensor)}
        for one in (first, second)
    ]
    shapes = [{n: _shape(v) for n, v in state.items()} for state in found]
    if shapes[0] != shapes[1] or text_of(first) != text_of(second):
        raise UsageError(
            f"{place} builds another network every time: a run could not be continued; let it "
            "follow from what the function gets"
        )
    drawn = [n for n, v in found[0].items() if _shape(v) and not _equal((v, found[1][n]))]
    if drawn:
        raise UsageError(
            f"{place}: {_some(drawn)} starts otherwise every time, with the same seed: draw with "
            "PyTorch's random numbers"
        )


def _shape(value: Tensor) -> tuple[int, ...] | None:
    return None if nn.parameter.is_lazy(value) else tuple(value.shape)


def _computing(
    function: OwnFunction, first: nn.Module, second: nn.Module, images: Tensor
) -> tuple[nn.Module, bool]:
    """Return one of two equal networks in a format in which it computes, and whether NHWC is it."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    try:
        with torch.no_grad():
            module = laid_out(first, shape, True)
            module.train()(images)
    except Exception:  # such as a `view` of what does not lie in a row; else it fails again
        try:
            with torch.no_grad():
                module = laid_out(second, shape, False)
                module.train()(images)
        except Exception as error:
            raise UsageError(
                f"{function.place}: the network does not take images of shape {shape}: "
                f"{function.home.words(error)}"
            ) from None
        return module, False
    return module, True


def _hold_state(place: str, module: nn.Module) -> None:
    """Hold weights and buffers to what can be masked, recorded and brought back."""
    parts = counted_parts(module)
    if not parts:
        raise UsageError(
            f"{place}: the network has no convolution (Conv2d) and no linear layer (Linear), and "
            "these are what is pruned"
        )
    for name, part in parts.items():
        if not isinstance(part._parameters.get("weight"), nn.Parameter):
            raise UsageError(
                f"{place}: the weight of {name} is no parameter of its own but computed from "
                "others (weight_norm, a parametrization, prune): it cannot be masked"
            )
    for name, value in module.state_dict().items():
        if not isinstance(value, Tensor) or value.dtype not in _KEPT:
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise UsageError(
                f"{place}: {name} of the network's state is {kind}, which no file keeps"
            )


def _hold_output(function: OwnFunction, module: nn.Module, images: Tensor, classes: int) -> bool:
    """Hold what the network computes to logits that follow from weights, images and seed.

    Returns
    -------
    bool
        Whether training draws random numbers.
    """
    place, passing = function.place, _passing_buffers(module)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    outputs = [_logits(function, module.train(), images, classes, 0)]
    drawn = torch.get_rng_state()
    module.load_state_dict(state)
    outputs.append(_logits(function, module.train(), images, classes, 0))
    torch.manual_seed(0)
    draws = not torch.equal(drawn, torch.get_rng_state())
    if not _equal(outputs):
        raise UsageError(
            f"{place}: in training its output changes with something that is neither weights, "
            "images nor PyTorch's random numbers: a run could not be continued"
        )
    for name, value in _passing_buffers(module).items():
        if not torch.equal(value, passing[name]):
            raise UsageError(
                f"{place}: training changes the buffer {name}, which state_dict() leaves out: a "
                "run could not be continued; register it with persistent=True"
            )
    outputs = [_logits(function, module.eval(), images, classes, seed) for seed in (0, 1)]
    if not _equal(outputs):
        raise UsageError(
            f"{place}: its output is random in eval() too, so that it has no accuracy: draw where "
            "self.training is true alone"
        )
    return draws


def _equal(outputs: Sequence[Tensor]) -> bool:
    one, other = (output.nan_to_num() for output in outputs)
    return torch.equal(one, other)


def _logits(
    function: OwnFunction, module: nn.Module, images: Tensor, classes: int, seed: int
) -> Tensor:
    torch.manual_seed(seed)
    mode = "training" if module.training else "eval()"
    with torch.no_grad():
        try:
            output = module(images)
        except Exception as error:
            raise UsageError(f"{function.place}: in {mode}: {function.home.words(error)}") from None
    expected = f"one number (logit) for each of {classes} classes is expected"
    if not isinstance(output, Tensor):
        raise UsageError(
            f"{function.place}: in {mode} the network returns {type(output).__name__}; {expected}: "
            "return the logits alone"
        )
    if output.shape != (len(images), classes):
        raise UsageError(
            f"{function.place}: in {mode} {len(images)} images give an output of shape "
            f"{tuple(output.shape)}; {expected}"
        )
    sums = output.sum(1)
    if classes > 1 and bool((output >= 0).all()) and torch.allclose(sums, torch.ones_like(sums)):
        raise UsageError(
            f"{function.place}: its outputs are probabilities; the loss takes logits: leave the "
            "softmax out"
        )
    return output


def _passing_buffers(module: nn.Module) -> dict[str, Tensor]:
    kept = module.state_dict()
    return {name: b.clone() for name, b in module.named_buffers() if name not in kept}


def _uncounted(module: nn.Module) -> list[str]:
    """Name the weights of other kinds of layers: they are trained, and never pruned."""
    counted = {id(part.weight) for part in counted_parts(module).values()}
    found = {}
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1 and id(parameter) not in counted:
            owner = type(module.get_submodule(name.rpartition(".")[0])).__name__
            found[name] = f"{name} ({owner}, {parameter.numel()})"
    if not found:
        return []
    return [f"counted and pruned are Conv2d and Linear; not so {_some(found.values())}"]


def _shared(module: nn.Module) -> list[str]:
    counted = {id(part.weight): name for name, part in counted_parts(module).items()}
    pairs = [
        f"{name} and {counted[id(part.weight)]}"
        for name, part in module.named_modules(remove_duplicate=False)
        if counted.get(id(getattr(part, "weight", None)), name) != name
    ]
    if not pairs:
        return []
    return [f"{_some(pairs)} share a weight, which is counted once"]


def _untrained(function: OwnFunction, module: nn.Module, images: Tensor) -> list[str]:
    """Name the weights that training leaves as they are."""
    try:
        module.train()(images).square().sum().backward()
    except Exception as error:
        raise UsageError(f"{function.place}: no gradient: {function.home.words(error)}") from None
    idle = [name for name, parameter in module.named_parameters() if parameter.grad is None]
    return (
        [f"training does not move {_some(idle)}: frozen, or no part of the output"] if idle else []
    )


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _MOST} more" if len(shown) > _MOST else ""
    return ", ".join(shown[:_MOST]) + more
