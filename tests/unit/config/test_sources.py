"""Which APIs each source has, and which keys go with which API."""

import pytest

from exporter.model.rows import Api, Dimension, SourceName
from exporter.sources import usage
from exporter.sources.commercial import Commercial
from exporter.sources.insights import Insights
from exporter.sources.legacy import Legacy
from tests.unit.config.conftest import PARTNER, Mistakes, Read

# Every combination: a new source or API fails here until it is said whether the file may ask for it.
ACCEPTED = {
    (SourceName.USAGE, Api.LEGACY): True,
    (SourceName.USAGE, Api.COMMERCIAL): True,
    (SourceName.USAGE, Api.INSIGHTS): True,
    (SourceName.DEPLOYMENT, Api.LEGACY): True,
    (SourceName.DEPLOYMENT, Api.COMMERCIAL): True,
    (SourceName.DEPLOYMENT, Api.INSIGHTS): True,
}
DATA_SETS = {SourceName.USAGE: "OfficeUsage", SourceName.DEPLOYMENT: "SeatsSubscriptionsAndRevenue"}
EVERY_USAGE = "OfficeUsage, DynamicsUsage, EMSUsage, PowerBIUsage"
PATH = "use a path below api_url, without a query: /v1/…"


def keys_of(api: Api, source: SourceName) -> dict[str, str]:
    """Return every key that this API has and another doesn't."""
    return {
        Api.LEGACY: {},
        Api.COMMERCIAL: {"filter": "a eq 'b'", "path": "/v1/x"},
        Api.INSIGHTS: {"datasets": f"[{DATA_SETS[source]}]", "insights_file_hosts": "[files.example]"},
    }[api]


@pytest.mark.parametrize("source", SourceName)
@pytest.mark.parametrize("api", Api)
def test_a_source_takes_the_apis_that_it_has(read: Read, mistakes: Mistakes, source: SourceName, api: Api) -> None:
    text = f"{PARTNER}sources:\n  {source}:\n    api: {api}\n"
    if ACCEPTED[source, api]:
        assert [s.source.api for s in read(text).partners[0].sources if source == s.source.endpoint.row.SOURCE] == [api]
    else:
        (mistake,) = mistakes(text)
        assert mistake.startswith(f"8: sources.{source}.api: ")


@pytest.mark.parametrize("source", SourceName)
def test_an_api_that_no_source_has_is_refused(mistakes: Mistakes, source: SourceName) -> None:
    *others, last = (repr(str(api)) for api in Api if ACCEPTED[source, api])
    apis = f"{', '.join(others)} or {last}"
    assert mistakes(f"{PARTNER}    sources:\n      {source}: {{api: new}}\n") == [
        f"7: partners[0].sources.{source}.api: expected {apis}"
    ]


@pytest.mark.parametrize(("source", "chosen"), [pair for pair, accepted in ACCEPTED.items() if accepted])
@pytest.mark.parametrize("needed", Api)
def test_a_key_of_another_api_is_refused(
    read: Read, mistakes: Mistakes, source: SourceName, chosen: Api, needed: Api
) -> None:
    keys = keys_of(needed, source)
    lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    text = f"{PARTNER}sources:\n  {source}:\n    api: {chosen}\n{lines}"
    if chosen == needed or not keys:
        assert read(text).partners
        return
    problem = f"only valid with `api: {needed}`: add that" if ACCEPTED[source, needed] else "unknown key"
    for line, (key, mistake) in enumerate(zip(keys, mistakes(text), strict=True), start=9):
        assert mistake.startswith(f"{line}: sources.{source}.{key}: {problem}")


CREATES = (
    "with `api: insights`, this creates a query and a daily report in the partner's account: allow it with "
    "`reports: true`, or remove this"
)
ALONE = "only valid with `detail: [customer]`: add that, or remove this"


@pytest.mark.parametrize(
    ("common", "own", "mistake"),
    [
        ("api: insights, detail: [customer]", "", f"6: sources.usage.detail: {CREATES}"),
        ("api: insights, reports: true", "", f"6: sources.usage.reports: {ALONE}"),
        ("api: insights", "detail: [customer]", f"6: partners[0].sources.usage.detail: {CREATES}"),
        ("detail: [customer]", "api: insights", f"6: partners[0].sources.usage.api: {CREATES}"),
        (
            "api: insights, reports: true, detail: [customer, product]",
            "",
            "6: sources.usage.detail: Partner Insights has no products: with `api: insights`, use `detail: [customer]`",
        ),
        ("detail: [customer]", "", "6: sources.usage.detail: only valid with `api: commercial` or `api: insights`"),
        ("api: commercial, reports: true", "", "6: sources.usage.reports: only valid with `api: insights`"),
    ],
)
def test_customers_of_insights_are_asked_for_twice(mistakes: Mistakes, common: str, own: str, mistake: str) -> None:
    mine = f"    sources: {{usage: {{{own}}}}}\n" if own else ""
    (found,) = mistakes(f"{PARTNER}{mine}sources: {{usage: {{{common}}}}}\n")
    assert found.startswith(mistake)


