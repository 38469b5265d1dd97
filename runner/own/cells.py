"""The text of functions that no module holds: of a notebook, a script, or inside of another one.

What the function uses is gathered around it, so that the text stands for itself: it names what the
function makes, and any process can execute it.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import inspect
import linecache
import symtable
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ...schemas.errors import UsageError

_FUTURE = "from __future__ import annotations"
_LITERALS = (str, bytes, int, float, complex, bool, tuple, list, dict, set, type(None))
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


@dataclass
class Assembled:
    """A text that defines a function, with all that it uses.

    Attributes
    ----------
    name : str
        The variable of the text that holds the function.
    pieces : list of str
        Imports and definitions, in their order.
    hidden : list of str
        Names that it uses and whose values no text tells.
    modules : list of str
        Modules that it imports from.
    """

    name: str
    pieces: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n".join([_FUTURE, *self.pieces]) + "\n"

    def add(self, name: str, value: Any) -> None:
        """Let the text define a name, and before it whatever that needs."""
        if name in self.seen:
            return
        self.seen[name] = value
        if isinstance(value, ModuleType):
            self._import(value.__name__, f"import {value.__name__} as {name}")
        elif isinstance(value, functools.partial):
            self._add_partial(name, value)
        elif isinstance(value, FunctionType | type) and not _is_importable(value):
            self._define(name, value)
        elif isinstance(value, _LITERALS):
            self._add_literal(name, value)
        elif (origin := _origin(name, value)) is not None:
            module, attribute = origin
            self._import(module, f"from {module} import {attribute} as {name}")
        else:
            self.hidden.append(name)

    def _import(self, module: str, line: str) -> None:
        self.modules.append(module)
        self.pieces.append(line)

    def _add_literal(self, name: str, value: Any) -> None:
        try:
            is_told = ast.literal_eval(repr(value)) == value
        except (ValueError, SyntaxError, TypeError, RecursionError):
            is_told = False
        if is_told:
            self.pieces.append(f"{name} = {value!r}")
        else:
            self.hidden.append(name)

    def _add_partial(self, name: str, value: functools.partial[Any]) -> None:
        self.add(f"{name}_function", value.func)
        self.add(f"{name}_arguments", value.args)
        self.add(f"{name}_options", dict(value.keywords))
        self._import(
            "functools",
            f"import functools\n{name} = functools.partial({name}_function, *{name}_arguments, "
            f"**{name}_options)",
        )

    def _define(self, name: str, value: Any) -> None:
        own, text = definition(value)
        known = _surroundings(value)
        for used in _used_names(text):
            if used in known and used != own:
                self.add(used, known[used])
        if own and own != name:
            self.seen.setdefault(own, value)
            text += f"\n{name} = {own}"
        self.pieces.append(text if own else f"{name} = {text}")


def definition(value: Any) -> tuple[str, str]:
    """Return the name that the source of a function or class defines (a lambda: none), and it.

    Raises
    ------
    UsageError
        No source is to be had, or it holds several functions that could be meant.
    """
    code = _code(value)
    node, lines = (None, []) if code is None else _node(code, value)
    if node is None:
        name = getattr(value, "__name__", repr(value))
        raise UsageError(
            f"the source of {name} cannot be read: write it into a file, say my.py, and name it as "
            f"my.py:{name}"
        )
    if isinstance(node, ast.Lambda):
        return "", ast.unparse(node)
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return node.name, textwrap.dedent("".join(lines[first - 1 : node.end_lineno])).rstrip()


def _code(value: Any) -> CodeType | None:
    """Return code that lies inside the definition: a function's own, or that of a method."""
    if isinstance(value, type):
        methods = (inspect.unwrap(v) for v in vars(value).values() if isinstance(v, FunctionType))
        return next(
            (m.__code__ for m in methods if m.__qualname__.startswith(value.__qualname__)), None
        )
    return inspect.unwrap(value).__code__  # type: ignore[no-any-return]


def _node(code: CodeType, value: Any) -> tuple[_Definition | None, list[str]]:
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None, lines
    line, name = code.co_firstlineno, getattr(value, "__name__", "")
    found: list[_Definition] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            is_it = name == "<lambda>" and node.lineno == line
        elif isinstance(node, ast.ClassDef):
            last = node.end_lineno or node.lineno
            is_it = isinstance(value, type) and node.name == name and node.lineno <= line <= last
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            is_it = not isinstance(value, type) and first == line and node.name == code.co_name
        else:
            continue
        if is_it:
            found.append(node)
    if name == "<lambda>" and len(found) > 1:
        raise UsageError(
            f"{len(found)} lambdas stand in line {line}, and which is meant is not to be seen: "
            "write the function with def"
        )
    return (found[0] if found else None), lines


def _surroundings(value: Any) -> Mapping[str, Any]:
    """Return what the names in a definition mean: globals, and variables of functions around it."""
    functions: list[Callable[..., Any]] = [value]
    if isinstance(value, type):
        functions = [v for v in vars(value).values() if isinstance(v, FunctionType)]
    known: dict[str, Any] = {}
    for function in functions:
        plain = inspect.unwrap(function)
        known |= plain.__globals__
    for function in functions:
        known |= inspect.getclosurevars(inspect.unwrap(function)).nonlocals
    return known


def _used_names(text: str) -> list[str]:
    """Return the names that a source uses and does not define, in their order."""
    found: dict[str, None] = {}
    tables = [symtable.symtable(f"{_FUTURE}\n{text}", "definition", "exec")]
    defined = {s.get_name() for s in tables[0].get_symbols() if s.is_assigned()}
    while tables:
        table = tables.pop(0)
        tables += table.get_children()
        for symbol in table.get_symbols():
            name = symbol.get_name()
            is_ours = name in defined or (hasattr(builtins, name)) or name.startswith("__")
            if symbol.is_global() and symbol.is_referenced() and not is_ours:
                found[name] = None
    return list(found)


def _is_importable(value: Any) -> bool:
    """Tell whether a function or class stands in a module that another process can import."""
    return value.__module__ != "__main__" and _origin("", value) is not None


def _origin(name: str, value: Any) -> tuple[str, str] | None:
    """Return the module and the name there under which a value can be imported."""
    module = getattr(value, "__module__", None)
    if not isinstance(module, str) or module == "__main__":
        return None
    try:
        home = importlib.import_module(module)
    except Exception:  # a module that is only there by name, or fails
        return None
    names = (getattr(value, "__qualname__", None), getattr(value, "__name__", None), name)
    for attribute in names:
        if attribute and attribute.isidentifier() and getattr(home, attribute, None) is value:
            return module, attribute
    return None
