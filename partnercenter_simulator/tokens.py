"""The tokens that the simulated Entra ID issues, and its record of them."""

import base64
import secrets
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jwt
from jwt.types import Options

from partnercenter_simulator.entra_errors import EntraRefusal
from partnercenter_simulator.wire import Json, dump

REFRESH_TOKEN_LIFETIME_SECONDS = 90 * 86400
_MAX_TOKENS = 100_000
_REVOKED = 50173


def base64url(data: bytes) -> str:
    """Return URL-safe base64 without padding, as in tokens and OAuth."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Identity:
    """The partner's tenant, the client application in it, and the user who signs in."""

    tenant_id: str
    client_id: str
    user_id: str
    user: str

    @classmethod
    def of(cls, seed: int) -> "Identity":
        """Return the identity for a seed, always the same one."""
        tenant, client, user = (str(uuid.uuid5(uuid.NAMESPACE_OID, f"{n} {seed}")) for n in ("t", "c", "u"))
        return cls(tenant, client, user, "exporter@partner.example")


@dataclass(frozen=True, slots=True)
class Grant:
    """A sign-in: the client, the time (seconds since 1970) and whether it used MFA."""

    client_id: str
    issued_at: float
    mfa: bool


class RefreshTokens:
    """The refresh tokens issued. As with Entra ID, using one issues another and leaves the old one valid.

    Only the last `remembered` tokens are known; older ones count as never issued.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.lifetime_seconds: float = REFRESH_TOKEN_LIFETIME_SECONDS
        self.remembered = _MAX_TOKENS
        self._now = now
        self._lock = threading.Lock()
        self._grants: OrderedDict[str, Grant] = OrderedDict()
        self._revoked: dict[str, int] = {}
        self._count = 0

    def issue(self, client_id: str, *, mfa: bool) -> str:
        """Issue a new token."""
        token = f"1.AX0A{secrets.token_urlsafe(96)}"
        with self._lock:
            self._grants[token] = Grant(client_id, self._now(), mfa)
            self._count += 1
            while len(self._grants) > self.remembered:
                self._revoked.pop(self._grants.popitem(last=False)[0], None)
        return token

    def redeem(self, token: str, client_id: str) -> Grant:
        """Return the sign-in behind a token.

        Raises EntraRefusal if it is unknown, revoked, expired or belongs to another client.
        """
        with self._lock:
            grant = self._grants.get(token)
            if grant is None:
                raise EntraRefusal(9002313)
            if token in self._revoked:
                raise EntraRefusal(self._revoked[token])
        if grant.client_id != client_id:
            raise EntraRefusal(700007)
        if self._now() >= grant.issued_at + self.lifetime_seconds:
            raise EntraRefusal(700082)
        return grant

    def revoke(self, token: str, *, code: int = _REVOKED) -> None:
        """Revoke one token; it is then refused with this AADSTS code."""
        with self._lock:
            self._revoked[token] = code

    def revoke_all(self, *, code: int = _REVOKED) -> None:
        """Revoke every token issued so far."""
        with self._lock:
            self._revoked.update(dict.fromkeys(self._grants, code))

    def issued(self) -> tuple[str, ...]:
        """Return the tokens issued, oldest first (the last `remembered`)."""
        with self._lock:
            return tuple(self._grants)

    @property
    def count(self) -> int:
        """How many tokens have been issued in total."""
        with self._lock:
            return self._count


class AccessTokens:
    """Issues access tokens and ID tokens for one application and user, and verifies access tokens.

    `origin` is the https address that the client uses for the login host, `resource` the API's name.
    """

    def __init__(self, identity: Identity, now: Callable[[], float]) -> None:
        self.lifetime_seconds = 3900
        self._identity = identity
        self._now = now
        self._key = secrets.token_bytes(32)

    def for_user(self, resource: str, origin: str, *, mfa: bool) -> dict[str, Json]:
        """Return a token response for the signed-in user."""
        identity = self._identity
        claims = {
            "amr": ["pwd", "mfa"] if mfa else ["pwd"],
            "oid": identity.user_id,
            "upn": identity.user,
            "scp": "user_impersonation",
        }
        # Not the requested scope: a client that requests .default is granted user_impersonation.
        scope = f"openid profile email {resource}/user_impersonation"
        return {"scope": scope, **self._response(resource, origin, claims)}

    def for_app(self, resource: str, origin: str) -> dict[str, Json]:
        """Return a token response for the application itself, without a user."""
        return self._response(resource, origin, {"idtyp": "app"})

    def id_token(self, origin: str, nonce: str) -> str:
        """Return the ID token, which tells the client who signed in."""
        identity = self._identity
        claims = {
            "aud": identity.client_id,
            "iss": f"{origin}/{identity.tenant_id}/v2.0",
            "tid": identity.tenant_id,
            "oid": identity.user_id,
            "sub": identity.user_id,
            "preferred_username": identity.user,
            "ver": "2.0",
            **({"nonce": nonce} if nonce else {}),
        }
        return self._sign(claims)

    def client_info(self) -> str:
        """Return the account's ids as MSAL requests them: a JSON object in base64."""
        return base64url(dump({"uid": self._identity.user_id, "utid": self._identity.tenant_id}))

    def read(self, token: str) -> Mapping[str, object] | None:
        """Return the claims of a token issued here, even if expired; None for any other text."""
        options = Options(verify_exp=False, verify_nbf=False, verify_iat=False, verify_aud=False)
        try:
            claims: dict[str, object] = jwt.decode(token, self._key, algorithms=["HS256"], options=options)
        except jwt.PyJWTError:
            return None
        return claims

    def _response(self, resource: str, origin: str, claims: Mapping[str, object]) -> dict[str, Json]:
        tenant, client = self._identity.tenant_id, self._identity.client_id
        issued = {"aud": resource, "iss": f"{origin}/{tenant}/", "tid": tenant, "appid": client}
        return {
            "token_type": "Bearer",
            "expires_in": self.lifetime_seconds,
            "ext_expires_in": self.lifetime_seconds,
            "access_token": self._sign({**issued, **claims}),
        }

    def _sign(self, claims: Mapping[str, object]) -> str:
        now = int(self._now())
        times = {"iat": now, "nbf": now, "exp": now + self.lifetime_seconds}
        return jwt.encode({**times, "jti": secrets.token_hex(8), **claims}, self._key, algorithm="HS256")
