"""Functions of the user's own: found, named by their source, executed elsewhere to the same."""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import linecache
import multiprocessing
import operator
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rgtool.runner.own.files import with_imports
from rgtool.runner.own.function import (
    OwnFunction,
    from_object,
    from_reference,
    is_reference,
)
from rgtool.schemas.errors import RgtoolError, UsageError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def in_another_process(function: OwnFunction, **offered: object) -> Any:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function.call, (offered,))


# Places.


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("my.py:build", True),
        ("a folder/my.py:Net", True),
        ("my.py", True),
        ("package.module:build", True),
        ("package:Nets.build", True),
        ("resnet20", False),
        ("package.module", False),
        ("npz:", False),
        ("my.py:", False),
        ("my.py:1", False),
    ],
)
def test_places_are_told_from_names(text: str, right: bool) -> None:
    assert is_reference(text) is right


def test_a_function_of_a_file_is_found_and_called_with_what_it_accepts(tmp_path: Path) -> None:
    file = write(tmp_path / "my.py", "def build(b, a=5, *rest, **more): return a, b, rest, more")
    assert from_reference(f"{file}:build").call({"a": 1, "b": 2, "c": 3}) == (1, 2, (), {})


def test_what_a_function_asks_for_must_be_known(tmp_path: Path) -> None:
    file = write(tmp_path / "my.py", "def build(depth): ...\ndef other(a, /): ...")
    with pytest.raises(UsageError, match="my.py:build asks for 'depth'.*it gives a by name"):
        from_reference(f"{file}:build").call({"a": 1})
    with pytest.raises(UsageError, match="my.py:other asks for 'a'"):
        from_reference(f"{file}:other").call({"a": 1})


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("none.py:build", r"none.py: no such file"),
        ("my.py:buidl", r"my.py:buidl: there is no such function: did you mean build\?"),
        ("my.py:CONSTANT", r"my.py:CONSTANT: there is no such function"),
        ("my.py", r"my.py: name a function of it, such as my.py:build"),
        ("cut.py:build", r"line 1: no Python source"),
        ("fails.py:build", r"fails.py:build cannot be loaded: fails.py, line 2: ValueError: no"),
        ("leaves.py:build", r"leaves.py:build cannot be loaded: leaves.py, line 2: SystemExit: 3"),
        ("no.such.module:build", r"there is no Python module no.such.module"),
        ("math:sqrt", r"there is no Python module math"),
    ],
)
def test_what_is_not_there_or_fails_is_said(tmp_path: Path, place: str, text: str) -> None:
    write(tmp_path / "my.py", "CONSTANT = 3\ndef build(): ...\n")
    write(tmp_path / "cut.py", "def build(:")
    write(tmp_path / "fails.py", "def build(): ...\nraise ValueError('no')")
    write(tmp_path / "leaves.py", "import sys\nsys.exit(3)")
    with pytest.raises(RgtoolError, match=text):
        from_reference(place).load()


def test_an_error_inside_names_the_line_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "parts.py", "def part():\n    return 1 // 0\n")
    file = write(tmp_path / "my.py", "from parts import part\ndef build():\n    part()\n")
    with pytest.raises(
        RgtoolError, match=r"my.py:build fails: parts.py, line 2: ZeroDivisionError"
    ):
        from_reference(f"{file}:build").call({})


def test_what_it_prints_is_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "my.py", "print('loaded')\ndef build():\n    print('called')\n")
    from_reference(f"{file}:build").call({})
    assert capsys.readouterr() == ("", "loaded\ncalled\n")


# Identity: the text, and that of the files beside it that it imports.


def digest(file: Path) -> str:
    return from_reference(f"{file}:build").home.digest


def test_the_hash_follows_the_text_and_not_the_place(tmp_path: Path) -> None:
    one = write(tmp_path / "a/my.py", "def build(): return 1\n")
    moved = write(tmp_path / "b/mine.py", "def build(): return 1\n")
    moved.write_bytes(moved.read_bytes().replace(b"\n", b"\r\n"))
    other = write(tmp_path / "c/my.py", "def build(): return 2\n")
    assert digest(one) == digest(moved) != digest(other)


