"""`healthcheck`: the container's health check."""

from urllib.parse import urlsplit

from tests.e2e.conftest import Serving
from tests.support.process import run_command


def test_a_healthy_exporter_is_status_0(serving: Serving) -> None:
    address = urlsplit(serving.process.url).netloc
    port = address.rpartition(":")[2]
    # As given to run: with a host, and for every interface.
    for given in (address, f":{port}", f"0.0.0.0:{port}"):
        ended = run_command("healthcheck", f"--web.listen-address={given}")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == "partnercenter-exporter is healthy\n"
