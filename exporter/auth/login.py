"""The interactive sign-in: the browser is redirected to a listener here, or the user pastes the URL.

Authorisation code with PKCE: learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow.
"""

import html
import http.server
import queue
import sys
import threading
from collections.abc import Mapping
from typing import TextIO
from urllib.parse import parse_qsl, urlsplit

from exporter.auth.entra import CodeFlow, EntraApplication, TokenGrant
from exporter.errors import AuthenticationError, ListenError
from exporter.local_text import local_text
from exporter.messages import line
from exporter.streams import output_problem

# Entra ID ends a sign-in that takes longer than this anyway.
_TIMEOUT_SECONDS = 900.0


def sign_in_interactively(
    entra: EntraApplication, *, port: int, typed: TextIO = sys.stdin, shown: TextIO = sys.stdout
) -> TokenGrant:
    """Let the user sign in and return the tokens; raises PollError, ListenError. Port 0 takes any free one."""
    answers: queue.Queue[str] = queue.Queue()
    listener = _listen(port, answers)
    redirect_uri = f"http://localhost:{listener.server_port}"
    try:
        flow = entra.start_code_flow(redirect_uri)
        print(
            "Open this URL in a browser and sign in with MFA:\n\n"
            f"  {flow.address}\n\n"
            "If that browser is on another machine, it ends up on a page that it can't load\n"
            f"({redirect_uri}/?code=…). Then copy the whole URL from its address bar and paste it here:",
            file=shown,
            flush=True,
        )
        if problem := output_problem():
            raise AuthenticationError(
                line("can't write the URL to standard output: {}", problem),
                remedy=line("run login where its output can be read"),
            )
        threading.Thread(target=_read_lines, args=(typed, answers), daemon=True).start()
        return entra.finish_code_flow(flow, _wait(flow, answers, shown))
    finally:
        listener.shutdown()
        listener.server_close()


def _wait(flow: CodeFlow, answers: "queue.Queue[str]", shown: TextIO) -> Mapping[str, str]:
    """Return the parameters of the first address that belongs to this sign-in."""
    while True:
        try:
            address = answers.get(timeout=_TIMEOUT_SECONDS)
        except queue.Empty:
            raise AuthenticationError(
                line("nobody signed in within 15 minutes"), remedy=line("run login again when you are ready")
            ) from None
        parameters = _parameters(address)
        if parameters.get("state") == flow.state and ("code" in parameters or "error" in parameters):
            return parameters
        print(
            "That is not the URL that this sign-in ended on: it starts with http://localhost and contains "
            "code= and state=. Paste the whole URL:",
            file=shown,
            flush=True,
        )


def _parameters(address: str) -> dict[str, str]:
    """Return an address's query; nothing if it is not a valid address."""
    try:
        return dict(parse_qsl(urlsplit(address.strip()).query))
    except ValueError:
        return {}


def _read_lines(typed: TextIO, answers: "queue.Queue[str]") -> None:
    """Pass on what is typed; at the end of input only the listener is left."""
    for address in typed:
        if address.strip():
            answers.put(address)


def _listen(port: int, answers: "queue.Queue[str]") -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Takes the browser's redirect."""

        timeout = 10

        def do_GET(self) -> None:
            """Pass on the address, and send the user back to the terminal."""
            query = _parameters(self.path)
            if "state" not in query:
                self.send_error(404)
                return
            text = "Return to the terminal to see how the sign-in ended."
            if "error" in query:
                text = f"The sign-in was refused ({html.escape(query['error'])}). {text}"
            body = f"<!DOCTYPE html><meta charset=utf-8><title>Sign-in</title><p>{text}</p>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", "default-src 'none'")
            self.end_headers()
            self.wfile.write(body)
            answers.put(self.path)

        def log_message(self, *_: object) -> None:
            """Log nothing: the address contains the code."""

    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except (OSError, OverflowError) as error:
        raise ListenError(
            line("can't listen on localhost:{} for the browser's redirect: {}", port, local_text(str(error))),
            remedy=line("choose another port with --redirect-port"),
        ) from error
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server
