"""A request whose end others may see elsewhere is refused, and nothing behind a body is taken for a request."""

import socket

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.toolkit.framing import StrictConnection
from tests.integration.web.conftest import Serve, Served
from tests.integration.web.wire import closed, read_answer
from tests.support.logs import LogStream

OK, BAD = b"HTTP/1.1 200 ", b"HTTP/1.1 400 "
POST = b"POST /-/reload HTTP/1.1\r\nHost: x\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"0\r\n\r\n"

AMBIGUOUS = {
    "length and coding": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "coding and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + CHUNKED,
    "in other letters": POST + b"content-LENGTH:5\r\ntransfer-ENCODING:CHUNKED\r\n\r\n" + CHUNKED,
    "of no length": POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a list of different lengths": POST + b"Content-Length: 5, 6\r\n\r\nhello",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "a length in base 16": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\nhello",
    "a fraction": POST + b"Content-Length: 5.0\r\n\r\nhello",
    "a space in a length": POST + b"Content-Length: 1 0\r\n\r\nhello",
    "no length": POST + b"Content-Length:\r\n\r\nhello",
    "a length of other digits": POST + "Content-Length: \u0665\r\n\r\nhello".encode(),
    "a huge length": POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "two different codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNKED,
    "a list of codings": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED,
    "a list that ends in chunked": POST + b"Transfer-Encoding: identity, chunked\r\n\r\n" + CHUNKED,
    "identity": POST + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
    "a quoted coding": POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKED,
    "a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\nhello",
    "no coding": POST + b"Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello",
    "coding in HTTP/1.0": b"POST /-/reload HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a line that goes on": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKED,
    "a line that goes on after a tab": POST + b"X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n",
    "a first line that goes on": b"POST /-/reload HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "a tab before the colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + CHUNKED,
    "a space before the name": b"POST /-/reload HTTP/1.1\r\n Content-Length: 5\r\nHost: x\r\n\r\nhello",
    "a line feed in a value": POST + b"X: a\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a line feed at the end": POST + b"X: a\n\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n",
    "line feeds alone": b"POST /-/reload HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "a carriage return in a value": POST + b"X: a\rTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "two carriage returns": POST + b"X: a\r\r\nContent-Length: 5\r\n\r\nhello",
    "a NUL": POST + b"Content-Length: 5\0\r\n\r\nhello",
    "a header without a colon": POST + b"Content-Length 5\r\n\r\nhello",
    "an empty name": POST + b": 5\r\n\r\n",
    "two hosts": POST + b"Host: y\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET /-/ready HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /-/ready\r\n\r\n",
    "a leading line": b"\r\nGET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n",
}
CLEAR = {
    "a length": POST + b"Content-Length: 5\r\n\r\nhello",
    "leading zeroes": POST + b"Content-Length: 005\r\n\r\nhello",
    "a coding": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "other letters": POST + b"transfer-encoding:CHUNKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "a trailer that ends in a line feed": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\n",
    "a length in the trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n",
    "a chunk's extension": POST + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
}


def answers(served: Served, sent: bytes) -> bytes:
    """Send and return all that comes until the server closes the connection."""
    client = served.connect()
    client.sendall(sent)
    client.shutdown(socket.SHUT_WR)
    return b"".join(iter(lambda: client.recv(65_536), b""))


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_request_is_refused_and_the_connection_closed(
    serve: Serve, log_stream: LogStream, name: str
) -> None:
    client = serve().connect()
    client.sendall(AMBIGUOUS[name] + HIDDEN)
    answer = client.recv(65_536)
    assert answer.startswith(BAD)
    assert answer.count(b"HTTP/1.") == 1
    assert closed(client)
    assert [entry for entry in log_stream.entries if entry["level"] != "debug"] == []


@pytest.mark.parametrize("name", CLEAR)
def test_nothing_behind_a_body_is_a_request(serve: Serve, name: str) -> None:
    served = serve()
    answer = answers(served, CLEAR[name] + HIDDEN)
    assert answer.startswith(OK)
    assert answer.lower().count(b"connection: close") == 1
    assert answer.count(b"HTTP/1.") == 1


@pytest.mark.parametrize("size", [1, 7, 64])
def test_in_how_many_pieces_it_comes_makes_no_difference(serve: Serve, size: int) -> None:
    served = serve()
    for sent, status in ((AMBIGUOUS["coding and length"], BAD), (CLEAR["a length"], OK)):
        client = served.connect()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for start in range(0, len(sent), size):
                client.sendall(sent[start : start + size])
            answer = client.recv(65_536)
        except ConnectionError:  # the server need not wait for the rest of what it refuses
            answer = BAD
        assert answer.startswith(status)


def test_a_request_without_a_body_keeps_the_connection(serve: Serve) -> None:
    client = serve().connect()
    for method in (b"POST", b"PUT", b"POST"):
        client.sendall(method + b" /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert read_answer(client).startswith(OK)


names = st.sampled_from([b"Content-Length", b"transfer-encoding", b"X", b" X", b"Content-Length ", b""])
values = st.sampled_from([b" 5", b" chunked", b"0", b" a\r b", b" a\n b", b"\tchunked\t", b" 5, 5", b" +5", b""])
line_ends = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n"])
lines = st.lists(st.tuples(names, values, line_ends).map(lambda line: line[0] + b":" + line[1] + line[2]), max_size=4)


@given(lines=lines, version=st.sampled_from([b"1.0", b"1.1", b"1.1", b"1.2"]), end=line_ends)
def test_what_is_accepted_has_one_end_for_everyone(lines: list[bytes], version: bytes, end: bytes) -> None:
    connection = StrictConnection(h11.SERVER)
    head = b"POST / HTTP/" + version + b"\r\nHost: x\r\n" + b"".join(lines) + b"\r\n"
    connection.receive_data(head + end)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return
    if event is h11.NEED_DATA:
        return
    used = (head + end)[: len(head + end) - len(connection.trailing_data[0])]
    written = used.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert not [line for line in written if b"\r" in line or b"\n" in line or line[:1].isspace()]
    fields = [line.partition(b":") for line in written[1:]]
    lengths = [value.strip() for name, _, value in fields if name.lower() == b"content-length"]
    codings = [value.strip() for name, _, value in fields if name.lower() == b"transfer-encoding"]
    assert (lengths, codings) in (([], []), ([b"0"], []), ([b"5"], []), ([], [b"chunked"]))
    assert version == b"1.1" or (version == b"1.0" and codings == [])
