"""A machine whose clock is wrong, as the process shows it: the simulator's clock is another."""

import time
from pathlib import Path

import pytest

from partnercenter_simulator import Simulator
from tests.e2e.conftest import start
from tests.support.certificates import ClientIdentity
from tests.support.config import write_config
from tests.support.process import until

OFFSET = "partnercenter_clock_offset_seconds"


@pytest.mark.parametrize(("ahead", "words"), [(86_400.0, "24 h ahead"), (-3_600.0, "60 min behind")])
def test_a_wrong_clock_is_named_and_a_certificate_signs_in_once_it_is_right(
    tmp_path: Path, client_identity: ClientIdentity, ahead: float, words: str
) -> None:
    offset = [ahead]
    certificate = tmp_path / "certificate.pem"
    content = client_identity.certificate_pem + client_identity.key_pem()
    certificate.write_bytes(content)
    with Simulator(seed=9, now=lambda: time.time() - offset[0]) as simulator:
        simulator.entra.register_certificate(client_identity.certificate_pem)
        file = write_config(
            tmp_path, simulator, partner={"client_secret_file": None, "client_certificate_file": str(certificate)}
        )
        with start(file) as process:
            process.wait_for_log("poll failed", 2)
            assert process.scrape().value(OFFSET) == pytest.approx(ahead, abs=5.0)
            process.expect_logged('msg="clock wrong"', 1)
            page = process.ask("/").text
            assert "AADSTS700024" in page
            assert f"the clock is {words}" in page
            assert f"clock is {words}: check its time synchronisation" in page
            offset[0] = 0.0
            certificate.write_bytes(content + b"\n")  # whoever looks after it
            process.wait_for_log("poll succeeded", 2)
            until(lambda: abs(process.scrape().value(OFFSET) or ahead) < 5.0)
            until(lambda: "time synchronisation" not in process.ask("/").text)  # a page is kept for a moment
