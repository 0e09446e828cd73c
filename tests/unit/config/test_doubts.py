"""What loads but hardly is what was meant is warned of, with its line and what to do; what can't work is a mistake."""

import base64
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.auth.secret_shape import doubt_about, doubt_about_client_secret
from exporter.config.dates import doubt_about_certificate, doubt_about_clock, doubt_about_end
from exporter.config.identities import is_placeholder
from exporter.formatting import moment
from tests.support.certificates import ClientIdentity
from tests.support.logs import LogStream
from tests.unit.config.conftest import PARTNER, Mistakes, Read

TENANT, CLIENT = "8c2f6b0e-4d39-4f0a-9a55-0f6d2b7c1e34", "5f0ff9c2-5a24-4d1c-8f7b-2d1c0a9be7f1"
_RANDOM = "dEfGhIjKlMnOpQrStUvWxYz0123456789_-."
# Of the kind that Entra ID makes today, and that older tools made.
GOOD_SECRETS = [f"aBc8Q~{_RANDOM}", "q2W4/eRtYuIoPaSdFgHjKlZxCvBnM1234567890abcd=", "hunter2"]
DAY = 86_400.0


@pytest.mark.parametrize(
    "value",
    [
        *("-".join(digit * length for length in (8, 4, 4, 4, 12)) for digit in "0123456789aFx"),
        *(
            "TENANT",
            "tenant_id",
            "YOUR_TENANT_ID",
            "your-client-id",
            "CLIENT-ID",
            "app_id",
            "yourtenant.onmicrosoft.com",
        ),
        *("contoso.com", "contoso.onmicrosoft.com", "12345678-1234-1234-1234-123456789012"),
    ],
)
@pytest.mark.parametrize("key", ["tenant_id", "client_id", "authority"])
def test_a_placeholder_is_a_mistake_that_says_where_the_id_stands(mistakes: Mistakes, key: str, value: str) -> None:
    text = f"{PARTNER}    authority: https://login.microsoftonline.com/{value}\n"
    if key != "authority":
        text = PARTNER.replace(TENANT if key == "tenant_id" else CLIENT, value)
    number = {"tenant_id": 3, "client_id": 4, "authority": 6}[key]
    [mistake] = mistakes(text)
    assert mistake.startswith(f"{number}: partners[0].{key}: {value} is a placeholder: ")
    assert "overview page" in mistake


@given(st.uuids(version=4).map(str))
def test_a_random_id_is_no_placeholder(value: str) -> None:
    assert not is_placeholder(value)


@pytest.mark.parametrize("value", ["fourthcoffee.com", "partner.onmicrosoft.com", "t", "client.example"])
def test_a_domain_is_no_placeholder(value: str) -> None:
    assert not is_placeholder(value)


def test_the_tenant_of_a_server_of_ones_own_may_be_any_word(read: Read) -> None:
    assert read(f"{PARTNER}    authority: https://login.example/client\n").partners


def test_a_client_id_that_is_the_tenant_id_is_a_mistake(mistakes: Mistakes) -> None:
    [mistake] = mistakes(PARTNER.replace(CLIENT, TENANT))
    assert mistake.startswith("4: partners[0].client_id: this is the tenant_id: ")


@pytest.mark.parametrize("tenant", ["common", "Organizations/v2.0", "consumers/oauth2/v2.0"])
def test_an_authority_of_no_single_tenant_is_a_mistake(mistakes: Mistakes, tenant: str) -> None:
    [mistake] = mistakes(f"{PARTNER}    authority: https://login.microsoftonline.com/{tenant}\n")
    assert mistake.startswith("6: partners[0].authority: must end with the partner tenant")


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        (["cloud: china", "api_url: https://api.partnercenter.microsoft.com"], "7: partners[0].api_url: it is of"),
        (["api_url: https://partner.partnercenterapi.microsoftonline.cn"], "6: partners[0].api_url: it is of"),
        (["scope: https://partner.partnercenterapi.microsoftonline.cn/x"], "6: partners[0].scope: it is of"),
        (["authority: https://login.chinacloudapi.cn/TENANT"], "6: partners[0].authority: it signs in to"),
        (["cloud: china", "authority: https://login.microsoftonline.us/TENANT"], "7: partners[0].authority: it signs"),
    ],
)  # fmt: skip
def test_an_api_of_another_cloud_than_the_sign_in_is_a_mistake(
    mistakes: Mistakes, lines: list[str], place: str
) -> None:
    found = mistakes(PARTNER + "".join(f"    {line}\n" for line in lines).replace("TENANT", TENANT))
    assert [mistake[: len(place)] for mistake in found] == [place]
    assert "set cloud: " in found[0]


