"""Prometheus' HTTP API: instant queries, and what is wrong where one isn't answered.

prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus

import httpx
import msgspec

from exporter.errors import NOTHING, ExporterError, PollError
from exporter.messages import Line, line, reworded
from exporter.redaction import Redactor
from exporter.upstream.transport import HttpReply, HttpTransport

Series = tuple[Mapping[str, str], float]
"""One series' labels and its value."""

# Of 20,000 customers, an answer has 5 MB.
_MAX_BYTES = 256 * 1024 * 1024
# What the transport's advice calls by the names of the exporter's configuration.
_WORDS = {
    line("`authority` or `api_url`"): line("--prometheus"),
    line("http.proxy_url, HTTPS_PROXY or ALL_PROXY"): line("proxy_url in --http.config.file, or in HTTPS_PROXY"),
    line("http.proxy_url"): line("proxy_url in --http.config.file"),
    line("http.ca_file"): line("tls_config.ca_file in --http.config.file"),
    line("poll.timeout"): line("--timeout"),
    line("wait: the next poll tries again"): line("run it again later"),
    line(": licence data is far smaller"): NOTHING,
}
_ADDRESS = line(
    "check --prometheus: what stands before /api/v1 is needed, with the path where Prometheus has one, such as "
    "http://prometheus:9090 or https://monitoring.example/prometheus"
)
_NO_CREDENTIALS = line("give user and password (basic_auth), or a token (authorization), in --http.config.file")
_OTHER_CREDENTIALS = line("check basic_auth or authorization in --http.config.file: these credentials are not accepted")


class _Series(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Data(msgspec.Struct, rename="camel"):
    result_type: str
    result: list[_Series]


class _Answer(msgspec.Struct, rename="camel"):
    status: str
    data: _Data | None = None
    error_type: str = ""
    error: str = ""
    warnings: list[str] = []


@dataclass(frozen=True, eq=False)
class Prometheus:
    """One server. `url` is what stands before /api/v1, `headers` go with every request.

    `warnings` are its own about the answers so far, each once.
    """

    transport: HttpTransport
    url: str
    _: KW_ONLY
    headers: Mapping[str, str]
    redactor: Redactor
    warnings: list[Line] = field(default_factory=list)

    def query(self, expression: str, *, at: float | None = None) -> list[Series]:
        """Return an instant query's vector at a time in Unix seconds, now where none is given; raises ExporterError."""
        given = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
        reply = self._send(httpx.URL(f"{self.url}/api/v1/query", params=given))
        answer = self._read(reply)
        for warning in answer.warnings:
            if (words := self.redactor.quote(warning)) not in self.warnings:
                self.warnings.append(words)
        if answer.data is None or answer.data.result_type != "vector":
            raise self._not_prometheus(reply)
        return [(series.metric, float(series.value[1])) for series in answer.data.result]

    def _send(self, url: httpx.URL) -> HttpReply:
        headers = {"Accept": "application/json", **self.headers}
        try:
            return self.transport.send("GET", url, headers=headers, max_bytes=_MAX_BYTES, redactor=self.redactor)
        except PollError as error:
            raise ExporterError(
                line("can't ask Prometheus: {}", error.message), remedy=reworded(error.remedy, _WORDS)
            ) from error

    def _read(self, reply: HttpReply) -> _Answer:
        try:
            answer = msgspec.json.decode(reply.body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = None
        if reply.status == HTTPStatus.OK and answer is not None and answer.status == "success":
            return answer
        if answer is not None and answer.error:
            raise self._refused(answer)
        raise self._error_for(reply)

    def _refused(self, answer: _Answer) -> ExporterError:
        kind, words = self.redactor.quote(answer.error_type), self.redactor.quote(answer.error)
        if answer.error_type in ("timeout", "canceled"):
            remedy = line("raise Prometheus' --query.timeout, or ask for one partner with --partner")
        elif "too many samples" in answer.error:
            remedy = line("raise Prometheus' --query.max-samples, or ask for one partner with --partner")
        else:
            remedy = line("see Prometheus' log")
        return ExporterError(line("Prometheus can't answer ({}): {}", kind, words), remedy=remedy)

    def _error_for(self, reply: HttpReply) -> ExporterError:
        status = line("{} {}", reply.status, self.redactor.quote(reply.reason_phrase))
        match reply.status:
            case HTTPStatus.UNAUTHORIZED:
                remedy = _OTHER_CREDENTIALS if "Authorization" in self.headers else _NO_CREDENTIALS
                return ExporterError(line("Prometheus refuses the sign-in: {}", status), remedy=remedy)
            case HTTPStatus.FORBIDDEN:
                remedy = line("allow this user to query, or use another in --http.config.file")
                return ExporterError(line("Prometheus refuses the query: {}", status), remedy=remedy)
            case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
                return ExporterError(line("there is no Prometheus API at this address: {}", status), remedy=_ADDRESS)
            case code if HTTPStatus.MULTIPLE_CHOICES <= code < HTTPStatus.BAD_REQUEST:
                remedy = line(
                    "give the address that it leads to in --prometheus; behind a login page, that of Prometheus "
                    "itself, or a token (authorization) in --http.config.file"
                )
                return ExporterError(line("the server redirects instead of answering: {}", status), remedy=remedy)
            case code if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                remedy = line(
                    "run it again later; if it persists, see the log of Prometheus and of any proxy before it"
                )
                return ExporterError(line("the server fails: {}: {}", status, self._beginning(reply)), remedy=remedy)
            case _:
                return self._not_prometheus(reply)

    def _not_prometheus(self, reply: HttpReply) -> ExporterError:
        status = line("{} {}", reply.status, self.redactor.quote(reply.reason_phrase))
        return ExporterError(
            line("the answer is not that of Prometheus' API: {}: {}", status, self._beginning(reply)), remedy=_ADDRESS
        )

    def _beginning(self, reply: HttpReply) -> Line:
        return self.redactor.quote(reply.body, limit=100) or line("nothing")
