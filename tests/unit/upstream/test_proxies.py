"""A proxy that can't be used is named by its variable, and its URL, which may contain a password, is never shown."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.errors import ConfigurationError
from exporter.upstream.proxies import check_proxies

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
        check_proxies(None)
    assert caught.value.message.startswith(f"environment: {name}: use http://host:port")
    assert "s3" not in caught.value.message


@pytest.mark.parametrize("value", UNUSABLE)
def test_an_unusable_proxy_of_the_configuration_is_named_without_its_value(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_proxies(value)
    assert caught.value.message.startswith("configuration: http.proxy_url: use http://host:port")
    assert "s3" not in caught.value.message


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", USABLE)
def test_a_usable_proxy_is_accepted(name: str, value: str) -> None:
    with environment({name: value}):
        check_proxies(None)
        httpx.Client().close()


@pytest.mark.parametrize(
    "value", ["[::1]", "fe80::/10", "host:port", "http://user:s3cret@host:port", "a,b\x1bc", "ü" * 70]
)
def test_an_unusable_exception_is_named_without_its_value(value: str) -> None:
    with environment({"NO_PROXY": f"localhost,{value}"}), pytest.raises(ConfigurationError) as caught:
        check_proxies(None)
    assert caught.value.message.startswith("environment: NO_PROXY: use host names")
    assert "s3" not in caught.value.message


@pytest.mark.parametrize(
    "value", ["localhost,127.0.0.1, ::1 ,.example.com,*.example.com,10.0.0.0/8,host:80", "*", ",,"]
)
def test_a_usable_exception_is_accepted(value: str) -> None:
    with environment({"NO_PROXY": value}):
        check_proxies(None)
        httpx.Client().close()


def test_every_wrong_variable_is_named_at_once() -> None:
    with environment({"HTTP_PROXY": "x:y", "https_proxy": "x:y", "NO_PROXY": "x:y"}):
        with pytest.raises(ConfigurationError) as caught:
            check_proxies(None)
        assert [problem.path for problem in caught.value.problems] == ["HTTP_PROXY", "https_proxy", "NO_PROXY"]
        check_proxies("http://host:80")


values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20) | st.from_regex(
    r"((https?|ftp|all)://)?([a-z0-9%:/?#@\[\]*.,]{0,8}@)?[a-z0-9.:\[\]*/,]{0,8}(:[0-9a-z]{0,6})?", fullmatch=True
)


@given(st.dictionaries(st.sampled_from([*VARIABLES, "NO_PROXY", "no_proxy"]), values))
@example({"HTTP_PROXY": "http://h:x", "NO_PROXY": "*"})
@example({"NO_PROXY": "http://["})
def test_what_passes_the_check_is_no_error_of_httpx(variables: dict[str, str]) -> None:
    with environment(variables):
        try:
            check_proxies(None)
        except ConfigurationError:
            return
        httpx.Client().close()
