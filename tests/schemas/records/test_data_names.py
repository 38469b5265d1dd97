"""Names of data sets that are made of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgtool.schemas.errors import UsageError
from rgtool.schemas.records.data_names import (
    CUTOFF,
    KINDS,
    Wrapper,
    innermost,
    unwrapped,
    wrapped_name,
    wraps,
)

SEEDS = st.integers(0, 2**63 - 1)
CUTOFFS = st.integers(10_000, 99_999_999).map(lambda n: n // 10_000 if n % 10_000 == 0 else n / 1e4)
INNER = st.sampled_from(["digits", "npz:a:b.npz", "npz:permuted:x:1", "my.py:load", "npz:C:\\x:2"])


@st.composite
def wrappers(draw: st.DrawFn) -> tuple[Wrapper, ...]:
    """Some of the kinds in their order, each with a number."""
    kinds = [kind for kind in KINDS if draw(st.booleans())]
    return tuple(Wrapper(k, draw(CUTOFFS if KINDS[k] == CUTOFF else SEEDS)) for k in kinds)


@given(INNER, wrappers())
def test_a_name_is_taken_apart_as_it_was_put_together(
    inner: str, around: tuple[Wrapper, ...]
) -> None:
    name = wrapped_name(inner, around)
    assert unwrapped(name) == (inner, around)
    assert innermost(name) == inner
    assert wraps(name) == bool(around)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Permuted:Digits:007", "permuted:Digits:7"),
        ("LOW-PASS:digits:3.50", "low-pass:digits:3.5"),
        ("low-pass:digits:03.0", "low-pass:digits:3"),
        ("NOISE:npz:/A/B.npz:0", "noise:npz:/A/B.npz:0"),
        ("permuted:Low-Pass:digits:2:1", "permuted:low-pass:digits:2:1"),
    ],
)
def test_there_is_one_spelling(text: str, name: str) -> None:
    assert wrapped_name(*unwrapped(text)) == name


@pytest.mark.parametrize(
    "text", ["digits", "npz:permuted:digits:1", "permuted", "my.py:noise", "", ":", "noises:x:1"]
)
def test_other_names_are_left_alone(text: str) -> None:
    assert unwrapped(text) == (text, ())
    assert not wraps(text)


SEED_IS = "is not a seed, a whole number from 0 to 2^63 - 1, as permuted:digits:0"
CUTOFF_IS = "is not a cutoff in cycles an image, from 1 on, as low-pass:digits:2"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("permuted:digits", f"'digits' {SEED_IS}"),
        ("permuted:digits:", f"'' {SEED_IS}"),
        ("permuted:digits:-1", f"'-1' {SEED_IS}"),
        ("permuted:digits: 1", f"' 1' {SEED_IS}"),
        ("permuted:digits:1.0", f"'1.0' {SEED_IS}"),
        ("permuted:digits:1_0", f"'1_0' {SEED_IS}"),
        ("permuted:digits:\u0661", f"'\u0661' {SEED_IS}"),
        (f"permuted:digits:{2**63}", SEED_IS),
        (f"permuted:digits:{'9' * 5000}", SEED_IS),
        ("low-pass:digits:0.99", f"'0.99' {CUTOFF_IS}"),
        ("low-pass:digits:0", f"'0' {CUTOFF_IS}"),
        ("low-pass:digits:nan", f"'nan' {CUTOFF_IS}"),
        ("low-pass:digits:1e3", f"'1e3' {CUTOFF_IS}"),
        ("low-pass:digits:.5", f"'.5' {CUTOFF_IS}"),
        ("permuted:7", "names none inside: write permuted:DATASET:SEED"),
        ("low-pass::7", "names none inside: write low-pass:DATASET:CUTOFF"),
        ("permuted:noise:3:1", "'noise:3' names none inside: write noise:DATASET:SEED"),
        ("permuted:permuted:digits:1:2", "permuted stands there twice: once is all it can do"),
        ("noise:permuted:noise:digits:1:2:3", "noise stands there twice"),
        (
            "random-labels:permuted:digits:1:2",
            "the order is another, write permuted:random-labels:digits:2:1",
        ),
        ("low-pass:permuted:digits:1:3", "write permuted:low-pass:digits:3:1"),
        ("noise:LOW-PASS:digits:3:1", "write low-pass:noise:digits:1:3"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        unwrapped(text)
    assert told in str(refused.value)
    assert len(refused.value.lines) == 1
    assert innermost(text) == text
