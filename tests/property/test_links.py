"""Whatever link an answer holds, the token goes to the API's own origin or nowhere."""

from contextlib import suppress
from urllib.parse import unquote

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.errors import PollError
from tests.fixtures.api import API_URL, poll
from tests.property.strategies import torn_text
from tests.support.upstream import MockUpstream

SIGNS = ("//", "/", "\\", "@", ":", ":443", ":80", "?", "#", "[", "]", "%2f", "..", " ", "\t", "\n", "\u3002", "\u200b")
PARTS = ("https://", "http://", "api.example", "elsewhere.example", "/v1/", "user:password@", "xn--", "API.EXAMPLE.")
ODDITIES = st.sampled_from((*SIGNS, *PARTS, "https://user:password@api.example"))
LINKS = torn_text | st.lists(ODDITIES, max_size=8).map("".join)


BASES = st.sampled_from([API_URL, f"{API_URL}/partner", f"{API_URL}/a/b", "https://[::1]", "https://[::1]:8443/v1"])


@given(BASES, LINKS)
@example(API_URL, "//XN--")
@example(API_URL, "//xn--0")
@example(API_URL, "https://xn--a-ecp.example/")
@example(API_URL, "//a.xn--a.example")
def test_any_link_leads_below_the_api_s_own_address_or_is_an_error(base: str, link: str) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        assert request.headers["Authorization"] == "Bearer token"
        return httpx.Response(200, content=b"{}")

    with httpx.Client(transport=MockUpstream(answer)) as http, suppress(PollError):
        poll(http, api_url=base).get(link)
    api = httpx.URL(base)
    for url in asked:
        assert (url.scheme, url.host, url.port) == ("https", api.host, api.port)
        assert url.path.startswith(api.path)
        assert ".." not in unquote(url.path).split("/")
