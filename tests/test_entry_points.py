"""What installed packages add: networks, data sets, recipes, formats; behind names of rgtool."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

import pytest
from command import Cli

import rgtool
from rgtool.runner.data import find_task, load
from rgtool.runner.models import find_network
from rgtool.runner.plan import plan
from rgtool.runner.recipes import recipe
from rgtool.schemas import entry_points
from rgtool.schemas.errors import RgtoolError, UsageError

PARTS = """
import numpy as np
from torch import nn

def build(input_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[1] ** 2, 8), nn.ReLU(),
                         nn.Linear(8, classes))

def load(folder):
    y = np.arange(40) % 2
    x = np.repeat(y * 200, 16).reshape(40, 4, 4).astype("uint8")
    return x[:20], y[:20], x[20:], y[20:]

def hasty(network):
    return {"epochs": 2, "milestones": (), "rewind": "0it", "prune": 0.5}

def found(tree):
    from functools import partial
    from rgtool.store.importers.found import Found, FoundLevel, FoundRun, LevelData
    files = sorted(path for path in tree.files if path.suffix == ".mine")
    levels = tuple(FoundLevel(n, (f,), partial(read, f)) for n, f in enumerate(files))
    run = FoundRun("mine", tree.root, experiment="e", replicate="0", levels=levels)
    return Found((run,), claimed=frozenset(files))

def read(path):
    from rgtool.store.importers.found import LevelData
    mask = np.array([c == "1" for c in path.read_text().strip()]).reshape(2, -1)
    return LevelData(masks={"fc": mask}, shapes={"fc": mask.shape})

def fails():
    raise ValueError
"""
POINTS = """
[rgtool.models]
tiny = plugged_parts:build
lenet = plugged_parts:fails

[rgtool.datasets]
flags = plugged_parts:load
digits = plugged_parts:fails

[rgtool.importers]
mine = plugged_parts:found
csv = plugged_parts:fails

[rgtool.recipes]
hasty = plugged_parts:hasty
torn = plugged_nowhere:hasty
quick = plugged_parts:fails
"""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip installs it."""
    site = tmp_path / "site-packages"
    about = site / "plugged-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(textwrap.dedent(POINTS))
    (site / "plugged_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(site)


def test_parts_of_a_package_run_together(cli: Cli) -> None:
    done = cli("run", "tiny", "flags", "--recipe", "hasty", "--levels", "2", "--json")
    (row,) = json.loads(done.out)
    assert (row["end"], row["level"], row["density"]) == ("done", 2, 0.25)
    (run,) = json.loads(cli("sql", "SELECT architecture, task FROM runs", "--json").out)
    assert re.fullmatch("tiny-[0-9a-f]{8}", run["architecture"])
    assert run == {"architecture": find_network("tiny").name, "task": load(find_task("flags")).name}


def _theirs(*texts: str) -> None:
    Path("theirs").mkdir()
    for level, text in enumerate(texts):
        Path("theirs", f"{level}.mine").write_text(text)


def test_a_format_of_a_package_is_recognised_or_named(cli: Cli) -> None:
    _theirs("11111111", "11110111", "01110011")
    told = ("--arch", "tiny", "--task", "flags")
    done = cli("import", "theirs", *told)
    assert done.code == 0, done.err
    assert "1 run(s)" in done.err and "plugged" not in done.err
    again = cli("import", "theirs", "--format", "Mine", *told)
    assert again.code == 0 and "0 new level(s) of 1 run(s)" in again.err, again.err
    (row,) = json.loads(cli("sql", "SELECT sum(kept)::INT AS kept FROM layers", "--json").out)
    assert row["kept"] == 8 + 7 + 5
    assert "did you mean mine" in cli("import", "theirs", "--format", "mines").err


def test_a_format_of_a_package_that_fails_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _theirs("11111111", "101")
    alone = cli("import", "theirs", "--format", "mine", "--task", "flags")
    assert alone.code == 1
    assert "format mine of package plugged fails (ValueError: cannot reshape" in alone.err
    about = tmp_path / "site-packages" / "plugged-1.0.dist-info" / "entry_points.txt"
    about.write_text("[rgtool.importers]\nodd = builtins:len\ntorn = plugged_nowhere:x\n"
                     "wrong = builtins:repr\ncsv = plugged_parts:never\n")  # fmt: skip
    done = cli("import", "theirs")
    assert done.code == 1
    assert "format odd of package plugged fails (TypeError: object of type 'Tree'" in done.err
    assert "'torn' of package plugged cannot be loaded: ModuleNotFoundError" in done.err
    assert "format wrong of package plugged returns a str: Found is due" in done.err
    assert "csv" not in done.err and "Traceback" not in done.err


def test_packages_are_not_asked_about_what_rgtool_reads(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "plugged_parts", raising=False)
    Path("ours").mkdir()
    rows = [f"e,0,{level},fc,{8 - level},8" for level in range(3)]
    text = "\n".join(["experiment,seed,level,group,kept,total", *rows])
    Path("ours", "counts.csv").write_text(text + "\n")
    assert cli("import", "ours", "--task", "flags").code == 0
    assert "plugged_parts" not in sys.modules


def test_names_of_rgtool_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(**asked: object) -> None:
        raise AssertionError(asked)

    monkeypatch.setattr(entry_points, "entry_points", never)
    find_network("lenet")
    images = load(find_task("digits"))
    assert recipe("lenet", images, "quick").epochs == 10
    assert plan("lenet", "digits", "quick").recipe.epochs == 10


def test_what_packages_add_is_listed_and_not_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "plugged_parts", raising=False)
    for listing, name in (
        (rgtool.models(), "tiny"), (rgtool.datasets(), "flags"), (rgtool.recipes(), "torn"),
    ):  # fmt: skip
        assert name in listing.names
        assert len(set(listing.names)) == len(listing.names)  # lenet is that of rgtool
        rows = {row[0]: row for row in listing.table().rows}
        assert rows[name][-1] == "of the package plugged"
        assert len({len(row) for row in listing.table().rows}) == 1
    assert "plugged_parts" not in sys.modules


def test_names_of_a_package_are_found_in_any_case_and_order() -> None:
    made = plan("Tiny", "FLAGS", "Hasty", levels=2)
    assert made.recipe == plan("tiny", "flags", "hasty", levels=2).recipe
    assert made.recipe_name == "hasty"
    with pytest.raises(UsageError, match=r"did you mean tiny flags\?"):
        plan("flags", "tiny")


def test_names_that_nobody_has_meet_those_of_packages() -> None:
    for wrong, text in [("tinny", "did you mean tiny")]:
        with pytest.raises(UsageError, match=text):
            find_network(wrong)
    with pytest.raises(UsageError, match="did you mean flags"):
        find_task("flag")
    images = load(find_task("digits"))
    with pytest.raises(UsageError, match="did you mean hasty"):
        recipe("lenet", images, "hastyy")
    with pytest.raises(RgtoolError, match="recipes 'torn' of package plugged cannot be loaded"):
        recipe("lenet", images, "torn")