def test_files_that_are_imported_count_and_others_do_not(tmp_path: Path) -> None:
    write(tmp_path / "parts/__init__.py", "from .inner import value\n")
    write(tmp_path / "parts/inner.py", "value = 1\n")
    write(tmp_path / "late.py", "import parts.inner\n")
    write(tmp_path / "unused.py", "")
    file = write(
        tmp_path / "my.py",
        """
        import numpy
        def build():
            import late
            return late.parts.inner.value
        """,
    )
    files = with_imports([file], tmp_path)
    assert [p.name for p in files] == ["my.py", "late.py", "__init__.py", "inner.py"]
    before, first = digest(file), from_reference(f"{file}:build")
    assert first.call({}) == 1
    write(tmp_path / "unused.py", "changed = True\n")
    assert digest(file) == before
    write(tmp_path / "parts/inner.py", "value = 22\n")
    assert digest(file) != before
    # What is executed is what is hashed, also where this process has imported it before.
    assert from_reference(f"{file}:build").call({}) == 22


def test_imports_inside_of_functions_meet_the_same_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "parts", other := ModuleType("parts"))
    write(tmp_path / "parts.py", "class Part: ...\n")
    text = "from parts import Part\ndef build():\n    import parts\n    return parts.Part is Part\n"
    assert from_reference(f"{write(tmp_path / 'my.py', text)}:build").call({})
    assert sys.modules["parts"] is other


def test_a_source_that_changes_before_it_is_executed_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "my.py", "def build(): ...\n")
    function = from_reference(f"{file}:build")
    write(file, "def build(): return 1\n")
    with pytest.raises(RgtoolError, match="my.py:build cannot be loaded: its source has changed"):
        function.load()


def test_what_is_at_work_does_not_change_with_its_file(tmp_path: Path) -> None:
    file = write(tmp_path / "my.py", "def build(): return 1\n")
    function = from_reference(f"{file}:build")
    assert function.call({}) == 1
    write(file, "def build(): return 2\n")
    assert function.call({}) == 1
    assert [part["text"] for part in function.home.sources("")] == ["def build(): return 1\n"]
    assert from_reference(f"{file}:build").call({}) == 2


def test_a_function_of_a_package_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "own_package/__init__.py", "")
    write(tmp_path / "own_package/sizes.py", "WIDTH = 7\n")
    write(tmp_path / "own_package/nets.py", "from .sizes import WIDTH\ndef build(): return WIDTH\n")
    function = from_reference("own_package.nets:build")
    names = [path.name for path in function.home.files]
    assert names == ["nets.py", "__init__.py", "sizes.py"]
    assert function.call({}) == 7
    monkeypatch.syspath_prepend(tmp_path)
    imported = importlib.import_module("own_package.nets").build
    assert from_object(imported) == function
    assert in_another_process(function) == 7


def test_an_installed_function_is_its_own_file() -> None:
    function = from_object(textwrap.indent)
    assert [path.name for path in function.home.files] == ["textwrap.py"]
    assert function.call({"text": "a", "prefix": "-"}) == "-a"


# Functions that no module holds.

SCALE = 3
HIDDEN = object()


def scaled(value: int) -> int:
    return value * SCALE


class Thing:
    factor = SCALE

    def __init__(self, value: int) -> None:
        self.value = value

    def result(self) -> int:
        return scaled(self.value) * self.factor


def run_as_script(tmp_path: Path, body: str) -> str:
    """Execute the functions below in a program of their own, where they belong to `__main__`."""
    head = """
        from rgtool.runner.own.function import from_object
        import functools, math
        SCALE = 3
        HIDDEN = object()
        def scaled(value):
            return value * SCALE
        class Thing:
            def __init__(self, value=1):
                self.value = scaled(value)
        def pair(value):
            return (Thing(value).value, math.sqrt(4))
    """
    main = textwrap.indent(textwrap.dedent(body), " " * 4)
    text = f'{textwrap.dedent(head)}\nif __name__ == "__main__":\n{main}'
    file = write(tmp_path / "script.py", text)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_text_around_a_function_of_a_script_stands_for_itself(tmp_path: Path) -> None:
    out = run_as_script(
        tmp_path,
        """
        import pickle
        own = from_object(pair)
        print(own.portable, own.call({"value": 2}))
        print(own.home.text)
        open("pair.pickle", "wb").write(pickle.dumps(own))
        """,
    )
    first, _, text = out.partition("\n")
    assert first == "True (6, 2.0)"
    order = ["SCALE = 3", "def scaled(value):", "class Thing:", "import math", "def pair(value):"]
    places = [text.index(part) for part in order]
    assert places == sorted(places) and "HIDDEN" not in text
    own = pickle.loads((Path.cwd() / "pair.pickle").read_bytes())
    assert own.call({"value": 5}) == (15, 2.0)


