"""Entra ID's errors: the OAuth error, HTTP status and text of each AADSTS code.

Codes and texts: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

import html
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from partnercenter_simulator.exchange import HTML, Call, Reply, json_reply
from partnercenter_simulator.wire import Json


@dataclass(frozen=True, slots=True)
class EntraError:
    """The token endpoint's response for one AADSTS code."""

    error: str
    text: str
    status: int = 400
    suberror: str = ""


def _grant(text: str, suberror: str = "") -> EntraError:
    return EntraError("invalid_grant", text, suberror=suberror)


def _client(text: str) -> EntraError:
    return EntraError("invalid_client", text, status=401)


def _busy(text: str) -> EntraError:
    return EntraError("temporarily_unavailable", text, status=503)


_MFA = "you must {} multi-factor authentication to access 'fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd'."
_MOVED = "Due to a configuration change made by your administrator, or because you moved to a new location, "

ERRORS: Mapping[int, EntraError] = {
    # the grant is no longer valid
    700082: _grant("The refresh token has expired due to inactivity. It was inactive for 90.00:00:00."),
    70008: _grant("The provided authorization code or refresh token has expired due to inactivity."),
    50173: _grant("The provided grant has expired due to it being revoked, a fresh auth token is needed.", "bad_token"),
    50089: _grant("Authentication failed due to flow token expired."),
    50132: _grant("The session is not valid due to password expiration or recent password change.", "bad_token"),
    50133: _grant("Session is invalid due to expiration or recent password change.", "bad_token"),
    70000: _grant("The provided value for the grant is not valid.", "bad_token"),
    70043: _grant("The refresh token is invalid due to sign-in frequency checks by conditional access."),
    700007: _grant("The refresh token was issued to another client."),
    700084: _grant("The refresh token was issued to a single page app, and has a fixed lifetime of 24 hours."),
    54005: _grant("OAuth2 Authorization code was already redeemed, please retry with a new valid code."),
    9002313: _grant("Invalid request. Request is malformed or invalid."),
    501481: _grant("The Code_Verifier does not match the code_challenge supplied in the authorization request."),
    # multi-factor authentication and policies
    50076: _grant(_MOVED + _MFA.format("use"), "basic_action"),
    50078: _grant("Presented multi-factor authentication has expired due to policies.", "basic_action"),
    50079: _grant(_MOVED + _MFA.format("enroll in"), "basic_action"),
    50072: _grant("User needs to enroll for second factor authentication (interactive).", "basic_action"),
    50074: _grant("Strong Authentication is required.", "basic_action"),
    50158: EntraError("interaction_required", "External security challenge not satisfied."),
    53000: _grant("Device is not in required device state: compliant.", "message_only"),
    53003: _grant("Access has been blocked by Conditional Access policies.", "message_only"),
    530032: _grant("Tenant security policy does not allow this request.", "message_only"),
    530035: _grant("Access has been blocked by security defaults.", "message_only"),
    # consent and resource
    65001: _grant("The user or administrator has not consented to use the application.", "consent_required"),
    65004: EntraError("access_denied", "User declined to consent to access the app."),
    90094: _grant("The grant requires admin permission.", "consent_required"),
    650057: EntraError(
        "invalid_resource",
        "The client has requested access to a resource which is not listed in the requested permissions"
        " in the client's application registration.",
    ),
    500011: EntraError("invalid_resource", "The resource principal was not found in the tenant."),
    # the client and its credential
    700016: EntraError("unauthorized_client", "Application was not found in the directory."),
    7000215: _client("Invalid client secret provided. Ensure it is the secret's value, not its ID."),
    7000218: _client("The request body must contain the following parameter: 'client_assertion' or 'client_secret'."),
    7000222: _client("The provided client secret keys for the app are expired."),
    700021: _client("Client assertion application identifier doesn't match 'client_id' parameter."),
    700023: _client("Client assertion audience claim does not match Realm issuer."),
    700024: _client("Client assertion is not within its valid time range."),
    700025: _client("Client is public so neither 'client_assertion' nor 'client_secret' should be presented."),
    700027: _client("The certificate used to sign the client assertion is not registered on application."),
    700213: _client("No matching federated identity record found for presented assertion subject."),
    50012: _client("Authentication failed. The client credential is not valid."),
    # the request, the tenant, the user
    500112: _client("The reply address does not match the reply address provided when requesting Authorization code."),
    50011: EntraError("invalid_request", "The redirect URI does not match those configured for the app."),
    50194: EntraError("invalid_request", "Application is not configured as a multi-tenant application."),
    50196: EntraError(
        "invalid_request", "The server terminated an operation because it encountered a client request loop."
    ),
    70003: EntraError("unsupported_grant_type", "The app requested an unsupported grant type."),
    70011: EntraError("invalid_scope", "The provided value for the input parameter 'scope' is not valid."),
    700054: EntraError("unsupported_response_type", "response_type must be 'code'."),
    900144: EntraError("invalid_request", "A required parameter is missing from the request body."),
    90002: EntraError("invalid_request", "Tenant not found. Check to make sure you have the correct tenant ID."),
    90038: EntraError("invalid_request", "The specified tenant belongs to the National Cloud."),
    50034: _grant("The user account does not exist in the directory."),
    50053: _grant(
        "The account is locked, you've tried to sign in too many times with an incorrect user ID or password."
    ),
    50055: _grant("The password is expired.", "user_password_expired"),
    50057: _grant("The user account is disabled."),
    # transient errors
    50033: _busy("A temporary, retryable error has occurred."),
    90006: _busy("The external service is busy."),
    90024: _busy("The request budget is exceeded. A transient error has occurred."),
    90033: _busy("A transient error has occurred. Please try again."),
    90055: EntraError("temporarily_unavailable", "There are too many incoming requests.", status=429),
}


class EntraRefusal(Exception):
    """Entra ID refuses a request with an AADSTS code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"AADSTS{code}")
        self.code = code


def error_document(code: int, call: Call, now: float) -> dict[str, Json]:
    """Return the JSON of an error: OAuth's fields, the AADSTS code, and the ids that support asks for."""
    kind = _error(code)
    trace, at = str(uuid.uuid4()), f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%SZ}"
    correlation = call.headers.get("client-request-id") or str(uuid.uuid4())
    ids = f"Trace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {at}"
    return {
        "error": kind.error,
        "error_description": f"AADSTS{code}: {kind.text}\r\n{ids}",
        "error_codes": [code],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{call.origin}/error?code={code}",
        **({"suberror": kind.suberror} if kind.suberror else {}),
    }


def error_reply(code: int, call: Call, now: float, *, error: str = "") -> Reply:
    """Return the token endpoint's error; `error` replaces the code's usual OAuth error."""
    document = error_document(code, call, now) | ({"error": error} if error else {})
    return json_reply(document, status=_error(code).status)


def error_page(code: int, call: Call, now: float) -> Reply:
    """Return the page that the authorize endpoint shows if it does not trust the redirect address."""
    text = html.escape(str(error_document(code, call, now)["error_description"]))
    page = f"<!DOCTYPE html><title>Sign in to your account</title><h1>Sorry</h1><pre>{text}</pre>"
    return Reply(400, page.encode(), HTML)


def _error(code: int) -> EntraError:
    return ERRORS.get(code, EntraError("invalid_grant", "The request was refused."))
