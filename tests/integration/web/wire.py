"""What a client reads, byte by byte."""

import socket


def closed(client: socket.socket) -> bool:
    """Read to the end; return whether the server closed the connection (a reset is an end too)."""
    try:
        while client.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


def read_answer(client: socket.socket) -> bytes:
    """Return one answer, head and body, of a connection that stays open."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        data += _more(client)
    head = bytes(data.partition(b"\r\n\r\n")[0])
    [length] = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    whole = len(head) + 4 + int(length.split(b":")[1])
    while len(data) < whole:
        data += _more(client)
    return bytes(data)


def _more(client: socket.socket) -> bytes:
    piece = client.recv(65_536)
    if not piece:
        raise EOFError("the server closed the connection")
    return piece
