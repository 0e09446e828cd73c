"""`healthcheck`: asks the local exporter whether it works. Light: containers run it twice a minute."""

import argparse
import http.client
import sys

from exporter.cli import DEFAULT_PORT, DONE, FAILED
from exporter.web.address import split_address

_TIMEOUT_SECONDS = 5.0
_OK = 200


def main(arguments: argparse.Namespace) -> int:
    """Return 0 when the exporter says that it is healthy."""
    addresses = arguments.listen_addresses or [f":{DEFAULT_PORT}"]
    host, port = split_address(addresses[0])
    # An address that means every interface is reached at the loopback one.
    host = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared only
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/-/healthy")
        response = connection.getresponse()
        words = response.read(1000).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer from {host}:{port}: {error}", file=sys.stderr)
        return FAILED
    finally:
        connection.close()
    print(words)
    return DONE if response.status == _OK else FAILED
