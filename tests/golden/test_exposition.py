"""Whole data expositions, byte by byte. To write them anew on purpose: GOLDEN=write pytest tests/golden."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from exporter.metrics.families import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.metrics.targets import Target
from exporter.model import Answer
from exporter.partner_center.client import ApiPoll
from exporter.simulator import Fault, Simulator
from exporter.sources.deployment import LegacyDeployment
from exporter.sources.usage import LegacyUsage
from exporter.transport import open_client
from tests.fixtures import deployment_item, legacy_page, published, usage_item
from tests.fixtures.api import poll

FOLDER = Path(__file__).parent


def assert_golden(name: str, exposition: bytes) -> None:
    file = FOLDER / f"{name}.prom"
    if os.environ.get("GOLDEN") == "write":
        file.write_bytes(exposition)
    assert exposition.decode() == file.read_text("utf-8")


def exposition_of(snapshot: Snapshot) -> bytes:
    return b"".join(block.plain for block in snapshot.blocks)


@pytest.fixture
def http(simulator: Simulator, tmp_path: Path) -> Iterator[httpx.Client]:
    authority = tmp_path / "ca.pem"
    authority.write_bytes(simulator.ca_pem)
    with open_client(timeout_seconds=10.0, ca_file=authority) as client:
        yield client


@pytest.fixture
def signed_in(simulator: Simulator, http: httpx.Client) -> ApiPoll:
    answer = simulator.entra.access_tokens.for_user(simulator.base_url, simulator.base_url, mfa=True)
    return poll(http, api_url=simulator.base_url, token=str(answer["access_token"]))


def fetch(simulator: Simulator, signed_in: ApiPoll, source: str, body: bytes, limit: int = 1_000) -> Answer:
    simulator.faults.add(Fault(kind="replace_body", endpoint=source, content=body, times=1))
    kind = LegacyUsage(limit) if source == "usage" else LegacyDeployment(limit)
    return kind.fetch(signed_in)


def shown(answers: Sequence[tuple[str, str, Answer]], targets: Sequence[Target] = ()) -> Snapshot:
    """Return the snapshot of (partner, source, answer)s."""
    store = SnapshotStore()
    for partner, source, answer in answers:
        store.publish(partner, source, families(partner, answer.rows, targets))
    return store.current


def test_the_published_usage_answer_becomes_exactly_these_series(
    simulator: Simulator, signed_in: ApiPoll
) -> None:
    answer = fetch(simulator, signed_in, "usage", published("usage"))
    exposition = exposition_of(shown([("contoso", "usage", answer)]))
    for service in ("crm", "o365"):
        series = f'{{partner="contoso",workload="SharePoint",service="{service}",channel="reseller"}} 0.0\n'
        assert f"partnercenter_license_usage_ratio{series}".encode() in exposition
    assert_golden("legacy-usage", exposition)


def test_the_published_deployment_answer_becomes_exactly_these_series(
    simulator: Simulator, signed_in: ApiPoll
) -> None:
    answer = fetch(simulator, signed_in, "deployment", published("deployment"))
    assert_golden("legacy-deployment", exposition_of(shown([("contoso", "deployment", answer)])))


def test_two_partners_with_targets_and_odd_rows_become_exactly_these_series(
    simulator: Simulator, signed_in: ApiPoll
) -> None:
    odd = legacy_page(
        usage_item(workloadName='A "quoted"\\name\nin two lines', proratedLicensesUsagePercent=112),
        usage_item(workloadName="Überblick 概要", processedDateTime=None),
        usage_item(workloadName="Lone \ud800 surrogate", proratedLicensesUsagePercent="50"),
        usage_item(workloadName="No value", proratedLicensesUsagePercent=None),
        usage_item(workloadName="Impossible", proratedLicensesUsagePercent=-1),
        usage_item(workloadName=None),
        "no row at all",
    )
    sold_only = legacy_page(deployment_item(proratedDeploymentPercent=None, licensesSold=343))
    targets = [Target(0.5), Target(0.8, workload="Exchange"), Target(0.7, partner="fabrikam")]
    exposition = exposition_of(
        shown(
            [
                ("fabrikam", "usage", fetch(simulator, signed_in, "usage", odd)),
                ("contoso", "usage", fetch(simulator, signed_in, "usage", published("usage"))),
                ("contoso", "deployment", fetch(simulator, signed_in, "deployment", sold_only)),
            ],
            targets,
        )
    )
    assert_golden("two-partners", exposition)


@pytest.mark.parametrize(("source", "length"), [("usage", 1156), ("deployment", 487)])
def test_the_fixtures_have_the_length_that_the_published_answers_had(source: str, length: int) -> None:
    assert len(published(source)) == length