@pytest.mark.parametrize("host", ["https://x", "*", "a b", "x/y", ""])
def test_a_host_of_files_that_is_none_is_explained(mistakes: Mistakes, host: str) -> None:
    keys = f"{{api: insights, detail: [customer], reports: true, insights_file_hosts: ['{host}']}}"
    (found,) = mistakes(f"{PARTNER}sources: {{usage: {keys}}}\n")
    assert found.startswith("6: sources.usage.insights_file_hosts[0]: use a host such as files.example")


def test_a_partner_may_ask_for_customers_of_insights(read: Read) -> None:
    keys = "{api: insights, detail: [customer], reports: true, insights_file_hosts: [files.example, '*.example:8443']}"
    (usage_source, _) = read(f"{PARTNER}    sources: {{usage: {keys}}}\n").partners[0].sources
    assert isinstance(usage_source.source, Insights)
    assert usage_source.source.dimensions == (Dimension.CUSTOMER,)
    assert usage_source.source.file_hosts == ("*.blob.core.windows.net", "files.example", "*.example:8443")


def test_the_api_that_counts_is_the_partners_own(mistakes: Mistakes) -> None:
    own = "    sources: {usage: {api: legacy, filter: a eq 'b'}}\nsources: {usage: {api: commercial}}\n"
    assert mistakes(PARTNER + own) == [
        "6: partners[0].sources.usage.filter: only valid with `api: commercial`: add that, or remove this"
    ]


def test_common_keys_may_wait_for_a_partner_that_chooses_their_api(read: Read) -> None:
    more = PARTNER.removeprefix("partners:\n").replace("contoso", "fabrikam")
    config = read(f"{PARTNER}    sources: {{usage: {{api: commercial}}}}\n{more}sources: {{usage: {{path: /v1/x}}}}\n")
    commercial, legacy = (partner.sources[0].source for partner in config.partners)
    assert commercial == Commercial(usage.COMMERCIAL, max_series=100_000, path="/v1/x")
    assert legacy == Legacy(usage.LEGACY, 100_000)


@pytest.mark.parametrize("api", ["new", "${UNSET}"])
def test_a_wrong_api_causes_no_further_mistakes(mistakes: Mistakes, api: str) -> None:
    (mistake,) = mistakes(f"{PARTNER}sources: {{usage: {{api: '{api}', path: /v1/x}}}}\n")
    assert mistake.startswith("6: sources.usage.api: ")


@pytest.mark.parametrize("wrong", ["enabled: perhaps", "interval: fast", "filter: ''", "bogus: x"])
def test_a_wrong_key_of_a_source_hides_nothing_else_of_it(mistakes: Mistakes, wrong: str) -> None:
    keys = f"{{interval: 37h, path: /v1/x, {wrong}}}" if "interval" not in wrong else f"{{path: /v1/x, {wrong}}}"
    found = mistakes(f"{PARTNER}sources:\n  usage: {keys}\n")
    assert any(".usage.path: only valid with" in mistake for mistake in found)
    assert "interval" in wrong or any("poll.max_staleness must be" in mistake for mistake in found)


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ("detail: [tenant]", "detail[0]: expected 'customer' or 'product'"),
        ("detail: [product, product]", "detail: duplicate entry: keep one"),
        ("detail: customer", "detail: expected a list: start each entry with a dash"),
        ("path: v1/x", f"path: {PATH}"),
        ("path: //x.example/v1", f"path: {PATH}"),
        ("path: '/v1/x?top=1'", f"path: {PATH}"),
        ('filter: "a\\nb"', "filter: write the filter on one line, for example channel eq 'reseller'"),
    ],
)
def test_a_wrong_value_of_the_commercial_api_is_explained(mistakes: Mistakes, keys: str, wrong: str) -> None:
    found = mistakes(PARTNER + f"sources: {{usage: {{api: commercial, {keys}}}}}\n")
    assert found == [f"6: sources.usage.{wrong}"]


def usage_keys(*keys: str) -> str:
    return f"sources: {{usage: {{{', '.join(keys)}}}}}\n"


