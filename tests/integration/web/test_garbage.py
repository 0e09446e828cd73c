"""However a connection ends, what served it is freed at once, not when the garbage collector runs next.

It counts few objects, and knows nothing of what OpenSSL keeps for each: thousands of connections could wait for it.
"""

import gc
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from exporter.web.toolkit.config_file import LiveSettings
from exporter.web.toolkit.tls import ReloadingTls
from tests.integration.web.conftest import SHORT, Serve, Served
from tests.integration.web.material import Material
from tests.integration.web.wire import closed, read_answer
from tests.support.clock import FakeClock
from tests.support.process import PATIENCE_SECONDS, until

CLIENTS = 40
GET = b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n"
PACKAGES = ("asyncio", "_asyncio", "ssl", "_ssl", "h11", "uvicorn", "starlette", "anyio", "exporter")
# A cancelled timer has let go of all that it held, and stays until its time comes.
TIMERS = ("TimerHandle",)

Client = Callable[[socket.socket, Material], None]
Uncollected = Callable[[], Counter[str]]


def alive() -> Counter[str]:
    """Return how many objects there are of each class that has to do with connections."""
    counts = Counter(map(type, gc.get_objects()))  # first: objects are many, their classes few
    return Counter(
        {
            kind.__name__: count
            for kind, count in counts.items()
            if str(kind.__module__).partition(".")[0] in PACKAGES or issubclass(kind, BaseException)
        }
    )


@pytest.fixture
def uncollected() -> Iterator[Uncollected]:
    """Switch the garbage collector off; return a function that counts what there is more since."""
    gc.collect()
    gc.disable()
    before = alive()
    yield lambda: Counter({kind: more for kind, more in (alive() - before).items() if kind not in TIMERS})
    gc.enable()


def leave(_client: socket.socket, _material: Material) -> None: ...


def reset(client: socket.socket, _material: Material) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def sending(data: bytes) -> Client:
    def send(client: socket.socket, _material: Material) -> None:
        client.sendall(data)

    return send


def first_of_a_handshake(client: socket.socket, material: Material) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    wanting = material.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        wanting.do_handshake()
    client.sendall(outgoing.read())
    client.recv(1)


def hear_it_out(client: socket.socket, _material: Material) -> None:
    """Say nothing and wait for the deadline."""
    assert closed(client)


def distrust(client: socket.socket, _material: Material) -> None:
    with suppress(ssl.SSLError):
        ssl.create_default_context().wrap_socket(client, server_hostname="localhost")


def shake_hands(client: socket.socket, material: Material) -> None:
    material.client().wrap_socket(client, server_hostname="localhost").close()


def shake_hands_and_reset(client: socket.socket, material: Material) -> None:
    shaken = material.client().wrap_socket(client, server_hostname="localhost")
    reset(shaken, material)
    shaken.close()


def ask_over_tls(client: socket.socket, material: Material) -> None:
    shaken = material.client().wrap_socket(client, server_hostname="localhost")
    shaken.sendall(GET)
    read_answer(shaken)
    shaken.close()


def end_tls(client: socket.socket, material: Material) -> None:
    shaken = material.client().wrap_socket(client, server_hostname="localhost")
    shaken.sendall(GET)
    read_answer(shaken)
    with suppress(OSError):
        shaken.unwrap()
    shaken.close()


def ask(client: socket.socket, _material: Material) -> None:
    client.sendall(GET)
    read_answer(client)


def ask_and_reset(client: socket.socket, material: Material) -> None:
    ask(client, material)
    reset(client, material)


OVER_TLS: dict[str, Client] = {
    "leaves": leave,
    "resets": reset,
    "half a hello": sending(b"\x16\x03\x01\x02\x00\x01\x00"),
    "garbage": sending(b"\xff" * 500),
    "plain HTTP": sending(GET),
    "leaves after the hello": first_of_a_handshake,
    "silent": hear_it_out,
    "distrusts": distrust,
    "leaves after the handshake": shake_hands,
    "resets after the handshake": shake_hands_and_reset,
    "leaves after an answer": ask_over_tls,
    "ends TLS": end_tls,
}
PLAIN: dict[str, Client] = {
    "leaves": leave,
    "resets": reset,
    "half a header": sending(GET[:5]),
    "garbage": sending(b"\x16\x03"),
    "takes no answer": sending(GET),
    "leaves after an answer": ask,
    "resets after an answer": ask_and_reset,
}


@pytest.mark.parametrize("name", OVER_TLS)
def test_an_ended_tls_connection_leaves_nothing_to_the_garbage_collector(
    serve: Serve, tmp_path: Path, uncollected: Uncollected, name: str
) -> None:
    material = Material(tmp_path)
    material.issue()
    settings = LiveSettings(material.write(tls={}), FakeClock())
    tls = ReloadingTls(lambda: settings().tls, FakeClock())
    deadline = {"handshake_seconds": SHORT} if OVER_TLS[name] is hear_it_out else {}
    served = serve(tls=tls, **deadline)
    assert_nothing_is_left(served, OVER_TLS[name], material, uncollected, tls=material.client())


@pytest.mark.parametrize("name", PLAIN)
def test_an_ended_connection_leaves_nothing_to_the_garbage_collector(
    serve: Serve, tmp_path: Path, uncollected: Uncollected, name: str
) -> None:
    assert_nothing_is_left(serve(), PLAIN[name], Material(tmp_path), uncollected)


def assert_nothing_is_left(
    served: Served, client: Client, material: Material, uncollected: Uncollected, *, tls: ssl.SSLContext | None = None
) -> None:
    """Let clients come and go; the objects of a few may be those of the last ones."""
    served.get("/-/ready", tls=tls)
    before = uncollected()
    for _ in range(CLIENTS):
        with socket.socket() as connection, suppress(ConnectionError):
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(served.address)
            client(connection, material)
    served.get("/-/ready", tls=tls)  # accepted after all the others

    def left() -> dict[str, int]:
        return {kind: more for kind, more in (uncollected() - before).items() if more > CLIENTS / 4}

    with suppress(TimeoutError):
        until(lambda: not left())
    assert left() == {}
