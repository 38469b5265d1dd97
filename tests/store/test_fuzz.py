"""Valid files damaged at random, equal cases every time: short for `benchmarks.robustness.fuzz`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz_files import FAULTS, MUTATIONS, Case, Trials
from stores import data_of

SEED, CASES = 7, 105
IN_WORDS = ("silent", "unnamed")  # faults of what is said; the others are of the process


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    with Trials(tmp_path_factory.mktemp("fuzz"), SEED) as trials:
        assert all(answer.codes == (0, 0) for answer, _ in trials.expected.values())
        assert all(len(answer.rows(1)) > 30 for answer, _ in trials.expected.values())
        before = data_of(trials.root / "store")
        found = [trials.case(number) for number in range(CASES)]
        assert data_of(trials.root / "store") == before  # every case begins with valid files
    return found


def test_damaged_files_neither_end_nor_hold_nor_change_anything(cases: list[Case]) -> None:
    of_the_process = set(FAULTS) - set(IN_WORDS)
    assert [case for case in cases if of_the_process & set(case.faults)] == []


def test_damaged_files_are_named_and_give_no_other_numbers(cases: list[Case]) -> None:
    assert [case for case in cases if set(IN_WORDS) & set(case.faults)] == []


def test_every_kind_of_file_and_of_damage_is_tried(cases: list[Case]) -> None:
    assert {case.mutation for case in cases} == set(MUTATIONS)
    assert len({case.target.name for case in cases}) > 18


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_damages_and_follows_from_its_generator(name: str) -> None:
    data, other = bytes(range(200)) + b'{"level": 12, "seed": 3}', b"quite another file" * 20
    results = [MUTATIONS[name](data, random.Random(seed), other) for seed in range(40)]
    assert results == [MUTATIONS[name](data, random.Random(seed), other) for seed in range(40)]
    assert sum(result != data for result in results) > 30
    assert MUTATIONS[name](b"x", random.Random(0), b"y") is not None


def test_a_case_can_be_tried_again_alone(cases: list[Case], tmp_path: Path) -> None:
    with Trials(tmp_path, SEED) as trials:
        for number in (0, 4):
            again = trials.case(number)
            assert (again.mutation, again.faults) == (cases[number].mutation, cases[number].faults)
