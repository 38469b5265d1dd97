"""What a pickle would do if it were executed, read from its instructions without executing them.

Loading is done by torch with `weights_only=True`, which runs no code of a file's. This look
beforehand says in words what a file tries, and keeps out of the loader what makes it allocate far
more than the file holds.
"""

from __future__ import annotations

import io
import pickletools
import re
from typing import IO

from .errors import Refused, Unreadable, printable

# Names that checkpoints of tensors, numbers and texts use, and no more.
_ALLOWED = frozenset(
    {
        "_codecs.encode",
        "collections.Counter",
        "collections.OrderedDict",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.ndarray",
        "numpy.dtype",
        "torch.Size",
        "torch.device",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch.nn.parameter.Parameter",
        "torch.storage.TypedStorage",
        "torch.storage.UntypedStorage",
    }
)
_ALLOWED_PATTERN = re.compile(
    r"torch\.(cuda\.)?(Float|Double|Half|BFloat16|Bool|Byte|Char|Short|Int|Long)(Storage|Tensor)"
    r"|torch\.(bool|bfloat16|u?int\d+|float\d+)"
)
# The instructions that matter here; all others push numbers, build containers or call what was
# named before.
_GLOBALS = frozenset({"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_TEXTS = frozenset(
    op.name for op in pickletools.opcodes if "STRING" in op.name or "UNICODE" in op.name
)
_WATCHED = _GLOBALS | _PUTS | _GETS | _TEXTS
_MAX_OPCODES = 2_000_000
_MAX_MEMO = 5_000_000  # a memo index beyond makes the loader's table as large as the index says


def inspect(data: bytes | IO[bytes], where: str) -> int:
    """Hold one pickle to what a checkpoint needs; return the number of bytes it takes.

    Parameters
    ----------
    data : bytes or binary file
        Where the pickle starts.
    where : str
        The file, for messages.

    Raises
    ------
    Refused
        It would execute code, or asks the loader for something else than tensors and numbers.
    Unreadable
        It is no whole pickle.
    """
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    start = stream.tell()
    texts: list[str] = []  # the last strings pushed: STACK_GLOBAL takes its name from them
    memo: dict[int, str] = {}
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > _MAX_OPCODES:
                raise Refused(f"{where}: the pickle has over {_MAX_OPCODES} instructions")
            if opcode.name in _GLOBALS:
                _hold(_global_name(opcode.name, argument, texts), where)
            elif opcode.name in _WATCHED:
                _follow(opcode.name, argument, texts, memo, where)
    except Refused:
        raise
    except Exception as error:  # pickletools raises whatever a broken stream provokes
        raise Unreadable(f"{where}: no whole pickle ({short(error)})") from None
    return stream.tell() - start


def _global_name(opcode: str, argument: object, texts: list[str]) -> str:
    """Return the name that an instruction asks for."""
    if opcode in ("GLOBAL", "INST"):
        return str(argument).replace(" ", ".", 1)
    if opcode == "STACK_GLOBAL":
        return ".".join(texts[-2:]) if len(texts) >= 2 else "a name that is computed"
    return "an extension code"


def _follow(
    opcode: str, argument: object, texts: list[str], memo: dict[int, str], where: str
) -> None:
    """Keep track of the texts that a name may be put together from."""
    if opcode in _TEXTS:
        texts.append(str(argument))
        return
    index = len(memo) if argument is None else int(str(argument))
    if opcode in _GETS:
        texts.append(memo.get(index, ""))
    elif index > _MAX_MEMO:
        raise Refused(f"{where}: the pickle asks for a table of {index} entries")
    else:
        memo[index] = texts[-1] if texts else ""


def _hold(name: str, where: str) -> None:
    if name in _ALLOWED or _ALLOWED_PATTERN.fullmatch(name):
        return
    shown = short(name)
    if name.startswith("torch.nn.modules.") or "DataParallel" in name:
        raise Refused(
            f"{where}: a whole pickled module, which only its own code can load: give the mask "
            "file instead (mask.pt, or a state dict)"
        )
    raise Refused(f"{where}: a pickle that would execute code ({shown}): nothing of it was run")


def short(value: object) -> str:
    """Return a value as a printable text of at most 80 characters."""
    text = printable(str(value))
    return text if len(text) <= 80 else text[:77] + "..."
