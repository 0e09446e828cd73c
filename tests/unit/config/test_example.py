"""config.example.yaml: it loads, and it shows everything there is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from exporter.config import load
from exporter.config.schema import ConfigFile, Poll
from exporter.errors import ConfigurationError
from exporter.model.rows import SourceName
from exporter.sources import usage
from exporter.sources.legacy import Legacy
from tests.support.certificates import ClientIdentity

EXAMPLE = Path(__file__).parents[3] / "config.example.yaml"
PLACEHOLDER = re.compile(r"(?P<key>client_id: |tenant_id: |authority: .*/)([0-9])\2{7}(?:-\2{4}){3}-\2{12}")
ENVIRONMENT = {"TAILSPIN_CLIENT_SECRET": "from-the-environment"}


def own(placeholder: re.Match[str]) -> str:
    """Return the key with an ID that may be somebody's."""
    kind = "a" if placeholder["key"].startswith("client") else "b"
    return f"{placeholder['key']}{kind}{placeholder[2]}a7f2c4-3b1e-4c55-9d10-5e6f7a8b9c0d"


def with_everything_used(text: str) -> str:
    """Return the example with each commented-out setting in use; prose has one blank behind its #."""
    return re.sub(r"^( *)#(?=\S| {2})", r"\1", text, flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the example names."""
    identity = ClientIdentity.new()
    (tmp_path / "ca.pem").write_bytes(identity.certificate_pem)
    (tmp_path / "fabrikam.pem").write_bytes(identity.certificate_pem)
    (tmp_path / "fabrikam.key").write_bytes(identity.key_pem("secret"))
    for secret in ("client-secret", "refresh-token", "fabrikam.password", "azure-identity-token"):
        (tmp_path / secret).write_text("secret\n")
    return tmp_path


def write(folder: Path, text: str, *, edited: bool = True) -> Path:
    """Write it, with the placeholders replaced as a user does."""
    file = folder / "config.yaml"
    # The one absolute path that the test can't create.
    text = text.replace("/var/run/secrets/azure/tokens/", "")
    file.write_text(PLACEHOLDER.sub(own, text) if edited else text)
    return file


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Return every path of the schema: partners.name, poll.interval, …"""
    for name, field in model.model_fields.items():
        yield prefix + name
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield from keys_of(candidate, f"{prefix}{name}.")


def keys_in(content: Any, prefix: str = "") -> Iterator[str]:
    """Return every path of a document, in the same words."""
    for item in content if isinstance(content, list) else [content]:
        if isinstance(item, dict):
            for key, value in item.items():
                yield prefix + key
                yield from keys_in(value, f"{prefix}{key}.")


def test_the_example_loads_with_nothing_but_the_ids_and_the_client_secret(tmp_path: Path) -> None:
    (tmp_path / "client-secret").write_text("secret\n")
    config = load(write(tmp_path, EXAMPLE.read_text()), {})
    assert [partner.name for partner in config.partners] == ["contoso"]
    assert [enabled.source.endpoint.row.SOURCE for enabled in config.partners[0].sources] == list(SourceName)


def test_an_example_that_nobody_has_edited_is_told_what_to_copy_and_from_where(tmp_path: Path) -> None:
    (tmp_path / "client-secret").write_text("secret\n")
    with pytest.raises(ConfigurationError) as wrong:
        load(write(tmp_path, EXAMPLE.read_text(), edited=False), {})
    zeros = "00000000-0000-0000-0000-000000000000 is a placeholder: copy the"
    assert [(problem.path, problem.message.partition(" (")[0]) for problem in wrong.value.problems] == [
        ("partners[0].tenant_id", f"{zeros} directory"),
        ("partners[0].client_id", f"{zeros} application"),
    ]


def test_every_setting_that_is_commented_out_loads_too(folder: Path) -> None:
    config = load(write(folder, with_everything_used(EXAMPLE.read_text())), ENVIRONMENT)
    assert [partner.name for partner in config.partners] == ["contoso", "fabrikam", "northwind", "tailspin"]
    assert config.shared.ca_file == folder / "ca.pem"


def test_the_example_shows_every_key_of_the_schema() -> None:
    content = yaml.safe_load(with_everything_used(EXAMPLE.read_text()))
    assert sorted(set(keys_of(ConfigFile)) - set(keys_in(content))) == []


def test_the_example_shows_the_defaults_of_polling(tmp_path: Path) -> None:
    (tmp_path / "client-secret").write_text("secret\n")
    config = load(write(tmp_path, EXAMPLE.read_text()), {})
    default = Poll()
    assert config.shared.timeout_seconds == default.timeout
    assert config.shared.max_staleness_seconds == default.max_staleness
    assert config.partners[0].sources[0].source == Legacy(usage.LEGACY, default.max_series)
    assert {source.interval_seconds for source in config.partners[0].sources} == {default.interval}
    assert config.state_dir == ConfigFile.model_fields["state_dir"].default
