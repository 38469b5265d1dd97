"""A function of the user's own: found, named by its source, called in any process."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import operator
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ...schemas.errors import RgtoolError, UsageError, did_you_mean
from ..datasets.vision import with_torchvision
from .cells import Assembled
from .files import imported_files, is_installed, package_of, read_source, with_imports
from .home import Home, printing_aside

_REFERENCE = re.compile(r"(?:(.+\.py)|([^\W\d]\w*(?:\.\w+)*))(?::([^\W\d]\w*(?:\.\w+)*))?")
_MOST_TEXT = 32 << 10  # bytes that go into a pipe before anybody reads it


@dataclass(frozen=True)
class OwnFunction:
    """A function of the user's own, and where any process finds it.

    Attributes
    ----------
    place : str
        As it is named in messages: `my.py:build`, `package.module:build`, or `build`.
    name : str
        The function's name in its source.
    home : Home
        The source.
    hidden : tuple of str
        Names that it uses and whose values no text tells, with their types.
    original : callable or None
        The function itself, where it was given and cannot be made from its source.
    title : str
        What networks and data sets of it are called; empty: as the function.
    given : callable or None
        The function itself, where it was given: what is made from its source must be the same.
    """

    place: str
    name: str
    home: Home
    hidden: tuple[str, ...] = ()
    original: Callable[..., Any] | None = field(default=None, compare=False, repr=False)
    title: str = ""
    given: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[OwnFunction], tuple[object, ...]]:
        """Leave out the function that was given: another process makes it from its source."""
        known = (self.place, self.name, self.home, self.hidden, self.original, self.title)
        return OwnFunction, known

    @property
    def label(self) -> str:
        """What networks and data sets of it are called, before the hash."""
        return self.title or self.name.rpartition(".")[2]

    @property
    def portable(self) -> bool:
        """Whether another process can call it too."""
        return self.original is None and len(self.home.text.encode()) < _MOST_TEXT

    def load(self) -> Callable[..., Any]:
        """Return the function, executed from its source.

        Raises
        ------
        RgtoolError
            The source fails, has changed since it was named, or has no such function.
        """
        if self.original is not None:
            return self.original
        try:
            module = self.home.load()
        except (Exception, SystemExit) as error:
            raise RgtoolError(f"{self.place} cannot be loaded: {self.home.words(error)}") from None
        function = _get(module, self.name)
        if not callable(function):
            known = [name for name, value in vars(module).items() if callable(value)]
            near = did_you_mean(self.name, known)
            raise UsageError(f"{self.place}: there is no such function: {near}")
        found: Callable[..., Any] = function
        return found

    def asks(self, offered: Collection[str]) -> set[str]:
        """Name what it takes of what it would be offered; errors are those of `call`."""
        return set(_accepted(self.load(), self.place, dict.fromkeys(offered)))

    def call(self, offered: Mapping[str, object]) -> Any:
        """Call it with what it accepts of `offered`, by name.

        Raises
        ------
        UsageError
            It asks for something else.
        RgtoolError
            It fails; the message names the line.
        """
        function = self.load()
        accepted = _accepted(function, self.place, offered)
        try:
            with printing_aside():
                if self.original is not None:
                    made = function(**accepted)
                else:
                    made = self.home.run(lambda: function(**accepted))
        except (Exception, SystemExit) as error:
            raise RgtoolError(f"{self.place} fails: {self.home.words(error)}") from None
        if inspect.iscoroutine(made):
            made.close()
            raise UsageError(f"{self.place} is an async def: write it as a plain def")
        return made


def is_reference(text: str) -> bool:
    """Tell whether a text names a function of a file or module: `my.py:build`, `package:build`."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and (match[1] is not None or match[3] is not None)


def from_entry_point(found: EntryPoint) -> OwnFunction:
    """Find the function that an installed package adds; what is made of it has the name there.

    Raises
    ------
    UsageError
        It is not there.
    """
    return replace(from_reference(found.value), title=found.name)


def from_reference(text: str) -> OwnFunction:
    """Find the function that `my.py:build` or `package.module:build` names; nothing is executed.

    Raises
    ------
    UsageError
        There is no such file or module, or no function is named.
    """
    match = _REFERENCE.fullmatch(text)
    assert match is not None
    if match[1] is None:
        return _of_module(text, match[2], match[3])
    path = Path(match[1]).resolve()
    source = read_source(path)
    if match[3] is None:
        raise UsageError(f"{text}: name a function of it, such as {text}:{_first_name(source)}")
    root, module = package_of(path, source)
    return _of_files(f"{path.name}:{match[3]}", match[3], path, root, module)


