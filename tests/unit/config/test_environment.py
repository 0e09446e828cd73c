"""`${NAME}` in a string is taken from the environment before the value is read as its key's type."""

from pathlib import Path

import pytest

from exporter.auth.credential import ClientSecret
from exporter.config import Config, SourceConfig, load
from exporter.sources import usage
from exporter.sources.legacy import Legacy
from tests.unit.config.conftest import PARTNER, Mistakes, Read

ENVIRONMENT = {"SECRET": "from-the-environment", "EMPTY": "", "_x1": "y", "HOURS": "2", "NESTED": "${SECRET}"}


def secret_of(config: Config) -> str:
    credential = config.partners[0].credential
    assert isinstance(credential, ClientSecret)
    assert credential.value is not None
    return credential.value.reveal()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${SECRET}", "from-the-environment"),
        ("'${SECRET}'", "from-the-environment"),
        ('"a ${SECRET} b"', "a from-the-environment b"),
        ("${_x1}${_x1}", "yy"),
        ("x${EMPTY}", "x"),
        ("$$", "$"),
        ("$$$$", "$$"),
        ("$$$", "$$"),
        ("$${SECRET}", "${SECRET}"),
        ("$$${_x1}", "$y"),
        ("$", "$"),
        ("a$b", "a$b"),
        ("$SECRET", "$SECRET"),
        ("'${}'", "${}"),
        ("'${1x}'", "${1x}"),
        ("'${SECRET'", "${SECRET"),
        ("'${SEC RET}'", "${SEC RET}"),
        ("$ {SECRET}", "$ {SECRET}"),
        ("${NESTED}", "${SECRET}"),
        ("pa$$word", "pa$word"),
    ],
)
def test_a_dollar_sign_means_what_the_contract_says(read: Read, written: str, meant: str) -> None:
    assert secret_of(read(PARTNER.replace("hunter2", written), ENVIRONMENT)) == meant


def test_a_value_from_the_environment_is_read_as_its_keys_type(read: Read) -> None:
    config = read(
        PARTNER + "poll: {interval: '${HOURS}h', max_series: '${HOURS}000'}\ntargets: [{ratio: '0.${HOURS}'}]\n",
        ENVIRONMENT,
    )
    limited = SourceConfig(source=Legacy(usage.LEGACY, 2_000), interval_seconds=7_200.0)
    assert (config.partners[0].sources[0], config.targets[0].ratio) == (limited, 0.2)


@pytest.mark.parametrize("value", ["a: b", "[1, 2]", "# no comment", "'quoted'", "null", "~", "*alias"])
def test_a_value_from_the_environment_is_no_yaml(read: Read, value: str) -> None:
    assert secret_of(read(PARTNER.replace("hunter2", "${VALUE}"), {"VALUE": value})) == value


@pytest.mark.parametrize("around", ["\n", "\r\n", "\n\n\r", "\ufeff", "\ufeff\n"])
def test_a_secret_from_the_environment_has_no_line_ends_around_it(read: Read, around: str) -> None:
    for value in (f"{around}hunter 2", f"hunter 2{around}", f"{around}hunter 2{around}"):
        assert secret_of(read(PARTNER.replace("hunter2", "${VALUE}"), {"VALUE": value})) == "hunter 2"


def test_an_unset_variable_is_one_mistake_of_its_own(mistakes: Mistakes) -> None:
    text = PARTNER.replace("hunter2", "${NOWHERE}").replace("name: contoso", "name: ${WHO}")
    unset = "environment variable {0} is not set: set it, or write $${{{0}}} for a literal ${{{0}}}"
    assert mistakes(text + "poll: {interval: '${TIME}'}\n", {}) == [
        f"2: partners[0].name: {unset.format('WHO')}",
        f"5: partners[0].client_secret: {unset.format('NOWHERE')}",
        f"6: poll.interval: {unset.format('TIME')}",
    ]


@pytest.mark.parametrize(
    "keys",
    [
        "client_secret_file: ${FOLDER}/secret",
        "federated_token_file: ${FOLDER}/token",
        "client_certificate_file: ${FOLDER}/client.pem",
        "client_certificate_file: config.yaml\n    client_certificate_key_file: ${FOLDER}/client.key",
    ],
)
def test_a_file_named_by_an_unset_variable_is_not_looked_for(mistakes: Mistakes, keys: str) -> None:
    (mistake,) = mistakes(PARTNER.replace("client_secret: hunter2", keys), {})
    assert "FOLDER is not set" in mistake


def test_authorities_named_by_an_unset_variable_are_not_looked_for(mistakes: Mistakes) -> None:
    (mistake,) = mistakes(PARTNER + "http: {ca_file: '${FOLDER}/ca.pem'}\n", {})
    assert "FOLDER is not set" in mistake


def test_a_variable_that_is_set_to_nothing_is_set(mistakes: Mistakes) -> None:
    (mistake,) = mistakes(PARTNER.replace("hunter2", "${EMPTY}"), ENVIRONMENT)
    assert mistake == "5: partners[0].client_secret: expected a non-empty string"


def test_keys_are_not_taken_from_the_environment(mistakes: Mistakes) -> None:
    (mistake,) = mistakes(PARTNER + "'${SECRET}': x\n", ENVIRONMENT)
    assert "from-the-environment" not in mistake
    assert "unknown key" in mistake


def test_the_mistake_about_an_unquoted_variable_in_braces_says_to_quote_it(read: Read, mistakes: Mistakes) -> None:
    text = "partners:\n  - {name: contoso, tenant_id: t, client_id: c, client_secret: ${SECRET}}\n"
    (mistake,) = mistakes(text, ENVIRONMENT)
    assert mistake.startswith("2: invalid YAML: ")
    assert mistake.endswith("quote a ${VARIABLE} inside { }")
    quoted = text.replace("${SECRET}", "'${SECRET}'")
    assert secret_of(read(quoted, ENVIRONMENT)) == "from-the-environment"


def test_by_default_the_environment_is_that_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNERCENTER_TEST_SECRET", "hunter3")
    file = tmp_path / "config.yaml"
    file.write_text(PARTNER.replace("hunter2", "${PARTNERCENTER_TEST_SECRET}"))
    assert secret_of(load(file)) == "hunter3"
