"""Every claim of the paper against its numbers: what is found, and on what grounds."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import CLONE

import rgtool
from rgtool.analysis.paper.checks import CHECKS
from rgtool.analysis.paper.claim import CLAIM_VERDICTS, decided, in_words
from rgtool.analysis.paper.elastic import tally, transformed
from rgtool.analysis.paper.flow import growth_of_rest
from rgtool.analysis.paper.null import correlation, untrained_of
from rgtool.analysis.paper.printed import (
    certain,
    corners,
    dense_share,
    gaps,
    replicator,
    signs_of,
    std_half,
    weighted_power,
    with_sign,
)
from rgtool.analysis.paper.statements import Statement, common_words, statements
from rgtool.analysis.paper.verify import Verification, checked
from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import UsageError
from rgtool.store import published, published_names

TASKS = ("imagenet", "cifar10", "cifar100")
SIMCLR = [published(f"resnet50-simclr-{task}") for task in TASKS]


@pytest.fixture(scope="module")
def found() -> Verification:
    return rgtool.verify()


# The claims


def test_every_claim_says_what_where_and_why(found: Verification) -> None:
    assert len(found.claims) == len({claim.id for claim in found.claims}) == 80
    for claim in found.claims:
        assert re.search(r"(Tables?|Figs?\.|Secs?\.|Eqs?\.|Apps?\.) ?\w", claim.source), claim.id
        assert all(str(value).strip() for value in dataclasses.astuple(claim)), claim.id
        assert claim.verdict in CLAIM_VERDICTS
        assert re.search(r"\d", claim.printed) and re.search(r"\d", claim.checked), claim.id
        if claim.kind == "not checkable":
            assert claim.verdict == "cannot be checked"


def test_every_table_and_section_is_met(found: Verification) -> None:
    sources = " ".join(claim.source for claim in found.claims)
    for place in (
        *(f"Table {n}" for n in range(2, 10)),
        "Fig. 2",
        "Sec. 3.1",
        "Sec. 3.2",
        "Eq. 14",
    ):
        if place not in ("Table 7", "Table 8"):
            assert place in sources
    assert "Tables 7, 8" in sources


def test_verdicts_by_name(found: Verification) -> None:
    """Golden: a verdict that changes is a change of what rgtool says of the paper."""
    by_verdict = {v: {c.id for c in found.claims if c.verdict == v} for v in CLAIM_VERDICTS}
    assert by_verdict["contradiction inside the paper"] == {
        "eq6-index",
        "two-power-laws",
        "fig2-density",
        "flow-dimension",
        "constant-eigenvalue",
    }
    assert by_verdict["disagrees"] == {
        "eq14-two-signs",
        "resnet50-blocks",
        "first-step",
        "one-step-imagenet",
        "relevant-set-simclr",
        "relevant-set-supervised",
        "criterion-table5",
        "vgg-window",
        "transfer-criterion",
        "simclr-transfers-best",
        "resnet14-singled-out",
    }
    assert by_verdict["remark of rgtool"] == {f"drift-{task}" for task in TASKS}
    assert {c.id for c in found.contradictions} == by_verdict["contradiction inside the paper"]
    assert found.counts == {v: len(ids) for v, ids in by_verdict.items()}
    assert list(found.counts.values()) == [42, 11, 5, 19, 3]


def test_numbers_by_name(found: Verification) -> None:
    """Golden: what is found in printed numbers; the two claims of double precision apart."""
    golden = json.loads(Path(__file__).with_name("verify_golden.json").read_text())
    numbers = {c.id: [c.printed, c.checked, c.tolerance] for c in found.claims}
    apart = {"eq14-forms", "eq14-two-signs"}
    assert numbers.keys() == golden.keys() | apart
    for name, expected in golden.items():
        assert numbers[name] == expected, name


def test_remarks_are_no_claims_of_the_paper(found: Verification) -> None:
    assert [remark.id for remark in found.remarks] == [f"drift-{task}" for task in TASKS]
    assert found.title.startswith("77 claims of Redman et al. 2021")
    assert found.title.endswith("and 3 remarks of rgtool")
    assert "disagrees: 11;" in found.notes[0]


# The file


def test_every_check_is_used_and_every_claim_has_one_or_a_verdict() -> None:
    every = list(statements())
    assert {one.check for one in every if one.check} == set(CHECKS)
    for one in every:
        assert one.check or one.verdict, one.id
        assert one.kind != "not checkable" or one.verdict == "cannot be checked", one.id
        assert {one.otherwise, one.verdict or one.otherwise} <= set(CLAIM_VERDICTS), one.id
    assert len({one.id for one in every}) < len(every) == 80  # one-step-{task} is said of three


def test_a_name_in_a_text_means_one_thing() -> None:
    """What a check finds must not hide a parameter, nor a parameter a phrase."""
    phrases = set(common_words())
    for one in statements():
        spectra = [published(name) for name in one.spectra]
        arguments = [spectra] if spectra else []
        values = CHECKS[one.check](*arguments, **one.given).values if one.check else {}
        assert not set(values) & set(one.given), one.id
        assert not phrases & (set(values) | set(one.given)), one.id


def test_claims_of_all_spectra_and_of_a_set_in_turn() -> None:
    every = list(statements())
    beside = [one.spectra for one in every if one.check == "beside_untrained"]
    assert [f"published:{name}" for (name,) in beside] == list(published_names())
    of_tasks = [(one.id, one.spectra) for one in every if one.id.endswith("-{task}")]
    assert [spectra for _, spectra in of_tasks] == [
        (f"resnet50-simclr-{task}",) for task in TASKS for _ in range(4)
    ]
    assert [name for name, _ in of_tasks[:4]] == [name for name, _ in of_tasks[4:8]]


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"check": "dimension", "given": {"dimensions": 3}}, "agrees"),
        ({"check": "dimension", "given": {"dimensions": 4}}, "disagrees"),
        (
            {
                "check": "dimension",
                "given": {"dimensions": 4},
                "otherwise": "contradiction inside the paper",
            },
            "contradiction inside the paper",
        ),
        ({"check": "dimension", "given": {"dimensions": 4}, "remark": True}, "remark of rgtool"),
        ({"verdict": "cannot be checked"}, "cannot be checked"),
    ],
)
def test_a_claim_of_ones_own(said: dict[str, Any], verdict: str) -> None:
    texts = dict.fromkeys(("source", "claim", "printed", "tolerance"), "here")
    why = {"agrees": "it does", "disagrees": "it does not", "cannot be checked": "who knows"}
    statement = Statement(
        id="{task}",
        checked="{eigenvalue:.1f}",
        why=why if "otherwise" not in said and "remark" not in said else "as {task} shows",
        spectra=("resnet50-simclr-imagenet", "resnet50-simclr-cifar10"),
        **texts,
        **said,
    )
    claim = checked(statement)
    assert (claim.id, claim.checked) == ("imagenet", "1.1 1.1 1.0 0.9; 1.1 1.1 1.0 1.0")
    assert (claim.verdict, claim.why) == (verdict, why.get(verdict, "as imagenet shows"))


DENSE = [dataclasses.replace(s, share_start=dense_share(s)) for s in SIMCLR]
RISING = [dataclasses.replace(s, eigenvalue=s.eigenvalue[::-1], std=s.std[::-1]) for s in SIMCLR]
LATE = [dataclasses.replace(s, eigenvalue=np.array([1.1, 1.1, 1.0, 1.1])) for s in SIMCLR]
UNLIKE = [dataclasses.replace(s, share_start=s.share_start + 0.001) for s in SIMCLR]
SMALL = [published(f"resnet{depth}-cifar10") for depth in (14, 56)]
MARGINS = (0.01, 0.02)
PAIR = ("32>56 B12 inter", "32>56 B1x5")
STRETCH = {"source": 32, "target": 56, "maps": ["32>56 B1x5"], "margins": MARGINS}
SQUEEZES = {"source": 56, "target": 32, "prefix": "56>32 keep", "margins": [0.02]}


@pytest.mark.parametrize(
    ("check", "arguments", "holds"),
    [
        ("start_sums", {"spectra": UNLIKE}, False),
        ("start_levels", {"spectra": [*SIMCLR[:2], DENSE[2]]}, False),
        ("start_tasks", {"spectra": [SIMCLR[0], SIMCLR[0]]}, False),
        ("first_step", {"spectra": DENSE}, False),
        ("leading_signs", {"spectra": RISING}, False),
        ("leading_signs", {"spectra": LATE}, False),
        ("relevant_sets", {"spectra": [SIMCLR[1], SIMCLR[2]]}, True),
        ("equal_exponents", {"spectra": [SIMCLR[1], SIMCLR[1]]}, True),
        ("tasks_differ", {"spectra": [SIMCLR[1], SIMCLR[1]]}, False),
        ("mostly_below", {"spectra": [published("vgg16-cifar10")], "limit": 0.03}, False),
        ("all_signs", {"spectra": [published("bert-base-mlm")]}, False),
        ("all_marginal", {"spectra": [published("vgg16-cifar10")]}, False),
        ("both_sides", {"spectra": SMALL[:1]}, True),
        ("both_sides", {"spectra": [published("resnet50-simclr-imagenet"), *LATE]}, True),
        ("upper_bound", {"spectra": SMALL, "keep": 0.95, "keeps": {}}, False),
        ("upper_bound", {"spectra": SMALL, "keep": 0.95, "keeps": {"resnet56": 0.8}}, False),
        ("upper_bound", {"spectra": SMALL[1:], "keep": 0.95, "keeps": {"resnet56": 0.8}}, True),
        ("room_for_the_rest", {"spectra": SMALL, "steps": 16, "keep": 0.95}, False),
        ("residual_blocks", {"architecture": "resnet50", "count": 16}, True),
        ("only_relevant", {"small": [14], "large": [32]}, True),
        ("only_relevant", {"small": [14], "large": [20]}, False),
        ("only_relevant", {"small": [32], "large": [44]}, False),
        ("not_all_relevant", {"depths": [14], "margins": MARGINS}, False),
        ("mismatch_foretells", {"pairs": [PAIR], "margins": [0.01]}, True),
        ("only_one_exceeds", SQUEEZES | {"one": "5678"}, True),
        ("only_one_exceeds", SQUEEZES | {"one": "1357"}, False),
        ("relevant_made", STRETCH | {"than_target": "more"}, False),
        ("signs_of_later_stages", {"margin": 0.005}, False),
        ("weakest_source", {"worst": "resnet20", "other": "resnet14", "target": "resnet32"}, False),
        ("transfers", {"pretraining": "simclr", "tasks": ["cifar10"]}, True),
        ("best_source", {"pretrainings": ["supervised", "simclr", "moco"], "best": "moco"}, True),
    ],
)
def test_a_check_can_find_otherwise(check: str, arguments: dict[str, Any], holds: bool) -> None:
    assert CHECKS[check](**arguments).holds is holds


def test_the_sign_that_rounding_leaves_open() -> None:
    spectrum = dataclasses.replace(
        SIMCLR[0],
        eigenvalue=np.array([1.05, 1.01, 0.99, 0.9]),
        std=np.array([0.01, 0.01, 0.01, 0.01]),
    )
    assert with_sign(spectrum, "relevant") == ({"1", "2"}, {"1"})
    assert with_sign(spectrum, "marginal") == ({"2", "3"}, set())
    assert with_sign(spectrum, "irrelevant") == ({"3", "4"}, {"4"})


def test_what_is_unknown_decides_where_outcomes_differ() -> None:
    assert decided([True, True]) is True
    assert decided([False]) is False
    assert decided([True, False]) is None


def test_words_around_numbers() -> None:
    values = {"a": np.array([1.005, -2.0]), "t": (np.array([1.0]), np.array([2, 3])), "d": {"x": 1}}
    assert in_words("{a:+.1f} | {t:.0f} | {d[x]}", values) == "+1.0 -2.0 | 1; 2 3 | 1"
    with pytest.raises(KeyError):
        in_words("{missing}", values)


# Single claims


def test_the_caption_of_fig_2_contradicts_itself(found: Verification) -> None:
    assert found.claim("fig2-density").checked.endswith("80.00 2.25 1.80 1.44 %")


@pytest.mark.parametrize(
    ("task", "one", "window"),
    [
        ("imagenet", "0.981 [0.976, 0.986]", "0.992 [0.917, 1.074]"),
        ("cifar10", "0.995 [0.990, 1.000]", "1.002 [0.925, 1.085]"),
        ("cifar100", "0.996 [0.991, 1.001]", "0.967 [0.892, 1.048]"),
    ],
)
def test_sums_over_shares(found: Verification, task: str, one: str, window: str) -> None:
    assert found.claim(f"one-step-{task}").checked == one
    assert found.claim(f"window-{task}").checked == window


def test_the_replicator_flow_returns_table_2(found: Verification) -> None:
    assert found.claim("replicator-mean-imagenet").checked.endswith("1.151 1.091 1.021 0.951")
    drift = {task: found.claim(f"drift-{task}").checked for task in TASKS}
    assert "alone: 0.015 0.014 0.013 0.013," in drift["imagenet"]
    assert "alone: 0.004 0.004 0.004 0.004," in drift["cifar10"]
    assert "alone: 0.001 0.001 0.001 0.001," in drift["cifar100"]
    assert "in 3 of 4 stages: most of it is drift" in found.claim("drift-imagenet").why


def test_the_dense_shares_of_resnet50() -> None:
    spectrum = SIMCLR[0]
    np.testing.assert_array_equal(
        dense_share(spectrum).round(6), [0.009085, 0.051712, 0.301887, 0.637317]
    )
    ratios = [(s.share_start[0] / dense_share(s)[0]).round(2) for s in SIMCLR]
    assert ratios == [0.87, 0.83, 0.77]


def test_nulls_beside_the_tables(found: Verification) -> None:
    resnet50 = found.claim("null-resnet50-simclr-imagenet").checked
    assert "fan_in: null 1.132 1.084 1.026 0.943, correlation 0.995" in resnet50
    assert "fan_out: null 1.120 1.077 1.028 0.948" in resnet50
    vgg = published("vgg16-cifar10")
    both = [correlation(vgg, untrained_of(vgg, fan, (0, 17))) for fan in ("fan_in", "fan_out")]
    assert [f"{r:.2f}" for r in both] == ["0.98", "0.93"]
    bert = published("bert-base-mlm")
    np.testing.assert_allclose(untrained_of(bert, "fan_out", (0, 9), 0.02), 1, rtol=1e-9)
    assert math.isnan(correlation(bert, untrained_of(bert, "fan_in", (0, 9), 0.02)))
    third = untrained_of(published("resnet20-cifar10"), "fan_in", (0, 16))[4:]
    np.testing.assert_array_equal(third.round(3), [0.879, 0.879])


def test_only_networks_without_pretraining_are_told_from_the_null(found: Verification) -> None:
    told = {c.id for c in found.claims if c.id.startswith("null-") and c.verdict == "agrees"}
    depths = {f"null-resnet{d}-cifar10" for d in (14, 20, 32, 44, 56)}
    assert told == depths | {"null-vgg16-cifar10"}


def test_the_signature_of_elastic_tickets() -> None:
    assert tally(0.01, (1, 2, 3)) == (26, 3, 4)
    assert tally(0.01, (1,)) == (13, 14, 6)
    assert tally(0.02, (1,)) == (19, 14, 0)
    np.testing.assert_array_equal(
        transformed(32, "0:0;1:1,3,5;2:2,4,6;3:7;4:8"),
        [0.99, 1.06, 0.99, 1.06, 0.99, 1.06, 1.06, 1.08],
    )


def test_table_5_does_not_start_at_the_dense_network(found: Verification) -> None:
    assert found.claim("vgg-window").checked.startswith("0.907 [0.837, 0.982]")
    assert "5 of 13 are 5 % or more" in found.claim("criterion-table5").checked
    assert "4 are 5 % or more whatever" in found.claim("criterion-table5").tolerance


def test_what_is_left_for_unprinted_blocks_is_a_share() -> None:
    """The oracle: the flow of two groups, printed and unprinted together, keeps its sum."""
    spectrum = published("resnet32-cifar10")
    growth, low, high = growth_of_rest(spectrum, 16)
    share = dense_share(spectrum)
    end = (share * spectrum.eigenvalue**16).sum() + (1 - share.sum()) * growth**16
    assert end == pytest.approx(1)
    assert low < growth < high
    total = sum(layer.total for layer in architecture("resnet32").counted())
    assert (share * total).round().sum() < total


# The arithmetic of printed numbers


def test_rounding_is_propagated_to_the_ends() -> None:
    share, growth = np.array([0.3, 0.7]), np.array([1.05, 0.98])
    value, low, high = weighted_power(share, growth, 3)
    every = [
        ((share + np.array(a) * 5e-5) * (growth + np.array(b) * 0.005) ** 3).sum()
        for a in itertools.product((-1, 1), repeat=2)
        for b in itertools.product((-1, 1), repeat=2)
    ]
    assert value == pytest.approx((share * growth**3).sum())
    assert (low, high) == pytest.approx((min(every), max(every)))
    assert sorted(map(tuple, corners(growth))) == sorted(
        tuple(growth + 0.005 * np.array(s)) for s in itertools.product((-1, 1), repeat=2)
    )


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.8, 1.2)), min_size=2, max_size=6))
def test_a_replicator_keeps_shares(groups: list[tuple[float, float]]) -> None:
    share, strength = np.array(groups).T
    share /= share.sum()
    mean, std = replicator(share, strength, 12)
    one_step, _ = replicator(share, strength, 2)
    assert (share * strength / (share @ strength)).sum() == pytest.approx(1)
    assert mean.shape == std.shape == share.shape
    # Ratios of eigenvalues are those of the strengths at every step.
    np.testing.assert_allclose(mean / mean[0], strength / strength[0], rtol=1e-9)
    np.testing.assert_allclose(
        std / std[0] if std[0] > 1e-9 else 1,
        one_step / one_step[0] if std[0] > 1e-9 else 1,
        rtol=1e-5,
    )


def test_the_rule_is_decimal_not_binary() -> None:
    assert 1.01 - 1 > 0.01
    spectrum = published("resnet50-simclr-cifar10")
    printed = np.array([1.01, 1.02, 0.98, 0.99])
    edges = dataclasses.replace(
        spectrum, eigenvalue=printed, std=np.array([0.01, 0.01, 0.002, 0.01])
    )
    assert signs_of(edges) == ("marginal", "relevant", "irrelevant", "marginal")
    np.testing.assert_array_equal(std_half([0.01, 0.002, 0.05]), [0.005, 0.0005, 0.005])
    values, stds = [1.02, 1.01, 1.0, 0.98], [0.01, 0.01, 0.01, 0.002]
    assert certain(values, stds).tolist() == [True, False, True, True]


def test_gaps_between_spectra_have_room_for_spreads_and_digits() -> None:
    gap, room = gaps(SIMCLR)
    first, _, third = SIMCLR
    assert gap.shape == room.shape == (3, 4)
    np.testing.assert_allclose(gap[1], abs(first.eigenvalue - third.eigenvalue))
    np.testing.assert_allclose(room[1], [0.06, 0.06, 0.04, 0.05], atol=1e-6)


# The result and the command


def test_the_result_shows_itself(found: Verification) -> None:
    frame = found.to_frame()
    assert frame.height == 80
    assert frame.columns == [field.name for field in dataclasses.fields(found.claims[0])]
    assert found.summary().count("\n") == 80 + 1 + len(found.notes)
    assert found._repr_html_().count("<tr>") == 81
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.paper = "x"  # type: ignore[misc]


def test_the_command_reports_and_ends_well(cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = cli("verify", "paper", "--json")
    assert code == 0
    rows = json.loads(out)
    assert len(rows) == 80 and all(row["why"] for row in rows)
    assert "contradiction inside the paper: 5" in err and "remark of rgtool: 3" in err
    marked = [row["id"] for row in rows if row["verdict"] == "remark of rgtool"]
    assert marked == [f"drift-{task}" for task in TASKS]
    code, out, _ = cli("verify", "paper", "--claim", "fig2-density")
    assert (code, "2.25 1.80 1.44" in out) == (0, True)


def test_other_papers_and_claims_are_refused(cli: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = cli("verify", "book")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "no figures of 'book'" in err
    code, _, err = cli("verify", "paper", "--claim", "fig2-densty")
    assert (code, "did you mean fig2-density" in err) == (2, True)
    with pytest.raises(UsageError, match="no claim"):
        rgtool.verify().claim("nonsense")


def test_the_page_has_every_claim_with_its_verdict(found: Verification) -> None:
    page = (CLONE / "docs" / "verify.md").read_text()
    for claim in found.claims:
        assert f"| `{claim.id}` | {claim.source} | {claim.verdict} |" in page, (
            "see docs/generate.py"
        )
