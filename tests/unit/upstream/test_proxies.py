"""A proxy that can't be used is named by its variable, and its URL, which may contain a password, is never shown."""

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.errors import ConfigurationError
from exporter.redaction import Redactor
from exporter.upstream.connecting import Resolver
from exporter.upstream.no_proxy import read_entry
from exporter.upstream.proxies import chosen_proxies
from exporter.upstream.routing import Routes
from tests.support.logs import LogStream

API = httpx.URL("https://api.example/v1")
OTHER = "https://other.invalid"

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "Https_Proxy")
UNUSABLE = [
    "http://user:s3cret@host:port",
    "http://user:s3cret@host:99999",
    "http://user:s3cret@host:0",
    "http://user:s3cret@host:-1",
    "ftp://user:s3cret@host:80",
    "socks5://user:s3cret@host:1080",
    "http://user:s3cret@",
    "http://user:s3cret@[::1",
    "http://user:s3#cret@host:80",
    "http://user:12/s3cret@host:80",
    "http://user:12?s3cret@host:80",
    "http://user:s3\x1bcret@host:80",
    "http://user:s3\ncret@host:80",
    "user:s3cret@host:port",
    "s3cret://",
    "http://user:s3cret@ho st:80",
]
USABLE = ["http://host:80", "https://user:s3cret@host", "host:8080", "user:s3cret@host:80/", "http://[::1]:80", ""]


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", UNUSABLE)
def test_an_unusable_proxy_is_named_without_its_value(name: str, value: str) -> None:
    with environment({name: value}), pytest.raises(ConfigurationError) as caught:
        chosen_proxies(None)
    assert caught.value.message.startswith(f"environment: {name}: use http://host:port")
    assert "s3" not in caught.value.message


