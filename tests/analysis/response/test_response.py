"""What responses show of flows whose operator is known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from perturbed import perturbed

from rgtool import RgtoolError
from rgtool.analysis.response.estimate import measure_response
from rgtool.analysis.response.operator import contrasts
from rgtool.analysis.response.response import Response
from rgtool.schemas.errors import UsageError
from rgtool.store.counts import Counts

FLAT = (0.0,) * 5
MIXED = np.array([
    [0.9, 0.1, 0.0, 0.0, 0.0],
    [0.0, 0.6, 0.2, 0.0, 0.0],
    [0.1, 0.0, 0.3, 0.0, 0.0],
    [0.0, 0.0, 0.1, 0.1, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.5],
])  # fmt: skip


def true_operator(operator: np.ndarray, open_: np.ndarray) -> np.ndarray:
    """What log counts that are carried by a matrix make of contrasts, where they sum to nothing."""
    basis = contrasts(int(open_.sum()))
    return basis.T @ operator[np.ix_(open_, open_)] @ basis


def test_constant_growth_is_the_identity() -> None:
    found = measure_response(None, perturbed(FLAT, noise=0.002))
    assert found.p_identity > 0.01
    assert found.mean.value == pytest.approx(1.0, abs=0.02)
    assert set(found.to_frame()["verdict"]) == {"marginal"}
    assert any("J = 1" in note and "is not rejected" in note for note in found.notes)
    assert any("is another thing" in note for note in found.notes)
    np.testing.assert_allclose(
        found.matrix.to_frame()["value"], found.matrix.to_frame()["stays"], atol=0.02
    )


def test_everything_that_fades_is_irrelevant() -> None:
    found = measure_response(None, perturbed(FLAT, 0.5 * np.eye(5), noise=0.002))
    frame = found.to_frame()
    assert set(frame["verdict"]) == {"irrelevant"} and found.p_identity < 0.01
    np.testing.assert_allclose(frame["eigenvalue"], 0.5, atol=0.02)
    base = found.rescaling
    assert base == pytest.approx(2 * math.log(1 / 0.8), rel=0.01)
    np.testing.assert_allclose(frame["scaling"], math.log(0.5) / base, rtol=0.05)
    assert (frame["p_contracts"] < 0.01).all() and (frame["p_one"] < 0.01).all()


def test_what_grows_is_relevant() -> None:
    found = measure_response(None, perturbed(FLAT, 1.4 * np.eye(5), noise=0.002))
    assert set(found.to_frame()["verdict"]) == {"relevant"}
    assert (found.to_frame()["scaling"] > 0).all()


def test_the_operator_and_its_directions_are_found() -> None:
    what = perturbed(FLAT, MIXED, noise=0.0005, factor=0.98)
    found = measure_response(None, what)
    base = what.unperturbed
    assert isinstance(base, Counts)
    true = true_operator(MIXED, ~base.exempt)
    values = np.sort(np.linalg.eigvals(true).real)[::-1]
    frame = found.to_frame()
    np.testing.assert_allclose(np.sort(frame["real"].to_numpy())[::-1], values, atol=0.15)
    directions = found.directions
    for number in directions.numbers:
        loading = directions.by_seed[:, directions.numbers.index(number)].mean(axis=0)
        assert np.linalg.norm(loading) == pytest.approx(1.0, abs=0.05)
        assert loading.sum() == pytest.approx(0.0, abs=1e-9)
        assert loading[np.abs(loading).argmax()] > 0
    alone = frame.filter(frame["direction"] != "")
    assert directions.numbers and [*directions.numbers] == alone["number"].to_list()
    shown = directions.to_frame()
    assert len(shown) == len(directions.numbers) * len(found.names)
    assert shown["low"].null_count() == 0


def test_a_direction_of_one_group_is_aligned_with_it() -> None:
    """Of which the deviation against all others is carried by itself, and all else fades."""
    one = np.zeros((5, 5))
    what = perturbed(FLAT, one, noise=0.001)
    base = what.unperturbed
    assert isinstance(base, Counts)
    place = base.names.index("2")
    one[place, place] = 1.0
    found = measure_response(None, perturbed(FLAT, one, noise=0.0005, factor=0.9))
    first = found.to_frame().row(0, named=True)
    assert first["direction"].startswith("+") and first["direction"].split()[1] == "2"
    assert first["alignment"] > 0.95


def test_runs_that_go_up_and_down_unequally_are_told() -> None:
    what = perturbed(FLAT, noise=0.001)
    gone = {
        key: dataclasses.replace(one, kept=_back(one, what)) if key[1] == "thicker" else one
        for key, one in what.children.items()
        if isinstance(one, Counts)
    }
    found = measure_response(None, dataclasses.replace(what, children=gone))
    apart = found.asymmetry
    assert apart is not None and apart.high < -0.5
    assert any("not one linear operator" in note for note in found.notes)
    alike = measure_response(None, what).asymmetry
    assert alike is not None and alike.low < 0.05


def _back(one: Counts, what: object) -> np.ndarray:
    """Counts whose deviation has faded at the last level."""
    kept = one.kept.copy()
    base = what.unperturbed  # type: ignore[attr-defined]
    kept[:, -1] = base.kept[:, -1]
    return np.asarray(kept)


def test_one_sided_groups_still_tell_an_operator() -> None:
    what = perturbed(FLAT, 0.5 * np.eye(5), noise=0.001, refused=[("1", "thicker")])
    found = measure_response(None, what)
    assert found.asymmetry is None
    np.testing.assert_allclose(found.to_frame()["eigenvalue"], 0.5, atol=0.02)


def test_a_group_that_cannot_be_perturbed_is_no_part_of_the_shares() -> None:
    refused = [("1", "thicker"), ("1", "thinner")]
    what = perturbed(FLAT, 0.5 * np.eye(5), noise=0.001, refused=refused)
    found = measure_response(None, what)
    assert "1" not in found.names and found.operator.shape[-1] == len(found.names) - 1
    assert any("without 1" in note for note in found.notes)


def emptied(what: object, group: str, left: int) -> object:
    """The same with a group that keeps next to nothing at the last level."""

    def few(one: Counts) -> Counts:
        kept = one.kept.copy()
        kept[:, -1, one.names.index(group)] = left
        return dataclasses.replace(one, kept=kept)

    return dataclasses.replace(
        what,  # type: ignore[type-var]
        unperturbed=few(what.unperturbed),  # type: ignore[attr-defined]
        children={key: few(one) for key, one in what.children.items()},  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("left", [0, 3])
def test_a_group_that_is_all_but_empty_is_left_out(left: int) -> None:
    what = emptied(perturbed(FLAT, 0.5 * np.eye(5), noise=0.001), "3", left)
    found = measure_response(None, what)  # type: ignore[arg-type]
    assert "3" not in found.names
    assert any("3 keeps too few weights" in note for note in found.notes)
    np.testing.assert_allclose(found.to_frame()["eigenvalue"], 0.5, atol=0.02)


def test_a_group_that_is_empty_in_one_run_is_left_out() -> None:
    what = perturbed(FLAT, 0.5 * np.eye(5), noise=0.001)
    key = ("2", "thinner")
    child = what.children[key]  # type: ignore[index]
    assert isinstance(child, Counts)
    kept = child.kept.copy()
    kept[0, -1, child.names.index("3")] = 0
    one = dataclasses.replace(child, kept=kept)
    found = measure_response(None, dataclasses.replace(what, children={**what.children, key: one}))  # type: ignore[dict-item]
    assert "3" not in found.names


def test_one_group_has_no_operator() -> None:
    refused = [(n, s) for n in ("2", "3", "stem", "head") for s in ("thinner", "thicker")]
    with pytest.raises(RgtoolError, match="an operator needs two groups"):
        measure_response(None, perturbed(FLAT, refused=refused))  # type: ignore[arg-type]


def test_two_groups_have_one_eigenvalue() -> None:
    refused = [(n, s) for n in ("3", "stem", "head") for s in ("thinner", "thicker")]
    what = perturbed(FLAT, 0.5 * np.eye(5), noise=0.001, refused=refused)  # type: ignore[arg-type]
    found = measure_response(None, what)
    assert len(found.to_frame()) == 1
    row = found.to_frame().row(0, named=True)
    assert row["eigenvalue"] == pytest.approx(0.5, abs=0.02)
    assert row["alignment"] is None and row["direction"] == "+0.71 1 -0.71 2"


def test_one_seed_has_no_interval() -> None:
    found = measure_response(None, perturbed(FLAT, seeds=1, noise=0.01))
    frame = found.to_frame()
    assert frame["low"].null_count() == len(frame) and set(frame["verdict"]) == {""}
    assert math.isnan(found.p_identity) and frame["p_one"].null_count() == len(frame)
    assert any("one seed has no interval" in note for note in found.notes)
    assert found.notes[0].startswith("mean of all eigenvalues +1.0") and not found.is_certain
    assert "of a network whose weights stand still +0." in found.notes[0]


def test_seeds_that_all_show_the_same_are_no_chance() -> None:
    """As where nothing is drawn: no interval, and yet it is said what came, and beside what."""
    found = measure_response(None, perturbed(FLAT, 0.5 * np.eye(5), noise=0.0))
    assert found.is_certain and found.to_frame()["p_one"].null_count() == len(found.to_frame())
    assert found.notes[0].startswith("all seeds show the same, so that there is no chance in it")
    assert "eigenvalues +0.50, of a network whose weights stand still +0." in found.notes[0]


def test_weights_that_go_next_are_told() -> None:
    what = dataclasses.replace(perturbed(FLAT, noise=0.01), choice="next")
    assert any("before their time" in note for note in measure_response(None, what).notes)
    assert not any(
        "before their time" in note for note in measure_response(None, perturbed(FLAT)).notes
    )


def test_what_cannot_be_asked_for_is_refused() -> None:
    what = perturbed(FLAT)
    with pytest.raises(UsageError, match="margin"):
        measure_response(None, what, margin=0.0)
    with pytest.raises(UsageError, match="coordinates"):
        measure_response(None, what, coordinates="shape")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="take --by layer"):
        measure_response(None, what, coordinates="scale")


def test_clusters_share_a_row_and_warn() -> None:
    found = measure_response(None, perturbed(FLAT, noise=0.02))
    frame = found.to_frame()
    assert frame["cluster"].n_unique() < len(frame)
    assert any("within their errors of each other" in note for note in found.notes)
    assert not found.directions.numbers or len(frame) > len(found.directions.numbers)
    alone = frame["cluster"].value_counts().filter(count=1)["cluster"].to_list()
    assert all((row["direction"] == "") != (row["cluster"] in alone) for row in frame.to_dicts())


def test_a_figure_has_the_plane_and_the_operator() -> None:
    found: Response = measure_response(None, perturbed(FLAT, MIXED, noise=0.002))
    plane, heat = found.plot().axes
    assert plane.get_xlabel() == "real part"
    shown = [float(text.get_text().replace("\N{MINUS SIGN}", "-")) for text in heat.texts]
    apart = found.matrix.to_frame()["value"] - found.matrix.to_frame()["stays"]
    np.testing.assert_allclose(shown, apart, atol=0.006)
