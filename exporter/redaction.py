"""Keeps secrets out of everything that people read: logs, errors, pages and reprs."""

import base64
import html
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from urllib.parse import unquote, unquote_plus

from exporter.messages import Line, printable

MASK = "[redacted]"
MAX_QUOTE = 200

# What is shown is cut far below this; a secret that begins in it is recognised in what follows.
_MAX_READ = 1_024
# Pieces of a secret that are never shown: characters as they are, or letters and digits only in any case.
_EXACT, _LOOSE = 6, 8
_ENCODED_STEP = 4
# Many pieces, however small, are the secret too: this many of four characters, fewer where it is short.
_SMALL, _MANY, _FEW, _SHORT = 4, 3, 2, 16
_STRIDES = (2, 3)
_MAX_FORMS = 40
_MAX_LAYERS = 4
# JSON can hold half of a surrogate pair.
_UTF8 = ("utf-8", "surrogatepass")
# Tokens and client secrets are long runs of base64url characters. A GUID has 36 characters and must stay
# readable (correlation IDs), so only longer runs are masked.
_TOKEN_LIKE = re.compile(r"[A-Za-z0-9_\-.~+]{40,}=*")
_HEX = "[0-9A-Fa-f]"
_BACKSLASHES = re.compile(
    rf"\\(?:u\{{({_HEX}{{1,6}})\}}|u({_HEX}{{4}})|U({_HEX}{{8}})|x({_HEX}{{2}})|([0-7]{{3}})|(.))", re.DOTALL
)
_NUMBERS = re.compile(rf"(?:U\+({_HEX}{{4}})|%u({_HEX}{{4}})|0x({_HEX}{{2}})|\b(\d{{2,3}})\b)[\s,;]*", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{6,}")
# Characters of UTF-8, byte by byte.
_BYTES = re.compile("[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_ENCODED = re.compile(r"[%&\\]")
_GAPS = re.compile(r"[^A-Za-z0-9]+")
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

    def quote_host(self, name: str) -> Line:
        """Return a host's name or address; a long one only looks like a token, so it is compared with the secrets."""
        whole = printable(name, MAX_QUOTE)
        return Line(_WITHHELD if self._repeated_in(whole) else whole)

    def knows(self, secret: Secret) -> bool:
        """Return whether this is one of its secrets."""
        return secret.reveal() in self._secrets

    def carries(self, text: str) -> bool:
        """Return whether a text contains 15 characters of a secret or more: fast, for a million labels."""
        if len(text) < 2 * _LOOSE - 1 or not self._secrets:
            return False
        return self._sampled_in(text) or (bool(_ENCODED.search(text)) and self._sampled_in(_decoded(text)))

    def _sampled_in(self, text: str) -> bool:
        letters = _GAPS.sub("", text).casefold()
        return not (
            self._sampled.isdisjoint(_pieces(text, _LOOSE)) and self._loose.isdisjoint(_pieces(letters, _LOOSE))
        )

    def _repeated_in(self, text: str) -> bool:
        return bool(self._secrets) and any(map(self._in_form, _forms(text)))

    def _in_form(self, text: str) -> bool:
        together, letters = _visible(text), _letters_and_digits(text)
        every_other = (together[start::stride] for stride in _STRIDES for start in range(stride))
        return (
            any(whole in together for whole in self._whole)
            or any(not self._exact.isdisjoint(_pieces(some, _EXACT)) for some in (together, *every_other))
            or not self._loose.isdisjoint(_pieces(letters, _LOOSE))
            # Letters of other scripts are between those of an ASCII secret.
            or not self._loose.isdisjoint(_pieces(_GAPS.sub("", letters), _LOOSE))
            or self._scattered_in(_GAPS.sub("", text))
        )

    def _scattered_in(self, text: str) -> bool:
        """Return whether there are many small pieces of one secret in it, whatever is between them."""
        for small, many in self._small:
            found = set()
            at = 0
            while at < len(text):
                piece = text[at : at + _SMALL]
                if piece in small:
                    found.add(piece)
                at += _SMALL if piece in small else 1
            if len(found) >= many:
                return True
        return False

    @cached_property
    def _whole(self) -> frozenset[str]:
        """Every spelling as a whole: a short secret has no pieces."""
        contents = (content for secret in self._secrets for content in _contents(secret))
        spelled = (*self._secrets, *(text for content in contents for text in _encoded(content)))
        return frozenset(_visible(text) or text for text in spelled)

    @cached_property
    def _exact(self) -> frozenset[str]:
        return frozenset(p for secret in self._secrets for p in _pieces(_visible(secret), _EXACT))

    @cached_property
    def _loose(self) -> frozenset[str]:
        spelled = {_letters_and_digits(text) for secret in self._secrets for text in _spellings(secret)}
        plain = [_letters_and_digits(secret) for secret in self._secrets]
        # What is encoded is longer than the secret, so a part of its pieces finds as many of its characters.
        sampled = (piece for text in spelled for piece in _pieces(text, _LOOSE, step=_ENCODED_STEP))
        return frozenset([*sampled, *(piece for text in plain for piece in _pieces(text, _LOOSE))])

    @cached_property
    def _sampled(self) -> frozenset[str]:
        """Pieces that do not overlap: fifteen characters of a spelling hold one of them, wherever they begin."""
        spelled = {text for secret in self._secrets for text in _spellings(secret)}
        return frozenset(piece for text in spelled for piece in _pieces(text, _LOOSE, step=_LOOSE))

    @cached_property
    def _small(self) -> tuple[tuple[frozenset[str], int], ...]:
        """The small pieces of each secret, and how many of them are too many."""
        letters = (_GAPS.sub("", secret) for secret in self._secrets)
        return tuple((frozenset(_pieces(text, _SMALL)), _FEW if len(text) <= _SHORT else _MANY) for text in letters)


def _pieces(text: str, length: int, *, step: int = 1) -> Iterator[str]:
    return (text[at : at + length] for at in range(0, len(text) - length + 1, step))


def _visible(text: str) -> str:
    """Return the text without white space and whatever else has no picture of its own."""
    return "".join(filter(str.isprintable, "".join(text.split())))


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()


def _spellings(secret: str) -> Iterator[str]:
    """Yield what a secret looks like where decoding the text around it would not bring it back."""
    yield secret
    for content in _contents(secret):
        yield from _encoded(content)
        for shift in (1, 2):
            # In base64 three bytes are four characters: what stands before the secret shifts it.
            for encoded in _encoded(bytes(shift) + content):
                yield encoded[4:-4]


def _contents(secret: str) -> tuple[bytes, ...]:
    return secret.encode(*_UTF8), secret.encode("utf-16-le", "surrogatepass")


def _encoded(content: bytes) -> Iterator[str]:
    yield content.hex()
    yield content.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(content).decode().rstrip("=")


def _forms(text: str) -> Iterator[str]:
    """Yield the text, and what is left of it after any usual decodings, one upon the other."""
    decoded = _decoded(text)
    once = tuple(_from_base64(text))
    twice = (form for inner in once for form in _from_base64(inner))
    queue = list(dict.fromkeys((text, decoded, _from_numbers(text), _from_numbers(decoded), *once, *twice)))
    seen = set(queue)
    while queue and len(seen) < _MAX_FORMS:
        form = queue.pop(0)
        yield form
        for decode in _DECODERS:
            decoded = decode(form)
            if decoded not in seen:
                seen.add(decoded)
                queue.append(decoded)
    yield from queue


def _decoded(text: str) -> str:
    """Return what is left after all decodings but base64, again and again: many layers, and little time."""
    for _ in range(_MAX_LAYERS):
        before = text
        for decode in _DECODERS:
            text = decode(text)
        if text == before:
            break
    return text


def _character(digits: str, base: int, otherwise: str) -> str:
    """Return the character of a number; there is none above Unicode's."""
    number = int(digits, base)
    return chr(number) if number <= sys.maxunicode else otherwise


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        *hexadecimal, octal, other = match.groups()
        digits = next(filter(None, hexadecimal), None)
        if digits or octal:
            return _character(digits or octal, 16 if digits else 8, match[0])
        return str(other)

    # JSON writes some characters as two halves.
    return _BACKSLASHES.sub(character, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _from_bytes(text: str) -> str:
    """Return the text with characters in place of what are the bytes of their UTF-8, taken one by one."""

    def characters(match: re.Match[str]) -> str:
        try:
            return match[0].encode("latin-1").decode()
        except UnicodeDecodeError:
            return match[0]

    return _BYTES.sub(characters, text)


def _from_numbers(text: str) -> str:
    """Return the text with a character in place of each number, which may also mean what it says."""

    def character(match: re.Match[str]) -> str:
        *hexadecimal, decimal = match.groups()
        digits = next(filter(None, hexadecimal), None)
        return _character(digits or decimal, 16 if digits else 10, match[0])

    return _NUMBERS.sub(character, text)


def _from_base64(text: str) -> Iterator[str]:
    """Yield the text with what its base64 stands for, where that may be something, wherever it begins in a run."""

    def content(match: re.Match[str], start: int) -> str:
        run = match[0][start:].replace("-", "+").replace("_", "/")
        run = run[:-1] if len(run) % 4 == 1 else run
        return base64.b64decode(run + "=" * (-len(run) % 4)).decode("latin-1")

    for start in range(4):
        yield _BASE64.sub(partial(content, start=start), text)


_DECODERS: tuple[Callable[[str], str], ...] = (
    unquote,
    unquote_plus,
    html.unescape,
    _unescaped,
    _from_bytes,
    lambda text: unicodedata.normalize("NFKC", text),
)
