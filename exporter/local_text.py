"""Text of this machine and its operator as a `Line`: configuration, flags, file names, what this program stored.

Not for text that an upstream had a say in: that needs the secrets of its request, and an import contract in
pyproject.toml keeps this module away from where such text arrives.
"""

from exporter.messages import Line, printable


def local_text(text: str, *, limit: int = 1_000) -> Line:
    """Return the text as one printable line of at most `limit` characters."""
    return Line(printable(text, limit))
