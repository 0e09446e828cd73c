"""`run` and `demo`: they don't start where nothing could be saved."""

from pathlib import Path

import pytest

from exporter.commands.serving import serve
from exporter.config import load
from exporter.errors import StateError


def test_a_state_directory_that_can_not_be_written_is_an_error_with_its_remedy(config_file: Path) -> None:
    state = config_file.parent / "state"
    state.touch()
    with pytest.raises(StateError, match=f"can't write {state}") as raised:
        serve(load(config_file), file=config_file, listen=list, lifecycle=False)
    assert raised.value.remedy.startswith("state_dir must be a directory that this user can write to")