DOUBTS = {
    "another tenant": ([f"authority: https://login.microsoftonline.com/{CLIENT}"], "authority", "another tenant"),
    "another domain": (["tenant_id: a.test", "authority: https://b.test/c.test"], "authority", "end it in a.test"),
    "another cloud": ([f"authority: https://login.microsoftonline.us/{TENANT}"], "authority", "set cloud: usgov"),
    "a past end": (["client_secret_expires: 2021-05-01"], "client_secret_expires", "out of date"),
    "a far end": (["client_secret_expires: 3027-05-01"], "client_secret_expires", "look at the year"),
    "an id for a secret": ([f"client_secret: {CLIENT}"], "client_secret", "Secret ID"),
}


@pytest.mark.parametrize(("lines", "key", "words"), DOUBTS.values(), ids=DOUBTS)
def test_a_doubt_is_a_warning_with_its_line_that_is_logged_once(
    read: Read, log_stream: LogStream, tmp_path: Path, lines: list[str], key: str, words: str
) -> None:
    (tmp_path / "config.yaml").touch(mode=0o600)
    text = PARTNER
    for line in lines:
        name = line.partition(":")[0]
        kept = [old for old in text.splitlines() if not old.strip().startswith(f"{name}:")]
        text = "\n".join([*kept, f"    {line}", ""])
    [warning] = read(text).warnings
    assert text.splitlines()[warning.line - 1].strip().startswith(f"{key}:")
    assert warning.path == f"partners[0].{key}"
    assert words in warning.message
    [entry] = log_stream.of("configuration doubtful")
    assert (entry["level"], entry["line"], entry["key"]) == ("warn", warning.line, warning.path)
    assert entry["warning"] == warning.message


def quoted(secret: str) -> str:
    return f'"{secret}"'


SHAPES = {
    "double quotes": (quoted, "quotes"),
    "single quotes": (lambda secret: f"'{secret}'", "quotes"),
    "half a quote": (lambda secret: f"{secret}'", "quotes"),
    "a blank before": (lambda secret: f" {secret}", "blanks"),
    "a blank after": (lambda secret: f"{secret} ", "blanks"),
    "an assignment": (lambda secret: f"CLIENT_SECRET={secret}", "KEY=value"),
    "an exported one": (lambda secret: f"export SECRET={quoted(secret)}", "quotes"),
    "YAML": (lambda secret: f"client_secret: {secret}", "KEY=value"),
    "JSON": (lambda secret: f'{{"secret": "{secret}"}}', "JSON"),
    "base64": (lambda secret: base64.b64encode(secret.encode()).decode(), "base64"),
    "base64 of a line": (lambda secret: base64.b64encode(f"{secret}\n".encode()).decode(), "base64"),
    "a template": (lambda _: "{{ .Values.clientSecret }}", "JSON"),
    "a variable": (lambda _: "$CLIENT_SECRET", "variable"),
    "a path": (lambda _: "/run/secrets/client-secret", "path"),
    "a placeholder": (lambda _: "<client secret>", "placeholder"),
    "another one": (lambda _: "your-client-secret", "placeholder"),
}


