"""Roles of layers: what names tell, in Python and in SQL, in any store, by every verb."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from command import Cli
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import counts, write_run

import rgtool
from rgtool.schemas.blocks import GROUPINGS, Layer, architecture, groupings, groups_of
from rgtool.schemas.errors import UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.roles import ROLES, role_of, role_sql
from rgtool.store import Store

BASIC = ["stem", "first", "second", "shortcut", "head"]
BOTTLENECK = ["stem", "first", "second", "third", "shortcut", "head"]
BERT = ["query", "key", "value", "attention.output", "intermediate", "output", "head"]


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("resnet20", BASIC),
        ("resnet20a", ["stem", "first", "second", "head"]),
        ("resnet18", BASIC),
        ("resnet50", BOTTLENECK),
        ("bert-base", BERT),
    ],
)
def test_the_roles_of_a_network(name: str, roles: list[str]) -> None:
    layers = architecture(name).layers
    assert list(dict.fromkeys(groups_of(layers, "role", name))) == roles
    assert groupings(layers)[-1] == "role"
    for layer in layers:  # the same, read off the last component of the name
        end = layer.name.removesuffix(".0").rpartition(".")[2]
        meant = {"conv1": "first", "conv2": "second", "conv3": "third", "downsample": "shortcut"}
        meant |= {part: part for part in ("query", "key", "value")}
        if layer.block not in ("stem", "head") and end != "dense":
            assert layer.role == meant[end]


@pytest.mark.parametrize(
    ("layer", "block", "role"),
    [
        ("encoder.layer.3.attention.output.dense", "3", "attention.output"),
        ("encoder.layer.3.output.dense", "3", "output"),
        ("roberta.encoder.layer.3.intermediate.dense", "roberta.encoder.layer.3", "intermediate"),
        ("stages.0.blocks.1.shortcut", "0.1", "shortcut"),
        ("conv1", "stem", "stem"),
        ("conv1", "conv1", None),
        ("net.conv1", "net.conv1", None),
        ("layer1.0.conv4", "1.0", None),
        ("layer1.0.myconv1", "1.0", None),
        ("layer1.0.conv1.0", "1.0", None),
        ("features.3", "1.1", None),
        ("fc", "head", "head"),
    ],
)
def test_what_a_name_tells(layer: str, block: str, role: str | None) -> None:
    assert role_of(layer, block) == role
    assert Layer(layer, "linear", (2, 3), block, None).role == role


@pytest.mark.parametrize(
    ("name", "others"), [("lenet", "layer or block"), ("vgg16", "layer, block or stage")]
)
def test_a_network_without_roles_says_what_it_has(name: str, others: str) -> None:
    found = architecture(name)
    assert "role" not in groupings(found.layers)
    with pytest.raises(UsageError, match=f"^{name} has no roles: group by {others}$"):
        groups_of(found.layers, "role", name)
    with pytest.raises(UsageError, match=f"^{name} has no roles"):
        rgtool.null(name, by="role", prunable="all")


parts = st.sampled_from(
    [*(end.removeprefix(".") for end in ROLES), "a", "encoder.layer.1", "conv", "Conv1", "dense"]
)
texts = st.lists(parts, min_size=1, max_size=3).map(".".join)
blocks = st.one_of(st.sampled_from(["stem", "head", "1.0", "3", "x'y"]), texts)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        yield found


@settings(max_examples=20)
@given(pairs=st.lists(st.tuples(texts, blocks), min_size=30, max_size=60))
def test_sql_tells_the_same_roles(
    connection: duckdb.DuckDBPyConnection, pairs: list[tuple[str, str]]
) -> None:
    pairs = pairs + [(layer, layer) for layer, _ in pairs]
    rows = connection.execute(
        f"SELECT {role_sql('layer', 'block')} FROM (SELECT unnest(?) AS layer, unnest(?) AS block)",
        [[layer for layer, _ in pairs], [block for _, block in pairs]],
    ).fetchall()
    assert [row[0] for row in rows] == [role_of(*pair) for pair in pairs]


# In a store. No file of it knows of roles, so that any store is an old one.

RESNET, BERT_BASE = (
    Recipe(architecture=name, task="digits") for name in ("resnet8w4", "bert-base")
)
WITHOUT = [
    Recipe(architecture="lenet", task="digits", exempt=("fc",)),
    Recipe(architecture="vgg11", task="digits"),
]
ENDS = {"conv1": "first", "conv2": "second", "downsample": "shortcut"}


def plain_role(layer: str) -> str:
    """The oracle for both networks, by regular expressions on whole names."""
    if match := re.fullmatch(r"layer\d\.\d\.(conv\d|downsample)(?:\.0)?", layer):
        return ENDS[match[1]]
    if match := re.fullmatch(r"encoder\.layer\.\d+\.(.+)", layer):
        tail = match[1].removesuffix(".dense")
        return tail.removeprefix("attention.self.")
    return {"conv1": "stem", "fc": "head", "pooler.dense": "head"}[layer]


def hold_flow(store: Store, recipe: Recipe, seed: int, levels: int) -> None:
    """Hold the rows of the view to sums over layers, by loops."""
    layers = architecture(recipe.architecture).counted(recipe.prunable)
    kept = counts(recipe, seed, levels)
    rows = store.query(
        "SELECT level, name, total, kept, kept_prev, share, eigenvalue FROM flow "
        "WHERE grouping = 'role' AND run_id = ? ORDER BY ALL",
        [recipe.run_id(seed)],
    ).rows
    assert len(rows) == (levels + 1) * len({plain_role(x.name) for x in layers})
    for level, name, total, now, before, share, eigenvalue in rows:
        own = [plain_role(layer.name) == name for layer in layers]
        assert (total, now) == (kept[0][own].sum(), kept[level][own].sum())
        assert before == (kept[level - 1][own].sum() if level else None)
        assert share == now / kept[level].sum()
        if level:
            step = share / (before / kept[level - 1].sum())
            assert eigenvalue == pytest.approx(step, rel=1e-12)


def test_the_view_flow_has_roles_loose_compacted_and_extended(tmp_path: Path) -> None:
    recipes = [RESNET, BERT_BASE, *WITHOUT]
    for recipe in recipes:
        write_run(tmp_path, 0, recipe=recipe)
    store = Store(tmp_path)
    groups = "SELECT DISTINCT architecture, grouping FROM flow ORDER BY ALL"
    expected = sorted(
        (recipe.architecture, by)
        for recipe in recipes
        for by in groupings(architecture(recipe.architecture).counted(recipe.prunable))
    )
    for compact in (False, True):
        if compact:
            store.compact()
            write_run(tmp_path, 0, levels=5, recipe=RESNET)  # goes on after compaction
            files = tmp_path.glob("compact/groups-*.parquet")
            held = duckdb.sql(f"SELECT DISTINCT grouping FROM '{next(files)}'").fetchall()
            assert {row[0] for row in held} == {"block", "stage"}
        assert store.query(groups).rows == expected
        hold_flow(store, RESNET, 0, 5 if compact else 3)
        hold_flow(store, BERT_BASE, 0, 3)
        sums = "SELECT sum(share), sum(share_prev * eigenvalue) FROM flow GROUP BY run_id, level, "
        for whole, after in store.query(sums + "grouping").rows:
            assert whole == pytest.approx(1) and (after is None or after == pytest.approx(1))


@pytest.mark.parametrize("recipe", [RESNET, BERT_BASE], ids=lambda recipe: recipe.architecture)
def test_counts_by_role_are_sums_over_layers(tmp_path: Path, recipe: Recipe) -> None:
    for seed in (0, 1):
        write_run(tmp_path, seed, recipe=recipe)
    found = Store(tmp_path).counts(recipe.experiment_id, by="role")
    layers = architecture(recipe.architecture).counted(recipe.prunable)
    assert found.names == tuple(dict.fromkeys(plain_role(layer.name) for layer in layers))
    for s, g in itertools.product(range(2), range(len(found.names))):
        own = [plain_role(layer.name) == found.names[g] for layer in layers]
        assert found.kept[s, :, g].tolist() == counts(recipe, s, 3)[:, own].sum(axis=1).tolist()
    with pytest.raises(UsageError, match="grouping 'rule' is unknown: did you mean role"):
        Store(tmp_path).counts(recipe.experiment_id, by="rule")


ONE, TWO = "resnet8w4/digits", "resnet8w4/mnist"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store")
    for seed in range(6):
        recipe = Recipe(architecture="resnet8w4", task="digits" if seed < 3 else "mnist")
        write_run(path, seed, 6, recipe=recipe)
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("eigen", ONE, "--by", "role"),
        ("eigen", ONE, "--by", "role", "--nulls"),
        ("eigen", ONE, "--by", "role", "--coordinates", "scale"),
        ("eigen", "--all", "--by", "Role"),
        ("compare", ONE, TWO, "--by", "role", "--no-masks"),
        ("meta", ONE, TWO, "--by", "role"),
        ("forecast", ONE, "--by", "role"),
        ("null", "resnet8w4", "--by", "role"),
        ("null", ONE, "--by", "role", "--levels", "1:6"),
        ("predict", ONE, "resnet14w4/mnist", "--kind", "exponents", "--by", "role"),
    ],
    ids=" ".join,
)
def test_every_verb_that_groups_takes_roles(cli: Cli, two: Path, command: tuple[str, ...]) -> None:
    code, out, err = cli(*command, "--json", "--store", str(two))
    assert code == 0 or command[0] == "predict", err
    rows = json.loads(out)
    experiments = 2 if "--all" in command else 1
    assert [row["name"] for row in rows] == BASIC * experiments


def test_spectra_are_classified_and_drawn_by_role(cli: Cli, two: Path, tmp_path: Path) -> None:
    store = ("--store", str(two))
    code, out, err = cli("classify", "--grouping", "role", "--json", *store)
    assert code == 0 and len(json.loads(out)) == 2, err
    figures = tmp_path / "figures"
    drawn = cli("plot", ONE, "--by", "role", "--to", str(figures), "--format", "svg", *store)
    assert drawn.code == 0
    text = (figures / "resnet8w4-digits-flow.svg").read_text()
    assert all(f">{name}<" in text or f"<!-- {name} -->" in text for name in BASIC)
    code, _, err = cli("classify", "--grouping", "role", "--against", "published", *store)
    assert code == 2 and "no published spectrum has two groups of the same name" in err


def test_every_grouping_is_offered_in_words(cli: Cli) -> None:
    for command in ("eigen", "null", "compare", "meta", "classify", "forecast", "power"):
        text = re.sub(r"[\s│]+", " ", cli(command, "--help").out)
        assert all(by in text for by in GROUPINGS), command
