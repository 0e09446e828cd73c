"""Listen addresses as Prometheus writes them."""

import pytest

from exporter.errors import ConfigurationError
from exporter.web.toolkit.listening import split_address


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        (":10058", "", 10058),
        ("127.0.0.1:9090", "127.0.0.1", 9090),
        ("localhost:0", "localhost", 0),
        ("[::1]:10058", "::1", 10058),
        ("[::]:65535", "::", 65535),
    ],
)
def test_an_address_is_host_and_port(address: str, host: str, port: int) -> None:
    assert split_address(address) == (host, port)


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":",
        "10058",
        "localhost",
        "localhost:",
        ":http",
        ":-1",
        ":65536",
        ":99999999999999999999",
        ":" + "9" * 5_000,
        ":1.5",
        ": 80",
        "::1",
        "::1:10058",
        "[::1]",
        "[::1",
        "a:b:80",
        "http://localhost:10058",
    ],
    ids=lambda address: address[:30],
)
def test_an_invalid_address_is_refused_with_its_flag(address: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        split_address(address)
    assert "--web.listen-address" in str(refused.value)
    assert "host:port" in str(refused.value)
