"""The house: arrows between the rooms, quick starts, pages that follow from the code."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from command import Cli
from places import CLONE

import rgtool

PACKAGE = Path(rgtool.__file__).parent
Name = tuple[str, ...]  # of a module, below the package
ROOMS = ("analysis", "cli", "runner", "schemas", "store", "studies")
MAY_IMPORT = {
    "schemas": set(),
    "store": {"schemas"},
    "runner": {"schemas"},
    "analysis": {"schemas", "store"},
    "studies": {"schemas", "store", "runner", "analysis"},
    "cli": {"schemas", "store", "runner", "analysis", "studies"},
}
FORBIDDEN = {
    "runner": {"duckdb", "polars", "scipy", "statsmodels", "typer", "rich"},
    "analysis": {"torch", "torchvision", "duckdb", "typer", "rich"},
    "schemas": {"torch", "duckdb", "polars", "scipy", "typer", "rich"},
    "store": {"scipy", "statsmodels", "typer", "rich"},
    "studies": {"duckdb", "typer", "rich"},
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


def runs(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING`."""
    if isinstance(tree, ast.If) and getattr(tree.test, "id", "") == "TYPE_CHECKING":
        return
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from runs(child)


def module_graph() -> dict[Name, set[Name]]:
    """The modules of the package that each imports, inside functions too."""
    homes = {path.relative_to(PACKAGE).with_suffix("").parts: path for _, path in modules()}
    homes = {name[:-1] if name[-1] == "__init__" else name: path for name, path in homes.items()}
    graph: dict[Name, set[Name]] = {name: set() for name in homes}
    for name, path in homes.items():
        package = name if path.name == "__init__.py" else name[:-1]
        for node in runs(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                start = package[: len(package) + 1 - node.level]
                base = (*start, *(node.module.split(".") if node.module else ()))
                graph[name] |= {
                    (*base, alias.name) if (*base, alias.name) in homes else base
                    for alias in node.names
                } & homes.keys()
    return graph


def reached(graph: dict[Name, set[Name]], start: Name) -> set[Name]:
    """What `start` leads to, itself only by a circle."""
    seen: set[Name] = set()
    waiting = [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


def circles(graph: dict[Name, set[Name]]) -> list[list[str]]:
    """Sets of modules that lead to each other."""
    all_ = {name: reached(graph, name) for name in graph}
    found = {
        tuple(sorted(other for other in there if name in all_[other]))
        for name, there in all_.items()
        if name in there
    }
    return sorted(["/".join(name) for name in circle] for circle in found)


def test_modules_import_in_no_circle() -> None:
    graph = module_graph()
    assert sum(map(len, graph.values())) > 2 * len(graph)
    assert circles(graph) == []


def test_a_circle_is_found() -> None:
    graph: dict[Name, set[Name]] = {("a",): {("b",)}, ("b",): {("c",)}, ("c",): {("b",)}}
    assert circles(graph) == [["b", "c"]]
    assert circles({("a",): {("a",)}}) == [["a"]]


def test_no_import_hides_in_a_text() -> None:
    """Modules that are loaded by name are those of others, or named in a package's own list."""
    hidden = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for _, path in modules()
        if path.name != "__init__.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module"
        and (len(node.args) > 1 or "'." in ast.unparse(node) or "rgtool" in ast.unparse(node))
    ]
    assert hidden == []


def crowded(top: Path) -> dict[str, int]:
    """The folders from `top` down that hold more than 20 modules, and how many they hold."""
    counts = Counter(str(path.parent.relative_to(top)) for path in top.rglob("[!_]*.py"))
    return {folder: count for folder, count in counts.items() if count > 20}


@pytest.mark.parametrize(
    "top", [*(PACKAGE / room for room in ROOMS), CLONE / "tests"], ids=lambda top: top.name
)
def test_a_folder_can_be_taken_in_at_a_glance(top: Path) -> None:
    assert crowded(top) == {}


def test_no_two_files_of_tests_have_one_name() -> None:
    # pytest imports them by their names alone, since their folders are no packages.
    names = Counter(path.name for path in (CLONE / "tests").rglob("*.py"))
    assert [name for name, count in names.items() if count > 1 and name != "conftest.py"] == []


def test_a_crowded_folder_is_found(tmp_path: Path) -> None:
    for folder, count in {"full": 20, "full/over": 21, "empty": 0}.items():
        (tmp_path / folder).mkdir()
        for name in ["__init__", *map(str, range(count))]:
            (tmp_path / folder / f"{name}.py").touch()
    assert crowded(tmp_path) == {"full/over": 21}


def test_what_is_installed_is_what_there_is() -> None:
    settings = tomllib.loads((CLONE / "pyproject.toml").read_text())["tool"]["setuptools"]
    listed = {name.replace(".", "/") for name in settings["packages"]}
    data = {name.replace(".", "/") for name in settings["package-data"]}
    folders = {f"rgtool/{path.parent.relative_to(PACKAGE)}" for _, path in modules()}
    assert listed == {"rgtool"} | folders | data


def test_dependencies_are_those_that_are_imported() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w-]", text)[0] for text in project["dependencies"]}
    imported = {
        module.partition(".")[0]
        for _, path in modules()
        for level, module in imports(path)
        if not level
    } - sys.stdlib_module_names
    assert imported <= declared
    # torchvision is imported by its name as a string, see runner/datasets/vision.py.
    assert declared - imported <= {"torchvision"}


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


