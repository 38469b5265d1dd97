"""The text of functions that no module holds: of a notebook, a script, or inside of another one.

What the function uses is gathered around it, so that the text stands for itself: it names what the
function makes, and any process can execute it. Values that the function is bound to (of variables
around it, of defaults, of the object whose method it is) stand in the text too.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import importlib
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ...schemas.errors import UsageError
from .values import arguments_of, is_plain, literal, same

_FUTURE = "from __future__ import annotations"
_MADE = "<string>"  # the file of methods that a data class is given
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Definition = _Function | ast.ClassDef


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
        Names that it uses and whose values no text tells, with their types.
    modules : list of str
        Modules that it imports from.
    seen : dict of str to object
        Values of its names.
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
            if not same(self.seen[name], value):  # a text has one value for a name
                self._hide(name, value)
            return
        self.seen[name] = value
        if isinstance(value, ModuleType):
            self._import(value.__name__, f"import {value.__name__} as {name}")
        elif isinstance(value, FunctionType | type) and not _is_importable(value):
            self._define(name, value)
        elif (origin := _origin(name, value)) is not None:
            module, attribute = origin
            self._import(module, f"from {module} import {attribute} as {name}")
        else:
            known = len(self.hidden)
            self._add_value(name, value)
            if self.hidden[known:] and not isinstance(value, functools.partial | MethodType):
                del self.hidden[known:]  # of its parts: the user knows its own name
                self._hide(name, value)

    def _hide(self, name: str, value: Any) -> None:
        self.hidden.append(f"{name} ({type(value).__name__})")

    def _import(self, module: str, line: str) -> None:
        self.modules.append(module)
        self.pieces.append(line)

    def _add_value(self, name: str, value: Any) -> None:
        if isinstance(value, functools.partial):
            self._add_partial(name, value)
        elif isinstance(value, MethodType):
            self.add(f"{name}_self", value.__self__)
            self.pieces.append(f"{name} = {name}_self.{value.__name__}")
        elif (text := literal(value, lambda i, item: self._part(f"{name}_{i}", item))) is not None:
            self.pieces.append(f"{name} = {text}")
        elif (made := arguments_of(value)) is not None:
            make, arguments, state = made
            made_by = self._told(f"{name}_made", make)
            if made_by is None:
                self._hide(name, value)
                return
            parts = [self._part(f"{name}_{i}", item) for i, item in enumerate(arguments)]
            new = ".__new__" if make is type(value) and state is not None else ""
            first = [made_by] if new else []
            self.pieces.append(f"{name} = {made_by}{new}({', '.join([*first, *parts])})")
            for attribute, item in (state or {}).items():
                told = self._part(f"{name}_{attribute}", item)
                self.pieces.append(f"vars({name})[{attribute!r}] = {told}")
        else:
            self._hide(name, value)

    def _part(self, name: str, value: Any) -> str:
        """Return what stands for a part of a value: itself, or the name that it gets."""
        if is_plain(value):
            return repr(value)
        for known, there in self.seen.items():
            if there is value:
                return known
        self.add(name, value)
        return name

    def _told(self, name: str, value: Any) -> str | None:
        """Return what stands for a value, if a text can tell it; else all is as before."""
        before = [*self.pieces], [*self.hidden], [*self.modules], {**self.seen}
        with contextlib.suppress(UsageError):  # no source of it is to be had
            text = self._part(name, value)
            if len(self.hidden) == len(before[1]):
                return text
        self.pieces, self.hidden, self.modules, self.seen = before
        return None

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
        own, text, node = definition(value)
        if own and own in self.seen and self.seen[own] is value and own != name:
            self.pieces.append(f"{name} = {own}")
            return
        known = _surroundings(value)
        if self._bind(node, own or name, value):
            text = ast.unparse(node)
        for used in _used_names(text):
            if used in known and used != own:
                self.add(used, known[used])
        at_once = _used_names(text, at_once=True)
        self.hidden += [f"{used} (unknown)" for used in at_once if used not in (*self.seen, own)]
        if own and own != name:
            if not same(self.seen.setdefault(own, value), value):
                self._hide(own, value)
            text += f"\n{name} = {own}"
        self.pieces.append(text if own else f"{name} = {text}")
        self._add_attributes(node, own or name, value)

    def _bind(self, node: Definition, name: str, value: Any) -> bool:
        """Write the values that defaults and attributes have into a definition; tell if any is."""
        if not isinstance(node, ast.ClassDef):
            return self._bind_defaults(node, name, inspect.unwrap(value))
        changed = False
        for part in node.body:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                held = vars(value).get(part.name)
                method = inspect.unwrap(getattr(held, "__func__", held))  # of a class method
                if (
                    isinstance(method, FunctionType)
                    and _begins(part) == method.__code__.co_firstlineno
                ):
                    changed |= self._bind_defaults(part, f"{name}_{part.name}", method)
            elif (target := _attribute(part)) in vars(value):
                assert isinstance(part, ast.Assign | ast.AnnAssign) and part.value is not None
                held = vars(value)[target]
                if type(value) is type and (isinstance(held, FunctionType) or _is_data(held)):
                    bound = self._bound(part.value, f"{name}_{target}", held)
                    changed |= bound is not part.value
                    part.value = bound
        return changed

    def _bind_defaults(self, node: _Function, name: str, function: FunctionType) -> bool:
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        values, written = function.__defaults__ or (), node.args.defaults
        if len(values) != len(written):
            written = [ast.Constant(...)] * len(values)  # they were set later
        named = zip(names[len(names) - len(values) :], written, values, strict=True)
        bound = [self._bound(old, f"{name}_{one}", value) for one, old, value in named]
        later = function.__kwdefaults__ or {}
        after = [
            self._bound(old or ast.Constant(...), f"{name}_{one.arg}", later[one.arg])
            if one.arg in later
            else None
            for one, old in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        ]
        changed = bound != node.args.defaults or after != node.args.kw_defaults
        node.args.defaults, node.args.kw_defaults = bound, after
        return changed

    def _bound(self, written: ast.expr, name: str, value: Any) -> ast.expr:
        """Return the expression of a value: as it was written, where that tells it."""
        with contextlib.suppress(ValueError, TypeError, SyntaxError, RecursionError):
            if same(ast.literal_eval(written), value):
                return written
        text = self._told(name, value)
        if text is not None:
            return ast.parse(text, mode="eval").body
        if isinstance(written, ast.Constant):
            self._hide(name, value)
        return written

    def _add_attributes(self, node: Definition, name: str, value: Any) -> None:
        """Let a function, or a class, have the values that were set at it later."""
        if isinstance(value, type):
            if type(value) is not type:  # such as an Enum, whose class makes attributes
                return
            written = {_attribute(part) for part in getattr(node, "body", ())}
            later = {
                attribute: held
                for attribute, held in vars(value).items()
                if attribute not in written and not attribute.startswith("_")
                if _is_data(held)
            }
        else:
            later = {k: v for k, v in vars(inspect.unwrap(value)).items() if k != "__wrapped__"}
        for attribute, held in later.items():
            told = self._part(f"{name}_{attribute}", held)
            self.pieces.append(f"{name}.{attribute} = {told}")


def definition(value: Any) -> tuple[str, str, Definition]:
    """Return the name that the source of a function or class defines (a lambda: none), and it.

    Returns
    -------
    tuple
        Name, text, and the text parsed.

    Raises
    ------
    UsageError
        No source is to be had, or it holds several functions that could be meant.
    """
    code = _code(value)
    node, lines = _class_without_methods(value) if code is None else _node(code, value)
    if node is None:
        name = getattr(value, "__name__", repr(value))
        raise UsageError(
            f"the source of {name} cannot be read: write it into a file, say my.py, and name it as "
            f"my.py:{name}"
        )
    if isinstance(node, ast.Lambda):
        return "", ast.unparse(node), node
    text = textwrap.dedent("".join(lines[_begins(node) - 1 : node.end_lineno])).rstrip()
    return node.name, text, node


def _code(value: Any) -> CodeType | None:
    """Return code that lies inside the definition: a function's own, or that of a method."""
    if isinstance(value, type):
        methods = (inspect.unwrap(v) for v in vars(value).values() if isinstance(v, FunctionType))
        codes = (m.__code__ for m in methods if m.__qualname__.startswith(value.__qualname__))
        return next((code for code in codes if code.co_filename != _MADE), None)
    return inspect.unwrap(value).__code__  # type: ignore[no-any-return]


