"""A machine that reads pickles and can build data only.

It follows the instructions of a pickle itself (https://docs.python.org/3/library/pickletools.html)
and knows no way to import, call or set anything: what a name stands for is decided by `rebuild`,
which makes its own values. A budget is held while reading, since a few instructions suffice to copy
what went before again and again.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import numpy as np

from ..errors import Refused, Unreadable
from .budget import Budget
from .rebuild import Unfinished, call, create, mention
from .stored import InFile, Strange, short

_MAX_BITS = 1024  # of an integer; a larger one is no float either
_MAX_MEMO = 1 << 32
_SMALL = 1 << 16  # bytes of an argument that is simply read

LoadStorage = Callable[[tuple[Any, ...]], Any]


class _Mark:
    """Where the arguments of an instruction begin on the stack."""


_STACK_MARK = _Mark()


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
        if value is _STACK_MARK:
            raise ValueError("a mark where a value is due")
        return value

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def items(self) -> list[Any]:
        """Pop what is above the last mark, and the mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not _STACK_MARK:  # IndexError below the bottom
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
            self.budget.tensor(value)
            self.stack[-1] = value
            for index in target.places:
                self.memo[index] = value
            target.places.clear()  # a copy on the stack may get another state, at no such price
        elif not isinstance(target, dict | Strange | InFile):
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
_OPCODES = {opcode.code.encode("latin1"): opcode for opcode in pickletools.opcodes}
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
    "MARK": lambda m, a: m.push(_STACK_MARK),
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


class _Held:
    """A stream that hands out no more than the budget has room for, with what is made of it."""

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
        self._stream, self._budget = stream, budget
        self.opcode = ""

    def read(self, size: int) -> bytes:
        if size <= _SMALL:
            return self._stream.read(size)
        data = self._stream.read(min(size, self._budget.left + 1))
        self._budget.hold(len(data) * (1 + self._copies(data)))
        return data

    def readline(self) -> bytes:
        most = self._budget.left // 8  # a line is copied, stripped, and its text four times as wide
        line = self._stream.readline(most + 1)
        self._budget.hold(8 * len(line))
        return line

    def _copies(self, data: bytes) -> int:
        """Return how often the size of an argument is made of it: of a text, by its widest sign."""
        if "UNICODE" not in self.opcode:
            return 1 if self.opcode == "BYTEARRAY8" else 0
        widest = np.frombuffer(data, "u1").max(initial=0)  # the first byte of a sign in UTF-8
        return 1 if widest < 0xC4 else 2 if widest < 0xF0 else 4


def _instructions(stream: _Held) -> Iterator[tuple[str, Any]]:
    """List the instructions of a pickle up to its end, each with its argument."""
    while (code := stream.read(1)) != b".":
        if code not in _OPCODES:
            raise ValueError("it ends early" if not code else f"no instruction is {code!r}")
        opcode = _OPCODES[code]
        stream.opcode = opcode.name
        read: Any = opcode.arg and opcode.arg.reader
        yield opcode.name, read and read(stream)


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
        And tensors of the file (`stored.InFile`), numpy arrays, numbers and types, and `Strange`
        for all else.

    Raises
    ------
    Refused
        It would execute code, or builds more than its budget.
    Unreadable
        It is no whole pickle.
    """
    machine = _Machine(budget, load_storage)
    try:
        for name, argument in _instructions(_Held(stream, budget)):
            budget.instruction()
            _STEPS[name](machine, argument)
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


__all__ = ["read_pickle", "short"]
