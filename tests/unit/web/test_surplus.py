"""Which requests are too many."""

import pytest

from exporter.web.toolkit.surplus import Surplus

URGENT = ("/metrics", "/-/healthy")


@pytest.mark.parametrize(
    "received",
    [
        b"GET / HTTP/1.1\r\n",
        b"GET /-/healthy2 HTTP/1.1\r\n",
        b"GET /metrics/ HTTP/1.1\r\n",
        b"POST /-/reload HTTP/1.1\r\n",
        b"POST /metrics HTTP/1.1\r\n",
        b"GET http://elsewhere.example/?/metrics HTTP/1.1\r\n",
        b"GET",
        b"\x16\x03\x01",
    ],
)
def test_so_many_a_second_and_no_more(received: bytes) -> None:
    surplus = Surplus(2, URGENT)
    assert [surplus.takes(received, now) for now in (10.0, 10.5, 10.9, 10.9, 11.0)] == [False, False, True, True, False]


@pytest.mark.parametrize(
    "received",
    [
        b"GET /metrics HTTP/1.1\r\n",
        b"HEAD /-/healthy HTTP/1.0\r\n",
        b"GET /metrics?x=/ HTTP/1.1\r\n",
        b"GET http://exporter.example:1/metrics HTTP/1.1\r\n",
    ],
)
def test_what_monitoring_asks_for_is_never_too_much_and_not_counted(received: bytes) -> None:
    surplus = Surplus(1, URGENT)
    assert not any(surplus.takes(received, 10.0) for _ in range(3))
    assert [surplus.takes(b"GET / HTTP/1.1\r\n", 10.0) for _ in range(2)] == [False, True]
