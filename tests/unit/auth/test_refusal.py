"""What Entra ID's refusals become: class, reason, words, and the remedy that names the command."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.auth.refusal import KNOWN_ERRORS, refusal, refusal_from_body
from exporter.errors import AuthenticationError, Exchange, MfaRequired, PollError, RefreshTokenRefused, Unavailable
from exporter.messages import line
from exporter.redaction import Redactor, Secret
from exporter.upstream.transport import HttpReply

LOGIN = "partnercenter-exporter login --partner contoso"
IDS = (
    "Trace ID: 11111111-2222-3333-4444-555555555555\r\n"
    "Correlation ID: 66666666-7777-8888-9999-000000000000\r\nTimestamp: 2026-01-01 00:00:00Z"
)

TABLE: tuple[tuple[tuple[int, ...], type[PollError], str, tuple[str, ...]], ...] = (
    ((700082, 70008, 50173, 70000, 50089, 50132, 50133), RefreshTokenRefused, "auth", ("sign in again", LOGIN)),
    ((50076, 50078, 50079, 50074, 50072, 50158), MfaRequired, "mfa", ("MFA", LOGIN)),
    ((70043,), RefreshTokenRefused, "auth", ("exempt the account", LOGIN)),
    ((700084,), RefreshTokenRefused, "auth", ("platform Web", LOGIN)),
    ((700007,), RefreshTokenRefused, "auth", (LOGIN,)),
    ((9002313,), RefreshTokenRefused, "auth", (LOGIN,)),
    ((53003, 53000, 530032, 530035), AuthenticationError, "auth", ("administrator", LOGIN)),
    ((65001, 65004, 90094, 650057, 500011), AuthenticationError, "auth", ("user_impersonation", "consent")),
    ((7000215, 7000222, 700027, 50012), AuthenticationError, "auth", ("create a new one", "remains valid")),
    ((7000218, 700025), AuthenticationError, "auth", ("confidential client",)),
    ((700016, 90002, 90038, 50194), AuthenticationError, "auth", ("tenant_id, client_id and cloud",)),
    ((50057, 50053, 50055, 50034, 500341, 50126), AuthenticationError, "auth", ("fix the account", LOGIN)),
    ((50105,), AuthenticationError, "auth", ("assign the account",)),
    ((70021, 700021, 700023), AuthenticationError, "auth", ("federated credentials", "remains valid")),
    ((700024, 500133), AuthenticationError, "auth", ("look at this machine's clock",)),
    ((90014, 900144), AuthenticationError, "auth", ("authority, scope and cloud",)),
    ((50196,), AuthenticationError, "auth", ("loop",)),
    ((50011,), AuthenticationError, "auth", ("http://localhost", "platform Web")),
    ((54005,), AuthenticationError, "auth", (LOGIN,)),
    ((90033, 50033, 90024, 90055, 90006, 50000), Unavailable, "unavailable", ("the next poll tries again",)),
)
ROWS = [(code, *row[1:]) for row in TABLE for code in row[0]]


def answer(code: int, error: str = "invalid_grant", words: str = "Something is wrong.") -> dict[str, Any]:
    return {
        "error": error,
        "error_description": f"AADSTS{code}: {words}\r\n{IDS}",
        "error_codes": [code],
        "correlation_id": "66666666-7777-8888-9999-000000000000",
    }


def reply(status: int, body: bytes) -> HttpReply:
    return HttpReply(status=status, headers={}, body=body, received_at=0.0, redactor=Redactor())


@pytest.mark.parametrize(("code", "kind", "reason", "remedy"), ROWS)
def test_each_number_becomes_its_error_and_says_how_to_fix_it(
    code: int, kind: type[PollError], reason: str, remedy: tuple[str, ...]
) -> None:
    error = refusal(answer(code), Redactor(), partner=line("contoso"))
    assert type(error) is kind
    assert error.reason == reason
    assert error.message.startswith(f"AADSTS{code}: ")
    assert [words for words in remedy if words not in error.remedy] == []


@pytest.mark.parametrize("code", [row[0] for row in ROWS])
def test_the_number_decides_even_where_oauth_s_error_differs(code: int) -> None:
    assert type(refusal(answer(code, error="x"), Redactor(), partner=line("p"))) is type(
        refusal(answer(code), Redactor(), partner=line("p"))
    )


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("interaction_required", MfaRequired),
        ("invalid_client", AuthenticationError),
        ("unauthorized_client", AuthenticationError),
        ("invalid_resource", AuthenticationError),
        ("consent_required", AuthenticationError),
        ("temporarily_unavailable", Unavailable),
        ("server_error", Unavailable),
    ],
)
def test_oauth_s_error_decides_where_the_number_is_unknown(word: str, kind: type[PollError]) -> None:
    assert type(refusal(answer(1234567, error=word), Redactor(), partner=line("p"))) is kind


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("invalid_grant", RefreshTokenRefused),
        ("login_required", RefreshTokenRefused),
        ("interaction_required", MfaRequired),
        ("invalid_client", AuthenticationError),
    ],
)
def test_oauth_s_error_decides_where_there_is_no_number(word: str, kind: type[PollError]) -> None:
    assert type(refusal({"error": word}, Redactor(), partner=line("p"))) is kind


@pytest.mark.parametrize("word", ["invalid_grant", "login_required", "invalid_client", "unauthorized_client", "new"])
@pytest.mark.parametrize("code", [1234567, 40008, 7000999, 70999, 165900])
def test_of_an_unknown_number_nothing_is_guessed(word: str, code: int) -> None:
    error = refusal(answer(code, error=word, words="No."), Redactor(), partner=line("p"))
    assert type(error) is AuthenticationError
    assert error.message == f"AADSTS{code}: Entra ID refuses the sign-in (No.)"
    assert f"look this number up: https://login.microsoftonline.com/error?code={code}" in error.remedy


FAMILIES = (
    ((53099, 530001, 530099, 50131, 50186), AuthenticationError, "Conditional Access"),
    ((700200, 700211, 700238), AuthenticationError, "client assertion"),
    ((65099, 650051, 650099), AuthenticationError, "consent"),
    ((90199,), AuthenticationError, "request itself"),
    ((90080, 90999), Unavailable, "busy"),
)


@pytest.mark.parametrize(
    ("code", "kind", "words"), [(code, kind, words) for codes, kind, words in FAMILIES for code in codes]
)
def test_a_number_that_is_not_listed_counts_as_one_of_its_family(code: int, kind: type[PollError], words: str) -> None:
    error = refusal(answer(code), Redactor(), partner=line("p"))
    assert type(error) is kind
    assert words in error.message
    assert error.remedy.endswith(f"https://login.microsoftonline.com/error?code={code}")


@pytest.mark.parametrize("code", [row[0] for row in ROWS])
def test_a_number_that_is_listed_needs_no_looking_up(code: int) -> None:
    assert "look this number up" not in refusal(answer(code), Redactor(), partner=line("p")).remedy


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (86_400.0, "the clock is 24 h ahead"),
        (10_800.4, "the clock is 3 h ahead"),
        (-3_600.0, "the clock is 60 min behind"),
        (-30.0, "the clock is 30 s behind"),
        (1e9, "the clock is 11574 days ahead"),
        (1.5, "the clock is right"),
    ],
)
@pytest.mark.parametrize("code", [700024, 500133])
def test_an_assertion_out_of_its_time_says_how_wrong_the_clock_is(code: int, offset: float, words: str) -> None:
    error = refusal(answer(code, "invalid_client"), Redactor(), partner=line("p"), clock_offset_seconds=offset)
    assert type(error) is AuthenticationError
    assert "look at this machine's clock" in error.remedy
    assert error.remedy.endswith(words)


def test_an_unknown_refusal_still_shows_entra_s_text_and_where_to_look() -> None:
    error = refusal(answer(1234567, error="brand_new"), Redactor(), partner=line("p"))
    assert type(error) is AuthenticationError
    assert error.message == "AADSTS1234567: Entra ID refuses the sign-in (Something is wrong.)"
    assert "correlation ID" in error.remedy
    assert error.exchange.correlation_id == "66666666-7777-8888-9999-000000000000"


def test_of_several_numbers_the_first_that_is_known_decides() -> None:
    error = refusal({**answer(1234567), "error_codes": [1234567, 50076]}, Redactor(), partner=line("p"))
    assert isinstance(error, MfaRequired)


def test_a_number_that_only_the_description_has_is_found() -> None:
    """What a browser brings back from a refused sign-in has no list of numbers."""
    error = refusal(
        {"error": "access_denied", "error_description": f"AADSTS65004: User declined.\r\n{IDS}"},
        Redactor(),
        partner=line("p"),
    )
    assert error.message.startswith("AADSTS65004: ")
    assert "consent" in error.remedy


@pytest.mark.parametrize(
    "said",
    [
        {"error_codes": ["53003"]},
        {"error_codes": 53003},
        {"error_codes": [0, None, True, 53003]},
        {"error_codes": [], "error_description": "AADSTS53003: Blocked."},
        {"error_codes": [0], "error_description": "AADSTS53003: Blocked."},
        {"error_description": "invalid_grant: AADSTS53003: Blocked."},
        {"error_description": "Blocked (aadsts53003)."},
        {"error_description": "\ufeffAADSTS53003: Blocked."},
        {"error_description": "Blocked.", "error_uri": "https://login.microsoftonline.com/error?code=53003"},
        {"error_uri": "https://login.microsoftonline.com/error?lang=es&code=53003&x=1"},
    ],
    ids=str,
)
def test_a_number_counts_wherever_it_is_and_a_token_is_never_expired_for_want_of_it(said: dict[str, object]) -> None:
    error = refusal({"error": "invalid_grant", **said}, Redactor(), partner=line("p"))
    assert type(error) is AuthenticationError
    assert error.message.startswith("AADSTS53003: Conditional Access")


@pytest.mark.parametrize("codes", [None, [], [""], ["x"], [-1], [0], ["9" * 11], [10**10], {}, "AADSTS", 1e99, True])
def test_what_is_no_number_is_none(codes: object) -> None:
    answer = {
        "error": "invalid_client",
        "error_codes": codes,
        "error_description": "no.",
        "error_uri": "https://e?code=",
    }
    assert not refusal(answer, Redactor(), partner=line("p")).message.startswith("AADSTS")


@pytest.mark.parametrize("gap", ["\r\n", "\n", " "])
def test_entra_s_text_is_kept_without_trace_and_time(gap: str) -> None:
    words = "AADSTS50173: The provided grant has expired: it was revoked."
    error = refusal(
        {"error": "invalid_grant", "error_description": words + gap + IDS.replace("\r\n", gap)},
        Redactor(),
        partner=line("p"),
    )
    assert error.message.endswith("(The provided grant has expired: it was revoked.)")


def test_text_that_repeats_a_secret_is_withheld() -> None:
    redactor = Redactor(Secret("tr0ub4dor"), Secret("hunter 2"), None)
    for said in ("Invalid client secret tr0ub4dor.", "The token hunter 2 is wrong."):
        answer = {"error": "invalid_client", "error_description": f"AADSTS7000215: {said}"}
        error = refusal(answer, redactor, partner=line("p"))
        assert error.message.startswith("AADSTS7000215: ")
        assert error.message.endswith("([withheld: it repeats a secret])")
    answer = {"error": "invalid_client", "error_description": "AADSTS7000215: Not 1.AX0A" + "b" * 60}
    assert refusal(answer, redactor, partner=line("p")).message.endswith("(Not [redacted])")


def test_the_error_labels_that_count_refusals_are_few() -> None:
    """They become values of a label: an upstream's free text must not make series without end."""
    assert sorted(KNOWN_ERRORS) == [
        "access_denied",
        "consent_required",
        "interaction_required",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_resource",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
    ]


