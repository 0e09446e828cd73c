"""`report` and a Prometheus that refuses, fails, is another server, or lacks the data."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme
import yaml

from exporter.arguments import ExitStatus, Report
from exporter.commands import report
from exporter.errors import ConfigurationError, ExporterError
from tests.support.prometheus_api import Answer, prometheus_api, refusal, vector

PASSWORD = "correct-horse-battery"
TOKEN = "tok" + "en" * 20
CUSTOMER = {"partner": "contoso", "customer_id": "A1"}


def run(url: str, **flags: object) -> ExitStatus:
    return report.run(Report(prometheus=url, report_format="csv", timeout_seconds=20.0, **flags))  # type: ignore[arg-type]


def config(folder: Path, **content: object) -> Path:
    file = folder / "http.yml"
    file.write_text(yaml.safe_dump(content))
    return file


def one_customer(query: str, _headers: Mapping[str, str]) -> Answer:
    """Answer as a Prometheus with one customer."""
    if query == "vector(time())":
        return vector(({}, 1_700_000_000.0))
    if "customer_info" in query:
        return vector((CUSTOMER | {"customer_name": "Adatum"}, 1.0))
    if "target" in query:
        return vector()
    return vector((CUSTOMER, 5.0))


@pytest.mark.parametrize(
    ("answer", "message", "remedy"),
    [
        ((401, b"Unauthorized\n"), "Prometheus refuses the sign-in: 401 Unauthorized", "give user and password"),
        ((403, b""), "Prometheus refuses the query: 403 Forbidden", "allow this user"),
        (
            (404, b"404 page not found"),
            "there is no Prometheus API at this address: 404 Not Found",
            "check --prometheus",
        ),
        ((302, b""), "the server redirects instead of answering: 302 Found", "give the address that it leads to"),
        ((502, b"<h1>bad\ngateway</h1>"), "the server fails: 502 Bad Gateway: <h1>bad gateway</h1>", "run it again"),
        ((200, b"<html>Grafana"), "the answer is not that of Prometheus' API: 200 OK: <html>Grafana", "check --prom"),
        ((200, b""), "the answer is not that of Prometheus' API: 200 OK: nothing", "check --prometheus"),
        ((200, b'{"status":"success"}'), "the answer is not that of Prometheus' API: 200 OK", "check --prometheus"),
        ((400, b"Client sent an HTTP request to an HTTPS server.\n"), "to an HTTPS server", "check --prometheus"),
        (refusal(400, "bad_data", "parse\nerror"), "Prometheus can't answer (bad_data): parse error", "see Prometheus"),
        (refusal(503, "timeout", "query timed out"), "(timeout): query timed out", "raise Prometheus' --query.timeout"),
        (refusal(422, "execution", "too many samples"), "(execution)", "raise Prometheus' --query.max-samples"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(answer: Answer, message: str, remedy: str) -> None:
    with prometheus_api(lambda _query, _headers: answer) as api, pytest.raises(ExporterError) as wrong:
        run(api.url)
    assert message in wrong.value.message
    assert wrong.value.remedy.startswith(remedy)


def test_without_any_data_it_says_what_to_check() -> None:
    def respond(query: str, _headers: Mapping[str, str]) -> Answer:
        return vector(({}, 1_700_000_000.0)) if query == "vector(time())" else vector()

    with prometheus_api(respond) as api, pytest.raises(ExporterError) as wrong:
        run(f"{api.url}/path")
    assert wrong.value.message == "Prometheus has no data of partnercenter-exporter from the last day"
    assert "scrapes the exporter" in wrong.value.remedy
    assert {path for path, _ in api.asked} == {"/path/api/v1/query"}


def test_a_name_that_prometheus_made_up_is_one_printable_line() -> None:
    def respond(query: str, _headers: Mapping[str, str]) -> Answer:
        if query == "vector(time())":
            return vector(({}, 1_700_000_000.0))
        return vector() if "customer_info" in query else vector(({"partner": "two\nlines\x1b[2J"}, 1.0))

    with prometheus_api(respond) as api, pytest.raises(ExporterError) as wrong:
        run(api.url)
    assert wrong.value.message == "there are no customers in the data (partners: two lines [2J)"
    assert "detail: [customer]" in wrong.value.remedy


def test_warnings_of_prometheus_are_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    def respond(query: str, headers: Mapping[str, str]) -> Answer:
        status, body = one_customer(query, headers)
        return status, body.replace(b'"warnings": []', b'"warnings": ["partial response"]')

    with prometheus_api(respond) as api:
        assert run(api.url) is ExitStatus.SUCCESS
    assert capsys.readouterr().err == "Prometheus warns: partial response\n"


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ({"basic_auth": {"username": "u", "password": PASSWORD}}, "Basic dTpjb3JyZWN0LWhvcnNlLWJhdHRlcnk="),
        (
            {"basic_auth": {"username_file": "user", "password_file": "password"}},
            "Basic dTpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=",
        ),
        ({"authorization": {"credentials": TOKEN}}, f"Bearer {TOKEN}"),
        ({"authorization": {"type": "Token", "credentials_file": "token"}}, f"Token {TOKEN}"),
        ({"bearer_token_file": "token"}, f"Bearer {TOKEN}"),
        ({"bearer_token": TOKEN}, f"Bearer {TOKEN}"),
    ],
)
def test_credentials_are_sent_and_never_shown(tmp_path: Path, content: dict[str, object], sent: str) -> None:
    for name, text in (("user", "u\n"), ("password", f"{PASSWORD}\n"), ("token", f"{TOKEN}\n")):
        (tmp_path / name).write_text(text)
    file = config(tmp_path, **content)
    with prometheus_api(one_customer) as api:
        assert run(api.url, http_config_file=file) is ExitStatus.SUCCESS
        assert {headers["Authorization"] for _, headers in api.asked} == {sent}

    def repeat(_query: str, headers: Mapping[str, str]) -> Answer:
        return refusal(422, headers["Authorization"], f"{headers['Authorization']} {PASSWORD} {TOKEN}")

    remedies = []
    for respond in (repeat, lambda _query, headers: (401, headers["Authorization"].encode())):
        with prometheus_api(respond) as api, pytest.raises(ExporterError) as wrong:
            run(api.url, http_config_file=file)
        shown = f"{wrong.value.message} {wrong.value.remedy}"
        assert not any(secret in shown for secret in (PASSWORD, TOKEN, sent.split()[1]))
        remedies.append(wrong.value.remedy)
    assert "these credentials are not accepted" in remedies[1]


def test_a_report_takes_few_queries_whatever_its_lists_are() -> None:
    with prometheus_api(one_customer) as api:
        run(api.url, top=10_000)
    assert len(api.asked) == 15


def test_headers_of_ones_own_are_sent(tmp_path: Path) -> None:
    headers = {"X-Scope-OrgID": {"values": ["tenant-1"]}, "X-Key": {"secrets": [TOKEN]}}
    with prometheus_api(one_customer) as api:
        run(api.url, http_config_file=config(tmp_path, http_headers=headers))
    assert {(sent["X-Scope-OrgID"], sent["X-Key"]) for _, sent in api.asked} == {("tenant-1", TOKEN)}


class Authority:
    """A CA, a server's context that also wants a client certificate, and that client's files."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.ca_file, self.cert_file, self.key_file = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
        self.ca.cert_pem.write_to_path(self.ca_file)
        client = self.ca.issue_cert("report")
        client.private_key_pem.write_to_path(self.key_file)
        client.cert_chain_pems[0].write_to_path(self.cert_file)

    def context(self, host: str = "localhost", *, verify: ssl.VerifyMode = ssl.CERT_NONE) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(host).configure_cert(context)
        context.load_verify_locations(cafile=self.ca_file)
        context.verify_mode = verify
        return context


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, os.devnull)
    return Authority(tmp_path)


