"""`check`: it signs in, polls every source, and prints what it got."""

from pathlib import Path

import pytest

from exporter.arguments import Check, ExitStatus
from exporter.commands import check
from partnercenter_simulator import Fault, Simulator
from tests.support.config import write_config


def test_what_works_is_shown_as_a_table(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path, simulator, targets=[{"ratio": 0.8, "workload": "Exchnage"}])
    assert check.run(Check(config_file=file)) is ExitStatus.SUCCESS
    printed = capsys.readouterr().out
    assert f"sign-in: OK as {simulator.user}, refresh token expires " in printed
    assert "usage (legacy API): 24 rows, newest processed " in printed
    for figure in simulator.dataset.usage(simulator.time.data_now()):
        assert f"{figure.active / figure.qualified:.1%}" in printed
    assert "target 0.8 for workload='Exchnage' matches no series: check its spelling" in printed


def test_a_target_of_a_customer_who_is_not_there_is_named(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    customer = simulator.commercial.customers.all[0].tenant_id
    targets = [{"ratio": 0.8, "customer": customer}, {"ratio": 0.8, "customer": "nobody", "workload": "Exchange"}]
    sources = {"usage": {"api": "commercial", "detail": ["customer", "product"]}, "deployment": {"enabled": False}}
    file = write_config(tmp_path, simulator, targets=targets, sources=sources)
    assert check.run(Check(config_file=file)) is ExitStatus.SUCCESS
    named = [line for line in capsys.readouterr().out.splitlines() if "matches no series" in line]
    assert named == ["target 0.8 for customer='nobody', workload='Exchange' matches no series: check its spelling"]


def test_a_source_that_fails_is_shown_with_its_remedy_beside_those_that_work(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403, code=900308))
    assert check.run(Check(config_file=write_config(tmp_path, simulator))) is ExitStatus.FAILED
    printed = capsys.readouterr().out
    assert "usage (legacy API): FAILED (forbidden): " in printed
    assert "    Fix: give the account a partner role" in printed
    assert "deployment (legacy API): 6 rows" in printed


def test_nothing_is_polled_where_the_sign_in_fails(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path, simulator)
    simulator.entra.revoke_all()
    assert check.run(Check(config_file=file)) is ExitStatus.FAILED
    assert "sign-in: FAILED (" in capsys.readouterr().out
    assert simulator.requests.count("usage") == 0
