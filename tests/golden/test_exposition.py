"""Whole data expositions, byte by byte. To write them anew on purpose: GOLDEN=write pytest tests/golden."""

import os
import ssl
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import httpx
import pytest

from exporter.metrics.breakdown import render_breakdown, series_of_customers
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import Snapshot, SnapshotStore
from exporter.metrics.targets import Target, Targets
from exporter.model.rows import Answer, Dimension, SourceName
from exporter.partner_center.client import ApiPoll
from exporter.sources import deployment, usage
from exporter.sources.commercial import Commercial
from exporter.sources.legacy import Legacy
from partnercenter_simulator import Fault, Simulator
from tests.fixtures import (
    commercial_deployment_item,
    commercial_page,
    commercial_usage_item,
    deployment_item,
    legacy_page,
    published,
    usage_item,
)
from tests.fixtures.api import answering, poll

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
    with httpx.Client(verify=ssl.create_default_context(cafile=authority)) as client:
        yield client


@pytest.fixture
def signed_in(simulator: Simulator, http: httpx.Client) -> ApiPoll:
    answer = simulator.entra.access_tokens.for_user(simulator.base_url, simulator.base_url, mfa=True)
    return poll(http, api_url=simulator.base_url, token=str(answer["access_token"]))


def fetch(simulator: Simulator, signed_in: ApiPoll, source: str, body: bytes, limit: int = 1_000) -> Answer:
    simulator.faults.add(Fault(kind="replace_body", endpoint=source, content=body, times=1))
    kind = Legacy(usage.LEGACY, limit) if source == "usage" else Legacy(deployment.LEGACY, limit)
    return kind.fetch(signed_in)


def shown(answers: Sequence[tuple[str, str, Answer]], targets: Sequence[Target] = ()) -> Snapshot:
    """Return the snapshot of (partner, source, answer)s."""
    store = SnapshotStore()
    for partner, source, answer in answers:
        name = SourceName(source)
        ready = render_breakdown(partner, name, answer.breakdown)
        customers = series_of_customers(ready, Targets(targets).customers)
        store.publish(partner, name, families(partner, answer.rows, targets, customers), ready)
    return store.current


def test_the_published_usage_answer_becomes_exactly_these_series(simulator: Simulator, signed_in: ApiPoll) -> None:
    answer = fetch(simulator, signed_in, "usage", published("usage"))
    exposition = exposition_of(shown([("contoso", "usage", answer)]))
    for service in ("crm", "o365"):
        series = f'{{partner="contoso",workload="SharePoint",service="{service}",channel="reseller"}} 0.0\n'
        assert f"partnercenter_license_usage_ratio{series}".encode() in exposition
    assert_golden("legacy-usage", exposition)


def test_the_published_deployment_answer_becomes_exactly_these_series(simulator: Simulator, signed_in: ApiPoll) -> None:
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
    targets = [Target(ratio=0.5), Target(ratio=0.8, workload="Exchange"), Target(ratio=0.7, partner="fabrikam")]
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


CUSTOMERS = [
    {"customerTenantId": "0A1B2C3D-0000-4000-8000-000000000001", "customerName": 'Adatum "A"'},
    {"customerTenantId": "0A1B2C3D-0000-4000-8000-000000000002", "customerName": "Bäckerei Öhm"},
]


def test_commercial_answers_with_detail_become_exactly_these_series() -> None:
    detailed = partial(Commercial, max_series=1_000, detail=tuple(Dimension))
    used = commercial_page(
        *(commercial_usage_item(**customer) for customer in CUSTOMERS),
        commercial_usage_item(**CUSTOMERS[0], workloadName="Teams", licenseActive=None),
        commercial_usage_item(**CUSTOMERS[0], productId="P2", productName="Enterprise", licenseActive="63"),
        commercial_usage_item(**CUSTOMERS[0], workloadName="Yammer", licensesQualified=0, licenseActive=0),
    )
    later = {"processedDateTime": "2020-03-15T00:00:00"}
    renamed = {**CUSTOMERS[1], "customerName": "Bäckerei Öhm KG"}
    deployed = commercial_page(
        commercial_deployment_item(**CUSTOMERS[0], **later),
        commercial_deployment_item(**renamed, **later, licensesSold=None),
    )
    snapshot = shown(
        [
            ("contoso", "usage", detailed(usage.COMMERCIAL).fetch(answering(used))),
            ("contoso", "deployment", detailed(deployment.COMMERCIAL).fetch(answering(deployed))),
        ],
        [Target(ratio=0.5), Target(ratio=0.9, customer=CUSTOMERS[0]["customerTenantId"], workload="Exchange")],
    )
    assert_golden("commercial-detail", exposition_of(snapshot))


def test_the_same_licences_give_the_same_series_whichever_api_feeds_them() -> None:
    day = "2017-03-14T00:00:00Z"
    legacy: list[tuple[str, Legacy, bytes]] = [
        (
            "usage",
            Legacy(usage.LEGACY, 9),
            legacy_page(usage_item(proratedLicensesUsagePercent=25, processedDateTime=day)),
        ),
        (
            "deployment",
            Legacy(deployment.LEGACY, 9),
            legacy_page(deployment_item(proratedDeploymentPercent=72.5, licensesSold=200, processedDateTime=day)),
        ),
    ]
    active = commercial_usage_item(licenseActive=25, licensesQualified=100, processedDateTime=day)
    sold = commercial_deployment_item(licensesDeployed=145, licensesSold=200, processedDateTime=day)
    commercial: list[tuple[str, Commercial, bytes]] = [
        ("usage", Commercial(usage.COMMERCIAL, max_series=9), commercial_page(active)),
        ("deployment", Commercial(deployment.COMMERCIAL, max_series=9), commercial_page(sold)),
    ]
    old, new = (
        exposition_of(shown([("contoso", name, source.fetch(answering(body))) for name, source, body in sources]))
        for sources in (legacy, commercial)
    )
    only_commercial = ("licenses_active", "licenses_qualified", "licenses_deployed")
    lines = [line for line in new.decode().splitlines() if not any(f"_{n}" in line for n in only_commercial)]
    assert lines == old.decode().splitlines()


@pytest.mark.parametrize(("source", "length"), [("usage", 1156), ("deployment", 487)])
def test_the_fixtures_have_the_length_that_the_published_answers_had(source: str, length: int) -> None:
    assert len(published(source)) == length