@pytest.mark.parametrize("source", SourceName)
def test_insights_is_made_of_its_usual_data_set_unless_others_are_named(read: Read, source: SourceName) -> None:
    keys = f"{PARTNER}sources: {{{source}: {{api: insights}}}}\n"
    found = {each.source.endpoint.row.SOURCE: each.source for each in read(keys).partners[0].sources}[source]
    assert isinstance(found, Insights)
    assert found.data_sets == (DATA_SETS[source],)


def test_the_data_sets_that_are_named_are_asked_for_in_this_order(read: Read) -> None:
    source = read(PARTNER + usage_keys("api: insights", "datasets: [PowerBIUsage, OfficeUsage]")).partners[0].sources[0]
    assert isinstance(source.source, Insights)
    assert source.source.data_sets == ("PowerBIUsage", "OfficeUsage")


@pytest.mark.parametrize(
    ("source", "names", "wrong"),
    [
        ("usage", "[]", f"datasets: choose from {EVERY_USAGE}"),
        ("usage", "[officeusage]", f"datasets: choose from {EVERY_USAGE}"),
        ("usage", "[SeatsSubscriptionsAndRevenue]", f"datasets: choose from {EVERY_USAGE}"),
        ("deployment", "[OfficeUsage]", "datasets: choose from SeatsSubscriptionsAndRevenue"),
        ("usage", "[OfficeUsage, OfficeUsage]", "datasets: duplicate entry: keep one"),
        ("usage", "OfficeUsage", "datasets: expected a list: start each entry with a dash"),
    ],
)
def test_a_wrong_list_of_data_sets_is_explained(mistakes: Mistakes, source: str, names: str, wrong: str) -> None:
    text = f"{PARTNER}sources: {{{source}: {{api: insights, datasets: {names}}}}}\n"
    assert mistakes(text) == [f"6: sources.{source}.{wrong}"]


LEAST = "minimum interval with `api: insights` is 4h: its data is of months"
FLICKER = "poll.max_staleness must be at least twice the interval, or data would flicker"


@pytest.mark.parametrize(
    ("common", "own", "wrong"),
    [
        (("api: insights",), (), None),
        (("api: insights", "interval: 4h"), (), None),
        (("api: insights", "interval: 3h59m"), (), f"7: sources.usage.interval: {LEAST}"),
        (("api: insights",), ("interval: 1h",), f"6: partners[0].sources.usage.interval: {LEAST}"),
        (("interval: 1h",), ("api: insights",), f"7: sources.usage.interval: {LEAST}"),
        (("api: insights",), ("api: commercial", "interval: 1h"), None),
        (("interval: 1h",), ("api: insights", "interval: 12h"), None),
        (("api: insights", "interval: 37h"), (), f"7: sources.usage.interval: {FLICKER}"),
        (("api: commercial", "interval: 1h"), (), None),
    ],
)
def test_the_interval_of_insights_has_its_own_least(
    read: Read, mistakes: Mistakes, common: tuple[str, ...], own: tuple[str, ...], wrong: str | None
) -> None:
    text = f"{PARTNER}    {usage_keys(*own)}{usage_keys(*common)}"
    if wrong:
        assert mistakes(text) == [wrong]
    else:
        assert read(text).partners


@pytest.mark.parametrize(
    ("staleness", "common", "own", "wrong"),
    [
        ("23h", ("api: insights",), (), f"7: sources.usage.api: {FLICKER}"),
        ("24h", ("api: insights",), (), None),
        ("23h", (), ("api: insights",), f"6: partners[0].sources.usage.api: {FLICKER}"),
        ("23h", ("interval: 6h",), ("api: insights",), None),
        # The common keys must be good for a partner without any of its own.
        ("23h", ("api: insights",), ("interval: 6h",), f"7: sources.usage.api: {FLICKER}"),
        ("23h", ("api: insights", "interval: 6h"), ("api: legacy",), None),
    ],
)
def test_data_of_insights_must_outlast_two_of_its_own_default_intervals(
    read: Read, mistakes: Mistakes, staleness: str, common: tuple[str, ...], own: tuple[str, ...], wrong: str | None
) -> None:
    poll = f"poll: {{max_staleness: {staleness}, interval: 1h}}\n"
    text = f"{PARTNER}    {usage_keys(*own)}{usage_keys(*common)}{poll}"
    if wrong:
        assert mistakes(text) == [wrong]
    else:
        assert read(text).partners


def test_the_common_poll_interval_is_not_that_of_insights(read: Read) -> None:
    config = read(PARTNER + usage_keys("api: insights") + "poll: {interval: 5m}\n")
    assert [source.interval_seconds for source in config.partners[0].sources] == [12 * 3_600.0, 300.0]
