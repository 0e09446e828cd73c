"""Times, counts and labels as text, for pages and terminals."""

import difflib
import time
from collections.abc import Sequence

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def ago(seconds: float) -> str:
    """Return a time span in its largest fitting unit."""
    seconds = abs(seconds)
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.0f} days"


def moment(timestamp: float) -> str:
    """Return a Unix time as date and time, UTC."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(timestamp))
    except (OverflowError, ValueError, OSError):
        return "a time out of range"


def licences(counts: tuple[float | None, ...]) -> str:
    """Return "part of whole", or only the part, as far as they are known."""
    known = [f"{count:,.0f}" for count in counts if count is not None]
    return f"{known[0]} of ?" if known and counts[1:] == (None,) else " of ".join(known)


def visible(text: str) -> str:
    """Return a label with a sign in place of each character that has no picture: it could reorder what is around it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def size(count: float) -> str:
    """Return a number of bytes in its largest fitting unit, of powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # noqa: PLR2004  what is shown as 1000
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"  # noqa: PLR2004
        count /= 1_000
    return f"{count:,.1f} TB"


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return a question that names the known word most similar to this one; nothing if none is."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else ""
