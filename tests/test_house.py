"""The house: arrows between the rooms, quick starts, pages that follow from the code."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rgtool

PACKAGE = Path(rgtool.__file__).parent
CLONE = Path(__file__).parents[1]
ROOMS = ("analysis", "cli", "runner", "schemas", "store")
MAY_IMPORT = {
    "schemas": set(),
    "store": {"schemas"},
    "runner": {"schemas"},
    "analysis": {"schemas", "store"},
    "cli": {"schemas", "store", "runner", "analysis"},
}
FORBIDDEN = {
    "runner": {"duckdb", "polars", "scipy", "statsmodels", "typer", "rich"},
    "analysis": {"torch", "torchvision", "duckdb", "typer", "rich"},
    "schemas": {"torch", "duckdb", "polars", "scipy", "typer", "rich"},
    "store": {"scipy", "statsmodels", "typer", "rich"},
}


def modules() -> list[tuple[str, Path]]:
    return [(room, path) for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))]


def imports(path: Path) -> list[tuple[int, str]]:
    """(level, module) of every import, also of those inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or ""))
    return found


def test_there_are_modules_in_every_room() -> None:
    assert {room for room, _ in modules()} == set(ROOMS)
    assert len(modules()) > 30


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda v: getattr(v, "name", v))
def test_arrows_point_one_way(room: str, path: Path) -> None:
    for level, module in imports(path):
        first = module.partition(".")[0]
        assert first != "rgtool", f"{path}: imports between the rooms are relative"
        if level == len(path.relative_to(PACKAGE).parts) and first:
            assert first in MAY_IMPORT[room], f"{room} may not import {first}"
        if level == 0:
            assert first not in FORBIDDEN.get(room, set()), f"{room} may not import {first}"


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda v: getattr(v, "name", v))
def test_nothing_below_the_command_line_prints(room: str, path: Path) -> None:
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert room == "cli" or "print" not in calls


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda v: getattr(v, "name", v))
def test_modules_stay_readable(room: str, path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 420


def loaded_by(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has loaded after `code`."""
    code += "\nimport sys; print(' '.join({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


HEAVY = {"torch", "scipy", "pandas", "sklearn", "matplotlib", "polars", "pyarrow", "statsmodels"}


def test_importing_rgtool_loads_nothing_heavy() -> None:
    assert not loaded_by("import rgtool") & (HEAVY | {"duckdb", "numpy", "typer"})


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["verify", "--help"],
        ["power", "--help"],
        ["gamma", "--help"],
        ["sql", "SELECT 1"],
    ],
)
def test_cold_start_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"from rgtool.cli import main\ntry: main({arguments})\nexcept SystemExit: pass"
    assert not loaded_by(code) & HEAVY


def test_public_names_are_what_they_say() -> None:
    assert set(rgtool.__all__) <= set(dir(rgtool))
    for name in rgtool.__all__:
        assert getattr(rgtool, name).__name__.lower() == name.lower()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        rgtool.nonsense  # noqa: B018


def test_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert version("rgtool") == rgtool.__version__


def readme() -> str:
    return (CLONE / "README.md").read_text()


def test_continuous_integration_runs_what_the_readme_says() -> None:
    script = (CLONE / ".ci" / "run").read_text()
    commands = re.findall(r'^install_and_\w+="(.*)"$', script, flags=re.MULTILINE)
    assert len(commands) == 2
    assert all(command in readme().splitlines() for command in commands)


def test_links_of_the_pages_lead_somewhere() -> None:
    pages = [CLONE / "README.md", *(CLONE / "docs").glob("*.md")]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#]+?)\)", page.read_text())
        if "://" not in target
    ]
    assert links
    assert [f"{page.name}: {t}" for page, t in links if not (page.parent / t).exists()] == []


def test_every_command_stands_in_the_readme() -> None:
    from rgtool.cli.app import app

    for registered in app.registered_commands:
        assert re.search(rf"\brgtool {registered.name}\b", readme())


def test_every_command_shows_an_example() -> None:
    from rgtool.cli.app import app

    for registered in app.registered_commands:
        assert registered.callback is not None
        assert f"Example: rgtool {registered.name}" in (registered.callback.__doc__ or "")


@pytest.mark.parametrize("page", ["record.md", "commands.md", "columns.md", "verify.md"])
def test_generated_pages_are_fresh(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CLONE / "docs"))
    generate = importlib.import_module("generate")
    fresh = generate.PAGES[page]()
    assert (CLONE / "docs" / page).read_text() == fresh, "run python docs/generate.py"
