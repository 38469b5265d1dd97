"""Perturbations as values: one spelling each, and what they are held to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgtool.schemas.blocks import GROUPINGS, architecture
from rgtool.schemas.errors import UsageError
from rgtool.schemas.tickets.perturbation import Perturbation

NAMES = st.text("abc.:_-0123 ", min_size=1)
FACTORS = st.floats(1e-6, 1e6).filter(lambda factor: factor != 1)


@given(st.sampled_from(GROUPINGS), NAMES, FACTORS, st.sampled_from(["next", "random"]))
def test_what_is_printed_is_read_back(by: str, name: str, factor: float, choice: str) -> None:
    one = Perturbation(by, name, factor, choice)  # type: ignore[arg-type]
    assert Perturbation.read(str(one)) == one


@pytest.mark.parametrize(
    "text",
    ["perturb:block=1.0:0.8", "PERTURB:Block=1.0:.80:Next", "perturb:BLOCK=1.0:8e-1:next"],
)
def test_one_perturbation_has_one_spelling(text: str) -> None:
    assert str(Perturbation.read(text)) == "perturb:block=1.0:0.8"


def test_factors_are_printed_short() -> None:
    assert str(Perturbation("stage", "2", 2.0, "random")) == "perturb:stage=2:2:random"
    assert str(Perturbation("layer", "fc", 1.25)) == "perturb:layer=fc:1.25"


@pytest.mark.parametrize("text", ["0:0;1:1", "pixels:3", "perturbed:block=1:2", ""])
def test_other_transformations_are_none(text: str) -> None:
    assert Perturbation.read(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("perturb:", "expected a grouping, a group and a factor, as perturb:block=1.0:0.8"),
        ("perturb:block=1.0", "expected a grouping, a group and a factor"),
        ("perturb:block=:0.8", "expected a grouping, a group and a factor"),
        ("perturb:block=1.0:half", "'half' is no factor"),
        ("perturb:block=1.0:", "'' is no factor"),
        ("perturb:block=1.0:0.8:all", "choice 'all' is unknown: choose from next, random"),
        ("perturb:blocks=1.0:0.8", "grouping 'blocks' is unknown: did you mean block?"),
        ("perturb:block=1.0:1", "the factor is 1: a number above 0 is needed that is not 1"),
        ("perturb:block=1.0:0", "the factor is 0: a number above 0"),
        ("perturb:block=1.0:-2", "the factor is -2: a number above 0"),
        ("perturb:block=1.0:nan", "the factor is nan: a number above 0"),
        ("perturb:block=1.0:inf", "the factor is inf: a number above 0"),
    ],
)
def test_other_texts_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        Perturbation.read(text)
    assert said in str(refused.value) and len(refused.value.lines) == 1


def test_a_group_is_held_to_the_network() -> None:
    network = architecture("resnet8w4")
    found = Perturbation("block", "STEM", 0.8).resolve(network.name, network.layers)
    assert found == Perturbation("block", "stem", 0.8)
    assert [layer.name for layer in network.layers if found.holds(layer)] == ["conv1"]
    with pytest.raises(UsageError, match=r"block '9\.0' is unknown"):
        Perturbation("block", "9.0", 0.8).resolve(network.name, network.layers)
    plain = architecture("lenet")
    with pytest.raises(UsageError, match="lenet has no grouping by stage"):
        Perturbation("stage", "1", 0.8).resolve(plain.name, plain.layers)
