"""Configuration files in a folder of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest
import trustme

from exporter.config import Config, load
from exporter.errors import ConfigurationError

PARTNER = """\
partners:
  - name: contoso
    tenant_id: 8c2f6b0e-4d39-4f0a-9a55-0f6d2b7c1e34
    client_id: 5f0ff9c2-5a24-4d1c-8f7b-2d1c0a9be7f1
    client_secret: hunter2
"""


class Read(Protocol):
    """Reads a configuration text; raises ConfigurationError."""

    def __call__(self, text: str, environment: Mapping[str, str] | None = None) -> Config: ...


class Mistakes(Protocol):
    """Reads a wrong configuration text and returns what is wrong with it, a line each, without the file."""

    def __call__(self, text: str, environment: Mapping[str, str] | None = None) -> list[str]: ...


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str, environment: Mapping[str, str] | None = None) -> Config:
        file = tmp_path / "config.yaml"
        file.write_text(text, "utf-8")
        return load(file, environment or {})

    return read_text


@pytest.fixture
def mistakes(tmp_path: Path, read: Read) -> Mistakes:
    def of(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigurationError) as wrong:
            read(text, environment)
        assert len(str(wrong.value).splitlines()) == len(wrong.value.problems)
        return [line.removeprefix(f"{tmp_path / 'config.yaml'}:") for line in str(wrong.value).splitlines()]

    return of


@pytest.fixture
def with_key(read: Read) -> Read:
    """Reads a good configuration with these lines added to its only partner."""

    def read_with(text: str, environment: Mapping[str, str] | None = None) -> Config:
        return read(PARTNER + "".join(f"    {line}\n" for line in text.splitlines()), environment)

    return read_with


@pytest.fixture
def certificate(tmp_path: Path) -> trustme.LeafCert:
    """A certificate in client.pem (with its key) and client.crt, client.key (apart)."""
    leaf = trustme.CA().issue_cert("client.example", key_type=trustme.KeyType.RSA)
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "client.crt"))
    leaf.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    return leaf
