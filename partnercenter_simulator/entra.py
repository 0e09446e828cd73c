"""Entra ID as an application with one signed-in user sees it: discovery, authorize, token."""

import base64
import hashlib
import re
import secrets
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from partnercenter_simulator.credentials import ClientCredentials
from partnercenter_simulator.entra_errors import EntraRefusal, error_document, error_page, error_reply
from partnercenter_simulator.exchange import Call, Reply, Route, json_reply
from partnercenter_simulator.tokens import AccessTokens, Identity, RefreshTokens
from partnercenter_simulator.wire import Json

PARTNER_CENTER_APIS = (
    "https://api.partnercenter.microsoft.com",
    "https://partner.partnercenterapi.microsoftonline.cn",
    "fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd",
)
"""What Partner Center's API is called in a scope: by cloud, and by the id of its application."""

OTHER_APIS = ("https://graph.windows.net", "https://graph.microsoft.com", "https://management.azure.com")
"""Resources for which Entra ID issues tokens that Partner Center refuses."""

_RESERVED = ("openid", "profile", "email", "offline_access")
_PATH = re.compile(r"/([^/]+)/(v2\.0/\.well-known/openid-configuration|oauth2/v2\.0/(?:authorize|token))/?")
_CODE_SECONDS = 600
_CODES_KEPT = 1000
_SHARED_TENANTS = ("common", "organizations", "consumers")


@dataclass(frozen=True, slots=True)
class _Code:
    """An authorization code's terms; it is good once, for ten minutes."""

    redirect_uri: str
    challenge: str
    nonce: str
    issued_at: float
    used: bool = False


