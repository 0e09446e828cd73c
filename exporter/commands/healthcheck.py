"""`healthcheck`: asks the local exporter whether it works. Light: containers run it twice a minute."""

import argparse
import http.client
import ssl
import sys

from exporter.cli import DEFAULT_PORT, DONE, FAILED
from exporter.web.toolkit.listening import split_address

_TIMEOUT_SECONDS = 5.0
_OK = 200


def main(arguments: argparse.Namespace) -> int:
    """Return 0 when the exporter says that it is healthy."""
    addresses = arguments.listen_addresses or [f":{DEFAULT_PORT}"]
    host, port = split_address(addresses[0])
    # An address that means every interface is reached at the loopback one.
    host = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared only
    try:
        status, words = _ask_over_tls(host, port) if arguments.web_config_file else _ask(host, port)
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer from {host}:{port}: {error}", file=sys.stderr)
        return FAILED
    print(words)
    return DONE if status == _OK else FAILED


def _ask_over_tls(host: str, port: int) -> tuple[int, str]:
    """Ask with TLS and, where that is not spoken, without.

    The file isn't asked: it may have changed, and be good or not, since the exporter read it.
    """
    context = ssl.create_default_context()
    # Whether it is the right certificate is no question of health.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return _ask(host, port, context)
    except ssl.SSLError as error:
        if _wants_a_client_certificate(error):
            return _OK, "alive: it asks for a client certificate"
        if error.reason == "WRONG_VERSION_NUMBER":
            return _ask(host, port)
        raise


def _ask(host: str, port: int, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    """Return status and words of the answer; raises OSError and HTTPException."""
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=context)
        if context
        else http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    )
    try:
        connection.request("GET", "/-/healthy")
        response = connection.getresponse()
        return response.status, response.read(1000).decode("utf-8", "replace").strip()
    finally:
        connection.close()


def _wants_a_client_certificate(error: ssl.SSLError) -> bool:
    """Whether the server works but wants to know who asks (TLS 1.3's own alert, or 1.2's)."""
    return any(word in str(error).upper() for word in ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE"))
