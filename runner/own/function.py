"""A function of the user's own: found, named by its source, executed in any process."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import linecache
import operator
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ...schemas.errors import RgtoolError, UsageError, did_you_mean
from .cells import Assembled
from .files import importing, is_installed, read_source, with_imports, words_of

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
        The function's name there.
    digest : str
        Hash of the sources.
    root : Path
        Folder that its own imports begin at.
    files : tuple of Path
        Files whose texts are hashed; the first holds the function, unless `text` does.
    module : str
        Module that is imported for it; empty: the file or the text is executed.
    text : str
        The source where no file is its home, see `cells`.
    hidden : tuple of str
        Names that it uses and whose values no text tells.
    original : callable or None
        The function itself, where it was given and cannot be made from its source.
    """

    place: str
    name: str
    digest: str
    root: Path
    files: tuple[Path, ...] = ()
    module: str = ""
    text: str = ""
    hidden: tuple[str, ...] = ()
    original: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """Its name as a part of other names, without signs."""
        return re.sub(r"\W+", "-", self.name.rpartition(".")[2]).strip("-")

    @property
    def portable(self) -> bool:
        """Whether another process can execute it too."""
        return self.original is None and len(self.text.encode()) < _MOST_TEXT

    @property
    def sources(self) -> tuple[dict[str, str], ...]:
        """Name, hash and text of all that it is written in, for the description of a run."""
        texts = {_below(path, self.root): read_source(path) for path in self.files}
        if self.text:
            texts = {self.place: self.text, **texts}
        return tuple(
            {"path": name, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
            for name, text in texts.items()
        )

    def load(self) -> Callable[..., Any]:
        """Return the function, executed anew from its source.

        Raises
        ------
        RgtoolError
            The source fails, has changed since it was named, or has no such function.
        """
        return self.original if self.original is not None else _load(self)

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
        with importing(self.root):
            try:
                return function(**accepted)
            except (Exception, SystemExit) as error:
                raise RgtoolError(f"{self.place} fails: {self.words(error)}") from None

    def words(self, error: BaseException) -> str:
        """Say what an error in it is, and in which line."""
        return words_of(error, [*map(str, self.files), _cell(self)])


def is_reference(text: str) -> bool:
    """Tell whether a text names a function of a file or module: `my.py:build`, `package:build`."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and (match[1] is not None or match[3] is not None)


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
    return _of_files(f"{path.name}:{match[3]}", match[3], path, path.parent)


def from_object(function: Callable[..., Any]) -> OwnFunction:
    """Find the source of a function, class or `functools.partial` of the user's own.

    Raises
    ------
    UsageError
        It has none that can be read.
    """
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    name = getattr(function, "__qualname__", "")
    file = getattr(module, "__file__", None)
    is_there = module is not None and _get(module, name) is function
    if module is None or module.__name__ == "__main__" or not is_there or file is None:
        return _of_text(function)
    if "." in module.__name__:
        return _of_module(f"{module.__name__}:{name}", module.__name__, name)
    path = Path(file).resolve()
    return _of_files(f"{path.name}:{name}", name, path, path.parent)


def _of_files(place: str, name: str, path: Path, root: Path, module: str = "") -> OwnFunction:
    files = with_imports([path], root)
    return OwnFunction(place, name, _digest("", files), root, files, module)


def _of_module(place: str, module: str, name: str) -> OwnFunction:
    with importing(Path.cwd()):
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            found = None
        except Exception as error:  # a package on the way fails
            raise RgtoolError(f"{module}: cannot be imported ({words_of(error, ())})") from None
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise UsageError(
            f"{place}: there is no Python module {module}; a function in a file is named as "
            "my.py:build"
        )
    path = Path(found.origin).resolve()
    up = module.count(".") + (path.name == "__init__.py")
    return _of_files(place, name, path, path.parents[up], module)


def _of_text(function: Callable[..., Any]) -> OwnFunction:
    inner = function.func if isinstance(function, functools.partial) else function
    name = getattr(inner, "__name__", type(inner).__name__).strip("<>")
    if not hasattr(inner, "__code__") and not isinstance(inner, type):
        raise UsageError(
            f"{type(function).__name__} has no source of its own: give a function, such as "
            "def build(): ..."
        )
    made = Assembled(name)
    made.add(name, function)
    homes = [sys.modules[m] for m in made.modules if m in sys.modules]
    paths = [Path(f).resolve() for home in homes if (f := getattr(home, "__file__", None))]
    root = Path.cwd()
    local = [p for p in dict.fromkeys(paths) if p.suffix == ".py" and not is_installed(p)]
    files = with_imports(local, root)
    own = OwnFunction(
        name, name, _digest(made.text, files), root, files, "", made.text, tuple(made.hidden)
    )
    if own.hidden or not _executes(own):
        own = OwnFunction(**{**vars(own), "original": function})
    return own


def _executes(own: OwnFunction) -> bool:
    try:
        own.load()
    except RgtoolError:
        return False
    return True


def _digest(text: str, files: Sequence[Path]) -> str:
    texts = [text, *map(read_source, files)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _load(own: OwnFunction) -> Callable[..., Any]:
    if _digest(own.text, own.files) != own.digest:
        raise RgtoolError(
            f"{own.place} has changed since this command began: give the command again, for "
            "another source is another experiment"
        )
    try:
        module = _home(own.root, own.files, own.module, own.text, own.digest)
    except (Exception, SystemExit) as error:
        raise RgtoolError(f"{own.place} cannot be loaded: {own.words(error)}") from None
    function = _get(module, own.name)
    if not callable(function):
        known = [name for name, value in vars(module).items() if callable(value)]
        raise UsageError(f"{own.place}: there is no such function: {did_you_mean(own.name, known)}")
    found: Callable[..., Any] = function
    return found


@functools.lru_cache(maxsize=32)
def _home(root: Path, files: tuple[Path, ...], module: str, text: str, digest: str) -> ModuleType:
    """Import a module, or execute a file or a text; all functions of one source share it."""
    installed = bool(files) and is_installed(files[0])
    with importing(root, () if installed else files):
        if module:
            return importlib.import_module(module)
        where = _cell(digest) if text else str(files[0])
        source = text or read_source(files[0])
        made = ModuleType(f"rgtool_own_{digest[:16]}")
        made.__file__ = where
        if text:  # so that a traceback, and PyTorch's compiler, find the lines
            linecache.cache[where] = (len(text), None, text.splitlines(keepends=True), where)
        sys.modules[made.__name__] = made
        exec(compile(source, where, "exec"), made.__dict__)
        return made


def _cell(digest: str) -> str:
    """Return what stands for the file's name where a text was executed."""
    return f"<source {digest[:8]}>"


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


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _first_name(source: str) -> str:
    match = re.search(r"^(?:def|class)\s+(\w+)", source, re.M)
    return match[1] if match else "build"
