"""What the names in a pickle stand for: our own values for those that checkpoints need.

`CALLS` and `CALLS_WITH_LIMITS` list every name that a pickle may call with effect. A function gets
the arguments in the file and makes plain data of them, or a view of a storage; it raises
ValueError or TypeError where they are not what `torch.save` writes. Nothing of a library is ever
called with them.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..errors import Refused, Unreadable
from .number_types import truth
from .rebuild_tensors import TENSOR_CALLS
from .stored import Name, Storage, Strange, held_shape, short, text_of

_MAX_NAME = 500  # characters
_LATIN1 = frozenset({"latin1", "latin-1", "latin_1", "iso-8859-1", "iso8859-1"})


class Limits(Protocol):
    """What is asked before something is made; each raises Refused where it would be too much."""

    where: str

    def key(self, key: object) -> None:
        """Hold a key of a dictionary, or an element of a set, to what it may cost."""

    def hold(self, size: int) -> None:
        """Ask whether so many bytes may still be made."""

    def take(self, size: int) -> None:
        """Count bytes that are about to be made."""

    def inner(self, data: bytes) -> Any:
        """Read a file of torch that stands in the pickle."""


@dataclass(frozen=True, eq=False)
class Unfinished(Strange):
    """An array or type of numbers whose state is still to come.

    Attributes
    ----------
    finish : callable
        Makes the value from the state.
    places : list of int
        Where it stands in the memo, for the value to take its place.
    """

    what: str
    finish: Callable[[Any], Any]
    places: list[int] = field(default_factory=list)


# numpy.


def _dtype(text: Any, align: Any = False, copy: Any = False) -> Any:
    code = text_of(text)
    if not re.fullmatch(r"[<>=|]?(?:b1|[iu][1248]|f[248]|c8|c16|\?)", code):
        return Unfinished("numpy.dtype", lambda state: Strange(f"numpy.dtype {short(code)}"))
    return Unfinished("numpy.dtype", lambda state: _in_byte_order(np.dtype(code), state))


def _in_byte_order(dtype: Any, state: Any) -> Any:
    order = state[1] if isinstance(state, tuple) and len(state) >= 2 else None
    if type(order) is not str or order not in ("<", ">", "|", "="):
        raise ValueError("a type of numbers of no byte order")
    return dtype.newbyteorder(order) if order != "|" else dtype


def _array(limits: Limits, kind: Any, shape: Any, code: Any) -> Any:
    if not isinstance(kind, Name) or kind.what != "numpy.ndarray":
        return Unfinished("numpy.ndarray", lambda state: Strange("a subclass of numpy.ndarray"))
    return Unfinished("numpy.ndarray", lambda state: _finished_array(limits, state))


def _finished_array(limits: Limits, state: Any) -> Any:
    _, shape, dtype, fortran, data = state
    if isinstance(data, list) and isinstance(dtype, Strange):  # an array of objects: they are there
        return _objects(held_shape(shape), data)
    return _frombuffer(limits, data, dtype, shape, "F" if fortran else "C")


def _objects(shape: tuple[int, ...], data: list[Any]) -> Any:
    """Return what an array of objects holds: a list, or the one object of an array of no axis."""
    if len(data) != math.prod(shape):
        raise ValueError(f"{len(data)} objects for an array of shape {shape}")
    return data if shape else data[0]


def _frombuffer(limits: Limits, data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    if isinstance(dtype, Strange):
        return Strange(f"a numpy array of {dtype.what}")
    if not isinstance(dtype, np.dtype) or not isinstance(data, str | bytes | bytearray):
        raise ValueError("an array without data")
    shape = held_shape(shape)
    if len(data) != math.prod(shape) * dtype.itemsize or order not in ("C", "F"):
        raise ValueError(f"{len(data)} bytes for an array of shape {shape}")
    # A view costs nothing, but data in the memo can be copied any number of times.
    limits.take(len(data) * (isinstance(data, str) + (not dtype.isnative)))
    data = data.encode("latin1") if isinstance(data, str) else data
    flat = truth(np.frombuffer(data, "u1")) if dtype.kind == "b" else np.frombuffer(data, dtype)
    return flat.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order=order)


def _scalar(limits: Limits, dtype: Any, data: Any = b"") -> Any:
    found = _frombuffer(limits, data, dtype, (), "C")
    return found if isinstance(found, Strange) else found[()]


def _from_bytes(limits: Limits, data: Any) -> Any:
    """Return the storage in a file of torch that stands as bytes in the pickle.

    Whatever else stands there was written for torch to load it, and is refused as code.
    """
    try:
        found = limits.inner(data) if isinstance(data, bytes) else None
    except (Unreadable, ValueError):
        found = None
    if not isinstance(found, Storage):
        raise _executes(Name("torch.storage._load_from_bytes"), limits.where)
    return found


# Plain data.


def _encode(limits: Limits, text: Any, codec: Any = "utf-8") -> bytes:
    if text_of(codec) not in _LATIN1:
        raise ValueError("a text in an encoding that pickles do not use")
    limits.hold(len(text_of(text)))
    return text_of(text).encode("latin1")


def _encoded(limits: Limits, *arguments: Any) -> bytes:
    if not arguments:
        return b""
    data, *codec = arguments
    if isinstance(data, bytes | bytearray) and not codec:
        limits.hold(len(data))
        return bytes(data)
    return _encode(limits, data, *codec)


def _bytearray(limits: Limits, *arguments: Any) -> bytearray:
    if arguments and isinstance(arguments[0], str):
        limits.hold(2 * len(arguments[0]))
    return bytearray(_encoded(limits, *arguments))


def _sequence(*arguments: Any) -> list[Any]:
    """Return what a container is made of: nothing, or one other container."""
    if not arguments:
        return []
    (found,) = arguments
    if not isinstance(found, list | tuple | set | frozenset):
        raise ValueError("a container of no elements")
    return list(found)


def _size(*arguments: Any) -> tuple[int, ...]:
    return held_shape(tuple(_sequence(*arguments)))


def _pairs(limits: Limits, *arguments: Any) -> dict[Any, Any]:
    if arguments and isinstance(arguments[0], dict):
        (found,) = arguments
        return dict(found)
    pairs = _sequence(*arguments)
    for key, _ in pairs:
        limits.key(key)
    return dict(pairs)


def _elements(limits: Limits, *arguments: Any) -> list[Any]:
    found = _sequence(*arguments)
    for element in found:
        limits.key(element)
    return found


def _complex(real: Any, imaginary: Any) -> complex:
    if not isinstance(real, float) or not isinstance(imaginary, float):
        raise ValueError("a complex number of no numbers")
    return complex(real, imaginary)


def _reconstructor(limits: Limits, kind: Any, base: Any, state: Any) -> Any:
    """Make an instance as protocols 0 and 1 do."""
    return create(kind, limits.where)


def _getattr(of: Any, attribute: Any) -> Strange:
    """Note a method or a function of a module; nothing of it is looked up."""
    name = f"{of.what}.{text_of(attribute)}" if isinstance(of, Name) else "builtins.getattr"
    if len(name) > _MAX_NAME:
        raise ValueError(f"a name of {len(name)} characters")
    return Name(name) if isinstance(of, Name) else Strange(name)


CALLS_WITH_LIMITS: Mapping[str, Callable[..., Any]] = {
    "copyreg._reconstructor": _reconstructor,
    "collections.OrderedDict": _pairs,
    "collections.Counter": _pairs,
    "builtins.dict": _pairs,
    "collections.defaultdict": lambda limits, *factory: {},
    "builtins.set": lambda limits, *of: set(_elements(limits, *of)),
    "builtins.frozenset": lambda limits, *of: frozenset(_elements(limits, *of)),
    "torch.storage._load_from_bytes": _from_bytes,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _frombuffer,
    "_codecs.encode": _encode,
    "builtins.bytes": _encoded,
    "builtins.bytearray": _bytearray,
}
CALLS: Mapping[str, Callable[..., Any]] = {
    **TENSOR_CALLS,
    "torch.Size": _size,
    "numpy.dtype": _dtype,
    "builtins.list": _sequence,
    "builtins.tuple": lambda *of: tuple(_sequence(*of)),
    "builtins.complex": _complex,
    "builtins.getattr": _getattr,
}

# What else a checkpoint often holds beside its tensors: of these the name is kept, and no more.
_NOTED = re.compile(
    r"pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path|datetime\.(datetime|date|time|timedelta|timezone)"
    r"|zoneinfo\.ZoneInfo\._unpickle|decimal\.Decimal|fractions\.Fraction|uuid\.UUID|ipaddress\.IPv\w+"
    r"|collections\.(deque|ChainMap|User\w+)|itertools\.\w+|array\.(array|_array_reconstructor)"
    r"|functools\.partial|types\.SimpleNamespace|argparse\.Namespace|time\.struct_time|re\._compile"
    r"|string\.Template|logging\.getLogger|random\.\w*Random|statistics\.NormalDist"
    r"|builtins\.(slice|range|object|iter|reversed|enumerate|zip|\w+(Error|Exception|Warning))"
    r"|numpy\.random\._pickle\.__(randomstate|generator|bit_generator)_ctor"
    r"|numpy\.random\.bit_generator\.\w+|numpy\.ma\.core\._mareconstruct|numpy\.poly1d"
    r"|numpy\.polynomial\.[\w.]+|pandas\.[\w.]+|pyarrow\.lib\.\w+"
    r"|torch\.(nn|optim|distributions)\.[\w.]*\.?[A-Z]\w*|torch\._C\.Generator"
)
# Functions of these are never data, not even as a name that is only mentioned.
_PROGRAMS = frozenset(
    {
        "os", "posix", "nt", "sys", "subprocess", "pty", "commands", "popen2", "shutil",
        "socket", "runpy", "importlib", "imp", "marshal", "pickle", "_pickle", "cPickle", "code",
        "codeop", "ctypes", "_ctypes", "multiprocessing", "webbrowser", "pdb", "bdb", "timeit",
        "profile", "cProfile", "pydoc", "io", "_io", "tempfile", "operator", "_operator",
    }
)  # fmt: skip
_BUILTINS = frozenset(
    {
        "eval", "exec", "execfile", "compile", "open", "file", "input", "raw_input",
        "__import__", "setattr", "delattr", "apply", "globals", "locals", "vars",
        "breakpoint", "map", "filter", "reduce", "help", "memoryview",
    }
)  # fmt: skip
# Python 2 and numpy 1 called some modules otherwise.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_OWN = frozenset(sys.stdlib_module_names) | {"numpy", "torch"}


def mention(module: str, attribute: str, where: str) -> Name:
    """Return a name of a pickle.

    Raises
    ------
    Refused
        It is that of a function that runs programs, and of no use otherwise; or it is too long.
    """
    if len(module) + len(attribute) > _MAX_NAME:
        raise Refused(f"{where}: a pickle with a name of {len(module) + len(attribute)} characters")
    module = _RENAMED.get(module, module)
    if module.startswith("numpy.core."):
        module = "numpy._core." + module.removeprefix("numpy.core.")
    attribute = {"xrange": "range"}.get(attribute, attribute)
    name = Name(f"{module}.{attribute}")
    builtin = module == "builtins" and attribute.partition(".")[0] in _BUILTINS
    if builtin or module.partition(".")[0] in _PROGRAMS:
        raise _executes(name, where)
    return name


def call(function: Any, arguments: tuple[Any, ...], limits: Limits) -> Any:
    """Return what calling a name stands for.

    Raises
    ------
    Refused
        It is none that checkpoints need: elsewhere it would execute code.
    ValueError, TypeError
        The arguments are not what they should be.
    """
    name = function.what if isinstance(function, Name) else ""
    if name in CALLS:
        return CALLS[name](*arguments)
    if name in CALLS_WITH_LIMITS:
        return CALLS_WITH_LIMITS[name](limits, *arguments)
    if name and (_NOTED.fullmatch(name) or _is_member(name, arguments)):
        return Strange(name)
    raise _executes(function, limits.where)


def create(kind: Any, where: str) -> Strange:
    """Return what is kept of an instance that is made without calling its class: the name.

    Raises
    ------
    Refused
        It is of a class that does more than hold data: of Python itself, of numpy or of torch.
    """
    if not isinstance(kind, Name):
        raise _executes(kind, where)
    if kind.what.partition(".")[0] in _OWN and not _NOTED.fullmatch(kind.what):
        raise _executes(kind, where)
    return Strange(kind.what)


def _is_member(name: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether a call is how a member of somebody's enumeration is written."""
    parts = name.split(".")
    one = len(arguments) == 1 and isinstance(arguments[0], str | int)
    return one and parts[0] not in _OWN and parts[-1][:1].isupper()


def _executes(name: Any, where: str) -> Refused:
    shown = short(getattr(name, "what", type(name).__name__))
    at = f"{where}: " if where else ""
    return Refused(
        f"{at}a pickle that would execute code ({shown}): nothing of it was run; where it is your "
        "own, save its tensors alone"
    )
