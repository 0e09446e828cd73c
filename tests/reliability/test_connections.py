"""What the exporter opens it closes."""

import gc

import httpx

from tests.reliability.conftest import MakeRig
from tests.support.process import until


def test_a_reload_closes_the_connections_of_what_it_replaces(
    make_rig: MakeRig, open_clients: list[httpx.Client]
) -> None:
    rig = make_rig()
    rig.start()
    rig.settle()
    rig.reconfigure(poll={"timeout": "19s"})
    rig.settle()
    assert until(lambda: gc.collect() >= 0 and open_clients[0].is_closed)
    assert not open_clients[-1].is_closed