def test_an_unknown_authority_is_told_where_to_add_it_and_then_trusted(authority: Authority, tmp_path: Path) -> None:
    with prometheus_api(one_customer, authority.context()) as api:
        with pytest.raises(ExporterError) as wrong:
            run(api.url)
        assert "the server's certificate is not trusted: localhost" in wrong.value.message
        assert "tls_config.ca_file in --http.config.file" in wrong.value.remedy
        file = config(tmp_path, tls_config={"ca_file": "ca.pem"})
        assert run(api.url, http_config_file=file) is ExitStatus.SUCCESS


def test_a_certificate_of_another_host_is_refused_unless_nothing_is_verified(
    authority: Authority, tmp_path: Path
) -> None:
    with prometheus_api(one_customer, authority.context("other.example")) as api:
        with pytest.raises(ExporterError, match="not trusted"):
            run(api.url, http_config_file=config(tmp_path, tls_config={"ca_file": "ca.pem"}))
        file = config(tmp_path, tls_config={"insecure_skip_verify": "true"})
        assert run(api.url, http_config_file=file) is ExitStatus.SUCCESS


def test_a_client_certificate_is_shown_to_who_wants_one(authority: Authority, tmp_path: Path) -> None:
    with prometheus_api(one_customer, authority.context(verify=ssl.CERT_REQUIRED)) as api:
        with pytest.raises(ExporterError):
            run(api.url, http_config_file=config(tmp_path, tls_config={"ca_file": "ca.pem"}))
        files = {"ca_file": "ca.pem", "cert_file": "cert.pem", "key_file": "key.pem"}
        assert run(api.url, http_config_file=config(tmp_path, tls_config=files)) is ExitStatus.SUCCESS


