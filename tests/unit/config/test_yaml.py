"""Invalid YAML, odd YAML, hostile YAML; and that no message shows a secret."""

from pathlib import Path

import pytest

from exporter.config import load
from exporter.errors import ConfigurationError
from tests.unit.config.conftest import PARTNER, Mistakes, Read

SECRET = "s3cr3t-s3cr3t"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("partners: [", 1),
        ("partners: [\n  a", 2),
        ("a: b: c", 1),
        ("a:\n\t- b", 2),
        ("a: 'open", 1),
        ("a: @b", 1),
        ("a: `b`", 1),
        ("a: *nowhere", 1),
        ("a: &x 1\nb: !foo!bar 2", 2),
        ("a: 1\n---\nb: 2", 2),
        ("%YAML 9.9\n---\na: 1", 1),
        ("a: |2x\n  b", 1),
        ('a: "\\q"', 1),
    ],
)
def test_invalid_yaml_is_one_mistake_with_its_line(mistakes: Mistakes, text: str, line: int) -> None:
    (mistake,) = mistakes(text)
    assert mistake.startswith(f"{line}: invalid YAML: ")


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("partners:\n  - name: a\n    cloud: global\n   client_id: b", "check the indentation: "),
        ("poll:\n  interval: 1h\n timeout: 30s", "check the indentation: "),
        ("a: b\n  c: d", "check the indentation, "),
        ("a: b: c", "quote a value that contains a colon"),
        ("a:\n\t- b", "indent with spaces, not tabs"),
        ("a: {b: ${C}}", "quote a ${VARIABLE} inside { }"),
    ],
)
def test_common_yaml_mistakes_come_with_their_fix(mistakes: Mistakes, text: str, fix: str) -> None:
    (mistake,) = mistakes(text)
    assert fix in mistake


@pytest.mark.parametrize(
    "text", ["a: \x00", "a: \x1b", 'a: "\\UFFFFFFFF"', "[" * 1_000, "%YAML " + "9" * 5_000 + ".1\n---\na"]
)
def test_what_makes_the_parser_fail_is_a_mistake_too(mistakes: Mistakes, text: str) -> None:
    (mistake,) = mistakes(text)
    assert "invalid YAML" in mistake
    assert len(mistake) < 300


@pytest.mark.parametrize("content", [b"\xff\xfea\x00", b"name: Z\xfcrich", b"\x80"])
def test_invalid_utf8_is_a_mistake(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="invalid UTF-8"):
        load(file, {})


def test_a_file_too_large_for_a_configuration_is_not_even_parsed(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"#" * (5 * 1024 * 1024))
    with pytest.raises(ConfigurationError, match="too large"):
        load(file, {})


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a, *a]",
        "partners: &a\n  - name: x\n    sources: *a",
        "&a {partners: *a}",
        "a: &a {b: *a, c: *a, d: {e: *a}}",
    ],
)
def test_an_alias_of_itself_is_a_mistake(mistakes: Mistakes, text: str) -> None:
    assert any("too deeply nested: simplify it, and check for an alias" in mistake for mistake in mistakes(text))


def test_a_billion_laughs_is_a_mistake_and_uses_few_resources(mistakes: Mistakes) -> None:
    lines = ["l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    found = mistakes("\n".join(lines))
    assert any("too deeply nested: simplify it, and check for an alias" in mistake for mistake in found)


def test_keys_that_are_not_strings_are_a_mistake(mistakes: Mistakes) -> None:
    assert mistakes(PARTNER + "? [a, b]\n: c\n") == ["1: a key must be a string: quote a ${VARIABLE} inside { }"]


def test_a_key_with_line_breaks_adds_no_line_to_a_message(mistakes: Mistakes) -> None:
    (mistake,) = mistakes(PARTNER + '"x\\n/etc/passwd:1: root\\u2028\\x1b[2J": 1\n')
    assert mistake.isprintable()


def test_a_key_that_is_not_text_can_be_reported(mistakes: Mistakes) -> None:
    for mistake in mistakes(PARTNER + '"\\ud800": 1\n'):
        assert mistake.encode()


def test_yaml_tags_have_no_effect(read: Read) -> None:
    assert read(PARTNER.replace("contoso", "!!binary contoso")).partners[0].name == "contoso"
    assert read(PARTNER.replace("contoso", "!!python/name:os.system contoso")).partners[0].name == "contoso"


@pytest.mark.parametrize(
    "text",
    [
        PARTNER.replace("hunter2", f"*{SECRET}"),
        PARTNER.replace("hunter2", f"&{SECRET} a\n    x: &{SECRET} b"),
        PARTNER.replace("hunter2", f"!{SECRET}!x y"),
        PARTNER.replace("hunter2", f"@{SECRET}"),
        PARTNER.replace("hunter2", f"%{SECRET}"),
        PARTNER.replace("hunter2", f"[{SECRET}"),
        PARTNER.replace("hunter2", f"{{{SECRET}"),
        PARTNER.replace("hunter2", f"'{SECRET}"),
        PARTNER.replace("hunter2", f'"{SECRET}\\q"'),
        PARTNER.replace("hunter2", f"{SECRET}: {SECRET}: x"),
        PARTNER.replace("hunter2", f"|{SECRET}"),
        PARTNER.replace("hunter2", f"[{SECRET}]"),
        PARTNER.replace("hunter2", f"{SECRET}\n    client_secret: {SECRET}"),
        PARTNER.replace("hunter2", f"{SECRET}\n    client_secret_file: x"),
        PARTNER.replace("hunter2", SECRET) + "poll: nonsense\n",
        PARTNER.replace("hunter2", "${X}" + SECRET),
        PARTNER + f"http: {{proxy_url: 'ftp://me:{SECRET}@proxy'}}\n",
        PARTNER + f"http: {{proxy_url: 'http://me:{SECRET}@proxy:port'}}\n",
        PARTNER + f"    api_url: https://me:{SECRET}@api.example\n",
        PARTNER + f"    authority: https://me:{SECRET}@login.example/t\n",
    ],
)
def test_no_mistake_shows_a_secret(mistakes: Mistakes, text: str) -> None:
    found = "\n".join(mistakes(text))
    assert SECRET not in found
    assert "s3cr3t" not in found
