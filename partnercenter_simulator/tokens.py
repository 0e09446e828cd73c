"""The tokens that the simulated Entra ID hands out, and what it remembers of them."""

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
_REMEMBERED = 100_000
_REVOKED = 50173


@dataclass(frozen=True, slots=True)
class Identity:
    """The partner's tenant, the exporter's application in it, and the user who signs in."""

    tenant_id: str
    client_id: str
    user_id: str
    user: str

    @classmethod
    def of(cls, seed: int) -> "Identity":
        """Return the identity that belongs to a seed, the same every time."""
        tenant, client, user = (str(uuid.uuid5(uuid.NAMESPACE_OID, f"{n} {seed}")) for n in ("t", "c", "u"))
        return cls(tenant, client, user, "exporter@partner.example")


@dataclass(frozen=True, slots=True)
class Grant:
    """A sign-in: for which client, at what time (seconds since 1970), and whether with a second factor."""

    client_id: str
    issued_at: float
    mfa: bool


class RefreshTokens:
    """Refresh tokens by value. Using one issues another and leaves the old one valid, as Entra ID does.

    Only the newest `remembered` are known; older ones count as never issued.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.lifetime_seconds: float = REFRESH_TOKEN_LIFETIME_SECONDS
        self.remembered = _REMEMBERED
        self._now = now
        self._lock = threading.Lock()
        self._grants: OrderedDict[str, Grant] = OrderedDict()
        self._revoked: dict[str, int] = {}
        self._count = 0

    def issue(self, client_id: str, *, mfa: bool) -> str:
        """Hand out a new token."""
        token = f"1.AX0A{secrets.token_urlsafe(96)}"
        with self._lock:
            self._grants[token] = Grant(client_id, self._now(), mfa)
            self._count += 1
            while len(self._grants) > self.remembered:
                self._revoked.pop(self._grants.popitem(last=False)[0], None)
        return token

    def redeem(self, token: str, client_id: str) -> Grant:
        """Return the sign-in behind a token; raise EntraRefusal if it is unknown, another's or dead."""
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
        """Refuse one token from now on, with an AADSTS code."""
        with self._lock:
            self._revoked[token] = code

    def revoke_all(self, *, code: int = _REVOKED) -> None:
        """Refuse every token handed out so far."""
        with self._lock:
            self._revoked.update(dict.fromkeys(self._grants, code))

    def issued(self) -> tuple[str, ...]:
        """Return the tokens handed out, oldest first (the newest 100,000)."""
        with self._lock:
            return tuple(self._grants)

    @property
    def count(self) -> int:
        """How many tokens were ever handed out."""
        with self._lock:
            return self._count


class AccessTokens:
    """Signs the tokens for one application and user, and reads them back.

    `origin` is the https address by which the client knows the login host, `resource` the API's name.
    """

    def __init__(self, identity: Identity, now: Callable[[], float]) -> None:
        self.lifetime_seconds = 3900
        self._identity = identity
        self._now = now
        self._key = secrets.token_bytes(32)

    def for_user(self, resource: str, origin: str, *, mfa: bool) -> dict[str, Json]:
        """Return a token answer for the signed-in user; `mfa` is whether with a second factor."""
        identity = self._identity
        claims = {
            "amr": ["pwd", "mfa"] if mfa else ["pwd"],
            "oid": identity.user_id,
            "upn": identity.user,
            "scp": "user_impersonation",
        }
        # Never the words that were asked for: a client that asked for .default finds user_impersonation.
        scope = f"openid profile email {resource}/user_impersonation"
        return {"scope": scope, **self._answer(resource, origin, claims)}

    def for_app(self, resource: str, origin: str) -> dict[str, Json]:
        """Return a token answer for the application itself, without a user."""
        return self._answer(resource, origin, {"idtyp": "app"})

    def id_token(self, origin: str, nonce: str) -> str:
        """Return the token that tells the client who signed in."""
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
        """Return the account's ids as MSAL asks for them: base64 of a JSON object."""
        ids = dump({"uid": self._identity.user_id, "utid": self._identity.tenant_id})
        return base64.urlsafe_b64encode(ids).rstrip(b"=").decode()

    def read(self, token: str) -> Mapping[str, object] | None:
        """Return the claims of a token of ours, expired or not; None for anything else."""
        options = Options(verify_exp=False, verify_nbf=False, verify_iat=False, verify_aud=False)
        try:
            claims: dict[str, object] = jwt.decode(token, self._key, algorithms=["HS256"], options=options)
        except jwt.PyJWTError:
            return None
        return claims

    def _answer(self, resource: str, origin: str, claims: Mapping[str, object]) -> dict[str, Json]:
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
