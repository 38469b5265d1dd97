"""A machine that reads pickles and can build data only.

It follows the instructions of a pickle itself (https://docs.python.org/3/library/pickletools.html)
and knows no way to import, call or set anything: what a name stands for is decided by `rebuild`,
which makes its own values. A budget is held while reading, since a few instructions suffice to copy
what went before again and again.
"""

from __future__ import annotations

import pickletools
import sys
from collections.abc import Callable, Iterable
from typing import IO, Any

import numpy as np

from .errors import Refused, Unreadable, printable
from .rebuild import Name, Unfinished, call, create, mention
from .stored import Sparse, Strange, Tensor

_MAX_INSTRUCTIONS = 2_000_000
_MAX_BYTES = 256 << 20  # of what is built, tensors aside; a checkpoint of ResNet-152 takes 2 MB
_MAX_BITS = 1024  # of an integer; a larger one is no float either
_MAX_MEMO = 1 << 32
_MAX_TUPLES = 4096  # as keys: their hashes can be made to collide, which costs the square
_MAX_KEY = 2**61 - 1  # from here on integers collide: hash(n) is n modulo this
_TEXTS = frozenset({str, bytes, bytearray})
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_EACH = 64  # bytes of a small object and of its place in a container

LoadStorage = Callable[[tuple[Any, ...]], Any]


class Budget:
    """What one file may still build.

    Parameters
    ----------
    tensors : int
        Bytes of all tensors together, as they would be in memory, each as often as it is named.
    where : str
        The file, for messages.
    """

    def __init__(self, tensors: int, where: str) -> None:
        self.where = where
        self._tensors, self._all_tensors = tensors, tensors
        self._instructions, self._bytes, self._tuples = _MAX_INSTRUCTIONS, _MAX_BYTES, _MAX_TUPLES

    def instruction(self) -> None:
        """Count an instruction."""
        self._instructions -= 1
        if self._instructions < 0:
            raise Refused(f"{self.where}: the pickle has over {_MAX_INSTRUCTIONS} instructions")

    def value(self, value: object) -> None:
        """Count what a new value takes."""
        kind = type(value)
        if kind in _TEXTS:
            self._bytes -= sys.getsizeof(value)
        elif kind in _CONTAINERS:
            self._bytes -= _EACH * (1 + len(value))  # type: ignore[arg-type]
        else:
            self._bytes -= _EACH
        if self._bytes < 0:
            raise Refused(f"{self.where}: the pickle builds more than {_MAX_BYTES >> 20} MB")

    def tensor(self, value: object) -> None:
        """Count what a tensor takes once somebody reads it."""
        if isinstance(value, Tensor | Sparse):
            self._tensors -= value.bytes
            if self._tensors < 0:
                raise Refused(
                    f"{self.where}: tensors, one of shape {value.shape}, that take more than "
                    f"{self._all_tensors >> 20} MB out of a file that small"
                )

    def key(self, key: object) -> None:
        """Hold a key of a dictionary or an element of a set to what costs no more than it should.

        Raises
        ------
        Refused
            Its hash can be made to collide with others, or takes long.
        """
        if type(key) is tuple and len(key) <= _EACH:
            self._tuples -= 1
            if self._tuples >= 0 and all(_plain_key(part) for part in key):
                return
        elif _plain_key(key):
            return
        raise Refused(f"{self.where}: keys of a dictionary that no checkpoint has")


def _plain_key(key: object) -> bool:
    if isinstance(key, int | float):
        return not abs(key) >= _MAX_KEY  # NaN passes
    return key is None or isinstance(key, str | bytes | Strange | np.dtype | np.generic)


class _Mark:
    """Where the arguments of an instruction begin on the stack."""


