"""Files of tensors, whichever program wrote them: torch, numpy, safetensors or a pickle.

What a file is follows from how it begins and not from its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import RecordError, Unreadable
from .contents import open_contents
from .numpy_files import NPY, is_npz, read_npy, read_npz
from .safetensors import read_any_tensors
from .torch_files import ZIP, read_torch_contents


def read_checkpoint(path: Path) -> Any:
    """Read a file of tensors as data; nothing of it is run.

    Returns
    -------
    object
        What `pickles.read_pickle` returns; of safetensors and `.npz` a dictionary of arrays, of
        `.npy` an array.

    Raises
    ------
    Unreadable
        It is empty, cut off or something else.
    Refused
        It would execute code, or builds more than it holds.
    """
    contents = open_contents(path)
    head = bytes(contents.read(0, 16))
    if path.suffix == ".safetensors" or _is_safetensors(head, contents.size):
        return _tensors(path)
    if head.startswith(NPY):
        return read_npy(contents)
    if head.startswith(ZIP) and is_npz(contents):
        return read_npz(contents)
    return read_torch_contents(contents)


def _is_safetensors(head: bytes, size: int) -> bool:
    """Tell whether a file begins with the length of a header, and the header."""
    return head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") <= size - 8


def _tensors(path: Path) -> Any:
    try:
        return read_any_tensors(path)[0]
    except (RecordError, OSError) as error:
        raise Unreadable(str(error)) from None