COMPLETION = {
    "_RGTOOL_COMPLETE": "complete_bash", "COMP_WORDS": "rgtool co", "COMP_CWORD": "1",
}  # fmt: skip


def test_importing_rgtool_loads_nothing_heavy() -> None:
    assert not loaded_by("import rgtool") & (HEAVY | {"duckdb", "numpy", "typer"})


def test_results_load_figures_when_they_are_drawn() -> None:
    found = "import rgtool; found = rgtool.gamma(None, 'published:renda2020-resnet20')"
    assert "matplotlib" not in loaded_by(found)
    assert "matplotlib" in loaded_by(f"{found}; found.plot()")
    assert "matplotlib" not in loaded_by(f"{found}; found.chart().specification()")


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
    assert {*rgtool.__all__, "__version__"} == set(dir(rgtool))
    for name in rgtool.__all__:
        assert getattr(rgtool, name).__name__.lower() == name.lower()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        rgtool.nonsense  # noqa: B018


def test_what_python_returns_shows_itself() -> None:
    """Figures and charts are their own pictures, an error its message; all others have a table."""
    from rgtool.schemas.display import Shown

    for name in {*rgtool.__all__} - {"plot", "chart", "RgtoolError"}:
        found = getattr(rgtool, name)
        if not isinstance(found, type):
            known = vars(sys.modules[found.__module__])
            found = eval(inspect.get_annotations(found)["return"], known)
        for one in get_args(found) or (found,):
            assert issubclass(one, Shown), f"{name}: {one}"


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


def test_hooks_run_what_continuous_integration_runs() -> None:
    hooks = (CLONE / ".pre-commit-config.yaml").read_text()
    entries = set(re.findall(r"entry: (.*)", hooks))
    parts = re.search(r"set -- (.*)", (CLONE / ".ci" / "check").read_text())
    assert parts is not None
    assert entries == {"pytest", *(f".ci/check {part}" for part in parts[1].split())}
    steps = (CLONE / ".ci" / "run").read_text().splitlines()
    assert ".ci/check" in steps
    assert "pytest tests/test_notebooks.py" in steps  # which the README's command leaves out
    assert set(re.findall(r"language: (.*)", hooks)) == {"system"}  # nothing is fetched


def test_version_and_authors_are_the_same_everywhere() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text())["project"]
    citation = (CLONE / "CITATION.cff").read_text()
    assert project["authors"] == [{"name": "The rgtool developers"}]
    assert re.findall(r"^  - name: (.*)", citation, flags=re.MULTILINE) == ["The rgtool developers"]
    assert re.findall(r"^version: (.*)", citation, flags=re.MULTILINE) == [rgtool.__version__]
    assert project["version"] == rgtool.__version__
    assert f"\n## {rgtool.__version__}" in (CLONE / "CHANGELOG.md").read_text()


def test_links_of_the_pages_lead_somewhere() -> None:
    pages = [*CLONE.glob("*.md"), *(CLONE / "docs").glob("*.md")]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#]+?)\)", page.read_text())
        if "://" not in target
    ]
    assert links
    assert [f"{page.name}: {t}" for page, t in links if not (page.parent / t).exists()] == []


def test_commands_are_grouped_alike_in_the_readme_the_help_and_the_folders() -> None:
    from rgtool.cli.app import COMMANDS

    shown = {
        group: set(re.findall(r"^rgtool (\w+)", lines, flags=re.MULTILINE))
        for group, lines in re.findall(r"^### (\w+)\n\n```\n(.*?)```", readme(), flags=re.M | re.S)
    }
    assert shown == {g: {c.__name__.rstrip("_") for c in cs} for g, cs in COMMANDS.items()}
    for group, commands in COMMANDS.items():
        for command in commands:
            assert command.__module__ == f"rgtool.cli.{group.lower()}.{command.__name__}"


def test_help_shows_the_groups(cli: Cli) -> None:
    from rgtool.cli.app import COMMANDS

    told = cli("--help").out
    headings = re.findall(r"─ (\w+) ─", told)
    assert headings == ["Options", *COMMANDS]


def test_the_shell_completes_commands(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMPLETION.items():
        monkeypatch.setenv(name, value)
    assert cli().out.split() == ["compact", "compare", "collapse"]


def test_completion_loads_nothing_heavy() -> None:
    code = f"import os; os.environ.update({COMPLETION})\nfrom rgtool.cli import main\n"
    loaded = loaded_by(f"{code}try: main()\nexcept SystemExit: pass")
    assert "typer" in loaded
    assert not loaded & HEAVY


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
