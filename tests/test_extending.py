"""What docs/extending.md says, done in a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import CLONE

import rgtool

STEP = re.compile(
    r"A file `(?P<file>[^`]+)`:\n\n```python\n(?P<code>.*?)```\n\n"
    r"A line in `(?P<registry>\w+)` of `(?P<module>[^`]+)`:\n\n"
    r"```python\n(?P<imported>.*?)\n(?P<line>    .*?)\n```",
    flags=re.DOTALL,
)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of the package that has everything on the page."""
    home = tmp_path_factory.mktemp("extended")
    ignored = shutil.ignore_patterns(".git", "__pycache__", "tests", "docs", ".*")
    package = Path(shutil.copytree(Path(rgtool.__file__).parent, home / "rgtool", ignore=ignored))
    for step in steps():
        (package / step["file"]).write_text(step["code"])
        module = package / step["module"]
        text, count = re.subn(
            rf"^({step['registry']}: .* = {{)$",
            rf"\1\n{step['line']}",
            module.read_text(),
            flags=re.M,
        )
        assert count == 1, step["registry"]
        after = "from __future__ import annotations\n"
        module.write_text(text.replace(after, f"{after}{step['imported']}\n", 1))
    return home


def steps() -> list[dict[str, str]]:
    return [m.groupdict() for m in STEP.finditer((CLONE / "docs" / "extending.md").read_text())]


def call(home: Path, folder: Path, *arguments: str) -> str:
    code = "from rgtool.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_shows_a_network_data_pruner_and_recipe() -> None:
    assert {step["registry"] for step in steps()} == {"MODELS", "DATASETS", "PRUNERS", "PUBLISHED"}


def test_new_parts_work_together(extended: Path, tmp_path: Path) -> None:
    out = call(
        extended, tmp_path, "run", "mlp", "stripes", "--recipe", "hasty2031", "--pruner", "large",
        "--levels", "2", "--workers", "1", "--json",
    )  # fmt: skip
    (row,) = json.loads(out)
    assert (row["end"], row["level"], row["density"]) == ("done", 2, 0.25)
    query = "SELECT layer, block, stage, kept FROM layers WHERE level = 1 ORDER BY layer_index"
    rows = json.loads(call(extended, tmp_path, "sql", query, "--json"))
    assert [(r["layer"], r["block"], r["stage"]) for r in rows] == [
        ("1", "1", None),
        ("3", "3", None),
    ]
    assert sum(r["kept"] for r in rows) == (64 * 64 + 2 * 64) // 2


def test_a_new_recipe_is_listed(extended: Path, tmp_path: Path) -> None:
    rows = json.loads(call(extended, tmp_path, "recipes", "--json"))
    named = {row["recipe"]: row["what it is"] for row in rows}
    assert named["hasty2031"] == "Hasty 2031: two epochs, half of the weights at once."


# The part that needs no copy of the package.


def test_what_the_page_says_of_ones_own_network_and_data(tmp_path: Path) -> None:
    page = (CLONE / "docs" / "extending.md").read_text()
    section = page[: page.index("## Within rgtool")]
    code, python = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    (tmp_path / "my.py").write_text(code)
    (tmp_path / "script.py").write_text(python)
    commands = re.findall(r"^rgtool (run .*)$", section, flags=re.M)
    assert len(commands) == 3
    home = Path(rgtool.__file__).parents[1]
    outs = [call(home, tmp_path, *command.split(), "--json") for command in commands]
    assert [row["end"] for out in outs for row in json.loads(out)] == ["done"] * 4
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(call(home, tmp_path, "sql", QUERY, "--json"))
    # The functions of a file are one experiment, however they are named; a lambda is another.
    assert [row["runs"] for row in rows] == [2, 1, 1, 1]
    spectrum = json.loads(
        call(home, tmp_path, "eigen", rows[0]["experiment_id"], "--by", "stage", "--json")
    )
    assert [row["name"] for row in spectrum] == ["stem", "1", "2", "head"]


QUERY = (
    "SELECT experiment_id, count(*)::INT AS runs FROM runs GROUP BY ALL "
    "ORDER BY runs DESC, experiment_id"
)
