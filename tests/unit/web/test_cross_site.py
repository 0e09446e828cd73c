"""Which requests a page of another site has caused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from exporter.web.toolkit.cross_site import is_cross_site


def headers(host: str = "exporter.example:10058", **named: str) -> Headers:
    """Return the headers of a request; an underscore in a name stands for a hyphen."""
    return Headers({"host": host, **{name.replace("_", "-"): value for name, value in named.items()}})


def test_a_client_that_is_no_browser_says_nothing_and_is_let_through() -> None:
    assert not is_cross_site(headers())
    assert not is_cross_site(Headers({}))


@pytest.mark.parametrize("site", ["same-origin", "none", "Same-Origin"])
def test_the_server_s_own_page_and_the_user_are_let_through(site: str) -> None:
    assert not is_cross_site(headers(sec_fetch_site=site))
    assert not is_cross_site(headers(sec_fetch_site=site, origin="http://exporter.example:10058"))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "null", "anything new", "same-origin, none"])
def test_a_page_of_another_site_is_refused_by_its_site(site: str) -> None:
    assert is_cross_site(headers(sec_fetch_site=site))
    assert is_cross_site(headers(sec_fetch_site=site, origin="http://exporter.example:10058"))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("exporter.example:10058", "http://exporter.example:10058"),
        ("exporter.example:10058", "https://EXPORTER.example:10058"),
        ("Exporter.example", "http://exporter.example"),
        ("exporter.example", "https://exporter.example:443"),
        ("exporter.example:80", "http://exporter.example"),
        ("[::1]:10058", "http://[::1]:10058"),
        ("192.0.2.1", "http://192.0.2.1"),
    ],
)
def test_a_page_of_this_server_is_let_through_by_its_origin(host: str, origin: str) -> None:
    assert not is_cross_site(headers(host, origin=origin))


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://elsewhere.example",
        "http://elsewhere.example:10058",
        "http://exporter.example",
        "http://exporter.example:10059",
        "http://exporter.example:10058.elsewhere.example",
        "http://exporter.example:10058@elsewhere.example",
        "http://elsewhere.example@exporter.example:10058",
        "http://exporter.example:10058/path",
        "http://exporter.example:10058, http://elsewhere.example",
        "http://elsewhere.example http://exporter.example:10058",
        "exporter.example:10058",
        "//exporter.example:10058",
        "file://",
        "chrome-extension://exporter.example:10058",
        "http://[",
        "http://exporter.example:port",
    ],
)
def test_a_page_of_another_site_is_refused_by_its_origin(origin: str) -> None:
    assert is_cross_site(headers(origin=origin))
    assert is_cross_site(headers(origin=origin, sec_fetch_site="same-origin"))


@pytest.mark.parametrize("host", ["", "exporter.example:port", "[", "a@b", "null"])
def test_a_host_that_can_t_be_read_is_nobody_s(host: str) -> None:
    assert is_cross_site(headers(host, origin="http://exporter.example"))
    assert is_cross_site(headers(host, origin="null"))
    assert is_cross_site(headers(host, origin="http://"))


def test_of_several_headers_each_counts() -> None:
    both = [(b"host", b"a"), (b"origin", b"http://a"), (b"origin", b"http://b")]
    assert is_cross_site(Headers(raw=both))
    assert is_cross_site(Headers(raw=[(b"sec-fetch-site", b"none"), (b"sec-fetch-site", b"cross-site")]))


@given(st.text(), st.text())
def test_whatever_the_headers_hold_there_is_an_answer_and_another_text_is_another_site(host: str, origin: str) -> None:
    raw = [(b"host", host.encode("latin-1", "replace")), (b"origin", origin.encode("latin-1", "replace"))]
    if not origin.lower().endswith(host.lower()) or not host:
        assert is_cross_site(Headers(raw=raw))
    else:
        is_cross_site(Headers(raw=raw))
