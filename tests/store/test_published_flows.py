"""Flows of the literature: published counts, usable wherever an experiment is."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from command import Cli
from hypothesis import given
from hypothesis import strategies as st

import rgtool
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.schemas.errors import UsageError
from rgtool.schemas.published import PUBLISHED
from rgtool.store import (
    Store,
    published,
    published_curve,
    published_flow,
    published_flow_names,
)
from rgtool.store.figures import read_figures

NAME = "published:tanaka2020-vgg16-cifar100-"
# Sum of all counts of runs, densities and layers in order, and the start of their SHA-256 as 64-bit
# integers, taken from the archive of counts of Tanaka et al. 2020 (Synaptic-Flow).
SOURCE = {
    "magnitude": (101186119, "a4212f23b42ac701"),
    "snip": (101186124, "a02e17637bbf3580"),
    "synflow": (101186108, "57c1b17b8d2dc845"),
    "grasp": (101186123, "c7ab45e1c66237a7"),
    "random": (101186122, "2644dc716ffa2b7b"),
}
# Exponents by stage and fc between 10 and 1 %, accuracies at 10, 1 and .1 %, to the last digit.
TABLE = {
    "magnitude": ((0.71, 0.56, 0.21, -0.27, -0.80, 0.70), (71.8, 60.5, 1.0)),
    "snip": ((0.62, 0.43, 0.15, -0.22, -0.18, 0.58), (70.5, 60.9, 15.5)),
    "synflow": ((0.57, 0.17, -0.08, -0.09, -0.09, 0.37), (71.7, 63.0, 41.0)),
    "random": ((-0.01, 0.01, 0.00, 0.00, 0.00, 0.00), (68.6, 52.1, 1.0)),
}


@pytest.fixture
def nowhere(tmp_path: Path) -> Store:
    return Store(tmp_path / "nowhere")


def test_flows_are_of_five_schemes_three_runs_and_25_densities() -> None:
    assert published_flow_names() == tuple(
        NAME + pruner for pruner in ("magnitude", "snip", "synflow", "grasp", "random")
    )
    for name in published_flow_names():
        flow = published_flow(name)
        assert flow.kept.shape == (3, 25, 14) and flow.accuracy.shape == (3, 25)
        assert flow.recipe.pruner == name.rpartition("-")[2]
        assert (
            [x.total for x in flow.layers] == flow.kept[0, 0].tolist() == flow.kept[2, 0].tolist()
        )
        assert "Tanaka et al. 2020 (arXiv 2006.05467)" in flow.title
        density = flow.kept.sum(axis=-1) / flow.kept[:, :1].sum(axis=-1)
        expected = np.broadcast_to(10 ** (-np.arange(25) / 4), density.shape)
        np.testing.assert_allclose(density[:, :20], expected[:, :20], rtol=0.01)
        assert ((flow.accuracy > 0) & (flow.accuracy < 0.75)).all()
        with pytest.raises(ValueError, match="read-only"):
            flow.kept[0, 0, 0] = 1


@pytest.mark.parametrize("pruner", TABLE)
def test_exponents_of_the_schemes(nowhere: Store, pruner: str) -> None:
    exponents, accuracies = TABLE[pruner]
    spectrum = eigen(nowhere, NAME + pruner, by="stage", window=(4, 8))
    assert spectrum.names == ("1", "2", "3", "4", "5", "head")
    np.testing.assert_allclose(spectrum.exponent.value, exponents, atol=0.0051)
    accuracy = published_flow(NAME + pruner).accuracy[:, [4, 8, 12]].mean(axis=0)
    np.testing.assert_allclose(100 * accuracy, accuracies, atol=0.06)


def test_magnitude_pruning_of_untrained_networks_is_n1(nowhere: Store) -> None:
    """No training, nothing fitted: every layer within .003 from density 10^-.25 to 10^-1.75."""
    spectrum = eigen(nowhere, NAME + "magnitude", by="layer", window=(1, 7))
    assert np.abs(spectrum.anomalous.value).max() < 0.003
    assert np.abs(spectrum.canonical).max() > 0.7
    assert set(spectrum.against_null) == {"none"}
    assert spectrum.untrained.p > 0.05
    assert any("not nested" in note for note in spectrum.notes)


def test_five_layers_run_empty_at_a_thousandth(nowhere: Store) -> None:
    kept = published_flow(NAME + "magnitude").kept
    empty = (kept == 0)[:, 12]
    assert empty.any(axis=0).sum() == 5 and empty.sum(axis=-1).min() == 4
    spectrum = eigen(nowhere, NAME + "magnitude", by="layer")
    assert spectrum.window[1] < 12 and any("keeps no weight" in note for note in spectrum.notes)


def test_a_scheme_that_does_not_look_at_magnitudes_has_no_null(nowhere: Store) -> None:
    for pruner in ("snip", "synflow", "grasp"):
        spectrum = eigen(nowhere, NAME + pruner, by="stage", window=(1, 7))
        assert np.isnan(spectrum.canonical).all()
        assert any(f"not by {pruner}" in note for note in spectrum.notes)
    random = eigen(nowhere, NAME + "random", by="stage", window=(1, 7))
    assert np.abs(random.canonical).max() < 1e-9 and np.abs(random.anomalous.value).max() < 0.02


def test_synflow_comes_to_equal_shares(nowhere: Store) -> None:
    counts = published_flow(NAME + "synflow").counts("layer")
    share = counts.kept[:, 12:21] / counts.kept[:, 12:21].sum(axis=-1, keepdims=True)
    assert share.mean(axis=0).min() > 0.045 and share.mean(axis=0).max() < 0.095


def test_a_rise_by_a_few_weights_is_no_fault() -> None:
    """Each density starts from the dense network: counts of some layers rise, and it is said."""
    rises = {n: np.diff(published_flow(n).kept, axis=1).max() for n in published_flow_names()}
    assert max(rises.values()) > 0
    for name, rise in rises.items():
        assert any("not nested" in note for note in published_flow(name).counts().notes), (
            name,
            rise,
        )


@pytest.mark.parametrize("by", ["layer", "block", "stage"])
def test_groupings_add_up(by: str) -> None:
    flow = published_flow(NAME + "grasp")
    counts = flow.counts(by)
    assert counts.kept.sum(axis=-1).tolist() == flow.kept.sum(axis=-1).tolist()
    assert counts.total.sum() == sum(x.total for x in flow.layers)
    assert len(counts.names) == {"layer": 14, "block": 14, "stage": 6}[by]


def test_what_the_source_does_not_tell_is_assumed() -> None:
    assumed = published_flow(NAME + "magnitude").counts().assumed
    assert {"lr", "epochs", "batch_size"} <= set(assumed)
    assert not {"init", "fan", "pruner", "scope", "task", "architecture"} & set(assumed)


def test_a_name_may_be_shortened_and_is_of_one_kind() -> None:
    assert published_flow("tanaka2020-vgg16-cifar100-sy").name == NAME + "synflow"
    with pytest.raises(UsageError, match="begins 2 published names"):
        published_flow("tanaka2020-vgg16-cifar100-s")
    with pytest.raises(UsageError, match="a published flow, not a printed spectrum"):
        published(NAME + "snip")
    with pytest.raises(UsageError, match="a published flow: rgtool ls --published"):
        published_curve(NAME + "snip")
    with pytest.raises(UsageError, match="a printed spectrum: rgtool ls --published"):
        published_flow("resnet20-cifar10")


def test_a_flow_is_taken_where_an_experiment_is(tmp_path: Path, nowhere: Store) -> None:
    names = [NAME + pruner for pruner in ("magnitude", "synflow", "random")]
    classes = rgtool.classify(nowhere, names, grouping="stage")
    assert classes.experiments == tuple(names)
    assert rgtool.plot([published_flow(n).counts("stage") for n in names], "flow").axes
    gamma = rgtool.gamma(nowhere, NAME + "synflow")
    assert "cifar100" in gamma.title
    # One run of the three has no weight left at the last density: that is no level of it.
    assert published_flow(NAME + "synflow").counts().recorded[:, 24].tolist() == [True, True, False]


def test_the_command_line_shows_flows(cli: Cli) -> None:
    rows = json.loads(cli("show", NAME + "synflow", "--json").out)
    assert [row["level"] for row in rows] == list(range(25)) and rows[0]["density"] == 1
    listed = json.loads(cli("ls", "--published", "--json").out)
    flows = [row for row in listed if row["kind"] == "flow"]
    assert [row["experiment"] for row in flows] == list(published_flow_names())
    wanted = (NAME + "magnitude", "--by", "stage", "--window", "1:7")
    spectrum = json.loads(cli("eigen", *wanted, "--json").out)
    assert {row["against_null"] for row in spectrum} == {"none"}


def test_the_view_holds_the_counts(nowhere: Store) -> None:
    found = nowhere.sql(
        "SELECT pruner, sum(list_sum(kept))::BIGINT FROM published_flows "
        "WHERE level = 4 AND seed = 1 GROUP BY ALL ORDER BY ALL"
    )
    assert dict(found.rows) == {
        n.rpartition("-")[2]: int(published_flow(n).kept[0, 4].sum())
        for n in published_flow_names()
    }


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5))
def test_counts_are_read_as_they_are_written(tmp_path_factory, kept: list[int]) -> None:
    path = tmp_path_factory.mktemp("flows") / "f.csv"
    column = next(c for c in PUBLISHED["published_flows"] if c.name == "kept")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["kept"], [" ".join(map(str, kept))]])
    assert read_figures(path, (column,)) == ((tuple(kept),),)


def test_counts_are_those_of_the_source() -> None:
    for name in published_flow_names():
        flow = published_flow(name)
        assert flow.kept.shape == (3, 25, 14)
        digest = hashlib.sha256(flow.kept.astype("<i8").tobytes()).hexdigest()[:16]
        assert (int(flow.kept.sum()), digest) == SOURCE[flow.recipe.pruner]