def from_object(function: Callable[..., Any]) -> OwnFunction:
    """Find the source of a function, class or `functools.partial` of the user's own.

    Raises
    ------
    UsageError
        It is none, or has none that can be read.
    """
    if not callable(function):
        raise UsageError(
            f"{function!r} is neither a name nor a function: name a network or a data set, such as "
            "lenet or digits, or give the function that makes it"
        )
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    name = getattr(function, "__qualname__", "")
    file = getattr(module, "__file__", None)
    is_there = module is not None and _get(module, name) is function
    if module is None or module.__name__ == "__main__" or not is_there or file is None:
        return _of_text(function)
    path = Path(file).resolve()
    if "." in module.__name__ or path.name == "__init__.py" or is_installed(path):
        found = _of_module(f"{module.__name__}:{name}", module.__name__, name)
    else:
        found = _of_files(f"{path.name}:{name}", name, path, path.parent)
    return replace(found, given=function)


def _of_files(place: str, name: str, path: Path, root: Path, module: str = "") -> OwnFunction:
    return OwnFunction(place, name, Home.found(root, with_imports([path], root), module))


def _of_module(place: str, module: str, name: str) -> OwnFunction:
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = with_torchvision(lambda: importlib.util.find_spec(module))
    except (ImportError, ValueError, AttributeError):
        found = None
    except Exception as error:  # a package on the way fails
        reason = f"{type(error).__name__}: {error}"
        raise RgtoolError(f"{place}: {module} cannot be imported ({reason})") from None
    finally:
        sys.path.remove(str(Path.cwd()))
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise UsageError(
            f"{place}: there is no Python module {module}; a function in a file is named as "
            "my.py:build"
        )
    path = Path(found.origin).resolve()
    up = module.count(".") + (path.name == "__init__.py")
    return _of_files(place, name, path, path.parents[up], module)


def _of_text(function: Callable[..., Any]) -> OwnFunction:
    inner: Any = function.func if isinstance(function, functools.partial) else function
    title = getattr(inner, "__name__", type(inner).__name__)
    title = title if title.isidentifier() else "nameless"  # a lambda
    # Of a method, a partial and an object that is called the text holds a function besides.
    name = title if isinstance(function, FunctionType | type) else f"{title}_object"
    written = inner if hasattr(inner, "__name__") else inner.__call__
    if not hasattr(written, "__code__") and not isinstance(written, type):
        raise UsageError(
            f"{type(function).__name__} has no source of its own: give a function, such as "
            "def build(): ..."
        )
    made = Assembled(name)
    made.add(name, function)
    homes = [sys.modules[m] for m in made.modules if m in sys.modules]
    paths = [Path(f).resolve() for home in homes if (f := getattr(home, "__file__", None))]
    local = [p for p in dict.fromkeys(paths) if p.suffix == ".py" and not is_installed(p)]
    root = Path.cwd()
    local += [p for p in imported_files(made.text, root, root) if p not in local]
    home = Home.found(root, with_imports(local, root), text=made.text)
    hidden = tuple(dict.fromkeys(made.hidden))
    own = OwnFunction(title, name, home, hidden, given=function, title=title)
    return own if not own.hidden and _loads(own) else replace(own, original=function)


def _loads(own: OwnFunction) -> bool:
    try:
        own.load()
    except RgtoolError:
        return False
    return True


def _get(module: ModuleType, name: str) -> Any:
    try:
        return operator.attrgetter(name)(module)
    except AttributeError:
        return None


def _accepted(
    function: Callable[..., Any], place: str, offered: Mapping[str, object]
) -> dict[str, object]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of C
        return {}
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for one in parameters:
        needed = one.default is one.empty and one.kind not in free
        if needed and (one.name not in offered or one.kind is one.POSITIONAL_ONLY):
            raise UsageError(
                f"{place} asks for '{one.name}', which rgtool does not know: it gives "
                f"{', '.join(offered)} by name; give '{one.name}' a default"
            )
    named = {one.name for one in parameters if one.kind is not inspect.Parameter.POSITIONAL_ONLY}
    return {name: value for name, value in offered.items() if name in named}


def _first_name(source: str) -> str:
    match = re.search(r"^(?:def|class)\s+(\w+)", source, re.M)
    return match[1] if match else "build"
