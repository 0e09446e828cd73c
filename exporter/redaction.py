"""Keeps secrets out of everything that people read: logs, errors, pages and reprs."""

import base64
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote, unquote_plus

from exporter.messages import Line, printable

MASK = "[redacted]"
MAX_QUOTE = 200

# What is shown is cut far below this; a secret that begins in it is recognised in what follows.
_MAX_READ = 2_048
# Pieces of a secret that are never shown: characters as they are, or letters and digits only in any case.
_EXACT, _LOOSE = 6, 8
_MAX_FORMS = 40
# JSON can hold half of a surrogate pair.
_UTF8 = ("utf-8", "surrogatepass")
# Tokens and client secrets are long runs of base64url characters. A GUID has 36 characters and must stay
# readable (correlation IDs), so only longer runs are masked.
_TOKEN_LIKE = re.compile(r"[A-Za-z0-9_\-.~+]{40,}=*")
_BACKSLASHES = re.compile(r"\\(?:u\{?([0-9A-Fa-f]{4,6})\}?|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_WITHHELD = Line("[withheld: it repeats a secret]")


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


def redact(text: str) -> str:
    """Return the text without anything that looks like a token."""
    return _TOKEN_LIKE.sub(MASK, text)


class Redactor:
    """Makes text from outside fit to be shown, knowing the secrets of the request that brought it.

    A text that repeats one of them, or a piece of one, is not shown at all: not as it was sent, nor in percent
    encoding, base64, hexadecimal digits, JSON's or HTML's escapes, other case, or scattered among other characters.
    """

    def __init__(self, *secrets: Secret | None) -> None:
        self._secrets = tuple({secret.reveal() for secret in secrets if secret})

    def quote(self, text: str | bytes, *, limit: int = MAX_QUOTE) -> Line:
        """Return the beginning of a text, which may be anything, as one printable line of at most `limit` characters.

        It is empty where even the notice that something is withheld would repeat a secret.
        """
        # Four bytes are at most one character in UTF-8.
        words = text[: 4 * _MAX_READ].decode("utf-8", "replace") if isinstance(text, bytes) else text
        words = words[:_MAX_READ]
        shown = printable(redact(words.removeprefix("\ufeff")), limit)
        for line in (shown, _WITHHELD[:limit]):
            if not (self._repeated_in(line) or (line is shown and self._repeated_in(words))):
                return Line(line)
        return Line("")

    def knows(self, secret: Secret) -> bool:
        """Return whether this is one of its secrets."""
        return secret.reveal() in self._secrets

    def carries(self, text: str) -> bool:
        """Return whether a text contains 15 characters of a secret or more: fast, for a million labels."""
        pieces = self._sampled
        return bool(pieces) and any(text[at : at + _LOOSE] in pieces for at in range(0, len(text) - _LOOSE + 1, _LOOSE))

    def _repeated_in(self, text: str) -> bool:
        return bool(self._secrets) and any(map(self._in_form, _forms(text)))

    def _in_form(self, text: str) -> bool:
        together = _visible(text)
        return (
            any(whole in together for whole in self._whole)
            or not self._exact.isdisjoint(_pieces(together, _EXACT))
            or not self._loose.isdisjoint(_pieces(_letters_and_digits(text), _LOOSE))
        )

    @cached_property
    def _whole(self) -> frozenset[str]:
        """Every spelling as a whole: a short secret has no pieces."""
        spelled = (text for secret in self._secrets for text in (secret, *_encoded(secret.encode(*_UTF8))))
        return frozenset(_visible(text) or text for text in spelled)

    @cached_property
    def _exact(self) -> frozenset[str]:
        return frozenset(p for secret in self._secrets for p in _pieces(_visible(secret), _EXACT))

    @cached_property
    def _loose(self) -> frozenset[str]:
        spelled = (_letters_and_digits(text) for secret in self._secrets for text in _spellings(secret))
        return frozenset(piece for text in spelled for piece in _pieces(text, _LOOSE))

    @cached_property
    def _sampled(self) -> frozenset[str]:
        spelled = (text for secret in self._secrets for text in _spellings(secret))
        return frozenset(piece for text in spelled for piece in _pieces(text, _LOOSE))


def _pieces(text: str, length: int) -> Iterator[str]:
    return (text[at : at + length] for at in range(len(text) - length + 1))


def _visible(text: str) -> str:
    """Return the text without white space and whatever else has no picture of its own."""
    return "".join(filter(str.isprintable, "".join(text.split())))


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()


def _spellings(secret: str) -> Iterator[str]:
    """Yield what a secret looks like where decoding the text around it would not bring it back."""
    yield secret
    content = secret.encode(*_UTF8)
    yield from _encoded(content)
    for shift in (1, 2):
        # In base64 three bytes are four characters: what stands before the secret shifts it.
        for encoded in _encoded(bytes(shift) + content):
            yield encoded[4:-4]


def _encoded(content: bytes) -> Iterator[str]:
    yield content.hex()
    yield content.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(content).decode().rstrip("=")


def _forms(text: str) -> Iterator[str]:
    """Yield the text, and what is left of it after any usual decodings, one upon the other."""
    seen = {text}
    queue = [text]
    while queue and len(seen) < _MAX_FORMS:
        form = queue.pop(0)
        yield form
        for decode in _DECODERS:
            with suppress(ValueError, OverflowError):
                decoded = decode(form)
                if decoded not in seen:
                    seen.add(decoded)
                    queue.append(decoded)
    yield from queue


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        digits = match[1] or match[2]
        return chr(int(digits, 16)) if digits else match[3]

    # JSON writes some characters as two halves.
    return _BACKSLASHES.sub(character, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_DECODERS: tuple[Callable[[str], str], ...] = (
    unquote,
    unquote_plus,
    html.unescape,
    _unescaped,
    lambda text: unicodedata.normalize("NFKC", text),
)