def test_tls_to_a_server_without_it_and_no_server_at_all_are_told_in_this_commands_words() -> None:
    with prometheus_api(one_customer) as api, pytest.raises(ExporterError, match="TLS with localhost"):
        run(api.url.replace("http:", "https:"))
    for url in (api.url, "http://nowhere.invalid:9090"):
        with pytest.raises(ExporterError) as wrong:
            run(url)
        assert wrong.value.message.startswith("can't ask Prometheus: can't ")
        assert "--prometheus" in wrong.value.remedy
        assert not any(word in wrong.value.remedy for word in ("api_url", "authority", "http.proxy_url", "poll."))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"basic_auth": {"password": PASSWORD}}, "basic_auth: username or username_file is required"),
        (
            {"basic_auth": {"username": "u", "password": "x", "password_file": "y"}},
            "password is given as well: keep one",
        ),
        ({"basic_auth": {"username": "u"}, "bearer_token": TOKEN}, "bearer_token: more than one way to authenticate"),
        ({"authorization": {"type": "Basic", "credentials": TOKEN}}, "use basic_auth instead"),
        ({"authorization": {}}, "authorization: credentials or credentials_file is required"),
        ({"authorization": {"credentials_file": "nowhere"}}, "authorization.credentials_file: can't read"),
        ({"bearer_token_file": "empty"}, "empty is empty: write the secret to it"),
        ({"bearer_token": f"{TOKEN}é"}, "bearer_token: character "),
        ({"oauth2": {"client_id": "x"}}, "oauth2: Prometheus' oauth2 is not supported: give a token"),
        ({"tls_config": {"server_name": "x"}}, "tls_config.server_name: Prometheus' server_name is not supported"),
        ({"tls_config": {"ca_file": "nowhere"}}, "tls_config.ca_file: can't read"),
        ({"tls_config": {"ca_file": "empty"}}, "tls_config: can't use"),
        ({"tls_config": {"key_file": "empty"}}, "tls_config.key_file: only valid with cert_file"),
        ({"tls_config": {"cert_file": "empty"}}, "tls_config: can't use"),
        ({"tls_config": {"min_version": "SSL3"}}, "tls_config.min_version: expected one of TLS10"),
        ({"follow_redirects": "true"}, "follow_redirects: redirects are not followed"),
        ({"proxy_url": "socks5://proxy:1"}, "proxy_url: use http://host:port"),
        ({"http_headers": {"Authorization": {"values": ["x"]}}}, "this header can't be set here"),
        ({"http_headers": {"X": {"values": ["two\nlines"]}}}, "expected one line of ASCII"),
        ({"basic-auth": {}}, "basic-auth: unknown key: did you mean basic_auth?"),
    ],
)
def test_a_wrong_http_config_file_is_a_mistake_with_its_key_and_no_secret(
    tmp_path: Path, content: dict[str, object], problem: str
) -> None:
    (tmp_path / "empty").write_text("")
    file = config(tmp_path, **content)
    with pytest.raises(ConfigurationError) as wrong:
        run("http://localhost:1", http_config_file=file)
    assert str(file) in str(wrong.value)
    assert problem in str(wrong.value)
    assert PASSWORD not in str(wrong.value)
    assert TOKEN not in str(wrong.value)
