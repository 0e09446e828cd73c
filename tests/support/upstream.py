"""An upstream in memory, for what needs neither sockets nor TLS."""

import httpx


class MockUpstream(httpx.MockTransport):
    """Answers as the function says; the bodies are read as they would be from a connection."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the function's response, not read yet."""
        answer = super().handle_request(request)
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=answer.stream, extensions=answer.extensions
        )
