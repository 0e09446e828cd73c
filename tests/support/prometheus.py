"""A real Prometheus, optionally with history that is written before it starts."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.support.daemon import LOOPBACK, free_port, running
from tests.support.plain_http import NO_TLS
from tests.support.process import PATIENCE_SECONDS, until

Labels = frozenset[tuple[str, str]]
HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus; results are series by their labels."""

    client: httpx.Client

    @property
    def address(self) -> str:
        """Its host and port."""
        return self.client.base_url.netloc.decode()

    def newest(self, expr: str, *, at: float | None = None) -> dict[Labels, float]:
        """Return an instant query's values, now or at a time."""
        given = {"query": expr} | ({} if at is None else {"time": at})
        return {_labels(series): float(series["value"][1]) for series in self._ask("query", **given)["result"]}

    def history(self, expr: str, *, start: float, end: float) -> dict[Labels, dict[float, float]]:
        """Return a range query's values by time, one per hour."""
        given = {"query": expr, "start": start, "end": end, "step": HOUR_SECONDS}
        result = self._ask("query_range", **given)["result"]
        return {_labels(series): {t: float(value) for t, value in series["values"]} for series in result}

    def label_values(self, selector: str, label: str) -> list[str]:
        """Return the values that a label has among a selector's series."""
        return list(self._ask(f"label/{label}/values", **{"match[]": selector}))

    def ready(self) -> bool:
        """Return whether it answers, and has read what it stored."""
        try:
            return self.client.get("/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def reload(self) -> None:
        """Make it reload its configuration and rules."""
        answer = self.client.post("/-/reload")
        assert answer.status_code == httpx.codes.OK, answer.text

    def alerts_somebody(self) -> bool:
        """Return whether it has discovered an Alertmanager."""
        return bool(self._ask("alertmanagers")["activeAlertmanagers"])

    def rules_evaluated_at(self) -> float:
        """Return the oldest last evaluation of a rule group, in Unix seconds."""
        times = [datetime.fromisoformat(group["lastEvaluation"]) for group in self._ask("rules")["groups"]]
        return min((time.timestamp() for time in times), default=0.0)

    def _ask(self, path: str, **parameters: Any) -> Any:
        # A query may be longer than an address.
        posted = path.startswith("query")
        answer = (
            self.client.post(f"/api/v1/{path}", data=parameters)
            if posted
            else self.client.get(f"/api/v1/{path}", params=parameters)
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()["data"]


def _labels(result: Mapping[str, Any]) -> Labels:
    return frozenset(result["metric"].items())


@contextmanager
def prometheus(
    program: str, config: Path, storage: Path, *more_flags: str, scheme: str = "http", **client: Any
) -> Iterator[Prometheus]:
    """Run Prometheus on a free port until the block ends; it is ready when this yields.

    With a web configuration among the flags, scheme and further arguments of httpx are how it is asked.
    """
    address = f"{LOOPBACK}:{free_port()}"
    flags = [
        f"--config.file={config}",
        f"--storage.tsdb.path={storage}",
        "--storage.tsdb.retention.time=90d",
        f"--web.listen-address={address}",
        "--web.enable-lifecycle",
        *more_flags,
    ]
    with running([program, *flags], storage.parent / "prometheus.log"):
        asking = {"trust_env": False, "verify": NO_TLS, "timeout": PATIENCE_SECONDS, **client}
        with httpx.Client(base_url=f"{scheme}://{address}", **asking) as asked:
            started = Prometheus(asked)
            until(started.ready)
            yield started


def write_blocks(promtool: str, lines: Iterable[str], storage: Path, *, timeout_seconds: float = 120) -> None:
    """Write samples with timestamps, as OpenMetrics lines, as blocks that Prometheus starts with."""
    source = storage.parent / "past.om"
    with source.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.write("# EOF\n")
    flags = ["--quiet", "--max-block-duration=4320h", str(source), str(storage)]
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_seconds)  # noqa: S603  Prometheus' own tool
    assert done.returncode == 0, done.stdout + done.stderr