class Entra:
    """The login host. What it signs in is a user with a second factor, unless told otherwise."""

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
        self._codes: OrderedDict[str, _Code] = OrderedDict()
        self._codes_lock = threading.Lock()

    def issue_refresh_token(self, *, client_id: str | None = None, mfa: bool = True) -> str:
        """Sign the user in, with no browser, and return the refresh token; `mfa=False`: by password alone."""
        return self.refresh_tokens.issue(client_id or self._identity.client_id, mfa=mfa)

    @property
    def token_lifetime_seconds(self) -> int:
        """How long an access token that is issued from now on will last."""
        return self.access_tokens.lifetime_seconds

    @token_lifetime_seconds.setter
    def token_lifetime_seconds(self, seconds: int) -> None:
        self.access_tokens.lifetime_seconds = seconds

    @property
    def issued_refresh_tokens(self) -> tuple[str, ...]:
        """Every refresh token ever handed out, oldest first (the newest 100,000)."""
        return self.refresh_tokens.issued()

    @property
    def issued_refresh_token_count(self) -> int:
        """How many refresh tokens were ever handed out."""
        return self.refresh_tokens.count

    def route(self, call: Call) -> Route | None:
        """Return who answers a path of the login host, or None for a path that is not one."""
        match = _PATH.fullmatch(call.path)
        if match is None:
            return None
        tenant, page = match[1], match[2]
        if page.endswith("openid-configuration"):
            return Route("discovery", lambda call: self._discovery(call, tenant))
        if page.endswith("authorize"):
            return Route("authorize", lambda call: self._authorize(call, tenant))
        return Route("token", lambda call: self._token(call, tenant))

    def refusal(self, code: int, call: Call) -> Reply:
        """Refuse a call for an AADSTS code as its endpoint does: JSON, or at authorize the way back."""
        if call.path.endswith("/authorize"):
            return self._back(call, _failure(error_document(code, call, self._now())))
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
            return self.refusal(700054, call)
        if query.get("code_challenge_method") != "S256" or query.get("response_mode", "query") != "query":
            return self.refusal(9002313, call)
        return self._back(call, {"code": self._issue_code(query), "session_state": str(uuid.uuid4())})

    def _issue_code(self, query: Mapping[str, str]) -> str:
        code = f"1.AX0A{secrets.token_urlsafe(64)}"
        terms = _Code(
            query["redirect_uri"], query.get("code_challenge", ""), query.get("nonce", ""), self._now()
        )
        with self._codes_lock:
            self._codes[code] = terms
            if len(self._codes) > _CODES_KEPT:
                self._codes.popitem(last=False)
        return code

    def _back(self, call: Call, answer: Mapping[str, str]) -> Reply:
        address = call.query.get("redirect_uri", "")
        state = {"state": call.query["state"]} if "state" in call.query else {}
        glue = "&" if "?" in address else "?"
        return Reply(302).plus(Location=f"{address}{glue}{urlencode({**answer, **state})}")

    def _token(self, call: Call, tenant: str) -> Reply:
        try:
            return self._granted(call, tenant)
        except EntraRefusal as refusal:
            return error_reply(refusal.code, call, self._now())

    def _granted(self, call: Call, tenant: str) -> Reply:
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
        return self._signed_in(call, resource, nonce=nonce, mfa=mfa)

    def _redeem(self, form: Mapping[str, str]) -> tuple[str, bool]:
        """Return the nonce and the second factor of the sign-in behind a code or a refresh token."""
        if form["grant_type"] == "refresh_token":
            if "refresh_token" not in form:
                raise EntraRefusal(900144)
            return "", self.refresh_tokens.redeem(form["refresh_token"], form["client_id"]).mfa
        return self._redeem_code(form).nonce, True

    def _redeem_code(self, form: Mapping[str, str]) -> _Code:
        with self._codes_lock:
            terms = self._codes.get(form.get("code", ""))
            if terms is None:
                raise EntraRefusal(9002313)
            if terms.used:
                raise EntraRefusal(54005)
            self._codes[form["code"]] = _Code(terms.redirect_uri, "", "", terms.issued_at, used=True)
        if self._now() >= terms.issued_at + _CODE_SECONDS:
            raise EntraRefusal(70008)
        if form.get("redirect_uri") != terms.redirect_uri:
            raise EntraRefusal(500112)
        if _challenge(form.get("code_verifier", "")) != terms.challenge:
            raise EntraRefusal(501481)
        return terms

    def _signed_in(self, call: Call, resource: str, *, nonce: str, mfa: bool) -> Reply:
        form = call.form
        scopes = form["scope"].split()
        document = self.access_tokens.for_user(resource, call.origin, mfa=mfa)
        if "offline_access" in scopes:
            document["refresh_token"] = self.issue_refresh_token(client_id=form["client_id"], mfa=mfa)
        if "openid" in scopes:
            document["id_token"] = self.access_tokens.id_token(call.origin, nonce)
        if form.get("client_info") == "1":
            document["client_info"] = self.access_tokens.client_info()
        return json_reply(document).plus(Cache_Control="no-store, no-cache")

    def _check_tenant(self, tenant: str) -> None:
        if tenant != self._identity.tenant_id:
            raise EntraRefusal(50194 if tenant in _SHARED_TENANTS else 90002)

    def _check_client(self, parameters: Mapping[str, str]) -> None:
        if "client_id" not in parameters:
            raise EntraRefusal(900144)
        if parameters["client_id"] != self._identity.client_id:
            raise EntraRefusal(700016)

    def _resource(self, form: Mapping[str, str], origin: str) -> str:
        """Return the one API that a request's scopes name; it becomes the token's audience."""
        wanted = [scope.rpartition("/") for scope in form.get("scope", "").split() if scope not in _RESERVED]
        if len({resource for resource, _, _ in wanted}) != 1:
            raise EntraRefusal(70011)
        resource, _, permission = wanted[0]
        if resource not in (origin, *PARTNER_CENTER_APIS, *OTHER_APIS):
            raise EntraRefusal(500011)
        if permission not in ("user_impersonation", ".default"):
            raise EntraRefusal(65001)
        return resource


def _failure(document: Mapping[str, Json]) -> dict[str, str]:
    return {name: str(document[name]) for name in ("error", "error_description", "error_uri")}


def _check_redirect(address: str) -> None:
    # Entra ID ignores the port of a redirect to the local machine.
    if urlsplit(address).scheme != "http" or urlsplit(address).hostname not in ("localhost", "127.0.0.1"):
        raise EntraRefusal(50011)


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
