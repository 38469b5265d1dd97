"""Every hostile case there is: `CASES`, in an order that stays."""

from __future__ import annotations

from hostile_bombs import bomb_cases
from hostile_case import Case
from hostile_files import file_cases
from hostile_pickles import pickle_cases
from hostile_tables import table_cases
from hostile_values import value_cases

CASES: tuple[Case, ...] = (
    *pickle_cases(),
    *bomb_cases(),
    *file_cases(),
    *value_cases(),
    *table_cases(),
)
MECHANISMS: tuple[str, ...] = tuple(dict.fromkeys(case.mechanism for case in CASES))
