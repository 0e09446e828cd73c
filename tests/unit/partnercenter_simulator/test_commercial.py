"""The simulated commercial API: the same licences as the legacy one, split, filtered, grouped and paged."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from partnercenter_simulator import Fault, Quirks, Simulator
from partnercenter_simulator.customers import Customers, Kind

USAGE = "/v1/analytics/commercial/usage/license/"
DEPLOYMENT = "/v1/analytics/commercial/deployment/license/"
LABELS = "workloadName,serviceCode,channel"

Get = Callable[..., httpx.Response]


@pytest.fixture
def get(client: httpx.Client, redeem: Callable[..., httpx.Response]) -> Get:
    token = redeem().json()["access_token"]

    def ask(path: str = USAGE, **query: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return client.get(path, params={k: str(v) for k, v in query.items()} or None, headers=headers)

    return ask


def read(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = json.loads(answer.content)
    return document


def pages(get: Get, path: str = USAGE, **query: object) -> Iterator[dict[str, Any]]:
    document = read(get(path, **query))
    yield document
    while link := document["@nextLink"]:
        path = urljoin(path, link)
        document = read(get(path))
        yield document


def sums(simulator: Simulator) -> dict[tuple[str, ...], tuple[int, int]]:
    figures = simulator.dataset.usage(simulator.time.data_now())
    return {(f.workload, f.service, f.channel): (f.qualified, f.active) for f in figures}


def test_every_row_names_its_customer_and_product(get: Get) -> None:
    document = read(get(top=50))
    assert document.keys() == {"Value", "@nextLink", "TotalCount"}
    assert len(document["Value"]) == 50
    assert document["Value"][0].keys() == {
        "processedDateTime",
        "workloadCode",
        "workloadName",
        "serviceCode",
        "serviceName",
        "channel",
        "customerTenantId",
        "customerName",
        "productId",
        "productName",
        "licensesQualified",
        "licenseActive",
    }
    for row in document["Value"]:
        assert row["customerTenantId"] == row["customerTenantId"].upper()
        assert 0 <= row["licenseActive"] <= row["licensesQualified"]
        assert row["processedDateTime"][-1].isdigit()


def test_all_rows_add_up_to_the_licences_of_the_legacy_api(simulator: Simulator, get: Get) -> None:
    rows = [row for page in pages(get, top=700) for row in page["Value"]]
    added: dict[tuple[str, ...], tuple[int, int]] = {}
    for row in rows:
        key = (row["workloadName"], row["serviceCode"], row["channel"])
        qualified, active = added.get(key, (0, 0))
        added[key] = (qualified + row["licensesQualified"], active + row["licenseActive"])
    assert added == sums(simulator)
    assert len(rows) == read(get(top=1))["TotalCount"]
    identities = {
        (r["workloadName"], r["serviceCode"], r["channel"], r["customerTenantId"], r["productId"]) for r in rows
    }
    assert len(identities) == len(rows)


def test_groups_are_added_up(simulator: Simulator, get: Get) -> None:
    document = read(get(groupby=LABELS))
    assert document["Value"][0].keys() == {
        "processedDateTime", "workloadName", "serviceCode", "channel", "licensesQualified", "licenseActive",
    }  # fmt: skip
    assert {
        (row["workloadName"], row["serviceCode"], row["channel"]): (row["licensesQualified"], row["licenseActive"])
        for row in document["Value"]
    } == sums(simulator)


def test_groups_by_customer_and_product_are_every_row(get: Get) -> None:
    grouped = read(get(groupby=f"{LABELS},customerTenantId,productId"))
    assert grouped["TotalCount"] == read(get(top=1))["TotalCount"]
    assert "customerName" not in grouped["Value"][0]


def test_groups_by_customer_alone_are_added_up_over_products(simulator: Simulator, get: Get) -> None:
    rows = [row for page in pages(get, groupby=f"{LABELS},customerTenantId") for row in page["Value"]]
    assert len(rows) == 24 * 40
    whole = sum(qualified for qualified, _ in sums(simulator).values())
    assert sum(row["licensesQualified"] for row in rows) == whole


def test_deployment_has_no_workload(simulator: Simulator, get: Get) -> None:
    rows = read(get(DEPLOYMENT, groupby="serviceCode,channel"))["Value"]
    figures = simulator.dataset.deployment(simulator.time.data_now())
    assert [(row["licensesSold"], row["licensesDeployed"]) for row in rows] == [
        (figure.sold, figure.deployed) for figure in figures
    ]
    assert get(DEPLOYMENT, groupby="workloadName").status_code == 400


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("channel eq 'reseller'", lambda row: row["channel"] == "reseller"),
        ("channel ne 'reseller'", lambda row: row["channel"] != "reseller"),
        (
            "serviceCode eq 'crm' or workloadName eq 'Exchange' and channel eq 'direct'",
            lambda row: row["serviceCode"] == "crm" or (row["workloadName"], row["channel"]) == ("Exchange", "direct"),
        ),
        (
            "(serviceCode eq 'crm' or serviceCode eq 'ems') and channel eq 'direct'",
            lambda row: row["serviceCode"] in ("crm", "ems") and row["channel"] == "direct",
        ),
        ("productName eq 'Office 365 E3'", lambda row: row["productName"] == "Office 365 E3"),
        ("customerName eq 'Margie''s'", lambda row: row["customerName"] == "Margie's"),
    ],
)
def test_a_filter_keeps_the_matching_rows(get: Get, text: str, kept: Callable[[dict[str, Any]], bool]) -> None:
    every = [row for page in pages(get) for row in page["Value"]]
    assert [row for page in pages(get, filter=text) for row in page["Value"]] == [r for r in every if kept(r)]


@pytest.mark.parametrize(
    "query",
    [
        {"groupby": "customer"},
        {"filter": "channel"},
        {"filter": "channel eq reseller"},
        {"filter": "channel eq 'reseller' and"},
        {"filter": "channel eq 'reseller')"},
        {"filter": "colour eq 'red'"},
        {"top": "many"},
        {"skip": -1},
        {"processedDateTime": "yesterday"},
        {"select": "channel"},
    ],
)
def test_an_invalid_query_is_rejected(get: Get, query: dict[str, object]) -> None:
    answer = get(**query)
    assert (answer.status_code, answer.json()["code"]) == (400, "400")


def test_a_past_day_has_its_own_figures_and_a_future_one_none(get: Get) -> None:
    newest = read(get(groupby=LABELS))["Value"][0]["processedDateTime"][:10]
    past = read(get(groupby=LABELS, processedDateTime="2026-01-05"))["Value"]
    assert {row["processedDateTime"][:10] for row in past} == {"2026-01-05"}
    assert len(past) == 24
    same = read(get(groupby=LABELS, processedDateTime=newest))["Value"]
    assert same == [r for r in read(get(groupby=LABELS))["Value"] if r["processedDateTime"][:10] == newest]
    assert read(get(processedDateTime="2199-01-01")) == {"Value": [], "@nextLink": None, "TotalCount": 0}


@pytest.mark.parametrize("path", [USAGE, USAGE[:-1], f"/partner{USAGE}", f"/partner{USAGE[:-1]}"])
def test_every_published_form_of_the_path_works(get: Get, path: str) -> None:
    assert read(get(path, top=1))["TotalCount"] > 1


@pytest.mark.parametrize("links", ["relative", "absolute", "query"])
@pytest.mark.parametrize("max_rows", [7, 24, 10_000])
def test_pages_join_to_the_whole(simulator: Simulator, get: Get, links: str, max_rows: int) -> None:
    whole = read(get(groupby=LABELS))["Value"]
    simulator.commercial.quirks = Quirks(links=links, max_rows=max_rows)
    assert [row for page in pages(get, groupby=LABELS) for row in page["Value"]] == whole


def day_of(row: dict[str, Any]) -> str:
    return str(row["processedDateTime"][:10])


def test_the_quirks_do_what_they_say(simulator: Simulator, get: Get) -> None:
    plain = Quirks(max_rows=10)

    def answer(**query: object) -> dict[str, Any]:
        return read(get(groupby=LABELS, **query))

    simulator.commercial.quirks = replace(plain, links="none")
    assert answer()["@nextLink"] is None
    simulator.commercial.quirks = replace(plain, links="foreign")
    assert "elsewhere.example" in answer()["@nextLink"]
    simulator.commercial.quirks = replace(plain, links="loop")
    assert "skip=10" in answer(skip=10)["@nextLink"]
    simulator.commercial.quirks = replace(plain, links="endless")
    assert "skip=1010" in answer(skip=1000)["@nextLink"]
    simulator.commercial.quirks = replace(plain, repeats_last_row=True)
    assert answer(skip=10)["Value"][0] == answer()["Value"][-1]
    simulator.commercial.quirks = replace(plain, total_is_off_by=3)
    assert answer()["TotalCount"] == 27
    simulator.commercial.quirks = replace(plain, max_rows=50, days=2)
    both = answer()["Value"]
    assert (answer()["TotalCount"], len(both)) == (48, 48)
    assert all(day_of(older) < day_of(row) for row, older in zip(both[:24], both[24:], strict=True))
    newest = [day_of(row) for row in both[:20]]
    simulator.commercial.quirks = replace(plain, turns_at_page=1)
    turned = [day_of(row) for row in (*answer()["Value"], *answer(skip=10)["Value"])]
    assert turned[10:] == newest[10:]
    assert all(day < new for day, new in zip(turned[:10], newest[:10], strict=True))
    simulator.commercial.quirks = replace(plain, ignores_groupby=True)
    assert answer()["Value"][0]["customerName"]
    simulator.commercial.quirks = replace(plain, counts_as_text=True)
    assert answer()["Value"][0]["licensesQualified"].isdigit()
    simulator.commercial.quirks = replace(plain, spelling="mixed")
    assert [answer(skip=skip).keys() for skip in (0, 10, 20)] == [
        {"Value", "@nextLink", "TotalCount"},
        {"value", "@nextLink", "totalCount"},
        {"items", "nextLink", "totalCount"},
    ]


def test_the_quirks_can_be_changed_over_http(simulator: Simulator, client: httpx.Client, get: Get) -> None:
    changed = client.put("/_simulator/commercial", json={"links": "absolute", "max_rows": 5})
    assert changed.json()["max_rows"] == 5
    assert read(get())["@nextLink"].startswith(simulator.base_url)
    mistakes: tuple[object, ...] = ({"links": "blue"}, {"colour": 1}, {"max_rows": "5"}, {"max_rows": 0}, [])
    for wrong in mistakes:
        assert client.put("/_simulator/commercial", json=wrong).status_code == 400
    assert client.put("/_simulator/commercial", content=b"{").status_code == 400
    assert client.get("/_simulator/commercial").json()["max_rows"] == 5


def test_faults_affect_single_pages(simulator: Simulator, get: Get) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", skip=1, times=1, status=500))
    assert [get(top=1).status_code for _ in range(3)] == [200, 500, 200]
    simulator.faults.add(Fault(kind="rows", endpoint="usage", rows=[{"channel": "x"}]))
    assert read(get())["Value"] == [{"channel": "x"}]


@pytest.mark.parametrize("day", [-30, 0, 90])
@pytest.mark.parametrize("count", [1, 10, 333])
@pytest.mark.parametrize(("whole", "part"), [(0, 0), (1, 1), (5200, 0), (5200, 17), (999_983, 999_983)])
def test_a_split_adds_up_exactly(count: int, whole: int, part: int, day: int) -> None:
    customers = Customers(3, count)
    cells = list(customers.split("o365", whole, part, 0, customers.cells("o365"), day=day))
    assert len(cells) == customers.cells("o365")
    assert (sum(cell.whole for cell in cells), sum(cell.part for cell in cells)) == (whole, part)
    assert all(0 <= cell.part <= cell.whole for cell in cells)
    assert list(customers.split("o365", whole, part, 2, 7, day=day)) == cells[2:7]
    each = len(cells) // count
    own = [cells[index : index + each] for index in range(0, len(cells), each)]
    counts = [(sum(cell.whole for cell in group), sum(cell.part for cell in group)) for group in own]
    assert list(customers.split_by_customer(whole, part, day=day)) == counts
    assert list(customers.split("o365", whole, part, len(cells) - 1, len(cells) + 9, day=day)) == cells[-1:]


def by_kind(customers: Customers, day: int) -> dict[Kind, tuple[float, float]]:
    """Return the licences and the usage of an average customer of each kind."""
    found: dict[Kind, list[tuple[int, int]]] = {}
    for kind, counts in zip(customers.kinds, customers.split_by_customer(500_000, 300_000, day=day), strict=True):
        found.setdefault(kind, []).append(counts)
    sums = {kind: tuple(map(sum, zip(*counts, strict=True))) for kind, counts in found.items()}
    return {kind: (sums[kind][0] / len(counts), sums[kind][1] / sums[kind][0]) for kind, counts in found.items()}


def test_customers_of_each_kind_develop_as_it_says() -> None:
    customers = Customers(3, 1000)
    before, after = by_kind(customers, -90), by_kind(customers, 120)
    assert set(before) == set(Kind)
    licences, usage = before[Kind.STEADY]
    assert before[Kind.TINY][0] < licences / 20
    assert before[Kind.IDLE][1] < usage / 2
    assert after[Kind.GROWING][0] > 2 * before[Kind.GROWING][0]
    assert after[Kind.CHURNING][0] < before[Kind.CHURNING][0] / 2
    assert after[Kind.CHURNING][1] < before[Kind.CHURNING][1] / 2
    assert by_kind(Customers(3, 1000), 120) == after


def test_customers_have_unique_ids_and_a_limit() -> None:
    customers = Customers(3, 20_000).all
    assert len({customer.tenant_id for customer in customers}) == len(customers)
    with pytest.raises(ValueError, match="1 to 20,000"):
        Customers(3, 20_001)
