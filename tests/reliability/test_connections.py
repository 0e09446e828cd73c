"""What the exporter opens it closes."""

from pathlib import Path
from urllib.parse import urlsplit

from tests.reliability.conftest import MakeRig
from tests.reliability.rig import Rig
from tests.support.process import until

_ESTABLISHED = "01"


def connections(rig: Rig) -> set[str]:
    """Return this machine's ends of the connections to the simulator."""
    port = f"{urlsplit(rig.simulator.base_url).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2].endswith(f":{port}") and row[3] == _ESTABLISHED}


def test_a_reload_closes_the_connections_of_what_it_replaces(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start()
    rig.settle()
    before = connections(rig)
    assert before
    rig.reconfigure(poll={"timeout": "19s"})
    rig.settle()
    rig.pass_time(60)  # the supervisor checks, and finds that nothing uses the old ones
    until(lambda: not before & connections(rig))


def test_a_reload_that_does_not_concern_them_keeps_the_connections(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start()
    rig.settle()
    before = connections(rig)
    rig.reconfigure(poll={"interval": "2h"})
    rig.pass_time(60)
    assert before <= connections(rig)


def test_the_end_closes_the_connections(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start()
    rig.settle()
    before = connections(rig)
    rig.stop()
    until(lambda: not before & connections(rig))
