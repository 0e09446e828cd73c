"""What one token request brought, for as long as it holds: an access token, or an error."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from exporter.auth.entra import TokenGrant
from exporter.errors import AuthenticationError, PollError
from exporter.files import Signature
from exporter.redaction import Secret

# A valid access token hides a refused refresh token for an hour or more; renewing it more often than this
# would only load Entra ID.
_RENEWAL_INTERVAL_SECONDS = 900.0
# As MSAL does: a token that is about to expire may do so on its way. A short life has a smaller margin, or each
# request would need a new token.
_EXPIRY_MARGIN_SECONDS = 300.0
_EXPIRY_MARGIN_OF_LIFE = 0.5
# Several sources of a partner fail together; one refusal is answer enough for all of them.
_REFUSAL_LASTS_SECONDS = 30.0
# Who waits for as long as the server asks may wake a little early.
_EARLY_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Access:
    """An access token, and the files that it came from. Times are monotonic."""

    token: Secret
    renew_at: float
    use_until: float
    files: Signature

    @classmethod
    def of(cls, grant: TokenGrant, files: Signature, *, now: float) -> Self:
        """Return the token of a grant."""
        life = grant.lifetime_seconds
        use_until = now + life - min(_EXPIRY_MARGIN_SECONDS, life * _EXPIRY_MARGIN_OF_LIFE)
        return cls(grant.access_token, now + _RENEWAL_INTERVAL_SECONDS, use_until, files)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What it takes to raise the same error again: a new one, as each source adds its own poll to it.

    It holds until other files are there; where the server says Retry-After, `files` is None, and until then.
    """

    kind: type[PollError]
    arguments: Mapping[str, Any]
    expires_at: float
    files: Signature | None

    @classmethod
    def of(cls, error: PollError, files: Signature, *, now: float) -> Self | None:
        """Return what there is to remember of an error, if anything."""
        wait = error.retry_after_seconds
        if wait:
            return cls(type(error), error.arguments(), now + wait, None)
        if isinstance(error, AuthenticationError):
            return cls(type(error), error.arguments(), now + _REFUSAL_LASTS_SECONDS, files)
        return None

    def check(self, files: Signature, *, now: float) -> None:
        """Raise the error again while it holds."""
        left = self.expires_at - now
        if left > _EARLY_SECONDS and self.files in (None, files):
            wait = left if self.files is None else None
            raise self.kind(**{**self.arguments, "retry_after_seconds": wait})
