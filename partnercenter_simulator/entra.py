"""Entra ID as seen by an application with one signed-in user: discovery, authorize and token endpoints."""

import hashlib
import re
import secrets
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

from partnercenter_simulator.credentials import ClientCredentials
from partnercenter_simulator.entra_errors import EntraRefusal, error_document, error_page, error_reply
from partnercenter_simulator.exchange import Call, Reply, Route, json_reply
from partnercenter_simulator.tokens import AccessTokens, Identity, RefreshTokens, base64url

PARTNER_CENTER_APIS = (
    "https://api.partnercenter.microsoft.com",
    "https://partner.partnercenterapi.microsoftonline.cn",
    "fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd",
)
"""Partner Center's API in a scope: by URL (global, China) or by the id of its application."""

OTHER_APIS = ("https://graph.windows.net", "https://graph.microsoft.com", "https://management.azure.com")
"""Resources that Entra ID issues tokens for, but whose tokens Partner Center rejects."""

_RESERVED = ("openid", "profile", "email", "offline_access")
_PATH = re.compile(r"/([^/]+)/(v2\.0/\.well-known/openid-configuration|oauth2/v2\.0/(?:authorize|token))/?")
_CODE_SECONDS = 600
_MAX_CODES = 1000
_SHARED_TENANTS = ("common", "organizations", "consumers")


@dataclass(frozen=True, slots=True)
class _AuthorizationCode:
    """What a code was issued for; it can be redeemed once, within ten minutes."""

    redirect_uri: str
    challenge: str
    nonce: str
    issued_at: float
    used: bool = False