_MARK = _Mark()


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, budget: Budget, load_storage: LoadStorage) -> None:
        self.budget, self.load_storage = budget, load_storage
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    # The stack.

    def push(self, value: Any) -> None:
        self.budget.value(value)
        self.stack.append(value)

    def again(self, value: Any) -> None:
        """Push what is there already: nothing is copied, but a tensor will be read once more."""
        self.budget.tensor(value)
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value is due")
        return value

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def items(self) -> list[Any]:
        """Pop what is above the last mark, and the mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:  # IndexError below the bottom
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    # Values.

    def number(self, value: int) -> None:
        bits = value.bit_length()
        self.push(value if bits <= _MAX_BITS else Strange(f"an integer of {bits} bits"))

    def tuple_of(self, count: int) -> None:
        self.push(tuple([self.pop() for _ in range(count)][::-1]))

    def mapping(self, items: list[Any]) -> None:
        found: dict[Any, Any] = {}
        self.fill(found, items)
        self.push(found)

    def fill(self, target: Any, items: list[Any]) -> None:
        """Set items of a dictionary; what is strange stays as it is."""
        if len(items) % 2:
            raise ValueError("a key without a value")
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                self.budget.key(key)
                self.budget.value(None)
                target[key] = value
        elif not isinstance(target, Strange):
            raise ValueError(f"items for a {type(target).__name__}")

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Strange):
            raise ValueError(f"elements for a {type(target).__name__}")

    def add(self, items: list[Any]) -> None:
        target = self.top()
        if isinstance(target, set):
            target.update(self.elements(items))
        elif not isinstance(target, Strange):
            raise ValueError(f"elements for a {type(target).__name__}")

    def elements(self, items: Iterable[Any]) -> list[Any]:
        found = list(items)
        for item in found:
            self.budget.key(item)
            self.budget.value(None)
        return found

    # The memo.

    def put(self, index: int | None) -> None:
        index = len(self.memo) if index is None else index
        if not 0 <= index <= _MAX_MEMO:
            raise Refused(f"{self.budget.where}: the pickle asks for a table of {index} entries")
        value = self.top()
        self.budget.value(None)
        self.memo[index] = value
        if isinstance(value, Unfinished):
            value.places.append(index)

    # Names, and what is done with them.

    def name(self, module: Any, attribute: Any) -> None:
        if not (isinstance(module, str) and isinstance(attribute, str)):
            raise ValueError("a name that is no text")
        self.push(mention(module, attribute, self.budget.where))

    def reduce(self, function: Any, arguments: Any) -> None:
        """Rebuild what a call stands for."""
        if not isinstance(arguments, tuple):
            raise ValueError("arguments that are no tuple")
        value = call(function, arguments, self.budget)
        if not any(value is argument for argument in arguments):
            self.budget.tensor(value)
        self.push(value)

    def create(self, kind: Any) -> None:
        """Make an instance of a class, which is to say note its name."""
        self.push(create(kind, self.budget.where))

    def build(self) -> None:
        """Give an object its state: that of an array or a type of numbers, and no other."""
        state, target = self.pop(), self.top()
        if isinstance(target, Unfinished):
            value = target.finish(state)
            self.budget.value(value)
            self.stack[-1] = value
            for index in target.places:
                self.memo[index] = value
        elif not isinstance(target, dict | Strange | Tensor | Sparse):
            raise ValueError(f"a state for a {type(target).__name__}")

    # Instructions.

    def instance(self, argument: str) -> None:
        module, _, attribute = argument.partition(" ")
        items = self.items()
        self.name(module, attribute)
        self.reduce(self.pop(), tuple(items))

    def object(self) -> None:
        function, *arguments = self.items()
        self.reduce(function, tuple(arguments))

    def persistent(self) -> None:
        identity = self.pop()
        if not isinstance(identity, tuple):
            raise ValueError("a persistent id that is no tuple")
        self.push(self.load_storage(identity))


def _drop(machine: _Machine) -> None:
    machine.stack.pop()


def _newobj(machine: _Machine, count: int) -> None:
    for _ in range(count):
        machine.pop()
    machine.create(machine.pop())


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.fill(machine.top(), [key, value])


def _set_items(machine: _Machine) -> None:
    items = machine.items()
    machine.fill(machine.top(), items)


def _reduce(machine: _Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.reduce(function, arguments)


def _stack_name(machine: _Machine) -> None:
    attribute, module = machine.pop(), machine.pop()
    machine.name(module, attribute)


def _extension(machine: _Machine) -> None:
    raise Refused(
        f"{machine.budget.where}: a pickle that would execute code (an extension code): nothing of "
        "it was run"
    )


_PUSHED = frozenset(
    {
        "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
        "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
        "BININT", "BININT1", "BININT2",
    }
)  # fmt: skip
_NUMBERS = ("INT", "LONG", "LONG1", "LONG4")
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_PUSHED, _Machine.push),
    **dict.fromkeys(_NUMBERS, lambda m, a: m.push(a) if isinstance(a, bool) else m.number(a)),
    **dict.fromkeys(("PROTO", "FRAME"), lambda m, a: None),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, a: m.again(m.memo[int(a)])),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda m, a: m.put(int(a))),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), lambda m, a: _extension(m)),
    "NONE": lambda m, a: m.push(None),
    "NEWTRUE": lambda m, a: m.push(True),
    "NEWFALSE": lambda m, a: m.push(False),
    "EMPTY_LIST": lambda m, a: m.push([]),
    "EMPTY_TUPLE": lambda m, a: m.push(()),
    "EMPTY_DICT": lambda m, a: m.push({}),
    "EMPTY_SET": lambda m, a: m.push(set()),
    "LIST": lambda m, a: m.push(m.items()),
    "TUPLE": lambda m, a: m.push(tuple(m.items())),
    "TUPLE1": lambda m, a: m.tuple_of(1),
    "TUPLE2": lambda m, a: m.tuple_of(2),
    "TUPLE3": lambda m, a: m.tuple_of(3),
    "DICT": lambda m, a: m.mapping(m.items()),
    "FROZENSET": lambda m, a: m.push(frozenset(m.elements(m.items()))),
    "SETITEM": lambda m, a: _set_item(m),
    "SETITEMS": lambda m, a: _set_items(m),
    "APPEND": lambda m, a: m.extend([m.pop()]),
    "APPENDS": lambda m, a: m.extend(m.items()),
    "ADDITEMS": lambda m, a: m.add(m.items()),
    "MARK": lambda m, a: m.push(_MARK),
    "POP": lambda m, a: _drop(m),
    "POP_MARK": lambda m, a: m.items().clear(),
    "DUP": lambda m, a: m.again(m.top()),
    "MEMOIZE": lambda m, a: m.put(None),
    "GLOBAL": lambda m, a: m.name(*a.split(" ", 1)),
    "STACK_GLOBAL": lambda m, a: _stack_name(m),
    "INST": lambda m, a: m.instance(a),
    "OBJ": lambda m, a: m.object(),
    "REDUCE": lambda m, a: _reduce(m),
    "NEWOBJ": lambda m, a: _newobj(m, 1),
    "NEWOBJ_EX": lambda m, a: _newobj(m, 2),
    "BUILD": lambda m, a: m.build(),
    "BINPERSID": lambda m, a: m.persistent(),
}


def read_pickle(stream: IO[bytes], budget: Budget, load_storage: LoadStorage) -> Any:
    """Read one pickle as data; nothing of it is run.

    Parameters
    ----------
    stream : binary file
        Where the pickle starts; it is left where the pickle ends.
    budget : Budget
        What it may build.
    load_storage : callable
        Returns what a persistent id stands for; raises ValueError for what is none.

    Returns
    -------
    None, bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset or dict
        And `Tensor`, `Sparse`, numpy arrays, numbers and types, and `Strange` for all else.

    Raises
    ------
    Refused
        It would execute code, or builds more than its budget.
    Unreadable
        It is no whole pickle.
    """
    machine = _Machine(budget, load_storage)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                break
            budget.instruction()
            _STEPS[opcode.name](machine, argument)
        return machine.pop()
    except (Refused, Unreadable):
        raise
    except MemoryError:
        raise Refused(f"{budget.where}: reading it takes more memory than there is") from None
    except Exception as error:  # pickletools raises whatever a broken stream provokes
        reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        raise Unreadable(
            f"{budget.where}: no whole pickle ({short(reason or type(error).__name__)})"
        ) from None


def short(value: object) -> str:
    """Return a value as a printable text of at most 80 characters."""
    text = printable(str(value))
    return text if len(text) <= 80 else text[:77] + "..."


__all__ = ["Budget", "Name", "read_pickle", "short"]
