"""The page that the matrix is written down on."""

from tests.reliability.faults import MATRIX, SECTIONS
from tests.reliability.page import reliability_page
from tests.reliability.settings import SETTINGS


def test_every_row_is_a_row_of_a_well_formed_table() -> None:
    tables = reliability_page().partition(f"## {SECTIONS[0].title}")[2]
    lines = [line for line in tables.splitlines() if line.startswith("|")]
    assert len(lines) == len(MATRIX) + 2 * len(SECTIONS)
    assert len({line.count("|") for line in lines}) == 1


def test_every_row_has_its_own_name_and_a_setting_that_exists() -> None:
    assert len({row.name for row in MATRIX}) == len(MATRIX)
    assert {row.setting for row in MATRIX} == SETTINGS.keys()


def test_the_matrix_is_as_long_as_it_is_meant_to_be() -> None:
    assert len(MATRIX) >= 45