class Entra:
    """The login host. Sign-ins use multi-factor authentication unless stated otherwise."""

    def __init__(self, identity: Identity, client_secret: str, now: Callable[[], float] = time.time) -> None:
        self.credentials = ClientCredentials()
        self.credentials.accept_secret(client_secret)
        self.accept_secret = self.credentials.accept_secret
        self.refuse_secret = self.credentials.refuse_secret
        self.register_certificate = self.credentials.register_certificate
        self.register_federated_token = self.credentials.register_federated_token
        self.refresh_tokens = RefreshTokens(now)
        self.revoke = self.refresh_tokens.revoke
        self.revoke_all = self.refresh_tokens.revoke_all
        self.access_tokens = AccessTokens(identity, now)
        self._identity = identity
        self._now = now
        self._codes: OrderedDict[str, _AuthorizationCode] = OrderedDict()
        self._codes_lock = threading.Lock()

    def issue_refresh_token(self, *, client_id: str | None = None, mfa: bool = True) -> str:
        """Sign the user in without a browser and return the refresh token; `mfa=False`: password only."""
        return self.refresh_tokens.issue(client_id or self._identity.client_id, mfa=mfa)

    @property
    def token_lifetime_seconds(self) -> int:
        """The lifetime of access tokens issued from now on."""
        return self.access_tokens.lifetime_seconds

    @token_lifetime_seconds.setter
    def token_lifetime_seconds(self, seconds: int) -> None:
        self.access_tokens.lifetime_seconds = seconds

    @property
    def issued_refresh_tokens(self) -> tuple[str, ...]:
        """The refresh tokens issued, oldest first (the last 100,000)."""
        return self.refresh_tokens.issued()

    @property
    def issued_refresh_token_count(self) -> int:
        """How many refresh tokens have been issued in total."""
        return self.refresh_tokens.count

    def route(self, call: Call) -> Route | None:
        """Return the route of a path on the login host, or None if it has none."""
        match = _PATH.fullmatch(call.path)
        if match is None:
            return None
        tenant, page = match[1], match[2]
        if page.endswith("openid-configuration"):
            return Route("discovery", lambda call: self._discovery(call, tenant))
        if page.endswith("authorize"):
            return Route("authorize", lambda call: self._authorize(call, tenant))
        return Route("token", lambda call: self._token(call, tenant))

    def error(self, code: int, call: Call) -> Reply:
        """Return the endpoint's error for an AADSTS code: JSON, or on authorize a redirect to the client."""
        if call.path.endswith("/authorize"):
            document = error_document(code, call, self._now())
            names = ("error", "error_description", "error_uri")
            return _redirect(call, {name: str(document[name]) for name in names})
        return error_reply(code, call, self._now())

    def _discovery(self, call: Call, tenant: str) -> Reply:
        if tenant not in (self._identity.tenant_id, *_SHARED_TENANTS):
            return error_reply(90002, call, self._now(), error="invalid_tenant")
        root = f"{call.origin}/{tenant}"
        return json_reply(
            {
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "response_modes_supported": ["query"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["HS256"],
                "response_types_supported": ["code"],
                "scopes_supported": list(_RESERVED),
                "issuer": f"{call.origin}/{self._identity.tenant_id}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "cloud_instance_name": "simulator",
            }
        )

    def _authorize(self, call: Call, tenant: str) -> Reply:
        query = call.query
        try:
            self._check_tenant(tenant)
            self._check_client(query)
            _check_redirect(query.get("redirect_uri", ""))
        except EntraRefusal as refusal:
            return error_page(refusal.code, call, self._now())
        if query.get("response_type") != "code":
            return self.error(700054, call)
        if query.get("code_challenge_method") != "S256" or query.get("response_mode", "query") != "query":
            return self.error(9002313, call)
        answer = {"code": self._issue_code(query)}
        if query.get("client_info") == "1":
            answer["client_info"] = self.access_tokens.client_info()
        return _redirect(call, {**answer, "session_state": str(uuid.uuid4())})

    def _issue_code(self, query: Mapping[str, str]) -> str:
        code = f"1.AX0A{secrets.token_urlsafe(64)}"
        with self._codes_lock:
            self._codes[code] = _AuthorizationCode(
                query["redirect_uri"], query.get("code_challenge", ""), query.get("nonce", ""), self._now()
            )
            if len(self._codes) > _MAX_CODES:
                self._codes.popitem(last=False)
        return code

    def _token(self, call: Call, tenant: str) -> Reply:
        try:
            return self._grant(call, tenant)
        except EntraRefusal as refusal:
            return error_reply(refusal.code, call, self._now())

    def _grant(self, call: Call, tenant: str) -> Reply:
        form = call.form
        self._check_tenant(tenant)
        self._check_client(form)
        grant_type = form.get("grant_type", "")
        if grant_type not in ("authorization_code", "refresh_token", "client_credentials"):
            raise EntraRefusal(70003)
        audience = f"{call.origin}/{tenant}/oauth2/v2.0/token"
        self.credentials.check(form, audiences=[audience], now=self._now())
        resource = self._resource(form, call.origin)
        if grant_type == "client_credentials":
            return json_reply(self.access_tokens.for_app(resource, call.origin))
        nonce, mfa = self._redeem(form)
        return self._user_tokens(call, resource, nonce=nonce, mfa=mfa)

    def _redeem(self, form: Mapping[str, str]) -> tuple[str, bool]:
        """Return the nonce of the sign-in behind a code or refresh token, and whether it used MFA."""
        if form["grant_type"] == "refresh_token":
            if "refresh_token" not in form:
                raise EntraRefusal(900144)
            return "", self.refresh_tokens.redeem(form["refresh_token"], form["client_id"]).mfa
        return self._redeem_code(form).nonce, True

    def _redeem_code(self, form: Mapping[str, str]) -> _AuthorizationCode:
        with self._codes_lock:
            code = self._codes.get(form.get("code", ""))
            if code is None:
                raise EntraRefusal(9002313)
            if code.used:
                raise EntraRefusal(54005)
            self._codes[form["code"]] = replace(code, used=True)
        if self._now() >= code.issued_at + _CODE_SECONDS:
            raise EntraRefusal(70008)
        if form.get("redirect_uri") != code.redirect_uri:
            raise EntraRefusal(500112)
        verifier = form.get("code_verifier", "").encode()
        if base64url(hashlib.sha256(verifier).digest()) != code.challenge:
            raise EntraRefusal(501481)
        return code

    def _user_tokens(self, call: Call, resource: str, *, nonce: str, mfa: bool) -> Reply:
        form = call.form
        scopes = form["scope"].split()
        document = self.access_tokens.for_user(resource, call.origin, mfa=mfa)
        if "offline_access" in scopes:
            document["refresh_token"] = self.issue_refresh_token(client_id=form["client_id"], mfa=mfa)
        if "openid" in scopes:
            document["id_token"] = self.access_tokens.id_token(call.origin, nonce)
        if form.get("client_info") == "1":
            document["client_info"] = self.access_tokens.client_info()
        return json_reply(document).with_headers(Cache_Control="no-store, no-cache")

    def _check_tenant(self, tenant: str) -> None:
        if tenant != self._identity.tenant_id:
            raise EntraRefusal(50194 if tenant in _SHARED_TENANTS else 90002)

    def _check_client(self, parameters: Mapping[str, str]) -> None:
        if "client_id" not in parameters:
            raise EntraRefusal(900144)
        if parameters["client_id"] != self._identity.client_id:
            raise EntraRefusal(700016)

    def _resource(self, form: Mapping[str, str], origin: str) -> str:
        """Return the single API named in the scopes, which becomes the token's audience."""
        scopes = [scope.rpartition("/") for scope in form.get("scope", "").split() if scope not in _RESERVED]
        if len({resource for resource, _, _ in scopes}) != 1:
            raise EntraRefusal(70011)
        resource, _, permission = scopes[0]
        if resource not in (origin, *PARTNER_CENTER_APIS, *OTHER_APIS):
            raise EntraRefusal(500011)
        if permission not in ("user_impersonation", ".default"):
            raise EntraRefusal(65001)
        return resource


def _redirect(call: Call, parameters: Mapping[str, str]) -> Reply:
    address = call.query.get("redirect_uri", "")
    state = {"state": call.query["state"]} if "state" in call.query else {}
    separator = "&" if "?" in address else "?"
    return Reply(302).with_headers(Location=f"{address}{separator}{urlencode({**parameters, **state})}")


def _check_redirect(address: str) -> None:
    # Entra ID ignores the port of a localhost redirect.
    if urlsplit(address).scheme != "http" or urlsplit(address).hostname not in ("localhost", "127.0.0.1"):
        raise EntraRefusal(50011)
