"""Keeps secrets out of everything that people read: logs, errors, pages and reprs."""

import html
import re
from dataclasses import dataclass
from urllib.parse import quote_plus

MASK = "[redacted]"

# Tokens and client secrets are long runs of base64url characters. A GUID has 36 characters and must stay
# readable (correlation IDs), so only longer runs are masked.
_TOKEN_LIKE = re.compile(r"[A-Za-z0-9_\-.~+]{40,}=*")


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret string, shown only by `reveal()`."""

    _value: str

    def reveal(self) -> str:
        """Return the secret itself, for the one place that sends or stores it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)


def redact(text: str, *secrets: Secret | None) -> str:
    """Return text from outside without the given secrets and without anything that looks like a token."""
    for secret in secrets:
        if secret:
            bare = secret.reveal()
            # A gateway's page may repeat the request as it came, or escaped.
            for spelling in {bare, quote_plus(bare), html.escape(bare)}:
                text = text.replace(spelling, MASK)
    return _TOKEN_LIKE.sub(MASK, text)


def excerpt(body: bytes, *secrets: Secret | None, limit: int = 120) -> str:
    """Return the beginning of a body as one printable line, safe to log."""
    return one_line(body.decode("utf-8", "replace"), *secrets, limit=limit)


def one_line(text: str, *secrets: Secret | None, limit: int) -> str:
    """Return the first `limit` characters of text from outside as one printable line, safe to log."""
    # Truncate last: half a secret would not be recognised.
    line = "".join(c if c.isprintable() else " " for c in redact(text, *secrets)[: limit * 8])
    line = " ".join(line.split())
    return line if len(line) <= limit else line[:limit] + "…"
