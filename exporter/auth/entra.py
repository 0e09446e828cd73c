"""MSAL behind one class: refresh tokens in, token grants out. MSAL's dictionaries never leave this module.

Only the parts of MSAL without hidden state are used: its token cache would hide a refused refresh token
behind a valid access token, and replays old errors for a minute.
"""

import base64
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from exporter.auth.credential import Credential
from exporter.auth.msal_http import MsalHttp
from exporter.auth.refusal import refusal
from exporter.errors import AuthenticationError, PayloadError, Rejected
from exporter.messages import Line, class_name, line
from exporter.model.status import Identity
from exporter.redaction import Redactor, Secret
from exporter.upstream.transport import origin

_DEFAULT_LIFETIME_SECONDS = 300.0
_NOT_ENTRA = line("check which server answers at `authority`")
# Entra ID's tokens have a few thousand characters.
_MAX_TOKEN = 16 * 1024
_MAX_URL = 2_000
_MAX_LIFETIME_SECONDS = 7 * 86_400.0
# What is shorter isn't believed: it would need a new token for every request.
_MIN_LIFETIME_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The application in Entra ID. `authority` ends in the tenant; `scope` is one delegated permission."""

    partner: Line
    identity: Identity
    authority: Line
    scope: str


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """A successful token response. `refresh_token` is None if Entra ID sent no new one."""

    access_token: Secret
    lifetime_seconds: float
    refresh_token: Secret | None
    account: Line | None = None
    tenant_id: Line | None = None
    methods: tuple[Line, ...] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class CodeFlow:
    """An interactive sign-in in progress; `address` is what the user opens."""

    address: str
    state: str
    flow: Mapping[str, Any]


@dataclass(eq=False)
class EntraApplication:
    """One confidential client at one authority. Not safe for threads: its caller holds a lock."""

    registration: Registration
    credential: Credential
    http: MsalHttp

    def __post_init__(self) -> None:
        self._http_cache: dict[str, Any] = {}
        self._client: Any = None
        self._client_credential: object = None

    def redeem(self, refresh_token: Secret) -> TokenGrant:
        """Turn a refresh token into an access token and, as a rule, the next refresh token; raises PollError."""
        # MSAL would replay an error of the last minute, and metadata of the last day; an operator who has
        # fixed the cause must not have to wait.
        self._http_cache.clear()
        redeem = self._msal_client().acquire_token_by_refresh_token
        return self._grant(lambda: redeem(refresh_token.reveal(), [self.registration.scope]), refresh_token)

    def start_code_flow(self, redirect_uri: str) -> CodeFlow:
        """Begin an interactive sign-in: authorisation code with PKCE, state and nonce."""
        client = self._msal_client()
        with warnings.catch_warnings():
            # MSAL prefers form_post, but a user on another machine must find the code in the address bar. It
            # is useless to anyone without the PKCE verifier and the client credential.
            warnings.filterwarnings("ignore", message=".*response_mode", category=UserWarning)
            flow = client.initiate_auth_code_flow(
                [self.registration.scope], redirect_uri=redirect_uri, response_mode="query", prompt="login"
            )
        if "auth_uri" not in flow:
            raise refusal(flow, Redactor(), partner=self.registration.partner)
        return CodeFlow(flow["auth_uri"], flow["state"], flow)

    def finish_code_flow(self, code_flow: CodeFlow, answer: Mapping[str, str]) -> TokenGrant:
        """Turn the query parameters of the browser's redirect to this sign-in into tokens; raises PollError."""
        finish = self._msal_client().acquire_token_by_auth_code_flow
        known = {**code_flow.flow, **answer}
        secrets = [Secret(str(known[name])) for name in ("code", "code_verifier", "nonce", "state") if name in known]
        return self._grant(lambda: finish(dict(code_flow.flow), dict(answer)), *secrets)

    def _grant(self, ask_msal: Callable[[], Mapping[str, Any]], *sent: Secret) -> TokenGrant:
        try:
            answer = ask_msal()
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            self._client = None  # it may have kept what it can't understand
            raise PayloadError(
                line("MSAL can't understand Entra ID's response: {}", class_name(error)), remedy=_NOT_ENTRA
            ) from error
        if answer.get("error"):  # the browser's: MsalHttp raises those of the token endpoint
            raise refusal(answer, Redactor(*sent), partner=self.registration.partner)
        token = _token(answer.get("access_token"))
        if token is None:
            raise PayloadError(line("Entra ID's response has neither a token nor an error"), remedy=_NOT_ENTRA)
        refresh_token = _token(answer.get("refresh_token"))
        redactor = Redactor(*sent, token, refresh_token)
        claims = _claims(answer.get("id_token"))
        methods = _claims(token.reveal()).get("amr")  # for diagnosis only: the API decides what it accepts
        return TokenGrant(
            access_token=token,
            lifetime_seconds=_lifetime(answer.get("expires_in")),
            refresh_token=refresh_token,
            account=_shown(claims.get("preferred_username"), redactor),
            tenant_id=_shown(claims.get("tid"), redactor),
            methods=tuple([redactor.quote(str(m), limit=20) for m in methods[:10]])
            if isinstance(methods, list)
            else None,
        )

    def _msal_client(self) -> Any:
        """Return MSAL's client, a new one when the credential has changed.

        The credential itself is compared: its files are read at each use anyway, and a file's times could
        miss a second write within one tick of the clock.
        """
        credential = self.credential.for_msal()
        if self._client is None or credential != self._client_credential:
            self._client = self._build_client(credential)
            self._client_credential = credential
        return self._client

    def _build_client(self, credential: object) -> Any:
        import msal  # noqa: PLC0415  heavy: the poll threads load it while the server already responds

        # A cache that keeps nothing: the authenticator keeps the tokens, and MSAL's would fail on a malformed
        # id token after the refresh token was rotated, and so lose the new one.
        cache = msal.TokenCache()
        cache.add = lambda *_, **__: None
        try:
            client = msal.ConfidentialClientApplication(
                self.registration.identity.client_id,
                client_credential=self._without_cache(credential),
                authority=self.registration.authority,
                http_client=self.http,
                http_cache=self._http_cache,
                token_cache=cache,
                # Otherwise MSAL asks the public cloud about every authority, and that request's failure
                # hides the real error. Only the host in the configuration is ever asked.
                instance_discovery=False,
            )
            for endpoint in (client.authority.token_endpoint, client.authority.authorization_endpoint):
                self._check_endpoint(str(endpoint))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise AuthenticationError(
                line(
                    "MSAL rejects the authority {} or the credential: {}",
                    self.registration.authority,
                    Redactor(*_secrets_of(credential)).quote(str(error)),
                ),
                remedy=line("check authority, tenant_id and the client credential against Entra ID"),
            ) from error
        return client

    def _without_cache(self, credential: object) -> object:
        """Return MSAL's client_credential with a new assertion for each request where a certificate signs it.

        MSAL would use one for nine minutes by this machine's clock: for days, where that was ahead and is set right.
        """
        if not isinstance(credential, Mapping) or "private_key" not in credential:
            return credential

        def assertion() -> str:
            from exporter.auth import certificate  # noqa: PLC0415  cryptography is heavy; few need it

            return certificate.assertion(
                credential,
                client_id=self.registration.identity.client_id,
                audience=self._client.authority.token_endpoint,
                now=self.http.transport.clock.time(),
            )

        return {"client_assertion": assertion}

    def _check_endpoint(self, endpoint: str) -> None:
        """Raise Rejected unless a URL of the authority's metadata leads to the authority itself.

        MSAL would trust any host with secrets, and the user's browser with a password.
        """
        authority = self.registration.authority
        shown = self.http.transport.redactor().quote(endpoint)
        if not _is_plain_url(endpoint):
            raise Rejected(
                line("the authority {} names an endpoint that is no plain URL: {}", authority, shown), remedy=_NOT_ENTRA
            )
        if origin(endpoint) != origin(authority):
            raise Rejected(
                line("the authority {} names an endpoint on another host: {}", authority, shown),
                remedy=line("nothing was sent there; if that host is Entra ID's, set it in `authority`"),
            )