@pytest.mark.parametrize("value", UNUSABLE)
def test_an_unusable_proxy_of_the_configuration_is_named_without_its_value(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        chosen_proxies(value)
    assert caught.value.message.startswith("configuration: http.proxy_url: use http://host:port")
    assert "s3" not in caught.value.message


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", USABLE)
def test_a_usable_proxy_is_accepted(name: str, value: str) -> None:
    with environment({name: value}):
        assert bool(chosen_proxies(None).urls) is bool(value)


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("form", ["{}\n", " {}\t", "\ufeff{}\r\n", "\n\n{}\n\n"])
def test_what_stands_around_a_proxy_does_not_matter(name: str, form: str) -> None:
    with environment({name: form.format("http://user:s3cret@host:80")}):
        assert set(chosen_proxies(None).urls.values()) == {"http://user:s3cret@host:80"}
    with environment({name: form.format("")}):
        assert not chosen_proxies(None).urls


@pytest.mark.parametrize("value", ["socks5://u:s3cret@host", "socks5h://host:1080", "SOCKS4://host", "socks://host"])
def test_socks_is_refused_by_name(value: str) -> None:
    with environment({"ALL_PROXY": value}), pytest.raises(ConfigurationError) as caught:
        chosen_proxies(None)
    assert caught.value.message.startswith("environment: ALL_PROXY: ")
    assert caught.value.message.endswith("SOCKS proxies are not supported")
    assert "s3" not in caught.value.message


def test_a_proxy_that_no_request_would_use_is_not_looked_at() -> None:
    with environment({"HTTPS_PROXY": "http://host:80", "ALL_PROXY": "socks5://host:1080"}):
        assert chosen_proxies(None).proxy_for(API) == "http://host:80"


# The entry, what it is for, and what it is not for.
EXEMPTIONS: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
    ("example.com", ("https://example.com", "https://a.example.com:8443", "https://A.EXAMPLE.com."), (OTHER,)),
    ("EXAMPLE.com.", ("https://example.com", "https://a.b.example.com"), ("https://notexample.com",)),
    (".example.com", ("https://a.example.com",), ("https://example.com", "https://notexample.com")),
    ("*.example.com", ("https://a.example.com",), ("https://example.com",)),
    ("example.com:8443", ("https://example.com:8443",), ("https://example.com", "https://example.com:80")),
    ("example.com:443", ("https://example.com", "https://example.com:443"), ("http://example.com",)),
    ("https://example.com", ("https://example.com",), ("http://example.com",)),
    ("all://example.com/", ("https://example.com", "http://example.com"), (OTHER,)),
    ("localhost", ("https://localhost:8443",), ("https://127.0.0.1",)),
    ("b\u00fccher.example", ("https://b\u00fccher.example", "https://xn--bcher-kva.example"), (OTHER,)),
    ("192.0.2.1", ("https://192.0.2.1",), ("https://192.0.2.2", "https://192.0.2.1.example")),
    ("192.0.2.1:443", ("https://192.0.2.1",), ("https://192.0.2.1:8443",)),
    ("10.0.0.0/8", ("https://10.1.2.3",), ("https://11.0.0.0", "https://[::1]", "https://example.com")),
    ("10.1.2.3/8", ("https://10.9.9.9",), ("https://11.0.0.0",)),
    ("::1", ("https://[::1]:8443",), ("https://[::2]", "https://127.0.0.1")),
    ("[::1]", ("https://[::1]",), ("https://[::2]",)),
    ("[::1]:8443", ("https://[::1]:8443",), ("https://[::1]",)),
    ("http://[::1]:80", ("http://[::1]",), ("https://[::1]:80",)),
    ("fe80::/10", ("https://[fe80::1]", "https://[febf::1]"), ("https://[fec0::1]", "https://10.0.0.1")),
    ("[fe80::]/10", ("https://[fe80::1]",), ("https://[fec0::1]",)),
    ("[fe80::/10]", ("https://[fe80::1]",), ("https://[fec0::1]",)),
    ("2001:db8::/32", ("https://[2001:db8:1::1]:444",), ("https://[2001:db9::1]",)),
    ("2001:DB8:0::1", ("https://[2001:db8::1]",), ("https://[2001:db8::2]",)),
    ("::/0", ("https://[::1]",), ("https://127.0.0.1",)),
]
WRONG = [
    *("[::1", "::1]", "[example.com]", "[::1]x", "fe80::/129", "10.0.0.0/33", "10.0.0.0/x", "10.*", "exa*mple.com"),
    *("*example.com", "host:port", "host:0", "host:65536", "host:", "ftp://host", "http://", "http://host/path"),
    *(
        "<local>",
        "a;b",
        "a|b",
        "b\x1bc",
        "\N{RIGHT-TO-LEFT OVERRIDE}",
        "\u00fc" * 70,
        "999.1.1.1",
        "192.168.",
        ".",
        "-",
    ),
]


@pytest.mark.parametrize(
    ("entry", "exempt", "others"), EXEMPTIONS, ids=lambda value: value if isinstance(value, str) else ""
)
@pytest.mark.parametrize("form", ["{}", " {} ,", "x.invalid,{}", "x.invalid {}", "\ufeff{}\r\n"])
def test_an_entry_of_no_proxy_is_understood(
    log_stream: LogStream, entry: str, exempt: tuple[str, ...], others: tuple[str, ...], form: str
) -> None:
    with environment({"ALL_PROXY": "http://host:80", "no_proxy": form.format(entry)}):
        proxies = chosen_proxies(None)
    assert [url for url in exempt if proxies.proxy_for(httpx.URL(url))] == []
    assert [url for url in (*others, OTHER) if not proxies.proxy_for(httpx.URL(url))] == []
    assert log_stream.entries == []


