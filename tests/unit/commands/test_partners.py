"""Which partners a command is about."""

from pathlib import Path

import pytest

from exporter.commands.partners import select, select_one
from exporter.config import load
from exporter.errors import ConfigurationError


def test_without_a_name_all_are_selected_and_with_one_its_partner(config_file: Path) -> None:
    config = load(config_file)
    assert select(config, None, file=config_file) == config.partners
    assert select(config, "FABRIKAM", file=config_file) == config.partners[1:]
    assert select_one(config, "Contoso", file=config_file) == config.partners[0]


@pytest.mark.parametrize(
    ("name", "message"), [("contso", "there is no partner 'contso'"), (None, "this is required with several partners")]
)
def test_an_unclear_partner_is_an_error_with_the_choices(config_file: Path, name: str | None, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        select_one(load(config_file), name, file=config_file)
    assert str(raised.value) == f"{config_file}: --partner: {message}: choose from contoso, Fabrikam"
