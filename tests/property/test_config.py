"""Any file is a configuration or a list of mistakes, and nothing else."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from exporter.config import Config, load
from exporter.config.schema import ConfigFile
from exporter.errors import ConfigurationError
from exporter.yaml_file.document import format_path, parse
from tests.property.strategies import any_text, torn_text

SECRET = "sEcReT-8Q~1234567"


def keys_of(model: type[BaseModel]) -> Iterator[str]:
    """Yield every key of the schema, at whatever depth."""
    for name, field in model.model_fields.items():
        yield name
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys_of(kind)


KEYS = st.sampled_from(sorted(set(keys_of(ConfigFile)))) | any_text
WORDS = st.sampled_from(
    [
        "1h",
        "30s",
        "0.5",
        "1",
        "true",
        "no",
        "global",
        "legacy",
        "commercial",
        "contoso",
        "common",
        ".",
        "nowhere",
        "https://a.example/t",
        "http://proxy:3128",
        "${UNSET}",
        "${SET}",
        "$$",
        "2027-05-01",
        "~",
    ]
) | st.just("")
SCALARS = WORDS | any_text | st.integers() | st.floats() | st.booleans() | st.none()
DOCUMENTS = st.recursive(
    SCALARS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS, children, max_size=6),
    max_leaves=30,
)
PARTNERS = st.fixed_dictionaries(
    {"name": WORDS, "tenant_id": WORDS, "client_id": WORDS},
    optional={
        "client_secret": SCALARS,
        "client_secret_file": WORDS,
        "client_certificate_file": WORDS,
        "authority": WORDS,
        "cloud": WORDS,
        "sources": DOCUMENTS,
    },
)
CONFIGURATIONS = st.fixed_dictionaries(
    {"partners": st.lists(PARTNERS, min_size=1, max_size=2)},
    optional={"poll": DOCUMENTS, "targets": st.lists(DOCUMENTS, max_size=3), "http": DOCUMENTS, "sources": DOCUMENTS},
)
# What YAML's own grammar is made of, so that the parser itself is led astray.
YAML_SIGNS = st.text(
    st.sampled_from("{}[]:,&*!|>%@`'\"#-?~<= \n\t\\${}aN0.") | st.characters(codec="utf-8"), max_size=60
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def read(folder: Path, content: bytes, environment: Mapping[str, str] | None = None) -> Config | ConfigurationError:
    file = folder / "config.yaml"
    file.write_bytes(content)
    try:
        return load(file, {"SET": "value"} if environment is None else environment)
    except ConfigurationError as error:
        mistakes = error
    assert mistakes.problems
    assert all(problem.message and str(problem).isprintable() for problem in mistakes.problems)
    assert str(mistakes).encode()
    return mistakes


@given(st.binary() | YAML_SIGNS.map(str.encode))
def test_any_bytes_are_a_configuration_or_mistakes(folder: Path, content: bytes) -> None:
    read(folder, content)


@given(DOCUMENTS | CONFIGURATIONS)
@example({"partners": [{"name": "1"}], "http": {"ca_file": "\x1f\u202e"}})  # a path that a message quotes
def test_any_yaml_document_is_a_configuration_or_mistakes(folder: Path, document: object) -> None:
    read(folder, yaml.safe_dump(document).encode())


@given(CONFIGURATIONS)
def test_what_is_a_configuration_is_complete_and_consistent(folder: Path, document: object) -> None:
    config = read(folder, yaml.safe_dump(document).encode())
    if isinstance(config, ConfigurationError):
        return
    assert config.partners
    assert len({partner.name.lower() for partner in config.partners}) == len(config.partners)
    assert len({target.selector for target in config.targets}) == len(config.targets)
    for partner in config.partners:
        assert partner.sources
        assert partner.registration.authority.startswith("https://")
        for source in partner.sources:
            assert 60 <= source.interval_seconds <= config.shared.max_staleness_seconds / 2


@given(
    document=CONFIGURATIONS,
    key=st.sampled_from(["client_secret", "authority", "api_url", "scope"]),
    from_environment=st.booleans(),
)
def test_no_mistake_and_no_repr_shows_a_secret(
    folder: Path, document: dict[str, list[dict[str, object]]], key: str, *, from_environment: bool
) -> None:
    value = SECRET if key == "client_secret" else f"https://me:{SECRET}@host.example/t"
    document["partners"][0][key] = "${SECRET}" if from_environment else value
    outcome = read(folder, yaml.safe_dump(document).encode(), {"SECRET": value, "SET": "value"})
    assert SECRET not in str(outcome)
    assert SECRET not in repr(outcome)


@given(any_text, any_text)
def test_any_value_of_a_variable_arrives_as_it_is(before: str, value: str) -> None:
    quoted = yaml.safe_dump({"key": before.replace("$", "$$") + "${VALUE}"})
    document = parse(quoted, {"VALUE": value})
    assert document.problems == []
    assert document.content == {"key": before + value}


@given(any_text)
def test_without_an_environment_a_dollar_sign_is_itself(text: str) -> None:
    assert parse(yaml.safe_dump({"key": text}, default_style='"'), None).content == {"key": text}


@given(st.lists(torn_text | st.integers(0, 5), max_size=5))
def test_any_path_can_be_printed(parts: list[str | int]) -> None:
    assert format_path(tuple(parts)).isprintable()
