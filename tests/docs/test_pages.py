"""The pages that are generated from tables in the code."""

import pytest

from docs.build import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), "run python docs/build.py"
