"""`healthcheck`: asks the local exporter whether it works. Light: containers run it twice a minute."""

import argparse
import http.client
import ssl
import sys
from pathlib import Path

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
    connection = _connection(host, port, arguments.web_config_file)
    try:
        connection.request("GET", "/-/healthy")
        response = connection.getresponse()
        words = response.read(1000).decode("utf-8", "replace").strip()
    except ssl.SSLError as error:
        if _wants_a_client_certificate(error):
            print("alive: it asks for a client certificate")
            return DONE
        print(f"no answer from {host}:{port}: {error}", file=sys.stderr)
        return FAILED
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer from {host}:{port}: {error}", file=sys.stderr)
        return FAILED
    finally:
        connection.close()
    print(words)
    return DONE if response.status == _OK else FAILED


def _connection(host: str, port: int, web_config_file: str | None) -> http.client.HTTPConnection:
    """Return a connection with TLS where the web configuration has it. The certificate isn't judged here."""
    if web_config_file is None:
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    from exporter.config.web import has_tls  # noqa: PLC0415  only where a file is named

    if not has_tls(Path(web_config_file)):
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=context)


def _wants_a_client_certificate(error: ssl.SSLError) -> bool:
    """Whether the server works but wants to know who asks (TLS 1.3's own alert, or 1.2's)."""
    return any(word in str(error).upper() for word in ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE"))