def test_identity_sees_values_and_text_and_no_more(tmp_path: Path) -> None:
    lines = run_as_script(
        tmp_path,
        """
        def digest(function):
            return from_object(function).home.digest
        before = digest(pair)
        HIDDEN = 1
        print(digest(pair) == before)
        SCALE = 4
        print(digest(pair) == before)
        two, three = (functools.partial(Thing, value=value) for value in (2, 3))
        print(digest(two) == digest(three))
        print(from_object(two).call({}).value)
        print(from_object(lambda value: Thing(value + 1)).call({"value": 1}).value)
        """,
    ).split()
    assert lines == ["True", "False", "False", "8", "8"]


def around(width: int) -> Callable[[], tuple[int, type]]:
    def inner() -> tuple[int, type]:
        return width, Thing

    return inner


def test_variables_of_functions_around_it_are_values_too() -> None:
    narrow, wide = from_object(around(2)), from_object(around(9))
    assert narrow.home.digest != wide.home.digest and wide.portable
    assert wide.call({})[0] == 9
    assert in_another_process(wide)[0] == 9


def test_names_of_its_own_are_not_those_around_it() -> None:
    def inner(HIDDEN: int = 2) -> int:
        SCALE = HIDDEN
        return SCALE

    function = from_object(inner)
    assert function.portable and "SCALE = 3" not in function.home.text
    assert function.call({}) == 2


def test_what_no_text_tells_keeps_it_in_its_process() -> None:
    held = np.zeros(3)

    def inner() -> object:
        return held

    function = from_object(inner)
    assert function.hidden == ("held (ndarray)",) and not function.portable
    assert function.call({}) is held


def test_a_long_text_stays_in_its_process() -> None:
    def of(text: str) -> OwnFunction:
        held = text

        def inner() -> str:
            return held

        return from_object(inner)

    short, long = of("x"), of("x" * (40 << 10))
    assert short.portable and not long.portable  # a pipe would not take it
    assert len(long.call({})) == 40 << 10


def test_functions_without_a_source_are_refused() -> None:
    space: dict[str, Any] = {}
    exec("def typed(): ...", space)
    with pytest.raises(UsageError, match="the source of typed cannot be read.*my.py:typed"):
        from_object(space["typed"])
    with pytest.raises(UsageError, match="attrgetter has no source of its own"):
        from_object(operator.attrgetter("a"))
    two = [lambda: 1, lambda: 2]  # fmt: skip
    with pytest.raises(UsageError, match="2 lambdas stand in line"):
        from_object(two[0])
    assert from_object(functools.partial(scaled, 2)).call({}) == 6


# Values that a function is bound to.


class Kind(enum.Enum):
    NARROW = 1
    WIDE = 2


@dataclasses.dataclass
class Config:
    width: Any
    parts: list[Any] = dataclasses.field(default_factory=list)


class Maker:
    def __init__(self, value: Any) -> None:
        self.value = value

    def make(self) -> Any:
        return self.value

    def __call__(self) -> Any:
        return self.value


def by_default(value: Any) -> Callable[[], Any]:
    def build(size: Any = value) -> Any:
        return size

    return build


def by_keyword(value: Any) -> Callable[[], Any]:
    return lambda *, size=value: size


def by_variable(value: Any) -> Callable[[], Any]:
    return lambda: value


def by_attribute(value: Any) -> Callable[[], Any]:
    def build() -> Any:
        return build.size  # type: ignore[attr-defined]

    build.size = value  # type: ignore[attr-defined]
    return build


def by_class(value: Any) -> Callable[[], Any]:
    class Inner:
        size = value

        def __init__(self, other: Any = value) -> None:
            self.other = other

    return Inner


BINDINGS: list[Callable[[Any], Callable[[], Any]]] = [
    by_default, by_keyword, by_variable, by_attribute, by_class, Maker, lambda x: Maker(x).make,
]  # fmt: skip