@pytest.mark.parametrize("secret", GOOD_SECRETS[:2])
@pytest.mark.parametrize(("wrap", "word"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("where", ["file", "variable", "seed"])
def test_what_is_no_secret_is_said_without_showing_it(
    tmp_path: Path, read: Read, secret: str, wrap: object, word: str, where: str
) -> None:
    assert callable(wrap)
    text = wrap(secret)
    (tmp_path / "secret").write_text(f"{text}\n")
    lines = {
        "file": PARTNER.replace("client_secret: hunter2", "client_secret_file: secret"),
        "variable": PARTNER.replace("hunter2", "${SECRET}"),
        "seed": f"{PARTNER}    refresh_token_file: secret\n",
    }
    [warning] = read(lines[where], {"SECRET": text}).warnings
    assert word in warning.message
    assert secret not in warning.message
    assert text.strip() not in warning.message


@pytest.mark.parametrize("secret", GOOD_SECRETS)
def test_a_secret_is_no_doubt(secret: str) -> None:
    assert doubt_about_client_secret(secret) is None


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789~._-", min_size=40, max_size=40))
@example("A" * 40)
def test_a_doubt_never_quotes_the_secret(secret: str) -> None:
    assert secret not in (doubt_about(secret) or "")


@pytest.mark.parametrize(
    ("days", "word"), [(-400, "out of date"), (-1, "out of date"), (1, ""), (720, ""), (4000, "year")]
)
def test_an_end_is_doubted_when_it_is_past_or_absurdly_far(days: int, word: str) -> None:
    now = time.time()
    found = doubt_about_end(now + days * DAY, now)
    assert word in found
    assert bool(found) == bool(word)


def test_a_clock_that_was_never_set_is_doubted() -> None:
    assert doubt_about_clock(time.time()) == ""
    assert doubt_about_clock(60.0).startswith("this machine's clock says 1970-01-01 00:01:00 UTC: ")


def test_a_certificate_is_doubted_outside_of_its_validity_and_the_clock_is_named() -> None:
    assert doubt_about_certificate(10.0, 20.0, 15.0) == ""
    assert "not valid before 1970-01-01 00:00:10 UTC" in doubt_about_certificate(10.0, 20.0, 9.0)
    ended = doubt_about_certificate(10.0, 20.0, 20.0)
    assert "ended on 1970-01-01 00:00:20 UTC" in ended
    assert "clock, which says 1970-01-01 00:00:20 UTC" in ended


def test_a_certificate_that_has_ended_loads_with_a_warning(tmp_path: Path, read: Read) -> None:
    identity = ClientIdentity.new(days=10, begin_in_days=-20)
    (tmp_path / "client.pem").write_bytes(identity.certificate_pem + identity.key_pem())
    [warning] = read(PARTNER.replace("client_secret: hunter2", "client_certificate_file: client.pem")).warnings
    assert (warning.line, warning.path) == (5, "partners[0].client_certificate_file")
    assert f"ended on {moment(identity.expires_at)}" in warning.message


@pytest.mark.parametrize("written", ["~", "~/x", "~root/x", "$HOME/x", "${HOME}/x", "/srv/$NAME/x", "%USERPROFILE%/x"])
@pytest.mark.parametrize("key", ["state_dir", "ca_file", "client_secret_file", "refresh_token_file"])
def test_a_path_that_only_a_shell_expands_is_a_mistake(mistakes: Mistakes, key: str, written: str) -> None:
    value = f"'{written.replace('${', '$${')}'"
    texts = {
        "state_dir": f"{PARTNER}state_dir: {value}\n",
        "ca_file": f"{PARTNER}http: {{ca_file: {value}}}\n",
        "client_secret_file": PARTNER.replace("client_secret: hunter2", f"client_secret_file: {value}"),
        "refresh_token_file": f"{PARTNER}    refresh_token_file: {value}\n",
    }
    [mistake] = mistakes(texts[key])
    assert f"{key}: " in mistake
    assert "is not expanded here: write the whole path" in mistake


@pytest.mark.parametrize("written", ["./~", "a~b", "backup~/x", "$$x.d/a$b"])
def test_a_path_with_such_a_character_elsewhere_is_one(tmp_path: Path, read: Read, written: str) -> None:
    assert read(f"{PARTNER}state_dir: {written}\n").state_dir == tmp_path / written.replace("$$", "$")