def test_the_message_for_an_empty_refusal_has_only_its_cause() -> None:
    error = refusal({}, Redactor(), partner=line("p"))
    assert isinstance(error, AuthenticationError)
    assert error.message == "Entra ID refuses the sign-in"
    assert (error.error, error.exchange) == ("", Exchange(endpoint=line("token")))


def test_without_a_description_oauths_code_is_in_the_message() -> None:
    error = refusal({"error": "invalid_grant"}, Redactor(), partner=line("p"))
    assert error.message == "the refresh token is expired or revoked (invalid_grant)"


def test_oauths_code_is_kept() -> None:
    error = refusal(answer(7000215, error="invalid_client"), Redactor(), partner=line("p"))
    assert isinstance(error, AuthenticationError)
    assert error.error == "invalid_client"


@pytest.mark.parametrize("code", [7000215, 90033])
def test_whatever_the_refusal_the_correlation_id_is_kept(code: int) -> None:
    error = refusal(answer(code), Redactor(), partner=line("p"))
    assert error.exchange == Exchange(line("token"), correlation_id=line("66666666-7777-8888-9999-000000000000"))


def test_a_correlation_id_is_withheld_and_cut_like_any_other_upstream_text() -> None:
    redactor = Redactor(Secret("hunter2"))
    error = refusal({"error": "invalid_client", "correlation_id": "hunter2 ab"}, redactor, partner=line("p"))
    assert error.exchange.correlation_id == "[withheld: it repeats a secret]"
    error = refusal({"error": "invalid_client", "correlation_id": "ab " * 40}, redactor, partner=line("p"))
    assert error.exchange.correlation_id == "ab " * 20 + "ab…"