def _is_plain_url(url: str) -> bool:
    """Return whether every program reads it alike: browsers take a backslash for a slash, and so for the host's end."""
    try:
        origin(url)
    except ValueError:
        return False
    return not httpx.URL(url).userinfo and len(url) <= _MAX_URL and not re.search(r"[^!-~]|\\", url)


def _lifetime(value: Any) -> float:
    """Return the lifetime in seconds; some endpoints write the number as a string."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return _DEFAULT_LIFETIME_SECONDS
    if not 0 < seconds < _MAX_LIFETIME_SECONDS:
        return _DEFAULT_LIFETIME_SECONDS
    return max(seconds, _MIN_LIFETIME_SECONDS)


def _token(value: Any) -> Secret | None:
    """Return a token that a header and a file can hold (RFC 6749, A.12 and A.17), or None."""
    usable = isinstance(value, str) and value and len(value) <= _MAX_TOKEN and value.isascii() and value.isprintable()
    return Secret(value) if usable else None


def _secrets_of(credential: object) -> list[Secret]:
    """Return what of MSAL's client_credential must not be shown."""
    values = credential.values() if isinstance(credential, Mapping) else [credential]
    return [Secret(value) for value in values if isinstance(value, str)]


def _shown(claim: Any, redactor: Redactor) -> Line | None:
    return redactor.quote(claim) or None if isinstance(claim, str) else None


def _claims(token: Any) -> Mapping[str, Any]:
    """Return a token's claims; none if it can't be read.

    Read by hand: a library that verifies signatures costs 8 MB of memory, and what came from the token
    endpoint itself needs no verification (OpenID Connect Core 1.0, 3.1.3.7).
    """
    try:
        payload = str(token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
