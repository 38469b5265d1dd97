"""Where a function of the user's own is written, and how that is executed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import linecache
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from ...schemas.errors import RgtoolError
from ..datasets.vision import with_torchvision
from .files import is_installed, read_source

T = TypeVar("T")
Modules = dict[str, ModuleType]


@dataclass(frozen=True)
class Home:
    """A source: a module that is imported, a file or a text that is executed.

    Attributes
    ----------
    digest : str
        Hash of the texts when the source was found.
    root : Path
        Folder that its own imports begin at.
    files : tuple of Path
        Files whose texts are hashed; the first holds the function, unless `text` does.
    module : str
        Name of the module; empty: the file or the text is executed.
    text : str
        The source where no file is its home, see `cells`.
    """

    digest: str
    root: Path
    files: tuple[Path, ...] = ()
    module: str = ""
    text: str = ""

    @classmethod
    def found(cls, root: Path, files: Sequence[Path], module: str = "", text: str = "") -> Home:
        """Return a source as it is now."""
        return cls(_digest(_read(text, files)), root, tuple(files), module, text)

    @property
    def where(self) -> str:
        """What stands for the file in tracebacks, where a text is executed."""
        return f"<source {self.digest[:8]}>" if self.text else str(self.files[0])

    def sources(self, name: str) -> tuple[dict[str, str], ...]:
        """Return name, hash and text of all that it consists of; `name` is that of the text."""
        names = [*([name] if self.text else []), *(_below(path, self.root) for path in self.files)]
        return tuple(
            {"path": path, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
            for path, text in zip(names, _texts(self), strict=True)
        )

    def load(self) -> ModuleType:
        """Execute the source, once in a process.

        Raises
        ------
        RgtoolError
            It is not what it was when it was found.
        Exception
            Whatever the source raises.
        """
        return _executed(self)[0]

    def run(self, act: Callable[[], T]) -> T:
        """Do what calls into the source; imports find its modules as they were hashed.

        Raises
        ------
        Exception
            Whatever that raises.
        """
        with _importing(self, _executed(self)[1]):
            return with_torchvision(act)

    def words(self, error: BaseException) -> str:
        """Say what an error in the source is, and in which line of it."""
        if isinstance(error, RgtoolError):
            return str(error)
        files = [*map(str, self.files), self.where]
        if isinstance(error, SyntaxError) and error.filename in files:
            return f"{Path(error.filename or '').name}, line {error.lineno}: {error.msg}"
        trace, place = error.__traceback__, ""
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if name in files:
                place = f"{Path(name).name}, line {trace.tb_lineno}: "
            trace = trace.tb_next
        what = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
        return place + what.removesuffix(":")


@contextlib.contextmanager
def printing_aside() -> Iterator[None]:
    """Let what the user's code prints go to the standard error, since the output is for data."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _read(text: str, files: Sequence[Path]) -> tuple[str, ...]:
    return (*([text] if text else []), *map(read_source, files))


@functools.lru_cache(maxsize=32)
def _texts(home: Home) -> tuple[str, ...]:
    """Read the texts of a source: once, since what is at work does not change with the files."""
    texts = _read(home.text, home.files)
    if _digest(texts) != home.digest:
        raise RgtoolError(
            "its source has changed since this command began: give the command again, for another "
            "source is another experiment"
        )
    return texts


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


@functools.lru_cache(maxsize=32)
def _executed(home: Home) -> tuple[ModuleType, Modules]:
    """Return the module of a source, and those of its other files."""
    source, loaded = _texts(home)[0], Modules()
    with _importing(home, loaded):
        return with_torchvision(lambda: _execute(home, source)), loaded


def _execute(home: Home, source: str) -> ModuleType:
    if home.module:
        return importlib.import_module(home.module)
    made = ModuleType(f"rgtool_own_{home.digest[:16]}")
    made.__file__ = home.where
    if home.text:  # so that a traceback, and PyTorch's compiler, find the lines
        lines = source.splitlines(keepends=True)
        linecache.cache[home.where] = (len(source), None, lines, home.where)
    sys.modules[made.__name__] = made
    exec(compile(source, home.where, "exec"), made.__dict__)
    return made


@contextlib.contextmanager
def _importing(home: Home, loaded: Modules) -> Iterator[None]:
    """Import from the root first, and the files of a source as they are now.

    Modules that the process has under the same names are there again afterwards.
    """
    importlib.invalidate_caches()
    files = [path for path in home.files if not is_installed(path)]
    names = [_module_name(path, home.root) for path in files if path.is_relative_to(home.root)]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.modules.update(loaded)
    sys.path.insert(0, str(home.root))
    try:
        with printing_aside():
            yield
    finally:
        sys.path.remove(str(home.root))
        loaded |= {name: sys.modules[name] for name in names if name in sys.modules}
        sys.modules.update(before)


def _module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