@pytest.mark.parametrize("bind", BINDINGS, ids=lambda bind: bind.__name__.strip("<>"))
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (8, 9),
        (np.int64(8), np.int64(9)),
        (float("inf"), float("nan")),
        ([1, {"a": (2,)}], [1, {"a": (3,)}]),
        ({"a", "b"}, {"a", "c"}),
        ({"kind": Kind.NARROW}, {"kind": Kind.WIDE}),
        (Config(8), Config(9)),
        (Config(8, [Config(1)]), Config(8, [Config(2)])),
        (SimpleNamespace(a=1), SimpleNamespace(a=2)),
        (textwrap.indent, textwrap.dedent),
    ],
    ids=["int", "numpy", "float", "list", "set", "enum", "fields", "nested", "names", "function"],
)
def test_values_that_a_function_is_bound_to_name_it(
    bind: Callable[[Any], Callable[[], Any]], one: Any, other: Any
) -> None:
    first, again, second = (from_object(bind(value)) for value in (one, one, other))
    assert first.home.digest == again.home.digest != second.home.digest
    assert first.portable and not first.hidden
    made, expected = pickle.loads(pickle.dumps(first)).call({}), bind(one)()
    if bind is by_class:
        made, expected = made.other, expected.other
    if callable(one):
        assert made is expected
    elif not isinstance(one, set):  # whose text has no order
        assert repr(made) == repr(expected) and type(made).__name__ == type(expected).__name__
    else:
        assert made == expected


def test_objects_of_classes_without_a_source_are_not_told() -> None:
    space: dict[str, Any] = {"__name__": "nowhere"}
    exec("class Typed:\n    def __init__(self): self.width = 3", space)
    typed = space["Typed"]()
    assert from_object(lambda: typed).hidden == ("typed (Typed)",)


def test_classes_of_fields_alone_are_found_in_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no code leads to them, and unless two cells define them otherwise."""
    monkeypatch.setitem(sys.modules, "__main__", module := ModuleType("__main__"))

    def cell(number: int, text: str) -> dict[str, Any]:
        name, space = f"<cell-{number}>", vars(module)
        monkeypatch.setitem(linecache.cache, name, (1, None, text.splitlines(True), name))
        exec(compile(text, name, "exec"), space)
        return space

    head = "import dataclasses\n@dataclasses.dataclass\n"
    text = f"{head}class Sizes:\n    width: int = 7\nsizes = Sizes()\nsizes.depth = 3\n"
    sizes = cell(1, text)["sizes"]
    own = from_object(lambda: (sizes.width, sizes.depth))
    assert own.portable and own.call({}) == (7, 3)
    cell(2, text + "# again\n")
    assert from_object(lambda: (sizes.width, sizes.depth)).home.digest == own.home.digest
    cell(3, "class Sizes:\n    width: float\n")
    assert from_object(lambda: sizes).hidden == ("sizes (Sizes)",)


def test_names_that_mean_two_values_are_not_told_by_one_text() -> None:
    def both(first: Callable[[], Any], second: Callable[[], Any]) -> Callable[[], Any]:
        def build() -> Any:
            return first(), second()

        return build

    own = from_object(both(around(1), around(2)))
    assert "width (int)" in own.hidden and own.call({})[1][0] == 2


def test_sets_have_one_order_in_every_process(tmp_path: Path) -> None:
    text = """
        from rgtool.runner.own.function import from_object
        NAMES = {"one", "two", "three", "four"}
        def build():
            return NAMES
        print(from_object(build).home.digest)
    """
    file = write(tmp_path / "script.py", text)
    digests = {
        subprocess.run(
            [sys.executable, str(file)], capture_output=True, text=True, check=True, timeout=120,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(digests) == 1


def test_a_file_of_a_package_has_relative_imports(tmp_path: Path) -> None:
    write(tmp_path / "package/sub/__init__.py", "")
    write(tmp_path / "package/__init__.py", "")
    write(tmp_path / "package/sizes.py", "WIDTH = 7\n")
    text = "from ..sizes import WIDTH\ndef build(): return WIDTH\n"
    file = write(tmp_path / "package/sub/nets.py", text)
    function = from_reference(f"{file}:build")
    assert function.call({}) == 7
    assert in_another_process(function) == 7
    names = [part["path"] for part in function.home.sources("")]
    assert names[0] == "package/sub/nets.py" and "package/sizes.py" in names
