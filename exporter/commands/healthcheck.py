"""`healthcheck`: checks the health of the local exporter. Light: containers run it twice a minute."""

import ssl
import sys
from contextlib import closing
from http.client import OK, HTTPConnection, HTTPException, HTTPSConnection

from exporter.arguments import ExitStatus, Healthcheck
from exporter.messages import printable
from exporter.web.toolkit.listening import split_address

_TIMEOUT_SECONDS = 5.0
_MAX_TEXT = 1_000
_WITHOUT_ADDRESS = "; systemd knows the address: give that of the .socket unit as --web.listen-address"
# An address that means every interface is reached at the loopback one.
_LOOPBACK = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared only
# The alerts of a server that works but requires a client certificate, in TLS 1.3 and 1.2.
_WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE")


def run(arguments: Healthcheck) -> ExitStatus:
    """Print the answer; return whether it is that the exporter is healthy. Raises ConfigurationError."""
    host, port = split_address(arguments.listen_addresses[0])
    host = _LOOPBACK.get(host, host)
    plain = HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        status, text = _ask_with_tls(plain) if arguments.web_config_file else _ask(plain)
    except (OSError, HTTPException) as error:
        hint = _WITHOUT_ADDRESS if arguments.systemd_socket else ""
        print(f"no response from {host}:{port}: {printable(str(error), _MAX_TEXT)}{hint}", file=sys.stderr)
        return ExitStatus.FAILED
    print(printable(text, _MAX_TEXT))
    return ExitStatus.SUCCESS if status == OK else ExitStatus.FAILED


def _ask_with_tls(plain: HTTPConnection) -> tuple[int, str]:
    """Ask with TLS, and without if the server doesn't speak it.

    The file isn't read: it may have changed, for better or worse, since the exporter read it.
    """
    context = ssl.create_default_context()
    # Whether the certificate is the right one has nothing to do with health.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return _ask(HTTPSConnection(plain.host, plain.port, timeout=_TIMEOUT_SECONDS, context=context))
    except ssl.SSLError as error:
        if any(alert in str(error).upper() for alert in _WANTS_CERTIFICATE):
            return OK, "alive: it asks for a client certificate"
        if error.reason == "WRONG_VERSION_NUMBER":
            return _ask(plain)
        raise


def _ask(connection: HTTPConnection) -> tuple[int, str]:
    """Return status and text of the answer; raises OSError and HTTPException."""
    with closing(connection):
        connection.request("GET", "/-/healthy")
        response = connection.getresponse()
        return response.status, response.read(_MAX_TEXT).decode("utf-8", "replace").strip()