def _node(code: CodeType, value: Any) -> tuple[Definition | None, list[str]]:
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None, lines
    line, name = code.co_firstlineno, getattr(value, "__name__", "")
    found: list[Definition] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            is_it = name == "<lambda>" and node.lineno == line
        elif isinstance(node, ast.ClassDef):
            last = node.end_lineno or node.lineno
            is_it = isinstance(value, type) and node.name == name and node.lineno <= line <= last
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            is_it = not isinstance(value, type) and _begins(node) == line
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


def _class_without_methods(value: Any) -> tuple[Definition | None, list[str]]:
    """Find a class that no code leads to, such as one of fields alone: in the file of its module.

    Cells of a notebook are no file: of those that define its name all must say the same.
    """
    file = getattr(sys.modules.get(value.__module__), "__file__", None)
    names = [file] if file else [name for name in linecache.cache if not Path(name).exists()]
    found: list[tuple[Definition, list[str]]] = []
    for name in names:
        lines = linecache.getlines(name)
        if not any(f"class {value.__name__}" in line for line in lines):
            continue
        with contextlib.suppress(SyntaxError, ValueError):
            nodes = ast.walk(ast.parse("".join(lines)))
            kinds = (n for n in nodes if isinstance(n, ast.ClassDef) and n.name == value.__name__)
            found += [(node, lines) for node in kinds]
    texts = {ast.unparse(node) for node, _ in found}
    return found[0] if len(texts) == 1 else (None, [])


def _begins(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


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
    if isinstance(value, type):
        bases = {base.__name__: base for base in value.__bases__}
        known = {**bases, **vars(sys.modules.get(value.__module__, object)), **known}
    return known


def _used_names(text: str, *, at_once: bool = False) -> list[str]:
    """Return the names that a source uses and does not define, in their order.

    With `at_once` those alone that its execution needs, and not only a call of what it defines.
    """
    found: dict[str, None] = {}
    tables = [symtable.symtable(f"{_FUTURE}\n{text}", "definition", "exec")]
    defined = {s.get_name() for s in tables[0].get_symbols() if s.is_assigned()}
    while tables:
        table = tables.pop(0)
        tables += [
            inner for inner in table.get_children() if not at_once or inner.get_type() == "class"
        ]
        for symbol in table.get_symbols():
            name = symbol.get_name()
            is_ours = name in defined or (hasattr(builtins, name)) or name.startswith("__")
            if symbol.is_global() and symbol.is_referenced() and not is_ours:
                found[name] = None
    return list(found)


def _is_data(held: Any) -> bool:
    """Tell attributes from methods, properties and their like."""
    return not hasattr(held, "__get__")


def _attribute(part: ast.stmt) -> str | None:
    """Return the name that a line of a class gives a value."""
    if isinstance(part, ast.Assign) and len(part.targets) == 1:
        target = part.targets[0]
    elif isinstance(part, ast.AnnAssign) and part.value is not None:
        target = part.target
    else:
        return None
    return target.id if isinstance(target, ast.Name) else None


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
