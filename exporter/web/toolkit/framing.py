"""Where a request ends: h11 without what another server, like a proxy in front, may read differently.

Two that disagree about the end of a request can be made to take a part of one client's request for another's
(request smuggling, RFC 9112 section 11.2).
"""

import re

import h11

# What h11 lets through, and RFC 9112 lets a server refuse: line feeds alone (2.2), continued lines (5.2), protocols
# other than HTTP/1.0 and 1.1 (2.3).
_STRICT = re.compile(rb"[^\r\n]+ HTTP/1\.[01]\r\n(?:[^\r\n \t][^\r\n]*\r\n)*\r\n")
_FRAMING = re.compile(rb"^(content-length|transfer-encoding):[ \t]*([^\r\n]*?)[ \t]*\r\n", re.IGNORECASE | re.MULTILINE)
_HEAD_ENDS = (b"\n\r\n", b"\n\n")


class StrictConnection(h11.Connection):
    """Refuses a request whose end is ambiguous before anything of it is used."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Parse on; raises h11.RemoteProtocolError."""
        if self.their_state is h11.IDLE:
            _check(self.trailing_data[0])
        try:
            return super().next_event()
        except h11.RemoteProtocolError as error:
            # h11 raises it in a method of the error itself, whose frame would keep it and the connection in memory.
            error.__traceback__ = None
            raise


def has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether a request's header announces a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")) for name, value in headers
    )


def _check(received: bytes) -> None:
    """Raise h11.RemoteProtocolError if a whole head has been received and is ambiguous."""
    ends = [at + len(end) for end in _HEAD_ENDS if (at := received.find(end)) >= 0]
    if not ends:
        return
    head = received[: min(ends)]
    framing = _FRAMING.findall(head)
    if not _STRICT.fullmatch(head) or len(framing) > 1 or not all(_is_clear(head, *field) for field in framing):
        raise h11.RemoteProtocolError("the end of the request is ambiguous")


def _is_clear(head: bytes, name: bytes, value: bytes) -> bool:
    if name.lower() == b"content-length":
        return value.isdigit()
    return value.lower() == b"chunked" and b" HTTP/1.1\r\n" in head[: head.index(b"\n") + 1]
