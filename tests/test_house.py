"""The house: arrows between the rooms, quick starts, pages that follow from the code."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
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


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a module, those that only type checkers see left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from run_time_nodes(child)


def modules_imported(path: Path, known: set[str]) -> set[str]:
    """Modules of the package that a module imports, inside its functions too."""
    found, package = set(), path.relative_to(PACKAGE).parent.parts
    for node in run_time_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            base = ".".join((*above, *((node.module or "").split(".") if node.module else ())))
            for alias in node.names:
                inner = f"{base}.{alias.name}" if base else alias.name
                found.add(inner if inner in known else base)
    return found & known


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which reaches all others of its group."""
    reach = {name: set(direct) for name, direct in arrows.items()}
    for middle in reach:  # Warshall's closure
        for several in reach.values():
            if middle in several:
                several |= reach[middle]
    groups = {
        frozenset({name} | {other for other in reach[name] if name in reach[other]})
        for name in reach
        if name in reach[name]
    }
    return sorted(sorted(group) for group in groups)


def test_a_circle_is_found() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"e"}}
    assert circles(arrows) == [["a", "b", "c"], ["e"]]


def test_no_modules_of_the_analysis_import_each_other() -> None:
    paths = {module_name(path): path for _, path in modules()}
    arrows = {name: modules_imported(path, set(paths)) for name, path in paths.items()}
    assert arrows["analysis.plots.gamma"] > {"analysis.gamma.result", "analysis.plots.style"}
    assert "analysis.spectrum.eigen" in arrows["cli.eigen"]  # inside a function
    assert [group for group in circles(arrows) if group[0].startswith(("analysis", "cli"))] == []


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
