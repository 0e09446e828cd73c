"""The interactive sign-in: the browser is redirected to a listener here, or the user pastes the URL.

Authorisation code with PKCE: learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow.
"""

import math
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from exporter.auth.entra import CodeFlow, EntraApplication, TokenGrant
from exporter.auth.pasted import MAX_LENGTH, Pasted
from exporter.auth.redirect_listener import RedirectListener
from exporter.errors import AuthenticationError, PayloadError
from exporter.messages import line
from exporter.redaction import Redactor
from exporter.streams import output_problem
from exporter.terminal import lines_of, long_lines

# Entra ID ends a sign-in that takes longer than this anyway.
_TIMEOUT_SECONDS = 900.0
_MAX_WRONG_LINES = 20
# An address may be broken over many lines.
_MAX_LINES = 2_000
# A paste is complete once nothing more has come for so long.
_PASTE_SECONDS = 0.5
_MAX_TEXT_LENGTH = 1_000
# What this sign-in itself made or gets back, and text that somebody may be shown. MSAL needs no more, and of
# `client_info`, which Entra ID adds, it would take nothing but the original: for it alone a sign-in must not fail.
_EXACT = ("code", "state")
_NEEDED = (*_EXACT, "error", "error_description", "error_uri")

_Answers = queue.SimpleQueue[Mapping[str, str] | str]
"""The parameters of addresses that a browser opened, and lines that were typed or pasted."""


def sign_in_interactively(
    entra: EntraApplication, *, port: int, typed: TextIO, shown: TextIO, timeout_seconds: float = _TIMEOUT_SECONDS
) -> TokenGrant:
    """Let the user sign in and return the tokens; raises PollError, ListenError. Port 0 takes any free one.

    The timeout is for the whole sign-in, whatever is pasted or sent to the listener meanwhile.
    """
    ends_at = time.monotonic() + timeout_seconds
    answers: _Answers = queue.SimpleQueue()
    with long_lines(typed), closing(RedirectListener(port)) as listener:
        redirect_uri = f"http://localhost:{listener.port}"
        flow = entra.start_code_flow(redirect_uri)
        if not flow.address.isascii() or not flow.address.isprintable():
            remedy = line("check which server answers at `authority`")
            raise PayloadError(line("the authority names a sign-in address that is no URL"), remedy=remedy)
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
        listener.serve(_Redirects(flow, answers).take)
        threading.Thread(target=_read_lines, args=(typed, answers), daemon=True).start()
        return entra.finish_code_flow(flow, _wait(flow, answers, shown, ends_at=ends_at))


def _wait(flow: CodeFlow, answers: _Answers, shown: TextIO, *, ends_at: float) -> Mapping[str, str]:
    """Return the parameters of the first address that belongs to this sign-in, in a form that can be shown."""
    pasted, wrong_lines = Pasted(), 0
    for parameters, typed in _addresses(answers, pasted, ends_at):
        if _belongs(parameters, flow):
            return {name: _printable(name, text) for name, text in parameters.items() if name in _NEEDED}
        if not typed:
            print("A browser came back from another sign-in: ignored. Use the URL above.", file=shown, flush=True)
            continue
        wrong_lines += 1
        if wrong_lines == _MAX_WRONG_LINES:
            break
        print(
            f"That is not the URL that this sign-in ended on: {pasted.problem(flow.state)}. It starts with "
            "http://localhost and contains code= and state=. Paste the whole URL, or the rest of it:",
            file=shown,
            flush=True,
        )
    raise AuthenticationError(
        line("{} lines were pasted, none of which is the URL of this sign-in", wrong_lines),
        remedy=line("run login again, and paste only the URL that the browser ended on"),
    )


def _addresses(answers: _Answers, pasted: Pasted, ends_at: float) -> Iterator[tuple[Mapping[str, str], bool]]:
    """Yield the parameters of each address, and whether it was pasted; raises AuthenticationError at the end."""
    patience = math.inf
    while True:
        answer = _next(answers, ends_at, patience_seconds=patience)
        if isinstance(answer, str) and pasted.add(answer):
            patience = _PASTE_SECONDS
        elif answer is None or isinstance(answer, str):
            patience = math.inf
            yield pasted.parameters, True
        else:
            yield answer, False


def _next(answers: _Answers, ends_at: float, *, patience_seconds: float) -> Mapping[str, str] | str | None:
    """Return None if nothing comes within the patience; raise AuthenticationError once the time is up."""
    left = ends_at - time.monotonic()
    with suppress(queue.Empty):
        answer = answers.get(timeout=max(min(left, patience_seconds), 0.0))
        if time.monotonic() < ends_at:
            return answer
    if patience_seconds < left:
        return None
    remedy = line("run login again when you are ready")
    raise AuthenticationError(line("nobody signed in within 15 minutes"), remedy=remedy)


def _belongs(parameters: Mapping[str, str], flow: CodeFlow) -> bool:
    return parameters.get("state") == flow.state and ("code" in parameters or "error" in parameters)


def _printable(name: str, text: str) -> str:
    return text if name in _EXACT else Redactor().quote(text, limit=_MAX_TEXT_LENGTH)


@dataclass
class _Redirects:
    """Passes on redirects to this sign-in, and the first of any others: a page could send them without end."""

    flow: CodeFlow
    answers: _Answers
    others: int = 0

    def take(self, parameters: Mapping[str, str]) -> None:
        if not _belongs(parameters, self.flow):
            self.others += 1
            if self.others > 1:
                return
        self.answers.put(parameters)


def _read_lines(typed: TextIO, answers: _Answers) -> None:
    """Pass on as many lines as an address may have; at the end of input only the listener is left."""
    pasted = (text for text in lines_of(typed, max_length=MAX_LENGTH) if text.strip())
    for text in islice(pasted, _MAX_LINES):
        answers.put(text)