@pytest.mark.parametrize("proxied", [True, False])
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("entry", WRONG)
def test_an_entry_that_means_nothing_is_left_out_with_a_warning(
    log_stream: LogStream, entry: str, name: str, *, proxied: bool
) -> None:
    variables = {"HTTPS_PROXY": "http://host:80"} if proxied else {}
    with environment({**variables, name: f"localhost,{entry},10.0.0.0/8"}):
        proxies = chosen_proxies(None)
    assert bool(proxies.proxy_for(API)) is proxied
    assert proxies.proxy_for(httpx.URL("https://localhost")) is None
    assert proxies.proxy_for(httpx.URL("https://10.0.0.1")) is None
    [warning] = log_stream.entries
    assert (warning["level"], warning["msg"]) == ("warn", "wrong entries ignored")
    assert (warning["variable"], warning["count"]) == (name, 1)
    assert warning["entries"] == (Redactor().quote(entry) or "entry 2")


def test_many_entries_that_mean_nothing_are_one_warning(log_stream: LogStream) -> None:
    with environment({"NO_PROXY": ",".join(f"x{number}:y" for number in range(1_000))}):
        chosen_proxies(None)
    [warning] = log_stream.entries
    assert warning["count"] == 1_000
    assert warning["entries"].split(", ") == [f"x{number}:y" for number in range(10)]


@pytest.mark.parametrize(
    "value",
    [
        "http://user:s3cret@host:80",
        "user:s3cret@host",
        "http://user:s3,cret@host",
        "http://user:s3 c@host",
        "s3cret@[::1",
    ],
)
def test_an_entry_with_a_password_is_named_by_its_number(log_stream: LogStream, value: str) -> None:
    with environment({"NO_PROXY": f"localhost,{value}"}):
        chosen_proxies(None)
    [warning] = log_stream.entries
    assert warning["entries"].startswith("entry 2")
    assert not {"s3", "cret"} & set(re.findall("s3|cret", str(warning)))


@pytest.mark.parametrize("value", ["*", "localhost,*", "x:y, *", "* x:y"])
def test_a_star_means_no_proxy_at_all(log_stream: LogStream, value: str) -> None:
    with environment({"NO_PROXY": value, "HTTPS_PROXY": "http://host:x"}):
        assert chosen_proxies(None).proxy_for(API) is None
    assert log_stream.entries == []


def test_every_wrong_variable_is_named_at_once() -> None:
    with environment({"HTTP_PROXY": "x:y", "https_proxy": "x:y", "NO_PROXY": "x:y"}):
        with pytest.raises(ConfigurationError) as caught:
            chosen_proxies(None)
        assert [problem.path for problem in caught.value.problems] == ["HTTP_PROXY", "https_proxy"]
        chosen_proxies("http://host:80")


def test_beside_the_configured_proxy_no_variable_counts(log_stream: LogStream) -> None:
    with environment(
        {"HTTPS_PROXY": "http://other:80", "ALL_PROXY": "socks5://other", "NO_PROXY": "api.example,x:y,*"}
    ):
        assert chosen_proxies("http://host:80").proxy_for(API) == "http://host:80"
    assert log_stream.entries == []


values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20) | st.from_regex(
    r"((https?|ftp|all)://)?([a-z0-9%:/?#@\[\]*.,]{0,8}@)?[a-z0-9.:\[\]*/,]{0,8}(:[0-9a-z]{0,6})?", fullmatch=True
)


@given(st.dictionaries(st.sampled_from([*VARIABLES, "NO_PROXY", "no_proxy"]), values))
@example({"HTTP_PROXY": "http://h:x", "NO_PROXY": "*"})
@example({"NO_PROXY": "http://["})
def test_what_passes_the_check_is_no_error_of_httpx(variables: dict[str, str]) -> None:
    with environment(variables):
        try:
            proxies = chosen_proxies(None)
        except ConfigurationError:
            return
    routes = Routes(proxies, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), Resolver())
    for url in (API, OTHER, "http://example.com", "https://[::1]:1"):
        proxies.proxy_for(httpx.URL(url))
    routes.close()


@given(values)
def test_whatever_an_entry_is_it_means_something_or_is_left_out(entry: str) -> None:
    with suppress(ValueError):
        read_entry(entry).covers(API)