def test_a_long_description_is_cut() -> None:
    error = refusal({"error": "x", "error_description": "ab " * 300}, Redactor(), partner=line("p"))
    assert error.message.endswith(f"({'ab ' * 66}a…)")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(
    ["error", "error_description", "error_codes", "correlation_id", "suberror", "trace_id", "timestamp"]
)
dictionaries = st.dictionaries(names | st.text(), json_values)


@given(odd=dictionaries)
def test_an_answer_of_any_shape_becomes_one_of_our_errors(odd: dict[str, Any]) -> None:
    error = refusal(odd, Redactor(), partner=line("contoso"))
    assert type(error) in (AuthenticationError, RefreshTokenRefused, MfaRequired, Unavailable)
    assert error.message
    assert error.remedy


@given(before=st.text(), after=st.text(), secret=st.text("abcdefgh0123~_.-", min_size=8))
def test_the_message_never_contains_a_secret(before: str, after: str, secret: str) -> None:
    said = {"error": "invalid_client", "error_description": f"{before}{secret}{after}"}
    assert secret not in refusal(said, Redactor(Secret(secret)), partner=line("p")).message


@given(body=st.binary() | dictionaries.map(lambda d: json.dumps(d).encode()), status=st.integers(400, 499))
def test_a_refused_metadata_request_of_any_shape_becomes_one_of_our_errors(body: bytes, status: int) -> None:
    error = refusal_from_body(reply(status, body), partner=line("contoso"))
    assert isinstance(error, AuthenticationError | Unavailable)
    assert error.remedy


def test_a_refused_metadata_request_without_a_description_shows_its_status() -> None:
    error = refusal_from_body(reply(404, b"<html>"), partner=line("contoso"))
    assert isinstance(error, AuthenticationError)
    assert error.message == "Entra ID returned 404 for this authority"
    assert error.error == "invalid_authority"
    assert error.exchange == Exchange(line("discovery"), 404)
    assert "tenant_id, cloud and authority" in error.remedy


def test_a_refused_metadata_request_with_an_error_of_entra_is_a_refusal_like_any_other() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(answer(700082)).encode()
    error = refusal_from_body(reply(400, body), partner=line("contoso"))
    assert type(error) is RefreshTokenRefused
    assert LOGIN in error.remedy
